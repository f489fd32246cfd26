#include "gossip_engine.h"

#include <stdio.h>

#include <sodium.h>

#include <weave/alloc.h>
#include <weave/must.h>

/* ---- actions ---- */

/* There were secrets among them. */
static void free_actions(struct gossip *g)
{
	if (g->actions)
		sodium_memzero(g->actions, g->actions_room * sizeof *g->actions);
	mem_free(g->actions);
}

static void grow_actions(struct gossip *g)
{
	size_t room = g->actions_room ? g->actions_room * 2 : 32;
	struct queued_action *ring = mem_new(room, sizeof *ring);

	for (size_t i = 0; i < g->actions_count; i++)
		ring[i] = g->actions[(g->actions_first + i) % g->actions_room];
	free_actions(g);
	g->actions = ring;
	g->actions_room = room;
	g->actions_first = 0;
}

struct gossip_action *push_action(struct gossip *g, enum gossip_action_type type)
{
	struct queued_action *q;

	if (g->actions_count == g->actions_room)
		grow_actions(g);
	q = &g->actions[(g->actions_first + g->actions_count) % g->actions_room];
	g->actions_count++;
	*q = (struct queued_action){ .action.type = type };
	return &q->action;
}

static struct queued_action *newest_action(struct gossip *g, struct gossip_action *a)
{
	struct queued_action *q =
		&g->actions[(g->actions_first + g->actions_count - 1) % g->actions_room];

	MUST(&q->action == a && !q->owned);
	return q;
}

void action_own_bytes(struct gossip *g, struct gossip_action *a, struct bytes bytes)
{
	struct queued_action *q = newest_action(g, a);

	if (bytes.size == 0)
		return;
	q->owned = mem_copy(bytes.data, bytes.size);
	a->bytes = bytes_of(q->owned, bytes.size);
}

void action_own_text(struct gossip *g, struct gossip_action *a, const char *text)
{
	struct queued_action *q = newest_action(g, a);

	q->owned = mem_copy_text(text);
	a->text = q->owned;
}

bool gossip_next_action(struct gossip *g, struct gossip_action *action)
{
	struct queued_action *q;

	mem_free(g->action_owned);
	g->action_owned = NULL;
	if (g->actions_count == 0)
		return false;
	q = &g->actions[g->actions_first];
	*action = q->action;
	g->action_owned = q->owned;
	sodium_memzero(&q->action.secret, sizeof q->action.secret);
	g->actions_first = (g->actions_first + 1) % g->actions_room;
	g->actions_count--;
	return true;
}

/* ---- life ---- */

static void add_own_addresses(struct gossip *g)
{
	g->own_addresses_count = 0;
	for (unsigned i = 0; i < g->config.addresses_count; i++)
		g->own_addresses[g->own_addresses_count++] =
			(struct netaddr){ g->config.addresses[i], g->config.port };
}

struct gossip *gossip_new(const struct gossip_config *config, struct mono now, struct log *log)
{
	struct gossip *g = mem_new(1, sizeof *g);

	MUST(config->name != PEER_NAME_NONE && config->name <= PEER_NAME_MAX);
	MUST(config->addresses_count <= ADDRESSES_PER_PEER_MAX && config->nickname[0]);
	MUST(config->trusted_count <= TRUSTED_SUBNETS_MAX);
	MUST(!config->passwords || config->entropy);
	g->config = *config;
	g->log = log;
	g->rng.state = config->seed;
	g->hash_key.k0 = rng_u64(&g->rng);
	g->hash_key.k1 = rng_u64(&g->rng);
	g->now = g->started = g->due = now;
	g->store = store_new(rng_u64(&g->rng));
	g->topology = topology_new(g->store, config->name);
	g->garbage = garbage_new(g->store, g->topology, config->name);
	identity_init(&g->identity, config->name, config->instance, config->generation);
	g->neighbours = (struct neighbours){ .store = g->store, .changed = now, .mark_at = now };
	strangers_init(&g->strangers, now);
	list_init(&g->conns_in_order);
	list_init(&g->conns_flowing);
	g->targets_due = MONO_NEVER;
	g->mesh_due = now;
	g->topology_due = MONO_NEVER;
	g->floor_due = mono_after(now, FLOOR_MS);
	g->republish_due = MONO_NEVER;
	add_own_addresses(g);
	entries_put_peer(g);
	return g;
}

void gossip_free(struct gossip *g)
{
	if (!g)
		return;
	conns_free(g);
	targets_free(g);
	entries_free(g);
	for (size_t i = 0; i < g->actions_count; i++)
		mem_free(g->actions[(g->actions_first + i) % g->actions_room].owned);
	mem_free(g->action_owned);
	free_actions(g);
	mem_free(g->mesh);
	table_fini(&g->conns);
	table_fini(&g->peers);
	table_fini(&g->own);
	garbage_free(g->garbage);
	topology_free(g->topology);
	store_free(g->store);
	mem_free(g);
}

