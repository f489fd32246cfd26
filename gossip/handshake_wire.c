#include "handshake_wire.h"

#include <stdio.h>

#include <sodium.h>

#include <weave/hash.h>
#include <weave/must.h>
#include <weave/peer.h>

#include "message_wire.h"

static const uint8_t magic[5] = { 'w', 'e', 'a', 'v', 'e' };
/* CPace's channel identifier: keys of this protocol fit no other one. */
static const char channel[] = "weave.3 control connection";

struct tlv_row {
	uint8_t number;
	const char *name;
	size_t min, max;
	const char *rule; /* by form, see HELLO_TLVS */
};

static const struct tlv_row tlv_rows[] = {
#define X(name, number, min, max, rule) { (number), "hello." #name, (min), (max), rule },
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

static void encode_keys(const struct hello *h, struct writer *w)
{
	write_tlv(w, HELLO_PASSWORD, 1, 1);
	write_tlv_head(w, HELLO_KEY_SHARE, h->key_share_size);
	write_bytes(w, h->key_share, h->key_share_size);
	if (h->has_session) {
		write_tlv_head(w, HELLO_SESSION, sizeof h->session);
		write_bytes(w, h->session, sizeof h->session);
	}
}

void hello_encode(const struct hello *h, struct writer *w)
{
	size_t length = strnlen(h->nickname, NICKNAME_MAX);

	if (h->form == HELLO_KEYS) {
		encode_keys(h, w);
		return;
	}
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
	if (h->form == HELLO_CLEAR)
		write_tlv(w, HELLO_PASSWORD, 0, 1);
	else
		write_tlv(w, HELLO_TRUSTED, h->trusted, 1);
}

static const struct tlv_row *tlv_row(uint8_t type)
{
	for (size_t i = 0; i < ARRAY_COUNT(tlv_rows); i++)
		if (tlv_rows[i].number == type)
			return &tlv_rows[i];
	return NULL;
}

static bool read_flag(struct reader *r, const char *what)
{
	uint8_t flag = read_u8(r, what);

	if (flag > 1)
		reader_fail(r, what);
	return flag == 1;
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
	case HELLO_PASSWORD:
		h->form = read_flag(r, row->name) ? HELLO_KEYS : HELLO_CLEAR;
		break;
	case HELLO_KEY_SHARE:
		h->key_share_size = (uint8_t)size;
		if (size % CPACE_SHARE_SIZE)
			reader_fail(r, row->name);
		read_copy(r, h->key_share, size, row->name);
		break;
	case HELLO_SESSION:
		h->has_session = true;
		read_copy(r, h->session, sizeof h->session, row->name);
		break;
	case HELLO_TRUSTED:
		h->trusted = read_flag(r, row->name);
		break;
	}
}

/* What is there must be allowed in this form, what is not there must not be needed. */
static void check_form(const struct hello *h, uint32_t seen, struct reader *r)
{
	for (size_t i = 0; i < ARRAY_COUNT(tlv_rows); i++) {
		char rule = tlv_rows[i].rule[h->form];
		bool is_there = seen >> tlv_rows[i].number & 1;

		if ((rule == '+' && !is_there) || (rule == '-' && is_there))
			reader_fail(r, tlv_rows[i].name);
	}
}

const char *hello_decode(struct hello *h, struct bytes body, bool sealed)
{
	struct reader r = reader_over(body.data, body.size);
	uint32_t seen = 0;

	*h = (struct hello){ .form = sealed ? HELLO_SEALED : HELLO_CLEAR };
	while (!r.bad && reader_left(&r)) {
		uint8_t type = read_u8(&r, "hello.type");
		size_t size = read_u16(&r, "hello.length");
		const struct tlv_row *row = tlv_row(type);
		struct reader value = read_nested(&r, size, row ? row->name : "hello.length");

		if (r.bad || !row)
			continue; /* an unknown one is skipped */
		if (seen & 1u << type || size < row->min || size > row->max ||
		    (sealed && type == HELLO_PASSWORD)) {
			reader_fail(&r, row->name);
			continue;
		}
		seen |= 1u << type;
		read_value(h, row, size, &value);
		if (value.bad)
			reader_fail(&r, value.bad);
	}
	check_form(h, seen, &r);
	return reader_verdict(&r);
}

