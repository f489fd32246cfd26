#include "views.h"

static struct view three(void)
{
	struct view v = view_new(2);

	for (peer_name n = 1; n <= 3; n++)
		view_peer(&v, n, 0, 1);
	view_reach(&v, 1, true);
	view_reach(&v, 3, true);
	endpoints_now(v.endpoints, at(10000));
	return v;
}

static peer_name find(struct view *v, uint64_t mac)
{
	return endpoints_find(v->endpoints, 0, mac_of(mac));
}

static enum endpoint_source learn(struct view *v, uint64_t mac)
{
	return endpoints_learn_local(v->endpoints, 0, mac_of(mac));
}

static void entries_have_known_bytes(void **state)
{
	struct endpoint_entry e = { .segment = 0x010203,
				    .mac = mac_of(5),
				    .peer = 0x7a0011223344,
				    .claim = 9,
				    .flags = ENDPOINT_ATTACHED,
				    .ips_count = 2 };
	struct endpoint_entry back;
	uint8_t k[64], b[512], want[512];
	struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);
	struct entry_view view = { .kind = KIND_ENDPOINT, .writer = 0x7a0011223344 };

	(void)state;
	assert_true(ip_parse("10.32.0.1", &e.ips[0]));
	assert_true(ip_parse("fd00::1", &e.ips[1]));
	endpoint_entry_key(&e, &key);
	endpoint_entry_value(&e, &value);
	assert_int_equal(hex("010203 020000000005 7a0011223344", want), writer_size(&key));
	assert_memory_equal(k, want, writer_size(&key));
	assert_int_equal(hex("00000009 01 02 04 0a200001 "
			     "06 fd000000000000000000000000000001",
			     want),
			 writer_size(&value));
	assert_memory_equal(b, want, writer_size(&value));
	view.key = writer_bytes(&key);
	view.value = writer_bytes(&value);
	assert_null(endpoint_entry_decode(&back, &view));
	assert_int_equal(back.ips_count, 2);
	assert_int_equal(ip_compare(back.ips[1], e.ips[1]), 0);
	view.writer = 1;
	assert_string_equal(endpoint_entry_check(&view), "endpoint.peer");
	view.writer = 0x7a0011223344;
	b[4] = 2;
	assert_string_equal(endpoint_entry_check(&view), "endpoint.flags");
	b[4] = 0;
	b[0] = 0x80;
	assert_string_equal(endpoint_entry_check(&view), "endpoint.claim");
	b[0] = 0;
	b[6] = 5;
	assert_string_equal(endpoint_entry_check(&view), "endpoint.family");
	b[6] = 4;
	b[5] = 3;
	assert_non_null(endpoint_entry_check(&view));
	k[3] = 3;
	assert_string_equal(endpoint_entry_check(&view), "endpoint.mac");
}

static void the_highest_claim_wins_then_the_lowest_name(void **state)
{
	struct view v = three();

	(void)state;
	view_claim(&v, 3, mac_of(7), 1, 1);
	assert_int_equal(find(&v, 7), 3);
	view_claim(&v, 1, mac_of(7), 1, 1);
	assert_int_equal(find(&v, 7), 1);
	view_claim(&v, 3, mac_of(7), 2, 2);
	assert_int_equal(find(&v, 7), 3);
	assert_int_equal(find(&v, 8), PEER_NAME_NONE);
	view_free(&v);
}

static void writers_out_of_reach_are_hidden(void **state)
{
	struct view v = three();

	(void)state;
	view_claim(&v, 1, mac_of(7), 1, 1);
	view_claim(&v, 3, mac_of(7), 5, 1);
	assert_int_equal(find(&v, 7), 3);
	view_reach(&v, 3, false);
	assert_int_equal(find(&v, 7), 1);
	view_reach(&v, 1, false);
	assert_int_equal(find(&v, 7), PEER_NAME_NONE);
	view_reach(&v, 3, true);
	assert_int_equal(find(&v, 7), 3);
	view_free(&v);
}

