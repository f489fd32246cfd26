#include "message_wire.h"

#include <weave/must.h>

#include "entry_wire.h"

static const struct message_row rows[] = {
#define X(name, number, min, max, before) { (number), #name, (min), (max), (before) },
	MESSAGE_TYPES(X)
#undef X
};

const struct message_row *message_row(uint8_t type)
{
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		if (rows[i].number == type)
			return &rows[i];
	return NULL;
}

const char *message_check(uint8_t type, size_t body_size, bool handshake_done)
{
	const struct message_row *row = message_row(type);

	if (!row)
		return "frame.type";
	if (!handshake_done && !row->before_handshake)
		return "frame.type before the handshake";
	if (handshake_done && row->before_handshake && type != MESSAGE_CLOSE)
		return "frame.type: a second handshake";
	return body_size < row->min || body_size > row->max ? "frame.length for its type" : NULL;
}

static void hash_encode(struct hash128 h, struct writer *w)
{
	write_u64(w, h.high);
	write_u64(w, h.low);
}

static struct hash128 hash_decode(struct reader *r, const char *what)
{
	struct hash128 h;

	h.high = read_u64(r, what);
	h.low = read_u64(r, what);
	return h;
}

void pulse_encode(const struct pulse *p, struct writer *w)
{
	write_u64(w, p->sequence);
	write_u64(w, p->ack);
	hash_encode(p->digest, w);
	write_u32(w, p->sent_ms);
	write_u32(w, p->echo_ms);
	write_u32(w, p->held_ms);
	write_u8(w, p->flags);
}

void pulse_decode(struct pulse *p, struct reader *r)
{
	p->sequence = read_u64(r, "pulse.sequence");
	p->ack = read_u64(r, "pulse.ack");
	p->digest = hash_decode(r, "pulse.digest");
	p->sent_ms = read_u32(r, "pulse.sent_ms");
	p->echo_ms = read_u32(r, "pulse.echo_ms");
	p->held_ms = read_u32(r, "pulse.held_ms");
	p->flags = read_u8(r, "pulse.flags");
	if (p->flags & ~(PULSE_STRUCTURAL | PULSE_PUBLISHED | PULSE_CAUGHT_UP | PULSE_SYNC_END))
		reader_fail(r, "pulse.flags");
}

const char *heartbeat_decode(struct pulse *p, struct bytes body)
{
	struct reader r = reader_over(body.data, body.size);

	pulse_decode(p, &r);
	if (p->flags & PULSE_SYNC_END)
		reader_fail(&r, "pulse.flags");
	return reader_verdict(&r);
}

const char *entries_decode(struct pulse *p, uint16_t *count, struct reader *entries,
			   struct bytes body)
{
	*entries = reader_over(body.data, body.size);
	pulse_decode(p, entries);
	*count = read_u16(entries, "entries.count");
	if (*count > reader_left(entries) / ENTRY_WIRE_MIN)
		reader_fail(entries, "entries.count");
	return entries->bad;
}

void digests_encode(const struct digests *d, struct writer *w)
{
	write_u8(w, d->flags);
	write_u16(w, d->count);
	for (unsigned i = 0; i < d->count; i++) {
		write_u8(w, d->bucket[i]);
		hash_encode(d->digest[i], w);
	}
}

const char *digests_decode(struct digests *d, struct bytes body)
{
	struct reader r = reader_over(body.data, body.size);

	d->flags = read_u8(&r, "digests.flags");
	if (d->flags & ~DIGESTS_APART)
		reader_fail(&r, "digests.flags");
	d->count = read_u16(&r, "digests.count");
	if (d->count > DIGESTS_MAX)
		reader_fail(&r, "digests.count");
	for (unsigned i = 0; !r.bad && i < d->count; i++) {
		d->bucket[i] = read_u8(&r, "digests.bucket");
		if (i > 0 && d->bucket[i] <= d->bucket[i - 1])
			reader_fail(&r, "digests.bucket");
		d->digest[i] = hash_decode(&r, "digests.digest");
	}
	return reader_verdict(&r);
}

void keys_encode(const struct keys *k, const struct key_version *items, struct writer *w)
{
	write_u8(w, k->flags);
	if (k->flags & KEYS_NOTHING)
		return;
	write_u64(w, k->low);
	write_u64(w, k->high);
	write_u32(w, k->count);
	for (uint32_t i = 0; i < k->count; i++) {
		write_u64(w, items[i].key);
		write_u64(w, items[i].version);
	}
}

/* Keys ascend strictly and lie in the range: who compares relies on both. */
static void check_key_order(const struct keys *k, struct reader *r)
{
	struct reader all = k->items;
	uint64_t before = 0;

	for (uint32_t i = 0; i < k->count; i++) {
		uint64_t key = read_u64(&all, "keys.key");

		read_u64(&all, "keys.version");
		if (key < k->low || key > k->high || (i > 0 && key <= before))
			reader_fail(r, "keys.key");
		before = key;
	}
}

