/* The router daemon: the one struct that main owns, on which everything else hangs.
 *
 * Loop thread.  cmd/daemon.c starts, turns and stops it; cmd/control.c carries out what the API
 * asks for; cmd/bridge_watch.c keeps the kernel's side in order.  One turn of the loop:
 * callbacks feed events into the engine; then, before the loop sleeps, daemon_turn carries out the
 * engine's actions, flushes its outbox and arms the timer for its deadline.
 */
#ifndef WEAVE_CMD_DAEMON_H
#define WEAVE_CMD_DAEMON_H

#include <ev.h>

#include <weave/address_service.h>
#include <weave/api.h>
#include <weave/attach.h>
#include <weave/docker.h>
#include <weave/engine.h>
#include <weave/net.h>
#include <weave/segments.h>

#include "announcer.h"
#include "options.h"
#include "password_io.h"
#include "run_dir_io.h"

#include <weave/fastdp_io.h>
#include <weave/gossip_io.h>
#include <weave/ipam_io.h>
#include <weave/router_io.h>
#include <weave/server_io.h>

/* A container, or the host itself, as last published. */
struct local_endpoint {
	struct mac mac;
	int ifindex; /* port of the bridge; 0: the host's own */
	uint32_t ips_count;
	struct ip_addr ips[ENDPOINT_IPS_MAX];
	bool seen; /* in the listing in hand */
};

/* cmd/docker.c */
struct daemon_docker {
	struct docker_networks networks;
	struct docker_engine *engine; /* cmd/docker_engine.c; NULL: none is followed */
	struct list held;	      /* requests for endpoints */
	struct docker_grant *grants;
	size_t grants_count;
};

/* A segment other than the default one; cmd/segments.c. */
struct daemon_segment {
	struct segment segment;
	struct daemon *daemon;
	struct capture *capture; /* NULL: it is to be repaired */
	struct attach_known attached;
	struct mac *macs; /* published */
	size_t macs_count;
	bool stale; /* something happened there: to be repaired, and listed anew */
};

struct daemon {
	const struct weaver_options *options;
	struct ev_loop *loop;
	struct log log;
	struct mono started;
	bool ready, stopping;
	bool bridge_touched, bridge_was_there; /* for taking back a failed start */

	struct run_dir *run_dir;
	struct router_state state;
	struct engine_config config;
	struct passwords *passwords; /* NULL none; 'engine' borrows them */
	struct engine *engine;
	/* cmd/addresses.c */
	struct ipam_config universes[ENGINE_UNIVERSES_MAX];
	struct ipam_store *store; /* NULL without IPAM */
	struct address_service addresses;
	struct announcer announcer;
	struct list attaching; /* requests whose addresses are there; cmd/control_addresses.c */
	struct ev_timer attach_next;
	bool former_life; /* our rows were lost: we may have voted, or given away */
	bool renew_id;	  /* a new store id that the disk refused */

	struct daemon_docker docker;

	uint64_t persist_ticket; /* a generation that waits for the disk; 0 none */

	struct net *net;
	struct net_bridge bridge;
	uint32_t mtu, underlay_mtu;
	uint32_t path_mtu, path_mtu_before; /* smallest to any peer, as of the last two looks */
	struct net_monitor *monitor;
	struct expose_set exposed;
	struct attach_known attached;
	struct local_endpoint *locals;
	size_t locals_count, locals_looked; /* where the last one was found */
	struct daemon_segment **segments;   /* but the default one; in order of number */
	size_t segments_count;
	struct ev_timer segments_repair;

	struct connections *connections;
	struct sleeve_socket *sleeve;
	enum capture_kind capture_kind;
	struct capture *capture;
	uint8_t *capture_room;	  /* of all captures */
	struct fastdp_io *fastdp; /* NULL: none, and why */
	char no_fastdp[sizeof((struct why *)0)->text];
	const char *no_esp; /* why sealed connections do without; NULL: they need not */
	struct server *server;
	struct daemon_dns *dns; /* NULL: no WeaveDNS; cmd/dns.c */
	struct api_ops ops;	/* the server borrows it */

	struct ev_prepare prepare;
	struct ev_timer deadline, persist_retry, repair, relist, follow_mtu, follow_addresses,
		stop_limit, readdress;
	struct ev_io monitor_readable;
	struct ev_signal terminate, interrupt;
};

/* Opens and starts everything; false with 'why', and nothing left behind that was not there.
 * 'd->passwords' is taken, also on failure (daemon_fini frees them). */
bool daemon_start(struct daemon *d, const struct weaver_options *options, struct ev_loop *loop,
		  struct why *why);
/* After the loop has ended, or after a failed start. */
void daemon_fini(struct daemon *d);

/* Says goodbye to all peers and ends the loop within a second. */
void daemon_stop(struct daemon *d);

uint64_t daemon_random(void); /* the kernel's */

/* Sends what is in the outbox. 'ctx' is the daemon: also the flush callback of the data path. */
void daemon_flush(void *ctx);

