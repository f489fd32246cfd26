#include "vote.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "universe.h"

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

int proposal_compare(const struct proposal *a, const struct proposal *b)
{
	int c = owner_compare(b->proposer, a->proposer);

	if (!c)
		c = order(b->seeds_count, a->seeds_count);
	for (uint32_t i = 0; !c && i < a->seeds_count; i++)
		c = owner_compare(b->seeds[i], a->seeds[i]);
	return c;
}

/* ---- the set ---- */

void ballot_fini(struct ballot *b)
{
	for (size_t i = 0; i < b->count; i++)
		mem_free(b->votes[i]);
	mem_free(b->votes);
	*b = (struct ballot){ 0 };
}

static size_t place_of(const struct ballot *b, struct owner voter)
{
	size_t i = 0;

	while (i < b->count && owner_compare(b->votes[i]->voter, voter) < 0)
		i++;
	return i;
}

bool ballot_add(struct ballot *b, const struct vote *vote)
{
	size_t at = place_of(b, vote->voter);

	if (b->count == BALLOT_VOTES_MAX ||
	    (at < b->count && owner_equal(b->votes[at]->voter, vote->voter)))
		return false;
	if (b->count == b->room) {
		b->room = b->room ? b->room * 2 : 8;
		b->votes = mem_resize(b->votes, b->room, sizeof(struct vote *));
	}
	memmove(&b->votes[at + 1], &b->votes[at], (b->count - at) * sizeof b->votes[0]);
	b->votes[at] = mem_copy(vote, sizeof *vote);
	b->count++;
	return true;
}

bool ballot_has(const struct ballot *b, peer_name name)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->votes[i]->voter.name == name)
			return true;
	return false;
}

/* ---- counting ---- */

/* One vote per name; a name that voted from two stores lost a disk, and which of its votes others
 * have counted cannot be known. */
static bool counts(const struct ballot *b, size_t i)
{
	peer_name name = b->votes[i]->voter.name;

	return (i == 0 || b->votes[i - 1]->voter.name != name) &&
	       (i + 1 == b->count || b->votes[i + 1]->voter.name != name);
}

static uint32_t votes_for(const struct ballot *b, uint32_t electors, const struct proposal *p)
{
	uint32_t n = 0;

	for (size_t i = 0; i < b->count; i++)
		if (counts(b, i) && b->votes[i]->electors == electors &&
		    proposal_compare(&b->votes[i]->proposal, p) == 0)
			n++;
	return n;
}

static void look_over(const struct ballot *b, uint32_t electors, struct tally *t, uint32_t *counted)
{
	peer_name last = PEER_NAME_NONE;

	*counted = 0;
	for (size_t i = 0; i < b->count; i++) {
		if (b->votes[i]->electors != electors) {
			t->others++;
			continue;
		}
		if (b->votes[i]->voter.name != last)
			t->voters++;
		last = b->votes[i]->voter.name;
		if (counts(b, i))
			++*counted;
	}
	t->state = t->voters == 0	  ? TALLY_NOTHING
		   : t->voters > electors ? TALLY_TOO_MANY
					  : TALLY_UNDECIDED;
}

/* The best and the second best number of votes; 'second' is 0 when there is one proposal only. */
static void rank(const struct ballot *b, uint32_t electors, struct tally *t, uint32_t *best,
		 uint32_t *second)
{
	*best = *second = 0;
	for (size_t i = 0; i < b->count; i++) {
		const struct proposal *p = &b->votes[i]->proposal;
		uint32_t n = votes_for(b, electors, p);
		int c = t->leading ? proposal_compare(p, t->leading) : 1;

		if (c == 0 || b->votes[i]->electors != electors)
			continue;
		if (!t->leading || n > *best || (n == *best && c > 0)) {
			*second = *best;
			*best = n;
			t->leading = p;
		} else if (n > *second) {
			*second = n;
		}
	}
}

void ballot_tally(const struct ballot *b, uint32_t electors, struct tally *tally)
{
	uint32_t counted, best, second;

	*tally = (struct tally){ .state = TALLY_NOTHING };
	look_over(b, electors, tally, &counted);
	rank(b, electors, tally, &best, &second);
	tally->unseen = electors > counted ? electors - counted : 0;
	if (tally->state != TALLY_UNDECIDED)
		return;
	/* A proposal that nobody has seen has 0 votes, and could get all that are missing. */
	if (tally->unseen == 0 || best - second > tally->unseen) {
		tally->state = TALLY_WON;
		tally->winner = tally->leading;
	}
}

/* ---- proposals and ring ids ---- */

size_t owners_sort(struct owner *owners, size_t count)
{
	size_t kept = 0;

	/* Insertion: lists are short and mostly in order. */
	for (size_t i = 1; i < count; i++) {
		struct owner o = owners[i];
		size_t j = i;

		for (; j > 0 && owner_compare(owners[j - 1], o) > 0; j--)
			owners[j] = owners[j - 1];
		owners[j] = o;
	}
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || owners[kept - 1].name != owners[i].name)
			owners[kept++] = owners[i];
	return kept;
}

void proposal_make(struct proposal *p, struct owner proposer, const struct owner *visible,
		   size_t visible_count)
{
	struct owner *sorted = mem_copy(visible, visible_count * sizeof *visible);
	size_t count = owners_sort(sorted, visible_count);

	MUST(count > 0);
	*p = (struct proposal){ .proposer = proposer };
	p->seeds_count = count < IPAM_ELECTORS_MAX ? (uint32_t)count : IPAM_ELECTORS_MAX;
	memcpy(p->seeds, sorted, p->seeds_count * sizeof *sorted);
	mem_free(sorted);
}

static void write_owners(struct writer *w, const struct owner *owners, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		write_u64(w, owners[i].name);
		write_u64(w, owners[i].store_id);
	}
}

static uint64_t ring_id(const struct universe *u, uint8_t origin, const struct owner *proposer,
			const struct owner *seeds, size_t seeds_count)
{
	static const struct hash_key published = { 0x776561766572696eu, 0x672d69642d763321u };
	uint8_t form[UNIVERSE_KEY_MAX + 1 + (IPAM_ELECTORS_MAX + 1) * 16];
	struct writer w = writer_over(form, sizeof form);
	uint64_t id;

	universe_write(u, &w);
	write_u8(&w, origin);
	if (proposer)
		write_owners(&w, proposer, 1);
	write_owners(&w, seeds, seeds_count);
	MUST(!w.full);
	id = hash64(&published, form, writer_size(&w));
	return id ? id : 1;
}

uint64_t proposal_ring_id(const struct universe *u, const struct proposal *p)
{
	return ring_id(u, 'v', &p->proposer, p->seeds, p->seeds_count);
}

uint64_t seed_ring_id(const struct universe *u, const struct owner *seeds, size_t seeds_count)
{
	return ring_id(u, 's', NULL, seeds, seeds_count);
}
