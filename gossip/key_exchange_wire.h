/* From a shared password to a shared key, confirmed by both ends: CPace (cpace_wire.h) for up to
 * PASSWORDS_MAX passwords of each end at once.
 *
 *	initiator                              responder
 *	offer: a share per password   ----->
 *	                              <-----   offer: a share per password
 *	proof: a tag per pair of shares ---->  finds the pair whose tag it computes too
 *	                              <-----   proof: its tag of that pair
 *
 * Each pair of shares gives a key; all of them are different, and the ends agree on one exactly
 * where both shares came from one password.  A tag tells nothing but to whom knows the key of its
 * pair.  So an end that lies gets one guess per share that it may send, and the end that answers
 * notices every guess of the one that asks, because that one has to show its tags first.
 *
 * Keys are bound to everything that both ends said (the 'said' of the offers) and to who asked
 * whom: a message that was changed, reflected or replayed leads to different keys.
 *
 * Pure; randomness is an argument.  The struct holds secrets: key_exchange_wipe when done.
 */
#ifndef WEAVE_GOSSIP_KEY_EXCHANGE_WIRE_H
#define WEAVE_GOSSIP_KEY_EXCHANGE_WIRE_H

#include <stdbool.h>

#include <weave/bytes.h>
#include <weave/password.h>

#include "cpace_wire.h"

#define KEY_EXCHANGE_ENTROPY_SIZE (PASSWORDS_MAX * CPACE_ENTROPY_SIZE)
#define OFFER_SIZE_MAX (PASSWORDS_MAX * CPACE_SHARE_SIZE)
#define TAG_SIZE 32u
#define PROOF_SIZE_MAX (PASSWORDS_MAX * PASSWORDS_MAX * TAG_SIZE)
#define DERIVED_SIZE 32u

struct key_exchange {
	bool initiator;
	bool agreed;	       /* 'pair' holds */
	unsigned ours, theirs; /* shares */
	unsigned pair[2];      /* which of ours, which of theirs */
	uint32_t password_id[PASSWORDS_MAX];
	uint8_t scalar[PASSWORDS_MAX][CPACE_SCALAR_SIZE];
	uint8_t offer[OFFER_SIZE_MAX], their_offer[OFFER_SIZE_MAX];
	uint8_t isk[PASSWORDS_MAX][PASSWORDS_MAX][CPACE_ISK_SIZE];
	/* The initiator's proof: the responder's covers it, else somebody between could change
	 * those of its tags that fit no pair. */
	uint8_t proof[PROOF_SIZE_MAX];
	size_t proof_size;
};

/* Makes our offer, of 'ours' shares.  'entropy' is uniformly random and used nowhere else. */
void key_exchange_begin(struct key_exchange *x, bool initiator, const struct passwords *passwords,
			struct bytes channel, struct bytes session,
			const uint8_t entropy[KEY_EXCHANGE_ENTROPY_SIZE]);

/* Takes their offer.  'said': all that the initiator, and the responder, said up to here, offers
 * included.  False when a share is no group element or the size is wrong: abort. */
bool key_exchange_offered(struct key_exchange *x, struct bytes their_offer, struct bytes session,
			  struct bytes initiator_said, struct bytes responder_said);

/* Our proof: all tags (initiator), or the one of the agreed pair (responder).  Returns its size. */
size_t key_exchange_prove(struct key_exchange *x, uint8_t proof[PROOF_SIZE_MAX]);

/* Takes their proof; true when both ends hold one key now.  In constant time but for the sizes. */
bool key_exchange_proved(struct key_exchange *x, struct bytes proof);

/* ---- once agreed ---- */
/* A key of its own for each label (HKDF-Expand of RFC 5869 with SHA-512, first 32 bytes). */
void key_exchange_derive(const struct key_exchange *x, const char *label,
			 uint8_t key[DERIVED_SIZE]);
/* Of our passwords, the one that both know. */
uint32_t key_exchange_password(const struct key_exchange *x);

void key_exchange_wipe(struct key_exchange *x);

#endif
