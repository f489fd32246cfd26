/* What is ours to use, and what of it is in use.
 *
 * Pure.  Two independent sets of offsets: *owned*, as a sorted list of spans, and *used*, as a
 * sparse tree of bitmaps with 64 branches that knows of each branch whether it is empty or full.
 * Used offsets may lie outside owned ones: those are disputed.  Free = owned and not used.
 */
#ifndef WEAVE_IPAM_SPACE_H
#define WEAVE_IPAM_SPACE_H

#include <weave/ipam.h>

struct space_node;

struct space {
	uint64_t size;
	struct span *owned; /* sorted, never touching each other */
	size_t owned_count, owned_room;
	struct space_node *root;  /* NULL while nothing was ever used */
	struct space_node *spare; /* an empty leaf, so that one address does not cost a malloc */
	unsigned levels;
	uint64_t owned_size, used_count;
};

void space_init(struct space *s, uint64_t size);
void space_fini(struct space *s);

/* Idempotent; any span within the universe. */
void space_own(struct space *s, struct span span);
void space_disown(struct space *s, struct span span);
bool space_owns(const struct space *s, uint64_t offset);
/* The part of 'within' that lies in the first owned span ending behind within.start. */
bool space_next_owned(const struct space *s, struct span within, struct span *owned);

/* False when it was in that state already. */
bool space_use(struct space *s, uint64_t offset);
bool space_release(struct space *s, uint64_t offset);
bool space_is_used(const struct space *s, uint64_t offset);
/* The first used offset in 'within', owned or not; false when there is none. */
bool space_next_used(const struct space *s, struct span within, uint64_t *offset);
uint64_t space_used(const struct space *s, struct span within);

/* The lowest free offset in 'within'; false when there is none. */
bool space_lowest_free(const struct space *s, struct span within, uint64_t *offset);
uint64_t space_free(const struct space *s, struct span within);
/* What to give to somebody who asks: the upper half, rounded up, of the largest run of free
 * offsets in 'within'; the lowest such run if there are several.  False when there is none. */
bool space_donation(const struct space *s, struct span within, struct span *gift);

void space_check(const struct space *s);

#endif
