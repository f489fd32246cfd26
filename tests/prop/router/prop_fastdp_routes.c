/* Relays in the kernel, over random graphs: with equal views each packet comes nearer with every
 * hop, over fastdp links only; with unequal ones it still ends, once. */
#include "../../../router/fastdp_routes.h"

#include <weave/bpf_maps.h>

#include "../../unit/router/router_test.h"

#define PEERS 24u
#define NONE 0u
#define SLEEVE OVERLAY_SLEEVE
#define FASTDP OVERLAY_FASTDP

struct graph {
	uint8_t link[PEERS + 1][PEERS + 1];
	uint8_t secret[PEERS + 1][PEERS + 1];	    /* paths that are not published */
	uint32_t hops[PEERS + 1][PEERS + 1];	    /* over all links; 0 not connected */
	uint32_t fastdp_hops[PEERS + 1][PEERS + 1]; /* over fastdp links */
};

/* What one router believes. */
struct view {
	struct store *store;
	struct topology *topology;
	struct fastdp_routes routes;
};

static void search(const struct graph *g, uint32_t from, bool fastdp_only, uint32_t *hops)
{
	uint32_t order[PEERS + 1], count = 0;

	memset(hops, 0, (PEERS + 1) * sizeof *hops);
	order[count++] = from;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at_ = order[i];

		for (uint32_t to = 1; to <= PEERS; to++) {
			uint8_t link = g->link[at_][to];

			if (link == NONE || (fastdp_only && link != FASTDP) || hops[to] ||
			    to == from)
				continue;
			hops[to] = hops[at_] + 1;
			order[count++] = to;
		}
	}
}

static void draw(struct graph *g, struct rng *rng)
{
	uint64_t density = 6 + rng_below(rng, 20);

	memset(g, 0, sizeof *g);
	for (uint32_t a = 1; a <= PEERS; a++)
		for (uint32_t b = a + 1; b <= PEERS; b++)
			if (rng_below(rng, 100) < density)
				g->link[a][b] = g->link[b][a] = rng_below(rng, 4) ? FASTDP : SLEEVE;
			else if (rng_below(rng, 100) < 20)
				g->secret[a][b] = g->secret[b][a] = rng_below(rng, 2) ? FASTDP
										      : SLEEVE;
	for (uint32_t a = 1; a <= PEERS; a++) {
		search(g, a, false, g->hops[a]);
		search(g, a, true, g->fastdp_hops[a]);
	}
}

static void put(struct view *v, peer_name self, uint8_t kind, peer_name writer, struct writer *key,
		struct writer *value)
{
	struct entry_view e = { .kind = kind, .writer = writer, .generation = 1, .version = 1 };

	e.key = writer_bytes(key);
	e.value = writer_bytes(value);
	assert_null(store_check(v->store, &e));
	store_merge(v->store, &e, writer == self ? 0 : 1, at(0));
}

static struct view believe(const struct graph *g, peer_name self)
{
	struct view v = { .store = store_new(self) };

	v.topology = topology_new(v.store, self);
	for (uint32_t a = 1; a <= PEERS; a++) {
		struct peer_info p = { .name = a, .protocol_min = 3, .protocol_max = 3, .port = 1 };
		uint8_t k[ENTRY_KEY_MAX], b[1024];
		struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);

		strcpy(p.nickname, "n");
		strcpy(p.software, "t");
		peer_info_key(a, &key);
		peer_info_encode(&p, &value);
		put(&v, self, KIND_PEER, a, &key, &value);
		for (uint32_t c = 1; c <= PEERS; c++) {
			struct link_info l = {
				.from = a, .to = c, .established = true, .overlay = g->link[a][c]
			};

			if (l.overlay == NONE)
				continue;
			l.address = (struct netaddr){ { 4, { 10, 0, 0, 1 } }, 1 };
			key = writer_over(k, sizeof k);
			value = writer_over(b, sizeof b);
			link_info_key(a, c, &key);
			link_info_encode(&l, &value);
			put(&v, self, KIND_LINK, a, &key, &value);
			if (a != self)
				continue;
			topology_direct(v.topology, c, true);
		}
	}
	/* And more paths than it publishes, of whatever kind. */
	for (uint32_t c = 1; c <= PEERS; c++)
		if (g->secret[self][c])
			topology_direct(v.topology, c, true);
	topology_update(v.topology);
	fastdp_routes_find(&v.routes, v.topology, self);
	return v;
}

