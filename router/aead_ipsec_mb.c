/* AES-256-GCM by Intel's library for it, on processors of the x86 kind: one call a datagram, where
 * EVP asks its tables by name several times, which costs as much as sealing 700 bytes. */
#ifndef WEAVE_WITHOUT_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <sodium.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "aead_backend.h"

#define KEY_ALIGNMENT 64u

_Static_assert(AEAD_KEY_SIZE == IMB_KEY_256_BYTES, "key size");
_Static_assert(AEAD_TAG_SIZE == crypto_verify_16_BYTES, "tag size");

struct aead_ipsec {
	struct aead head;
	aes_gcm_enc_dec_t run;
	aes_gcm_pre_t expand;
	struct gcm_context_data context; /* of the datagram at hand */
	struct gcm_key_data *key;	 /* in 'room' */
	uint8_t room[sizeof(struct gcm_key_data) + KEY_ALIGNMENT];
};

static struct aead_ipsec *self(struct aead *a)
{
	return (struct aead_ipsec *)a;
}

/* Takes what does it best on this processor.  False without instructions for AES: the library would
 * make them up from others. */
static bool choose(struct aead_ipsec *a, enum aead_use use)
{
	const uint64_t needed = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
	IMB_MGR *manager = alloc_mb_mgr(0);
	bool ok;

	if (!manager)
		return false;
	init_mb_mgr_auto(manager, NULL);
	/* It tests itself, and says so when something is wrong. */
	ok = imb_get_errno(manager) == 0 && (manager->features & needed) == needed;
	a->run = use == AEAD_SEALS ? manager->gcm256_enc : manager->gcm256_dec;
	a->expand = manager->gcm256_pre;
	free_mb_mgr(manager);
	return ok;
}

static void destroy(struct aead *a)
{
	sodium_memzero(self(a), sizeof(struct aead_ipsec));
	mem_free(a);
}

static struct aead *create(enum aead_cipher cipher, enum aead_use use)
{
	struct aead_ipsec *a;
	uintptr_t at;

	if (cipher != AEAD_AES_256_GCM)
		return NULL;
	a = mem_new(1, sizeof *a);
	at = ((uintptr_t)a->room + KEY_ALIGNMENT - 1) & ~(uintptr_t)(KEY_ALIGNMENT - 1);
	a->key = (struct gcm_key_data *)(a->room + (at - (uintptr_t)a->room));
	if (choose(a, use))
		return &a->head;
	destroy(&a->head);
	return NULL;
}

static bool set_key(struct aead *a, const uint8_t *key)
{
	self(a)->expand(key, self(a)->key);
	return true;
}

static void run(struct aead *a, const uint8_t *nonce, struct bytes head, uint8_t *text, size_t size,
		uint8_t *tag)
{
	struct aead_ipsec *s = self(a);

	s->run(s->key, &s->context, text, text, size, nonce, head.data, head.size, tag,
	       AEAD_TAG_SIZE);
}

static bool seal(struct aead *a, const uint8_t *nonce, struct bytes head, uint8_t *text,
		 size_t size, uint8_t *tag)
{
	run(a, nonce, head, text, size, tag);
	return true;
}

static bool open(struct aead *a, const uint8_t *nonce, struct bytes head, uint8_t *text,
		 size_t size, const uint8_t *tag)
{
	uint8_t right[AEAD_TAG_SIZE];

	run(a, nonce, head, text, size, right);
	return crypto_verify_16(right, tag) == 0;
}

const struct aead_backend aead_ipsec_mb = {
	.name = "intel-ipsec-mb",
	.create = create,
	.destroy = destroy,
	.set_key = set_key,
	.seal = seal,
	.open = open,
};

#else
/* A translation unit must not be empty. */
typedef int aead_ipsec_mb_left_out;
#endif
