/* Run list against a plain array, space against a plain bitmap; merging commutes, associates, is
 * idempotent and total.  prop_ring [seed [rounds]] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <weave/must.h>
#include <weave/rng.h>

#include "../../../ipam/ring.h"
#include "../../../ipam/space.h"

#define SIZE 48u
#define RUNS 12u

static uint64_t seed;
static unsigned rounds = 20000;

static struct run any_run(struct rng *r)
{
	struct run run = {
		.epoch = (uint32_t)rng_below(r, 3),
		.counter = (uint32_t)rng_below(r, 4),
		.owner = { 1 + rng_below(r, 3), rng_below(r, 2) },
	};

	run.start = rng_below(r, SIZE);
	run.end = run.start + 1 + rng_below(r, SIZE - run.start);
	return run;
}

/* The definition: pointwise maximum. */
static void array_merge(struct run *array, const struct run *run)
{
	for (uint64_t n = run->start; n < run->end; n++)
		if (array[n].owner.name == PEER_NAME_NONE || run_compare(run, &array[n]) > 0)
			array[n] = *run;
}

static void compare(const struct ring *ring, const struct run *array)
{
	for (uint64_t n = 0; n < SIZE; n++) {
		const struct run *run = ring_at(ring, n);

		assert_int_equal(run != NULL, array[n].owner.name != PEER_NAME_NONE);
		if (run)
			assert_int_equal(run_compare(run, &array[n]), 0);
	}
}

/* Applying the reported changes to a copy of the list gives the list: what the store relies on. */
static void replay(struct run_map *copy, const struct ring_changes *c)
{
	for (size_t n = 0; n < c->removed_count; n++)
		run_map_remove(copy, c->removed[n].start);
	for (size_t n = 0; n < c->inserted_count; n++)
		run_map_insert(copy, &c->inserted[n]);
}

static void same_lists(const struct run_map *a, const struct run_map *b)
{
	struct run_at at = { 0, 0 }, bt = { 0, 0 };

	assert_int_equal(a->count, b->count);
	for (size_t n = 0; n < a->count; n++) {
		assert_memory_equal(run_map_get(a, at), run_map_get(b, bt), sizeof(struct run));
		at = run_map_next(a, at);
		bt = run_map_next(b, bt);
	}
}

static void runs_are_a_pointwise_maximum(void **state)
{
	struct rng r = { seed };
	struct ring_changes c = { 0 };

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		struct run array[SIZE] = { 0 };
		struct run_map copy = { 0 };
		struct ring ring;

		ring_init(&ring, SIZE);
		for (unsigned n = 0; n < RUNS; n++) {
			struct run run = any_run(&r);
			bool newer = false;

			for (uint64_t k = run.start; k < run.end; k++)
				newer |= array[k].owner.name && run_compare(&array[k], &run) > 0;
			assert_int_equal(ring_is_newer(&ring, &run), newer);
			array_merge(array, &run);
			ring_merge(&ring, &run, &c);
			replay(&copy, &c);
		}
		compare(&ring, array);
		same_lists(&copy, &ring.map);
		ring_check(&ring);
		run_map_fini(&copy);
		ring_fini(&ring);
	}
	ring_changes_fini(&c);
}

static void merge_all(struct ring *into, const struct ring *from, struct rng *r)
{
	struct ring_changes c = { 0 };
	struct run list[SIZE], piece;
	size_t count = 0;

	for (const struct run *run = ring_from(from, 0); run; run = ring_from(from, run->end))
		list[count++] = *run;
	/* In any order, cut anywhere, some twice. */
	for (size_t n = count; n > 1; n--) {
		size_t k = rng_below(r, n);

		piece = list[k];
		list[k] = list[n - 1];
		list[n - 1] = piece;
	}
	for (size_t n = 0; n < count; n++) {
		uint64_t cut = list[n].start + rng_below(r, list[n].end - list[n].start);

		if (run_clip(&list[n], cut, SIZE, &piece))
			ring_merge(into, &piece, &c);
		if (run_clip(&list[n], 0, cut, &piece))
			ring_merge(into, &piece, &c);
		if (rng_below(r, 4) == 0)
			ring_merge(into, &list[n], &c);
	}
	ring_changes_fini(&c);
}

static void fill(struct ring *ring, struct rng *r)
{
	struct ring_changes c = { 0 };

	ring_init(ring, SIZE);
	for (unsigned n = 0; n < RUNS / 2; n++) {
		struct run run = any_run(r);

		ring_merge(ring, &run, &c);
	}
	ring_changes_fini(&c);
}

static void same(const struct ring *a, const struct ring *b)
{
	same_lists(&a->map, &b->map);
	assert_memory_equal(&a->digest, &b->digest, sizeof a->digest);
}