static void forget(struct view *v)
{
	fastdp_routes_fini(&v->routes);
	topology_free(v->topology);
	store_free(v->store);
}

static bool carries(const struct graph *g, peer_name a, peer_name b)
{
	return g->link[a][b] == FASTDP || g->secret[a][b] == FASTDP;
}

/* Where router 'self' sends a packet for 'to': of its own container, or one that is relayed; NONE:
 * nowhere, or by sleeve. */
static peer_name next_hop(const struct graph *g, const struct view *v, peer_name self, peer_name to,
			  bool own)
{
	if (carries(g, self, to))
		return to;
	for (uint32_t i = 0; i < v->routes.count; i++)
		if (v->routes.names[i] == to && (!own || v->routes.own[i]))
			return v->routes.via[i];
	return PEER_NAME_NONE;
}

static void equal_views_agree(void **state)
{
	uint64_t seed = test_seed(3);
	unsigned relayed = 0, refused = 0;

	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		struct rng rng = { seed + round };
		struct view views[PEERS + 1];
		struct graph g;

		draw(&g, &rng);
		for (uint32_t a = 1; a <= PEERS; a++)
			views[a] = believe(&g, a);
		for (uint32_t a = 1; a <= PEERS; a++) {
			for (uint32_t to = 1; to <= PEERS; to++) {
				uint32_t left = g.hops[a][to];
				bool expected = left > 1 && g.fastdp_hops[a][to] == left;
				peer_name at_ = a;

				/* Straight, by whatever. */
				if (a == to || left == 1 || g.secret[a][to] != NONE)
					continue;
				assert_int_equal(next_hop(&g, &views[a], a, to, true) !=
							 PEER_NAME_NONE,
						 expected);
				relayed += expected;
				refused += !expected;
				for (; expected && at_ != to; left--) {
					peer_name next = next_hop(&g, &views[at_], at_, to,
								  at_ == a);

					assert_true(left > 0);
					assert_true(carries(&g, at_, next));
					at_ = next;
				}
			}
		}
		for (uint32_t a = 1; a <= PEERS; a++)
			forget(&views[a]);
	}
	assert_true(relayed > 1000);
	assert_true(refused > 1000);
}

/* While the graph changes each router believes the old or the new one.  The kernel's rules
 * (bpf/decide.bpf.h): nothing is copied, nothing goes back, each hop costs one. */
static void unequal_views_end(void **state)
{
	uint64_t seed = test_seed(4);
	unsigned longest = 0, arrived = 0;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		struct rng rng = { seed + round };
		struct view views[PEERS + 1];
		const struct graph *believed[PEERS + 1];
		struct graph graphs[2];

		draw(&graphs[0], &rng);
		draw(&graphs[1], &rng);
		for (uint32_t a = 1; a <= PEERS; a++) {
			believed[a] = &graphs[rng_below(&rng, 2)];
			views[a] = believe(believed[a], a);
		}
		for (uint32_t a = 1; a <= PEERS; a++) {
			for (uint32_t to = 1; to <= PEERS; to++) {
				peer_name at_ = a, from = PEER_NAME_NONE;
				unsigned ttl = FASTDP_TTL, hops = 0;

				while (at_ != to) {
					peer_name next = next_hop(believed[at_], &views[at_], at_,
								  to, hops == 0);

					if (next == PEER_NAME_NONE || next == from ||
					    ttl <= FASTDP_RELAY_COST)
						break;
					from = at_;
					at_ = next;
					ttl -= hops ? FASTDP_RELAY_COST : 0;
					hops++;
				}
				assert_true(hops <= FASTDP_HOPS_MAX + 1);
				longest = hops > longest ? hops : longest;
				arrived += at_ == to && a != to;
			}
		}
		for (uint32_t a = 1; a <= PEERS; a++)
			forget(&views[a]);
	}
	print_message("longest way %u hops, %u arrived\n", longest, arrived);
	assert_true(arrived > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_views_agree),
		cmocka_unit_test(unequal_views_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
