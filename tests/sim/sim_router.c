#include "sim_router.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../router/aead.h"
#include "sim_frames.h"
#include "sim_ipam.h"
#include "sim_kernel.h"
#include "sim_names.h"
#include "sim_net.h"

#define BRIDGE_MTU 1376u
#define DATAGRAM_MAX 1472u
#define ACTIONS_MAX 1000000u
/* Turns in a row after which the engine wants to be called again at once: a spinning daemon. */
#define SPINS_MAX 50u

static void write_log(void *ctx, enum log_level level, const char *line)
{
	const struct sim_router *r = ctx;
	static const char *const names[] = { "debug", "info", "warning", "error" };

	if (r->sim->trace)
		fprintf(r->sim->trace, "%llu.%06llu [%u] %s: %s\n",
			(unsigned long long)(r->sim->clock.now_us / SIM_S),
			(unsigned long long)(r->sim->clock.now_us % SIM_S), r->index + 1,
			names[level], line);
}

struct ip_addr sim_router_ip(uint32_t index)
{
	return (struct ip_addr){
		.family = 4, .b = { 10, 0, (uint8_t)((index + 1) >> 8), (uint8_t)(index + 1) }
	};
}

uint32_t sim_router_of_ip(const struct sim *s, struct ip_addr ip)
{
	uint32_t index;

	if (ip.family != 4 || ip.b[0] != 10 || ip.b[1] != 0)
		return UINT32_MAX;
	index = (uint32_t)(ip.b[2] << 8 | ip.b[3]) - 1;
	return index < s->count ? index : UINT32_MAX;
}

struct mac sim_router_mac(uint32_t index)
{
	return mac_from_u64(UINT64_C(0x02c000000000) + index + 1);
}

/* Randomness of keys: of the world's seed, but of no use to anything else in it. */
static void entropy(void *ctx, void *out, size_t size)
{
	struct sim_router *r = ctx;
	uint8_t *at = out;

	while (size--)
		*at++ = (uint8_t)rng_u64(&r->secrets);
}

static const struct passwords passwords[] = {
	[SIM_OLD_PASSWORD] = { 1, { { 1, 3, { 'o', 'l', 'd' } } } },
	[SIM_BOTH_PASSWORDS] = { 2, { { 2, 3, { 'n', 'e', 'w' } }, { 1, 3, { 'o', 'l', 'd' } } } },
	[SIM_NEW_PASSWORD] = { 1, { { 2, 3, { 'n', 'e', 'w' } } } },
};

void sim_router_set_passwords(struct sim_router *r, enum sim_passwords which)
{
	if (!r->config.passwords || r->config.passwords == &passwords[which])
		return;
	sim_trace(r->sim, "passwords", r->index, which, 0);
	r->config.passwords = &passwords[which];
	if (!r->engine)
		return;
	gossip_set_passwords(sim_router_gossip(r), &passwords[which], sim_router_now(r));
	sim_router_turn(r);
}

/* By seed: in clear; with a password; data in clear where both trust, everywhere or by halves. */
static void set_password(struct sim_router *r)
{
	struct gossip_config *c = &r->config;
	unsigned way = r->sim->seed % 4;

	r->secrets.state = r->sim->seed * 1000003 + r->index;
	c->entropy = entropy;
	c->entropy_ctx = r;
	c->passwords = way > 0 ? &passwords[SIM_OLD_PASSWORD] : NULL;
	if (way == 2 || (way == 3 && r->index % 2))
		cidr_parse("10.0.0.0/16", &c->trusted[c->trusted_count++]);
}

struct sim_router *sim_router_new(struct sim *s, uint32_t index)
{
	struct sim_router *r = mem_new(1, sizeof *r);
	struct gossip_config *c = &r->config;

	r->sim = s;
	r->index = index;
	r->name = UINT64_C(0x020000000000) + index + 1;
	r->host_up = true;
	r->log = (struct log){ LOG_DEBUG_LEVEL, write_log, r };
	c->port = SIM_PORT;
	c->conn_limit = CONN_LIMIT_DEFAULT;
	c->discovery = true;
	c->overlays = OVERLAY_SLEEVE;
	c->addresses[c->addresses_count++] = sim_router_ip(index);
	c->protocol_min = c->protocol_max = 3;
	set_password(r);
	r->kernel = sim_kernel_new(s, index);
	snprintf(c->nickname, sizeof c->nickname, "host-%u", index + 1);
	return r;
}

