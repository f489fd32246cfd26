#include "handshake_wire.h"

#include <stdio.h>

#include <weave/hash.h>
#include <weave/must.h>
#include <weave/peer.h>

#include "message_wire.h"

static const uint8_t magic[5] = { 'w', 'e', 'a', 'v', 'e' };

struct tlv_row {
	uint8_t number;
	const char *name;
	size_t min, max;
	bool mandatory;
};

static const struct tlv_row tlv_rows[] = {
#define X(name, number, min, max, mandatory)                                                       \
	{ (number), "hello." #name, (min), (max), (mandatory) },
	HELLO_TLVS(X)
#undef X
};

static void write_tlv_head(struct writer *w, enum hello_tlv type, size_t size)
{
	write_u8(w, (uint8_t)type);
	write_u16(w, (uint16_t)size);
}

static void write_tlv(struct writer *w, enum hello_tlv type, uint64_t v, unsigned size)
{
	write_tlv_head(w, type, size);
	write_uint(w, v, size);
}

void hello_encode(const struct hello *h, struct writer *w)
{
	size_t length = strnlen(h->nickname, NICKNAME_MAX);

	MUST(length >= 1);
	write_tlv(w, HELLO_NAME, h->name, 6);
	write_tlv_head(w, HELLO_NICKNAME, length);
	write_bytes(w, h->nickname, length);
	write_tlv(w, HELLO_GENERATION, h->generation, 8);
	write_tlv(w, HELLO_INSTANCE, h->instance, 8);
	write_tlv(w, HELLO_CONNECTION, h->connection, 8);
	write_tlv(w, HELLO_PORT, h->port, 2);
	write_tlv(w, HELLO_OVERLAYS, h->overlays, 1);
	write_tlv(w, HELLO_CAPABILITIES, h->capabilities, 4);
	write_tlv(w, HELLO_PASSWORD, h->password, 1);
	if (h->key_share_size) {
		write_tlv_head(w, HELLO_KEY_SHARE, h->key_share_size);
		write_bytes(w, h->key_share, h->key_share_size);
	}
}

static const struct tlv_row *tlv_row(uint8_t type)
{
	for (size_t i = 0; i < ARRAY_COUNT(tlv_rows); i++)
		if (tlv_rows[i].number == type)
			return &tlv_rows[i];
	return NULL;
}

static void read_value(struct hello *h, const struct tlv_row *row, size_t size, struct reader *r)
{
	struct bytes text = bytes_of(r->at, size);

	switch ((enum hello_tlv)row->number) {
	case HELLO_NAME:
		h->name = read_uint(r, 6, row->name);
		if (h->name == PEER_NAME_NONE)
			reader_fail(r, row->name);
		break;
	case HELLO_NICKNAME:
		if (!peer_text_ok(text))
			reader_fail(r, row->name);
		read_copy(r, h->nickname, size, row->name);
		h->nickname[size] = '\0';
		break;
	case HELLO_GENERATION:
		h->generation = read_u64(r, row->name);
		if (h->generation >= VERSION_LIMIT)
			reader_fail(r, row->name);
		break;
	case HELLO_INSTANCE:
		h->instance = read_u64(r, row->name);
		break;
	case HELLO_CONNECTION:
		h->connection = read_u64(r, row->name);
		break;
	case HELLO_PORT:
		h->port = read_u16(r, row->name);
		break;
	case HELLO_OVERLAYS:
		h->overlays = read_u8(r, row->name);
		break;
	case HELLO_CAPABILITIES:
		h->capabilities = read_u32(r, row->name);
		break;
	case HELLO_PASSWORD: {
		uint8_t flag = read_u8(r, row->name);

		h->password = flag == 1;
		if (flag > 1)
			reader_fail(r, row->name);
		break;
	}
	case HELLO_KEY_SHARE:
		h->key_share_size = (uint8_t)size;
		read_copy(r, h->key_share, size, row->name);
		break;
	}
}

const char *hello_decode(struct hello *h, struct bytes body)
{
	struct reader r = reader_over(body.data, body.size);
	uint32_t seen = 0;

	*h = (struct hello){ 0 };
	while (!r.bad && reader_left(&r)) {
		uint8_t type = read_u8(&r, "hello.type");
		size_t size = read_u16(&r, "hello.length");
		const struct tlv_row *row = tlv_row(type);
		struct reader value = read_nested(&r, size, row ? row->name : "hello.length");

		if (r.bad || !row)
			continue; /* an unknown one is skipped */
		if (seen & 1u << type || size < row->min || size > row->max) {
			reader_fail(&r, row->name);
			continue;
		}
		seen |= 1u << type;
		read_value(h, row, size, &value);
		if (value.bad)
			reader_fail(&r, value.bad);
	}
	for (size_t i = 0; i < ARRAY_COUNT(tlv_rows); i++)
		if (tlv_rows[i].mandatory && !(seen & 1u << tlv_rows[i].number))
			reader_fail(&r, tlv_rows[i].name);
	if (h->password != (h->key_share_size > 0))
		reader_fail(&r, "hello.KEY_SHARE");
	return reader_verdict(&r);
}

void handshake_init(struct handshake *h, uint8_t lowest, uint8_t highest)
{
	MUST(lowest <= highest);
	*h = (struct handshake){ .lowest = lowest, .highest = highest };
}

void preamble_encode(uint8_t lowest, uint8_t highest, struct writer *w)
{
	write_bytes(w, magic, sizeof magic);
	write_u8(w, lowest);
	write_u8(w, highest);
}

/* Moves bytes to the buffer until it holds 'want' of them. */
static bool gather(struct handshake *h, struct bytes *from, size_t want)
{
	size_t n = want > h->size ? want - h->size : 0;

	MUST(want <= sizeof h->buffer);
	if (n > from->size)
		n = from->size;
	if (n == 0)
		return h->size >= want;
	memcpy(h->buffer + h->size, from->data, n);
	h->size += n;
	h->taken += n;
	from->data += n;
	from->size -= n;
	return h->size >= want;
}

static enum handshake_state refuse(struct handshake *h)
{
	h->state = HANDSHAKE_REFUSED;
	return h->state;
}

static enum handshake_state not_a_peer(struct handshake *h, struct why *why)
{
	char hex[3 * sizeof magic + 1] = "";

	for (size_t i = 0; i < h->size && i < sizeof magic; i++)
		snprintf(hex + 3 * i, 4, " %02x", h->buffer[i]);
	why_set(why, WHY_NOT_A_PEER, "the other end is not a weave router: it starts with%s", hex);
	return refuse(h);
}

static void range_text(char *text, size_t size, uint8_t low, uint8_t high)
{
	if (low == high)
		snprintf(text, size, "%u", low);
	else
		snprintf(text, size, "%u to %u", low, high);
}

static enum handshake_state no_common_version(struct handshake *h, struct why *why)
{
	char ours[16], theirs[16];

	range_text(ours, sizeof ours, h->lowest, h->highest);
	range_text(theirs, sizeof theirs, h->their_lowest, h->their_highest);
	why_set(why, WHY_VERSION,
		"no common protocol version: we speak %s, the other end speaks %s", ours, theirs);
	return refuse(h);
}

static enum handshake_state feed_preamble(struct handshake *h, struct bytes *from, struct why *why)
{
	bool whole = gather(h, from, PREAMBLE_SIZE);
	size_t n = h->size < sizeof magic ? h->size : sizeof magic;

	if (memcmp(h->buffer, magic, n) != 0)
		return not_a_peer(h, why);
	if (!whole)
		return h->state;
	h->their_lowest = h->buffer[5];
	h->their_highest = h->buffer[6];
	h->version = h->highest < h->their_highest ? h->highest : h->their_highest;
	if (h->their_lowest > h->their_highest || h->version < h->lowest ||
	    h->version < h->their_lowest)
		return no_common_version(h, why);
	h->size = 0;
	h->state = HANDSHAKE_HELLO;
	return h->state;
}

static enum handshake_state malformed(struct handshake *h, const char *field, struct why *why)
{
	why_set(why, WHY_MALFORMED, "malformed handshake: %s", field);
	return refuse(h);
}

static enum handshake_state feed_frame(struct handshake *h, struct bytes *from, struct why *why)
{
	struct reader r;
	uint32_t length;
	uint8_t type;
	struct bytes body;
	const char *bad;

	if (!gather(h, from, FRAME_HEADER_SIZE))
		return h->state;
	r = reader_over(h->buffer, FRAME_HEADER_SIZE);
	length = read_u32(&r, "frame.length");
	type = read_u8(&r, "frame.type");
	if (length < 1 || length > sizeof h->buffer - h->taken + h->size - 4)
		return malformed(h, "frame.length", why);
	bad = message_check(type, length - 1, false);
	if (bad)
		return malformed(h, bad, why);
	if (!gather(h, from, 4 + length))
		return h->state;
	body = bytes_of(h->buffer + FRAME_HEADER_SIZE, length - 1);
	if (type == MESSAGE_CLOSE) {
		bad = close_decode(why, body);
		h->closed_by_peer = !bad;
		return bad ? malformed(h, bad, why) : refuse(h);
	}
	bad = hello_decode(&h->hello, body);
	if (bad)
		return malformed(h, bad, why);
	h->size = 0;
	h->state = HANDSHAKE_DONE;
	return h->state;
}

enum handshake_state handshake_feed(struct handshake *h, struct bytes *from, struct why *why)
{
	switch (h->state) {
	case HANDSHAKE_PREAMBLE:
		return feed_preamble(h, from, why);
	case HANDSHAKE_HELLO:
		return feed_frame(h, from, why);
	case HANDSHAKE_DONE:
	case HANDSHAKE_REFUSED:
		return h->state;
	}
	NOT_REACHED("handshake state");
}

uint64_t handshake_rank(uint64_t one, uint64_t other)
{
	static const struct hash_key key = { 0x7765617665206475u, 0x706c696361746573u };
	uint8_t both[16];
	struct writer w = writer_over(both, sizeof both);

	write_u64(&w, one < other ? one : other);
	write_u64(&w, one < other ? other : one);
	return hash64(&key, both, sizeof both);
}
