#include "routes.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

static void make_room(struct routes_search *s, uint32_t nodes_count)
{
	if (nodes_count <= s->room)
		return;
	s->room = nodes_count + nodes_count / 2;
	s->parent = mem_resize(s->parent, s->room, sizeof(uint32_t));
	s->hops = mem_resize(s->hops, s->room, sizeof(uint32_t));
	s->first = mem_resize(s->first, s->room, sizeof(uint32_t));
	s->order = mem_resize(s->order, s->room, sizeof(uint32_t));
}

static void reach(struct routes_search *s, uint32_t node, uint32_t parent, uint32_t first,
		  uint32_t hops)
{
	s->parent[node] = parent;
	s->first[node] = first;
	s->hops[node] = hops;
	s->order[s->order_count++] = node;
}

void routes_search(struct routes_search *s, const struct routes_node *nodes, uint32_t nodes_count,
		   uint32_t root)
{
	MUST(root < nodes_count);
	make_room(s, nodes_count);
	memset(s->parent, 0xff, nodes_count * sizeof(uint32_t));
	s->root = root;
	s->order_count = 0;
	reach(s, root, root, root, 0);
	for (uint32_t i = 0; i < s->order_count; i++) {
		uint32_t node = s->order[i];

		for (uint32_t e = 0; e < nodes[node].edges_count; e++) {
			uint32_t next = nodes[node].edges[e];

			if (s->parent[next] == ROUTES_NONE)
				reach(s, next, node, node == root ? next : s->first[node],
				      s->hops[node] + 1);
		}
	}
}

void routes_search_fini(struct routes_search *s)
{
	mem_free(s->parent);
	mem_free(s->hops);
	mem_free(s->first);
	mem_free(s->order);
	*s = (struct routes_search){ 0 };
}
