/* The first ring, all interleavings: N peers vote, sync, publish, hear each other's votes one by
 *one, crash before and after each of that, and start again.  Breadth first over all reachable
 *states.
 *
 * What a set of votes decides is asked of vote.c itself, for every set there is.  A peer may act at
 * any time: whom it sees and when its turn comes only ever delay a vote.  It votes for the leading
 * proposal of those that it has heard, or proposes itself.  Whoever decides has a ring for ever; no
 * two may have different ones.  The rules are then broken one at a time: each time two must.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../budget.h"
#include "../../../ipam/vote.h"

#define PEERS_MAX_HERE 4u
#define NOBODY 0u

/* What is broken on purpose. */
enum {
	PUBLISH_EARLY = 1,  /* before the vote is durable */
	LOSE_DISKS = 2,	    /* one may forget its vote (V5) */
	SEEN_RIVALS = 4,    /* proposals that nobody has seen do not count (V1) */
	NOT_SYNCED = 8,	    /* a crash forgets a published vote: it was never durable */
	MAJORITY_LEAD = 16, /* whoever leads has won */
};

/* A vote is 0 (none) or the number of the proposer, from 1. */
struct peer {
	uint8_t vote, durable;
	uint8_t published;	       /* bit per vote of ours that others may hear, now or later */
	uint8_t heard[PEERS_MAX_HERE]; /* of each voter, our own when it is published */
	bool lost;
};

struct state {
	struct peer peers[PEERS_MAX_HERE];
	uint8_t decided; /* somebody's ring: proposer */
};

__extension__ typedef unsigned __int128 wide;

struct key {
	uint64_t a, b;
};

struct explorer {
	unsigned n, broken;
	uint8_t winner[625], leading[625]; /* by the votes heard */
	struct key *seen;
	size_t seen_room, seen_count;
	struct state *queue;
	size_t head, tail, room;
	uint64_t states;
	bool violated;
};

/* ---- what vote.c says of each set of votes ---- */

static uint32_t number_of_votes(const uint8_t *votes, unsigned n)
{
	uint32_t number = 0;

	for (unsigned v = n; v-- > 0;)
		number = number * 5 + votes[v];
	return number;
}

static struct vote vote_of(unsigned voter, unsigned proposer, unsigned n)
{
	struct owner all[PEERS_MAX_HERE];
	struct vote vote = { .voter = { voter + 1, 1 }, .electors = n };

	for (unsigned k = 0; k < n; k++)
		all[k] = (struct owner){ k + 1, 1 };
	proposal_make(&vote.proposal, (struct owner){ proposer, 1 }, all, n);
	return vote;
}

static uint8_t lead_of(const uint8_t *votes, unsigned n, unsigned *margin)
{
	unsigned counts[PEERS_MAX_HERE + 1] = { 0 }, best = NOBODY, second = 0;

	for (unsigned v = 0; v < n; v++)
		counts[votes[v]]++;
	for (unsigned p = 1; p <= n; p++)
		if (counts[p] && (best == NOBODY || counts[p] > counts[best]))
			best = p;
	for (unsigned p = 1; p <= n; p++)
		if (p != best && counts[p] > second)
			second = counts[p];
	*margin = best == NOBODY ? 0 : counts[best] - second;
	return (uint8_t)best;
}

/* The broken ones in a few lines of our own. */
static uint8_t broken_winner(const struct explorer *e, const uint8_t *votes, unsigned unseen,
			     uint8_t right)
{
	unsigned margin;
	uint8_t lead = lead_of(votes, e->n, &margin);

	if (e->broken & MAJORITY_LEAD)
		return lead;
	if (e->broken & SEEN_RIVALS && lead != NOBODY)
		return margin >= unseen ? lead : NOBODY;
	return right;
}

static void ask_vote_c(struct explorer *e, const uint8_t *votes)
{
	uint32_t number = number_of_votes(votes, e->n);
	struct ballot b = { 0 };
	unsigned unseen = 0;
	struct tally t;

	for (unsigned v = 0; v < e->n; v++) {
		struct vote vote;

		unseen += !votes[v];
		if (!votes[v])
			continue;
		vote = vote_of(v, votes[v], e->n);
		MUST(ballot_add(&b, &vote));
	}
	ballot_tally(&b, e->n, &t);
	e->leading[number] = t.leading ? (uint8_t)t.leading->proposer.name : NOBODY;
	e->winner[number] = t.state == TALLY_WON ? (uint8_t)t.winner->proposer.name : NOBODY;
	e->winner[number] = broken_winner(e, votes, unseen, e->winner[number]);
	ballot_fini(&b);
}

