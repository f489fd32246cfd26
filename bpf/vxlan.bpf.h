/* Putting a frame into VXLAN and taking it out: RFC 7348, by the kernel's device or by hand.
 *
 * By hand is about twice as fast for small packets, since it spares routing, netfilter and the
 * tunnel code.  The kernel's helper marks what it wraps so that super-frames (GSO) are still
 * segmented rightly by whatever is below.  In the other direction it leaves that mark on
 * super-frames (before BPF_F_ADJ_ROOM_DECAP_L4_UDP, which no released kernel has), so those are
 * unwrapped by the device, always.  The device also takes what the helper refuses: other protocols
 * than IP, and packets that are in a tunnel already.
 */
#ifndef WEAVE_BPF_VXLAN_BPF_H
#define WEAVE_BPF_VXLAN_BPF_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>

#include "maps.bpf.h"

#ifndef AF_INET
#define AF_INET 2u /* of <sys/socket.h>, which is not for programs of the kernel */
#endif

/* Filters of others come after ours. */
#define PASS TC_ACT_UNSPEC

#define IPV4_FRAGMENT_MASK 0x3fffu /* more fragments, or an offset */
#define IPV4_DONT_FRAGMENT 0x4000u

struct ipv4 {
	uint16_t version_tos, total;
	uint16_t id, fragment;
	uint8_t ttl, protocol;
	uint16_t check;
	uint32_t from, to;
};

struct ipv6 {
	uint32_t version_flow;
	uint16_t payload;
	uint8_t next, ttl;
	uint32_t from[4], to[4];
};

struct vxlan {
	uint16_t from_port, to_port, udp_size, udp_check;
	uint32_t flags, vni; /* vni: 24 bits, then 8 zero */
};

/* All of it behind the outer Ethernet header. */
struct wrap4 {
	struct ipv4 ip;
	struct vxlan vxlan;
	uint16_t inner[7]; /* Ethernet */
};

struct wrap6 {
	struct ipv6 ip;
	struct vxlan vxlan;
	uint16_t inner[7];
};

/* What is behind the last field only fills up to four bytes, and is not part of it. */
#define WRAP4_SIZE 50u
#define WRAP6_SIZE 70u

/* The last four bytes of an IPv4-mapped address. */
static __always_inline uint32_t ipv4_of(const struct fastdp_address *a)
{
	return *(const uint32_t *)(const void *)(a->b + 12);
}

static __always_inline bool same_address(const struct fastdp_address *a,
					 const struct fastdp_address *b)
{
	const uint64_t *x = (const void *)a->b, *y = (const void *)b->b;

	return x[0] == y[0] && x[1] == y[1];
}

static __always_inline void mapped(struct fastdp_address *out, uint32_t ipv4)
{
	uint32_t *words = (void *)out->b;

	words[0] = words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = ipv4;
}

/* Fields stand at even addresses, which is all that is known of a frame. */
static __always_inline uint16_t ipv4_checksum(const struct ipv4 *ip)
{
	const uint16_t *words = (const void *)ip;
	uint32_t sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static __always_inline void fill_vxlan(struct vxlan *v, uint16_t port, uint32_t size, uint32_t vni,
				       uint32_t hash)
{
	/* The source port spreads flows over the underlay's paths (RFC 7348 5). */
	v->from_port = bpf_htons((uint16_t)(0xc000 | (hash ^ (hash >> 16))));
	v->to_port = bpf_htons(port);
	v->udp_size = bpf_htons((uint16_t)(size + 16));
	v->udp_check = 0;
	v->flags = bpf_htonl(FASTDP_VXLAN_FLAGS);
	v->vni = bpf_htonl(vni << 8);
}

#define HAND_FLAGS                                                                                 \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(14) |    \
	 BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_NO_CSUM_RESET)

/* What is sent is in one piece: 'size' with its Ethernet header. */
struct parcel {
	uint32_t size, vni, hash;
	uint8_t ttl;
	uint16_t port;
	uint16_t inner[7];
};

/* 0; -1: the helper refuses, and the frame is as it was; or what tc has to do. */
static __always_inline int wrap4(struct __sk_buff *skb, const struct fastdp_peer *way,
				 const struct parcel *p)
{
	struct wrap4 *w;
	void *data, *end;

	if (bpf_skb_adjust_room(skb, WRAP4_SIZE, BPF_ADJ_ROOM_MAC,
				HAND_FLAGS | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4))
		return -1;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (data + ETH_HLEN + WRAP4_SIZE > end)
		return TC_ACT_SHOT;
	w = data + ETH_HLEN;
	w->ip.version_tos = bpf_htons(0x4500);
	w->ip.total = bpf_htons((uint16_t)(p->size + WRAP4_SIZE - ETH_HLEN));
	/* Never in fragments, so the number tells nothing (RFC 6864). */
	w->ip.id = 0;
	w->ip.fragment = bpf_htons(IPV4_DONT_FRAGMENT);
	w->ip.ttl = p->ttl;
	w->ip.protocol = IPPROTO_UDP;
	w->ip.check = 0;
	w->ip.from = ipv4_of(&way->local);
	w->ip.to = ipv4_of(&way->remote);
	w->ip.check = ipv4_checksum(&w->ip);
	fill_vxlan(&w->vxlan, p->port, p->size, p->vni, p->hash);
#pragma unroll
	for (int i = 0; i < 7; i++)
		w->inner[i] = p->inner[i];
	return 0;
}

