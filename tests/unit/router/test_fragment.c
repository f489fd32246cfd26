#include "../../../router/fragment.h"

#include "router_test.h"

static uint8_t pattern[SLEEVE_BODY_MAX];

static struct bytes add(struct reassembly *r, uint32_t id, uint32_t offset, uint32_t size,
			uint32_t total, uint64_t ms)
{
	struct sleeve_fragment f = { id, offset, total, { pattern + offset, size } };
	struct bytes b = reassembly_add(r, &f, at(ms));

	reassembly_check(r);
	return b;
}

static void joins_in_any_order(void **state)
{
	static const uint32_t orders[][4] = {
		{ 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 }, { 2, 0, 3, 1 }
	};

	(void)state;
	for (size_t o = 0; o < ARRAY_COUNT(orders); o++) {
		struct reassembly r = { 0 };
		struct bytes b = { 0 };

		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(b.size, 0);
			b = add(&r, 7, orders[o][i] * 100, orders[o][i] == 3 ? 50 : 100, 350, 0);
		}
		assert_int_equal(b.size, 350);
		assert_memory_equal(b.data, pattern, 350);
		assert_int_equal(r.open, 0);
		reassembly_fini(&r);
	}
}

static void repetitions_do_no_harm_and_overlaps_end_it(void **state)
{
	struct reassembly r = { 0 };

	(void)state;
	add(&r, 1, 0, 100, 300, 0);
	add(&r, 1, 0, 100, 300, 0);
	add(&r, 1, 20, 50, 300, 0);
	assert_int_equal(r.dropped, 0);
	add(&r, 1, 200, 100, 300, 0);
	assert_int_equal(add(&r, 1, 100, 100, 300, 0).size, 300);

	add(&r, 2, 0, 100, 300, 0);
	add(&r, 2, 99, 100, 300, 0);
	assert_int_equal(r.dropped, 1);
	assert_int_equal(r.open, 0);
	/* touches on the left, overlaps on the right; covers what is there; another total */
	add(&r, 3, 0, 100, 300, 0);
	add(&r, 3, 150, 50, 300, 0);
	add(&r, 3, 100, 51, 300, 0);
	assert_int_equal(r.dropped, 2);
	add(&r, 4, 100, 50, 300, 0);
	add(&r, 4, 50, 200, 300, 0);
	assert_int_equal(r.dropped, 3);
	add(&r, 5, 100, 50, 300, 0);
	add(&r, 5, 0, 50, 301, 0);
	assert_int_equal(r.dropped, 4);
	reassembly_fini(&r);
}

static void gives_up_what_is_old(void **state)
{
	struct reassembly r = { 0 };

	(void)state;
	assert_int_equal(reassembly_deadline(&r).ms, UINT64_MAX);
	add(&r, 1, 0, 100, 300, 1000);
	add(&r, 2, 0, 100, 300, 1500);
	assert_int_equal(reassembly_deadline(&r).ms, 1000 + REASSEMBLY_TIMEOUT_MS);
	reassembly_tick(&r, at(1000 + REASSEMBLY_TIMEOUT_MS - 1));
	assert_int_equal(r.open, 2);
	reassembly_tick(&r, at(1000 + REASSEMBLY_TIMEOUT_MS));
	assert_int_equal(r.open, 1);
	assert_int_equal(r.dropped, 1);
	reassembly_fini(&r);
}

static void is_bounded(void **state)
{
	struct reassembly r = { 0 };

	(void)state;
	for (uint32_t id = 1; id <= 10000; id++)
		add(&r, id, 0, 1, id & 1 ? SLEEVE_BODY_MAX : 1500, 0);
	assert_true(r.open <= REASSEMBLY_FRAMES_MAX);
	assert_true(r.bytes <= REASSEMBLY_BYTES_MAX);
	assert_int_equal(r.dropped + r.open, 10000);
	/* a piece of one long given up does not push out a newer one */
	assert_int_equal(add(&r, 10000 - 64, 1, 1, 1500, 0).size, 0);
	assert_int_equal(add(&r, 10000, 1, 1499, 1500, 0).size, 1500);
	/* single bytes with holes */
	for (uint32_t i = 0; i < 2000; i += 2)
		add(&r, 20000, i, 1, 5000, 0);
	reassembly_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joins_in_any_order),
		cmocka_unit_test(repetitions_do_no_harm_and_overlaps_end_it),
		cmocka_unit_test(gives_up_what_is_old),
		cmocka_unit_test(is_bounded),
	};

	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (uint8_t)(i * 7 + i / 251);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
