/* Why something was refused: one reason for programs, one sentence for people.
 *
 * Filled at the place that knows; the same text goes to the log, the status, the HTTP body and
 * the CLOSE message, so it names what was wrong and what to do.  Pure, no ownership.
 */
#ifndef WEAVE_WHY_H
#define WEAVE_WHY_H

#include <stddef.h>

/* Codes travel in CLOSE messages: never renumber.  X(name, number, short text) */
#define WHY_REASONS(X)                                                                             \
	X(NONE, 0, "no reason")                                                                    \
	X(STOPPED, 1, "router stopped")                                                            \
	X(MALFORMED, 2, "malformed message")                                                       \
	X(VERSION, 3, "no common protocol version")                                                \
	X(PASSWORD_ONE_SIDE, 4, "password set on one side only")                                   \
	X(PASSWORD_WRONG, 5, "passwords differ")                                                   \
	X(SELF, 6, "connected to ourself")                                                         \
	X(SAME_NAME, 7, "two peers share one name")                                                \
	X(OLD_GENERATION, 8, "a newer instance of this peer is connected")                         \
	X(DUPLICATE, 9, "duplicate connection")                                                    \
	X(REPLACED, 10, "replaced by a newer instance of the peer")                                \
	X(LIMIT, 11, "connection limit reached")                                                   \
	X(UNWANTED, 12, "connection no longer wanted")                                             \
	X(HANDSHAKE_TIMEOUT, 13, "handshake took too long")                                        \
	X(NO_ECHO, 14, "no answer to heartbeats")                                                  \
	X(NO_PROGRESS, 15, "peer does not read")                                                   \
	X(TRANSPORT, 16, "connection failed")                                                      \
	X(FORGOTTEN, 17, "target forgotten")                                                       \
	X(NOT_A_PEER, 18, "not a weave router")                                                    \
	X(OVERLOADED, 19, "too many handshakes at once")                                           \
	X(INVALID, 20, "invalid request")                                                          \
	X(FORGED, 21, "message changed on its way")                                                \
	X(ABSENT, 22, "no such component")

enum why_reason {
#define X(name, number, text) WHY_##name = (number),
	WHY_REASONS(X)
#undef X
};

struct why {
	enum why_reason reason;
	char text[160]; /* one sentence, NUL-terminated */
};

/* Sets reason and a printf-formatted sentence, cut at the end if too long. */
void why_set(struct why *why, enum why_reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The short text of a reason; "unknown reason" for numbers that are not ours. */
const char *why_reason_text(unsigned reason);

#endif
