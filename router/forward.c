#include <weave/must.h>

#include "mss.h"
#include "offload.h"
#include "router_state.h"
#include "too_big.h"

/* Not worth a record of its own in a datagram begun by others. */
#define PIECE_MIN 256u

void router_close_datagram(struct router *r)
{
	struct open_datagram *open = &r->open;

	if (!open->path)
		return;
	if (path_is_sealed(open->path))
		keys_seal(&open->path->keys, open->counter, open->data, SLEEVE_HEADER_SIZE,
			  open->size);
	outbox_close(&r->outbox);
	*open = (struct open_datagram){ 0 };
}

uint8_t *router_datagram(struct router *r, struct sleeve_path *p, size_t size)
{
	struct sleeve_header header = { .type = SLEEVE_CLEAR, .index = p->theirs.index };
	uint8_t *data;
	struct writer w;

	/* Before anything else: a new epoch would take its key away. */
	router_close_datagram(r);
	header.counter = session_next(&p->session);
	if (!header.counter) {
		router_drop(r, DROP_NO_DATA_PATH);
		return NULL;
	}
	data = outbox_open(&r->outbox, p->address, size + p->seal_size);
	if (!data) {
		router_drop(r, DROP_OUTBOX_FULL);
		return NULL;
	}
	if (path_is_sealed(p)) {
		header.type = SLEEVE_SEALED;
		header.epoch = (uint8_t)keys_epoch(&p->keys, header.counter, r->now);
	}
	w = writer_over(data, SLEEVE_HEADER_SIZE);
	sleeve_header_write(&header, &w);
	MUST(!w.full);
	r->open = (struct open_datagram){ .path = p,
					  .data = data,
					  .counter = header.counter,
					  .size = (uint32_t)size + p->seal_size };
	return data;
}

/* Bytes that still fit the newest datagram. */
static size_t open_room(const struct router *r, const struct sleeve_path *p)
{
	const struct open_datagram *open = &r->open;

	if (open->path != p || !open->frames || open->frames == FRAMES_PER_DATAGRAM ||
	    open->size >= p->pmtu.size)
		return 0;
	return p->pmtu.size - open->size;
}

/* Room for a record of 'size' bytes behind the frames already in the newest datagram. */
static uint8_t *join_open(struct router *r, struct sleeve_path *p, size_t size)
{
	struct open_datagram *open = &r->open;

	if (size > open_room(r, p) || !outbox_extend(&r->outbox, size))
		return NULL;
	open->frames++;
	open->size += (uint32_t)size;
	path_on_sent(p, open->size);
	/* The room for the tag moves on to the new end. */
	return open->data + open->size - p->seal_size - size;
}

/* The kernel takes many datagrams at once if they have the same size (UDP_SEGMENT): small frames
 * of many sizes shall not spoil that. */
static void fill_open(struct router *r, struct sleeve_path *p)
{
	size_t room = open_room(r, p);
	struct writer w;
	uint8_t *at;

	if (!room || r->open.frames < 2 || room > p->pmtu.size / 4 || !path_takes_partial(p))
		return;
	at = join_open(r, p, room);
	if (!at)
		return;
	w = writer_over(at, room);
	sleeve_padding_write(&w);
}

static uint8_t *record_room(struct router *r, struct sleeve_path *p, size_t size)
{
	uint8_t *at = join_open(r, p, size);

	if (at)
		return at;
	fill_open(r, p);
	at = router_datagram(r, p, SLEEVE_HEADER_SIZE + size);
	if (!at)
		return NULL;
	r->open.frames = 1;
	path_on_sent(p, r->open.size);
	return at + SLEEVE_HEADER_SIZE;
}

