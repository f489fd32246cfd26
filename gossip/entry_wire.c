#include "entry_wire.h"

#include <weave/must.h>

size_t entry_wire_size(const struct entry_view *e)
{
	return ENTRY_WIRE_MIN - 1 + e->key.size + e->value.size;
}

void entry_encode(const struct entry_view *e, struct writer *w)
{
	MUST(e->key.size >= 1 && e->key.size <= UINT8_MAX);
	write_u8(w, e->kind);
	write_u8(w, e->flags);
	write_uint(w, e->writer, 6);
	write_u64(w, e->generation);
	write_u64(w, e->version);
	write_u8(w, (uint8_t)e->key.size);
	write_bytes(w, e->key.data, e->key.size);
	write_block16(w, e->value);
}

const char *entry_decode(struct entry_view *e, struct reader *r)
{
	size_t key_size;
	const char *bad;

	e->kind = read_u8(r, "entry.kind");
	e->flags = read_u8(r, "entry.flags");
	e->writer = read_uint(r, 6, "entry.writer");
	e->generation = read_u64(r, "entry.generation");
	e->version = read_u64(r, "entry.version");
	key_size = read_u8(r, "entry.key");
	e->key.data = read_bytes(r, key_size, "entry.key");
	e->key.size = e->key.data ? key_size : 0;
	e->value = read_block16(r, UINT16_MAX, "entry.value");
	if (r->bad)
		return r->bad;
	bad = entry_check(e);
	if (bad)
		reader_fail(r, bad);
	return r->bad;
}