void handshake_init(struct handshake *h, bool dialled, bool password, uint8_t lowest,
		    uint8_t highest)
{
	MUST(lowest <= highest);
	*h = (struct handshake){
		.dialled = dialled,
		.password = password,
		.lowest = lowest,
		.highest = highest,
	};
}

void handshake_wipe(struct handshake *h)
{
	sodium_memzero(h, sizeof *h);
}

void preamble_encode(uint8_t lowest, uint8_t highest, struct writer *w)
{
	write_bytes(w, magic, sizeof magic);
	write_u8(w, lowest);
	write_u8(w, highest);
}

/* Moves bytes to the buffer until the item that is arriving has 'want' of them. */
static bool gather(struct handshake *h, struct bytes *from, size_t want)
{
	size_t have = h->size - h->start, n = want > have ? want - have : 0;

	MUST(h->start + want <= sizeof h->buffer);
	if (n > from->size)
		n = from->size;
	if (n) {
		memcpy(h->buffer + h->size, from->data, n);
		h->size += n;
		from->data += n;
		from->size -= n;
	}
	return h->size - h->start >= want;
}

static enum handshake_state refuse(struct handshake *h)
{
	h->state = HANDSHAKE_REFUSED;
	h->output = bytes_of(NULL, 0);
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
	h->start = h->size;
	h->state = HANDSHAKE_HELLO;
	return h->state;
}

static enum handshake_state malformed(struct handshake *h, const char *field, struct why *why)
{
	why_set(why, WHY_MALFORMED, "malformed handshake: %s", field);
	return refuse(h);
}

/* Both preambles, the dialling side's first, behind the random bytes that it chose. */
static void set_session(struct handshake *h, const uint8_t random[HELLO_SESSION_SIZE])
{
	uint8_t ours[PREAMBLE_SIZE];
	struct writer w = writer_over(h->session, sizeof h->session);
	struct writer own = writer_over(ours, sizeof ours);

	preamble_encode(h->lowest, h->highest, &own);
	write_bytes(&w, random, HELLO_SESSION_SIZE);
	write_bytes(&w, h->dialled ? ours : h->buffer, PREAMBLE_SIZE);
	write_bytes(&w, h->dialled ? h->buffer : ours, PREAMBLE_SIZE);
	MUST(!w.full);
}

/* Behind what we have said already, beginning with the preamble; session_end follows. */
static struct writer begin_saying(struct handshake *h, uint8_t type, size_t *mark)
{
	struct writer w = writer_over(h->said, sizeof h->said);

	if (h->said_size == 0)
		preamble_encode(h->lowest, h->highest, &w);
	else
		write_room(&w, h->said_size);
	h->said_size = writer_size(&w);
	*mark = session_begin(&w, type);
	return w;
}

static void end_saying(struct handshake *h, struct writer *w, size_t mark)
{
	session_end(w, mark);
	h->output = bytes_of(h->said + h->said_size, writer_size(w) - h->said_size);
	h->said_size = writer_size(w);
}

static void say_hello(struct handshake *h)
{
	struct hello hello = { .form = HELLO_KEYS, .has_session = h->dialled };
	struct writer w;
	size_t mark;

	hello.key_share_size = (uint8_t)(h->keys.ours * CPACE_SHARE_SIZE);
	memcpy(hello.key_share, h->keys.offer, hello.key_share_size);
	memcpy(hello.session, h->session, sizeof hello.session);
	w = begin_saying(h, MESSAGE_HELLO, &mark);
	hello_encode(&hello, &w);
	end_saying(h, &w, mark);
}

static void say_confirm(struct handshake *h)
{
	uint8_t proof[PROOF_SIZE_MAX];
	size_t size = key_exchange_prove(&h->keys, proof);
	struct writer w = writer_over(h->out, sizeof h->out);
	size_t mark = session_begin(&w, MESSAGE_CONFIRM);

	write_bytes(&w, proof, size);
	session_end(&w, mark);
	h->output = writer_bytes(&w);
}

/* Their shares are in 'hello', and all that they said is in the buffer. */
static enum handshake_state take_offer(struct handshake *h, struct why *why)
{
	struct bytes offer = bytes_of(h->hello.key_share, h->hello.key_share_size);
	struct bytes ours = bytes_of(h->said, h->said_size), theirs = bytes_of(h->buffer, h->start);

	if (!key_exchange_offered(&h->keys, offer, bytes_of(h->session, sizeof h->session),
				  h->dialled ? ours : theirs, h->dialled ? theirs : ours))
		return malformed(h, "hello.KEY_SHARE", why);
	h->state = HANDSHAKE_CONFIRM;
	return h->state;
}

