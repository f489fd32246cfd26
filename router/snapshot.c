#include "snapshot.h"

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/rng.h>
#include <weave/table.h>

/* Trees of one origin and segment that are kept at a time: 64 bytes each, or a little more. */
#define PRUNED_MAX 16384u

struct pruned {
	struct table_link link;
	peer_name origin;
	uint32_t segment;
	struct snapshot_tree *tree;
};

struct snapshot {
	peer_name self;
	struct hash_key key;
	struct snapshot_route *routes;
	size_t routes_count;
	uint32_t *slots; /* open addressing: index + 1 into routes, 0 free */
	size_t slots_count;
	struct table pruned;
};

static uint32_t *slot_of(const struct snapshot *s, peer_name peer)
{
	size_t mask = s->slots_count - 1;
	size_t i = (size_t)hash64(&s->key, &peer, sizeof peer) & mask;

	while (s->slots[i] && s->routes[s->slots[i] - 1].peer != peer)
		i = (i + 1) & mask;
	return &s->slots[i];
}

static struct snapshot_route *route_of(const struct snapshot *s, peer_name peer)
{
	uint32_t slot = *slot_of(s, peer);

	return slot ? &s->routes[slot - 1] : NULL;
}

static struct snapshot_route *add_route(struct snapshot *s, peer_name peer)
{
	uint32_t *slot = slot_of(s, peer);

	if (!*slot) {
		s->routes[s->routes_count] = (struct snapshot_route){
			.peer = peer,
			.next = { PEER_NAME_NONE, SNAPSHOT_NO_PATH },
		};
		*slot = (uint32_t)++s->routes_count;
	}
	return &s->routes[*slot - 1];
}

static void allocate(struct snapshot *s, size_t routes_max)
{
	s->slots_count = 16;
	while (s->slots_count < routes_max * 2)
		s->slots_count *= 2;
	s->slots = mem_new(s->slots_count, sizeof *s->slots);
	s->routes = mem_new(routes_max, sizeof *s->routes);
}

/* Peers to which we have no live path ourselves, by way of the topology. */
static void add_indirect(struct snapshot *s, const struct topology *t)
{
	for (size_t i = 0; i < s->routes_count; i++) {
		struct snapshot_route *r = &s->routes[i];
		const struct snapshot_route *via;

		if (r->next.path != SNAPSHOT_NO_PATH || r->peer == s->self)
			continue;
		r->next.peer = topology_next_hop(t, r->peer);
		via = route_of(s, r->next.peer);
		/* Only a path to that very neighbour, not its own way round. */
		if (via && via->next.peer == via->peer)
			r->next.path = via->next.path;
	}
}

struct snapshot *snapshot_new(peer_name self, const struct topology *t,
			      const struct snapshot_hop *paths, size_t paths_count, uint64_t seed)
{
	struct snapshot *s = mem_new(1, sizeof *s);
	const struct topology_peer *p;
	struct rng rng = { seed };

	s->self = self;
	s->key.k0 = rng_u64(&rng);
	s->key.k1 = rng_u64(&rng);
	allocate(s, topology_count(t) + paths_count + 1);
	add_route(s, self)->reachable = true;
	for (size_t i = 0; (p = topology_peer_at(t, i)); i++)
		add_route(s, p->info.name)->reachable |= p->reachable;
	for (size_t i = 0; i < paths_count; i++) {
		struct snapshot_route *r = add_route(s, paths[i].peer);

		r->reachable = true;
		if (r->next.path == SNAPSHOT_NO_PATH)
			r->next = paths[i];
	}
	add_indirect(s, t);
	return s;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->routes_count; i++)
		mem_free(s->routes[i].tree);
	snapshot_forget_segments(s);
	table_fini(&s->pruned);
	mem_free(s->routes);
	mem_free(s->slots);
	mem_free(s);
}

peer_name snapshot_self(const struct snapshot *s)
{
	return s->self;
}

const struct snapshot_route *snapshot_route(const struct snapshot *s, peer_name peer)
{
	return route_of(s, peer);
}

/* ---- trees ---- */

/* 'leads' NULL: all children count. */
static struct snapshot_tree *make_tree(const struct snapshot *s, const struct topology_broadcast *b,
				       const bool *leads)
{
	struct snapshot_tree *tree = mem_new(1, sizeof *tree +
							b->children_count * sizeof tree->hops[0]);

	tree->parent = b->parent;
	for (uint32_t i = 0; i < b->children_count; i++) {
		const struct snapshot_route *child = route_of(s, b->children[i]);

		if (leads && !leads[i])
			continue;
		if (child && child->next.peer == child->peer &&
		    child->next.path != SNAPSHOT_NO_PATH)
			tree->hops[tree->hops_count++] = child->next;
		else
			tree->dead++;
	}
	return tree;
}

static struct snapshot_tree *make_pruned(const struct snapshot *s, struct topology *t,
					 const struct networks *networks, peer_name origin,
					 uint32_t segment)
{
	const struct topology_broadcast *b = topology_broadcast(t, origin);
	bool *leads = mem_new(b->children_count + 1, sizeof *leads);
	struct snapshot_tree *tree;
	peer_name member;
	size_t at = 0;

	while ((member = networks_next_member(networks, segment, origin, &at)) != PEER_NAME_NONE) {
		uint32_t branch = topology_branch(t, origin, member);

		if (branch != TOPOLOGY_NO_BRANCH)
			leads[branch] = true;
	}
	tree = make_tree(s, b, leads);
	mem_free(leads);
	return tree;
}

static uint64_t hash_of(const struct snapshot *s, peer_name origin, uint32_t segment)
{
	uint64_t words[2] = { origin, segment };

	return hash64(&s->key, words, sizeof words);
}

static struct pruned *pruned_of(const struct snapshot *s, peer_name origin, uint32_t segment)
{
	uint64_t hash = hash_of(s, origin, segment);
	struct table_link *l = table_first(&s->pruned, hash);

	for (; l; l = table_next(l, hash)) {
		struct pruned *p = table_entry(l, struct pruned, link);

		if (p->origin == origin && p->segment == segment)
			return p;
	}
	return NULL;
}

void snapshot_want(struct snapshot *s, struct topology *t, const struct networks *networks,
		   peer_name origin, uint32_t segment)
{
	struct snapshot_route *r = route_of(s, origin);
	struct pruned *p;

	if (!r)
		return;
	if (segment == SEGMENT_DEFAULT) {
		if (!r->tree)
			r->tree = make_tree(s, topology_broadcast(t, origin), NULL);
		return;
	}
	if (pruned_of(s, origin, segment))
		return;
	/* Whoever makes up numbers does not fill our memory. */
	if (s->pruned.count == PRUNED_MAX)
		snapshot_forget_segments(s);
	p = mem_new(1, sizeof *p);
	p->origin = origin;
	p->segment = segment;
	p->tree = make_pruned(s, t, networks, origin, segment);
	table_insert(&s->pruned, &p->link, hash_of(s, origin, segment));
}

const struct snapshot_tree *snapshot_tree(const struct snapshot *s,
					  const struct snapshot_route *route, uint32_t segment)
{
	const struct pruned *p;

	if (segment == SEGMENT_DEFAULT)
		return route->tree;
	p = pruned_of(s, route->peer, segment);
	return p ? p->tree : NULL;
}

void snapshot_forget_segments(struct snapshot *s)
{
	TABLE_EACH(&s->pruned, l) {
		struct pruned *p = table_entry(l, struct pruned, link);

		table_remove(&s->pruned, l);
		mem_free(p->tree);
		mem_free(p);
	}
}
