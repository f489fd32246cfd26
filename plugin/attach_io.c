#include "attach_io.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <weave/alloc.h>

#include "attach.h"

/* Until the bridge forwards for a new port; normally one or two milliseconds. */
#define FORWARDING_WAIT_MS 1000u
#define PORT_NAME_ATTEMPTS 8u

static const struct cidr multicast = { { 4, { 224 } }, 4 };

/* A container's namespace while we work in it. */
struct inside {
	int fd;
	struct net *net;
	struct netns_id id;
};

#define INSIDE_NONE ((struct inside){ .fd = -1 })

int explain(struct net *net, int rc, struct why *why)
{
	if (rc < 0)
		why_set(why, WHY_INVALID, "%.150s", net_error(net));
	return rc;
}

/* ---- reading what is there ---- */

static void inside_close(struct inside *in)
{
	net_close(in->net);
	if (in->fd >= 0)
		close(in->fd);
	*in = INSIDE_NONE;
}

/* 0 or a negative errno; on failure nothing stays open. */
static int inside_open(struct inside *in, const char *path)
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

/* The container's end of a port. -ENODEV: it is not there, or is not this port's other end. */
static int read_container_end(struct inside *in, const struct net_link *port, struct attachment *a)
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

static int refuse_open(const char *path, int rc, struct why *why)
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

int attach_list(struct net *net, const struct net_bridge *bridge, struct attachment **list,
		size_t *count, struct why *why)
{
	struct net_link *links;
	size_t links_count, n = 0;
	int rc = explain(net, net_links(net, 0, &links, &links_count), why);

	*list = rc ? NULL : mem_new(links_count, sizeof **list);
	*count = 0;
	for (size_t i = 0; rc == 0 && i < links_count; i++) {
		if (!is_container_port(bridge, &links[i], &(*list)[n]))
			continue;
		memset(&(*list)[n], 0, sizeof **list);
		rc = read_attachment(bridge->names.bridge, &links[i], &(*list)[n], why);
		if (rc == PORT_READ)
			n++;
		if (rc == PORT_HALF_MADE)
			rc = explain(net, net_link_delete(net, links[i].ifindex), why);
		else if (rc > 0)
			rc = plug_in(net, bridge, &links[i], why);
	}
	mem_free(links);
	if (rc) {
		mem_free(*list);
		*list = NULL;
		return rc;
	}
	*count = n;
	return 0;
}

int attach_ids(struct net *net, const struct net_bridge *bridge, struct attach_id **ids,
	       size_t *count, struct why *why)
{
	struct net_link *links = NULL;
	struct attachment *a = mem_new(1, sizeof *a);
	size_t links_count = 0;
	int rc = explain(net, net_links(net, 0, &links, &links_count), why);

	*ids = rc ? NULL : mem_new(links_count + 1, sizeof **ids);
	*count = 0;
	for (size_t i = 0; rc == 0 && i < links_count; i++) {
		if (!is_container_port(bridge, &links[i], a) ||
		    !attach_alias_parse(links[i].alias, bridge->names.bridge, a))
			continue;
		memcpy((*ids)[*count].text, a->id, sizeof a->id);
		++*count;
	}
	mem_free(links);
	mem_free(a);
	return rc;
}

/* The port whose other end is in this namespace, whatever that is called there by now; 'a' gets
 * what its alias says. */
static bool find_port(struct net *net, const struct net_bridge *bridge, struct inside *in,
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
			attach_alias_parse(port->alias, bridge->names.bridge, a);
	mem_free(links);
	return found;
}

/* A container that is out of sight is seen again when somebody names its namespace anew: its port
 * takes 'path' for the one that leads elsewhere. */