enum handshake_state handshake_offer(struct handshake *h, const struct passwords *passwords,
				     const uint8_t entropy[HANDSHAKE_ENTROPY_SIZE], struct why *why)
{
	MUST(h->password && h->state == (h->dialled ? HANDSHAKE_HELLO : HANDSHAKE_OFFERED));
	set_session(h, h->dialled ? entropy : h->hello.session);
	key_exchange_begin(&h->keys, h->dialled, passwords, bytes_of(channel, strlen(channel)),
			   bytes_of(h->session, sizeof h->session), entropy + HELLO_SESSION_SIZE);
	say_hello(h);
	return h->dialled ? h->state : take_offer(h, why);
}

/* ---- puzzles: a number that gives a hash with enough leading zero bits ---- */

static bool solves(const struct handshake *h, uint64_t number, unsigned bits)
{
	uint8_t input[PUZZLE_SIZE + HELLO_SESSION_SIZE + 8], hash[32];
	struct writer w = writer_over(input, sizeof input);
	unsigned zeroes = 0;

	write_bytes(&w, h->puzzle, PUZZLE_SIZE);
	write_bytes(&w, h->dialled ? h->session : h->hello.session, HELLO_SESSION_SIZE);
	write_u64(&w, number);
	crypto_generichash(hash, sizeof hash, input, sizeof input, NULL, 0);
	while (zeroes < bits && !(hash[zeroes / 8] & 0x80 >> zeroes % 8))
		zeroes++;
	return zeroes == bits;
}

void handshake_puzzle(struct handshake *h, const uint8_t random[PUZZLE_SIZE])
{
	struct writer w;
	size_t mark;

	MUST(h->state == HANDSHAKE_OFFERED && !h->puzzled);
	h->puzzled = true;
	memcpy(h->puzzle, random, PUZZLE_SIZE);
	w = begin_saying(h, MESSAGE_PUZZLE, &mark);
	write_u8(&w, PUZZLE_BITS);
	write_bytes(&w, h->puzzle, PUZZLE_SIZE);
	end_saying(h, &w, mark);
	h->state = HANDSHAKE_PUZZLED;
}

static enum handshake_state on_puzzle(struct handshake *h, struct bytes body, struct why *why)
{
	struct reader r = reader_over(body.data, body.size);
	uint8_t bits = read_u8(&r, "puzzle.bits");
	uint64_t number = 0;
	struct writer w;
	size_t mark;

	read_copy(&r, h->puzzle, PUZZLE_SIZE, "puzzle.random");
	if (bits > PUZZLE_BITS_MAX)
		return malformed(h, "puzzle.bits", why);
	h->puzzled = true;
	/* It ends: 2^bits tries on average, and one in e^64 runs goes on for 64 times that. */
	while (!solves(h, number, bits) && number < UINT64_C(64) << bits)
		number++;
	w = begin_saying(h, MESSAGE_SOLUTION, &mark);
	write_u64(&w, number);
	end_saying(h, &w, mark);
	return h->state;
}

static enum handshake_state on_solution(struct handshake *h, struct bytes body, struct why *why)
{
	struct reader r = reader_over(body.data, body.size);
	uint64_t number = read_u64(&r, "solution.number");

	if (!solves(h, number, PUZZLE_BITS))
		return malformed(h, "solution.number", why);
	h->solved = true;
	h->state = HANDSHAKE_OFFERED;
	return h->state;
}

static enum handshake_state one_side(struct handshake *h, struct why *why)
{
	why_set(why, WHY_PASSWORD_ONE_SIDE, "%s",
		h->password ? "a password is set here, but not at the other end"
			    : "a password is set at the other end, but not here");
	return refuse(h);
}

static enum handshake_state on_hello(struct handshake *h, struct bytes body, struct why *why)
{
	const char *bad = hello_decode(&h->hello, body, false);

	if (bad)
		return malformed(h, bad, why);
	if (h->password != (h->hello.form == HELLO_KEYS))
		return one_side(h, why);
	if (!h->password) {
		h->state = HANDSHAKE_DONE;
		return h->state;
	}
	/* Also what is reflected to us ends here. */
	if (h->hello.has_session == h->dialled)
		return malformed(h, "hello.SESSION", why);
	if (!h->dialled) {
		h->state = HANDSHAKE_OFFERED;
		return h->state;
	}
	if (take_offer(h, why) == HANDSHAKE_CONFIRM)
		say_confirm(h);
	return h->state;
}

