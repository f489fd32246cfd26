#include "sleeve_wire.h"

#include <weave/hash.h>

#include <weave/must.h>

#include "aead.h"
#include "frame.h"

const char *sleeve_header_read(struct sleeve_header *h, struct reader *r)
{
	*h = (struct sleeve_header){ 0 };
	h->type = read_u8(r, "header.type");
	if (h->type != SLEEVE_CLEAR && h->type != SLEEVE_SEALED)
		reader_fail(r, "header.type");
	h->epoch = read_u8(r, "header.epoch");
	if (h->type == SLEEVE_CLEAR && h->epoch)
		reader_fail(r, "header.epoch");
	if (read_u16(r, "header.reserved"))
		reader_fail(r, "header.reserved");
	h->index = read_u32(r, "header.index");
	h->counter = read_u64(r, "header.counter");
	if (!h->counter)
		reader_fail(r, "header.counter");
	return r->bad;
}

static void read_frame_start(struct sleeve_frame *f, struct reader *r)
{
	*f = (struct sleeve_frame){ 0 };
	f->origin = read_uint(r, 6, "frame.origin");
	if (f->origin == PEER_NAME_NONE)
		reader_fail(r, "frame.origin");
	f->destination = read_uint(r, 6, "frame.destination");
	f->segment = (uint32_t)read_uint(r, 3, "frame.segment");
	f->hop_limit = read_u8(r, "frame.hop_limit");
	if (!f->hop_limit)
		reader_fail(r, "frame.hop_limit");
}

static void read_partial_start(struct sleeve_frame *f, struct reader *r)
{
	read_frame_start(f, r);
	f->offload.checksum = true;
	f->offload.segment_size = read_u16(r, "frame.segment_size");
}

static const char *read_frame_bytes(struct sleeve_frame *f, struct reader *r)
{
	f->frame = read_block16(r, FRAME_DATA_MAX, "frame.bytes");
	if (f->frame.size < FRAME_HEADER_SIZE)
		reader_fail(r, "frame.bytes");
	return r->bad;
}

const char *sleeve_frame_read(struct sleeve_frame *f, struct reader *r)
{
	read_frame_start(f, r);
	return read_frame_bytes(f, r);
}

const char *sleeve_partial_read(struct sleeve_frame *f, struct reader *r)
{
	read_partial_start(f, r);
	return read_frame_bytes(f, r);
}

const char *sleeve_partial_header_read(struct sleeve_frame *f, struct bytes start, size_t total)
{
	struct reader r = reader_over(start.data, start.size);
	size_t size;

	read_partial_start(f, &r);
	size = read_u16(&r, "frame.bytes");
	if (size < FRAME_HEADER_SIZE || size != total - (SLEEVE_PARTIAL_HEADER_SIZE - 1))
		reader_fail(&r, "frame.bytes");
	f->frame = bytes_of(start.data + SLEEVE_PARTIAL_HEADER_SIZE - 1, size);
	return r.bad;
}

static void read_fragment(struct sleeve_fragment *f, struct reader *r)
{
	f->id = read_u32(r, "fragment.id");
	f->offset = (uint32_t)read_uint(r, 3, "fragment.offset");
	f->total = (uint32_t)read_uint(r, 3, "fragment.total");
	f->piece = read_block16(r, UINT16_MAX, "fragment.bytes");
	if (f->total > SLEEVE_BODY_MAX)
		reader_fail(r, "fragment.total");
	if (!f->piece.size || f->piece.size > f->total || f->offset > f->total - f->piece.size)
		reader_fail(r, "fragment.bytes");
}

static void read_heartbeat(struct sleeve_heartbeat *h, struct reader *r)
{
	h->flags = read_u8(r, "heartbeat.flags");
	h->proof = read_u64(r, "heartbeat.proof");
	h->token = read_u32(r, "heartbeat.token");
	if (!h->token)
		reader_fail(r, "heartbeat.token");
	h->echo = read_u32(r, "heartbeat.echo");
	h->held_ms = read_u16(r, "heartbeat.held_ms");
	h->largest = read_u16(r, "heartbeat.largest");
}

const char *sleeve_record_read(struct sleeve_record *record, struct reader *r)
{
	*record = (struct sleeve_record){ 0 };
	record->type = (enum sleeve_record_type)read_u8(r, "record.type");
	switch (record->type) {
	case SLEEVE_FRAME:
		sleeve_frame_read(&record->frame, r);
		break;
	case SLEEVE_PARTIAL:
		sleeve_partial_read(&record->frame, r);
		break;
	case SLEEVE_FRAGMENT:
	case SLEEVE_PIECE:
		read_fragment(&record->fragment, r);
		break;
	case SLEEVE_PADDING:
		read_bytes(r, reader_left(r), "padding");
		break;
	case SLEEVE_HEARTBEAT:
		read_heartbeat(&record->heartbeat, r);
		break;
	case SLEEVE_PROBE:
		record->probe.id = read_u32(r, "probe.id");
		read_bytes(r, reader_left(r), "probe.padding");
		break;
	case SLEEVE_PROBE_ACK:
		record->probe_ack.id = read_u32(r, "probe_ack.id");
		record->probe_ack.size = read_u16(r, "probe_ack.size");
		break;
	default:
		reader_fail(r, "record.type");
	}
	return r->bad;
}

