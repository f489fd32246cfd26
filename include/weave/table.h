/* Intrusive hash table, chained, growing by doubling.  Owns its bucket array only; the members
 * belong to the caller.  Pure; one thread at a time.
 *
 * The caller hashes (hash64 with a random key for anything an outsider can name) and compares:
 *
 *	for (struct table_link *l = table_first(&t, h); l; l = table_next(l, h))
 *		if (same(table_entry(l, struct thing, link), key)) ...
 *
 * A table must not change while it is walked with TABLE_EACH, except that the current member may
 * be removed.
 */
#ifndef WEAVE_TABLE_H
#define WEAVE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_link {
	struct table_link *next;
	uint64_t hash;
};

struct table {
	struct table_link **buckets; /* NULL while empty */
	size_t buckets_count;	     /* 0 or a power of two */
	size_t count;		     /* members */
};

#define table_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* A zeroed table is empty and valid. */
void table_fini(struct table *t); /* frees the bucket array; members are the caller's */
void table_insert(struct table *t, struct table_link *link, uint64_t hash);
void table_remove(struct table *t, struct table_link *link);

static inline struct table_link *table_skip(struct table_link *l, uint64_t hash)
{
	while (l && l->hash != hash)
		l = l->next;
	return l;
}

/* First and next member whose hash is exactly 'hash'; NULL at the end. */
static inline struct table_link *table_first(const struct table *t, uint64_t hash)
{
	return t->buckets ? table_skip(t->buckets[hash & (t->buckets_count - 1)], hash) : NULL;
}

static inline struct table_link *table_next(struct table_link *l, uint64_t hash)
{
	return table_skip(l->next, hash);
}

/* All members, in no particular order: table_each(t, NULL) is the first, then the one after. */
struct table_link *table_each(const struct table *t, const struct table_link *after);

#define TABLE_EACH(t, l)                                                                           \
	for (struct table_link *l = table_each((t), NULL),                                         \
			       *l##_next = l ? table_each((t), l) : NULL;                          \
	     l; l = l##_next, l##_next = l ? table_each((t), l) : NULL)

#endif
