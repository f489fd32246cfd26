/* Segments over random graphs of whole routers, some of which have them open and some not.
 *
 * The same MACs live in all segments, at other routers in each.  A broadcast comes out once at each
 * router that means the same network, nowhere else, and goes along no link that leads to nobody
 * who has it; unicast comes out at its own network's endpoint.  That also holds while one number
 * means two networks.
 */
#include "../../unit/router/lab.h"

#define SEGMENTS 3u

static const struct mac broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
static const char *const keys[] = { "", "red", "blue" };
static uint64_t frame_datagrams;

static void on_wire(struct lab *l, unsigned from, unsigned to, struct bytes datagram)
{
	(void)l;
	(void)from;
	(void)to;
	frame_datagrams += datagram.data[16] == 1; /* the first record is a frame */
}

static struct lab *random_graph(struct rng *rng, unsigned count, uint64_t seed)
{
	struct lab *l = lab_new(count, seed, 1472);

	for (unsigned i = 1; i < count; i++)
		lab_connect(l, i, (unsigned)rng_below(rng, i), 1 + (uint32_t)rng_below(rng, 5));
	for (unsigned i = 0; i < count; i++) {
		unsigned a = (unsigned)rng_below(rng, count), b = (unsigned)rng_below(rng, count);

		if (a != b && !l->wires[a][b].connected)
			lab_connect(l, a, b, 1 + (uint32_t)rng_below(rng, 5));
	}
	l->on_wire = on_wire;
	return l;
}

/* keys[m] of segment s at router i, or NULL: what it has open. */
struct plan {
	const char *open[LAB_MAX][SEGMENTS];
};