void sim_router_free(struct sim_router *r)
{
	engine_free(r->engine);
	sim_mirror_free(r->mirror);
	sim_kernel_free(r->kernel);
	table_fini(&r->halves);
	mem_free(r);
}

struct mono sim_router_now(const struct sim_router *r)
{
	return (struct mono){ (r->sim->clock.now_us + r->mono_offset_us) / SIM_MS };
}

struct gossip *sim_router_gossip(const struct sim_router *r)
{
	MUST(r->engine);
	return engine_gossip(r->engine);
}

/* ---- start and end ---- */

bool sim_router_connect(struct sim_router *r, uint32_t to)
{
	char text[IP_TEXT_SIZE];
	const char *texts[1] = { ip_text(sim_router_ip(to), text) };
	struct why why;
	bool ok = gossip_connect(sim_router_gossip(r), texts, 1, false, sim_router_now(r), &why);

	sim_router_turn(r);
	return ok;
}

static void add_container(struct sim_router *r)
{
	struct ip_addr ip = { .family = 4,
			      .b = { 10, 32, (uint8_t)((r->index + 1) >> 8),
				     (uint8_t)(r->index + 1) } };

	router_add_endpoint(engine_router(r->engine), 0, sim_router_mac(r->index), &ip, 1,
			    sim_router_now(r));
}

void sim_router_start(struct sim_router *r)
{
	struct sim *s = r->sim;
	struct engine_config config = { .gossip = r->config };
	struct wall wall = { (uint64_t)((int64_t)(SIM_WALL_START + s->clock.now_us / SIM_S) +
					r->wall_offset_s) };
	bool host_was_down = !r->host_up;

	MUST(!r->engine);
	r->incarnation++;
	r->frozen = false;
	r->host_up = true;
	r->names_count = 0;
	r->armed_us = UINT64_MAX;
	r->spins = 0;
	r->mono_offset_us = rng_below(&s->rng, 1000 * SIM_HOUR);
	sim_disk_start(&r->disk, wall, &s->rng);
	config.gossip.name = r->name;
	config.gossip.instance = rng_u64(&s->rng) >> 1 | 1 | r->instance_top;
	config.gossip.seed = rng_u64(&s->rng);
	config.gossip.generation = r->disk.generation;
	config.gossip.store_id = r->disk.store_id;
	config.router = (struct router_config){ .mtu = BRIDGE_MTU,
						.datagram_max = DATAGRAM_MAX,
						.bridge_mac = mac_from_u64(r->name) };
	/* By seed: new keys all the time, and a mixture of processors. */
	config.router.epoch_ms = s->seed / 4 % 2 ? 2000 : 0;
	config.router.ciphers = (s->seed / 8 + r->index) % 2 ? AEAD_BIT(AEAD_AES_256_GCM) : 0;
	sim_kernel_configure(r, &config);
	sim_kernel_started(r);
	if (r->ipam)
		sim_ipam_configure(r, &config);
	sim_trace(s, "start", r->index, r->disk.generation, config.gossip.instance);
	r->engine = engine_new(&config, sim_router_now(r), s->trace ? &r->log : NULL);
	if (r->ipam)
		sim_ipam_load(r);
	engine_start(r->engine, sim_router_now(r));
	sim_names_started(r);
	if (r->ipam)
		sim_ipam_started(r);
	add_container(r);
	sim_segments_started(r);
	for (uint32_t i = 0; i < r->disk.targets_count; i++)
		sim_router_connect(r, r->disk.targets[i]);
	sim_router_turn(r);
	if (host_was_down)
		sim_net_host_back(r);
}

void sim_router_crash(struct sim_router *r, bool host)
{
	MUST(r->engine);
	sim_trace(r->sim, "crash", r->index, host, 0);
	r->host_up = !host;
	r->frozen = false;
	if (host)
		sim_kernel_lost(r);
	if (r->ipam)
		sim_ipam_crashed(r, host);
	engine_free(r->engine);
	r->engine = NULL;
	sim_disk_crash(&r->disk);
	sim_net_crashed(r);
}

static void stopped(struct sim *s, void *what, uint64_t incarnation)
{
	struct sim_router *r = what;

	(void)s;
	if (r->engine && r->incarnation == incarnation)
		sim_router_crash(r, false);
}

