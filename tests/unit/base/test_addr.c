#include "base_test.h"

#include <weave/addr.h>
#include <weave/rng.h>

static void peer_names_parse(void **state)
{
	static const struct {
		const char *text;
		peer_name name;
	} good[] = {
		{ "7a:00:11:22:33:44", 0x7a0011223344 },
		{ "7A:0:11:22:33:4", 0x7a0011223304 },
		{ "::1", 1 },
		{ "1::", 0x010000000000 },
		{ "1::2", 0x010000000002 },
		{ "1:2::5:6", 0x010200000506 },
		{ "1:2:3:4:5::", 0x010203040500 },
		{ "::2:3:4:5:6", 0x000203040506 },
		{ "ff:ff:ff:ff:ff:ff", PEER_NAME_MAX },
	};
	static const char *const bad[] = {
		"",
		"::",
		"0:0:0:0:0:0",
		"1",
		"1:2:3:4:5",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:",
		":1:2:3:4:5",
		"1:2:3:4:5:6:",
		"1::2::3",
		"1:2:3::4:5:6",
		"123:1:1:1:1:1",
		"g::1",
		"1:2:3:4:5:6 ",
		" ::1",
		"1:::2",
		"7a-00-11-22-33-44",
		"1.2.3.4",
		"::1:2:3:4:5:6",
	};
	char text[PEER_NAME_TEXT_SIZE];
	peer_name name;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		peer_name again;

		if (!peer_name_parse(good[i].text, &name) || name != good[i].name)
			fail_msg("%s", good[i].text);
		assert_true(peer_name_parse(peer_name_text(name, text), &again) && again == name);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		name = 77;
		if (peer_name_parse(bad[i], &name) || name != 77)
			fail_msg("'%s'", bad[i]);
	}
	assert_string_equal(peer_name_text(0x7a0011223344, text), "7a:00:11:22:33:44");
}

static void macs_parse(void **state)
{
	char text[PEER_NAME_TEXT_SIZE];
	struct mac m, n = { { 9, 9, 9, 9, 9, 9 } };

	(void)state;
	assert_true(mac_parse("02:fF:0:1:2:3", &m));
	assert_string_equal(mac_text(m, text), "02:ff:00:01:02:03");
	assert_false(mac_parse("02::1", &n));
	assert_false(mac_parse("02:ff:00:01:02", &n));
	assert_int_equal(n.b[0], 9);
	assert_true(mac_equal(mac_from_u64(mac_to_u64(m)), m));
	assert_int_equal(mac_to_u64(m), 0x02ff00010203);
	assert_false(mac_is_group(m));
	assert_true(mac_parse("01:00:5e:00:00:fb", &m) && mac_is_group(m));
	assert_true(mac_parse("0:0:0:0:0:0", &m));
}

static void ips_parse(void **state)
{
	static const char *const good[] = { "1.2.3.4", "0.0.0.0", "255.255.255.255", "::",
					    "::1",     "fe80::1", "2001:db8::ff" };
	static const char *const bad[] = { "",		"1.2.3",	"1.2.3.4.5", "1.2.3.256",
					   "01.2.3.4x", "fe80::1%eth0", "host",	     "1.2.3.4 ",
					   "::g",	"[::1]" };
	char text[IP_TEXT_SIZE];
	struct ip_addr ip = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		assert_true(ip_parse(good[i], &ip));
		assert_string_equal(ip_text(ip, text), good[i]);
	}
	ip.family = 99;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		if (ip_parse(bad[i], &ip) || ip.family != 99)
			fail_msg("'%s'", bad[i]);
	assert_string_equal(ip_text((struct ip_addr){ 0 }, text), "-");
}

static struct ip_addr ip_of(const char *text)
{
	struct ip_addr ip;

	assert_true(ip_parse(text, &ip));
	return ip;
}

static void ips_have_an_order(void **state)
{
	(void)state;
	assert_int_equal(ip_compare(ip_of("1.2.3.4"), ip_of("1.2.3.4")), 0);
	assert_true(ip_compare(ip_of("9.0.0.0"), ip_of("10.0.0.0")) < 0);
	assert_true(ip_compare(ip_of("255.0.0.0"), ip_of("::")) < 0);
	assert_true(ip_compare(ip_of("::2"), ip_of("::1")) > 0);
}

static struct cidr cidr_of(const char *text)
{
	struct cidr c;

	if (!cidr_parse(text, &c))
		fail_msg("%s", text);
	return c;
}