static void adopt_path(struct net *net, const struct net_bridge *bridge, struct inside *in,
		       const char *path)
{
	struct net_link port;
	struct attachment *a = mem_new(1, sizeof *a);
	char alias[NET_ALIAS_SIZE];
	struct why unused;

	if (strlen(path) <= ATTACH_NETNS_MAX && find_port(net, bridge, in, &port, a) &&
	    read_attachment(bridge->names.bridge, &port, a, &unused) == PORT_OUT_OF_SIGHT) {
		attach_alias(bridge->names.bridge, a->id, path, alias);
		/* If that fails the container stays as it was, and the request says so. */
		(void)net_link_set_alias(net, port.ifindex, alias);
	}
	mem_free(a);
}

/* What was attached under 'id' before and is out of sight makes room for the new one. */
static void remove_out_of_sight(struct net *net, const struct net_bridge *bridge, const char *id)
{
	struct attachment *a = mem_new(1, sizeof *a);
	struct net_link *links = NULL;
	size_t count = 0;
	struct why unused;

	if (!id || strcmp(id, ATTACH_UNKNOWN_ID) == 0 || net_links(net, 0, &links, &count))
		count = 0;
	for (size_t i = 0; i < count; i++)
		/* Looking into a namespace takes time: not into all of them. */
		if (is_container_port(bridge, &links[i], a) &&
		    attach_alias_parse(links[i].alias, bridge->names.bridge, a) &&
		    strcmp(a->id, id) == 0 &&
		    read_attachment(bridge->names.bridge, &links[i], a, &unused) ==
			    PORT_OUT_OF_SIGHT)
			net_link_delete(net, links[i].ifindex);
	mem_free(links);
	mem_free(a);
}

/* ---- the container's side ---- */

static bool any_ipv6(const struct attach_plan *plan)
{
	for (uint32_t i = 0; i < plan->cidrs_count; i++)
		if (plan->cidrs[i].ip.family == 6)
			return true;
	return false;
}

/* Sysctls are files of the namespace that the opening thread is in. */
static int tune_inside(const struct inside *in, const struct net_link *end, bool ipv6,
		       struct why *why)
{
	struct netns_visit visit;
	char path[64];
	int rc = netns_enter(in->fd, &visit);

	if (rc == 0) {
		rc = net_tune(end->name);
		/* Container engines switch IPv6 off where they gave no such address. */
		snprintf(path, sizeof path, "ipv6/conf/%s/disable_ipv6", end->name);
		if (rc == 0 && ipv6)
			rc = net_sysctl(path, "0");
		netns_leave(&visit);
	}
	if (rc)
		why_set(why, WHY_INVALID, "cannot write the sysctls of %s in the container: %s",
			end->name, strerror(-rc));
	return rc;
}

static void announce(const struct inside *in, int ifindex, struct mac mac,
		     const struct attach_plan *plan)
{
	struct netns_visit visit;

	if (plan->cidrs_count == 0 || netns_enter(in->fd, &visit))
		return;
	/* Only a hint for caches elsewhere, which notice without it after some seconds. */
	for (uint32_t i = 0; i < plan->cidrs_count; i++)
		net_announce(ifindex, mac, plan->cidrs[i].ip);
	netns_leave(&visit);
}

/* Adds all addresses of the plan, or none. */
static int add_cidrs(struct inside *in, int ifindex, const struct attach_plan *plan,
		     struct why *why)
{
	uint32_t done = 0;
	int rc = 0;

	while (rc == 0 && done < plan->cidrs_count) {
		rc = net_address_add(in->net, ifindex, plan->cidrs[done]);
		if (rc == 0)
			done++;
	}
	if (rc == 0)
		return 0;
	explain(in->net, rc, why);
	while (done > 0)
		net_address_remove(in->net, ifindex, plan->cidrs[--done]);
	return rc;
}

static int add_multicast_route(struct inside *in, int ifindex, bool wanted, struct why *why)
{
	int rc = wanted ? net_route_add(in->net, multicast, ifindex) : 0;

	/* Ours from before, or the container's own choice. */
	return rc == -EEXIST ? 0 : explain(in->net, rc, why);
}

