#include "ring.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

/* Pieces of one merge; most have a handful. */
#define FEW 24u

struct pieces {
	struct run few[FEW];
	struct run *list; /* 'few', or allocated */
	size_t count, room;
};

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

int owner_compare(struct owner a, struct owner b)
{
	int c = order(a.name, b.name);

	return c ? c : order(a.store_id, b.store_id);
}

int run_compare(const struct run *a, const struct run *b)
{
	int c = order(a->epoch, b->epoch);

	if (!c)
		c = order(a->counter, b->counter);
	return c ? c : owner_compare(b->owner, a->owner);
}

const char *run_check(const struct run *run, uint64_t size)
{
	if (run->start >= run->end || run->end > size)
		return "run.end";
	if (run->epoch > RING_VERSION_MAX)
		return "run.epoch";
	if (run->counter > RING_VERSION_MAX)
		return "run.counter";
	if (run->owner.name == PEER_NAME_NONE || run->owner.name > PEER_NAME_MAX)
		return "run.owner";
	return NULL;
}

bool run_clip(const struct run *run, uint64_t start, uint64_t end, struct run *part)
{
	*part = *run;
	part->start = run->start > start ? run->start : start;
	part->end = run->end < end ? run->end : end;
	return part->start < part->end;
}

void ring_init(struct ring *r, uint64_t size)
{
	*r = (struct ring){ .size = size, .runs_max = RING_RUNS_MAX };
}

void ring_fini(struct ring *r)
{
	run_map_fini(&r->map);
	r->digest = (struct hash128){ 0, 0 };
}

void ring_changes_fini(struct ring_changes *c)
{
	mem_free(c->removed);
	mem_free(c->inserted);
	*c = (struct ring_changes){ 0 };
}

/* ---- digest ---- */

__extension__ typedef unsigned __int128 wide;

static uint64_t fold(uint64_t a, uint64_t b)
{
	wide v = (wide)a * b;

	return (uint64_t)v ^ (uint64_t)(v >> 64);
}

/* Two lanes of multiply and fold (as in wyhash, Wang 2019): all runs of a ring are hashed whenever
 * rings meet, and who could build a collision could as well write the ring.  Published numbers:
 * every peer must compute the same. */
static struct hash128 digest_of(const struct run *run)
{
	const uint64_t words[] = { run->start, run->end, (uint64_t)run->epoch << 32 | run->counter,
				   run->owner.name, run->owner.store_id };
	struct hash128 h = { 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu };

	for (size_t n = 0; n < ARRAY_COUNT(words); n++) {
		h.high = fold(h.high ^ words[n], 0x8ebc6af09c88c6e3u + 2 * n);
		h.low = fold(h.low + words[n], 0x589965cc75374cc3u + 2 * n);
	}
	h.high = fold(h.high, h.low ^ 0x1d8e4e27c47d124fu);
	h.low = fold(h.low ^ h.high, 0xeb44accab455d165u);
	return h;
}

static void toggle(struct ring *r, const struct run *run)
{
	struct hash128 h = digest_of(run);

	r->digest.high ^= h.high;
	r->digest.low ^= h.low;
}

/* ---- merging ---- */

static void pieces_add(struct pieces *p, const struct run *run)
{
	struct run *grown;

	if (p->count == p->room) {
		grown = mem_resize(p->list == p->few ? NULL : p->list, p->room * 2,
				   sizeof(struct run));
		if (p->list == p->few)
			memcpy(grown, p->few, sizeof p->few);
		p->list = grown;
		p->room *= 2;
	}
	p->list[p->count++] = *run;
}

static void pieces_init(struct pieces *p)
{
	p->list = p->few;
	p->count = 0;
	p->room = FEW;
}

static void pieces_fini(struct pieces *p)
{
	if (p->list != p->few)
		mem_free(p->list);
}

static bool same_value(const struct run *a, const struct run *b)
{
	return a->epoch == b->epoch && a->counter == b->counter && owner_equal(a->owner, b->owner);
}

