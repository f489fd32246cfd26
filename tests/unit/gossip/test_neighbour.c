/* Two neighbours joined by hand, frame by frame: no connections, no engine around them. */
#include "gossip_test.h"

#include "../../../gossip/entry_wire.h"
#include "../../../gossip/neighbour.h"

struct side {
	struct store *store;
	struct neighbours all;
	struct neighbour n;
	unsigned frames[16]; /* received, by type */
};

struct link {
	struct side a, b; /* a dialled */
	uint64_t now;
};

static void side_init(struct side *s, peer_name peer, bool outbound, uint64_t now)
{
	*s = (struct side){ .store = store_new(peer) };
	s->all.store = s->store;
	neighbour_init(&s->n, &s->all, 1, peer, outbound, at(now));
	neighbour_set_wanted(&s->n, true, true, at(now));
}

static void link_init(struct link *l)
{
	l->now = 1000000;
	side_init(&l->a, 2, true, l->now);
	side_init(&l->b, 1, false, l->now);
}

static void link_fini(struct link *l)
{
	neighbour_fini(&l->a.n);
	neighbour_fini(&l->b.n);
	store_free(l->a.store);
	store_free(l->b.store);
	assert_int_equal(mem_in_use(), 0);
}

static void put(struct side *s, uint64_t now, const char *key, uint64_t version, const char *value)
{
	struct entry_view e = entry_of(KIND_UNKNOWN, key, 9, 1, version, value);

	store_put(s->store, &e, at(now));
	neighbours_note_change(&s->all, at(now));
}

static const struct entry *get(struct side *s, const char *key)
{
	return store_find(s->store, KIND_UNKNOWN, bytes_of(key, strlen(key)));
}

static void receive(struct side *to, struct frame f, uint64_t now)
{
	struct pulse p;
	struct reader r;
	uint16_t count;

	to->frames[f.type]++;
	if (f.type == MESSAGE_HEARTBEAT) {
		assert_null(heartbeat_decode(&p, f.body));
		assert_null(neighbour_on_pulse(&to->n, &p, at(now)));
	} else if (f.type == MESSAGE_ENTRIES) {
		assert_null(entries_decode(&p, &count, &r, f.body));
		for (unsigned i = 0; i < count; i++) {
			struct entry_view e;
			enum store_result result;

			assert_null(entry_decode(&e, &r));
			result = store_merge(to->store, &e, to->n.id, at(now));
			if (result == STORE_TOOK)
				neighbours_note_change(&to->all, at(now));
			neighbour_on_merged(&to->n, &e, result);
		}
		neighbour_sync_end(&to->n, p.flags & PULSE_SYNC_END, at(now));
		assert_null(neighbour_on_pulse(&to->n, &p, at(now)));
	} else if (f.type != MESSAGE_UNICAST && f.type != MESSAGE_OVERLAY) {
		assert_null(neighbour_on_repair(&to->n, &f, at(now)));
	}
}

/* Moves one frame, if there is one. */
static bool move(struct side *from, struct side *to, uint64_t now)
{
	static uint8_t room[FRAME_SIZE_MAX];
	struct writer w = writer_over(room, sizeof room);
	struct session_in in = { 0 };
	struct bytes bytes;
	struct frame f;
	const char *bad = NULL;

	if (!neighbour_pull(&from->n, &w, at(now)))
		return false;
	assert_false(w.full);
	bytes = writer_bytes(&w);
	assert_int_equal(session_next(&in, &bytes, &f, &bad), SESSION_FRAME);
	assert_null(message_check(f.type, f.body.size, true));
	if (to)
		receive(to, f, now);
	return true;
}

static void start_repair(struct side *s, uint64_t now)
{
	if (s->all.syncing && repair_over(&s->n.repair, at(now)))
		s->all.syncing = 0;
	if (!s->all.syncing && repair_ready(&s->n.repair, at(now))) {
		repair_start(&s->n.repair, neighbour_theirs(&s->n), false, at(now));
		s->all.syncing = s->n.id;
	}
}

static void run(struct link *l, uint64_t ms)
{
	for (uint64_t end = l->now + ms; l->now < end; l->now++) {
		bool moved = true;

		while (moved) {
			moved = move(&l->a, &l->b, l->now);
			moved |= move(&l->b, &l->a, l->now);
			start_repair(&l->a, l->now);
		}
	}
}

static void the_first_change_leaves_at_once_the_next_after_50_ms(void **state)
{
	struct link l;
	unsigned before;

	(void)state;
	link_init(&l);
	run(&l, 1000);
	put(&l.a, l.now, "k", 1, "v1");
	run(&l, 1);
	assert_non_null(get(&l.b, "k"));
	before = l.b.frames[MESSAGE_ENTRIES];
	for (unsigned i = 2; i < 42; i++) {
		put(&l.a, l.now, "k", i, "v2");
		run(&l, 1);
	}
	assert_int_equal(l.b.frames[MESSAGE_ENTRIES], before);
	run(&l, 20);
	assert_int_equal(l.b.frames[MESSAGE_ENTRIES], before + 1);
	assert_int_equal(get(&l.b, "k")->view.version, 41);
	link_fini(&l);
}

