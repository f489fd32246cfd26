/* What comes from peers.
 *
 * weave_underlay, at the underlay's interface: single VXLAN packets are taken out by hand, before
 * the host's stack sees them, and delivered; what is for a third peer is sent on as it is.  Other
 * super-frames, and all that is not plainly ours, pass.
 * weave_vxlan, behind the VXLAN device: what the stack has taken out.
 * weave_ping, in front of it: pings that the router writes get their outer header.
 */
#include "decide.bpf.h"
#include "ping.bpf.h"
#include "vxlan.bpf.h"

/* Where a datagram stands in the packet, what is around it. */
struct arrival {
	struct fastdp_address from, to;
	uint32_t headers; /* bytes from the outer Ethernet header to the inner one */
	uint16_t macs[6]; /* inner: destination, source */
	uint32_t vni;
	uint16_t protocol; /* inner, big endian */
	uint16_t check;	   /* of UDP */
	uint8_t ttl;
	bool ipv6;
};

static __always_inline bool is_vxlan(const struct vxlan *v, const struct fastdp_config *c)
{
	return v->to_port == bpf_htons(c->udp_port) && v->flags == bpf_htonl(FASTDP_VXLAN_FLAGS);
}

/* The packet's start; '*end' is less than 'size' behind it only when the packet is. */
static __always_inline void *pull(struct __sk_buff *skb, uint32_t size, void **end)
{
	void *data = (void *)(long)skb->data;

	*end = (void *)(long)skb->data_end;
	if (data + size > *end) {
		bpf_skb_pull_data(skb, size);
		data = (void *)(long)skb->data;
		*end = (void *)(long)skb->data_end;
	}
	return data;
}

static __always_inline void keep_macs(struct arrival *a, const uint16_t *inner)
{
#pragma unroll
	for (int i = 0; i < 6; i++)
		a->macs[i] = inner[i];
}

/* True for one unfragmented VXLAN packet to our port without anything unusual about it. */
static __always_inline bool read4(struct __sk_buff *skb, const struct fastdp_config *c,
				  struct arrival *a)
{
	void *end, *data = pull(skb, ETH_HLEN + WRAP4_SIZE, &end);
	const struct wrap4 *w = data + ETH_HLEN;

	if (data + ETH_HLEN + WRAP4_SIZE > end)
		return false;
	if (*(const uint8_t *)&w->ip.version_tos != 0x45 || w->ip.protocol != IPPROTO_UDP ||
	    (w->ip.fragment & bpf_htons(IPV4_FRAGMENT_MASK)) || !is_vxlan(&w->vxlan, c))
		return false;
	mapped(&a->from, w->ip.from);
	mapped(&a->to, w->ip.to);
	a->ttl = w->ip.ttl;
	a->vni = bpf_ntohl(w->vxlan.vni) >> 8;
	keep_macs(a, w->inner);
	a->protocol = w->inner[6];
	a->check = w->vxlan.udp_check;
	a->headers = WRAP4_SIZE;
	a->ipv6 = false;
	return true;
}

static __always_inline bool read6(struct __sk_buff *skb, const struct fastdp_config *c,
				  struct arrival *a)
{
	void *end, *data = pull(skb, ETH_HLEN + WRAP6_SIZE, &end);
	const struct wrap6 *w = data + ETH_HLEN;
	uint32_t *from = (void *)a->from.b, *to = (void *)a->to.b;

	if (data + ETH_HLEN + WRAP6_SIZE > end)
		return false;
	if (w->ip.next != IPPROTO_UDP || !is_vxlan(&w->vxlan, c))
		return false;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		from[i] = w->ip.from[i];
		to[i] = w->ip.to[i];
	}
	a->ttl = w->ip.ttl;
	a->vni = bpf_ntohl(w->vxlan.vni) >> 8;
	keep_macs(a, w->inner);
	a->protocol = w->inner[6];
	a->check = w->vxlan.udp_check;
	a->headers = WRAP6_SIZE;
	a->ipv6 = true;
	return true;
}

/* Takes the outer headers off; the inner packet is of the same kind of IP as they are. */
static __always_inline bool unwrap(struct __sk_buff *skb, const struct arrival *a)
{
	uint64_t flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	uint16_t *macs;
	void *end;

	/* A checksum that the hardware found right may be the inner one: its level tells. */
	if (bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY) > 0) {
		flags |= BPF_F_ADJ_ROOM_NO_CSUM_RESET;
		bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);
	}
	if (a->ipv6 ? bpf_skb_adjust_room(skb, -(int)WRAP6_SIZE, BPF_ADJ_ROOM_MAC, flags)
		    : bpf_skb_adjust_room(skb, -(int)WRAP4_SIZE, BPF_ADJ_ROOM_MAC, flags))
		return false;
	macs = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if ((void *)(macs + 6) > end)
		return false;
