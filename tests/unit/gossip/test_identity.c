#include "gossip_test.h"

#include "../../../gossip/identity.h"

#define SELF 7

static struct entry_view own(uint8_t kind, uint64_t generation, uint64_t version, const char *value)
{
	return entry_of(kind, "key", SELF, generation, version, value);
}

static enum identity_verdict judge(struct identity *id, struct entry_view e,
				   const struct entry_view *mine, uint64_t instance, uint64_t now_s)
{
	return identity_judge(id, &e, mine, instance, at(now_s * 1000));
}

static void echoes_are_ours(void **state)
{
	struct identity id;
	struct entry_view mine = own(KIND_LINK, 10, 5, "value");

	(void)state;
	identity_init(&id, SELF, 100, 10);
	assert_int_equal(judge(&id, mine, &mine, 0, 0), IDENTITY_OURS);
	assert_int_equal(judge(&id, own(KIND_LINK, 10, 4, "older"), &mine, 0, 0), IDENTITY_OURS);
	assert_int_equal(judge(&id, own(KIND_LINK, 9, 9, "older"), &mine, 0, 0), IDENTITY_OURS);
	assert_true(id.generation == 10 && id.jumps == 0);
}

/* The peer entry of our former life, and links of it that we do not have any more. */
static void former_lives_are_overruled(void **state)
{
	struct identity id;
	struct entry_view older = own(KIND_LINK, 8, 1, "older still");

	(void)state;
	identity_init(&id, SELF, 100, 10);
	assert_int_equal(judge(&id, own(KIND_PEER, 9, 1, "p"), NULL, 99, 0), IDENTITY_ANSWER);
	assert_int_equal(judge(&id, own(KIND_LINK, 9, 1, "l"), NULL, 0, 0), IDENTITY_ANSWER);
	assert_int_equal(judge(&id, own(KIND_LINK, 9, 1, "l"), &older, 0, 0), IDENTITY_ANSWER);
	/* Already dead: nobody to kill. */
	assert_int_equal(judge(&id, own(KIND_LINK, 9, 1, NULL), NULL, 0, 0), IDENTITY_OURS);
	assert_int_equal(judge(&id, own(KIND_LINK, 9, 1, NULL), &older, 0, 0), IDENTITY_ANSWER);
	assert_int_equal(id.jumps, 0);
}

/* A tombstone that everybody has forgotten, and a peer that was away and brings the name back. */
static void f6_what_comes_back_is_killed_by_its_writer(void **state)
{
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 100, 10);
	assert_int_equal(judge(&id, own(KIND_NAME, 10, 3, "n"), NULL, 0, 0), IDENTITY_ANSWER);
	assert_int_equal(id.generation, 10);
}

static void a_restart_drops_no_flow(void **state)
{
	struct identity id;
	struct entry_view flow = own(KIND_ENDPOINT, 9, 3, "e");

	(void)state;
	identity_init(&id, SELF, 100, 10);
	assert_int_equal(judge(&id, flow, NULL, 0, 0), IDENTITY_OURS);
	assert_false(identity_is_stale(&id, &flow));
	id.floor = id.generation;
	assert_true(identity_is_stale(&id, &flow));
	assert_int_equal(judge(&id, flow, NULL, 0, 0), IDENTITY_ANSWER);
	flow.kind = KIND_LINK;
	assert_false(identity_is_stale(&id, &flow));
}

/* Disk lost and clock set back: everything of ours in the network is ahead of us. */
static void f5_a_lost_disk_is_jumped_over(void **state)
{
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 100, 5);
	assert_int_equal(judge(&id, own(KIND_PEER, 1000, 3, "p"), NULL, 99, 0), IDENTITY_JUMP);
	assert_int_equal(id.generation, 1001);
	assert_int_equal(judge(&id, own(KIND_LINK, 1000, 3, "l"), NULL, 0, 0), IDENTITY_ANSWER);
	assert_int_equal(id.jumps, 1);
	assert_false(id.silent);
}