static void nothing_goes_back_where_it_came_from(void **state)
{
	struct link l;

	(void)state;
	link_init(&l);
	run(&l, 1000);
	put(&l.a, l.now, "k", 1, "v");
	run(&l, 3000);
	assert_non_null(get(&l.b, "k"));
	assert_int_equal(l.a.frames[MESSAGE_ENTRIES], 0);
	assert_int_equal(l.b.all.entries_sent, 0);
	link_fini(&l);
}

static void heartbeats_go_every_four_seconds_and_come_back(void **state)
{
	struct link l;

	(void)state;
	link_init(&l);
	run(&l, 40000);
	assert_in_range(l.b.frames[MESSAGE_HEARTBEAT], 10, 13);
	assert_in_range(l.a.frames[MESSAGE_HEARTBEAT], 10, 13);
	assert_false(neighbour_is_dead(&l.a.n, at(l.now)));
	assert_false(neighbour_is_suspect(&l.a.n, at(l.now)));
	assert_false(neighbour_is_suspect(&l.b.n, at(l.now)));
	assert_true(l.a.n.rtt_known && l.b.n.rtt_known);
	assert_in_range(l.a.n.rtt_ms, 0, 1);
	link_fini(&l);
}

static void without_an_echo_it_is_suspect_and_then_dead(void **state)
{
	struct link l;
	uint64_t silent, suspect = 0, dead = 0;

	(void)state;
	link_init(&l);
	run(&l, 12000);
	/* From now on what a says gets lost; b goes on talking. */
	silent = l.now;
	for (; !dead; l.now++) {
		while (move(&l.a, NULL, l.now))
			;
		while (move(&l.b, &l.a, l.now))
			;
		if (!suspect && neighbour_is_suspect(&l.a.n, at(l.now)))
			suspect = l.now - silent;
		if (neighbour_is_dead(&l.a.n, at(l.now)))
			dead = l.now - silent;
		assert_true(l.now - silent < 20000);
	}
	assert_in_range(suspect, 4000, 9000);
	assert_in_range(dead, 6000, 14500);
	link_fini(&l);
}

static void old_echoes_prove_nothing(void **state)
{
	struct link l;
	struct pulse p = { .sent_ms = 1 };

	(void)state;
	link_init(&l);
	run(&l, 1000);
	p.echo_ms = l.a.n.echoed_ms; /* the same one, again and again */
	for (int i = 0; i < 30; i++) {
		l.now += 1000;
		p.sequence = l.a.n.their_sequence;
		assert_null(neighbour_on_pulse(&l.a.n, &p, at(l.now)));
	}
	assert_true(neighbour_is_dead(&l.a.n, at(l.now)));
	link_fini(&l);
}

static void sequence_numbers_that_cannot_be_are_refused(void **state)
{
	struct link l;
	struct pulse p = { .ack = 1000 };

	(void)state;
	link_init(&l);
	put(&l.b, l.now, "k", 1, "v");
	run(&l, 1000);
	assert_string_equal(neighbour_on_pulse(&l.a.n, &p, at(l.now)), "pulse.ack");
	p.ack = 0;
	l.a.n.their_sequence = 5;
	p.sequence = 4;
	assert_string_equal(neighbour_on_pulse(&l.a.n, &p, at(l.now)), "pulse.sequence");
	link_fini(&l);
}

/* F8a, F8b: what the other side lost came from there; repair brings it back all the same. */
static void repair_ignores_the_split_horizon(void **state)
{
	struct link l;

	(void)state;
	link_init(&l);
	run(&l, 1000);
	put(&l.a, l.now, "k", 1, "v");
	run(&l, 6000);
	store_drop(l.a.store, get(&l.a, "k"));
	run(&l, 10000);
	assert_non_null(get(&l.a, "k"));
	assert_true(digests_equal(l.a.store, l.b.store));
	link_fini(&l);
}

static void repair_brings_thousands_both_ways(void **state)
{
	struct link l;
	char key[16];

	(void)state;
	link_init(&l);
	/* Before the cursors open: neither side will send them by itself. */
	for (unsigned i = 0; i < 6000; i++) {
		snprintf(key, sizeof key, "key %u", i);
		put(i % 3 ? &l.a : &l.b, l.now, key, 1, "v");
		if (i % 5 == 0)
			put(i % 3 ? &l.b : &l.a, l.now, key, 2, "w");
	}
	store_cursor_close(&l.a.n.cursor);
	store_cursor_close(&l.b.n.cursor);
	store_cursor_open(l.a.store, &l.a.n.cursor, true);
	store_cursor_open(l.b.store, &l.b.n.cursor, true);
	run(&l, 1000);
	assert_true(digests_equal(l.a.store, l.b.store));
	assert_int_equal(store_count(l.a.store), 6000);
	assert_int_equal(l.a.n.repair.rounds, 1);
	link_fini(&l);
}

