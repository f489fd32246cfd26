/* Micro-benchmarks of pure code: one operation many times, by CPU time and by instructions.
 *
 * A case is set up, run, and torn down again; only the run counts.  Its inputs are the same each
 * time, so that instructions repeat.  bench/microbench runs them; docs/BENCHMARK.md.
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <stddef.h>
#include <stdint.h>

struct micro {
	const char *name;
	void *(*setup)(const struct micro *m);
	void (*run)(void *ctx, uint64_t count); /* 'count' operations */
	void (*end)(void *ctx);
	uint64_t count; /* that take some milliseconds */
	size_t size;	/* bytes that an operation works on, 0 none */
	const void *with;
};

/* Each ends with a row without a name. */
extern const struct micro micro_store[], micro_routes[], micro_ipam[], micro_decide[], micro_aead[],
	micro_train[], micro_codec[], micro_handshake[];

/* Keeps the compiler from leaving out what nobody reads. */
void micro_use(uint64_t value);

#endif