const char *keys_decode(struct keys *k, struct bytes body)
{
	struct reader r = reader_over(body.data, body.size);

	*k = (struct keys){ .flags = read_u8(&r, "keys.flags") };
	if (k->flags & ~(KEYS_LAST | KEYS_NOTHING | KEYS_APART))
		reader_fail(&r, "keys.flags");
	if (k->flags & KEYS_NOTHING)
		return reader_verdict(&r);
	k->low = read_u64(&r, "keys.low");
	k->high = read_u64(&r, "keys.high");
	if (k->high < k->low || k->high >> 56 != k->low >> 56)
		reader_fail(&r, "keys.high");
	k->count = read_count(&r, KEYS_PER_MESSAGE, 16, "keys.count");
	k->items = read_nested(&r, (size_t)k->count * 16, "keys.count");
	if (!r.bad)
		check_key_order(k, &r);
	return reader_verdict(&r);
}

struct key_version keys_item(const struct keys *k, uint32_t index)
{
	struct reader r = reader_over(k->items.at + (size_t)index * 16, 16);
	struct key_version item;

	MUST(index < k->count);
	item.key = read_u64(&r, "keys.key");
	item.version = read_u64(&r, "keys.version");
	return item;
}

void resend_encode(const struct resend *m, const uint64_t *keys, struct writer *w)
{
	write_u8(w, m->flags);
	write_u32(w, m->count);
	for (uint32_t i = 0; i < m->count; i++)
		write_u64(w, keys[i]);
}

const char *resend_decode(struct resend *m, struct bytes body)
{
	struct reader r = reader_over(body.data, body.size);

	m->flags = read_u8(&r, "resend.flags");
	if (m->flags & ~RESEND_LAST)
		reader_fail(&r, "resend.flags");
	m->count = read_count(&r, RESEND_PER_MESSAGE, 8, "resend.count");
	m->items = read_nested(&r, (size_t)m->count * 8, "resend.count");
	return reader_verdict(&r);
}

void unicast_encode(const struct unicast *u, struct writer *w)
{
	write_u8(w, u->flags);
	write_uint(w, u->source, 6);
	write_uint(w, u->destination, 6);
	write_u8(w, u->hops_left);
	write_u8(w, u->channel);
	write_bytes(w, u->payload.data, u->payload.size);
}

const char *unicast_decode(struct unicast *u, struct bytes body)
{
	struct reader r = reader_over(body.data, body.size);
	size_t size;

	u->flags = read_u8(&r, "unicast.flags");
	if (u->flags & ~UNICAST_RETURNED)
		reader_fail(&r, "unicast.flags");
	u->source = read_uint(&r, 6, "unicast.source");
	if (u->source == PEER_NAME_NONE)
		reader_fail(&r, "unicast.source");
	u->destination = read_uint(&r, 6, "unicast.destination");
	if (u->destination == PEER_NAME_NONE)
		reader_fail(&r, "unicast.destination");
	u->hops_left = read_u8(&r, "unicast.hops_left");
	if (u->hops_left > HOP_LIMIT)
		reader_fail(&r, "unicast.hops_left");
	u->channel = read_u8(&r, "unicast.channel");
	size = reader_left(&r);
	if (size > UNICAST_PAYLOAD_MAX || (size && u->flags & UNICAST_RETURNED))
		reader_fail(&r, "unicast.payload");
	u->payload = bytes_of(read_bytes(&r, r.bad ? 0 : size, "unicast.payload"),
			      r.bad ? 0 : size);
	return reader_verdict(&r);
}

void close_encode(const struct why *why, struct name_holder holder, struct writer *w)
{
	size_t length = strnlen(why->text, CLOSE_TEXT_MAX);

	write_u16(w, (uint16_t)why->reason);
	write_block16(w, bytes_of(why->text, length));
	if (!holder.instance)
		return;
	write_u64(w, holder.generation);
	write_u64(w, holder.instance);
}

static void read_holder(struct reader *r, struct name_holder *holder)
{
	*holder = (struct name_holder){ 0 };
	if (r->bad || reader_left(r) == 0)
		return;
	holder->generation = read_u64(r, "close.generation");
	holder->instance = read_u64(r, "close.instance");
	if (!r->bad && holder->generation >= VERSION_LIMIT)
		reader_fail(r, "close.generation");
	if (!r->bad && holder->instance == 0)
		reader_fail(r, "close.instance");
}

static bool is_known_reason(uint16_t number)
{
	switch (number) {
#define X(name, n, text) case n:
		WHY_REASONS(X)
#undef X
		return true;
	default:
		return false;
	}
}

const char *close_decode(struct why *why, struct name_holder *holder, struct bytes body)
{
	struct reader r = reader_over(body.data, body.size);
	uint16_t reason = read_u16(&r, "close.reason");
	struct bytes text = read_block16(&r, CLOSE_TEXT_MAX, "close.text");
	char clean[CLOSE_TEXT_MAX + 1];

	read_holder(&r, holder);
	for (size_t i = 0; i < text.size; i++)
		clean[i] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? (char)text.data[i] : '?';
	clean[text.size] = '\0';
	if (is_known_reason(reason))
		why_set(why, (enum why_reason)reason, "%s", clean);
	else
		why_set(why, WHY_TRANSPORT, "reason %u: %s", reason, clean);
	return reader_verdict(&r);
}
