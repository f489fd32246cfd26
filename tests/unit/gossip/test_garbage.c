#include "gossip_test.h"

#include "../../../gossip/garbage.h"

#define HOUR_MS (3600u * 1000u)

struct router {
	peer_name self;
	struct store *store;
	struct topology *topology;
	struct garbage *garbage;
};

static struct router router_new(peer_name self)
{
	struct router r = { .self = self, .store = store_new(self) };

	r.topology = topology_new(r.store, self);
	r.garbage = garbage_new(r.store, r.topology, self);
	return r;
}

static void router_free(struct router *r)
{
	store_check_all(r->store);
	garbage_free(r->garbage);
	topology_free(r->topology);
	store_free(r->store);
}

static void put_peer(struct router *r, peer_name name, uint64_t generation)
{
	struct peer_info p = peer_of(name);
	struct made m;

	take(r->store, make_peer(&m, &p, generation, 1), 0);
}

/* Peer 3 has a peer entry, a link, an endpoint, a name and a vote, all of generation 5. */
static void put_peer_3(struct router *r)
{
	struct made m;
	struct entry_view v;

	put_peer(r, 3, 5);
	take(r->store, make_link(&m, 3, 1, true, 5, 1), 0);
	v = entry_of(KIND_ENDPOINT, "endpoint", 3, 4, 9, "v");
	take(r->store, &v, 0);
	v = entry_of(KIND_NAME, "name", 3, 5, 1, "v");
	take(r->store, &v, 0);
	v = entry_of(KIND_VOTE, "vote", 3, 5, 1, "v");
	take(r->store, &v, 0);
}

/* Everything due at 'now_ms', as the engine does it; returns how many were declared gone. */
static int sweep(struct router *r, uint64_t now_ms)
{
	struct gone_info gone;
	struct made m;
	int declared = 0;

	topology_update(r->topology);
	while (garbage_sweep(r->garbage, at(now_ms), &gone)) {
		store_put(r->store, make_gone(&m, gone.peer, gone.generation, r->self), at(now_ms));
		declared++;
	}
	garbage_apply(r->garbage);
	return declared;
}

static void the_lowest_declares_after_a_day(void **state)
{
	struct router r = router_new(1);

	(void)state;
	put_peer(&r, 1, 1);
	put_peer_3(&r);
	for (uint64_t t = 0; t < 24 * HOUR_MS; t += HOUR_MS)
		assert_int_equal(sweep(&r, t), 0);
	assert_int_equal(garbage_gone_generation(r.garbage, 3), 0);
	assert_int_equal(sweep(&r, 24 * HOUR_MS), 1);
	assert_int_equal(garbage_gone_generation(r.garbage, 3), 5);
	/* The vote and our own entries stay; the dead cannot come back with the same generation. */
	assert_int_equal(store_count(r.store), 3);
	assert_non_null(store_find(r.store, KIND_VOTE, bytes_of("vote", 4)));
	put_peer_3(&r);
	assert_int_equal(store_count(r.store), 3);
	assert_int_equal(sweep(&r, 25 * HOUR_MS), 0);
	put_peer(&r, 3, 6);
	assert_int_equal(store_count(r.store), 4);
	router_free(&r);
}

static void others_wait_ten_minutes_more(void **state)
{
	struct router r = router_new(2);

	(void)state;
	topology_direct(r.topology, 1, true);
	put_peer_3(&r);
	assert_int_equal(sweep(&r, 0), 0);
	assert_int_equal(sweep(&r, 24 * HOUR_MS), 0);
	assert_int_equal(sweep(&r, 24 * HOUR_MS + GARBAGE_OTHERS_MS - 1), 0);
	assert_int_equal(sweep(&r, 24 * HOUR_MS + GARBAGE_OTHERS_MS + GARBAGE_SWEEP_MS), 1);
	router_free(&r);
}

static void an_appearance_starts_the_clock_again(void **state)
{
	struct router r = router_new(1);

	(void)state;
	put_peer_3(&r);
	assert_int_equal(sweep(&r, 0), 0);
	topology_direct(r.topology, 3, true);
	assert_int_equal(sweep(&r, 23 * HOUR_MS), 0);
	topology_direct(r.topology, 3, false);
	assert_int_equal(sweep(&r, 24 * HOUR_MS), 0);
	assert_int_equal(sweep(&r, 47 * HOUR_MS), 0);
	assert_int_equal(sweep(&r, 48 * HOUR_MS), 1);
	router_free(&r);
}

static void sweeps_have_a_deadline(void **state)
{
	struct router r = router_new(1);
	struct gone_info gone;

	(void)state;
	assert_int_equal(garbage_deadline(r.garbage).ms, 0);
	assert_false(garbage_sweep(r.garbage, at(5), &gone));
	assert_int_equal(garbage_deadline(r.garbage).ms, 5 + GARBAGE_SWEEP_MS);
	router_free(&r);
}