static void open_all(struct lab *l, struct rng *rng, struct plan *p, bool contested)
{
	struct why why;

	/* As if all were apart when they opened theirs. */
	l->gossip = false;
	for (unsigned i = 0; i < l->count; i++) {
		p->open[i][0] = keys[0];
		for (uint32_t s = 1; s < SEGMENTS; s++) {
			p->open[i][s] = NULL;
			if (rng_below(rng, 2))
				continue;
			p->open[i][s] = contested && rng_below(rng, 2) ? "apart" : keys[s];
			assert_true(router_open_segment(l->routers[i], s, p->open[i][s], lab_now(l),
							&why));
		}
	}
	lab_sync(l);
	l->gossip = true;
	/* MAC s of segment s ... : every MAC in every segment, at the first that has it from a
	 * place of its own. */
	for (uint32_t s = 0; s < SEGMENTS; s++)
		for (unsigned i = 0; i < l->count; i++)
			if (p->open[i][s])
				router_add_endpoint(l->routers[i], s,
						    mac_of(100 + (i + s) % l->count), NULL, 0,
						    lab_now(l));
	lab_run(l, 1500);
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* Links from members up to the origin, each once, as the members' own views tell them. */
static unsigned expected_datagrams(struct lab *l, const struct plan *p, unsigned from, uint32_t s)
{
	bool on_tree[LAB_MAX] = { false };
	unsigned links = 0;

	for (unsigned i = 0; i < l->count; i++) {
		unsigned at_ = i;

		if (!same(p->open[i][s], p->open[from][s]))
			continue;
		while (at_ != from && !on_tree[at_]) {
			on_tree[at_] = true;
			links++;
			at_ = (unsigned)topology_broadcast(l->gossips[at_].topology, from + 1)
				      ->parent -
			      1;
		}
	}
	return links;
}

static void check_broadcast(struct lab *l, const struct plan *p, unsigned from, uint32_t s)
{
	uint64_t before[LAB_MAX], sent = frame_datagrams;
	struct made_frame f;

	memcpy(before, l->frames, sizeof before);
	make_raw(&f, broadcast, mac_of(100 + (from + s) % l->count), 200, from + s);
	lab_frame_in(l, from, s, &f);
	lab_run(l, 300);
	for (unsigned i = 0; i < l->count; i++) {
		bool wanted = i != from && same(p->open[i][s], p->open[from][s]);

		assert_int_equal(l->frames[i] - before[i], wanted);
		if (wanted)
			assert_int_equal(l->segment[i], s);
	}
	assert_int_equal(frame_datagrams - sent, expected_datagrams(l, p, from, s));
}

static void check_unicast(struct lab *l, const struct plan *p, unsigned from, uint32_t s,
			  unsigned to)
{
	uint64_t before[LAB_MAX];
	struct made_frame f;

	memcpy(before, l->frames, sizeof before);
	make_raw(&f, mac_of(100 + (to + s) % l->count), mac_of(100 + (from + s) % l->count), 60, 1);
	lab_frame_in(l, from, s, &f);
	lab_run(l, 300);
	for (unsigned i = 0; i < l->count; i++) {
		/* Unknown there: it goes to all of that network. */
		bool known = same(p->open[to][s], p->open[from][s]);
		bool wanted = i != from && same(p->open[i][s], p->open[from][s]) &&
			      (!known || i == to);

		assert_int_equal(l->frames[i] - before[i], wanted);
		if (wanted)
			assert_int_equal(l->segment[i], s);
	}
}

static void run_world(uint64_t seed, bool contested)
{
	struct rng rng = { seed };
	unsigned count = 2 + (unsigned)rng_below(&rng, 14);
	struct lab *l = random_graph(&rng, count, seed);
	struct plan p;

	lab_run(l, 1500);
	open_all(l, &rng, &p, contested);
	for (unsigned from = 0; from < count; from++)
		for (uint32_t s = 0; s < SEGMENTS; s++) {
			if (!p.open[from][s])
				continue;
			check_broadcast(l, &p, from, s);
			check_unicast(l, &p, from, s, (unsigned)rng_below(&rng, count));
		}
	lab_free(l);
}

static void frames_stay_in_their_network(void **state)
{
	uint64_t seed = test_seed(0x5eed0601);

	(void)state;
	for (uint64_t run = 0; run < 25; run++)
		run_world(seed + run, false);
}

static void also_while_numbers_are_contested(void **state)
{
	uint64_t seed = test_seed(0x5eed0602);

	(void)state;
	for (uint64_t run = 0; run < 25; run++)
		run_world(seed + run, true);
}

/* Whoever does not have a segment cannot send into it, even when a frame of its own says so. */
static void outsiders_are_not_heard(void **state)
{
	struct lab *l = lab_new(2, 5, 1472);
	struct made_frame f;
	struct why why;

	(void)state;
	lab_connect(l, 0, 1, 1);
	lab_run(l, 1500);
	assert_true(router_open_segment(l->routers[0], 1, "red", lab_now(l), &why));
	make_raw(&f, broadcast, mac_of(1), 60, 1);
	lab_frame_in(l, 0, 1, &f);
	lab_run(l, 100);
	assert_int_equal(l->frames[1], 0);
	/* Closed in the meantime: captured before. */
	router_close_segment(l->routers[0], 1, lab_now(l));
	lab_frame_in(l, 0, 1, &f);
	assert_int_equal(lab_drops(l, 0, DROP_UNKNOWN_SEGMENT), 1);
	/* Router 0 sends what it knows of, but router 1 did not hear that it may. */
	assert_true(router_open_segment(l->routers[1], 1, "red", lab_now(l), &why));
	l->gossip = false;
	assert_true(router_open_segment(l->routers[0], 1, "red", lab_now(l), &why));
	lab_frame_in(l, 0, 1, &f);
	lab_run(l, 100);
	assert_int_equal(l->frames[1], 0);
	assert_int_equal(lab_drops(l, 1, DROP_UNKNOWN_SEGMENT), 1);
	lab_sync(l);
	lab_frame_in(l, 0, 1, &f);
	lab_run(l, 100);
	assert_int_equal(l->frames[1], 1);
	lab_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_stay_in_their_network),
		cmocka_unit_test(also_while_numbers_are_contested),
		cmocka_unit_test(outsiders_are_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
