/* Injection: frames from peers leave through our port into the bridge (AF_PACKET, sendmmsg).
 *
 * Loop thread.  Owns one packet socket that receives nothing.
 */
#ifndef WEAVE_ROUTER_TO_BRIDGE_IO_H
#define WEAVE_ROUTER_TO_BRIDGE_IO_H

#include <weave/router.h>
#include <weave/why.h>

struct injector;

/* 0 or -errno with 'why'. */
int injector_new(const char *interface, struct injector **out, struct why *why);
void injector_free(struct injector *i);

/* Sends all frames of the outbox; what the kernel refuses is counted on 'router'. */
void injector_send(struct injector *i, const struct outbox *outbox, struct router *router);

#endif
