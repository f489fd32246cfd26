#include "fragment.h"

#include <weave/alloc.h>
#include <weave/must.h>

#include "ranges.h"

struct reassembly_slot {
	bool used;
	uint32_t id, total;
	struct mono started;
	struct ranges ranges;
	uint8_t *buffer;
	size_t room;
};

void reassembly_fini(struct reassembly *r)
{
	for (size_t i = 0; i < REASSEMBLY_FRAMES_MAX; i++) {
		if (r->slots[i])
			mem_free(r->slots[i]->buffer);
		mem_free(r->slots[i]);
	}
	*r = (struct reassembly){ 0 };
}

static void close_slot(struct reassembly *r, struct reassembly_slot *s)
{
	MUST(s->used && r->open);
	s->used = false;
	s->ranges.count = 0;
	r->open--;
}

static void give_up(struct reassembly *r, struct reassembly_slot *s)
{
	close_slot(r, s);
	r->dropped++;
}

static void free_buffer(struct reassembly *r, struct reassembly_slot *s)
{
	MUST(r->bytes >= s->room);
	r->bytes -= s->room;
	mem_free(s->buffer);
	s->buffer = NULL;
	s->room = 0;
}

/* The buffer that costs least to lose: of no body, else of the oldest. */
static struct reassembly_slot *least_useful(struct reassembly *r, const struct reassembly_slot *but)
{
	struct reassembly_slot *best = NULL;

	for (size_t i = 0; i < REASSEMBLY_FRAMES_MAX; i++) {
		struct reassembly_slot *s = r->slots[i];

		if (!s || s == but || !s->buffer)
			continue;
		if (!best || (best->used && (!s->used || s->started.ms < best->started.ms)))
			best = s;
	}
	return best;
}

static void grow_buffer(struct reassembly *r, struct reassembly_slot *s, size_t size)
{
	size_t room = 2048;

	if (s->room >= size)
		return;
	while (room < size)
		room *= 2;
	free_buffer(r, s);
	while (r->bytes + room > REASSEMBLY_BYTES_MAX) {
		struct reassembly_slot *other = least_useful(r, s);

		MUST(other);
		if (other->used)
			give_up(r, other);
		free_buffer(r, other);
	}
	s->buffer = mem_new(1, room);
	s->room = room;
	r->bytes += room;
}

static void open_slot(struct reassembly *r, struct reassembly_slot *s,
		      const struct sleeve_fragment *f, struct mono now)
{
	grow_buffer(r, s, f->total);
	s->used = true;
	s->id = f->id;
	s->total = f->total;
	s->started = now;
	s->ranges.count = 0;
	r->open++;
}

/* The slot of this fragment's body; NULL when the fragment belongs to one already given up. */
static struct reassembly_slot *slot_for(struct reassembly *r, const struct sleeve_fragment *f,
					struct mono now)
{
	struct reassembly_slot **at = &r->slots[f->id % REASSEMBLY_FRAMES_MAX];

	if (!*at)
		*at = mem_new(1, sizeof **at);
	if ((*at)->used && (*at)->id == f->id)
		return *at;
	/* Ids count up, so slots are reused in order of age; they wrap like serial numbers. */
	if ((*at)->used && (int32_t)(f->id - (*at)->id) < 0)
		return NULL;
	if ((*at)->used)
		give_up(r, *at);
	open_slot(r, *at, f, now);
	return *at;
}

struct bytes reassembly_add(struct reassembly *r, const struct sleeve_fragment *f, struct mono now)
{
	struct reassembly_slot *s = slot_for(r, f, now);
	uint32_t end = f->offset + (uint32_t)f->piece.size;
	enum ranges_placed placed;

	if (!s)
		return bytes_of(NULL, 0);
	placed = s->total == f->total ? ranges_place(&s->ranges, f->offset, end) : RANGES_REFUSED;
	if (placed == RANGES_REFUSED)
		give_up(r, s);
	if (placed != RANGES_PLACED)
		return bytes_of(NULL, 0);
	memcpy(s->buffer + f->offset, f->piece.data, f->piece.size);
	if (!ranges_cover(&s->ranges, 0, s->total))
		return bytes_of(NULL, 0);
	close_slot(r, s);
	return bytes_of(s->buffer, s->total);
}

void reassembly_tick(struct reassembly *r, struct mono now)
{
	if (!r->open)
		return;
	for (size_t i = 0; i < REASSEMBLY_FRAMES_MAX; i++) {
		struct reassembly_slot *s = r->slots[i];

		if (s && s->used && mono_elapsed(s->started, now) >= REASSEMBLY_TIMEOUT_MS)
			give_up(r, s);
	}
}

struct mono reassembly_deadline(const struct reassembly *r)
{
	struct mono due = MONO_NEVER;

	for (size_t i = 0; r->open && i < REASSEMBLY_FRAMES_MAX; i++)
		if (r->slots[i] && r->slots[i]->used)
			due = mono_min(due,
				       mono_after(r->slots[i]->started, REASSEMBLY_TIMEOUT_MS));
	return due;
}

static void check_slot(const struct reassembly_slot *s)
{
	MUST(s->room >= s->total || !s->used);
	if (s->used)
		ranges_check(&s->ranges, s->total);
}

void reassembly_check(const struct reassembly *r)
{
	uint32_t open = 0;
	size_t bytes = 0;

	for (size_t i = 0; i < REASSEMBLY_FRAMES_MAX; i++) {
		const struct reassembly_slot *s = r->slots[i];

		if (!s)
			continue;
		check_slot(s);
		open += s->used;
		bytes += s->room;
	}
	MUST(open == r->open);
	MUST(bytes == r->bytes);
	MUST(bytes <= REASSEMBLY_BYTES_MAX);
}

size_t fragment_room(size_t datagram_size, size_t seal_size)
{
	size_t headers = SLEEVE_HEADER_SIZE + SLEEVE_FRAGMENT_HEADER_SIZE + seal_size;

	MUST(datagram_size > headers);
	return datagram_size - headers;
}
