#include "../../../router/decide.h"

#include "frames.h"

/* We are 3 in the line 1 - 2 - 3 - 4, with 5 hanging on 3; 6 is known and cannot be reached. */
struct world {
	struct store *store;
	struct topology *topology;
	struct networks *networks;
	struct snapshot *snapshot;
};

static void put(struct world *w, uint8_t kind, peer_name writer, struct writer *key,
		struct writer *value)
{
	static uint64_t version;
	struct entry_view e = {
		.kind = kind,
		.writer = writer,
		.generation = 1,
		.version = ++version,
		.key = writer_bytes(key),
		.value = writer_bytes(value),
	};

	assert_null(store_check(w->store, &e));
	assert_int_equal(store_merge(w->store, &e, 1, at(0)), STORE_TOOK);
}

static void put_peer(struct world *w, peer_name name)
{
	struct peer_info p = { .name = name, .protocol_min = 3, .protocol_max = 3, .port = 1 };
	uint8_t k[64], v[1024];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);

	snprintf(p.nickname, sizeof p.nickname, "n");
	snprintf(p.software, sizeof p.software, "t");
	peer_info_key(name, &key);
	peer_info_encode(&p, &value);
	put(w, KIND_PEER, name, &key, &value);
}

static void put_half(struct world *w, peer_name from, peer_name to)
{
	struct link_info l = { .from = from, .to = to, .established = true, .overlay = 1 };
	uint8_t k[64], v[256];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);

	link_info_key(from, to, &key);
	link_info_encode(&l, &value);
	put(w, KIND_LINK, from, &key, &value);
}

static void put_network(struct world *w, uint32_t segment, peer_name peer)
{
	struct network_entry e = { .segment = segment, .peer = peer, .key = "n" };
	uint8_t k[NETWORK_KEY_SIZE], v[NETWORK_VALUE_MAX];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);

	network_entry_key(&e, &key);
	network_entry_value(&e, &value);
	put(w, KIND_NETWORK, peer, &key, &value);
}

static void world_new(struct world *w, const struct snapshot_hop *paths, size_t count)
{
	static const peer_name links[][2] = { { 1, 2 }, { 2, 3 }, { 3, 4 }, { 3, 5 } };

	w->store = store_new(1);
	w->topology = topology_new(w->store, 3);
	w->networks = networks_new(3, w->store, w->topology, 1);
	for (peer_name n = 1; n <= 6; n++)
		put_peer(w, n);
	for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
		put_half(w, links[i][0], links[i][1]);
		put_half(w, links[i][1], links[i][0]);
	}
	for (size_t i = 0; i < count; i++)
		topology_direct(w->topology, paths[i].peer, true);
	topology_update(w->topology);
	w->snapshot = snapshot_new(3, w->topology, paths, count, 1);
	put_network(w, 5, 1);
	put_network(w, 5, 4);
	put_network(w, 5, 5);
	put_network(w, 6, 1);
	put_network(w, 6, 4);
	for (peer_name n = 1; n <= 6; n++)
		for (uint32_t segment = 0; segment <= 6; segment++)
			snapshot_want(w->snapshot, w->topology, w->networks, n, segment);
}

static void world_free(struct world *w)
{
	snapshot_free(w->snapshot);
	networks_free(w->networks);
	topology_free(w->topology);
	store_free(w->store);
}

static const struct snapshot_hop all_paths[] = { { 2, 0 }, { 4, 1 }, { 5, 2 } };

struct expected {
	const char *what;
	struct decide_input in;
	enum drop_reason drop;
	bool to_bridge;
	peer_name destination;
	unsigned hop_limit;
	peer_name hops[3];
};

#define BRIDGE .side = DECIDE_FROM_BRIDGE
#define PEER .side = DECIDE_FROM_PEER, .open = true
/* Not open here; see world_new for who has them. */
#define PEER_OTHER_SEGMENT .side = DECIDE_FROM_PEER, .segment = 5
#define PEER_PRUNED .side = DECIDE_FROM_PEER, .segment = 6
#define PEER_DESERTED .side = DECIDE_FROM_PEER, .segment = 4
#define STP                                                                                        \
	{                                                                                          \
		{                                                                                  \
			0x01, 0x80, 0xc2, 0, 0, 0                                                  \
		}                                                                                  \
	}
#define GROUP                                                                                      \
	{                                                                                          \
		{                                                                                  \
			0x33, 0x33, 0, 0, 0, 1                                                     \
		}                                                                                  \
	}