static void send_whole(struct router *r, struct sleeve_path *p, const struct sleeve_frame *f)
{
	size_t header = sleeve_frame_header_size(f), size = header + f->frame.size;
	uint8_t *at = record_room(r, p, size);
	struct writer w;

	if (!at)
		return;
	w = writer_over(at, size);
	sleeve_frame_write(f, &w);
	MUST(!w.full);
	/* Before the size is settled it is a guess that connections should not live with. */
	if (p->pmtu.settled &&
	    mss_clamp(at + header, f->frame.size, path_mtu(p), f->offload.checksum))
		r->counters.mss_clamped++;
}

/* The record's body is its header and the frame; 'piece' takes 'size' bytes of it from 'offset'. */
static void copy_body(uint8_t *piece, struct bytes header, struct bytes frame, size_t offset,
		      size_t size)
{
	size_t part = 0;

	if (offset < header.size) {
		part = header.size - offset < size ? header.size - offset : size;
		memcpy(piece, header.data + offset, part);
	}
	if (part < size)
		memcpy(piece + part, frame.data + (offset + part - header.size), size - part);
}

static void send_fragments(struct router *r, struct sleeve_path *p, const struct sleeve_frame *f)
{
	uint8_t header[SLEEVE_FRAME_HEADER_SIZE - 1];
	struct writer w = writer_over(header, sizeof header);
	size_t total = sizeof header + f->frame.size,
	       room = fragment_room(p->pmtu.size, p->seal_size);
	struct sleeve_fragment piece = { .id = ++p->fragment_id, .total = (uint32_t)total };

	sleeve_frame_header_write(f, &w);
	for (size_t offset = 0; offset < total; offset += room) {
		size_t size = total - offset < room ? total - offset : room;
		size_t headers = SLEEVE_HEADER_SIZE + SLEEVE_FRAGMENT_HEADER_SIZE;
		uint8_t *data = router_datagram(r, p, headers + size);

		if (!data)
			return;
		piece.offset = (uint32_t)offset;
		piece.piece.size = size;
		w = writer_over(data + SLEEVE_HEADER_SIZE, SLEEVE_FRAGMENT_HEADER_SIZE);
		sleeve_fragment_header_write(&piece, SLEEVE_FRAGMENT, &w);
		MUST(!w.full);
		copy_body(data + headers, bytes_of(header, sizeof header), f->frame, offset, size);
		path_on_sent(p, r->open.size);
		r->counters.fragments_out++;
	}
}

/* Bytes of body in the next piece when 'left' are left: what fits the newest datagram, so that
 * one train's datagrams are all full, else a datagram of its own. */
static size_t piece_size(const struct router *r, const struct sleeve_path *p, size_t left)
{
	size_t room = open_room(r, p);

	/* The first piece should hold all headers (router/train.h). */
	if (room < PIECE_MIN && room < SLEEVE_FRAGMENT_HEADER_SIZE + left)
		room = p->pmtu.size - SLEEVE_HEADER_SIZE - p->seal_size;
	room -= SLEEVE_FRAGMENT_HEADER_SIZE;
	return left < room ? left : room;
}

static void send_pieces(struct router *r, struct sleeve_path *p, const struct sleeve_frame *f)
{
	uint8_t header[SLEEVE_PARTIAL_HEADER_SIZE - 1];
	struct writer w = writer_over(header, sizeof header);
	size_t total = sizeof header + f->frame.size, size;
	struct sleeve_fragment piece = { .id = ++p->fragment_id, .total = (uint32_t)total };

	sleeve_frame_header_write(f, &w);
	for (size_t offset = 0; offset < total; offset += size) {
		uint8_t *at;

		size = piece_size(r, p, total - offset);
		at = record_room(r, p, SLEEVE_FRAGMENT_HEADER_SIZE + size);
		if (!at)
			return;
		piece.offset = (uint32_t)offset;
		piece.piece.size = size;
		w = writer_over(at, SLEEVE_FRAGMENT_HEADER_SIZE);
		sleeve_fragment_header_write(&piece, SLEEVE_PIECE, &w);
		MUST(!w.full);
		copy_body(at + SLEEVE_FRAGMENT_HEADER_SIZE, bytes_of(header, sizeof header),
			  f->frame, offset, size);
		r->counters.fragments_out++;
	}
}