static void a_tombstone_beats_what_the_other_side_still_has(void **state)
{
	struct link l;

	(void)state;
	link_init(&l);
	run(&l, 100);
	put(&l.a, l.now, "k", 1, "v");
	run(&l, 6000);
	/* b misses the deletion. */
	put(&l.a, l.now, "k", 2, NULL);
	store_cursor_advance(l.a.store, &l.a.n.cursor);
	run(&l, 10000);
	assert_true(get(&l.b, "k")->view.flags & ENTRY_TOMBSTONE);
	link_fini(&l);
}

/* An incurable difference: a has been told that the writer is gone, b has not. */
static void a_repair_that_changes_nothing_backs_off(void **state)
{
	struct peer_info gone = peer_of(9);
	struct made m;
	struct link l;

	(void)state;
	link_init(&l);
	run(&l, 100);
	store_refuse_until(l.a.store, 9, 5);
	assert_int_equal(take(l.b.store, make_peer(&m, &gone, 5, 1), l.now), STORE_TOOK);
	run(&l, 300000);
	assert_int_equal(store_count(l.a.store), 0);
	assert_int_equal(l.a.n.repair.delay_ms, REPAIR_DELAY_MAX_MS);
	assert_true(l.a.n.repair.differ);
	/* 2 + 4 + ... + 64 s, then every 64 s: not every heartbeat. */
	assert_in_range(l.b.frames[MESSAGE_DIGESTS], 6, 12);
	/* The cause ends: the next comparison shows it. */
	store_drop(l.b.store, store_next(l.b.store, NULL));
	run(&l, 5000);
	assert_false(l.a.n.repair.differ);
	assert_int_equal(l.a.n.repair.delay_ms, 0);
	link_fini(&l);
}

static void without_flow_only_repair_runs(void **state)
{
	struct link l;

	(void)state;
	link_init(&l);
	run(&l, 100);
	neighbour_set_wanted(&l.a.n, false, false, at(l.now));
	neighbour_set_wanted(&l.b.n, false, false, at(l.now));
	run(&l, 100);
	assert_false(l.a.n.flow || l.b.n.flow);
	put(&l.a, l.now, "k", 1, "v");
	run(&l, 1500);
	assert_null(get(&l.b, "k"));
	run(&l, 10000);
	assert_non_null(get(&l.b, "k"));
	/* One end alone can ask for the flow. */
	neighbour_set_wanted(&l.b.n, true, true, at(l.now));
	run(&l, 100);
	assert_true(l.a.n.flow && l.b.n.flow);
	put(&l.a, l.now, "k", 2, "w");
	run(&l, 10);
	assert_int_equal(get(&l.b, "k")->view.version, 2);
	link_fini(&l);
}

static void queues_are_bounded_and_take_turns(void **state)
{
	static uint8_t body[UNICAST_HEADER_SIZE + 60000];
	struct link l;
	size_t before;

	(void)state;
	link_init(&l);
	run(&l, 100);
	before = mem_in_use();
	for (int i = 0; i < 1000; i++)
		neighbour_send_unicast(&l.a.n, bytes_of(body, sizeof body));
	assert_true(mem_in_use() - before < UNICAST_QUEUE_MAX + 4096);
	assert_int_equal(l.a.all.unicast_dropped, 996);
	for (unsigned i = 0; i < OVERLAY_QUEUE_MAX; i++)
		assert_true(neighbour_send_overlay(&l.a.n, bytes_of(body, 100)));
	assert_false(neighbour_send_overlay(&l.a.n, bytes_of(body, 100)));
	assert_false(neighbour_send_overlay(&l.b.n, bytes_of(body, OVERLAY_MESSAGE_MAX + 1)));
	/* A heartbeat that is due does not wait behind all of them, nor do entries. */
	l.now += HEARTBEAT_MS;
	put(&l.a, l.now, "k", 1, "v");
	assert_true(move(&l.a, &l.b, l.now));
	assert_int_equal(l.b.frames[MESSAGE_ENTRIES], 1);
	run(&l, 10);
	assert_int_equal(l.b.frames[MESSAGE_UNICAST], 4);
	assert_int_equal(l.b.frames[MESSAGE_OVERLAY], OVERLAY_QUEUE_MAX);
	link_fini(&l);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_change_leaves_at_once_the_next_after_50_ms),
		cmocka_unit_test(nothing_goes_back_where_it_came_from),
		cmocka_unit_test(heartbeats_go_every_four_seconds_and_come_back),
		cmocka_unit_test(without_an_echo_it_is_suspect_and_then_dead),
		cmocka_unit_test(old_echoes_prove_nothing),
		cmocka_unit_test(sequence_numbers_that_cannot_be_are_refused),
		cmocka_unit_test(repair_ignores_the_split_horizon),
		cmocka_unit_test(repair_brings_thousands_both_ways),
		cmocka_unit_test(a_tombstone_beats_what_the_other_side_still_has),
		cmocka_unit_test(a_repair_that_changes_nothing_backs_off),
		cmocka_unit_test(without_flow_only_repair_runs),
		cmocka_unit_test(queues_are_bounded_and_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
