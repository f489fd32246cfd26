/* A snapshot with something in every part of it, for the tests of what renders it. */
#ifndef TESTS_PLUGIN_SAMPLE_STATUS_H
#define TESTS_PLUGIN_SAMPLE_STATUS_H

#include <weave/status.h>

static inline void sample_peers(struct status *s)
{
	struct status_peer *p = status_add_peer(s);
	struct status_peer_connection *c = status_peer_add_connection(p);

	*c = (struct status_peer_connection){ 0x7a0000000002u, "host2", "10.0.0.2:6783", true,
					      true };
	p->name = s->name;
	p->nickname = s->nickname;
	p->self = p->reachable = true;
	p->instance = UINT64_MAX;
	p = status_add_peer(s);
	p->name = 0x7a0000000002u;
	p->nickname = "host2";
	p->reachable = true;
	c = status_peer_add_connection(p);
	*c = (struct status_peer_connection){ s->name, "host1", "10.0.0.1:41234", false, true };
	c = status_peer_add_connection(p);
	*c = (struct status_peer_connection){ 0x7a0000000003u, "host3", "10.0.0.3:6783", true,
					      false };
	p = status_add_peer(s);
	p->name = 0x7a0000000009u;
	p->nickname = "gone";
}

static inline void sample_connections(struct status *s)
{
	struct status_connection *c = status_add_connection(s);

	*c = (struct status_connection){ .outbound = true,
					 .address = "10.0.0.2:6783",
					 .state = STATUS_ESTABLISHED,
					 .peer = 0x7a0000000002u,
					 .nickname = "host2",
					 .overlay = "sleeve",
					 .mtu = 1410,
					 .not_better = "no fastdp: switched off here",
					 .rtt_known = true,
					 .rtt_ms = 0.5,
					 .bytes_in = 10,
					 .frames_in = 1 };
	c = status_add_connection(s);
	*c = (struct status_connection){ .address = "10.0.0.3:50000",
					 .state = STATUS_PENDING,
					 .peer = 0x7a0000000003u,
					 .nickname = "host3" };
	c = status_add_connection(s);
	*c = (struct status_connection){ .outbound = true,
					 .address = "10.0.0.4:6783",
					 .state = STATUS_RETRYING,
					 .error = "connection refused",
					 .retries = true,
					 .retry_in_ms = 1500 };
	c = status_add_connection(s);
	*c = (struct status_connection){ .outbound = true,
					 .address = "10.0.0.5:6783",
					 .state = STATUS_FAILED,
					 .error = "passwords differ" };
	c = status_add_connection(s);
	*c = (struct status_connection){ .outbound = true,
					 .address = "10.0.0.6:6783",
					 .state = STATUS_FAILED,
					 .error = "no route",
					 .retries = true,
					 .retry_in_ms = 61250 };
	c = status_add_connection(s);
	*c = (struct status_connection){ .outbound = true,
					 .address = "10.0.0.7:6783",
					 .state = STATUS_CONNECTING };
}

/* What IPAM adds; sample_status has none of it. */
static inline void sample_ipam(struct status *s)
{
	struct status_universe *u = status_add_universe(s);
	struct status_ipam_owner *o = status_universe_add_owner(u);
	struct status_ipam_entry *e;

	u->range = (struct cidr){ { 4, { 10, 32, 0, 0 } }, 12 };
	u->size = 1048576;
	u->phase = u->state = "ready";
	u->ready = true;
	u->ring_id = UINT64_MAX;
	u->runs = 9;
	u->own = 524288;
	u->own_free = 524284;
	u->active = 3;
	*o = (struct status_ipam_owner){ .peer = s->name,
					 .nickname = s->nickname,
					 .store_id = 5,
					 .owned = 524288,
					 .self = true,
					 .known = true,
					 .reachable = true,
					 .free = 524284 };
	o = status_universe_add_owner(u);
	*o = (struct status_ipam_owner){ .peer = 0x7a0000000002u,
					 .nickname = "host2",
					 .owned = 262144,
					 .known = true,
					 .reachable = true,
					 .free = 262144 };
	o = status_universe_add_owner(u);
	*o = (struct status_ipam_owner){ .peer = 0x7a0000000009u,
					 .nickname = "gone",
					 .owned = 131072 };
	o = status_universe_add_owner(u);
	*o = (struct status_ipam_owner){
		.peer = 0x7a0000000002u, .nickname = "host2", .owned = 131072, .former = true
	};
	e = status_universe_add_entry(u);
	*e = (struct status_ipam_entry){ .token = u->range.ip,
					 .size = 262144,
					 .peer = 0x7a0000000002u,
					 .nickname = "host2",
					 .known = true,
					 .version = 7 };
	status_add_default_subnet(s, (struct cidr){ { 4, { 10, 33, 0, 0 } }, 16 });
}

