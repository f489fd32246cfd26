#include "sim_invariants.h"

#include <stdarg.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/writer.h>

#include "sim_frames.h"
#include "sim_names.h"
#include "sim_router.h"

#define NOBODY UINT32_MAX
#define POLL_US (200 * SIM_MS)
#define FRAMES_WAIT_US SIM_S
#define FRAMES_ATTEMPTS 40u

/* One look at a world. */
struct view {
	struct sim *s;
	uint32_t *data;	   /* component by links that carry TCP and UDP; NOBODY when not running */
	uint32_t *control; /* by links that carry TCP */
	uint8_t *has;	   /* [a * count + b]: a shows an established connection to b */
	char *why;
};

static bool no(struct view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool no(struct view *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(v->why, SIM_WHY_SIZE, format, args);
	va_end(args);
	return false;
}

/* ---- who can reach whom ---- */

static bool has_target(const struct sim_router *r, uint32_t to)
{
	for (uint32_t i = 0; i < r->disk.targets_count; i++)
		if (r->disk.targets[i] == to)
			return true;
	return false;
}

static bool is_open(struct sim *s, uint32_t a, uint32_t b, bool data)
{
	const struct sim_router *x = s->routers[a], *y = s->routers[b];
	const struct sim_link *l = sim_link(s, a, b), *m = sim_link(s, b, a);

	if (!sim_router_runs(x) || !sim_router_runs(y) || x->frozen || y->frozen)
		return false;
	if (l->cut || m->cut || l->stalled || m->stalled || x->name == y->name)
		return false;
	if (data && (l->udp_cut || m->udp_cut))
		return false;
	return x->config.discovery || y->config.discovery || has_target(x, b) || has_target(y, a);
}

static uint32_t *components(struct sim *s, bool data)
{
	uint32_t *of = mem_new(s->count, sizeof *of), *queue = mem_new(s->count, sizeof *queue);

	for (uint32_t i = 0; i < s->count; i++)
		of[i] = NOBODY;
	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t head = 0, tail = 0;

		if (of[i] != NOBODY || !sim_router_runs(s->routers[i]))
			continue;
		of[i] = i;
		queue[tail++] = i;
		while (head < tail) {
			uint32_t x = queue[head++];

			for (uint32_t y = 0; y < s->count; y++)
				if (of[y] == NOBODY && is_open(s, x, y, data)) {
					of[y] = i;
					queue[tail++] = y;
				}
		}
	}
	mem_free(queue);
	return of;
}

bool sim_expected(struct sim *s, uint32_t a, uint32_t b)
{
	uint32_t *of = components(s, true);
	bool yes = of[a] != NOBODY && of[a] == of[b];

	mem_free(of);
	return yes;
}

static uint32_t index_of(const struct sim *s, peer_name name)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->routers[i]->name == name && sim_router_runs(s->routers[i]))
			return i;
	return NOBODY;
}

/* Who shows an established connection to whom. */
static uint8_t *connections(const struct sim *s)
{
	uint8_t *has = mem_new((size_t)s->count * s->count, 1);
	struct gossip_conn_info info;

	for (uint32_t a = 0; a < s->count; a++)
		for (size_t i = 0; sim_router_runs(s->routers[a]) &&
				   gossip_conn_at(sim_router_gossip(s->routers[a]), i, &info);
		     i++) {
			uint32_t b = info.conn && info.state == CONN_ESTABLISHED
					     ? index_of(s, info.peer)
					     : NOBODY;

			if (b != NOBODY)
				has[(size_t)a * s->count + b] = 1;
		}
	return has;
}

static bool is_connected(const struct view *v, uint32_t a, uint32_t b)
{
	return v->has[(size_t)a * v->s->count + b] && v->has[(size_t)b * v->s->count + a];
}

static struct topology *topology_of(const struct sim_router *r)
{
	return gossip_topology(sim_router_gossip(r));
}

/* ---- stores ---- */

static bool is_live(const struct entry *e)
{
	return !(e->view.flags & ENTRY_TOMBSTONE);
}

/* Rings are compared apart: not all routers need to have the same one. */
static size_t live_count(const struct store *s)
{
	size_t count = 0;

	for (const struct entry *e = store_next(s, NULL); e; e = store_next(s, e))
		count += is_live(e) && !store_is_apart(s, e);
	return count;
}

