#include "../../../router/too_big.h"

#include "frames.h"

static const struct mac bridge = { { 0x02, 0xaa, 0, 0, 0, 1 } };

static struct frame view_of(const struct made_frame *m)
{
	struct frame f;

	assert_true(frame_parse(&f, bytes_of(m->data, m->size)));
	return f;
}

static void ipv4_says_fragmentation_needed(void **state)
{
	struct made_frame m;
	uint8_t out[TOO_BIG_ANSWER_MAX];
	struct frame f;
	size_t size;

	(void)state;
	make_ipv4(&m, mac_of(2), mac_of(1), 1500, true, 17);
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 1423), 1423);
	size = too_big_answer(&f, 1423, bridge, out);
	assert_int_equal(size, 14 + 576);
	assert_memory_equal(out, mac_of(1).b, 6);
	assert_memory_equal(out + 6, bridge.b, 6);
	assert_int_equal(checksum_finish(checksum_add(0, out + 14, 20)), 0);
	assert_memory_equal(out + 26, m.data + 30, 4); /* from its destination */
	assert_memory_equal(out + 30, m.data + 26, 4); /* to its source */
	assert_int_equal(out[34], 3);
	assert_int_equal(out[35], 4);
	assert_int_equal(out[40] << 8 | out[41], 1423);
	assert_int_equal(checksum_finish(checksum_add(0, out + 34, size - 34)), 0);
	assert_memory_equal(out + 42, m.data + 14, 548);
}

static void ipv6_says_packet_too_big(void **state)
{
	struct made_frame m;
	uint8_t out[TOO_BIG_ANSWER_MAX];
	struct frame f;
	size_t size;

	(void)state;
	make_ipv6(&m, mac_of(2), mac_of(1), 1500, 17);
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 1423), 1423);
	size = too_big_answer(&f, 1423, bridge, out);
	assert_int_equal(size, 14 + 1280);
	assert_int_equal(out[54], 2);
	assert_int_equal(out[60] << 8 | out[61], 1423);
	assert_int_equal(transport_checksum(out + 14), 0);
	assert_memory_equal(out + 22, m.data + 38, 16);
	assert_memory_equal(out + 38, m.data + 22, 16);
	assert_memory_equal(out + 62, m.data + 14, 1232);
}

static void tags_come_back_and_count(void **state)
{
	struct made_frame m, tagged;
	uint8_t out[TOO_BIG_ANSWER_MAX];
	struct frame f;

	(void)state;
	make_ipv4(&m, mac_of(2), mac_of(1), 1420, true, 17);
	memcpy(tagged.data, m.data, 12);
	hex("81000007", tagged.data + 12);
	memcpy(tagged.data + 16, m.data + 12, m.size - 12);
	tagged.size = m.size + 4;
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 1423), 0);
	f = view_of(&tagged);
	assert_int_equal(too_big_mtu(&f, 1423), 1419);
	too_big_answer(&f, 1419, bridge, out);
	assert_memory_equal(out + 12, tagged.data + 12, 6);
}

static void some_senders_are_not_told(void **state)
{
	struct made_frame m;
	struct frame f;

	(void)state;
	make_ipv4(&m, mac_of(2), mac_of(1), 1500, false, 17); /* may be fragmented */
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 1400), 0);
	make_ipv4(&m, mac_of(2), mac_of(1), 1500, true, PROTOCOL_ICMP);
	m.data[34] = 3; /* an ICMP error */
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 1400), 0);
	m.data[34] = 8; /* an echo */
	assert_int_equal(too_big_mtu(&f, 1400), 1400);
	m.data[26] = 224; /* no host's address */
	assert_int_equal(too_big_mtu(&f, 1400), 0);
	make_ipv4(&m, mac_of(2), mac_of(1), 1500, true, 17);
	m.data[21] = 8; /* a later fragment */
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 1400), 0);
	make_raw(&m, mac_of(2), mac_of(1), 1500, 1);
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 1400), 0);
	/* IPv6 below its least MTU is cut by the sleeve instead */
	make_ipv6(&m, mac_of(2), mac_of(1), 1280, 17);
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 1000), 0);
	make_ipv6(&m, mac_of(2), mac_of(1), 1281, 17);
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 1000), 1280);
	make_ipv4(&m, mac_of(2), mac_of(1), 1000, true, 17);
	f = view_of(&m);
	assert_int_equal(too_big_mtu(&f, 400), 576);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_says_fragmentation_needed),
		cmocka_unit_test(ipv6_says_packet_too_big),
		cmocka_unit_test(tags_come_back_and_count),
		cmocka_unit_test(some_senders_are_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
