/* At the router's port of a bridge: what the router has for our containers and the host.
 *
 * The router has decided already.  What lives at a known port goes there, past the bridge; all else
 * passes, to the bridge.
 */
#include "decide.bpf.h"
#include "vxlan.bpf.h"

SEC("tc")
int weave_router(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const uint8_t *to_mac = data;
	uint32_t ifindex = skb->ifindex;
	struct fastdp_endpoint *to;
	struct fastdp_port *port;

	if (data + ETH_HLEN > end || skb->vlan_present || is_group(to_mac))
		return PASS;
	port = bpf_map_lookup_elem(&ports, &ifindex);
	if (!port)
		return PASS;
	to = find_endpoint(port->segment, to_mac);
	if (!to)
		return PASS;
	if (is_at_port(to))
		return send_to_port(skb, to);
	return to->where == FASTDP_AT_HOST ? send_to_host(to->number) : PASS;
}
