#include "wire_test.h"

#include "../../../gossip/handshake_wire.h"
#include "../../../gossip/message_wire.h"

static struct hello sample(void)
{
	return (struct hello){ .name = 0x7a0011223344,
			       .nickname = "host-1",
			       .generation = 5,
			       .instance = 6,
			       .connection = 7,
			       .port = 6783,
			       .overlays = 3,
			       .capabilities = 0x80000001 };
}

static size_t encode(const struct hello *h, uint8_t *room, size_t size)
{
	struct writer w = writer_over(room, size);

	hello_encode(h, &w);
	assert_false(w.full);
	return writer_size(&w);
}

static void assert_same(const struct hello *a, const struct hello *b)
{
	uint8_t one[HELLO_WIRE_MAX], other[HELLO_WIRE_MAX];
	size_t size = encode(a, one, sizeof one);

	assert_int_equal(encode(b, other, sizeof other), size);
	assert_memory_equal(one, other, size);
	assert_int_equal(a->name, b->name);
	if (a->form != HELLO_KEYS)
		assert_string_equal(a->nickname, b->nickname);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->instance, b->instance);
	assert_int_equal(a->connection, b->connection);
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->overlays, b->overlays);
	assert_int_equal(a->capabilities, b->capabilities);
	assert_int_equal(a->form, b->form);
	assert_int_equal(a->trusted, b->trusted);
	if (a->form != HELLO_KEYS)
		return; /* these share their room with the nickname */
	assert_int_equal(a->key_share_size, b->key_share_size);
	assert_memory_equal(a->key_share, b->key_share, sizeof a->key_share);
	assert_int_equal(a->has_session, b->has_session);
	assert_memory_equal(a->session, b->session, sizeof a->session);
}

static const char *decode(const uint8_t *data, size_t size)
{
	struct hello h;

	return hello_decode(&h, bytes_of(data, size), false);
}

static const char *decode_sealed(const uint8_t *data, size_t size)
{
	struct hello h;

	return hello_decode(&h, bytes_of(data, size), true);
}

static void hello_comes_back_as_it_was(void **state)
{
	struct hello h = sample(), out;
	uint8_t room[HELLO_WIRE_MAX];
	size_t size = encode(&h, room, sizeof room);

	(void)state;
	assert_null(hello_decode(&out, bytes_of(room, size), false));
	assert_same(&h, &out);
	torture(decode, room, size, false);
	/* The largest there is. */
	memset(h.nickname, 'n', NICKNAME_MAX);
	size = encode(&h, room, sizeof room);
	assert_null(hello_decode(&out, bytes_of(room, size), false));
	assert_same(&h, &out);
	h.form = HELLO_SEALED;
	h.trusted = true;
	size = encode(&h, room, sizeof room);
	assert_null(hello_decode(&out, bytes_of(room, size), true));
	assert_same(&h, &out);
	torture(decode_sealed, room, size, true);
	h = (struct hello){ .form = HELLO_KEYS,
			    .key_share_size = OFFER_SIZE_MAX,
			    .has_session = true };
	memset(h.key_share, 9, sizeof h.key_share);
	memset(h.session, 8, sizeof h.session);
	size = encode(&h, room, sizeof room);
	assert_true(FRAME_HEADER_SIZE + size == HELLO_KEYS_MAX);
	assert_null(hello_decode(&out, bytes_of(room, size), false));
	assert_same(&h, &out);
	torture(decode, room, size, true);
}

/* Nothing of what belongs behind the password is taken, or sent, in front of it. */
static void each_form_has_its_own_fields(void **state)
{
	struct hello forms[] = { sample(), { .form = HELLO_KEYS, .key_share_size = 32 }, sample() };
	uint8_t room[3][HELLO_WIRE_MAX], both[2 * HELLO_WIRE_MAX];
	size_t size[3];
	struct hello out;

	(void)state;
	forms[2].form = HELLO_SEALED;
	for (int i = 0; i < 3; i++)
		size[i] = encode(&forms[i], room[i], sizeof room[i]);
	assert_null(memmem(room[1], size[1], "host-1", 6));
	/* A name beside keys; keys beside a name. */
	for (int i = 0; i < 2; i++) {
		memcpy(both, room[1], size[1]);
		memcpy(both + size[1], room[i ? 0 : 2], size[i ? 0 : 2]);
		assert_non_null(
			hello_decode(&out, bytes_of(both, size[1] + size[i ? 0 : 2]), false));
	}
	assert_string_equal(hello_decode(&out, bytes_of(room[0], size[0]), true), "hello.PASSWORD");
	assert_string_equal(hello_decode(&out, bytes_of(room[1], size[1]), true), "hello.PASSWORD");
	assert_string_equal(hello_decode(&out, bytes_of(room[2], size[2]), false),
			    "hello.PASSWORD");
	forms[1].key_share_size = 33;
	size[1] = encode(&forms[1], room[1], sizeof room[1]);
	assert_string_equal(hello_decode(&out, bytes_of(room[1], size[1]), false),
			    "hello.KEY_SHARE");
}

