#include "testing.h"

#include "../../../net/announce_wire.h"

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i += 2)
		s += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void arp_is_gratuitous(void **state)
{
	static const uint8_t want[42] = { 255, 255, 255, 255, 255, 255, 2, 1, 2, 3, 4,	5,  8, 6,
					  0,   1,   8,	 0,   6,   4,	0, 1, 2, 1, 2,	3,  4, 5,
					  10,  32,  0,	 7,   0,   0,	0, 0, 0, 0, 10, 32, 0, 7 };
	uint8_t frame[ANNOUNCE_SIZE_MAX];
	struct writer w = writer_over(frame, sizeof frame);

	(void)state;
	announce_write(mac_of("02:01:02:03:04:05"), cidr_of("10.32.0.7/12").ip, &w);
	assert_int_equal(writer_size(&w), sizeof want);
	assert_memory_equal(frame, want, sizeof want);
}

static void advertisement_has_a_right_checksum(void **state)
{
	uint8_t frame[ANNOUNCE_SIZE_MAX];
	struct writer w = writer_over(frame, sizeof frame);

	(void)state;
	announce_write(mac_of("02:01:02:03:04:05"), cidr_of("fd00:1::5/64").ip, &w);
	assert_int_equal(writer_size(&w), 86);
	assert_int_equal(frame[0], 0x33);
	assert_int_equal(frame[14 + 6], 58);
	assert_int_equal(frame[14 + 7], 255); /* RFC 4861 7.1.2 */
	assert_int_equal(frame[54], 136);
	assert_int_equal(frame[58], 0x20);
	/* Over pseudo header and message, checksum included, all ones. */
	assert_int_equal(sum(sum(32 + 58, frame + 22, 32), frame + 54, 32), 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp_is_gratuitous),
		cmocka_unit_test(advertisement_has_a_right_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
