/* Whole routers' address management, against a small world with disks and a network. */
#include "world.h"

static void a_lone_peer_has_everything_at_once(void **state)
{
	struct world *w = world_new(1, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);

	(void)state;
	world_start_all(w);
	world_allocate(w, 0, "c1");
	world_run(w, 500);
	assert_int_equal(world_offset_of(w, 0, "c1"), 1);
	world_allocate(w, 0, "c2");
	world_sync(w, 0);
	assert_int_equal(world_offset_of(w, 0, "c2"), 2);
	/* The same container gets the same address. */
	world_allocate(w, 0, "c1");
	assert_true(w->hosts[0].last.ok);
	assert_int_equal(w->hosts[0].last.offset, 1);
	world_check(w);
	world_free(w);
}

static void nothing_is_answered_before_it_is_durable(void **state)
{
	struct world *w = world_new(1, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);

	(void)state;
	world_start_all(w);
	world_allocate(w, 0, "c1");
	world_tick(w, 10000);
	assert_int_equal(w->hosts[0].answers, 0);
	assert_true(ipam_urgent(w->hosts[0].ipam) > 0);
	world_run(w, 500);
	assert_int_equal(w->hosts[0].answers, 1);
	world_free(w);
}

static void two_peers_split_and_both_allocate(void **state)
{
	struct world *w = world_new(2, 2, "10.32.0.0/28", IPAM_CONSENSUS, 2);

	(void)state;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_allocate(w, 1, "b");
	world_run(w, 8000);
	assert_int_equal(world_offset_of(w, 0, "a"), 1);
	assert_int_equal(world_offset_of(w, 1, "b"), 8);
	assert_int_equal(w->hosts[0].ipam->ring_id, w->hosts[1].ipam->ring_id);
	assert_memory_equal(&w->hosts[0].ipam->ring.digest, &w->hosts[1].ipam->ring.digest, 16);
	world_free(w);
}

/* V2: only one host ever needs an address; the others vote because they hear of it. */
static void v2_everybody_acts_on_hearing(void **state)
{
	struct world *w = world_new(3, 3, "10.32.0.0/28", IPAM_CONSENSUS, 3);

	(void)state;
	world_start_all(w);
	world_run(w, 3000);
	assert_int_equal(w->hosts[0].ipam->ring_id, 0);
	world_allocate(w, 2, "c");
	world_run(w, 20000);
	assert_int_not_equal(world_offset_of(w, 2, "c"), UINT64_MAX);
	for (unsigned n = 0; n < 3; n++)
		assert_int_equal(w->hosts[n].ipam->ring_id, w->hosts[0].ipam->ring_id);
	world_free(w);
}

static void no_majority_no_ring(void **state)
{
	struct world *w = world_new(4, 2, "10.32.0.0/28", IPAM_CONSENSUS, 3);
	struct ipam_status s;

	(void)state;
	w->count = 1; /* the other has not been started */
	world_start_all(w);
	world_allocate(w, 0, "c");
	world_run(w, 30000);
	assert_int_equal(w->hosts[0].answers, 0);
	ipam_status(w->hosts[0].ipam, &s);
	assert_int_equal(s.phase, IPAM_ELECTING);
	assert_int_equal(s.requests, 1);
	w->count = 2;
	world_start(w, 1);
	world_run(w, 10000);
	assert_int_equal(world_offset_of(w, 0, "c"), 1);
	world_free(w);
}

/* V5: a new disk under an old name does not vote, once it has heard of its former vote. */
static void v5_a_lost_disk_bars_from_voting(void **state)
{
	struct world *w = world_new(5, 3, "10.32.0.0/28", IPAM_CONSENSUS, 3);
	struct ipam_status s;

	(void)state;
	w->count = 2;
	world_start_all(w);
	world_cut(w, 0, 1, false);
	world_allocate(w, 0, "c");
	/* A has voted and B has heard it; B is stopped before it decides anything. */
	for (int n = 0; n < 4; n++) {
		world_heartbeat(w, 0, 1);
		world_heartbeat(w, 1, 0);
		world_gossip(w, 0, 1, 256);
		world_gossip(w, 1, 0, 256);
		world_tick(w, 100);
		world_sync(w, 0);
	}
	assert_true(w->hosts[0].ipam->election.voted);
	world_gossip(w, 1, 0, 256);
	assert_true(w->hosts[1].ipam->election.ballot.count >= 1);
	world_crash(w, 0);
	rows_clear(&w->hosts[0].disk);
	w->hosts[0].config.store_id++;
	world_start(w, 0);
	world_heartbeat(w, 0, 1);
	world_gossip(w, 0, 1, 256);
	assert_true(w->hosts[0].ipam->election.barred);
	world_allocate(w, 0, "d");
	world_tick(w, 60000);
	assert_false(w->hosts[0].ipam->election.voted);
	ipam_status(w->hosts[0].ipam, &s);
	assert_int_equal(s.phase, IPAM_WAITING);
	world_free(w);
}

