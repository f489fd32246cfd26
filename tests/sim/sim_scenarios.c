#include "sim_scenarios.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../gossip/handshake_wire.h"
#include "../../gossip/message_wire.h"
#include "sim_invariants.h"
#include "sim_ipam_found.h"
#include "sim_net.h"
#include "sim_router.h"
#include "sim_script.h"

static bool bad(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool bad(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, SIM_SCRIPT_WHY, format, args);
	va_end(args);
	return false;
}

/* Ends a world; false when it, or the scenario by 'why', failed. */
static bool done(struct sim *s, char *why)
{
	bool ok = !s->failed && !*why;

	if (s->failed)
		bad(why, "%s", s->failure);
	sim_fini(s);
	mem_free(s);
	return ok;
}

static struct sim *world(uint32_t routers, FILE *trace, enum sim_mutation mutation, char *why)
{
	struct sim *s = mem_new(1, sizeof *s);

	*why = 0;
	sim_init(s, 1, routers);
	s->trace = trace;
	s->mutation = mutation;
	s->check_every = 10000;
	return s;
}

/* ---- F7c: a neighbour that writes but never reads ---- */

#define PUPPET_READS 4096u /* what its kernel takes before it is full */
#define PUPPET_LIMIT_MS 15000u
#define PUPPET_MEMORY_MAX (512u * 1024u)

struct puppet {
	struct engine *engine;
	conn_id conn;
	struct mono now;
	size_t taken;
	bool closed;
	uint32_t sent_ms;
};

static void puppet_turn(struct puppet *p)
{
	struct engine_action a;

	while (engine_next_action(p->engine, &a, p->now))
		if (a.gossip.type == GOSSIP_CLOSE && a.gossip.conn == p->conn)
			p->closed = true;
	outbox_clear(router_outbox(engine_router(p->engine)));
}

static void puppet_say(struct puppet *p, uint8_t type, struct bytes body)
{
	uint8_t buffer[1024];
	struct writer w = writer_over(buffer, sizeof buffer);
	size_t mark = session_begin(&w, type);

	write_bytes(&w, body.data, body.size);
	session_end(&w, mark);
	MUST(!w.full);
	gossip_on_received(engine_gossip(p->engine), p->conn, writer_bytes(&w), p->now);
	puppet_turn(p);
}

static void puppet_hello(struct puppet *p)
{
	uint8_t buffer[HELLO_WIRE_MAX], preamble[PREAMBLE_SIZE];
	struct writer w = writer_over(preamble, sizeof preamble);
	struct hello h = { .name = 0x020000000099,
			   .nickname = "puppet",
			   .generation = SIM_WALL_START,
			   .instance = 99,
			   .connection = 99,
			   .port = SIM_PORT,
			   .overlays = OVERLAY_SLEEVE };

	preamble_encode(3, 3, &w);
	gossip_on_received(engine_gossip(p->engine), p->conn, writer_bytes(&w), p->now);
	puppet_turn(p);
	w = writer_over(buffer, sizeof buffer);
	hello_encode(&h, &w);
	puppet_say(p, MESSAGE_HELLO, writer_bytes(&w));
}

/* Looks alive: its heartbeats want entries, but it has read none of ours. */
static void puppet_heartbeat(struct puppet *p)
{
	uint8_t buffer[PULSE_SIZE];
	struct writer w = writer_over(buffer, sizeof buffer);
	struct pulse pulse = { .flags = PULSE_STRUCTURAL | PULSE_PUBLISHED,
			       .sent_ms = ++p->sent_ms * 1000 };

	pulse_encode(&pulse, &w);
	puppet_say(p, MESSAGE_HEARTBEAT, writer_bytes(&w));
}

static void puppet_read(struct puppet *p, uint8_t *buffer)
{
	/* Its kernel takes a little, then nothing: what was pulled last is never acknowledged. */
	if (p->taken < PUPPET_READS)
		p->taken += gossip_pull(engine_gossip(p->engine), p->conn, buffer, PUPPET_READS / 2,
					p->now);
	puppet_turn(p);
}