struct store *gossip_store(struct gossip *g)
{
	return g->store;
}

struct topology *gossip_topology(struct gossip *g)
{
	return g->topology;
}

void gossip_stop(struct gossip *g, struct mono now)
{
	struct why why;

	g->now = now;
	g->stopped = true;
	why_set(&why, WHY_STOPPED, "router %s stopped", g->config.nickname);
	for (struct list *l = g->conns_in_order.next, *next; l != &g->conns_in_order; l = next) {
		struct conn *c = list_entry(l, struct conn, in_order);

		next = l->next;
		if (c->state != CONN_CLOSING)
			conn_close(c, &why);
	}
	gossip_settle(g);
}

/* ---- what follows from an event ---- */

void due_by(struct gossip *g, struct mono due)
{
	g->due = mono_min(g->due, due);
}

static void update_topology(struct gossip *g)
{
	if (!topology_dirty(g->topology)) {
		g->topology_due = MONO_NEVER;
		return;
	}
	g->topology_due = mono_after(g->topology_at, TOPOLOGY_MS);
	if (g->routes_version == 0)
		g->topology_due = g->now;
	if (!mono_reached(g->now, g->topology_due)) {
		due_by(g, g->topology_due);
		return;
	}
	topology_update(g->topology);
	g->topology_at = g->now;
	g->topology_due = MONO_NEVER;
	/* Peers and addresses matter to the mesh though no route changed. */
	mesh_soon(g);
	if (topology_peers_version(g->topology) != g->peers_version) {
		g->peers_version = topology_peers_version(g->topology);
		push_action(g, GOSSIP_PEERS);
	}
	if (topology_version(g->topology) != g->routes_version) {
		g->routes_version = topology_version(g->topology);
		push_action(g, GOSSIP_ROUTES);
	}
}

/* Gives the one place for a repair round to the next that wants it. */
static void start_repair(struct gossip *g)
{
	struct neighbours *all = &g->neighbours;
	struct hash128 ours = store_digest(g->store);
	enum store_apart apart;
	uint32_t wanting = 0;

	if (all->syncing || all->wanting == 0)
		return;
	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		struct conn *c = list_entry(l, struct conn, in_order);
		struct neighbour *n = &c->neighbour;

		if (c->state != CONN_UP || n->repair.state != REPAIR_WANTED)
			continue;
		apart = store_compare_apart(g->store, n->peer);
		if (ours.high == n->their_digest.high && ours.low == n->their_digest.low &&
		    apart == STORE_APART_EQUAL) {
			repair_equal(&n->repair); /* another round has done it */
			continue;
		}
		wanting++;
		if (all->syncing || !repair_ready(&n->repair, g->now))
			continue;
		repair_start(&n->repair, neighbour_theirs(n), apart != STORE_APART_EQUAL, g->now);
		all->syncing = c->id;
		conn_poke(c);
	}
	all->wanting = wanting;
	/* Those that wait for their back-off were not counted while the place was taken. */
	for (struct list *l = g->conns_in_order.next; !all->syncing && l != &g->conns_in_order;
	     l = l->next)
		conn_touch(list_entry(l, struct conn, in_order));
}

static void end_repair(struct gossip *g)
{
	struct neighbours *all = &g->neighbours;
	struct conn *c = all->syncing ? conn_find(g, all->syncing) : NULL;

	if (!all->syncing)
		return;
	if (c && c->state == CONN_UP && !repair_over(&c->neighbour.repair, g->now))
		return;
	all->syncing = 0;
	if (c && c->state == CONN_UP)
		neighbour_meet(&c->neighbour, g->now);
}

void gossip_settle(struct gossip *g)
{
	entries_settle(g);
	update_topology(g);
	end_repair(g);
	start_repair(g);
	if (!mono_reached(g->now, g->targets_due))
		due_by(g, g->targets_due);
	else
		targets_tick(g);
	if (store_sequence(g->store) == g->seen_sequence)
		return;
	g->seen_sequence = store_sequence(g->store);
	neighbours_note_change(&g->neighbours, g->now);
	for (struct list *l = g->conns_flowing.next, *next; l != &g->conns_flowing; l = next) {
		struct conn *c = list_entry(l, struct conn, flowing);

		next = l->next;
		neighbour_skip_own(&c->neighbour);
		conn_poke(c);
	}
}

/* ---- time ---- */

static struct mono find_due(const struct gossip *g)
{
	struct mono due = mono_min(g->targets_due, g->topology_due);

	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next)
		due = mono_min(due, list_entry(l, struct conn, in_order)->due);
	due = mono_min(due, entries_deadline(g));
	return mono_min(due, mesh_deadline(g));
}