/* The same, with a link arriving before the peer entry that says whose it is. */
static void f5_what_names_no_instance_waits_for_the_peer_entry(void **state)
{
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 100, 5);
	assert_int_equal(judge(&id, own(KIND_LINK, 1000, 3, "l"), NULL, 0, 0), IDENTITY_WAIT);
	assert_true(identity_waits(&id));
	assert_int_equal(id.generation, 5);
	assert_false(identity_tick(&id, at(9999)));
	assert_int_equal(judge(&id, own(KIND_PEER, 1000, 3, "p"), NULL, 99, 1), IDENTITY_JUMP);
	assert_int_equal(id.generation, 1001);
	assert_false(identity_waits(&id));
	assert_int_equal(identity_deadline(&id).ms, MONO_NEVER.ms);
	/* Above again, and it was jumped over: alive, once it says so itself.  Ours is higher. */
	assert_int_equal(judge(&id, own(KIND_LINK, 1002, 3, "l"), NULL, 0, 1), IDENTITY_WAIT);
	assert_false(id.silent);
	assert_int_equal(judge(&id, own(KIND_PEER, 1002, 3, "p"), NULL, 99, 2), IDENTITY_SILENT);
	assert_int_equal(id.duplicate, 99);
	assert_int_equal(id.jumps, 1);
}

/* A link of one former life must not be laid to another that was jumped over: nobody lives. */
static void f5_two_former_lives_are_no_live_one(void **state)
{
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 300, 5);
	assert_int_equal(judge(&id, own(KIND_PEER, 100, 1, "p"), NULL, 98, 0), IDENTITY_JUMP);
	assert_int_equal(judge(&id, own(KIND_LINK, 200, 1, "l"), NULL, 0, 0), IDENTITY_WAIT);
	assert_int_equal(judge(&id, own(KIND_PEER, 200, 1, "p"), NULL, 99, 1), IDENTITY_JUMP);
	assert_true(!id.silent && id.duplicate == 0 && id.generation == 201);
}

/* A writer that died between link and peer entry: no peer entry ever comes, and a liar likewise.
 * What goes on coming does not put the end off. */
static void f5_jumps_over_nobody_are_few(void **state)
{
	struct identity id;
	uint64_t generation = 1000;
	uint32_t jumped = 0;

	(void)state;
	identity_init(&id, SELF, 100, 5);
	for (uint64_t s = 0; s < 60; s++) {
		judge(&id, own(KIND_LINK, generation += 10, 1, "l"), NULL, 0, s);
		if (identity_tick(&id, at(s * 1000))) {
			jumped++;
			assert_int_equal(id.generation, generation + 1);
		}
	}
	assert_int_equal(jumped, 5);
	assert_int_equal(id.jumps, 5);
	/* The peer entry from what was jumped over last comes late: its instance was jumped over.
	 */
	judge(&id, own(KIND_PEER, id.blind_from, 1, "p"), NULL, 50, 61);
	assert_int_equal(judge(&id, own(KIND_PEER, generation + 50, 1, "p"), NULL, 50, 61),
			 IDENTITY_SILENT);
}

/* A neighbour closes a connection in favour of another one of our name, again and again. */
static void f5_news_without_an_entry_count_as_well(void **state)
{
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 100, 5);
	assert_int_equal(identity_meet(&id, 100, 9, at(0)), IDENTITY_OURS);
	assert_int_equal(identity_meet(&id, 50, 4, at(0)), IDENTITY_OURS);
	assert_int_equal(identity_meet(&id, 50, 5, at(0)), IDENTITY_JUMP);
	assert_int_equal(id.generation, 6);
	assert_int_equal(identity_meet(&id, 200, 6, at(0)), IDENTITY_JUMP);
	assert_int_equal(identity_meet(&id, 200, 8, at(0)), IDENTITY_JUMP);
	assert_true(id.duplicate == 200 && id.generation == 9);
	assert_int_equal(identity_meet(&id, 50, 10, at(0)), IDENTITY_SILENT);
	assert_int_equal(identity_meet(&id, 50, 20, at(0)), IDENTITY_SILENT);
	assert_true(identity_tick(&id, at(60000)));
	assert_int_equal(id.generation, 21);
}

