/* The kinds of entries that IPAM replicates: their keys and values, one kind_*.c each.
 *
 * Pure.  Every key starts with the universe (family u8, prefix u8, network address).
 *
 *   run      key: universe, ring id u64, start u64     value: end u64, store id u64
 *            generation = epoch, version = counter, writer = owner.  Merged by the ring.
 *   vote     key: universe, voter u48, store id u64    value: N u16, proposer, count u16, seeds
 *   retired  key: universe, ring id u64, owner         value: heir
 *            Both are immutable: generation 0, version 1, writer = who is in the key, and no
 *            tombstones, so that no later life of that peer can take them back.
 *   space    key: universe, peer u48                   value: see struct space_info
 *            An ordinary entry of its peer. Fields of later versions may follow.
 *
 * (owner, proposer, seed, heir: name u48, store id u64.)  Decoders return NULL or the name of the
 * wrong field.
 */
#ifndef WEAVE_IPAM_KINDS_H
#define WEAVE_IPAM_KINDS_H

#include <weave/limits.h>

#include "ring.h"
#include "universe.h"
#include "vote.h"

/* An entry with room for its bytes; 'view' borrows from it, so it must not be copied. */
struct entry_room {
	struct entry_view view;
	uint8_t key[UNIVERSE_KEY_MAX + 24];
	uint8_t value[ENTRY_SIZE_MAX - UNIVERSE_KEY_MAX - 24];
};

void run_entry(struct entry_room *room, const struct universe *u, uint64_t ring_id,
	       const struct run *run);
const char *run_entry_read(const struct entry_view *e, struct universe *u, uint64_t *ring_id,
			   struct run *run);

void vote_entry(struct entry_room *room, const struct universe *u, const struct vote *vote);
const char *vote_entry_read(const struct entry_view *e, struct universe *u, struct vote *vote);

/* What an owner says who has handed everything over and will never write again. */
struct retirement {
	struct owner owner, heir;
};

void retired_entry(struct entry_room *room, const struct universe *u, uint64_t ring_id,
		   const struct retirement *r);
const char *retired_entry_read(const struct entry_view *e, struct universe *u, uint64_t *ring_id,
			       struct retirement *r);

enum {
	SPACE_ELECTOR = 1, /* votes on the first ring */
	SPACE_WANTS = 2,   /* needs an address and has no ring: electors, act */
};

#define SPACE_RANGES_MAX 128u

struct space_range {
	struct span span;
	uint64_t free; /* addresses in it, about */
};

/* What a peer has free, and its part in IPAM. */
struct space_info {
	peer_name peer;
	uint64_t store_id;
	uint8_t flags;
	uint32_t electors; /* N as it knows it; 0 when it is no elector */
	uint64_t ring_id;  /* 0: none */
	uint32_t ranges_count;
	struct space_range ranges[SPACE_RANGES_MAX];
};

void space_key(struct writer *key, const struct universe *u, peer_name peer);
void space_value(struct writer *value, const struct space_info *info);
const char *space_entry_read(const struct entry_view *e, struct universe *u,
			     struct space_info *info);

/* name u48 (not zero), store id u64 */
void owner_write(struct writer *w, struct owner owner);
struct owner owner_read(struct reader *r, const char *what);

/* NULL or what is wrong with the header of an immutable entry of 'writer'. */
const char *immutable_check(const struct entry_view *e, peer_name writer);

#endif
