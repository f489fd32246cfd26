/* Containers on the bridge: what is there, found again from the kernel. */
#include "attach_io.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/docker.h>

#include "attach.h"

int explain(struct net *net, int rc, struct why *why)
{
	if (rc < 0)
		why_set(why, WHY_INVALID, "%.150s", net_error(net));
	return rc;
}

/* ---- reading what is there ---- */

void inside_close(struct inside *in)
{
	net_close(in->net);
	if (in->fd >= 0)
		close(in->fd);
	*in = INSIDE_NONE;
}

int inside_open(struct inside *in, const char *path)
{
	int rc;

	*in = INSIDE_NONE;
	rc = netns_open(path, &in->fd);
	if (rc == 0)
		rc = netns_identify(in->fd, &in->id);
	if (rc == 0)
		rc = net_open_at(&in->net, in->fd);
	if (rc)
		inside_close(in);
	return rc;
}

static bool is_given(const struct net_address *a)
{
	return a->cidr.ip.family == 4 || a->scope != RT_SCOPE_LINK;
}

int link_cidrs(struct net *net, int ifindex, struct cidr *list, uint32_t *count, uint32_t max)
{
	struct net_address *all;
	size_t all_count;
	int rc = net_addresses(net, ifindex, &all, &all_count);

	*count = 0;
	for (size_t i = 0; rc == 0 && i < all_count; i++)
		if (is_given(&all[i]) && *count < max)
			list[(*count)++] = all[i].cidr;
	mem_free(all);
	return rc;
}

int read_container_end(struct inside *in, const struct net_link *port, struct attachment *a)
{
	struct net_link end;
	int rc = net_link_get(in->net, port->peer, &end);

	if (rc)
		return rc;
	if (strcmp(end.kind, "veth") != 0 || end.peer != port->ifindex)
		return -ENODEV;
	a->netns_id = in->id;
	a->ifindex = port->ifindex;
	snprintf(a->name, sizeof a->name, "%s", port->name);
	a->container_ifindex = end.ifindex;
	a->mac = end.mac;
	a->mtu = end.mtu;
	return link_cidrs(in->net, end.ifindex, a->cidrs, &a->cidrs_count, ATTACH_CIDRS_MAX);
}

/* The path leads to no namespace any more. */
static bool means_gone(int rc)
{
	return rc == -ENOENT || rc == -ENOTDIR || rc == -EINVAL || rc == -ESRCH;
}

int refuse_open(const char *path, int rc, struct why *why)
{
	if (rc == -EINVAL)
		why_set(why, WHY_INVALID, "%.110s is not a network namespace", path);
	else
		why_set(why, WHY_INVALID, "cannot open network namespace %.80s: %s", path,
			strerror(-rc));
	return rc;
}

enum { PORT_HALF_MADE, PORT_READ, PORT_OUT_OF_SIGHT };

/* READ: 'a' is filled.  HALF_MADE: it never got its alias.  OUT_OF_SIGHT: the path leads elsewhere
 * by now, but the container lives, since the kernel takes a veth away with either of its
 * namespaces: attached by the number of a process that has ended, say.  Or a negative errno. */
static int read_attachment(const char *bridge, const struct net_link *port, struct attachment *a,
			   struct why *why)
{
	struct inside in;
	int rc;

	if (!attach_alias_parse(port->alias, bridge, a))
		return PORT_HALF_MADE;
	rc = inside_open(&in, a->netns);
	if (rc)
		return means_gone(rc) ? PORT_OUT_OF_SIGHT : refuse_open(a->netns, rc, why);
	rc = read_container_end(&in, port, a);
	if (rc && rc != -ENODEV)
		explain(in.net, rc, why);
	inside_close(&in);
	if (rc)
		return rc == -ENODEV ? PORT_OUT_OF_SIGHT : rc;
	return PORT_READ;
}

/* A port of this bridge, or one that lost it: somebody deleted the bridge or unplugged the port.
 * 'scratch' is overwritten. */
static bool is_container_port(const struct net_bridge *bridge, const struct net_link *l,
			      struct attachment *scratch)
{
	if (strcmp(l->kind, "veth") != 0 ||
	    strncmp(l->name, ATTACH_PORT_PREFIX, sizeof ATTACH_PORT_PREFIX - 1) != 0)
		return false;
	return l->master == bridge->bridge_ifindex ||
	       (l->master == 0 && attach_alias_parse(l->alias, bridge->names.bridge, scratch));
}

static int plug_in(struct net *net, const struct net_bridge *bridge, const struct net_link *port,
		   struct why *why)
{
	int rc = 0;

	if (port->master == bridge->bridge_ifindex)
		return 0;
	rc = net_link_set_master(net, port->ifindex, bridge->bridge_ifindex);
	if (rc == 0)
		rc = net_port_set(net, port->ifindex, false, true);
	return explain(net, rc, why);
}

/* The table says afterwards what is so about this port.  Veths that were never finished are
 * removed, those that lost the bridge plugged in again.  'a' is overwritten. */
static int take_port(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
		     const struct net_link *port, struct attachment *a, struct why *why)
{
	int rc;

	memset(a, 0, sizeof *a);
	rc = read_attachment(bridge->names.bridge, port, a, why);
	if (rc < 0)
		return rc;
	if (rc == PORT_HALF_MADE) {
		attach_known_gone(k, port->ifindex);
		return explain(net, net_link_delete(net, port->ifindex), why);
	}
	if (rc == PORT_READ)
		attach_known_put(k, a);
	else
		attach_known_hide(k, port->ifindex, a->id);
	return plug_in(net, bridge, port, why);
}

