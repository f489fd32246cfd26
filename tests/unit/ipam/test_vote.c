#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../../ipam/vote.h"
#include "../../budget.h"

enum { A = 0x0a, B = 0x0b, C = 0x0c, D = 0x0d };

static struct vote vote_of(struct owner voter, peer_name proposer, uint32_t electors)
{
	return (struct vote){
		.voter = voter,
		.electors = electors,
		.proposal = { .proposer = { proposer, 1 },
			      .seeds_count = 1,
			      .seeds = { { proposer, 1 } } },
	};
}

static void add(struct ballot *b, peer_name voter, peer_name proposer, uint32_t electors)
{
	struct vote v = vote_of((struct owner){ voter, 1 }, proposer, electors);

	assert_true(ballot_add(b, &v));
}

static struct tally tally(struct ballot *b, uint32_t electors)
{
	struct tally t;

	ballot_tally(b, electors, &t);
	return t;
}

static peer_name winner(struct ballot *b, uint32_t electors)
{
	struct tally t = tally(b, electors);

	return t.state == TALLY_WON ? t.winner->proposer.name : PEER_NAME_NONE;
}

static void nothing_is_decided_by_nothing(void **state)
{
	struct ballot b = { 0 };
	struct tally t = tally(&b, 3);

	(void)state;
	assert_int_equal(t.state, TALLY_NOTHING);
	assert_int_equal(t.unseen, 3);
	assert_null(t.leading);
	ballot_fini(&b);
}

static void a_lone_peer_decides_alone(void **state)
{
	struct ballot b = { 0 };

	(void)state;
	add(&b, A, A, 1);
	assert_int_equal(winner(&b, 1), A);
	ballot_fini(&b);
}

static void more_than_half_is_enough(void **state)
{
	struct ballot b = { 0 };

	(void)state;
	add(&b, A, A, 3);
	assert_int_equal(winner(&b, 3), 0);
	add(&b, B, A, 3);
	assert_int_equal(winner(&b, 3), A);
	ballot_fini(&b);
}

static void ties_go_to_the_lower_proposer(void **state)
{
	struct ballot b = { 0 };

	(void)state;
	add(&b, B, B, 2);
	add(&b, A, A, 2);
	assert_int_equal(winner(&b, 2), A);
	assert_int_equal(tally(&b, 2).leading->proposer.name, A);
	ballot_fini(&b);
}

static void votes_are_immutable(void **state)
{
	struct ballot b = { 0 };
	struct vote again = vote_of((struct owner){ A, 1 }, B, 2);

	(void)state;
	add(&b, A, A, 2);
	assert_false(ballot_add(&b, &again));
	assert_int_equal(tally(&b, 2).leading->proposer.name, A);
	ballot_fini(&b);
}

static void the_ballot_is_bounded(void **state)
{
	struct ballot b = { 0 };
	struct vote v;

	(void)state;
	for (uint32_t n = 0; n < BALLOT_VOTES_MAX; n++)
		add(&b, n + 1, A, 3);
	v = vote_of((struct owner){ 0xffff, 1 }, A, 3);
	assert_false(ballot_add(&b, &v));
	assert_int_equal(tally(&b, 3).state, TALLY_TOO_MANY);
	ballot_fini(&b);
}

/* V1: seeing its own vote only, A must not decide: B may have voted for itself, and both tie. */
static void v1_unseen_rivals_count(void **state)
{
	struct ballot b = { 0 };

	(void)state;
	add(&b, A, A, 2);
	assert_int_equal(winner(&b, 2), 0);
	ballot_fini(&b);
	/* N = 4, {A, B: A; C, D: C}. */
	add(&b, A, A, 4);
	add(&b, B, A, 4);
	assert_int_equal(winner(&b, 4), 0);
	add(&b, C, C, 4);
	assert_int_equal(winner(&b, 4), 0);
	add(&b, D, C, 4);
	assert_int_equal(winner(&b, 4), A);
	ballot_fini(&b);
}

/* V3: a third voter where two were expected: nobody who sees it decides, and it is said. */
static void v3_more_than_n_voters_are_reported(void **state)
{
	struct ballot b = { 0 };

	(void)state;
	add(&b, A, A, 2);
	add(&b, B, B, 2);
	add(&b, C, B, 2);
	assert_int_equal(tally(&b, 2).state, TALLY_TOO_MANY);
	assert_int_equal(tally(&b, 2).voters, 3);
	ballot_fini(&b);
}

/* V4: N = 3, A: A, B: B, C died: nobody can know.  The number of missing votes is told. */
static void v4_a_dead_voter_blocks_a_split_election(void **state)
{
	struct ballot b = { 0 };
	struct tally t;

	(void)state;
	add(&b, A, A, 3);
	add(&b, B, B, 3);
	t = tally(&b, 3);
	assert_int_equal(t.state, TALLY_UNDECIDED);
	assert_int_equal(t.unseen, 1);
	ballot_fini(&b);
}

/* V5: a name that voted from two stores counts as not seen: B may have counted the other vote. */
static void v5_a_lost_disk_votes_twice(void **state)
{
	struct ballot b = { 0 };
	struct vote second = vote_of((struct owner){ A, 2 }, C, 3);
	struct tally t;

	(void)state;
	add(&b, A, A, 3);
	add(&b, C, C, 3);
	assert_true(ballot_add(&b, &second));
	t = tally(&b, 3);
	assert_int_equal(t.state, TALLY_UNDECIDED);
	assert_int_equal(t.unseen, 2);
	assert_int_equal(t.voters, 2);
	assert_true(ballot_has(&b, A) && !ballot_has(&b, B));
	ballot_fini(&b);
}