static int configure_end(struct inside *in, const struct net_link *end,
			 const struct attach_request *req, const struct attach_plan *plan,
			 struct why *why)
{
	int rc = tune_inside(in, end, any_ipv6(plan), why);

	if (rc == 0)
		rc = explain(in->net, net_link_set_up(in->net, end->ifindex, true), why);
	if (rc == 0)
		rc = add_cidrs(in, end->ifindex, plan, why);
	if (rc == 0)
		rc = add_multicast_route(in, end->ifindex, req->multicast_route, why);
	return rc;
}

/* ---- a new pair ---- */

static int random_mac(struct mac *mac)
{
	ssize_t n = getrandom(mac->b, sizeof mac->b, 0);

	if (n != (ssize_t)sizeof mac->b)
		return n < 0 ? -errno : -EIO;
	mac->b[0] = (uint8_t)((mac->b[0] & 0xfc) | 2); /* one host, locally administered */
	return 0;
}

static int refuse_other_interface(struct inside *in, struct why *why)
{
	struct net_link link;
	int rc = net_link_find(in->net, ATTACH_INTERFACE, &link);

	if (rc == -ENODEV)
		return 0;
	if (rc)
		return explain(in->net, rc, why);
	why_set(why, WHY_INVALID,
		"the container has an interface %s already that is not on this bridge",
		ATTACH_INTERFACE);
	return -EEXIST;
}

/* Makes the pair under the first free name; 'name' tells which. */
static int create_pair(struct net *net, struct inside *in, const struct attach_request *req,
		       const struct net_bridge *bridge, char *name, struct why *why)
{
	struct mac mac;
	struct net_veth veth = {
		.name = name,
		.peer_name = ATTACH_INTERFACE,
		.peer_netns = in->fd,
		.master = bridge->bridge_ifindex,
		.mtu = req->mtu ? req->mtu : bridge->mtu,
		.mac_peer = &mac,
	};
	int rc = random_mac(&mac);

	if (rc) {
		why_set(why, WHY_INVALID, "no random bytes: %s", strerror(-rc));
		return rc;
	}
	rc = refuse_other_interface(in, why);
	if (rc)
		return rc;
	for (unsigned attempt = 0; attempt < PORT_NAME_ATTEMPTS; attempt++) {
		attach_port_name(req->id, in->id, attempt, name);
		rc = net_veth_create(net, &veth);
		if (rc != -EEXIST)
			break;
	}
	return explain(net, rc, why);
}

/* The host's end; the alias comes first, so that a crash from here on leaves nothing nameless. */
static int configure_port(struct net *net, const struct net_link *port,
			  const struct attach_request *req, const char *bridge, struct why *why)
{
	char alias[NET_ALIAS_SIZE], path[64];
	int rc;

	attach_alias(bridge, req->id, req->netns, alias);
	snprintf(path, sizeof path, "ipv6/conf/%s/accept_ra", port->name);
	rc = net_link_set_alias(net, port->ifindex, alias);
	if (rc == 0)
		rc = net_link_set_no_ipv6_addresses(net, port->ifindex);
	if (rc == 0)
		rc = net_port_set(net, port->ifindex, false, true);
	if (rc)
		return explain(net, rc, why);
	rc = net_sysctl(path, "0");
	if (rc) {
		why_set(why, WHY_INVALID, "cannot write sysctl %s: %s", path, strerror(-rc));
		return rc;
	}
	return explain(net, net_link_set_up(net, port->ifindex, true), why);
}

static int attach_new(struct net *net, const struct net_bridge *bridge, struct inside *in,
		      const struct attach_request *req, const struct attach_plan *plan,
		      struct net_link *port, struct why *why)
{
	struct net_link end;
	char name[NET_NAME_SIZE];
	int rc = create_pair(net, in, req, bridge, name, why);

