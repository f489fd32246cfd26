#include "../net/testing.h"

#include "../../../plugin/expose.h"

static struct exposed item(const char *cidr, bool masquerade)
{
	return (struct exposed){ cidr_of(cidr), masquerade };
}

static size_t occurrences(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void plan_is_idempotent(void **state)
{
	struct exposed items[2] = { item("10.2.1.1/24", true), item("10.2.1.1/24", false) };
	struct expose_set set = { 0 }, after;
	struct why why;

	(void)state;
	WHY_OK(why, expose_plan(&set, items, 1, NULL, 0, &after, &why));
	assert_int_equal(after.count, 1);
	assert_true(after.items[0].masquerade);
	WHY_OK(why, expose_plan(&after, items + 1, 1, NULL, 0, &set, &why));
	assert_int_equal(set.count, 1);
	assert_false(set.items[0].masquerade);
}

static void plan_refuses_what_cannot_be(void **state)
{
	struct attachment a = { .id = "c1", .cidrs_count = 1 };
	struct expose_set set = { 0 }, after;
	struct exposed one;
	struct why why;

	(void)state;
	a.cidrs[0] = cidr_of("10.2.1.5/24");
	one = item("10.2.1.5/24", true);
	assert_int_equal(expose_plan(&set, &one, 1, &a, 1, &after, &why), -EEXIST);
	one = item("10.2.1.255/24", true);
	assert_int_equal(expose_plan(&set, &one, 1, &a, 1, &after, &why), -EINVAL);
	for (uint32_t i = 0; i < ATTACH_CIDRS_MAX; i++) {
		set.items[i] = item("10.2.0.1/16", true);
		set.items[i].cidr.ip.b[3] = (uint8_t)(i + 1);
	}
	set.count = ATTACH_CIDRS_MAX;
	one = item("10.2.9.9/16", true);
	assert_int_equal(expose_plan(&set, &one, 1, &a, 1, &after, &why), -E2BIG);
	one = item("10.2.0.1/24", true);
	assert_int_equal(expose_plan(&set, &one, 1, &a, 1, &after, &why), -EEXIST);
}

static void split_keeps_the_rest(void **state)
{
	struct expose_set set = { 2, { item("10.2.1.1/24", true), item("10.3.1.1/24", false) } };
	struct cidr gone[2] = { cidr_of("10.3.1.1/24"), cidr_of("10.9.9.9/24") };
	struct expose_set stays, goes;

	(void)state;
	expose_split(&set, gone, 2, &stays, &goes);
	assert_int_equal(stays.count, 1);
	assert_int_equal(goes.count, 1);
	assert_int_equal(goes.items[0].cidr.ip.b[1], 3);
	expose_split(&set, NULL, 0, &stays, &goes);
	assert_int_equal(stays.count, 0);
	assert_int_equal(goes.count, 2);
}

static void rules_say_what_is_exposed(void **state)
{
	struct expose_set set = { 4,
				  { item("10.2.1.1/24", true), item("10.2.1.2/24", true),
				    item("10.3.1.1/24", false), item("fd00::1/64", true) } };
	struct text t = { 0 };
	const char *s;

	(void)state;
	expose_rules("weave", &set, &t);
	s = text_string(&t);
	assert_int_equal(occurrences(s, "ip saddr 10.2.1.0/24 ip daddr != 10.2.1.0/24 masquerade"),
			 1);
	assert_int_equal(occurrences(s, "ip saddr != 10.2.1.0/24 ip daddr 10.2.1.0/24 masquerade"),
			 1);
	assert_int_equal(occurrences(s, "10.3.1.0/24"), 0);
	assert_int_equal(occurrences(s, "elements = { 10.3.1.1 }"), 1);
	assert_int_equal(occurrences(s, "ip6 saddr fd00::/64 ip6 daddr != fd00::/64 masquerade"),
			 1);
	text_fini(&t);
	set.count = 0;
	expose_rules("weave", &set, &t);
	assert_string_equal(text_string(&t), "table inet weave\ndelete table inet weave\n");
	text_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan_is_idempotent),
		cmocka_unit_test(plan_refuses_what_cannot_be),
		cmocka_unit_test(split_keeps_the_rest),
		cmocka_unit_test(rules_say_what_is_exposed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
