/* What the parts of fastdp_io.c share: all that user space knows of the kernel's data path.
 *
 * Loop thread.  fastdp_io.c owns it: life, device, pings, the turn of the loop.  The parts change
 * it by the functions below:
 *
 *	fastdp_ways_io.c      how packets reach peers: underlay interfaces, peers, sessions, sources
 *	fastdp_esp_io.c       what seals them: associations, guards
 *	fastdp_ports_io.c     what lives here and elsewhere: containers' ports, endpoints, addresses
 *	fastdp_takeover_io.c  what an earlier life of the daemon left in the maps
 */
#ifndef WEAVE_ROUTER_FASTDP_STATE_IO_H
#define WEAVE_ROUTER_FASTDP_STATE_IO_H

#include <weave/fastdp_io.h>

#include <ev.h>

#include "fastdp_maps_io.h"
#include "fastdp_slots.h"

#define FASTDP_LOG_APART_MS 60000u
/* MACs behind containers; more of them are reached over the bridge. */
#define FASTDP_BEHIND_MAX 1024u

/* A connection, or one of an earlier life that nobody has spoken of yet. */
struct fastdp_known_session {
	uint32_t number;
	peer_name peer;
	struct fastdp_session value; /* as in the map, but for what the kernel counts */
	struct ip_addr remote;
	bool inherited, sealed;
};

/* An ESP association for what comes in to that address of ours. */
struct fastdp_inbound {
	uint32_t spi;
	struct ip_addr local;
};

/* A peer that frames are sent to. */
struct fastdp_known_peer {
	bool inherited;
	struct fastdp_peer value;
};

/* An endpoint of an earlier life, until somebody speaks of it. */
struct fastdp_inherited {
	struct fastdp_mac key;
	bool settled;
};

enum fastdp_port_kind {
	PORT_CONTAINER, /* the host's end of its veth */
	PORT_HOST,	/* the bridge's own device */
	PORT_ROUTER,	/* ours of the bridge; nobody lives there */
};

struct fastdp_known_port {
	int ifindex;
	enum fastdp_port_kind kind;
	int netns; /* number of the container's namespace in ours; -1: not known */
	uint32_t segment;
	struct mac mac;
};

/* Other than the default one. */
struct fastdp_known_segment {
	uint32_t number;
	int bridge_port_ifindex; /* 0: not told */
	bool carried;		 /* by the router's word; then its ports are in the map, too */
};

/* A MAC behind a container's port that is not the container's own. */
struct fastdp_behind {
	int ifindex;
	uint32_t segment;
	struct mac mac;
};

struct fastdp_io {
	struct fastdp_io_config config;
	struct net *net;
	struct log *log;
	struct router *router;
	struct ev_loop *loop;
	struct fastdp_maps maps;
	struct ring_buffer *ring;
	int vxlan_ifindex, socket;
	uint32_t mark;
	uint8_t *frame; /* of pings */

	struct fastdp_slots slots;
	struct fastdp_known_peer *peers[FASTDP_PEERS_MAX]; /* by slot; NULL: none is told */
	struct fastdp_known_session *sessions;
	size_t sessions_count, sessions_room, next_way;
	struct fastdp_known_port *ports;
	size_t ports_count, ports_room;
	struct fastdp_known_segment *segments;
	size_t segments_count;
	struct fastdp_behind *behind;
	size_t behind_count, behind_room;
	int *underlay; /* interfaces with our program */
	size_t underlay_count;
	struct fastdp_inherited *inherited; /* in order of key */
	size_t inherited_count;

	struct net *xfrm; /* NULL: nothing is sealed here */
	struct fastdp_inbound *inbound;
	size_t inbound_count, inbound_room;
	struct ip_addr *guards; /* remote addresses */
	size_t guards_count, guards_room;

	struct drop_counters drops; /* as read last */
	struct log_limit full, no_underlay;
	struct ev_io readable;
	struct ev_timer poll, hold;
};

/* ---- fastdp_io.c ---- */

/* Writes to a map; that the kernel does not take it is told once a minute, with 'what'. */
void fastdp_set(struct fastdp_io *f, enum fastdp_map map, const void *key, const void *value,
		const char *what);
void fastdp_map_full(struct fastdp_io *f, int rc, const char *what);
/* The peer's slot, with one hold more; NO_SLOT: there is none left. */
uint32_t fastdp_hold_slot(struct fastdp_io *f, peer_name peer);

/* ---- fastdp_ways_io.c ---- */

void fastdp_do_peer(struct fastdp_io *f, const struct fastdp_op *op);
void fastdp_remove_peer(struct fastdp_io *f, uint32_t slot);
void fastdp_do_session(struct fastdp_io *f, const struct fastdp_op *op);
struct fastdp_known_session *fastdp_add_session(struct fastdp_io *f, uint32_t number);
void fastdp_remove_session(struct fastdp_io *f, struct fastdp_known_session *s);
/* Routes, interfaces and addresses of the host may change at any time: asks anew for some. */
void fastdp_renew_ways(struct fastdp_io *f);
/* That interface is gone. */
void fastdp_detach_underlay(struct fastdp_io *f, int ifindex);

/* ---- fastdp_esp_io.c ---- */

void fastdp_do_sa(struct fastdp_io *f, const struct fastdp_op *op);
void fastdp_do_guard(struct fastdp_io *f, const struct fastdp_op *op);
/* Nothing goes there in clear, whatever the maps say. */
bool fastdp_is_guarded(const struct fastdp_io *f, struct ip_addr remote);
/* False with 'why' when this kernel does not seal. */
bool fastdp_open_esp(struct fastdp_io *f, struct why *why);
void fastdp_close_esp(struct fastdp_io *f);

/* ---- fastdp_ports_io.c ---- */

/* Our own port of that segment's bridge. */
void fastdp_add_router_port(struct fastdp_io *f, int ifindex, uint32_t segment);
void fastdp_do_endpoint(struct fastdp_io *f, const struct fastdp_op *op);
void fastdp_remove_endpoint(struct fastdp_io *f, const struct fastdp_mac *key);
/* One that lives here is where its port is, as far as we know of it. */
void fastdp_settle_local(struct fastdp_io *f, const struct fastdp_mac *key);
void fastdp_do_address(struct fastdp_io *f, const struct fastdp_op *op);
void fastdp_do_segment(struct fastdp_io *f, const struct fastdp_op *op);
/* Of an earlier life: those that nobody opened in this one. */
void fastdp_forget_segments(struct fastdp_io *f);

/* ---- fastdp_takeover_io.c ---- */

/* Reads what is in the maps. */
void fastdp_inherit(struct fastdp_io *f);
/* Somebody spoke of that endpoint in this life. */
void fastdp_heard_of(struct fastdp_io *f, const struct fastdp_mac *key);
/* Removes what the earlier life knew and this one has not heard of by now. */
void fastdp_forget_inherited(struct fastdp_io *f);

#endif
