#include "../../../router/fastdp_path.h"

#include "router_test.h"

/* One end, against a network and a far kernel that answers every ping that gets there. */
struct world {
	struct fastdp_path path;
	struct rng rng;
	uint64_t now_ms;
	uint32_t delay_ms; /* there and back */
	bool cut, no_device, no_hand, small_only, accepts;
	uint32_t loss_percent; /* of pings with their answers */
	struct pong {
		uint64_t at_ms;
		uint32_t token;
		bool by_hand;
	} pongs[64];
	unsigned pongs_count;
	uint64_t sent, sent_full, downs;
};

static const struct ip_addr far = { 4, { 10, 0, 0, 2 } }, elsewhere = { 4, { 10, 0, 0, 3 } };

static struct world world_new(void)
{
	struct world w = { .rng = { 1 }, .now_ms = 1000, .delay_ms = 4, .accepts = true };
	struct fastdp_setup mine = { .port = 6784, .session = 7 };
	struct fastdp_setup theirs = { .port = 6784, .session = 8 };

	fastdp_path_init(&w.path, 5, 2, &mine, at(w.now_ms));
	assert_int_equal(w.path.state, FASTDP_WAITING);
	fastdp_path_set_remote(&w.path, far, at(w.now_ms));
	assert_int_equal(w.path.state, FASTDP_WAITING);
	fastdp_path_on_setup(&w.path, &theirs, at(w.now_ms));
	assert_int_equal(w.path.state, FASTDP_PROVING);
	return w;
}

static void send_pings(struct world *w)
{
	struct fastdp_ping_order o;

	while (fastdp_path_pull(&w->path, at(w->now_ms), &o)) {
		w->sent++;
		w->sent_full += o.full;
		if (w->cut || (o.by_hand ? w->no_hand : w->no_device) ||
		    (o.full && w->small_only) || rng_below(&w->rng, 100) < w->loss_percent)
			continue;
		assert_true(w->pongs_count < 64);
		w->pongs[w->pongs_count++] = (struct pong){ w->now_ms + w->delay_ms, o.token,
							    o.by_hand };
	}
}

static void hear_pongs(struct world *w)
{
	while (w->pongs_count && w->pongs[0].at_ms <= w->now_ms) {
		struct pong p = w->pongs[0];

		memmove(w->pongs, w->pongs + 1, sizeof w->pongs - sizeof w->pongs[0]);
		w->pongs_count--;
		fastdp_path_on_pong(&w->path, p.token, p.by_hand, w->accepts, far, at(w->now_ms));
	}
}

static void step(struct world *w)
{
	bool carried = fastdp_path_carries(&w->path);

	hear_pongs(w);
	fastdp_path_tick(&w->path, at(w->now_ms));
	send_pings(w);
	fastdp_path_check(&w->path);
	w->downs += carried && !fastdp_path_carries(&w->path);
	/* Whoever waits for this does not spin. */
	assert_true(fastdp_path_deadline(&w->path, at(w->now_ms)).ms > w->now_ms);
}

/* Only wakes up when the path or a pong says so. */
static void run(struct world *w, uint64_t ms)
{
	uint64_t end = w->now_ms + ms;

	step(w);
	for (;;) {
		uint64_t next = fastdp_path_deadline(&w->path, at(w->now_ms)).ms;

		if (w->pongs_count && w->pongs[0].at_ms < next)
			next = w->pongs[0].at_ms;
		if (next > end)
			break;
		w->now_ms = next;
		step(w);
	}
	w->now_ms = end;
	step(w);
}

/* With frames on the way all the time, as the world polls it. */
static void run_used(struct world *w, uint64_t ms)
{
	for (; ms >= 1000; ms -= 1000) {
		fastdp_path_on_used(&w->path, at(w->now_ms));
		run(w, 1000);
	}
}

static bool carries(const struct world *w)
{
	return fastdp_path_carries(&w->path);
}

static void comes_up_within_a_round_trip(void **state)
{
	struct world w = world_new();

	(void)state;
	run(&w, 3);
	assert_false(carries(&w));
	run(&w, 2);
	assert_true(carries(&w));
	assert_true(w.path.by_hand);
	assert_int_equal(w.path.rtt_us, 4000);
}

static void waits_until_the_other_end_takes_frames(void **state)
{
	struct world w = world_new();
	char why[96];

	(void)state;
	w.accepts = false;
	run(&w, 1000);
	assert_int_equal(w.path.state, FASTDP_UP);
	assert_false(carries(&w));
	fastdp_path_explain(&w.path, 1514, at(w.now_ms), why, sizeof why);
	assert_string_equal(why, "the other end has not proved its way yet");
	w.accepts = true;
	run(&w, 105);
	assert_true(carries(&w));
	fastdp_path_explain(&w.path, 1514, at(w.now_ms), why, sizeof why);
	assert_string_equal(why, "");
	/* And when it no longer does. */
	w.accepts = false;
	run(&w, 5100);
	assert_false(carries(&w));
}

static void a_cut_is_noticed_in_time(void **state)
{
	struct world w = world_new();
	char why[96];

	(void)state;
	run_used(&w, 5000);
	w.cut = true;
	fastdp_path_on_used(&w.path, at(w.now_ms));
	run(&w, 900);
	assert_true(carries(&w));
	run(&w, 700);
	assert_false(carries(&w));
	run(&w, 10000);
	fastdp_path_explain(&w.path, 1514, at(w.now_ms), why, sizeof why);
	assert_non_null(strstr(why, "no answer from UDP 10.0.0.2:6784 for 1"));
	w.cut = false;
	run(&w, 600);
	assert_true(carries(&w));
}

