#include "sleeve_keys.h"

#include <sodium.h>

#include <weave/must.h>

/* Of crypto_kdf; 8 bytes each. */
#define LABEL_ROOT "wv3 root"
#define LABEL_CHAIN "wv3chain"

static const char label_secret[] = "weave 3 sleeve: cipher, SETUP dialled, SETUP answered";

_Static_assert(sizeof LABEL_ROOT - 1 == crypto_kdf_CONTEXTBYTES, "label size");
_Static_assert(sizeof LABEL_CHAIN - 1 == crypto_kdf_CONTEXTBYTES, "label size");
_Static_assert(AEAD_KEY_SIZE == crypto_kdf_KEYBYTES, "chains are keys of crypto_kdf");
_Static_assert(AEAD_KEY_SIZE == ESP_CHAIN_SIZE, "the same for the kernel's path");

enum { ROOT_DIALLED = 1, ROOT_ANSWERED, ROOT_ESP_DIALLED, ROOT_ESP_ANSWERED };
enum { CHAIN_KEY = 1, CHAIN_NEXT = 2 };

static void derive(uint8_t *out, uint64_t number, const char *label, const uint8_t *from)
{
	MUST(crypto_kdf_derive_from_key(out, AEAD_KEY_SIZE, number, label, from) == 0);
}

static void add_sized(crypto_generichash_state *h, struct bytes b)
{
	uint8_t size[4] = { (uint8_t)(b.size >> 24), (uint8_t)(b.size >> 16),
			    (uint8_t)(b.size >> 8), (uint8_t)b.size };

	crypto_generichash_update(h, size, sizeof size);
	crypto_generichash_update(h, b.data, b.size);
}

static void derive_root(const struct keys_config *c, uint8_t root[AEAD_KEY_SIZE])
{
	crypto_generichash_state h;
	uint8_t cipher = (uint8_t)c->cipher;

	crypto_generichash_init(&h, c->secret, AEAD_KEY_SIZE, AEAD_KEY_SIZE);
	add_sized(&h, bytes_of(label_secret, sizeof label_secret - 1));
	add_sized(&h, bytes_of(&cipher, 1));
	add_sized(&h, c->dialled);
	add_sized(&h, c->answered);
	crypto_generichash_final(&h, root, AEAD_KEY_SIZE);
	sodium_memzero(&h, sizeof h);
}

/* Gives 'key' the key of the chain's epoch, and moves the chain to the next one. */
static void turn(uint8_t chain[AEAD_KEY_SIZE], struct aead *key)
{
	uint8_t epoch_key[AEAD_KEY_SIZE];

	derive(epoch_key, CHAIN_KEY, LABEL_CHAIN, chain);
	aead_set_key(key, epoch_key);
	derive(epoch_key, CHAIN_NEXT, LABEL_CHAIN, chain);
	memcpy(chain, epoch_key, AEAD_KEY_SIZE);
	sodium_memzero(epoch_key, sizeof epoch_key);
}

bool keys_init(struct sleeve_keys *k, const struct keys_config *config, struct mono now)
{
	uint8_t root[AEAD_KEY_SIZE];
	unsigned ours = config->initiator ? ROOT_DIALLED : ROOT_ANSWERED;
	unsigned theirs = config->initiator ? ROOT_ANSWERED : ROOT_DIALLED;

	*k = (struct sleeve_keys){
		.cipher = config->cipher,
		.limits = config->limits,
		.out = { .key = aead_new(config->cipher, AEAD_SEALS), .first = 1, .since = now },
		.in = { .previous = aead_new(config->cipher, AEAD_OPENS),
			.current = aead_new(config->cipher, AEAD_OPENS),
			.next = aead_new(config->cipher, AEAD_OPENS),
			.since = now },
	};
	if (!k->out.key || !k->in.previous || !k->in.current || !k->in.next) {
		keys_fini(k);
		return false;
	}
	derive_root(config, root);
	derive(k->out.chain, ours, LABEL_ROOT, root);
	derive(k->in.chain, theirs, LABEL_ROOT, root);
	derive(k->esp.out, ours + ROOT_ESP_DIALLED - ROOT_DIALLED, LABEL_ROOT, root);
	derive(k->esp.in, theirs + ROOT_ESP_DIALLED - ROOT_DIALLED, LABEL_ROOT, root);
	sodium_memzero(root, sizeof root);
	turn(k->out.chain, k->out.key);
	turn(k->in.chain, k->in.current);
	turn(k->in.chain, k->in.next);
	return true;
}

