#include "status_render.h"

#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include <weave/must.h>

/* Adds 'value' (taken) under 'name'.  jansson fails only without memory or for bad UTF-8, and
 * all texts are clean by then. */
static void put(json_t *object, const char *name, json_t *value)
{
	int rc = json_object_set_new(object, name, value);

	MUST(rc == 0);
}

static void append(json_t *array, json_t *value)
{
	int rc = json_array_append_new(array, value);

	MUST(rc == 0);
}

static json_t *text_json(const char *raw)
{
	struct text clean = { 0 };
	json_t *value;

	status_clean(&clean, raw);
	value = json_string(text_string(&clean));
	text_fini(&clean);
	return value;
}

static void put_text(json_t *object, const char *name, const char *raw)
{
	put(object, name, text_json(raw));
}

static void put_number(json_t *object, const char *name, uint64_t value)
{
	/* jansson's integers are signed; what is larger is shown as a real number. */
	put(object, name,
	    value <= INT64_MAX ? json_integer((json_int_t)value) : json_real((double)value));
}

static void put_bool(json_t *object, const char *name, bool value)
{
	put(object, name, json_boolean(value));
}

static json_t *name_json(peer_name name)
{
	char text[PEER_NAME_TEXT_SIZE];

	return json_string(name == PEER_NAME_NONE ? "" : peer_name_text(name, text));
}

/* All 64 bits matter in an identity, so it is text. */
static void put_id(json_t *object, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, value);
	put(object, name, json_string(text));
}

/* "2026-11-24T10:00:00Z".  Days to civil date: H. Hinnant, chrono-compatible low-level date
 * algorithms. */
static json_t *time_json(uint64_t s)
{
	uint64_t days = s / 86400 + 719468;
	uint64_t era = days / 146097, doe = days % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint64_t mp = (5 * doy + 2) / 153;
	uint64_t month = mp < 10 ? mp + 3 : mp - 9;
	uint64_t year = yoe + era * 400 + (month <= 2);

	return json_sprintf("%04" PRIu64 "-%02" PRIu64 "-%02" PRIu64 "T%02" PRIu64 ":%02" PRIu64
			    ":%02" PRIu64 "Z",
			    year, month, doy - (153 * mp + 2) / 5 + 1, s / 3600 % 24, s / 60 % 60,
			    s % 60);
}

/* The operator's targets, or those that discovery found. */
static json_t *targets_json(const struct status *s, bool discovered)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->targets_count; i++)
		if (s->targets[i].from_operator != discovered)
			append(list, text_json(s->targets[i].text));
	return list;
}

json_t *status_json_targets(const struct status *s)
{
	return targets_json(s, false);
}

static json_t *attributes_json(const struct status_connection *c)
{
	json_t *o = json_object();

	put_text(o, "name", c->overlay ? c->overlay : "none");
	if (c->mtu)
		put_number(o, "mtu", c->mtu);
	if (c->encrypted)
		put_bool(o, "encrypted", true);
	if (c->cipher) {
		put_text(o, "cipher", c->cipher);
		put_number(o, "epoch", c->epoch);
	}
	if (c->trusted)
		put_bool(o, "trusted", true);
	return o;
}

/* Info says in one text what the columns behind the state say. */
static void put_info(json_t *o, const struct status *s, const struct status_connection *c)
{
	struct text info = { 0 };
	char name[PEER_NAME_TEXT_SIZE];

	if (c->peer != PEER_NAME_NONE &&
	    (c->state == STATUS_ESTABLISHED || c->state == STATUS_PENDING)) {
		if (s->encryption)
			text_add(&info, "%-11s ", c->encrypted ? "encrypted" : "unencrypted");
		text_add(&info, "%-6s %s(%s)", c->overlay ? c->overlay : "none",
			 peer_name_text(c->peer, name), c->nickname ? c->nickname : "");
	} else if (c->error) {
		text_add_string(&info, c->error);
	}
	put_text(o, "Info", text_string(&info));
	text_fini(&info);
}

