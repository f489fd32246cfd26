#include "../../../router/sleeve_pmtu.h"

#include "router_test.h"

/* Acknowledges or loses probes over a path that carries 'mtu' bytes, at once; returns the bytes of
 * probes sent. */
static uint64_t answer(struct pmtu *p, uint32_t mtu, uint64_t ms)
{
	uint32_t id, size;
	uint64_t sent = 0;

	for (unsigned i = 0; i < 64 && pmtu_pull(p, at(ms), &id, &size); i++) {
		sent += size;
		if (size <= mtu)
			pmtu_on_ack(p, id, size, at(ms));
		pmtu_check(p);
	}
	return sent;
}

static uint64_t settle(struct pmtu *p, uint32_t mtu, uint64_t ms)
{
	unsigned turns = 0;

	while (p->state != PMTU_DONE) {
		assert_true(turns++ < 100);
		answer(p, mtu, ms);
		if (p->state != PMTU_DONE)
			ms = pmtu_deadline(p).ms > ms ? pmtu_deadline(p).ms : ms;
	}
	return ms;
}

static void finds_every_size_exactly(void **state)
{
	(void)state;
	for (uint32_t max = PMTU_BASE; max < 9000; max += 271) {
		for (uint32_t mtu = PMTU_BASE; mtu <= max; mtu += 37) {
			struct pmtu p;

			pmtu_init(&p, max);
			pmtu_start(&p, 0, at(0));
			assert_in_range(settle(&p, mtu, 0), 0, 1000);
			assert_int_equal(p.size, mtu);
			assert_true(p.settled);
		}
	}
}

static void another_first_link_is_searched_anew(void **state)
{
	struct pmtu p;

	(void)state;
	pmtu_init(&p, 1472);
	/* Before it runs it is only another number. */
	pmtu_set_max(&p, 1372, at(0));
	pmtu_check(&p);
	pmtu_start(&p, 0, at(0));
	settle(&p, 9000, 0);
	assert_int_equal(p.size, 1372);
	pmtu_set_max(&p, 8972, at(10));
	pmtu_check(&p);
	assert_false(p.settled);
	assert_int_equal(p.size, 1372);
	settle(&p, 5000, 10);
	assert_int_equal(p.size, 5000);
	pmtu_set_max(&p, 1372, at(20));
	pmtu_check(&p);
	assert_int_equal(p.size, PMTU_BASE);
	settle(&p, 9000, 20);
	assert_int_equal(p.size, 1372);
	/* The same again, and less than everybody carries. */
	pmtu_set_max(&p, 1372, at(30));
	assert_true(p.settled);
	pmtu_set_max(&p, 100, at(30));
	pmtu_check(&p);
	settle(&p, 9000, 30);
	assert_int_equal(p.size, PMTU_BASE);
}

static void the_largest_answers_in_one_round(void **state)
{
	struct pmtu p;

	(void)state;
	pmtu_init(&p, 1472);
	pmtu_start(&p, 10, at(5));
	assert_in_range(answer(&p, 9000, 5), 1472, 8 * 1472);
	assert_int_equal(p.state, PMTU_DONE);
	assert_int_equal(p.size, 1472);
	assert_int_equal(pmtu_deadline(&p).ms, 5 + PMTU_VERIFY_MS);
}

static void each_size_gets_three_tries(void **state)
{
	struct pmtu p;
	uint32_t id, size, tries = 0;

	(void)state;
	pmtu_init(&p, PMTU_BASE + 1);
	pmtu_start(&p, 100, at(0));
	for (uint64_t ms = 0; p.state != PMTU_DONE && ms < 5000; ms = pmtu_deadline(&p).ms)
		tries += pmtu_pull(&p, at(ms), &id, &size);
	assert_int_equal(tries, PMTU_TRIES);
	assert_int_equal(p.size, PMTU_BASE);
}

static void stale_and_wrong_acknowledgements_change_nothing(void **state)
{
	struct pmtu p, before;
	uint32_t id, size;

	(void)state;
	pmtu_init(&p, 1472);
	pmtu_on_ack(&p, 1, 1472, at(0));
	pmtu_start(&p, 10, at(0));
	assert_true(pmtu_pull(&p, at(0), &id, &size));
	before = p;
	pmtu_on_ack(&p, id + 100, size, at(1));
	pmtu_on_ack(&p, id, size + 1, at(1));
	pmtu_on_ack(&p, id, size - 1, at(1));
	assert_memory_equal(&p, &before, sizeof p);
}

/* A path that loses nothing, to a host that answers when all tries are over. */
static void slow_hosts_lose_no_byte(void **state)
{
	struct pmtu p;
	uint32_t ids[512], sizes[512], id, size;
	size_t count = 0, answered = 0;
	uint64_t ms = 0;

	(void)state;
	pmtu_init(&p, 1472);
	pmtu_start(&p, 0, at(0));
	/* The first second the other end has no time for us. */
	for (; ms < 1000; ms++) {
		while (pmtu_pull(&p, at(ms), &id, &size)) {
			assert_true(count < 512);
			ids[count] = id;
			sizes[count++] = size;
		}
		pmtu_check(&p);
	}
	assert_int_equal(p.size, PMTU_BASE);
	for (; answered < count; answered++) {
		if (sizes[answered] <= 1410)
			pmtu_on_ack(&p, ids[answered], sizes[answered], at(ms));
		pmtu_check(&p);
	}
	settle(&p, 1410, ms);
	assert_int_equal(p.size, 1410);
	assert_true(p.settled);
}

