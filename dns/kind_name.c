#include "kind_name.h"

#include <weave/hash.h>
#include <weave/must.h>
#include <weave/reader.h>

/* Published: all peers must agree.  "weave na", "me entry". */
static const struct hash_key published = { UINT64_C(0x7765617665206e61),
					   UINT64_C(0x6d6520656e747279) };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static size_t lowered(const char *hostname, uint8_t *to)
{
	size_t n = 0;

	for (; hostname[n]; n++)
		to[n] = (uint8_t)lower(hostname[n]);
	return n;
}

uint64_t name_hash(const struct hash_key *key, const char *hostname)
{
	uint8_t text[NAME_HOSTNAME_MAX];

	MUST(strlen(hostname) <= sizeof text);
	return hash64(key, text, lowered(hostname, text));
}

static void write_address(struct writer *w, struct ip_addr ip)
{
	write_u8(w, ip.family);
	write_bytes(w, ip.b, ip.family == 4 ? 4 : 16);
}

static void write_text(struct writer *w, const char *text, size_t size)
{
	write_u8(w, (uint8_t)size);
	write_bytes(w, text, size);
}

static struct hash128 identity(const struct name_entry *e)
{
	uint8_t room[NAME_VALUE_MAX], text[NAME_HOSTNAME_MAX];
	struct writer w = writer_over(room, sizeof room);

	write_address(&w, e->address);
	write_text(&w, (const char *)text, lowered(e->hostname, text));
	write_text(&w, e->container, strlen(e->container));
	MUST(!w.full);
	return hash128(&published, room, writer_size(&w));
}

void name_entry_key(const struct name_entry *e, struct writer *key)
{
	struct hash128 hash = identity(e);

	write_uint(key, e->peer, 6);
	write_u64(key, hash.high);
	write_u64(key, hash.low);
	MUST(!key->full);
}

void name_entry_value(const struct name_entry *e, struct writer *value)
{
	MUST(e->address.family == 4 || e->address.family == 6);
	write_address(value, e->address);
	write_text(value, e->hostname, strlen(e->hostname));
	write_text(value, e->container, strlen(e->container));
	MUST(!value->full);
}

static void read_text(struct reader *r, char *to, size_t max, const char *what)
{
	size_t size = read_u8(r, what);

	if (size > max)
		reader_fail(r, what);
	read_copy(r, to, r->bad ? 0 : size, what);
	to[r->bad ? 0 : size] = '\0';
	if (!r->bad && strlen(to) != size)
		reader_fail(r, what);
}

/* Shown to people and given to the names' owners: nothing that needs escaping. */
static bool is_container(const char *text)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
			return false;
	return true;
}

static bool has_last_dot(const char *text)
{
	return *text && text[strlen(text) - 1] == '.';
}

static void read_value(struct name_entry *out, struct reader *r)
{
	out->address.family = read_u8(r, "name.family");
	if (out->address.family != 4 && out->address.family != 6)
		reader_fail(r, "name.family");
	read_copy(r, out->address.b, out->address.family == 4 ? 4 : 16, "name.address");
	read_text(r, out->hostname, NAME_HOSTNAME_MAX, "name.hostname");
	if (has_last_dot(out->hostname) || hostname_check(out->hostname, NULL))
		reader_fail(r, "name.hostname");
	read_text(r, out->container, NAME_CONTAINER_MAX, "name.container");
	if (!is_container(out->container))
		reader_fail(r, "name.container");
}

const char *name_entry_decode(struct name_entry *out, const struct entry_view *e)
{
	struct reader key = reader_over(e->key.data, e->key.size);
	struct reader value = reader_over(e->value.data, e->value.size);
	struct hash128 hash, expected;
	const char *bad;

	*out = (struct name_entry){ 0 };
	out->peer = read_uint(&key, 6, "name.peer");
	if (out->peer != e->writer)
		reader_fail(&key, "name.peer");
	hash.high = read_u64(&key, "name.hash");
	hash.low = read_u64(&key, "name.hash");
	bad = reader_verdict(&key);
	if (bad || (e->flags & ENTRY_TOMBSTONE))
		return bad;
	read_value(out, &value);
	bad = reader_verdict(&value);
	if (bad)
		return bad;
	expected = identity(out);
	return hash.high == expected.high && hash.low == expected.low ? NULL : "name.hash";
}

const char *name_entry_check(const struct entry_view *e)
{
	struct name_entry ignored;

	return name_entry_decode(&ignored, e);
}
