/* From which addresses handshakes failed for their password: how often, and whether the next one
 * from there is taken without more ado.
 *
 * A handshake costs us some 0.2 ms before the other end has proved anything.  Each address has an
 * allowance of failures, and all of them together have one; who has used it up must first solve a
 * puzzle that costs it some fifty times as much (handshake_wire.h).  So nobody makes us work for
 * nothing, and nobody is locked out either: an honest peer behind the same address translator
 * solves its puzzle and gets in.
 *
 * Pure; loop thread.  A fixed table; the address that failed longest ago makes room for a new one.
 * IPv6 addresses count by their /64, of which anybody has as many as they like.
 */
#ifndef WEAVE_GOSSIP_STRANGERS_H
#define WEAVE_GOSSIP_STRANGERS_H

#include <stdbool.h>

#include <weave/addr.h>
#include <weave/limits.h>
#include <weave/time.h>

/* Thousandths of a failure, so that they grow by the millisecond. */
struct allowance {
	uint32_t left;
	struct mono at;
};

struct stranger {
	struct ip_addr network; /* family 0: this row is free */
	uint64_t failures;
	struct mono last;
	struct allowance allowance;
};

/* Read freely; change by functions. */
struct strangers {
	struct stranger rows[STRANGERS_MAX];
	struct allowance all;
};

/* Whom an address counts for: itself, or of IPv6 its /64. */
struct ip_addr strangers_network(struct ip_addr ip);

void strangers_init(struct strangers *s, struct mono now);
/* A handshake from or to there failed for its password. */
void strangers_failed(struct strangers *s, struct ip_addr from, struct mono now);
/* Whether a handshake from there may begin without a puzzle. */
bool strangers_may_ask(const struct strangers *s, struct ip_addr from, struct mono now);
/* Of the address itself, 0 when it never failed, or so long ago that it was forgotten. */
uint64_t strangers_failures(const struct strangers *s, struct ip_addr from);

#endif