static void ask_all(struct explorer *e)
{
	uint8_t votes[PEERS_MAX_HERE] = { 0 };
	unsigned v = 0;

	while (v < e->n) {
		ask_vote_c(e, votes);
		for (v = 0; v < e->n && ++votes[v] > e->n; v++)
			votes[v] = 0;
	}
}

/* ---- states ---- */

static struct key pack(const struct explorer *e, const struct state *s)
{
	wide v = s->decided + 1u; /* never 0 */

	for (unsigned n = 0; n < e->n; n++) {
		const struct peer *p = &s->peers[n];

		v = v << 3 | p->vote;
		v = v << 3 | p->durable;
		v = v << 4 | p->published >> 1;
		v = v << 1 | p->lost;
		for (unsigned k = 0; k < e->n; k++)
			v = v << 3 | p->heard[k];
	}
	return (struct key){ (uint64_t)(v >> 64), (uint64_t)v };
}

static bool insert(struct key *table, size_t room, struct key k)
{
	uint64_t z = k.a * 0x9e3779b97f4a7c15u ^ (k.b + 0x632be59bd9b4e019u);
	size_t at;

	z = (z ^ z >> 29) * 0xbf58476d1ce4e5b9u;
	at = (z ^ z >> 32) & (room - 1);
	for (; table[at].a || table[at].b; at = (at + 1) & (room - 1))
		if (table[at].a == k.a && table[at].b == k.b)
			return false;
	table[at] = k;
	return true;
}

static void grow(struct explorer *e)
{
	struct key *old = e->seen;
	size_t room = e->seen_room;

	e->seen_room = room ? room * 2 : 1u << 16;
	e->seen = mem_new(e->seen_room, sizeof *e->seen);
	for (size_t n = 0; n < room; n++)
		if (old[n].a || old[n].b)
			insert(e->seen, e->seen_room, old[n]);
	mem_free(old);
}

static void decide(struct explorer *e, struct state *s)
{
	for (unsigned n = 0; n < e->n; n++) {
		const struct peer *p = &s->peers[n];
		uint8_t w = e->winner[number_of_votes(p->heard, e->n)];

		if (w == NOBODY)
			continue;
		if (s->decided != NOBODY && s->decided != w)
			e->violated = true;
		s->decided = w;
	}
}

static void found(struct explorer *e, const struct state *from)
{
	struct state s = *from;

	decide(e, &s);
	if (e->seen_count * 2 >= e->seen_room)
		grow(e);
	if (!insert(e->seen, e->seen_room, pack(e, &s)))
		return;
	e->seen_count++;
	if (e->tail == e->room) {
		memmove(e->queue, e->queue + e->head, (e->tail - e->head) * sizeof *e->queue);
		e->tail -= e->head;
		e->head = 0;
		if (e->tail * 2 > e->room) {
			e->room *= 2;
			e->queue = mem_resize(e->queue, e->room, sizeof *e->queue);
		}
	}
	e->queue[e->tail++] = s;
}

/* ---- events ---- */

static void publish(struct state *s, unsigned n)
{
	struct peer *p = &s->peers[n];

	p->published |= (uint8_t)(1u << p->vote);
	/* The first one heard stays: votes are immutable. */
	if (!p->heard[n])
		p->heard[n] = p->vote;
}

static void votes(struct explorer *e, const struct state *s, unsigned n)
{
	const struct peer *p = &s->peers[n];
	struct state next = *s;

	if (p->vote)
		return;
	next.peers[n].vote = e->leading[number_of_votes(p->heard, e->n)];
	if (!next.peers[n].vote)
		next.peers[n].vote = (uint8_t)(n + 1);
	if (e->broken & PUBLISH_EARLY)
		publish(&next, n);
	found(e, &next);
}