static void entries_below_the_floor_are_hidden(void **state)
{
	struct view v = three();

	(void)state;
	view_claim(&v, 3, mac_of(7), 5, 1);
	assert_int_equal(find(&v, 7), 3);
	view_peer(&v, 3, 2, 2);
	endpoints_now(v.endpoints, at(12000));
	assert_int_equal(find(&v, 7), PEER_NAME_NONE);
	view_free(&v);
}

static void attached_ones_are_published_and_withdrawn(void **state)
{
	struct view v = three();
	struct made_entry m;
	struct endpoint_entry e;
	struct ip_addr ip = { 4, { 10, 32, 0, 9 } };

	(void)state;
	assert_true(endpoints_attach(v.endpoints, 0, mac_of(7), &ip, 1));
	assert_int_equal(find(&v, 7), 2);
	assert_true(view_published(&v, &m));
	assert_null(endpoint_entry_decode(&e, &m.view));
	assert_int_equal(e.claim, 1);
	assert_int_equal(e.flags, ENDPOINT_ATTACHED);
	assert_int_equal(e.ips_count, 1);
	assert_false(view_published(&v, &m));
	assert_true(endpoints_attach(v.endpoints, 0, mac_of(7), &ip, 1));
	assert_false(view_published(&v, &m));
	assert_true(endpoints_attach(v.endpoints, 0, mac_of(7), NULL, 0));
	assert_true(view_published(&v, &m));
	endpoints_detach(v.endpoints, 0, mac_of(7));
	assert_int_equal(find(&v, 7), PEER_NAME_NONE);
	assert_true(view_published(&v, &m));
	assert_int_equal(m.view.flags, ENTRY_TOMBSTONE);
	/* gone before it was told: nothing to tell */
	endpoints_attach(v.endpoints, 0, mac_of(8), NULL, 0);
	endpoints_detach(v.endpoints, 0, mac_of(8));
	assert_false(view_published(&v, &m));
	view_free(&v);
}

static void attaching_outbids_and_a_learned_loser_withdraws(void **state)
{
	struct view v = three();
	struct made_entry m;
	struct endpoint_entry e;

	(void)state;
	view_claim(&v, 1, mac_of(7), 4, 1);
	endpoints_attach(v.endpoints, 0, mac_of(7), NULL, 0);
	assert_true(view_published(&v, &m));
	assert_null(endpoint_entry_decode(&e, &m.view));
	assert_int_equal(e.claim, 5);
	view_claim(&v, 3, mac_of(7), 6, 1);
	endpoints_now(v.endpoints, at(11000));
	assert_int_equal(find(&v, 7), 3);
	assert_false(view_published(&v, &m)); /* an attached one stays published */

	assert_int_equal(learn(&v, 8), ENDPOINT_SOURCE_OK);
	assert_true(view_published(&v, &m));
	view_claim(&v, 3, mac_of(8), 2, 1);
	endpoints_now(v.endpoints, at(11000));
	assert_true(view_published(&v, &m));
	assert_int_equal(m.view.flags, ENTRY_TOMBSTONE);
	assert_int_equal(find(&v, 8), 3);
	view_free(&v);
}

static void claims_keep_a_second_apart(void **state)
{
	struct view v = three();
	struct made_entry m;

	(void)state;
	view_claim(&v, 1, mac_of(7), 1, 1);
	endpoints_now(v.endpoints, at(20000));
	assert_int_equal(learn(&v, 7), ENDPOINT_SOURCE_FOREIGN);
	endpoints_now(v.endpoints, at(20999));
	assert_int_equal(learn(&v, 7), ENDPOINT_SOURCE_FOREIGN);
	endpoints_now(v.endpoints, at(21000));
	assert_int_equal(endpoints_would_learn(v.endpoints, 0, mac_of(7)), ENDPOINT_SOURCE_OK);
	assert_int_equal(find(&v, 7), 1);
	assert_int_equal(learn(&v, 7), ENDPOINT_SOURCE_OK);
	assert_int_equal(find(&v, 7), 2);
	assert_true(view_published(&v, &m));
	view_free(&v);
}