	if (rc)
		return rc;
	rc = explain(net, net_link_find(net, name, port), why);
	if (rc)
		return rc; /* somebody removed it in this moment */
	rc = configure_port(net, port, req, bridge->names.bridge, why);
	if (rc == 0)
		rc = explain(in->net, net_link_get(in->net, port->peer, &end), why);
	if (rc == 0)
		rc = configure_end(in, &end, req, plan, why);
	if (rc == 0)
		rc = explain(net, net_port_wait(net, port->ifindex, FORWARDING_WAIT_MS), why);
	if (rc)
		net_link_delete(net, port->ifindex);
	return rc;
}

/* ---- a pair that is there ---- */

/* A namespace attached without id gets the one that is known now. */
static int adopt_id(struct net *net, const struct net_bridge *bridge, const struct attachment *a,
		    const char *id)
{
	char alias[NET_ALIAS_SIZE];

	if (!id || strcmp(a->id, ATTACH_UNKNOWN_ID) != 0 || strcmp(id, ATTACH_UNKNOWN_ID) == 0)
		return 0;
	attach_alias(bridge->names.bridge, id, a->netns, alias);
	return net_link_set_alias(net, a->ifindex, alias);
}

static int attach_more(struct net *net, const struct net_bridge *bridge, struct inside *in,
		       const struct attach_request *req, const struct attach_plan *plan,
		       struct net_link *port, struct why *why)
{
	const struct attachment *a = plan->existing;
	struct net_link end;
	int rc = explain(net, net_link_get(net, a->ifindex, port), why);

	if (rc == 0)
		rc = explain(in->net, net_link_get(in->net, a->container_ifindex, &end), why);
	if (rc == 0)
		rc = tune_inside(in, &end, any_ipv6(plan), why);
	if (rc == 0)
		rc = explain(net, adopt_id(net, bridge, a, req->id), why);
	/* A new route stays even if the addresses are refused: it was asked for once before. */
	if (rc == 0)
		rc = add_cidrs(in, end.ifindex, plan, why);
	if (rc)
		return rc;
	rc = add_multicast_route(in, end.ifindex, req->multicast_route, why);
	for (uint32_t i = 0; rc && i < plan->cidrs_count; i++)
		net_address_remove(in->net, end.ifindex, plan->cidrs[i]);
	return rc;
}

/* ---- attach ---- */

static int open_container(struct inside *in, const char *path, struct why *why)
{
	struct netns_id own;
	int rc = inside_open(in, path);

	if (rc)
		return refuse_open(path, rc, why);
	rc = netns_identify_own(&own);
	if (rc == 0 && netns_equal(own, in->id)) {
		why_set(why, WHY_INVALID,
			"the container uses the host's own network namespace: use weave expose");
		rc = -EINVAL;
	} else if (rc) {
		why_set(why, WHY_INVALID, "cannot tell the host's own network namespace: %s",
			strerror(-rc));
	}
	if (rc)
		inside_close(in);
	return rc;
}

static int make_plan(struct net *net, const struct net_bridge *bridge,
		     const struct attach_request *req, const struct inside *in,
		     struct attachment **list, struct attach_plan *plan, struct why *why)
{
	struct cidr exposed[ATTACH_CIDRS_MAX];
	uint32_t exposed_count;
	size_t count;
	int rc = attach_list(net, bridge, list, &count, why);

	if (rc)
		return rc;
	rc = explain(
		net,
		link_cidrs(net, bridge->bridge_ifindex, exposed, &exposed_count, ATTACH_CIDRS_MAX),
		why);
	return rc ? rc : attach_plan(req, in->id, *list, count, exposed, exposed_count, plan, why);
}