static void cidrs_parse(void **state)
{
	static const char *const good[] = { "10.2.1.5/24", "0.0.0.0/0", "1.1.1.1/32", "fd00::1/64",
					    "::/128" };
	static const char *const bad[] = {
		"10.0.0.0",    "10.0.0.0/",   "10.0.0.0/33",  "10.0.0.0/-1",
		"10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0/8/8", "/8",
		"::/129",      "10.0.0/8",    "10.0.0.0/0x8", "10.0.0.0/999999999999"
	};
	char text[CIDR_TEXT_SIZE];
	struct cidr c = { .prefix = 99 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++)
		assert_string_equal(cidr_text(cidr_of(good[i]), text), good[i]);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		if (cidr_parse(bad[i], &c) || c.prefix != 99)
			fail_msg("'%s'", bad[i]);
}

static void cidrs_contain_and_overlap(void **state)
{
	struct cidr net = cidr_of("10.32.0.0/12");
	char text[CIDR_TEXT_SIZE];

	(void)state;
	assert_true(cidr_contains(net, ip_of("10.47.255.255")));
	assert_false(cidr_contains(net, ip_of("10.48.0.0")));
	assert_false(cidr_contains(net, ip_of("::")));
	assert_true(cidr_contains(cidr_of("0.0.0.0/0"), ip_of("9.9.9.9")));
	assert_true(cidr_contains(cidr_of("10.2.1.5/24"), ip_of("10.2.1.200")));
	assert_true(cidr_overlaps(net, cidr_of("10.40.1.0/24")));
	assert_true(cidr_overlaps(cidr_of("10.40.1.0/24"), net));
	assert_false(cidr_overlaps(net, cidr_of("10.64.0.0/12")));
	assert_false(cidr_overlaps(net, cidr_of("::/0")));
	assert_string_equal(cidr_text(cidr_network(cidr_of("10.47.3.4/12")), text), "10.32.0.0/12");
	assert_string_equal(cidr_text(cidr_network(cidr_of("fd00::ff/123")), text), "fd00::e0/123");
}

static void socket_addresses_parse(void **state)
{
	static const char *const good[][2] = {
		{ "1.2.3.4", "1.2.3.4:6783" },
		{ "1.2.3.4:99", "1.2.3.4:99" },
		{ "::1", "[::1]:6783" },
		{ "[::1]", "[::1]:6783" },
		{ "[fe80::1]:65535", "[fe80::1]:65535" },
	};
	static const char *const bad[] = { "",	   "1.2.3.4:",	 "1.2.3.4:0", "1.2.3.4:65536",
					   "[::1", "[::1]x",	 "[::1]:",    "host:1",
					   ":99",  "1.2.3.4:+1", "[1.2.3.4:5" };
	char text[ENDPOINT_TEXT_SIZE];
	struct netaddr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		if (!netaddr_parse(good[i][0], 6783, &a))
			fail_msg("%s", good[i][0]);
		assert_string_equal(netaddr_text(a, text), good[i][1]);
	}
	a.port = 12345;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		if (netaddr_parse(bad[i], 6783, &a) || a.port != 12345)
			fail_msg("'%s'", bad[i]);
}

/* Text forms are exact inverses. */
static void everything_comes_back(void **state)
{
	struct rng rng = { 1 };

	(void)state;
	for (int i = 0; i < 2000; i++) {
		char text[ENDPOINT_TEXT_SIZE];
		struct netaddr a = { .port = (uint16_t)(1 + rng_below(&rng, 65535)) }, b;
		peer_name name = 1 + rng_below(&rng, PEER_NAME_MAX), again;

		a.ip.family = rng_below(&rng, 2) ? 4 : 6;
		for (unsigned j = 0; j < ip_bits(a.ip) / 8; j++)
			a.ip.b[j] = rng_below(&rng, 3) ? 0 : (uint8_t)rng_u64(&rng);
		assert_true(netaddr_parse(netaddr_text(a, text), 0, &b));
		assert_int_equal(netaddr_compare(a, b), 0);
		b.port++;
		assert_true(netaddr_compare(a, b) != 0);
		assert_true(peer_name_parse(peer_name_text(name, text), &again));
		assert_true(name == again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_names_parse),
		cmocka_unit_test(macs_parse),
		cmocka_unit_test(ips_parse),
		cmocka_unit_test(ips_have_an_order),
		cmocka_unit_test(cidrs_parse),
		cmocka_unit_test(cidrs_contain_and_overlap),
		cmocka_unit_test(socket_addresses_parse),
		cmocka_unit_test(everything_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