static void a_vote_for_another_n_is_of_another_election(void **state)
{
	struct ballot b = { 0 };

	(void)state;
	add(&b, A, A, 3);
	add(&b, B, B, 2);
	add(&b, C, A, 3);
	assert_int_equal(winner(&b, 3), A);
	assert_int_equal(tally(&b, 3).others, 1);
	assert_int_equal(tally(&b, 2).state, TALLY_UNDECIDED);
	assert_int_equal(tally(&b, 2).unseen, 1);
	assert_int_equal(tally(&b, 4).state, TALLY_NOTHING);
	assert_null(tally(&b, 4).leading);
	ballot_fini(&b);
}

static void proposals_name_everybody_once_in_order(void **state)
{
	struct owner visible[] = { { C, 3 }, { A, 1 }, { B, 2 }, { A, 1 } };
	struct owner *many = mem_new(400, sizeof *many);
	struct proposal p;

	(void)state;
	proposal_make(&p, visible[0], visible, 4);
	assert_int_equal(p.seeds_count, 3);
	assert_true(p.seeds[0].name == A && p.seeds[1].name == B && p.seeds[2].name == C);
	for (size_t n = 0; n < 400; n++)
		many[n] = (struct owner){ 400 - n, 1 };
	proposal_make(&p, visible[0], many, 400);
	assert_int_equal(p.seeds_count, IPAM_ELECTORS_MAX);
	assert_int_equal(p.seeds[0].name, 1);
	mem_free(many);
}

static void ring_ids_tell_rings_apart(void **state)
{
	struct owner seeds[] = { { A, 0 }, { B, 0 } };
	struct universe u, other;
	struct proposal p, q;
	struct cidr c;
	struct why why;

	(void)state;
	assert_true(cidr_parse("10.32.0.0/12", &c));
	assert_true(universe_init(&u, c, &why));
	assert_true(cidr_parse("10.48.0.0/12", &c));
	assert_true(universe_init(&other, c, &why));
	proposal_make(&p, seeds[0], seeds, 2);
	q = p;
	assert_int_equal(proposal_ring_id(&u, &p), proposal_ring_id(&u, &q));
	assert_int_not_equal(proposal_ring_id(&u, &p), proposal_ring_id(&other, &p));
	q.proposer.store_id++;
	assert_int_not_equal(proposal_ring_id(&u, &p), proposal_ring_id(&u, &q));
	q = p;
	q.seeds_count = 1;
	assert_int_not_equal(proposal_ring_id(&u, &p), proposal_ring_id(&u, &q));
	assert_int_not_equal(proposal_ring_id(&u, &p), seed_ring_id(&u, seeds, 2));
	assert_int_not_equal(seed_ring_id(&u, seeds, 2), seed_ring_id(&u, seeds, 1));
}

/* ---- all vote assignments, all seen subsets ---- */

struct count {
	uint64_t evaluations, decisions;
};

/* Everybody's vote given (voter v for choice[v]); no two subsets of them may name two winners, a
 * subset that decided stays decided when more is seen, and the whole always decides. */
static void check_assignment(const unsigned *choice, unsigned n, struct count *count)
{
	peer_name decided = PEER_NAME_NONE;

	for (unsigned subset = 0; subset < 1u << n; subset++) {
		struct ballot b = { 0 };
		peer_name w;

		for (unsigned v = 0; v < n; v++)
			if (subset & 1u << v)
				add(&b, v + 1, choice[v] + 1, n);
		w = winner(&b, n);
		ballot_fini(&b);
		count->evaluations++;
		if (subset == (1u << n) - 1)
			assert_int_not_equal(w, PEER_NAME_NONE);
		if (!w)
			continue;
		count->decisions++;
		assert_true(!decided || decided == w);
		decided = w;
	}
}

static void all_votes_all_subsets(unsigned n)
{
	unsigned choice[6] = { 0 };
	struct count count = { 0, 0 };
	unsigned v = 0;

	while (v < n) {
		check_assignment(choice, n, &count);
		for (v = 0; v < n && ++choice[v] == n; v++)
			choice[v] = 0;
	}
	print_message("N=%u: %llu evaluations, %llu decisions, no two winners\n", n,
		      (unsigned long long)count.evaluations, (unsigned long long)count.decisions);
	assert_true(count.decisions > 0);
}

/* 3 million evaluations. */
static void exhaustive_up_to_six(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= (tests_run_again() ? 4 : 6); n++)
		all_votes_all_subsets(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_decided_by_nothing),
		cmocka_unit_test(a_lone_peer_decides_alone),
		cmocka_unit_test(more_than_half_is_enough),
		cmocka_unit_test(ties_go_to_the_lower_proposer),
		cmocka_unit_test(votes_are_immutable),
		cmocka_unit_test(the_ballot_is_bounded),
		cmocka_unit_test(v1_unseen_rivals_count),
		cmocka_unit_test(v3_more_than_n_voters_are_reported),
		cmocka_unit_test(v4_a_dead_voter_blocks_a_split_election),
		cmocka_unit_test(v5_a_lost_disk_votes_twice),
		cmocka_unit_test(a_vote_for_another_n_is_of_another_election),
		cmocka_unit_test(proposals_name_everybody_once_in_order),
		cmocka_unit_test(ring_ids_tell_rings_apart),
		cmocka_unit_test(exhaustive_up_to_six),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
