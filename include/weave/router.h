/* The data plane of one router: who lives where, what happens to a frame, the paths to peers.
 *
 * Pure; loop thread.  The way of a frame:
 *
 *   bridge ── router_on_frame ──▶ decide ──▶ outbox.datagrams ──▶ peers      (fragmented to the
 * path) peers ── router_on_datagram ─▶ decide ─▶ outbox.frames ──▶ bridge, or datagrams (relay)
 *
 * The world (router/sleeve_io.c, router/capture_*_io.c; tests/sim) feeds frames and
 * datagrams, flushes the outbox after each batch, and obeys router_deadline.  Published knowledge
 * and data-path state go straight to the gossip object, which is borrowed and must outlive this.
 *
 * Each connection has one sleeve path: set up by OVERLAY messages over the control connection
 * (receiver index, UDP port), proved by heartbeats that each end hears echoed, its size found by
 * probing (RFC 8899).  All datagrams carry DF.
 */
#ifndef WEAVE_ROUTER_H
#define WEAVE_ROUTER_H

#include <weave/drop.h>
#include <weave/fastdp.h>
#include <weave/gossip.h>
#include <weave/offload.h>
#include <weave/outbox.h>
#include <weave/segment.h>
#include <weave/why.h>

struct router_config {
	peer_name self;
	uint64_t seed;
	uint16_t port;	       /* UDP port of our sleeve socket */
	uint32_t mtu;	       /* of the bridge: largest IP packet a container sends */
	uint32_t datagram_max; /* largest UDP payload to probe for (underlay MTU - headers) */
	struct mac bridge_mac; /* source of ICMP messages we make */
	uint8_t ciphers;       /* router_ciphers_here; what everybody can do is added */
	bool bridge_offloads;  /* the bridge takes frames with something undone */
	/* A sealed path gets new keys after so long or so many datagrams; 0: SLEEVE_EPOCH_*. */
	uint64_t epoch_ms, epoch_packets;
	uint16_t fastdp_port; /* UDP port of VXLAN; 0: no fastdp here */
	/* There are programs at containers all the same, and they want to know who lives where. */
	bool tells_kernel;
	const char *no_fastdp; /* then why, for people; borrowed, outlives the router */
	const char *no_esp;    /* why sealed connections have no fastdp; NULL: the kernel seals */
	/* A path goes on after its connection while the other kernel answers.  Not where a password
	 * decides who may take part: who is shut out by it must be shut out at once. */
	bool fastdp_keep;
};

struct router;

struct router *router_new(const struct router_config *config, struct gossip *gossip,
			  struct mono now, struct log *log);
void router_free(struct router *r);

/* What is to be sent, for the world to flush: finishes (and seals) the newest datagram, which more
 * frames might have joined until now.  Ask anew for each flush. */
struct outbox *router_outbox(struct router *r);
/* Time to flush, in the middle of a batch of input? */
bool router_outbox_nearly_full(const struct router *r);

/* ---- the world ---- */
/* From the bridge of a segment that is open here. */
void router_on_frame(struct router *r, uint32_t segment, struct bytes frame, struct offload undone,
		     struct mono now);
/* Overwrites the datagram: it is opened where it stands. */
void router_on_datagram(struct router *r, struct netaddr from, uint8_t *datagram, size_t size,
			struct mono now);
/* The kernel refused a datagram of 'size' bytes because the first link is smaller (EMSGSIZE). */
void router_on_too_big(struct router *r, struct netaddr to, size_t size, struct mono now);
void router_count_drop(struct router *r, enum drop_reason reason, uint64_t count);
void router_tick(struct router *r, struct mono now);

/* The bridge's MTU, and the largest datagram to probe for, are others now. */
void router_set_mtu(struct router *r, uint32_t mtu, uint32_t datagram_max, struct mono now);

/* ---- the kernel's data path (router/fastdp_io.c), if there is one ---- */
/* The next thing that the kernel has to be told; false when there is nothing more for now. */
bool router_next_fastdp(struct router *r, struct fastdp_op *op, struct mono now);
/* The kernel heard a proven pong of this session. */
void router_on_pong(struct router *r, uint32_t session, uint32_t token, bool by_hand, unsigned says,
		    struct ip_addr from, struct mono now);
/* How much went to and came from that peer so far. */
void router_on_fastdp_counters(struct router *r, peer_name peer, const struct fastdp_counters *c,
			       struct mono now);
/* The kernel refused that order, an SA or a GUARD; before the next one is asked for. */
void router_on_fastdp_refused(struct router *r, const struct fastdp_op *op, const char *why,
			      struct mono now);