static void five_moves_freeze_it(void **state)
{
	struct view v = three();
	uint64_t ms = 20000;

	(void)state;
	view_claim(&v, 1, mac_of(7), 1, 1);
	endpoints_now(v.endpoints, at(ms));
	for (unsigned i = 0; i < 5; i++, ms += 1000) {
		endpoints_now(v.endpoints, at(ms += 1000));
		if (i & 1)
			view_claim(&v, 1, mac_of(7), i + 2, i + 2);
		else
			assert_int_equal(learn(&v, 7), ENDPOINT_SOURCE_OK);
		endpoints_now(v.endpoints, at(ms + 1));
	}
	view_claim(&v, 1, mac_of(7), 20, 20);
	endpoints_now(v.endpoints, at(ms += 5000));
	assert_int_equal(learn(&v, 7), ENDPOINT_SOURCE_FROZEN);
	assert_int_equal(find(&v, 7), 1);
	endpoints_now(v.endpoints, at(ms + ENDPOINT_FREEZE_MS));
	assert_int_equal(learn(&v, 7), ENDPOINT_SOURCE_OK);
	view_free(&v);
}

static void slow_moves_do_not_freeze(void **state)
{
	struct view v = three();
	uint64_t ms = 20000;

	(void)state;
	view_claim(&v, 1, mac_of(7), 1, 1);
	endpoints_now(v.endpoints, at(ms));
	for (unsigned i = 0; i < 20; i++) {
		endpoints_now(v.endpoints, at(ms += 46000));
		if (i & 1)
			view_claim(&v, 1, mac_of(7), i + 2, i + 2);
		else
			assert_int_equal(learn(&v, 7), ENDPOINT_SOURCE_OK);
		endpoints_now(v.endpoints, at(ms));
	}
	view_free(&v);
}

static void learned_ones_go_when_idle(void **state)
{
	struct view v = three();
	struct made_entry m;

	(void)state;
	learn(&v, 7);
	assert_true(view_published(&v, &m));
	endpoints_learn_seen(v.endpoints, 0, mac_of(9), 3);
	assert_int_equal(find(&v, 9), 3);
	endpoints_attach(v.endpoints, 0, mac_of(8), NULL, 0);
	assert_true(view_published(&v, &m));
	assert_int_equal(endpoints_deadline(v.endpoints).ms, 10000 + ENDPOINT_IDLE_MS);
	endpoints_now(v.endpoints, at(10000 + ENDPOINT_IDLE_MS));
	endpoints_tick(v.endpoints);
	assert_true(view_published(&v, &m));
	assert_int_equal(m.view.flags, ENTRY_TOMBSTONE);
	assert_int_equal(find(&v, 7), PEER_NAME_NONE);
	assert_int_equal(find(&v, 8), 2);
	assert_int_equal(find(&v, 9), PEER_NAME_NONE);
	assert_int_equal(endpoints_deadline(v.endpoints).ms, UINT64_MAX);
	view_free(&v);
}

static void made_up_macs_neither_fill_the_store_nor_push_out_others(void **state)
{
	struct view v = three();
	struct made_entry m;
	unsigned published = 0;

	(void)state;
	endpoints_attach(v.endpoints, 0, mac_of(1), NULL, 0);
	learn(&v, 2);
	for (uint64_t i = 0; i < 3 * ENDPOINTS_LOCAL_MAX; i++) {
		assert_int_equal(learn(&v, 1000 + i), ENDPOINT_SOURCE_OK);
		published += view_published(&v, &m);
	}
	published += view_published(&v, &m);
	assert_true(published <= ENDPOINT_PUBLISH_BURST + 2);
	endpoints_check(v.endpoints);
	assert_int_equal(find(&v, 1), 2);
	assert_int_equal(find(&v, 2), 2);
	/* rate, not number: later ones get their turn */
	endpoints_now(v.endpoints, at(11000));
	published = 0;
	for (uint64_t i = 0; i < 100; i++)
		learn(&v, 1000 + 3 * ENDPOINTS_LOCAL_MAX - 1 - i);
	while (view_published(&v, &m))
		published++;
	assert_int_equal(published, ENDPOINT_PUBLISH_RATE);
	view_free(&v);
}

