/* Which overlay carries a connection's traffic, and why not a better one.  Pure.
 *
 * This router has sleeve only; the better one it could have is fastdp.
 */
#ifndef WEAVE_ROUTER_OVERLAY_CHOICE_H
#define WEAVE_ROUTER_OVERLAY_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

struct overlay_choice {
	uint8_t overlay;	/* OVERLAY_*, 0 while none is proven */
	const char *not_better; /* literal; "" when the best is in use or nothing is */
};

/* 'theirs': OVERLAY_* that the other end can do; 'sleeve_proven': its heartbeats are echoed. */
struct overlay_choice overlay_choose(uint8_t theirs, bool sleeve_proven);

#endif
