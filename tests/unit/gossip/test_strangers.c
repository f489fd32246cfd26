#include "gossip_test.h"

#include "../../../gossip/strangers.h"

static struct ip_addr v4(unsigned n)
{
	return (struct ip_addr){ .family = 4,
				 .b = { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n } };
}

static struct ip_addr v6(uint8_t network, uint8_t host)
{
	struct ip_addr ip = { .family = 6, .b = { 0xfd } };

	ip.b[7] = network;
	ip.b[15] = host;
	return ip;
}

static void who_never_failed_may_ask(void **state)
{
	struct strangers s;

	(void)state;
	strangers_init(&s, at(1000));
	for (unsigned i = 0; i < 1000; i++)
		assert_true(strangers_may_ask(&s, v4(i), at(1000)));
	assert_int_equal(strangers_failures(&s, v4(1)), 0);
}

static void an_allowance_is_used_up_and_grows_again(void **state)
{
	struct strangers s;

	(void)state;
	strangers_init(&s, at(1000));
	for (unsigned i = 0; i < STRANGER_FAILURES; i++) {
		assert_true(strangers_may_ask(&s, v4(1), at(1000)));
		strangers_failed(&s, v4(1), at(1000));
	}
	assert_int_equal(strangers_failures(&s, v4(1)), STRANGER_FAILURES);
	assert_false(strangers_may_ask(&s, v4(1), at(1000)));
	assert_true(strangers_may_ask(&s, v4(2), at(1000)));
	assert_false(strangers_may_ask(&s, v4(1), at(1000 + 999 / STRANGER_FAILURES_PER_S)));
	assert_true(strangers_may_ask(&s, v4(1), at(1000 + 1000 / STRANGER_FAILURES_PER_S)));
	/* However long it rests, it never has more than the whole. */
	for (unsigned i = 0; i < STRANGER_FAILURES; i++) {
		assert_true(strangers_may_ask(&s, v4(1), at(UINT64_C(1) << 50)));
		strangers_failed(&s, v4(1), at(UINT64_C(1) << 50));
	}
	assert_false(strangers_may_ask(&s, v4(1), at(UINT64_C(1) << 50)));
}

static void all_together_have_one_too(void **state)
{
	struct strangers s;
	unsigned n = 0;

	(void)state;
	strangers_init(&s, at(1000));
	while (strangers_may_ask(&s, v4(9999999), at(1000)) && n < 100000)
		strangers_failed(&s, v4(n++), at(1000));
	assert_int_equal(n, STRANGERS_FAILURES);
	assert_true(strangers_may_ask(&s, v4(9999999), at(1000 + 1000 / STRANGERS_FAILURES_PER_S)));
}

static void a_v6_network_is_one_stranger(void **state)
{
	struct strangers s;

	(void)state;
	strangers_init(&s, at(1000));
	for (unsigned i = 0; i < STRANGER_FAILURES; i++)
		strangers_failed(&s, v6(1, (uint8_t)i), at(1000));
	assert_false(strangers_may_ask(&s, v6(1, 200), at(1000)));
	assert_true(strangers_may_ask(&s, v6(2, 200), at(1000)));
}

static void the_oldest_makes_room(void **state)
{
	struct strangers s;

	(void)state;
	strangers_init(&s, at(0));
	for (unsigned i = 0; i < STRANGERS_MAX; i++)
		strangers_failed(&s, v4(i), at(1000 + i));
	strangers_failed(&s, v4(0), at(5000));
	strangers_failed(&s, v4(7777), at(6000));
	assert_int_equal(strangers_failures(&s, v4(0)), 2);
	assert_int_equal(strangers_failures(&s, v4(1)), 0);
	assert_int_equal(strangers_failures(&s, v4(2)), 1);
	assert_int_equal(strangers_failures(&s, v4(7777)), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_never_failed_may_ask),
		cmocka_unit_test(an_allowance_is_used_up_and_grows_again),
		cmocka_unit_test(all_together_have_one_too),
		cmocka_unit_test(a_v6_network_is_one_stranger),
		cmocka_unit_test(the_oldest_makes_room),
	};

	return cmocka_run_group_tests_name("strangers", tests, NULL, NULL);
}
