/* Whom to be linked to, which links entries flow on, and which are published.
 *
 * Wanted are f(known, not gone) and f(reachable; absent ones kept 30 s) (control-plane.md 4):
 * the first heals partitions whose dialled peers are all gone (gossip-review F10c), the second
 * keeps those who can talk connected.  Room under the connection limit goes to everybody else:
 * such links carry data and repair, and are not published.
 */
#include "gossip_engine.h"

#include <weave/alloc.h>
#include <weave/must.h>

#include "mesh_policy.h"

struct mesh_peer *mesh_find(const struct gossip *g, peer_name name)
{
	size_t low = 0, high = g->mesh_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (g->mesh[middle].name == name)
			return &g->mesh[middle];
		if (g->mesh[middle].name < name)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void mesh_soon(struct gossip *g)
{
	g->mesh_due = mono_min(g->mesh_due, mono_after(g->now, MESH_MS));
	due_by(g, g->mesh_due);
}

bool mesh_is_structural(const struct conn *c)
{
	const struct gossip *g = c->owner;
	const struct mesh_peer *p = mesh_find(g, c->hello.name);

	if (!g->config.discovery)
		return true;
	return p ? p->structural : g->mesh_count + 1 < MESH_FULL_MAX;
}

/* ---- publishing ---- */

void link_retract(struct gossip *g, peer_name to)
{
	uint8_t key[16];
	struct writer k = writer_over(key, sizeof key);

	link_info_key(g->config.name, to, &k);
	entries_put(g, KIND_LINK, writer_bytes(&k), (struct bytes){ NULL, 0 });
}

void link_update(struct conn *c)
{
	struct gossip *g = c->owner;
	uint8_t key[16], value[ENTRY_SIZE_MAX];
	struct writer k = writer_over(key, sizeof key), v = writer_over(value, sizeof value);
	struct link_info l = {
		.from = g->config.name,
		.to = c->hello.name,
		.established = c->overlay != 0,
		.outbound = c->outbound,
		.overlay = c->overlay,
		.address = { c->remote.ip, c->hello.port },
	};

	c->link_due = MONO_NEVER;
	if (!c->confirmed)
		return;
	if (!c->neighbour.published && !c->neighbour.published_theirs) {
		link_retract(g, c->hello.name);
		return;
	}
	link_info_key(l.from, l.to, &k);
	link_info_encode(&l, &v);
	MUST(!k.full && !v.full);
	entries_put(g, KIND_LINK, writer_bytes(&k), writer_bytes(&v));
}

/* ---- who is there ---- */

static bool is_known(const struct gossip *g, const struct topology_peer *p)
{
	return p->known && p->info.name != g->config.name &&
	       garbage_gone_generation(g->garbage, p->info.name) < p->generation;
}

static bool is_connected(const struct gossip *g, peer_name name)
{
	const struct conn *c = conn_of_peer(g, name);

	return c && c->confirmed;
}

static void insert_name(peer_name *names, size_t *count, peer_name name)
{
	size_t i = *count;

	while (i > 0 && names[i - 1] >= name) {
		if (names[i - 1] == name)
			return;
		i--;
	}
	memmove(names + i + 1, names + i, (*count - i) * sizeof *names);
	names[i] = name;
	(*count)++;
}

/* Known peers and those we are connected to, in order; caller frees. */
static peer_name *list_peers(const struct gossip *g, size_t *count)
{
	size_t room = topology_count(g->topology) + g->peers.count;
	peer_name *names = mem_new(room + 1, sizeof *names);
	const struct topology_peer *p;

	*count = 0;
	for (size_t i = 0; (p = topology_peer_at(g->topology, i)) && *count < PEERS_MAX; i++)
		if (is_known(g, p))
			names[(*count)++] = p->info.name;
	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		struct conn *c = list_entry(l, struct conn, in_order);

		if (c->state == CONN_UP && c->confirmed)
			insert_name(names, count, c->hello.name);
	}
	return names;
}

