#include "base_test.h"

#include <weave/alloc.h>
#include <weave/rng.h>
#include <weave/table.h>

struct thing {
	unsigned number;
	struct table_link link;
};

static struct thing *find(const struct table *t, unsigned number, uint64_t hash)
{
	for (struct table_link *l = table_first(t, hash); l; l = table_next(l, hash))
		if (table_entry(l, struct thing, link)->number == number)
			return table_entry(l, struct thing, link);
	return NULL;
}

/* Against an array, with a hash so poor that chains are long. */
static void holds_what_was_put_in(void **state)
{
	enum { COUNT = 500 };
	struct thing things[COUNT] = { 0 };
	bool in[COUNT] = { false };
	struct table t = { 0 };
	struct rng rng = { 7 };
	size_t count = 0;

	(void)state;
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i = (unsigned)rng_below(&rng, COUNT);
		uint64_t hash = i % 37;

		if (in[i])
			table_remove(&t, &things[i].link);
		else
			table_insert(&t, &things[i].link, hash);
		things[i].number = i;
		in[i] = !in[i];
		count += in[i] ? 1u : (size_t)-1;
		assert_int_equal(t.count, count);
		i = (unsigned)rng_below(&rng, COUNT);
		assert_ptr_equal(find(&t, i, i % 37), in[i] ? &things[i] : NULL);
	}
	TABLE_EACH(&t, l) {
		struct thing *thing = table_entry(l, struct thing, link);

		assert_true(in[thing->number]);
		in[thing->number] = false;
		if (thing->number % 2)
			table_remove(&t, l);
		count--;
	}
	assert_int_equal(count, 0);
	for (unsigned i = 0; i < COUNT; i++)
		assert_false(in[i]);
	table_fini(&t);
}

static void an_empty_table_is_valid(void **state)
{
	struct table t = { 0 };
	size_t before = mem_in_use();
	struct thing one = { .number = 1 };

	(void)state;
	assert_null(table_first(&t, 5));
	assert_null(table_each(&t, NULL));
	TABLE_EACH(&t, l)
		fail_msg("member %p", (void *)l);
	table_insert(&t, &one.link, UINT64_MAX);
	assert_null(table_first(&t, UINT64_MAX >> 1));
	assert_non_null(table_first(&t, UINT64_MAX));
	table_remove(&t, &one.link);
	assert_null(table_first(&t, UINT64_MAX));
	table_fini(&t);
	table_fini(&t);
	assert_int_equal(mem_in_use(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_what_was_put_in),
		cmocka_unit_test(an_empty_table_is_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
