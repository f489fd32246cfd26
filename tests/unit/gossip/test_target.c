#include "gossip_test.h"

#include "../../../gossip/target.h"

static void dials_at_once_or_after_a_jitter(void **state)
{
	struct rng rng = { 1 };
	struct target t;
	uint64_t most = 0;

	(void)state;
	target_init(&t, TARGET_DELAY_NEAR_MAX_MS, false, at(5), &rng);
	assert_int_equal(t.state, TARGET_WAITING);
	assert_int_equal(target_deadline(&t).ms, 5);
	assert_int_equal(target_step(&t, TARGET_TICK, at(4), &rng), TARGET_REST);
	assert_int_equal(target_step(&t, TARGET_TICK, at(5), &rng), TARGET_DIAL);
	assert_int_equal(target_deadline(&t).ms, UINT64_MAX);
	for (int i = 0; i < 500; i++) {
		target_init(&t, TARGET_DELAY_NEAR_MAX_MS, true, at(0), &rng);
		assert_true(t.due.ms <= TARGET_FIRST_MAX_MS);
		most = t.due.ms > most ? t.due.ms : most;
	}
	assert_true(most > TARGET_FIRST_MAX_MS * 9 / 10);
}

/* Full jitter: anywhere from zero to a delay that doubles up to its cap. */
static void delay_doubles_up_to_its_cap(void **state)
{
	static const uint32_t caps[] = { TARGET_DELAY_NEAR_MAX_MS, TARGET_DELAY_FAR_MAX_MS };
	struct rng rng = { 2 };

	(void)state;
	for (size_t c = 0; c < 2; c++) {
		struct mono now = at(1000);
		uint32_t delay = TARGET_DELAY_MIN_MS;
		struct target t;

		target_init(&t, caps[c], false, now, &rng);
		for (int i = 0; i < 40; i++) {
			assert_int_equal(target_step(&t, TARGET_TICK, now, &rng), TARGET_DIAL);
			target_step(&t, TARGET_FAILED, now, &rng);
			assert_true(target_deadline(&t).ms - now.ms <= delay);
			delay = delay * 2 < caps[c] ? delay * 2 : caps[c];
			assert_int_equal(t.delay_ms, delay);
			now = target_deadline(&t);
		}
		assert_int_equal(delay, caps[c]);
	}
}

static struct target failing(uint32_t cap_ms, struct rng *rng)
{
	struct target t;

	target_init(&t, cap_ms, false, at(0), rng);
	for (int i = 0; i < 20; i++) {
		struct mono now = target_deadline(&t);

		target_step(&t, TARGET_TICK, now, rng);
		target_step(&t, TARGET_FAILED, now, rng);
	}
	return t;
}

static void a_lost_connection_starts_over(void **state)
{
	struct rng rng = { 3 };
	struct target t = failing(TARGET_DELAY_FAR_MAX_MS, &rng);
	struct mono now = target_deadline(&t);

	(void)state;
	target_step(&t, TARGET_TICK, now, &rng);
	target_step(&t, TARGET_OK, now, &rng);
	assert_int_equal(t.state, TARGET_UP);
	assert_int_equal(target_deadline(&t).ms, UINT64_MAX);
	target_step(&t, TARGET_LOST, now, &rng);
	assert_int_equal(t.state, TARGET_WAITING);
	assert_true(target_deadline(&t).ms - now.ms <= TARGET_DELAY_MIN_MS);
}

/* The far cap of ten minutes would break "heal within ten seconds". */
static void f10_reset_and_a_lower_cap_cut_a_long_wait(void **state)
{
	struct rng rng = { 4 };

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct target t = failing(TARGET_DELAY_FAR_MAX_MS, &rng), u = t;
		struct mono start = t.since;

		target_set_cap(&t, TARGET_DELAY_NEAR_MAX_MS);
		assert_true(t.due.ms <= start.ms + TARGET_DELAY_NEAR_MAX_MS);
		assert_true(t.delay_ms <= TARGET_DELAY_NEAR_MAX_MS);
		target_reset(&u, 2000, start, &rng);
		assert_true(u.due.ms <= start.ms + 2000);
		assert_int_equal(u.delay_ms, TARGET_DELAY_MIN_MS);
		/* What is due sooner stays so. */
		u.due = at(7);
		target_reset(&u, 2000, start, &rng);
		assert_int_equal(u.due.ms, 7);
	}
}

static void strange_events_change_nothing(void **state)
{
	static const enum target_event wrong[][2] = {
		[TARGET_WAITING] = { TARGET_FAILED, TARGET_LOST },
		[TARGET_DIALLING] = { TARGET_TICK, TARGET_LOST },
		[TARGET_UP] = { TARGET_TICK, TARGET_FAILED },
	};
	struct rng rng = { 5 };

	(void)state;
	for (int s = TARGET_WAITING; s <= TARGET_UP; s++)
		for (int i = 0; i < 2; i++) {
			struct target t, before;

			target_init(&t, TARGET_DELAY_NEAR_MAX_MS, false, at(0), &rng);
			t.state = (enum target_state)s;
			before = t;
			assert_int_equal(target_step(&t, wrong[s][i], at(9), &rng), TARGET_REST);
			assert_memory_equal(&t, &before, sizeof t);
			target_reset(&t, 100, at(0), &rng);
			assert_int_equal(t.state, s);
		}
	assert_string_equal(target_state_name(TARGET_UP), "UP");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dials_at_once_or_after_a_jitter),
		cmocka_unit_test(delay_doubles_up_to_its_cap),
		cmocka_unit_test(a_lost_connection_starts_over),
		cmocka_unit_test(f10_reset_and_a_lower_cap_cut_a_long_wait),
		cmocka_unit_test(strange_events_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