/* Walks the TLVs of an encoded hello. */
static size_t find_tlv(const uint8_t *room, size_t size, uint8_t type, size_t *tlv_size)
{
	for (size_t i = 0; i < size; i += *tlv_size) {
		*tlv_size = 3u + (size_t)(room[i + 1] << 8) + room[i + 2];
		if (room[i] == type)
			return i;
	}
	fail();
	return 0;
}

static void missing_doubled_and_wrong_fields_are_named(void **state)
{
#define X(name, number, min, max, rule) { (number), "hello." #name, rule },
	static const struct {
		uint8_t number;
		const char *name;
		const char *rule;
	} rows[] = { HELLO_TLVS(X) };
#undef X
	struct hello h = sample(), out;
	uint8_t room[HELLO_WIRE_MAX], other[2 * HELLO_WIRE_MAX];
	size_t size = encode(&h, room, sizeof room), tlv_size = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		size_t where, rest;
		const char *bad;

		if (rows[i].rule[HELLO_CLEAR] == '-')
			continue;
		where = find_tlv(room, size, rows[i].number, &tlv_size);
		rest = size - where - tlv_size;
		memcpy(other, room, where);
		memcpy(other + where, room + where + tlv_size, rest);
		bad = hello_decode(&out, bytes_of(other, size - tlv_size), false);
		if (rows[i].rule[HELLO_CLEAR] == '+')
			assert_string_equal(bad, rows[i].name);
		else
			assert_null(bad);
		memcpy(other, room, size);
		memcpy(other + size, room + where, tlv_size);
		assert_string_equal(hello_decode(&out, bytes_of(other, size + tlv_size), false),
				    rows[i].name);
	}
	memcpy(other, room, size);
	other[find_tlv(room, size, HELLO_PASSWORD, &tlv_size) + 3] = 2;
	assert_string_equal(hello_decode(&out, bytes_of(other, size), false), "hello.PASSWORD");
	other[find_tlv(room, size, HELLO_PASSWORD, &tlv_size) + 3] = 1;
	assert_non_null(hello_decode(&out, bytes_of(other, size), false));
	memcpy(other, room, size);
	other[find_tlv(room, size, HELLO_NICKNAME, &tlv_size) + 4] = 0x1b;
	assert_string_equal(hello_decode(&out, bytes_of(other, size), false), "hello.NICKNAME");
	memcpy(other, room, size);
	memset(other + find_tlv(room, size, HELLO_NAME, &tlv_size) + 3, 0, 6);
	assert_string_equal(hello_decode(&out, bytes_of(other, size), false), "hello.NAME");
}

static void unknown_tlvs_are_skipped(void **state)
{
	struct hello h = sample(), out;
	uint8_t room[HELLO_WIRE_MAX + 20];
	size_t size = encode(&h, room, HELLO_WIRE_MAX);
	static const uint8_t unknown[] = { 200, 0, 4, 1, 2, 3, 4, 201, 0, 0 };

	(void)state;
	memmove(room + sizeof unknown, room, size);
	memcpy(room, unknown, sizeof unknown);
	assert_null(hello_decode(&out, bytes_of(room, size + sizeof unknown), false));
	assert_same(&h, &out);
}

/* ---- the machine ---- */

static size_t opening(uint8_t *room, size_t size, uint8_t low, uint8_t high)
{
	struct hello h = sample();
	struct writer w = writer_over(room, size);
	size_t mark;

	preamble_encode(low, high, &w);
	mark = session_begin(&w, MESSAGE_HELLO);
	hello_encode(&h, &w);
	session_end(&w, mark);
	assert_false(w.full);
	return writer_size(&w);
}

/* Feeds byte by byte; the number of bytes taken until DONE or REFUSED. */
static size_t feed_all(struct handshake *h, const uint8_t *data, size_t size, size_t piece,
		       struct why *why)
{
	size_t done = 0;

	while (done < size && h->state != HANDSHAKE_DONE && h->state != HANDSHAKE_REFUSED) {
		size_t n = piece < size - done ? piece : size - done;
		struct bytes from = bytes_of(data + done, n);
		enum handshake_state before;

		do {
			before = h->state;
			handshake_feed(h, &from, why);
		} while (h->state != before);
		done += n - from.size;
		if (from.size)
			break;
	}
	return done;
}

static void any_cut_leads_to_done(void **state)
{
	uint8_t room[1024];
	size_t size = opening(room, sizeof room, 3, 3);
	struct handshake h;
	struct why why;

	(void)state;
	memcpy(room + size, "rest", 4);
	for (size_t piece = 1; piece <= size + 4; piece++) {
		handshake_init(&h, false, false, 3, 3);
		assert_int_equal(feed_all(&h, room, size + 4, piece, &why), size);
		assert_int_equal(h.state, HANDSHAKE_DONE);
		assert_int_equal(h.version, 3);
		assert_string_equal(h.hello.nickname, "host-1");
	}
}

