#include "frames.h"

static struct bytes load(const char *text)
{
	static uint8_t data[512];
	size_t size = hex(text, data);

	return bytes_of(data, size);
}

#define ETHERNET "ffffffffffff 020000000001 "

static void ethernet_and_its_tags(void **state)
{
	struct frame f;

	(void)state;
	assert_true(frame_parse(&f, load(ETHERNET "0806")));
	assert_int_equal(f.ethertype, ETHERTYPE_ARP);
	assert_int_equal(f.network, 14);
	assert_true(mac_equal(f.from, mac_of(1)));
	assert_true(frame_parse(&f, load(ETHERNET "88a8 0064 8100 000a 0800")));
	assert_int_equal(f.ethertype, ETHERTYPE_IPV4);
	assert_int_equal(f.tags, 2);
	assert_int_equal(f.network, 22);
	assert_false(frame_parse(&f, load(ETHERNET "08")));
	assert_false(frame_parse(&f, load(ETHERNET "8100 0001")));
}

static void bridge_control_addresses(void **state)
{
	struct mac m = { { 0x01, 0x80, 0xc2, 0, 0, 0x0e } };

	(void)state;
	assert_true(frame_is_link_local(m));
	m.b[5] = 0x10;
	assert_false(frame_is_link_local(m));
	m.b[5] = 0;
	m.b[0] = 0x33;
	assert_false(frame_is_link_local(m));
}

/* The example of RFC 1071 section 3, and of the IPv4 header known from many textbooks. */
static void checksums(void **state)
{
	uint8_t b[64];

	(void)state;
	assert_int_equal(checksum_finish(checksum_add(0, b, hex("0001f203f4f5f6f7", b))),
			 (uint16_t)~0xddf2);
	hex("45000073000040004011 b861 c0a80001c0a800c7", b);
	assert_int_equal(checksum_finish(checksum_add(0, b, 20)), 0);
	/* RFC 1624 section 4: 0x5555 becomes 0x3285 under checksum 0xdd2f. */
	assert_int_equal(checksum_update(0xdd2f, 0x5555, 0x3285), 0x0000);
	assert_int_equal(checksum_finish(checksum_add(0, "\x12\x34\x56", 3)),
			 (uint16_t) ~(0x1234 + 0x5600));
}

