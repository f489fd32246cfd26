#include "../../../router/sleeve_session.h"

#include "router_test.h"

static void counts_from_one(void **state)
{
	struct sleeve_session s = { 0 };

	(void)state;
	assert_int_equal(session_next(&s), 1);
	assert_int_equal(session_next(&s), 2);
	s.sent = UINT64_MAX - 1;
	assert_true(session_next(&s) == UINT64_MAX);
	/* used up: no counter comes twice */
	assert_int_equal(session_next(&s), 0);
	assert_int_equal(session_next(&s), 0);
}

static void the_window_has_edges(void **state)
{
	struct sleeve_session s = { 0 };

	(void)state;
	assert_false(session_accept(&s, 0));
	assert_true(session_accept(&s, 1));
	assert_false(session_accept(&s, 1));
	assert_true(session_accept(&s, 100000));
	assert_false(session_accept(&s, 100000 - REPLAY_WINDOW));
	assert_true(session_accept(&s, 100000 - REPLAY_WINDOW + 1));
	assert_false(session_accept(&s, 100000 - REPLAY_WINDOW + 1));
	assert_true(session_accept(&s, UINT64_MAX));
	assert_false(session_accept(&s, UINT64_MAX));
	assert_true(session_accept(&s, UINT64_MAX - 8192));
	assert_false(session_accept(&s, 100001));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_from_one),
		cmocka_unit_test(the_window_has_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