const char *sleeve_records_check(struct reader r)
{
	struct sleeve_record record;
	size_t count = 0;

	do {
		sleeve_record_read(&record, &r);
		/* Its proof vouches for the whole datagram. */
		if (!r.bad && record.type == SLEEVE_HEARTBEAT && (count || reader_left(&r)))
			reader_fail(&r, "heartbeat.alone");
		count++;
	} while (reader_left(&r));
	return r.bad;
}

void sleeve_header_write(const struct sleeve_header *h, struct writer *w)
{
	write_u8(w, h->type);
	write_u8(w, h->epoch);
	write_u16(w, 0);
	write_u32(w, h->index);
	write_u64(w, h->counter);
}

void sleeve_frame_header_write(const struct sleeve_frame *f, struct writer *w)
{
	MUST(f->frame.size <= FRAME_DATA_MAX);
	write_uint(w, f->origin, 6);
	write_uint(w, f->destination, 6);
	write_uint(w, f->segment, 3);
	write_u8(w, f->hop_limit);
	if (f->offload.checksum)
		write_u16(w, f->offload.segment_size);
	write_u16(w, (uint16_t)f->frame.size);
}

void sleeve_frame_write(const struct sleeve_frame *f, struct writer *w)
{
	write_u8(w, f->offload.checksum ? SLEEVE_PARTIAL : SLEEVE_FRAME);
	sleeve_frame_header_write(f, w);
	write_bytes(w, f->frame.data, f->frame.size);
}

void sleeve_fragment_header_write(const struct sleeve_fragment *f, enum sleeve_record_type type,
				  struct writer *w)
{
	MUST(f->piece.size <= UINT16_MAX);
	write_u8(w, (uint8_t)type);
	write_u32(w, f->id);
	write_uint(w, f->offset, 3);
	write_uint(w, f->total, 3);
	write_u16(w, (uint16_t)f->piece.size);
}

void sleeve_fragment_write(const struct sleeve_fragment *f, enum sleeve_record_type type,
			   struct writer *w)
{
	sleeve_fragment_header_write(f, type, w);
	write_bytes(w, f->piece.data, f->piece.size);
}

void sleeve_heartbeat_write(const struct sleeve_heartbeat *h, struct writer *w)
{
	write_u8(w, SLEEVE_HEARTBEAT);
	write_u8(w, h->flags);
	write_u64(w, h->proof);
	write_u32(w, h->token);
	write_u32(w, h->echo);
	write_u16(w, h->held_ms);
	write_u16(w, h->largest);
}

void sleeve_probe_write(const struct sleeve_probe *p, struct writer *w)
{
	size_t size;
	uint8_t *padding;

	write_u8(w, SLEEVE_PROBE);
	write_u32(w, p->id);
	size = writer_left(w);
	padding = write_room(w, size);
	if (padding && size)
		memset(padding, 0, size);
}

void sleeve_padding_write(struct writer *w)
{
	size_t size;
	uint8_t *zeroes;

	write_u8(w, SLEEVE_PADDING);
	size = writer_left(w);
	zeroes = write_room(w, size);
	if (zeroes && size)
		memset(zeroes, 0, size);
}

void sleeve_probe_ack_write(const struct sleeve_probe_ack *a, struct writer *w)
{
	write_u8(w, SLEEVE_PROBE_ACK);
	write_u32(w, a->id);
	write_u16(w, a->size);
}

const char *sleeve_setup_read(struct sleeve_setup *s, struct bytes message)
{
	struct reader r = reader_over(message.data, message.size);

	*s = (struct sleeve_setup){ 0 };
	if (read_u8(&r, "setup.type") != 1)
		reader_fail(&r, "setup.type");
	s->overlays = read_u8(&r, "setup.overlays");
	s->port = read_u16(&r, "setup.port");
	if (!s->port)
		reader_fail(&r, "setup.port");
	s->index = read_u32(&r, "setup.index");
	s->proof = read_u64(&r, "setup.proof");
	s->ciphers = read_u8(&r, "setup.ciphers");
	if (!(s->ciphers & AEAD_MANDATORY))
		reader_fail(&r, "setup.ciphers");
	return reader_verdict(&r);
}

void sleeve_setup_write(const struct sleeve_setup *s, struct writer *w)
{
	write_u8(w, 1);
	write_u8(w, s->overlays);
	write_u16(w, s->port);
	write_u32(w, s->index);
	write_u64(w, s->proof);
	write_u8(w, s->ciphers);
}

uint64_t heartbeat_proof(const struct sleeve_setup *receiver, uint64_t counter,
			 const struct sleeve_heartbeat *h)
{
	struct hash_key key = { receiver->proof, receiver->index };
	uint8_t form[24];
	struct writer w = writer_over(form, sizeof form);

	write_u64(&w, counter);
	write_u8(&w, h->flags);
	write_u32(&w, h->token);
	write_u32(&w, h->echo);
	write_u16(&w, h->held_ms);
	write_u16(&w, h->largest);
	return hash64(&key, form, writer_size(&w));
}
