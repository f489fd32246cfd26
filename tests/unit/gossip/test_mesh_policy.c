#include "gossip_test.h"

#include "../../../gossip/mesh_policy.h"

static size_t names(peer_name *peers, size_t count, uint64_t seed)
{
	struct rng rng = { seed };
	peer_name last = 0;

	for (size_t i = 0; i < count; i++)
		peers[i] = last += 1 + rng_below(&rng, UINT64_C(1) << 32);
	return count;
}

static void up_to_thirteen_everybody(void **state)
{
	peer_name peers[MESH_FULL_MAX + 1], wanted[MESH_WANTED_MAX];

	(void)state;
	for (size_t n = 1; n <= MESH_FULL_MAX; n++) {
		names(peers, n, n);
		assert_int_equal(mesh_wanted(peers[n / 2], peers, n, wanted), n - 1);
		for (size_t i = 0, j = 0; i < n; i++)
			if (i != n / 2)
				assert_int_equal(wanted[j++], peers[i]);
	}
	names(peers, MESH_FULL_MAX + 1, 3);
	assert_true(mesh_wanted(peers[0], peers, MESH_FULL_MAX + 1, wanted) < MESH_FULL_MAX);
}

static void self_counts_whether_listed_or_not(void **state)
{
	peer_name with[100], without[99], a[MESH_WANTED_MAX], b[MESH_WANTED_MAX];
	peer_name self;
	size_t n;

	(void)state;
	names(with, 100, 5);
	self = with[40];
	memcpy(without, with, 40 * sizeof *with);
	memcpy(without + 40, with + 41, 59 * sizeof *with);
	n = mesh_wanted(self, with, 100, a);
	assert_int_equal(mesh_wanted(self, without, 99, b), n);
	assert_memory_equal(a, b, n * sizeof *a);
	assert_int_equal(mesh_wanted(self, NULL, 0, a), 0);
}

/* 2 successors and ceil(0.6 * log2 n) pairs, less what coincides. */
static void counts_follow_the_rule(void **state)
{
	static const struct {
		size_t n, pairs;
	} cases[] = {
		{ 14, 3 },  { 32, 3 },	 { 33, 4 },   { 100, 4 },  { 101, 4 },	{ 102, 5 },
		{ 323, 6 }, { 1000, 6 }, { 1024, 6 }, { 1025, 7 }, { 8192, 8 }, { 16384, 9 }
	};
	static peer_name peers[16384];
	peer_name wanted[MESH_WANTED_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		size_t most = 0;

		names(peers, cases[i].n, 11);
		for (size_t self = 0; self < 12; self++) {
			size_t count = mesh_wanted(peers[self], peers, cases[i].n, wanted);

			most = count > most ? count : most;
			for (size_t j = 1; j < count; j++)
				assert_true(wanted[j - 1] < wanted[j]);
		}
		assert_int_equal(most, 2 + cases[i].pairs);
	}
}

/* All peers of a network must choose alike, whatever was built when: never change these. */
static void the_choice_is_the_published_one(void **state)
{
	static const peer_name expected[] = { 3, 5, 11, 13, 18 };
	peer_name peers[20], wanted[MESH_WANTED_MAX];

	(void)state;
	for (size_t i = 0; i < 20; i++)
		peers[i] = i + 1;
	assert_int_equal(mesh_wanted(1, peers, 20, wanted), ARRAY_COUNT(expected));
	assert_memory_equal(wanted, expected, sizeof expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(up_to_thirteen_everybody),
		cmocka_unit_test(self_counts_whether_listed_or_not),
		cmocka_unit_test(counts_follow_the_rule),
		cmocka_unit_test(the_choice_is_the_published_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