static int carry_out(struct net *net, const struct net_bridge *bridge,
		     const struct attach_request *req, struct inside *in,
		     const struct attach_plan *plan, struct attachment *result, struct why *why)
{
	struct attachment a = { 0 };
	struct net_link port;
	int rc = plan->existing ? attach_more(net, bridge, in, req, plan, &port, why)
				: attach_new(net, bridge, in, req, plan, &port, why);

	if (rc)
		return rc;
	if (plan->stale)
		net_link_delete(net, plan->stale->ifindex);
	remove_out_of_sight(net, bridge, req->id);
	rc = explain(net, net_link_get(net, port.ifindex, &port), why);
	if (rc == 0)
		rc = explain(in->net, read_container_end(in, &port, &a), why);
	if (rc)
		return rc; /* taken away again by somebody else */
	if (!attach_alias_parse(port.alias, bridge->names.bridge, &a)) {
		why_set(why, WHY_INVALID, "somebody changed the alias of %s", port.name);
		return -EIO;
	}
	announce(in, a.container_ifindex, a.mac, plan);
	if (result)
		*result = a;
	return 0;
}

int attach_identity(struct net *net, const struct net_bridge *bridge,
		    const struct attach_request *req, char *id, struct why *why)
{
	struct attachment *a = mem_new(1, sizeof *a);
	struct inside in = INSIDE_NONE;
	struct net_link port;
	int rc = attach_check(req, bridge->mtu, why);

	if (rc == 0)
		rc = open_container(&in, req->netns, why);
	if (rc == 0 && find_port(net, bridge, &in, &port, a) &&
	    strcmp(a->id, ATTACH_UNKNOWN_ID) != 0)
		strcpy(id, a->id);
	else if (rc == 0)
		strcpy(id, req->id ? req->id : ATTACH_UNKNOWN_ID);
	inside_close(&in);
	mem_free(a);
	return rc;
}

int attach_add(struct net *net, const struct net_bridge *bridge, const struct attach_request *req,
	       struct attachment *result, struct why *why)
{
	struct attachment *list = NULL;
	struct inside in = INSIDE_NONE;
	struct attach_plan plan;
	int rc = attach_check(req, bridge->mtu, why);

	if (rc == 0)
		rc = open_container(&in, req->netns, why);
	if (rc == 0) {
		adopt_path(net, bridge, &in, req->netns);
		rc = make_plan(net, bridge, req, &in, &list, &plan, why);
	}
	if (rc == 0)
		rc = carry_out(net, bridge, req, &in, &plan, result, why);
	inside_close(&in);
	mem_free(list);
	return rc;
}

/* ---- detach ---- */

/* Puts back what should be there: addresses of a failed removal, and secondary addresses that went
 * with their primary because the container forbids promoting them. */
static void restore(struct inside *in, const struct attachment *a, const struct detach_plan *gone)
{
	for (uint32_t i = 0; i < a->cidrs_count; i++)
		if (!gone || !cidr_listed(a->cidrs[i], gone->cidrs, gone->cidrs_count))
			net_address_add(in->net, a->container_ifindex, a->cidrs[i]);
}

static int remove_cidrs(const struct detach_plan *plan, struct why *why)
{
	const struct attachment *a = plan->target;
	struct inside in;
	int rc = inside_open(&in, a->netns);

	if (rc)
		return refuse_open(a->netns, rc, why);
	for (uint32_t i = 0; rc == 0 && i < plan->cidrs_count; i++) {
		rc = net_address_remove(in.net, a->container_ifindex, plan->cidrs[i]);
		if (rc == -EADDRNOTAVAIL) /* went with its primary, see restore() */
			rc = 0;
	}
	explain(in.net, rc, why);
	restore(&in, a, rc ? NULL : plan);
	inside_close(&in);
	return rc;
}

static void detach_report(const struct detach_plan *plan, struct detached *result)
{
	const struct attachment *a = plan->target;

	memset(result, 0, sizeof *result);
	result->mac = a->mac;
	result->cidrs_count = plan->cidrs_count;
	memcpy(result->cidrs, plan->cidrs, plan->cidrs_count * sizeof plan->cidrs[0]);
	if (plan->all)
		return;
	result->left = *a;
	result->left.cidrs_count = 0;
	for (uint32_t i = 0; i < a->cidrs_count; i++)
		if (!cidr_listed(a->cidrs[i], plan->cidrs, plan->cidrs_count))
			result->left.cidrs[result->left.cidrs_count++] = a->cidrs[i];
}

