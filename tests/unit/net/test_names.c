#include "testing.h"

#include <weave/net_segment.h>

#include "../../../net/names.h"

static void bridge_names_are_derived(void **state)
{
	struct net_bridge_names a, b;

	(void)state;
	assert_true(net_bridge_names("weave", &a));
	assert_string_equal(a.port, "vethwe-bridge");
	assert_string_equal(a.capture, "vethwe-pcap");
	assert_string_equal(a.table, "weave");
	assert_true(net_bridge_names("abcdefghijklmno", &b));
	assert_int_equal(strlen(b.port), 15);
	assert_string_not_equal(b.port, b.capture);
	assert_string_equal(b.table, "weave_abcdefghijklmno");
	assert_true(net_bridge_names("weave2", &a));
	assert_string_not_equal(a.port, b.port);
}

static void wrong_names_are_refused(void **state)
{
	static const char *const wrong[] = { "",
					     "1br",
					     "-br",
					     "a b",
					     "a/b",
					     "..",
					     "br\n",
					     "all",
					     "default",
					     "vethwe-pcap",
					     "abcdefghijklmnop",
					     "br\xc3\xa4" };
	struct net_bridge_names names;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
		assert_false(net_bridge_names(wrong[i], &names));
}

static void alias_names_its_bridge(void **state)
{
	char alias[NET_ALIAS_SIZE], longest[NET_ALIAS_SIZE];

	(void)state;
	assert_true(net_alias("weave", "id /run/netns/x", alias));
	assert_string_equal(net_alias_rest(alias, "weave"), "id /run/netns/x");
	assert_null(net_alias_rest(alias, "weave2"));
	assert_null(net_alias_rest(alias, "weav"));
	assert_null(net_alias_rest("", "weave"));
	memset(longest, 'x', sizeof longest);
	longest[NET_ALIAS_SIZE - 15] = 0; /* "weave/1 weave " takes 14, NUL 1 */
	assert_true(net_alias("weave", longest, alias));
	longest[NET_ALIAS_SIZE - 15] = 'x';
	longest[NET_ALIAS_SIZE - 14] = 0;
	assert_false(net_alias("weave", longest, alias));
}

static void segments_have_names_of_their_own(void **state)
{
	char name[NET_NAME_SIZE], other[NET_NAME_SIZE];
	struct net_bridge_names a, b;
	uint32_t number;

	(void)state;
	net_segment_name("weave", 0xd41c02, name);
	assert_string_equal(name, "weave-d41c02");
	assert_true(net_segment_number("weave", name, &number) && number == 0xd41c02);
	assert_false(net_segment_number("weave2", name, &number));
	net_segment_name("weave2", SEGMENT_MAX, other);
	assert_int_equal(strlen(other), 15);
	assert_true(net_segment_number("weave2", other, &number) && number == SEGMENT_MAX);
	assert_false(net_segment_number("weave", other, &number));
	assert_true(net_bridge_names(name, &a));
	assert_string_equal(a.port, "vethwe-bd41c02");
	assert_string_equal(a.capture, "vethwe-pd41c02");
	net_segment_name("weave", 0xd41c03, name);
	assert_true(net_bridge_names(name, &b));
	assert_string_not_equal(a.port, b.port);
	/* Nobody's: the default one, that of pings, other writing. */
	static const char *const wrong[] = { "weave",	     "weave-",	     "weave-000000",
					     "weave-ffffff", "weave-D41C02", "weave-d41c0",
					     "weave-d41c021" };

	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
		assert_false(net_segment_number("weave", wrong[i], &number));
}

static void only_our_links_are_ours(void **state)
{
	struct net_bridge_names names;
	struct net_link l = { .kind = "veth", .master = 7 };

	(void)state;
	net_bridge_names("weave", &names);
	strcpy(l.name, "vethwl1234567");
	assert_true(link_is_ours(&l, &names, 7));
	assert_false(link_is_ours(&l, &names, 8));
	assert_false(link_is_ours(&l, &names, 0));
	strcpy(l.alias, "weave/1 weave c1 /x");
	assert_true(link_is_ours(&l, &names, 0));
	strcpy(l.alias, "weave/1 other c1 /x");
	assert_false(link_is_ours(&l, &names, 0));
	strcpy(l.name, "veth123");
	assert_false(link_is_ours(&l, &names, 7));
	strcpy(l.name, "vethwe-pcap");
	assert_true(link_is_ours(&l, &names, 0));
	strcpy(l.kind, "dummy");
	assert_false(link_is_ours(&l, &names, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bridge_names_are_derived),
		cmocka_unit_test(wrong_names_are_refused),
		cmocka_unit_test(alias_names_its_bridge),
		cmocka_unit_test(segments_have_names_of_their_own),
		cmocka_unit_test(only_our_links_are_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
