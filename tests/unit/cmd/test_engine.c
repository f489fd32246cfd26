/* Whole engines that serve addresses, joined by streams and datagrams without delay: what of IPAM
 * the engine wires to gossip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weave/alloc.h>
#include <weave/engine.h>
#include <weave/must.h>

#include "../../../ipam/kinds.h"

#define NODES 4u
#define STREAMS 64u
#define ROWS 64u
#define PORT 6783u

struct row {
	size_t universe;
	enum ipam_table table;
	uint64_t key;
	uint8_t value[512];
	size_t size;
	bool used;
};

struct node {
	struct engine *engine;
	uint64_t store_id, generation;
	struct row rows[ROWS];
	bool hold; /* SAVEs are not durable yet */
	uint64_t saved[ENGINE_UNIVERSES_MAX], waiting[ENGINE_UNIVERSES_MAX];
	bool is_waiting;
	unsigned answers, renews, runs_in;
	struct ipam_action answer;
	char text[256];
	bool answer_after_save; /* the last answer came when all SAVEs before it were durable */
};

struct stream {
	unsigned node[2];
	conn_id conn[2];
	bool open;
};

struct net {
	struct node nodes[NODES];
	struct stream streams[STREAMS];
	unsigned streams_count;
	struct mono now;
	unsigned universes;
	struct ipam_config config[NODES][ENGINE_UNIVERSES_MAX];
};

static struct ip_addr ip_of(unsigned n)
{
	return (struct ip_addr){ .family = 4, .b = { 10, 0, 0, (uint8_t)(n + 1) } };
}

static peer_name name_of(unsigned n)
{
	return n + 1;
}

static struct stream *stream_of(struct net *w, unsigned n, conn_id conn, unsigned *end)
{
	for (unsigned s = 0; s < w->streams_count; s++)
		for (*end = 0; *end < 2; (*end)++)
			if (w->streams[s].open && w->streams[s].node[*end] == n &&
			    w->streams[s].conn[*end] == conn)
				return &w->streams[s];
	return NULL;
}

static void dial(struct net *w, unsigned n, const struct gossip_action *a)
{
	unsigned to = a->address.ip.b[3] - 1u;
	struct stream *s = &w->streams[w->streams_count++];
	struct why why;

	MUST(w->streams_count < STREAMS);
	*s = (struct stream){ .node = { n, to }, .conn = { a->conn, 0 } };
	if (to < NODES && w->nodes[to].engine)
		s->conn[1] = gossip_on_accepted(engine_gossip(w->nodes[to].engine),
						(struct netaddr){ ip_of(n), 40000 }, w->now, &why);
	s->open = s->conn[1] != 0;
	if (s->open)
		gossip_on_connected(engine_gossip(w->nodes[n].engine), a->conn,
				    (struct netaddr){ ip_of(n), 40000 }, a->address, w->now);
	else
		gossip_on_dial_failed(engine_gossip(w->nodes[n].engine), a->conn, "refused",
				      w->now);
}

static void carry(struct net *w, unsigned n, conn_id conn)
{
	static uint8_t buffer[65536];
	unsigned end;
	struct stream *s = stream_of(w, n, conn, &end);
	size_t size;

	while ((size = gossip_pull(engine_gossip(w->nodes[n].engine), conn, buffer, sizeof buffer,
				   w->now)))
		if (s)
			gossip_on_received(engine_gossip(w->nodes[s->node[!end]].engine),
					   s->conn[!end], bytes_of(buffer, size), w->now);
}

static void hang_up(struct net *w, unsigned n, conn_id conn)
{
	unsigned end;
	struct stream *s = stream_of(w, n, conn, &end);

	if (!s)
		return;
	s->open = false;
	gossip_on_closed(engine_gossip(w->nodes[s->node[!end]].engine), s->conn[!end], NULL,
			 w->now);
}