/* For the message: the first that 'y' lacks or has in another version. */
static const struct entry *only_in(const struct store *x, const struct store *y)
{
	for (const struct entry *e = store_next(x, NULL); e; e = store_next(x, e)) {
		const struct entry *f = store_find(y, e->view.kind, e->view.key);

		if (is_live(e) && !store_is_apart(x, e) &&
		    (!f || f->version_hash != e->version_hash))
			return e;
	}
	return NULL;
}

static bool same_entries(struct view *v, uint32_t a, uint32_t b)
{
	struct store *x = gossip_store(sim_router_gossip(v->s->routers[a]));
	struct store *y = gossip_store(sim_router_gossip(v->s->routers[b]));
	struct hash128 dx = store_digest(x), dy = store_digest(y);
	const struct entry *odd = only_in(x, y);

	if (dx.high != dy.high || dx.low != dy.low)
		return no(v, "stores of routers %u and %u have different digests (kind %u)", a + 1,
			  b + 1, odd ? odd->view.kind : 0);
	if (live_count(x) != live_count(y))
		return no(v, "stores of routers %u and %u have different sizes", a + 1, b + 1);
	for (const struct entry *e = store_next(x, NULL); e; e = store_next(x, e)) {
		const struct entry *f = store_find(y, e->view.kind, e->view.key);

		if (is_live(e) && !store_is_apart(x, e) &&
		    (!f || f->version_hash != e->version_hash))
			return no(v, "an entry of kind %u of router %u differs at router %u",
				  e->view.kind, a + 1, b + 1);
	}
	return true;
}

static bool stores_agree(struct view *v)
{
	for (uint32_t i = 0; i < v->s->count; i++) {
		uint32_t first = v->control[i];

		if (first != NOBODY && first != i && !same_entries(v, first, i))
			return false;
	}
	return true;
}

/* What each running router published is what everybody has; what it deleted, nobody. */
static bool name_agrees(struct view *v, const struct sim_name *n, uint32_t writer, uint32_t at)
{
	const struct sim_router *r = v->s->routers[at];
	bool is_name = n->kind == KIND_NAME;
	const struct entry *e = is_name ? sim_names_find(r, v->s->routers[writer]->name, n->key)
					: sim_router_find(r, n->kind, n->key);
	bool there = e && is_live(e);
	const char *value = n->value;

	if (v->s->mutation == SIM_MUTATE_STALE_NAME && !*value)
		value = "stale";
	if (!*value)
		return !there || no(v, "\"%s\" of router %u is back at router %u", n->key,
				    writer + 1, at + 1);
	if (!there)
		return no(v, "\"%s\" of router %u is missing at router %u", n->key, writer + 1,
			  at + 1);
	return (is_name ? sim_names_says(e, n->key, value)
			: bytes_equal(e->view.value, bytes_of(value, strlen(value)))) ||
	       no(v, "\"%s\" of router %u has an old value at router %u", n->key, writer + 1,
		  at + 1);
}

static bool names_agree(struct view *v)
{
	struct sim *s = v->s;

	for (uint32_t w = 0; w < s->count; w++) {
		const struct sim_router *r = s->routers[w];

		for (uint32_t i = 0; sim_router_runs(r) && i < r->names_count; i++)
			/* All stores are equal: one of each component will do. */
			for (uint32_t at = 0; at < s->count; at++)
				if (v->control[at] == at && v->control[w] == at &&
				    (!name_agrees(v, &r->names[i], w, at) ||
				     !name_agrees(v, &r->names[i], w, w)))
					return false;
	}
	return true;
}

/* Names that can be found at router 'at' of those that 'writer' has; false says which cannot. */
static bool names_found(struct view *v, uint32_t writer, uint32_t at, size_t *expected)
{
	const struct sim_router *w = v->s->routers[writer];

	for (uint32_t i = 0; i < w->names_count; i++) {
		const struct sim_name *n = &w->names[i];

		if (n->kind != KIND_NAME || !*n->value)
			continue;
		++*expected;
		if (!sim_names_found(v->s->routers[at], w->name, n->key, n->value))
			return no(v, "\"%s\" of router %u cannot be found at router %u", n->key,
				  writer + 1, at + 1);
	}
	return true;
}

