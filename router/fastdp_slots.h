/* Numbers of peers for the kernel's maps: dense, small, stable while somebody needs them.
 *
 * Pure; loop thread.  A number lives while it is held: by each endpoint that lives there, and by
 * the peer's own entry.
 */
#ifndef WEAVE_ROUTER_FASTDP_SLOTS_H
#define WEAVE_ROUTER_FASTDP_SLOTS_H

#include <weave/addr.h>
#include <weave/table.h>

#define FASTDP_NO_SLOT UINT32_MAX

struct fastdp_slot {
	struct table_link link;
	peer_name peer; /* NONE: free */
	uint32_t holds;
	uint32_t next_free;
};

struct fastdp_slots {
	struct table by_name;
	struct fastdp_slot *slots;
	uint32_t count, max; /* ever used; all */
	uint32_t free;	     /* head of the free ones, or NO_SLOT */
};

void fastdp_slots_init(struct fastdp_slots *s, uint32_t max);
void fastdp_slots_fini(struct fastdp_slots *s);

uint32_t fastdp_slot_find(const struct fastdp_slots *s, peer_name peer);
/* Its number, one hold more; NO_SLOT when there are no more numbers.  '*fresh': it had none. */
uint32_t fastdp_slot_hold(struct fastdp_slots *s, peer_name peer, bool *fresh);
/* Gives that very number to a peer; false when it is another's. */
bool fastdp_slot_take(struct fastdp_slots *s, uint32_t slot, peer_name peer);
void fastdp_slot_release(struct fastdp_slots *s, uint32_t slot);

#endif