#define ANY_KIND 77 /* which nobody looks into */

static void change_something(struct puppet *p, unsigned number)
{
	char key[16];
	uint8_t value[1024];

	snprintf(key, sizeof key, "key-%u", number % 20);
	memset(value, (int)number, sizeof value);
	gossip_put(engine_gossip(p->engine), ANY_KIND, bytes_of(key, strlen(key)),
		   bytes_of(value, sizeof value), p->now);
	puppet_turn(p);
}

static struct engine *one_engine(struct mono now)
{
	struct engine_config c = { .gossip = { .name = 0x020000000001,
					       .nickname = "alone",
					       .port = SIM_PORT,
					       .conn_limit = CONN_LIMIT_DEFAULT,
					       .discovery = true,
					       .overlays = OVERLAY_SLEEVE,
					       .instance = 1,
					       .store_id = 1,
					       .generation = SIM_WALL_START,
					       .seed = 1,
					       .protocol_min = 3,
					       .protocol_max = 3 },
				   .router = { .mtu = 1376,
					       .datagram_max = 1472,
					       .bridge_mac = { { 2, 0, 0, 0, 0, 1 } } } };

	struct engine *e = engine_new(&c, now, NULL);

	engine_start(e, now);
	return e;
}

static bool never_reads(FILE *trace, enum sim_mutation mutation, char *why)
{
	struct puppet p = { .now = { 1000000 } };
	struct netaddr remote = { sim_router_ip(98), 40000 };
	uint8_t *buffer = mem_new(1, PUPPET_READS);
	size_t before, most = 0;
	uint64_t start;
	struct why refused;
	void *leaked = NULL;

	(void)trace;
	*why = 0;
	p.engine = one_engine(p.now);
	puppet_turn(&p);
	for (unsigned i = 0; i < 20; i++) /* what it will hold later on anyway */
		change_something(&p, i);
	before = mem_in_use();
	p.conn = gossip_on_accepted(engine_gossip(p.engine), remote, p.now, &refused);
	puppet_hello(&p);
	start = p.now.ms;
	for (unsigned i = 0; !p.closed && p.now.ms - start < PUPPET_LIMIT_MS; i++) {
		p.now.ms += 10;
		if (i % 100 == 0)
			puppet_heartbeat(&p);
		puppet_read(&p, buffer);
		change_something(&p, i);
		engine_tick(p.engine, p.now);
		puppet_turn(&p);
		engine_check(p.engine);
		if (mutation == SIM_MUTATE_LEAK)
			leaked = mem_resize(leaked, i + 1, 1024);
		if (mem_in_use() - before > most)
			most = mem_in_use() - before;
	}
	if (!p.closed)
		bad(why, "a neighbour that never reads is kept for more than %u ms",
		    PUPPET_LIMIT_MS);
	else if (p.now.ms - start < 8000)
		bad(why, "a neighbour that never reads was dropped after %llu ms only",
		    (unsigned long long)(p.now.ms - start));
	else if (most > PUPPET_MEMORY_MAX)
		bad(why, "a neighbour that never reads costs %zu bytes", most);
	mem_free(leaked);
	mem_free(buffer);
	engine_free(p.engine);
	return !*why;
}

/* ---- F1: one that joins three hundred ---- */

/* Links that are published as established by both ends, as router 1 knows them: a bit each. */
static uint8_t *published_links(struct sim *s)
{
	struct topology *t = gossip_topology(sim_router_gossip(s->routers[0]));
	uint8_t *set = mem_new((size_t)s->count * s->count, 1);

	for (uint32_t a = 0; a < s->count; a++) {
		const struct topology_peer *p = topology_peer(t, s->routers[a]->name);

		for (uint32_t i = 0; p && i < p->links_count; i++) {
			uint64_t b = (p->links[i]->to & 0xffff) - 1;

			if (p->links[i]->established && b < s->count)
				set[a * s->count + b] = 1;
		}
	}
	return set;
}