static void what_arrived_before_a_suspicion_is_not_believed_after(void **state)
{
	struct pmtu p;
	uint32_t id = 0, size = 0, last_id = 0;

	(void)state;
	pmtu_init(&p, 1472);
	pmtu_start(&p, 10, at(0));
	while (pmtu_pull(&p, at(0), &id, &size)) {
		last_id = id;
		pmtu_on_ack(&p, id, size, at(0));
	}
	assert_int_equal(p.size, 1472);
	pmtu_on_report(&p, 1472, 300, at(500));
	pmtu_on_report(&p, 1472, 300, at(501));
	assert_int_equal(p.size, PMTU_BASE);
	pmtu_on_ack(&p, last_id, 1472, at(502));
	assert_int_equal(p.size, PMTU_BASE);
}

static void a_black_hole_costs_two_reports_at_most(void **state)
{
	struct pmtu p;
	uint64_t ms;

	(void)state;
	pmtu_init(&p, 1472);
	pmtu_start(&p, 10, at(0));
	ms = settle(&p, 9000, 0);
	pmtu_on_report(&p, 1472, 1472, at(ms));
	pmtu_on_report(&p, 500, 100, at(ms)); /* small ones say nothing */
	assert_int_equal(p.state, PMTU_DONE);
	pmtu_on_report(&p, 1472, 300, at(ms));
	assert_int_equal(p.state, PMTU_VERIFYING);
	assert_int_equal(p.size, 1472);
	pmtu_on_report(&p, 1472, 300, at(ms + 1));
	assert_int_equal(p.size, PMTU_BASE);
	assert_false(p.settled);
	assert_int_equal(p.black_holes, 1);
	settle(&p, 1000, ms + 1);
	assert_int_equal(p.size, 1000);
	/* late news of the time before is not counted again */
	pmtu_on_report(&p, 1472, 1000, at(ms + 1000));
	assert_int_equal(p.state, PMTU_DONE);
}

static void mere_loss_is_no_black_hole(void **state)
{
	struct pmtu p;
	uint64_t ms;

	(void)state;
	pmtu_init(&p, 1472);
	pmtu_start(&p, 10, at(0));
	ms = settle(&p, 9000, 0);
	for (unsigned i = 0; i < 10; i++) {
		pmtu_on_report(&p, 1472, 0, at(ms));
		ms = settle(&p, 9000, ms);
		assert_int_equal(p.size, 1472);
		assert_true(p.settled);
		ms += 500;
	}
	assert_int_equal(p.black_holes, 0);
}

static void what_the_kernel_refuses_is_not_tried_again_soon(void **state)
{
	struct pmtu p;
	uint32_t id, size;
	uint64_t ms = 0;

	(void)state;
	pmtu_init(&p, 9000);
	pmtu_start(&p, 10, at(0));
	/* EMSGSIZE for whatever is above 1472 */
	for (unsigned turn = 0; turn < 100 && p.state != PMTU_DONE; turn++) {
		while (pmtu_pull(&p, at(ms), &id, &size)) {
			if (size > 1472)
				pmtu_on_too_big(&p, size, at(ms));
			else
				pmtu_on_ack(&p, id, size, at(ms));
		}
		if (p.state != PMTU_DONE)
			ms = pmtu_deadline(&p).ms;
	}
	assert_int_equal(p.size, 1472);
	assert_int_equal(ms, 0); /* no timeout was needed */
	pmtu_on_too_big(&p, 1200, at(ms));
	assert_int_equal(p.size, PMTU_BASE);
	settle(&p, 9000, ms);
	assert_int_equal(p.size, 1199);
	/* a minute later all is tried again */
	assert_true(pmtu_deadline(&p).ms >= PMTU_VERIFY_MS);
	ms = pmtu_deadline(&p).ms;
	answer(&p, 9000, ms);
	settle(&p, 9000, ms);
	assert_int_equal(p.size, 9000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_every_size_exactly),
		cmocka_unit_test(another_first_link_is_searched_anew),
		cmocka_unit_test(the_largest_answers_in_one_round),
		cmocka_unit_test(each_size_gets_three_tries),
		cmocka_unit_test(stale_and_wrong_acknowledgements_change_nothing),
		cmocka_unit_test(slow_hosts_lose_no_byte),
		cmocka_unit_test(what_arrived_before_a_suspicion_is_not_believed_after),
		cmocka_unit_test(a_black_hole_costs_two_reports_at_most),
		cmocka_unit_test(mere_loss_is_no_black_hole),
		cmocka_unit_test(what_the_kernel_refuses_is_not_tried_again_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