static void idle_takes_longer_and_costs_little(void **state)
{
	struct world w = world_new();

	(void)state;
	run(&w, 20000);
	w.sent = w.sent_full = 0;
	run(&w, 120000);
	assert_in_range(w.sent, 46, 50);    /* two each 5 s */
	assert_in_range(w.sent_full, 2, 6); /* two each 60 s */
	w.cut = true;
	run(&w, 9000);
	assert_true(carries(&w));
	run(&w, 6100);
	assert_false(carries(&w));
	/* Where UDP is blocked for good it goes on, sparingly. */
	run(&w, 120000);
	w.sent = 0;
	run(&w, 60000);
	assert_in_range(w.sent, 15, 21);
}

static void smaller_packets_only_are_as_bad_as_none(void **state)
{
	struct world w = world_new();
	char why[96];

	(void)state;
	run_used(&w, 5000);
	w.small_only = true;
	fastdp_path_on_used(&w.path, at(w.now_ms));
	run(&w, 1600);
	assert_false(carries(&w));
	run(&w, 200);
	fastdp_path_explain(&w.path, 1390, at(w.now_ms), why, sizeof why);
	assert_string_equal(why, "packets of 1376 bytes do not get through");
	w.small_only = false;
	run(&w, 200);
	assert_true(carries(&w));
}

static void by_hand_is_a_bonus(void **state)
{
	struct world w = world_new();

	(void)state;
	w.no_hand = true;
	run_used(&w, 3000);
	assert_true(carries(&w));
	assert_false(w.path.by_hand);
	w.no_hand = false;
	run_used(&w, 1000);
	assert_true(w.path.by_hand);
	w.no_hand = true;
	run_used(&w, 2000);
	assert_true(carries(&w));
	assert_false(w.path.by_hand);
	assert_int_equal(w.downs, 0);
	/* Not the other way round: super-frames go by the device. */
	w.no_hand = false;
	w.no_device = true;
	run_used(&w, 2000);
	assert_false(carries(&w));
}

static void loss_is_not_death(void **state)
{
	struct world w = world_new();

	(void)state;
	w.loss_percent = 20;
	run(&w, 1000);
	assert_true(carries(&w));
	run_used(&w, 1000000);
	run(&w, 1000000);
	assert_int_equal(w.downs, 0);
}

/* The patience of seconds is used up, but the answers may be waiting to be read: ask first. */
static void who_was_held_up_asks_first(void **state)
{
	struct world w = world_new();

	(void)state;
	run_used(&w, 5000);
	for (int i = 0; i < 2; i++) {
		w.now_ms += 5000;
		fastdp_path_tick(&w.path, at(w.now_ms));
		assert_true(carries(&w));
		send_pings(&w);
	}
	run_used(&w, 1000);
	assert_int_equal(w.downs, 0);
	assert_true(carries(&w));
	w.cut = true;
	w.now_ms += 5000;
	run(&w, 500);
	assert_false(carries(&w));
}

static void a_suspicion_is_settled_at_once(void **state)
{
	struct world w = world_new();

	(void)state;
	run(&w, 30000);
	w.cut = true;
	fastdp_path_on_suspect(&w.path, at(w.now_ms));
	run(&w, 1600);
	assert_false(carries(&w));
}

static void only_answers_to_these_pings_count(void **state)
{
	struct world w = world_new();
	struct fastdp_ping_order o;
	uint32_t old;

	(void)state;
	assert_true(fastdp_path_pull(&w.path, at(w.now_ms), &o));
	old = o.token;
	/* from elsewhere; never sent */
	fastdp_path_on_pong(&w.path, old, false, true, elsewhere, at(w.now_ms));
	fastdp_path_on_pong(&w.path, old + 1, false, true, far, at(w.now_ms));
	fastdp_path_on_pong(&w.path, 0, false, true, far, at(w.now_ms));
	assert_int_equal(w.path.state, FASTDP_PROVING);
	/* The peer has moved: what was sent to the old place proves nothing about the new one. */
	w.now_ms += 10;
	fastdp_path_set_remote(&w.path, elsewhere, at(w.now_ms));
	fastdp_path_on_pong(&w.path, old, false, true, elsewhere, at(w.now_ms));
	fastdp_path_on_pong(&w.path, old, false, true, far, at(w.now_ms));
	assert_int_equal(w.path.state, FASTDP_PROVING);
	assert_true(fastdp_path_pull(&w.path, at(w.now_ms), &o));
	fastdp_path_on_pong(&w.path, o.token, false, true, elsewhere, at(w.now_ms));
	assert_int_equal(w.path.state, FASTDP_UP);
	/* An older answer says nothing new. */
	assert_true(carries(&w));
	fastdp_path_on_pong(&w.path, old, false, false, elsewhere, at(w.now_ms));
	assert_true(carries(&w));
}

static void another_size_is_proved_anew(void **state)
{
	struct world w = world_new();

	(void)state;
	run(&w, 1000);
	w.small_only = true;
	fastdp_path_on_size(&w.path, at(w.now_ms));
	assert_false(carries(&w));
	run(&w, 1000);
	assert_false(carries(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_up_within_a_round_trip),
		cmocka_unit_test(waits_until_the_other_end_takes_frames),
		cmocka_unit_test(a_cut_is_noticed_in_time),
		cmocka_unit_test(idle_takes_longer_and_costs_little),
		cmocka_unit_test(smaller_packets_only_are_as_bad_as_none),
		cmocka_unit_test(by_hand_is_a_bonus),
		cmocka_unit_test(loss_is_not_death),
		cmocka_unit_test(who_was_held_up_asks_first),
		cmocka_unit_test(a_suspicion_is_settled_at_once),
		cmocka_unit_test(only_answers_to_these_pings_count),
		cmocka_unit_test(another_size_is_proved_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
