#include "views.h"

#define RED 7u
#define BLUE 8u

static void say(struct view *v, peer_name peer, uint32_t segment, const char *key,
		uint64_t generation, uint64_t version)
{
	view_network(v, segment, peer, key, generation, version);
	networks_settle(v->networks);
	networks_check(v->networks);
}

static struct view meet_two(void)
{
	struct view v = view_new(1);

	view_peer(&v, 2, 0, 1);
	view_peer(&v, 3, 0, 1);
	view_reach(&v, 2, true);
	view_reach(&v, 3, true);
	return v;
}

static void entries_are_whole(void **state)
{
	struct network_entry e = { .segment = SEGMENT_MAX, .peer = 0x7a0011223344, .key = "red/1" },
			     out;
	uint8_t k[NETWORK_KEY_SIZE], b[NETWORK_VALUE_MAX + 4];
	struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);
	struct entry_view view = { .kind = KIND_NETWORK, .writer = e.peer };

	(void)state;
	network_entry_key(&e, &key);
	network_entry_value(&e, &value);
	view.key = writer_bytes(&key);
	view.value = writer_bytes(&value);
	assert_null(network_entry_decode(&out, &view));
	assert_int_equal(out.segment, e.segment);
	assert_int_equal(out.peer, e.peer);
	assert_string_equal(out.key, e.key);
	view.value.size++;
	assert_null(network_entry_check(&view)); /* of a later release */
	for (size_t i = 0; i < writer_size(&value); i++) {
		view.value.size = i;
		assert_string_equal(network_entry_check(&view), "network.key");
	}
	view.value = writer_bytes(&value);
	b[3] = 0;
	assert_string_equal(network_entry_check(&view), "network.key");
	b[3] = 'd';
	view.writer++;
	assert_string_equal(network_entry_check(&view), "network.peer");
	view.writer--;
	memset(k, 0xff, 3);
	assert_string_equal(network_entry_check(&view), "network.segment");
	memset(k, 0, 3);
	assert_string_equal(network_entry_check(&view), "network.segment");
}

static bool next(struct view *v, bool *alive)
{
	struct bytes key, value;

	if (!networks_next_publish(v->networks, &key, &value))
		return false;
	*alive = value.data != NULL;
	return true;
}

static void what_is_open_is_published(void **state)
{
	struct view v = view_new(1);
	struct why why;
	bool alive;

	(void)state;
	assert_true(networks_is_open(v.networks, SEGMENT_DEFAULT));
	assert_false(networks_is_open(v.networks, RED));
	assert_true(networks_open(v.networks, RED, "red", &why));
	assert_true(networks_open(v.networks, RED, "red", &why));
	assert_true(networks_is_open(v.networks, RED));
	assert_true(next(&v, &alive) && alive);
	assert_false(next(&v, &alive));
	networks_close(v.networks, RED);
	networks_close(v.networks, RED);
	assert_false(networks_is_open(v.networks, RED));
	assert_true(next(&v, &alive) && !alive);
	assert_false(next(&v, &alive));
	/* Opened and closed before anybody heard of it. */
	assert_true(networks_open(v.networks, BLUE, "blue", &why));
	networks_close(v.networks, BLUE);
	assert_false(next(&v, &alive));
	networks_settle(v.networks);
	view_free(&v);
}

static void a_number_that_is_taken_is_refused(void **state)
{
	struct view v = meet_two();
	struct why why;

	(void)state;
	say(&v, 2, RED, "red", 1, 1);
	assert_false(networks_open(v.networks, RED, "crimson", &why));
	assert_non_null(strstr(why.text, "crimson"));
	assert_non_null(strstr(why.text, "that of red at peer"));
	assert_false(networks_is_open(v.networks, RED));
	/* Of somebody who cannot be reached, or of an earlier life: free. */
	view_reach(&v, 2, false);
	assert_true(networks_open(v.networks, RED, "crimson", &why));
	assert_false(networks_open(v.networks, RED, "scarlet", &why));
	assert_non_null(strstr(why.text, "that of crimson here"));
	networks_close(v.networks, RED);
	view_reach(&v, 2, true);
	assert_false(networks_open(v.networks, RED, "crimson", &why));
	say(&v, 2, RED, NULL, 1, 2);
	assert_true(networks_open(v.networks, RED, "crimson", &why));
	view_free(&v);
}

