/* The first ring, from a set of votes that only grows: no rounds, no leader.
 *
 * Pure.  Each peer casts one immutable vote for a proposal: who proposes, and among whom the
 * universe is split.  Who has won is a function of the set of votes alone, such that two different
 * subsets of the votes of at most N voters never name two winners (control-plane.md 6.2; the
 * counter-examples V1 to V5 are in ipam-review.md and in tests/unit/ipam/test_vote.c):
 *
 *   X has won when count(X) - count(Y) > votes not yet seen, for every other proposal Y,
 *   including one that nobody has seen; when all N are seen: most votes, tie to the lower proposer.
 *
 * Guards, each of which only ever prevents a decision: more than N names have voted; a name with
 * two store ids (a lost disk, V5) counts as not yet seen.  A vote for another N is a vote in
 * another election: routers that are launched one after the other, each with those before it as its
 * peers, have N = 1, 2, 3 ..., and only the first can ever decide; election.c makes the others wait
 * for it.
 */
#ifndef WEAVE_IPAM_VOTE_H
#define WEAVE_IPAM_VOTE_H

#include <weave/ipam.h>

#include "ring.h"

struct proposal {
	struct owner proposer;
	uint32_t seeds_count; /* 1 .. IPAM_ELECTORS_MAX; sorted, no name twice */
	struct owner seeds[IPAM_ELECTORS_MAX];
};

struct vote {
	struct owner voter;
	uint32_t electors; /* N as the voter knows it */
	struct proposal proposal;
};

#define BALLOT_VOTES_MAX 1024u /* four times what can ever count: the rest is a fault to show */

/* All votes seen. Zeroed = none. */
struct ballot {
	struct vote **votes; /* owned; by voter */
	size_t count, room;
};

enum tally_state {
	TALLY_NOTHING,	 /* no votes at all */
	TALLY_UNDECIDED, /* 'unseen' votes are missing */
	TALLY_WON,
	TALLY_TOO_MANY, /* more than N names */
};

struct tally {
	enum tally_state state;
	const struct proposal *winner;	/* WON: borrowed from the ballot */
	const struct proposal *leading; /* most votes, tie to the lower proposer; NULL if none */
	uint32_t voters;		/* names that have voted */
	uint32_t unseen;
	uint32_t others; /* votes for another N */
};

/* > 0 when a comes before b: lower proposer, then what else is in it. */
int proposal_compare(const struct proposal *a, const struct proposal *b);

void ballot_fini(struct ballot *b);
/* False when that voter's vote is there already (the first stays: they are immutable) or the
 * ballot is full. */
bool ballot_add(struct ballot *b, const struct vote *vote);
bool ballot_has(const struct ballot *b, peer_name name);

/* Counts for N = 'electors'. O(votes * proposals). */
void ballot_tally(const struct ballot *b, uint32_t electors, struct tally *tally);

/* What somebody proposes who sees 'visible' (in any order, himself among them; lowest names go
 * first when there are too many). */
void proposal_make(struct proposal *p, struct owner proposer, const struct owner *visible,
		   size_t visible_count);

/* The ring that a proposal makes; never 0. */
uint64_t proposal_ring_id(const struct universe *u, const struct proposal *p);
/* The ring of seed=: the same for everybody who was told the same names. */
uint64_t seed_ring_id(const struct universe *u, const struct owner *seeds, size_t seeds_count);

/* Sorts by name and store id and drops repeated names; returns how many are left. */
size_t owners_sort(struct owner *owners, size_t count);

#endif
