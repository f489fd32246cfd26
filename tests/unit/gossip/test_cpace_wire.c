/* The vectors of draft-irtf-cfrg-cpace for CPACE-RISTR255-SHA512 (appendix B.3). */
#include <stdio.h>

#include <sodium.h>

#include "wire_test.h"

#include "../../../gossip/cpace_wire.h"

static const char password[] = "Password", session_hex[] = "7e4b4791d6a8ef019b936c79fb7f2c57",
		  channel_hex[] = "0b415f696e69746961746f720b425f726573706f6e646572",
		  g_hex[] = "222b6b195fe84b1652badb6f6a3ae3d24341e7306967f0b8115b40d5698c7e56",
		  ya_hex[] = "da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08",
		  yb_hex[] = "d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d",
		  share_a_hex[] =
			  "d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157",
		  share_b_hex[] =
			  "3ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f7258",
		  k_hex[] = "80b69a8a76457ab6a4d7f887a4bf6b55a2f80ac19c333f917a05fc9887c8b40f",
		  isk_hex[] = "b69effbf61b51d56401c0f65601abe428de8206feaaf0e32198896dcae7b35cd"
			      "2b38950a39dfd5d4a79164614c2984f7daa460b588c1e80c3fa2068af7900447";

static struct bytes unhex(const char *hex, uint8_t *room)
{
	size_t size;

	assert_int_equal(sodium_hex2bin(room, 64, hex, strlen(hex), NULL, &size, NULL), 0);
	return bytes_of(room, size);
}

static void assert_hex(const uint8_t *data, const char *hex)
{
	uint8_t room[64];
	struct bytes want = unhex(hex, room);

	assert_memory_equal(data, want.data, want.size);
}

static void run_of_the_draft(void **state)
{
	uint8_t session[64], channel[64], ya[64], yb[64], g[32], a[32], b[32], ka[32], kb[32],
		isk[64];
	struct cpace_input in = { bytes_of(password, 8), unhex(channel_hex, channel),
				  unhex(session_hex, session) };

	(void)state;
	cpace_generator(&in, g);
	assert_hex(g, g_hex);
	unhex(ya_hex, ya);
	unhex(yb_hex, yb);
	assert_true(cpace_multiply(ya, g, a));
	assert_hex(a, share_a_hex);
	assert_true(cpace_multiply(yb, g, b));
	assert_hex(b, share_b_hex);
	assert_true(cpace_multiply(ya, b, ka));
	assert_true(cpace_multiply(yb, a, kb));
	assert_hex(ka, k_hex);
	assert_hex(kb, k_hex);
	cpace_isk(in.session, ka, &(struct cpace_message){ a, bytes_of("ADa", 3) },
		  &(struct cpace_message){ b, bytes_of("ADb", 3) }, isk);
	assert_hex(isk, isk_hex);
}

static void invalid_points_are_refused(void **state)
{
	static const char s_hex[] =
		"7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05";
	static const char x_hex[] =
		"2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c";
	static const char product_hex[] =
		"7c13645fe790a468f62c39beb7388e541d8405d1ade69d1778c5fe3e7f6b600e";
	static const char *const invalid_hex[] = {
		"2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c", /* no element */
		"0000000000000000000000000000000000000000000000000000000000000000", /* identity */
		/* Not of the draft: not canonical (p, p + 2, and the top bit set). */
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a59c",
	};
	uint8_t s[64], x[64], product[32];

	(void)state;
	unhex(s_hex, s);
	unhex(x_hex, x);
	assert_true(cpace_multiply(s, x, product));
	assert_hex(product, product_hex);
	for (size_t i = 0; i < ARRAY_COUNT(invalid_hex); i++) {
		unhex(invalid_hex[i], x);
		assert_false(cpace_multiply(s, x, product));
	}
}

/* Lengths are part of what is hashed: no two different inputs look alike. */
static void every_part_of_the_input_counts(void **state)
{
	static const char long_text[300] = { 'a' };
	struct cpace_input inputs[] = {
		{ bytes_of("ab", 2), bytes_of("c", 1), bytes_of("d", 1) },
		{ bytes_of("a", 1), bytes_of("bc", 2), bytes_of("d", 1) },
		{ bytes_of("ab", 2), bytes_of("cd", 2), bytes_of(NULL, 0) },
		{ bytes_of("ab", 2), bytes_of("c", 1), bytes_of("e", 1) },
		{ bytes_of("ab\0", 3), bytes_of("c", 1), bytes_of("d", 1) },
		{ bytes_of(long_text, 107), bytes_of("c", 1), bytes_of("d", 1) },
		{ bytes_of(long_text, 108), bytes_of("c", 1), bytes_of("d", 1) },
		{ bytes_of(long_text, 109), bytes_of("c", 1), bytes_of("d", 1) },
		{ bytes_of(long_text, 127), bytes_of("c", 1), bytes_of("d", 1) },
		{ bytes_of(long_text, 128), bytes_of("c", 1), bytes_of("d", 1) },
		{ bytes_of(long_text, 300), bytes_of("c", 1), bytes_of("d", 1) },
	};
	uint8_t g[ARRAY_COUNT(inputs)][32];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(inputs); i++) {
		cpace_generator(&inputs[i], g[i]);
		assert_true(crypto_core_ristretto255_is_valid_point(g[i]));
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(g[i], g[k], 32);
	}
}

static void another_transcript_gives_another_key(void **state)
{
	uint8_t a[32] = { 1 }, b[32] = { 2 }, k[32] = { 3 }, other[32] = { 4 }, isk[5][64];
	struct cpace_message from_a = { a, bytes_of("x", 1) }, from_b = { b, bytes_of("y", 1) };
	struct cpace_message longer = { a, bytes_of("xy", 2) };

	(void)state;
	cpace_isk(bytes_of("s", 1), k, &from_a, &from_b, isk[0]);
	cpace_isk(bytes_of("s", 1), k, &from_b, &from_a, isk[1]); /* roles */
	cpace_isk(bytes_of("t", 1), k, &from_a, &from_b, isk[2]);
	cpace_isk(bytes_of("s", 1), other, &from_a, &from_b, isk[3]);
	cpace_isk(bytes_of("s", 1), k, &longer, &from_b, isk[4]);
	for (size_t i = 0; i < ARRAY_COUNT(isk); i++)
		for (size_t l = 0; l < i; l++)
			assert_memory_not_equal(isk[i], isk[l], 64);
}

static void scalars_are_reduced(void **state)
{
	uint8_t entropy[CPACE_ENTROPY_SIZE], scalar[32], zero[32] = { 0 }, order[64] = { 0 };

	(void)state;
	memset(entropy, 0xff, sizeof entropy);
	cpace_scalar(entropy, scalar);
	assert_true(scalar[31] <= 0x10);
	/* The order of the group, 2^252 + 27742317777372353535851937790883648493, is zero. */
	unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", order);
	cpace_scalar(order, scalar);
	assert_memory_equal(scalar, zero, 32);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_of_the_draft),
		cmocka_unit_test(invalid_points_are_refused),
		cmocka_unit_test(every_part_of_the_input_counts),
		cmocka_unit_test(another_transcript_gives_another_key),
		cmocka_unit_test(scalars_are_reduced),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("cpace_wire", tests, NULL, NULL);
}