/* A second range, which has everything that can be wrong. */
static inline void sample_troubled_ipam(struct status *s)
{
	struct status_universe *u = status_add_universe(s);

	u->range = (struct cidr){ { 6, { 0xfd } }, 64 };
	u->size = (uint64_t)1 << 32;
	u->phase = "waiting for votes";
	u->state = "awaiting consensus (quorum: 2, known: 1)";
	u->voting = true;
	u->electors = 3;
	u->votes = 1;
	u->own = 100;
	u->own_unconfirmed = 40;
	u->active = 5;
	u->dying = 1;
	u->disputed = 2;
	u->disputes_total = 64;
	u->foreign_ring = 1;
	u->foreign_peer = (struct status_named){ 0x7a0000000009u, "gone" };
	u->disk = "no space left";
	u->pending_allocates = 1;
	u->pending_claims = 1;
	status_universe_add_pending(u, "c\0331", (struct cidr){ .prefix = 0 });
	status_universe_add_pending(u, "c2", (struct cidr){ { 6, { 0xfd, [15] = 9 } }, 64 });
	status_universe_add_waiting(u, 0x7a0000000002u, "host2");
	status_universe_add_waiting(u, 0x7a0000000003u, NULL);
}

static inline void sample_status(struct status *s)
{
	struct status_endpoint *e;

	status_init(s);
	s->version = "3.0.0";
	s->protocol_min = s->protocol_max = 3;
	s->name = 0x7a0000000001u;
	s->nickname = "host1";
	s->ready = true;
	s->discovery = true;
	s->port = 6783;
	s->now.s = 1795521600; /* 2026-11-24 12:00:00 UTC */
	s->uptime_ms = 12345;
	s->interface = "weave";
	s->capture = "pcap";
	s->store.digest = "00ff";
	s->store.entries = 7;
	status_add_target(s, "host2", true);
	status_add_target(s, "10.0.0.3:6783", false);
	sample_connections(s);
	sample_peers(s);
	status_add_unicast_route(s, 0x7a0000000003u, 0x7a0000000002u);
	status_broadcast_route_add(status_add_broadcast_route(s, s->name), 0x7a0000000002u);
	e = status_add_endpoint(s);
	e->mac = 0x020000000005u;
	e->peer = 0x7a0000000002u;
	e->nickname = "host2";
	e->age_ms = 60000;
	status_endpoint_add_ip(e, (struct ip_addr){ 4, { 10, 2, 1, 5 } });
	status_add_drop(s, "no_route", "no route to the peer", 3);
	status_add_drop(s, "looped", "came back", 0);
}

static inline void sample_dns(struct status *s)
{
	static const struct {
		const char *hostname, *ip, *container;
		peer_name origin;
	} names[] = {
		{ "web.weave.local.", "10.2.1.2", "c2", 2 },
		{ "A.sub.weave.local.", "fd00::1", "0123456789abcdef", 1 },
		{ "web.weave.local.", "10.2.1.1", "weave:extern", 1 },
		{ "x.elsewhere.", "10.2.1.9", "c9", 3 },
	};
	struct netaddr at = { .port = 53 };

	s->dns.on = true;
	s->dns.domain = "weave.local.";
	s->dns.ttl_s = 1;
	s->dns.own_count = 2;
	s->dns.found_count = 4;
	ip_parse("172.17.0.1", &at.ip);
	status_add_dns_address(s, at, "172.17.0.1:53");
	status_add_dns_upstream(s, "10.0.0.53");
	for (size_t i = 0; s->dns.wanted && i < sizeof names / sizeof names[0]; i++) {
		struct status_name *n = status_add_name(s);

		*n = (struct status_name){ .hostname = names[i].hostname,
					   .container = names[i].container,
					   .origin = names[i].origin,
					   .version = 1 };
		ip_parse(names[i].ip, &n->address);
	}
	status_add_dns_counter(s, "local", "answers of our own", 7);
}

#endif
