/* How full a universe gets before somebody is refused.  Prints; asserts nothing.
 *
 *	make build/release/bench/ipam_fill && build/release/bench/ipam_fill [range [peers]]
 */
#include <stdlib.h>
#include <time.h>

#include "../tests/unit/ipam/fill.h"

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print(const struct fill *f, const char *when, uint64_t left)
{
	uint64_t usable = f->universe.size - 2;

	printf("%s: %llu of %llu addresses are left (%.3f %%); %llu messages, %zu runs, virtual "
	       "time "
	       "%.1f s, CPU %.1f s\n",
	       when, (unsigned long long)left, (unsigned long long)usable,
	       100. * (double)left / (double)usable, (unsigned long long)f->messages,
	       ring_count(&f->peers[0].ipam->ring), (double)f->clock.ms / 1e3, seconds());
	fflush(stdout);
}

int main(int count, char **arguments)
{
	unsigned peers = count > 2 ? (unsigned)strtoul(arguments[2], NULL, 0) : 1000;
	struct fill f;
	unsigned refused = 0;

	fill_init(&f, count > 1 ? arguments[1] : "10.32.0.0/12", peers);
	print(&f, "before", fill_left(&f));
	while (f.refused < f.wanting) {
		fill_turn(&f);
		if (f.turns % 1000 == 0)
			print(&f, "filling", fill_left(&f));
		if (refused == 0 && f.refused) {
			print(&f, "first refusal", f.left);
			printf("  \"%s\"\n", f.why.text);
		}
		refused = f.refused;
	}
	print(&f, "all refused", fill_left(&f));
	fill_fini(&f);
	return 0;
}
