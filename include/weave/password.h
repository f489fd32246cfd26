/* The passwords of a network, as the control plane uses them.
 *
 * The struct lives in guarded memory of its owner (cmd/password_io.c in the daemon); gossip only
 * borrows a pointer and reads from it while it makes a key share.  Never copied, never printed.
 *
 * While a network changes to a new password each router knows two: the first one is preferred,
 * the second is accepted as well (docs/SECURITY.md).
 */
#ifndef WEAVE_PASSWORD_H
#define WEAVE_PASSWORD_H

#include <stdint.h>

#include <weave/limits.h>

struct password {
	uint32_t id; /* never used again in this process, not 0: tells passwords apart */
	uint16_t size;
	uint8_t bytes[PASSWORD_SIZE_MAX];
};

struct passwords {
	unsigned count; /* 0: this router has no password and talks in clear */
	struct password list[PASSWORDS_MAX];
};

#endif
