/* The Prometheus text format: https://prometheus.io/docs/instrumenting/exposition_formats/ */
#include "status_render.h"

#include <inttypes.h>
#include <string.h>

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

void metrics_render(const struct status *s, struct text *out)
{
	add_connections(s, out);
	add_value(out, "weave_connection_terminations_total", "counter",
		  "Number of peer-to-peer connections terminated.", s->terminations);
	add_value(out, "weave_connection_duplicates_total", "counter",
		  "Terminated connections that were a second one to the same peer.", s->duplicates);
	add_peers(s, out);
	add_value(out, "weave_targets", "gauge",
		  "Addresses that this router tries to stay "
		  "connected to.",
		  s->targets_count);
	add_endpoints(s, out);
	add_traffic(s, out);
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
	add_value(out, "weave_ready", "gauge", "Whether the router is ready.", s->ready);
	add_value(out, "weave_uptime_seconds", "gauge", "Seconds since the router started.",
		  s->uptime_ms / 1000);
}
