/* The replicated store: merging what neighbours send, and hashing entries. */
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/store.h>

#include "../../gossip/digest.h"
#include "micro.h"

#define ENTRIES 20000u
#define KIND 200 /* nobody's, so without checks and views of its own */
#define KEY_SIZE 15
#define VALUE_SIZE 11 /* an endpoint with one IPv4 address */

struct merging {
	struct store *store;
	uint64_t version;
	uint8_t (*keys)[KEY_SIZE];
	uint8_t value[VALUE_SIZE];
};

static struct entry_view entry(struct merging *m, uint64_t n)
{
	return (struct entry_view){ .kind = KIND,
				    .writer = 1 + n % 100,
				    .generation = 1,
				    .version = m->version,
				    .key = bytes_of(m->keys[n % ENTRIES], KEY_SIZE),
				    .value = bytes_of(m->value, VALUE_SIZE) };
}

static void merge(void *ctx, uint64_t count)
{
	struct merging *m = ctx;

	for (uint64_t n = 0; n < count; n++) {
		struct entry_view e = entry(m, n);

		store_merge(m->store, &e, 1, (struct mono){ 0 });
	}
	micro_use(store_sequence(m->store));
}

static void *setup(const struct micro *c)
{
	struct merging *m = mem_new(1, sizeof *m);
	const char *how = c->with;

	m->store = store_new(1);
	m->keys = mem_new(ENTRIES, sizeof *m->keys);
	m->version = 1;
	for (uint32_t n = 0; n < ENTRIES; n++)
		memcpy(m->keys[n], &n, sizeof n);
	if (strcmp(how, "new") != 0)
		merge(m, ENTRIES);
	if (strcmp(how, "newer") == 0)
		m->version = 2;
	return m;
}

static void end(void *ctx)
{
	struct merging *m = ctx;

	store_free(m->store);
	mem_free(m->keys);
	mem_free(m);
}

static void hashes(void *ctx, uint64_t count)
{
	struct merging *m = ctx;
	struct digest d = { 0 };
	uint8_t form[256];

	for (uint64_t n = 0; n < count; n++) {
		struct entry_view e = entry(m, n);
		struct entry_hashes h;

		MUST(digest_form_size(&e) <= sizeof form);
		digest_form(&e, form);
		h = digest_hashes(form, digest_form_size(&e));
		digest_toggle(&d, h.key_hash, h.digest);
	}
	micro_use(d.whole.low);
}

const struct micro micro_store[] = {
	{ "store/merge-new", setup, merge, end, ENTRIES, 0, "new" },
	{ "store/merge-same", setup, merge, end, ENTRIES, 0, "same" },
	{ "store/merge-newer", setup, merge, end, ENTRIES, 0, "newer" },
	{ "store/digest-entry", setup, hashes, end, ENTRIES, 0, "new" },
	{ 0 },
};
