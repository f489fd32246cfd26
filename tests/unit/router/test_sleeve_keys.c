#include "../../../router/sleeve_keys.h"

#include <sodium.h>

#include "router_test.h"

#define HEAD 16u
#define TEXT 32u
#define SIZE (HEAD + TEXT + AEAD_TAG_SIZE)

static const char dialled[] = "dialled's SETUP", answered[] = "SETUP of who answered";

static struct keys_config config_of(bool initiator, enum aead_cipher cipher)
{
	static uint8_t secret[32];

	for (unsigned i = 0; i < 32; i++)
		secret[i] = (uint8_t)i;
	return (struct keys_config){
		.secret = secret,
		.initiator = initiator,
		.cipher = cipher,
		.dialled = bytes_of(dialled, sizeof dialled - 1),
		.answered = bytes_of(answered, sizeof answered - 1),
		.limits = { .epoch_ms = 120000, .epoch_packets = 1000 },
	};
}

/* Two ends, and the counters of what each sends. */
struct ends {
	struct sleeve_keys a, b;
	uint64_t sent;
};

static void ends_init(struct ends *e, enum aead_cipher cipher)
{
	struct keys_config a = config_of(true, cipher), b = config_of(false, cipher);

	*e = (struct ends){ .sent = 0 };
	assert_true(keys_init(&e->a, &a, at(1000)));
	assert_true(keys_init(&e->b, &b, at(1000)));
}

static void ends_fini(struct ends *e)
{
	keys_check(&e->a);
	keys_check(&e->b);
	keys_fini(&e->a);
	keys_fini(&e->b);
}

struct made {
	uint64_t counter;
	uint8_t epoch;
	uint8_t bytes[SIZE];
};

static struct made make(struct sleeve_keys *k, uint64_t counter, struct mono now)
{
	struct made m = { .counter = counter, .epoch = (uint8_t)keys_epoch(k, counter, now) };

	memset(m.bytes, 0x55, HEAD + TEXT);
	memcpy(m.bytes, &counter, sizeof counter);
	keys_seal(k, counter, m.bytes, HEAD, SIZE);
	return m;
}

static enum keys_verdict give(struct sleeve_keys *k, const struct made *m, struct mono now)
{
	struct made copy = *m;
	enum keys_verdict v = keys_open(k, m->epoch, m->counter, copy.bytes, HEAD, SIZE, now);

	if (v == KEYS_OPENED)
		for (unsigned i = 0; i < TEXT; i++)
			assert_int_equal(copy.bytes[HEAD + i], 0x55);
	return v;
}

static struct made from_a(struct ends *e, struct mono now)
{
	return make(&e->a, ++e->sent, now);
}

/* Computed by another implementation (Python's hashlib.blake2b) from the description in the header:
 * keys of epochs 0 to 2, and the chain of epoch 3. */
static const struct {
	enum aead_cipher cipher;
	const char *dialled[4], *answered[4];
} known[] = {
	{ AEAD_AES_256_GCM,
	  { "0a7d93fdd0981b2781b1d0f6d04bfb65dd76544a733bfcc54ca81022218f9009",
	    "bdf95380fe08451c9abbf9f3609ba69d35707d0d73ea467adb4d2b07cd65f0cf",
	    "7c1f76fd1c62eee11eb93d3f970418bba065058c699137d53f3468303bbb81e7",
	    "d3e35064e6530ab21d0fb5314b8859922cabc04a9f7f8fe545c8e44d3e30b326" },
	  { "634cf398d714c11f77488ed2864f4ac979fc76ba2b5c6382070821f7c78f6d1e",
	    "b6c498bc04308dd71170d7365a4323be621dac83aa8ad542cc837d2c71dadb6e",
	    "11bf9c76ca09d946f0871d63580032640532e2c3664b0922469f246c33c035a2",
	    "1d4eec2958bd21ae6cb8d9a6269e81025a5b63090ff9786c3c2f79682c44e28a" } },
	{ AEAD_CHACHA20_POLY1305,
	  { "c53ffff328d1659ba2f4ddab51d02dc0c264bd0469a65a34a73c626dd043afa2",
	    "685218ca4f8c5fb26be3df72359bdef3faf7d54851cc6f75ea3d3e2a231b86b0",
	    "5ada757e78252ec71afa1b0beeae2d1bb29a415747ad2c8b3ba715beb8b95148",
	    "a63972debe5b7f357664c885cc89d1c2bc60312d3d92991cec83130ddac82753" },
	  { "0768a9b6e9650d9347cdbef1fc1e11e410f332ecadd078f1bb6f31d9cc5a36a5",
	    "8300e20b9b911f98219c18b57fbc7ad244c6e3b6a16f86d44eec022f72d04188",
	    "9c529393b3f2efb83ee685d8b99cd2aa0b4d45bc0c079b1b5e0cabcca9049bd3",
	    "8f964b8d5a13928ab5519186de77db69d2abd22371e09f66f29a3c3e0916334c" } },
};

