/* What happens to a frame, in a network of 1 000 peers: the rules alone, the look-ups are done. */
#include <weave/alloc.h>
#include <weave/must.h>

#include "../../router/decide.h"
#include "graph.h"
#include "micro.h"

#define PEERS 1000u
#define SELF 1u

struct world {
	struct store *store;
	struct topology *topology;
	struct networks *networks;
	struct snapshot *snapshot;
	struct decide_input in;
	bool spread; /* over destinations */
};

static void *setup(const struct micro *c)
{
	struct snapshot_hop paths[2 * GRAPH_LINKS];
	struct world *w = mem_new(1, sizeof *w);
	const struct topology_peer *self;
	size_t count = 0;

	w->in = *(const struct decide_input *)c->with;
	w->spread = w->in.destination != PEER_NAME_NONE || w->in.where != PEER_NAME_NONE;
	w->store = store_new(1);
	w->topology = topology_new(w->store, SELF);
	w->networks = networks_new(SELF, w->store, w->topology, 1);
	graph_fill(w->store, PEERS);
	topology_update(w->topology);
	self = topology_peer(w->topology, SELF);
	for (size_t i = 0; i < self->links_count && count < ARRAY_COUNT(paths); i++, count++) {
		paths[count] = (struct snapshot_hop){ self->links[i]->to, (uint32_t)i };
		topology_direct(w->topology, self->links[i]->to, true);
	}
	topology_update(w->topology);
	w->snapshot = snapshot_new(SELF, w->topology, paths, count, 1);
	for (peer_name n = 1; n <= PEERS; n++)
		snapshot_want(w->snapshot, w->topology, w->networks, n, 0);
	return w;
}

static void run(void *ctx, uint64_t count)
{
	struct world *w = ctx;
	struct verdict v;
	uint64_t sum = 0;

	for (uint64_t n = 0; n < count; n++) {
		if (w->spread)
			*(w->in.side == DECIDE_FROM_BRIDGE ? &w->in.where : &w->in.destination) =
				2 + n % (PEERS - 1);
		decide(w->snapshot, &w->in, &v);
		sum += v.hops_count;
	}
	micro_use(sum);
}

static void end(void *ctx)
{
	struct world *w = ctx;

	snapshot_free(w->snapshot);
	networks_free(w->networks);
	topology_free(w->topology);
	store_free(w->store);
	mem_free(w);
}

static const struct decide_input to_peer = { .side = DECIDE_FROM_BRIDGE,
					     .to = { { 2, 0, 0, 0, 0, 2 } },
					     .from = { { 2, 0, 0, 0, 0, 1 } },
					     .open = true,
					     .where = 2 };
static const struct decide_input to_all = { .side = DECIDE_FROM_BRIDGE,
					    .to = { { 255, 255, 255, 255, 255, 255 } },
					    .from = { { 2, 0, 0, 0, 0, 1 } },
					    .open = true };
static const struct decide_input relayed = { .side = DECIDE_FROM_PEER,
					     .to = { { 2, 0, 0, 0, 0, 2 } },
					     .from = { { 2, 0, 0, 0, 0, 3 } },
					     .open = true,
					     .via = 2,
					     .origin = 2,
					     .destination = 5,
					     .hop_limit = 8 };

const struct micro micro_decide[] = {
	{ "decide/bridge-to-peer", setup, run, end, 400000, 0, &to_peer },
	{ "decide/bridge-broadcast", setup, run, end, 400000, 0, &to_all },
	{ "decide/peer-relayed", setup, run, end, 400000, 0, &relayed },
	{ 0 },
};
