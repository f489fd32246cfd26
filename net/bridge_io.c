#include "netlink_io.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/net_segment.h>
#include <weave/net_tunnel.h>

#include "names.h"

/* A veth's two ends become carriers at once; this only bounds a wait for the kernel's worker. */
#define FORWARDING_WAIT_MS 1000u

/* Hands on what the kernel said. */
static int explain(struct net *net, int rc, struct why *why)
{
	if (rc < 0)
		why_set(why, WHY_INVALID, "%.150s", net_error(net));
	return rc;
}

/* ---- the bridge itself ---- */

/* A bridge follows the smallest MTU of its ports until its own was changed once; setting the value
 * that it has already does not count as a change. */
static int pin_mtu(struct net *net, const struct net_link *bridge, uint32_t mtu, bool fresh)
{
	int rc = 0;

	if (bridge->mtu == mtu && !fresh)
		return 0;
	if (bridge->mtu == mtu)
		rc = net_link_set_mtu(net, bridge->ifindex, mtu == NET_MTU_MIN ? mtu + 1 : mtu - 1);
	return rc ? rc : net_link_set_mtu(net, bridge->ifindex, mtu);
}

static int set_own_alias(struct net *net, const struct net_link *link, const char *bridge,
			 const char *word)
{
	char alias[NET_ALIAS_SIZE];

	net_alias(bridge, word, alias);
	return strcmp(link->alias, alias) == 0 ? 0 : net_link_set_alias(net, link->ifindex, alias);
}

static int tune(struct net *net, const char *name)
{
	int rc = net_tune(name);

	return rc ? net_fail(net, rc, NULL, "tune interface %s", name) : 0;
}

/* Finds the bridge, or makes it; -EEXIST when something else has its name. */
static int find_or_create(struct net *net, const char *name, struct mac mac, struct net_link *link)
{
	int rc = net_link_find(net, name, link);

	if (rc == -ENODEV) {
		rc = net_bridge_create(net, name, mac, 0);
		if (rc == 0)
			rc = net_link_find(net, name, link);
	}
	if (rc == 0 && strcmp(link->kind, "bridge") != 0)
		rc = net_fail(net, -EEXIST, NULL, "interface %s is not a bridge", name);
	return rc;
}

static int ensure_bridge(struct net *net, const char *name, struct mac mac, uint32_t mtu,
			 struct net_link *link)
{
	int rc = find_or_create(net, name, mac, link);
	bool fresh;

	if (rc)
		return rc;
	fresh = !alias_is_ours(link->alias, name);
	if (fresh)
		rc = bridge_set_options(net, link->ifindex);
	if (rc == 0 && !mac_equal(link->mac, mac))
		rc = net_link_set_mac(net, link->ifindex, mac);
	if (rc == 0)
		rc = pin_mtu(net, link, mtu, fresh);
	if (rc == 0)
		rc = tune(net, name);
	if (rc == 0 && !(link->flags & IFF_UP))
		rc = net_link_set_up(net, link->ifindex, true);
	/* Last: the alias says that all of this was done.  That of a segment says more. */
	if (rc == 0 && fresh)
		rc = set_own_alias(net, link, name, "bridge");
	return rc;
}

/* ---- the router's port ---- */

/* What an earlier run had as its port, if that was of the other kind. */
static int remove_kind(struct net *net, const char *name, const char *kind)
{
	struct net_link link;
	int rc = net_link_find(net, name, &link);

	if (rc == -ENODEV || (rc == 0 && strcmp(link.kind, kind) != 0))
		return 0;
	return rc ? rc : net_link_delete(net, link.ifindex);
}

/* 0 with ifindex 0 when nothing has the name; -EEXIST when it is no veth. */
static int find_veth(struct net *net, const char *name, struct net_link *link)
{
	int rc = net_link_find(net, name, link);

	if (rc == -ENODEV) {
		memset(link, 0, sizeof *link);
		return 0;
	}
	if (rc == 0 && strcmp(link->kind, "veth") != 0)
		rc = net_fail(net, -EEXIST, NULL, "interface %s is not a veth", name);
	return rc;
}

static bool are_pair(const struct net_link *a, const struct net_link *b)
{
	return a->ifindex && b->ifindex && a->peer == b->ifindex && b->peer == a->ifindex;
}

static int find_pair(struct net *net, const struct net_bridge_names *names, struct net_link *port,
		     struct net_link *capture)
{
	int rc = find_veth(net, names->port, port);

	return rc ? rc : find_veth(net, names->capture, capture);
}