void gossip_tick(struct gossip *g, struct mono now)
{
	g->now = now;
	if (!mono_reached(now, g->due))
		return;
	for (struct list *l = g->conns_in_order.next, *next; l != &g->conns_in_order; l = next) {
		struct conn *c = list_entry(l, struct conn, in_order);

		next = l->next;
		if (mono_reached(now, c->due))
			conn_tick(c);
	}
	entries_tick(g);
	if (!g->stopped) {
		if (mono_reached(now, g->mesh_due))
			mesh_update(g);
		mesh_close_unwanted(g);
	}
	gossip_settle(g);
	g->due = find_due(g);
}

struct mono gossip_deadline(const struct gossip *g)
{
	return g->due;
}

void gossip_counters(const struct gossip *g, struct gossip_counters *counters)
{
	*counters = g->counters;
	counters->entries_sent = g->neighbours.entries_sent;
	counters->repairs = g->neighbours.repairs;
	counters->repair_entries = g->neighbours.repair_entries;
	counters->unicast_dropped += g->neighbours.unicast_dropped;
	counters->generation = g->identity.generation;
	counters->jumps = g->identity.jumps;
	counters->silent = g->identity.silent;
	counters->duplicate = g->identity.duplicate;
}

/* ---- checks ---- */

static void check_conn(const struct gossip *g, const struct conn *c)
{
	const struct neighbour *n = &c->neighbour;

	MUST(conn_find(g, c->id) == c);
	MUST(c->out_at <= c->out_size);
	MUST(list_empty(&c->flowing) == !(c->state == CONN_UP && n->flow));
	if (c->state == CONN_UP) {
		MUST(conn_of_peer(g, c->hello.name) == c);
		MUST(n->id == c->id && n->peer == c->hello.name);
		MUST(n->acked <= n->announced);
		MUST(n->announced <= store_sequence(g->store));
		MUST(n->flow == (n->structural || n->structural_theirs));
		MUST(n->unicast_size <= UNICAST_QUEUE_MAX);
		MUST(n->overlay_count <= OVERLAY_QUEUE_MAX);
	} else {
		MUST(!c->confirmed && !c->overlay);
	}
	if (c->state == CONN_UP || c->state == CONN_SPARE) {
		MUST(c->sealer.sealed == has_password(g));
		MUST(c->sealer.sealed == (c->in.opened != NULL));
		MUST(c->sealer.sealed || !c->secret.sealed);
	}
	MUST((c->handshake != NULL) == (c->state == CONN_HANDSHAKE));
}

void gossip_check(struct gossip *g)
{
	uint32_t handshakes = 0, inbound = 0, outbound = 0;
	size_t up = 0;

	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		struct conn *c = list_entry(l, struct conn, in_order);

		check_conn(g, c);
		up += c->state == CONN_UP;
		handshakes += c->state == CONN_HANDSHAKE && !c->outbound;
		inbound += !c->outbound && (c->state == CONN_UP || c->state == CONN_SPARE);
		outbound += c->outbound && c->state != CONN_CLOSING;
	}
	MUST(up == g->peers.count);
	MUST(handshakes == g->handshakes_count && handshakes <= HANDSHAKES_MAX);
	MUST(inbound == g->inbound_count && outbound == g->outbound_count);
	MUST(!g->config.conn_limit || inbound <= accept_limit(g));
	for (size_t i = 1; i < g->mesh_count; i++)
		MUST(g->mesh[i - 1].name < g->mesh[i].name);
	MUST(g->own.count <= WRITER_ENTRIES_MAX);
	store_check_all(g->store);
	topology_check(g->topology);
}

void gossip_set_store(struct gossip *g, uint64_t store_id, struct mono now)
{
	MUST(store_id != 0);
	g->now = now;
	g->config.store_id = store_id;
	entries_put_peer(g);
	gossip_settle(g);
}

void gossip_set_addresses(struct gossip *g, const struct ip_addr *addresses, size_t count,
			  struct mono now)
{
	struct gossip_config *c = &g->config;
	struct ip_addr fresh[ADDRESSES_PER_PEER_MAX] = { 0 };

	if (count > ADDRESSES_PER_PEER_MAX)
		count = ADDRESSES_PER_PEER_MAX;
	for (size_t i = 0; i < count; i++)
		fresh[i] = addresses[i];
	if (count == c->addresses_count && memcmp(fresh, c->addresses, sizeof fresh) == 0)
		return;
	g->now = now;
	memcpy(c->addresses, fresh, sizeof fresh);
	c->addresses_count = (uint8_t)count;
	add_own_addresses(g);
	entries_put_peer(g);
	gossip_settle(g);
}
