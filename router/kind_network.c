#include "kind_network.h"

#include <string.h>

#include <weave/must.h>
#include <weave/reader.h>

void network_entry_key(const struct network_entry *e, struct writer *key)
{
	write_uint(key, e->segment, 3);
	write_uint(key, e->peer, 6);
	MUST(!key->full);
}

void network_entry_value(const struct network_entry *e, struct writer *value)
{
	size_t size = strlen(e->key);

	write_u8(value, (uint8_t)size);
	write_bytes(value, e->key, size);
	MUST(!value->full);
}

static void read_key(struct network_entry *out, struct reader *r)
{
	out->segment = (uint32_t)read_uint(r, 3, "network.segment");
	if (out->segment == SEGMENT_DEFAULT || out->segment > SEGMENT_MAX)
		reader_fail(r, "network.segment");
	out->peer = read_uint(r, 6, "network.peer");
	if (out->peer == PEER_NAME_NONE)
		reader_fail(r, "network.peer");
}

static void read_value(struct network_entry *out, struct reader *r)
{
	unsigned size = read_u8(r, "network.key");

	if (size > SEGMENT_KEY_MAX) {
		reader_fail(r, "network.key");
		return;
	}
	read_copy(r, out->key, size, "network.key");
	if (strlen(out->key) != size || !segment_key_ok(out->key))
		reader_fail(r, "network.key");
}

const char *network_entry_decode(struct network_entry *out, const struct entry_view *e)
{
	struct reader key = reader_over(e->key.data, e->key.size);
	struct reader value = reader_over(e->value.data, e->value.size);
	const char *bad;

	*out = (struct network_entry){ 0 };
	read_key(out, &key);
	if (out->peer != e->writer)
		reader_fail(&key, "network.peer");
	bad = reader_verdict(&key);
	if (bad || (e->flags & ENTRY_TOMBSTONE))
		return bad;
	read_value(out, &value);
	/* What a later release adds behind it is passed over. */
	return value.bad;
}

const char *network_entry_check(const struct entry_view *e)
{
	struct network_entry ignored;

	return network_entry_decode(&ignored, e);
}
