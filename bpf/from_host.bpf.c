/* At the bridge's own device, on the way out: what the host sends once it is exposed.
 *
 * What is at a peer goes straight there; who has a known IP address is answered on the spot.  All
 * else passes, to the bridge, which knows its ports.
 */
#include "answer.bpf.h"
#include "decide.bpf.h"
#include "vxlan.bpf.h"

SEC("tc")
int weave_host(struct __sk_buff *skb)
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
		return same_mac(from_mac, port->mac) ? answer(skb, port, BPF_F_INGRESS) : PASS;
	to = find_endpoint(port->segment, to_mac);
	if (to && to->where == FASTDP_AT_PEER)
		peer = bpf_map_lookup_elem(&peers, &to->number);
	if (decide_from_container(same_mac(from_mac, port->mac), to, peer, fits(skb, c)) !=
		    TO_PEER ||
	    !to || !peer)
		return PASS;
	count_out(to->number, skb->len);
	return send_to_peer(skb, c, peer, port->segment, FASTDP_TTL);
}