#pragma unroll
	for (int i = 0; i < 6; i++)
		macs[i] = a->macs[i];
	return true;
}

/* New outer addresses and hop limit for a packet that stays wrapped. */
static __always_inline int send_on4(struct __sk_buff *skb, const struct fastdp_peer *way,
				    uint8_t ttl)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct wrap4 *w = data + ETH_HLEN;

	if (data + ETH_HLEN + WRAP4_SIZE > end)
		return TC_ACT_SHOT;
	w->ip.from = ipv4_of(&way->local);
	w->ip.to = ipv4_of(&way->remote);
	w->ip.ttl = ttl;
	w->ip.check = 0;
	w->ip.check = ipv4_checksum(&w->ip);
	/* Ours are without; another's does not hold any more. */
	w->vxlan.udp_check = 0;
	return send_out(way);
}

static __always_inline int send_on6(struct __sk_buff *skb, const struct fastdp_peer *way,
				    uint8_t ttl)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const uint32_t *local = (const void *)way->local.b, *remote = (const void *)way->remote.b;
	struct wrap6 *w = data + ETH_HLEN;

	if (data + ETH_HLEN + WRAP6_SIZE > end)
		return TC_ACT_SHOT;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		w->ip.from[i] = local[i];
		w->ip.to[i] = remote[i];
	}
	w->ip.ttl = ttl;
	w->vxlan.udp_check = 0;
	return send_out(way);
}

static __always_inline int send_on(struct __sk_buff *skb, const struct arrival *a,
				   const struct fastdp_peer *way, uint8_t ttl)
{
	return a->ipv6 ? send_on6(skb, way, ttl) : send_on4(skb, way, ttl);
}

/* Back to where it came from. */
static __always_inline int send_back(struct __sk_buff *skb, const struct arrival *a)
{
	struct fastdp_peer way = {
		.flags = a->ipv6 ? FASTDP_PEER_IPV6 : 0,
		.ifindex = skb->ifindex,
		.local = a->to,
		.remote = a->from,
	};

	return send_on(skb, a, &way, FASTDP_TTL);
}

/* A ping at the underlay: those by the device are for the device. */
static __always_inline int take_at_underlay(struct __sk_buff *skb, const struct arrival *a)
{
	struct fastdp_ping ping;

	if (bpf_skb_load_bytes(skb, a->headers + PING_OFFSET, &ping, sizeof ping) ||
	    !(ping.flags & FASTDP_PING_BY_HAND))
		return PASS;
	return take_ping(skb, a->headers, &a->from) ? send_back(skb, a) : TC_ACT_SHOT;
}

/* Everything there is to know about a frame from that peer, whose Ethernet header begins with
 * 'macs'. */
static __always_inline enum decision ask(const uint8_t *macs, const struct fastdp_config *c,
					 struct from_peer *in, enum drop_reason *why)
{
	in->to_mac = macs;
	in->from_mac = macs + ETH_ALEN;
	in->to = find_endpoint(in->segment, in->to_mac);
	in->from = find_endpoint(in->segment, in->from_mac);
	if (in->to && in->to->where == FASTDP_AT_PEER)
		in->to_peer = bpf_map_lookup_elem(&peers, &in->to->number);
	else
		in->bridge = find_bridge(c, in->segment);
	/* Where it comes straight from its own peer nothing else matters. */
	if (in->from && in->from->where == FASTDP_AT_PEER && in->from->number != in->via)
		in->from_peer = bpf_map_lookup_elem(&peers, &in->from->number);
	return decide_from_peer(in, why);
}

static __always_inline int drop_from_peer(enum drop_reason why)
{
	count_drop(why);
	return TC_ACT_SHOT;
}

/* Without listening ones and those that are over, which are no connection's end. */
static __always_inline bool takes_data(uint32_t state)
{
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_FIN_WAIT1 ||
	       state == BPF_TCP_FIN_WAIT2;
}

struct inner_tcp {
	struct ipv4 ip;
	uint16_t ports[2];
};

struct inner_tcp6 {
	struct ipv6 ip;
	uint16_t ports[2];
};

static __always_inline bool has_socket4(struct __sk_buff *skb, const struct arrival *a, int netns)
{
	struct bpf_sock_tuple tuple;
	struct inner_tcp packet;
	struct bpf_sock *sk;
	uint32_t state;

	if (bpf_skb_load_bytes(skb, a->headers + ETH_HLEN, &packet, sizeof packet) ||
	    *(uint8_t *)&packet.ip.version_tos != 0x45 || packet.ip.protocol != IPPROTO_TCP)
		return false;
	tuple.ipv4.saddr = packet.ip.from;
	tuple.ipv4.daddr = packet.ip.to;
	tuple.ipv4.sport = packet.ports[0];
	tuple.ipv4.dport = packet.ports[1];
	sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof tuple.ipv4, (uint64_t)netns, 0);
	if (!sk)
		return false;
	state = sk->state;
	bpf_sk_release(sk);
	return takes_data(state);
}