/* Sealed by our side with the counter as it stands in the nonce; opened with the key from the
 * table. */
static void check_key(struct sleeve_keys *k, enum aead_cipher cipher, const char *key_text,
		      uint64_t counter)
{
	struct aead *opens = aead_new(cipher, AEAD_OPENS);
	struct made m = make(k, counter, at(1000));
	uint8_t key[32], nonce[12] = { 0 };

	hex(key_text, key);
	for (unsigned i = 0; i < 8; i++)
		nonce[11 - i] = (uint8_t)(counter >> (8 * i));
	aead_set_key(opens, key);
	assert_true(aead_open(opens, nonce, bytes_of(m.bytes, HEAD), m.bytes + HEAD, TEXT,
			      m.bytes + HEAD + TEXT));
	aead_free(opens);
}

static void check_chain(struct sleeve_keys *k, enum aead_cipher cipher,
			const char *const expected[4])
{
	uint8_t chain[32];
	uint64_t counter = 0x0102030405060000;

	k->out.first = counter;
	for (unsigned epoch = 0; epoch < 3; epoch++) {
		check_key(k, cipher, expected[epoch], counter + 1);
		assert_int_equal(k->out.epoch, epoch);
		keys_confirm(k, epoch);
		counter += k->limits.epoch_packets;
	}
	hex(expected[3], chain);
	assert_memory_equal(k->out.chain, chain, 32);
}

static void keys_are_the_known_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
		struct ends e;

		ends_init(&e, known[i].cipher);
		check_chain(&e.a, known[i].cipher, known[i].dialled);
		check_chain(&e.b, known[i].cipher, known[i].answered);
		ends_fini(&e);
	}
}

static void two_ends_understand_each_other(void **state)
{
	struct ends e;
	struct made m;

	(void)state;
	ends_init(&e, AEAD_AES_256_GCM);
	m = from_a(&e, at(1000));
	assert_int_equal(give(&e.b, &m, at(1001)), KEYS_OPENED);
	/* our own words do not come back to us */
	assert_int_equal(give(&e.a, &m, at(1001)), KEYS_BAD_TAG);
	m = make(&e.b, 1, at(1001));
	assert_int_equal(give(&e.a, &m, at(1001)), KEYS_OPENED);
	assert_int_equal(give(&e.b, &m, at(1001)), KEYS_BAD_TAG);
	ends_fini(&e);
	/* before keys exist, and after */
	e.a = (struct sleeve_keys){ 0 };
	assert_int_equal(give(&e.a, &m, at(1001)), KEYS_NO_EPOCH);
	keys_tick(&e.a, at(1001));
	keys_check(&e.a);
	keys_fini(&e.a);
}

/* What goes into the root: when one end is made to see it differently, nothing opens. */
static void all_that_was_agreed_is_bound(void **state)
{
	(void)state;
	for (unsigned what = 0; what < 7; what++) {
		struct keys_config a = config_of(true, AEAD_CHACHA20_POLY1305);
		struct keys_config b = config_of(false, AEAD_CHACHA20_POLY1305);
		struct sleeve_keys one, other;
		uint8_t secret[32];
		char changed[] = "dialled's SETUQ", longer[] = "SETUP of who answered ";
		struct made m;

		memcpy(secret, b.secret, 32);
		if (what == 1)
			secret[31] ^= 0x80, b.secret = secret;
		if (what == 2)
			b.cipher = AEAD_AES_256_GCM;
		if (what == 3)
			b.dialled.data = (const uint8_t *)changed;
		if (what == 4)
			b.answered = bytes_of(longer, sizeof longer - 1);
		if (what == 5)
			b.initiator = true;
		if (what == 6)
			b.dialled = a.answered, b.answered = a.dialled;
		assert_true(keys_init(&one, &a, at(0)));
		assert_true(keys_init(&other, &b, at(0)));
		m = make(&one, 1, at(0));
		assert_int_equal(give(&other, &m, at(0)), what ? KEYS_BAD_TAG : KEYS_OPENED);
		keys_fini(&one);
		keys_fini(&other);
	}
}

