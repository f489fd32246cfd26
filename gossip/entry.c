#include <weave/entry.h>

#include <weave/limits.h>

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

int entry_compare(const struct entry_view *a, const struct entry_view *b)
{
	int c = order(a->generation, b->generation);

	if (!c)
		c = order(a->version, b->version);
	if (!c)
		c = order(b->writer, a->writer);
	if (!c)
		c = a->kind == KIND_VOTE ? bytes_compare(b->value, a->value)
					 : bytes_compare(a->value, b->value);
	/* An empty value and a tombstone have the same bytes. */
	if (!c)
		c = order(a->flags, b->flags);
	return c;
}

const char *entry_check(const struct entry_view *e)
{
	if (e->kind == 0)
		return "entry.kind";
	if (e->flags & ~ENTRY_TOMBSTONE)
		return "entry.flags";
	if (e->writer == PEER_NAME_NONE || e->writer > PEER_NAME_MAX)
		return "entry.writer";
	if (e->generation >= VERSION_LIMIT)
		return "entry.generation";
	if (e->version >= VERSION_LIMIT)
		return "entry.version";
	if (e->key.size == 0 || e->key.size > ENTRY_KEY_MAX)
		return "entry.key";
	if (e->value.size > ENTRY_SIZE_MAX - e->key.size)
		return "entry.value";
	if ((e->flags & ENTRY_TOMBSTONE) && e->value.size)
		return "entry.value";
	return NULL;
}
