#include "sim_goodbye.h"

#include <weave/must.h>

#include "sim_router.h"

/* Reasons (a bit each) that this end shows for the address of the other: several targets may stand
 * for one address.  0 when it shows nothing: it has another connection to that peer. */
static uint32_t shown_reasons(const struct sim_stream *t, unsigned side)
{
	const struct sim_half *h = &t->half[side];
	struct netaddr other = side == 0
				       ? t->dialled
				       : (struct netaddr){ sim_router_ip(t->half[0].router->index),
							   t->port };
	struct gossip_conn_info info;
	uint32_t reasons = 0;

	for (size_t i = 0; gossip_conn_at(sim_router_gossip(h->router), i, &info); i++)
		if (info.conn == 0 && info.outbound == (side == 0) && info.why.reason != WHY_NONE &&
		    netaddr_compare(info.address, other) == 0)
			reasons |= 1u << info.why.reason;
	return reasons;
}

static const char *first_text(uint32_t reasons)
{
	return why_reason_text((unsigned)__builtin_ctz(reasons));
}

void sim_goodbye(struct sim_stream *t, unsigned side)
{
	struct sim *s = t->sim;
	uint32_t other = t->reasons[!side], mine = shown_reasons(t, side);
	/* Everything that the other end said has arrived, so we know its reason. */
	bool heard = list_empty(&t->pipe[!side].segments) ||
		     list_entry(t->pipe[!side].segments.next, struct sim_segment, link)->type ==
			     SEGMENT_FIN;

	t->reasons[side] = mine;
	if (!s->check_goodbyes || t->faulted || !heard || !other || !mine)
		return;
	if (s->mutation == SIM_MUTATE_LOST_CLOSE)
		mine = 1u << WHY_FORGOTTEN;
	s->goodbyes++;
	if (!(mine & other))
		sim_fail(s, "router %u closed for \"%s\", router %u shows \"%s\"",
			 t->half[!side].router->index + 1, first_text(other),
			 t->half[side].router->index + 1, first_text(mine));
}
