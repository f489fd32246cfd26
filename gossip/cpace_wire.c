#include "cpace_wire.h"

#include <sodium.h>

static const char domain[] = "CPaceRistretto255";
static const char domain_isk[] = "CPaceRistretto255_ISK";

#define SHA512_BLOCK_SIZE 128u

static struct bytes text_bytes(const char *text)
{
	return bytes_of(text, strlen(text));
}

/* LEB128, least significant seven bits first; returns how many bytes. */
static size_t encode_length(size_t length, uint8_t out[10])
{
	size_t n = 0;

	do {
		uint8_t low = length & 0x7f;

		length >>= 7;
		out[n++] = length ? low | 0x80 : low;
	} while (length);
	return n;
}

/* prepend_len of the draft, fed to the hash: lv_cat is a row of these. */
static void add(crypto_hash_sha512_state *hash, struct bytes b)
{
	uint8_t length[10];

	crypto_hash_sha512_update(hash, length, encode_length(b.size, length));
	if (b.size)
		crypto_hash_sha512_update(hash, b.data, b.size);
}

static size_t size_with_length(size_t size)
{
	uint8_t length[10];

	return encode_length(size, length) + size;
}

void cpace_generator(const struct cpace_input *in, uint8_t g[CPACE_SHARE_SIZE])
{
	static const uint8_t zeroes[SHA512_BLOCK_SIZE];
	size_t before = 1 + size_with_length(in->password.size) + size_with_length(strlen(domain));
	uint8_t digest[crypto_hash_sha512_BYTES];
	crypto_hash_sha512_state hash;

	crypto_hash_sha512_init(&hash);
	add(&hash, text_bytes(domain));
	add(&hash, in->password);
	/* So that a short password fills the first block whole (draft, 7.1). */
	add(&hash, bytes_of(zeroes, before < SHA512_BLOCK_SIZE ? SHA512_BLOCK_SIZE - before : 0));
	add(&hash, in->channel);
	add(&hash, in->session);
	crypto_hash_sha512_final(&hash, digest);
	crypto_core_ristretto255_from_hash(g, digest);
	sodium_memzero(&hash, sizeof hash);
	sodium_memzero(digest, sizeof digest);
}

void cpace_scalar(const uint8_t entropy[CPACE_ENTROPY_SIZE], uint8_t scalar[CPACE_SCALAR_SIZE])
{
	crypto_core_ristretto255_scalar_reduce(scalar, entropy);
}

bool cpace_multiply(const uint8_t scalar[CPACE_SCALAR_SIZE], const uint8_t point[CPACE_SHARE_SIZE],
		    uint8_t product[CPACE_SHARE_SIZE])
{
	/* libsodium before 1.0.19 takes an encoding with its top bit set; RFC 9496 4.3.1 does not.
	 */
	return !(point[31] & 0x80) && crypto_scalarmult_ristretto255(product, scalar, point) == 0;
}

void cpace_isk(struct bytes session, const uint8_t secret[CPACE_SECRET_SIZE],
	       const struct cpace_message *initiator, const struct cpace_message *responder,
	       uint8_t isk[CPACE_ISK_SIZE])
{
	crypto_hash_sha512_state hash;

	crypto_hash_sha512_init(&hash);
	add(&hash, text_bytes(domain_isk));
	add(&hash, session);
	add(&hash, bytes_of(secret, CPACE_SECRET_SIZE));
	add(&hash, bytes_of(initiator->share, CPACE_SHARE_SIZE));
	add(&hash, initiator->said);
	add(&hash, bytes_of(responder->share, CPACE_SHARE_SIZE));
	add(&hash, responder->said);
	crypto_hash_sha512_final(&hash, isk);
	sodium_memzero(&hash, sizeof hash);
}
