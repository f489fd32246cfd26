/* Counters of one sleeve connection: ours for sending, a replay window for what comes in.
 *
 * Pure.  A sealed datagram's counter is its nonce: it goes on through all epochs and ends at its
 * largest value, so it is never the same twice.  Whoever receives asks session_fresh first, which
 * is cheap and changes nothing, and session_accept only after the datagram was opened.  In clear
 * the window still keeps duplicates out.
 *
 * The window follows RFC 6479: a ring of words; moving forward clears words instead of shifting.
 */
#ifndef WEAVE_ROUTER_SLEEVE_SESSION_H
#define WEAVE_ROUTER_SLEEVE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WORDS 256u
/* One word is always being filled, so it does not count. */
#define REPLAY_WINDOW ((REPLAY_WORDS - 1) * 64u)

_Static_assert(REPLAY_WINDOW >= 8192, "reordering across queues and links must fit");

struct sleeve_session {
	uint64_t sent;	/* counter of the last datagram sent; the first is 1 */
	uint64_t heard; /* highest counter accepted */
	uint64_t window[REPLAY_WORDS];
};

/* The counter of the next datagram; 0 when all are used up, and nothing more may be sent. */
static inline uint64_t session_next(struct sleeve_session *s)
{
	return s->sent == UINT64_MAX ? 0 : ++s->sent;
}

/* Would session_accept take it? */
bool session_fresh(const struct sleeve_session *s, uint64_t counter);

/* Marks 'counter' as seen; false when it was already, or is too old to know. */
bool session_accept(struct sleeve_session *s, uint64_t counter);

#endif
