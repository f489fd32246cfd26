/* What the kernel programs (bpf/) and user space share: keys and values of their maps, and the
 * pings that prove a way through the kernel.
 *
 * Plain data, compiled for both sides: fixed widths, no padding that is not named, host byte order
 * unless it says otherwise.  Maps outlive the daemon, and the next one takes them over only when
 * FASTDP_LAYOUT is the same: raise it with every change here.
 *
 * A frame's way: who sends it (ports), where its destination lives (endpoints), how that peer is
 * reached (peers).  From the underlay: is the sender a proven peer (sources), then the same.
 */
#ifndef WEAVE_BPF_MAPS_H
#define WEAVE_BPF_MAPS_H

#include <stdint.h>

#define FASTDP_LAYOUT 8u

/* Peers beyond that are reached by sleeve; each costs 32 bytes on every CPU. */
#define FASTDP_PEERS_MAX 4096u
#define FASTDP_ENDPOINTS_MAX 262144u
#define FASTDP_PORTS_MAX 16384u
#define FASTDP_ADDRESSES_MAX 262144u
#define FASTDP_SEGMENTS_MAX 1024u /* SEGMENTS_MAX, and a little */
/* Of connections that are up, and of those of an earlier life of the daemon for a while. */
#define FASTDP_SESSIONS_MAX 8192u
#define FASTDP_EVENTS_SIZE (32u * 1024u) /* ring, a power of two; some 500 pongs */

#define FASTDP_TTL 64u /* of the outer header */
/* What a relay takes off it.  More than one, so that a packet which goes round while routers
 * believe different things does so a few times only; paths of more hops are sleeve's. */
#define FASTDP_RELAY_COST 4u
#define FASTDP_HOPS_MAX (FASTDP_TTL / FASTDP_RELAY_COST - 1)
#define FASTDP_PING_VNI 0xffffffu /* a segment that no container can have */
#define FASTDP_SEGMENT_MAX 0xfffffeu
#define FASTDP_VXLAN_FLAGS 0x08000000u /* RFC 7348: a valid VNI follows */

/* [1] config */
struct fastdp_config {
	uint32_t layout;
	uint32_t vxlan_ifindex;
	uint32_t bridge_port_ifindex; /* entering here is coming from the router to the bridge */
	uint32_t frame_max;	      /* largest frame, Ethernet header included, that was proved */
	uint16_t udp_port;	      /* of VXLAN, here and at all peers */
	uint16_t zero;
};

/* segment -> ifindex of the router's port at its bridge, as bridge_port_ifindex is that of the
 * default one.  What is not here is only relayed. */
struct fastdp_bridge {
	uint32_t port_ifindex;
};

/* (segment, MAC) -> where it lives */
struct fastdp_mac {
	uint32_t segment;
	uint8_t mac[6];
	uint8_t zero[2];
};

enum fastdp_where {
	FASTDP_AT_PORT = 1, /* number: ifindex of the host's end of its veth */
	FASTDP_AT_BRIDGE,   /* somewhere on our bridge */
	FASTDP_AT_PEER,	    /* number: the peer's slot */
	FASTDP_AT_HOST,	    /* the host itself; number: ifindex of the bridge */
	FASTDP_BEHIND_PORT, /* as AT_PORT, but not the container's own: on a bridge in there, say */
};

struct fastdp_endpoint {
	uint32_t where;
	uint32_t number;
};

/* ifindex of the host's end of a container's veth, or of the bridge -> what may come out of it: of
 * the container, or of the host itself */
struct fastdp_port {
	uint32_t segment;
	int32_t netns; /* number of the container's namespace in ours; -1: not known */
	uint8_t mac[6];
	uint8_t zero[2];
};

/* IPv4 as ::ffff:a.b.c.d. Network order. */
struct fastdp_address {
	uint8_t b[16];
};

/* (segment, IP address) -> the only MAC that has it */
struct fastdp_ip {
	uint32_t segment;
	struct fastdp_address ip;
};

