#include "names.h"

static void names_come_back_as_written(void **state)
{
	static const char *const addresses[] = { "10.2.1.1", "fd00::7" };
	struct name_entry e, d;
	struct made m;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		e = name(OTHER, "Db-1.sub.Weave.local", addresses[i]);
		make(&m, &e, 1, 1, true);
		assert_null(entry_check(&m.view));
		assert_null(name_entry_decode(&d, &m.view));
		assert_string_equal(d.hostname, e.hostname);
		assert_string_equal(d.container, "c");
		assert_int_equal(ip_compare(d.address, e.address), 0);
		assert_true(d.peer == OTHER);
	}
	/* The longest that can be fits an entry. */
	memset(e.hostname, 'x', NAME_HOSTNAME_MAX);
	e.hostname[NAME_HOSTNAME_MAX] = '\0';
	for (unsigned i = 63; i < NAME_HOSTNAME_MAX; i += 64)
		e.hostname[i] = '.';
	memset(e.container, 'c', NAME_CONTAINER_MAX);
	make(&m, &e, 1, 1, true);
	assert_null(entry_check(&m.view));
	assert_null(name_entry_decode(&d, &m.view));
	assert_string_equal(d.hostname, e.hostname);
}

static void spelling_is_no_part_of_the_key(void **state)
{
	struct name_entry a = name(OTHER, "abc.weave.local", "10.2.1.1");
	struct name_entry b = name(OTHER, "aBC.WEAVE.local", "10.2.1.1");
	struct name_entry other = name(OTHER, "abd.weave.local", "10.2.1.1");
	struct made m, n;

	(void)state;
	make(&m, &a, 1, 1, true);
	make(&n, &b, 1, 1, true);
	assert_memory_equal(m.k, n.k, sizeof m.k);
	make(&n, &other, 1, 1, true);
	assert_memory_not_equal(m.k, n.k, sizeof m.k);
	strcpy(a.container, "d");
	make(&n, &a, 1, 1, true);
	assert_memory_not_equal(m.k, n.k, sizeof m.k);
}

static void wrong_fields_are_named(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		bool in_key;
		const char *says;
	} table[] = {
		{ 5, 0xee, true, "name.peer" },	     { 9, 0xee, true, "name.hash" },
		{ 0, 5, false, "name.family" },	     { 2, 77, false, "name.hash" },
		{ 5, 255, false, "name.hostname" },  { 6, ' ', false, "name.hostname" },
		{ 6, '.', false, "name.hostname" },  { 6, 0, false, "name.hostname" },
		{ 19, 65, false, "name.container" }, { 20, '\n', false, "name.container" },
	};
	struct name_entry e = name(OTHER, "a.weave.local", "10.2.1.1"), d;
	struct made m;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		make(&m, &e, 1, 1, true);
		(table[i].in_key ? m.k : m.v)[table[i].at] = table[i].value;
		assert_string_equal(name_entry_decode(&d, &m.view), table[i].says);
	}
	make(&m, &e, 1, 1, true);
	for (size_t size = m.view.value.size; size-- > 0;) {
		m.view.value.size = size;
		assert_non_null(name_entry_decode(&d, &m.view));
	}
	make(&m, &e, 1, 1, true);
	m.view.writer = SELF;
	assert_string_equal(name_entry_decode(&d, &m.view), "name.peer");
}

static void host_names(void **state)
{
	char out[NAME_HOSTNAME_MAX + 1], label[70];

	(void)state;
	assert_null(hostname_check("a.b-c_d.weave.local.", out));
	assert_string_equal(out, "a.b-c_d.weave.local");
	assert_non_null(hostname_check("", out));
	assert_non_null(hostname_check(".", out));
	assert_non_null(hostname_check("a..b", out));
	assert_non_null(hostname_check(".a", out));
	assert_non_null(hostname_check("a b", out));
	assert_non_null(hostname_check("a\\b", out));
	memset(label, 'x', sizeof label);
	label[64] = '\0';
	assert_non_null(hostname_check(label, out));
	label[63] = '\0';
	assert_null(hostname_check(label, out));
	assert_true(hostname_is_within("a.Weave.local", "weave.LOCAL"));
	assert_true(hostname_is_within("weave.local", "weave.local"));
	assert_false(hostname_is_within("aweave.local", "weave.local"));
	assert_false(hostname_is_within("local", "weave.local"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_back_as_written),
		cmocka_unit_test(spelling_is_no_part_of_the_key),
		cmocka_unit_test(wrong_fields_are_named),
		cmocka_unit_test(host_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
