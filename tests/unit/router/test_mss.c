#include "../../../router/mss.h"

#include "frames.h"

/* A SYN with the MSS option behind 'nops' fillers; the frame's TCP checksum is right. */
static void make_syn(struct made_frame *m, uint8_t family, unsigned nops, uint16_t mss,
		     uint8_t flags)
{
	size_t ip = family == 4 ? 20 : 40, tcp = 20 + 12;
	uint8_t *t;

	if (family == 4)
		make_ipv4(m, mac_of(2), mac_of(1), ip + tcp, true, PROTOCOL_TCP);
	else
		make_ipv6(m, mac_of(2), mac_of(1), ip + tcp, PROTOCOL_TCP);
	t = m->data + 14 + ip;
	memset(t, 0, tcp);
	hex("9c40 0050 11223344 00000000", t);
	t[12] = 0x80;
	t[13] = flags;
	put16(t + 14, 0xfaf0);
	memset(t + 20, 1, nops);
	hex("0204", t + 20 + nops);
	put16(t + 22 + nops, mss);
	put16(t + 16, transport_checksum(m->data + 14));
	assert_int_equal(transport_checksum(m->data + 14), 0);
}

static void clamps_and_keeps_the_checksum(void **state)
{
	(void)state;
	for (unsigned nops = 0; nops < 8; nops++) {
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct made_frame m;
			size_t ip = v6 ? 40 : 20, at_ = 14 + ip + 22 + nops;

			make_syn(&m, v6 ? 6 : 4, nops, 1460, TCP_SYN | (nops & 1 ? 0x10 : 0));
			assert_true(mss_clamp(m.data, m.size, 1400, false));
			assert_int_equal(m.data[at_] << 8 | m.data[at_ + 1], 1400 - ip - 20);
			assert_int_equal(transport_checksum(m.data + 14), 0);
			assert_false(mss_clamp(m.data, m.size, 1400, false));
		}
	}
}

/* Left undone, the checksum holds what the options are not part of. */
static void an_undone_checksum_stays(void **state)
{
	struct made_frame m;

	(void)state;
	make_syn(&m, 4, 0, 1460, TCP_SYN);
	put16(m.data + 14 + 20 + 16, 0xbeef);
	assert_true(mss_clamp(m.data, m.size, 1400, true));
	assert_int_equal(m.data[14 + 20 + 22] << 8 | m.data[14 + 20 + 23], 1360);
	assert_int_equal(m.data[14 + 20 + 16] << 8 | m.data[14 + 20 + 17], 0xbeef);
}

static void leaves_alone_what_is_small_or_no_syn(void **state)
{
	struct made_frame m, before;

	(void)state;
	make_syn(&m, 4, 0, 1300, TCP_SYN);
	before = m;
	assert_false(mss_clamp(m.data, m.size, 1400, false));
	assert_false(mss_clamp(m.data, m.size, 40, false));
	make_syn(&m, 4, 0, 1300, 0x10);
	before = m;
	assert_false(mss_clamp(m.data, m.size, 600, false));
	assert_memory_equal(m.data, before.data, m.size);
	/* cut short in the option */
	make_syn(&m, 4, 0, 1460, TCP_SYN);
	assert_false(mss_clamp(m.data, 14 + 20 + 22, 600, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clamps_and_keeps_the_checksum),
		cmocka_unit_test(an_undone_checksum_stays),
		cmocka_unit_test(leaves_alone_what_is_small_or_no_syn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
