#include "addresses.h"

#include "control.h"
#include "dns.h"
#include "docker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

#define PERSIST_RETRY_S 5.
#define STOP_LIMIT_S 1.
#define READDRESS_S 10. /* between looks at the host's addresses and paths */

uint64_t daemon_random(void)
{
	uint64_t v = 0;

	while (getrandom(&v, sizeof v, 0) != sizeof v)
		;
	return v;
}

/* ---- the turn of the loop ---- */

/* Runs of frames for one segment go to its port together. */
static void send_frames(struct daemon *d, const struct outbox *o)
{
	struct router *r = engine_router(d->engine);

	for (uint32_t at = 0, end = 0; at < o->frames_count; at = end) {
		uint32_t segment = o->frames[at].segment;

		while (end < o->frames_count && o->frames[end].segment == segment)
			end++;
		if (segment != SEGMENT_DEFAULT)
			segments_send(d, segment, o->frames + at, end - at);
		else if (d->capture)
			capture_send(d->capture, o->frames + at, end - at);
		else
			router_count_drop(r, DROP_INJECT_FAILED, end - at);
	}
}

void daemon_flush(void *ctx)
{
	struct daemon *d = ctx;
	struct outbox *o = router_outbox(engine_router(d->engine));

	if (o->datagrams_count)
		sleeve_socket_send(d->sleeve, o);
	send_frames(d, o);
	outbox_clear(o);
}

static void persist(struct daemon *d)
{
	struct why why;

	if (state_save(d->options->state_dir, &d->state, &why)) {
		log_error(&d->log, "%s; nothing is published until it can be; next try in %.0f s",
			  why.text, PERSIST_RETRY_S);
		ev_timer_set(&d->persist_retry, PERSIST_RETRY_S, 0.);
		ev_timer_start(d->loop, &d->persist_retry);
		return;
	}
	gossip_on_persisted(engine_gossip(d->engine), d->persist_ticket, mono_now());
	d->persist_ticket = 0;
}

static void on_persist_retry(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	persist(w->data);
}

static void carry_out(struct daemon *d, const struct engine_action *action)
{
	const struct gossip_action *a = &action->gossip;

	if (action->type == ENGINE_IPAM) {
		addresses_do(d, action);
	} else if (a->type == GOSSIP_PERSIST) {
		d->state.generation = a->generation;
		d->persist_ticket = a->ticket;
		ev_timer_stop(d->loop, &d->persist_retry);
		persist(d);
	} else {
		connections_do(d->connections, a);
	}
}

static void arm_deadline(struct daemon *d)
{
	struct mono due = engine_deadline(d->engine), now = mono_now();
	double wait_s = due.ms > now.ms ? (double)(due.ms - now.ms) / 1000. : 0.;

	ev_timer_stop(d->loop, &d->deadline);
	if (due.ms == MONO_NEVER.ms)
		return;
	/* libev counts from the time at which this turn began; bring that up to date. */
	ev_now_update(d->loop);
	ev_timer_set(&d->deadline, wait_s, 0.);
	ev_timer_start(d->loop, &d->deadline);
}

/* Runs before the loop sleeps: whatever the callbacks fed in is now carried out. */
static void turn(struct daemon *d)
{
	struct engine_action a;

	while (engine_next_action(d->engine, &a, mono_now()))
		carry_out(d, &a);
	addresses_turn(d);
	dns_turn(d);
	daemon_flush(d);
	daemon_fastdp_flush(d);
	if (d->stopping && !connections_draining(d->connections))
		ev_break(d->loop, EVBREAK_ALL);
	arm_deadline(d);
}

static void on_prepare(struct ev_loop *loop, struct ev_prepare *w, int events)
{
	(void)loop;
	(void)events;
	turn(w->data);
}

static void on_deadline(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)events;
	engine_tick(d->engine, mono_now());
}

/* ---- stopping ---- */

static void on_stop_limit(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)w;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

void daemon_stop(struct daemon *d)
{
	if (d->stopping)
		return;
	log_info(&d->log, "stopping: saying goodbye to all peers");
	d->stopping = true;
	gossip_stop(engine_gossip(d->engine), mono_now());
	ev_timer_set(&d->stop_limit, STOP_LIMIT_S, 0.);
	ev_timer_start(d->loop, &d->stop_limit);
}

static void on_signal(struct ev_loop *loop, struct ev_signal *w, int events)
{
	(void)loop;
	(void)events;
	daemon_stop(w->data);
}

