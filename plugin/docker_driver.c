#include <weave/docker.h>

#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/segment.h>

struct mac docker_mac_of(struct ip_addr ip)
{
	struct mac mac = { { 0x02, 0x42 } };
	size_t size = ip.family == 4 ? 4 : 16;

	/* All of an IPv6 address counts. */
	for (size_t i = 0; i < size; i++)
		mac.b[2 + i % 4] ^= ip.b[i];
	return mac;
}

/* ---- networks ---- */

void docker_networks_fini(struct docker_networks *n)
{
	mem_free(n->list);
	*n = (struct docker_networks){ .count = 0 };
}

struct docker_network *docker_network_find(const struct docker_networks *n, const char *id)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->list[i].id, id) == 0)
			return &n->list[i];
	return NULL;
}

bool docker_network_add(struct docker_networks *n, const struct docker_network *network,
			struct why *why)
{
	struct docker_network *known = docker_network_find(n, network->id);

	if (known) {
		*known = *network;
		return true;
	}
	if (n->count == DOCKER_NETWORKS_MAX) {
		why_set(why, WHY_LIMIT, "this router serves at most %u Docker networks",
			DOCKER_NETWORKS_MAX);
		return false;
	}
	if ((n->count & (n->count - 1)) == 0)
		n->list = mem_resize(n->list, n->count ? 2 * n->count : 1, sizeof *n->list);
	n->list[n->count++] = *network;
	return true;
}

bool docker_network_remove(struct docker_networks *n, const char *id)
{
	struct docker_network *known = docker_network_find(n, id);

	if (!known)
		return false;
	*known = n->list[--n->count];
	return true;
}

const char *docker_network_segment(const struct docker_network *n)
{
	const char *key = n->options.segment[0] ? n->options.segment : n->name;

	if (!*key)
		return NULL;
	return strcmp(key, DOCKER_SEGMENT_DEFAULT) == 0 ? SEGMENT_DEFAULT_KEY : key;
}

/* ---- endpoints ---- */

void docker_port_id(const char *endpoint, char *id)
{
	snprintf(id, DOCKER_PORT_ID_SIZE, DOCKER_ID_PREFIX "%.40s", endpoint);
}

bool docker_is_port_id(const char *id)
{
	return strncmp(id, DOCKER_ID_PREFIX, sizeof DOCKER_ID_PREFIX - 1) == 0;
}

/* ---- deciding ---- */

static bool create_network(struct docker_networks *n, const struct docker_request *r,
			   struct why *why)
{
	const struct docker_network *known = docker_network_find(n, r->network);
	struct docker_network network = {
		.options = r->options,
		.internal = r->internal,
		.ipv6 = r->ipv6,
		.pools_count = r->pools_count,
	};

	strcpy(network.id, r->network);
	memcpy(network.pools, r->pools, sizeof network.pools);
	/* An engine that was restored from a copy may say it twice. */
	if (known) {
		strcpy(network.name, known->name);
		network.opened = known->opened;
	}
	return docker_network_add(n, &network, why);
}

static bool need_network(struct docker_networks *n, const char *id, struct docker_plan *plan,
			 struct why *why)
{
	plan->network = docker_network_find(n, id);
	if (plan->network)
		return true;
	why_set(why, WHY_ABSENT,
		"network %.12s is not known to this router: remove it and create it anew", id);
	return false;
}

static const struct docker_range *range_of(const struct docker_range *ranges, size_t count,
					   unsigned family)
{
	for (size_t i = 0; i < count; i++)
		if (ranges[i].universe.ip.family == family)
			return &ranges[i];
	return NULL;
}

static bool is_within(struct cidr inner, struct cidr outer)
{
	return inner.prefix >= outer.prefix && cidr_contains(outer, inner.ip);
}

