#include "attach_io.h"

#include <errno.h>
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

void attach_announce(const struct attachment *a)
{
	struct attachment is = { 0 };
	struct netns_visit visit;
	struct net_link port = { .ifindex = a->ifindex, .peer = a->container_ifindex };
	struct inside in;

	if (inside_open(&in, a->netns))
		return;
	if (netns_equal(in.id, a->netns_id) && read_container_end(&in, &port, &is) == 0 &&
	    netns_enter(in.fd, &visit) == 0) {
		for (uint32_t i = 0; i < a->cidrs_count; i++)
			if (cidr_listed(a->cidrs[i], is.cidrs, is.cidrs_count))
				net_announce(is.container_ifindex, is.mac, a->cidrs[i].ip);
		netns_leave(&visit);
	}
	inside_close(&in);
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

static int make_plan(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
		     const struct attach_request *req, const struct inside *in,
		     struct attach_plan *plan, struct why *why)
{
	struct cidr exposed[ATTACH_CIDRS_MAX];
	uint32_t exposed_count;
	int rc = look_at(net, bridge, k, req->id, &in->id, req->cidrs, req->cidrs_count, why);

	if (rc)
		return rc;
	rc = explain(
		net,
		link_cidrs(net, bridge->bridge_ifindex, exposed, &exposed_count, ATTACH_CIDRS_MAX),
		why);
	return rc ? rc
		  : attach_plan(req, in->id, k->list, k->count, exposed, exposed_count, plan, why);
}

static void remove_port(struct net *net, struct attach_known *k, int ifindex)
{
	if (net_link_delete(net, ifindex) == 0)
		attach_known_gone(k, ifindex);
}

/* What was attached under 'id' before and is out of sight makes room for the new one.  look_at has
 * just looked. */
static void remove_hidden(struct net *net, struct attach_known *k, const char *id)
{
	for (size_t i = k->hidden_count; id && strcmp(id, ATTACH_UNKNOWN_ID) != 0 && i-- > 0;)
		if (strcmp(k->hidden[i].id, id) == 0)
			remove_port(net, k, k->hidden[i].ifindex);
}

static int carry_out(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
		     const struct attach_request *req, struct inside *in,
		     const struct attach_plan *plan, struct attachment *result, struct why *why)
{
	struct attachment a = { 0 };
	struct net_link port;
	int rc = plan->existing ? attach_more(net, bridge, in, req, plan, &port, why)
				: attach_new(net, bridge, in, req, plan, &port, why);

	if (rc)
		return rc;
	/* From here on 'k' changes, and the plan's pointers into it are not used any more. */
	if (plan->stale)
		remove_port(net, k, plan->stale->ifindex);
	remove_hidden(net, k, req->id);
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
	attach_known_put(k, &a);
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

/* What the caller knows, or else what there is. */
static int begin(struct net *net, const struct net_bridge *bridge, struct attach_known **known,
		 struct attach_known *own, struct why *why)
{
	*own = (struct attach_known){ 0 };
	if (*known)
		return 0;
	*known = own;
	return attach_refresh(net, bridge, own, why);
}

int attach_add(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
	       const struct attach_request *req, struct attachment *result, struct why *why)
{
	struct attach_known own;
	struct inside in = INSIDE_NONE;
	struct attach_plan plan;
	int rc = attach_check(req, bridge->mtu, why);

	if (rc)
		return rc;
	rc = begin(net, bridge, &known, &own, why);
	if (rc == 0)
		rc = open_container(&in, req->netns, why);
	if (rc == 0)
		rc = look_inside(net, bridge, known, &in, req->netns, why);
	if (rc == 0)
		rc = make_plan(net, bridge, known, req, &in, &plan, why);
	if (rc == 0)
		rc = carry_out(net, bridge, known, req, &in, &plan, result, why);
	inside_close(&in);
	attach_known_fini(&own);
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
	result->ifindex = a->ifindex;
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

/* Tells which namespace 'path' leads to, and what of ours is in it. */
static int visit(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
		 const char *path, struct netns_id *id, struct why *why)
{
	struct inside in;
	int rc = inside_open(&in, path);

	if (rc)
		return refuse_open(path, rc, why);
	*id = in.id;
	rc = look_inside(net, bridge, k, &in, path, why);
	inside_close(&in);
	return rc;
}

static int find_by_id(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
		      const char *id, struct attachment *out, struct why *why)
{
	size_t i = 0;
	int rc = look_at(net, bridge, k, id, NULL, NULL, 0, why);

	if (rc)
		return rc;
	while (i < k->count && strcmp(k->list[i].id, id) != 0)
		i++;
	if (i < k->count)
		*out = k->list[i];
	return i < k->count ? 0 : -ENOENT;
}

static int find_by_path(struct net *net, const struct net_bridge *bridge, const char *path,
			struct attachment *out, struct why *why)
{
	struct inside in;
	struct net_link port;
	int rc = inside_open(&in, path);

	if (rc)
		return refuse_open(path, rc, why);
	memset(out, 0, sizeof *out);
	rc = find_port(net, bridge, &in, &port, out)
		     ? explain(in.net, read_container_end(&in, &port, out), why)
		     : -ENOENT;
	inside_close(&in);
	return rc;
}

int attach_find(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
		const struct detach_request *who, struct attachment *out, struct why *why)
{
	struct attach_known own = { 0 };
	int rc = who->netns ? 0 : begin(net, bridge, &known, &own, why);

	if (rc == 0)
		rc = who->netns ? find_by_path(net, bridge, who->netns, out, why)
				: find_by_id(net, bridge, known, who->id, out, why);
	if (rc == -ENOENT)
		why_set(why, WHY_INVALID, "%.110s is not attached",
			who->netns ? who->netns : who->id);
	attach_known_fini(&own);
	return rc;
}

/* The table follows; the plan's pointers into it end here. */
static int carry_out_detach(struct net *net, const struct net_bridge *bridge,
			    struct attach_known *k, const struct detach_plan *plan, struct why *why)
{
	int port = plan->target->ifindex;
	int rc = plan->all ? explain(net, net_link_delete(net, port), why)
			   : remove_cidrs(plan, why);
	struct why unused;

	if (rc == 0 && plan->all)
		attach_known_gone(k, port);
	else
		(void)look_at_port(net, bridge, k, port, &unused);
	return rc;
}

int attach_remove(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
		  const struct detach_request *req, struct detached *result, struct why *why)
{
	struct detached *report = mem_new(1, sizeof *report);
	struct netns_id netns = { 0, 0 };
	struct attach_known own;
	struct detach_plan plan;
	int rc = begin(net, bridge, &known, &own, why);

	if (rc == 0)
		rc = req->netns ? visit(net, bridge, known, req->netns, &netns, why)
				: look_at(net, bridge, known, req->id, NULL, NULL, 0, why);
	if (rc == 0)
		rc = detach_plan(req, netns, known->list, known->count, &plan, why);
	if (rc == 0) {
		detach_report(&plan, report);
		rc = carry_out_detach(net, bridge, known, &plan, why);
	}
	if (rc == 0 && result)
		*result = *report;
	attach_known_fini(&own);
	mem_free(report);
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