void daemon_save_state(struct daemon *d)
{
	struct why why;

	if (state_save(d->options->state_dir, &d->state, &why))
		log_error(&d->log, "%s; it is tried again when something in it changes", why.text);
}

void daemon_save_targets(struct daemon *d)
{
	const char **texts = NULL, *text;
	struct why why;
	size_t count = 0;

	while ((text = gossip_target_at(engine_gossip(d->engine), count))) {
		texts = mem_resize(texts, count + 1, sizeof *texts);
		texts[count++] = text;
	}
	state_set_targets(&d->state, texts, count);
	mem_free(texts);
	if (state_save(d->options->state_dir, &d->state, &why))
		log_error(&d->log, "%s; the targets hold until a restart", why.text);
}

/* ---- who we are ---- */

/* A new name must also do as the bridge's MAC: unicast, locally administered. */
static peer_name random_name(void)
{
	struct mac m = mac_from_u64(daemon_random() & PEER_NAME_MAX);

	m.b[0] = (uint8_t)((m.b[0] & 0xfc) | 0x02);
	return mac_to_u64(m);
}

/* 'kept': the name that our addresses were stored under. */
static peer_name choose_name(struct daemon *d, peer_name kept)
{
	struct net_link link;

	if (d->options->name)
		return d->options->name;
	if (d->state.name)
		return d->state.name;
	if (kept)
		return kept;
	/* The state was lost but the bridge is still there: it carries our old name. */
	if (net_link_find(d->net, d->options->bridge, &link) == 0 &&
	    strcmp(link.kind, "bridge") == 0 && !mac_is_group(link.mac))
		return mac_to_u64(link.mac);
	return random_name();
}

/* Generation: one more than ever before; a new store starts at the time of day, so that entries of
 * an earlier life under this name lose against ours. */
static bool take_identity(struct daemon *d, struct why *why)
{
	enum state_loaded how;
	peer_name name, kept;
	uint64_t clock = (uint64_t)time(NULL);

	if (state_load(d->options->state_dir, &d->state, &how, why))
		return false;
	if (how == STATE_DAMAGED)
		log_warning(&d->log, "%s; starting anew, peers will tell what they know",
			    why->text);
	if (!addresses_name(d, &kept, why))
		return false;
	name = choose_name(d, kept);
	if (name != d->state.name) {
		d->state.name = name;
		d->state.store_id = 0;
		d->state.generation = d->state.generation > clock ? d->state.generation : clock;
	}
	d->state.generation++;
	return addresses_open(d, why) && state_save(d->options->state_dir, &d->state, why) == 0;
}

/* For people, so it must be printable. A host name that is not falls back to the peer name. */
static bool nickname(struct daemon *d, char *out, size_t size, struct why *why)
{
	const char *given = d->options->nickname;

	if (given) {
		snprintf(out, size, "%s", given);
		if (!peer_text_ok(bytes_of(out, strlen(out))) || strlen(given) >= size) {
			why_set(why, WHY_INVALID,
				"--nickname must be printable and at most %zu bytes", size - 1);
			return false;
		}
	} else if (gethostname(out, size) < 0 || !out[0] ||
		   !peer_text_ok(bytes_of(out, strnlen(out, size)))) {
		peer_name_text(d->state.name, out);
	}
	out[size - 1] = 0;
	return true;
}

/* Global addresses of the host, so that peers can find us; not those on our own bridge. */
static bool own_addresses(struct daemon *d, struct ip_addr *own, uint8_t *own_count)
{
	struct net_address *list = NULL;
	size_t count = 0;

	*own_count = 0;
	if (net_addresses(d->net, 0, &list, &count))
		return false;
	for (size_t i = 0; i < count && *own_count < ADDRESSES_PER_PEER_MAX; i++)
		if (list[i].scope == 0 && list[i].ifindex != d->bridge.bridge_ifindex)
			own[(*own_count)++] = list[i].cidr.ip;
	mem_free(list);
	return true;
}

void daemon_follow_addresses(struct daemon *d)
{
	struct ip_addr own[ADDRESSES_PER_PEER_MAX];
	uint8_t count;

	dns_follow_addresses(d);
	if (own_addresses(d, own, &count))
		gossip_set_addresses(engine_gossip(d->engine), own, count, mono_now());
}

static void on_readdress(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	daemon_look_at_paths(w->data);
	daemon_follow_addresses(w->data);
}

