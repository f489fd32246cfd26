/* Capture with libpcap: frames that the bridge hands to our port go to the router object.
 *
 * Loop thread.  Works on any Ethernet interface.  Frames that we send out of the interface
 * ourselves are not captured (direction IN).
 */
#ifndef WEAVE_ROUTER_FROM_BRIDGE_PCAP_IO_H
#define WEAVE_ROUTER_FROM_BRIDGE_PCAP_IO_H

#include <weave/router.h>
#include <weave/why.h>

struct ev_loop;
struct capture;

/* 'frame_max': largest frame expected, sizes the slots of the kernel's ring. 0 or -errno. */
int capture_new(struct ev_loop *loop, const char *interface, uint32_t frame_max, struct log *log,
		struct capture **out, struct why *why);
/* 'flush' is called after each batch, and whenever the outbox is nearly full. 'gone' is called
 * once when the interface has vanished; the capture is then dead and to be freed. */
void capture_start(struct capture *c, struct router *router, void (*flush)(void *ctx),
		   void (*gone)(void *ctx), void *ctx);
void capture_free(struct capture *c);

struct capture_counters {
	uint64_t received, dropped, dropped_by_interface;
};
void capture_counters(const struct capture *c, struct capture_counters *counters);

#endif