static void save(struct node *node, const struct engine_action *a)
{
	struct row *free_row = NULL;

	for (size_t r = 0; r < ROWS; r++) {
		struct row *row = &node->rows[r];

		if (row->used && row->universe == a->universe && row->table == a->ipam.table &&
		    row->key == a->ipam.key)
			row->used = false;
		if (!row->used && !free_row)
			free_row = row;
	}
	MUST(free_row && a->ipam.bytes.size <= sizeof free_row->value);
	if (a->ipam.ok) {
		*free_row = (struct row){ .universe = a->universe,
					  .table = a->ipam.table,
					  .key = a->ipam.key,
					  .size = a->ipam.bytes.size,
					  .used = true };
		memcpy(free_row->value, a->ipam.bytes.data, a->ipam.bytes.size);
	}
	node->waiting[a->universe] = a->ipam.ticket;
	node->is_waiting = true;
}

static void take_ipam_action(struct net *w, unsigned n, const struct engine_action *a)
{
	struct node *node = &w->nodes[n];

	switch (a->ipam.type) {
	case IPAM_SAVE:
		save(node, a);
		break;
	case IPAM_ANSWER:
		node->answers++;
		node->answer = a->ipam;
		node->answer_after_save = node->saved[a->universe] == node->waiting[a->universe];
		snprintf(node->text, sizeof node->text, "%.*s", (int)a->ipam.bytes.size,
			 a->ipam.bytes.size ? (const char *)a->ipam.bytes.data : "");
		break;
	case IPAM_RENEW:
		node->renews++;
		engine_set_store(node->engine, ++node->store_id, w->now);
		break;
	default:
		fail_msg("action %d is not for the world", a->ipam.type);
	}
}

/* One turn; false when there was nothing to do. */
static bool turn(struct net *w, unsigned n)
{
	struct node *node = &w->nodes[n];
	struct engine_action a;
	bool did = false;

	while (engine_next_action(node->engine, &a, w->now)) {
		did = true;
		if (a.type == ENGINE_IPAM)
			take_ipam_action(w, n, &a);
		else if (a.gossip.type == GOSSIP_DIAL)
			dial(w, n, &a.gossip);
		else if (a.gossip.type == GOSSIP_WRITE)
			carry(w, n, a.gossip.conn);
		else if (a.gossip.type == GOSSIP_PERSIST)
			gossip_on_persisted(engine_gossip(node->engine), a.gossip.ticket, w->now);
		else if (a.gossip.type == GOSSIP_CLOSE) {
			carry(w, n, a.gossip.conn);
			hang_up(w, n, a.gossip.conn);
		}
	}
	for (size_t u = 0; node->is_waiting && !node->hold && u < w->universes; u++) {
		node->saved[u] = node->waiting[u];
		ipam_on_saved(engine_ipam(node->engine, u), node->saved[u], w->now);
		did = true;
	}
	if (!node->hold)
		node->is_waiting = false;
	return did;
}

static void flush(struct net *w, unsigned n)
{
	struct outbox *o = router_outbox(engine_router(w->nodes[n].engine));

	for (uint32_t i = 0; i < o->datagrams_count; i++) {
		unsigned to = o->datagrams[i].to.ip.b[3] - 1u;
		uint8_t *copy = mem_copy(o->datagrams[i].data, o->datagrams[i].size);

		if (to < NODES && w->nodes[to].engine)
			router_on_datagram(engine_router(w->nodes[to].engine),
					   (struct netaddr){ ip_of(n), PORT }, copy,
					   o->datagrams[i].size, w->now);
		mem_free(copy);
	}
	outbox_clear(o);
}

static void settle(struct net *w)
{
	bool did = true;

	for (unsigned limit = 1000; did; limit--) {
		MUST(limit);
		did = false;
		for (unsigned n = 0; n < NODES; n++)
			if (w->nodes[n].engine) {
				did |= turn(w, n);
				flush(w, n);
			}
	}
}

