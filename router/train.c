#include "train.h"

#include <weave/alloc.h>
#include <weave/must.h>

#include "ranges.h"

#define HEADER_SIZE (SLEEVE_PARTIAL_HEADER_SIZE - 1)

enum slot_state { SLOT_FREE, SLOT_JOINING, SLOT_PARTED, SLOT_HANDED_OUT };

struct train_slot {
	enum slot_state state;
	uint32_t id, total;
	uint32_t overtaken;  /* by so many pieces of later frames */
	uint32_t next, stop; /* PARTED: segments still to be looked at */
	bool headers;	     /* PARTED: 'frame' and 'layout' are known */
	struct mono last;    /* piece */
	struct sleeve_frame frame;
	struct offload_layout layout;
	struct ranges ranges;
	uint8_t buffer[SLEEVE_BODY_MAX];
};

void train_fini(struct train *t)
{
	for (size_t i = 0; i < TRAIN_SLOTS; i++)
		mem_free(t->slots[i]);
	*t = (struct train){ 0 };
}

/* ---- which frames are old news ---- */

static bool is_used(const struct train_slot *s)
{
	return s->state == SLOT_JOINING || s->state == SLOT_PARTED;
}

static void finish(struct train *t, struct train_slot *s)
{
	uint32_t age = t->newest - s->id;

	MUST(is_used(s) && t->used);
	if (age < 64)
		t->finished |= UINT64_C(1) << age;
	s->state = SLOT_FREE;
	t->used--;
}

static void give_up(struct train *t, struct train_slot *s)
{
	finish(t, s);
	t->dropped++;
}

/* Ids count up and wrap like serial numbers. */
static bool is_old(struct train *t, uint32_t id)
{
	int32_t ahead = (int32_t)(id - t->newest);

	if (!t->any || ahead > 0) {
		t->finished = t->any && ahead < 64 ? t->finished << ahead : 0;
		t->newest = id;
		t->any = true;
		return false;
	}
	return ahead <= -64 || (t->finished >> (uint32_t)-ahead & 1);
}

static struct train_slot *oldest(struct train *t)
{
	struct train_slot *best = NULL;

	for (size_t i = 0; i < TRAIN_SLOTS; i++)
		if (t->slots[i]->state != SLOT_HANDED_OUT &&
		    (!best || (int32_t)(t->slots[i]->id - best->id) < 0))
			best = t->slots[i];
	return best;
}

/* The first one that was used before: its memory is in the cache. */
static struct train_slot *free_slot(struct train *t, uint32_t id)
{
	struct train_slot *s;

	for (size_t i = 0; i < TRAIN_SLOTS; i++) {
		if (!t->slots[i])
			t->slots[i] = mem_new(1, sizeof *t->slots[i]);
		if (t->slots[i]->state == SLOT_FREE)
			return t->slots[i];
	}
	s = oldest(t);
	if (!s || (int32_t)(id - s->id) < 0)
		return NULL;
	give_up(t, s);
	return s;
}

static struct train_slot *slot_for(struct train *t, const struct sleeve_fragment *f)
{
	struct train_slot *s;

	for (size_t i = 0; i < TRAIN_SLOTS && t->slots[i]; i++)
		if (is_used(t->slots[i]) && t->slots[i]->id == f->id)
			return t->slots[i];
	if (is_old(t, f->id))
		return NULL;
	s = free_slot(t, f->id);
	if (!s)
		return NULL;
	s->state = SLOT_JOINING;
	s->id = f->id;
	s->total = f->total;
	s->overtaken = 0;
	s->headers = false;
	s->ranges.count = 0;
	t->used++;
	return s;
}

/* ---- parts ---- */

/* Where things lie, once all headers are here. */
static void read_headers(struct train_slot *s)
{
	uint32_t there = s->ranges.count && !s->ranges.at[0].start ? s->ranges.at[0].end : 0;

	if (s->headers || there <= HEADER_SIZE ||
	    sleeve_partial_header_read(&s->frame, bytes_of(s->buffer, s->total), s->total) ||
	    !offload_layout(&s->layout, s->frame.frame, s->frame.offload))
		return;
	s->headers = there >= HEADER_SIZE + s->layout.payload;
	if (!s->headers)
		return;
	s->next = 0;
	s->stop = s->layout.count;
}

static bool is_there(const struct train_slot *s, uint32_t segment)
{
	size_t start = s->layout.payload + (size_t)segment * s->layout.segment;
	size_t end = start + s->layout.segment;

	if (end > s->layout.size)
		end = s->layout.size;
	return ranges_cover(&s->ranges, (uint32_t)(HEADER_SIZE + start),
			    (uint32_t)(HEADER_SIZE + end));
}