/* Others may hear it from now on; a crash before that is one after which they hear it late. */
static void syncs(struct explorer *e, const struct state *s, unsigned n)
{
	struct state next = *s;

	if (!s->peers[n].vote || s->peers[n].durable)
		return;
	next.peers[n].durable = s->peers[n].vote;
	publish(&next, n);
	found(e, &next);
}

/* Any vote that was ever published, of whatever life: gossip keeps them. */
static void hears(struct explorer *e, const struct state *s, unsigned n)
{
	for (unsigned k = 0; k < e->n; k++)
		for (unsigned vote = 1; vote <= e->n; vote++) {
			struct state next = *s;

			if (s->peers[n].heard[k] || !(s->peers[k].published & 1u << vote))
				continue;
			next.peers[n].heard[k] = (uint8_t)vote;
			found(e, &next);
		}
}

/* And starts again; one that stays down is one that nothing happens to any more. */
static void crashes(struct explorer *e, const struct state *s, unsigned n)
{
	struct state next = *s;
	struct peer *p = &next.peers[n];

	memset(p->heard, 0, sizeof p->heard);
	if (e->broken & NOT_SYNCED)
		p->durable = 0;
	p->vote = p->heard[n] = p->durable;
	found(e, &next);
	for (unsigned k = 0; k < e->n; k++)
		if (s->peers[k].lost || !(e->broken & LOSE_DISKS))
			return;
	p->vote = p->durable = p->heard[n] = 0;
	p->lost = true;
	found(e, &next);
}

static void expand(struct explorer *e, const struct state *s)
{
	for (unsigned n = 0; n < e->n; n++) {
		crashes(e, s, n);
		votes(e, s, n);
		syncs(e, s, n);
		hears(e, s, n);
	}
}

static void explore(struct explorer *e)
{
	struct state first = { .decided = NOBODY };

	ask_all(e);
	e->room = 1u << 12;
	e->queue = mem_new(e->room, sizeof *e->queue);
	found(e, &first);
	while (e->head < e->tail && !e->violated) {
		struct state s = e->queue[e->head++];

		e->states++;
		expand(e, &s);
	}
	mem_free(e->seen);
	mem_free(e->queue);
}

/* ---- tests ---- */

static void no_two_winners(void **state)
{
	unsigned last = tests_run_again() ? PEERS_MAX_HERE - 1 : PEERS_MAX_HERE;

	(void)state;
	for (unsigned n = 1; n <= last; n++) {
		struct explorer *e = mem_new(1, sizeof *e);

		e->n = n;
		explore(e);
		print_message("N=%u: %llu states, no two winners\n", n,
			      (unsigned long long)e->states);
		assert_false(e->violated);
		mem_free(e);
	}
}

static void is_caught(unsigned broken, const char *what)
{
	uint64_t least = 0;

	for (unsigned n = 2; n <= PEERS_MAX_HERE && !least; n++) {
		struct explorer *e = mem_new(1, sizeof *e);

		e->n = n;
		e->broken = broken;
		explore(e);
		if (e->violated) {
			least = e->states;
			print_message("%s: two winners with N=%u after %llu states\n", what, n,
				      (unsigned long long)least);
		}
		mem_free(e);
	}
	assert_true(least > 0);
}

static void published_before_it_is_durable(void **state)
{
	(void)state;
	is_caught(PUBLISH_EARLY, "published before it is durable");
}

static void v5_a_lost_disk(void **state)
{
	(void)state;
	is_caught(LOSE_DISKS, "a lost disk (V5)");
}

static void v1_only_seen_rivals_count(void **state)
{
	(void)state;
	is_caught(SEEN_RIVALS, "only seen rivals count (V1)");
}

static void never_synced(void **state)
{
	(void)state;
	is_caught(NOT_SYNCED, "a vote that no crash survives");
}

static void whoever_leads_wins(void **state)
{
	(void)state;
	is_caught(MAJORITY_LEAD, "whoever leads wins");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_winners), cmocka_unit_test(published_before_it_is_durable),
		cmocka_unit_test(v5_a_lost_disk), cmocka_unit_test(v1_only_seen_rivals_count),
		cmocka_unit_test(never_synced),	  cmocka_unit_test(whoever_leads_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
