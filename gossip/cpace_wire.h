/* CPace, a balanced password-authenticated key exchange: CPACE-RISTR255-SHA512 of
 * draft-irtf-cfrg-cpace, in its initiator-responder form, on libsodium's ristretto255 (RFC 9496).
 *
 *	generator  g   = a point that depends on password, channel and session id
 *	share      Y   = y * g                       y: a random scalar, used once
 *	secret     K   = y * Y of the other end      not the identity, else refused
 *	key        ISK = SHA-512 over session id, K and both shares with what was said beside them
 *
 * Who does not know the password learns from a run no more than whether one guess was right; what
 * is recorded can be tested against no guess at all.  Hence no slow password hash: there is nothing
 * to be slowed down offline.
 *
 * Pure; randomness is an argument.  Nothing is owned; callers wipe scalars and keys.
 */
#ifndef WEAVE_GOSSIP_CPACE_WIRE_H
#define WEAVE_GOSSIP_CPACE_WIRE_H

#include <stdbool.h>

#include <weave/bytes.h>

#define CPACE_SCALAR_SIZE 32u
#define CPACE_SHARE_SIZE 32u
#define CPACE_SECRET_SIZE 32u
#define CPACE_ISK_SIZE 64u
#define CPACE_ENTROPY_SIZE 64u /* for one scalar, so that it is uniform to 2^-256 */

/* What both ends must agree on before they start: PRS, CI and sid of the draft. */
struct cpace_input {
	struct bytes password, channel, session;
};

/* One end's message: its share, and what else it said (ADa, ADb of the draft). */
struct cpace_message {
	const uint8_t *share; /* CPACE_SHARE_SIZE */
	struct bytes said;
};

void cpace_generator(const struct cpace_input *in, uint8_t g[CPACE_SHARE_SIZE]);

/* A scalar from uniformly random bytes. */
void cpace_scalar(const uint8_t entropy[CPACE_ENTROPY_SIZE], uint8_t scalar[CPACE_SCALAR_SIZE]);

/* scalar * point, for shares and secrets (scalar_mult and scalar_mult_vfy).  False when the point
 * is no canonical encoding of a group element, or the product is the identity: abort then. */
bool cpace_multiply(const uint8_t scalar[CPACE_SCALAR_SIZE], const uint8_t point[CPACE_SHARE_SIZE],
		    uint8_t product[CPACE_SHARE_SIZE]);

void cpace_isk(struct bytes session, const uint8_t secret[CPACE_SECRET_SIZE],
	       const struct cpace_message *initiator, const struct cpace_message *responder,
	       uint8_t isk[CPACE_ISK_SIZE]);

#endif