/* Who knows of a former life from elsewhere tells before the start, once. */
static void a_former_life_is_not_forgotten(void **state)
{
	struct world *w = world_new(5, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	struct host *h = &w->hosts[0];

	(void)state;
	rows_push(&h->disk, IPAM_TABLE_FORMER, 0, "\0", 1, 0);
	world_start(w, 0);
	rows_clear(&h->disk);
	world_sync(w, 0);
	world_crash(w, 0);
	world_start(w, 0);
	assert_true(h->ipam->election.barred);
	world_free(w);
}

/* V6: one run of a ring suffices to belong to it; the rest may come in any order. */
static void v6_first_ring_heard_wins(void **state)
{
	struct world *w = world_new(6, 2, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	struct entry_room room;
	struct run run = { 3, 5, 0, 7, { 0x0f, 99 } };

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	w->cut[0][1] = w->cut[1][0] = true;
	world_start_all(w);
	run_entry(&room, &w->universe, 4711, &run);
	assert_int_equal(store_merge(w->hosts[1].store, &room.view, 1, w->now), STORE_TOOK);
	assert_int_equal(w->hosts[1].ipam->ring_id, 4711);
	assert_int_equal(world_owner(w, 1, 4), 0x0f);
	assert_int_equal(world_owner(w, 1, 5), PEER_NAME_NONE);
	/* And another ring is refused from then on. */
	run_entry(&room, &w->universe, 4712, &run);
	assert_int_equal(store_merge(w->hosts[1].store, &room.view, 1, w->now), STORE_REFUSED);
	world_free(w);
}

static void observers_call_for_an_election_but_do_not_vote(void **state)
{
	struct world *w = world_new(7, 3, "10.32.0.0/28", IPAM_CONSENSUS, 2);

	(void)state;
	w->hosts[2].config.mode = IPAM_OBSERVER;
	world_cut(w, 0, 1, true);
	world_start_all(w);
	world_allocate(w, 2, "c");
	/* One elector and an observer: no majority of two. */
	for (int n = 0; n < 60; n++) {
		world_heartbeat(w, 0, 2), world_heartbeat(w, 2, 0);
		world_gossip(w, 0, 2, 256), world_gossip(w, 2, 0, 256);
		world_sync(w, 0), world_sync(w, 2);
		world_tick(w, 500);
	}
	assert_int_equal(w->hosts[0].ipam->ring_id, 0);
	world_cut(w, 0, 1, false);
	world_run(w, 20000);
	assert_int_not_equal(world_offset_of(w, 2, "c"), UINT64_MAX);
	assert_false(w->hosts[2].ipam->election.voted);
	world_free(w);
}

/* weave launch; weave launch host1; weave launch host1 host2: each has a larger N. */
static void routers_launched_one_after_the_other_leave_it_to_the_first(void **state)
{
	/* Whoever asks first, and wherever its name stands. */
	for (unsigned first = 0; first < 3; first++)
		for (unsigned asks = 0; asks < 3; asks++) {
			struct world *w = world_new(7, 3, "10.32.0.0/24", IPAM_CONSENSUS, 1);

			(void)state;
			for (unsigned n = 0; n < 3; n++)
				w->hosts[(first + n) % 3].config.electors = n + 1;
			world_start_all(w);
			world_run(w, 1000);
			world_allocate(w, asks, "c1");
			world_run(w, 3000);
			assert_int_not_equal(world_offset_of(w, asks, "c1"), UINT64_MAX);
			for (unsigned n = 0; n < 3; n++)
				assert_true(w->hosts[n].ipam->ring_id ==
					    w->hosts[first].ipam->ring_id);
			/* All who were there have a share. */
			assert_int_equal(world_owner(w, 0, 0), w->hosts[0].name);
			assert_int_equal(world_owner(w, 0, 255), w->hosts[2].name);
			world_free(w);
		}
}

static void who_needs_fewer_votes_is_waited_for_while_it_is_there(void **state)
{
	struct world *w = world_new(7, 3, "10.32.0.0/24", IPAM_CONSENSUS, 2);
	peer_name waited;

	(void)state;
	/* No majority of four for the third; it could never act, but holds nobody up either. */
	w->hosts[2].config.electors = 4;
	world_start_all(w);
	world_run(w, 1000);
	world_cut(w, 0, 1, true);
	world_cut(w, 0, 2, true);
	world_run(w, 20000);
	world_allocate(w, 2, "c1");
	world_run(w, 5000);
	assert_true(w->hosts[2].ipam->ring_id == 0);
	assert_true(ipam_waiting_for(w->hosts[2].ipam, 0, &waited));
	world_cut(w, 0, 1, false);
	world_cut(w, 0, 2, false);
	world_run(w, 20000);
	assert_int_not_equal(world_offset_of(w, 2, "c1"), UINT64_MAX);
	world_free(w);
}

static void seeds_split_without_asking_anybody(void **state)
{
	struct world *w = world_new(8, 2, "10.32.0.0/28", IPAM_SEED, 2);

	(void)state;
	w->cut[0][1] = w->cut[1][0] = true;
	world_start_all(w);
	world_run(w, 12000); /* nobody answers for 10 s */
	world_allocate(w, 0, "a");
	world_allocate(w, 1, "b");
	world_run(w, 1000);
	assert_int_equal(world_offset_of(w, 0, "a"), 1);
	assert_int_equal(world_offset_of(w, 1, "b"), 8);
	world_cut(w, 0, 1, false);
	world_run(w, 3000);
	assert_memory_equal(&w->hosts[0].ipam->ring.digest, &w->hosts[1].ipam->ring.digest, 16);
	world_free(w);
}

/* Of the first ring, a crash may leave any beginning; nobody else could tell a seed the rest. */
static void a_seed_that_crashes_at_its_first_start_has_its_ring_again(void **state)
{
	size_t rows = 1;

	(void)state;
	for (size_t kept = 0; kept < rows; kept++) {
		struct world *w = world_new(8, 1, "10.32.0.0/28", IPAM_SEED, 2);
		struct host *h = &w->hosts[0];

		world_start(w, 0);
		rows = h->pending.count + 1;
		for (size_t k = 0; k < kept; k++)
			rows_apply(&h->disk, &h->pending.list[k]);
		rows_clear(&h->pending);
		world_crash(w, 0);
		world_start(w, 0);
		world_allocate(w, 0, "a");
		world_run(w, 1000);
		assert_int_equal(world_offset_of(w, 0, "a"), 1);
		assert_int_equal(world_owner(w, 0, 15), 0x0b);
		world_free(w);
	}
	assert_true(rows > 3);
}

/* V7: a seed that lost its disk computes the initial ring again; in sync first, it hears that it
 * has given half away. */
static void v7_a_seed_with_a_lost_disk_waits_for_its_neighbours(void **state)
{
	struct world *w = world_new(9, 2, "10.32.0.0/28", IPAM_SEED, 1);

	(void)state;
	world_start_all(w);
	world_run(w, 1000);
	world_allocate(w, 1, "b");
	world_run(w, 3000);
	assert_int_not_equal(world_offset_of(w, 1, "b"), UINT64_MAX);
	world_lose_disk(w, 0);
	world_start(w, 0);
	world_allocate(w, 0, "a");
	world_tick(w, 100);
	world_sync(w, 0);
	assert_int_equal(world_offset_of(w, 0, "a"), UINT64_MAX);
	world_run(w, 15000);
	assert_int_not_equal(world_owner(w, 0, world_offset_of(w, 1, "b")), 0x0a);
	world_free(w);
}

static void a_peer_without_space_gets_some_in_one_round_trip(void **state)
{
	struct world *w = world_new(10, 2, "10.32.0.0/24", IPAM_CONSENSUS, 1);
	uint64_t before;

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 3000);
	before = w->messages;
	world_allocate(w, 1, "b");
	assert_int_equal(w->flight_count, 1);
	world_deliver(w, 0, false, false); /* ASK */
	world_sync(w, 0);
	assert_int_equal(w->flight_count, 1);
	world_deliver(w, 0, false, false); /* GRANT */
	world_sync(w, 1);
	assert_int_equal(w->messages - before, 2);
	/* The upper half of what was free: 2..254. */
	assert_int_equal(world_offset_of(w, 1, "b"), 128);
	world_check(w);
	world_free(w);
}

static void a_repeated_question_is_served_once(void **state)
{
	struct world *w = world_new(11, 2, "10.32.0.0/24", IPAM_CONSENSUS, 1);

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 3000);
	world_allocate(w, 1, "b");
	world_deliver(w, 0, false, true);
	assert_int_equal(w->hosts[0].ipam->granted, 1);
	world_free(w);
}