static void a_new_epoch_begins_when_it_may(void **state)
{
	struct ends e;

	(void)state;
	ends_init(&e, AEAD_CHACHA20_POLY1305);
	/* not before the other end is known to be in this one, however late */
	assert_int_equal(keys_epoch(&e.a, 1, at(1000)), 0);
	assert_int_equal(keys_epoch(&e.a, 5000, at(10000000)), 0);
	keys_confirm(&e.a, 1); /* of no epoch of ours */
	assert_int_equal(keys_epoch(&e.a, 5001, at(10000000)), 0);
	keys_confirm(&e.a, 0);
	assert_int_equal(keys_epoch(&e.a, 5002, at(10000000)), 1);
	/* by count: the thousandth after the first of the epoch */
	keys_confirm(&e.a, 0);
	assert_int_equal(keys_epoch(&e.a, 6002, at(10000001)), 1);
	keys_confirm(&e.a, 1);
	assert_int_equal(keys_epoch(&e.a, 6001, at(10000001)), 1);
	assert_int_equal(keys_epoch(&e.a, 6002, at(10000001)), 2);
	/* by time */
	keys_confirm(&e.a, 2);
	assert_int_equal(keys_epoch(&e.a, 6003, at(10120000)), 2);
	assert_int_equal(keys_epoch(&e.a, 6004, at(10120001)), 3);
	ends_fini(&e);
}

static struct made next_epoch(struct ends *e, struct mono now)
{
	keys_confirm(&e->a, e->a.out.epoch);
	e->sent += e->a.limits.epoch_packets;
	return from_a(e, now);
}

static void previous_current_and_next_are_opened(void **state)
{
	struct ends e;
	struct made zero[4], one[4], two;

	(void)state;
	ends_init(&e, AEAD_AES_256_GCM);
	for (unsigned i = 0; i < 4; i++)
		zero[i] = from_a(&e, at(1000));
	one[0] = next_epoch(&e, at(1001));
	for (unsigned i = 1; i < 4; i++)
		one[i] = from_a(&e, at(1001));
	two = next_epoch(&e, at(1002));
	assert_int_equal(zero[0].epoch, 0);
	assert_int_equal(one[0].epoch, 1);
	assert_int_equal(two.epoch, 2);
	assert_int_equal(give(&e.b, &zero[0], at(2000)), KEYS_OPENED);
	/* two ahead: not derived for anybody's asking */
	assert_int_equal(give(&e.b, &two, at(2000)), KEYS_NO_EPOCH);
	assert_int_equal(e.b.in.epoch, 0);
	/* overtaken by the next epoch, and then not so */
	assert_int_equal(give(&e.b, &one[0], at(2001)), KEYS_OPENED);
	assert_int_equal(e.b.in.epoch, 1);
	assert_int_equal(give(&e.b, &zero[1], at(2002)), KEYS_OPENED);
	assert_int_equal(e.b.in.epoch, 1);
	assert_int_equal(give(&e.b, &one[1], at(2003)), KEYS_OPENED);
	/* the old key lingers, then it is gone for ever */
	keys_tick(&e.b, at(2001 + KEYS_LINGER_MS - 1));
	assert_int_equal(give(&e.b, &zero[2], at(2001 + KEYS_LINGER_MS - 1)), KEYS_OPENED);
	keys_tick(&e.b, at(2001 + KEYS_LINGER_MS));
	assert_int_equal(give(&e.b, &zero[3], at(2001 + KEYS_LINGER_MS)), KEYS_NO_EPOCH);
	assert_int_equal(give(&e.b, &one[2], at(20000)), KEYS_OPENED);
	assert_int_equal(give(&e.b, &two, at(20000)), KEYS_OPENED);
	assert_int_equal(give(&e.b, &one[3], at(20001)), KEYS_OPENED);
	ends_fini(&e);
}

