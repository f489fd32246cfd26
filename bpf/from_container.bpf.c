/* At the host's end of a container's veth: what the container sends.
 *
 * Known unicast goes straight to where it lives, or to the router that brings it there; who has a
 * known IP address is answered on the spot. All else passes, to the bridge.
 */
#include "answer.bpf.h"
#include "decide.bpf.h"
#include "vxlan.bpf.h"

/* What the bridge would do with it, since it lives elsewhere.  Without a port of ours there, the
 * bridge. */
static __always_inline int send_to_router(const struct fastdp_config *c, uint32_t segment)
{
	uint32_t ifindex = find_bridge(c, segment);

	return ifindex ? (int)bpf_redirect(ifindex, 0) : PASS;
}

static __always_inline bool lives_at(const struct fastdp_port *port, uint32_t ifindex,
				     const uint8_t *mac)
{
	const struct fastdp_endpoint *e;

	if (same_mac(mac, port->mac))
		return true;
	e = find_endpoint(port->segment, mac);
	return e && e->where == FASTDP_BEHIND_PORT && e->number == ifindex;
}

SEC("tc")
int weave_container(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const uint8_t *to_mac = data, *from_mac = data + ETH_ALEN;
	struct fastdp_config *c = get_config();
	uint32_t ifindex = skb->ifindex;
	struct fastdp_peer *peer = NULL;
	struct fastdp_endpoint *to;
	struct fastdp_port *port;

	if (!c || data + ETH_HLEN > end || skb->vlan_present)
		return PASS;
	port = bpf_map_lookup_elem(&ports, &ifindex);
	if (!port)
		return PASS;
	if (is_group(to_mac))
		return same_mac(from_mac, port->mac) ? answer(skb, port, 0) : PASS;
	to = find_endpoint(port->segment, to_mac);
	if (to && to->where == FASTDP_AT_PEER)
		peer = bpf_map_lookup_elem(&peers, &to->number);
	switch (decide_from_container(lives_at(port, ifindex, from_mac), to, peer, fits(skb, c))) {
	case TO_PORT:
		return to ? send_to_port(skb, to) : PASS;
	case TO_HOST:
		return to ? send_to_host(to->number) : PASS;
	case TO_PEER:
		if (!to || !peer)
			return PASS;
		count_out(to->number, skb->len);
		return send_to_peer(skb, c, peer, port->segment, FASTDP_TTL);
	case TO_ROUTER:
		return send_to_router(c, port->segment);
	default:
		return PASS;
	}
}
