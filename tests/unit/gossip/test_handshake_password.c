/* The handshake with a password: two machines that talk to each other, and somebody between. */
#include <sodium.h>

#include "gossip_test.h"

#include "../../../gossip/handshake_wire.h"
#include "../../../gossip/message_wire.h"

/* In the order in which they are said; even ones by the side that dialled. */
enum { PREAMBLE_A, PREAMBLE_B, HELLO_A, HELLO_B, CONFIRM_A, CONFIRM_B, MESSAGES };
/* With a puzzle. */
enum { PUZZLE_B = HELLO_B, SOLUTION_A, PUZZLED_HELLO_B, PUZZLED_MESSAGES = MESSAGES + 2 };

struct side {
	struct handshake h;
	struct passwords passwords;
	struct why why;
};

struct said {
	uint8_t data[512];
	size_t size;
};

/* Somebody between: changes a message before it is delivered. */
typedef void (*between)(struct said *message, unsigned index, void *ctx);

struct talk {
	struct side side[2]; /* 0 dialled */
	struct said said[PUZZLED_MESSAGES];
	unsigned count;
	bool puzzle; /* the side that accepted sets one */
	between meddle;
	void *ctx;
	size_t piece; /* deliveries are cut into pieces of this size; 0 whole */
	struct rng rng;
};

static void set_passwords(struct side *s, const char *const *texts)
{
	s->passwords = (struct passwords){ 0 };
	for (; *texts; texts++) {
		struct password *p = &s->passwords.list[s->passwords.count++];

		p->id = s->passwords.count * 10;
		p->size = (uint16_t)strlen(*texts);
		memcpy(p->bytes, *texts, p->size);
	}
}

static void talk_init(struct talk *t, const char *const *ours, const char *const *theirs,
		      uint64_t seed)
{
	*t = (struct talk){ .rng = { seed } };
	set_passwords(&t->side[0], ours);
	set_passwords(&t->side[1], theirs);
	for (int i = 0; i < 2; i++)
		handshake_init(&t->side[i].h, i == 0, t->side[i].passwords.count > 0, 3, 3);
}

static void offer(struct talk *t, struct side *s)
{
	uint8_t entropy[HANDSHAKE_ENTROPY_SIZE];

	for (size_t i = 0; i < sizeof entropy; i++)
		entropy[i] = (uint8_t)rng_u64(&t->rng);
	if (t->puzzle && !s->h.dialled && !s->h.solved) {
		handshake_puzzle(&s->h, entropy);
		return;
	}
	handshake_offer(&s->h, &s->passwords, entropy, &s->why);
}

static bool is_over(const struct side *s)
{
	return s->h.state == HANDSHAKE_DONE || s->h.state == HANDSHAKE_REFUSED;
}

/* What the caller of the machine does; anything that is to be sent is in the output. */
static void feed(struct talk *t, struct side *s, struct bytes from)
{
	enum handshake_state before;

	do {
		before = s->h.state;
		if (is_over(s))
			return;
		handshake_feed(&s->h, &from, &s->why);
		if (s->h.state == before)
			return;
		if (s->h.password && (s->h.state == HANDSHAKE_OFFERED ||
				      (s->h.state == HANDSHAKE_HELLO && s->h.dialled)))
			offer(t, s);
	} while (s->h.state != before);
}

static void say(struct talk *t, struct bytes b)
{
	struct said *said = &t->said[t->count];

	assert_true(t->count < PUZZLED_MESSAGES && b.size <= sizeof said->data);
	memcpy(said->data, b.data, b.size);
	said->size = b.size;
	if (t->meddle)
		t->meddle(said, t->count, t->ctx);
	t->count++;
}

static void deliver(struct talk *t, struct side *to, const struct said *m)
{
	size_t piece = t->piece ? t->piece : m->size;

	for (size_t i = 0; i < m->size; i += piece)
		feed(t, to, bytes_of(m->data + i, m->size - i < piece ? m->size - i : piece));
}

