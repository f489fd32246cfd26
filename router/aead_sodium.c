/* The ciphers by libsodium.  Its AES needs instructions of the processor, which sodium_init looks
 * for: before that, and without them, there is only ChaCha20-Poly1305. */
#include <sodium.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "aead_backend.h"

_Static_assert(crypto_aead_aes256gcm_KEYBYTES == AEAD_KEY_SIZE, "key size");
_Static_assert(crypto_aead_aes256gcm_NPUBBYTES == AEAD_NONCE_SIZE, "nonce size");
_Static_assert(crypto_aead_aes256gcm_ABYTES == AEAD_TAG_SIZE, "tag size");
_Static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == AEAD_KEY_SIZE, "key size");
_Static_assert(crypto_aead_chacha20poly1305_ietf_NPUBBYTES == AEAD_NONCE_SIZE, "nonce size");
_Static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == AEAD_TAG_SIZE, "tag size");

struct aead_of_sodium {
	struct aead head;
	union {
		uint8_t chacha[AEAD_KEY_SIZE];
		crypto_aead_aes256gcm_state aes;
	} key;
};

/* mem_new's memory is as aligned as malloc's. */
_Static_assert(_Alignof(struct aead_of_sodium) <= 16, "alignment of the AES state");

static struct aead_of_sodium *self(struct aead *a)
{
	return (struct aead_of_sodium *)a;
}

static struct aead *create(enum aead_cipher cipher, enum aead_use use)
{
	struct aead_of_sodium *a;

	(void)use;
	if (cipher == AEAD_NONE)
		return NULL;
	if (cipher == AEAD_AES_256_GCM && !crypto_aead_aes256gcm_is_available())
		return NULL;
	a = mem_new(1, sizeof *a);
	return &a->head;
}

static void destroy(struct aead *a)
{
	sodium_memzero(&self(a)->key, sizeof self(a)->key);
	mem_free(a);
}

static bool set_key(struct aead *a, const uint8_t *key)
{
	if (a->cipher == AEAD_AES_256_GCM)
		return crypto_aead_aes256gcm_beforenm(&self(a)->key.aes, key) == 0;
	memcpy(self(a)->key.chacha, key, AEAD_KEY_SIZE);
	return true;
}

static bool seal(struct aead *a, const uint8_t *nonce, struct bytes head, uint8_t *text,
		 size_t size, uint8_t *tag)
{
	if (a->cipher == AEAD_AES_256_GCM)
		return crypto_aead_aes256gcm_encrypt_detached_afternm(
			       text, tag, NULL, text, size, head.data, head.size, NULL, nonce,
			       &self(a)->key.aes) == 0;
	return crypto_aead_chacha20poly1305_ietf_encrypt_detached(text, tag, NULL, text, size,
								  head.data, head.size, NULL, nonce,
								  self(a)->key.chacha) == 0;
}

static bool open(struct aead *a, const uint8_t *nonce, struct bytes head, uint8_t *text,
		 size_t size, const uint8_t *tag)
{
	if (a->cipher == AEAD_AES_256_GCM)
		return crypto_aead_aes256gcm_decrypt_detached_afternm(text, NULL, text, size, tag,
								      head.data, head.size, nonce,
								      &self(a)->key.aes) == 0;
	return crypto_aead_chacha20poly1305_ietf_decrypt_detached(text, NULL, text, size, tag,
								  head.data, head.size, nonce,
								  self(a)->key.chacha) == 0;
}

const struct aead_backend aead_sodium = {
	.name = "libsodium",
	.create = create,
	.destroy = destroy,
	.set_key = set_key,
	.seal = seal,
	.open = open,
};