static json_t *connection_json(const struct status *s, const struct status_connection *c)
{
	json_t *o = json_object();

	put_text(o, "Address", c->address);
	put_bool(o, "Outbound", c->outbound);
	put_text(o, "State", status_connection_state_name(c->state));
	put_info(o, s, c);
	put(o, "Attrs", attributes_json(c));
	put(o, "Name", name_json(c->peer));
	put_text(o, "NickName", c->nickname);
	put_text(o, "Overlay", c->overlay);
	put_text(o, "NotBetter", c->not_better);
	put_text(o, "Error", c->error);
	put(o, "RetryInMs",
	    c->retries ? json_integer((json_int_t)(c->retry_in_ms & INT64_MAX)) : json_null());
	put(o, "RoundTripMs", c->rtt_known ? json_real(c->rtt_ms) : json_null());
	put_number(o, "BytesIn", c->bytes_in);
	put_number(o, "BytesOut", c->bytes_out);
	put_number(o, "FramesIn", c->frames_in);
	put_number(o, "FramesOut", c->frames_out);
	return o;
}

json_t *status_json_connections(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->connections_count; i++)
		append(list, connection_json(s, &s->connections[i]));
	return list;
}

static json_t *peer_connection_json(const struct status_peer_connection *c)
{
	json_t *o = json_object();

	put(o, "Name", name_json(c->peer));
	put_text(o, "NickName", c->nickname);
	put_text(o, "Address", c->address);
	put_bool(o, "Outbound", c->outbound);
	put_bool(o, "Established", c->established);
	return o;
}

static json_t *peer_json(const struct status_peer *p)
{
	json_t *o = json_object(), *list = json_array();

	put(o, "Name", name_json(p->name));
	put_text(o, "NickName", p->nickname);
	put_id(o, "UID", p->instance);
	put_number(o, "Generation", p->generation);
	put_text(o, "Version", p->version);
	put_bool(o, "Self", p->self);
	for (size_t i = 0; i < p->connections_count; i++)
		append(list, peer_connection_json(&p->connections[i]));
	put(o, "Connections", list);
	return o;
}

static json_t *peers_json(const struct status *s, bool reachable)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->peers_count; i++)
		if (s->peers[i].reachable == reachable)
			append(list, peer_json(&s->peers[i]));
	return list;
}

json_t *status_json_peers(const struct status *s)
{
	return peers_json(s, true);
}

static json_t *unicast_routes_json(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->unicast_routes_count; i++) {
		json_t *o = json_object();

		put(o, "Dst", name_json(s->unicast_routes[i].dst));
		put(o, "Via", name_json(s->unicast_routes[i].via));
		append(list, o);
	}
	return list;
}

static json_t *broadcast_routes_json(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->broadcast_routes_count; i++) {
		const struct status_broadcast_route *r = &s->broadcast_routes[i];
		json_t *o = json_object(), *via = json_array();

		for (size_t j = 0; j < r->via_count; j++)
			append(via, name_json(r->via[j]));
		put(o, "Source", name_json(r->source));
		put(o, "Via", via);
		append(list, o);
	}
	return list;
}

static json_t *endpoint_json(const struct status *s, const struct status_endpoint *e)
{
	char mac[PEER_NAME_TEXT_SIZE], ip[IP_TEXT_SIZE];
	json_t *o = json_object(), *ips = json_array();
	uint64_t age_s = e->age_ms / 1000;

	put_text(o, "Mac", mac_text(mac_from_u64(e->mac), mac));
	put(o, "Name", name_json(e->peer));
	put_text(o, "NickName", e->nickname);
	if (s->now.s > age_s)
		put(o, "LastSeen", time_json(s->now.s - age_s));
	put_number(o, "AgeMs", e->age_ms);
	put_number(o, "Segment", e->segment);
	put_bool(o, "Local", e->local);
	for (size_t i = 0; i < e->ips_count; i++)
		append(ips, json_string(ip_text(e->ips[i], ip)));
	put(o, "IPs", ips);
	return o;
}