/* Tells which namespace 'path' leads to, and sees a container of ours in it again. */
static int look_inside(struct net *net, const struct net_bridge *bridge, const char *path,
		       struct netns_id *id, struct why *why)
{
	struct inside in;
	int rc = inside_open(&in, path);

	if (rc)
		return refuse_open(path, rc, why);
	*id = in.id;
	adopt_path(net, bridge, &in, path);
	inside_close(&in);
	return 0;
}

static int find_by_id(struct net *net, const struct net_bridge *bridge, const char *id,
		      struct attachment *out, struct why *why)
{
	struct attachment *list;
	size_t count, i = 0;
	int rc = attach_list(net, bridge, &list, &count, why);

	if (rc)
		return rc;
	while (i < count && strcmp(list[i].id, id) != 0)
		i++;
	if (i < count)
		*out = list[i];
	mem_free(list);
	return i < count ? 0 : -ENOENT;
}

int attach_find(struct net *net, const struct net_bridge *bridge, const struct detach_request *who,
		struct attachment *out, struct why *why)
{
	struct inside in;
	struct net_link port;
	int rc;

	if (!who->netns) {
		rc = find_by_id(net, bridge, who->id, out, why);
	} else {
		rc = inside_open(&in, who->netns);
		if (rc)
			return refuse_open(who->netns, rc, why);
		memset(out, 0, sizeof *out);
		rc = find_port(net, bridge, &in, &port, out)
			     ? explain(in.net, read_container_end(&in, &port, out), why)
			     : -ENOENT;
		inside_close(&in);
	}
	if (rc == -ENOENT)
		why_set(why, WHY_INVALID, "%.110s is not attached",
			who->netns ? who->netns : who->id);
	return rc;
}

int attach_remove(struct net *net, const struct net_bridge *bridge,
		  const struct detach_request *req, struct detached *result, struct why *why)
{
	struct attachment *list = NULL;
	struct netns_id netns = { 0, 0 };
	struct detach_plan plan;
	size_t count;
	int rc = req->netns ? look_inside(net, bridge, req->netns, &netns, why) : 0;

	if (rc == 0)
		rc = attach_list(net, bridge, &list, &count, why);
	if (rc == 0)
		rc = detach_plan(req, netns, list, count, &plan, why);
	if (rc == 0)
		rc = plan.all ? explain(net, net_link_delete(net, plan.target->ifindex), why)
			      : remove_cidrs(&plan, why);
	if (rc == 0 && result)
		detach_report(&plan, result);
	mem_free(list);
	return rc;
}

/* ---- MTU ---- */

static int set_mtu(struct net *net, const struct attachment *a, uint32_t mtu, struct why *why)
{
	struct inside in;
	int rc = explain(net, net_link_set_mtu(net, a->ifindex, mtu), why);

	if (rc)
		return rc;
	rc = inside_open(&in, a->netns);
	if (rc)
		return refuse_open(a->netns, rc, why);
	rc = explain(in.net, net_link_set_mtu(in.net, a->container_ifindex, mtu), why);
	inside_close(&in);
	return rc;
}

int attach_set_mtu(struct net *net, const struct net_bridge *bridge, uint32_t mtu, struct why *why)
{
	struct attachment *list;
	size_t count;
	int rc = attach_list(net, bridge, &list, &count, why);

	if (rc)
		return rc;
	for (size_t i = 0; i < count; i++) {
		struct why this_why;
		int this_rc = set_mtu(net, &list[i], mtu, &this_why);

		if (this_rc && !rc) {
			rc = this_rc;
			*why = this_why;
		}
	}
	mem_free(list);
	return rc;
}
