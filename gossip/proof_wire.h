/* On a connection that is up: proving to each other that both know a password, again.
 *
 * When one end's passwords change, the connection stays; but what it was let in with may soon be
 * accepted no longer.  So both ends go through a key exchange once more (key_exchange_wire.h),
 *inside the sealed connection, and find which of their passwords they have in common now.  Whoever
 *only knows the old one is known by that, and goes when it is dropped.
 *
 *	asking end (has dialled)                asked end
 *	                              <-----    ASK       its passwords changed; may be left out
 *	OFFER session, shares         ----->
 *	                              <-----    OFFER shares
 *	TAGS                          ----->
 *	                              <-----    TAGS      one, or none: nothing in common
 *
 * PROOF:  step u8, then of OFFER: session (16 bytes, from the asking end only) and shares; of TAGS:
 *tags.
 *
 * The exchange is bound to this connection by a key that only its two ends have: nobody can carry a
 * proof over from elsewhere.  Pure; randomness is an argument; holds secrets, so wipe it.
 */
#ifndef WEAVE_GOSSIP_PROOF_WIRE_H
#define WEAVE_GOSSIP_PROOF_WIRE_H

#include <weave/writer.h>

#include "key_exchange_wire.h"

#define PROOF_SESSION_SIZE 16u
#define PROOF_ENTROPY_SIZE (PROOF_SESSION_SIZE + KEY_EXCHANGE_ENTROPY_SIZE)
#define PROOF_BODY_MAX (1u + PROOF_SIZE_MAX)

enum proof_step { PROOF_ASK = 1, PROOF_OFFER = 2, PROOF_TAGS = 3 };

enum proof_state {
	PROOF_RESTS,
	PROOF_OFFERED,	/* asking end: waits for the other's offer */
	PROOF_ANSWERED, /* asked end: waits for tags */
	PROOF_TAGGED,	/* asking end: waits for the tag */
};

struct proof {
	enum proof_state state;
	struct key_exchange keys;
	uint8_t session[PROOF_SESSION_SIZE + DERIVED_SIZE];
	uint8_t said[1 + PROOF_SESSION_SIZE + OFFER_SIZE_MAX]; /* the asking end's OFFER */
	size_t said_size;
};

/* What a message, or nothing, led to. */
enum proof_result {
	PROOF_GOES_ON,
	PROOF_WANTED, /* the other end asks us to begin; only the end that dialled is told */
	PROOF_DONE,   /* *password is our id of what both know */
	PROOF_FAILED, /* nothing in common */
	PROOF_BAD,    /* *bad names the field: close */
};

/* The asking end's start: the body of its OFFER into 'out'.  A run under way is forgotten. */
void proof_begin(struct proof *p, const struct passwords *passwords,
		 const uint8_t binding[DERIVED_SIZE], const uint8_t entropy[PROOF_ENTROPY_SIZE],
		 struct writer *out);

/* Takes the body of a PROOF.  What is to be answered is written to 'out'; nothing is when it stays
 * empty.  'dialled': we did. */
enum proof_result proof_on_message(struct proof *p, bool dialled, struct bytes body,
				   const struct passwords *passwords,
				   const uint8_t binding[DERIVED_SIZE],
				   const uint8_t entropy[PROOF_ENTROPY_SIZE], struct writer *out,
				   uint32_t *password, const char **bad);

void proof_wipe(struct proof *p);

#endif
