#include "netlink_io.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

static uint8_t family_of(struct ip_addr ip)
{
	MUST(ip.family == 4 || ip.family == 6);
	return ip.family == 4 ? AF_INET : AF_INET6;
}

/* ---- addresses ---- */

static int address_row(const struct nlmsghdr *h, void *item, const void *filter)
{
	const struct nlattr *attrs[IFA_MAX + 1];
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(h);
	const int *ifindex = filter;
	struct net_address *a = item;

	if (h->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(h) < sizeof *info)
		return 0;
	attrs_parse(attrs, IFA_MAX, h, sizeof *info);
	a->ifindex = (int)info->ifa_index;
	a->scope = info->ifa_scope;
	a->cidr.prefix = info->ifa_prefixlen;
	/* With a peer IFA_ADDRESS is the far end; without, IPv6 has no IFA_LOCAL. */
	if (!attr_ip(attrs[attrs[IFA_LOCAL] ? IFA_LOCAL : IFA_ADDRESS], info->ifa_family,
		     &a->cidr.ip))
		return 0;
	return *ifindex == 0 || a->ifindex == *ifindex;
}

int net_addresses(struct net *net, int ifindex, struct net_address **list, size_t *count)
{
	struct ifaddrmsg info = { .ifa_family = AF_UNSPEC, .ifa_index = (uint32_t)ifindex };
	struct rows rows = { address_row, &ifindex, sizeof **list, NULL, 0, 0 };
	struct request r;
	int rc;

	request_init(&r, RTM_GETADDR, NLM_F_DUMP, &info, sizeof info);
	rc = net_tried(net, net_query(net, &r, &rows), "list addresses");
	*list = (struct net_address *)(void *)rows.items;
	*count = rows.count;
	return rc;
}

static void address_request(struct request *r, uint16_t type, uint16_t flags, int ifindex,
			    struct cidr c)
{
	struct ifaddrmsg info = {
		.ifa_family = family_of(c.ip),
		.ifa_prefixlen = c.prefix,
		/* The address manager knows best who has it: no waiting for duplicates. */
		.ifa_flags = c.ip.family == 6 ? IFA_F_NODAD : 0,
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = (uint32_t)ifindex,
	};

	request_init(r, type, flags, &info, sizeof info);
	request_put(r, IFA_LOCAL, c.ip.b, ip_bits(c.ip) / 8);
	request_put(r, IFA_ADDRESS, c.ip.b, ip_bits(c.ip) / 8);
}

static void address_put_broadcast(struct request *r, struct cidr c)
{
	struct cidr all = cidr_network(c);

	if (c.ip.family != 4 || c.prefix > 30)
		return;
	for (unsigned bit = c.prefix; bit < 32; bit++)
		all.ip.b[bit / 8] |= (uint8_t)(0x80u >> (bit % 8));
	request_put(r, IFA_BROADCAST, all.ip.b, 4);
}

int net_address_add(struct net *net, int ifindex, struct cidr cidr)
{
	char text[CIDR_TEXT_SIZE];
	struct request r;

	address_request(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, cidr);
	address_put_broadcast(&r, cidr);
	return net_tried(net, net_execute(net, &r), "add address %s to interface %d",
			 cidr_text(cidr, text), ifindex);
}

int net_address_remove(struct net *net, int ifindex, struct cidr cidr)
{
	char text[CIDR_TEXT_SIZE];
	struct request r;

	address_request(&r, RTM_DELADDR, 0, ifindex, cidr);
	return net_tried(net, net_execute(net, &r), "remove address %s from interface %d",
			 cidr_text(cidr, text), ifindex);
}

/* ---- routes ---- */

static int first_hop_interface(const struct nlattr *multipath)
{
	struct rtnexthop hop;

	if (!multipath || mnl_attr_get_payload_len(multipath) < sizeof hop)
		return 0;
	memcpy(&hop, mnl_attr_get_payload(multipath), sizeof hop);
	return hop.rtnh_ifindex;
}