/* Both preambles, then in turns until nobody has anything to say. */
static void run(struct talk *t)
{
	for (int i = 0; i < 2; i++) {
		uint8_t preamble[PREAMBLE_SIZE];
		struct writer w = writer_over(preamble, sizeof preamble);

		preamble_encode(3, 3, &w);
		say(t, writer_bytes(&w));
	}
	deliver(t, &t->side[1], &t->said[PREAMBLE_A]);
	deliver(t, &t->side[0], &t->said[PREAMBLE_B]);
	while (t->count < (t->puzzle ? PUZZLED_MESSAGES : MESSAGES)) {
		struct bytes out = handshake_output(&t->side[t->count % 2].h);

		if (out.size == 0)
			break;
		say(t, out);
		deliver(t, &t->side[t->count % 2], &t->said[t->count - 1]);
	}
}

static const char *const alpha[] = { "alpha", NULL }, *const beta[] = { "beta", NULL };
static const char *const both[] = { "beta", "alpha", NULL }, *const other[] = { "gamma", NULL };
static const char *const swapped[] = { "alpha", "beta", NULL }, *const none[] = { NULL };

static bool is_common(const char *const *one, const char *const *two)
{
	for (size_t i = 0; one[i]; i++)
		for (size_t k = 0; two[k]; k++)
			if (strcmp(one[i], two[k]) == 0)
				return true;
	return false;
}

static void assert_same_keys(const struct talk *t)
{
	static const char *const labels[] = { LABEL_RECORDS_DIALLED, LABEL_RECORDS_ACCEPTED,
					      LABEL_DATA_PATH, LABEL_BINDING };
	uint8_t one[4][DERIVED_SIZE], two[DERIVED_SIZE];

	for (int i = 0; i < 4; i++) {
		key_exchange_derive(&t->side[0].h.keys, labels[i], one[i]);
		key_exchange_derive(&t->side[1].h.keys, labels[i], two);
		assert_memory_equal(one[i], two, DERIVED_SIZE);
		for (int k = 0; k < i; k++)
			assert_memory_not_equal(one[i], one[k], DERIVED_SIZE);
	}
}

static const struct password *agreed(const struct side *s)
{
	uint32_t id = key_exchange_password(&s->h.keys);

	return &s->passwords.list[id / 10 - 1];
}

/* While a network changes its password some have one, some the other, some both. */
static void a_common_password_is_enough(void **state)
{
	static const char *const *const sets[] = { alpha, beta, both, swapped, other };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(sets); i++) {
		for (size_t k = 0; k < ARRAY_COUNT(sets); k++) {
			struct talk t;

			talk_init(&t, sets[i], sets[k], i * 10 + k);
			run(&t);
			if (!is_common(sets[i], sets[k])) {
				assert_int_equal(t.side[1].h.state, HANDSHAKE_REFUSED);
				assert_int_equal(t.side[1].why.reason, WHY_PASSWORD_WRONG);
				assert_int_equal(t.side[0].h.state, HANDSHAKE_CONFIRM);
				assert_int_equal(t.count, CONFIRM_A + 1);
				continue;
			}
			assert_int_equal(t.side[0].h.state, HANDSHAKE_DONE);
			assert_int_equal(t.side[1].h.state, HANDSHAKE_DONE);
			assert_int_equal(t.count, MESSAGES);
			assert_same_keys(&t);
			assert_memory_equal(agreed(&t.side[0])->bytes, agreed(&t.side[1])->bytes,
					    PASSWORD_SIZE_MAX);
			/* Both prefer the same one: then that is it. */
			if (sets[i] == both && sets[k] == both)
				assert_memory_equal(agreed(&t.side[0])->bytes, "beta", 4);
		}
	}
}

static void any_cut_leads_to_the_same_end(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 140; piece++) {
		struct talk t;

		talk_init(&t, both, alpha, piece);
		t.piece = piece;
		run(&t);
		assert_int_equal(t.side[0].h.state, HANDSHAKE_DONE);
		assert_int_equal(t.side[1].h.state, HANDSHAKE_DONE);
		assert_same_keys(&t);
	}
}