static void the_highest_common_version_is_chosen(void **state)
{
	static const struct {
		uint8_t low, high, their_low, their_high, version;
	} cases[] = { { 3, 3, 1, 3, 3 },
		      { 2, 5, 3, 4, 4 },
		      { 3, 3, 1, 2, 0 },
		      { 3, 3, 4, 9, 0 },
		      { 3, 3, 5, 2, 0 } };
	struct handshake h;
	struct why why = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint8_t room[1024];
		size_t size = opening(room, sizeof room, cases[i].their_low, cases[i].their_high);

		handshake_init(&h, false, false, cases[i].low, cases[i].high);
		feed_all(&h, room, size, size, &why);
		if (cases[i].version) {
			assert_int_equal(h.state, HANDSHAKE_DONE);
			assert_int_equal(h.version, cases[i].version);
		} else {
			assert_int_equal(h.state, HANDSHAKE_REFUSED);
			assert_int_equal(why.reason, WHY_VERSION);
		}
	}
}

static void what_is_not_weave_is_refused_at_its_first_byte(void **state)
{
	struct handshake h;
	struct why why;

	(void)state;
	handshake_init(&h, false, false, 3, 3);
	feed_all(&h, (const uint8_t *)"S", 1, 1, &why);
	assert_int_equal(h.state, HANDSHAKE_REFUSED);
	assert_int_equal(why.reason, WHY_NOT_A_PEER);
	assert_non_null(strstr(why.text, "starts with 53"));
}

static void refuse_frame(const uint8_t *frame, size_t size, const char *field)
{
	struct handshake h;
	struct why why;
	uint8_t room[64];

	memcpy(room, "weave\3\3", 7);
	memcpy(room + 7, frame, size);
	handshake_init(&h, false, false, 3, 3);
	feed_all(&h, room, 7 + size, 1, &why);
	assert_int_equal(h.state, HANDSHAKE_REFUSED);
	assert_int_equal(why.reason, WHY_MALFORMED);
	assert_non_null(strstr(why.text, field));
}

static void strange_frames_are_refused_by_name(void **state)
{
	(void)state;
	refuse_frame((const uint8_t *)"\0\0\0\0\1", 5, "frame.length");
	refuse_frame((const uint8_t *)"\0\0\x08\0\1", 5, "frame.length");
	refuse_frame((const uint8_t *)"\0\0\0\x2e\4", 5, "frame.type before the handshake");
	refuse_frame((const uint8_t *)"\0\0\0\2\1\1", 6, "hello.length");
	refuse_frame((const uint8_t *)"\0\0\0\2\x63\1", 6, "frame.type");
}

static void close_instead_of_hello_carries_the_reason(void **state)
{
	struct handshake h;
	struct why why, said = { .reason = WHY_OVERLOADED, .text = "too many" };
	uint8_t room[64];
	struct writer w = writer_over(room, sizeof room);
	size_t mark;

	(void)state;
	preamble_encode(3, 3, &w);
	mark = session_begin(&w, MESSAGE_CLOSE);
	close_encode(&said, (struct name_holder){ 0 }, &w);
	session_end(&w, mark);
	handshake_init(&h, false, false, 3, 3);
	feed_all(&h, room, writer_size(&w), 3, &why);
	assert_int_equal(h.state, HANDSHAKE_REFUSED);
	assert_true(h.closed_by_peer);
	assert_int_equal(why.reason, WHY_OVERLOADED);
	assert_string_equal(why.text, "too many");
}

/* Whatever comes, at most so many bytes are taken before the handshake is done. */
static void noise_ends_within_the_limit(void **state)
{
	struct rng rng = { test_seed(3) };
	static uint8_t room[4 * HANDSHAKE_SIZE_MAX];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct handshake h;
		struct why why;
		size_t size = opening(room, sizeof room, 3, 3), flips = rng_below(&rng, 4);

		for (size_t i = size; i < sizeof room; i++)
			room[i] = (uint8_t)rng_u64(&rng);
		for (size_t i = 0; i < flips; i++)
			room[rng_below(&rng, size)] ^= (uint8_t)(1u << rng_below(&rng, 8));
		handshake_init(&h, false, false, 3, 3);
		feed_all(&h, room, sizeof room, 1 + rng_below(&rng, 900), &why);
		assert_true(h.size <= HANDSHAKE_SIZE_MAX);
		assert_true(h.state == HANDSHAKE_DONE || h.state == HANDSHAKE_REFUSED);
	}
}

static void both_ends_compute_the_same_rank(void **state)
{
	(void)state;
	assert_int_equal(handshake_rank(1, 2), handshake_rank(2, 1));
	assert_int_not_equal(handshake_rank(1, 2), handshake_rank(1, 3));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_comes_back_as_it_was),
		cmocka_unit_test(missing_doubled_and_wrong_fields_are_named),
		cmocka_unit_test(each_form_has_its_own_fields),
		cmocka_unit_test(unknown_tlvs_are_skipped),
		cmocka_unit_test(any_cut_leads_to_done),
		cmocka_unit_test(the_highest_common_version_is_chosen),
		cmocka_unit_test(what_is_not_weave_is_refused_at_its_first_byte),
		cmocka_unit_test(strange_frames_are_refused_by_name),
		cmocka_unit_test(close_instead_of_hello_carries_the_reason),
		cmocka_unit_test(noise_ends_within_the_limit),
		cmocka_unit_test(both_ends_compute_the_same_rank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
