/* Control connections on real sockets: listens, dials, moves bytes between TCP and the gossip
 * object, resolves target names.
 *
 * Loop thread.  Owns the sockets; the gossip object is borrowed and must outlive it.  Callbacks of
 * libev only feed events into gossip; the owner of the loop drains gossip's actions once per turn
 * and hands DIAL, CLOSE, WRITE and RESOLVE to the functions below.
 */
#ifndef WEAVE_GOSSIP_CONNECTION_IO_H
#define WEAVE_GOSSIP_CONNECTION_IO_H

#include <weave/gossip.h>

struct ev_loop;
struct connections;

struct connections_config {
	struct ip_addr host; /* listen and dial from here; family 0 = any address */
	uint16_t port;
};

/* 0 or a negative errno with 'why' naming the address. On success *out is owned by the caller. */
int connections_new(struct ev_loop *loop, const struct connections_config *config, struct log *log,
		    struct connections **out, struct why *why);
/* Starts to accept; 'gossip' gets all events from now on. */
void connections_start(struct connections *c, struct gossip *gossip);
void connections_free(struct connections *c);

/* Carry out one of gossip's actions (DIAL, CLOSE, WRITE, RESOLVE). */
void connections_do(struct connections *c, const struct gossip_action *action);

/* True while closing connections still have bytes to send (at most a second each). */
bool connections_draining(const struct connections *c);

#endif