static void a_password_on_one_side_only_is_told(void **state)
{
	(void)state;
	for (int dialled = 0; dialled < 2; dialled++) {
		struct talk t;
		struct hello clear = { .name = 1, .nickname = "h" };
		uint8_t frame[256];
		struct writer w = writer_over(frame, sizeof frame);
		size_t mark;
		struct side *with, *without;
		struct bytes out;

		talk_init(&t, dialled ? alpha : none, dialled ? none : alpha, 1);
		with = &t.side[!dialled];
		without = &t.side[dialled];
		feed(&t, with, bytes_of("weave\3\3", 7));
		feed(&t, without, bytes_of("weave\3\3", 7));
		/* This is also what a downgrade looks like: the other one's HELLO in clear. */
		mark = session_begin(&w, MESSAGE_HELLO);
		hello_encode(&clear, &w);
		session_end(&w, mark);
		out = handshake_output(&with->h);
		assert_true(dialled ? out.size > 0 : out.size == 0);
		feed(&t, with, writer_bytes(&w));
		assert_int_equal(with->h.state, HANDSHAKE_REFUSED);
		assert_int_equal(with->why.reason, WHY_PASSWORD_ONE_SIDE);
		assert_int_equal(handshake_output(&with->h).size, 0);
		if (!dialled)
			continue;
		feed(&t, without, out);
		assert_int_equal(without->h.state, HANDSHAKE_REFUSED);
		assert_int_equal(without->why.reason, WHY_PASSWORD_ONE_SIDE);
	}
}

struct flip {
	unsigned message;
	size_t bit;
};

static void flip_bit(struct said *m, unsigned index, void *ctx)
{
	const struct flip *f = ctx;

	if (index == f->message)
		m->data[f->bit / 8] ^= (uint8_t)(1u << f->bit % 8);
}

/* What may be said about a bit that was changed. */
static bool is_right_reason(const struct flip *f, enum why_reason reason)
{
	size_t at = f->bit / 8;

	if (f->message <= PREAMBLE_B)
		return at < 5 ? reason == WHY_NOT_A_PEER
			      : reason == WHY_VERSION || reason == WHY_PASSWORD_WRONG;
	if (reason == WHY_MALFORMED || reason == WHY_PASSWORD_WRONG)
		return true;
	/* 3 becomes 2: CONFIRM reads as CLOSE, with two bytes of the tag for its reason. */
	return f->message >= CONFIRM_A && at == 4 && f->bit % 8 == 0;
}

static void no_changed_bit_goes_unnoticed(void **state)
{
	size_t tried = 0;

	(void)state;
	for (unsigned message = 0; message < MESSAGES; message++) {
		struct talk good;

		talk_init(&good, both, alpha, 5);
		run(&good);
		for (size_t bit = 0; bit < good.said[message].size * 8; bit++) {
			struct flip f = { message, bit };
			struct talk t;
			unsigned refused = 0;

			talk_init(&t, both, alpha, 5);
			t.meddle = flip_bit;
			t.ctx = &f;
			run(&t);
			for (int i = 0; i < 2; i++) {
				if (t.side[i].h.state == HANDSHAKE_REFUSED) {
					refused++;
					assert_true(is_right_reason(&f, t.side[i].why.reason));
				}
			}
			assert_int_not_equal(t.side[0].h.state, HANDSHAKE_DONE);
			/* The first of two tags fits no pair: the other side finds out by the
			 * answer. */
			if (message != CONFIRM_B &&
			    (message != CONFIRM_A || bit / 8 >= 5 + TAG_SIZE))
				assert_int_not_equal(t.side[1].h.state, HANDSHAKE_DONE);
			/* Else a longer message is waited for, as long as a handshake may last. */
			if (!refused)
				assert_true(message >= HELLO_A && bit / 8 < 4);
			tried++;
		}
	}
	assert_true(tried > 2000);
}

/* Else whoever answers once in a target's place could make us give it up for ever. */
static void what_is_said_in_clear_is_not_believed(void **state)
{
	(void)state;
	for (unsigned reason = 0; reason < 30; reason++) {
		struct why said = { .text = "words of a stranger" };
		uint8_t frame[256];
		struct writer w = writer_over(frame, sizeof frame);
		size_t mark = session_begin(&w, MESSAGE_CLOSE);
		struct talk t;

		said.reason = (enum why_reason)reason;
		close_encode(&said, (struct name_holder){ 0 }, &w);
		session_end(&w, mark);
		talk_init(&t, alpha, alpha, 95);
		feed(&t, &t.side[0], bytes_of("weave\3\3", 7));
		feed(&t, &t.side[0], writer_bytes(&w));
		assert_int_equal(t.side[0].h.state, HANDSHAKE_REFUSED);
		assert_true(t.side[0].h.closed_by_peer);
		assert_int_not_equal(t.side[0].why.reason, WHY_SELF);
		assert_int_not_equal(t.side[0].why.reason, WHY_DUPLICATE);
		assert_null(strstr(t.side[0].why.text, "stranger"));
		if (reason == WHY_PASSWORD_WRONG || reason == WHY_PASSWORD_ONE_SIDE)
			assert_int_equal(t.side[0].why.reason, reason);
	}
}

