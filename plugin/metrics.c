/* The Prometheus text format: https://prometheus.io/docs/instrumenting/exposition_formats/ */
#include "status_render.h"

#include <inttypes.h>
#include <string.h>

#include <weave/must.h>

static void describe(struct text *out, const char *name, const char *type, const char *help)
{
	text_add(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_value(struct text *out, const char *name, const char *type, const char *help,
		      uint64_t value)
{
	describe(out, name, type, help);
	text_add(out, "%s %" PRIu64 "\n", name, value);
}

/* A label's value, with what the format wants escaped. */
static void add_label(struct text *out, const char *raw)
{
	struct text clean = { 0 };

	status_clean(&clean, raw);
	text_add_string(out, "\"");
	for (const char *p = text_string(&clean); *p; p++) {
		if (*p == '"' || *p == '\\')
			text_add_string(out, "\\");
		text_add_bytes(out, p, 1);
	}
	text_add_string(out, "\"");
	text_fini(&clean);
}

static const char *overlay_label(const struct status_connection *c)
{
	return c->overlay ? c->overlay : "unknown";
}

static bool same_labels(const struct status_connection *a, const struct status_connection *b)
{
	return a->state == b->state && a->encrypted == b->encrypted &&
	       strcmp(overlay_label(a), overlay_label(b)) == 0;
}

/* One line per combination of labels, at its first connection. */
static void add_connections(const struct status *s, struct text *out)
{
	describe(out, "weave_connections", "gauge", "Number of peer-to-peer connections.");
	for (size_t i = 0; i < s->connections_count; i++) {
		const struct status_connection *c = &s->connections[i];
		size_t count = 0;
		bool first = true;

		for (size_t j = 0; j < s->connections_count; j++) {
			bool same = same_labels(c, &s->connections[j]);

			first = first && (!same || j >= i);
			count += same;
		}
		if (!first)
			continue;
		text_add(out, "weave_connections{state=\"%s\",type=",
			 status_connection_state_name(c->state));
		add_label(out, overlay_label(c));
		text_add(out, ",encryption=\"%s\"} %zu\n", c->encrypted ? "yes" : "", count);
	}
}

static void add_authentication(const struct status *s, struct text *out)
{
	describe(out, "weave_authentication_failures_total", "counter",
		 "Handshakes that failed for their password.");
	text_add(out,
		 "weave_authentication_failures_total{reason=\"wrong_password\"} %" PRIu64 "\n"
		 "weave_authentication_failures_total{reason=\"one_side\"} %" PRIu64 "\n"
		 "weave_authentication_failures_total{reason=\"unproved\"} %" PRIu64 "\n",
		 s->authentication.wrong, s->authentication.one_side, s->authentication.unproved);
	add_value(out, "weave_authentication_puzzles_total", "counter",
		  "Puzzles set to addresses whose handshakes failed too often.",
		  s->authentication.puzzles);
}

static void add_peers(const struct status *s, struct text *out)
{
	size_t reachable = 0;

	for (size_t i = 0; i < s->peers_count; i++)
		reachable += s->peers[i].reachable;
	describe(out, "weave_peers", "gauge", "Number of known peers, this one included.");
	text_add(out, "weave_peers{reachable=\"yes\"} %zu\nweave_peers{reachable=\"no\"} %zu\n",
		 reachable, s->peers_count - reachable);
}

static void add_drops(const struct status *s, struct text *out)
{
	describe(out, "weave_drops_total", "counter", "Frames and packets dropped, by reason.");
	for (size_t i = 0; i < s->drops_count; i++) {
		text_add_string(out, "weave_drops_total{reason=");
		add_label(out, s->drops[i].name);
		text_add(out, "} %" PRIu64 "\n", s->drops[i].count);
	}
}

static void add_endpoints(const struct status *s, struct text *out)
{
	size_t local = 0;

	for (size_t i = 0; i < s->endpoints_count; i++)
		local += s->endpoints[i].local;
	describe(out, "weave_endpoints", "gauge", "Number of known MAC addresses.");
	text_add(out, "weave_endpoints{local=\"yes\"} %zu\nweave_endpoints{local=\"no\"} %zu\n",
		 local, s->endpoints_count - local);
}

/* What the data paths of the present connections carried. */
static void add_traffic(const struct status *s, struct text *out)
{
	uint64_t bytes_in = 0, bytes_out = 0, frames_in = 0, frames_out = 0;

	for (size_t i = 0; i < s->connections_count; i++) {
		bytes_in += s->connections[i].bytes_in;
		bytes_out += s->connections[i].bytes_out;
		frames_in += s->connections[i].frames_in;
		frames_out += s->connections[i].frames_out;
	}
	describe(out, "weave_overlay_bytes", "gauge", "Bytes carried by the present connections.");
	text_add(out,
		 "weave_overlay_bytes{direction=\"in\"} %" PRIu64 "\n"
		 "weave_overlay_bytes{direction=\"out\"} %" PRIu64 "\n",
		 bytes_in, bytes_out);
	describe(out, "weave_overlay_frames", "gauge",
		 "Frames carried by the present connections.");
	text_add(out,
		 "weave_overlay_frames{direction=\"in\"} %" PRIu64 "\n"
		 "weave_overlay_frames{direction=\"out\"} %" PRIu64 "\n",
		 frames_in, frames_out);
}

/* --- addresses: one line per universe ------------------------------------------------------ */

/* A number of the snapshot: where it is in struct status_universe, a uint64_t. */
struct universe_metric {
	const char *name, *type, *help;
	size_t offset;
};

#define FIELD(name) offsetof(struct status_universe, name)

static const struct universe_metric universe_metrics[] = {
	{ "weave_max_ips", "gauge", "Size of the IP address range.", FIELD(size) },
	{ "weave_ipam_pending_allocates", "gauge", "Number of allocations that wait.",
	  FIELD(pending_allocates) },
	{ "weave_ipam_pending_claims", "gauge", "Number of claims that wait.",
	  FIELD(pending_claims) },
	{ "weave_ipam_own", "gauge", "Addresses that this peer owns.", FIELD(own) },
	{ "weave_ipam_own_free", "gauge", "Of these, those that it may give out.",
	  FIELD(own_free) },
	{ "weave_ipam_unconfirmed", "gauge",
	  "Addresses taken over that are not used before every peer has answered.",
	  FIELD(own_unconfirmed) },
	{ "weave_ipam_disputed", "gauge", "Addresses of containers here that another peer owns.",
	  FIELD(disputed) },
	{ "weave_ipam_taken_away_total", "counter",
	  "Addresses that other peers took over from this one.", FIELD(disputes_total) },
	{ "weave_ipam_ring_pieces", "gauge", "Pieces of the ring of owners.", FIELD(runs) },
	{ "weave_ipam_asked_total", "counter", "Questions of other peers for space.",
	  FIELD(asked_total) },
	{ "weave_ipam_granted_total", "counter", "Of these, granted.", FIELD(granted_total) },
	{ "weave_ipam_refused_total", "counter", "Of these, refused.", FIELD(refused_total) },
};

/* 'labels' end with a comma. */
static void add_universe_value(struct text *out, const char *name, const char *labels,
			       const struct status_universe *u, double value)
{
	char range[CIDR_TEXT_SIZE];

	text_add(out, "%s{%srange=\"%s\"} %.15g\n", name, labels, cidr_text(u->range, range),
		 value);
}

static void add_universe_metrics(const struct status *s, struct text *out)
{
	for (size_t m = 0; m < ARRAY_COUNT(universe_metrics); m++) {
		const struct universe_metric *metric = &universe_metrics[m];

		describe(out, metric->name, metric->type, metric->help);
		for (size_t i = 0; i < s->universes_count; i++) {
			uint64_t value;

			memcpy(&value, (const char *)&s->universes[i] + metric->offset,
			       sizeof value);
			add_universe_value(out, metric->name, "", &s->universes[i], (double)value);
		}
	}
}

static void add_unreachable(const struct status *s, struct text *out)
{
	const struct status_universe *u;

	describe(out, "weave_ipam_unreachable_count", "gauge",
		 "Number of owners of addresses that cannot be reached.");
	for (size_t i = 0; i < s->universes_count; i++) {
		u = &s->universes[i];
		add_universe_value(out, "weave_ipam_unreachable_count", "", u,
				   (double)status_unreachable(u).owners);
	}
	describe(out, "weave_ipam_unreachable_percentage", "gauge",
		 "Percentage of all addresses that belong to owners that cannot be reached.");
	for (size_t i = 0; i < s->universes_count; i++) {
		u = &s->universes[i];
		add_universe_value(out, "weave_ipam_unreachable_percentage", "", u,
				   status_percent(status_unreachable(u).addresses, u->size));
	}
}

static void add_universe_flags(const struct status *s, struct text *out)
{
	describe(out, "weave_ipam_ready", "gauge", "Whether addresses are given out.");
	for (size_t i = 0; i < s->universes_count; i++)
		add_universe_value(out, "weave_ipam_ready", "", &s->universes[i],
				   s->universes[i].ready);
	describe(out, "weave_ipam_foreign_ring", "gauge",
		 "Whether a peer with another ring was heard.");
	for (size_t i = 0; i < s->universes_count; i++)
		add_universe_value(out, "weave_ipam_foreign_ring", "", &s->universes[i],
				   s->universes[i].foreign_ring != 0);
	describe(out, "weave_ipam_disk_fails", "gauge", "Whether nothing can be made durable.");
	for (size_t i = 0; i < s->universes_count; i++)
		add_universe_value(out, "weave_ipam_disk_fails", "", &s->universes[i],
				   s->universes[i].disk != NULL);
}

static void add_universes(const struct status *s, struct text *out)
{
	if (s->universes_count == 0)
		return;
	describe(out, "weave_ips", "gauge", "Number of IP addresses in use.");
	for (size_t i = 0; i < s->universes_count; i++)
		add_universe_value(out, "weave_ips", "state=\"local-used\",", &s->universes[i],
				   (double)s->universes[i].active);
	add_universe_metrics(s, out);
	add_unreachable(s, out);
	add_universe_flags(s, out);
}

static void add_networks(const struct status *s, struct text *out)
{
	uint64_t open = 0, contested = 0;

	for (size_t i = 0; i < s->networks_count; i++) {
		open += s->networks[i].open;
		contested += s->networks[i].contested;
	}
	add_value(out, "weave_networks_open", "gauge", "Networks that are open on this host.",
		  open);
	add_value(out, "weave_networks_contested", "gauge",
		  "Networks whose number a peer uses for another one.", contested);
	describe(out, "weave_network_containers", "gauge",
		 "Containers attached to a network on this host.");
	for (size_t i = 0; i < s->networks_count; i++) {
		if (!s->networks[i].open)
			continue;
		text_add_string(out, "weave_network_containers{network=");
		add_label(out, s->networks[i].key);
		text_add(out, "} %" PRIu32 "\n", s->networks[i].containers);
	}
}

void metrics_render(const struct status *s, struct text *out)
{
	add_connections(s, out);
	add_value(out, "weave_connection_terminations_total", "counter",
		  "Number of peer-to-peer connections terminated.", s->terminations);
	add_value(out, "weave_connection_duplicates_total", "counter",
		  "Terminated connections that were a second one to the same peer.", s->duplicates);
	add_authentication(s, out);
	add_peers(s, out);
	add_value(out, "weave_targets", "gauge",
		  "Addresses that this router tries to stay "
		  "connected to.",
		  s->targets_count);
	add_endpoints(s, out);
	add_traffic(s, out);
	add_networks(s, out);
	add_drops(s, out);
	add_value(out, "weave_capture_packets_total", "counter", "Frames taken from the bridge.",
		  s->captured.received);
	add_value(out, "weave_capture_dropped_total", "counter",
		  "Frames that the kernel dropped before this router could read them.",
		  s->captured.dropped + s->captured.interface_dropped);
	add_value(out, "weave_store_entries", "gauge", "Entries in the replicated store.",
		  s->store.entries);
	add_value(out, "weave_store_tombstones", "gauge", "Deleted entries still remembered.",
		  s->store.tombstones);
	add_value(out, "weave_store_repairs_total", "counter",
		  "Entries that only digest repair brought.", s->store.repairs);
	add_value(out, "weave_store_conflicts_total", "counter",
		  "Merges of two values under one version.", s->store.conflicts);
	add_universes(s, out);
	metrics_render_dns(s, out);
	add_value(out, "weave_ready", "gauge", "Whether the router is ready.", s->ready);
	add_value(out, "weave_uptime_seconds", "gauge", "Seconds since the router started.",
		  s->uptime_ms / 1000);
}