static json_t *endpoints_json(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->endpoints_count; i++)
		append(list, endpoint_json(s, &s->endpoints[i]));
	return list;
}

static json_t *drops_json(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->drops_count; i++) {
		json_t *o = json_object();

		put_text(o, "Reason", s->drops[i].name);
		put_text(o, "Text", s->drops[i].text);
		put_number(o, "Count", s->drops[i].count);
		append(list, o);
	}
	return list;
}

static json_t *texts_json(const char *const *texts, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		append(list, text_json(texts[i]));
	return list;
}

static json_t *store_json(const struct status_store *store)
{
	json_t *o = json_object();

	put_number(o, "Entries", store->entries);
	put_number(o, "Tombstones", store->tombstones);
	put_text(o, "Digest", store->digest);
	put_number(o, "Repairs", store->repairs);
	put_number(o, "Conflicts", store->conflicts);
	return o;
}

static json_t *capture_json(const struct status_capture *c)
{
	json_t *o = json_object();

	put_number(o, "PacketsReceived", c->received);
	put_number(o, "PacketsDropped", c->dropped);
	put_number(o, "PacketsIfDropped", c->interface_dropped);
	return o;
}

static json_t *authentication_json(const struct status *s)
{
	json_t *o = json_object(), *list = json_array();

	put_number(o, "WrongPassword", s->authentication.wrong);
	put_number(o, "PasswordOnOneSide", s->authentication.one_side);
	put_number(o, "Unproved", s->authentication.unproved);
	put_number(o, "Puzzles", s->authentication.puzzles);
	for (size_t i = 0; i < s->strangers_count; i++) {
		json_t *stranger = json_object();

		put_text(stranger, "Address", s->strangers[i].address);
		put_number(stranger, "Failures", s->strangers[i].failures);
		put_number(stranger, "LastMs", s->strangers[i].last_ms);
		append(list, stranger);
	}
	put(o, "Addresses", list);
	return o;
}

static void put_interface(json_t *o, const struct status *s)
{
	struct text text = { 0 };

	if (s->interface)
		text_add(&text, "%s (via %s)", s->interface, s->capture ? s->capture : "nothing");
	put_text(o, "Interface", text_string(&text));
	text_fini(&text);
}

static json_t *named_json(const struct status_named *list, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *o = json_object();

		put(o, "Peer", name_json(list[i].peer));
		put_text(o, "Nickname", list[i].nickname);
		append(array, o);
	}
	return array;
}

json_t *status_json_networks(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->networks_count; i++) {
		const struct status_network *n = &s->networks[i];
		json_t *o = json_object();

		put_text(o, "Name", n->key);
		put_number(o, "Segment", n->segment);
		put_text(o, "Bridge", n->bridge);
		put_bool(o, "Open", n->open);
		put_bool(o, "Contested", n->contested);
		put_number(o, "Containers", n->containers);
		put(o, "Peers", named_json(n->peers, n->peers_count));
		append(list, o);
	}
	return list;
}