static void entropy(void *ctx, void *out, size_t size)
{
	uint8_t *at = out;

	(void)ctx;
	while (size) {
		ssize_t n = getrandom(at, size, 0);

		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
}

static bool configure_engine(struct daemon *d, struct why *why)
{
	struct gossip_config *g = &d->config.gossip;
	struct router_config *r = &d->config.router;

	d->config.domain = d->options->dns.domain;
	g->name = d->state.name;
	if (!nickname(d, g->nickname, sizeof g->nickname, why))
		return false;
	g->port = d->options->port;
	g->conn_limit = d->options->conn_limit;
	g->discovery = d->options->discovery;
	own_addresses(d, g->addresses, &g->addresses_count);
	g->instance = daemon_random() | 1;
	/* Without addresses nobody needs to know one store from the next. */
	g->store_id = d->state.store_id ? d->state.store_id : daemon_random() | 1;
	g->generation = d->state.generation;
	g->seed = daemon_random();
	g->protocol_min = g->protocol_max = 3;
	g->passwords = d->passwords;
	g->entropy = entropy;
	g->trusted_count = d->options->trusted_count;
	memcpy(g->trusted, d->options->trusted, sizeof g->trusted);
	r->mtu = d->mtu;
	r->epoch_ms = d->options->key_life_s * 1000ull;
	r->datagram_max = daemon_datagram_max(d->underlay_mtu);
	r->bridge_mac = d->bridge.mac;
	r->ciphers = router_ciphers_here();
	r->bridge_offloads = d->capture_kind == CAPTURE_VNET;
	return true;
}

/* ---- starting ---- */

static bool open_sockets(struct daemon *d, struct why *why)
{
	struct connections_config c = { .host = d->options->host, .port = d->options->port };

	return connections_new(d->loop, &c, &d->log, &d->connections, why) == 0 &&
	       sleeve_socket_new(d->loop, d->options->host, d->options->port, &d->log, &d->sleeve,
				 why) == 0;
}

/* A router that starts on another bridge than before would leave the old one behind for ever. */
static bool keep_bridge(struct daemon *d, struct why *why)
{
	char before[NET_NAME_SIZE];
	struct net_link link;

	if (run_dir_bridge(d->run_dir, before, sizeof before) &&
	    strcmp(before, d->options->bridge) != 0 && net_link_find(d->net, before, &link) == 0) {
		why_set(why, WHY_INVALID,
			"the bridge %s of the last run is still there: run weave reset --force, or "
			"launch with --weave-bridge %s",
			before, before);
		return false;
	}
	return run_dir_keep_bridge(d->run_dir, d->options->bridge, why) == 0;
}

static void choose_capture(struct daemon *d)
{
	int rc = d->options->pcap ? 0 : net_tap_works();

	d->capture_kind = d->options->pcap || rc ? CAPTURE_PCAP : CAPTURE_VNET;
	if (rc)
		log_warning(&d->log,
			    "no TAP here (%s): frames come by pcap, at a tenth of the speed",
			    strerror(-rc));
	d->capture_room = mem_new(CAPTURE_ROOM, 1);
}

static bool open_bridge(struct daemon *d, struct why *why)
{
	struct mac mac = mac_from_u64(d->state.name);
	struct net_link before;

	/* Any name may be given by hand; a MAC must be unicast. */
	if (mac_is_group(mac))
		mac.b[0] = (uint8_t)((mac.b[0] & 0xfc) | 0x02);
	d->bridge_was_there = net_link_find(d->net, d->options->bridge, &before) == 0;
	d->bridge_touched = true;
	return net_bridge_ensure(d->net, d->options->bridge, mac, d->mtu, daemon_port_kind(d),
				 &d->bridge, why) == 0;
}

static bool connect_targets(struct daemon *d, struct why *why)
{
	bool resume = d->options->resume;
	const char *const *targets = resume ? (const char *const *)(void *)d->state.targets
					    : d->options->peers;
	size_t count = resume ? d->state.targets_count : d->options->peers_count;

	return count == 0 ||
	       gossip_connect(engine_gossip(d->engine), targets, count, true, mono_now(), why);
}

static bool start_server(struct daemon *d, struct why *why)
{
	struct server_config c = {
		.socket_path = run_dir_path(d->run_dir, "weave.sock"),
		.socket_group = d->options->socket_group,
		.status_enabled = d->options->status_enabled,
		.status_addr = d->options->status_addr,
	};

	d->ops = daemon_api_ops(d);
	return server_new(&d->server, &c, &d->ops, d->loop, &d->log, why) == 0;
}

static void init_watchers(struct daemon *d)
{
	control_addresses_init(d);
	ev_prepare_init(&d->prepare, on_prepare);
	ev_timer_init(&d->deadline, on_deadline, 0., 0.);
	ev_timer_init(&d->persist_retry, on_persist_retry, 0., 0.);
	ev_timer_init(&d->stop_limit, on_stop_limit, 0., 0.);
	ev_timer_init(&d->readdress, on_readdress, READDRESS_S, READDRESS_S);
	ev_signal_init(&d->terminate, on_signal, SIGTERM);
	ev_signal_init(&d->interrupt, on_signal, SIGINT);
	d->prepare.data = d->deadline.data = d->persist_retry.data = d;
	d->readdress.data = d;
	d->stop_limit.data = d->terminate.data = d->interrupt.data = d;
}

/* A store that turns out to be damaged makes us another owner of addresses: then once more. */
static bool start_engine(struct daemon *d, struct why *why)
{
	int rc = -EAGAIN;

	if (!addresses_configure(d, why))
		return false;
	for (int attempt = 0; rc == -EAGAIN && attempt < 2; attempt++) {
		engine_free(d->engine);
		d->engine = NULL;
		if (!configure_engine(d, why))
			return false;
		d->engine = engine_new(&d->config, d->started, &d->log);
		rc = addresses_load(d, why);
	}
	if (rc || state_save(d->options->state_dir, &d->state, why))
		return false;
	engine_start(d->engine, d->started);
	return true;
}

/* In an order in which a failure leaves nothing behind: first what vanishes with the process, then
 * the bridge, last what others see. */
bool daemon_start(struct daemon *d, const struct weaver_options *options, struct ev_loop *loop,
		  struct why *why)
{
	int rc;

	d->options = options;
	d->loop = loop;
	d->started = mono_now();
	init_watchers(d);
	if (run_dir_open(options->run_dir, &d->run_dir, why))
		return false;
	if (!open_sockets(d, why))
		return false;
	rc = net_open(&d->net);
	if (rc) {
		why_set(why, WHY_TRANSPORT, "cannot talk to the kernel's network: %s",
			strerror(-rc));
		return false;
	}
	if (!take_identity(d, why))
		return false;
	d->underlay_mtu = daemon_underlay_mtu(d);
	d->mtu = daemon_overlay_mtu(d, d->underlay_mtu);
	if (!keep_bridge(d, why))
		return false;
	choose_capture(d);
	if (!open_bridge(d, why))
		return false;
	daemon_fastdp_open(d);
	if (!start_engine(d, why))
		return false;
	if (!docker_start(d, why))
		return false;
	if (!dns_start(d, why) || !bridge_watch_start(d, why) || !dns_restore(d, why) ||
	    !connect_targets(d, why) || !start_server(d, why))
		return false;
	connections_start(d->connections, engine_gossip(d->engine));
	daemon_fastdp_start(d);
	sleeve_socket_start(d->sleeve, engine_router(d->engine), daemon_flush, d);
	ev_prepare_start(loop, &d->prepare);
	ev_timer_start(loop, &d->readdress);
	ev_signal_start(loop, &d->terminate);
	ev_signal_start(loop, &d->interrupt);
	/* Only now: a start that fails must not cost the targets of the last one. */
	if (!options->resume)
		daemon_save_targets(d);
	docker_engine_start(d);
	d->ready = true;
	return true;
}

void daemon_fini(struct daemon *d)
{
	struct why why;

	ev_prepare_stop(d->loop, &d->prepare);
	ev_timer_stop(d->loop, &d->deadline);
	ev_timer_stop(d->loop, &d->persist_retry);
	ev_timer_stop(d->loop, &d->stop_limit);
	ev_timer_stop(d->loop, &d->readdress);
	ev_signal_stop(d->loop, &d->terminate);
	ev_signal_stop(d->loop, &d->interrupt);
	server_free(d->server);
	docker_stop(d);
	bridge_watch_stop(d);
	segments_stop(d);
	mem_free(d->capture_room);
	if (!d->ready && d->bridge_touched && !d->bridge_was_there)
		net_bridge_remove(d->net, d->options->bridge, &why);
	connections_free(d->connections);
	sleeve_socket_free(d->sleeve);
	addresses_close(d);
	dns_stop(d);
	daemon_fastdp_close(d);
	engine_free(d->engine);
	passwords_free(d->passwords);
	net_close(d->net);
	state_fini(&d->state);
	run_dir_close(d->run_dir);
}