static void frames_are_of_who_means_the_same(void **state)
{
	struct view v = meet_two();
	struct why why;

	(void)state;
	assert_true(networks_takes(v.networks, SEGMENT_DEFAULT, 9));
	assert_false(networks_takes(v.networks, RED, 2));
	say(&v, 2, RED, "red", 1, 1);
	assert_false(networks_takes(v.networks, RED, 2)); /* not open here */
	assert_true(networks_open(v.networks, RED, "red", &why));
	assert_true(networks_takes(v.networks, RED, 2));
	assert_false(networks_takes(v.networks, RED, 3)); /* does not have it */
	say(&v, 3, RED, "other", 1, 1);
	assert_false(networks_takes(v.networks, RED, 3));
	assert_true(networks_agrees(v.networks, RED, 2));
	assert_false(networks_agrees(v.networks, RED, 3));
	assert_true(networks_agrees(v.networks, RED, 4));
	assert_true(networks_agrees(v.networks, BLUE, 3));
	view_free(&v);
}

static unsigned count_members(struct view *v, peer_name origin, peer_name *last)
{
	unsigned count = 0;
	size_t at = 0;
	peer_name p;

	while ((p = networks_next_member(v->networks, RED, origin, &at)) != PEER_NAME_NONE) {
		*last = p;
		count++;
	}
	return count;
}

static void members_are_those_of_the_origins_network(void **state)
{
	struct view v = meet_two();
	peer_name last = 0;
	struct why why;

	(void)state;
	assert_int_equal(count_members(&v, 2, &last), 0);
	say(&v, 2, RED, "red", 1, 1);
	say(&v, 3, RED, "other", 1, 1);
	assert_int_equal(count_members(&v, 2, &last), 1);
	assert_int_equal(last, 2);
	assert_int_equal(count_members(&v, 3, &last), 1);
	assert_int_equal(last, 3);
	say(&v, 3, RED, NULL, 1, 2);
	assert_true(networks_open(v.networks, RED, "red", &why));
	assert_int_equal(count_members(&v, 1, &last), 2);
	assert_int_equal(count_members(&v, 2, &last), 2);
	assert_int_equal(count_members(&v, 3, &last), 0);
	view_free(&v);
}

static int carried(struct view *v)
{
	uint32_t segment;
	bool is;

	if (!networks_next_carried(v->networks, &segment, &is))
		return -1;
	assert_int_equal(segment, RED);
	return is;
}

/* The kernels know numbers only: while two that can be reached differ, they carry nothing of it,
 * and what the other one publishes does not count. */
static void a_contested_number_is_not_for_the_kernel(void **state)
{
	struct view v = meet_two();
	struct mac mac = mac_of(5);
	uint64_t contests;
	struct why why;

	(void)state;
	networks_track(v.networks);
	assert_int_equal(carried(&v), -1);
	assert_true(networks_open(v.networks, RED, "red", &why));
	assert_int_equal(carried(&v), 1);
	assert_int_equal(carried(&v), -1);
	say(&v, 2, RED, "red", 1, 1);
	assert_int_equal(carried(&v), -1);
	contests = networks_contests(v.networks);
	say(&v, 3, RED, "other", 1, 1);
	assert_true(networks_contests(v.networks) > contests);
	assert_int_equal(carried(&v), 0);
	view_reach(&v, 3, false);
	networks_settle(v.networks);
	assert_int_equal(carried(&v), 1);
	view_reach(&v, 3, true);
	assert_int_equal(carried(&v), 0);
	/* Peer 3 begins another life and does not open it again. */
	{
		struct peer_info p = { .name = 3, .protocol_min = 3, .protocol_max = 3, .port = 1 };
		uint8_t k[ENTRY_KEY_MAX], b[1024];
		struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);
		struct entry_view e = { .kind = KIND_PEER, .writer = 3, .generation = 2 };

		snprintf(p.nickname, sizeof p.nickname, "n");
		snprintf(p.software, sizeof p.software, "t");
		peer_info_key(3, &key);
		peer_info_encode(&p, &value);
		e.key = writer_bytes(&key);
		e.value = writer_bytes(&value);
		view_merge(&v, &e);
		topology_update(v.topology);
	}
	assert_int_equal(carried(&v), 1);
	say(&v, 3, RED, "other", 2, 1);
	assert_int_equal(carried(&v), 0);
	networks_close(v.networks, RED);
	assert_int_equal(carried(&v), -1);
	assert_int_equal(endpoints_find(v.endpoints, RED, mac), PEER_NAME_NONE);
	view_free(&v);
}

