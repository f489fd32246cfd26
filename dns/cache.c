#include "cache.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/list.h>

struct kept {
	struct table_link by_question;
	struct list by_age;
	struct dns_query query; /* without its 'question' */
	struct mono came;
	uint32_t ttl, size;
	uint8_t reply[];
};

struct cache {
	struct hash_key hash_key;
	struct table table;
	struct list by_age; /* the oldest first */
};

uint64_t query_hash(const struct hash_key *key, const struct dns_query *q)
{
	uint8_t text[DNS_NAME_MAX + 6];
	struct writer w = writer_over(text, sizeof text);

	write_bytes(&w, q->name.wire, q->name.size);
	write_u16(&w, q->type);
	write_u16(&w, q->class);
	write_u8(&w, q->edns);
	write_u8(&w, (uint8_t)(q->dnssec_ok | q->checking_disabled << 1));
	return hash64(key, text, writer_size(&w));
}

bool query_equal(const struct dns_query *a, const struct dns_query *b)
{
	return a->type == b->type && a->class == b->class && a->edns == b->edns &&
	       a->dnssec_ok == b->dnssec_ok && a->checking_disabled == b->checking_disabled &&
	       a->name.size == b->name.size &&
	       memcmp(a->name.wire, b->name.wire, a->name.size) == 0;
}

struct cache *cache_new(uint64_t seed)
{
	struct cache *c = mem_new(1, sizeof *c);
	struct rng rng = { seed };

	c->hash_key.k0 = rng_u64(&rng);
	c->hash_key.k1 = rng_u64(&rng);
	list_init(&c->by_age);
	return c;
}

static void drop(struct cache *c, struct kept *k)
{
	table_remove(&c->table, &k->by_question);
	list_remove(&k->by_age);
	mem_free(k);
}

void cache_clear(struct cache *c)
{
	while (!list_empty(&c->by_age))
		drop(c, list_entry(c->by_age.next, struct kept, by_age));
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	cache_clear(c);
	table_fini(&c->table);
	mem_free(c);
}

static struct kept *find(struct cache *c, const struct dns_query *q)
{
	uint64_t hash = query_hash(&c->hash_key, q);

	for (struct table_link *l = table_first(&c->table, hash); l; l = table_next(l, hash)) {
		struct kept *k = table_entry(l, struct kept, by_question);

		if (query_equal(&k->query, q))
			return k;
	}
	return NULL;
}

void cache_put(struct cache *c, const struct dns_query *q, struct bytes reply, uint32_t ttl,
	       struct mono now)
{
	struct kept *k = find(c, q);

	if (k)
		drop(c, k);
	if (ttl == 0 || reply.size > CACHE_SIZE_MAX)
		return;
	if (c->table.count >= CACHE_ANSWERS_MAX)
		drop(c, list_entry(c->by_age.next, struct kept, by_age));
	k = mem_new(1, sizeof *k + reply.size);
	k->query = *q;
	k->query.question = bytes_of(NULL, 0);
	k->came = now;
	k->ttl = ttl < CACHE_TTL_MAX ? ttl : CACHE_TTL_MAX;
	k->size = (uint32_t)reply.size;
	memcpy(k->reply, reply.data, reply.size);
	table_insert(&c->table, &k->by_question, query_hash(&c->hash_key, q));
	list_append(&c->by_age, &k->by_age);
}

bool cache_get(struct cache *c, const struct dns_query *q, struct mono now, struct bytes *reply,
	       uint32_t *age_s)
{
	struct kept *k = find(c, q);

	if (!k)
		return false;
	*age_s = (uint32_t)(mono_elapsed(k->came, now) / 1000);
	if (*age_s >= k->ttl) {
		drop(c, k);
		return false;
	}
	*reply = bytes_of(k->reply, k->size);
	return true;
}
