/* Frames that stand for many, through whole routers: what comes out is what went in.
 *
 * Lossless: the same frames, byte for byte, in order.  With loss, doubling and overtaking: whole
 * segments of them, each at most once; without loss exactly once.  To an end that takes finished
 * frames only, over the wire or at its bridge: finished segments.  Sealed and in clear, to a
 * neighbour and through a relay.
 */
#include "../../../router/router_state.h"
#include "../../unit/router/lab.h"
#include "../../unit/router/super_frames.h"

#define SUPERS 12u

struct world {
	struct super_frame supers[SUPERS];
	struct offload_layout layouts[SUPERS];
	uint8_t seen[SUPERS][64]; /* how often each segment came */
	uint64_t whole;		  /* frames that came as they went */
	unsigned receiver;
} world;

/* Which segment of which frame is this finished one? */
static bool is_segment(const uint8_t *frame, size_t size, uint32_t *super, uint32_t *segment)
{
	static uint8_t one[65536];

	for (uint32_t s = 0; s < SUPERS; s++) {
		for (uint32_t i = 0; i < world.layouts[s].count; i++) {
			if (offload_part_size(&world.layouts[s], i, 1) != size)
				continue;
			offload_finished(&world.layouts[s], world.supers[s].f.data, i, one);
			if (memcmp(one, frame, size) == 0) {
				*super = s;
				*segment = i;
				return true;
			}
		}
	}
	return false;
}

static void count_segment(const uint8_t *frame, size_t size)
{
	uint32_t super = 0, segment = 0;

	assert_true(is_segment(frame, size, &super, &segment));
	world.seen[super][segment]++;
}

static void on_bridge(struct lab *l, unsigned where, const struct outbox_frame *f)
{
	static uint8_t one[65536];
	struct offload_layout layout;

	(void)l;
	assert_int_equal(where, world.receiver);
	for (uint32_t s = 0; s < SUPERS; s++)
		world.whole += world.supers[s].f.size == f->size && f->undone.checksum &&
			       world.supers[s].undone.segment_size == f->undone.segment_size &&
			       memcmp(world.supers[s].f.data, f->data, f->size) == 0;
	if (!f->undone.checksum) {
		count_segment(f->data, f->size);
		return;
	}
	assert_true(offload_layout(&layout, bytes_of(f->data, f->size), f->undone));
	for (uint32_t i = 0; i < layout.count; i++) {
		offload_finished(&layout, f->data, i, one);
		count_segment(one, offload_part_size(&layout, i, 1));
	}
}

/* 'count' routers in a row; frames go from the first to the last. */
static struct lab *row(unsigned count, uint64_t seed, bool sealed)
{
	struct lab *l = lab_new(count, seed, 1472);

	memset(&world, 0, sizeof world);
	l->sealed = sealed;
	for (unsigned i = 1; i < count; i++)
		lab_connect(l, i - 1, i, 5);
	for (unsigned i = 0; i < count; i++)
		l->routers[i]->config.bridge_offloads = true;
	router_add_endpoint(l->routers[count - 1], 0, mac_of(2), NULL, 0, lab_now(l));
	lab_run(l, 2000);
	l->on_bridge = on_bridge;
	world.receiver = count - 1;
	return l;
}

static void send_all(struct lab *l, struct rng *rng)
{
	for (uint32_t i = 0; i < SUPERS; i++) {
		struct super_frame *s = &world.supers[i];

		make_random_super(s, rng, mac_of(2), mac_of(1));
		assert_true(offload_layout(&world.layouts[i], bytes_of(s->f.data, s->f.size),
					   s->undone));
		router_on_frame(l->routers[0], SEGMENT_DEFAULT, bytes_of(s->f.data, s->f.size),
				s->undone, lab_now(l));
		/* Several in one train, too. */
		if (rng_below(rng, 2))
			continue;
		lab_flush(l, 0);
		lab_run(l, 3);
	}
	lab_flush(l, 0);
	lab_run(l, 600);
	for (unsigned i = 0; i < l->count; i++)
		router_check(l->routers[i]);
}

static void each_came(unsigned least, unsigned most)
{
	for (uint32_t s = 0; s < SUPERS; s++)
		for (uint32_t i = 0; i < world.layouts[s].count; i++)
			assert_in_range(world.seen[s][i], least, most);
}

static void lossless_is_the_same(void **state)
{
	uint64_t seed = test_seed(0x5eed0611);

	(void)state;
	for (uint64_t run = 0; run < 12; run++) {
		struct rng rng = { seed + run };
		struct lab *l = row(2 + (run % 3 == 2), seed + run, run & 1);

		send_all(l, &rng);
		assert_int_equal(world.whole, SUPERS);
		each_came(1, 1);
		lab_free(l);
	}
}

static void overtaking_and_doubling_cost_nothing(void **state)
{
	uint64_t seed = test_seed(0x5eed0612);

	(void)state;
	for (uint64_t run = 0; run < 12; run++) {
		struct rng rng = { seed + run };
		struct lab *l = row(2, seed + run, run & 1);

		l->wires[0][1].jitter_ms = 8;
		l->wires[0][1].double_percent = 10;
		send_all(l, &rng);
		each_came(1, 1);
		lab_free(l);
	}
}

/* One lost datagram costs the segments that it touched, unless it had the headers. */
static void loss_is_not_amplified(void **state)
{
	uint64_t seed = test_seed(0x5eed0613), segments = 0, missing = 0;

	(void)state;
	for (uint64_t run = 0; run < 30; run++) {
		struct rng rng = { seed + run };
		struct lab *l = row(2, seed + run, run & 1);

		l->wires[0][1].loss_percent = 1;
		l->wires[0][1].jitter_ms = run % 3 ? 0 : 5;
		send_all(l, &rng);
		each_came(0, 1);
		for (uint32_t s = 0; s < SUPERS; s++) {
			segments += world.layouts[s].count;
			for (uint32_t i = 0; i < world.layouts[s].count; i++)
				missing += !world.seen[s][i];
		}
		lab_free(l);
	}
	assert_true(missing > 0);
	print_message("1 %% of datagrams lost: %.1f %% of segments\n",
		      100. * (double)missing / (double)segments);
	assert_true(missing < segments / 20);
}

/* Neither a router of old at the other end nor a bridge without offloads sees anything undone. */
static void who_takes_finished_frames_gets_them(void **state)
{
	uint64_t seed = test_seed(0x5eed0614);

	(void)state;
	for (uint64_t run = 0; run < 8; run++) {
		struct rng rng = { seed + run };
		struct lab *l = row(2, seed + run, run & 1);

		if (run & 2)
			l->routers[0]->paths[0]->theirs.overlays &= (uint8_t)~SLEEVE_TAKES_PARTIAL;
		else
			l->routers[1]->config.bridge_offloads = false;
		send_all(l, &rng);
		assert_int_equal(world.whole, 0);
		each_came(1, 1);
		lab_free(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lossless_is_the_same),
		cmocka_unit_test(overtaking_and_doubling_cost_nothing),
		cmocka_unit_test(loss_is_not_amplified),
		cmocka_unit_test(who_takes_finished_frames_gets_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
