/* Which bytes of a body are here: sorted ranges that neither touch nor overlap.
 *
 * Pure.  A zeroed object is empty.
 */
#ifndef WEAVE_ROUTER_RANGES_H
#define WEAVE_ROUTER_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#define RANGES_MAX 64u /* holes at once; the smallest path cuts 65535 bytes into 131 */

struct range {
	uint32_t start, end;
};

struct ranges {
	uint32_t count;
	struct range at[RANGES_MAX];
};

enum ranges_placed {
	RANGES_PLACED,
	RANGES_REPEATED, /* all of it was there */
	RANGES_REFUSED,	 /* overlaps in part (RFC 5722), or more holes than there is room for */
};

/* Enters [start, end), not empty. */
enum ranges_placed ranges_place(struct ranges *r, uint32_t start, uint32_t end);
/* Is all of [start, end) there? */
bool ranges_cover(const struct ranges *r, uint32_t start, uint32_t end);
/* Asserts invariants; for tests. */
void ranges_check(const struct ranges *r, uint32_t total);

#endif