static bool has_twins(const struct sim *s)
{
	for (uint32_t a = 0; a < s->count; a++)
		for (uint32_t b = a + 1; b < s->count; b++)
			if (s->routers[a]->name == s->routers[b]->name)
				return true;
	return false;
}

/* Everybody would answer with the names of those that it can reach, and with no other. */
static bool answers_agree(struct view *v)
{
	struct sim *s = v->s;

	if (has_twins(s))
		return true; /* one of the two is silent */
	for (uint32_t a = 0; a < s->count; a++) {
		size_t expected = 0;

		if (!sim_router_runs(s->routers[a]))
			continue;
		for (uint32_t b = 0; b < s->count; b++)
			if (v->data[b] != NOBODY && v->data[b] == v->data[a] &&
			    !names_found(v, b, a, &expected))
				return false;
		if (sim_names_found_count(s->routers[a]) != expected)
			return no(v, "router %u would answer with %zu names, not with %zu", a + 1,
				  sim_names_found_count(s->routers[a]), expected);
	}
	return true;
}

/* ---- topology and routes ---- */

static bool reach_agrees(struct view *v, uint32_t a)
{
	struct sim *s = v->s;
	struct topology *t = topology_of(s->routers[a]);

	if (topology_dirty(t))
		return no(v, "router %u has not looked at its routes yet", a + 1);
	for (uint32_t b = 0; b < s->count; b++) {
		bool expected = v->data[b] != NOBODY && v->data[a] == v->data[b];
		bool reachable = topology_reachable(t, s->routers[b]->name);

		if (s->mutation == SIM_MUTATE_HIDDEN_PEER && b == 1)
			reachable = false;
		if (a != b && s->routers[a]->name != s->routers[b]->name && reachable != expected)
			return no(v, "router %u takes router %u for %s", a + 1, b + 1,
				  reachable ? "reachable" : "unreachable");
	}
	return true;
}

/* Next hop of each router to each, as an index. */
static uint32_t *next_hops(struct view *v)
{
	struct sim *s = v->s;
	uint32_t *hop = mem_new((size_t)s->count * s->count, sizeof *hop);

	for (uint32_t a = 0; a < s->count; a++)
		for (uint32_t b = 0; b < s->count; b++) {
			uint32_t *h = &hop[(size_t)a * s->count + b];

			*h = NOBODY;
			if (a == b || v->data[a] == NOBODY || v->data[a] != v->data[b])
				continue;
			*h = index_of(s, topology_next_hop(topology_of(s->routers[a]),
							   s->routers[b]->name));
			if (s->mutation == SIM_MUTATE_WRONG_HOP && a != 0 && b != 0)
				*h = a == 1 ? 2 : 1;
		}
	return hop;
}

static bool route_arrives(struct view *v, const uint32_t *hop, uint32_t from, uint32_t to)
{
	uint32_t at = from;

	for (uint32_t hops = 0; at != to; hops++) {
		uint32_t next = hop[(size_t)at * v->s->count + to];

		if (next == NOBODY)
			return no(v, "router %u has no route to router %u", at + 1, to + 1);
		if (hops >= v->s->count)
			return no(v, "the route from router %u to router %u is a loop", from + 1,
				  to + 1);
		if (!is_connected(v, at, next))
			return no(v, "router %u routes over router %u without a data path", at + 1,
				  next + 1);
		at = next;
	}
	return true;
}

static bool routes_agree(struct view *v)
{
	struct sim *s = v->s;
	uint32_t *hop = next_hops(v);
	bool ok = true;

	for (uint32_t a = 0; ok && a < s->count; a++)
		for (uint32_t b = 0; ok && b < s->count; b++)
			if (a != b && v->data[a] != NOBODY && v->data[a] == v->data[b])
				ok = route_arrives(v, hop, a, b);
	mem_free(hop);
	return ok;
}

/* ---- broadcast trees ---- */

