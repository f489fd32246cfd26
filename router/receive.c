#include <weave/must.h>

#include "router_state.h"

/* Only a heartbeat, which is proven, may move the replay window further: more than the datagrams
 * that the fastest link loses between two heartbeats. */
#define COUNTER_LEAP (UINT64_C(1) << 24)

static void on_frame_record(struct router *r, struct sleeve_path *p, const struct sleeve_frame *f,
			    struct mono now)
{
	struct decide_input in = {
		.side = DECIDE_FROM_PEER,
		.segment = f->segment,
		.open = networks_takes(r->networks, f->segment, f->origin),
		.via = p->peer,
		.origin = f->origin,
		.destination = f->destination,
		.hop_limit = f->hop_limit,
	};
	struct offload_layout l;
	struct verdict v;
	struct frame view;

	p->frames_in++;
	p->bytes_in += f->frame.size;
	if (!frame_parse(&view, f->frame) ||
	    (f->offload.checksum && !offload_layout(&l, f->frame, f->offload))) {
		router_drop(r, DROP_MALFORMED);
		return;
	}
	in.to = view.to;
	in.from = view.from;
	if (f->destination == PEER_NAME_NONE)
		snapshot_want(r->snapshot, r->topology, r->networks, f->origin, f->segment);
	decide(r->snapshot, &in, &v);
	if (v.to_bridge)
		endpoints_learn_seen(r->endpoints, f->segment, view.from, f->origin);
	if (v.hops_count)
		r->counters.relayed++;
	router_carry_out(r, &v, f->segment, f->frame, f->offload, now);
}

/* Some segments of a frame of which others are missing. */
static void on_part(struct router *r, struct sleeve_path *p, const struct train_part *part,
		    struct mono now)
{
	struct sleeve_frame f = part->frame;

	f.offload = offload_part(&part->layout, part->frame.frame.data, part->first, part->count,
				 r->part);
	f.frame = bytes_of(r->part, offload_part_size(&part->layout, part->first, part->count));
	on_frame_record(r, p, &f, now);
}

void router_take_back(struct router *r, struct sleeve_path *p)
{
	/* Only when nobody has flushed since. */
	outbox_own(&r->outbox);
	train_take_back(&p->train);
}

void router_path_joined(struct router *r, struct sleeve_path *p, struct mono now)
{
	struct train_part part;

	while (train_next(&p->train, &part))
		on_part(r, p, &part, now);
	r->drops.count[DROP_REASSEMBLY] += p->reassembly.dropped + p->train.dropped;
	p->reassembly.dropped = p->train.dropped = 0;
}

/* The frame stays in the train's memory until it is flushed. */
static void on_body(struct router *r, struct sleeve_path *p, const struct sleeve_frame *frame,
		    struct mono now)
{
	r->lends = true;
	on_frame_record(r, p, frame, now);
	r->lends = false;
}

static void on_piece(struct router *r, struct sleeve_path *p, const struct sleeve_fragment *f,
		     struct mono now)
{
	struct bytes body = train_add(&p->train, f, now);
	struct reader reader = reader_over(body.data, body.size);
	struct sleeve_frame frame;

	r->counters.fragments_in++;
	if (body.size) {
		sleeve_partial_read(&frame, &reader);
		if (reader_verdict(&reader))
			router_drop(r, DROP_BAD_DATAGRAM);
		else
			on_body(r, p, &frame, now);
	}
	router_path_joined(r, p, now);
	r->due = mono_min(r->due, train_deadline(&p->train));
}

static void on_fragment(struct router *r, struct sleeve_path *p, const struct sleeve_fragment *f,
			struct mono now)
{
	struct bytes body = reassembly_add(&p->reassembly, f, now);
	struct reader reader = reader_over(body.data, body.size);
	struct sleeve_frame frame;

	r->counters.fragments_in++;
	r->due = mono_min(r->due, mono_after(now, REASSEMBLY_TIMEOUT_MS));
	router_path_joined(r, p, now);
	if (!body.size)
		return;
	sleeve_frame_read(&frame, &reader);
	if (reader_verdict(&reader))
		router_drop(r, DROP_BAD_DATAGRAM);
	else
		on_frame_record(r, p, &frame, now);
}

static void on_probe(struct router *r, struct sleeve_path *p, const struct sleeve_probe *probe,
		     size_t size)
{
	struct sleeve_probe_ack ack = { .id = probe->id, .size = (uint16_t)size };
	uint8_t *data;
	struct writer w;

	if (p->state == PATH_WAITING)
		return;
	data = router_datagram(r, p, SLEEVE_HEADER_SIZE + SLEEVE_PROBE_ACK_SIZE);
	if (!data)
		return;
	w = writer_over(data + SLEEVE_HEADER_SIZE, SLEEVE_PROBE_ACK_SIZE);
	sleeve_probe_ack_write(&ack, &w);
}

/* True when the path's own state may have changed. */
static bool on_record(struct router *r, struct sleeve_path *p, const struct sleeve_record *record,
		      size_t datagram_size, struct mono now)
{
	switch (record->type) {
	case SLEEVE_FRAME:
	case SLEEVE_PARTIAL:
		path_on_data(p, now);
		on_frame_record(r, p, &record->frame, now);
		return p->heartbeat_now;
	case SLEEVE_FRAGMENT:
		path_on_data(p, now);
		on_fragment(r, p, &record->fragment, now);
		return p->heartbeat_now;
	case SLEEVE_PIECE:
		path_on_data(p, now);
		on_piece(r, p, &record->fragment, now);
		return p->heartbeat_now;
	case SLEEVE_PADDING:
		return false;
	case SLEEVE_HEARTBEAT:
		path_on_heartbeat(p, &record->heartbeat, now);
		return true;
	case SLEEVE_PROBE:
		on_probe(r, p, &record->probe, datagram_size);
		return false;
	case SLEEVE_PROBE_ACK:
		path_on_probe_ack(p, &record->probe_ack, now);
		return true;
	}
	return false;
}

