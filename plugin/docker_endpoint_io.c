#include <weave/docker_io.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <weave/attach.h>
#include <weave/must.h>

#include "attach.h"
#include "attach_io.h"

#define GUEST_PREFIX "vethwg"
#define PORT_NAME_ATTEMPTS 8u
/* A path at which there never is a namespace: the endpoint is there, but nobody lives in it. */
#define NOWHERE "/dev/null/none"

_Static_assert(DOCKER_SANDBOX_SIZE - 1 <= ATTACH_NETNS_MAX, "a sandbox fits the alias");
_Static_assert(DOCKER_PORT_ID_SIZE - 1 <= ATTACH_ID_MAX, "so does the id");

static void port_name(const char *id, unsigned attempt, char *name)
{
	attach_port_name(id, (struct netns_id){ 0, 0 }, attempt, name);
}

static void guest_name(const char *port, char *name)
{
	snprintf(name, NET_NAME_SIZE, GUEST_PREFIX "%.9s", port + sizeof ATTACH_PORT_PREFIX - 1);
}

/* Whether the alias is one of this endpoint, on whatever bridge: "weave/1 <bridge> <id> <path>". */
static bool is_of(const struct net_link *l, const char *id)
{
	const char *at = strstr(l->alias, id);

	return at && at > l->alias && at[-1] == ' ' && at[strlen(id)] == ' ';
}

/* The bridge's name in the alias, which every port of ours has. */
static bool bridge_of(const struct net_link *l, char *bridge)
{
	return sscanf(l->alias, "weave/%*d %15s ", bridge) == 1;
}

static int find_endpoint(struct net *net, const char *id, struct net_link *port)
{
	char name[NET_NAME_SIZE];

	for (unsigned attempt = 0; attempt < PORT_NAME_ATTEMPTS; attempt++) {
		int rc;

		port_name(id, attempt, name);
		rc = net_link_find(net, name, port);
		if (rc == 0 && is_of(port, id))
			return 0;
		if (rc && rc != -ENODEV)
			return rc;
	}
	return -ENOENT;
}

static int choose_mac(struct mac *mac)
{
	static const struct mac none;
	ssize_t n;

	if (!mac_equal(*mac, none))
		return 0;
	n = getrandom(mac->b, sizeof mac->b, 0);
	if (n != (ssize_t)sizeof mac->b)
		return n < 0 ? -errno : -EIO;
	mac->b[0] = (uint8_t)((mac->b[0] & 0xfc) | 2); /* one host, locally administered */
	return 0;
}

static int create_pair(struct net *net, const struct net_bridge *bridge, const char *id,
		       const struct mac *mac, uint32_t mtu, char *name)
{
	char guest[NET_NAME_SIZE];
	struct net_veth veth = {
		.name = name,
		.peer_name = guest,
		.peer_netns = -1,
		.master = bridge->bridge_ifindex,
		.mtu = mtu,
		.mac_peer = mac,
	};
	int rc = -EEXIST;

	for (unsigned attempt = 0; rc == -EEXIST && attempt < PORT_NAME_ATTEMPTS; attempt++) {
		port_name(id, attempt, name);
		guest_name(name, guest);
		rc = net_veth_create(net, &veth);
	}
	return rc;
}

/* The alias comes first: a port without one is removed by the next listing, as half made. */
static int configure_port(struct net *net, const struct net_bridge *bridge, const char *id,
			  const struct net_link *port)
{
	char alias[NET_ALIAS_SIZE], path[64];
	int rc;

	attach_alias(bridge->names.bridge, id, NOWHERE, alias);
	snprintf(path, sizeof path, "ipv6/conf/%s/accept_ra", port->name);
	rc = net_link_set_alias(net, port->ifindex, alias);
	if (rc == 0)
		rc = net_link_set_no_ipv6_addresses(net, port->ifindex);
	if (rc == 0)
		rc = net_port_set(net, port->ifindex, false, true);
	if (rc == 0)
		rc = net_sysctl(path, "0");
	return rc ? rc : net_link_set_up(net, port->ifindex, true);
}

int docker_endpoint_make(struct net *net, const struct net_bridge *bridge, const char *endpoint,
			 struct mac *mac, uint32_t mtu, struct why *why)
{
	char id[DOCKER_PORT_ID_SIZE], name[NET_NAME_SIZE];
	struct net_link port;
	int rc = docker_endpoint_remove(net, endpoint, why);

	if (rc == 0) {
		rc = choose_mac(mac);
		if (rc)
			why_set(why, WHY_TRANSPORT, "no random bytes: %s", strerror(-rc));
	}
	if (rc)
		return rc;
	docker_port_id(endpoint, id);
	rc = create_pair(net, bridge, id, mac, mtu, name);
	if (rc == 0)
		rc = net_link_find(net, name, &port);
	if (rc)
		return explain(net, rc, why);
	rc = explain(net, configure_port(net, bridge, id, &port), why);
	/* Docker does not ask to delete what it was told could not be made. */
	if (rc)
		net_link_delete(net, port.ifindex);
	return rc;
}

int docker_endpoint_settle(struct net *net, const char *endpoint, const char *sandbox, char *guest,
			   struct why *why)
{
	char id[DOCKER_PORT_ID_SIZE], alias[NET_ALIAS_SIZE], bridge[NET_NAME_SIZE];
	struct net_link port;
	int rc;

	docker_port_id(endpoint, id);
	rc = find_endpoint(net, id, &port);
	if (rc == -ENOENT || (rc == 0 && !bridge_of(&port, bridge))) {
		why_set(why, WHY_ABSENT, "endpoint %.12s is not there any more", endpoint);
		return -ENOENT;
	}
	if (rc)
		return explain(net, rc, why);
	attach_alias(bridge, id, sandbox ? sandbox : NOWHERE, alias);
	if (guest)
		guest_name(port.name, guest);
	return explain(net, net_link_set_alias(net, port.ifindex, alias), why);
}

int docker_endpoint_remove(struct net *net, const char *endpoint, struct why *why)
{
	char id[DOCKER_PORT_ID_SIZE];
	struct net_link port;
	int rc;

	docker_port_id(endpoint, id);
	rc = find_endpoint(net, id, &port);
	if (rc == 0)
		rc = net_link_delete(net, port.ifindex);
	return rc == -ENOENT ? 0 : explain(net, rc, why);
}