static void run(struct net *w, uint64_t ms)
{
	uint64_t end = w->now.ms + ms;

	settle(w);
	for (; w->now.ms < end; w->now.ms += 10) {
		for (unsigned n = 0; n < NODES; n++)
			if (w->nodes[n].engine &&
			    mono_reached(w->now, engine_deadline(w->nodes[n].engine)))
				engine_tick(w->nodes[n].engine, w->now);
		settle(w);
	}
	for (unsigned n = 0; n < NODES; n++)
		if (w->nodes[n].engine)
			engine_check(w->nodes[n].engine);
}

static void start(struct net *w, unsigned n, unsigned universes)
{
	struct node *node = &w->nodes[n];
	struct engine_config c = { .gossip = { .name = name_of(n),
					       .nickname = "node",
					       .port = PORT,
					       .conn_limit = CONN_LIMIT_DEFAULT,
					       .discovery = true,
					       .overlays = OVERLAY_SLEEVE,
					       .addresses_count = 1,
					       .addresses = { ip_of(n) },
					       .instance = w->now.ms + n,
					       .store_id = node->store_id,
					       .generation = ++node->generation,
					       .seed = w->now.ms * 7 + n,
					       .protocol_min = 3,
					       .protocol_max = 3 },
				   .router = { .mtu = 1376,
					       .datagram_max = 1472,
					       .bridge_mac = { { 2, 0, 0, 0, 0, 1 } } },
				   .universes = w->config[n],
				   .universes_count = universes };

	node->engine = engine_new(&c, w->now, NULL);
	memset(node->saved, 0, sizeof node->saved);
	memset(node->waiting, 0, sizeof node->waiting);
	for (size_t r = 0; r < ROWS; r++)
		if (node->rows[r].used)
			assert_null(engine_load(node->engine, node->rows[r].universe,
						node->rows[r].table, node->rows[r].key,
						bytes_of(node->rows[r].value, node->rows[r].size)));
	engine_start(node->engine, w->now);
	settle(w);
}

static void stop(struct net *w, unsigned n)
{
	engine_free(w->nodes[n].engine);
	w->nodes[n].engine = NULL;
	for (unsigned s = 0; s < w->streams_count; s++)
		for (unsigned end = 0; end < 2; end++) {
			struct stream *st = &w->streams[s];

			if (!st->open || st->node[end] != n)
				continue;
			st->open = false;
			gossip_on_closed(engine_gossip(w->nodes[st->node[!end]].engine),
					 st->conn[!end], NULL, w->now);
		}
}

static struct net *net_new(unsigned universes)
{
	static const char *const ranges[] = { "10.40.0.0/24", "fd00:40::/120" };
	static const peer_name first = 1;
	struct net *w = mem_new(1, sizeof *w);
	struct why why;

	w->now.ms = 1000000;
	w->universes = universes;
	for (unsigned n = 0; n < NODES; n++) {
		w->nodes[n].store_id = 100 * (n + 1);
		w->nodes[n].generation = 5;
		for (unsigned u = 0; u < universes; u++) {
			struct ipam_config *c = &w->config[n][u];
			struct cidr cidr;

			*c = (struct ipam_config){ .has_targets = n > 0,
						   .mode = IPAM_SEED,
						   .seeds = &first,
						   .seeds_count = 1 };
			MUST(cidr_parse(ranges[u], &cidr) &&
			     universe_init(&c->universe, cidr, &why));
		}
	}
	return w;
}

static void net_free(struct net *w)
{
	for (unsigned n = 0; n < NODES; n++)
		engine_free(w->nodes[n].engine);
	mem_free(w);
}

static void connect(struct net *w, unsigned n, unsigned to)
{
	char text[IP_TEXT_SIZE];
	const char *texts[1] = { ip_text(ip_of(to), text) };
	struct why why;

	assert_true(
		gossip_connect(engine_gossip(w->nodes[n].engine), texts, 1, false, w->now, &why));
}