/* Several at once, and one whose peer entry is missing. */
static void all_absent_are_declared(void **state)
{
	struct router r = router_new(1);
	struct made m;

	(void)state;
	for (peer_name n = 10; n < 30; n++)
		put_peer(&r, n, n);
	take(r.store, make_link(&m, 40, 41, true, 7, 1), 0);
	assert_int_equal(sweep(&r, 0), 0);
	assert_int_equal(sweep(&r, 25 * HOUR_MS), 21);
	assert_int_equal(garbage_gone_generation(r.garbage, 40), 7);
	assert_int_equal(garbage_gone_generation(r.garbage, 41), 0);
	assert_int_equal(store_count(r.store), 21);
	assert_int_equal(sweep(&r, 50 * HOUR_MS), 0);
	router_free(&r);
}

/* The caller may be unable to write it (silent, say): it is not asked every ten seconds. */
static void a_declaration_is_made_once(void **state)
{
	struct router r = router_new(1);
	struct gone_info gone;

	(void)state;
	put_peer_3(&r);
	sweep(&r, 0);
	assert_true(garbage_sweep(r.garbage, at(24 * HOUR_MS), &gone));
	assert_false(garbage_sweep(r.garbage, at(24 * HOUR_MS), &gone));
	assert_false(garbage_sweep(r.garbage, at(25 * HOUR_MS), &gone));
	/* But if it lived on unseen meanwhile, that is declared as well. */
	put_peer(&r, 3, 8);
	topology_update(r.topology);
	assert_true(garbage_sweep(r.garbage, at(26 * HOUR_MS), &gone));
	assert_int_equal(gone.generation, 8);
	router_free(&r);
}

static void swap(struct store *a, struct store *b, uint64_t now_ms)
{
	for (const struct entry *e = store_next(a, NULL); e; e = store_next(a, e))
		take(b, &e->view, now_ms);
}

/* Y dropped the entries of a peer, X has not yet: what is dropped is told by an entry, so both
 * come to the same, whoever speaks first. */
static void f4_garbage_is_replicated(void **state)
{
	(void)state;
	for (int x_first = 0; x_first < 2; x_first++) {
		struct router x = router_new(1), y = router_new(2);

		put_peer_3(&x);
		put_peer_3(&y);
		assert_true(digests_equal(x.store, y.store));
		sweep(&y, 0);
		sweep(&y, 25 * HOUR_MS);
		assert_false(digests_equal(x.store, y.store));
		swap(x_first ? x.store : y.store, x_first ? y.store : x.store, 25 * HOUR_MS);
		garbage_apply(x.garbage);
		garbage_apply(y.garbage);
		swap(x_first ? y.store : x.store, x_first ? x.store : y.store, 25 * HOUR_MS);
		garbage_apply(x.garbage);
		garbage_apply(y.garbage);
		assert_true(digests_equal(x.store, y.store));
		assert_true(contents_equal(x.store, y.store));
		assert_null(store_find(x.store, KIND_NAME, bytes_of("name", 4)));
		router_free(&x);
		router_free(&y);
	}
}

static void bury(struct router *r, uint8_t kind, const char *key, uint64_t now_ms)
{
	struct entry_view v = entry_of(kind, key, 9, 1, 2, NULL);

	assert_int_equal(take(r->store, &v, now_ms), STORE_TOOK);
}

/* By the time since receipt on our own monotonic clock; wall clocks decide nothing. */
static void f6_tombstones_go_after_a_day_here(void **state)
{
	struct router early = router_new(1), late = router_new(2);
	const uint64_t boot_ms = UINT64_C(1) << 50; /* of another machine's clock */

	(void)state;
	bury(&early, KIND_NAME, "n", 0);
	bury(&late, KIND_NAME, "n", boot_ms + 2 * HOUR_MS);
	bury(&late, KIND_UNKNOWN, "u", boot_ms + 3 * HOUR_MS);
	sweep(&early, 24 * HOUR_MS - 1);
	assert_int_equal(store_tombstones(early.store), 1);
	sweep(&early, 24 * HOUR_MS + GARBAGE_SWEEP_MS);
	assert_int_equal(store_tombstones(early.store), 0);
	sweep(&late, boot_ms + 25 * HOUR_MS);
	assert_int_equal(store_tombstones(late.store), 2);
	sweep(&late, boot_ms + 26 * HOUR_MS);
	assert_int_equal(store_tombstones(late.store), 1);
	sweep(&late, boot_ms + 27 * HOUR_MS);
	assert_int_equal(store_tombstones(late.store), 0);
	assert_true(digests_equal(early.store, late.store));
	router_free(&early);
	router_free(&late);
}

static void votes_and_runs_are_never_forgotten(void **state)
{
	struct router r = router_new(1);

	(void)state;
	bury(&r, KIND_VOTE, "v", 0);
	bury(&r, KIND_RUN, "r", 0);
	bury(&r, KIND_RETIRED, "t", 0);
	bury(&r, KIND_NAME, "n", 0);
	sweep(&r, 1000 * HOUR_MS);
	assert_int_equal(store_tombstones(r.store), 3);
	router_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_declares_after_a_day),
		cmocka_unit_test(others_wait_ten_minutes_more),
		cmocka_unit_test(an_appearance_starts_the_clock_again),
		cmocka_unit_test(sweeps_have_a_deadline),
		cmocka_unit_test(all_absent_are_declared),
		cmocka_unit_test(a_declaration_is_made_once),
		cmocka_unit_test(f4_garbage_is_replicated),
		cmocka_unit_test(f6_tombstones_go_after_a_day_here),
		cmocka_unit_test(votes_and_runs_are_never_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
