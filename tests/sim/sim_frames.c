#include "sim_frames.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/limits.h>
#include <weave/must.h>

#include "sim_kernel.h"
#include "sim_router.h"

#define ETHERTYPE_EXPERIMENTAL 0x88b5 /* IEEE 802, local experimental 1 */
#define HEADER_SIZE 14u
#define MAGIC UINT64_C(0x73696d6672616d65)
#define FRAME_MIN 64u

static void put_u64(uint8_t *at, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t *at)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | at[i];
	return v;
}

static struct sim_frame *find(const struct sim *s, uint64_t id)
{
	if (id < s->frames_first || id - s->frames_first >= s->frames_count)
		return NULL;
	return &s->frames[id - s->frames_first];
}

const struct sim_frame *sim_frame_find(const struct sim *s, uint64_t id)
{
	return find(s, id);
}

static struct sim_frame *remember(struct sim *s, uint32_t from, uint32_t to, uint32_t segment,
				  uint32_t size)
{
	struct sim_frame *f;

	if (s->frames_count == s->frames_room) {
		s->frames_room = s->frames_room ? s->frames_room * 2 : 64;
		s->frames = mem_resize(s->frames, s->frames_room, sizeof *s->frames);
	}
	f = &s->frames[s->frames_count++];
	*f = (struct sim_frame){ .id = s->frame_next++,
				 .sent_us = s->clock.now_us,
				 .from = from,
				 .to = to,
				 .segment = segment,
				 .key = sim_segment_key(s->routers[from], segment),
				 .size = size,
				 .delivered = mem_new(s->count, 1) };
	return f;
}

uint32_t sim_frame_segment(struct sim *s, uint32_t from)
{
	uint32_t segment = s->segments > 1 ? (uint32_t)rng_below(&s->rng, s->segments) : 0;

	return sim_segment_key(s->routers[from], segment) ? segment : SEGMENT_DEFAULT;
}

uint64_t sim_frame_send(struct sim *s, uint32_t from, uint32_t to, uint32_t segment, uint32_t size)
{
	struct sim_router *r = s->routers[from];
	uint8_t *data;
	struct mac target = to == SIM_EVERYBODY
				    ? (struct mac){ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } }
				    : sim_segment_mac(s, segment, to);
	struct mac source = sim_segment_mac(s, segment, from);
	uint64_t id;

	MUST(size >= FRAME_MIN && sim_router_runs(r));
	data = mem_new(1, size);
	id = remember(s, from, to, segment, size)->id;
	memcpy(data, target.b, 6);
	memcpy(data + 6, source.b, 6);
	data[12] = ETHERTYPE_EXPERIMENTAL >> 8;
	data[13] = ETHERTYPE_EXPERIMENTAL & 0xff;
	put_u64(data + HEADER_SIZE, MAGIC);
	put_u64(data + HEADER_SIZE + 8, id);
	for (uint32_t i = HEADER_SIZE + 16; i < size; i++)
		data[i] = (uint8_t)(id + i);
	s->stats.frames++;
	sim_trace(s, "frame", id, from, to);
	if (!sim_kernel_takes(r, segment, bytes_of(data, size)))
		router_on_frame(engine_router(r->engine), segment, bytes_of(data, size),
				OFFLOAD_NONE, sim_router_now(r));
	mem_free(data);
	sim_router_turn(r);
	return id;
}

static bool is_whole(const struct sim_frame *f, struct bytes frame)
{
	if (frame.size != f->size)
		return false;
	for (uint32_t i = HEADER_SIZE + 16; i < f->size; i++)
		if (frame.data[i] != (uint8_t)(f->id + i))
			return false;
	return true;
}

/* Whatever happens: not even while everything is news. */
static void check_segment(struct sim_router *r, const struct sim_frame *f, uint32_t segment)
{
	const char *key = segment < SIM_SEGMENTS_MAX ? sim_segment_key(r, segment) : NULL;

	if (segment != f->segment || !key || strcmp(key, f->key) != 0)
		sim_fail(r->sim,
			 "frame %llu of segment %u (%s) came out in segment %u (%s) at router %u",
			 (unsigned long long)f->id, f->segment, f->key, segment, key ? key : "-",
			 r->index + 1);
}

void sim_frame_arrived(struct sim_router *r, uint32_t segment, struct bytes frame)
{
	struct sim *s = r->sim;
	struct sim_frame *f;

	if (frame.size < FRAME_MIN || frame.data[12] != ETHERTYPE_EXPERIMENTAL >> 8 ||
	    frame.data[13] != (ETHERTYPE_EXPERIMENTAL & 0xff) ||
	    get_u64(frame.data + HEADER_SIZE) != MAGIC)
		return; /* one that routers made */
	f = find(s, get_u64(frame.data + HEADER_SIZE + 8));
	if (!f)
		return;
	if (s->mutation == SIM_MUTATE_LOST_FRAME && r->index == 1)
		return;
	sim_trace(s, "arrived", f->id, r->index, f->delivered[r->index]);
	if (!is_whole(f, frame))
		sim_fail(s, "frame %llu came out changed at router %u", (unsigned long long)f->id,
			 r->index + 1);
	if (f->from == r->index)
		sim_fail(s, "frame %llu came back to its own bridge at router %u",
			 (unsigned long long)f->id, r->index + 1);
	check_segment(r, f, segment);
	f->delivered[r->index]++;
	if (s->mutation == SIM_MUTATE_DOUBLE_FRAME)
		f->delivered[r->index]++;
	if (f->delivered[r->index] > s->duplicates_max)
		sim_fail(s, "frame %llu came out %u times at router %u", (unsigned long long)f->id,
			 f->delivered[r->index], r->index + 1);
}

/* One unicast frame may be carried by as many routers as its hop limit allows, a broadcast by each
 * router once to each child; fragments multiply that. */
static uint32_t hops_max(const struct sim *s, const struct sim_frame *f)
{
	uint32_t copies = f->to == SIM_EVERYBODY ? s->count * s->duplicates_max : HOP_LIMIT + 1;

	return copies * (2 + f->size / 400);
}

void sim_frame_in_datagram(struct sim *s, struct bytes datagram)
{
	const uint8_t *at = datagram.data, *end = at + datagram.size;
	uint8_t magic[8];

	if (s->frames_count == 0 || datagram.size < FRAME_MIN)
		return;
	put_u64(magic, MAGIC);
	while ((at = memmem(at, (size_t)(end - at), magic, 8)) && end - at >= 16) {
		struct sim_frame *f = find(s, get_u64(at + 8));

		at += 16;
		if (!f)
			continue;
		f->hops += s->mutation == SIM_MUTATE_LOOP ? 100 : 1;
		if (f->hops > hops_max(s, f))
			sim_fail(s, "frame %llu was sent on %u times: it loops",
				 (unsigned long long)f->id, f->hops);
	}
}

void sim_frames_forget(struct sim *s, uint64_t before_us)
{
	uint32_t old = 0;

	while (old < s->frames_count && s->frames[old].sent_us < before_us)
		mem_free(s->frames[old++].delivered);
	s->frames_count -= old;
	s->frames_first += old;
	if (s->frames_count)
		memmove(s->frames, s->frames + old, s->frames_count * sizeof *s->frames);
}

void sim_frames_fini(struct sim *s)
{
	sim_frames_forget(s, UINT64_MAX);
	mem_free(s->frames);
}