static void ask(struct net *w, unsigned n, unsigned universe, uint64_t request, const char *who)
{
	struct ipam *i = engine_ipam(w->nodes[n].engine, universe);

	ipam_allocate(i, request, bytes_of(who, strlen(who)), (struct span){ 1, 255 }, w->now);
	settle(w);
}

static enum ipam_phase phase(struct net *w, unsigned n, unsigned universe)
{
	struct ipam_status s;

	ipam_status(engine_ipam(w->nodes[n].engine, universe), &s);
	return s.phase;
}

static bool rings_equal(struct net *w, unsigned a, unsigned b, unsigned universe)
{
	struct ipam_ring_state x = ipam_ring_state(engine_ipam(w->nodes[a].engine, universe));
	struct ipam_ring_state y = ipam_ring_state(engine_ipam(w->nodes[b].engine, universe));

	return x.ring_id == y.ring_id && x.digest.high == y.digest.high &&
	       x.digest.low == y.digest.low;
}

static unsigned runs_stored(struct net *w, unsigned n)
{
	struct store *s = gossip_store(engine_gossip(w->nodes[n].engine));
	unsigned count = 0;

	for (const struct entry *e = store_next(s, NULL); e; e = store_next(s, e))
		count += e->view.kind == KIND_RUN;
	return count;
}

/* ---- tests ---- */

/* The donor is asked, writes, and its answer reaches us: addresses of both families. */
static void two_routers_share_two_ranges(void **state)
{
	struct net *w = net_new(2);

	(void)state;
	start(w, 0, 2);
	start(w, 1, 2);
	connect(w, 1, 0);
	run(w, 1000);
	for (unsigned u = 0; u < 2; u++) {
		assert_int_equal(phase(w, 0, u), IPAM_READY);
		assert_int_equal(phase(w, 1, u), IPAM_READY);
		ask(w, 1, u, 10 + u, "web");
		run(w, 100);
		assert_int_equal(w->nodes[1].answers, u + 1);
		assert_int_equal(w->nodes[1].answer.request, 10 + u);
		assert_true(w->nodes[1].answer.ok);
		run(w, 500);
		assert_true(rings_equal(w, 0, 1, u));
	}
	net_free(w);
}

/* Not as long as a heartbeat: the ring is compared when the two meet. */
static void in_sync_well_within_a_second(void **state)
{
	struct net *w = net_new(1);

	(void)state;
	start(w, 0, 1);
	ask(w, 0, 0, 1, "db");
	start(w, 1, 1);
	connect(w, 1, 0);
	run(w, 300);
	ask(w, 1, 0, 2, "web");
	run(w, 300);
	assert_true(w->nodes[1].answer.ok);
	/* Both know things that the other does not: runs of each are newer. */
	stop(w, 1);
	run(w, 1000);
	start(w, 2, 1);
	connect(w, 2, 0);
	run(w, 500);
	ask(w, 2, 0, 3, "api");
	run(w, 300);
	assert_true(w->nodes[2].answer.ok);
	start(w, 1, 1);
	assert_int_equal(phase(w, 1, 0), IPAM_SYNCING);
	connect(w, 1, 0);
	run(w, 300);
	assert_int_equal(phase(w, 1, 0), IPAM_READY);
	assert_true(rings_equal(w, 0, 1, 0) && rings_equal(w, 1, 2, 0));
	net_free(w);
}

/* Whoever accepted the connection knows more: the other one asks for it all the same. */
static void repair_goes_both_ways(void **state)
{
	struct net *w = net_new(1);

	(void)state;
	for (unsigned n = 0; n < 3; n++)
		start(w, n, 1);
	connect(w, 1, 0);
	run(w, 500);
	for (uint64_t q = 1; q < 9; q++) {
		char who[8];

		snprintf(who, sizeof who, "c%u", (unsigned)q);
		ask(w, 1, 0, q, who);
		run(w, 100);
	}
	connect(w, 0, 2); /* 0 knows more than 2 */
	run(w, 600);
	assert_int_equal(phase(w, 2, 0), IPAM_READY);
	assert_true(rings_equal(w, 0, 2, 0) && rings_equal(w, 1, 2, 0));
	net_free(w);
}