static enum handshake_state on_confirm(struct handshake *h, struct bytes proof, struct why *why)
{
	if (!key_exchange_proved(&h->keys, proof)) {
		why_set(why, WHY_PASSWORD_WRONG,
			"passwords differ, or somebody between changed the handshake");
		return refuse(h);
	}
	if (!h->dialled)
		say_confirm(h);
	h->state = HANDSHAKE_DONE;
	return h->state;
}

/* Where a password is set, what comes in clear comes from anybody: it may say why it does not want
 * us, in words of ours, but nothing that we would act upon later, as "you are myself". */
static void distrust(struct why *why)
{
	switch (why->reason) {
	case WHY_STOPPED:
	case WHY_MALFORMED:
	case WHY_VERSION:
	case WHY_PASSWORD_ONE_SIDE:
	case WHY_PASSWORD_WRONG:
	case WHY_HANDSHAKE_TIMEOUT:
	case WHY_OVERLOADED:
		break;
	default:
		why->reason = WHY_TRANSPORT;
	}
	why_set(why, why->reason, "%s", why_reason_text(why->reason));
}

static const char *check_type(const struct handshake *h, uint8_t type, size_t body_size)
{
	const char *bad = message_check(type, body_size, false);
	bool ok = type == MESSAGE_CLOSE;

	if (h->state == HANDSHAKE_HELLO)
		ok = ok || type == MESSAGE_HELLO ||
		     (type == MESSAGE_PUZZLE && h->password && h->dialled && !h->puzzled);
	else if (h->state == HANDSHAKE_PUZZLED)
		ok = ok || type == MESSAGE_SOLUTION;
	else
		ok = ok || type == MESSAGE_CONFIRM;
	return bad || ok ? bad : "frame.type: not its turn";
}

static enum handshake_state feed_frame(struct handshake *h, struct bytes *from, struct why *why)
{
	const uint8_t *frame = h->buffer + h->start;
	struct name_holder holder; /* not believed: nobody has proved anything */
	struct reader r;
	uint32_t length;
	uint8_t type;
	struct bytes body;
	const char *bad;

	if (sizeof h->buffer - h->start < FRAME_HEADER_SIZE)
		return malformed(h, "frame.length", why);
	if (!gather(h, from, FRAME_HEADER_SIZE))
		return h->state;
	r = reader_over(frame, FRAME_HEADER_SIZE);
	length = read_u32(&r, "frame.length");
	type = read_u8(&r, "frame.type");
	if (length < 1 || length > sizeof h->buffer - h->start - 4)
		return malformed(h, "frame.length", why);
	bad = check_type(h, type, length - 1);
	if (bad)
		return malformed(h, bad, why);
	if (!gather(h, from, 4 + length))
		return h->state;
	h->start = h->size;
	body = bytes_of(frame + FRAME_HEADER_SIZE, length - 1);
	if (type == MESSAGE_CLOSE) {
		bad = close_decode(why, &holder, body);
		h->closed_by_peer = !bad;
		if (!bad && h->password)
			distrust(why);
		return bad ? malformed(h, bad, why) : refuse(h);
	}
	if (type == MESSAGE_PUZZLE)
		return on_puzzle(h, body, why);
	if (type == MESSAGE_SOLUTION)
		return on_solution(h, body, why);
	return type == MESSAGE_HELLO ? on_hello(h, body, why) : on_confirm(h, body, why);
}

enum handshake_state handshake_feed(struct handshake *h, struct bytes *from, struct why *why)
{
	switch (h->state) {
	case HANDSHAKE_PREAMBLE:
		return feed_preamble(h, from, why);
	case HANDSHAKE_HELLO:
		MUST(!h->password || !h->dialled || h->said_size);
		return feed_frame(h, from, why);
	case HANDSHAKE_PUZZLED:
	case HANDSHAKE_CONFIRM:
		return feed_frame(h, from, why);
	case HANDSHAKE_OFFERED:
	case HANDSHAKE_DONE:
	case HANDSHAKE_REFUSED:
		return h->state;
	}
	NOT_REACHED("handshake state");
}

struct bytes handshake_output(struct handshake *h)
{
	struct bytes output = h->output;

	h->output = bytes_of(NULL, 0);
	return output;
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
