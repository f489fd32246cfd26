/* The search for the path's size over simulated paths: any hidden size, delay, loss; shrinking and
 * growing while data flows.  Two ends of one path, with real datagram sizes; data is what a busy
 * TCP connection sends: full datagrams, some small ones between. */
#include "../../unit/router/lab.h"

static void connect_pair(struct lab *l, uint32_t mtu, uint32_t delay_ms, uint32_t loss)
{
	lab_connect(l, 0, 1, delay_ms);
	l->wires[0][1].mtu = l->wires[1][0].mtu = mtu;
	l->wires[0][1].loss_percent = l->wires[1][0].loss_percent = loss;
}

static void finds_any_hidden_size(void **state)
{
	uint64_t seed = test_seed(0x5eed0401);

	(void)state;
	for (uint64_t run = 0; run < 150; run++) {
		struct rng rng = { seed + run };
		uint32_t max = 1472 + (uint32_t)rng_below(&rng, 7500);
		uint32_t mtu = 576 + (uint32_t)rng_below(&rng, 8424);
		uint32_t delay = 1 + (uint32_t)rng_below(&rng, 100);
		uint32_t want = mtu < max ? mtu : max;
		struct lab *l = lab_new(2, seed + run, max);

		connect_pair(l, mtu, delay, 0);
		/* set-up, then at most four rounds of three tries of 3, 6 and 12 round trips */
		lab_run(l, 500 + 4 * 7 * (delay * 2 * 3 + 30));
		assert_int_equal(lab_path(l, 0, 1).datagram_size, want);
		assert_int_equal(lab_path(l, 1, 0).datagram_size, want);
		lab_free(l);
	}
}

/* Loss can only make the result smaller for a while; the next minutes mend it. */
static void loss_never_gives_too_large_a_size(void **state)
{
	uint64_t seed = test_seed(0x5eed0402);

	(void)state;
	for (uint64_t run = 0; run < 30; run++) {
		struct rng rng = { seed + run };
		uint32_t mtu = 576 + (uint32_t)rng_below(&rng, 8000);
		uint32_t want = mtu < 8000 ? mtu : 8000;
		struct lab *l = lab_new(2, seed + run, 8000);
		unsigned exact = 0;

		connect_pair(l, mtu, 1 + (uint32_t)rng_below(&rng, 20),
			     1 + (uint32_t)rng_below(&rng, 12));
		for (unsigned i = 0; i < 30; i++) {
			lab_run(l, 20000);
			assert_true(lab_path(l, 0, 1).datagram_size <= want);
			exact += lab_path(l, 0, 1).datagram_size == want;
		}
		assert_true(exact > 0);
		lab_free(l);
	}
}

/* Sends a burst of full and small frames; true when a full one arrived. */
static bool burst_arrives(struct lab *l, struct made_frame *f)
{
	uint32_t size = lab_path(l, 0, 1).datagram_size;
	uint64_t before = l->frames[1];
	bool arrived = false;

	make_raw(f, mac_of(2), mac_of(1), 60, 1);
	lab_frame(l, 0, f);
	lab_run(l, 25);
	assert_true(l->frames[1] > before);
	before = l->frames[1];
	make_raw(f, mac_of(2), mac_of(1), size - 35, 1);
	for (unsigned i = 0; i < 4; i++)
		lab_frame(l, 0, f);
	lab_run(l, 25);
	arrived = l->frames[1] > before;
	return arrived;
}

static void no_black_hole_lasts(void **state)
{
	uint64_t seed = test_seed(0x5eed0403);

	(void)state;
	for (uint64_t run = 0; run < 40; run++) {
		struct rng rng = { seed + run };
		struct lab *l = lab_new(2, seed + run, 8972);
		struct made_frame f;
		uint64_t hole_ms = 0, worst_ms = 0;

		connect_pair(l, 0, 5, 0);
		router_add_endpoint(l->routers[1], 0, mac_of(2), NULL, 0, lab_now(l));
		lab_run(l, 2000);
		for (unsigned change = 0; change < 8; change++) {
			uint32_t mtu = 576 + (uint32_t)rng_below(&rng, 8400);

			l->wires[0][1].mtu = l->wires[1][0].mtu = mtu;
			for (unsigned i = 0; i < 100; i++) { /* 5 s */
				hole_ms = burst_arrives(l, &f) ? 0 : hole_ms + 50;
				worst_ms = hole_ms > worst_ms ? hole_ms : worst_ms;
			}
			assert_true(lab_path(l, 0, 1).datagram_size <= mtu);
			if (rng_below(&rng, 3) == 0) {
				lab_run(l, 70000);
				assert_int_equal(lab_path(l, 0, 1).datagram_size,
						 mtu < 8972 ? mtu : 8972);
			}
		}
		/* Two heartbeats of ours, theirs under way, and one round of probes. */
		assert_true(worst_ms <= 1700);
		assert_int_equal(l->gossips[0].changes[1], 1);
		lab_free(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_any_hidden_size),
		cmocka_unit_test(loss_never_gives_too_large_a_size),
		cmocka_unit_test(no_black_hole_lasts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
