#include "netlink_io.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include <weave/alloc.h>
#include <weave/must.h>

/* ---- reading ---- */

static void port_parse(const struct nlattr *info, struct net_link *link)
{
	const struct nlattr *kind[IFLA_INFO_MAX + 1], *port[IFLA_BRPORT_MAX + 1];
	char slave_kind[NET_NAME_SIZE];

	attrs_parse_nested(kind, IFLA_INFO_MAX, info);
	attr_text(kind[IFLA_INFO_KIND], link->kind, sizeof link->kind);
	attr_text(kind[IFLA_INFO_SLAVE_KIND], slave_kind, sizeof slave_kind);
	if (strcmp(link->kind, "vxlan") == 0) {
		const struct nlattr *vxlan[IFLA_VXLAN_MAX + 1];

		attrs_parse_nested(vxlan, IFLA_VXLAN_MAX, kind[IFLA_INFO_DATA]);
		link->vxlan_port = ntohs(attr_u16(vxlan[IFLA_VXLAN_PORT]));
	}
	if (strcmp(slave_kind, "bridge") != 0)
		return;
	attrs_parse_nested(port, IFLA_BRPORT_MAX, kind[IFLA_INFO_SLAVE_DATA]);
	link->port = true;
	link->forwarding = attr_u8(port[IFLA_BRPORT_STATE]) == BR_STATE_FORWARDING;
	link->hairpin = attr_u8(port[IFLA_BRPORT_MODE]);
	link->learning = attr_u8(port[IFLA_BRPORT_LEARNING]);
}

bool link_parse(const struct nlmsghdr *h, struct net_link *link)
{
	const struct nlattr *attrs[IFLA_MAX + 1];
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);

	memset(link, 0, sizeof *link);
	/* A bridge speaks of its ports in the same message types, under its own family. */
	if (mnl_nlmsg_get_payload_len(h) < sizeof *info || info->ifi_family != AF_UNSPEC)
		return false;
	attrs_parse(attrs, IFLA_MAX, h, sizeof *info);
	link->ifindex = info->ifi_index;
	link->flags = info->ifi_flags;
	link->hardware = info->ifi_type;
	link->master = (int)attr_u32(attrs[IFLA_MASTER]);
	link->peer = (int)attr_u32(attrs[IFLA_LINK]);
	link->peer_netns = attrs[IFLA_LINK_NETNSID] ? (int)attr_u32(attrs[IFLA_LINK_NETNSID]) : -1;
	link->mtu = attr_u32(attrs[IFLA_MTU]);
	attr_mac(attrs[IFLA_ADDRESS], &link->mac);
	attr_text(attrs[IFLA_IFNAME], link->name, sizeof link->name);
	attr_text(attrs[IFLA_IFALIAS], link->alias, sizeof link->alias);
	if (attrs[IFLA_LINKINFO])
		port_parse(attrs[IFLA_LINKINFO], link);
	return true;
}

static int link_row(const struct nlmsghdr *h, void *item, const void *filter)
{
	const int *master = filter;
	struct net_link *link = item;

	return h->nlmsg_type == RTM_NEWLINK && link_parse(h, link) &&
	       (*master == 0 || link->master == *master);
}

/* A request about links; 'name' may be NULL. */
static void link_request(struct request *r, uint16_t type, uint16_t flags, int ifindex,
			 const char *name)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };

	request_init(r, type, flags, &info, sizeof info);
	if (name)
		request_put_text(r, IFLA_IFNAME, name);
}

static int link_one(struct net *net, int ifindex, const char *name, struct net_link *link)
{
	int any = 0, rc;
	struct rows rows = { link_row, &any, sizeof *link, NULL, 0, 0 };
	struct request r;

	link_request(&r, RTM_GETLINK, 0, ifindex, name);
	rc = net_query(net, &r, &rows);
	if (rc == 0 && rows.count == 0)
		rc = net_fail(net, -ENODEV, NULL, "answer");
	if (rc == 0)
		memcpy(link, rows.items, sizeof *link);
	mem_free(rows.items);
	return rc;
}

