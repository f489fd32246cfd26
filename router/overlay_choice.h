/* Which overlay carries a connection's traffic, and why not the better one.  Pure.
 *
 * sleeve must be proven: broadcasts, and what the kernel leaves to the router, always go by it.
 * Known unicast goes by fastdp when that is proven too.
 */
#ifndef WEAVE_ROUTER_OVERLAY_CHOICE_H
#define WEAVE_ROUTER_OVERLAY_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#define OVERLAY_WHY_SIZE 96u

struct overlay_facts {
	uint8_t theirs;	    /* OVERLAY_* that the other end can do */
	bool sleeve_proven; /* its heartbeats are echoed */
	bool sealed;	    /* nothing may go in clear */
	bool fastdp_carries;
	const char *no_fastdp;	/* why this router has none; NULL: it has */
	const char *no_esp;	/* why the kernel does not seal here; NULL: it does */
	const char *fastdp_why; /* what is in the way of this connection's path; "" nothing known */
};

struct overlay_choice {
	uint8_t overlay;		   /* OVERLAY_*, 0 while none is proven */
	char not_better[OVERLAY_WHY_SIZE]; /* "" when the best is in use or nothing is */
};

struct overlay_choice overlay_choose(const struct overlay_facts *facts);

#endif
