/* Growing text and its limit; the arrays of a status snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weave/alloc.h>
#include <weave/status.h>
#include <weave/text.h>

static void text_grows(void **state)
{
	struct text t = { 0 };

	(void)state;
	assert_string_equal(text_string(&t), "");
	for (int i = 0; i < 1000; i++)
		text_add(&t, "%d,", i);
	assert_int_equal(t.size, strlen(t.data));
	assert_int_equal(t.size, 10 * 2 + 90 * 3 + 900 * 4);
	assert_int_equal(strncmp(t.data, "0,1,2,", 6), 0);
	text_fini(&t);
	assert_string_equal(text_string(&t), "");
}

static void text_stops_at_its_limit(void **state)
{
	struct text t = { .limit = 5 };

	(void)state;
	text_add_string(&t, "abcde");
	assert_false(t.full);
	text_add_string(&t, "");
	assert_false(t.full);
	text_add_string(&t, "f");
	assert_true(t.full);
	assert_string_equal(text_string(&t), "abcde");
	text_fini(&t);
	assert_int_equal(t.limit, 5);
	assert_false(t.full);
}

static void snapshots_own_what_they_make(void **state)
{
	size_t before = mem_in_use();
	struct status s;

	(void)state;
	status_init(&s);
	for (int i = 0; i < 100; i++) {
		struct status_peer *p = status_add_peer(&s);

		p->nickname = status_text(&s, "host%d", i);
		for (int j = 0; j <= i; j++)
			status_peer_add_connection(p)->address = p->nickname;
		status_add_target(&s, p->nickname, true);
		status_broadcast_route_add(status_add_broadcast_route(&s, 1), 2);
		status_endpoint_add_ip(status_add_endpoint(&s), (struct ip_addr){ .family = 4 });
	}
	assert_int_equal(s.peers_count, 100);
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(s.peers[i].connections_count, i + 1);
		assert_ptr_equal(s.targets[i].text, s.peers[i].nickname);
		assert_ptr_equal(s.peers[i].connections[i].address, s.peers[i].nickname);
	}
	assert_string_equal(s.peers[99].nickname, "host99");
	status_fini(&s);
	assert_int_equal(mem_in_use(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_grows),
		cmocka_unit_test(text_stops_at_its_limit),
		cmocka_unit_test(snapshots_own_what_they_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
