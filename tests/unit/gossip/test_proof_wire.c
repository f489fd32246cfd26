/* Proofs on a connection: two ends and the messages between them. */
#include <sodium.h>

#include "gossip_test.h"

#include "../../../gossip/proof_wire.h"

struct end {
	struct proof p;
	struct passwords passwords;
	uint8_t binding[DERIVED_SIZE];
	enum proof_result result;
	uint32_t password;
	const char *bad;
};

struct message {
	uint8_t body[PROOF_BODY_MAX];
	size_t size;
};

struct run {
	struct end end[2]; /* 0 asks */
	struct message said[8];
	unsigned count;
	unsigned flip_message; /* UINT_MAX none */
	size_t flip_bit;
	struct rng rng;
};

static void set_passwords(struct end *e, const char *const *texts)
{
	e->passwords = (struct passwords){ 0 };
	for (; *texts; texts++) {
		struct password *p = &e->passwords.list[e->passwords.count++];

		p->id = e->passwords.count;
		p->size = (uint16_t)strlen(*texts);
		memcpy(p->bytes, *texts, p->size);
	}
}

static void entropy(struct run *r, uint8_t out[PROOF_ENTROPY_SIZE])
{
	for (size_t i = 0; i < PROOF_ENTROPY_SIZE; i++)
		out[i] = (uint8_t)rng_u64(&r->rng);
}

static void init(struct run *r, const char *const *ours, const char *const *theirs, uint64_t seed)
{
	*r = (struct run){ .rng = { seed }, .flip_message = UINT32_MAX };
	set_passwords(&r->end[0], ours);
	set_passwords(&r->end[1], theirs);
	for (int i = 0; i < 2; i++)
		memset(r->end[i].binding, 7, DERIVED_SIZE);
}

static void say(struct run *r, struct bytes body)
{
	struct message *m = &r->said[r->count];

	assert_true(r->count < 8);
	memcpy(m->body, body.data, body.size);
	m->size = body.size;
	if (r->count == r->flip_message)
		m->body[r->flip_bit / 8] ^= (uint8_t)(1u << r->flip_bit % 8);
	r->count++;
}

static void hear(struct run *r, unsigned who, const struct message *m)
{
	struct end *e = &r->end[who];
	uint8_t random[PROOF_ENTROPY_SIZE], body[PROOF_BODY_MAX];
	struct writer w = writer_over(body, sizeof body);

	entropy(r, random);
	e->bad = NULL;
	e->result = proof_on_message(&e->p, who == 0, bytes_of(m->body, m->size), &e->passwords,
				     e->binding, random, &w, &e->password, &e->bad);
	assert_false(w.full);
	assert_int_equal(e->result == PROOF_BAD, e->bad != NULL);
	if (e->result != PROOF_BAD && writer_size(&w))
		say(r, writer_bytes(&w));
}

static void begin(struct run *r)
{
	uint8_t random[PROOF_ENTROPY_SIZE], body[PROOF_BODY_MAX];
	struct writer w = writer_over(body, sizeof body);

	entropy(r, random);
	proof_begin(&r->end[0].p, &r->end[0].passwords, r->end[0].binding, random, &w);
	assert_false(w.full);
	say(r, writer_bytes(&w));
}

static void run(struct run *r)
{
	unsigned heard = 0;

	begin(r);
	while (heard < r->count) {
		hear(r, heard % 2 ? 0 : 1, &r->said[heard]);
		heard++;
	}
}

static const char *const old[] = { "old", NULL }, *const fresh[] = { "new", NULL };
static const char *const changing[] = { "new", "old", NULL }, *const other[] = { "x", NULL };