/* T1 again, with real routers: the donor crashes with the gift on its way. */
static void t1_a_lost_gift_arrives_by_gossip(void **state)
{
	struct world *w = world_new(12, 2, "10.32.0.0/28", IPAM_CONSENSUS, 1);

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 3000);
	world_allocate(w, 1, "b");
	world_deliver(w, 0, false, false);
	world_sync(w, 0);
	world_deliver(w, 0, true, false); /* the GRANT is lost */
	world_crash(w, 0);
	world_start(w, 0);
	world_check(w);
	world_run(w, 8000);
	assert_int_not_equal(world_offset_of(w, 1, "b"), UINT64_MAX);
	world_free(w);
}

static void a_crash_before_the_sync_takes_a_gift_back(void **state)
{
	struct world *w = world_new(13, 2, "10.32.0.0/28", IPAM_CONSENSUS, 1);

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 3000);
	world_allocate(w, 1, "b");
	world_deliver(w, 0, false, false);
	assert_int_equal(w->flight_count, 0); /* nothing leaves before the sync */
	rows_clear(&w->hosts[0].pending);
	world_crash(w, 0);
	world_start(w, 0);
	assert_int_equal(world_owner(w, 0, 10), 0x0a);
	world_check(w);
	world_free(w);
}

/* The rule itself: were things sent before they are durable, two would own one offset. */
static void sent_before_synced_makes_two_owners(void **state)
{
	struct world *w = world_new(41, 3, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	struct ipam *a, *b;

	(void)state;
	w->hosts[1].config.mode = w->hosts[2].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 3000);
	w->early = true;
	world_allocate(w, 1, "b");
	world_deliver(w, 0, false, false);
	world_deliver(w, 0, false, false);
	assert_int_not_equal(world_offset_of(w, 1, "b"), UINT64_MAX);
	world_cut(w, 0, 1, true);
	rows_clear(&w->hosts[0].pending);
	world_crash(w, 0);
	world_start(w, 0);
	world_heartbeat(w, 0, 2); /* who has not heard of it either */
	a = w->hosts[0].ipam;
	b = w->hosts[1].ipam;
	assert_true(ipam_ready(a) && space_owns(&a->space, world_offset_of(w, 1, "b")));
	assert_true(ipam_ready(b) && space_owns(&b->space, world_offset_of(w, 1, "b")));
	world_free(w);
}

static void a_full_universe_is_said(void **state)
{
	struct world *w = world_new(14, 2, "10.32.0.0/29", IPAM_CONSENSUS, 1);
	char name[16];

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	for (int n = 0; n < 6; n++) {
		snprintf(name, sizeof name, "c%d", n);
		world_allocate(w, (unsigned)n & 1, name);
		world_run(w, 3000);
		assert_true(w->hosts[n & 1].last.ok);
	}
	world_allocate(w, 1, "one more");
	world_run(w, 15000);
	assert_false(w->hosts[1].last.ok);
	assert_non_null(strstr(w->hosts[1].text, "no free address"));
	/* Freed again, it is there. */
	world_kill_container(w, 0, 0, false);
	world_allocate(w, 1, "one more");
	world_run(w, 15000);
	assert_true(w->hosts[1].last.ok);
	world_free(w);
}

static void owners_out_of_reach_are_named(void **state)
{
	struct world *w = world_new(15, 2, "10.32.0.0/28", IPAM_CONSENSUS, 1);

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 3000);
	world_cut(w, 0, 1, true);
	world_allocate(w, 1, "b");
	world_claim(w, 1, "c", 5);
	world_run(w, 5000);
	assert_int_equal(w->hosts[1].answers, 0);
	world_run(w, 10000);
	assert_int_equal(w->hosts[1].answers, 2);
	assert_false(w->hosts[1].last.ok);
	assert_non_null(strstr(w->hosts[1].text, "00:00:00:00:00:0a"));
	world_free(w);
}

static void claims(void **state)
{
	struct world *w = world_new(16, 2, "10.32.0.0/28", IPAM_CONSENSUS, 2);

	(void)state;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_allocate(w, 1, "b");
	world_run(w, 10000);
	world_claim(w, 0, "own", 5);
	world_run(w, 500);
	assert_int_equal(world_offset_of(w, 0, "own"), 5);
	world_claim(w, 0, "other", 5); /* held by another container here */
	world_run(w, 500);
	assert_false(w->hosts[0].last.ok);
	assert_non_null(strstr(w->hosts[0].text, "own"));
	world_claim(w, 0, "theirs", 10); /* B's, and free */
	world_run(w, 2000);
	assert_int_equal(world_offset_of(w, 0, "theirs"), 10);
	assert_int_equal(world_owner(w, 1, 10), 0x0a);
	world_claim(w, 0, "taken", 8); /* b lives there */
	world_run(w, 2000);
	assert_false(w->hosts[0].last.ok);
	assert_non_null(strstr(w->hosts[0].text, "in use by b"));
	world_free(w);
}

static void dead_containers_keep_their_address_for_a_while(void **state)
{
	struct world *w = world_new(17, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	struct ipam *i;
	uint64_t offset;

	(void)state;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 500);
	i = w->hosts[0].ipam;
	ipam_container(i, text_bytes("a"), false, w->now);
	world_run(w, 29000);
	assert_true(ipam_lookup(i, text_bytes("a"), (struct span){ 0, 16 }, 0, &offset));
	ipam_container(i, text_bytes("a"), true, w->now);
	world_run(w, 60000);
	assert_true(ipam_lookup(i, text_bytes("a"), (struct span){ 0, 16 }, 0, &offset));
	ipam_container(i, text_bytes("a"), false, w->now);
	world_run(w, 31000);
	assert_false(ipam_lookup(i, text_bytes("a"), (struct span){ 0, 16 }, 0, &offset));
	world_free(w);
}

static void a_cancelled_request_leaves_nothing(void **state)
{
	struct world *w = world_new(18, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	uint64_t request, offset;

	(void)state;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 500);
	/* Decided, not yet durable: taken back. */
	request = world_allocate(w, 0, "b");
	ipam_cancel(w->hosts[0].ipam, request, w->now);
	world_run(w, 500);
	assert_int_equal(w->hosts[0].answers, 1);
	assert_false(
		ipam_lookup(w->hosts[0].ipam, text_bytes("b"), (struct span){ 0, 16 }, 0, &offset));
	/* A second request for what is there takes nothing away. */
	request = world_allocate(w, 0, "a");
	ipam_cancel(w->hosts[0].ipam, request, w->now);
	assert_true(
		ipam_lookup(w->hosts[0].ipam, text_bytes("a"), (struct span){ 0, 16 }, 0, &offset));
	world_free(w);
}