/* Durable copy of d->state, as far as the disk allows. */
void daemon_save_state(struct daemon *d);
/* Durable copy of the operator's targets. Failure is logged: the targets hold until a restart. */
void daemon_save_targets(struct daemon *d);

/* cmd/control.c: what the API can ask for. */
struct api_ops daemon_api_ops(struct daemon *d);

/* cmd/password.c: the API's operation of that name. */
bool daemon_password(void *ctx, const struct api_password *request, struct text *answer,
		     struct why *why);
/* cmd/fastdp.c: the kernel's data path; all but the first do nothing when there is none. */
void daemon_fastdp_open(struct daemon *d); /* fills its part of the configuration */
void daemon_fastdp_start(struct daemon *d);
void daemon_fastdp_close(struct daemon *d);
void daemon_fastdp_flush(struct daemon *d);
void daemon_fastdp_ports(struct daemon *d, uint32_t segment, const struct attachment *list,
			 size_t count);
void daemon_fastdp_segment(struct daemon *d, uint32_t segment, int bridge_port_ifindex);
void daemon_fastdp_host(struct daemon *d);
void daemon_fastdp_link_gone(struct daemon *d, int ifindex);
void daemon_fastdp_bridge(struct daemon *d);
void daemon_fastdp_mtu(struct daemon *d);
void daemon_fastdp_fdb(struct daemon *d, const struct net_fdb *fdb);

/* cmd/dns.c: for whoever sees containers come and go (<weave/dns.h>).  A host name outside of the
 * domain is nobody's mistake: it is logged and gets no name.  NULL fits all. */
void daemon_name_put(struct daemon *d, const char *container, const char *hostname,
		     struct ip_addr address);
void daemon_names_remove(struct daemon *d, const char *container, const char *hostname,
			 const struct ip_addr *address);

/* cmd/segments.c: the further segments, each with a bridge of its own. */
/* Finds those of an earlier life again; one that cannot be opened stays as it is, and is logged. */
bool segments_start(struct daemon *d, struct why *why);
void segments_stop(struct daemon *d); /* what is in the kernel stays */
struct segment_ops daemon_segment_ops(struct daemon *d);
struct daemon_segment *segments_find(const struct daemon *d, const char *key);
struct daemon_segment *segments_get(const struct daemon *d, uint32_t number);
/* Lists what is attached there anew, and publishes it. */
void segments_relist(struct daemon *d, struct daemon_segment *g);
void segments_send(struct daemon *d, uint32_t number, const struct outbox_frame *frames,
		   uint32_t count);
void segments_mtu(struct daemon *d);
/* True when the event was about one of them. */
bool segments_on_link(struct daemon *d, const struct net_link *link);
bool segments_on_link_gone(struct daemon *d, const struct net_link *link);
void segments_resync(struct daemon *d);
/* Bridges and containers of the networks that the engine told of. */
void segments_status(const struct daemon *d, struct status *s);
/* Tells the monitor of all bridges. */
void segments_watch(struct daemon *d);
/* Has a container of that id an interface in any of them? */
bool segments_live(const struct daemon *d, const char *id);

/* cmd/mtu.c */
uint32_t daemon_underlay_mtu(struct daemon *d);
uint32_t daemon_overlay_mtu(const struct daemon *d, uint32_t underlay); /* --mtu, or what is left */
uint32_t daemon_datagram_max(uint32_t underlay);
/* Gives the containers the overlay's MTU: those of an earlier life may have another. */
void daemon_settle_mtu(struct daemon *d);
/* Some interface has changed: takes the underlay's MTU if it is another now. */
void daemon_follow_mtu(struct daemon *d);
/* The host has other addresses than before, perhaps: those that peers are told, and DNS answers at.
 */
void daemon_follow_addresses(struct daemon *d);
/* Now and then: the same for the paths to peers, which may be smaller anywhere. */
void daemon_look_at_paths(struct daemon *d);

/* cmd/bridge_watch.c */
enum net_port_kind daemon_port_kind(const struct daemon *d);
const char *bridge_watch_port(const struct daemon *d); /* interface of the router's port */
bool bridge_watch_start(struct daemon *d, struct why *why);
void bridge_watch_stop(struct daemon *d);
/* (Re)opens the router's port of the bridge. */
bool bridge_watch_open_capture(struct daemon *d, struct why *why);
/* Lists attachments and exposed addresses and publishes the differences: takes about half a
 * millisecond for each container.  Or in a moment, with whatever else makes that necessary. */
void bridge_watch_relist(struct daemon *d);
void bridge_watch_relist_soon(struct daemon *d);
/* The same for one container that was attached, or got or lost addresses; for one that was
 * detached; and for the host's own addresses. */
void bridge_watch_attached(struct daemon *d, const struct attachment *a);
void bridge_watch_detached(struct daemon *d, int ifindex, const char *id);
void bridge_watch_exposed(struct daemon *d);

#endif