/* The table follows the list; what was known of a peer that stays is kept. */
static void follow_list(struct gossip *g, const peer_name *names, size_t count)
{
	struct mesh_peer *old = g->mesh, *new = mem_new(count + 1, sizeof *new);
	size_t at = 0, old_count = g->mesh_count;

	for (size_t i = 0; i < count; i++) {
		for (; at < old_count && old[at].name < names[i]; at++)
			if (old[at].target)
				targets_remove(g, old[at].target);
		if (at < old_count && old[at].name == names[i])
			new[i] = old[at++];
		else
			new[i].name = names[i];
	}
	for (; at < old_count; at++)
		if (old[at].target)
			targets_remove(g, old[at].target);
	mem_free(old);
	g->mesh = new;
	g->mesh_count = count;
}

static void mark_wanted(struct gossip *g, const peer_name *from, size_t count)
{
	peer_name wanted[MESH_WANTED_MAX > MESH_FULL_MAX ? MESH_WANTED_MAX : MESH_FULL_MAX];
	size_t wanted_count = mesh_wanted(g->config.name, from, count, wanted);

	for (size_t i = 0; i < wanted_count; i++) {
		struct mesh_peer *p = mesh_find(g, wanted[i]);

		if (p)
			p->structural = true;
	}
}

/* True for a peer that has just become reachable. */
static bool update_reachable(struct gossip *g, struct mesh_peer *p)
{
	bool before = p->reachable;

	p->reachable = topology_reachable(g->topology, p->name) || is_connected(g, p->name);
	if (p->reachable)
		p->reachable_until = mono_after(g->now, ABSENT_KEPT_MS);
	return p->reachable && !before;
}

/* ---- whom to dial ---- */

static void keep_target(struct gossip *g, struct mesh_peer *p, bool back)
{
	uint32_t cap = p->structural ? TARGET_DELAY_NEAR_MAX_MS : TARGET_DELAY_FAR_MAX_MS;

	if (!p->target) {
		p->target = targets_discover(g, p->name, cap);
	} else if (p->target->fsm.cap_ms != cap ||
		   (back && p->target->fsm.delay_ms > TARGET_DELAY_MIN_MS)) {
		target_set_urgency(g, p->target, cap, back);
	}
}

static void drop_target(struct gossip *g, struct mesh_peer *p)
{
	if (p->target)
		targets_remove(g, p->target);
	p->target = NULL;
}

/* Room under the limit, from our own place in the order on, so that not all choose the same. */
static void choose_extras(struct gossip *g, const bool *back)
{
	size_t used = g->outbound_count, start = 0;

	while (start < g->mesh_count && g->mesh[start].name < g->config.name)
		start++;
	for (size_t i = 0; i < g->mesh_count; i++) {
		struct mesh_peer *p = &g->mesh[i];

		used += p->structural && p->target && !p->target->conn &&
			!target_is_satisfied(g, p->target);
	}
	for (size_t n = 0; n < g->mesh_count; n++) {
		size_t i = (start + n) % g->mesh_count;
		struct mesh_peer *p = &g->mesh[i];
		bool busy = p->target && p->target->conn;

		if (p->structural)
			continue;
		if (busy || conn_of_peer(g, p->name)) {
			if (p->target)
				keep_target(g, p, back[i]);
		} else if (!g->config.conn_limit || used < g->config.conn_limit) {
			keep_target(g, p, back[i]);
			used++;
		} else {
			drop_target(g, p);
		}
	}
}

static void choose_targets(struct gossip *g, const bool *back)
{
	for (size_t i = 0; i < g->mesh_count; i++)
		if (g->mesh[i].structural)
			keep_target(g, &g->mesh[i], back[i]);
	choose_extras(g, back);
}

