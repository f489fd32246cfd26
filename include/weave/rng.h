/* Deterministic pseudo-random numbers for jitter, tie-breaking and simulation (splitmix64,
 * Steele, Lea and Flood 2014).  NOT for secrets: those come from libsodium.
 *
 * Pure.  The owner seeds it: the daemon from the kernel, the simulator from the run's seed.
 */
#ifndef WEAVE_RNG_H
#define WEAVE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_u64(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Uniform in [0, bound); 0 when bound is 0.  The bias is below bound / 2^64. */
static inline uint64_t rng_below(struct rng *r, uint64_t bound)
{
	__extension__ typedef unsigned __int128 wide;

	return (uint64_t)(((wide)rng_u64(r) * bound) >> 64);
}

#endif