static void merge_run(struct net *w, unsigned n, uint64_t start, uint64_t end)
{
	struct ipam *i = engine_ipam(w->nodes[n].engine, 0);
	struct run run = { start, end, 0, 9, { 0x99, 5 } };
	struct entry_room room;

	run_entry(&room, &w->config[n][0].universe, ipam_ring_state(i).ring_id, &run);
	gossip_merge(engine_gossip(w->nodes[n].engine), &room.view, w->now);
	settle(w);
}

/* F10: of one larger run, one side has only a piece, under the same start.  What it sends the other
 * end brings nothing new there, and under its own starts there is nothing to answer with. */
static void runs_that_are_cut_differently_are_repaired(void **state)
{
	for (unsigned dials = 0; dials < 2; dials++) {
		struct net *w = net_new(1);

		(void)state;
		start(w, 0, 1);
		start(w, 1, 1);
		merge_run(w, 0, 7, 15);
		merge_run(w, 1, 7, 12);
		connect(w, dials, !dials);
		run(w, 500);
		assert_true(rings_equal(w, 0, 1, 0));
		net_free(w);
	}
}

static void an_answer_waits_for_the_disk(void **state)
{
	struct net *w = net_new(1);

	(void)state;
	start(w, 0, 1);
	run(w, 100);
	w->nodes[0].hold = true;
	ask(w, 0, 0, 1, "web");
	run(w, 1000);
	assert_int_equal(w->nodes[0].answers, 0);
	w->nodes[0].hold = false;
	settle(w);
	assert_int_equal(w->nodes[0].answers, 1);
	assert_true(w->nodes[0].answer_after_save);
	net_free(w);
}

/* Two rings: no run crosses, both say so, the rest of the store is exchanged as ever. */
static void rings_of_different_ids_do_not_mix(void **state)
{
	struct net *w = net_new(1);
	static const peer_name other = 2;
	struct hash128 a, b;
	struct ipam_status s;

	(void)state;
	w->config[1][0].seeds = &other;
	start(w, 0, 1);
	start(w, 1, 1);
	ask(w, 0, 0, 1, "a");
	ask(w, 1, 0, 2, "b");
	connect(w, 1, 0);
	run(w, 20000);
	for (unsigned n = 0; n < 2; n++) {
		ipam_status(engine_ipam(w->nodes[n].engine, 0), &s);
		assert_true(s.foreign_ring != 0 && s.foreign_ring != s.ring_id);
		assert_int_equal(s.foreign_peer, name_of(!n));
		assert_int_equal(s.phase, IPAM_READY);
		assert_int_equal(runs_stored(w, n), s.runs);
	}
	a = store_digest(gossip_store(engine_gossip(w->nodes[0].engine)));
	b = store_digest(gossip_store(engine_gossip(w->nodes[1].engine)));
	assert_true(a.high == b.high && a.low == b.low);
	ask(w, 1, 0, 3, "c");
	assert_true(w->nodes[1].answer.ok);
	net_free(w);
}

/* A router without that range says so: a takeover that waits for everybody ends. */
static void routers_without_the_range_decline(void **state)
{
	struct net *w = net_new(1);

	(void)state;
	start(w, 0, 1);
	start(w, 1, 1);
	start(w, 2, 0);
	connect(w, 1, 0);
	connect(w, 2, 0);
	run(w, 1000);
	assert_int_equal(phase(w, 1, 0), IPAM_READY); /* node 2 has said that it has no ring */
	assert_int_equal(runs_stored(w, 2), 0);
	ask(w, 1, 0, 1, "web");
	run(w, 500);
	stop(w, 0);
	run(w, 20000);
	ipam_remove_peer(engine_ipam(w->nodes[1].engine, 0), 9, name_of(0), 0, false, w->now);
	run(w, 3000);
	assert_int_equal(w->nodes[1].answer.request, 9);
	assert_true(w->nodes[1].answer.ok);
	net_free(w);
}