/* Whatever stands in the header, what does not authenticate moves nothing. */
static void strangers_move_nothing(void **state)
{
	struct ends e;
	struct sleeve_keys before;
	struct made good, m;

	(void)state;
	ends_init(&e, AEAD_AES_256_GCM);
	good = next_epoch(&e, at(1000));
	before = e.b;
	for (unsigned epoch = 0; epoch < 256; epoch++) {
		m = good;
		m.bytes[SIZE - 1] ^= 1;
		m.epoch = (uint8_t)epoch;
		assert_int_equal(give(&e.b, &m, at(2000)),
				 epoch < 2 ? KEYS_BAD_TAG : KEYS_NO_EPOCH);
	}
	m = good;
	assert_int_equal(
		keys_open(&e.b, 1, m.counter, m.bytes, HEAD, HEAD + AEAD_TAG_SIZE - 1, at(2000)),
		KEYS_BAD_TAG);
	assert_memory_equal(&e.b, &before, sizeof before);
	assert_int_equal(give(&e.b, &good, at(2000)), KEYS_OPENED);
	ends_fini(&e);
}

/* Epochs turn 600 times, past what the byte on the wire counts. */
static void epochs_go_on_past_the_byte(void **state)
{
	struct ends e;

	(void)state;
	ends_init(&e, AEAD_CHACHA20_POLY1305);
	for (unsigned i = 1; i <= 600; i++) {
		struct made last = from_a(&e, at(1000)), m = next_epoch(&e, at(1000 + i));

		assert_int_equal(m.epoch, i & 0xff);
		assert_int_equal(give(&e.b, &m, at(1000 + i)), KEYS_OPENED);
		assert_int_equal(give(&e.b, &last, at(1000 + i)), KEYS_OPENED);
		assert_int_equal(e.b.in.epoch, i);
	}
	ends_fini(&e);
}

/* Nothing from which the present epoch came is left at either end. */
static void the_past_is_wiped(void **state)
{
	struct ends e;
	uint8_t chains[4][32];
	struct made m;

	(void)state;
	ends_init(&e, AEAD_AES_256_GCM);
	for (unsigned i = 0; i < 4; i++) {
		memcpy(chains[i], e.a.out.chain, 32); /* of epoch i + 1 */
		m = next_epoch(&e, at(1000));
		assert_int_equal(give(&e.b, &m, at(1000)), KEYS_OPENED);
		for (unsigned k = 0; k <= i; k++) {
			assert_null(memmem(&e.a, sizeof e.a, chains[k], 32));
			assert_null(memmem(&e.b, sizeof e.b, chains[k], 32));
		}
	}
	keys_fini(&e.a);
	keys_fini(&e.b);
	for (size_t i = 0; i < sizeof e.a; i++)
		assert_int_equal(((const uint8_t *)&e.a)[i] | ((const uint8_t *)&e.b)[i], 0);
}

static void no_memory_is_taken_after_the_start(void **state)
{
	struct ends e;
	size_t before;

	(void)state;
	ends_init(&e, AEAD_AES_256_GCM);
	before = mem_in_use();
	for (unsigned i = 0; i < 100; i++) {
		struct made m = next_epoch(&e, at(1000));

		assert_int_equal(give(&e.b, &m, at(1000)), KEYS_OPENED);
		m.bytes[20] ^= 4;
		assert_int_equal(give(&e.b, &m, at(1000)), KEYS_BAD_TAG);
	}
	assert_int_equal(mem_in_use(), before);
	ends_fini(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_the_known_ones),
		cmocka_unit_test(two_ends_understand_each_other),
		cmocka_unit_test(all_that_was_agreed_is_bound),
		cmocka_unit_test(a_new_epoch_begins_when_it_may),
		cmocka_unit_test(previous_current_and_next_are_opened),
		cmocka_unit_test(strangers_move_nothing),
		cmocka_unit_test(epochs_go_on_past_the_byte),
		cmocka_unit_test(the_past_is_wiped),
		cmocka_unit_test(no_memory_is_taken_after_the_start),
	};

	MUST(sodium_init() >= 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
