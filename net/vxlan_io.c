#include <weave/net_tunnel.h>

#include <errno.h>
#include <net/if_arp.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/net_xfrm.h>

#include "names.h"
#include "netlink_io.h"

/* More than any container has, and less than what no longer fits an IP packet once wrapped; what
 * really fits is the underlay's business. */
#define DEVICE_MTU 65000u

static int create(struct net *net, const char *name, uint16_t port)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nlattr *link, *data;
	uint16_t network_port = htons(port);
	struct request r;

	request_init(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof info);
	request_put_text(&r, IFLA_IFNAME, name);
	request_put_u32(&r, IFLA_MTU, DEVICE_MTU);
	link = request_nest(&r, IFLA_LINKINFO);
	request_put_text(&r, IFLA_INFO_KIND, "vxlan");
	data = request_nest(&r, IFLA_INFO_DATA);
	request_put_u8(&r, IFLA_VXLAN_COLLECT_METADATA, 1);
	request_put_u8(&r, IFLA_VXLAN_LEARNING, 0);
	request_put(&r, IFLA_VXLAN_PORT, &network_port, sizeof network_port);
	/* The frames' own checksums are checked at their ends (RFC 6935 for IPv6). */
	request_put_u8(&r, IFLA_VXLAN_UDP_CSUM, 0);
	request_put_u8(&r, IFLA_VXLAN_UDP_ZERO_CSUM6_TX, 1);
	request_put_u8(&r, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
	request_nest_end(&r, data);
	request_nest_end(&r, link);
	return net_execute(net, &r);
}

/* One without alias was made a moment before an earlier life ended. */
static bool is_ours(const struct net_link *link, const char *bridge, uint16_t port)
{
	if (strcmp(link->kind, "vxlan") != 0)
		return false;
	return alias_is_ours(link->alias, bridge) ||
	       (!link->alias[0] && !(link->flags & IFF_UP) && link->vxlan_port == port);
}

int net_vxlan_ensure(struct net *net, const char *name, const char *bridge, uint16_t port,
		     int *ifindex)
{
	char alias[NET_ALIAS_SIZE];
	struct net_link link;
	int rc = net_link_find(net, name, &link);

	net_alias(bridge, "vxlan", alias);
	if (rc == 0 && !is_ours(&link, bridge, port))
		return net_fail(net, -EEXIST, NULL, "interface %s is not ours", name);
	if (rc == 0 && link.vxlan_port != port) {
		rc = net_link_delete(net, link.ifindex);
		link.ifindex = 0;
	}
	if (rc == -ENODEV || (rc == 0 && !link.ifindex))
		rc = net_tried(net, create(net, name, port), "create VXLAN device %s", name);
	if (rc == 0)
		rc = net_link_find(net, name, &link);
	if (rc == 0 && strcmp(link.alias, alias) != 0)
		rc = net_link_set_alias(net, link.ifindex, alias);
	/* Or it would speak to peers by itself. */
	if (rc == 0)
		rc = net_link_set_no_ipv6_addresses(net, link.ifindex);
	if (rc == 0 && !(link.flags & IFF_UP))
		rc = net_link_set_up(net, link.ifindex, true);
	*ifindex = rc ? 0 : link.ifindex;
	return rc;
}

/* A kernel without such programs has none of ours. */
static void detach_all(const struct net_link *link, uint32_t mark)
{
	(void)net_program_detach(link->ifindex, NET_INGRESS, mark);
	if (strcmp(link->kind, "bridge") == 0)
		(void)net_program_detach(link->ifindex, NET_EGRESS, mark);
}

/* In the handle's namespace, which is the calling thread's; a kernel without XFRM has none of ours.
 */
static int remove_xfrm(struct net *net, const char *bridge)
{
	struct net *xfrm;
	int rc;

	if (net_xfrm_open(&xfrm))
		return 0;
	rc = net_xfrm_remove(xfrm, bridge);
	if (rc)
		snprintf(net->error, sizeof net->error, "%s", net_error(xfrm));
	net_close(xfrm);
	return rc;
}

/* The device goes before what made its packets be sealed. */
int net_tunnel_remove(struct net *net, const char *bridge)
{
	uint32_t mark = net_bridge_mark(bridge);
	struct net_link *links;
	size_t count;
	int rc = net_links(net, 0, &links, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (strcmp(links[i].kind, "vxlan") == 0 && alias_is_ours(links[i].alias, bridge))
			rc = net_link_delete(net, links[i].ifindex);
		else
			detach_all(&links[i], mark);
	}
	mem_free(links);
	return rc ? rc : remove_xfrm(net, bridge);
}

/* ---- the way to an address ---- */

/* A gateway may be of the other family (RFC 5549). */
static void read_link_address(const struct nlattr **attrs, uint8_t family, struct ip_addr *link)
{
	const struct rtvia *via;

	memset(link, 0, sizeof *link);
	if (attrs[RTA_GATEWAY]) {
		attr_ip(attrs[RTA_GATEWAY], family, link);
	} else if (attrs[RTA_VIA] && mnl_attr_get_payload_len(attrs[RTA_VIA]) == sizeof *via + 16) {
		via = mnl_attr_get_payload(attrs[RTA_VIA]);
		if (via->rtvia_family == AF_INET6) {
			link->family = 6;
			memcpy(link->b, via->rtvia_addr, 16);
		}
	}
}

static int way_row(const struct nlmsghdr *h, void *item, const void *filter)
{
	const struct nlattr *attrs[RTA_MAX + 1];
	const struct rtmsg *info = mnl_nlmsg_get_payload(h);
	struct net_way *way = item;

	(void)filter;
	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof *info)
		return 0;
	attrs_parse(attrs, RTA_MAX, h, sizeof *info);
	if (info->rtm_type != RTN_UNICAST)
		return 0;
	way->ifindex = (int)attr_u32(attrs[RTA_OIF]);
	attr_ip(attrs[RTA_PREFSRC], info->rtm_family, &way->local);
	read_link_address(attrs, info->rtm_family, &way->link);
	return 1;
}

int net_way_to(struct net *net, struct ip_addr to, struct net_way *way)
{
	struct rtmsg info = {
		.rtm_family = to.family == 4 ? AF_INET : AF_INET6,
		.rtm_dst_len = (unsigned char)ip_bits(to),
	};
	struct rows rows = { way_row, NULL, sizeof *way, NULL, 0, 0 };
	char text[IP_TEXT_SIZE];
	struct net_link link;
	struct request r;
	int rc;

	request_init(&r, RTM_GETROUTE, 0, &info, sizeof info);
	request_put(&r, RTA_DST, to.b, ip_bits(to) / 8);
	rc = net_query(net, &r, &rows);
	if (rc == 0 && rows.count == 0)
		rc = net_fail(net, -EINVAL, NULL, "not a host elsewhere");
	if (rc == 0)
		memcpy(way, rows.items, sizeof *way);
	mem_free(rows.items);
	if (rc == 0 && !way->link.family)
		way->link = to;
	if (rc == 0)
		rc = net_link_get(net, way->ifindex, &link);
	if (rc == 0) {
		way->ethernet = link.hardware == ARPHRD_ETHER;
		way->mtu = link.mtu;
	}
	return net_tried(net, rc, "find the way to %s", ip_text(to, text));
}