static void update_conns(struct gossip *g)
{
	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		struct conn *c = list_entry(l, struct conn, in_order);
		struct neighbour *n = &c->neighbour;
		bool structural, published, idle;

		if (c->state != CONN_UP)
			continue;
		structural = mesh_is_structural(c);
		published = structural || targets_want(g, c->hello.name);
		if (structural != n->structural || published != n->published) {
			bool before = n->published || n->published_theirs;

			neighbour_set_wanted(n, structural, published, g->now);
			if (before != (n->published || n->published_theirs))
				link_update(c);
			conn_poke(c);
		}
		idle = c->outbound && !n->structural && !n->structural_theirs && !n->published &&
		       !n->published_theirs && g->config.conn_limit &&
		       g->outbound_count > g->config.conn_limit;
		if (!idle)
			c->unwanted_since = MONO_NEVER;
		else if (c->unwanted_since.ms == MONO_NEVER.ms)
			c->unwanted_since = g->now;
	}
}

void mesh_update(struct gossip *g)
{
	size_t count, near_count = 0;
	peer_name *names = list_peers(g, &count);
	bool *back = mem_new(count + 1, sizeof *back);

	g->mesh_due = mono_after(g->now, MESH_REFRESH_MS);
	follow_list(g, names, count);
	if (g->config.discovery) {
		for (size_t i = 0; i < count; i++) {
			back[i] = update_reachable(g, &g->mesh[i]);
			g->mesh[i].structural = false;
		}
		mark_wanted(g, names, count);
		for (size_t i = 0; i < count; i++)
			if (g->mesh[i].reachable || (g->mesh[i].reachable_until.ms > g->now.ms))
				names[near_count++] = names[i];
		if (near_count < count)
			mark_wanted(g, names, near_count);
		choose_targets(g, back);
	}
	update_conns(g);
	mem_free(names);
	mem_free(back);
}

/* ---- closing what nobody wants ---- */

/* Another way than our own link: somebody reachable publishes one to it. */
static bool has_other_path(const struct gossip *g, peer_name to)
{
	const struct topology_peer *p = topology_peer(g->topology, to);

	for (uint32_t i = 0; p && i < p->links_count; i++)
		if (p->links[i]->established && p->links[i]->to != g->config.name &&
		    topology_reachable(g->topology, p->links[i]->to))
			return true;
	return false;
}

bool mesh_can_spare(const struct conn *c)
{
	const struct neighbour *n = &c->neighbour;

	return c->state == CONN_UP && !n->structural && !n->structural_theirs &&
	       has_other_path(c->owner, c->hello.name);
}

void mesh_close_unwanted(struct gossip *g)
{
	struct why why;

	if (mono_elapsed(g->unwanted_closed_at, g->now) < UNWANTED_EVERY_MS)
		return;
	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		struct conn *c = list_entry(l, struct conn, in_order);

		if (c->state != CONN_UP || c->unwanted_since.ms == MONO_NEVER.ms ||
		    mono_elapsed(c->unwanted_since, g->now) < UNWANTED_AFTER_MS ||
		    !has_other_path(g, c->hello.name))
			continue;
		why_set(&why, WHY_UNWANTED, "more than %u connections are dialled",
			g->config.conn_limit);
		conn_close(c, &why);
		g->unwanted_closed_at = g->now;
		return;
	}
}

struct mono mesh_deadline(const struct gossip *g)
{
	/* What is unwanted is looked at with every refresh, which is as often as one may close. */
	return g->stopped ? MONO_NEVER : g->mesh_due;
}

/* ---- suspicion ---- */

void mesh_on_retract(struct gossip *g, peer_name to, peer_name by)
{
	struct mesh_peer *p = mesh_find(g, to);
	struct gossip_action *a;

	if (!p || by == g->config.name)
		return;
	if (p->retracted_by != PEER_NAME_NONE && p->retracted_by != by &&
	    mono_elapsed(p->retracted_at, g->now) <= RETRACT_MS && is_connected(g, to)) {
		a = push_action(g, GOSSIP_SUSPECT);
		a->peer = to;
		a->conn = conn_of_peer(g, to)->id;
	}
	p->retracted_by = by;
	p->retracted_at = g->now;
}
