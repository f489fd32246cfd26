/* The second announcement of addresses that containers and the host have got, 2 s after the first
 * (RFC 5227 2.3; <weave/attach.h> says what it is for).
 *
 * Loop thread.  Owned by the daemon; keeps copies of what was attached.
 */
#ifndef WEAVE_CMD_ANNOUNCER_H
#define WEAVE_CMD_ANNOUNCER_H

#include <ev.h>
#include <weave/attach.h>
#include <weave/list.h>

struct announcer {
	struct ev_loop *loop;
	const struct net_bridge *bridge;  /* of the default network */
	const struct expose_set *exposed; /* as it is by then */
	struct list waiting;		  /* first due first */
	struct ev_timer due;
};

void announcer_init(struct announcer *a, struct ev_loop *loop, const struct net_bridge *bridge,
		    const struct expose_set *exposed);
void announcer_stop(struct announcer *a); /* also when it was never initialized */

void announcer_attached(struct announcer *a, const struct attachment *attached);
void announcer_exposed(struct announcer *a);

#endif
