#include "sim_goodbye.h"

#include <weave/must.h>

#include "sim_router.h"

/* What 'h' shows as the reason for the end of its connection; NONE when it shows nothing: it has
 * another connection to that peer, or nobody asked for this one. */
static uint32_t shown_reason(const struct sim_stream *t, unsigned side)
{
	const struct sim_half *h = &t->half[side];
	struct netaddr other = side == 0
				       ? t->dialled
				       : (struct netaddr){ sim_router_ip(t->half[0].router->index),
							   t->port };
	struct gossip_conn_info info;

	for (size_t i = 0; gossip_conn_at(sim_router_gossip(h->router), i, &info); i++)
		if (info.conn == 0 && info.outbound == (side == 0) &&
		    netaddr_compare(info.address, other) == 0)
			return info.why.reason;
	return WHY_NONE;
}

void sim_goodbye(struct sim_stream *t, unsigned side)
{
	struct sim *s = t->sim;
	uint32_t other = t->reason[!side], mine = shown_reason(t, side);
	/* Everything that the other end said has arrived, so we know its reason. */
	bool heard = list_empty(&t->pipe[!side].segments) ||
		     list_entry(t->pipe[!side].segments.next, struct sim_segment, link)->type ==
			     SEGMENT_FIN;

	t->reason[side] = mine;
	if (!s->check_goodbyes || t->faulted || !heard || other == WHY_NONE || mine == WHY_NONE)
		return;
	if (s->mutation == SIM_MUTATE_LOST_CLOSE)
		mine = WHY_FORGOTTEN;
	s->goodbyes++;
	if (mine != other)
		sim_fail(s, "router %u closed for \"%s\", router %u shows \"%s\"",
			 t->half[!side].router->index + 1, why_reason_text(other),
			 t->half[side].router->index + 1, why_reason_text(mine));
}