void sim_router_stop(struct sim_router *r)
{
	struct sim *s = r->sim;

	sim_trace(s, "stop", r->index, 0, 0);
	gossip_stop(sim_router_gossip(r), sim_router_now(r));
	sim_router_turn(r);
	sim_clock_add(&s->clock, s->clock.now_us + SIM_S, stopped, r, r->incarnation);
}

void sim_router_freeze(struct sim_router *r, bool frozen)
{
	r->frozen = frozen;
	sim_trace(r->sim, frozen ? "freeze" : "thaw", r->index, 0, 0);
	if (frozen || !r->engine)
		return;
	r->armed_us = UINT64_MAX;
	engine_tick(r->engine, sim_router_now(r));
	sim_router_turn(r);
	sim_net_resume(r->sim);
}

/* ---- actions ---- */

static void synced(struct sim *s, void *what, uint64_t ticket)
{
	struct sim_router *r = what;

	(void)s;
	if (!r->engine || !sim_disk_synced(&r->disk, ticket))
		return;
	sim_trace(s, "synced", r->index, r->disk.generation, 0);
	gossip_on_persisted(sim_router_gossip(r), ticket, sim_router_now(r));
	sim_router_turn(r);
}

struct resolution {
	uint32_t target, router;
	uint64_t incarnation;
};

static void resolved(struct sim *s, void *what, uint64_t found)
{
	struct resolution *q = what;
	struct sim_router *r = s->routers[q->router];
	struct netaddr address = { sim_router_ip((uint32_t)found), SIM_PORT };

	if (r->engine && r->incarnation == q->incarnation) {
		gossip_on_resolved(sim_router_gossip(r), q->target, &address,
				   found < s->count ? 1 : 0,
				   found < s->count ? NULL : "no such host", sim_router_now(r));
		sim_router_turn(r);
	}
	mem_free(q);
}

/* "host-7" is router 7; other names do not exist. */
static void resolve(struct sim_router *r, uint32_t target, const char *text)
{
	struct sim *s = r->sim;
	struct resolution *q = mem_new(1, sizeof *q);
	unsigned number = 0;

	if (sscanf(text, "host-%u", &number) != 1)
		number = 0;
	*q = (struct resolution){ target, r->index, r->incarnation };
	sim_clock_add_owned(&s->clock,
			    s->clock.now_us + sim_between(&s->net_rng, SIM_MS, 50 * SIM_MS),
			    resolved, q, number ? number - 1 : UINT32_MAX);
}

static void carry_out(struct sim_router *r, const struct gossip_action *a)
{
	struct sim *s = r->sim;

	switch (a->type) {
	case GOSSIP_DIAL:
		sim_stream_dial(r, a->conn, a->address);
		break;
	case GOSSIP_WRITE:
		sim_stream_write(r, a->conn);
		break;
	case GOSSIP_CLOSE:
		sim_stream_close(r, a->conn);
		break;
	case GOSSIP_RESOLVE:
		resolve(r, a->target, a->text);
		break;
	case GOSSIP_PERSIST:
		sim_disk_write(&r->disk, a->generation, a->ticket);
		sim_clock_add(&s->clock,
			      s->clock.now_us + sim_between(&s->net_rng, SIM_MS, 20 * SIM_MS),
			      synced, r, a->ticket);
		break;
	case GOSSIP_UP:
	case GOSSIP_DOWN:
	case GOSSIP_OVERLAY:
	case GOSSIP_SUSPECT:
	case GOSSIP_ROUTES:
	case GOSSIP_UNICAST:
	case GOSSIP_UNREACHED:
	case GOSSIP_RINGS:
	case GOSSIP_PEERS:
	case GOSSIP_FORMER_LIFE:
		sim_fail(s, "action %d of router %u is not for the world", a->type, r->index + 1);
		break;
	}
}

static void bring_frame(struct sim_router *r, const struct outbox_frame *f)
{
	uint32_t segment = f->segment;

	if (r->sim->mutation == SIM_MUTATE_OTHER_BRIDGE && r->sim->segments > 1 &&
	    f->data[29] % 8 == 5)
		segment = (segment + 1) % r->sim->segments;
	sim_frame_arrived(r, segment, bytes_of(f->data, f->size));
}

