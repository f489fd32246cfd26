#include <weave/net_segment.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>

#include "names.h"
#include "netlink_io.h"

#define WORD "segment "

static int set_in(const char *area, const char *name, const char *setting, const char *value)
{
	char path[96];

	snprintf(path, sizeof path, "%s/conf/%s/%s", area, name, setting);
	return net_sysctl(path, value);
}

/* The host's stack takes nothing from the bridge: there is no address on it, so that with rp_filter
 * every IPv4 source is one that should not come from there; ARP is not answered either. */
static int shut_host_out(const char *name)
{
	int rc = set_in("ipv4", name, "rp_filter", "1");

	if (rc == 0)
		rc = set_in("ipv4", name, "forwarding", "0");
	if (rc == 0)
		rc = set_in("ipv4", name, "arp_ignore", "8");
	if (rc == 0)
		rc = set_in("ipv6", name, "disable_ipv6", "1");
	return rc;
}

static int set_alias(struct net *net, const struct net_bridge *b, const char *key)
{
	char rest[SEGMENT_KEY_MAX + sizeof WORD], alias[NET_ALIAS_SIZE];
	struct net_link link;
	int rc = net_link_get(net, b->bridge_ifindex, &link);

	snprintf(rest, sizeof rest, WORD "%s", key);
	if (rc == 0 && !net_alias(b->names.bridge, rest, alias))
		rc = -ENAMETOOLONG;
	if (rc || strcmp(link.alias, alias) == 0)
		return rc;
	return net_link_set_alias(net, link.ifindex, alias);
}

int net_segment_ensure(struct net *net, const char *main, uint32_t segment, const char *key,
		       struct mac mac, uint32_t mtu, enum net_port_kind kind,
		       struct net_bridge *bridge, struct why *why)
{
	char name[NET_NAME_SIZE];
	int rc;

	net_segment_name(main, segment, name);
	rc = net_bridge_ensure(net, name, mac, mtu, kind, bridge, why);
	if (rc)
		return rc;
	rc = shut_host_out(name);
	if (rc) {
		why_set(why, WHY_TRANSPORT, "cannot keep the host off bridge %s: %s", name,
			strerror(-rc));
		return rc;
	}
	/* Last: now it is whole. */
	rc = set_alias(net, bridge, key);
	if (rc)
		why_set(why, WHY_TRANSPORT, "%.150s", net_error(net));
	return rc;
}

static bool is_segment(const struct net_link *link, const char *main, struct net_segment *out)
{
	const char *rest = net_alias_rest(link->alias, link->name);

	memset(out, 0, sizeof *out);
	if (strcmp(link->kind, "bridge") != 0 || !rest ||
	    !net_segment_number(main, link->name, &out->number))
		return false;
	if (strncmp(rest, WORD, sizeof WORD - 1) == 0 && segment_key_ok(rest + sizeof WORD - 1))
		snprintf(out->key, sizeof out->key, "%s", rest + sizeof WORD - 1);
	return true;
}

int net_segments(struct net *net, const char *main, struct net_segment **list, size_t *count)
{
	struct net_segment found;
	struct net_link *links;
	size_t links_count;
	int rc = net_links(net, 0, &links, &links_count);

	*list = NULL;
	*count = 0;
	for (size_t i = 0; rc == 0 && i < links_count; i++) {
		if (!is_segment(&links[i], main, &found))
			continue;
		*list = mem_resize(*list, *count + 1, sizeof **list);
		(*list)[(*count)++] = found;
	}
	mem_free(links);
	return rc;
}

int net_segment_remove(struct net *net, const char *main, uint32_t segment, struct why *why)
{
	struct net_bridge_names names;
	char name[NET_NAME_SIZE];
	int rc;

	net_segment_name(main, segment, name);
	net_bridge_names(name, &names);
	rc = bridge_take_down(net, &names, false);
	if (rc)
		why_set(why, WHY_TRANSPORT, "%.150s", net_error(net));
	return rc;
}