static void claim_in(struct view *v, peer_name peer, uint32_t segment, struct mac mac,
		     uint32_t claim)
{
	view_claim_in(v, segment, peer, mac, claim, claim);
	endpoints_now(v->endpoints, at(100 + claim));
}

static void endpoints_of_another_meaning_do_not_count(void **state)
{
	struct view v = meet_two();
	struct mac mac = mac_of(5);
	struct endpoint_view changed;
	struct why why;

	(void)state;
	endpoints_now(v.endpoints, at(100));
	endpoints_track(v.endpoints);
	say(&v, 2, RED, "red", 1, 1);
	claim_in(&v, 2, RED, mac, 1);
	claim_in(&v, 3, RED, mac, 9);
	assert_true(networks_open(v.networks, RED, "red", &why));
	networks_settle(v.networks);
	assert_int_equal(endpoints_find(v.endpoints, RED, mac), 3);
	while (endpoints_next_changed(v.endpoints, &changed))
		assert_int_equal(changed.peer, 3);
	say(&v, 3, RED, "other", 1, 1);
	assert_int_equal(endpoints_find(v.endpoints, RED, mac), 2);
	assert_true(endpoints_next_changed(v.endpoints, &changed));
	assert_int_equal(changed.peer, 2);
	assert_int_equal(changed.segment, RED);
	/* In other segments nothing happened. */
	claim_in(&v, 3, BLUE, mac, 10);
	assert_int_equal(endpoints_find(v.endpoints, BLUE, mac), 3);
	view_free(&v);
}

static void what_is_closed_is_left(void **state)
{
	struct view v = meet_two();
	struct made_entry m;
	struct why why;

	(void)state;
	endpoints_now(v.endpoints, at(100));
	assert_true(networks_open(v.networks, RED, "red", &why));
	assert_true(endpoints_attach(v.endpoints, RED, mac_of(1), NULL, 0));
	assert_true(endpoints_attach(v.endpoints, BLUE, mac_of(1), NULL, 0));
	assert_int_equal(endpoints_learn_local(v.endpoints, RED, mac_of(2)), ENDPOINT_SOURCE_OK);
	endpoints_learn_seen(v.endpoints, RED, mac_of(3), 2);
	while (view_published(&v, &m))
		assert_false(m.view.flags & ENTRY_TOMBSTONE);
	endpoints_leave(v.endpoints, RED);
	assert_int_equal(endpoints_find(v.endpoints, RED, mac_of(1)), PEER_NAME_NONE);
	assert_int_equal(endpoints_find(v.endpoints, RED, mac_of(2)), PEER_NAME_NONE);
	assert_int_equal(endpoints_find(v.endpoints, RED, mac_of(3)), PEER_NAME_NONE);
	assert_int_equal(endpoints_find(v.endpoints, BLUE, mac_of(1)), 1);
	for (int i = 0; i < 2; i++)
		assert_true(view_published(&v, &m) && (m.view.flags & ENTRY_TOMBSTONE));
	assert_false(view_published(&v, &m));
	view_free(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_whole),
		cmocka_unit_test(what_is_open_is_published),
		cmocka_unit_test(a_number_that_is_taken_is_refused),
		cmocka_unit_test(frames_are_of_who_means_the_same),
		cmocka_unit_test(members_are_those_of_the_origins_network),
		cmocka_unit_test(a_contested_number_is_not_for_the_kernel),
		cmocka_unit_test(endpoints_of_another_meaning_do_not_count),
		cmocka_unit_test(what_is_closed_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
