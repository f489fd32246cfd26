/* The data plane's way to the world: the sleeve's socket, capture and injection.
 *
 * Loop thread.  Each part owns its descriptors; the router object is borrowed.
 */
#ifndef WEAVE_ROUTER_IO_H
#define WEAVE_ROUTER_IO_H

#include <weave/router.h>
#include <weave/why.h>

struct ev_loop;

/* What this processor seals fast, for router_config: AES-256-GCM only where it has instructions for
 * it.  Starts the crypto libraries, so call it before giving up files and privileges. */
uint8_t router_ciphers_here(void);

/* The sleeve's UDP socket: datagrams between peers and the router object.
 *
 * Loop thread.  Owns the socket and its receive buffers; the router object is borrowed.  Receives
 * in batches (recvmmsg), flushes the outbox's datagrams in batches (sendmmsg).  Every datagram
 * carries DF and may be larger than the kernel's idea of the path MTU (IP_PMTUDISC_PROBE): the
 * path's size is the router object's business.
 */
struct sleeve_socket;

/* Largest datagram that is received whole. */
#define SLEEVE_DATAGRAM_MAX 9216u

/* 'host' family 0 = any address. 0 or a negative errno with 'why'. */
int sleeve_socket_new(struct ev_loop *loop, struct ip_addr host, uint16_t port, struct log *log,
		      struct sleeve_socket **out, struct why *why);
void sleeve_socket_start(struct sleeve_socket *s, struct router *router, void (*flush)(void *ctx),
			 void *ctx);
void sleeve_socket_free(struct sleeve_socket *s);

/* Sends all datagrams of the outbox; what the kernel refuses is counted, never waited for. */
void sleeve_socket_send(struct sleeve_socket *s, const struct outbox *outbox);

/* The port to the bridge of one segment: frames from it go to the router object, and frames from
 * peers leave through it.
 *
 * Loop thread.  Two kinds:
 *   VNET  the bridge's port itself, a TAP.  Frames come and go with what is left undone in them
 *         (<weave/offload.h>), so large ones stay whole from container to container.
 *   PCAP  any Ethernet interface, by libpcap and a packet socket; frames must be finished, so its
 *         offloads are to be off.  What we send ourselves is not captured.
 */
struct capture;

enum capture_kind { CAPTURE_VNET, CAPTURE_PCAP };

const char *capture_kind_name(enum capture_kind kind); /* "vnet", "pcap" */

/* The largest frame, with what comes before it. */
#define CAPTURE_ROOM 65600u

struct capture_config {
	enum capture_kind kind;
	const char *interface; /* of the segment's bridge: VNET .names.port, PCAP .names.capture */
	uint32_t segment;
	uint32_t frame_max; /* PCAP: largest frame expected, sizes the slots of the kernel's ring */
	/* VNET: where a frame is read to, of CAPTURE_ROOM bytes.  Borrowed; those of one loop may
	 * share it, since a frame is dealt with before the next one is read. */
	uint8_t *room;
	uint32_t buffer_size; /* PCAP: of that ring; 0: for the default segment's traffic */
};

/* 0 or -errno. */
int capture_new(struct ev_loop *loop, const struct capture_config *config, struct log *log,
		struct capture **out, struct why *why);
/* 'flush' is called after each batch, and whenever the outbox is nearly full. 'gone' is called
 * once when the interface has vanished; the capture is then dead and to be freed. */
void capture_start(struct capture *c, struct router *router, void (*flush)(void *ctx),
		   void (*gone)(void *ctx), void *ctx);
void capture_free(struct capture *c);

/* Frames for this segment's bridge; what the kernel refuses is counted. */
void capture_send(struct capture *c, const struct outbox_frame *frames, uint32_t count);

struct capture_counters {
	uint64_t received, dropped, dropped_by_interface;
};
void capture_counters(const struct capture *c, struct capture_counters *counters);

#endif