/* ---- puzzles ---- */

static void a_puzzle_is_solved_and_leads_to_the_same_end(void **state)
{
	(void)state;
	for (size_t piece = 0; piece < 30; piece += 7) {
		struct talk t;

		talk_init(&t, both, alpha, 61 + piece);
		t.puzzle = true;
		t.piece = piece;
		run(&t);
		assert_int_equal(t.count, PUZZLED_MESSAGES);
		assert_int_equal(t.side[0].h.state, HANDSHAKE_DONE);
		assert_int_equal(t.side[1].h.state, HANDSHAKE_DONE);
		assert_true(t.side[1].h.solved);
		assert_same_keys(&t);
	}
}

static void only_a_right_solution_is_answered(void **state)
{
	struct talk t;

	(void)state;
	for (size_t bit = 0; bit < 8 * SOLUTION_WIRE_SIZE; bit++) {
		struct flip f = { SOLUTION_A, bit };

		talk_init(&t, alpha, alpha, 71);
		t.puzzle = true;
		t.meddle = flip_bit;
		t.ctx = &f;
		run(&t);
		/* One number in 2^16 is a solution: then the changed transcript is noticed. */
		assert_int_not_equal(t.side[0].h.state, HANDSHAKE_DONE);
		assert_int_not_equal(t.side[1].h.state, HANDSHAKE_DONE);
		assert_true(t.count <= PUZZLED_HELLO_B + 2);
	}
	/* HELLO_B is not said, and no share made, before the solution. */
	talk_init(&t, alpha, alpha, 72);
	t.puzzle = true;
	feed(&t, &t.side[0], bytes_of("weave\3\3", 7));
	feed(&t, &t.side[1], bytes_of("weave\3\3", 7));
	feed(&t, &t.side[1], handshake_output(&t.side[0].h));
	assert_int_equal(t.side[1].h.state, HANDSHAKE_PUZZLED);
	assert_int_equal(handshake_output(&t.side[1].h).size, PUZZLE_WIRE_SIZE);
	assert_int_equal(t.side[1].h.keys.ours, 0);
}

static void changed_puzzles_are_noticed(void **state)
{
	(void)state;
	/* The random part only: another number of bits is another amount of work. */
	for (size_t bit = 8 * (PUZZLE_WIRE_SIZE - PUZZLE_SIZE); bit < 8 * PUZZLE_WIRE_SIZE;
	     bit += 13) {
		struct flip f = { PUZZLE_B, bit };
		struct talk t;

		talk_init(&t, alpha, alpha, 81);
		t.puzzle = true;
		t.meddle = flip_bit;
		t.ctx = &f;
		run(&t);
		assert_int_not_equal(t.side[0].h.state, HANDSHAKE_DONE);
		assert_int_equal(t.side[1].h.state, HANDSHAKE_REFUSED);
	}
}

static void nobody_makes_us_solve_much_or_twice(void **state)
{
	uint8_t frame[PUZZLE_WIRE_SIZE] = { 0, 0, 0, PUZZLE_WIRE_SIZE - 4, MESSAGE_PUZZLE };
	struct talk t;

	(void)state;
	talk_init(&t, alpha, alpha, 91);
	feed(&t, &t.side[0], bytes_of("weave\3\3", 7));
	frame[5] = PUZZLE_BITS_MAX + 1;
	feed(&t, &t.side[0], bytes_of(frame, sizeof frame));
	assert_int_equal(t.side[0].h.state, HANDSHAKE_REFUSED);
	assert_non_null(strstr(t.side[0].why.text, "puzzle.bits"));
	talk_init(&t, alpha, alpha, 92);
	feed(&t, &t.side[0], bytes_of("weave\3\3", 7));
	handshake_output(&t.side[0].h);
	frame[5] = 1;
	feed(&t, &t.side[0], bytes_of(frame, sizeof frame));
	assert_int_equal(handshake_output(&t.side[0].h).size, SOLUTION_WIRE_SIZE);
	feed(&t, &t.side[0], bytes_of(frame, sizeof frame));
	assert_int_equal(t.side[0].h.state, HANDSHAKE_REFUSED);
	assert_non_null(strstr(t.side[0].why.text, "not its turn"));
	/* Nor without a password, nor the one that accepted. */
	for (int i = 0; i < 2; i++) {
		talk_init(&t, i ? alpha : none, alpha, 93);
		feed(&t, &t.side[i], bytes_of("weave\3\3", 7));
		feed(&t, &t.side[i], bytes_of(frame, sizeof frame));
		assert_int_equal(t.side[i].h.state, HANDSHAKE_REFUSED);
	}
}

