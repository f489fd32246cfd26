/* Which peers are reached through relays in the kernel: next hops over links that carry fastdp.
 *
 * Pure; loop thread.  Breadth-first over the published links whose both ends say that fastdp is in
 * use on them; equal costs to the lowest name.  A peer counts only when no way at all is shorter,
 * sleeve's links included: then each router on the way comes to the same conclusion about the rest
 * of it, from the same graph, so that packets come nearer with every hop.  What two graphs that
 * differ for a moment do to a packet is bounded by split horizon and the hop limit.
 */
#ifndef WEAVE_ROUTER_FASTDP_ROUTES_H
#define WEAVE_ROUTER_FASTDP_ROUTES_H

#include <weave/topology.h>

struct fastdp_routes {
	uint32_t count, room;
	peer_name *names; /* of the topology's peers, in order */
	peer_name *via;	  /* next hop; NONE: not through relays */
	uint32_t *hops;	  /* 0: not reached */
	uint32_t *order;
};

/* Zero it first.  'direct': the peers that we send to by fastdp ourselves, in order of name. */
void fastdp_routes_find(struct fastdp_routes *r, const struct topology *t, peer_name self,
			const peer_name *direct, size_t direct_count);
void fastdp_routes_fini(struct fastdp_routes *r);

#endif