static uint32_t count_changes(const struct sim *s, const uint8_t *x, const uint8_t *y,
			      uint32_t except)
{
	uint32_t changes = 0;

	for (uint32_t a = 0; a < s->count; a++)
		for (uint32_t b = a + 1; b < s->count; b++)
			if (a != except && b != except &&
			    x[a * s->count + b] != y[a * s->count + b])
				changes++;
	return changes;
}

static bool join_at_300(FILE *trace, enum sim_mutation mutation, char *why)
{
	struct sim *s = world(301, trace, mutation, why);
	uint32_t last = s->count - 1, changes;
	uint8_t *before, *after;

	for (uint32_t i = 0; i < s->count; i++) {
		s->routers[i]->config.conn_limit = 12;
		if (i)
			s->routers[i]->disk.targets[s->routers[i]->disk.targets_count++] =
				i == last ? 17 : (i - 1) / 8;
	}
	for (uint32_t i = 0; i < last; i++)
		sim_router_start(s->routers[i]);
	sim_run(s, 40 * SIM_S);
	before = published_links(s);
	sim_router_start(s->routers[last]);
	sim_run(s, 15 * SIM_S);
	after = published_links(s);
	changes = count_changes(s, before, after, last);
	if (changes >= 20)
		bad(why, "one join changed %u links of others", changes);
	mem_free(before);
	mem_free(after);
	return done(s, why);
}

/* ---- F3: five hundred links of one seed ---- */

static bool links_500_to_one_seed(FILE *trace, enum sim_mutation mutation, char *why)
{
	struct sim *s = world(500, trace, mutation, why);
	uint32_t reachable = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		s->routers[i]->config.conn_limit = 0;
		s->routers[i]->config.discovery = false;
		if (i)
			s->routers[i]->disk.targets[s->routers[i]->disk.targets_count++] = 0;
	}
	for (uint32_t i = 0; i < s->count; i++) {
		sim_router_start(s->routers[i]);
		sim_run(s, 5 * SIM_MS);
	}
	sim_run(s, 20 * SIM_S);
	for (uint32_t i = 0; !s->failed && i < s->count; i++)
		reachable += topology_reachable(gossip_topology(sim_router_gossip(s->routers[499])),
						s->routers[i]->name);
	if (!s->failed && reachable != s->count)
		bad(why, "the last of 500 sees %u", reachable);
	return done(s, why);
}

/* ---- F2: what one change costs ---- */

static uint64_t entries_sent(const struct sim *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		struct gossip_counters c;

		gossip_counters(sim_router_gossip(s->routers[i]), &c);
		sum += c.entries_sent;
	}
	return sum;
}

static bool one_change_among_60(FILE *trace, enum sim_mutation mutation, char *why)
{
	struct sim *s = world(60, trace, mutation, why);
	double budget = 3. * s->count * log2(s->count);
	uint64_t before, sent;
	uint32_t have = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		if (i)
			s->routers[i]->disk.targets[s->routers[i]->disk.targets_count++] = 0;
		sim_router_start(s->routers[i]);
	}
	/* Beyond the second half-minute nothing is written by the routers themselves. */
	sim_run(s, 45 * SIM_S);
	before = entries_sent(s);
	sim_router_put(s->routers[30], KIND_NAME, "one", "1");
	sim_run(s, SIM_S);
	sent = entries_sent(s) - before;
	for (uint32_t i = 0; i < s->count; i++)
		have += sim_router_find(s->routers[i], KIND_NAME, "one") != NULL;
	if (have != s->count)
		bad(why, "one second after a change only %u of %u know it", have, s->count);
	else if ((double)sent > budget)
		bad(why, "one change was sent %llu times, budget %.0f", (unsigned long long)sent,
		    budget);
	return done(s, why);
}

static const struct sim_scenario table[] = {
	{ "f7c_never_reads", never_reads },
	{ "f1_join_at_300", join_at_300 },
	{ "f2_one_change_among_60", one_change_among_60 },
	{ "f3_500_links_to_one_seed", links_500_to_one_seed },
	{ "ipam_another_ring", sim_ipam_another_ring },
};

const struct sim_scenario *sim_scenario_at(size_t index)
{
	return index < ARRAY_COUNT(table) ? &table[index] : NULL;
}