static int find_or_create_pair(struct net *net, const struct net_bridge_names *names, int bridge,
			       uint32_t mtu, struct net_link *port, struct net_link *capture)
{
	struct net_veth veth = { names->port, names->capture, -1, bridge, mtu, NULL };
	int rc = find_pair(net, names, port, capture);

	if (rc || are_pair(port, capture))
		return rc;
	if (port->ifindex)
		rc = net_link_delete(net, port->ifindex);
	if (rc == 0 && capture->ifindex)
		rc = net_link_delete(net, capture->ifindex);
	if (rc == 0)
		rc = net_veth_create(net, &veth);
	return rc ? rc : find_pair(net, names, port, capture);
}

/* What all of them have in common. */
static int ensure_end(struct net *net, const struct net_link *link, const char *bridge,
		      const char *word, uint32_t mtu)
{
	int rc = net_link_set_no_ipv6_addresses(net, link->ifindex);

	if (rc == 0)
		rc = tune(net, link->name);
	if (rc == 0 && link->mtu != mtu)
		rc = net_link_set_mtu(net, link->ifindex, mtu);
	if (rc == 0)
		rc = set_own_alias(net, link, bridge, word);
	if (rc == 0 && !(link->flags & IFF_UP))
		rc = net_link_set_up(net, link->ifindex, true);
	return rc;
}

/* Offloads go before the link is up, so that no frame slips by. */
static int ensure_veth(struct net *net, const struct net_link *link, const char *bridge,
		       const char *word, uint32_t mtu)
{
	int rc = net_offloads_off(link->name);

	if (rc)
		return net_fail(net, rc, NULL, "switch off offloads of %s", link->name);
	return ensure_end(net, link, bridge, word, mtu);
}

static int ensure_pair(struct net *net, const struct net_bridge_names *names, int bridge,
		       uint32_t mtu, struct net_bridge *out)
{
	struct net_link port = { 0 }, capture = { 0 };
	int rc = remove_kind(net, names->port, "tun");

	if (rc == 0)
		rc = find_or_create_pair(net, names, bridge, mtu, &port, &capture);
	if (rc == 0 && port.master != bridge)
		rc = net_link_set_master(net, port.ifindex, bridge);
	/* Hairpin would send every frame that we write straight back to us. */
	if (rc == 0)
		rc = net_port_set(net, port.ifindex, false, true);
	if (rc == 0)
		rc = ensure_veth(net, &port, names->bridge, "port", mtu);
	if (rc == 0)
		rc = ensure_veth(net, &capture, names->bridge, "capture", mtu);
	if (rc == 0)
		rc = net_port_wait(net, port.ifindex, FORWARDING_WAIT_MS);
	out->port_ifindex = port.ifindex;
	out->capture_ifindex = capture.ifindex;
	return rc;
}

/* Finds the TAP, or makes it. */
static int find_or_create_tap(struct net *net, const char *name, struct net_link *link)
{
	int rc = net_link_find(net, name, link);

	if (rc == -ENODEV) {
		rc = net_tap_create(net, name);
		if (rc == 0)
			rc = net_link_find(net, name, link);
	}
	if (rc == 0 && strcmp(link->kind, "tun") != 0)
		rc = net_fail(net, -EEXIST, NULL, "interface %s is not a TAP", name);
	return rc;
}

static int ensure_tap(struct net *net, const struct net_bridge_names *names, int bridge,
		      uint32_t mtu, struct net_bridge *out)
{
	struct net_link port = { 0 };
	int rc = remove_kind(net, names->port, "veth");

	if (rc == 0)
		rc = remove_kind(net, names->capture, "veth");
	if (rc == 0)
		rc = find_or_create_tap(net, names->port, &port);
	if (rc == 0 && port.master != bridge)
		rc = net_link_set_master(net, port.ifindex, bridge);
	if (rc == 0)
		rc = net_port_set(net, port.ifindex, false, true);
	if (rc == 0)
		rc = ensure_end(net, &port, names->bridge, "port", mtu);
	out->port_ifindex = port.ifindex;
	return rc;
}

int net_bridge_ensure(struct net *net, const char *name, struct mac mac, uint32_t mtu,
		      enum net_port_kind kind, struct net_bridge *bridge, struct why *why)
{
	struct net_bridge out = { .mac = mac, .mtu = mtu };
	struct net_link link;
	int rc;

	if (!net_bridge_names(name, &out.names)) {
		why_set(why, WHY_INVALID, "\"%.32s\" cannot be the name of a bridge", name);
		return -EINVAL;
	}
	if (mtu < NET_MTU_MIN || mtu > NET_MTU_MAX) {
		why_set(why, WHY_INVALID, "MTU %u is not between %u and %u", mtu, NET_MTU_MIN,
			NET_MTU_MAX);
		return -EINVAL;
	}
	if (mac_is_group(mac) || mac_to_u64(mac) == 0) {
		why_set(why, WHY_INVALID, "the MAC of bridge %s must be that of one host", name);
		return -EINVAL;
	}
	rc = ensure_bridge(net, name, mac, mtu, &link);
	if (rc == 0)
		rc = kind == NET_PORT_TAP ? ensure_tap(net, &out.names, link.ifindex, mtu, &out)
					  : ensure_pair(net, &out.names, link.ifindex, mtu, &out);
	if (rc)
		return explain(net, rc, why);
	out.bridge_ifindex = link.ifindex;
	*bridge = out;
	return 0;
}