/* The part of 'value' within [start, end), joined to the piece before it if they are alike. */
static void push(struct pieces *p, const struct run *value, uint64_t start, uint64_t end)
{
	struct run *last = p->count ? &p->list[p->count - 1] : NULL;
	struct run piece = *value;

	if (start >= end)
		return;
	if (last && last->end == start && same_value(last, value)) {
		last->end = end;
		return;
	}
	piece.start = start;
	piece.end = end;
	pieces_add(p, &piece);
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* All runs that overlap or touch 'run': the only ones that can change or be joined. */
static void collect(const struct ring *r, const struct run *run, struct pieces *old)
{
	struct run_at at = run_map_find(&r->map, run->start ? run->start - 1 : 0);
	const struct run *o;

	for (; (o = run_map_get(&r->map, at)) && o->start <= run->end;
	     at = run_map_next(&r->map, at))
		pieces_add(old, o);
}

static void overlay(const struct pieces *old, const struct run *run, struct pieces *new)
{
	uint64_t at = run->start; /* up to here 'run' has been used */

	for (size_t i = 0; i < old->count; i++) {
		const struct run *o = &old->list[i];
		const struct run *winner = run_compare(run, o) > 0 ? run : o;

		push(new, o, o->start, min64(o->end, run->start));
		push(new, run, at, min64(o->start, run->end));
		push(new, winner, max64(o->start, run->start), min64(o->end, run->end));
		push(new, o, max64(o->start, run->end), o->end);
		at = max64(at, min64(o->end, run->end));
	}
	push(new, run, at, run->end);
}

static void note(struct run **list, size_t *count, size_t *room, const struct run *run)
{
	if (*count == *room) {
		*room = *room ? *room * 2 : 8;
		*list = mem_resize(*list, *room, sizeof(struct run));
	}
	(*list)[(*count)++] = *run;
}

static void note_removed(struct ring_changes *c, const struct run *run)
{
	note(&c->removed, &c->removed_count, &c->removed_room, run);
}

static void note_inserted(struct ring_changes *c, const struct run *run)
{
	note(&c->inserted, &c->inserted_count, &c->inserted_room, run);
}

static bool joins(const struct run *a, const struct run *b)
{
	return a && b && a->end == b->start && same_value(a, b);
}

static bool same_run(const struct run *a, const struct run *b)
{
	return a->start == b->start && a->end == b->end && same_value(a, b);
}

static void compare(const struct pieces *old, const struct pieces *new, struct ring_changes *c)
{
	size_t i = 0, j = 0;

	while (i < old->count || j < new->count) {
		const struct run *o = i < old->count ? &old->list[i] : NULL;
		const struct run *n = j < new->count ? &new->list[j] : NULL;

		if (o && n && same_run(o, n)) {
			i++;
			j++;
		} else if (o && (!n || o->start <= n->start)) {
			note_removed(c, o);
			i++;
		} else {
			note_inserted(c, n);
			j++;
		}
	}
}

static enum ring_result apply(struct ring *r, const struct ring_changes *c)
{
	if (c->removed_count == 0 && c->inserted_count == 0)
		return RING_SAME;
	if (ring_count(r) - c->removed_count + c->inserted_count > r->runs_max)
		return RING_FULL;
	for (size_t i = 0; i < c->removed_count; i++) {
		run_map_remove(&r->map, c->removed[i].start);
		toggle(r, &c->removed[i]);
	}
	for (size_t i = 0; i < c->inserted_count; i++) {
		run_map_insert(&r->map, &c->inserted[i]);
		toggle(r, &c->inserted[i]);
	}
	return RING_CHANGED;
}

/* The common cases, without cutting and joining: nothing new; all new where nobody was; all new in
 * the place of just one run.  False when it is none of them. */
static bool merge_simply(struct ring *r, const struct run *run, struct ring_changes *c,
			 enum ring_result *result)
{
	struct run_at at = run_map_find(&r->map, run->start);
	const struct run *o = run_map_get(&r->map, at);
	bool same_span = o && o->start == run->start && o->end == run->end;

	if (o && o->start <= run->start && o->end >= run->end && run_compare(run, o) <= 0) {
		*result = RING_SAME;
		return true;
	}
	if ((!same_span && o && o->start < run->end) || ring_count(r) >= r->runs_max)
		return false;
	if (joins(run_map_before(&r->map, at), run) ||
	    joins(run, same_span ? run_map_get(&r->map, run_map_next(&r->map, at)) : o))
		return false;
	*result = RING_CHANGED;
	note_inserted(c, run);
	toggle(r, run);
	if (same_span) {
		note_removed(c, o);
		toggle(r, o);
		run_map_replace(&r->map, at, run);
	} else {
		run_map_insert(&r->map, run);
	}
	return true;
}

enum ring_result ring_merge(struct ring *r, const struct run *run, struct ring_changes *changes)
{
	struct pieces old, new;
	enum ring_result result;

	MUST(!run_check(run, r->size));
	changes->removed_count = changes->inserted_count = 0;
	if (merge_simply(r, run, changes, &result))
		return result;
	pieces_init(&old);
	pieces_init(&new);
	collect(r, run, &old);
	overlay(&old, run, &new);
	compare(&old, &new, changes);
	result = apply(r, changes);
	if (result == RING_FULL)
		changes->removed_count = changes->inserted_count = 0;
	pieces_fini(&old);
	pieces_fini(&new);
	return result;
}

/* ---- looking in ---- */

bool ring_is_newer(const struct ring *r, const struct run *run)
{
	struct run_at at = run_map_find(&r->map, run->start);
	const struct run *o;

	for (; (o = run_map_get(&r->map, at)) && o->start < run->end;
	     at = run_map_next(&r->map, at))
		if (run_compare(o, run) > 0)
			return true;
	return false;
}

const struct run *ring_from(const struct ring *r, uint64_t offset)
{
	return run_map_get(&r->map, run_map_find(&r->map, offset));
}

const struct run *ring_at(const struct ring *r, uint64_t offset)
{
	const struct run *run = ring_from(r, offset);

	return run && run->start <= offset ? run : NULL;
}

/* floor(size * i / n) without overflow: size and n are far below 2^32 and 2^8 each. */
void ring_split(uint64_t size, const struct owner *owners, size_t owners_count, size_t index,
		struct run *run)
{
	MUST(index < owners_count && size <= UINT64_MAX / owners_count);
	*run = (struct run){
		.start = size * index / owners_count,
		.end = size * (index + 1) / owners_count,
		.counter = 1,
		.owner = owners[index],
	};
}

void ring_check(const struct ring *r)
{
	struct ring again = { .size = r->size };
	struct run_at at = { 0, 0 };
	const struct run *run, *before = NULL;
	size_t count = 0;

	for (; (run = run_map_get(&r->map, at)); at = run_map_next(&r->map, at)) {
		MUST(!run_check(run, r->size));
		MUST(!before || before->end <= run->start);
		MUST(!before || before->end < run->start || !same_value(before, run));
		toggle(&again, run);
		before = run;
		count++;
	}
	MUST(count == ring_count(r) && count <= r->runs_max);
	MUST(again.digest.high == r->digest.high && again.digest.low == r->digest.low);
}