static struct sleeve_path *path_of_index(struct router *r, uint32_t index)
{
	struct table_link *l;
	uint64_t hash;

	/* A train's datagrams are all of one path. */
	if (r->last_heard && r->last_heard->mine.index == index)
		return r->last_heard;
	hash = hash64(&r->secret, &index, sizeof index);
	for (l = table_first(&r->by_index, hash); l; l = table_next(l, hash)) {
		struct sleeve_path *p = table_entry(l, struct sleeve_path, by_index);

		if (p->mine.index == index) {
			r->last_heard = p;
			return p;
		}
	}
	return NULL;
}

/* May this datagram move the path's window to its counter?  In clear only a heartbeat, which is
 * proven, may move it far. */
static bool may_leap(const struct sleeve_path *p, const struct sleeve_header *h,
		     const struct sleeve_record *first)
{
	return path_is_sealed(p) || first->type == SLEEVE_HEARTBEAT ||
	       h->counter <= p->session.heard + COUNTER_LEAP;
}

/* Opens what is sealed.  DROP_NONE, or why not; then nothing has changed but the datagram's bytes.
 */
static enum drop_reason unseal(struct sleeve_path *p, const struct sleeve_header *h,
			       uint8_t *datagram, size_t size, struct mono now)
{
	if (h->type != SLEEVE_SEALED)
		return path_is_sealed(p) ? DROP_NOT_SEALED : DROP_NONE;
	if (!path_is_sealed(p))
		return DROP_NOT_CLEAR;
	/* Cheap, so first. */
	if (!session_fresh(&p->session, h->counter))
		return DROP_REPLAY;
	switch (keys_open(&p->keys, h->epoch, h->counter, datagram, SLEEVE_HEADER_SIZE, size,
			  now)) {
	case KEYS_OPENED:
		return DROP_NONE;
	case KEYS_NO_EPOCH:
		return DROP_BAD_EPOCH;
	case KEYS_BAD_TAG:
		return DROP_BAD_SEAL;
	}
	NOT_REACHED("verdict");
}

/* What a datagram that is believed says: its first record, read, and the rest, well formed. */
struct said {
	struct sleeve_record first;
	struct reader rest;
};

/* DROP_NONE when a datagram of this path is to be believed: its counter is then marked as seen. */
static enum drop_reason believe(struct sleeve_path *p, const struct sleeve_header *h,
				struct netaddr from, struct reader records, struct said *said)
{
	const struct sleeve_record *first = &said->first;

	said->rest = records;
	if (sleeve_record_read(&said->first, &said->rest))
		return DROP_BAD_DATAGRAM;
	/* Most hold one record: then that was all there is to check. */
	if (reader_left(&said->rest) && sleeve_records_check(records))
		return DROP_BAD_DATAGRAM;
	if (!session_fresh(&p->session, h->counter) || !may_leap(p, h, first))
		return DROP_REPLAY;
	if (!path_accepts(p, from, h->counter,
			  first->type == SLEEVE_HEARTBEAT ? &first->heartbeat : NULL))
		return DROP_BAD_SOURCE;
	session_accept(&p->session, h->counter);
	return DROP_NONE;
}

/* The path to which a datagram belongs, if it may be believed; else counts why not. */
static struct sleeve_path *admit(struct router *r, struct netaddr from, uint8_t *datagram,
				 size_t size, struct said *said)
{
	struct reader whole = reader_over(datagram, size);
	enum drop_reason reason = DROP_NONE;
	struct sleeve_header header;
	struct sleeve_path *p = NULL;

	if (size > SLEEVE_DATAGRAM_SIZE_MAX || sleeve_header_read(&header, &whole)) {
		reason = DROP_BAD_DATAGRAM;
	} else {
		p = path_of_index(r, header.index);
		reason = p ? unseal(p, &header, datagram, size, r->now) : DROP_NO_CONNECTION;
	}
	if (reason == DROP_NONE)
		reason = believe(p, &header, from,
				 reader_over(datagram + SLEEVE_HEADER_SIZE,
					     size - SLEEVE_HEADER_SIZE - p->seal_size),
				 said);
	if (reason == DROP_NONE)
		return p;
	router_drop(r, reason);
	return NULL;
}

void router_on_datagram(struct router *r, struct netaddr from, uint8_t *datagram, size_t size,
			struct mono now)
{
	struct sleeve_path *p;
	struct said said;
	bool changed;

	r->now = now;
	p = admit(r, from, datagram, size, &said);
	if (!p)
		return;
	router_take_back(r, p);
	endpoints_now(r->endpoints, now);
	router_refresh(r);
	path_on_heard(p, size, now);
	changed = on_record(r, p, &said.first, size, now);
	while (reader_left(&said.rest)) {
		sleeve_record_read(&said.first, &said.rest);
		changed |= on_record(r, p, &said.first, size, now);
	}
	if (changed)
		router_path_run(r, p, now);
}