/* ---- removing ---- */

static int remove_links(struct net *net, const struct net_bridge_names *names, int bridge)
{
	struct net_link *links;
	size_t count;
	int rc = net_links(net, 0, &links, &count);

	for (size_t i = 0; rc == 0 && i < count; i++)
		if (link_is_ours(&links[i], names, bridge))
			rc = net_link_delete(net, links[i].ifindex);
	mem_free(links);
	return rc;
}

static int remove_table(const char *table, struct why *why)
{
	char commands[80];
	bool exists;
	int rc = net_nft_table_exists(table, &exists, why);

	/* Without nftables in the kernel there is no table of ours. */
	if (rc || !exists)
		return 0;
	snprintf(commands, sizeof commands, "delete table inet %s", table);
	return net_nft(commands, NULL, why);
}

int bridge_take_down(struct net *net, const struct net_bridge_names *names, bool tunnel)
{
	struct net_link bridge = { 0 };
	int rc = net_link_find(net, names->bridge, &bridge);

	if (rc == 0 && strcmp(bridge.kind, "bridge") != 0)
		memset(&bridge, 0, sizeof bridge); /* not ours: stays */
	if (rc == 0 || rc == -ENODEV)
		rc = remove_links(net, names, bridge.ifindex);
	if (rc == 0 && tunnel)
		rc = net_tunnel_remove(net, names->bridge);
	if (rc == 0 && bridge.ifindex)
		rc = net_link_delete(net, bridge.ifindex);
	return rc;
}

static int remove_segments(struct net *net, const char *main, struct why *why)
{
	struct net_segment *list;
	size_t count;
	int rc = explain(net, net_segments(net, main, &list, &count), why);

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = net_segment_remove(net, main, list[i].number, why);
	mem_free(list);
	return rc;
}

int net_bridge_remove(struct net *net, const char *name, struct why *why)
{
	struct net_bridge_names names;
	int rc;

	if (!net_bridge_names(name, &names)) {
		why_set(why, WHY_INVALID, "\"%.32s\" cannot be the name of a bridge", name);
		return -EINVAL;
	}
	rc = explain(net, bridge_take_down(net, &names, true), why);
	if (rc == 0)
		rc = remove_segments(net, name, why);
	return rc ? rc : remove_table(names.table, why);
}

/* ---- forwarding database ---- */

bool fdb_parse(const struct nlmsghdr *h, int bridge, struct net_fdb *fdb)
{
	const struct nlattr *attrs[NDA_MAX + 1];
	const struct ndmsg *info = mnl_nlmsg_get_payload(h);

	memset(fdb, 0, sizeof *fdb);
	if (mnl_nlmsg_get_payload_len(h) < sizeof *info || info->ndm_family != AF_BRIDGE)
		return false;
	attrs_parse(attrs, NDA_MAX, h, sizeof *info);
	/* Entries without master are address filters of the device itself. */
	fdb->bridge = (int)attr_u32(attrs[NDA_MASTER]);
	if (fdb->bridge == 0 || (bridge && fdb->bridge != bridge))
		return false;
	fdb->ifindex = info->ndm_ifindex;
	fdb->vlan = attr_u16(attrs[NDA_VLAN]);
	fdb->is_local = info->ndm_state & NUD_PERMANENT;
	return attr_mac(attrs[NDA_LLADDR], &fdb->mac);
}

static int fdb_row(const struct nlmsghdr *h, void *item, const void *filter)
{
	const int *bridge = filter;

	return h->nlmsg_type == RTM_NEWNEIGH && fdb_parse(h, *bridge, item);
}

int net_bridge_fdb(struct net *net, int bridge_ifindex, struct net_fdb **list, size_t *count)
{
	struct ndmsg info = { .ndm_family = AF_BRIDGE };
	struct rows rows = { fdb_row, &bridge_ifindex, sizeof **list, NULL, 0, 0 };
	struct request r;
	int rc;

	request_init(&r, RTM_GETNEIGH, NLM_F_DUMP, &info, sizeof info);
	request_put_u32(&r, NDA_MASTER, (uint32_t)bridge_ifindex);
	rc = net_tried(net, net_query(net, &r, &rows), "list MACs of bridge %d", bridge_ifindex);
	*list = (struct net_fdb *)(void *)rows.items;
	*count = rows.count;
	return rc;
}
