#include "../../../router/aead_backend.h"

#ifndef WEAVE_WITHOUT_LIBCRYPTO
#include <openssl/crypto.h>
#endif
#include <sodium.h>

#include "router_test.h"

/* ---- counting what OpenSSL takes from the heap ---- */

static size_t heap_calls;

#ifndef WEAVE_WITHOUT_LIBCRYPTO

static void *counted_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	heap_calls++;
	return malloc(size);
}

static void *counted_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	heap_calls++;
	return realloc(p, size);
}

static void counted_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}
#endif

/* ---- vectors ---- */

struct vector {
	enum aead_cipher cipher;
	const char *source, *key, *nonce, *head, *text, *sealed, *tag;
};

/* McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B (the vectors of NIST's
 * submission); RFC 8439 2.8.2. */
static const struct vector vectors[] = {
	{ AEAD_AES_256_GCM, "GCM 13",
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b" },
	{ AEAD_AES_256_GCM, "GCM 14",
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  "000000000000000000000000", "", "00000000000000000000000000000000",
	  "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919" },
	{ AEAD_AES_256_GCM, "GCM 15",
	  "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	  "cafebabefacedbaddecaf888", "",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
	  "b094dac5d93471bdec1a502270e3cc6c" },
	{ AEAD_AES_256_GCM, "GCM 16",
	  "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	  "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
	  "76fc6ece0f4e1768cddf8853bb2d551b" },
	{ AEAD_CHACHA20_POLY1305, "RFC 8439 2.8.2",
	  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	  "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
	  "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
	  "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
	  "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
	  "637265656e20776f756c642062652069742e",
	  "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	  "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	  "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	  "3ff4def08e4b7a9de576d26586cec64b6116",
	  "1ae10b594f09e26a7e902ecbd0600691" },
};

static const struct aead_backend *const backends[] = {
#ifndef WEAVE_WITHOUT_IPSEC_MB
	&aead_ipsec_mb,
#endif
#ifndef WEAVE_WITHOUT_LIBCRYPTO
	&aead_openssl,
#endif
	&aead_sodium,
};

static const enum aead_cipher ciphers[] = { AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305 };

static bool is_for_aes_only(const struct aead_backend *b)
{
#ifndef WEAVE_WITHOUT_IPSEC_MB
	return b == &aead_ipsec_mb;
#else
	(void)b;
	return false;
#endif
}

static struct aead *make(const struct aead_backend *b, enum aead_cipher cipher, enum aead_use use,
			 const uint8_t *key)
{
	struct aead *a = aead_new_with(b, cipher, use);

	/* One has nothing but AES, and without the processor's help there is no AES; then they must
	 * say so. */
	if (!a) {
		assert_true(b == &aead_sodium || is_for_aes_only(b));
		assert_true(cipher == AEAD_AES_256_GCM || is_for_aes_only(b));
		assert_true(cipher != AEAD_AES_256_GCM || !crypto_aead_aes256gcm_is_available());
		return NULL;
	}
	aead_set_key(a, key);
	return a;
}

static void check_vector(const struct aead_backend *b, const struct vector *v)
{
	uint8_t key[32], nonce[12], head[32], text[128], sealed[128], want_tag[16], tag[16];
	uint8_t buffer[128];
	size_t head_size = hex(v->head, head), size = hex(v->text, text);
	struct aead *seals, *opens;

	hex(v->key, key);
	hex(v->nonce, nonce);
	hex(v->tag, want_tag);
	assert_int_equal(hex(v->sealed, sealed), size);
	seals = make(b, v->cipher, AEAD_SEALS, key);
	opens = make(b, v->cipher, AEAD_OPENS, key);
	if (!seals)
		return;
	memcpy(buffer, text, size);
	/* twice: nothing of one datagram may stay for the next */
	for (int i = 0; i < 2; i++) {
		aead_seal(seals, nonce, bytes_of(head, head_size), buffer, size, tag);
		assert_memory_equal(buffer, sealed, size);
		assert_memory_equal(tag, want_tag, 16);
		assert_true(aead_open(opens, nonce, bytes_of(head, head_size), buffer, size, tag));
		assert_memory_equal(buffer, text, size);
	}
	aead_free(seals);
	aead_free(opens);
}

static void published_vectors(void **state)
{
	(void)state;
	for (size_t b = 0; b < ARRAY_COUNT(backends); b++)
		for (size_t i = 0; i < ARRAY_COUNT(vectors); i++)
			check_vector(backends[b], &vectors[i]);
}

/* Every pair of libraries, in every size up to some and around powers of two. */
static void libraries_agree(void **state)
{
	static uint8_t text[65536 + 64], buffer[65536 + 64];
	uint8_t key[32], nonce[12], head[16], tag[16];
	struct rng rng = { test_seed(0x5eed0501) };

	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)rng_u64(&rng);
	for (size_t round = 0; round < 600; round++) {
		size_t size = round < 300 ? round : rng_below(&rng, 65536);
		enum aead_cipher cipher = ciphers[round & 1];
		const struct aead_backend *x = backends[round / 2 % ARRAY_COUNT(backends)];
		const struct aead_backend *y = backends[round / 4 % ARRAY_COUNT(backends)];
		struct aead *seals, *opens;

		memcpy(key, text + round, 32);
		memcpy(nonce, text + round + 40, 12);
		memcpy(head, text + round + 60, 16);
		seals = make(x, cipher, AEAD_SEALS, key);
		opens = make(y, cipher, AEAD_OPENS, key);
		if (seals && opens) {
			memcpy(buffer, text, size);
			aead_seal(seals, nonce, bytes_of(head, 16), buffer, size, tag);
			assert_true(aead_open(opens, nonce, bytes_of(head, 16), buffer, size, tag));
			assert_memory_equal(buffer, text, size);
		}
		aead_free(seals);
		aead_free(opens);
	}
}