/* Two live routers with one name, each publishing peer entry and links after each jump. */
struct twin {
	struct identity id;
	uint64_t published; /* generation last seen by the other */
};

/* 'a' hears what 'b' last published; true when it did something. */
static bool hear(struct twin *a, const struct twin *b, bool link_first, uint64_t now_s)
{
	/* Peer entries differ, if in nothing else, in the instance. */
	const char *of_a = a->id.instance == 100 ? "100" : "200";
	const char *of_b = b->id.instance == 100 ? "100" : "200";
	struct entry_view mine_p = own(KIND_PEER, a->published, 1, of_a);
	struct entry_view mine_l = own(KIND_LINK, a->published, 1, "l");
	uint32_t jumps = a->id.jumps;
	bool was_silent = a->id.silent;

	if (link_first)
		judge(&a->id, own(KIND_LINK, b->published, 1, "l"), &mine_l, 0, now_s);
	judge(&a->id, own(KIND_PEER, b->published, 1, of_b), &mine_p, b->id.instance, now_s);
	if (!link_first)
		judge(&a->id, own(KIND_LINK, b->published, 1, "l"), &mine_l, 0, now_s);
	if (!a->id.silent)
		a->published = a->id.generation;
	return a->id.jumps != jumps || a->id.silent != was_silent;
}

static void two_live_twins(bool link_first, uint64_t first, uint64_t second)
{
	struct twin low = { .published = first }, high = { .published = second };
	int rounds = 0;
	bool busy = true;

	identity_init(&low.id, SELF, 100, first);
	identity_init(&high.id, SELF, 200, second);
	while (busy && ++rounds < 20) {
		busy = hear(&low, &high, link_first, 1);
		busy |= hear(&high, &low, link_first, 1);
	}
	assert_true(rounds < 20);
	assert_true(low.id.jumps + high.id.jumps < 5);
	assert_true(high.id.silent && !low.id.silent);
	assert_true(low.published > high.published);
	assert_int_equal(high.id.duplicate, 100);
	/* A minute later: one try, one answer, quiet again; now at the latest both know. */
	assert_false(identity_tick(&high.id, at(60000)));
	assert_true(identity_tick(&high.id, at(61000)));
	high.published = high.id.generation;
	assert_true(high.published > low.published);
	for (rounds = 0, busy = true; busy && rounds < 20; rounds++) {
		busy = hear(&low, &high, link_first, 61);
		busy |= hear(&high, &low, link_first, 61);
	}
	assert_true(high.id.silent && !low.id.silent && low.published > high.published);
	assert_int_equal(low.id.duplicate, 200);
	/* The low one leaves: at the next try the high one has the name for itself. */
	assert_true(identity_tick(&high.id, at(122000)));
	assert_false(high.id.silent);
	assert_true(high.id.generation > low.published);
}

static void f5_two_live_peers_of_one_name_come_to_rest(void **state)
{
	(void)state;
	for (int link_first = 0; link_first < 2; link_first++) {
		two_live_twins(link_first, 10, 20);
		two_live_twins(link_first, 20, 10);
		two_live_twins(link_first, 10, 10);
	}
}

static void the_one_that_stays_forgets_the_other(void **state)
{
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 100, 5);
	judge(&id, own(KIND_PEER, 10, 1, "p"), NULL, 200, 1);
	assert_int_equal(judge(&id, own(KIND_PEER, 12, 1, "p"), NULL, 200, 1), IDENTITY_JUMP);
	assert_int_equal(id.duplicate, 200);
	/* However loud the other one: it is not answered at gossip speed. */
	for (unsigned i = 0; i < 100; i++)
		judge(&id, own(KIND_PEER, 20 + i, 1, "p"), NULL, 200, 2);
	assert_int_equal(id.jumps, 2);
	assert_int_equal(identity_deadline(&id).ms, 1000 + IDENTITY_STAY_MS);
	assert_false(identity_tick(&id, at(30999)));
	assert_true(identity_tick(&id, at(31000)));
	assert_int_equal(id.generation, 120);
	identity_tick(&id, at(120000));
	assert_int_equal(id.duplicate, 200);
	identity_tick(&id, at(122000));
	assert_int_equal(id.duplicate, 0);
}

