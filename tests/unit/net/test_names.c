#include "testing.h"

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
		cmocka_unit_test(only_our_links_are_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