int net_link_find(struct net *net, const char *name, struct net_link *link)
{
	return net_tried(net, link_one(net, 0, name, link), "find interface %s", name);
}

int net_link_get(struct net *net, int ifindex, struct net_link *link)
{
	return net_tried(net, link_one(net, ifindex, NULL, link), "find interface %d", ifindex);
}

int net_links(struct net *net, int master, struct net_link **links, size_t *count)
{
	struct rows rows = { link_row, &master, sizeof **links, NULL, 0, 0 };
	struct request r;
	int rc;

	link_request(&r, RTM_GETLINK, NLM_F_DUMP, 0, NULL);
	if (master)
		request_put_u32(&r, IFLA_MASTER, (uint32_t)master);
	rc = net_tried(net, net_query(net, &r, &rows), "list interfaces");
	*links = (struct net_link *)(void *)rows.items;
	*count = rows.count;
	return rc;
}

/* ---- making ---- */

static void put_bridge_options(struct request *r)
{
	struct nlattr *info = request_nest(r, IFLA_LINKINFO), *data;

	request_put_text(r, IFLA_INFO_KIND, "bridge");
	data = request_nest(r, IFLA_INFO_DATA);
	request_put_u32(r, IFLA_BR_STP_STATE, 0);
	request_put_u32(r, IFLA_BR_FORWARD_DELAY, 0);
	/* Group members are also behind other routers, which the bridge cannot know. */
	request_put_u8(r, IFLA_BR_MCAST_SNOOPING, 0);
	request_nest_end(r, data);
	request_nest_end(r, info);
}

int bridge_set_options(struct net *net, int ifindex)
{
	struct request r;

	link_request(&r, RTM_NEWLINK, 0, ifindex, NULL);
	put_bridge_options(&r);
	return net_tried(net, net_execute(net, &r), "set options of bridge %d", ifindex);
}

int net_bridge_create(struct net *net, const char *name, struct mac mac, uint32_t mtu)
{
	struct request r;

	link_request(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, name);
	request_put(&r, IFLA_ADDRESS, mac.b, sizeof mac.b);
	if (mtu)
		request_put_u32(&r, IFLA_MTU, mtu);
	put_bridge_options(&r);
	return net_tried(net, net_execute(net, &r), "create bridge %s", name);
}

int net_veth_create(struct net *net, const struct net_veth *v)
{
	struct ifinfomsg peer_info = { .ifi_family = AF_UNSPEC };
	struct nlattr *info, *data, *peer;
	struct request r;

	link_request(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, v->name);
	if (v->mtu)
		request_put_u32(&r, IFLA_MTU, v->mtu);
	if (v->master)
		request_put_u32(&r, IFLA_MASTER, (uint32_t)v->master);
	info = request_nest(&r, IFLA_LINKINFO);
	request_put_text(&r, IFLA_INFO_KIND, "veth");
	data = request_nest(&r, IFLA_INFO_DATA);
	peer = request_nest(&r, VETH_INFO_PEER);
	request_put_raw(&r, &peer_info, sizeof peer_info);
	request_put_text(&r, IFLA_IFNAME, v->peer_name);
	if (v->mtu)
		request_put_u32(&r, IFLA_MTU, v->mtu);
	if (v->mac_peer)
		request_put(&r, IFLA_ADDRESS, v->mac_peer->b, sizeof v->mac_peer->b);
	if (v->peer_netns >= 0)
		request_put_u32(&r, IFLA_NET_NS_FD, (uint32_t)v->peer_netns);
	request_nest_end(&r, peer);
	request_nest_end(&r, data);
	request_nest_end(&r, info);
	return net_tried(net, net_execute(net, &r), "create veth %s, %s", v->name, v->peer_name);
}

int net_link_delete(struct net *net, int ifindex)
{
	struct request r;
	int rc;

	link_request(&r, RTM_DELLINK, 0, ifindex, NULL);
	rc = net_execute(net, &r);
	return rc == -ENODEV ? 0 : net_tried(net, rc, "delete interface %d", ifindex);
}

