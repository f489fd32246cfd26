/* Forwarding over random graphs of whole routers.
 *
 * Views agree: every broadcast arrives exactly once everywhere, every known unicast exactly once at
 * its peer.  Views differ in any mixture: nothing loops (the number of datagrams that one frame
 * causes is bounded by the hop limit), nobody's bridge gets a unicast twice, and broadcasts never
 * multiply.
 */
#include "../../unit/router/lab.h"

static const struct mac broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

/* A random connected graph of 'count' routers with 'more' links beyond a tree. */
static struct lab *random_graph(struct rng *rng, unsigned count, unsigned more, uint64_t seed)
{
	struct lab *l = lab_new(count, seed, 1472);

	l->sealed = seed & 1;
	for (unsigned i = 1; i < count; i++)
		lab_connect(l, i, (unsigned)rng_below(rng, i), 1 + (uint32_t)rng_below(rng, 5));
	for (unsigned i = 0; i < more; i++) {
		unsigned a = (unsigned)rng_below(rng, count), b = (unsigned)rng_below(rng, count);

		if (a != b && !l->wires[a][b].connected)
			lab_connect(l, a, b, 1 + (uint32_t)rng_below(rng, 5));
	}
	for (unsigned i = 0; i < count; i++)
		router_add_endpoint(l->routers[i], 0, mac_of(100 + i), NULL, 0, lab_now(l));
	lab_run(l, 1500);
	return l;
}

static void count_frames(const struct lab *l, uint64_t *frames)
{
	memcpy(frames, l->frames, sizeof l->frames);
}

static void agreeing_views_deliver_exactly_once(void **state)
{
	uint64_t seed = test_seed(0x5eed0501);

	(void)state;
	for (uint64_t run = 0; run < 25; run++) {
		struct rng rng = { seed + run };
		unsigned count = 2 + (unsigned)rng_below(&rng, 18);
		struct lab *l = random_graph(&rng, count, (unsigned)rng_below(&rng, 3 * count),
					     seed + run);
		uint64_t before[LAB_MAX];
		struct made_frame f;

		for (unsigned from = 0; from < count; from++) {
			unsigned to = (unsigned)rng_below(&rng, count);

			count_frames(l, before);
			make_raw(&f, broadcast, mac_of(100 + from), 60 + rng_below(&rng, 3000),
				 from);
			lab_frame(l, from, &f);
			lab_run(l, 300);
			for (unsigned i = 0; i < count; i++) {
				assert_int_equal(l->frames[i] - before[i], i != from);
				if (i != from)
					assert_memory_equal(lab_last(l, i)->data, f.data, f.size);
			}
			count_frames(l, before);
			make_raw(&f, mac_of(100 + to), mac_of(100 + from), 60, from);
			lab_frame(l, from, &f);
			lab_run(l, 300);
			for (unsigned i = 0; i < count; i++)
				assert_int_equal(l->frames[i] - before[i], i == to && i != from);
		}
		lab_free(l);
	}
}

/* Each router now learns of changes on its own: some links go up and down, and each router hears a
 * random part of what that changed. */
static void make_views_differ(struct lab *l, struct rng *rng)
{
	for (unsigned i = 0; i < l->count; i++) {
		for (unsigned n = 0; n < 6; n++) {
			unsigned a = (unsigned)rng_below(rng, l->count);
			unsigned b = (unsigned)rng_below(rng, l->count);
			struct link_info link = { .from = a + 1, .to = b + 1 };
			struct entry_view e = { .kind = KIND_LINK, .generation = 1 };
			uint8_t k[64], v[256];
			struct writer key = writer_over(k, sizeof k);
			struct writer value = writer_over(v, sizeof v);

			if (a == b || a == i)
				continue;
			link.established = rng_below(rng, 2);
			link.overlay = link.established;
			link_info_key(link.from, link.to, &key);
			link_info_encode(&link, &value);
			e.writer = a + 1;
			e.version = 1000000 + rng_below(rng, 1000);
			e.key = writer_bytes(&key);
			e.value = writer_bytes(&value);
			store_merge(l->gossips[i].store, &e, 1, lab_now(l));
		}
		topology_update(l->gossips[i].topology);
		router_on_routes(l->routers[i], lab_now(l));
	}
}

static uint64_t frames_carried(const struct lab *l)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < l->count; i++) {
		struct path_info info;

		for (size_t k = 0; router_path_at(l->routers[i], k, &info); k++)
			sum += info.frames_out;
	}
	return sum;
}