static bool children_agree(struct view *v, uint32_t origin, uint32_t at, uint32_t *edges)
{
	struct sim *s = v->s;
	peer_name name = s->routers[origin]->name;
	const struct topology_broadcast *b = topology_broadcast(topology_of(s->routers[at]), name);

	*edges += b->children_count;
	for (uint32_t i = 0; i < b->children_count; i++) {
		uint32_t child = index_of(s, b->children[i]);
		peer_name parent;

		if (child == NOBODY || v->data[child] != v->data[at])
			return no(v, "router %u sends broadcasts to one that is not there", at + 1);
		parent = topology_broadcast(topology_of(s->routers[child]), name)->parent;
		if (s->mutation == SIM_MUTATE_WRONG_PARENT)
			parent ^= 1;
		if (parent != s->routers[at]->name)
			return no(v, "router %u takes no broadcasts of %u from router %u",
				  child + 1, origin + 1, at + 1);
	}
	return true;
}

static bool trees_agree(struct view *v)
{
	struct sim *s = v->s;

	for (uint32_t origin = 0; origin < s->count; origin++) {
		uint32_t edges = 0, members = 0;

		if (v->data[origin] == NOBODY)
			continue;
		for (uint32_t at = 0; at < s->count; at++) {
			if (v->data[at] != v->data[origin])
				continue;
			members++;
			if (!children_agree(v, origin, at, &edges))
				return false;
		}
		if (edges != members - 1)
			return no(v, "the broadcast tree of router %u has %u edges for %u routers",
				  origin + 1, edges, members);
	}
	return true;
}

/* ---- connections ---- */

static bool find_conn(const struct sim_router *r, peer_name peer, struct gossip_conn_info *info)
{
	for (size_t i = 0; gossip_conn_at(sim_router_gossip(r), i, info); i++)
		if (info->conn && info->peer == peer && info->state == CONN_ESTABLISHED)
			return true;
	return false;
}

bool sim_connected(const struct sim *s, uint32_t a, uint32_t b)
{
	const struct sim_router *x = s->routers[a], *y = s->routers[b];
	struct gossip_conn_info info;

	return sim_router_runs(x) && sim_router_runs(y) && find_conn(x, y->name, &info) &&
	       find_conn(y, x->name, &info);
}

/* Published as established, in the generation in which its writer lives. */
static bool is_published(const struct sim_router *at, peer_name from, peer_name to)
{
	uint8_t buffer[64];
	struct writer key = writer_over(buffer, sizeof buffer);
	const struct topology_peer *p = topology_peer(topology_of(at), from);
	struct link_info link;
	const struct entry *e;

	link_info_key(from, to, &key);
	e = store_find(gossip_store(sim_router_gossip(at)), KIND_LINK, writer_bytes(&key));
	return e && is_live(e) && p && e->view.generation == p->generation &&
	       !link_info_decode(&link, &e->view) && link.established;
}

/* Entries flow on it, so both ends publish it; and each peer has one connection only. */
static bool conn_agrees(struct view *v, uint32_t a, const struct gossip_conn_info *info)
{
	struct sim *s = v->s;
	const struct sim_router *r = s->routers[a];
	uint32_t b = index_of(s, info->peer);

	if (info->peer == r->name || (s->mutation == SIM_MUTATE_SELF_DIAL && b == 0))
		return no(v, "router %u is connected to itself", a + 1);
	if (b == NOBODY)
		return no(v, "router %u holds a connection to one that is not there", a + 1);
	if (info->state != CONN_ESTABLISHED || !info->structural)
		return true;
	if (!is_connected(v, b, a))
		return no(v, "router %u is connected to router %u, which does not know it", a + 1,
			  b + 1);
	if (!is_published(r, r->name, info->peer) ||
	    (s->mutation == SIM_MUTATE_LONE_LINK && a == 1))
		return no(v, "the link of router %u to router %u is not published", a + 1, b + 1);
	if (!is_published(r, info->peer, r->name))
		return no(v, "the link of router %u to router %u is not published there", b + 1,
			  a + 1);
	return true;
}

static bool conns_agree(struct view *v, uint32_t a)
{
	struct sim *s = v->s;
	struct gossip_conn_info info;
	bool *seen = mem_new(s->count, sizeof *seen);
	bool ok = true;

	for (size_t i = 0; ok && gossip_conn_at(sim_router_gossip(s->routers[a]), i, &info); i++) {
		uint32_t b;

		if (!info.conn || !info.peer)
			continue;
		ok = conn_agrees(v, a, &info);
		b = index_of(s, info.peer);
		if (ok && info.state == CONN_ESTABLISHED && seen[b])
			ok = no(v, "router %u has two connections to router %u", a + 1, b + 1);
		if (b != NOBODY && info.state == CONN_ESTABLISHED)
			seen[b] = true;
	}
	mem_free(seen);
	return ok;
}

