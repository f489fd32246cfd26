/* Counters of one sleeve connection: ours for sending, a replay window for what comes in.
 *
 * Pure.  This is the seam for sealing: whoever holds the keys seals a datagram with the counter
 * from session_next (its nonce), and asks session_accept only after a datagram was opened.  In
 * clear the window still keeps duplicates out.
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

static inline uint64_t session_next(struct sleeve_session *s)
{
	return ++s->sent;
}

/* Would session_accept take it? */
bool session_fresh(const struct sleeve_session *s, uint64_t counter);

/* Marks 'counter' as seen; false when it was already, or is too old to know. */
bool session_accept(struct sleeve_session *s, uint64_t counter);

#endif