static void differing_views_never_loop(void **state)
{
	uint64_t seed = test_seed(0x5eed0502);

	(void)state;
	for (uint64_t run = 0; run < 25; run++) {
		struct rng rng = { seed + run };
		unsigned count = 3 + (unsigned)rng_below(&rng, 18);
		struct lab *l = random_graph(&rng, count, (unsigned)rng_below(&rng, 3 * count),
					     seed + run);
		struct made_frame f;

		l->gossip = false;
		for (unsigned i = 0; i < 60; i++) {
			unsigned from = (unsigned)rng_below(&rng, count);
			unsigned to = (unsigned)rng_below(&rng, count);
			uint64_t before[LAB_MAX], carried;
			bool known;

			if (i % 10 == 0)
				make_views_differ(l, &rng);
			count_frames(l, before);
			carried = frames_carried(l);
			make_raw(&f, mac_of(100 + to), mac_of(100 + from), 60, i);
			lab_frame(l, from, &f);
			lab_run(l, 500);
			/* One copy, at most one hop per unit of the hop limit; when its peer is out
			 * of sight it is flooded like a broadcast. */
			known = from == to || topology_reachable(l->gossips[from].topology, to + 1);
			assert_true(!known || frames_carried(l) - carried <= HOP_LIMIT);
			for (unsigned k = 0; k < count; k++)
				assert_true(l->frames[k] - before[k] <=
					    (known ? k == to && k != from : k != from));

			count_frames(l, before);
			carried = frames_carried(l);
			make_raw(&f, broadcast, mac_of(100 + from), 60, i);
			lab_frame(l, from, &f);
			lab_run(l, 500);
			/* Accepted from one parent only: a router sends each broadcast on at most
			 * once per acceptance, and accepts it at most once. */
			for (unsigned k = 0; k < count; k++)
				assert_true(l->frames[k] - before[k] <= (k != from));
			assert_true(frames_carried(l) - carried <= (uint64_t)count * count);
		}
		lab_free(l);
	}
}

/* Tells one router of a link that is not there. */
static void tell_link(struct lab *l, unsigned who, unsigned a, unsigned b)
{
	for (unsigned i = 0; i < 2; i++) {
		struct link_info link = { .from = (i ? b : a) + 1, .to = (i ? a : b) + 1 };
		struct entry_view e = { .kind = KIND_LINK, .generation = 1, .version = 1000000 };
		uint8_t k[64], v[256];
		struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);

		link.established = true;
		link.overlay = OVERLAY_SLEEVE;
		link_info_key(link.from, link.to, &key);
		link_info_encode(&link, &value);
		e.writer = link.from;
		e.key = writer_bytes(&key);
		e.value = writer_bytes(&value);
		assert_int_equal(store_merge(l->gossips[who].store, &e, 1, lab_now(l)), STORE_TOOK);
	}
	topology_update(l->gossips[who].topology);
	router_on_routes(l->routers[who], lab_now(l));
}

/* Three routers of which each believes that the next one is linked to the fourth, and a fifth that
 * sends into the ring: the worst that differing views can do.  The hop limit ends it; a frame that
 * comes back to its origin ends there. */
static void a_ring_of_wrong_views_ends_at_the_hop_limit(void **state)
{
	struct lab *l = lab_new(5, 1, 1472);
	struct made_frame f;
	uint64_t carried, limit = 0;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		lab_connect(l, i, (i + 1) % 3, 1);
	lab_connect(l, 4, 0, 1);
	router_add_endpoint(l->routers[3], 0, mac_of(103), NULL, 0, lab_now(l));
	lab_run(l, 1500);
	l->gossip = false;
	for (unsigned i = 0; i < 3; i++)
		tell_link(l, i, (i + 1) % 3, 3);
	tell_link(l, 4, 0, 3);
	make_raw(&f, mac_of(103), mac_of(104), 60, 1);
	carried = frames_carried(l);
	lab_frame(l, 4, &f);
	lab_run(l, 1000);
	for (unsigned i = 0; i < 3; i++)
		limit += lab_drops(l, i, DROP_HOP_LIMIT);
	assert_int_equal(limit, 1);
	assert_int_equal(frames_carried(l) - carried, HOP_LIMIT);
	make_raw(&f, mac_of(103), mac_of(100), 60, 1);
	carried = frames_carried(l);
	lab_frame(l, 0, &f);
	lab_run(l, 1000);
	assert_int_equal(lab_drops(l, 0, DROP_OWN_FRAME), 1);
	assert_int_equal(frames_carried(l) - carried, 3);
	lab_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agreeing_views_deliver_exactly_once),
		cmocka_unit_test(differing_views_never_loop),
		cmocka_unit_test(a_ring_of_wrong_views_ends_at_the_hop_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