/* A late piece makes the segments that it touches worth a look; none of them was whole before. */
static void look_at(struct train_slot *s, const struct sleeve_fragment *f)
{
	size_t payload = HEADER_SIZE + s->layout.payload, end = f->offset + f->piece.size;

	if (end <= payload)
		return;
	s->next = f->offset > payload ? (uint32_t)((f->offset - payload) / s->layout.segment) : 0;
	s->stop = (uint32_t)((end - payload + s->layout.segment - 1) / s->layout.segment);
	MUST(s->stop <= s->layout.count);
}

bool train_next(struct train *t, struct train_part *part)
{
	for (size_t i = 0; t->used && i < TRAIN_SLOTS && t->slots[i]; i++) {
		struct train_slot *s = t->slots[i];

		if (s->state != SLOT_PARTED || !s->headers)
			continue;
		while (s->next < s->stop && !is_there(s, s->next))
			s->next++;
		if (s->next == s->stop) {
			if (ranges_cover(&s->ranges, 0, s->total))
				finish(t, s);
			continue;
		}
		*part = (struct train_part){ s->frame, s->layout, s->next, 0 };
		for (; s->next < s->stop && is_there(s, s->next); s->next++)
			part->count++;
		return true;
	}
	return false;
}

static void end_waiting(struct train_slot *s)
{
	s->state = SLOT_PARTED;
	s->next = s->stop = 0;
	read_headers(s);
}

static void overtake(struct train *t, const struct train_slot *by)
{
	for (size_t i = 0; i < TRAIN_SLOTS && t->slots[i]; i++) {
		struct train_slot *s = t->slots[i];

		if (s->state == SLOT_JOINING && (int32_t)(by->id - s->id) > 0 &&
		    ++s->overtaken >= TRAIN_REORDER)
			end_waiting(s);
	}
}

struct bytes train_add(struct train *t, const struct sleeve_fragment *f, struct mono now)
{
	struct train_slot *s = slot_for(t, f);
	enum ranges_placed placed;

	t->last = now;
	if (!s)
		return bytes_of(NULL, 0);
	placed = s->total == f->total
			 ? ranges_place(&s->ranges, f->offset, f->offset + (uint32_t)f->piece.size)
			 : RANGES_REFUSED;
	if (placed == RANGES_REFUSED)
		give_up(t, s);
	if (placed != RANGES_PLACED)
		return bytes_of(NULL, 0);
	memcpy(s->buffer + f->offset, f->piece.data, f->piece.size);
	s->last = now;
	if (t->used > 1)
		overtake(t, s);
	if (s->state == SLOT_PARTED) {
		if (s->headers)
			look_at(s, f);
		else
			read_headers(s);
		return bytes_of(NULL, 0);
	}
	if (!ranges_cover(&s->ranges, 0, s->total))
		return bytes_of(NULL, 0);
	finish(t, s);
	s->state = SLOT_HANDED_OUT;
	return bytes_of(s->buffer, s->total);
}

void train_take_back(struct train *t)
{
	for (size_t i = 0; i < TRAIN_SLOTS && t->slots[i]; i++)
		if (t->slots[i]->state == SLOT_HANDED_OUT)
			t->slots[i]->state = SLOT_FREE;
}

/* ---- time ---- */

static struct mono due_at(const struct train_slot *s)
{
	if (!is_used(s))
		return MONO_NEVER;
	return mono_after(s->last, s->state == SLOT_JOINING ? TRAIN_WAIT_MS : TRAIN_KEEP_MS);
}

static void rest(struct train *t)
{
	for (size_t i = 0; i < TRAIN_SLOTS; i++) {
		mem_free(t->slots[i]);
		t->slots[i] = NULL;
	}
}

void train_tick(struct train *t, struct mono now)
{
	for (size_t i = 0; t->used && i < TRAIN_SLOTS && t->slots[i]; i++) {
		struct train_slot *s = t->slots[i];

		if (!mono_reached(now, due_at(s)))
			continue;
		if (s->state == SLOT_JOINING)
			end_waiting(s);
		else
			give_up(t, s);
	}
	if (!t->used && t->slots[0] && mono_elapsed(t->last, now) >= TRAIN_REST_MS)
		rest(t);
}

struct mono train_deadline(const struct train *t)
{
	struct mono due = MONO_NEVER;

	if (!t->used)
		return t->slots[0] ? mono_after(t->last, TRAIN_REST_MS) : MONO_NEVER;
	for (size_t i = 0; i < TRAIN_SLOTS && t->slots[i]; i++)
		due = mono_min(due, due_at(t->slots[i]));
	return due;
}

void train_check(const struct train *t)
{
	uint32_t used = 0;

	for (size_t i = 0; i < TRAIN_SLOTS; i++) {
		const struct train_slot *s = t->slots[i];

		if (!s || !is_used(s))
			continue;
		used++;
		MUST(s->total <= SLEEVE_BODY_MAX);
		ranges_check(&s->ranges, s->total);
		if (s->headers)
			MUST(s->next <= s->stop && s->stop <= s->layout.count);
	}
	MUST(used == t->used);
}
