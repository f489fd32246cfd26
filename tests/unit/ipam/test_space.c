#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../ipam/space.h"

static struct span span(uint64_t start, uint64_t end)
{
	return (struct span){ start, end };
}

static void nothing_owned_nothing_free(void **state)
{
	struct space s;
	struct span gift;
	uint64_t at;

	(void)state;
	space_init(&s, 16);
	assert_false(space_lowest_free(&s, span(0, 16), &at));
	assert_false(space_donation(&s, span(0, 16), &gift));
	assert_int_equal(space_free(&s, span(0, 16)), 0);
	space_check(&s);
	space_fini(&s);
}

static void spans_join_and_split(void **state)
{
	struct space s;

	(void)state;
	space_init(&s, 100);
	space_own(&s, span(10, 20));
	space_own(&s, span(30, 40));
	space_own(&s, span(20, 30));
	assert_int_equal(s.owned_count, 1);
	space_disown(&s, span(15, 16));
	assert_int_equal(s.owned_count, 2);
	assert_false(space_owns(&s, 15));
	assert_true(space_owns(&s, 16) && space_owns(&s, 14));
	space_own(&s, span(0, 100));
	assert_int_equal(s.owned_count, 1);
	assert_int_equal(s.owned_size, 100);
	space_disown(&s, span(0, 100));
	assert_int_equal(s.owned_count, 0);
	space_check(&s);
	space_fini(&s);
}

static void lowest_first(void **state)
{
	struct space s;
	uint64_t at;

	(void)state;
	space_init(&s, 1u << 20);
	space_own(&s, span(5, 10));
	space_own(&s, span(5000, 6000));
	for (uint64_t n = 5; n < 10; n++) {
		assert_true(space_lowest_free(&s, span(0, 1u << 20), &at));
		assert_int_equal(at, n);
		assert_true(space_use(&s, at));
		assert_false(space_use(&s, at));
	}
	assert_true(space_lowest_free(&s, span(0, 1u << 20), &at));
	assert_int_equal(at, 5000);
	assert_true(space_lowest_free(&s, span(5500, 5600), &at));
	assert_int_equal(at, 5500);
	assert_true(space_release(&s, 7));
	assert_false(space_release(&s, 7));
	assert_true(space_lowest_free(&s, span(0, 1u << 20), &at));
	assert_int_equal(at, 7);
	assert_false(space_lowest_free(&s, span(10, 5000), &at));
	space_check(&s);
	space_fini(&s);
}

static void the_last_offset_of_the_largest_universe(void **state)
{
	const uint64_t size = UINT64_C(1) << 32;
	struct space s;
	uint64_t at;

	(void)state;
	space_init(&s, size);
	space_own(&s, span(size - 2, size));
	space_use(&s, size - 2);
	assert_true(space_lowest_free(&s, span(0, size), &at));
	assert_int_equal(at, size - 1);
	space_use(&s, size - 1);
	assert_false(space_lowest_free(&s, span(0, size), &at));
	assert_true(space_next_used(&s, span(0, size), &at));
	assert_int_equal(at, size - 2);
	assert_int_equal(space_used(&s, span(0, size)), 2);
	assert_int_equal(space_used(&s, span(0, size - 1)), 1);
	space_check(&s);
	space_fini(&s);
}

static void half_of_the_largest_free_run_is_given(void **state)
{
	struct space s;
	struct span gift;

	(void)state;
	space_init(&s, 256);
	space_own(&s, span(0, 256));
	assert_true(space_donation(&s, span(1, 255), &gift));
	assert_true(gift.start == 128 && gift.end == 255);
	space_use(&s, 100); /* leaves 1..99 and 101..254 */
	assert_true(space_donation(&s, span(1, 255), &gift));
	assert_true(gift.start == 178 && gift.end == 255);
	/* Only within the subnet; the last one, too. */
	assert_true(space_donation(&s, span(99, 102), &gift));
	assert_true(gift.start == 99 && gift.end == 100);
	space_use(&s, 99);
	space_use(&s, 101);
	assert_false(space_donation(&s, span(99, 102), &gift));
	space_fini(&s);
}

static void used_outside_of_owned_is_allowed(void **state)
{
	struct space s;

	(void)state;
	space_init(&s, 16);
	space_own(&s, span(0, 8));
	assert_true(space_use(&s, 12));
	assert_int_equal(space_free(&s, span(0, 16)), 8);
	space_own(&s, span(8, 16));
	assert_int_equal(space_free(&s, span(0, 16)), 15);
	space_check(&s);
	space_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_owned_nothing_free),
		cmocka_unit_test(spans_join_and_split),
		cmocka_unit_test(lowest_first),
		cmocka_unit_test(the_last_offset_of_the_largest_universe),
		cmocka_unit_test(half_of_the_largest_free_run_is_given),
		cmocka_unit_test(used_outside_of_owned_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
