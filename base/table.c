#include <weave/table.h>

#include <weave/alloc.h>
#include <weave/must.h>

#define TABLE_MIN 16

void table_fini(struct table *t)
{
	mem_free(t->buckets);
	*t = (struct table){ 0 };
}

static void grow(struct table *t)
{
	size_t count = t->buckets_count ? t->buckets_count * 2 : TABLE_MIN;
	struct table_link **buckets = mem_new(count, sizeof(struct table_link *));

	for (size_t i = 0; i < t->buckets_count; i++) {
		struct table_link *l = t->buckets[i], *next;

		for (; l; l = next) {
			struct table_link **to = &buckets[l->hash & (count - 1)];

			next = l->next;
			l->next = *to;
			*to = l;
		}
	}
	mem_free(t->buckets);
	t->buckets = buckets;
	t->buckets_count = count;
}

void table_insert(struct table *t, struct table_link *link, uint64_t hash)
{
	struct table_link **to;

	if (t->count >= t->buckets_count)
		grow(t);
	to = &t->buckets[hash & (t->buckets_count - 1)];
	link->hash = hash;
	link->next = *to;
	*to = link;
	t->count++;
}

void table_remove(struct table *t, struct table_link *link)
{
	struct table_link **at;

	MUST(t->buckets);
	at = &t->buckets[link->hash & (t->buckets_count - 1)];
	while (*at && *at != link)
		at = &(*at)->next;
	MUST(*at == link);
	*at = link->next;
	link->next = NULL;
	t->count--;
}

struct table_link *table_each(const struct table *t, const struct table_link *after)
{
	size_t i = 0;

	if (after) {
		if (after->next)
			return after->next;
		i = (after->hash & (t->buckets_count - 1)) + 1;
	}
	for (; i < t->buckets_count; i++)
		if (t->buckets[i])
			return t->buckets[i];
	return NULL;
}
