/* Peers that fill a universe together, each at its own speed: nobody is refused while one address
 * in a hundred is free.  bench/ipam_fill.c does it with 1 000 peers in a /12. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../unit/ipam/fill.h"

static void fill(const char *range, unsigned peers)
{
	struct fill f;
	uint64_t usable;

	fill_init(&f, range, peers);
	usable = f.universe.size - 2; /* neither the first nor the last address */
	while (f.refused == 0) {
		fill_turn(&f);
		assert_true(f.turns < 100000);
	}
	print_message("%s, %u peers: %llu of %llu addresses left at the first refusal (%s); "
		      "%llu messages\n",
		      range, peers, (unsigned long long)f.left - 2, (unsigned long long)usable,
		      f.why.text, (unsigned long long)f.messages);
	assert_true(f.allocated > usable / 2);
	assert_true((f.left - 2) * 100 < usable);
	for (unsigned n = 0; n < peers; n++)
		ipam_check(f.peers[n].ipam);
	fill_fini(&f);
}

static void a_few_peers(void **state)
{
	(void)state;
	fill("10.32.0.0/22", 5);
}

static void many_peers(void **state)
{
	(void)state;
	fill("10.32.0.0/20", 64);
}

static void more_peers_than_addresses_would_do_for(void **state)
{
	(void)state;
	fill("fd00::/120", 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_peers),
		cmocka_unit_test(many_peers),
		cmocka_unit_test(more_peers_than_addresses_would_do_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
