#include "names.h"

static bool put(struct view *v, const char *container, const char *hostname, const char *address)
{
	struct why why;

	return names_put(v->names, container, hostname, ip(address), now, &why);
}

static size_t found(const struct view *v)
{
	const struct entry *e = NULL;
	struct name_entry n;
	size_t count = 0;

	while ((e = names_next(v->names, e, &n)))
		count++;
	assert_int_equal(names_count(v->names), count);
	return count;
}

static void ours_come_and_go(void **state)
{
	struct view v = view_new();
	struct ip_addr one = ip("10.2.1.1");

	(void)state;
	assert_true(put(&v, "c1", "a.weave.local.", "10.2.1.1"));
	assert_true(put(&v, "c1", "a.weave.local", "10.2.1.2"));
	assert_true(put(&v, "c2", "b.sub.weave.local", "fd00::1"));
	assert_string_equal(changes(&v), "+a.weave.local=10.2.1.1 +a.weave.local=10.2.1.2 "
					 "+b.sub.weave.local=fd00::1");
	assert_int_equal(found(&v), 3);
	/* The same again is nothing new; another spelling takes the place of the former. */
	assert_true(put(&v, "c1", "a.weave.local", "10.2.1.1"));
	assert_string_equal(changes(&v), "");
	assert_true(put(&v, "c1", "A.weave.local", "10.2.1.1"));
	assert_string_equal(changes(&v), "+A.weave.local=10.2.1.1");
	assert_int_equal(names_own_count(v.names), 3);
	assert_int_equal(names_remove(v.names, "c1", "a.WEAVE.local", &one, now), 1);
	assert_int_equal(names_remove(v.names, "c1", "a.weave.local", &one, now), 0);
	assert_int_equal(names_remove(v.names, "c2", NULL, NULL, now), 1);
	assert_string_equal(changes(&v), "- -");
	assert_int_equal(names_remove(v.names, NULL, NULL, NULL, now), 1);
	assert_int_equal(found(&v), 0);
	view_free(&v);
}

static void what_cannot_be_a_name_is_refused(void **state)
{
	struct view v = view_new();
	char text[400];
	struct why why;

	(void)state;
	assert_false(put(&v, "c1", "a b.weave.local", "10.2.1.1"));
	assert_false(put(&v, "", "a.weave.local", "10.2.1.1"));
	assert_false(put(&v, "c 1", "a.weave.local", "10.2.1.1"));
	assert_false(names_put(v.names, "c1", "foo", ip("10.2.1.1"), now, &why));
	assert_non_null(strstr(why.text, "foo.weave.local."));
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	assert_false(put(&v, "c1", text, "10.2.1.1"));
	assert_false(put(&v, text, "a.weave.local", "10.2.1.1"));
	assert_string_equal(changes(&v), "");
	assert_int_equal(found(&v), 0);
	view_free(&v);
}

static void more_than_the_bound_is_refused(void **state)
{
	struct view v = view_new();
	struct ip_addr a = ip("10.2.1.1");
	struct why why;
	char text[40];

	(void)state;
	for (unsigned i = 0; i < NAMES_OWN_MAX; i++) {
		snprintf(text, sizeof text, "n%u.weave.local", i);
		assert_true(names_put(v.names, "c", text, a, now, &why));
	}
	assert_false(put(&v, "c", "more.weave.local", "10.2.1.1"));
	assert_true(put(&v, "c", "N7.weave.local", "10.2.1.1"));
	view_free(&v);
}

static void names_of_those_who_cannot_be_reached_are_hidden(void **state)
{
	struct view v = view_new();

	(void)state;
	/* Names may come before all else. */
	says(&v, OTHER, 3, "a.weave.local", "10.2.2.1", true);
	says(&v, OTHER, 3, "b.weave.local", "10.2.2.2", true);
	assert_string_equal(changes(&v), "");
	peer(&v, OTHER, 3, 3);
	assert_string_equal(changes(&v), "");
	reach(&v, OTHER, true);
	assert_int_equal(strlen(changes(&v)), strlen("+a.weave.local=10.2.2.1 ") * 2 - 1);
	says(&v, OTHER, 3, "b.weave.local", "10.2.2.2", false);
	assert_string_equal(changes(&v), "-");
	reach(&v, OTHER, false);
	assert_string_equal(changes(&v), "-");
	/* While it was away: a deletion and a new name. */
	says(&v, OTHER, 3, "a.weave.local", "10.2.2.1", false);
	says(&v, OTHER, 3, "c.weave.local", "10.2.2.3", true);
	assert_string_equal(changes(&v), "");
	reach(&v, OTHER, true);
	assert_string_equal(changes(&v), "+c.weave.local=10.2.2.3");
	assert_int_equal(found(&v), 1);
	view_free(&v);
}

static void names_below_the_floor_are_hidden(void **state)
{
	struct view v = view_new();

	(void)state;
	peer(&v, OTHER, 3, 3);
	reach(&v, OTHER, true);
	says(&v, OTHER, 3, "old.weave.local", "10.2.2.1", true);
	says(&v, OTHER, 2, "older.weave.local", "10.2.2.9", true);
	assert_string_equal(changes(&v), "+old.weave.local=10.2.2.1");
	/* Restarted: what it said before holds until it raises the floor. */
	peer(&v, OTHER, 4, 3);
	says(&v, OTHER, 4, "new.weave.local", "10.2.2.2", true);
	assert_string_equal(changes(&v), "+new.weave.local=10.2.2.2");
	peer(&v, OTHER, 4, 4);
	assert_string_equal(changes(&v), "-");
	assert_int_equal(found(&v), 1);
	view_free(&v);
}

static void what_a_former_life_said_is_taken_back(void **state)
{
	struct view v = view_new();
	struct name_entry dead = name(SELF, "dead.weave.local", "10.2.1.1");
	struct store *s = gossip_store(v.gossip);
	struct made m;

	(void)state;
	says(&v, SELF, 4, "dead.weave.local", "10.2.1.1", true);
	make(&m, &dead, 1, 1, true);
	update(&v);
	assert_false(store_find(s, KIND_NAME, m.view.key)->view.flags & ENTRY_TOMBSTONE);
	assert_int_equal(found(&v), 0);
	names_settled(v.names, now);
	assert_true(store_find(s, KIND_NAME, m.view.key)->view.flags & ENTRY_TOMBSTONE);
	/* And again, should somebody bring it later; what we say ourselves stays. */
	says(&v, SELF, 4, "late.weave.local", "10.2.1.2", true);
	assert_true(put(&v, "c", "ours.weave.local", "10.2.1.3"));
	update(&v);
	dead = name(SELF, "late.weave.local", "10.2.1.2");
	make(&m, &dead, 1, 1, true);
	assert_true(store_find(s, KIND_NAME, m.view.key)->view.flags & ENTRY_TOMBSTONE);
	assert_int_equal(found(&v), 1);
	assert_string_equal(changes(&v), "+ours.weave.local=10.2.1.3");
	view_free(&v);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ours_come_and_go),
		cmocka_unit_test(what_cannot_be_a_name_is_refused),
		cmocka_unit_test(more_than_the_bound_is_refused),
		cmocka_unit_test(names_of_those_who_cannot_be_reached_are_hidden),
		cmocka_unit_test(names_below_the_floor_are_hidden),
		cmocka_unit_test(what_a_former_life_said_is_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
