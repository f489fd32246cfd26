/* Keyed hashes for tables and digests: SipHash-2-4 (Aumasson and Bernstein 2012), 64 and 128 bits.
 *
 * Pure.  Tables use a random key of their process, so that nobody outside can build collisions;
 * digests and rendezvous choices use fixed, published keys, since all peers must agree.
 */
#ifndef WEAVE_HASH_H
#define WEAVE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k0, k1;
};

struct hash128 {
	uint64_t high, low;
};

uint64_t hash64(const struct hash_key *key, const void *data, size_t size);
struct hash128 hash128(const struct hash_key *key, const void *data, size_t size);

#endif