/* A link that is published by a running router is one that it has. */
static bool links_are_true(struct view *v, uint32_t at)
{
	struct sim *s = v->s;
	struct topology *t = topology_of(s->routers[at]);

	for (uint32_t a = 0; a < s->count; a++) {
		const struct topology_peer *p = topology_peer(t, s->routers[a]->name);

		if (v->control[a] == NOBODY || v->control[a] != v->control[at] || !p)
			continue;
		for (uint32_t i = 0; i < p->links_count; i++) {
			uint32_t b = index_of(s, p->links[i]->to);

			if (is_published(s->routers[at], s->routers[a]->name, p->links[i]->to) &&
			    (b == NOBODY || !v->has[(size_t)a * s->count + b]))
				return no(v, "router %u publishes a link that it does not have",
					  a + 1);
		}
	}
	return true;
}

/* Routers speak the protocol: nobody ever gets a message that does not parse, or a datagram that
 * does not open, unless somebody changes them. */
static bool nothing_is_malformed(struct view *v, uint32_t at)
{
	struct gossip_counters c;
	const struct router *router = engine_router(v->s->routers[at]->engine);
	const uint64_t *drops = router_drops(router)->count;

	gossip_counters(sim_router_gossip(v->s->routers[at]), &c);
	if (c.malformed)
		return no(v, "router %u got malformed messages", at + 1);
	if (v->s->tampered)
		return true;
	if (drops[DROP_BAD_DATAGRAM])
		return no(v, "router %u got malformed datagrams", at + 1);
	if (drops[DROP_BAD_SEAL] || drops[DROP_NOT_SEALED] || drops[DROP_NOT_CLEAR])
		return no(v, "router %u got datagrams that are not sealed as they should be",
			  at + 1);
	return true;
}

/* ---- together ---- */

/* One look at the digests alone: most polls end here. */
static bool digests_differ(struct view *v)
{
	for (uint32_t i = 0; i < v->s->count; i++) {
		struct hash128 a, b;

		if (v->control[i] == NOBODY || v->control[i] == i)
			continue;
		a = store_digest(gossip_store(sim_router_gossip(v->s->routers[i])));
		b = store_digest(gossip_store(sim_router_gossip(v->s->routers[v->control[i]])));
		if (a.high != b.high || a.low != b.low)
			return !no(v, "stores of routers %u and %u have different digests",
				   v->control[i] + 1, i + 1);
	}
	return false;
}

static void mutate_store(struct sim *s)
{
	struct store *store;

	if (s->mutation != SIM_MUTATE_LOST_ENTRY || !sim_router_runs(s->routers[0]))
		return;
	store = gossip_store(sim_router_gossip(s->routers[0]));
	for (const struct entry *e = store_next(store, NULL); e; e = store_next(store, e))
		if (e->view.writer != s->routers[0]->name && e->view.kind == KIND_ENDPOINT) {
			store_drop(store, e);
			return;
		}
}

static bool all_agree(struct view *v)
{
	struct sim *s = v->s;

	if (digests_differ(v))
		return false;
	for (uint32_t i = 0; i < s->count; i++)
		if (v->data[i] != NOBODY &&
		    (!reach_agrees(v, i) || !conns_agree(v, i) || !nothing_is_malformed(v, i)))
			return false;
	for (uint32_t i = 0; i < s->count; i++)
		if (v->control[i] == i && !links_are_true(v, i))
			return false;
	return stores_agree(v) && names_agree(v) && answers_agree(v) && routes_agree(v) &&
	       trees_agree(v);
}

bool sim_converged(struct sim *s, char *why)
{
	struct view v = { s, components(s, true), components(s, false), connections(s), why };
	bool ok;

	mutate_store(s);
	ok = all_agree(&v);
	mem_free(v.data);
	mem_free(v.control);
	mem_free(v.has);
	return ok;
}

