#include "digest.h"

#include <string.h>

#include <weave/limits.h>
#include <weave/must.h>
#include <weave/writer.h>

/* The keys are the texts "weave.3 key hash", "weave.3 versions" and "weave.3 digests ". */
static const struct hash_key key_hash_key = { 0x77656176652e3320u, 0x6b65792068617368u };
static const struct hash_key version_hash_key = { 0x77656176652e3320u, 0x76657273696f6e73u };
static const struct hash_key digest_key = { 0x77656176652e3320u, 0x6469676573747320u };

#define FORM_HEAD 2		     /* key size, kind */
#define FORM_VERSION (1 + 6 + 8 + 8) /* flags, writer, generation, version */

size_t digest_form_size(const struct entry_view *e)
{
	return FORM_HEAD + e->key.size + FORM_VERSION + e->value.size;
}

struct entry_view digest_form(const struct entry_view *e, uint8_t *form)
{
	size_t size = digest_form_size(e);
	struct writer w = writer_over(form, size);
	struct entry_view inside = *e;

	write_u8(&w, (uint8_t)e->key.size);
	write_u8(&w, e->kind);
	inside.key.data = w.at;
	write_bytes(&w, e->key.data, e->key.size);
	write_u8(&w, e->flags);
	write_uint(&w, e->writer, 6);
	write_u64(&w, e->generation);
	write_u64(&w, e->version);
	inside.value.data = w.at;
	write_bytes(&w, e->value.data, e->value.size);
	MUST(!w.full && writer_size(&w) == size);
	return inside;
}

struct entry_hashes digest_hashes(const uint8_t *form, size_t size)
{
	size_t key_end = FORM_HEAD + (size_t)form[0];

	return (struct entry_hashes){
		.key_hash = hash64(&key_hash_key, form + 1, key_end - 1),
		.version_hash = hash64(&version_hash_key, form + key_end, size - key_end),
		.digest = hash128(&digest_key, form, size),
	};
}

uint64_t digest_key_hash(uint8_t kind, struct bytes key)
{
	uint8_t form[1 + ENTRY_KEY_MAX];

	MUST(key.size <= ENTRY_KEY_MAX);
	form[0] = kind;
	if (key.size)
		memcpy(form + 1, key.data, key.size);
	return hash64(&key_hash_key, form, 1 + key.size);
}

static void toggle(struct hash128 *sum, struct hash128 entry)
{
	sum->high ^= entry.high;
	sum->low ^= entry.low;
}

void digest_toggle(struct digest *d, uint64_t key_hash, struct hash128 entry)
{
	toggle(&d->whole, entry);
	toggle(&d->buckets[digest_bucket(key_hash)], entry);
}
