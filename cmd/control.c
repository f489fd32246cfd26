/* What the API can ask of the daemon. */
#include "control.h"

#include <string.h>
#include <time.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

#include "dns.h"
#include "docker.h"
#include "engine_status.h"

static void op_status(void *ctx, struct status *s)
{
	struct daemon *d = ctx;
	struct mono now = mono_now();
	struct capture_counters captured;

	engine_status_fill(d->engine, &d->config.gossip, now, s);
	s->ready = d->ready;
	s->uptime_ms = mono_elapsed(d->started, now);
	s->now.s = (uint64_t)time(NULL);
	s->bridge = d->options->bridge;
	s->interface = status_text(s, "%s", bridge_watch_port(d));
	s->capture = capture_kind_name(d->capture_kind);
	s->mtu = d->mtu;
	dns_status(d, s);
	segments_status(d, s);
	for (size_t i = 0; i < d->addresses.ranges_count; i++)
		status_add_default_subnet(s, d->addresses.ranges[i].default_subnet);
	if (!d->capture) {
		status_add_warning(s, "the bridge is being repaired; no frames are captured");
		return;
	}
	capture_counters(d->capture, &captured);
	s->captured.received = captured.received;
	s->captured.dropped = captured.dropped;
	s->captured.interface_dropped = captured.dropped_by_interface;
	if (d->persist_ticket)
		status_add_warning(s, "the state folder cannot be written; see the log");
}

static bool op_connect(void *ctx, const char *const *peers, size_t count, bool replace,
		       struct why *why)
{
	struct daemon *d = ctx;

	if (!gossip_connect(engine_gossip(d->engine), peers, count, replace, mono_now(), why))
		return false;
	daemon_save_targets(d);
	return true;
}

static bool op_forget(void *ctx, const char *const *peers, size_t count, struct why *why)
{
	struct daemon *d = ctx;

	(void)why;
	gossip_forget(engine_gossip(d->engine), peers, count, mono_now());
	daemon_save_targets(d);
	return true;
}

static bool op_network_open(void *ctx, const char *key, uint32_t number, struct text *answer,
			    struct why *why)
{
	struct segment_ops ops = daemon_segment_ops(ctx);
	struct segment s;

	if (ops.open(ops.ctx, key, number, &s, why))
		return false;
	text_add(answer, "network %s is segment %u, bridge %s", s.key, s.number,
		 s.bridge.names.bridge);
	return true;
}

static bool op_network_close(void *ctx, const char *key, struct why *why)
{
	struct segment_ops ops = daemon_segment_ops(ctx);

	return ops.close(ops.ctx, key, why) == 0;
}

static void add_segments_attachments(struct daemon *d, struct api_attachments *out)
{
	for (size_t s = 0; s < d->segments_count; s++) {
		const struct attach_known *k = &d->segments[s]->attached;

		for (size_t i = 0; i < k->count; i++) {
			struct api_attachment *a = api_attachments_add(out);

			const char *container = docker_container_of(d, k->list[i].id);

			strcpy(a->id, container ? container : k->list[i].id);
			a->mac = k->list[i].mac;
			a->addresses.count = k->list[i].cidrs_count;
			memcpy(a->addresses.list, k->list[i].cidrs,
			       k->list[i].cidrs_count * sizeof k->list[i].cidrs[0]);
		}
	}
}

static void op_attachments(void *ctx, struct api_attachments *out)
{
	struct daemon *d = ctx;
	struct attachment *list = NULL;
	struct api_attachment *a;
	const char *container;
	struct why why;
	size_t count = 0;

	if (d->exposed.count) {
		a = api_attachments_add(out);
		strcpy(a->id, API_EXPOSE_ID);
		a->mac = d->bridge.mac;
		for (uint32_t i = 0; i < d->exposed.count; i++)
			a->addresses.list[a->addresses.count++] = d->exposed.items[i].cidr;
	}
	add_segments_attachments(d, out);
	if (attach_list(d->net, &d->bridge, &list, &count, &why))
		log_warning(&d->log, "cannot list the attached containers: %s", why.text);
	for (size_t i = 0; i < count; i++) {
		a = api_attachments_add(out);
		/* People know the container, not Docker's endpoint. */
		container = docker_container_of(d, list[i].id);
		strcpy(a->id, container ? container : list[i].id);
		a->mac = list[i].mac;
		for (uint32_t k = 0; k < list[i].cidrs_count; k++)
			a->addresses.list[a->addresses.count++] = list[i].cidrs[k];
	}
	mem_free(list);
}

static bool op_attached_as(void *ctx, const char *netns, char *id)
{
	const struct detach_request who = { .netns = netns };
	struct attachment *a = mem_new(1, sizeof *a);
	struct daemon *d = ctx;
	struct why unused;
	bool found = attach_find(d->net, &d->bridge, &d->attached, &who, a, &unused) == 0;

	_Static_assert(sizeof a->id <= API_ID_SIZE, "room for the id");
	if (found)
		strcpy(id, a->id);
	mem_free(a);
	return found;
}

static void op_log_level(void *ctx, enum log_level level)
{
	struct daemon *d = ctx;

	d->log.level = level;
}

static void op_stop(void *ctx)
{
	daemon_stop(ctx);
}

struct api_ops daemon_api_ops(struct daemon *d)
{
	return (struct api_ops){
		.ctx = d,
		.status = op_status,
		.connect = op_connect,
		.forget = op_forget,
		.attach = control_attach,
		.detach = control_detach,
		.expose = control_expose,
		.hide = control_hide,
		.network_open = op_network_open,
		.network_close = op_network_close,
		.attachments = op_attachments,
		.attached_as = op_attached_as,
		.has_ipam = control_has_ipam,
		.allocate = control_allocate,
		.claim = control_claim,
		.lookup = control_lookup,
		.release = control_release,
		.owned = control_owned,
		.default_subnets = control_default_subnets,
		.prime = control_prime,
		.remove_peer = control_remove_peer,
		.hand_over = control_hand_over,
		.has_dns = control_has_dns,
		.put_name = control_put_name,
		.remove_names = control_remove_names,
		.password = daemon_password,
		.docker = control_docker,
		.log_level = op_log_level,
		.stop = op_stop,
	};
}
