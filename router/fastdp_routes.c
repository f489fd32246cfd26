#include "fastdp_routes.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/bpf_maps.h>

#define NOT_FOUND UINT32_MAX

static void make_room(struct fastdp_routes *r, uint32_t count)
{
	if (count > r->room) {
		r->room = count + count / 2;
		r->names = mem_resize(r->names, r->room, sizeof *r->names);
		r->via = mem_resize(r->via, r->room, sizeof *r->via);
		r->hops = mem_resize(r->hops, r->room, sizeof *r->hops);
		r->order = mem_resize(r->order, r->room, sizeof *r->order);
	}
	r->count = count;
	memset(r->via, 0, count * sizeof *r->via);
	memset(r->hops, 0, count * sizeof *r->hops);
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

static const struct link_info *link_to(const struct topology_peer *p, peer_name to)
{
	uint32_t low = 0, high = p->links_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (p->links[middle]->to < to)
			low = middle + 1;
		else
			high = middle;
	}
	return low < p->links_count && p->links[low]->to == to ? p->links[low] : NULL;
}

static bool carries(const struct link_info *l)
{
	return l && l->established && l->overlay == OVERLAY_FASTDP;
}

static void reach(struct fastdp_routes *r, uint32_t *reached, uint32_t node, peer_name via,
		  uint32_t hops)
{
	r->via[node] = via;
	r->hops[node] = hops;
	r->order[(*reached)++] = node;
}

static void expand(struct fastdp_routes *r, const struct topology *t, uint32_t *reached,
		   uint32_t node)
{
	const struct topology_peer *p = topology_peer_at(t, node);

	for (uint32_t i = 0; i < p->links_count; i++) {
		const struct link_info *l = p->links[i];
		const struct topology_peer *other;
		uint32_t next = carries(l) ? index_of(r, l->to) : NOT_FOUND;

		if (next == NOT_FOUND || r->hops[next])
			continue;
		other = topology_peer_at(t, next);
		if (carries(link_to(other, r->names[node])))
			reach(r, reached, next, r->via[node], r->hops[node] + 1);
	}
}

void fastdp_routes_find(struct fastdp_routes *r, const struct topology *t, peer_name self,
			const peer_name *direct, size_t direct_count)
{
	uint32_t reached = 0, own;

	make_room(r, (uint32_t)topology_count(t));
	for (uint32_t i = 0; i < r->count; i++)
		r->names[i] = topology_peer_at(t, i)->info.name;
	/* Not through ourselves. */
	own = index_of(r, self);
	if (own != NOT_FOUND)
		r->hops[own] = NOT_FOUND;
	for (size_t i = 0; i < direct_count; i++) {
		uint32_t node = index_of(r, direct[i]);

		if (node != NOT_FOUND && !r->hops[node])
			reach(r, &reached, node, direct[i], 1);
	}
	for (uint32_t i = 0; i < reached; i++)
		expand(r, t, &reached, r->order[i]);
	for (uint32_t i = 0; i < r->count; i++)
		if (r->hops[i] < 2 || r->hops[i] > FASTDP_HOPS_MAX ||
		    r->hops[i] != topology_peer_at(t, i)->hops)
			r->via[i] = PEER_NAME_NONE;
}

void fastdp_routes_fini(struct fastdp_routes *r)
{
	mem_free(r->names);
	mem_free(r->via);
	mem_free(r->hops);
	mem_free(r->order);
	*r = (struct fastdp_routes){ 0 };
}
