/* What happens to a frame, as router/decide.c says it, for what the kernel does by itself.
 *
 * Pure: what was looked up goes in, a decision comes out.  The kernel only takes known unicast;
 * LEAVE means that the frame takes the long way, over the bridge and the router, which decides
 * anew with all it knows; TO_ROUTER that only the router can be meant: past the bridge, to it.
 * tests/unit/router/test_fastdp_bpf.c compares both on the same frames.
 */
#ifndef WEAVE_BPF_DECIDE_BPF_H
#define WEAVE_BPF_DECIDE_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <weave/bpf_maps.h>
#include <weave/drop.h>

enum decision { LEAVE, DROP, TO_PORT, TO_HOST, TO_BRIDGE, TO_PEER, TO_ROUTER };

static __always_inline bool is_group(const uint8_t *mac)
{
	return mac[0] & 1;
}

static __always_inline bool same_mac(const uint8_t *a, const uint8_t *b)
{
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) |
		 (a[5] ^ b[5]));
}

static __always_inline bool has(const struct fastdp_peer *peer, uint32_t flag)
{
	return peer && (peer->flags & flag);
}

static __always_inline bool is_at_port(const struct fastdp_endpoint *e)
{
	return e->where == FASTDP_AT_PORT || e->where == FASTDP_BEHIND_PORT;
}

/* From a container.  A source other than the container's own MAC, and those that the bridge learned
 * behind it, may have moved here or may be made up: only the router can tell.  'to' NULL: nobody
 * knows the destination, or it is a group; 'peer' where it lives, if 'to' says AT_PEER. */
static __always_inline enum decision decide_from_container(bool own_source,
							   const struct fastdp_endpoint *to,
							   const struct fastdp_peer *peer,
							   bool fits)
{
	if (!own_source || !to)
		return LEAVE;
	if (is_at_port(to))
		return TO_PORT;
	if (to->where == FASTDP_AT_HOST)
		return TO_HOST;
	if (to->where == FASTDP_AT_PEER)
		return has(peer, FASTDP_PEER_UP) && fits ? TO_PEER : TO_ROUTER;
	return LEAVE;
}

struct from_peer {
	uint32_t via; /* slot of the proven peer that sent it */
	uint32_t segment;
	uint32_t bridge; /* our port at its bridge; 0: not open here, or not asked for */
	uint8_t ttl;
	const uint8_t *to_mac, *from_mac;
	const struct fastdp_endpoint *from, *to; /* NULL: not known */
	const struct fastdp_peer *from_peer, *to_peer;
};

/* May a frame with this source come from that peer?  From where it lives, or through a relay when
 * it has no way of its own to us. */
static __always_inline enum drop_reason judge_source(const struct from_peer *in)
{
	if (!in->from)
		return DROP_NONE;
	if (in->from->where != FASTDP_AT_PEER)
		return DROP_OWN_FRAME;
	if (in->from->number == in->via)
		return DROP_NONE;
	if (has(in->from_peer, FASTDP_PEER_DIRECT))
		return DROP_FOREIGN_SOURCE;
	return DROP_NONE;
}

static __always_inline enum decision relay(const struct from_peer *in, enum drop_reason *why)
{
	if (in->ttl <= FASTDP_RELAY_COST) {
		*why = DROP_HOP_LIMIT;
		return DROP;
	}
	if (!has(in->to_peer, FASTDP_PEER_RELAY)) {
		*why = DROP_NO_DATA_PATH;
		return DROP;
	}
	/* Split horizon: whoever sent it to us believes that we are nearer. */
	if (in->to_peer->via == in->via) {
		*why = DROP_NO_ROUTE;
		return DROP;
	}
	return TO_PEER;
}

/* From a peer, by the device or by hand.  What nobody knows was sent to us because its sender
 * believes that it is on our bridge. */
static __always_inline enum decision decide_from_peer(const struct from_peer *in,
						      enum drop_reason *why)
{
	if (is_group(in->from_mac)) {
		*why = DROP_MALFORMED;
		return DROP;
	}
	/* Broadcasts come by sleeve, which tells their origin. */
	if (is_group(in->to_mac)) {
		*why = DROP_NOT_PARENT;
		return DROP;
	}
	*why = judge_source(in);
	if (*why != DROP_NONE)
		return DROP;
	if (in->to && in->to->where == FASTDP_AT_PEER)
		return relay(in, why);
	/* Relaying does not care. */
	if (!in->bridge) {
		*why = DROP_UNKNOWN_SEGMENT;
		return DROP;
	}
	if (in->to && in->to->where == FASTDP_AT_HOST)
		return TO_HOST;
	return in->to && is_at_port(in->to) ? TO_PORT : TO_BRIDGE;
}

#endif