static __always_inline int wrap6(struct __sk_buff *skb, const struct fastdp_peer *way,
				 const struct parcel *p)
{
	const uint32_t *local = (const void *)way->local.b, *remote = (const void *)way->remote.b;
	struct wrap6 *w;
	void *data, *end;

	if (bpf_skb_adjust_room(skb, WRAP6_SIZE, BPF_ADJ_ROOM_MAC,
				HAND_FLAGS | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6))
		return -1;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (data + ETH_HLEN + WRAP6_SIZE > end)
		return TC_ACT_SHOT;
	w = data + ETH_HLEN;
	w->ip.version_flow = bpf_htonl(0x60000000);
	w->ip.payload = bpf_htons((uint16_t)(p->size + 16));
	w->ip.next = IPPROTO_UDP;
	w->ip.ttl = p->ttl;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		w->ip.from[i] = local[i];
		w->ip.to[i] = remote[i];
	}
	fill_vxlan(&w->vxlan, p->port, p->size, p->vni, p->hash);
#pragma unroll
	for (int i = 0; i < 7; i++)
		w->inner[i] = p->inner[i];
	return 0;
}

/* Out of the underlay's interface with a link header.  Knowing whom to hand it to spares the kernel
 * the look at its routes. */
static __always_inline int send_out(const struct fastdp_peer *way)
{
	struct bpf_redir_neigh hop = { .nh_family = way->link_family };

	if (!hop.nh_family)
		return (int)bpf_redirect_neigh(way->ifindex, NULL, 0, 0);
	if (hop.nh_family == AF_INET)
		hop.ipv4_nh = ipv4_of(&way->link);
	else
		__builtin_memcpy(hop.ipv6_nh, way->link.b, sizeof hop.ipv6_nh);
	return (int)bpf_redirect_neigh(way->ifindex, &hop, sizeof hop, 0);
}

/* A packet that the other end's MTU does not take is for the router: it tells the sender. */
static __always_inline bool fits(const struct __sk_buff *skb, const struct fastdp_config *c)
{
	return skb->gso_size ? skb->gso_size < c->frame_max : skb->len <= c->frame_max;
}

/* What tc has to do with the frame, or -1: the helper refuses it, and it is as it was. */
static __always_inline int send_by_hand(struct __sk_buff *skb, const struct fastdp_peer *way,
					uint32_t vni, uint8_t ttl, uint16_t port)
{
	struct parcel p = { .size = skb->len, .vni = vni, .ttl = ttl, .port = port };
	const uint16_t *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	bool ipv6 = way->flags & FASTDP_PEER_IPV6;
	uint32_t protocol = skb->protocol;
	int rc;

	if ((protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6)) ||
	    p.size > UINT16_MAX - WRAP6_SIZE || (void *)(data + 7) > end)
		return -1;
#pragma unroll
	for (int i = 0; i < 7; i++)
		p.inner[i] = data[i];
	p.hash = bpf_get_hash_recalc(skb);
	rc = ipv6 ? wrap6(skb, way, &p) : wrap4(skb, way, &p);
	if (rc)
		return rc;
	return send_out(way);
}

/* The device makes the outer header of this; true when it is set. */
static __always_inline bool set_tunnel(struct __sk_buff *skb, const struct fastdp_peer *way,
				       uint32_t vni, uint8_t ttl)
{
	const uint32_t *remote = (const void *)way->remote.b;
	struct bpf_tunnel_key key = { .tunnel_id = vni, .tunnel_ttl = ttl };
	uint64_t flags = BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT;

	if (way->flags & FASTDP_PEER_IPV6) {
		flags |= BPF_F_TUNINFO_IPV6;
#pragma unroll
		for (int i = 0; i < 4; i++)
			key.remote_ipv6[i] = remote[i];
	} else {
		key.remote_ipv4 = bpf_ntohl(remote[3]);
	}
	/* Without the local address, which kernels before 6.1 do not take: routing chooses it. */
	return bpf_skb_set_tunnel_key(skb, &key, offsetof(struct bpf_tunnel_key, local_ipv4),
				      flags) == 0;
}

static __always_inline int send_to_peer(struct __sk_buff *skb, const struct fastdp_config *c,
					const struct fastdp_peer *way, uint32_t vni, uint8_t ttl)
{
	if (way->flags & FASTDP_PEER_BY_HAND) {
		int verdict = send_by_hand(skb, way, vni, ttl, c->udp_port);

		if (verdict >= 0)
			return verdict;
	}
	if (!set_tunnel(skb, way, vni, ttl)) {
		count_drop(DROP_SEND_FAILED);
		return TC_ACT_SHOT;
	}
	return (int)bpf_redirect(c->vxlan_ifindex, 0);
}

/* Into the container behind the host's end of its veth, past the host's stack. */
static __always_inline int send_to_port(struct __sk_buff *skb, const struct fastdp_endpoint *to)
{
	/* The Ethernet destination is the container's, or not, whatever it was to the device that
	 * it came in at. */
	uint32_t type = to->where == FASTDP_AT_PORT ? PACKET_HOST : PACKET_OTHERHOST;

	if (skb->pkt_type != type)
		bpf_skb_change_type(skb, type);
	return (int)bpf_redirect_peer(to->number, 0);
}

/* Into the host's stack, as if the bridge had handed it up. */
static __always_inline int send_to_host(uint32_t bridge_ifindex)
{
	return (int)bpf_redirect(bridge_ifindex, BPF_F_INGRESS);
}

#endif
