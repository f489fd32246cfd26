/* Answers of other resolvers, for as long as they may be given again.
 *
 * Pure; the thread that answers.  Small on purpose: it takes the burst of one page's names, and
 * spares the resolver behind the 1 s that a container asks again after; it is no resolver's cache.
 */
#ifndef WEAVE_DNS_CACHE_H
#define WEAVE_DNS_CACHE_H

#include <weave/hash.h>
#include <weave/table.h>
#include <weave/time.h>

#include "message_wire.h"

#define CACHE_ANSWERS_MAX 2048u /* of CACHE_SIZE_MAX bytes each at most */
#define CACHE_SIZE_MAX 2048u
#define CACHE_TTL_MAX 60u /* seconds */

struct cache;

struct cache *cache_new(uint64_t seed);
void cache_free(struct cache *c);
void cache_clear(struct cache *c);

/* 'ttl' of dns_reply_decode; the oldest makes room. */
void cache_put(struct cache *c, const struct dns_query *q, struct bytes reply, uint32_t ttl,
	       struct mono now);
/* Borrowed until the next call; false: none.  '*age_s': since it came. */
bool cache_get(struct cache *c, const struct dns_query *q, struct mono now, struct bytes *reply,
	       uint32_t *age_s);

/* What makes two questions one: all but spelling and id. */
uint64_t query_hash(const struct hash_key *key, const struct dns_query *q);
bool query_equal(const struct dns_query *a, const struct dns_query *b);

#endif
