/* Sealed paths under load, while keys change many times: reordering, loss and doubling around each
 * change cost nothing but what the network itself loses. */
#include <sodium.h>

#include "../../../router/aead.h"
#include "../../unit/router/lab.h"

struct world {
	uint64_t seed;
	unsigned count; /* routers in a line */
	uint32_t jitter_ms, loss_percent, double_percent;
	uint64_t epoch_ms, epoch_packets;
	uint8_t ciphers;
};

static struct world world_of(struct rng *rng, uint64_t seed, bool lossy)
{
	return (struct world){
		.seed = seed,
		.count = 2 + (unsigned)rng_below(rng, 2),
		.jitter_ms = (uint32_t)rng_below(rng, 60),
		.loss_percent = lossy ? (uint32_t)rng_below(rng, 25) : 0,
		.double_percent = rng_below(rng, 3) ? 0 : (uint32_t)rng_below(rng, 20),
		/* by time, by count, or both */
		.epoch_ms = rng_below(rng, 2) ? 200 + rng_below(rng, 3000) : 1000000000,
		.epoch_packets = 10 + rng_below(rng, 100),
		.ciphers = (uint8_t)rng_below(rng, 4),
	};
}

static struct lab *make(const struct world *w)
{
	struct router_config c = { .datagram_max = 1472,
				   .ciphers = w->ciphers,
				   .epoch_ms = w->epoch_ms,
				   .epoch_packets = w->epoch_packets };
	struct lab *l = lab_new_with(w->count, w->seed, &c, 1);

	l->sealed = true;
	for (unsigned i = 0; i + 1 < w->count; i++)
		lab_connect(l, i, i + 1, 5);
	for (unsigned i = 0; i < w->count; i++)
		router_add_endpoint(l->routers[i], 0, mac_of(100 + i), NULL, 0, lab_now(l));
	lab_run(l, 1000);
	for (unsigned i = 0; i + 1 < w->count; i++) {
		struct lab_wire *there = &l->wires[i][i + 1], *back = &l->wires[i + 1][i];

		there->jitter_ms = back->jitter_ms = w->jitter_ms;
		there->loss_percent = back->loss_percent = w->loss_percent;
		there->double_percent = back->double_percent = w->double_percent;
	}
	return l;
}

/* Frames both ways from end to end for 60 s; how many in one direction. */
static uint64_t load(struct lab *l, struct rng *rng)
{
	uint64_t sent = 0, end = l->now_ms + 60000;
	unsigned far = l->count - 1;
	struct made_frame f;

	while (l->now_ms < end) {
		size_t size = rng_below(rng, 10) ? 60 + rng_below(rng, 1300)
						 : 1400 + rng_below(rng, 8000);

		make_raw(&f, mac_of(100 + far), mac_of(100), size, sent);
		lab_frame(l, 0, &f);
		make_raw(&f, mac_of(100), mac_of(100 + far), size, sent);
		lab_frame(l, far, &f);
		sent++;
		lab_run(l, rng_below(rng, 50));
	}
	/* No second copy may be on its way at the end: they are counted. */
	for (unsigned i = 0; i + 1 < l->count; i++)
		l->wires[i][i + 1].double_percent = l->wires[i + 1][i].double_percent = 0;
	lab_run(l, 3000);
	return sent;
}

static void check_seals(const struct lab *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		assert_int_equal(lab_drops(l, i, DROP_BAD_SEAL), 0);
		assert_int_equal(lab_drops(l, i, DROP_BAD_EPOCH), 0);
		assert_int_equal(lab_drops(l, i, DROP_BAD_DATAGRAM), 0);
	}
	for (unsigned i = 0; i + 1 < l->count; i++) {
		assert_true(lab_path(l, i, i + 1).epoch >= 5);
		assert_true(lab_path(l, i + 1, i).epoch >= 5);
	}
}

static void no_frame_is_lost_when_keys_change(void **state)
{
	uint64_t seed = test_seed(0x5eed0601);

	(void)state;
	for (uint64_t run = 0; run < 12; run++) {
		struct rng rng = { seed + run };
		struct world w = world_of(&rng, seed + run, false);
		struct lab *l = make(&w);
		uint64_t sent = load(l, &rng), replays = 0;

		assert_int_equal(l->frames[0], sent);
		assert_int_equal(l->frames[w.count - 1], sent);
		for (unsigned i = 0; i < w.count; i++)
			replays += lab_drops(l, i, DROP_REPLAY);
		assert_int_equal(replays, l->doubled);
		check_seals(l);
		for (unsigned i = 0; i + 1 < w.count; i++)
			assert_int_equal(l->gossips[i].changes[i + 1], 1);
		lab_free(l);
	}
}

/* Datagrams that the network takes away; all that it delivers is opened, once. */
static void what_arrives_is_opened(void **state)
{
	uint64_t seed = test_seed(0x5eed0602);

	(void)state;
	for (uint64_t run = 0; run < 12; run++) {
		struct rng rng = { seed + run };
		struct world w = world_of(&rng, seed + run, true);
		struct lab *l = make(&w);
		uint64_t sent = load(l, &rng), replays = 0;

		assert_true(l->frames[0] <= sent && l->frames[w.count - 1] <= sent);
		/* one in four lost at each of two hops, and large frames in pieces */
		assert_true(l->frames[0] > sent / 4 && l->frames[w.count - 1] > sent / 4);
		for (unsigned i = 0; i < w.count; i++)
			replays += lab_drops(l, i, DROP_REPLAY);
		assert_int_equal(replays, l->doubled);
		check_seals(l);
		lab_free(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_frame_is_lost_when_keys_change),
		cmocka_unit_test(what_arrives_is_opened),
	};

	MUST(sodium_init() >= 0); /* finds out what the processor can do */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