uint64_t sim_await_converged(struct sim *s, uint64_t limit_us)
{
	uint64_t start = s->clock.now_us;
	char why[SIM_WHY_SIZE] = "";

	while (!s->failed && !sim_converged(s, why)) {
		if (s->trace)
			fprintf(s->trace, "not converged: %s\n", why);
		if (s->clock.now_us - start >= limit_us)
			sim_fail(s, "not converged after %llu s: %s",
				 (unsigned long long)(limit_us / SIM_S), why);
		else
			sim_run(s, POLL_US);
	}
	return s->clock.now_us - start;
}

/* ---- frames ---- */

static bool has_network(const struct sim *s, uint32_t router, const struct sim_frame *f)
{
	const char *key = sim_segment_key(s->routers[router], f->segment);

	return key && strcmp(key, f->key) == 0;
}

/* A frame that came out where it must not, or not once where it must; NULL when all is well. */
static const char *check_frame(struct sim *s, uint64_t id, const uint32_t *component, char *why)
{
	const struct sim_frame *f = sim_frame_find(s, id);

	MUST(f);
	/* Who does not have the network may be known there from a life before: then nobody gets it.
	 */
	if (f->to != SIM_EVERYBODY && !has_network(s, f->to, f))
		return NULL;
	for (uint32_t i = 0; i < s->count; i++) {
		bool wanted = i != f->from && component[i] != NOBODY &&
			      component[i] == component[f->from] && has_network(s, i, f) &&
			      (f->to == SIM_EVERYBODY || f->to == i);

		if (f->delivered[i] == (wanted ? 1 : 0))
			continue;
		snprintf(why, SIM_WHY_SIZE, "%s from router %u came out %u times at router %u",
			 f->to == SIM_EVERYBODY ? "a broadcast" : "a frame", f->from + 1,
			 f->delivered[i], i + 1);
		return why;
	}
	return NULL;
}

static uint32_t random_member(struct sim *s, const uint32_t *component, uint32_t like)
{
	for (;;) {
		uint32_t i = (uint32_t)rng_below(&s->rng, s->count);

		if (component[i] != NOBODY && (like == NOBODY || component[i] == component[like]))
			return i;
	}
}

static void send_frames(struct sim *s, const uint32_t *component, uint32_t senders)
{
	for (uint32_t i = 0; i < senders && !s->failed; i++) {
		uint32_t from = random_member(s, component, NOBODY);
		uint32_t to = random_member(s, component, from);

		sim_frame_send(s, from, SIM_EVERYBODY, sim_frame_segment(s, from), 64);
		sim_run(s, 20 * SIM_MS);
		/* Now and then one that needs fragments. */
		if (to != from && !s->failed)
			sim_frame_send(s, from, to, sim_frame_segment(s, from),
				       (uint32_t)sim_between(&s->rng, 64, i % 3 ? 200 : 1390));
		sim_run(s, 20 * SIM_MS);
	}
	sim_run(s, FRAMES_WAIT_US);
}

/* Changes of any router's view of the graph, all added up; one that is due makes it odd. */
static uint64_t graph_changes(const struct sim *s)
{
	uint64_t sum = 0, due = 0;

	for (uint32_t i = 0; i < s->count; i++)
		if (sim_router_runs(s->routers[i])) {
			sum += topology_version(topology_of(s->routers[i]));
			due |= topology_dirty(topology_of(s->routers[i]));
		}
	return 2 * sum + due;
}

void sim_check_frames(struct sim *s, uint32_t senders)
{
	char why[SIM_WHY_SIZE];
	uint32_t *component = components(s, true);
	bool somebody = false;

	for (uint32_t i = 0; i < s->count; i++)
		somebody = somebody || component[i] != NOBODY;
	/* Trees may differ while a link is news: then what was sent meanwhile proves nothing. */
	for (uint32_t attempt = 1; somebody && !s->failed; attempt++) {
		uint64_t first = s->frame_next, before = graph_changes(s);
		const char *wrong = NULL;

		send_frames(s, component, senders);
		if (graph_changes(s) == before && before % 2 == 0) {
			for (uint64_t id = first; id < s->frame_next && !wrong; id++)
				wrong = check_frame(s, id, component, why);
			if (wrong && !s->failed)
				sim_fail(s, "%s", wrong);
			break;
		}
		if (attempt == FRAMES_ATTEMPTS)
			sim_fail(s, "the graph does not come to rest");
		sim_run(s, SIM_S);
	}
	mem_free(component);
}