#define HOST                                                                                       \
	{                                                                                          \
		{                                                                                  \
			0x02, 0, 0, 0, 0, 1                                                        \
		}                                                                                  \
	}

static const struct expected cases[] = {
	{ "bridge control from the bridge",
	  { BRIDGE, .to = STP, .from = HOST },
	  .drop = DROP_LINK_LOCAL },
	{ "bridge control from a peer",
	  { PEER, .to = STP, .from = HOST, .via = 2, .origin = 2, .hop_limit = 9 },
	  .drop = DROP_LINK_LOCAL },
	{ "group source", { BRIDGE, .to = HOST, .from = GROUP }, .drop = DROP_MALFORMED },
	{ "source of another peer",
	  { BRIDGE, .to = HOST, .from = HOST, .source = ENDPOINT_SOURCE_FOREIGN },
	  .drop = DROP_FOREIGN_SOURCE },
	{ "frozen source",
	  { BRIDGE, .to = HOST, .from = HOST, .source = ENDPOINT_SOURCE_FROZEN },
	  .drop = DROP_FROZEN },
	{ "local destination",
	  { BRIDGE, .to = HOST, .from = HOST, .where = 3 },
	  .drop = DROP_LOCAL },
	{ "neighbour",
	  { BRIDGE, .to = HOST, .from = HOST, .where = 4 },
	  .drop = DROP_NONE,
	  .destination = 4,
	  .hop_limit = HOP_LIMIT,
	  .hops = { 4 } },
	{ "two hops away",
	  { BRIDGE, .to = HOST, .from = HOST, .where = 1 },
	  .drop = DROP_NONE,
	  .destination = 1,
	  .hop_limit = HOP_LIMIT,
	  .hops = { 2 } },
	{ "out of reach",
	  { BRIDGE, .to = HOST, .from = HOST, .where = 6 },
	  .drop = DROP_NO_ROUTE,
	  .destination = 6 },
	{ "nobody knows",
	  { BRIDGE, .to = HOST, .from = HOST, .where = 77 },
	  .drop = DROP_NO_ROUTE,
	  .destination = 77 },
	{ "unknown unicast",
	  { BRIDGE, .to = HOST, .from = HOST },
	  .drop = DROP_NONE,
	  .hop_limit = HOP_LIMIT,
	  .hops = { 2, 4, 5 } },
	{ "multicast",
	  { BRIDGE, .to = GROUP, .from = HOST },
	  .drop = DROP_NONE,
	  .hop_limit = HOP_LIMIT,
	  .hops = { 2, 4, 5 } },
	{ "own frame",
	  { PEER, .from = HOST, .via = 2, .origin = 3, .hop_limit = 9 },
	  .drop = DROP_OWN_FRAME },
	{ "own frame for a third",
	  { PEER, .via = 2, .origin = 3, .destination = 5, .hop_limit = 9 },
	  .drop = DROP_OWN_FRAME,
	  .destination = 5 },
	{ "unknown origin",
	  { PEER, .via = 2, .origin = 77, .hop_limit = 9 },
	  .drop = DROP_UNKNOWN_ORIGIN },
	{ "unreachable origin",
	  { PEER, .via = 2, .origin = 6, .hop_limit = 9 },
	  .drop = DROP_UNKNOWN_ORIGIN },
	{ "broadcast to pass on",
	  { PEER, .to = GROUP, .via = 2, .origin = 1, .hop_limit = 9 },
	  .drop = DROP_NONE,
	  .to_bridge = true,
	  .hop_limit = 8,
	  .hops = { 4, 5 } },
	{ "broadcast from elsewhere",
	  { PEER, .to = GROUP, .via = 4, .origin = 1, .hop_limit = 9 },
	  .drop = DROP_NOT_PARENT },
	{ "broadcast at its limit",
	  { PEER, .to = GROUP, .via = 2, .origin = 1, .hop_limit = 1 },
	  .drop = DROP_HOP_LIMIT,
	  .to_bridge = true },
	{ "broadcast of a neighbour",
	  { PEER, .to = GROUP, .via = 4, .origin = 4, .hop_limit = 1 },
	  .drop = DROP_HOP_LIMIT,
	  .to_bridge = true },
	{ "for us",
	  { PEER, .to = HOST, .via = 2, .origin = 1, .destination = 3, .hop_limit = 1 },
	  .drop = DROP_NONE,
	  .to_bridge = true,
	  .destination = 3 },
	{ "for us, another segment",
	  { PEER_OTHER_SEGMENT, .to = HOST, .via = 2, .origin = 1, .destination = 3,
	    .hop_limit = 1 },
	  .drop = DROP_UNKNOWN_SEGMENT,
	  .destination = 3 },
	{ "relayed, another segment",
	  { PEER_OTHER_SEGMENT, .to = HOST, .via = 2, .origin = 1, .destination = 4,
	    .hop_limit = 9 },
	  .drop = DROP_NONE,
	  .destination = 4,
	  .hop_limit = 8,
	  .hops = { 4 } },
	{ "broadcast in another segment",
	  { PEER_OTHER_SEGMENT, .to = GROUP, .via = 2, .origin = 1, .hop_limit = 9 },
	  .drop = DROP_UNKNOWN_SEGMENT,
	  .hop_limit = 8,
	  .hops = { 4, 5 } },
	{ "broadcast only where it leads to somebody",
	  { PEER_PRUNED, .to = GROUP, .via = 2, .origin = 1, .hop_limit = 9 },
	  .drop = DROP_UNKNOWN_SEGMENT,
	  .hop_limit = 8,
	  .hops = { 4 } },
	{ "broadcast that nobody wants",
	  { PEER_DESERTED, .to = GROUP, .via = 2, .origin = 1, .hop_limit = 9 },
	  .drop = DROP_UNKNOWN_SEGMENT,
	  .hop_limit = 8 },
	{ "broadcast into a segment that nobody else has",
	  { BRIDGE, .to = GROUP, .from = HOST, .segment = 4 },
	  .drop = DROP_NO_PEERS },
	{ "relayed at its limit",
	  { PEER, .to = HOST, .via = 2, .origin = 1, .destination = 4, .hop_limit = 1 },
	  .drop = DROP_HOP_LIMIT,
	  .destination = 4 },
	{ "split horizon",
	  { PEER, .to = HOST, .via = 2, .origin = 4, .destination = 1, .hop_limit = 9 },
	  .drop = DROP_NO_ROUTE,
	  .destination = 1 },
};

