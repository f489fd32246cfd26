/* Who owns which offset: a function offset -> (version, owner), kept as runs.
 *
 * Pure.  Merging is the pointwise maximum by (epoch, counter), a tie goes to the lower owner; so
 * it commutes, associates, is idempotent and total, and any subset of runs may arrive in any
 * order, repeated or cut (ipam-review 3: half a split of tokens would make two owners, T1).
 * Offsets that nobody wrote have no run.  Canonical: neighbours of equal version and owner are one
 * run, so that equal functions are equal lists and have equal digests.
 *
 * Who may write which run when is not decided here: see allocator.h.
 */
#ifndef WEAVE_IPAM_RING_H
#define WEAVE_IPAM_RING_H

#include <weave/hash.h>

#include "run_map.h"

#define RING_RUNS_MAX (1u << 20)
#define RING_VERSION_MAX 0x7fffffffu /* of epoch and of counter */

struct ring {
	uint64_t size;	 /* offsets 0 .. size - 1 */
	size_t runs_max; /* RING_RUNS_MAX; less in tests */
	struct run_map map;
	struct hash128 digest; /* XOR over all runs, with a published key */
};

/* What a merge did to the list. Grown as needed; reused from merge to merge. */
struct ring_changes {
	struct run *removed, *inserted;
	size_t removed_count, removed_room, inserted_count, inserted_room;
};

enum ring_result {
	RING_SAME,    /* nothing new */
	RING_CHANGED, /* see the changes */
	RING_FULL,    /* would have more than runs_max runs: unchanged */
};

int owner_compare(struct owner a, struct owner b);

static inline bool owner_equal(struct owner a, struct owner b)
{
	return a.name == b.name && a.store_id == b.store_id;
}

/* Total order of what is written at one offset: > 0 when a wins, 0 when they are the same. */
int run_compare(const struct run *a, const struct run *b);

/* NULL, or the name of the field that makes it malformed. */
const char *run_check(const struct run *run, uint64_t size);

void ring_init(struct ring *r, uint64_t size);
void ring_fini(struct ring *r);

/* Merges 'run', which run_check accepted. 'changes' is overwritten; removed and inserted runs
 * are each in order of start. */
enum ring_result ring_merge(struct ring *r, const struct run *run, struct ring_changes *changes);
void ring_changes_fini(struct ring_changes *c);

/* Whether something newer than 'run' is known on any of its offsets. */
bool ring_is_newer(const struct ring *r, const struct run *run);

/* The run that covers 'offset', or NULL: nobody. Borrowed until the next merge. */
const struct run *ring_at(const struct ring *r, uint64_t offset);
/* The first run that ends behind 'offset', or NULL; the next one: ring_from(r, run->end). */
const struct run *ring_from(const struct ring *r, uint64_t offset);

static inline size_t ring_count(const struct ring *r)
{
	return r->map.count;
}

/* The part of 'run' within [start, end); false when there is none. */
bool run_clip(const struct run *run, uint64_t start, uint64_t end, struct run *part);

/* The equal split that a first ring starts with: 'owners' in order, version (0, 1).  A part is
 * empty (start == end) when there are more owners than offsets. */
void ring_split(uint64_t size, const struct owner *owners, size_t owners_count, size_t index,
		struct run *run);

/* Asserts canonical form and digest; O(runs). */
void ring_check(const struct ring *r);

#endif