static int route_row(const struct nlmsghdr *h, void *item, const void *filter)
{
	const struct nlattr *attrs[RTA_MAX + 1];
	const struct rtmsg *info = mnl_nlmsg_get_payload(h);
	struct net_route *route = item;

	(void)filter;
	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof *info)
		return 0;
	attrs_parse(attrs, RTA_MAX, h, sizeof *info);
	if (info->rtm_type != RTN_UNICAST || (info->rtm_flags & RTM_F_CLONED) ||
	    (attrs[RTA_TABLE] ? attr_u32(attrs[RTA_TABLE]) : info->rtm_table) != RT_TABLE_MAIN)
		return 0;
	if (info->rtm_family != AF_INET && info->rtm_family != AF_INET6)
		return 0;
	route->dst.prefix = info->rtm_dst_len;
	if (!attr_ip(attrs[RTA_DST], info->rtm_family, &route->dst.ip))
		route->dst.ip.family = info->rtm_family == AF_INET ? 4 : 6;
	attr_ip(attrs[RTA_GATEWAY], info->rtm_family, &route->gateway);
	route->ifindex = attrs[RTA_OIF] ? (int)attr_u32(attrs[RTA_OIF])
					: first_hop_interface(attrs[RTA_MULTIPATH]);
	return 1;
}

int net_routes(struct net *net, struct net_route **list, size_t *count)
{
	struct rtmsg info = { .rtm_family = AF_UNSPEC, .rtm_table = RT_TABLE_MAIN };
	struct rows rows = { route_row, NULL, sizeof **list, NULL, 0, 0 };
	struct request r;
	int rc;

	request_init(&r, RTM_GETROUTE, NLM_F_DUMP, &info, sizeof info);
	rc = net_tried(net, net_query(net, &r, &rows), "list routes");
	*list = (struct net_route *)(void *)rows.items;
	*count = rows.count;
	return rc;
}

static int route_change(struct net *net, uint16_t type, uint16_t flags, struct cidr dst,
			int ifindex, const char *what)
{
	struct rtmsg info = {
		.rtm_family = family_of(dst.ip),
		.rtm_dst_len = dst.prefix,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = type == RTM_NEWROUTE ? RTPROT_STATIC : RTPROT_UNSPEC,
		.rtm_scope = type == RTM_NEWROUTE ? RT_SCOPE_LINK : RT_SCOPE_NOWHERE,
		.rtm_type = type == RTM_NEWROUTE ? RTN_UNICAST : RTN_UNSPEC,
	};
	struct cidr to = cidr_network(dst);
	char text[CIDR_TEXT_SIZE];
	struct request r;

	request_init(&r, type, flags, &info, sizeof info);
	request_put(&r, RTA_DST, to.ip.b, ip_bits(to.ip) / 8);
	request_put_u32(&r, RTA_OIF, (uint32_t)ifindex);
	return net_tried(net, net_execute(net, &r), "%s route %s by interface %d", what,
			 cidr_text(to, text), ifindex);
}

int net_route_add(struct net *net, struct cidr dst, int ifindex)
{
	return route_change(net, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, dst, ifindex, "add");
}

int net_route_remove(struct net *net, struct cidr dst, int ifindex)
{
	return route_change(net, RTM_DELROUTE, 0, dst, ifindex, "remove");
}

/* ---- the underlay ---- */

static bool has_global_address(int ifindex, const struct net_address *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].ifindex == ifindex && list[i].scope == RT_SCOPE_UNIVERSE)
			return true;
	return false;
}

static bool listed(int ifindex, const int *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == ifindex)
			return true;
	return false;
}

int net_underlay_mtu(struct net *net, const int *except, size_t except_count, uint32_t *mtu)
{
	struct net_address *addresses = NULL;
	struct net_link *links = NULL;
	size_t links_count = 0, addresses_count = 0;
	int rc;

	*mtu = 0;
	rc = net_links(net, 0, &links, &links_count);
	if (rc == 0)
		rc = net_addresses(net, 0, &addresses, &addresses_count);
	for (size_t i = 0; rc == 0 && i < links_count; i++) {
		const struct net_link *l = &links[i];

		if (!(l->flags & IFF_UP) || (l->flags & IFF_LOOPBACK) ||
		    listed(l->ifindex, except, except_count) ||
		    !has_global_address(l->ifindex, addresses, addresses_count))
			continue;
		if (*mtu == 0 || l->mtu < *mtu)
			*mtu = l->mtu;
	}
	mem_free(links);
	mem_free(addresses);
	return rc;
}
