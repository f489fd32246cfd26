/* Routes of all peers of random networks, each computed from a store of its own that got the same
 * entries in another order: next hops decrease the distance, nothing loops, broadcast trees agree
 * and deliver exactly once to everybody who can be reached. */
#include "../../unit/gossip/gossip_test.h"

#define PEERS 24

struct network {
	struct rng rng;
	size_t count;
	struct store *stores[PEERS];
	struct topology *views[PEERS];
	peer_name names[PEERS];		/* in order */
	bool half[PEERS][PEERS];	/* published as established, now */
	uint64_t version[PEERS][PEERS]; /* of the link entry, 0 if none */
	uint64_t generation[PEERS];
	uint64_t link_generation[PEERS][PEERS];
	unsigned distance[PEERS][PEERS]; /* by Floyd and Warshall */
};

#define FAR 1000u

static bool counts(const struct network *n, size_t i, size_t j)
{
	return n->half[i][j] && n->half[j][i] && n->link_generation[i][j] == n->generation[i] &&
	       n->link_generation[j][i] == n->generation[j];
}

static void measure(struct network *n)
{
	for (size_t i = 0; i < n->count; i++)
		for (size_t j = 0; j < n->count; j++)
			n->distance[i][j] = i == j ? 0 : counts(n, i, j) ? 1 : FAR;
	for (size_t k = 0; k < n->count; k++)
		for (size_t i = 0; i < n->count; i++)
			for (size_t j = 0; j < n->count; j++) {
				unsigned via = n->distance[i][k] + n->distance[k][j];

				if (via < n->distance[i][j])
					n->distance[i][j] = via;
			}
}

static void tell_all(struct network *n, const struct entry_view *e)
{
	for (size_t i = 0; i < n->count; i++)
		take(n->stores[i], e, 0);
}

static void put_peer(struct network *n, size_t i)
{
	struct peer_info p = peer_of(n->names[i]);
	struct made m;

	tell_all(n, make_peer(&m, &p, n->generation[i], 1));
}

static void put_half(struct network *n, size_t i, size_t j)
{
	struct made m;

	n->version[i][j]++;
	n->link_generation[i][j] = n->generation[i];
	make_link(&m, n->names[i], n->names[j], n->half[i][j], n->generation[i], n->version[i][j]);
	if (rng_below(&n->rng, 6) == 0) {
		n->half[i][j] = false;
		m.view.flags = ENTRY_TOMBSTONE;
		m.view.value.size = 0;
	}
	tell_all(n, &m.view);
}

static void change(struct network *n)
{
	size_t i = rng_below(&n->rng, n->count), j = rng_below(&n->rng, n->count);

	if (rng_below(&n->rng, 40) == 0) {
		n->generation[i]++; /* a restart: links count again once published again */
		put_peer(n, i);
		return;
	}
	if (i == j)
		return;
	n->half[i][j] = rng_below(&n->rng, 4) != 0;
	put_half(n, i, j);
	if (rng_below(&n->rng, 4)) {
		n->half[j][i] = n->half[i][j];
		put_half(n, j, i);
	}
}

static struct network *network_new(uint64_t seed)
{
	struct network *n = mem_new(1, sizeof *n);
	peer_name last = 0;

	n->rng.state = seed;
	n->count = 2 + rng_below(&n->rng, PEERS - 1);
	for (size_t i = 0; i < n->count; i++) {
		n->names[i] = last += 1 + rng_below(&n->rng, UINT64_C(1) << 40);
		n->stores[i] = store_new(rng_u64(&n->rng));
		n->views[i] = topology_new(n->stores[i], n->names[i]);
		n->generation[i] = 1;
	}
	for (size_t i = 0; i < n->count; i++)
		put_peer(n, i);
	return n;
}

static void network_free(struct network *n)
{
	for (size_t i = 0; i < n->count; i++) {
		topology_free(n->views[i]);
		store_free(n->stores[i]);
	}
	mem_free(n);
}

static size_t index_of(const struct network *n, peer_name name)
{
	size_t i = 0;

	while (i < n->count && n->names[i] != name)
		i++;
	assert_true(i < n->count);
	return i;
}