static void every_flipped_bit_is_noticed(void **state)
{
	uint8_t key[32] = { 1 }, all[12 + 16 + 40 + 16] = { 0 }, copy[sizeof all];

	(void)state;
	for (size_t k = 0; k < ARRAY_COUNT(backends) * ARRAY_COUNT(ciphers); k++) {
		const struct aead_backend *b = backends[k / ARRAY_COUNT(ciphers)];
		enum aead_cipher cipher = ciphers[k % ARRAY_COUNT(ciphers)];
		struct aead *seals = make(b, cipher, AEAD_SEALS, key);
		struct aead *opens = make(b, cipher, AEAD_OPENS, key);

		if (!seals)
			continue;
		aead_seal(seals, all, bytes_of(all + 12, 16), all + 28, 40, all + 68);
		for (size_t bit = 0; bit < sizeof all * 8; bit++) {
			memcpy(copy, all, sizeof all);
			copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(aead_open(opens, copy, bytes_of(copy + 12, 16), copy + 28, 40,
					       copy + 68));
		}
		memcpy(copy, all, sizeof all);
		assert_true(
			aead_open(opens, copy, bytes_of(copy + 12, 16), copy + 28, 40, copy + 68));
		assert_false(aead_open(opens, all, bytes_of(all + 12, 15), all + 28, 40, all + 68));
		memset(all, 0, sizeof all);
		aead_free(seals);
		aead_free(opens);
	}
}

static void a_new_key_replaces_the_old_one(void **state)
{
	uint8_t one[32] = { 1 }, two[32] = { 2 }, nonce[12] = { 0 }, text[33] = { 0 }, tag[16];
	uint8_t copy[33];

	(void)state;
	for (size_t c = 0; c < ARRAY_COUNT(ciphers); c++) {
		struct aead *seals = aead_new(ciphers[c], AEAD_SEALS);
		struct aead *opens = aead_new(ciphers[c], AEAD_OPENS);

		assert_false(aead_has_key(opens));
		aead_set_key(seals, one);
		aead_set_key(opens, two);
		assert_true(aead_has_key(opens));
		aead_seal(seals, nonce, bytes_of(nonce, 12), text, 33, tag);
		memcpy(copy, text, 33);
		assert_false(aead_open(opens, nonce, bytes_of(nonce, 12), copy, 33, tag));
		aead_set_key(opens, one);
		memcpy(copy, text, 33);
		assert_true(aead_open(opens, nonce, bytes_of(nonce, 12), copy, 33, tag));
		aead_forget(opens);
		assert_false(aead_has_key(opens));
		aead_free(seals);
		aead_free(opens);
	}
	assert_null(aead_new(AEAD_NONE, AEAD_SEALS));
	aead_free(NULL);
}