static json_t *router_json(const struct status *s)
{
	json_t *o = json_object();

	put_text(o, "Protocol", "weave");
	put_number(o, "ProtocolMinVersion", s->protocol_min);
	put_number(o, "ProtocolMaxVersion", s->protocol_max);
	put_bool(o, "Encryption", s->encryption);
	put_bool(o, "PeerDiscovery", s->discovery);
	put(o, "Name", name_json(s->name));
	put_text(o, "NickName", s->nickname);
	put_id(o, "UID", s->instance);
	put_number(o, "Generation", s->generation);
	put_number(o, "Port", s->port);
	put_number(o, "ConnLimit", s->conn_limit);
	put(o, "Peers", peers_json(s, true));
	put(o, "UnreachablePeers", peers_json(s, false));
	put(o, "UnicastRoutes", unicast_routes_json(s));
	put(o, "BroadcastRoutes", broadcast_routes_json(s));
	put(o, "Connections", status_json_connections(s));
	put_number(o, "TerminationCount", s->terminations);
	put_number(o, "DuplicateCount", s->duplicates);
	put(o, "Targets", status_json_targets(s));
	put(o, "DiscoveredTargets", targets_json(s, true));
	put(o, "OverlayDiagnostics", json_object());
	put(o, "TrustedSubnets", texts_json(s->trusted_subnets, s->trusted_subnets_count));
	put(o, "AuthenticationFailures", authentication_json(s));
	put_text(o, "Bridge", s->bridge);
	put_interface(o, s);
	put_number(o, "MTU", s->mtu);
	put(o, "CaptureStats", capture_json(&s->captured));
	put(o, "MACs", endpoints_json(s));
	put(o, "Networks", status_json_networks(s));
	put(o, "Drops", drops_json(s));
	put(o, "Store", store_json(&s->store));
	put(o, "Warnings", texts_json(s->warnings, s->warnings_count));
	put_number(o, "UptimeMs", s->uptime_ms);
	return o;
}

static json_t *cidr_json(struct cidr cidr)
{
	char text[CIDR_TEXT_SIZE];

	return json_string(cidr_text(cidr, text));
}

/* Weave Net's object for the vote; null once there is a ring. */
static json_t *vote_json(const struct status_universe *u)
{
	json_t *o;

	if (!u->voting || u->ring_id)
		return json_null();
	o = json_object();
	put_bool(o, "Elector", true);
	put_number(o, "KnownNodes", u->votes);
	put_number(o, "Quorum", u->electors / 2 + 1);
	return o;
}

static json_t *ipam_entries_json(const struct status_universe *u)
{
	json_t *list = json_array();
	char ip[IP_TEXT_SIZE];

	for (size_t i = 0; i < u->entries_count; i++) {
		const struct status_ipam_entry *e = &u->entries[i];
		json_t *o = json_object();

		put(o, "Token", json_string(ip_text(e->token, ip)));
		put_number(o, "Size", e->size);
		put(o, "Peer", name_json(e->peer));
		put_text(o, "Nickname", e->nickname);
		put_bool(o, "IsKnownPeer", e->known);
		put_number(o, "Version", e->version);
		append(list, o);
	}
	return list;
}

static json_t *ipam_owners_json(const struct status_universe *u)
{
	json_t *list = json_array();

	for (size_t i = 0; i < u->owners_count; i++) {
		const struct status_ipam_owner *owner = &u->owners[i];
		json_t *o = json_object();

		put(o, "Peer", name_json(owner->peer));
		put_text(o, "Nickname", owner->nickname);
		put_id(o, "StoreID", owner->store_id);
		put_number(o, "Owned", owner->owned);
		put(o, "Percentage", json_real(status_percent(owner->owned, u->size)));
		put_bool(o, "Self", owner->self);
		put_bool(o, "IsKnownPeer", owner->known);
		put_bool(o, "Reachable", owner->reachable);
		put_bool(o, "FormerDisk", owner->former);
		put(o, "Free",
		    owner->reachable ? json_integer((json_int_t)owner->free) : json_null());
		append(list, o);
	}
	return list;
}

static void put_pendings(json_t *o, const struct status_universe *u)
{
	json_t *claims = json_array(), *allocates = json_array();

	for (size_t i = 0; i < u->pendings_count; i++) {
		const struct status_ipam_pending *p = &u->pendings[i];
		json_t *claim;

		if (p->cidr.ip.family == 0) {
			append(allocates, text_json(p->container));
			continue;
		}
		claim = json_object();
		put_text(claim, "Ident", p->container);
		put(claim, "CIDR", cidr_json(p->cidr));
		append(claims, claim);
	}
	put(o, "PendingClaims", claims);
	put(o, "PendingAllocates", allocates);
}

