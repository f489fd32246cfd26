#include "decide.h"

#include <weave/must.h>

#include "frame.h"

static void drop(struct verdict *out, enum drop_reason reason)
{
	out->drop = reason;
}

static void forward_to(struct verdict *out, const struct snapshot_route *route)
{
	if (!route || route->next.peer == PEER_NAME_NONE)
		drop(out, DROP_NO_ROUTE);
	else if (route->next.path == SNAPSHOT_NO_PATH)
		drop(out, DROP_NO_DATA_PATH);
	else {
		out->hops = &route->next;
		out->hops_count = 1;
	}
}

static void forward_along(struct verdict *out, const struct snapshot_tree *tree)
{
	out->hops = tree->hops;
	out->hops_count = tree->hops_count;
	out->dead_hops = tree->dead;
}

static void from_bridge(const struct snapshot *s, const struct decide_input *in,
			struct verdict *out)
{
	peer_name self = snapshot_self(s);

	out->origin = self;
	out->hop_limit = HOP_LIMIT;
	if (mac_is_group(in->from)) {
		drop(out, DROP_MALFORMED);
	} else if (in->source != ENDPOINT_SOURCE_OK) {
		drop(out, in->source == ENDPOINT_SOURCE_FROZEN ? DROP_FROZEN : DROP_FOREIGN_SOURCE);
	} else if (in->where == self) {
		drop(out, DROP_LOCAL);
	} else if (in->where != PEER_NAME_NONE) {
		out->destination = in->where;
		forward_to(out, snapshot_route(s, in->where));
	} else {
		const struct snapshot_tree *tree = snapshot_tree(s, snapshot_route(s, self),
								 in->segment);

		MUST(tree);
		forward_along(out, tree);
		if (!tree->hops_count)
			drop(out, tree->dead ? DROP_NO_DATA_PATH : DROP_NO_PEERS);
	}
}

static void broadcast_from_peer(const struct snapshot *s, const struct decide_input *in,
				const struct snapshot_route *origin, struct verdict *out)
{
	const struct snapshot_tree *tree = snapshot_tree(s, origin, in->segment);

	MUST(tree);
	if (tree->parent != in->via) {
		drop(out, DROP_NOT_PARENT);
		return;
	}
	out->to_bridge = true;
	if (!tree->hops_count && !tree->dead)
		return;
	if (in->hop_limit <= 1)
		drop(out, DROP_HOP_LIMIT);
	else
		forward_along(out, tree);
}

static void relay(const struct snapshot *s, const struct decide_input *in, struct verdict *out)
{
	if (in->hop_limit <= 1) {
		drop(out, DROP_HOP_LIMIT);
		return;
	}
	forward_to(out, snapshot_route(s, in->destination));
	/* Split horizon: whoever sent it to us believes that we are nearer. */
	if (out->hops_count && out->hops->peer == in->via) {
		out->hops_count = 0;
		drop(out, DROP_NO_ROUTE);
	}
}

static void from_peer(const struct snapshot *s, const struct decide_input *in, struct verdict *out)
{
	const struct snapshot_route *origin = snapshot_route(s, in->origin);

	out->origin = in->origin;
	out->destination = in->destination;
	out->hop_limit = in->hop_limit ? (uint8_t)(in->hop_limit - 1) : 0;
	if (in->origin == snapshot_self(s))
		drop(out, DROP_OWN_FRAME);
	else if (!origin || !origin->reachable)
		drop(out, DROP_UNKNOWN_ORIGIN);
	else if (in->destination == PEER_NAME_NONE)
		broadcast_from_peer(s, in, origin, out);
	else if (in->destination == snapshot_self(s))
		out->to_bridge = true;
	else
		relay(s, in, out);
	/* Relaying does not care. */
	if (out->to_bridge && !in->open) {
		out->to_bridge = false;
		drop(out, DROP_UNKNOWN_SEGMENT);
	}
}

void decide(const struct snapshot *s, const struct decide_input *in, struct verdict *out)
{
	*out = (struct verdict){ .drop = DROP_NONE };
	if (frame_is_link_local(in->to))
		drop(out, DROP_LINK_LOCAL);
	else if (in->side == DECIDE_FROM_BRIDGE)
		from_bridge(s, in, out);
	else
		from_peer(s, in, out);
}
