/* What the API can ask of the daemon. */
#include "daemon.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

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
	s->interface = status_text(s, "%s", d->bridge.names.capture);
	s->capture = "pcap";
	s->mtu = d->mtu;
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

/* The kernel's refusals are 500, the request's faults 400. */
static bool outcome(int rc, struct why *why)
{
	if (rc == 0)
		return true;
	if (rc == -EINVAL || rc == -EEXIST || rc == -ENOENT || rc == -E2BIG)
		why->reason = WHY_INVALID;
	else if (why->reason == WHY_INVALID)
		why->reason = WHY_TRANSPORT;
	return false;
}

/* This router has no IPAM: only addresses themselves are asked for. */
static size_t wanted_cidrs(const struct api_wants *wants, struct cidr *cidrs)
{
	for (size_t i = 0; i < wants->count; i++) {
		MUST(wants->list[i].type == API_WANT_ADDRESS);
		cidrs[i] = wants->list[i].cidr;
	}
	return wants->count;
}

static void reply_cidrs(struct api_reply *reply, const struct cidr *cidrs, size_t count)
{
	struct api_addresses done = { .count = 0 };

	for (size_t i = 0; i < count && i < API_ADDRESSES_MAX; i++)
		done.list[done.count++] = cidrs[i];
	api_reply_addresses(reply, &done);
}

static void op_attach(void *ctx, const struct api_attach *request, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct cidr cidrs[API_ADDRESSES_MAX];
	struct attach_request r = {
		.id = request->id,
		.netns = request->netns,
		.cidrs = cidrs,
		.cidrs_count = wanted_cidrs(&request->wants, cidrs),
		.multicast_route = request->multicast_route,
		.mtu = d->mtu,
	};
	struct why why = { 0 };

	if (!outcome(attach_add(d->net, &d->bridge, &r, NULL, &why), &why)) {
		api_reply_fail(reply, &why);
		return;
	}
	bridge_watch_relist(d);
	reply_cidrs(reply, cidrs, r.cidrs_count);
}

static void op_detach(void *ctx, const struct api_attach *request, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct cidr cidrs[API_ADDRESSES_MAX];
	struct detach_request r = {
		.id = request->id,
		.netns = request->netns,
		.cidrs = cidrs,
		.cidrs_count = wanted_cidrs(&request->wants, cidrs),
	};
	struct detached *removed = mem_new(1, sizeof *removed);
	struct why why = { 0 };

	if (outcome(attach_remove(d->net, &d->bridge, &r, removed, &why), &why)) {
		bridge_watch_relist(d);
		reply_cidrs(reply, removed->cidrs, removed->cidrs_count);
	} else {
		api_reply_fail(reply, &why);
	}
	mem_free(removed);
}

static void op_expose(void *ctx, const struct api_wants *wants, bool masquerade,
		      struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct cidr cidrs[API_ADDRESSES_MAX];
	size_t count = wanted_cidrs(wants, cidrs);
	struct exposed items[API_ADDRESSES_MAX];
	struct why why = { 0 };

	for (size_t i = 0; i < count; i++)
		items[i] = (struct exposed){ cidrs[i], masquerade };
	if (!outcome(expose_add(d->net, &d->bridge, &d->exposed, items, count, &why), &why)) {
		api_reply_fail(reply, &why);
		return;
	}
	bridge_watch_relist(d);
	reply_cidrs(reply, cidrs, count);
}

static void op_hide(void *ctx, const struct api_wants *wants, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct cidr cidrs[API_ADDRESSES_MAX];
	size_t count = wanted_cidrs(wants, cidrs);
	struct expose_set removed = { 0 };
	struct why why = { 0 };

	if (!outcome(expose_remove(d->net, &d->bridge, &d->exposed, cidrs, count, &removed, &why),
		     &why)) {
		api_reply_fail(reply, &why);
		return;
	}
	bridge_watch_relist(d);
	for (uint32_t i = 0; i < removed.count && i < API_ADDRESSES_MAX; i++)
		cidrs[i] = removed.items[i].cidr;
	reply_cidrs(reply, cidrs, removed.count);
}

static bool op_has_ipam(void *ctx)
{
	(void)ctx;
	return false;
}

static void op_attachments(void *ctx, struct api_attachments *out)
{
	struct daemon *d = ctx;
	struct attachment *list = NULL;
	struct api_attachment *a;
	struct why why;
	size_t count = 0;

	if (d->exposed.count) {
		a = api_attachments_add(out);
		strcpy(a->id, API_EXPOSE_ID);
		a->mac = d->bridge.mac;
		for (uint32_t i = 0; i < d->exposed.count; i++)
			a->addresses.list[a->addresses.count++] = d->exposed.items[i].cidr;
	}
	if (attach_list(d->net, &d->bridge, &list, &count, &why))
		log_warning(&d->log, "cannot list the attached containers: %s", why.text);
	for (size_t i = 0; i < count; i++) {
		a = api_attachments_add(out);
		memcpy(a->id, list[i].id, sizeof list[i].id);
		a->mac = list[i].mac;
		for (uint32_t k = 0; k < list[i].cidrs_count; k++)
			a->addresses.list[a->addresses.count++] = list[i].cidrs[k];
	}
	mem_free(list);
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
		.attach = op_attach,
		.detach = op_detach,
		.expose = op_expose,
		.hide = op_hide,
		.attachments = op_attachments,
		.has_ipam = op_has_ipam,
		.log_level = op_log_level,
		.stop = op_stop,
	};
}
