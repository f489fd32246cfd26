/* The graph of peers and links as the store tells it, who can be reached, and where frames go.
 *
 * Pure; loop thread.  Fed by the store (it registers the kinds peer and link), so it is a view:
 * equal stores give equal graphs on every peer, and with them equal trees.
 *
 * A link counts when both ends publish it as established, each in its current generation.
 * Reachable = connected to ourselves over such links, or over a live data path of our own.
 *
 * Unicast: a live data path of our own to the destination is used directly (last hop, cannot
 * loop); else the next hop of a breadth-first search of the published graph from ourselves,
 * neighbours in order of name.  Broadcast: the breadth-first tree rooted at the frame's origin,
 * the same on all peers with equal stores; accepted only from our parent in that tree.
 */
#ifndef WEAVE_TOPOLOGY_H
#define WEAVE_TOPOLOGY_H

#include <weave/peer.h>
#include <weave/store.h>

struct topology;

/* One peer. Borrowed; valid until the store changes or topology_update. */
struct topology_peer {
	struct peer_info info; /* zeroed but for .name while only links speak of it */
	uint64_t generation;   /* of its peer entry; 0 while it has none */
	bool known;	       /* has a peer entry */
	bool reachable;
	uint32_t hops;	      /* from ourselves; 0 for ourselves or when unreachable */
	uint32_t links_count; /* published by it, established or not, of whatever generation */
	const struct link_info *const *links; /* in order of .to */
};

struct topology_broadcast {
	peer_name parent; /* we accept from it only; NONE at the origin or when unreachable */
	uint32_t children_count;
	const peer_name *children; /* we forward to these, in order of name */
};

/* Registers its kinds with 'store', which must outlive it. */
struct topology *topology_new(struct store *store, peer_name self);
void topology_free(struct topology *t);

/* Our own live data paths, told by the engine; 'alive' false removes. */
void topology_direct(struct topology *t, peer_name to, bool alive);

/* True when something changed since the last topology_update. */
bool topology_dirty(const struct topology *t);

/* Recomputes reachability and our routes; bumps the version when any of them changed, or the
 * counted graph (and so broadcast trees), or some peer's generation or floor (and so whose
 * endpoints count).  The caller sees to it that this happens at most every 50 ms. */
void topology_update(struct topology *t);
uint64_t topology_version(const struct topology *t);
/* Of what IPAM looks at: which peers are known, their store ids, whether they can be reached. */
uint64_t topology_peers_version(const struct topology *t);
/* Changes when some link is published with another overlay or is gone. */
uint64_t topology_links_version(const struct topology *t);

/* NULL when nobody speaks of it. */
const struct topology_peer *topology_peer(const struct topology *t, peer_name name);
/* All peers in order of name: index from 0; NULL at the end.  One that nobody speaks of any more
 * may be among them until the next topology_update.  At most PEERS_MAX. */
const struct topology_peer *topology_peer_at(const struct topology *t, size_t index);
size_t topology_count(const struct topology *t);
/* Does link number 'link' of peer number 'index' count?  '*overlay': what both ends carry it by, 0
 * when they differ. */
bool topology_link_counts(const struct topology *t, size_t index, uint32_t link, uint8_t *overlay);
bool topology_reachable(const struct topology *t, peer_name name);

/* First hop towards 'to', as of the last update; NONE when unreachable or ourselves. */
peer_name topology_next_hop(const struct topology *t, peer_name to);

/* What to do with broadcasts of 'origin'; computed on first use and cached per version. Borrowed
 * until the next topology_update. */
const struct topology_broadcast *topology_broadcast(struct topology *t, peer_name origin);

/* Which of those children (index) leads to 'peer' in the tree of 'origin', or TOPOLOGY_NO_BRANCH
 * when a broadcast of 'origin' does not get to it through us. */
#define TOPOLOGY_NO_BRANCH UINT32_MAX
uint32_t topology_branch(struct topology *t, peer_name origin, peer_name peer);

/* Asserts invariants: reachable iff route, tree edges are links, no cycle. For tests. */
void topology_check(struct topology *t);

#endif
