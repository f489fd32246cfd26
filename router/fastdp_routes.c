#include "fastdp_routes.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/bpf_maps.h>

#define NOT_FOUND UINT32_MAX

static void resize(struct fastdp_search *s, uint32_t room)
{
	s->via = mem_resize(s->via, room, sizeof *s->via);
	s->hops = mem_resize(s->hops, room, sizeof *s->hops);
}

static void make_room(struct fastdp_routes *r, uint32_t count)
{
	if (count > r->room) {
		r->room = count + count / 2;
		r->names = mem_resize(r->names, r->room, sizeof *r->names);
		r->via = mem_resize(r->via, r->room, sizeof *r->via);
		r->own = mem_resize(r->own, r->room, sizeof *r->own);
		r->order = mem_resize(r->order, r->room, sizeof *r->order);
		resize(&r->fastdp, r->room);
		resize(&r->any, r->room);
	}
	r->count = count;
}

static uint32_t index_of(const struct fastdp_routes *r, peer_name name)
{
	uint32_t low = 0, high = r->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (r->names[middle] < name)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->count && r->names[low] == name ? low : NOT_FOUND;
}

static void reach(struct fastdp_routes *r, struct fastdp_search *s, uint32_t *reached,
		  uint32_t node, peer_name via, uint32_t hops)
{
	if (s->hops[node])
		return;
	s->via[node] = via;
	s->hops[node] = hops;
	r->order[(*reached)++] = node;
}

/* Reaches whom 'node' has a link to.  'via' NONE: from ourselves, they are the first hops. */
static void expand(struct fastdp_routes *r, struct fastdp_search *s, const struct topology *t,
		   uint32_t *reached, uint32_t node, peer_name via, uint32_t hops)
{
	const struct topology_peer *p = topology_peer_at(t, node);

	for (uint32_t i = 0; i < p->links_count; i++) {
		uint8_t overlay;
		uint32_t next;

		if (!topology_link_counts(t, node, i, &overlay) ||
		    (s == &r->fastdp && overlay != OVERLAY_FASTDP))
			continue;
		next = index_of(r, p->links[i]->to);
		if (next != NOT_FOUND)
			reach(r, s, reached, next, via ? via : r->names[next], hops);
	}
}

static void search(struct fastdp_routes *r, struct fastdp_search *s, const struct topology *t,
		   uint32_t self)
{
	uint32_t reached = 0;

	memset(s->via, 0, r->count * sizeof *s->via);
	memset(s->hops, 0, r->count * sizeof *s->hops);
	if (self == NOT_FOUND)
		return;
	s->hops[self] = NOT_FOUND; /* not through ourselves */
	expand(r, s, t, &reached, self, PEER_NAME_NONE, 1);
	for (uint32_t i = 0; i < reached; i++) {
		uint32_t node = r->order[i];

		expand(r, s, t, &reached, node, s->via[node], s->hops[node] + 1);
	}
}

void fastdp_routes_find(struct fastdp_routes *r, const struct topology *t, peer_name self)
{
	make_room(r, (uint32_t)topology_count(t));
	for (uint32_t i = 0; i < r->count; i++)
		r->names[i] = topology_peer_at(t, i)->info.name;
	search(r, &r->fastdp, t, index_of(r, self));
	search(r, &r->any, t, index_of(r, self));
	for (uint32_t i = 0; i < r->count; i++) {
		uint32_t hops = r->fastdp.hops[i];
		bool wanted = hops >= 2 && hops <= FASTDP_HOPS_MAX && hops == r->any.hops[i];

		r->via[i] = wanted ? r->fastdp.via[i] : PEER_NAME_NONE;
		r->own[i] = topology_peer_at(t, i)->hops != 1;
	}
}

void fastdp_routes_fini(struct fastdp_routes *r)
{
	mem_free(r->names);
	mem_free(r->via);
	mem_free(r->own);
	mem_free(r->order);
	mem_free(r->fastdp.via);
	mem_free(r->fastdp.hops);
	mem_free(r->any.via);
	mem_free(r->any.hops);
	*r = (struct fastdp_routes){ 0 };
}
