/* The ciphers by OpenSSL's EVP.  The fetched algorithm and the key's schedule stay in the context;
 * a datagram only sets the nonce. */
#ifndef WEAVE_WITHOUT_LIBCRYPTO

#include <openssl/evp.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "aead_backend.h"

struct aead_evp {
	struct aead head;
	EVP_CIPHER_CTX *ctx;
};

static EVP_CIPHER_CTX *ctx_of(struct aead *a)
{
	return ((struct aead_evp *)a)->ctx;
}

static const EVP_CIPHER *algorithm(enum aead_cipher cipher)
{
	switch (cipher) {
	case AEAD_AES_256_GCM:
		return EVP_aes_256_gcm();
	case AEAD_CHACHA20_POLY1305:
		return EVP_chacha20_poly1305();
	case AEAD_NONE:
		break;
	}
	return NULL;
}

static void destroy(struct aead *a)
{
	/* Cleanses the schedule. */
	EVP_CIPHER_CTX_free(ctx_of(a));
	mem_free(a);
}

static struct aead *create(enum aead_cipher cipher, enum aead_use use)
{
	const EVP_CIPHER *evp = algorithm(cipher);
	struct aead_evp *a;

	if (!evp)
		return NULL;
	a = mem_new(1, sizeof *a);
	a->ctx = EVP_CIPHER_CTX_new();
	if (a->ctx && EVP_CipherInit_ex(a->ctx, evp, NULL, NULL, NULL, use == AEAD_SEALS) == 1)
		return &a->head;
	destroy(&a->head);
	return NULL;
}

static bool set_key(struct aead *a, const uint8_t *key)
{
	return EVP_CipherInit_ex(ctx_of(a), NULL, NULL, key, NULL, a->use == AEAD_SEALS) == 1;
}

static bool seal(struct aead *a, const uint8_t *nonce, struct bytes head, uint8_t *text,
		 size_t size, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = ctx_of(a);
	uint8_t none[AEAD_TAG_SIZE];
	int n;

	MUST(size <= INT32_MAX && head.size <= INT32_MAX);
	return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
	       EVP_EncryptUpdate(ctx, NULL, &n, head.data, (int)head.size) == 1 &&
	       (!size || EVP_EncryptUpdate(ctx, text, &n, text, (int)size) == 1) &&
	       EVP_EncryptFinal_ex(ctx, none, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, tag) == 1;
}

static bool open(struct aead *a, const uint8_t *nonce, struct bytes head, uint8_t *text,
		 size_t size, const uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = ctx_of(a);
	uint8_t none[AEAD_TAG_SIZE];
	int n;

	MUST(size <= INT32_MAX && head.size <= INT32_MAX);
	/* The interface wants a pointer that is not const, and only reads. */
	return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE,
				   (uint8_t *)(uintptr_t)tag) == 1 &&
	       EVP_DecryptUpdate(ctx, NULL, &n, head.data, (int)head.size) == 1 &&
	       (!size || EVP_DecryptUpdate(ctx, text, &n, text, (int)size) == 1) &&
	       EVP_DecryptFinal_ex(ctx, none, &n) == 1;
}

const struct aead_backend aead_openssl = {
	.name = "OpenSSL",
	.create = create,
	.destroy = destroy,
	.set_key = set_key,
	.seal = seal,
	.open = open,
};

#else
/* A translation unit must not be empty. */
typedef int aead_openssl_left_out;
#endif