static void what_is_reflected_is_refused(void **state)
{
	struct talk t;
	uint8_t hello[128];
	struct bytes out;
	struct hello h;
	struct writer w = writer_over(hello, sizeof hello);
	size_t mark;

	(void)state;
	talk_init(&t, alpha, alpha, 9);
	feed(&t, &t.side[0], bytes_of("weave\3\3", 7));
	out = handshake_output(&t.side[0].h);
	feed(&t, &t.side[0], out);
	assert_int_equal(t.side[0].h.state, HANDSHAKE_REFUSED);
	assert_non_null(strstr(t.side[0].why.text, "hello.SESSION"));
	/* Without the field that gives it away. */
	talk_init(&t, alpha, alpha, 9);
	feed(&t, &t.side[0], bytes_of("weave\3\3", 7));
	out = handshake_output(&t.side[0].h);
	assert_null(hello_decode(&h, bytes_of(out.data + 5, out.size - 5), false));
	h.has_session = false;
	mark = session_begin(&w, MESSAGE_HELLO);
	hello_encode(&h, &w);
	session_end(&w, mark);
	feed(&t, &t.side[0], writer_bytes(&w));
	assert_int_equal(t.side[0].h.state, HANDSHAKE_CONFIRM);
	feed(&t, &t.side[0], handshake_output(&t.side[0].h));
	assert_int_equal(t.side[0].h.state, HANDSHAKE_REFUSED);
	assert_int_equal(t.side[0].why.reason, WHY_PASSWORD_WRONG);
}

static void what_is_replayed_is_refused(void **state)
{
	struct talk good, t;

	(void)state;
	talk_init(&good, alpha, alpha, 11);
	run(&good);
	assert_int_equal(good.side[0].h.state, HANDSHAKE_DONE);
	for (int side = 0; side < 2; side++) {
		talk_init(&t, alpha, alpha, 12);
		for (unsigned i = !side; i < MESSAGES; i += 2)
			deliver(&t, &t.side[side], &good.said[i]);
		assert_int_equal(t.side[side].h.state, HANDSHAKE_REFUSED);
		assert_int_equal(t.side[side].why.reason, WHY_PASSWORD_WRONG);
	}
}

/* Two runs through somebody who only passes on: neither end's proof fits the other run. */
static void a_proof_fits_its_own_run_only(void **state)
{
	struct talk one, two;

	(void)state;
	talk_init(&one, alpha, alpha, 21);
	talk_init(&two, alpha, alpha, 22);
	run(&one);
	for (unsigned i = PREAMBLE_A; i <= HELLO_B; i += 2)
		deliver(&two, &two.side[1], &one.said[i]);
	/* The first run's CONFIRM answers another HELLO of the responder. */
	deliver(&two, &two.side[1], &one.said[CONFIRM_A]);
	assert_int_equal(two.side[1].h.state, HANDSHAKE_REFUSED);
	assert_int_equal(two.side[1].why.reason, WHY_PASSWORD_WRONG);
}