static void silence_is_kept(void **state)
{
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 300, 5);
	judge(&id, own(KIND_PEER, 10, 1, "p"), NULL, 200, 1);
	assert_int_equal(judge(&id, own(KIND_PEER, 12, 1, "p"), NULL, 200, 1), IDENTITY_SILENT);
	assert_int_equal(judge(&id, own(KIND_LINK, 3, 1, "l"), NULL, 0, 1), IDENTITY_SILENT);
	assert_int_equal(judge(&id, own(KIND_PEER, 50, 1, "p"), NULL, 400, 1), IDENTITY_SILENT);
	assert_int_equal(id.jumps, 1);
	assert_true(identity_tick(&id, at(61000)));
	assert_int_equal(id.generation, 51);
}

/* No number from outside may lock us out or make us publish what nobody may decode. */
static void f5_the_highest_numbers_do_not_lock_us_out(void **state)
{
	const uint64_t top = VERSION_LIMIT - 1;
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 100, 5);
	assert_int_equal(judge(&id, own(KIND_LINK, 5, top, "l"), NULL, 0, 0), IDENTITY_WAIT);
	assert_true(identity_tick(&id, at(IDENTITY_WAIT_MS)));
	assert_int_equal(id.generation, 6);
	assert_int_equal(judge(&id, own(KIND_PEER, top, 9, "p"), NULL, 99, 0), IDENTITY_JUMP);
	assert_int_equal(id.generation, top);
	assert_int_equal(judge(&id, own(KIND_PEER, top, 9, "p"), NULL, 99, 0), IDENTITY_ANSWER);
	judge(&id, own(KIND_PEER, top, top, "p"), NULL, 99, 0);
	identity_tick(&id, at(UINT64_MAX / 2));
	assert_int_equal(id.generation, top);
}

static void other_kinds_are_not_judged(void **state)
{
	static const uint8_t kinds[] = { KIND_VOTE, KIND_RUN, KIND_RETIRED, KIND_GONE, 200 };
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 100, 5);
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
		assert_int_equal(judge(&id, own(kinds[i], 999, 1, "v"), NULL, 0, 0), IDENTITY_OURS);
	assert_int_equal(id.generation, 5);
}

static void few_instances_are_remembered(void **state)
{
	struct identity id;

	(void)state;
	identity_init(&id, SELF, 1000, 5);
	for (uint64_t i = 1; i <= 3 * IDENTITY_FOREIGN_MAX; i++)
		assert_int_equal(judge(&id, own(KIND_PEER, 10 * i, 1, "p"), NULL, i, 0),
				 IDENTITY_JUMP);
	assert_int_equal(id.foreign_count, IDENTITY_FOREIGN_MAX);
	assert_int_equal(id.foreign[0], 2 * IDENTITY_FOREIGN_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echoes_are_ours),
		cmocka_unit_test(former_lives_are_overruled),
		cmocka_unit_test(f6_what_comes_back_is_killed_by_its_writer),
		cmocka_unit_test(a_restart_drops_no_flow),
		cmocka_unit_test(f5_a_lost_disk_is_jumped_over),
		cmocka_unit_test(f5_what_names_no_instance_waits_for_the_peer_entry),
		cmocka_unit_test(f5_two_former_lives_are_no_live_one),
		cmocka_unit_test(f5_news_without_an_entry_count_as_well),
		cmocka_unit_test(f5_jumps_over_nobody_are_few),
		cmocka_unit_test(f5_two_live_peers_of_one_name_come_to_rest),
		cmocka_unit_test(the_one_that_stays_forgets_the_other),
		cmocka_unit_test(silence_is_kept),
		cmocka_unit_test(f5_the_highest_numbers_do_not_lock_us_out),
		cmocka_unit_test(other_kinds_are_not_judged),
		cmocka_unit_test(few_instances_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
