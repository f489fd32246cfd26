/* Which peers are reached through relays in the kernel: next hops over links that carry fastdp.
 *
 * Pure; loop thread.  Over published links only, since routers have others of which nobody else
 * knows (gossip/mesh_policy.h); for the same reason a way is also told for peers that we have a
 * path to ourselves, which may go by sleeve: those who send through us count on it.
 *
 * Breadth-first, equal costs to the lowest name.  A way counts only when none is shorter, whatever
 * carries it: then each router on it comes to the same conclusion about the rest, and packets come
 * nearer with every hop.  What graphs that differ for a moment do to a packet is bounded by split
 * horizon and the hop limit.
 */
#ifndef WEAVE_ROUTER_FASTDP_ROUTES_H
#define WEAVE_ROUTER_FASTDP_ROUTES_H

#include <weave/topology.h>

struct fastdp_search {
	peer_name *via; /* first hop; NONE: not reached */
	uint32_t *hops; /* 0: not reached */
};

struct fastdp_routes {
	uint32_t count, room;
	peer_name *names; /* of the topology's peers, in order */
	peer_name *via;	  /* next hops; NONE: no such way */
	bool *own;	  /* what our containers send may go that way: we have no path of our own */
	struct fastdp_search fastdp, any;
	uint32_t *order;
};

/* Zero it first. */
void fastdp_routes_find(struct fastdp_routes *r, const struct topology *t, peer_name self);
void fastdp_routes_fini(struct fastdp_routes *r);

#endif