int attach_refresh(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
		   struct why *why)
{
	struct attachment *a = mem_new(1, sizeof *a);
	struct attach_known k = { 0 };
	struct net_link *links;
	size_t count = 0;
	int rc = explain(net, net_links(net, 0, &links, &count), why);

	for (size_t i = 0; rc == 0 && i < count; i++)
		if (is_container_port(bridge, &links[i], a))
			rc = take_port(net, bridge, &k, &links[i], a, why);
	mem_free(links);
	mem_free(a);
	attach_known_fini(rc ? &k : known);
	if (rc == 0)
		*known = k;
	return rc;
}

int attach_list(struct net *net, const struct net_bridge *bridge, struct attachment **list,
		size_t *count, struct why *why)
{
	struct attach_known k = { 0 };
	int rc = attach_refresh(net, bridge, &k, why);

	*list = k.list;
	*count = k.count;
	k.list = NULL;
	attach_known_fini(&k);
	return rc;
}

bool find_port(struct net *net, const struct net_bridge *bridge, struct inside *in,
	       struct net_link *port, struct attachment *a)
{
	struct net_link *links = NULL;
	size_t count = 0;
	bool found = false;

	if (net_links(in->net, 0, &links, &count))
		return false;
	for (size_t i = 0; i < count && !found; i++)
		found = strcmp(links[i].kind, "veth") == 0 &&
			net_link_get(net, links[i].peer, port) == 0 &&
			port->peer == links[i].ifindex && is_container_port(bridge, port, a) &&
			attach_alias_parse(port->alias, bridge->names.bridge, a) &&
			!docker_is_port_id(a->id);
	mem_free(links);
	return found;
}

/* ---- single entries, read anew ---- */

int look_inside(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
		struct inside *in, const char *path, struct why *why)
{
	struct net_link port;
	struct attachment *a = mem_new(1, sizeof *a);
	int rc = 0;

	if (find_port(net, bridge, in, &port, a)) {
		rc = take_port(net, bridge, k, &port, a, why);
		if (rc == 0 && !attach_known_port(k, port.ifindex) &&
		    strlen(path) <= ATTACH_NETNS_MAX) {
			attach_alias(bridge->names.bridge, a->id, path, port.alias);
			/* If that fails the container stays as it was, and the request says so. */
			if (net_link_set_alias(net, port.ifindex, port.alias) == 0)
				rc = take_port(net, bridge, k, &port, a, why);
		}
	}
	mem_free(a);
	return rc;
}

int look_at_port(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
		 int ifindex, struct why *why)
{
	struct attachment *a = mem_new(1, sizeof *a);
	struct net_link port;
	int rc = net_link_get(net, ifindex, &port);

	if (rc == -ENODEV || (rc == 0 && !is_container_port(bridge, &port, a))) {
		attach_known_gone(k, ifindex);
		rc = 0;
	} else if (rc == 0) {
		rc = take_port(net, bridge, k, &port, a, why);
	} else {
		explain(net, rc, why);
	}
	mem_free(a);
	return rc;
}

const struct attachment *attach_look(struct net *net, const struct net_bridge *bridge,
				     struct attach_known *known, int ifindex)
{
	struct why unused;

	/* What cannot be read counts as it was. */
	(void)look_at_port(net, bridge, known, ifindex, &unused);
	return attach_known_port(known, ifindex);
}

static bool is_concerned(const struct attachment *a, const char *id, const struct netns_id *netns,
			 const struct cidr *cidrs, size_t count)
{
	bool concerned = (id && strcmp(a->id, id) == 0) ||
			 (netns && netns_equal(a->netns_id, *netns));

	for (size_t i = 0; i < count && !concerned; i++)
		concerned = cidr_with_ip(cidrs[i].ip, a->cidrs, a->cidrs_count) != NULL;
	return concerned;
}

int look_at(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
	    const char *id, const struct netns_id *netns, const struct cidr *cidrs, size_t count,
	    struct why *why)
{
	int *ports = mem_new(k->count + k->hidden_count + 1, sizeof *ports);
	size_t n = 0;
	int rc = 0;

	if (id && strcmp(id, ATTACH_UNKNOWN_ID) == 0)
		id = NULL;
	/* First which, since looking changes the table. */
	for (size_t i = 0; i < k->count; i++)
		if (is_concerned(&k->list[i], id, netns, cidrs, count))
			ports[n++] = k->list[i].ifindex;
	for (size_t i = 0; i < k->hidden_count; i++)
		if (id && strcmp(k->hidden[i].id, id) == 0)
			ports[n++] = k->hidden[i].ifindex;
	while (rc == 0 && n > 0)
		rc = look_at_port(net, bridge, k, ports[--n], why);
	mem_free(ports);
	return rc;
}

bool attach_is_hidden(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
		      const char *id)
{
	struct why unused;

	/* What cannot be read counts as it was. */
	(void)look_at(net, bridge, known, id, NULL, NULL, 0, &unused);
	for (size_t i = 0; i < known->hidden_count; i++)
		if (strcmp(known->hidden[i].id, id) == 0)
			return true;
	return false;
}