/* Follows the routes from each peer to each other: as many hops as the distance, no more. */
static void check_unicast(const struct network *n)
{
	for (size_t i = 0; i < n->count; i++)
		for (size_t to = 0; to < n->count; to++) {
			bool reachable = n->distance[i][to] < FAR;
			size_t next;

			assert_int_equal(topology_reachable(n->views[i], n->names[to]), reachable);
			if (i == to || !reachable)
				continue;
			assert_int_equal(topology_peer(n->views[i], n->names[to])->hops,
					 n->distance[i][to]);
			next = index_of(n, topology_next_hop(n->views[i], n->names[to]));
			assert_true(counts(n, i, next));
			assert_int_equal(n->distance[next][to] + 1, n->distance[i][to]);
			/* Equal costs: nobody with a lower name is as near. */
			for (size_t k = 0; k < next; k++)
				assert_false(counts(n, i, k) &&
					     n->distance[k][to] + 1 == n->distance[i][to]);
		}
}

/* Sends one broadcast as the peers' own trees say and counts who accepts it. */
static void check_broadcast(const struct network *n, size_t origin)
{
	unsigned copies[PEERS] = { 0 }, sent = 0, reachable = 0;
	size_t queue[PEERS + 1], count = 0;

	copies[origin] = 1;
	queue[count++] = origin;
	for (size_t i = 0; i < count; i++) {
		size_t at = queue[i];
		const struct topology_broadcast *b = topology_broadcast(n->views[at],
									n->names[origin]);

		assert_int_equal(b->parent == PEER_NAME_NONE, at == origin);
		for (uint32_t c = 0; c < b->children_count; c++) {
			size_t child = index_of(n, b->children[c]);
			const struct topology_broadcast *theirs = topology_broadcast(
				n->views[child], n->names[origin]);

			sent++;
			assert_true(theirs->parent == n->names[at]);
			assert_true(counts(n, at, child));
			assert_int_equal(copies[child]++, 0);
			queue[count++] = child;
		}
	}
	for (size_t i = 0; i < n->count; i++) {
		reachable += n->distance[origin][i] < FAR;
		assert_int_equal(copies[i], n->distance[origin][i] < FAR);
	}
	assert_int_equal(sent, reachable - 1);
}

static void f11_equal_stores_route_and_flood_alike(void **state)
{
	uint64_t seed = test_seed(0x5eed0020);

	(void)state;
	for (uint64_t run = 0; run < 60; run++) {
		struct network *n = network_new(seed + run);

		for (int round = 0; round < 12; round++) {
			for (size_t c = rng_below(&n->rng, 2 * n->count); c > 0; c--)
				change(n);
			measure(n);
			for (size_t i = 0; i < n->count; i++) {
				topology_update(n->views[i]);
				topology_check(n->views[i]);
				assert_true(digests_equal(n->stores[0], n->stores[i]));
			}
			check_unicast(n);
			for (size_t i = 0; i < n->count; i++)
				check_broadcast(n, i);
		}
		network_free(n);
	}
}

/* Data paths of one's own shorten the way and never make a loop: they are the last hop. */
static void own_paths_never_loop(void **state)
{
	uint64_t seed = test_seed(0x5eed0021);

	(void)state;
	for (uint64_t run = 0; run < 60; run++) {
		struct network *n = network_new(seed + run);

		for (size_t c = 0; c < 3 * n->count; c++)
			change(n);
		for (size_t c = 0; c < n->count; c++) {
			size_t i = rng_below(&n->rng, n->count), j = rng_below(&n->rng, n->count);

			if (i != j)
				topology_direct(n->views[i], n->names[j], true);
		}
		measure(n);
		for (size_t i = 0; i < n->count; i++) {
			topology_update(n->views[i]);
			topology_check(n->views[i]);
		}
		for (size_t i = 0; i < n->count; i++)
			for (size_t to = 0; to < n->count; to++) {
				size_t at = i;
				unsigned hops = 0;

				if (i == to || n->distance[i][to] >= FAR)
					continue;
				while (at != to && hops++ <= n->distance[i][to])
					at = index_of(
						n, topology_next_hop(n->views[at], n->names[to]));
				assert_true(at == to && hops <= n->distance[i][to]);
			}
		/* The trees do not care. */
		for (size_t i = 0; i < n->count; i++)
			check_broadcast(n, i);
		network_free(n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(f11_equal_stores_route_and_flood_alike),
		cmocka_unit_test(own_paths_never_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