static void send_frame(struct router *r, struct sleeve_path *p, const struct sleeve_frame *f)
{
	size_t headers = SLEEVE_HEADER_SIZE + sleeve_frame_header_size(f) + p->seal_size;

	if (headers + f->frame.size <= p->pmtu.size)
		send_whole(r, p, f);
	else if (f->offload.checksum)
		send_pieces(r, p, f);
	else
		send_fragments(r, p, f);
}

/* For an end that takes whole frames only. */
static void send_finished(struct router *r, struct sleeve_path *p, const struct sleeve_frame *f)
{
	struct sleeve_frame one = *f;
	struct offload_layout l;

	MUST(offload_layout(&l, f->frame, f->offload));
	one.offload = OFFLOAD_NONE;
	for (uint32_t i = 0; i < l.count; i++) {
		offload_finished(&l, f->frame.data, i, r->finished);
		one.frame = bytes_of(r->finished, offload_part_size(&l, i, 1));
		send_frame(r, p, &one);
	}
}

void router_send(struct router *r, struct sleeve_path *p, const struct sleeve_frame *f,
		 struct mono now)
{
	p->frames_out++;
	p->bytes_out += f->frame.size;
	if (f->offload.checksum && !path_takes_partial(p))
		send_finished(r, p, f);
	else
		send_frame(r, p, f);
	path_on_data(p, now);
	if (p->heartbeat_now)
		router_path_run(r, p, now);
}

/* A segment of the frame with nothing undone. */
static bool deliver_finished(struct router *r, uint32_t segment, const struct offload_layout *l,
			     const uint8_t *frame, uint32_t number)
{
	uint8_t *at = outbox_frame(&r->outbox, segment, offload_part_size(l, number, 1));

	if (at)
		offload_finished(l, frame, number, at);
	return at;
}

static bool deliver_as_is(struct router *r, uint32_t segment, struct bytes frame,
			  struct offload undone)
{
	uint8_t *at;

	if (r->lends) {
		if (!outbox_lend(&r->outbox, segment, frame))
			return false;
	} else {
		at = outbox_frame(&r->outbox, segment, frame.size);
		if (!at)
			return false;
		memcpy(at, frame.data, frame.size);
	}
	r->outbox.frames[r->outbox.frames_count - 1].undone = undone;
	return true;
}

static void deliver(struct router *r, uint32_t segment, struct bytes frame, struct offload undone)
{
	struct offload_layout l;
	bool done = true;

	if (undone.checksum && !r->config.bridge_offloads) {
		MUST(offload_layout(&l, frame, undone));
		for (uint32_t i = 0; done && i < l.count; i++)
			done = deliver_finished(r, segment, &l, frame.data, i);
	} else {
		done = deliver_as_is(r, segment, frame, undone);
	}
	if (!done) {
		router_drop(r, DROP_OUTBOX_FULL);
		return;
	}
	r->counters.to_bridge++;
	r->counters.bytes_to_bridge += frame.size;
}

void router_carry_out(struct router *r, const struct verdict *v, uint32_t segment,
		      struct bytes frame, struct offload undone, struct mono now)
{
	struct sleeve_frame f = {
		.origin = v->origin,
		.destination = v->destination,
		.segment = segment,
		.hop_limit = v->hop_limit,
		.offload = undone,
		.frame = frame,
	};

	if (v->drop != DROP_NONE)
		router_drop(r, v->drop);
	r->drops.count[DROP_NO_DATA_PATH] += v->hops_count ? v->dead_hops : 0;
	if (v->to_bridge)
		deliver(r, segment, frame, undone);
	for (uint32_t i = 0; i < v->hops_count; i++) {
		MUST(v->hops[i].path < r->paths_count);
		router_send(r, r->paths[v->hops[i].path], &f, now);
	}
}