static void check_case(const struct snapshot *s, const struct expected *c)
{
	struct verdict v;
	unsigned hops = 0;

	decide(s, &c->in, &v);
	while (hops < 3 && c->hops[hops])
		hops++;
	if (v.drop != c->drop || v.to_bridge != c->to_bridge || v.hops_count != hops ||
	    v.destination != c->destination)
		fail_msg("%s: drop %s bridge %d hops %u", c->what, drop_label(v.drop), v.to_bridge,
			 v.hops_count);
	if (hops)
		assert_int_equal(v.hop_limit, c->hop_limit);
	for (unsigned i = 0; i < hops; i++)
		assert_int_equal(v.hops[i].peer, c->hops[i]);
}

static void table_of_cases(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, all_paths, 3);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		check_case(w.snapshot, &cases[i]);
	world_free(&w);
}

static void dead_paths_are_left_out(void **state)
{
	const struct decide_input flood = { BRIDGE, .to = GROUP, .from = HOST };
	const struct decide_input far = { BRIDGE, .to = HOST, .from = HOST, .where = 1 };
	struct verdict v;
	struct world w;

	(void)state;
	world_new(&w, &all_paths[1], 2);
	decide(w.snapshot, &flood, &v);
	assert_int_equal(v.hops_count, 2);
	assert_int_equal(v.dead_hops, 1);
	decide(w.snapshot, &far, &v);
	assert_int_equal(v.drop, DROP_NO_DATA_PATH);
	world_free(&w);
	world_new(&w, NULL, 0);
	decide(w.snapshot, &flood, &v);
	assert_int_equal(v.drop, DROP_NO_DATA_PATH);
	world_free(&w);
}

/* A data path of our own to the destination is used, whatever the graph says. */
static void own_paths_are_used_directly(void **state)
{
	static const struct snapshot_hop paths[] = { { 2, 0 }, { 1, 1 }, { 1, 2 }, { 9, 3 } };
	struct world w;

	(void)state;
	world_new(&w, paths, 4);
	assert_int_equal(snapshot_route(w.snapshot, 1)->next.path, 1);
	assert_int_equal(snapshot_route(w.snapshot, 9)->next.path, 3);
	assert_true(snapshot_route(w.snapshot, 9)->reachable);
	assert_null(snapshot_route(w.snapshot, 10));
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_of_cases),
		cmocka_unit_test(dead_paths_are_left_out),
		cmocka_unit_test(own_paths_are_used_directly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
