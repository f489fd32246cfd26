#include "snapshot.h"

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/rng.h>

struct snapshot {
	peer_name self;
	struct hash_key key;
	struct snapshot_route *routes;
	size_t routes_count;
	uint32_t *slots; /* open addressing: index + 1 into routes, 0 free */
	size_t slots_count;
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

void snapshot_want(struct snapshot *s, struct topology *t, peer_name origin)
{
	struct snapshot_route *r = route_of(s, origin);
	const struct topology_broadcast *b;
	struct snapshot_tree *tree;

	if (!r || r->tree)
		return;
	b = topology_broadcast(t, origin);
	tree = mem_new(1, sizeof *tree + b->children_count * sizeof tree->hops[0]);
	tree->parent = b->parent;
	for (uint32_t i = 0; i < b->children_count; i++) {
		const struct snapshot_route *child = route_of(s, b->children[i]);

		if (child && child->next.peer == child->peer &&
		    child->next.path != SNAPSHOT_NO_PATH)
			tree->hops[tree->hops_count++] = child->next;
		else
			tree->dead++;
	}
	r->tree = tree;
}