static void merge_is_a_join(void **state)
{
	struct rng r = { seed + 1 };

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		struct ring x, y, z, a, b, yz;

		fill(&x, &r), fill(&y, &r), fill(&z, &r);
		ring_init(&a, SIZE), ring_init(&b, SIZE), ring_init(&yz, SIZE);
		/* (x y) z = x (y z), and z y x. */
		merge_all(&a, &x, &r), merge_all(&a, &y, &r), merge_all(&a, &z, &r);
		merge_all(&yz, &z, &r), merge_all(&yz, &y, &r);
		merge_all(&b, &yz, &r), merge_all(&b, &x, &r);
		same(&a, &b);
		/* Again changes nothing. */
		merge_all(&a, &b, &r), merge_all(&a, &x, &r);
		same(&a, &b);
		ring_fini(&x), ring_fini(&y), ring_fini(&z);
		ring_fini(&a), ring_fini(&b), ring_fini(&yz);
	}
}

/* Enough runs for many chunks to fill, split and empty. */
static void large_rings_stay_right(void **state)
{
	struct rng r = { seed + 2 };
	struct ring_changes c = { 0 };
	struct ring ring;

	(void)state;
	ring_init(&ring, 1u << 20);
	for (unsigned n = 0; n < 20000; n++) {
		struct run run = any_run(&r);

		run.start = rng_below(&r, (1u << 20) - 400);
		run.end = run.start + 1 + rng_below(&r, n % 100 ? 20 : 400);
		run.counter = n / 1000;
		ring_merge(&ring, &run, &c);
	}
	ring_check(&ring);
	assert_true(ring_count(&ring) > 2000);
	for (uint64_t at = 0; at + 900 < 1u << 20; at += 1000) {
		struct run run = { at, at + 900, 5, (uint32_t)at, { 1, 1 } };

		ring_merge(&ring, &run, &c);
	}
	ring_check(&ring);
	ring_changes_fini(&c);
	ring_fini(&ring);
}

/* ---- space ---- */

#define SPACE 10000u

static bool plain_owned[SPACE], plain_used[SPACE];

static struct span any_span(struct rng *r)
{
	uint64_t start = rng_below(r, SPACE), size = 1 + rng_below(r, rng_below(r, 2) ? 8 : 3000);

	return (struct span){ start, start + size < SPACE ? start + size : SPACE };
}

static void check_queries(const struct space *s, struct span q)
{
	uint64_t free = 0, used = 0, lowest = UINT64_MAX, first_used = UINT64_MAX, at;
	uint64_t run = 0, best = 0, best_start = 0;
	struct span gift;

	for (uint64_t n = q.start; n < q.end; n++) {
		bool is_free = plain_owned[n] && !plain_used[n];

		free += is_free;
		used += plain_used[n];
		lowest = is_free && lowest == UINT64_MAX ? n : lowest;
		first_used = plain_used[n] && first_used == UINT64_MAX ? n : first_used;
		run = is_free ? run + 1 : 0;
		if (run > best) {
			best = run;
			best_start = n + 1 - run;
		}
	}
	assert_int_equal(space_free(s, q), free);
	assert_int_equal(space_used(s, q), used);
	assert_int_equal(space_lowest_free(s, q, &at), free > 0);
	if (free)
		assert_int_equal(at, lowest);
	assert_int_equal(space_next_used(s, q, &at), used > 0);
	if (used)
		assert_int_equal(at, first_used);
	assert_int_equal(space_donation(s, q, &gift), best > 0);
	if (best) {
		assert_int_equal(gift.start, best_start + best / 2);
		assert_int_equal(gift.end, best_start + best);
	}
}

static void space_is_a_bitmap(void **state)
{
	struct rng r = { seed + 3 };
	struct space s;

	(void)state;
	memset(plain_owned, 0, sizeof plain_owned);
	memset(plain_used, 0, sizeof plain_used);
	space_init(&s, SPACE);
	for (unsigned n = 0; n < rounds; n++) {
		struct span q = any_span(&r);
		bool set = rng_below(&r, 2);

		if (rng_below(&r, 4) == 0) {
			for (uint64_t k = q.start; k < q.end; k++)
				plain_owned[k] = set;
			if (set)
				space_own(&s, q);
			else
				space_disown(&s, q);
		} else {
			for (uint64_t k = q.start; k < q.end && k < q.start + 200; k++) {
				assert_int_equal(set ? space_use(&s, k) : space_release(&s, k),
						 plain_used[k] != set);
				plain_used[k] = set;
			}
		}
		if (n % 16 == 0)
			check_queries(&s, any_span(&r));
	}
	space_check(&s);
	for (uint64_t n = 0; n < SPACE; n++) {
		assert_int_equal(space_owns(&s, n), plain_owned[n]);
		assert_int_equal(space_is_used(&s, n), plain_used[n]);
	}
	space_fini(&s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_a_pointwise_maximum),
		cmocka_unit_test(merge_is_a_join),
		cmocka_unit_test(large_rings_stay_right),
		cmocka_unit_test(space_is_a_bitmap),
	};

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	if (argc > 2)
		rounds = (unsigned)strtoul(argv[2], NULL, 0);
	print_message("seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