void keys_fini(struct sleeve_keys *k)
{
	aead_free(k->out.key);
	aead_free(k->in.previous);
	aead_free(k->in.current);
	aead_free(k->in.next);
	sodium_memzero(k, sizeof *k);
}

void keys_take_esp(struct sleeve_keys *k, struct esp_chains *chains)
{
	*chains = k->esp;
	sodium_memzero(&k->esp, sizeof k->esp);
}

/* ---- sending ---- */

uint64_t keys_epoch(struct sleeve_keys *k, uint64_t counter, struct mono now)
{
	struct keys_sender *out = &k->out;

	if (out->confirmed && (counter - out->first >= k->limits.epoch_packets ||
			       mono_elapsed(out->since, now) >= k->limits.epoch_ms)) {
		turn(out->chain, out->key);
		out->epoch++;
		out->first = counter;
		out->since = now;
		out->confirmed = false;
	}
	return out->epoch;
}

void keys_confirm(struct sleeve_keys *k, uint64_t epoch)
{
	if (epoch == k->out.epoch)
		k->out.confirmed = true;
}

static void make_nonce(uint64_t counter, uint8_t nonce[AEAD_NONCE_SIZE])
{
	memset(nonce, 0, 4);
	for (unsigned i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(counter >> (56 - 8 * i));
}

void keys_seal(struct sleeve_keys *k, uint64_t counter, uint8_t *datagram, size_t head_size,
	       size_t size)
{
	uint8_t nonce[AEAD_NONCE_SIZE];
	size_t text = size - head_size - AEAD_TAG_SIZE;

	MUST(size >= head_size + AEAD_TAG_SIZE);
	make_nonce(counter, nonce);
	aead_seal(k->out.key, nonce, bytes_of(datagram, head_size), datagram + head_size, text,
		  datagram + head_size + text);
}

/* ---- receiving ---- */

/* The oldest context is the one that gets the newest key. */
static void enter_next(struct keys_receiver *in, struct mono now)
{
	struct aead *oldest = in->previous;

	in->previous = in->current;
	in->current = in->next;
	in->next = oldest;
	turn(in->chain, in->next);
	in->epoch++;
	in->since = now;
}

/* Serial numbers: the byte on the wire says where it lies from the current epoch. */
static struct aead *key_of(const struct keys_receiver *in, uint8_t epoch)
{
	switch ((uint8_t)(epoch - (uint8_t)in->epoch)) {
	case 0:
		return in->current;
	case 1:
		return in->next;
	case UINT8_MAX:
		return aead_has_key(in->previous) ? in->previous : NULL;
	default:
		return NULL;
	}
}

enum keys_verdict keys_open(struct sleeve_keys *k, uint8_t epoch, uint64_t counter,
			    uint8_t *datagram, size_t head_size, size_t size, struct mono now)
{
	struct aead *key = k->cipher == AEAD_NONE ? NULL : key_of(&k->in, epoch);
	uint8_t nonce[AEAD_NONCE_SIZE];
	size_t text;

	if (!key)
		return KEYS_NO_EPOCH;
	if (size < head_size + AEAD_TAG_SIZE)
		return KEYS_BAD_TAG;
	text = size - head_size - AEAD_TAG_SIZE;
	make_nonce(counter, nonce);
	if (!aead_open(key, nonce, bytes_of(datagram, head_size), datagram + head_size, text,
		       datagram + head_size + text))
		return KEYS_BAD_TAG;
	if (key == k->in.next)
		enter_next(&k->in, now);
	return KEYS_OPENED;
}

void keys_tick(struct sleeve_keys *k, struct mono now)
{
	if (k->cipher != AEAD_NONE && aead_has_key(k->in.previous) &&
	    mono_elapsed(k->in.since, now) >= KEYS_LINGER_MS)
		aead_forget(k->in.previous);
}

void keys_check(const struct sleeve_keys *k)
{
	if (k->cipher == AEAD_NONE)
		return;
	MUST(aead_has_key(k->out.key));
	MUST(aead_has_key(k->in.current));
	MUST(aead_has_key(k->in.next));
	MUST(k->in.epoch > 0 || !aead_has_key(k->in.previous));
	MUST(k->out.first > 0);
}
