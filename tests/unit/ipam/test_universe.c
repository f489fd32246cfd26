#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../ipam/universe.h"

static struct cidr cidr(const char *text)
{
	struct cidr c;

	assert_true(cidr_parse(text, &c));
	return c;
}

static struct ip_addr ip(const char *text)
{
	struct ip_addr a;

	assert_true(ip_parse(text, &a));
	return a;
}

static struct universe universe(const char *text)
{
	struct universe u;
	struct why why;

	assert_true(universe_init(&u, cidr(text), &why));
	return u;
}

static void sizes_and_refusals(void **state)
{
	struct universe u;
	struct why why;

	(void)state;
	assert_int_equal(universe("10.32.0.0/12").size, 1u << 20);
	assert_int_equal(universe("10.0.0.0/30").size, 4);
	assert_int_equal(universe("0.0.0.0/0").size, UINT64_C(1) << 32);
	assert_int_equal(universe("fd00::/64").size, UINT64_C(1) << 32);
	assert_int_equal(universe("::/0").size, UINT64_C(1) << 32);
	assert_int_equal(universe("fd00::/120").size, 256);
	assert_int_equal(universe("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126").size, 4);
	assert_false(universe_init(&u, cidr("10.0.0.0/31"), &why));
	assert_int_equal(why.reason, WHY_INVALID);
	assert_false(universe_init(&u, cidr("10.0.0.1/24"), &why));
	assert_non_null(strstr(why.text, "10.0.0.0/24"));
	assert_false(universe_init(&u, cidr("fd00::/127"), &why));
}

static void offsets_and_addresses_are_inverse(void **state)
{
	static const struct {
		const char *range, *address;
		uint64_t offset;
	} cases[] = {
		{ "10.32.0.0/12", "10.32.0.0", 0 },
		{ "10.32.0.0/12", "10.47.255.255", (1u << 20) - 1 },
		{ "0.0.0.0/0", "255.255.255.255", UINT32_MAX },
		{ "fd00::/64", "fd00::ffff:ffff", UINT32_MAX },
		{ "fd00:0:0:1::/64", "fd00:0:0:1::10", 16 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 3 },
	};

	(void)state;
	for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
		struct universe u = universe(cases[n].range);
		uint64_t offset;

		assert_true(universe_offset(&u, ip(cases[n].address), &offset));
		assert_int_equal(offset, cases[n].offset);
		assert_int_equal(ip_compare(universe_address(&u, offset), ip(cases[n].address)), 0);
	}
}

static void what_lies_outside_has_no_offset(void **state)
{
	struct universe v4 = universe("10.32.0.0/12"), v6 = universe("fd00::/64");
	uint64_t offset;

	(void)state;
	assert_false(universe_offset(&v4, ip("10.31.255.255"), &offset));
	assert_false(universe_offset(&v4, ip("10.48.0.0"), &offset));
	assert_false(universe_offset(&v4, ip("fd00::1"), &offset));
	assert_false(universe_offset(&v6, ip("fd00::1:0:0"), &offset));
	assert_false(universe_offset(&v6, ip("10.32.0.1"), &offset));
}

static void subnets_lose_first_and_last(void **state)
{
	struct universe u = universe("10.32.0.0/16"), v6 = universe("fd00::/48");
	struct span s;
	struct why why;

	(void)state;
	assert_true(universe_subnet(&u, cidr("10.32.0.0/16"), &s, &why));
	assert_true(s.start == 1 && s.end == 65535);
	assert_true(universe_subnet(&u, cidr("10.32.3.0/24"), &s, &why));
	assert_true(s.start == 769 && s.end == 1023);
	/* A larger subnet has its own first and last outside. */
	assert_true(universe_subnet(&u, cidr("10.0.0.0/8"), &s, &why));
	assert_true(s.start == 0 && s.end == 65536);
	assert_true(universe_subnet(&u, cidr("10.32.0.0/12"), &s, &why));
	assert_true(s.start == 1 && s.end == 65536);
	assert_false(universe_subnet(&u, cidr("10.33.0.0/16"), &s, &why));
	assert_false(universe_subnet(&u, cidr("10.32.0.0/31"), &s, &why));
	assert_false(universe_subnet(&u, cidr("10.32.0.1/24"), &s, &why));
	assert_false(universe_subnet(&u, cidr("fd00::/64"), &s, &why));
	assert_true(universe_subnet(&v6, cidr("fd00::/64"), &s, &why));
	assert_true(s.start == 1 && s.end == UINT64_C(1) << 32);
	assert_false(universe_subnet(&v6, cidr("fd00:0:0:1::/64"), &s, &why));
	assert_non_null(strstr(why.text, "used"));
	u = universe("::/0");
	assert_true(universe_subnet(&u, cidr("::/0"), &s, &why));
	assert_true(s.start == 1 && s.end == UINT64_C(1) << 32);
}

static void bytes_round_trip(void **state)
{
	static const char *const ranges[] = { "10.32.0.0/12", "fd00::/64", "0.0.0.0/0" };
	uint8_t bytes[UNIVERSE_KEY_MAX];

	(void)state;
	for (size_t n = 0; n < sizeof ranges / sizeof ranges[0]; n++) {
		struct universe u = universe(ranges[n]), back;
		struct writer w = writer_over(bytes, sizeof bytes);
		struct reader r;

		universe_write(&u, &w);
		assert_false(w.full);
		r = reader_over(bytes, writer_size(&w));
		universe_read(&back, &r);
		assert_null(reader_verdict(&r));
		assert_true(universe_equal(&u, &back) && back.size == u.size);
		for (size_t cut = 0; cut < writer_size(&w); cut++) {
			r = reader_over(bytes, cut);
			universe_read(&back, &r);
			assert_non_null(reader_verdict(&r));
		}
	}
}

static void bad_bytes_are_named(void **state)
{
	static const uint8_t host_bits[] = { 4, 24, 10, 0, 0, 1 };
	static const uint8_t family[] = { 5, 24, 10, 0, 0, 0 };
	static const uint8_t prefix[] = { 4, 33, 10, 0, 0, 0 };
	struct universe u;
	struct reader r = reader_over(host_bits, sizeof host_bits);

	(void)state;
	universe_read(&u, &r);
	assert_string_equal(r.bad, "universe.prefix");
	r = reader_over(family, sizeof family);
	universe_read(&u, &r);
	assert_string_equal(r.bad, "universe.family");
	r = reader_over(prefix, sizeof prefix);
	universe_read(&u, &r);
	assert_string_equal(r.bad, "universe.prefix");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_refusals),
		cmocka_unit_test(offsets_and_addresses_are_inverse),
		cmocka_unit_test(what_lies_outside_has_no_offset),
		cmocka_unit_test(subnets_lose_first_and_last),
		cmocka_unit_test(bytes_round_trip),
		cmocka_unit_test(bad_bytes_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