static void flush(struct sim_router *r)
{
	struct outbox *o = router_outbox(engine_router(r->engine));

	/* Index by index: telling of a datagram that was too big may add to the outbox. */
	for (uint32_t i = 0; i < o->datagrams_count; i++)
		sim_datagram_send(r, o->datagrams[i].to, o->datagrams[i].data,
				  o->datagrams[i].size);
	for (uint32_t i = 0; i < o->frames_count; i++)
		bring_frame(r, &o->frames[i]);
	if (o->overflows)
		sim_fail(r->sim, "router %u: outbox overflows", r->index + 1);
	outbox_clear(o);
	sim_kernel_flush(r);
}

/* ---- time ---- */

static void on_timer(struct sim *s, void *what, uint64_t armed_us);

static uint64_t deadline_us(const struct sim_router *r)
{
	struct mono due = engine_deadline(r->engine);
	uint64_t next_ms = (r->sim->clock.now_us + r->mono_offset_us) / SIM_MS + 1;

	if (due.ms == UINT64_MAX || due.ms > UINT64_MAX / SIM_MS)
		return UINT64_MAX;
	/* A deadline in the past makes the daemon's loop turn at once; here it costs 1 ms. */
	if (due.ms < next_ms)
		due.ms = next_ms;
	return due.ms * SIM_MS - r->mono_offset_us;
}

static void arm(struct sim_router *r)
{
	uint64_t at = deadline_us(r);

	/* An earlier timer finds out by itself that it is too early. */
	if (at >= r->armed_us)
		return;
	r->armed_us = at;
	sim_clock_add(&r->sim->clock, at, on_timer, r, at);
}

static void watch_for_spinning(struct sim_router *r)
{
	struct mono now = sim_router_now(r), due = engine_deadline(r->engine);

	r->spins = mono_reached(now, due) ? r->spins + 1 : 0;
	if (r->spins > SPINS_MAX)
		sim_fail(r->sim, "router %u spins: its deadline stays in the past", r->index + 1);
}

static void on_timer(struct sim *s, void *what, uint64_t armed_us)
{
	struct sim_router *r = what;

	if (!r->engine || r->frozen || r->armed_us != armed_us)
		return;
	r->armed_us = UINT64_MAX;
	if (s->mutation == SIM_MUTATE_DEAF_TIMER)
		return;
	if (mono_reached(sim_router_now(r), engine_deadline(r->engine))) {
		engine_tick(r->engine, sim_router_now(r));
		sim_router_turn(r);
		if (r->engine)
			watch_for_spinning(r);
	} else {
		arm(r);
	}
}

void sim_router_turn(struct sim_router *r)
{
	struct engine_action a;
	uint32_t actions = 0;

	while (engine_next_action(r->engine, &a, sim_router_now(r))) {
		if (a.type == ENGINE_GOSSIP)
			carry_out(r, &a.gossip);
		else
			sim_ipam_act(r, &a);
		MUST(++actions < ACTIONS_MAX);
	}
	flush(r);
	sim_names_turned(r);
	if (r->ipam)
		sim_ipam_turned(r);
	if (++r->events_to_check >= r->sim->check_every) {
		r->events_to_check = 0;
		engine_check(r->engine);
	}
	if (!r->frozen)
		arm(r);
}

/* ---- entries ---- */

void sim_router_put(struct sim_router *r, uint8_t kind, const char *key, const char *value)
{
	struct sim_name *n = NULL;

	for (uint32_t i = 0; i < r->names_count; i++)
		if (r->names[i].kind == kind && strcmp(r->names[i].key, key) == 0)
			n = &r->names[i];
	/* What a former life said goes by itself, as soon as we hear of it. */
	if (!n && !*value)
		return;
	if (!n) {
		MUST(r->names_count < SIM_NAMES_MAX);
		n = &r->names[r->names_count++];
		n->kind = kind;
		snprintf(n->key, sizeof n->key, "%s", key);
	}
	snprintf(n->value, sizeof n->value, "%s", value);
	if (kind == KIND_NAME)
		sim_names_put(r, key, value);
	else
		gossip_put(sim_router_gossip(r), kind, bytes_of(key, strlen(key)),
			   bytes_of(*value ? value : NULL, strlen(value)), sim_router_now(r));
	sim_router_turn(r);
}

const struct entry *sim_router_find(const struct sim_router *r, uint8_t kind, const char *key)
{
	if (kind == KIND_NAME)
		return sim_names_find_any(r, key);
	return store_find(gossip_store(sim_router_gossip(r)), kind, bytes_of(key, strlen(key)));
}