struct fastdp_ip_mac {
	uint8_t mac[6];
	uint8_t zero[2];
};

enum {
	FASTDP_PEER_UP = 1, /* containers' frames may be sent; else they are left to the router */
	FASTDP_PEER_BY_HAND = 2, /* and with a header that the program writes itself */
	FASTDP_PEER_DIRECT = 4,	 /* without a relay, in both directions */
	FASTDP_PEER_IPV6 = 8,	 /* underlay */
	FASTDP_PEER_RELAY = 16,	 /* frames of other peers may be sent; of containers only if UP */
};

/* slot -> how to reach that peer: itself, or the relay towards it */
struct fastdp_peer {
	uint32_t flags;
	uint32_t ifindex;     /* of the underlay */
	uint32_t via;	      /* slot of the next hop; its own when direct */
	uint32_t link_family; /* of 'link': AF_INET, AF_INET6; 0: the kernel asks its routes */
	struct fastdp_address local, remote;
	struct fastdp_address link; /* whom packets are handed to on the underlay's link */
	uint64_t name;		    /* for those who look at the map, and for the next daemon */
};

enum { FASTDP_SOURCE_SEALED = 1 }; /* only what came out of ESP, that is by the device */

/* outer source address -> the peer that has proved that it is there */
struct fastdp_source {
	uint32_t slot;
	uint32_t flags;
	struct fastdp_address local; /* the address of ours that it sends to */
};

struct fastdp_traffic {
	uint64_t frames_out, bytes_out, frames_in, bytes_in;
};

/* ---- pings ----
 *
 * A ping is an IPv4 packet (protocol 253, RFC 3692) in a VXLAN datagram of its own segment, as
 * large as wanted.  The kernel of the other end answers it with a pong of the same size, by itself,
 * so that a pong proves both directions of the kernel's way, whatever the daemons do.  Both carry a
 * proof: SipHash-2-4 of everything before it, under a key that the ends told each other over the
 * control connection.
 */
enum { FASTDP_PING = 1, FASTDP_PONG = 2 }; /* type */
enum {
	FASTDP_PING_BY_HAND = 1,  /* flags: the sender wrote the outer header by itself */
	FASTDP_PONG_ACCEPTED = 2, /* the answering end takes frames from the asking one */
	FASTDP_PONG_RELAYS = 4,	  /* and hands frames of the ping's size on to third peers */
};

/* Big endian: it travels. */
struct fastdp_ping {
	uint8_t type, flags;
	uint16_t zero;
	uint32_t session; /* of the receiver */
	uint32_t token;	  /* counts the pings of a session, from 1 */
	uint32_t zero2;
	uint64_t proof;
};

#define FASTDP_PING_PROVED 16u /* bytes that the proof covers */
#define FASTDP_PING_PROTOCOL 253u
/* Ethernet, IPv4, ping: the smallest. */
#define FASTDP_PING_FRAME_MIN (14u + 20u + 24u)

struct fastdp_key {
	uint64_t k0, k1;
};

enum { FASTDP_SESSION_ACCEPTED = 1 };

/* session number, ours -> the connection whose pings carry it */
struct fastdp_session {
	struct fastdp_key mine;	  /* proves what comes in */
	struct fastdp_key theirs; /* proves what goes out */
	uint32_t their_session;
	uint32_t flags;
	uint32_t heard[2];	/* newest token that came back: by the device, by hand */
	struct fastdp_peer way; /* for pings; flags and name do not count */
};

/* What user space hears through the ring of events. */
struct fastdp_pong {
	uint32_t session, token, flags;
	uint32_t zero;
	struct fastdp_address from;
};

/* A ping that user space writes to the VXLAN device has this mark, which containers cannot give,
 * and its session's number behind the first two bytes of the source MAC. */
#define FASTDP_PING_MARK 0x77657076u

#endif
