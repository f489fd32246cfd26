/* Structural links of whole networks: connected, of small degree, hardly touched by a join, and
 * the same below and above any limit of connections. */
#include "../../unit/gossip/gossip_test.h"

#include "../../../gossip/mesh_policy.h"

#define PEERS 1001

struct mesh {
	size_t count;
	peer_name names[PEERS]; /* in order */
	uint8_t linked[PEERS][PEERS];
};

static size_t index_of(const struct mesh *m, peer_name name)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (m->names[middle] < name)
			low = middle + 1;
		else
			high = middle;
	}
	assert_true(low < m->count && m->names[low] == name);
	return low;
}

/* A link is structural when either end wants it. */
static void link_up(struct mesh *m)
{
	peer_name wanted[MESH_WANTED_MAX];

	memset(m->linked, 0, sizeof m->linked);
	for (size_t i = 0; i < m->count; i++) {
		size_t n = mesh_wanted(m->names[i], m->names, m->count, wanted);

		assert_true(n <= MESH_WANTED_MAX);
		for (size_t w = 0; w < n; w++) {
			size_t j = index_of(m, wanted[w]);

			assert_true(i != j);
			m->linked[i][j] = m->linked[j][i] = 1;
		}
	}
}

static void add_peer(struct mesh *m, peer_name name)
{
	size_t i = m->count++;

	for (; i > 0 && m->names[i - 1] > name; i--)
		m->names[i] = m->names[i - 1];
	m->names[i] = name;
}

static struct mesh *mesh_new(size_t count, struct rng *r)
{
	struct mesh *m = mem_new(1, sizeof *m);

	while (m->count < count)
		add_peer(m, 1 + rng_below(r, PEER_NAME_MAX));
	return m;
}

static size_t reached_from_first(const struct mesh *m)
{
	size_t queue[PEERS], count = 1;
	bool seen[PEERS] = { true };

	queue[0] = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < m->count; j++)
			if (m->linked[queue[i]][j] && !seen[j]) {
				seen[j] = true;
				queue[count++] = j;
			}
	return count;
}

static size_t degree(const struct mesh *m, size_t i)
{
	size_t d = 0;

	for (size_t j = 0; j < m->count; j++)
		d += m->linked[i][j];
	return d;
}

struct degrees {
	size_t least, most;
	double mean;
};

static struct degrees degrees(const struct mesh *m)
{
	struct degrees d = { .least = PEERS };

	for (size_t i = 0; i < m->count; i++) {
		size_t own = degree(m, i);

		d.least = own < d.least ? own : d.least;
		d.most = own > d.most ? own : d.most;
		d.mean += (double)own / (double)m->count;
	}
	return d;
}

static void connected_and_of_small_degree_at_every_size(void **state)
{
	struct rng rng = { test_seed(0x5eed0030) };

	(void)state;
	for (size_t n = 1; n <= 300; n++) {
		struct mesh *m = mesh_new(n, &rng);
		struct degrees d;

		link_up(m);
		assert_int_equal(reached_from_first(m), n);
		d = degrees(m);
		if (n <= MESH_FULL_MAX) {
			assert_true(d.least == n - 1 && d.most == n - 1);
		} else {
			assert_true(d.least >= 3 && d.most <= 24);
			assert_true(d.mean >= 5 && d.mean <= 13);
		}
		mem_free(m);
	}
}

/* Links between others that a change of one peer made or broke. */
static size_t foreign_changes(const struct mesh *before, const struct mesh *after, peer_name one)
{
	size_t changed = 0;

	for (size_t i = 0; i < before->count; i++)
		for (size_t j = 0; j < i; j++) {
			peer_name a = before->names[i], b = before->names[j];

			if (a != one && b != one)
				changed += before->linked[i][j] !=
					   after->linked[index_of(after, a)][index_of(after, b)];
		}
	return changed;
}

static double mean_churn(size_t n, unsigned joins, size_t *worst, struct rng *rng)
{
	size_t total = 0;

	*worst = 0;
	for (unsigned i = 0; i < joins; i++) {
		struct mesh *before = mesh_new(n, rng), *after = mem_new(1, sizeof *after);
		peer_name joining = 1 + rng_below(rng, PEER_NAME_MAX);
		size_t changed;

		memcpy(after, before, sizeof *after);
		add_peer(after, joining);
		link_up(before);
		link_up(after);
		changed = foreign_changes(before, after, joining);
		*worst = changed > *worst ? changed : *worst;
		total += changed;
		mem_free(before);
		mem_free(after);
	}
	return (double)total / joins;
}

/* A death is a join backwards, so this is about both. */
static void f1_a_join_leaves_the_links_of_others_alone(void **state)
{
	struct rng rng = { test_seed(0x5eed0031) };
	size_t worst;
	double mean;

	(void)state;
	mean = mean_churn(300, 15, &worst, &rng);
	print_message("n=300: %.1f foreign links changed per join, worst %zu\n", mean, worst);
	assert_true(worst < 20);
	mean = mean_churn(1000, 3, &worst, &rng);
	print_message("n=1000: %.1f foreign links changed per join, worst %zu\n", mean, worst);
	assert_true(mean < 10 && worst < 20);
}

static void a_thousand_peers(void **state)
{
	struct rng rng = { test_seed(0x5eed0032) };
	struct mesh *m = mesh_new(1000, &rng);
	struct degrees d;

	(void)state;
	link_up(m);
	d = degrees(m);
	print_message("n=1000: degree %zu / %.1f / %zu\n", d.least, d.mean, d.most);
	assert_int_equal(reached_from_first(m), 1000);
	assert_true(d.least >= 6 && d.most <= 24 && d.mean > 9 && d.mean < 13);
	mem_free(m);
}

/* The 101st peer is no cliff: what was structural stays so; at the 14th, where the full mesh ends,
 * only what is no longer wanted goes. */
static void f13_the_hundred_and_first_peer_is_no_cliff(void **state)
{
	struct rng rng = { test_seed(0x5eed0033) };

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct mesh *before = mesh_new(100, &rng), *after = mem_new(1, sizeof *after);
		peer_name joining = 1 + rng_below(&rng, PEER_NAME_MAX);

		memcpy(after, before, sizeof *after);
		add_peer(after, joining);
		link_up(before);
		link_up(after);
		assert_true(foreign_changes(before, after, joining) < 20);
		mem_free(before);
		mem_free(after);
	}
}

/* Sudden death of five in a hundred, before anybody links anew: still one network, nearly always.
 */
static void a_twentieth_may_die_at_once(void **state)
{
	struct rng rng = { test_seed(0x5eed0034) };
	unsigned whole = 0;

	(void)state;
	for (int trial = 0; trial < 20; trial++) {
		struct mesh *m = mesh_new(100, &rng);

		link_up(m);
		for (size_t dead = 95; dead < 100; dead++)
			for (size_t j = 0; j < 100; j++)
				m->linked[dead][j] = m->linked[j][dead] = 0;
		whole += reached_from_first(m) == 95;
		mem_free(m);
	}
	assert_true(whole >= 19);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connected_and_of_small_degree_at_every_size),
		cmocka_unit_test(f1_a_join_leaves_the_links_of_others_alone),
		cmocka_unit_test(a_thousand_peers),
		cmocka_unit_test(f13_the_hundred_and_first_peer_is_no_cliff),
		cmocka_unit_test(a_twentieth_may_die_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