/* Neither good nor bad datagrams nor new keys take anything from the heap. */
static void nothing_is_allocated_per_datagram(void **state)
{
	static uint8_t text[9000];
	uint8_t key[32] = { 1 }, nonce[12] = { 0 }, tag[16];
	size_t heap, ours;

	(void)state;
	for (size_t k = 0; k < ARRAY_COUNT(backends) * ARRAY_COUNT(ciphers); k++) {
		const struct aead_backend *b = backends[k / ARRAY_COUNT(ciphers)];
		struct aead *seals = make(b, ciphers[k % ARRAY_COUNT(ciphers)], AEAD_SEALS, key);
		struct aead *opens = make(b, ciphers[k % ARRAY_COUNT(ciphers)], AEAD_OPENS, key);

		if (!seals)
			continue;
#ifndef WEAVE_WITHOUT_LIBCRYPTO
		assert_true(b != &aead_openssl || heap_calls > 0); /* what is counted at all */
#endif
		heap = heap_calls;
		ours = mem_in_use();
		for (unsigned i = 0; i < 1000; i++) {
			nonce[0] = (uint8_t)i;
			aead_seal(seals, nonce, bytes_of(nonce, 12), text, sizeof text, tag);
			tag[0] ^= i & 1;
			assert_int_equal(aead_open(opens, nonce, bytes_of(nonce, 12), text,
						   sizeof text, tag),
					 !(i & 1));
			if (i % 100 == 0) {
				key[1]++;
				aead_set_key(seals, key);
				aead_set_key(opens, key);
			}
		}
		assert_int_equal(heap_calls, heap);
		assert_int_equal(mem_in_use(), ours);
		aead_free(seals);
		aead_free(opens);
	}
}

static void the_choice_is_the_same_on_both_ends(void **state)
{
	const uint8_t aes = AEAD_BIT(AEAD_AES_256_GCM), chacha = AEAD_BIT(AEAD_CHACHA20_POLY1305);

	(void)state;
	assert_int_equal(aes, 1);
	assert_int_equal(chacha, 2);
	for (unsigned x = 0; x < 256; x++)
		for (unsigned y = 0; y < 256; y++)
			assert_int_equal(aead_choose((uint8_t)x, (uint8_t)y),
					 aead_choose((uint8_t)y, (uint8_t)x));
	assert_int_equal(aead_choose(aes | chacha, aes | chacha), AEAD_AES_256_GCM);
	assert_int_equal(aead_choose(chacha, aes | chacha), AEAD_CHACHA20_POLY1305);
	assert_int_equal(aead_choose(aes, chacha), AEAD_NONE);
	assert_int_equal(aead_choose(0, 0xff), AEAD_NONE);
	assert_string_equal(aead_name(AEAD_AES_256_GCM), "AES-256-GCM");
	assert_string_equal(aead_name(AEAD_CHACHA20_POLY1305), "ChaCha20-Poly1305");
	assert_string_equal(aead_name(AEAD_NONE), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(libraries_agree),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(a_new_key_replaces_the_old_one),
		cmocka_unit_test(nothing_is_allocated_per_datagram),
		cmocka_unit_test(the_choice_is_the_same_on_both_ends),
	};

#ifndef WEAVE_WITHOUT_LIBCRYPTO
	/* Before OpenSSL's first allocation. */
	MUST(CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) == 1);
#endif
	MUST(sodium_init() >= 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