static void invalid_shares_are_refused(void **state)
{
	static const uint8_t identity[32];

	(void)state;
	for (int side = 0; side < 2; side++) {
		struct hello h = { .form = HELLO_KEYS, .key_share_size = 32, .has_session = side };
		struct talk t;
		uint8_t frame[256];
		struct writer w = writer_over(frame, sizeof frame);
		size_t mark;

		memcpy(h.key_share, identity, 32);
		talk_init(&t, alpha, alpha, 31);
		feed(&t, &t.side[side], bytes_of("weave\3\3", 7));
		mark = session_begin(&w, MESSAGE_HELLO);
		hello_encode(&h, &w);
		session_end(&w, mark);
		feed(&t, &t.side[side], writer_bytes(&w));
		assert_int_equal(t.side[side].h.state, HANDSHAKE_REFUSED);
		assert_int_equal(t.side[side].why.reason, WHY_MALFORMED);
		assert_non_null(strstr(t.side[side].why.text, "hello.KEY_SHARE"));
		assert_int_equal(handshake_output(&t.side[side].h).size, 0);
	}
}

/* Tags of the other role, fewer or more of them, and none. */
static void a_proof_has_one_right_form(void **state)
{
	struct talk t;
	uint8_t frame[5 + PROOF_SIZE_MAX] = { 0, 0, 0, 0, MESSAGE_CONFIRM };

	(void)state;
	for (size_t tags = 1; tags <= 4; tags++) {
		talk_init(&t, alpha, alpha, 41);
		feed(&t, &t.side[0], bytes_of("weave\3\3", 7));
		feed(&t, &t.side[1], bytes_of("weave\3\3", 7));
		feed(&t, &t.side[1], handshake_output(&t.side[0].h));
		frame[3] = (uint8_t)(1 + tags * TAG_SIZE);
		feed(&t, &t.side[1], bytes_of(frame, 5 + tags * TAG_SIZE));
		assert_int_equal(t.side[1].h.state, HANDSHAKE_REFUSED);
		assert_int_equal(t.side[1].why.reason, WHY_PASSWORD_WRONG);
	}
}

static void noise_ends_within_the_limit(void **state)
{
	struct rng rng = { test_seed(4) };

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct talk good, t;
		uint8_t noise[2 * HANDSHAKE_SIZE_MAX];
		unsigned until = (unsigned)rng_below(&rng, MESSAGES);

		talk_init(&good, both, swapped, (uint64_t)round);
		run(&good);
		talk_init(&t, both, swapped, (uint64_t)round);
		for (unsigned i = 0; i < until; i += 2)
			deliver(&t, &t.side[1], &good.said[i]);
		for (size_t i = 0; i < sizeof noise; i++)
			noise[i] = (uint8_t)rng_below(&rng, round % 2 ? 4 : 256);
		feed(&t, &t.side[1], bytes_of(noise, sizeof noise));
		assert_true(is_over(&t.side[1]) || t.side[1].h.size <= HANDSHAKE_SIZE_MAX);
	}
}

static void nothing_secret_stays(void **state)
{
	static const struct handshake zero;
	struct talk t;

	(void)state;
	talk_init(&t, alpha, alpha, 51);
	run(&t);
	/* The scalars go as soon as they are used. */
	for (int i = 0; i < 2; i++) {
		assert_memory_equal(t.side[i].h.keys.scalar, zero.keys.scalar,
				    sizeof zero.keys.scalar);
		handshake_wipe(&t.side[i].h);
		assert_memory_equal(&t.side[i].h, &zero, sizeof zero);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_common_password_is_enough),
		cmocka_unit_test(any_cut_leads_to_the_same_end),
		cmocka_unit_test(a_password_on_one_side_only_is_told),
		cmocka_unit_test(no_changed_bit_goes_unnoticed),
		cmocka_unit_test(what_is_said_in_clear_is_not_believed),
		cmocka_unit_test(a_puzzle_is_solved_and_leads_to_the_same_end),
		cmocka_unit_test(only_a_right_solution_is_answered),
		cmocka_unit_test(changed_puzzles_are_noticed),
		cmocka_unit_test(nobody_makes_us_solve_much_or_twice),
		cmocka_unit_test(what_is_reflected_is_refused),
		cmocka_unit_test(what_is_replayed_is_refused),
		cmocka_unit_test(a_proof_fits_its_own_run_only),
		cmocka_unit_test(invalid_shares_are_refused),
		cmocka_unit_test(a_proof_has_one_right_form),
		cmocka_unit_test(noise_ends_within_the_limit),
		cmocka_unit_test(nothing_secret_stays),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("handshake_password", tests, NULL, NULL);
}
