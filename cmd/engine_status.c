#include "engine_status.h"

#include <stdlib.h>
#include <string.h>

#include <weave/must.h>

#include "engine_ipam_status.h"

static const char *overlay_text(uint8_t overlay)
{
	switch (overlay) {
	case OVERLAY_FASTDP:
		return "fastdp";
	case OVERLAY_SLEEVE:
		return "sleeve";
	default:
		return NULL;
	}
}

static const char *address_text(struct status *s, struct netaddr a)
{
	char text[ENDPOINT_TEXT_SIZE];

	return status_text(s, "%s", netaddr_text(a, text));
}

static const char *nickname_of(struct engine *e, struct status *s, peer_name name)
{
	const struct topology_peer *p =
		name ? topology_peer(gossip_topology(engine_gossip(e)), name) : NULL;

	return p && p->info.nickname[0] ? status_text(s, "%s", p->info.nickname) : NULL;
}

static enum status_connection_state state_of(enum gossip_conn_state state)
{
	switch (state) {
	case CONN_CONNECTING:
		return STATUS_CONNECTING;
	case CONN_RETRYING:
		return STATUS_RETRYING;
	case CONN_FAILED:
		return STATUS_FAILED;
	case CONN_PENDING:
		return STATUS_PENDING;
	case CONN_ESTABLISHED:
		return STATUS_ESTABLISHED;
	}
	NOT_REACHED("connection state");
}

static void add_path(struct engine *e, conn_id conn, struct status *s, struct status_connection *c)
{
	struct path_info path;

	if (!conn || !router_path_find(engine_router(e), conn, &path))
		return;
	c->overlay = overlay_text(path.overlay);
	c->mtu = path.established ? path.mtu : 0;
	if (path.cipher && path.cipher[0])
		c->cipher = path.cipher;
	c->epoch = path.epoch;
	if (path.why[0])
		c->not_better = status_text(s, "%s", path.why);
	c->rtt_known = path.rtt_us > 0;
	c->rtt_ms = path.rtt_us / 1000.0;
	c->bytes_in = path.bytes_in;
	c->bytes_out = path.bytes_out;
	c->frames_in = path.frames_in;
	c->frames_out = path.frames_out;
}

/* While the password is being changed. */
static void warn_of_old_password(const struct gossip_config *config, size_t lacking,
				 struct status *s)
{
	if (!config->passwords || config->passwords->count < 2)
		return;
	if (lacking)
		status_add_warning(s, status_text(s,
						  "the password is being changed: %zu connections "
						  "rest on the former one, see weave password",
						  lacking));
	else
		status_add_warning(s, "the password is being changed: all connections rest on the "
				      "new one; when all hosts have it: weave password rotate "
				      "--finish");
}

static void add_connections(struct engine *e, const struct gossip_config *config, struct status *s)
{
	size_t lacking = 0;

	struct gossip_conn_info info;

	for (size_t i = 0; gossip_conn_at(engine_gossip(e), i, &info); i++) {
		struct status_connection *c = status_add_connection(s);

		c->outbound = info.outbound;
		c->address = info.target ? status_text(s, "%s", info.target)
					 : address_text(s, info.address);
		c->state = state_of(info.state);
		c->peer = info.peer;
		if (info.nickname[0])
			c->nickname = status_text(s, "%s", info.nickname);
		if (info.why.reason != WHY_NONE)
			c->error = status_text(s, "%s",
					       info.why.text[0] ? info.why.text
								: why_reason_text(info.why.reason));
		c->retries = info.state == CONN_RETRYING || info.state == CONN_FAILED;
		if (info.retry_in_ms == UINT64_MAX)
			c->retries = false;
		c->retry_in_ms = info.retry_in_ms;
		c->encrypted = info.data_sealed;
		c->trusted = info.sealed && !info.data_sealed;
		lacking += info.sealed && !info.preferred;
		add_path(e, info.conn, s, c);
	}
	warn_of_old_password(config, lacking, s);
}

static void add_peer(struct engine *e, peer_name self, const struct topology_peer *p,
		     struct status *s)
{
	struct status_peer *out = status_add_peer(s);

