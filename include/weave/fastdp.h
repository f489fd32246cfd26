/* What the router wants from the kernel's data path: how its maps should be, and pings to send.
 *
 * Pure.  The router hands these out one by one (router_next_fastdp); router/fastdp_io.c carries
 * them out.  Each tells the whole new state of one thing, so one that could not be carried out is
 * made good by the next one of its kind.  Peers are told by name; slots are the kernel side's.
 */
#ifndef WEAVE_FASTDP_H
#define WEAVE_FASTDP_H

#include <weave/addr.h>
#include <weave/hash.h>

/* Key and salt of AES-256-GCM in ESP (RFC 4106). */
#define FASTDP_SA_KEY_SIZE 36u

enum fastdp_op_type {
	FASTDP_OP_SA,	    /* an ESP association with a peer */
	FASTDP_OP_GUARD,    /* nothing of VXLAN goes to, or is taken from, an address but by ESP */
	FASTDP_OP_SESSION,  /* whose pings are answered and whose frames are taken */
	FASTDP_OP_PEER,	    /* how frames for a peer go */
	FASTDP_OP_ENDPOINT, /* where a MAC lives */
	FASTDP_OP_ADDRESS,  /* the MAC of an IP address */
	FASTDP_OP_SEGMENT,  /* which ones the kernel carries for us; the default one always */
	FASTDP_OP_PING,
};

struct fastdp_op {
	enum fastdp_op_type type;
	bool remove;	/* all but PING */
	peer_name peer; /* SESSION, PEER, ENDPOINT: where it lives */

	uint32_t session; /* SESSION, PING */
	uint32_t their_session;
	struct hash_key mine, theirs;
	struct ip_addr remote; /* SESSION; PEER: of the next hop */
	bool accepted;	       /* SESSION: frames are taken from 'remote' */

	peer_name via; /* PEER: next hop */
	bool direct;  /* PEER: and it sends to us straight, too, so nobody else brings its frames */
	bool relays;  /* PEER: only for what others send through us; our own goes by sleeve */
	bool by_hand; /* PEER, PING */

	uint32_t segment; /* ENDPOINT, ADDRESS, SEGMENT */
	struct mac mac;
	struct ip_addr ip; /* ADDRESS */

	uint32_t token, size; /* PING: of the whole frame */

	bool sealed;	/* SESSION, PEER: by ESP only, so the guard of 'remote' must stand */
	bool out;	/* SA */
	uint32_t spi;	/* SA; GUARD: of what goes out, 0: nothing may */
	uint32_t guard; /* SA, GUARD: which one, from 1 */
	uint32_t expires_s;
	const uint8_t *sa_key; /* FASTDP_SA_KEY_SIZE bytes, borrowed until the next order */
};

/* What a pong says of its sender. */
enum {
	FASTDP_ACCEPTS = 1, /* it takes frames from us */
	FASTDP_RELAYS = 2,  /* and hands those of the ping's size on */
};

/* Since the kernel's programs were loaded first. */
struct fastdp_counters {
	uint64_t frames_out, bytes_out, frames_in, bytes_in;
};

#endif
