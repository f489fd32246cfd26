/* Merging: commutative, associative, idempotent and total over generated entries with extreme
 * values; and through real stores: any order, repeated, through any relay, gives equal contents
 * and equal digests, `gone` included. */
#include "../../unit/gossip/gossip_test.h"

#include "../../../gossip/garbage.h"

static const uint64_t numbers[] = {
	0, 1, 2, UINT32_MAX, VERSION_LIMIT / 2, VERSION_LIMIT - 2, VERSION_LIMIT - 1
};
static const peer_name writers[] = { 1, 2, 3, PEER_NAME_MAX - 1, PEER_NAME_MAX };

static uint64_t number(struct rng *r)
{
	return numbers[rng_below(r, ARRAY_COUNT(numbers))];
}

/* Few different ones, so that equals and near-equals are common. */
static const struct entry_view *generate(struct made *m, struct rng *r, unsigned keys)
{
	static const uint8_t kinds[] = { KIND_PEER, KIND_ENDPOINT, KIND_NAME, KIND_VOTE, 9, 255 };
	static const char letters[] = { 'a', 'b', '\0', (char)0xff };
	struct entry_view *v = &m->view;

	*v = (struct entry_view){ .kind = kinds[rng_below(r, ARRAY_COUNT(kinds))],
				  .writer = writers[rng_below(r, ARRAY_COUNT(writers))],
				  .generation = number(r),
				  .version = number(r) };
	m->key[0] = (uint8_t)rng_below(r, keys);
	v->key = bytes_of(m->key, rng_below(r, 8) ? 1 : ENTRY_KEY_MAX);
	v->value.data = m->value;
	if (rng_below(r, 4) == 0) {
		v->flags = ENTRY_TOMBSTONE;
		return v;
	}
	v->value.size = rng_below(r, 16) ? rng_below(r, 4) : ENTRY_SIZE_MAX - v->key.size;
	for (size_t i = 0; i < v->value.size && i < 4; i++)
		m->value[i] = (uint8_t)letters[rng_below(r, ARRAY_COUNT(letters))];
	return v;
}

static const struct entry_view *winner(const struct entry_view *a, const struct entry_view *b)
{
	return entry_compare(a, b) >= 0 ? a : b;
}

static void f5_merge_is_a_total_order(void **state)
{
	struct rng rng = { test_seed(0x5eed0001) };
	struct made *m = mem_new(3, sizeof *m);
	unsigned conflicts = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		const struct entry_view *e[3];

		for (int j = 0; j < 3; j++) {
			e[j] = generate(&m[j], &rng, 1);
			m[j].view.kind = e[0]->kind;
			m[j].view.key = e[0]->key;
			/* Mostly equal versions: where the order has to look deeper. */
			if (rng_below(&rng, 4)) {
				m[j].view.generation = e[0]->generation;
				m[j].view.version = e[0]->version;
			}
			if (rng_below(&rng, 2))
				m[j].view.writer = e[0]->writer;
		}
		int ab = entry_compare(e[0], e[1]), ba = entry_compare(e[1], e[0]);

		assert_int_equal(ab > 0, ba < 0);
		assert_int_equal(ab == 0, ba == 0);
		assert_int_equal(entry_compare(e[0], e[0]), 0);
		if (ab == 0) {
			assert_true(bytes_equal(e[0]->value, e[1]->value));
			assert_true(e[0]->writer == e[1]->writer && e[0]->flags == e[1]->flags);
		} else {
			conflicts += e[0]->version == e[1]->version;
		}
		assert_int_equal(entry_compare(winner(winner(e[0], e[1]), e[2]),
					       winner(e[0], winner(e[1], e[2]))),
				 0);
	}
	assert_true(conflicts > 10000);
	mem_free(m);
}

#define ENTRIES 400

static void shuffle(size_t *order, size_t count, struct rng *r)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = rng_below(r, i), t = order[i - 1];

		order[i - 1] = order[j];
		order[j] = t;
	}
}

/* All entries in a random order, some of them again. */
static struct store *filled(const struct made *m, size_t count, struct rng *r)
{
	struct store *s = store_new(rng_u64(r));
	size_t order[ENTRIES];

	for (size_t i = 0; i < count; i++)
		order[i] = i;
	shuffle(order, count, r);
	for (size_t i = 0; i < count; i++) {
		take(s, &m[order[i]].view, i);
		if (rng_below(r, 3) == 0)
			take(s, &m[order[rng_below(r, i + 1)]].view, i);
	}
	return s;
}

