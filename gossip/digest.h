/* Hashes of entries, and the digests that two stores compare to learn whether they are equal.
 *
 * Pure.  All keys are fixed and published: every peer must compute the same.  A collision that
 * somebody builds hides a difference from the repair; it cannot make a store wrong.
 *
 * An entry is hashed in one form: key size u8, kind u8, key, | flags u8, writer u48, generation
 * u64, version u64, value; big endian.  The bar separates what key_hash (without the size) and
 * version_hash cover; digest covers everything.
 */
#ifndef WEAVE_GOSSIP_DIGEST_H
#define WEAVE_GOSSIP_DIGEST_H

#include <weave/entry.h>
#include <weave/hash.h>
#include <weave/store.h>

struct entry_hashes {
	uint64_t key_hash, version_hash;
	struct hash128 digest;
};

/* XOR of the digests of all entries but tombstones. Zeroed = of nothing. */
struct digest {
	struct hash128 whole;
	struct hash128 buckets[STORE_BUCKETS];
};

size_t digest_form_size(const struct entry_view *e);
/* Writes the form (digest_form_size bytes) and returns 'e' with key and value inside it. */
struct entry_view digest_form(const struct entry_view *e, uint8_t *form);
struct entry_hashes digest_hashes(const uint8_t *form, size_t size);

uint64_t digest_key_hash(uint8_t kind, struct bytes key);

static inline unsigned digest_bucket(uint64_t key_hash)
{
	return (unsigned)(key_hash >> 56);
}

/* Adds the entry, or takes it out again. */
void digest_toggle(struct digest *d, uint64_t key_hash, struct hash128 entry);

#endif
