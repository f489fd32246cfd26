#include "space.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

/* A leaf holds 64 words of 64 offsets; a node above it 64 branches. */
#define LEAF_BITS 12u
#define BRANCH_BITS 6u

struct space_node {
	uint64_t any;	/* branches (leaf: words) in which something is used */
	uint64_t full;	/* in which everything is */
	uint64_t count; /* used below */
	union {
		struct space_node *branches[64];
		uint64_t words[64];
	} u;
};

void space_init(struct space *s, uint64_t size)
{
	*s = (struct space){ .size = size, .levels = 1 };
	while (size > UINT64_C(1) << (LEAF_BITS + BRANCH_BITS * (s->levels - 1)))
		s->levels++;
}

static void node_free(struct space_node *n, unsigned level)
{
	for (unsigned i = 0; n && level > 0 && i < 64; i++)
		node_free(n->u.branches[i], level - 1);
	mem_free(n);
}

void space_fini(struct space *s)
{
	node_free(s->root, s->levels - 1);
	mem_free(s->spare);
	mem_free(s->owned);
	*s = (struct space){ 0 };
}

/* ---- owned ---- */

/* Index of the first span that ends at or behind 'offset'. */
static size_t first_behind(const struct space *s, uint64_t offset)
{
	size_t low = 0, high = s->owned_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->owned[middle].end < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Puts 'new_count' spans in the place of those in [from, to). */
static void replace(struct space *s, size_t from, size_t to, const struct span *new,
		    size_t new_count)
{
	size_t count = s->owned_count - (to - from) + new_count;

	if (count > s->owned_room) {
		s->owned_room = count + count / 2 + 8;
		s->owned = mem_resize(s->owned, s->owned_room, sizeof(struct span));
	}
	for (size_t i = from; i < to; i++)
		s->owned_size -= s->owned[i].end - s->owned[i].start;
	for (size_t i = 0; i < new_count; i++)
		s->owned_size += new[i].end - new[i].start;
	if (s->owned_count > to)
		memmove(&s->owned[from + new_count], &s->owned[to],
			(s->owned_count - to) * sizeof *new);
	if (new_count)
		memcpy(&s->owned[from], new, new_count * sizeof *new);
	s->owned_count = count;
}

void space_own(struct space *s, struct span span)
{
	size_t from = first_behind(s, span.start), to = from;
	struct span joined = span;

	MUST(span.start < span.end && span.end <= s->size);
	for (; to < s->owned_count && s->owned[to].start <= span.end; to++) {
		if (s->owned[to].start < joined.start)
			joined.start = s->owned[to].start;
		if (s->owned[to].end > joined.end)
			joined.end = s->owned[to].end;
	}
	replace(s, from, to, &joined, 1);
}

void space_disown(struct space *s, struct span span)
{
	size_t from = first_behind(s, span.start + 1), to = from, count = 0;
	struct span left[2];

	MUST(span.start < span.end && span.end <= s->size);
	for (; to < s->owned_count && s->owned[to].start < span.end; to++) {
		struct span o = s->owned[to];

		if (o.start < span.start)
			left[count++] = (struct span){ o.start, span.start };
		if (o.end > span.end)
			left[count++] = (struct span){ span.end, o.end };
	}
	replace(s, from, to, left, count);
}

bool space_owns(const struct space *s, uint64_t offset)
{
	size_t i = first_behind(s, offset + 1);

	return i < s->owned_count && s->owned[i].start <= offset;
}

bool space_next_owned(const struct space *s, struct span within, struct span *owned)
{
	size_t i = first_behind(s, within.start + 1);

	if (within.start >= within.end || i == s->owned_count || s->owned[i].start >= within.end)
		return false;
	*owned = s->owned[i];
	if (owned->start < within.start)
		owned->start = within.start;
	if (owned->end > within.end)
		owned->end = within.end;
	return true;
}

/* ---- used ---- */

static unsigned shift_of(unsigned level)
{
	return level ? LEAF_BITS + BRANCH_BITS * (level - 1) : BRANCH_BITS;
}

static unsigned branch_of(uint64_t offset, unsigned level)
{
	return (unsigned)(offset >> shift_of(level)) & 63u;
}

static uint64_t bit(unsigned i)
{
	return UINT64_C(1) << i;
}

static struct space_node *new_node(struct space *s, unsigned level)
{
	struct space_node *n = level ? NULL : s->spare;

	if (!n)
		return mem_new(1, sizeof *n);
	s->spare = NULL;
	return n;
}

/* An empty node is all zeroes, so a leaf can be used again as it is. */
static void drop_node(struct space *s, struct space_node *n, unsigned level)
{
	if (level == 0 && !s->spare)
		s->spare = n;
	else
		mem_free(n);
}

static bool use(struct space *s, struct space_node *n, unsigned level, uint64_t offset)
{
	unsigned b = branch_of(offset, level);
	bool full;

	if (level == 0) {
		if (n->u.words[b] & bit(offset & 63))
			return false;
		n->u.words[b] |= bit(offset & 63);
		full = n->u.words[b] == UINT64_MAX;
	} else {
		if (!n->u.branches[b])
			n->u.branches[b] = new_node(s, level - 1);
		if (!use(s, n->u.branches[b], level - 1, offset))
			return false;
		full = n->u.branches[b]->full == UINT64_MAX;
	}
	n->count++;
	n->any |= bit(b);
	if (full)
		n->full |= bit(b);
	return true;
}

bool space_use(struct space *s, uint64_t offset)
{
	MUST(offset < s->size);
	if (!s->root)
		s->root = new_node(s, s->levels - 1);
	if (!use(s, s->root, s->levels - 1, offset))
		return false;
	s->used_count++;
	return true;
}

static bool release(struct space *s, struct space_node *n, unsigned level, uint64_t offset)
{
	unsigned b = branch_of(offset, level);
	bool empty;

	if (!(n->any & bit(b)))
		return false;
	if (level == 0) {
		if (!(n->u.words[b] & bit(offset & 63)))
			return false;
		n->u.words[b] &= ~bit(offset & 63);
		empty = n->u.words[b] == 0;
	} else {
		if (!release(s, n->u.branches[b], level - 1, offset))
			return false;
		empty = n->u.branches[b]->count == 0;
		if (empty) {
			drop_node(s, n->u.branches[b], level - 1);
			n->u.branches[b] = NULL;
		}
	}
	n->count--;
	n->full &= ~bit(b);
	if (empty)
		n->any &= ~bit(b);
	return true;
}

bool space_release(struct space *s, uint64_t offset)
{
	MUST(offset < s->size);
	if (!s->root || !release(s, s->root, s->levels - 1, offset))
		return false;
	s->used_count--;
	return true;
}

bool space_is_used(const struct space *s, uint64_t offset)
{
	const struct space_node *n = s->root;

	MUST(offset < s->size);
	for (unsigned level = s->levels - 1; n && level > 0; level--)
		n = n->u.branches[branch_of(offset, level)];
	return n && n->u.words[branch_of(offset, 0)] & bit(offset & 63);
}

/* First offset >= 'from' below this node that is used (or is not), or UINT64_MAX.  Offsets are
 * relative to the node. */
static uint64_t next(const struct space_node *n, unsigned level, uint64_t from, bool used)
{
	unsigned shift = shift_of(level);
	unsigned b = (unsigned)(from >> shift);
	uint64_t below = from & (bit(shift) - 1), found, mask;

	if (!n)
		return used ? UINT64_MAX : from;
	if (b > 63)
		return UINT64_MAX;
	mask = (used ? n->any : ~n->full) & (UINT64_MAX << b);
	while (mask) {
		unsigned i = (unsigned)__builtin_ctzll(mask);

		if (i != b)
			below = 0;
		if (level == 0) {
			uint64_t word = used ? n->u.words[i] : ~n->u.words[i];

			word &= UINT64_MAX << below;
			found = word ? (uint64_t)__builtin_ctzll(word) : UINT64_MAX;
		} else {
			found = next(n->u.branches[i], level - 1, below, used);
		}
		if (found != UINT64_MAX)
			return ((uint64_t)i << shift) + found;
		mask &= mask - 1;
	}
	return UINT64_MAX;
}

static uint64_t next_in(const struct space *s, struct span within, bool used)
{
	uint64_t at = within.start < within.end ? next(s->root, s->levels - 1, within.start, used)
						: within.end;

	return at < within.end ? at : within.end;
}

bool space_next_used(const struct space *s, struct span within, uint64_t *offset)
{
	*offset = next_in(s, within, true);
	return *offset < within.end;
}

/* Used offsets below 'end', relative to the node. */
static uint64_t count_below(const struct space_node *n, unsigned level, uint64_t end)
{
	unsigned shift = shift_of(level);
	uint64_t b = end >> shift, rest = end & (bit(shift) - 1), count = 0;

	if (!n)
		return 0;
	if (b > 63)
		return n->count;
	for (uint64_t mask = n->any & (bit((unsigned)b) - 1); mask; mask &= mask - 1) {
		unsigned i = (unsigned)__builtin_ctzll(mask);

		count += level ? n->u.branches[i]->count
			       : (uint64_t)__builtin_popcountll(n->u.words[i]);
	}
	if (level)
		return count + count_below(n->u.branches[b], level - 1, rest);
	return count + (uint64_t)__builtin_popcountll(n->u.words[b] & (bit((unsigned)rest) - 1));
}

uint64_t space_used(const struct space *s, struct span within)
{
	if (within.start >= within.end)
		return 0;
	return count_below(s->root, s->levels - 1, within.end) -
	       count_below(s->root, s->levels - 1, within.start);
}

/* ---- free ---- */

bool space_lowest_free(const struct space *s, struct span within, uint64_t *offset)
{
	struct span o;

	for (; space_next_owned(s, within, &o); within.start = o.end) {
		*offset = next_in(s, o, false);
		if (*offset < o.end)
			return true;
	}
	return false;
}

uint64_t space_free(const struct space *s, struct span within)
{
	uint64_t count = 0;
	struct span o;

	for (; space_next_owned(s, within, &o); within.start = o.end)
		count += o.end - o.start - space_used(s, o);
	return count;
}

bool space_donation(const struct space *s, struct span within, struct span *gift)
{
	struct span best = { 0, 0 }, o;

	for (; space_next_owned(s, within, &o); within.start = o.end) {
		while (o.end - o.start > best.end - best.start) {
			struct span run = { next_in(s, o, false), o.end };

			run.end = next_in(s, run, true);
			if (run.end - run.start > best.end - best.start)
				best = run;
			o.start = run.end;
		}
	}
	*gift = (struct span){ best.start + (best.end - best.start) / 2, best.end };
	return best.start < best.end;
}

/* ---- invariants ---- */

static void check_node(const struct space_node *n, unsigned level)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < 64; i++) {
		bool any, full;

		if (level) {
			const struct space_node *b = n->u.branches[i];

			if (b)
				check_node(b, level - 1);
			count += b ? b->count : 0;
			any = b != NULL;
			full = b && b->full == UINT64_MAX;
		} else {
			count += (uint64_t)__builtin_popcountll(n->u.words[i]);
			any = n->u.words[i] != 0;
			full = n->u.words[i] == UINT64_MAX;
		}
		MUST(any == !!(n->any & bit(i)) && full == !!(n->full & bit(i)));
	}
	MUST(count == n->count);
}

void space_check(const struct space *s)
{
	uint64_t owned = 0;

	for (size_t i = 0; i < s->owned_count; i++) {
		MUST(s->owned[i].start < s->owned[i].end && s->owned[i].end <= s->size);
		MUST(i == 0 || s->owned[i - 1].end < s->owned[i].start);
		owned += s->owned[i].end - s->owned[i].start;
	}
	MUST(owned == s->owned_size);
	if (s->root)
		check_node(s->root, s->levels - 1);
	MUST(s->used_count == (s->root ? s->root->count : 0));
}