/* Addresses can only be given out of what all routers share. */
static bool choose_pool(const struct docker_range *ranges, size_t count,
			const struct docker_request *r, struct docker_plan *plan, struct why *why)
{
	const struct docker_range *range = range_of(ranges, count, r->pool_ipv6 ? 6 : 4);
	char a[CIDR_TEXT_SIZE], b[CIDR_TEXT_SIZE];

	if (!range) {
		why_set(why, WHY_INVALID,
			"this router gives out no IPv%d addresses: launch it with an IPv%d "
			"--ipalloc-range",
			r->pool_ipv6 ? 6 : 4, r->pool_ipv6 ? 6 : 4);
		return false;
	}
	plan->automatic = r->pool.subnet.ip.family == 0;
	plan->pool = r->pool;
	if (plan->automatic)
		plan->pool = (struct docker_pool){ range->default_subnet, range->default_subnet };
	if (is_within(plan->pool.subnet, range->universe) &&
	    plan->pool.range.prefix + 2u <= ip_bits(plan->pool.range.ip))
		return true;
	why_set(why, WHY_INVALID,
		"subnet %s is no network of at least 4 addresses within this router's range %s: "
		"choose another, or launch with another --ipalloc-range",
		cidr_text(plan->pool.range, a), cidr_text(range->universe, b));
	return false;
}

/* The network's own address stands for a gateway that nobody has. */
static bool is_stand_in(const struct docker_request *r)
{
	return ip_compare(cidr_network(r->pool.subnet).ip, r->address) == 0;
}

static bool request_address(const struct docker_range *ranges, size_t count,
			    const struct docker_request *r, struct docker_plan *plan,
			    struct why *why)
{
	const struct docker_range *range = range_of(ranges, count, r->pool.subnet.ip.family);
	char a[CIDR_TEXT_SIZE];

	plan->pool = r->pool;
	plan->step = r->address.family ? DOCKER_CLAIM : DOCKER_GIVE;
	if (!range || !is_within(r->pool.subnet, range->universe)) {
		why_set(why, WHY_INVALID,
			"subnet %s is outside this router's --ipalloc-range, which was another "
			"when the network was made",
			cidr_text(r->pool.subnet, a));
		return false;
	}
	if (r->address.family && is_stand_in(r) && r->gateway)
		plan->step = DOCKER_STAND_IN;
	else if (r->address.family && is_stand_in(r)) {
		why_set(why, WHY_INVALID, "%s is the network's own address",
			cidr_text(cidr_network(r->pool.subnet), a));
		return false;
	}
	return true;
}

bool docker_decide(struct docker_networks *n, const struct docker_range *ranges, size_t count,
		   const struct docker_request *r, struct docker_plan *plan, struct why *why)
{
	*plan = (struct docker_plan){ .step = DOCKER_ANSWER };
	switch (r->call) {
	case DOCKER_CREATE_NETWORK:
		plan->step = DOCKER_SAVE;
		return create_network(n, r, why);
	case DOCKER_DELETE_NETWORK:
		/* Removing what is not there is done. */
		if (docker_network_remove(n, r->network))
			plan->step = DOCKER_SAVE;
		return true;
	case DOCKER_CREATE_ENDPOINT:
		plan->step = DOCKER_MAKE;
		return need_network(n, r->network, plan, why);
	case DOCKER_JOIN:
		plan->step = DOCKER_JOIN_SANDBOX;
		return need_network(n, r->network, plan, why);
	case DOCKER_LEAVE:
		plan->step = DOCKER_LEAVE_SANDBOX;
		return true;
	case DOCKER_DELETE_ENDPOINT:
		plan->step = DOCKER_REMOVE;
		return true;
	case DOCKER_REQUEST_POOL:
		plan->step = DOCKER_POOL;
		return choose_pool(ranges, count, r, plan, why);
	case DOCKER_REQUEST_ADDRESS:
		return request_address(ranges, count, r, plan, why);
	case DOCKER_RELEASE_ADDRESS:
		plan->step = is_stand_in(r) ? DOCKER_ANSWER : DOCKER_GIVE_BACK;
		return true;
	default:
		return true; /* answered by docker_answer_alone */
	}
}