static __always_inline bool has_socket6(struct __sk_buff *skb, const struct arrival *a, int netns)
{
	struct bpf_sock_tuple tuple;
	struct inner_tcp6 packet;
	struct bpf_sock *sk;
	uint32_t state;

	if (bpf_skb_load_bytes(skb, a->headers + ETH_HLEN, &packet, sizeof packet) ||
	    packet.ip.next != IPPROTO_TCP)
		return false;
	__builtin_memcpy(tuple.ipv6.saddr, packet.ip.from, sizeof packet.ip.from);
	__builtin_memcpy(tuple.ipv6.daddr, packet.ip.to, sizeof packet.ip.to);
	tuple.ipv6.sport = packet.ports[0];
	tuple.ipv6.dport = packet.ports[1];
	sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof tuple.ipv6, (uint64_t)netns, 0);
	if (!sk)
		return false;
	state = sk->state;
	bpf_sk_release(sk);
	return takes_data(state);
}

/* A super-frame that is taken out by hand keeps a mark of the tunnel, by which whoever had to
 * segment it once more would be misled.  Harmless where it ends: in the container's own TCP
 * connection, or the host's. */
static __always_inline bool ends_in_socket(struct __sk_buff *skb, const struct arrival *a,
					   const struct from_peer *in)
{
	const struct fastdp_port *port;
	int netns = BPF_F_CURRENT_NETNS;

	if (!in->to)
		return false;
	if (in->to->where == FASTDP_AT_PORT) {
		port = bpf_map_lookup_elem(&ports, &in->to->number);
		netns = port ? port->netns : -1;
		if (netns < 0)
			return false;
	} else if (in->to->where != FASTDP_AT_HOST) {
		return false;
	}
	return a->ipv6 ? has_socket6(skb, a, netns) : has_socket4(skb, a, netns);
}

/* By hand: what is left to the stack passes untouched. */
static __always_inline int take_by_hand(struct __sk_buff *skb, const struct fastdp_config *c,
					const struct arrival *a)
{
	struct fastdp_source *source = bpf_map_lookup_elem(&sources, &a->from);
	uint32_t size = skb->len - a->headers;
	struct from_peer in = { 0 };
	enum drop_reason why;
	enum decision decision;

	/* Addressed to another host behind this one, or by nobody we know: the stack's business. */
	if (!source || !same_address(&source->local, &a->to))
		return PASS;
	/* The stack would refuse it as well. */
	if (source->flags & FASTDP_SOURCE_SEALED)
		return drop_from_peer(DROP_NOT_SEALED);
	in.via = source->slot;
	in.segment = a->vni;
	in.ttl = a->ttl;
	decision = ask((const uint8_t *)a->macs, c, &in, &why);
	/* A super-frame may be relayed as it is, and taken out where nobody sends it on.  Its
	 * checksum, if it has one, is another for each of its packets. */
	if (skb->gso_size && (a->check || (decision != TO_PEER && !ends_in_socket(skb, a, &in))))
		return PASS;
	if (decision == DROP)
		return drop_from_peer(why);
	if (decision == TO_PEER && in.to_peer) {
		/* Both sides of the relay on the same family, or the device does it. */
		if (!(in.to_peer->flags & FASTDP_PEER_BY_HAND) ||
		    a->ipv6 != !!(in.to_peer->flags & FASTDP_PEER_IPV6))
			return PASS;
		count_in(in.via, size);
		count_out(in.to->number, size);
		return send_on(skb, a, in.to_peer, a->ttl - FASTDP_RELAY_COST);
	}
	/* The helper leaves the packet's protocol as that of the outer header. */
	if (a->protocol != (a->ipv6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP)))
		return PASS;
	if (!unwrap(skb, a))
		return skb->gso_size ? PASS : drop_from_peer(DROP_INJECT_FAILED);
	count_in(in.via, size);
	if (decision == TO_PORT && in.to)
		return send_to_port(skb, in.to);
	if (decision == TO_HOST && in.to)
		return send_to_host(in.to->number);
	return (int)bpf_redirect(in.bridge, BPF_F_INGRESS);
}