static void both_find_what_they_prefer_in_common(void **state)
{
	static const struct {
		const char *const *a, *const *b;
		uint32_t id_a, id_b; /* 0: nothing */
	} cases[] = {
		{ old, old, 1, 1 },	      { changing, old, 2, 1 },	 { old, changing, 1, 2 },
		{ changing, changing, 1, 1 }, { fresh, changing, 1, 1 }, { changing, fresh, 1, 1 },
		{ fresh, old, 0, 0 },	      { changing, other, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		enum proof_result want = cases[i].id_a ? PROOF_DONE : PROOF_FAILED;
		struct run r;

		init(&r, cases[i].a, cases[i].b, i);
		run(&r);
		assert_int_equal(r.count, 4);
		assert_int_equal(r.end[0].result, want);
		assert_int_equal(r.end[1].result, want);
		if (want != PROOF_DONE)
			continue;
		assert_int_equal(r.end[0].password, cases[i].id_a);
		assert_int_equal(r.end[1].password, cases[i].id_b);
	}
}

static void no_changed_bit_is_a_proof(void **state)
{
	struct run good;

	(void)state;
	init(&good, changing, old, 5);
	run(&good);
	for (unsigned message = 0; message < 4; message++) {
		for (size_t bit = 0; bit < good.said[message].size * 8; bit++) {
			struct run r;

			init(&r, changing, old, 5);
			r.flip_message = message;
			r.flip_bit = bit;
			run(&r);
			assert_int_not_equal(r.end[0].result, PROOF_DONE);
		}
	}
}

static void a_proof_belongs_to_its_connection(void **state)
{
	struct run one, two, r;

	(void)state;
	/* Carried over by somebody with a connection to each. */
	init(&one, old, old, 6);
	init(&two, old, old, 7);
	two.end[1].binding[3] ^= 1;
	begin(&one);
	hear(&two, 1, &one.said[0]);
	hear(&one, 0, &two.said[0]);
	hear(&two, 1, &one.said[1]);
	assert_int_equal(two.end[1].result, PROOF_FAILED);
	/* Replayed to the same end. */
	init(&r, old, old, 8);
	run(&r);
	assert_int_equal(r.end[1].result, PROOF_DONE);
	hear(&r, 1, &r.said[0]);
	hear(&r, 1, &r.said[2]);
	assert_int_equal(r.end[1].result, PROOF_FAILED);
}

static void what_is_out_of_turn_is_refused(void **state)
{
	static const struct message asks = { { PROOF_ASK }, 1 }, empty = { { 0 }, 1 },
				    more = { { PROOF_ASK, 1 }, 2 }, offer = { { PROOF_OFFER }, 1 },
				    tags = { { PROOF_TAGS }, 33 };
	struct run r;

	(void)state;
	for (unsigned who = 0; who < 2; who++) {
		init(&r, old, old, 9);
		hear(&r, who, &asks);
		assert_int_equal(r.end[who].result, who ? PROOF_BAD : PROOF_WANTED);
		hear(&r, who, &empty);
		assert_int_equal(r.end[who].result, PROOF_BAD);
		hear(&r, who, &more);
		assert_int_equal(r.end[who].result, PROOF_BAD);
		hear(&r, who, &offer);
		assert_int_equal(r.end[who].result, PROOF_BAD);
		hear(&r, who, &tags);
		assert_int_equal(r.end[who].result, PROOF_BAD);
		assert_int_equal(r.count, 0);
	}
	/* A second offer begins anew; a wish while one runs is told and changes nothing. */
	init(&r, old, old, 10);
	begin(&r);
	hear(&r, 0, &asks);
	assert_int_equal(r.end[0].result, PROOF_WANTED);
	begin(&r);
	hear(&r, 1, &r.said[0]);
	hear(&r, 1, &r.said[1]);
	hear(&r, 0, &r.said[3]);
	hear(&r, 1, &r.said[4]);
	hear(&r, 0, &r.said[5]);
	assert_int_equal(r.end[0].result, PROOF_DONE);
	assert_int_equal(r.end[1].result, PROOF_DONE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_find_what_they_prefer_in_common),
		cmocka_unit_test(no_changed_bit_is_a_proof),
		cmocka_unit_test(a_proof_belongs_to_its_connection),
		cmocka_unit_test(what_is_out_of_turn_is_refused),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("proof_wire", tests, NULL, NULL);
}
