/* What deciding about a frame reads of the topology: per peer the next hop and its path, per origin
 * the broadcast tree.
 *
 * Pure.  Built anew when routes or data paths changed, by the control thread.  Trees of other
 * origins are costly for all and cheap for the few that send, so snapshot_want adds one on its
 * origin's first frame; apart from that a snapshot never changes, and it points at nothing but
 * itself, so that it can be handed to other threads.
 *
 * The tree of an origin is the same for all segments, but frames of one go only along the branches
 * that lead to somebody who has it; segment 0 is everywhere.
 */
#ifndef WEAVE_ROUTER_SNAPSHOT_H
#define WEAVE_ROUTER_SNAPSHOT_H

#include <weave/hash.h>
#include <weave/topology.h>

#include "networks.h"

#define SNAPSHOT_NO_PATH UINT32_MAX

struct snapshot_hop {
	peer_name peer;
	uint32_t path; /* the router's number of a live path, or SNAPSHOT_NO_PATH */
};

struct snapshot_tree {
	peer_name parent; /* NONE at the origin, or when it cannot be reached */
	uint32_t dead;	  /* children without a live path, left out of 'hops' */
	uint32_t hops_count;
	struct snapshot_hop hops[];
};

struct snapshot_route {
	peer_name peer;
	bool reachable;
	struct snapshot_hop next;   /* peer NONE: no route, or ourselves */
	struct snapshot_tree *tree; /* of segment 0; NULL until wanted */
};

struct snapshot;

/* 'paths': the live ones, in any order; of several to one peer the first is used. */
struct snapshot *snapshot_new(peer_name self, const struct topology *t,
			      const struct snapshot_hop *paths, size_t paths_count, uint64_t seed);
void snapshot_free(struct snapshot *s);

peer_name snapshot_self(const struct snapshot *s);

/* NULL when nobody speaks of that peer. */
const struct snapshot_route *snapshot_route(const struct snapshot *s, peer_name peer);

/* Sees to it that the route of 'origin', if there is one, has its tree for that segment.  The
 * topology must be the version that the snapshot was built from. */
void snapshot_want(struct snapshot *s, struct topology *t, const struct networks *networks,
		   peer_name origin, uint32_t segment);
/* Wanted before, and the route is there. */
const struct snapshot_tree *snapshot_tree(const struct snapshot *s,
					  const struct snapshot_route *route, uint32_t segment);
/* Somebody opened or closed a segment: all trees but those of segment 0 are wanted anew. */
void snapshot_forget_segments(struct snapshot *s);

#endif