SEC("tc")
int weave_underlay(struct __sk_buff *skb)
{
	const struct fastdp_config *c = get_config();
	struct arrival a;

	if (!c || skb->vlan_present)
		return PASS;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (!read4(skb, c, &a))
			return PASS;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (!read6(skb, c, &a))
			return PASS;
	} else {
		return PASS;
	}
	if (a.vni == FASTDP_PING_VNI)
		return take_at_underlay(skb, &a);
	return take_by_hand(skb, c, &a);
}

static __always_inline bool read_tunnel(struct __sk_buff *skb, struct arrival *a)
{
	struct bpf_tunnel_key key = { 0 };
	uint32_t size = offsetof(struct bpf_tunnel_key, local_ipv4);
	uint32_t *from = (void *)a->from.b;

	/* One call for each family: the flag says which is expected. */
	a->ipv6 = false;
	if (bpf_skb_get_tunnel_key(skb, &key, size, 0)) {
		if (bpf_skb_get_tunnel_key(skb, &key, size, BPF_F_TUNINFO_IPV6))
			return false;
		a->ipv6 = true;
	}
	if (a->ipv6) {
#pragma unroll
		for (int i = 0; i < 4; i++)
			from[i] = key.remote_ipv6[i];
	} else {
		mapped(&a->from, bpf_htonl(key.remote_ipv4));
	}
	a->vni = key.tunnel_id;
	a->ttl = key.tunnel_ttl;
	return true;
}

static __always_inline int pong_by_device(struct __sk_buff *skb, const struct fastdp_config *c,
					  const struct arrival *a)
{
	struct fastdp_peer way = {
		.flags = a->ipv6 ? FASTDP_PEER_IPV6 : 0,
		.remote = a->from,
	};

	if (!take_ping(skb, 0, &a->from))
		return TC_ACT_SHOT;
	if (!set_tunnel(skb, &way, FASTDP_PING_VNI, FASTDP_TTL))
		return drop_from_peer(DROP_SEND_FAILED);
	return (int)bpf_redirect(c->vxlan_ifindex, 0);
}

SEC("tc")
int weave_vxlan(struct __sk_buff *skb)
{
	const struct fastdp_config *c = get_config();
	struct fastdp_source *source;
	struct from_peer in = { 0 };
	enum drop_reason why;
	enum decision decision;
	struct arrival a;
	void *data, *end;

	if (!c || !read_tunnel(skb, &a))
		return TC_ACT_SHOT;
	if (a.vni == FASTDP_PING_VNI)
		return pong_by_device(skb, c, &a);
	source = bpf_map_lookup_elem(&sources, &a.from);
	if (!source)
		return drop_from_peer(DROP_BAD_SOURCE);
	in.via = source->slot;
	in.segment = a.vni;
	in.ttl = a.ttl;
	data = pull(skb, ETH_HLEN, &end);
	if (data + ETH_HLEN > end)
		return drop_from_peer(DROP_MALFORMED);
	decision = ask(data, c, &in, &why);
	if (decision == DROP)
		return drop_from_peer(why);
	count_in(in.via, skb->len);
	if (decision == TO_PORT && in.to)
		return send_to_port(skb, in.to);
	if (decision == TO_HOST && in.to)
		return send_to_host(in.to->number);
	if (decision == TO_PEER && in.to_peer) {
		count_out(in.to->number, skb->len);
		return send_to_peer(skb, c, in.to_peer, in.segment, a.ttl - FASTDP_RELAY_COST);
	}
	return (int)bpf_redirect(in.bridge, BPF_F_INGRESS);
}

SEC("tc")
int weave_ping(struct __sk_buff *skb)
{
	const struct fastdp_config *c = get_config();
	struct fastdp_session *s;
	struct fastdp_ping ping;
	int verdict = -1;
	uint32_t number;

	if (skb->mark != FASTDP_PING_MARK || !c)
		return PASS;
	/* For routing it would mean something. */
	skb->mark = 0;
	if (bpf_skb_load_bytes(skb, ETH_ALEN + 2, &number, sizeof number) ||
	    bpf_skb_load_bytes(skb, PING_OFFSET, &ping, sizeof ping))
		return TC_ACT_SHOT;
	s = bpf_map_lookup_elem(&sessions, &number);
	if (!s)
		return drop_from_peer(DROP_NO_CONNECTION);
	if (ping.flags & FASTDP_PING_BY_HAND) {
		verdict = send_by_hand(skb, &s->way, FASTDP_PING_VNI, FASTDP_TTL, c->udp_port);
		return verdict < 0 ? drop_from_peer(DROP_SEND_FAILED) : verdict;
	}
	return set_tunnel(skb, &s->way, FASTDP_PING_VNI, FASTDP_TTL)
		       ? PASS
		       : drop_from_peer(DROP_SEND_FAILED);
}

/* Of all programs, once they are linked: the helpers want it. */
char program_license[] SEC("license") = "GPL";