/* What Weave Net's report does not have. */
static void put_universe_state(json_t *o, const struct status_universe *u)
{
	put_text(o, "Status", u->state ? u->state : u->phase);
	put_text(o, "Phase", u->phase);
	put_bool(o, "Ready", u->ready);
	put_id(o, "RingID", u->ring_id);
	put(o, "Owners", ipam_owners_json(u));
	put_number(o, "EntriesTotal", u->runs);
	put_number(o, "Own", u->own);
	put_number(o, "OwnFree", u->own_free);
	put_number(o, "Unconfirmed", u->own_unconfirmed);
	put_number(o, "Dying", u->dying);
	put_number(o, "Disputed", u->disputed);
	put_number(o, "TakenAway", u->disputes_total);
	put_number(o, "Electors", u->electors);
	put_number(o, "Votes", u->votes);
	put(o, "WaitingFor", named_json(u->waiting_for, u->waiting_for_count));
	put(o, "ForeignRing", named_json(&u->foreign_peer, u->foreign_ring != 0));
	put_text(o, "DiskError", u->disk);
	put_number(o, "Asked", u->asked_total);
	put_number(o, "Granted", u->granted_total);
	put_number(o, "Refused", u->refused_total);
}

static json_t *universe_json(const struct status *s, const struct status_universe *u)
{
	json_t *o = json_object();

	put(o, "Paxos", vote_json(u));
	put(o, "Range", cidr_json(u->range));
	put_number(o, "RangeNumIPs", u->size);
	put_number(o, "ActiveIPs", u->active);
	put(o, "DefaultSubnet", cidr_json(status_default_subnet(s, u)));
	put(o, "Entries", ipam_entries_json(u));
	put_pendings(o, u);
	put_universe_state(o, u);
	return o;
}

/* Weave Net has one universe: the object is that of the first. */
json_t *status_json_ipam(const struct status *s)
{
	json_t *o, *others = json_array();

	if (s->universes_count == 0) {
		json_decref(others);
		return json_null();
	}
	o = universe_json(s, &s->universes[0]);
	for (size_t i = 1; i < s->universes_count; i++)
		append(others, universe_json(s, &s->universes[i]));
	put(o, "OtherUniverses", others);
	return o;
}

json_t *status_json(const struct status *s)
{
	json_t *o = json_object();

	put_bool(o, "Ready", s->ready);
	put_text(o, "Version", s->version);
	put(o, "Router", router_json(s));
	if (s->universes_count)
		put(o, "IPAM", status_json_ipam(s));
	if (s->dns.on)
		put(o, "DNS", status_json_dns(s));
	return o;
}

json_t *status_json_attachment(const struct api_attachment *a)
{
	char mac[PEER_NAME_TEXT_SIZE], cidr[CIDR_TEXT_SIZE];
	json_t *o = json_object(), *list = json_array();

	put_text(o, "ID", a->id);
	put_text(o, "MAC", mac_text(a->mac, mac));
	for (size_t i = 0; i < a->addresses.count; i++)
		append(list, json_string(cidr_text(a->addresses.list[i], cidr)));
	put(o, "Addresses", list);
	return o;
}

json_t *status_json_owned(const struct api_attachments *all)
{
	json_t *o = json_object(), *owned = json_array();
	char cidr[CIDR_TEXT_SIZE];

	for (size_t i = 0; i < all->count; i++) {
		const struct api_attachment *a = &all->list[i];
		json_t *one = json_object(), *list = json_array();

		for (size_t k = 0; k < a->addresses.count; k++)
			append(list, json_string(cidr_text(a->addresses.list[k], cidr)));
		put_text(one, "containerid", a->id);
		put(one, "addrs", list);
		append(owned, one);
	}
	put(o, "owned", owned);
	return o;
}

static int write_part(const char *part, size_t size, void *ctx)
{
	struct text *out = ctx;

	text_add_bytes(out, part, size);
	return out->full ? -1 : 0;
}

bool status_json_write(const json_t *value, size_t flags, struct text *out)
{
	return json_dump_callback(value, write_part, out, flags) == 0;
}
