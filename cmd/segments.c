/* The further segments of this host: a bridge, a port and a place in the router for each.
 *
 * What is open is in the kernel: a bridge's alias keeps number and key, so that the next life finds
 * it again.  What happens to one is noted, and repaired and listed anew a moment later.
 */
#include "daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/net_segment.h>
#include <weave/sockaddr_io.h>

#define REPAIR_DELAY_S 0.05
#define REPAIR_RETRY_S 2.0
#define PORT_WAIT_MS 1000u
/* PCAP: two hundred frames; the ring is all resident. */
#define BUFFER_SIZE (256u << 10)
/* Ethernet header and two VLAN tags on top of the largest IP packet. */
#define FRAME_HEADERS (14u + 8u)

static void on_capture_gone(void *ctx);

/* ---- the list ---- */

static size_t position(const struct daemon *d, uint32_t number)
{
	size_t low = 0, high = d->segments_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (d->segments[middle]->segment.number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct daemon_segment *segments_get(const struct daemon *d, uint32_t number)
{
	size_t at = position(d, number);

	return at < d->segments_count && d->segments[at]->segment.number == number ? d->segments[at]
										   : NULL;
}

struct daemon_segment *segments_find(const struct daemon *d, const char *key)
{
	for (size_t i = 0; i < d->segments_count; i++)
		if (strcmp(d->segments[i]->segment.key, key) == 0)
			return d->segments[i];
	return NULL;
}

static void insert(struct daemon *d, struct daemon_segment *g)
{
	size_t at = position(d, g->segment.number);

	d->segments = mem_resize(d->segments, d->segments_count + 1, sizeof *d->segments);
	memmove(d->segments + at + 1, d->segments + at,
		(d->segments_count - at) * sizeof *d->segments);
	d->segments[at] = g;
	d->segments_count++;
}

static void free_segment(struct daemon_segment *g)
{
	capture_free(g->capture);
	attach_known_fini(&g->attached);
	mem_free(g->macs);
	mem_free(g);
}

static void take_out(struct daemon *d, struct daemon_segment *g)
{
	size_t at = position(d, g->segment.number);

	memmove(d->segments + at, d->segments + at + 1,
		(d->segments_count - at - 1) * sizeof *d->segments);
	d->segments_count--;
}

void segments_watch(struct daemon *d)
{
	int *bridges = mem_new(d->segments_count + 1, sizeof *bridges);
	size_t count = 0;

	bridges[count++] = d->bridge.bridge_ifindex;
	for (size_t i = 0; i < d->segments_count; i++)
		bridges[count++] = d->segments[i]->segment.bridge.bridge_ifindex;
	if (d->monitor)
		net_monitor_watch(d->monitor, bridges, count);
	mem_free(bridges);
}

/* ---- what the kernel has ---- */

static void soon(struct daemon *d, double delay_s)
{
	if (ev_is_active(&d->segments_repair) || d->stopping)
		return;
	ev_timer_set(&d->segments_repair, delay_s, 0.);
	ev_timer_start(d->loop, &d->segments_repair);
}

static void touch(struct daemon_segment *g)
{
	g->stale = true;
	soon(g->daemon, REPAIR_DELAY_S);
}

static void flush(void *ctx)
{
	struct daemon_segment *g = ctx;

	daemon_flush(g->daemon);
}

static bool open_capture(struct daemon_segment *g, struct why *why)
{
	const struct net_bridge *b = &g->segment.bridge;
	struct daemon *d = g->daemon;
	struct capture_config c = {
		.kind = d->capture_kind,
		.interface = d->capture_kind == CAPTURE_VNET ? b->names.port : b->names.capture,
		.segment = g->segment.number,
		.room = d->capture_room,
		.frame_max = d->mtu + FRAME_HEADERS,
		.buffer_size = BUFFER_SIZE,
	};

	capture_free(g->capture);
	g->capture = NULL;
	if (capture_new(d->loop, &c, &d->log, &g->capture, why) < 0)
		return false;
	capture_start(g->capture, engine_router(d->engine), flush, on_capture_gone, g);
	if (net_port_wait(d->net, b->port_ifindex, PORT_WAIT_MS) == 0)
		return true;
	why_set(why, WHY_TRANSPORT, "%.150s", net_error(d->net));
	return false;
}

/* Bridge and port as they should be. */
static bool ensure(struct daemon_segment *g, struct why *why)
{
	struct daemon *d = g->daemon;
	struct segment *s = &g->segment;
	struct net_bridge before = s->bridge;

	if (net_segment_ensure(d->net, d->options->bridge, s->number, s->key, d->bridge.mac, d->mtu,
			       daemon_port_kind(d), &s->bridge, why))
		return false;
	if (!g->capture || s->bridge.port_ifindex != before.port_ifindex ||
	    s->bridge.capture_ifindex != before.capture_ifindex || s->bridge.mtu != before.mtu)
		if (!open_capture(g, why))
			return false;
	daemon_fastdp_segment(d, s->number, s->bridge.port_ifindex);
	return true;
}

static void on_capture_gone(void *ctx)
{
	struct daemon_segment *g = ctx;

	log_warning(&g->daemon->log, "the port of segment %06x is gone; repairing",
		    g->segment.number);
	capture_free(g->capture);
	g->capture = NULL;
	touch(g);
}

static bool is_attached(const struct daemon_segment *g, struct mac mac)
{
	for (size_t i = 0; i < g->attached.count; i++)
		if (mac_equal(g->attached.list[i].mac, mac))
			return true;
	return false;
}

static void publish(struct daemon_segment *g)
{
	struct router *r = engine_router(g->daemon->engine);

	for (size_t i = 0; i < g->macs_count; i++)
		if (!is_attached(g, g->macs[i]))
			router_remove_endpoint(r, g->segment.number, g->macs[i], mono_now());
	g->macs = mem_resize(g->macs, g->attached.count + 1, sizeof *g->macs);
	g->macs_count = g->attached.count;
	for (size_t i = 0; i < g->attached.count; i++) {
		const struct attachment *a = &g->attached.list[i];
		struct ip_addr ips[ENDPOINT_IPS_MAX];
		uint32_t n = 0;

		for (; n < a->cidrs_count && n < ENDPOINT_IPS_MAX; n++)
			ips[n] = a->cidrs[n].ip;
		g->macs[i] = a->mac;
		router_add_endpoint(r, g->segment.number, a->mac, ips, n, mono_now());
	}
}

void segments_relist(struct daemon *d, struct daemon_segment *g)
{
	struct why why;

	if (attach_refresh(d->net, &g->segment.bridge, &g->attached, &why)) {
		log_warning(&d->log, "cannot list the containers of segment %06x: %s",
			    g->segment.number, why.text);
		g->stale = true;
		soon(d, REPAIR_RETRY_S);
		return;
	}
	publish(g);
	daemon_fastdp_ports(d, g->segment.number, g->attached.list, g->attached.count);
}

static void on_repair(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct daemon *d = w->data;
	bool some = false;
	struct why why;

	(void)loop;
	(void)events;
	for (size_t i = 0; i < d->segments_count; i++) {
		struct daemon_segment *g = d->segments[i];

		if (!g->stale)
			continue;
		some = true;
		g->stale = false;
		if (!ensure(g, &why)) {
			log_error(&d->log, "cannot repair segment %06x: %s; next try in %.0f s",
				  g->segment.number, why.text, REPAIR_RETRY_S);
			g->stale = true;
			soon(d, REPAIR_RETRY_S);
			continue;
		}
		segments_relist(d, g);
	}
	if (!some)
		return;
	segments_watch(d);
	/* Who lives, and which addresses are in use: once for all of them. */
	bridge_watch_relist_soon(d);
}

/* ---- opening and closing ---- */

static bool check_request(struct daemon *d, const char *key, uint32_t *number, struct why *why)
{
	const struct daemon_segment *known;

	if (!segment_key_ok(key)) {
		why_set(why, WHY_INVALID,
			"\"%.40s\" is no name of a network: letters, digits and _.:/- (at most %u "
			"bytes), a letter or digit first",
			key, SEGMENT_KEY_MAX);
		return false;
	}
	if (*number > SEGMENT_MAX) {
		why_set(why, WHY_INVALID, "number %u of network %.40s is not between 1 and %u",
			*number, key, SEGMENT_MAX);
		return false;
	}
	if (*number && strcmp(key, SEGMENT_DEFAULT_KEY) == 0) {
		why_set(why, WHY_INVALID, "network %s is the default one: its number is 0", key);
		return false;
	}
	if (*number == 0)
		*number = segment_number_of(key);
	known = segments_find(d, key);
	if (known && known->segment.number != *number) {
		why_set(why, WHY_INVALID, "network %.40s is open under number %u, not %u", key,
			known->segment.number, *number);
		return false;
	}
	return true;
}

/* In the kernel first: what others hear of is there. */
static bool open_new(struct daemon *d, const char *key, uint32_t number, struct why *why)
{
	struct router *r = engine_router(d->engine);
	struct daemon_segment *g = mem_new(1, sizeof *g);

	g->daemon = d;
	g->segment.number = number;
	memcpy(g->segment.key, key, strlen(key) + 1);
	if (!router_open_segment(r, number, key, mono_now(), why)) {
		free_segment(g);
		return false;
	}
	if (!ensure(g, why)) {
		struct why ignored;

		router_close_segment(r, number, mono_now());
		daemon_fastdp_segment(d, number, 0);
		net_segment_remove(d->net, d->options->bridge, number, &ignored);
		free_segment(g);
		return false;
	}
	insert(d, g);
	segments_watch(d);
	log_info(&d->log, "network %s is open: segment %u, bridge %s", key, number,
		 g->segment.bridge.names.bridge);
	return true;
}

static void fill_default(const struct daemon *d, struct segment *out)
{
	*out = (struct segment){ .number = SEGMENT_DEFAULT, .key = SEGMENT_DEFAULT_KEY };
	out->bridge = d->bridge;
}

static bool op_find(void *ctx, const char *key, struct segment *out)
{
	const struct daemon *d = ctx;
	const struct daemon_segment *g = segments_find(d, key);

	if (strcmp(key, SEGMENT_DEFAULT_KEY) == 0) {
		fill_default(d, out);
		return true;
	}
	if (g)
		*out = g->segment;
	return g != NULL;
}

static int op_open(void *ctx, const char *key, uint32_t number, struct segment *out,
		   struct why *why)
{
	struct daemon *d = ctx;

	if (!check_request(d, key, &number, why))
		return -EINVAL;
	if (number == SEGMENT_DEFAULT) {
		fill_default(d, out);
		return 0;
	}
	if (!segments_find(d, key)) {
		if (d->segments_count == SEGMENTS_MAX) {
			why_set(why, WHY_INVALID,
				"%u networks are open here: remove one before another is made",
				SEGMENTS_MAX);
			return -ENOSPC;
		}
		if (!open_new(d, key, number, why))
			return -EEXIST;
	}
	*out = segments_find(d, key)->segment;
	return 0;
}

static int op_close(void *ctx, const char *key, struct why *why)
{
	struct daemon *d = ctx;
	struct daemon_segment *g = segments_find(d, key);
	uint32_t number;
	int rc;

	if (strcmp(key, SEGMENT_DEFAULT_KEY) == 0) {
		why_set(why, WHY_INVALID, "network %s is the default one: it stays", key);
		return -EINVAL;
	}
	if (!g) {
		why_set(why, WHY_INVALID, "network %.60s is not open here", key);
		return -ENOENT;
	}
	segments_relist(d, g);
	if (g->attached.count || g->attached.hidden_count) {
		why_set(why, WHY_INVALID,
			"%zu containers are attached to network %.60s: detach "
			"them first",
			g->attached.count + g->attached.hidden_count, key);
		return -EBUSY;
	}
	number = g->segment.number;
	router_close_segment(engine_router(d->engine), number, mono_now());
	daemon_fastdp_segment(d, number, 0);
	take_out(d, g);
	free_segment(g);
	segments_watch(d);
	rc = net_segment_remove(d->net, d->options->bridge, number, why);
	if (rc == 0)
		log_info(&d->log, "network %s is closed", key);
	return rc;
}

static bool op_at(void *ctx, size_t index, struct segment *out)
{
	const struct daemon *d = ctx;

	if (index == 0)
		fill_default(d, out);
	else if (index <= d->segments_count)
		*out = d->segments[index - 1]->segment;
	return index <= d->segments_count;
}

struct segment_ops daemon_segment_ops(struct daemon *d)
{
	return (struct segment_ops){
		.ctx = d, .open = op_open, .close = op_close, .find = op_find, .at = op_at
	};
}

/* ---- the router's frames, and events ---- */

void segments_send(struct daemon *d, uint32_t number, const struct outbox_frame *frames,
		   uint32_t count)
{
	struct daemon_segment *g = segments_get(d, number);

	if (g && g->capture)
		capture_send(g->capture, frames, count);
	else
		router_count_drop(engine_router(d->engine),
				  g ? DROP_INJECT_FAILED : DROP_UNKNOWN_SEGMENT, count);
}

void segments_mtu(struct daemon *d)
{
	for (size_t i = 0; i < d->segments_count; i++) {
		struct daemon_segment *g = d->segments[i];
		struct why why;

		if (attach_set_mtu(d->net, &g->segment.bridge, d->mtu, &why))
			log_info(&d->log, "cannot set the MTU of every container: %s", why.text);
		touch(g);
	}
}

/* By the number in its name. */
static struct daemon_segment *named(const struct daemon *d, const char *name)
{
	for (size_t i = 0; i < d->segments_count; i++) {
		const struct net_bridge_names *n = &d->segments[i]->segment.bridge.names;

		if (strcmp(name, n->bridge) == 0 || strcmp(name, n->port) == 0 ||
		    strcmp(name, n->capture) == 0)
			return d->segments[i];
	}
	return NULL;
}

static bool is_of(const struct net_link *link)
{
	return strncmp(link->name, "vethw", 5) == 0 || strncmp(link->name, "weave-", 6) == 0 ||
	       link->name[0] == 'w';
}

bool segments_on_link(struct daemon *d, const struct net_link *link)
{
	struct daemon_segment *g = is_of(link) ? named(d, link->name) : NULL;
	const struct net_bridge *b = g ? &g->segment.bridge : NULL;

	if (g && (!(link->flags & 1) ||
		  (link->ifindex == b->port_ifindex && link->master != b->bridge_ifindex)))
		touch(g);
	if (g)
		return true;
	for (size_t i = 0; i < d->segments_count; i++) {
		g = d->segments[i];
		/* A container's port came, or was pulled out. */
		if (g->segment.bridge.bridge_ifindex == link->master) {
			if (!attach_known_port(&g->attached, link->ifindex))
				touch(g);
			return true;
		}
		if (link->master == 0 && attach_known_port(&g->attached, link->ifindex)) {
			touch(g);
			return true;
		}
	}
	return false;
}

bool segments_on_link_gone(struct daemon *d, const struct net_link *link)
{
	struct daemon_segment *g = is_of(link) ? named(d, link->name) : NULL;

	for (size_t i = 0; !g && i < d->segments_count; i++)
		if (attach_known_id(&d->segments[i]->attached, link->ifindex))
			g = d->segments[i];
	if (g)
		touch(g);
	return g != NULL;
}

void segments_resync(struct daemon *d)
{
	for (size_t i = 0; i < d->segments_count; i++)
		touch(d->segments[i]);
}

bool segments_live(const struct daemon *d, const char *id)
{
	for (size_t i = 0; i < d->segments_count; i++)
		if (attach_known_lives(&d->segments[i]->attached, id))
			return true;
	return false;
}

void segments_status(const struct daemon *d, struct status *s)
{
	for (size_t i = 0; i < s->networks_count; i++) {
		struct status_network *n = &s->networks[i];
		const struct daemon_segment *g = segments_get(d, n->segment);

		if (n->segment == SEGMENT_DEFAULT) {
			n->bridge = d->options->bridge;
			n->containers = (uint32_t)d->attached.count;
		} else if (g) {
			n->bridge = status_text(s, "%s", g->segment.bridge.names.bridge);
			n->containers = (uint32_t)g->attached.count;
		}
	}
}

/* ---- life ---- */

bool segments_start(struct daemon *d, struct why *why)
{
	struct net_segment *list;
	size_t count;

	ev_timer_init(&d->segments_repair, on_repair, 0., 0.);
	d->segments_repair.data = d;
	if (net_segments(d->net, d->options->bridge, &list, &count)) {
		why_set(why, WHY_TRANSPORT, "%.150s", net_error(d->net));
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		struct why not_open;

		if (!list[i].key[0])
			net_segment_remove(d->net, d->options->bridge, list[i].number, &not_open);
		else if (!open_new(d, list[i].key, list[i].number, &not_open))
			log_error(&d->log, "network %s of the last run is not open: %s",
				  list[i].key, not_open.text);
		else
			segments_relist(d, segments_get(d, list[i].number));
	}
	mem_free(list);
	return true;
}

void segments_stop(struct daemon *d)
{
	ev_timer_stop(d->loop, &d->segments_repair);
	for (size_t i = 0; i < d->segments_count; i++)
		free_segment(d->segments[i]);
	mem_free(d->segments);
	d->segments = NULL;
	d->segments_count = 0;
}