static uint64_t held_by(const struct world *w, unsigned n, const char *name)
{
	uint64_t offset = UINT64_MAX;

	ipam_lookup(w->hosts[n].ipam, text_bytes(name), (struct span){ 0, w->universe.size }, 0,
		    &offset);
	return offset;
}

/* Two clients ask for one container; the first one goes away before anybody was answered. */
static void a_cancelled_request_takes_nothing_from_the_next(void **state)
{
	struct world *w = world_new(18, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	struct ipam *i;
	uint64_t first, second;

	(void)state;
	world_start_all(w);
	i = w->hosts[0].ipam;
	world_run(w, 500);
	world_allocate(w, 0, "primer");
	world_run(w, 500);
	first = world_allocate(w, 0, "a");
	second = world_allocate(w, 0, "a");
	ipam_cancel(i, first, w->now);
	world_run(w, 500);
	assert_int_equal(w->hosts[0].last.request, second);
	assert_true(w->hosts[0].last.ok);
	assert_int_equal(held_by(w, 0, "a"), w->hosts[0].last.offset);
	/* Both go away. */
	first = world_allocate(w, 0, "b");
	second = world_allocate(w, 0, "b");
	ipam_cancel(i, first, w->now);
	ipam_cancel(i, second, w->now);
	world_run(w, 500);
	assert_int_equal(held_by(w, 0, "b"), UINT64_MAX);
	/* It was found alive in between. */
	first = world_allocate(w, 0, "c");
	assert_true(ipam_found(i, text_bytes("c"), held_by(w, 0, "c"), w->now));
	ipam_cancel(i, first, w->now);
	world_run(w, 500);
	assert_int_not_equal(held_by(w, 0, "c"), UINT64_MAX);
	world_free(w);
}

static void a_cancelled_request_takes_nothing_from_another_container(void **state)
{
	struct world *w = world_new(18, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	struct ipam *i;
	uint64_t first;

	(void)state;
	world_start_all(w);
	i = w->hosts[0].ipam;
	world_run(w, 500);
	world_allocate(w, 0, "primer");
	world_run(w, 500);
	first = world_allocate(w, 0, "a");
	ipam_release_all(i, text_bytes("a"), w->now);
	world_allocate(w, 0, "b"); /* gets the same */
	ipam_cancel(i, first, w->now);
	world_run(w, 500);
	assert_true(w->hosts[0].last.ok);
	assert_int_equal(held_by(w, 0, "b"), w->hosts[0].last.offset);
	world_free(w);
}

/* Detached while its answer waits for the disk: the address may be another's by then. */
static void what_is_released_is_not_answered(void **state)
{
	struct world *w = world_new(18, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	struct host *h = &w->hosts[0];
	uint64_t answers;

	(void)state;
	world_start_all(w);
	world_run(w, 500);
	world_allocate(w, 0, "primer");
	world_run(w, 500);
	answers = h->answers;
	world_allocate(w, 0, "a");
	ipam_release_all(h->ipam, text_bytes("a"), w->now);
	world_drain(w, 0);
	assert_int_equal(h->answers, answers + 1);
	assert_false(h->last.ok);
	assert_non_null(strstr(h->text, "released"));
	world_allocate(w, 0, "b"); /* gets the same */
	world_run(w, 500);
	assert_int_equal(h->answers, answers + 2);
	assert_int_equal(world_offset_of(w, 0, "a"), UINT64_MAX);
	assert_int_equal(world_offset_of(w, 0, "b"), h->last.offset);
	/* A second request for what somebody has already. */
	world_allocate(w, 0, "c"); /* so that there is something to wait for */
	world_allocate(w, 0, "b");
	ipam_release(h->ipam, text_bytes("b"), h->last.offset, w->now);
	world_drain(w, 0);
	assert_int_equal(h->answers, answers + 3);
	assert_false(h->last.ok);
	world_run(w, 500);
	assert_int_equal(h->answers, answers + 4);
	assert_int_equal(world_offset_of(w, 0, "c"), h->last.offset);
	world_free(w);
}

static void a_failing_disk_stops_allocation(void **state)
{
	struct world *w = world_new(19, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);

	(void)state;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 500);
	/* Who waits for the disk when it fails is told at once, and what he would have had is free.
	 */
	world_allocate(w, 0, "b");
	assert_int_equal(w->hosts[0].answers, 1);
	ipam_on_disk(w->hosts[0].ipam, "No space left on device", w->now);
	world_tick(w, 0);
	assert_int_equal(w->hosts[0].answers, 2);
	assert_false(w->hosts[0].last.ok);
	assert_int_equal(w->hosts[0].ipam->space.used_count, 1);
	world_allocate(w, 0, "b");
	world_tick(w, 0);
	assert_int_equal(w->hosts[0].answers, 3);
	assert_false(w->hosts[0].last.ok);
	assert_non_null(strstr(w->hosts[0].text, "No space left"));
	ipam_on_disk(w->hosts[0].ipam, NULL, w->now);
	world_allocate(w, 0, "b");
	world_run(w, 500);
	assert_true(w->hosts[0].last.ok);
	world_free(w);
}

/* What waits for the disk is refused at once, and not when the disk works again; what was decided
 * is taken back. */
static void a_failing_disk_answers_who_waits_for_it(void **state)
{
	struct world *w = world_new(19, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	struct host *h = &w->hosts[0];
	uint64_t answers;

	(void)state;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 500);
	answers = h->answers;
	world_allocate(w, 0, "b");
	world_allocate(w, 0, "a");
	assert_int_equal(h->answers, answers);
	ipam_on_disk(h->ipam, "No space left on device", w->now);
	world_drain(w, 0);
	assert_int_equal(h->answers, answers + 2);
	assert_false(h->last.ok);
	assert_non_null(strstr(h->text, "No space left"));
	world_allocate(w, 0, "c");
	assert_int_equal(h->answers, answers + 3);
	ipam_on_disk(h->ipam, NULL, w->now);
	world_run(w, 500);
	assert_int_equal(h->answers, answers + 3);
	assert_int_equal(held_by(w, 0, "b"), UINT64_MAX);
	assert_int_not_equal(held_by(w, 0, "a"), UINT64_MAX);
	world_free(w);
}

/* ---- rmpeer ---- */

static struct world *three_with_space(uint64_t seed)
{
	struct world *w = world_new(seed, 3, "10.32.0.0/27", IPAM_CONSENSUS, 3);

	world_start_all(w);
	world_allocate(w, 0, "a");
	world_allocate(w, 1, "b");
	world_allocate(w, 2, "c");
	world_run(w, 20000);
	for (unsigned n = 0; n < 3; n++)
		assert_true(w->hosts[n].last.ok);
	return w;
}

static void die(struct world *w, unsigned n)
{
	world_crash(w, n);
	w->hosts[n].dead = true;
	w->hosts[n].containers_count = 0;
}

static uint64_t remove_peer(struct world *w, unsigned n, peer_name victim, bool force)
{
	uint64_t request = ++w->requests;

	ipam_remove_peer(w->hosts[n].ipam, request, victim, 0, force, w->now);
	world_drain(w, n);
	return request;
}

static bool hunger_is_there(const struct ipam *i, uint64_t offset)
{
	for (struct list *l = i->requests.hungers.next; l != &i->requests.hungers; l = l->next)
		if (list_entry(l, struct hunger, link)->want.start == offset)
			return true;
	return false;
}

static void a_dead_peers_space_comes_back(void **state)
{
	struct world *w = three_with_space(20);

	(void)state;
	die(w, 0);
	remove_peer(w, 1, 0x0a, false);
	world_run(w, 5000);
	assert_true(w->hosts[1].last.ok);
	assert_non_null(strstr(w->hosts[1].text, "IPs taken over from"));
	assert_int_equal(world_owner(w, 1, 3), 0x0b);
	assert_int_equal(world_owner(w, 2, 3), 0x0b);
	assert_int_equal(w->hosts[1].ipam->takeovers.marks_count, 0);
	assert_true(may_use(&w->hosts[1], 3));
	world_free(w);
}

/* T2 with real routers: A's gift to C is unknown to B, and C uses it. */
static void t2_a_gift_that_the_remover_has_not_heard_of(void **state)
{
	struct world *w = three_with_space(21);
	uint64_t gift;

	(void)state;
	world_cut(w, 0, 1, true);
	world_cut(w, 1, 2, true);
	/* C claims an address of A's; only they know. */
	world_claim(w, 2, "gift", 4);
	for (int n = 0; n < 8; n++) {
		world_sync(w, 0), world_sync(w, 2);
		while (w->flight_count)
			world_deliver(w, 0, false, false);
	}
	gift = world_offset_of(w, 2, "gift");
	assert_int_equal(gift, 4);
	die(w, 0);
	world_cut(w, 1, 2, false);
	world_heartbeat(w, 1, 2);
	world_heartbeat(w, 2, 1);
	assert_int_equal(world_owner(w, 1, gift), 0x0a);
	remove_peer(w, 1, 0x0a, false);
	world_check(w);
	world_run(w, 6000);
	assert_true(w->hosts[1].last.ok);
	assert_int_equal(world_owner(w, 1, gift), 0x0c);
	assert_int_equal(world_owner(w, 2, gift), 0x0c);
	assert_int_equal(w->hosts[2].ipam->addresses.disputed_count, 0);
	world_free(w);
}

static void an_absent_peer_holds_a_takeover_up_and_is_named(void **state)
{
	struct world *w = three_with_space(22);
	uint64_t answers;
	peer_name peer;

	(void)state;
	die(w, 0);
	world_crash(w, 2);
	answers = w->hosts[1].answers;
	remove_peer(w, 1, 0x0a, false);
	world_run(w, 20000);
	assert_int_equal(w->hosts[1].answers, answers);
	assert_false(may_use(&w->hosts[1], 3));
	assert_true(ipam_waiting_for(w->hosts[1].ipam, 0, &peer));
	assert_int_equal(peer, 0x0c);
	assert_false(ipam_waiting_for(w->hosts[1].ipam, 1, &peer));
	/* It comes back and answers. */
	world_start(w, 2);
	world_run(w, 10000);
	assert_int_equal(w->hosts[1].answers, answers + 1);
	assert_true(may_use(&w->hosts[1], 3));
	world_free(w);
}

static void force_goes_on_without_the_absent(void **state)
{
	struct world *w = three_with_space(23);

	(void)state;
	die(w, 0);
	world_crash(w, 2);
	remove_peer(w, 1, 0x0a, false);
	world_run(w, 3000);
	remove_peer(w, 1, 0x0a, true);
	world_run(w, 1000);
	assert_true(w->hosts[1].last.ok && may_use(&w->hosts[1], 3));
	world_free(w);
}

/* The mark that a merge cleared (ipam-review 4): an unconfirmed write, merge of a larger one,
 * crash that forgets the merge: the mark must still be there. */
static void marks_survive_a_crash(void **state)
{
	struct world *w = three_with_space(24);

	(void)state;
	die(w, 0);
	world_crash(w, 2);
	remove_peer(w, 1, 0x0a, false);
	world_sync(w, 1);
	assert_true(w->hosts[1].ipam->takeovers.marks_count > 0);
	world_crash(w, 1);
	world_start(w, 1);
	assert_true(w->hosts[1].ipam->takeovers.marks_count > 0);
	world_run(w, 15000); /* alone: in sync after 10 s */
	assert_false(may_use(&w->hosts[1], 3));
	world_start(w, 2);
	world_run(w, 15000);
	assert_true(may_use(&w->hosts[1], 3));
	assert_int_equal(w->hosts[1].ipam->takeovers.marks_count, 0);
	world_free(w);
}

/* T4 and section 4: two operators at once; one wins, neither uses anything before. */
/* What a crash leaves, after each beginning of what waits for the disk: a start that allocates at
 * once must not use 'span'. */
static void check_each_crash(struct world *w, unsigned n, struct span span)
{
	struct host *h = &w->hosts[n];
	struct rows disk = { 0 };

	for (size_t kept = 0; kept <= h->pending.count; kept++) {
		struct ipam *i = ipam_new(&h->config, NULL);

		rows_copy(&disk, &h->disk);
		for (size_t k = 0; k < kept; k++)
			rows_apply(&disk, &h->pending.list[k]);
		for (size_t k = 0; k < disk.count; k++)
			assert_null(ipam_load(i, disk.list[k].table, disk.list[k].key,
					      bytes_of(disk.list[k].value, disk.list[k].size)));
		ipam_start(i, w->now);
		for (uint64_t at = span.start; at < span.end; at++)
			assert_false(space_owns(&i->space, at));
		ipam_free(i);
	}
	rows_clear(&disk);
	mem_free(disk.list);
}

/* Another operator overrules a part of what we took and have not had confirmed, and dies; taking
 * that over cuts our mark in pieces, none of which may be missing at any moment. */
static void a_mark_is_cut_without_a_gap(void **state)
{
	struct world *w = three_with_space(24);
	struct run overruled = { 3, 6, 2, 5, { 0x1d, 77 } };

	(void)state;
	die(w, 0);
	world_crash(w, 2);
	remove_peer(w, 1, 0x0a, false);
	world_sync(w, 1);
	assert_int_equal(w->hosts[1].ipam->takeovers.marks_count, 1);
	ipam_learn(w->hosts[1].ipam, &overruled, false);
	ipam_tick(w->hosts[1].ipam, w->now);
	world_drain(w, 1);
	world_sync(w, 1);
	remove_peer(w, 1, 0x1d, false);
	assert_int_equal(w->hosts[1].ipam->takeovers.marks_count, 3);
	check_each_crash(w, 1, (struct span){ 0, 10 });
	/* The pieces are found again, and confirmed. */
	world_sync(w, 1);
	world_crash(w, 1);
	world_start(w, 1);
	world_start(w, 2);
	world_run(w, 20000);
	assert_int_equal(w->hosts[1].ipam->takeovers.marks_count, 0);
	assert_true(may_use(&w->hosts[1], 4) && may_use(&w->hosts[1], 8));
	for (size_t k = 0; k < w->hosts[1].disk.count; k++)
		assert_int_not_equal(w->hosts[1].disk.list[k].table, IPAM_TABLE_MARK);
	world_free(w);
}

static void two_operators_at_once(void **state)
{
	struct world *w = three_with_space(25);

	(void)state;
	die(w, 0);
	remove_peer(w, 1, 0x0a, false);
	remove_peer(w, 2, 0x0a, false);
	world_check(w);
	world_run(w, 20000);
	assert_true(w->hosts[1].last.ok && w->hosts[2].last.ok);
	assert_int_equal(world_owner(w, 1, 3), 0x0b);
	assert_int_equal(world_owner(w, 2, 3), 0x0b);
	assert_true(may_use(&w->hosts[1], 3));
	world_free(w);
}

static void live_peers_are_not_removed_by_accident(void **state)
{
	struct world *w = three_with_space(26);

	(void)state;
	remove_peer(w, 1, 0x0a, false);
	assert_false(w->hosts[1].last.ok);
	assert_non_null(strstr(w->hosts[1].text, "can be reached"));
	/* By force, it is asked like the others, and keeps what lives on it. */
	remove_peer(w, 1, 0x0a, true);
	world_run(w, 5000);
	assert_true(w->hosts[1].last.ok);
	assert_int_equal(world_owner(w, 0, 1), 0x0a);
	assert_int_equal(world_owner(w, 0, 2), 0x0b);
	world_free(w);
}

/* There must be room for the addresses that go back to those who use them, each in a piece of its
 * own: without it nothing is used, and whoever asked is told. */
static void a_takeover_needs_room_for_what_it_gives_back(void **state)
{
	struct world *w = three_with_space(30);
	struct ring *ring;

	(void)state;
	ring = &w->hosts[1].ipam->ring;
	ring->runs_max = ring_count(ring) + 1;
	remove_peer(w, 1, 0x0a, true);
	world_run(w, 5000);
	assert_false(w->hosts[1].last.ok);
	assert_non_null(strstr(w->hosts[1].text, "too many pieces"));
	assert_false(may_use(&w->hosts[1], 3));
	assert_int_not_equal(w->hosts[1].ipam->takeovers.marks_count, 0);
	ring->runs_max++;
	remove_peer(w, 1, 0x0a, true);
	world_run(w, 5000);
	assert_true(w->hosts[1].last.ok);
	assert_true(may_use(&w->hosts[1], 3));
	assert_int_equal(world_owner(w, 0, 1), 0x0a);
	world_free(w);
}

/* More than one round of claims: each has its turn, though the first are refused again and again.
 */
static void every_disputed_address_is_claimed_in_its_turn(void **state)
{
	struct world *w = world_new(31, 2, "10.32.0.0/24", IPAM_CONSENSUS, 1);
	struct ipam *i;

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	world_allocate(w, 0, "first");
	world_run(w, 5000);
	i = w->hosts[1].ipam;
	for (uint64_t n = 0; n < DISPUTE_CLAIMS_MAX + 20; n++) {
		char name[8];

		snprintf(name, sizeof name, "c%u", (unsigned)n);
		assert_true(ipam_found(i, bytes_of(name, strlen(name)), 10 + n, w->now));
	}
	world_drain(w, 1);
	assert_int_equal(i->addresses.disputed_count, DISPUTE_CLAIMS_MAX + 20);
	/* Nobody answers. */
	world_cut(w, 0, 1, true);
	world_tick(w, IPAM_RETRY_MS);
	world_tick(w, IPAM_RETRY_MS);
	for (uint64_t n = 0; n < DISPUTE_CLAIMS_MAX + 20; n++)
		assert_true(hunger_is_there(i, 10 + n));
	world_cut(w, 0, 1, false);
	world_run(w, 60000);
	assert_int_equal(i->addresses.disputed_count, 0);
	world_free(w);
}

/* A removed peer returns: it merges, owns nothing, and its containers claim what they live on. */
static void a_removed_peer_returns(void **state)
{
	struct world *w = three_with_space(27);

	(void)state;
	world_crash(w, 0); /* its container lives on */
	remove_peer(w, 1, 0x0a, false);
	world_run(w, 6000);
	assert_true(w->hosts[1].last.ok);
	world_start(w, 0);
	world_heartbeat(w, 0, 1);
	assert_false(may_use(&w->hosts[0], 3));
	world_run(w, 10000);
	assert_int_equal(world_owner(w, 0, 3), 0x0b);
	assert_int_equal(world_owner(w, 0, 1), 0x0a);
	assert_int_equal(w->hosts[0].ipam->addresses.disputed_count, 0);
	assert_true(w->hosts[0].ipam->disputes > 0);
	world_free(w);
}

static void a_lost_disk_is_another_owner(void **state)
{
	struct world *w = three_with_space(28);

	(void)state;
	world_lose_disk(w, 0); /* containers live on */
	world_start(w, 0);
	world_run(w, 15000);
	assert_int_equal(w->hosts[0].ipam->addresses.disputed_count, 1);
	/* Its old space, its own container included, comes back by rmpeer on itself. */
	remove_peer(w, 0, 0x0a, false);
	world_run(w, 6000);
	assert_true(w->hosts[0].last.ok);
	assert_int_equal(w->hosts[0].ipam->addresses.disputed_count, 0);
	assert_true(may_use(&w->hosts[0], 3));
	world_free(w);
}

/* Anybody may take it over without force, and nothing of what the new life has. */
static void the_lost_store_of_a_living_peer_is_removed_by_another(void **state)
{
	struct world *w = three_with_space(29);

	(void)state;
	world_lose_disk(w, 0); /* a container lives on */
	world_start(w, 0);
	world_run(w, 15000);
	world_allocate(w, 0, "new");
	world_run(w, 5000);
	assert_int_not_equal(world_offset_of(w, 0, "new"), UINT64_MAX);
	remove_peer(w, 1, 0x0a, false);
	world_run(w, 6000);
	assert_true(w->hosts[1].last.ok);
	assert_int_equal(world_owner(w, 1, 2), 0x0b);
	assert_int_equal(world_owner(w, 1, world_offset_of(w, 0, "new")), 0x0a);
	assert_int_equal(w->hosts[0].ipam->addresses.disputed_count, 0);
	/* Now there is nothing left that is dead. */
	remove_peer(w, 1, 0x0a, false);
	assert_false(w->hosts[1].last.ok);
	world_check(w);
	world_free(w);
}

static void a_restored_snapshot_is_noticed(void **state)
{
	struct world *w = three_with_space(29);
	uint64_t old;

	(void)state;
	rows_copy(&w->hosts[0].snapshot, &w->hosts[0].disk);
	world_claim(w, 2, "gift", 4); /* A gives it away after the snapshot */
	world_run(w, 3000);
	assert_int_equal(world_offset_of(w, 2, "gift"), 4);
	old = w->hosts[0].config.store_id;
	world_crash(w, 0);
	rows_copy(&w->hosts[0].disk, &w->hosts[0].snapshot);
	world_start(w, 0);
	world_check(w);
	world_run(w, 15000);
	assert_int_not_equal(w->hosts[0].config.store_id, old);
	assert_false(may_use(&w->hosts[0], 4));
	world_free(w);
}

/* ---- reset ---- */

static void reset_gives_everything_to_an_heir(void **state)
{
	struct world *w = three_with_space(30);
	struct ipam_status s;

	(void)state;
	ipam_reset(w->hosts[0].ipam, ++w->requests, false, w->now);
	world_drain(w, 0);
	assert_false(w->hosts[0].last.ok); /* in use */
	world_kill_container(w, 0, 0, false);
	ipam_reset(w->hosts[0].ipam, ++w->requests, false, w->now);
	world_drain(w, 0);
	world_check(w);
	world_run(w, 5000);
	assert_true(w->hosts[0].last.ok);
	ipam_status(w->hosts[0].ipam, &s);
	assert_int_equal(s.phase, IPAM_RETIRED);
	world_lose_disk(w, 0);
	world_start(w, 0);
	world_run(w, 5000);
	for (uint64_t at = 0; at < 32; at++)
		assert_int_not_equal(world_owner(w, 1, at), 0x0a);
	world_allocate(w, 0, "again");
	world_run(w, 8000);
	assert_int_not_equal(world_offset_of(w, 0, "again"), UINT64_MAX);
	world_free(w);
}

/* The disk turns out to be an old copy while everything is handed over. */
static void a_reset_with_a_new_store_id_begins_again(void **state)
{
	struct world *w = three_with_space(30);
	struct host *h = &w->hosts[0];
	uint64_t first = ++w->requests, second = ++w->requests;

	(void)state;
	world_kill_container(w, 0, 0, false);
	ipam_reset(h->ipam, first, false, w->now);
	world_drain(w, 0);
	assert_true(h->ipam->handover.retired);
	ipam_on_new_store(h->ipam, ++h->config.store_id, w->now);
	world_drain(w, 0);
	assert_int_equal(h->last.request, first);
	assert_false(h->last.ok);
	ipam_reset(h->ipam, second, false, w->now);
	world_drain(w, 0);
	world_run(w, 5000);
	assert_int_equal(h->last.request, second);
	assert_true(h->last.ok);
	for (uint64_t at = 0; at < 32; at++)
		assert_int_not_equal(world_owner(w, 1, at), 0x0a);
	world_free(w);
}

/* A gift was on its way to the peer that is reset: its heir gets it. */
static void the_heir_collects_late_gifts(void **state)
{
	struct world *w = three_with_space(31);
	uint64_t gift = 2;

	(void)state;
	while (world_owner(w, 0, gift) != 0x0b || gift == world_offset_of(w, 1, "b"))
		gift++;
	world_kill_container(w, 0, 0, false);
	world_claim(w, 0, "x", gift); /* B gives it, and the answer is lost */
	world_deliver(w, 0, false, false);
	world_sync(w, 1);
	world_deliver(w, 0, true, false);
	assert_int_equal(world_owner(w, 1, gift), 0x0a);
	assert_int_equal(world_owner(w, 0, gift), 0x0b);
	ipam_reset(w->hosts[0].ipam, ++w->requests, true, w->now);
	world_drain(w, 0);
	world_run(w, 5000);
	assert_int_equal(world_owner(w, 1, gift), 0x0b);
	world_free(w);
}

static void two_rings_meet_and_stay_apart(void **state)
{
	struct world *w = world_new(32, 2, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	struct ipam_status s;

	(void)state;
	world_cut(w, 0, 1, true);
	world_start_all(w);
	world_run(w, 11000);
	world_allocate(w, 0, "a");
	world_allocate(w, 1, "b");
	for (int n = 0; n < 50; n++) {
		world_tick(w, 1000);
		world_sync(w, 0);
		world_sync(w, 1);
	}
	assert_int_not_equal(w->hosts[0].ipam->ring_id, w->hosts[1].ipam->ring_id);
	/* Both have offset 1: that is what two rings mean, so world_check does not apply. */
	world_cut(w, 0, 1, false);
	for (unsigned n = 0; n < 10; n++) {
		world_heartbeat(w, 0, 1), world_heartbeat(w, 1, 0);
		world_gossip(w, 0, 1, 256), world_gossip(w, 1, 0, 256);
		world_tick(w, 500);
	}
	for (unsigned n = 0; n < 2; n++) {
		ipam_status(w->hosts[n].ipam, &s);
		assert_int_equal(s.phase, IPAM_READY);
		assert_int_equal(s.foreign_ring, w->hosts[1 - n].ipam->ring_id);
		assert_int_equal(world_owner(w, n, 5), w->hosts[n].name);
	}
	world_free(w);
}

static void status_counts_and_names_owners(void **state)
{
	struct world *w = three_with_space(34);
	struct ipam_status s;
	struct ipam_owner *list;
	uint64_t sum = 0;
	size_t count;

	(void)state;
	world_crash(w, 2);
	world_run(w, 3000);
	ipam_status(w->hosts[1].ipam, &s);
	assert_int_equal(s.phase, IPAM_READY);
	assert_string_equal(ipam_phase_text(s.phase), "ready");
	assert_int_equal(s.allocated, 1);
	assert_int_equal(s.own_free + s.allocated, s.own);
	assert_int_equal(s.own_unconfirmed, 0);
	count = ipam_owners(w->hosts[1].ipam, &list);
	for (size_t n = 0; n < count; n++) {
		assert_int_equal(list[n].peer, 0x0a + n);
		assert_true(list[n].known && !list[n].former);
		assert_int_equal(list[n].reachable, n != 2);
		assert_true(list[n].owned > 0 && (n == 2 || list[n].free < list[n].owned));
		sum += list[n].owned;
	}
	assert_int_equal(count, s.owners);
	assert_int_equal(sum, w->universe.size);
	mem_free(list);
	world_free(w);
}

static void pieces_tell_who_owns_what(void **state)
{
	struct world *w = three_with_space(36);
	const struct ipam *i = w->hosts[1].ipam;
	struct ipam_piece piece = { .span = { 0, 0 } };
	struct ipam_status s;
	uint64_t end = 0;
	size_t count = 0;

	(void)state;
	ipam_status(i, &s);
	for (; ipam_piece_at(i, end, &piece); count++, end = piece.span.end) {
		assert_int_equal(piece.span.start, end);
		assert_int_equal(piece.owner, world_owner(w, 1, end));
		assert_true(piece.store_id && piece.counter);
	}
	assert_int_equal(end, w->universe.size);
	assert_int_equal(count, s.runs);
	world_free(w);
}

static void a_lost_disk_is_a_former_owner(void **state)
{
	struct world *w = three_with_space(37);
	struct ipam_owner *list;
	size_t count, former[2] = { 0 };

	(void)state;
	world_lose_disk(w, 0);
	world_start(w, 0);
	world_run(w, 15000);
	for (unsigned n = 0; n < 2; n++) { /* seen by itself, and by another */
		count = ipam_owners(w->hosts[n].ipam, &list);
		for (size_t k = 0; k < count; k++) {
			former[n] += list[k].former;
			assert_true(list[k].peer == 0x0a || !list[k].former);
			assert_true(!list[k].former || !list[k].reachable);
		}
		mem_free(list);
		assert_int_equal(former[n], 1);
	}
	world_free(w);
}

static void waiting_requests_are_listed(void **state)
{
	struct world *w = world_new(38, 2, "10.32.0.0/28", IPAM_CONSENSUS, 3);
	struct ipam_pending *list;

	(void)state;
	w->count = 1;
	world_start_all(w);
	world_allocate(w, 0, "c");
	world_claim(w, 0, "d", 7);
	ipam_prime(w->hosts[0].ipam, 1000, w->now);
	assert_int_equal(ipam_pendings(w->hosts[0].ipam, &list), 3);
	assert_int_equal(list[0].type, IPAM_PENDING_ALLOCATE);
	assert_true(bytes_equal(list[0].container, bytes_of("c", 1)));
	assert_int_equal(list[1].type, IPAM_PENDING_CLAIM);
	assert_true(bytes_equal(list[1].container, bytes_of("d", 1)));
	assert_int_equal(list[1].want.start, 7);
	assert_int_equal(list[2].type, IPAM_PENDING_PRIME);
	mem_free(list);
	world_free(w);
}

static void pieces_of_ours_are_joined(void **state)
{
	struct world *w = world_new(33, 2, "10.32.0.0/26", IPAM_CONSENSUS, 1);
	char name[16];

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 3000);
	for (int n = 20; n < 40; n++) {
		snprintf(name, sizeof name, "c%d", n);
		world_claim(w, 1, name, (uint64_t)n);
		world_run(w, 500);
	}
	world_run(w, 70000);
	assert_true(ring_count(&w->hosts[0].ipam->ring) <= 4);
	assert_memory_equal(&w->hosts[0].ipam->ring.digest, &w->hosts[1].ipam->ring.digest, 16);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lone_peer_has_everything_at_once),
		cmocka_unit_test(nothing_is_answered_before_it_is_durable),
		cmocka_unit_test(two_peers_split_and_both_allocate),
		cmocka_unit_test(v2_everybody_acts_on_hearing),
		cmocka_unit_test(no_majority_no_ring),
		cmocka_unit_test(v5_a_lost_disk_bars_from_voting),
		cmocka_unit_test(a_former_life_is_not_forgotten),
		cmocka_unit_test(v6_first_ring_heard_wins),
		cmocka_unit_test(observers_call_for_an_election_but_do_not_vote),
		cmocka_unit_test(routers_launched_one_after_the_other_leave_it_to_the_first),
		cmocka_unit_test(who_needs_fewer_votes_is_waited_for_while_it_is_there),
		cmocka_unit_test(seeds_split_without_asking_anybody),
		cmocka_unit_test(a_seed_that_crashes_at_its_first_start_has_its_ring_again),
		cmocka_unit_test(v7_a_seed_with_a_lost_disk_waits_for_its_neighbours),
		cmocka_unit_test(a_peer_without_space_gets_some_in_one_round_trip),
		cmocka_unit_test(a_repeated_question_is_served_once),
		cmocka_unit_test(t1_a_lost_gift_arrives_by_gossip),
		cmocka_unit_test(a_crash_before_the_sync_takes_a_gift_back),
		cmocka_unit_test(sent_before_synced_makes_two_owners),
		cmocka_unit_test(a_full_universe_is_said),
		cmocka_unit_test(owners_out_of_reach_are_named),
		cmocka_unit_test(claims),
		cmocka_unit_test(dead_containers_keep_their_address_for_a_while),
		cmocka_unit_test(a_cancelled_request_leaves_nothing),
		cmocka_unit_test(a_cancelled_request_takes_nothing_from_the_next),
		cmocka_unit_test(a_cancelled_request_takes_nothing_from_another_container),
		cmocka_unit_test(what_is_released_is_not_answered),
		cmocka_unit_test(a_failing_disk_stops_allocation),
		cmocka_unit_test(a_failing_disk_answers_who_waits_for_it),
		cmocka_unit_test(a_dead_peers_space_comes_back),
		cmocka_unit_test(t2_a_gift_that_the_remover_has_not_heard_of),
		cmocka_unit_test(an_absent_peer_holds_a_takeover_up_and_is_named),
		cmocka_unit_test(force_goes_on_without_the_absent),
		cmocka_unit_test(marks_survive_a_crash),
		cmocka_unit_test(a_mark_is_cut_without_a_gap),
		cmocka_unit_test(two_operators_at_once),
		cmocka_unit_test(live_peers_are_not_removed_by_accident),
		cmocka_unit_test(a_removed_peer_returns),
		cmocka_unit_test(a_takeover_needs_room_for_what_it_gives_back),
		cmocka_unit_test(every_disputed_address_is_claimed_in_its_turn),
		cmocka_unit_test(a_lost_disk_is_another_owner),
		cmocka_unit_test(the_lost_store_of_a_living_peer_is_removed_by_another),
		cmocka_unit_test(a_restored_snapshot_is_noticed),
		cmocka_unit_test(reset_gives_everything_to_an_heir),
		cmocka_unit_test(a_reset_with_a_new_store_id_begins_again),
		cmocka_unit_test(the_heir_collects_late_gifts),
		cmocka_unit_test(two_rings_meet_and_stay_apart),
		cmocka_unit_test(status_counts_and_names_owners),
		cmocka_unit_test(pieces_tell_who_owns_what),
		cmocka_unit_test(a_lost_disk_is_a_former_owner),
		cmocka_unit_test(waiting_requests_are_listed),
		cmocka_unit_test(pieces_of_ours_are_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
