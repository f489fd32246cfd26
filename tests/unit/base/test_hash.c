#include "base_test.h"

#include <weave/hash.h>

/* Vectors of the SipHash reference implementation (vectors.h, 64 and 128 bits): key 00 01 .. 0f,
 * input 00 01 .. of the given size; the 64-bit one of 15 bytes is the example of the paper. */
static const struct hash_key key = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };

static const uint8_t *input(void)
{
	static uint8_t bytes[64];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	return bytes;
}

static void vectors_of_64_bits(void **state)
{
	static const struct {
		size_t size;
		uint64_t hash;
	} cases[] = {
		{ 0, 0x726fdb47dd0e0e31u },  { 1, 0x74f839c593dc67fdu },
		{ 7, 0xab0200f58b01d137u },  { 8, 0x93f5f5799a932462u },
		{ 15, 0xa129ca6149be45e5u }, { 16, 0x3f2acc7f57c29bdbu },
		{ 63, 0x958a324ceb064572u },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_true(hash64(&key, input(), cases[i].size) == cases[i].hash);
}

static void vectors_of_128_bits(void **state)
{
	static const struct {
		size_t size;
		uint64_t first, second; /* the output's eight-byte halves, little endian */
	} cases[] = {
		{ 0, 0xe6a825ba047f81a3u, 0x930255c71472f66du },
		{ 1, 0x44af996bd8c187dau, 0x45fc229b11597634u },
		{ 8, 0x61f55862baa9623bu, 0xb49714f364e2830fu },
		{ 15, 0x11a8b03399e99354u, 0xd9c3cf970fec087eu },
		{ 63, 0x4a83502f77d15051u, 0x7cbd3f979a063e50u },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct hash128 h = hash128(&key, input(), cases[i].size);

		assert_true(h.high == cases[i].first && h.low == cases[i].second);
	}
}

static void nothing_may_be_hashed_and_addresses_do_not_matter(void **state)
{
	uint8_t shifted[33];

	(void)state;
	assert_true(hash64(&key, NULL, 0) == hash64(&key, input(), 0));
	for (size_t shift = 0; shift < 8; shift++) {
		memcpy(shifted + shift, input(), 25);
		assert_true(hash64(&key, shifted + shift, 25) == hash64(&key, input(), 25));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_64_bits),
		cmocka_unit_test(vectors_of_128_bits),
		cmocka_unit_test(nothing_may_be_hashed_and_addresses_do_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
