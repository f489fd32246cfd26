/* Runs the micro-benchmarks.
 *
 *	micro list              their names
 *	micro time ROUNDS       nanoseconds of CPU time for an operation, rounds interleaved
 *	micro count             each once, for callgrind: it dumps its counters after each, with the
 *	                        case's name, and this prints how many operations they are of
 *
 * A line of JSON for each.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined __has_include
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif
#endif
#ifndef CALLGRIND_ZERO_STATS
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

#include "micro.h"

/* Instructions of an operation need few: valgrind is slow. */
#define COUNT_PART 16

static const struct micro *const groups[] = {
	micro_store, micro_routes, micro_ipam,	micro_decide,
	micro_aead,  micro_train,  micro_codec, micro_handshake,
};

static volatile uint64_t used;

void micro_use(uint64_t value)
{
	used = value;
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void time_one(const struct micro *m)
{
	void *ctx = m->setup(m);
	double start;

	if (!ctx)
		return;
	start = cpu_ns();
	m->run(ctx, m->count);
	printf("{\"name\": \"%s\", \"ns\": %.3f, \"size\": %zu}\n", m->name,
	       (cpu_ns() - start) / (double)m->count, m->size);
	m->end(ctx);
}

static void count_one(const struct micro *m)
{
	uint64_t count = m->count / COUNT_PART ? m->count / COUNT_PART : 1;
	void *ctx = m->setup(m);

	if (!ctx)
		return;
	CALLGRIND_ZERO_STATS;
	m->run(ctx, count);
	CALLGRIND_DUMP_STATS_AT(m->name);
	printf("{\"name\": \"%s\", \"count\": %" PRIu64 "}\n", m->name, count);
	m->end(ctx);
}

static void list_one(const struct micro *m)
{
	puts(m->name);
}

static void each(void (*what)(const struct micro *m))
{
	for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
		for (const struct micro *m = groups[g]; m->name; m++)
			what(m);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (sodium_init() < 0)
		return 1;
	if (strcmp(what, "time") == 0 && argc == 3)
		for (int n = atoi(argv[2]); n > 0; n--)
			each(time_one);
	else if (strcmp(what, "count") == 0)
		each(count_one);
	else if (strcmp(what, "list") == 0)
		each(list_one);
	else
		return fprintf(stderr, "usage: micro list | time ROUNDS | count\n"), 1;
	return 0;
}
