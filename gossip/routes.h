/* Breadth-first search over the graph of peers: unicast routes and broadcast trees alike.
 *
 * Pure.  Nodes are small numbers; each has its edges in order of the neighbours' names.  The
 * search visits neighbours in that order, so that all peers with equal graphs get equal trees, and
 * of several shortest paths the one whose first hop has the lowest name.  Links all cost 1.
 */
#ifndef WEAVE_GOSSIP_ROUTES_H
#define WEAVE_GOSSIP_ROUTES_H

#include <stdint.h>

#define ROUTES_NONE UINT32_MAX

struct routes_node {
	uint32_t *edges; /* owned by the graph's owner */
	uint32_t edges_count;
};

/* Reusable room for searches; zero it first. */
struct routes_search {
	uint32_t root, room;
	uint32_t *parent; /* per node: ROUTES_NONE when not reached; the root is its own parent */
	uint32_t *hops;	  /* per node reached */
	uint32_t *first;  /* per node reached: neighbour of the root on the way; root for itself */
	uint32_t *order;  /* nodes reached, nearest first */
	uint32_t order_count;
};

void routes_search(struct routes_search *s, const struct routes_node *nodes, uint32_t nodes_count,
		   uint32_t root);
void routes_search_fini(struct routes_search *s);

#endif