/* The bridge has learned that this MAC is behind one of its ports. */
void router_on_local_mac(struct router *r, uint32_t segment, struct mac mac, struct mono now);
struct mono router_deadline(const struct router *r);

/* Peers whose daemons are gone and whose kernels still carry: the index-th; NONE at the end. */
peer_name router_kept_peer(const struct router *r, size_t index);
/* It was removed: nothing is sent to its kernel any more. */
void router_forget_peer(struct router *r, peer_name peer, struct mono now);

/* ---- the engine, from gossip's actions ---- */
void router_on_up(struct router *r, conn_id conn, peer_name peer, struct netaddr remote,
		  const struct path_secret *secret, struct mono now);
void router_on_down(struct router *r, conn_id conn, struct mono now);
void router_on_overlay(struct router *r, conn_id conn, struct bytes message, struct mono now);
void router_on_suspect(struct router *r, peer_name peer, struct mono now);
void router_on_routes(struct router *r, struct mono now);

/* ---- segments ---- */
/* Its frames are taken and published from now on; 'segment' is not 0.  False with 'why', and
 * nothing changed, when the number has another key here or at a peer that can be reached. */
bool router_open_segment(struct router *r, uint32_t segment, const char *key, struct mono now,
			 struct why *why);
/* All endpoints there are gone with it. */
void router_close_segment(struct router *r, uint32_t segment, struct mono now);

/* ---- containers ---- */
/* A container or the host itself is attached here with this MAC: published at once. */
void router_add_endpoint(struct router *r, uint32_t segment, struct mac mac,
			 const struct ip_addr *ips, size_t ips_count, struct mono now);
void router_remove_endpoint(struct router *r, uint32_t segment, struct mac mac, struct mono now);

/* Where that MAC lives, ourselves for local ones; NONE when nobody who can be reached has it. */
peer_name router_endpoint_find(const struct router *r, uint32_t segment, struct mac mac);

/* ---- looking in ---- */
struct path_info {
	conn_id conn;
	peer_name peer;
	struct netaddr address; /* where its datagrams go */
	bool established;
	uint8_t overlay;	/* OVERLAY_* carrying traffic, 0 none */
	bool sealed;		/* nothing of it goes in clear */
	const char *cipher;	/* "AES-256-GCM"; "" in clear or before set-up */
	uint64_t epoch;		/* of our sending key, from 0 */
	uint32_t mtu;		/* largest inner IP packet that travels in one datagram */
	uint32_t datagram_size; /* verified UDP payload size */
	bool settled;		/* that is the result of a finished search */
	uint32_t rtt_us;
	char why[96]; /* why not established, or why no better overlay */
	uint64_t frames_out, frames_in, bytes_out, bytes_in;
};
bool router_path_at(const struct router *r, size_t index, struct path_info *info);
bool router_path_find(const struct router *r, conn_id conn, struct path_info *info);

struct endpoint_info {
	uint32_t segment;
	struct mac mac;
	peer_name peer; /* ourselves for local ones */
	bool attached, published, frozen;
	uint64_t idle_ms; /* since last seen or changed */
	uint32_t ips_count;
	struct ip_addr ips[ENDPOINT_IPS_MAX];
};
/* False at the end.  An entry whose .peer is NONE is hidden (its writers cannot be reached). */
bool router_endpoint_at(const struct router *r, size_t index, struct mono now,
			struct endpoint_info *info);
/* Segments that are open anywhere, 0 left out; in no particular order, false at the end. */
struct network_info {
	uint32_t segment;
	const char *key; /* ours, or what somebody means by it; borrowed until the next call */
	bool open;	 /* here */
	/* A peer that can be reached means another network by the number: sleeve carries it. */
	bool contested;
	uint32_t peers_count; /* others that can be reached and have it */
};
bool router_network_at(const struct router *r, size_t index, struct network_info *info);
/* Those peers; '*at' starts at 0; NONE at the end. */
peer_name router_network_peer(const struct router *r, size_t index, size_t *at);
const struct drop_counters *router_drops(const struct router *r);
/* Frames and bytes: from the bridge, to the bridge, relayed. */
struct router_counters {
	uint64_t from_bridge, to_bridge, relayed, fragments_out, fragments_in, icmp_sent,
		mss_clamped;
	uint64_t bytes_from_bridge, bytes_to_bridge;
};
const struct router_counters *router_counters(const struct router *r);

void router_check(struct router *r);

#endif
