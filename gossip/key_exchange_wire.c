#include "key_exchange_wire.h"

#include <sodium.h>

#include <weave/must.h>

static void expand(const uint8_t isk[CPACE_ISK_SIZE], const char *label, struct bytes more,
		   uint8_t key[DERIVED_SIZE])
{
	static const uint8_t one = 1;
	uint8_t block[crypto_auth_hmacsha512_BYTES];
	crypto_auth_hmacsha512_state hmac;

	crypto_auth_hmacsha512_init(&hmac, isk, CPACE_ISK_SIZE);
	crypto_auth_hmacsha512_update(&hmac, (const uint8_t *)label, strlen(label));
	if (more.size)
		crypto_auth_hmacsha512_update(&hmac, more.data, more.size);
	crypto_auth_hmacsha512_update(&hmac, &one, 1);
	crypto_auth_hmacsha512_final(&hmac, block);
	memcpy(key, block, DERIVED_SIZE);
	sodium_memzero(&hmac, sizeof hmac);
	sodium_memzero(block, sizeof block);
}

static void make_tag(const struct key_exchange *x, unsigned ours, unsigned theirs,
		     bool of_initiator, uint8_t tag[TAG_SIZE])
{
	if (of_initiator)
		expand(x->isk[ours][theirs], "weave.3 proof of the asking end", bytes_of(NULL, 0),
		       tag);
	else
		expand(x->isk[ours][theirs], "weave.3 proof of the asked end",
		       bytes_of(x->proof, x->proof_size), tag);
}

void key_exchange_begin(struct key_exchange *x, bool initiator, const struct passwords *passwords,
			struct bytes channel, struct bytes session,
			const uint8_t entropy[KEY_EXCHANGE_ENTROPY_SIZE])
{
	MUST(passwords->count > 0 && passwords->count <= PASSWORDS_MAX);
	*x = (struct key_exchange){ .initiator = initiator, .ours = passwords->count };
	for (unsigned i = 0; i < x->ours; i++) {
		const struct password *p = &passwords->list[i];
		struct cpace_input in = { bytes_of(p->bytes, p->size), channel, session };
		uint8_t g[CPACE_SHARE_SIZE];
		bool ok;

		x->password_id[i] = p->id;
		cpace_generator(&in, g);
		cpace_scalar(entropy + (size_t)i * CPACE_ENTROPY_SIZE, x->scalar[i]);
		ok = cpace_multiply(x->scalar[i], g, x->offer + (size_t)i * CPACE_SHARE_SIZE);
		/* Only the scalar 0, which randomness gives in 1 of 2^252 cases, fails. */
		MUST(ok);
		sodium_memzero(g, sizeof g);
	}
}

bool key_exchange_offered(struct key_exchange *x, struct bytes their_offer, struct bytes session,
			  struct bytes initiator_said, struct bytes responder_said)
{
	uint8_t secret[CPACE_SECRET_SIZE];
	bool ok = true;

	if (their_offer.size == 0 || their_offer.size > OFFER_SIZE_MAX ||
	    their_offer.size % CPACE_SHARE_SIZE)
		return false;
	x->theirs = (unsigned)(their_offer.size / CPACE_SHARE_SIZE);
	memcpy(x->their_offer, their_offer.data, their_offer.size);
	for (unsigned i = 0; ok && i < x->ours; i++) {
		for (unsigned k = 0; ok && k < x->theirs; k++) {
			const uint8_t *our_share = x->offer + (size_t)i * CPACE_SHARE_SIZE;
			const uint8_t *their_share = x->their_offer + (size_t)k * CPACE_SHARE_SIZE;
			struct cpace_message asking = { x->initiator ? our_share : their_share,
							initiator_said };
			struct cpace_message asked = { x->initiator ? their_share : our_share,
						       responder_said };

			ok = cpace_multiply(x->scalar[i], their_share, secret);
			if (ok)
				cpace_isk(session, secret, &asking, &asked, x->isk[i][k]);
		}
	}
	sodium_memzero(secret, sizeof secret);
	sodium_memzero(x->scalar, sizeof x->scalar);
	return ok;
}

size_t key_exchange_prove(struct key_exchange *x, uint8_t proof[PROOF_SIZE_MAX])
{
	size_t size = 0;

	MUST(x->theirs > 0);
	if (!x->initiator) {
		MUST(x->agreed);
		make_tag(x, x->pair[0], x->pair[1], false, proof);
		return TAG_SIZE;
	}
	for (unsigned i = 0; i < x->ours; i++) {
		for (unsigned k = 0; k < x->theirs; k++) {
			make_tag(x, i, k, true, proof + size);
			size += TAG_SIZE;
		}
	}
	memcpy(x->proof, proof, size);
	x->proof_size = size;
	return size;
}

/* The tags stand in the order in which the initiator sees the pairs. */
static const uint8_t *their_tag(const struct key_exchange *x, struct bytes proof, unsigned ours,
				unsigned theirs)
{
	return x->initiator ? proof.data
			    : proof.data + ((size_t)theirs * x->ours + ours) * TAG_SIZE;
}

bool key_exchange_proved(struct key_exchange *x, struct bytes proof)
{
	size_t expected = x->initiator ? TAG_SIZE : (size_t)x->ours * x->theirs * TAG_SIZE;
	unsigned best = UINT32_MAX;
	uint8_t tag[TAG_SIZE];

	MUST(x->theirs > 0 && !x->agreed);
	if (proof.size != expected)
		return false;
	if (!x->initiator) {
		memcpy(x->proof, proof.data, proof.size);
		x->proof_size = proof.size;
	}
	for (unsigned i = 0; i < x->ours; i++) {
		for (unsigned k = 0; k < x->theirs; k++) {
			make_tag(x, i, k, !x->initiator, tag);
			/* Both may know both passwords: then the one that they prefer most. */
			if (sodium_memcmp(tag, their_tag(x, proof, i, k), TAG_SIZE) == 0 &&
			    i + k < best) {
				best = i + k;
				x->agreed = true;
				x->pair[0] = i;
				x->pair[1] = k;
			}
		}
	}
	sodium_memzero(tag, sizeof tag);
	return x->agreed;
}

void key_exchange_derive(const struct key_exchange *x, const char *label, uint8_t key[DERIVED_SIZE])
{
	MUST(x->agreed);
	expand(x->isk[x->pair[0]][x->pair[1]], label, bytes_of(NULL, 0), key);
}

uint32_t key_exchange_password(const struct key_exchange *x)
{
	MUST(x->agreed);
	return x->password_id[x->pair[0]];
}

void key_exchange_wipe(struct key_exchange *x)
{
	sodium_memzero(x, sizeof *x);
}
