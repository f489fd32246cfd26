#include "aead.h"

#include <weave/must.h>

#include "aead_backend.h"

/* The fastest first. */
static const struct aead_backend *const backends[] = {
#ifndef WEAVE_WITHOUT_IPSEC_MB
	&aead_ipsec_mb,
#endif
#ifndef WEAVE_WITHOUT_LIBCRYPTO
	&aead_openssl,
#endif
	&aead_sodium,
};

const char *aead_name(enum aead_cipher cipher)
{
	switch (cipher) {
	case AEAD_NONE:
		return "";
#define X(name, number, text)                                                                      \
	case AEAD_##name:                                                                          \
		return (text);
		AEAD_CIPHERS(X)
#undef X
	}
	NOT_REACHED("cipher");
}

enum aead_cipher aead_choose(uint8_t ours, uint8_t theirs)
{
	uint8_t both = ours & theirs;

	if (both & AEAD_BIT(AEAD_AES_256_GCM))
		return AEAD_AES_256_GCM;
	return both & AEAD_BIT(AEAD_CHACHA20_POLY1305) ? AEAD_CHACHA20_POLY1305 : AEAD_NONE;
}

struct aead *aead_new_with(const struct aead_backend *backend, enum aead_cipher cipher,
			   enum aead_use use)
{
	struct aead *a = backend->create(cipher, use);

	if (!a)
		return NULL;
	a->backend = backend;
	a->cipher = cipher;
	a->use = use;
	return a;
}

struct aead *aead_new(enum aead_cipher cipher, enum aead_use use)
{
	struct aead *a = NULL;

	for (size_t i = 0; !a && i < ARRAY_COUNT(backends); i++)
		a = aead_new_with(backends[i], cipher, use);
	return a;
}

void aead_free(struct aead *a)
{
	if (a)
		a->backend->destroy(a);
}

void aead_set_key(struct aead *a, const uint8_t key[AEAD_KEY_SIZE])
{
	MUST(a->backend->set_key(a, key));
	a->has_key = true;
}

void aead_forget(struct aead *a)
{
	static const uint8_t zeroes[AEAD_KEY_SIZE];

	/* A schedule of zeroes takes the place of the old one. */
	MUST(a->backend->set_key(a, zeroes));
	a->has_key = false;
}

bool aead_has_key(const struct aead *a)
{
	return a->has_key;
}

void aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_SIZE], struct bytes head,
	       uint8_t *text, size_t size, uint8_t tag[AEAD_TAG_SIZE])
{
	MUST(a->has_key && a->use == AEAD_SEALS);
	/* Sending what was not sealed is never the way out. */
	MUST(a->backend->seal(a, nonce, head, text, size, tag));
}

bool aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_SIZE], struct bytes head,
	       uint8_t *text, size_t size, const uint8_t tag[AEAD_TAG_SIZE])
{
	MUST(a->has_key && a->use == AEAD_OPENS);
	return a->backend->open(a, nonce, head, text, size, tag);
}
