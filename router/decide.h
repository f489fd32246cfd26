/* What happens to a frame: the one place where that is decided.
 *
 * Pure: a function of its input and the snapshot.  The caller looked up what depends on the
 * endpoints, so that the same rules can be written down again where maps are kept differently.
 *
 * From the bridge: control frames of bridges stay; a source that lives behind another peer is not
 * sent again; a destination on this bridge needs no help; a known one goes to its peer; all others
 * go to everybody along the tree rooted at ourselves.
 * From a peer: ours and unknown ones' are refused; a broadcast is taken from our parent in its
 * origin's tree only, delivered, and sent on to our children there; a frame for us goes to the
 * bridge; one for another peer goes on towards it, never back where it came from.
 */
#ifndef WEAVE_ROUTER_DECIDE_H
#define WEAVE_ROUTER_DECIDE_H

#include <weave/drop.h>

#include "endpoint.h"
#include "snapshot.h"

enum decide_side { DECIDE_FROM_BRIDGE, DECIDE_FROM_PEER };

struct decide_input {
	enum decide_side side;
	struct mac to, from;
	uint32_t segment;
	bool open; /* that segment is carried here, and the origin means the same by it */
	/* from the bridge */
	enum endpoint_source source;
	peer_name where; /* the destination lives; NONE unknown or a group */
	/* from a peer */
	peer_name via;
	peer_name origin, destination; /* destination NONE: broadcast */
	uint8_t hop_limit;
};

struct verdict {
	/* NONE, or why nothing is done, or (a broadcast that is delivered here) why it does not go
	 * further. */
	enum drop_reason drop;
	bool to_bridge;
	peer_name origin, destination;
	uint8_t hop_limit;		 /* to send it with */
	const struct snapshot_hop *hops; /* the snapshot's */
	uint32_t hops_count;
	uint32_t dead_hops; /* children that cannot be sent to at the moment */
};

/* For a broadcast the tree of the origin in that segment must have been wanted (snapshot_want). */
void decide(const struct snapshot *s, const struct decide_input *in, struct verdict *out);

#endif