static void any_order_gives_the_same_store(void **state)
{
	struct rng rng = { test_seed(0x5eed0002) };
	struct made *m = mem_new(ENTRIES, sizeof *m);

	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		size_t count = 1 + rng_below(&rng, ENTRIES);
		struct store *a, *b, *relay = store_new(7);

		for (size_t i = 0; i < count; i++)
			generate(&m[i], &rng, 1 + round % 40);
		a = filled(m, count, &rng);
		b = filled(m, count, &rng);
		store_check_all(a);
		assert_true(contents_equal(a, b));
		assert_true(digests_equal(a, b));
		/* What one store selected is as good as all it ever heard. */
		for (const struct entry *e = store_next(a, NULL); e; e = store_next(a, e))
			take(relay, &e->view, 0);
		assert_true(contents_equal(a, relay) && digests_equal(a, relay));
		for (unsigned k = 0; k < STORE_BUCKETS; k++) {
			struct hash128 x = store_bucket_digest(a, k);
			struct hash128 y = store_bucket_digest(b, k);

			assert_true(x.high == y.high && x.low == y.low);
		}
		store_free(a);
		store_free(b);
		store_free(relay);
	}
	mem_free(m);
}

struct router {
	struct store *store;
	struct topology *topology;
	struct garbage *garbage;
};

static struct router router_new(peer_name self, struct rng *r)
{
	struct router x = { .store = store_new(rng_u64(r)) };

	x.topology = topology_new(x.store, self);
	x.garbage = garbage_new(x.store, x.topology, self);
	return x;
}

static void router_free(struct router *r)
{
	topology_update(r->topology);
	topology_check(r->topology);
	store_check_all(r->store);
	garbage_free(r->garbage);
	topology_free(r->topology);
	store_free(r->store);
}

static const struct entry_view *mortal(struct made *m, struct rng *r)
{
	peer_name name = 1 + rng_below(r, 5);
	struct peer_info p = peer_of(name);
	uint64_t generation = 1 + rng_below(r, 4), version = rng_below(r, 3);

	switch (rng_below(r, 4)) {
	case 0:
		return make_gone(m, name, generation, 1 + rng_below(r, 5));
	case 1:
		return make_peer(m, &p, generation, version);
	case 2:
		return make_link(m, name, name + 1, rng_below(r, 2), generation, version);
	default:
		m->view = entry_of(KIND_NAME, "x", name, generation, version, "v");
		m->key[0] = (uint8_t)name;
		m->view.key = bytes_of(m->key, 1);
		return &m->view;
	}
}

/* Nothing is left that a `gone` here covers. */
static void check_dead(const struct router *r)
{
	for (const struct entry *e = store_next(r->store, NULL); e; e = store_next(r->store, e))
		if (e->view.kind != KIND_GONE)
			assert_true(e->view.generation >
				    garbage_gone_generation(r->garbage, e->view.writer));
}

/* Deaths among what dies, in any order and applied at any time: equal in the end. */
static void f4_gone_commutes_with_what_it_deletes(void **state)
{
	struct rng rng = { test_seed(0x5eed0003) };
	struct made *m = mem_new(ENTRIES, sizeof *m);

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct router routers[2] = { router_new(1, &rng), router_new(2, &rng) };
		size_t count = 1 + rng_below(&rng, 60), order[ENTRIES];

		for (size_t i = 0; i < count; i++) {
			mortal(&m[i], &rng);
			order[i] = i;
		}
		for (int x = 0; x < 2; x++) {
			shuffle(order, count, &rng);
			for (size_t i = 0; i < count; i++) {
				take(routers[x].store, &m[order[i]].view, i);
				if (rng_below(&rng, 3) == 0)
					garbage_apply(routers[x].garbage);
			}
			garbage_apply(routers[x].garbage);
			check_dead(&routers[x]);
		}
		assert_true(contents_equal(routers[0].store, routers[1].store));
		assert_true(digests_equal(routers[0].store, routers[1].store));
		router_free(&routers[0]);
		router_free(&routers[1]);
	}
	mem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(f5_merge_is_a_total_order),
		cmocka_unit_test(any_order_gives_the_same_store),
		cmocka_unit_test(f4_gone_commutes_with_what_it_deletes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