static void ipv4_with_options_df_and_fragments(void **state)
{
	static const struct {
		const char *packet;
		bool ok, df, fragment, later;
		size_t header, size;
	} cases[] = {
		{ "45000014 00004000 40110000 0a000001 0a000002", true, true, false, false, 20,
		  20 },
		{ "46000018 00002000 40110000 0a000001 0a000002 01010101", true, false, true, false,
		  24, 24 },
		{ "45000014 00000010 40110000 0a000001 0a000002", true, false, true, true, 20, 20 },
		{ "45000015 00000000 40110000 0a000001 0a000002", .ok = false }, /* too long */
		{ "44000014 00000000 40110000 0a000001 0a000002", .ok = false }, /* short header */
		{ "4f000014 00000000 40110000 0a000001 0a000002", .ok = false },
		{ "65000014 00000000 40110000 0a000001 0a000002", .ok = false },
		{ "45000014 00000000 40110000 0a000001 0a0000", .ok = false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[256];
		struct frame f;
		struct frame_ip ip;

		snprintf(text, sizeof text, ETHERNET "0800 %s", cases[i].packet);
		assert_true(frame_parse(&f, load(text)));
		assert_int_equal(frame_parse_ip(&f, &ip), cases[i].ok);
		if (!cases[i].ok)
			continue;
		assert_int_equal(ip.dont_fragment, cases[i].df);
		assert_int_equal(ip.fragment, cases[i].fragment);
		assert_int_equal(ip.later_fragment, cases[i].later);
		assert_int_equal(ip.header_size, cases[i].header);
		assert_int_equal(ip.size, cases[i].size);
		assert_int_equal(ip.to[3], 2);
	}
}

#define ADDRESSES "fd000000000000000000000000000001 fd000000000000000000000000000002 "

static void ipv6_extension_headers(void **state)
{
	static const struct {
		const char *packet;
		bool ok;
		uint8_t protocol;
		size_t header;
		bool later;
	} cases[] = {
		{ "60000000 0008 3a40 " ADDRESSES "8000000000000000", true, 58, 40, false },
		/* hop-by-hop, then routing of 16 bytes, then TCP */
		{ "60000000 0020 0040 " ADDRESSES "2b00000000000000 "
		  "0601000000000000 0000000000000000 0000000000000000",
		  true, 6, 64, false },
		/* first and later fragment of UDP */
		{ "60000000 0010 2c40 " ADDRESSES "11000001000000aa 0102030405060708", true, 17, 48,
		  false },
		{ "60000000 0010 2c40 " ADDRESSES "11000081000000aa 0102030405060708", true, 17, 48,
		  true },
		/* authentication header of 24 bytes */
		{ "60000000 0018 3340 " ADDRESSES
		  "3a04000000000000 0000000000000000 0000000000000000",
		  true, 58, 64, false },
		/* an extension that leaves the packet, one of which only half is there */
		{ "60000000 0008 0040 " ADDRESSES "3a01000000000000", false, 0, 0, false },
		{ "60000000 0004 0040 " ADDRESSES "3a000000", false, 0, 0, false },
		{ "60000000 0009 3a40 " ADDRESSES "8000000000000000", false, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[512];
		struct frame f;
		struct frame_ip ip;

		snprintf(text, sizeof text, ETHERNET "86dd %s", cases[i].packet);
		assert_true(frame_parse(&f, load(text)));
		assert_int_equal(frame_parse_ip(&f, &ip), cases[i].ok);
		if (!cases[i].ok)
			continue;
		assert_int_equal(ip.protocol, cases[i].protocol);
		assert_int_equal(ip.header_size, cases[i].header);
		assert_int_equal(ip.later_fragment, cases[i].later);
	}
}

static void arp_requests(void **state)
{
	const char *text = ETHERNET "0806 0001 0800 0604 0001 020000000001 0a000001 "
				    "000000000000 0a000002";
	struct frame f;
	struct frame_arp arp;

	(void)state;
	assert_true(frame_parse(&f, load(text)));
	assert_true(frame_parse_arp(&f, &arp));
	assert_int_equal(arp.operation, 1);
	assert_true(mac_equal(arp.sender_mac, mac_of(1)));
	assert_int_equal(arp.target_ip.b[3], 2);
	assert_true(frame_parse(&f, load(ETHERNET "0806 0001 0800 0604 0001 0200")));
	assert_false(frame_parse_arp(&f, &arp));
	assert_true(frame_parse(&f, load(ETHERNET "0806 0001 86dd 0610 0001 020000000001 0a000001 "
						  "000000000000 0a000002")));
	assert_false(frame_parse_arp(&f, &arp));
}

static void neighbour_discovery(void **state)
{
	struct frame f;
	struct frame_ip ip;
	struct frame_nd nd;
	struct frame_icmp icmp;

	(void)state;
	assert_true(
		frame_parse(&f, load(ETHERNET "86dd 60000000 0020 3aff " ADDRESSES
					      "87000000 00000000 fd000000000000000000000000000002 "
					      "0101020000000001")));
	assert_true(frame_parse_ip(&f, &ip));
	assert_true(frame_parse_nd(&ip, &nd));
	assert_int_equal(nd.type, 135);
	assert_int_equal(nd.target.b[15], 2);
	assert_true(nd.has_link_address);
	assert_true(mac_equal(nd.link_address, mac_of(1)));
	assert_true(frame_parse_icmp(&ip, &icmp));
	assert_false(icmp.error);
	/* an option of no size would loop for ever */
	assert_true(
		frame_parse(&f, load(ETHERNET "86dd 60000000 0020 3aff " ADDRESSES
					      "87000000 00000000 fd000000000000000000000000000002 "
					      "0100020000000001")));
	assert_true(frame_parse_ip(&f, &ip));
	assert_false(frame_parse_nd(&ip, &nd));
}

static void tcp_and_its_mss(void **state)
{
	static const struct {
		const char *tcp;
		bool ok;
		size_t mss_at; /* from the TCP header */
	} cases[] = {
		{ "00500050 00000000 00000000 60020000 00000000 020405b4", true, 22 },
		{ "00500050 00000000 00000000 70020000 00000000 01020405 b4000000", true, 23 },
		{ "00500050 00000000 00000000 60020000 00000000 00020405", true, 0 },
		{ "00500050 00000000 00000000 60020000 00000000 0300ffff", true, 0 },
		{ "00500050 00000000 00000000 60020000 00000000 01010204", true, 0 },
		{ "00500050 00000000 00000000 60020000 00000000 02030000", true, 0 },
		{ "00500050 00000000 00000000 50020000 00000000", true, 0 },
		{ "00500050 00000000 00000000 70020000 00000000", false, 0 },
		{ "00500050 00000000 00000000 40020000 00000000", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct made_frame m;
		struct frame f;
		struct frame_ip ip;
		struct frame_tcp tcp;
		uint8_t b[64];
		size_t size = hex(cases[i].tcp, b);

		make_ipv4(&m, mac_of(2), mac_of(1), 20 + size, true, PROTOCOL_TCP);
		memcpy(m.data + 34, b, size);
		assert_true(frame_parse(&f, bytes_of(m.data, m.size)));
		assert_true(frame_parse_ip(&f, &ip));
		assert_int_equal(frame_parse_tcp(&f, &ip, &tcp), cases[i].ok);
		if (cases[i].ok)
			assert_int_equal(tcp.mss_at, cases[i].mss_at ? cases[i].mss_at + 34 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ethernet_and_its_tags),
		cmocka_unit_test(bridge_control_addresses),
		cmocka_unit_test(checksums),
		cmocka_unit_test(ipv4_with_options_df_and_fragments),
		cmocka_unit_test(ipv6_extension_headers),
		cmocka_unit_test(arp_requests),
		cmocka_unit_test(neighbour_discovery),
		cmocka_unit_test(tcp_and_its_mss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
