/* Routes in a network of 1 000 peers. */
#include <weave/alloc.h>
#include <weave/must.h>

#include "../../gossip/routes.h"
#include "graph.h"
#include "micro.h"

#define PEERS 1000u

struct graph {
	struct store *store;
	struct topology *topology;
	uint64_t version;
};

static void *setup(const struct micro *c)
{
	struct graph *g = mem_new(1, sizeof *g);

	(void)c;
	g->store = store_new(1);
	g->topology = topology_new(g->store, 1);
	g->version = 1;
	graph_fill(g->store, PEERS);
	topology_update(g->topology);
	MUST(topology_reachable(g->topology, PEERS));
	return g;
}

static void end(void *ctx)
{
	struct graph *g = ctx;

	topology_free(g->topology);
	store_free(g->store);
	mem_free(g);
}

/* A link far away comes and goes. */
static void update(void *ctx, uint64_t count)
{
	struct graph *g = ctx;

	for (uint64_t n = 0; n < count; n++) {
		graph_put_half(g->store, 500, 501, ++g->version, n & 1);
		topology_update(g->topology);
	}
	micro_use(topology_next_hop(g->topology, PEERS / 2));
}

/* The tree of each origin, computed when it is first asked for. */
static void broadcast(void *ctx, uint64_t count)
{
	struct graph *g = ctx;
	uint64_t sum = 0;

	for (uint64_t n = 0; n < count; n++) {
		if (n % PEERS == 0 && n) {
			g->version++;
			graph_put_half(g->store, 500, 501, g->version, g->version & 1);
			topology_update(g->topology);
		}
		sum += topology_broadcast(g->topology, 1 + n % PEERS)->children_count;
	}
	micro_use(sum);
}

struct search {
	struct routes_node nodes[PEERS];
	uint32_t edges[PEERS][2 * GRAPH_LINKS];
	struct routes_search search;
};

static void *search_setup(const struct micro *c)
{
	struct search *s = mem_new(1, sizeof *s);

	(void)c;
	for (uint32_t i = 0; i < PEERS; i++)
		for (uint32_t step = 1; step < PEERS / 2; step = step * 3 + 1) {
			uint32_t other = (i + step) % PEERS;

			s->edges[i][s->nodes[i].edges_count++] = other;
			s->edges[other][s->nodes[other].edges_count++] = i;
		}
	for (uint32_t i = 0; i < PEERS; i++)
		s->nodes[i].edges = s->edges[i];
	return s;
}

static void search_run(void *ctx, uint64_t count)
{
	struct search *s = ctx;

	for (uint64_t n = 0; n < count; n++)
		routes_search(&s->search, s->nodes, PEERS, (uint32_t)(n % PEERS));
	micro_use(s->search.order_count);
}

static void search_end(void *ctx)
{
	struct search *s = ctx;

	routes_search_fini(&s->search);
	mem_free(s);
}

const struct micro micro_routes[] = {
	{ "routes/search-1000", search_setup, search_run, search_end, 320, 0, NULL },
	{ "routes/link-change-1000", setup, update, end, 160, 0, NULL },
	{ "routes/broadcast-tree-1000", setup, broadcast, end, 320, 0, NULL },
	{ 0 },
};