/* Who was removed and comes back hears of it before it uses anything. */
static void a_removed_peer_that_returns_owns_nothing(void **state)
{
	struct net *w = net_new(1);
	struct ipam_status s;

	(void)state;
	for (unsigned n = 0; n < 2; n++)
		start(w, n, 1);
	connect(w, 1, 0);
	run(w, 1000);
	stop(w, 0);
	run(w, 20000);
	ipam_remove_peer(engine_ipam(w->nodes[1].engine, 0), 9, name_of(0), 0, false, w->now);
	run(w, 1000);
	assert_true(w->nodes[1].answer.ok);
	w->config[0][0].has_targets = true;
	start(w, 0, 1);
	connect(w, 0, 1);
	ask(w, 0, 0, 10, "web");
	assert_int_equal(w->nodes[0].answers, 0);
	run(w, 2000);
	ipam_status(engine_ipam(w->nodes[0].engine, 0), &s);
	assert_int_equal(s.phase, IPAM_READY);
	assert_true(w->nodes[0].answer.ok); /* from node 1, which owns it all */
	assert_true(rings_equal(w, 0, 1, 0));
	net_free(w);
}

/* An old copy of the disk is found out by the generation that others know; both universes get
 * the new store id, the world is asked once. */
static void an_old_copy_of_the_disk_takes_one_new_store_id(void **state)
{
	struct net *w = net_new(2);

	(void)state;
	start(w, 0, 2);
	start(w, 1, 2);
	connect(w, 1, 0);
	run(w, 40000); /* until its peer entry has been written again */
	stop(w, 1);
	run(w, 100);
	w->nodes[1].generation -= 1; /* the start that was made with this copy is not in it */
	start(w, 1, 2);
	connect(w, 1, 0);
	run(w, 2000);
	assert_int_equal(w->nodes[1].renews, 1);
	assert_int_equal(
		topology_peer(gossip_topology(engine_gossip(w->nodes[0].engine)), name_of(1))
			->info.store_id,
		w->nodes[1].store_id);
	for (unsigned u = 0; u < 2; u++)
		assert_int_equal(phase(w, 1, u), IPAM_READY);
	net_free(w);
}

/* A message that finds no way comes back: another donor is asked without waiting for the first. */
static void a_message_that_comes_back_is_no_reason_to_wait(void **state)
{
	struct net *w = net_new(1);
	uint64_t asked;

	(void)state;
	for (unsigned n = 0; n < 3; n++)
		start(w, n, 1);
	connect(w, 1, 0);
	connect(w, 2, 0);
	run(w, 1000);
	ask(w, 1, 0, 1, "x");
	run(w, 200);
	assert_true(w->nodes[1].answer.ok);
	/* The connection is gone, and 2 does not know yet that nobody leads there. */
	stop(w, 0);
	asked = w->now.ms;
	ask(w, 2, 0, 2, "y");
	while (w->nodes[2].answers == 0 && w->now.ms < asked + 5000)
		run(w, 10);
	assert_true(w->nodes[2].answer.ok);
	assert_true(w->now.ms - asked < IPAM_ASK_TIMEOUT_MS);
	net_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_routers_share_two_ranges),
		cmocka_unit_test(in_sync_well_within_a_second),
		cmocka_unit_test(repair_goes_both_ways),
		cmocka_unit_test(runs_that_are_cut_differently_are_repaired),
		cmocka_unit_test(an_answer_waits_for_the_disk),
		cmocka_unit_test(rings_of_different_ids_do_not_mix),
		cmocka_unit_test(routers_without_the_range_decline),
		cmocka_unit_test(a_removed_peer_that_returns_owns_nothing),
		cmocka_unit_test(an_old_copy_of_the_disk_takes_one_new_store_id),
		cmocka_unit_test(a_message_that_comes_back_is_no_reason_to_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
