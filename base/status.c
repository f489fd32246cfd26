#include <weave/status.h>

#include <stdarg.h>
#include <stdio.h>

#include <weave/alloc.h>
#include <weave/must.h>

const char *status_connection_state_name(enum status_connection_state state)
{
	static const char *const names[] = {
#define X(name, text) [STATUS_##name] = (text),
		STATUS_CONNECTION_STATES(X)
#undef X
	};

	_Static_assert(ARRAY_COUNT(names) == STATUS_CONNECTION_STATES_COUNT, "a name per state");
	MUST((size_t)state < ARRAY_COUNT(names));
	return names[state];
}

/* Room for one more element behind 'count'.  Arrays double, so their capacity follows from the
 * count alone: it is full whenever the count is zero or a power of two. */
static void *grow(void *array, size_t count, size_t size)
{
	if ((count & (count - 1)) == 0)
		return mem_resize(array, count ? 2 * count : 1, size);
	return array;
}

#define APPEND(array, count, ...)                                                                  \
	((array) = grow((array), (count), sizeof *(array)), (array)[(count)] = __VA_ARGS__,        \
	 &(array)[(count)++])

void status_init(struct status *s)
{
	*s = (struct status){ 0 };
}

void status_fini(struct status *s)
{
	for (size_t i = 0; i < s->peers_count; i++)
		mem_free(s->peers[i].connections);
	for (size_t i = 0; i < s->broadcast_routes_count; i++)
		mem_free(s->broadcast_routes[i].via);
	for (size_t i = 0; i < s->endpoints_count; i++)
		mem_free(s->endpoints[i].ips);
	for (size_t i = 0; i < s->universes_count; i++) {
		mem_free(s->universes[i].owners);
		mem_free(s->universes[i].entries);
		mem_free(s->universes[i].pendings);
		mem_free(s->universes[i].waiting_for);
	}
	for (size_t i = 0; i < s->owned_count; i++)
		mem_free(s->owned[i]);
	mem_free(s->targets);
	mem_free(s->connections);
	mem_free(s->peers);
	mem_free(s->unicast_routes);
	mem_free(s->broadcast_routes);
	mem_free(s->endpoints);
	mem_free(s->drops);
	mem_free(s->warnings);
	mem_free(s->trusted_subnets);
	for (size_t i = 0; i < s->networks_count; i++)
		mem_free(s->networks[i].peers);
	mem_free(s->networks);
	mem_free(s->universes);
	mem_free(s->default_subnets);
	mem_free(s->strangers);
	mem_free(s->dns.upstreams);
	mem_free(s->dns.address_texts);
	mem_free(s->dns.addresses);
	mem_free(s->dns.names);
	mem_free(s->dns.counters);
	mem_free(s->owned);
	status_init(s);
}

const char *status_text(struct status *s, const char *format, ...)
{
	va_list args, again;
	char *text;
	int size;

	va_start(args, format);
	va_copy(again, args);
	size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	MUST(size >= 0);
	text = mem_new((size_t)size + 1, 1);
	vsnprintf(text, (size_t)size + 1, format, again);
	va_end(again);
	APPEND(s->owned, s->owned_count, text);
	return text;
}

void status_add_target(struct status *s, const char *text, bool from_operator)
{
	APPEND(s->targets, s->targets_count, (struct status_target){ text, from_operator });
}

struct status_connection *status_add_connection(struct status *s)
{
	return APPEND(s->connections, s->connections_count, (struct status_connection){ 0 });
}

struct status_peer *status_add_peer(struct status *s)
{
	return APPEND(s->peers, s->peers_count, (struct status_peer){ 0 });
}

struct status_peer_connection *status_peer_add_connection(struct status_peer *p)
{
	return APPEND(p->connections, p->connections_count, (struct status_peer_connection){ 0 });
}

void status_add_unicast_route(struct status *s, peer_name dst, peer_name via)
{
	APPEND(s->unicast_routes, s->unicast_routes_count,
	       (struct status_unicast_route){ dst, via });
}

struct status_broadcast_route *status_add_broadcast_route(struct status *s, peer_name source)
{
	return APPEND(s->broadcast_routes, s->broadcast_routes_count,
		      (struct status_broadcast_route){ .source = source });
}

void status_broadcast_route_add(struct status_broadcast_route *r, peer_name via)
{
	APPEND(r->via, r->via_count, via);
}

struct status_endpoint *status_add_endpoint(struct status *s)
{
	return APPEND(s->endpoints, s->endpoints_count, (struct status_endpoint){ 0 });
}

void status_endpoint_add_ip(struct status_endpoint *e, struct ip_addr ip)
{
	APPEND(e->ips, e->ips_count, ip);
}

void status_add_drop(struct status *s, const char *name, const char *text, uint64_t count)
{
	APPEND(s->drops, s->drops_count, (struct status_drop){ name, text, count });
}

void status_add_stranger(struct status *s, const char *address, uint64_t failures, uint64_t last_ms)
{
	struct status_stranger stranger = { address, failures, last_ms };

	APPEND(s->strangers, s->strangers_count, stranger);
}

void status_add_warning(struct status *s, const char *text)
{
	APPEND(s->warnings, s->warnings_count, text);
}

void status_add_trusted_subnet(struct status *s, const char *text)
{
	APPEND(s->trusted_subnets, s->trusted_subnets_count, text);
}

struct status_universe *status_add_universe(struct status *s)
{
	return APPEND(s->universes, s->universes_count, (struct status_universe){ 0 });
}

struct status_ipam_owner *status_universe_add_owner(struct status_universe *u)
{
	return APPEND(u->owners, u->owners_count, (struct status_ipam_owner){ 0 });
}

struct status_ipam_entry *status_universe_add_entry(struct status_universe *u)
{
	return APPEND(u->entries, u->entries_count, (struct status_ipam_entry){ 0 });
}

void status_universe_add_pending(struct status_universe *u, const char *container, struct cidr cidr)
{
	APPEND(u->pendings, u->pendings_count, (struct status_ipam_pending){ container, cidr });
}

void status_universe_add_waiting(struct status_universe *u, peer_name peer, const char *nickname)
{
	APPEND(u->waiting_for, u->waiting_for_count, (struct status_named){ peer, nickname });
}

struct status_network *status_add_network(struct status *s)
{
	return APPEND(s->networks, s->networks_count, (struct status_network){ 0 });
}

void status_network_add_peer(struct status_network *n, peer_name peer, const char *nickname)
{
	APPEND(n->peers, n->peers_count, (struct status_named){ peer, nickname });
}

void status_add_default_subnet(struct status *s, struct cidr subnet)
{
	APPEND(s->default_subnets, s->default_subnets_count, subnet);
}

void status_add_dns_upstream(struct status *s, const char *text)
{
	APPEND(s->dns.upstreams, s->dns.upstreams_count, text);
}

void status_add_dns_address(struct status *s, struct netaddr address, const char *text)
{
	APPEND(s->dns.addresses, s->dns.addresses_count, address);
	APPEND(s->dns.address_texts, s->dns.address_texts_count, text);
}

struct status_name *status_add_name(struct status *s)
{
	return APPEND(s->dns.names, s->dns.names_count, (struct status_name){ .hostname = "" });
}

void status_add_dns_counter(struct status *s, const char *name, const char *text, uint64_t count)
{
	struct status_dns_counter counter = { name, text, count };

	APPEND(s->dns.counters, s->dns.counters_count, counter);
}