	out->name = p->info.name;
	if (p->info.nickname[0])
		out->nickname = status_text(s, "%s", p->info.nickname);
	if (p->info.software[0])
		out->version = status_text(s, "%s", p->info.software);
	out->instance = p->info.instance;
	out->generation = p->generation;
	out->self = p->info.name == self;
	out->reachable = p->reachable || out->self;
	for (uint32_t i = 0; i < p->links_count; i++) {
		const struct link_info *l = p->links[i];
		struct status_peer_connection *c = status_peer_add_connection(out);

		c->peer = l->to;
		c->nickname = nickname_of(e, s, l->to);
		c->address = address_text(s, l->address);
		c->outbound = l->outbound;
		c->established = l->established;
	}
}

static void add_routes(struct engine *e, peer_name self, peer_name to, struct status *s)
{
	struct topology *t = gossip_topology(engine_gossip(e));
	const struct topology_broadcast *tree = topology_broadcast(t, to);
	peer_name via = topology_next_hop(t, to);
	struct status_broadcast_route *r;

	if (to == self)
		via = self;
	if (!via)
		return;
	status_add_unicast_route(s, to, via);
	r = status_add_broadcast_route(s, to);
	for (uint32_t i = 0; i < tree->children_count; i++)
		status_broadcast_route_add(r, tree->children[i]);
}

static void add_peers(struct engine *e, peer_name self, struct status *s)
{
	struct topology *t = gossip_topology(engine_gossip(e));
	const struct topology_peer *p;

	for (size_t i = 0; (p = topology_peer_at(t, i)); i++) {
		add_peer(e, self, p, s);
		add_routes(e, self, p->info.name, s);
	}
}

static void add_endpoints(struct engine *e, peer_name self, struct mono now, struct status *s)
{
	struct endpoint_info info;

	for (size_t i = 0; router_endpoint_at(engine_router(e), i, now, &info); i++) {
		struct status_endpoint *out;

		if (info.peer == PEER_NAME_NONE)
			continue; /* hidden: nobody who can be reached has it */
		out = status_add_endpoint(s);
		out->mac = mac_to_u64(info.mac);
		out->segment = info.segment;
		out->peer = info.peer;
		out->nickname = nickname_of(e, s, info.peer);
		out->local = info.peer == self;
		out->age_ms = info.idle_ms;
		for (uint32_t k = 0; k < info.ips_count; k++)
			status_endpoint_add_ip(out, info.ips[k]);
		if (info.frozen) {
			char mac[PEER_NAME_TEXT_SIZE];

			status_add_warning(s, status_text(s,
							  "MAC %s moves between hosts again and "
							  "again and is frozen: is there a loop?",
							  mac_text(info.mac, mac)));
		}
	}
}

#define STRANGER_WARNING_MS (10u * 60u * 1000u)

/* Failures, and a word about the latest while it is news. */
static void add_authentication(struct engine *e, const struct gossip_counters *c, struct status *s)
{
	struct gossip_stranger stranger, latest = { .last_ms = UINT64_MAX };
	char text[IP_TEXT_SIZE];

	s->authentication = (struct status_authentication){
		.wrong = c->password_wrong,
		.one_side = c->password_one_side,
		.unproved = c->password_unproved,
		.puzzles = c->puzzles,
	};
	for (size_t i = 0; gossip_stranger_at(engine_gossip(e), i, &stranger); i++) {
		status_add_stranger(s, status_text(s, "%s", ip_text(stranger.address, text)),
				    stranger.failures, stranger.last_ms);
		if (stranger.last_ms < latest.last_ms)
			latest = stranger;
	}
	if (latest.last_ms < STRANGER_WARNING_MS)
		status_add_warning(
			s,
			status_text(s,
				    "%llu handshakes from %s failed for their password, the last "
				    "%llu s ago: see weave status connections there and here",
				    (unsigned long long)latest.failures,
				    ip_text(latest.address, text),
				    (unsigned long long)(latest.last_ms / 1000)));
}

