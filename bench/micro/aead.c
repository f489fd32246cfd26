/* Sealing and opening datagrams in place, by library, cipher and size: each datagram once. */
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../router/aead_backend.h"
#include "micro.h"

struct how {
	const struct aead_backend *backend;
	enum aead_cipher cipher;
	enum aead_use use;
};

struct datagrams {
	size_t size;
	struct aead *seals, *opens;
	uint8_t *text;
	uint8_t (*tags)[AEAD_TAG_SIZE];
};

static void nonce_of(uint64_t number, uint8_t *nonce)
{
	memset(nonce, 0, AEAD_NONCE_SIZE);
	memcpy(nonce + 4, &number, sizeof number);
}

static void seal_all(void *ctx, uint64_t count)
{
	uint8_t nonce[AEAD_NONCE_SIZE], head[16] = { 0 };
	struct datagrams *d = ctx;

	for (uint64_t n = 0; n < count; n++) {
		nonce_of(n, nonce);
		aead_seal(d->seals, nonce, bytes_of(head, 16), d->text + n * d->size, d->size,
			  d->tags[n]);
	}
	micro_use(d->tags[0][0]);
}

static void open_all(void *ctx, uint64_t count)
{
	uint8_t nonce[AEAD_NONCE_SIZE], head[16] = { 0 };
	struct datagrams *d = ctx;

	for (uint64_t n = 0; n < count; n++) {
		nonce_of(n, nonce);
		MUST(aead_open(d->opens, nonce, bytes_of(head, 16), d->text + n * d->size, d->size,
			       d->tags[n]));
	}
}

static void end(void *ctx)
{
	struct datagrams *d = ctx;

	aead_free(d->seals);
	aead_free(d->opens);
	mem_free(d->text);
	mem_free(d->tags);
	mem_free(d);
}

static void *setup(const struct micro *c)
{
	static const uint8_t key[AEAD_KEY_SIZE] = { 1 };
	struct datagrams *d = mem_new(1, sizeof *d);
	const struct how *how = c->with;

	d->size = c->size;
	d->text = mem_new(c->count, c->size);
	d->tags = mem_new(c->count, sizeof *d->tags);
	d->seals = aead_new_with(how->backend, how->cipher, AEAD_SEALS);
	d->opens = aead_new_with(how->backend, how->cipher, AEAD_OPENS);
	if (!d->seals || !d->opens) { /* not on this processor */
		end(d);
		return NULL;
	}
	aead_set_key(d->seals, key);
	aead_set_key(d->opens, key);
	/* Its pages are there before they are measured. */
	memset(d->text, 1, c->count * c->size);
	if (how->use == AEAD_OPENS)
		seal_all(d, c->count);
	return d;
}

#define BY_SIZE(name, run, how)                                                                    \
	{ name ", 64 bytes", setup, run, end, 20000, 64, how },                                    \
		{ name ", 512 bytes", setup, run, end, 10000, 512, how },                          \
		{ name ", 1400 bytes", setup, run, end, 5000, 1400, how },                         \
		{ name ", 8900 bytes", setup, run, end, 900, 8900, how },                          \
	{                                                                                          \
		name ", 65000 bytes", setup, run, end, 128, 65000, how                             \
	}
#define BOTH(name, backend, cipher)                                                                \
	BY_SIZE("seal/" name, seal_all, (&(const struct how){ backend, cipher, AEAD_SEALS })),     \
		BY_SIZE("open/" name, open_all,                                                    \
			(&(const struct how){ backend, cipher, AEAD_OPENS }))

const struct micro micro_aead[] = {
#ifndef WEAVE_WITHOUT_IPSEC_MB
	BOTH("ipsec-mb AES-256-GCM", &aead_ipsec_mb, AEAD_AES_256_GCM),
#endif
#ifndef WEAVE_WITHOUT_LIBCRYPTO
	BOTH("openssl AES-256-GCM", &aead_openssl, AEAD_AES_256_GCM),
	BOTH("openssl ChaCha20-Poly1305", &aead_openssl, AEAD_CHACHA20_POLY1305),
#endif
	BOTH("sodium AES-256-GCM", &aead_sodium, AEAD_AES_256_GCM),
	BOTH("sodium ChaCha20-Poly1305", &aead_sodium, AEAD_CHACHA20_POLY1305),
	{ 0 },
};