/* Tombstones live for a day and count against us in every other store. */
static void made_up_macs_of_a_day_leave_room_among_our_entries(void **state)
{
	struct view v = three();
	struct made_entry m;
	uint64_t ms = 10000, mac = 1000, published = 0;

	(void)state;
	for (; ms < 10000 + 24u * 3600u * 1000u; ms += 1000) {
		endpoints_now(v.endpoints, at(ms));
		endpoints_tick(v.endpoints);
		for (unsigned i = 0; i < 32; i++)
			learn(&v, mac++);
		while (view_published(&v, &m))
			published += !(m.view.flags & ENTRY_TOMBSTONE);
	}
	assert_in_range(published, ENDPOINT_PUBLISH_DAY, WRITER_ENTRIES_MAX * 3 / 4);
	view_free(&v);
}

static void attached_ones_are_never_pushed_out(void **state)
{
	struct view v = three();

	(void)state;
	for (uint64_t i = 0; i < ENDPOINTS_LOCAL_MAX; i++)
		assert_true(endpoints_attach(v.endpoints, 0, mac_of(i), NULL, 0));
	assert_false(endpoints_attach(v.endpoints, 0, mac_of(1 << 20), NULL, 0));
	assert_int_equal(learn(&v, 1 << 21), ENDPOINT_SOURCE_OK);
	assert_int_equal(find(&v, 1 << 21), PEER_NAME_NONE);
	assert_int_equal(find(&v, 0), 2);
	view_free(&v);
}

static void a_noisy_origin_pays_for_itself(void **state)
{
	struct view v = three();

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		endpoints_learn_seen(v.endpoints, 0, mac_of(i), 1);
	for (uint64_t i = 0; i < 2 * ENDPOINTS_LEARNED_MAX; i++)
		endpoints_learn_seen(v.endpoints, 0, mac_of(1000 + i), 3);
	endpoints_check(v.endpoints);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(find(&v, i), 1);
	view_free(&v);
}

static void published_knowledge_beats_what_was_seen(void **state)
{
	struct view v = three();

	(void)state;
	endpoints_learn_seen(v.endpoints, 0, mac_of(7), 1);
	assert_int_equal(find(&v, 7), 1);
	view_claim(&v, 3, mac_of(7), 1, 1);
	assert_int_equal(find(&v, 7), 3);
	endpoints_learn_seen(v.endpoints, 0, mac_of(8), 1);
	view_reach(&v, 1, false);
	assert_int_equal(find(&v, 8), PEER_NAME_NONE);
	assert_int_equal(learn(&v, 8), ENDPOINT_SOURCE_OK);
	assert_int_equal(find(&v, 8), 2);
	view_free(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_have_known_bytes),
		cmocka_unit_test(the_highest_claim_wins_then_the_lowest_name),
		cmocka_unit_test(writers_out_of_reach_are_hidden),
		cmocka_unit_test(entries_below_the_floor_are_hidden),
		cmocka_unit_test(attached_ones_are_published_and_withdrawn),
		cmocka_unit_test(attaching_outbids_and_a_learned_loser_withdraws),
		cmocka_unit_test(claims_keep_a_second_apart),
		cmocka_unit_test(five_moves_freeze_it),
		cmocka_unit_test(slow_moves_do_not_freeze),
		cmocka_unit_test(learned_ones_go_when_idle),
		cmocka_unit_test(made_up_macs_neither_fill_the_store_nor_push_out_others),
		cmocka_unit_test(made_up_macs_of_a_day_leave_room_among_our_entries),
		cmocka_unit_test(attached_ones_are_never_pushed_out),
		cmocka_unit_test(a_noisy_origin_pays_for_itself),
		cmocka_unit_test(published_knowledge_beats_what_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