static void add_counters(struct engine *e, struct status *s)
{
	struct gossip *g = engine_gossip(e);
	struct store *store = gossip_store(g);
	const struct drop_counters *drops = router_drops(engine_router(e));
	struct hash128 digest = store_digest(store);
	struct gossip_counters c;

	gossip_counters(g, &c);
	s->terminations = c.terminations;
	add_authentication(e, &c, s);
	s->store.entries = store_count(store);
	s->store.tombstones = store_tombstones(store);
	s->store.digest = status_text(s, "%016llx%016llx", (unsigned long long)digest.high,
				      (unsigned long long)digest.low);
	s->store.repairs = c.repair_entries;
	s->store.conflicts = store_counters(store)->conflicts;
	s->generation = c.generation;
	for (int i = DROP_NONE + 1; i < DROP_REASONS_COUNT; i++)
		status_add_drop(s, drop_label((enum drop_reason)i), drop_text((enum drop_reason)i),
				drops->count[i]);
	if (c.silent)
		status_add_warning(s, "another live router has our peer name; we publish nothing "
				      "until it is gone: give one of them another --name");
	else if (c.duplicate)
		status_add_warning(s, "another live router has our peer name: give one of them "
				      "another --name");
}

static void add_universes(struct engine *e, struct status *s)
{
	const struct ipam *ipam;

	for (size_t i = 0; (ipam = engine_ipam(e, i)); i++)
		engine_ipam_status_add(ipam, gossip_topology(engine_gossip(e)), s);
}

static void add_names(struct engine *e, struct status *s)
{
	const struct entry *at = NULL;
	struct name_entry n;

	s->dns.found_count = names_count(engine_names(e));
	if (!s->dns.wanted)
		return;
	for (size_t i = 0; i < STATUS_NAMES_MAX && (at = names_next(engine_names(e), at, &n)); i++)
		*status_add_name(s) = (struct status_name){
			.hostname = status_text(s, "%s.", n.hostname),
			.address = n.address,
			.container = status_text(s, "%s", n.container),
			.origin = n.peer,
			.version = at->view.version,
		};
}

static int by_segment(const void *a, const void *b)
{
	const struct status_network *x = a, *y = b;

	return (x->segment > y->segment) - (x->segment < y->segment);
}

static void add_networks(struct engine *e, struct status *s)
{
	struct router *r = engine_router(e);
	struct status_network *n = status_add_network(s);
	struct network_info info;

	n->key = SEGMENT_DEFAULT_KEY;
	n->bridge = "";
	n->open = true;
	for (size_t i = 0; router_network_at(r, i, &info); i++) {
		peer_name peer;
		size_t at = 0;

		/* Of one that was closed everywhere, nothing may be left but its record. */
		if (!info.open && !info.peers_count)
			continue;
		n = status_add_network(s);
		n->segment = info.segment;
		n->key = status_text(s, "%s", info.key);
		n->bridge = "";
		n->open = info.open;
		n->contested = info.contested;
		while ((peer = router_network_peer(r, i, &at)) != PEER_NAME_NONE)
			status_network_add_peer(n, peer, nickname_of(e, s, peer));
	}
	qsort(s->networks, s->networks_count, sizeof *s->networks, by_segment);
}

void engine_status_fill(struct engine *e, const struct gossip_config *config, struct mono now,
			struct status *s)
{
	const char *target;

	s->version = WEAVE_VERSION;
	s->protocol_min = config->protocol_min;
	s->protocol_max = config->protocol_max;
	s->name = config->name;
	s->nickname = status_text(s, "%s", config->nickname);
	s->instance = config->instance;
	s->encryption = config->passwords != NULL;
	s->discovery = config->discovery;
	s->port = config->port;
	s->conn_limit = config->conn_limit;
	for (unsigned i = 0; i < config->trusted_count; i++) {
		char text[CIDR_TEXT_SIZE];

		status_add_trusted_subnet(
			s, status_text(s, "%s", cidr_text(config->trusted[i], text)));
	}
	for (size_t i = 0; (target = gossip_target_at(engine_gossip(e), i)); i++)
		status_add_target(s, status_text(s, "%s", target), true);
	add_connections(e, config, s);
	add_peers(e, config->name, s);
	add_endpoints(e, config->name, now, s);
	add_counters(e, s);
	add_universes(e, s);
	add_names(e, s);
	add_networks(e, s);
}