/* ---- changing ---- */

int net_link_set_up(struct net *net, int ifindex, bool up)
{
	struct ifinfomsg info = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = ifindex,
		.ifi_change = IFF_UP,
		.ifi_flags = up ? IFF_UP : 0,
	};
	struct request r;

	request_init(&r, RTM_SETLINK, 0, &info, sizeof info);
	return net_tried(net, net_execute(net, &r), "set interface %d %s", ifindex,
			 up ? "up" : "down");
}

static int link_set(struct net *net, int ifindex, uint16_t type, const void *data, size_t size,
		    const char *what)
{
	struct request r;

	link_request(&r, RTM_SETLINK, 0, ifindex, NULL);
	request_put(&r, type, data, size);
	return net_tried(net, net_execute(net, &r), "set %s of interface %d", what, ifindex);
}

int net_link_set_master(struct net *net, int ifindex, int master)
{
	return link_set(net, ifindex, IFLA_MASTER, &master, sizeof master, "master");
}

int net_link_set_mac(struct net *net, int ifindex, struct mac mac)
{
	return link_set(net, ifindex, IFLA_ADDRESS, mac.b, sizeof mac.b, "MAC");
}

int net_link_set_mtu(struct net *net, int ifindex, uint32_t mtu)
{
	return link_set(net, ifindex, IFLA_MTU, &mtu, sizeof mtu, "MTU");
}

int net_link_set_alias(struct net *net, int ifindex, const char *alias)
{
	MUST(strlen(alias) < NET_ALIAS_SIZE);
	return link_set(net, ifindex, IFLA_IFALIAS, alias, strlen(alias), "alias");
}

int net_link_set_name(struct net *net, int ifindex, const char *name)
{
	return link_set(net, ifindex, IFLA_IFNAME, name, strlen(name) + 1, "name");
}

int net_link_set_netns(struct net *net, int ifindex, int netns_fd)
{
	return link_set(net, ifindex, IFLA_NET_NS_FD, &netns_fd, sizeof netns_fd, "namespace");
}

int net_link_set_no_ipv6_addresses(struct net *net, int ifindex)
{
	struct nlattr *families, *inet6;
	struct request r;
	int rc;

	link_request(&r, RTM_SETLINK, 0, ifindex, NULL);
	families = request_nest(&r, IFLA_AF_SPEC);
	inet6 = request_nest(&r, AF_INET6);
	request_put_u8(&r, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	request_nest_end(&r, inet6);
	request_nest_end(&r, families);
	rc = net_execute(net, &r);
	/* No IPv6 in this kernel, or not on this interface (small MTU): then there are none. */
	if (rc == -EAFNOSUPPORT || rc == -EOPNOTSUPP)
		return 0;
	return net_tried(net, rc, "set IPv6 address generation of interface %d", ifindex);
}

int net_port_wait(struct net *net, int ifindex, unsigned limit_ms)
{
	for (unsigned ms = 0;; ms++) {
		struct net_link link = { 0 };
		int rc = net_link_get(net, ifindex, &link);

		if (rc || link.forwarding)
			return rc;
		if (ms >= limit_ms)
			return net_fail(net, -ETIMEDOUT, NULL, "bridge port %s does not forward",
					link.name);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

int net_port_set(struct net *net, int ifindex, bool hairpin, bool learning)
{
	struct ifinfomsg info = { .ifi_family = AF_BRIDGE, .ifi_index = ifindex };
	struct nlattr *port;
	struct request r;

	request_init(&r, RTM_SETLINK, 0, &info, sizeof info);
	port = request_nest(&r, IFLA_PROTINFO | NLA_F_NESTED);
	request_put_u8(&r, IFLA_BRPORT_MODE, hairpin);
	request_put_u8(&r, IFLA_BRPORT_LEARNING, learning);
	request_nest_end(&r, port);
	return net_tried(net, net_execute(net, &r), "set flags of bridge port %d", ifindex);
}