/* Tells the sender of a unicast frame that does not fit.  The frame goes on all the same, in
 * fragments: a sender that does not hear ICMP must not end in a black hole (docs/why/too-big.md).
 */
static void tell_too_big(struct router *r, uint32_t segment, const struct frame *f,
			 const struct verdict *v, struct mono now)
{
	uint8_t answer[TOO_BIG_ANSWER_MAX];
	struct sleeve_path *p;
	uint8_t *at;
	size_t mtu, size;

	if (v->hops_count != 1 || v->destination == PEER_NAME_NONE)
		return;
	p = r->paths[v->hops[0].path];
	/* Senders remember what they are told for minutes: not while the path is measured. */
	if (!p->pmtu.settled || f->raw.size <= path_mtu(p) + FRAME_HEADER_SIZE)
		return;
	mtu = too_big_mtu(f, path_mtu(p));
	if (!mtu)
		return;
	if (!path_may_send_icmp(p, now))
		return;
	size = too_big_answer(f, mtu, r->config.bridge_mac, answer);
	at = outbox_frame(&r->outbox, segment, size);
	if (at) {
		memcpy(at, answer, size);
		r->counters.icmp_sent++;
	}
}

/* A frame that stands for so many segments that its size would not fit a record: as two. */
static void on_oversized(struct router *r, uint32_t segment, struct bytes raw,
			 struct offload undone, struct mono now)
{
	struct offload_layout l;
	uint32_t half;
	struct offload rest;
	size_t size;

	if (!offload_layout(&l, raw, undone) || l.count < 2) {
		router_drop(r, DROP_MALFORMED);
		return;
	}
	half = l.count / 2;
	rest = offload_part(&l, raw.data, 0, half, r->part);
	size = offload_part_size(&l, 0, half);
	router_on_frame(r, segment, bytes_of(r->part, size), rest, now);
	rest = offload_part(&l, raw.data, half, l.count - half, r->part);
	size = offload_part_size(&l, half, l.count - half);
	router_on_frame(r, segment, bytes_of(r->part, size), rest, now);
}

void router_on_frame(struct router *r, uint32_t segment, struct bytes raw, struct offload undone,
		     struct mono now)
{
	struct decide_input in = { .side = DECIDE_FROM_BRIDGE, .segment = segment };
	struct verdict v;
	struct frame f;

	if (raw.size > FRAME_DATA_MAX && raw.size <= 2 * (size_t)FRAME_DATA_MAX) {
		on_oversized(r, segment, raw, undone, now);
		return;
	}
	r->now = now;
	r->counters.from_bridge++;
	r->counters.bytes_from_bridge += raw.size;
	/* Closed a moment ago. */
	if (!networks_is_open(r->networks, segment)) {
		router_drop(r, DROP_UNKNOWN_SEGMENT);
		return;
	}
	if (raw.size > FRAME_DATA_MAX || !frame_parse(&f, raw)) {
		router_drop(r, DROP_MALFORMED);
		return;
	}
	endpoints_now(r->endpoints, now);
	router_refresh(r);
	in.to = f.to;
	in.from = f.from;
	if (!mac_is_group(f.from) && !frame_is_link_local(f.to))
		in.source = endpoints_learn_local(r->endpoints, in.segment, f.from);
	if (!mac_is_group(f.to))
		in.where = endpoints_find(r->endpoints, in.segment, f.to);
	if (in.where == PEER_NAME_NONE)
		snapshot_want(r->snapshot, r->topology, r->networks, r->config.self, segment);
	decide(r->snapshot, &in, &v);
	/* What is cut into pieces anyhow may be cut anywhere. */
	if (!undone.segment_size)
		tell_too_big(r, segment, &f, &v, now);
	router_carry_out(r, &v, in.segment, raw, undone, now);
	router_publish(r, now);
}
