#include "gossip_test.h"

#include "../../../gossip/digest.h"

static struct entry_hashes hashes_of(const struct entry_view *e)
{
	uint8_t form[2 + ENTRY_KEY_MAX + 32 + ENTRY_SIZE_MAX];

	digest_form(e, form);
	return digest_hashes(form, digest_form_size(e));
}

/* These numbers travel between routers of different builds: never change them. */
static void hashes_are_the_published_ones(void **state)
{
	struct entry_view e = entry_of(KIND_NAME, "key", 0x010203040506, 5, 6, "value");
	struct entry_hashes h = hashes_of(&e);

	(void)state;
	assert_true(h.key_hash == UINT64_C(0xbac7f250ce7c5258));
	assert_true(h.version_hash == UINT64_C(0x16bb70914b54497b));
	assert_true(h.digest.high == UINT64_C(0xee75e3d66d8eddba));
	assert_true(h.digest.low == UINT64_C(0x1c2fe2c5070f51a2));
}

static void key_hash_covers_kind_and_key_only(void **state)
{
	struct entry_view a = entry_of(KIND_NAME, "key", 1, 5, 6, "value");
	struct entry_view b = entry_of(KIND_NAME, "key", 2, 7, 8, NULL);
	struct entry_view c = entry_of(KIND_LINK, "key", 1, 5, 6, "value");
	struct entry_view d = entry_of(KIND_NAME, "kez", 1, 5, 6, "value");

	(void)state;
	assert_true(hashes_of(&a).key_hash == hashes_of(&b).key_hash);
	assert_true(hashes_of(&a).key_hash != hashes_of(&c).key_hash);
	assert_true(hashes_of(&a).key_hash != hashes_of(&d).key_hash);
	assert_true(hashes_of(&a).key_hash == digest_key_hash(a.kind, a.key));
	assert_true(hashes_of(&a).version_hash == hashes_of(&c).version_hash);
	assert_true(hashes_of(&a).version_hash == hashes_of(&d).version_hash);
}

/* Moving a byte from the key to the value, or changing any field, changes the digest. */
static void digest_covers_every_field(void **state)
{
	const struct entry_view all[] = {
		entry_of(KIND_NAME, "key", 1, 5, 6, "value"),
		entry_of(KIND_LINK, "key", 1, 5, 6, "value"),
		entry_of(KIND_NAME, "kez", 1, 5, 6, "value"),
		entry_of(KIND_NAME, "key", 2, 5, 6, "value"),
		entry_of(KIND_NAME, "key", 1, 6, 6, "value"),
		entry_of(KIND_NAME, "key", 1, 5, 7, "value"),
		entry_of(KIND_NAME, "key", 1, 5, 6, "valuf"),
		entry_of(KIND_NAME, "key", 1, 5, 6, ""),
		entry_of(KIND_NAME, "key", 1, 5, 6, NULL),
		entry_of(KIND_NAME, "keyv", 1, 5, 6, "alue"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(all); i++)
		for (size_t j = 0; j < i; j++) {
			struct entry_hashes a = hashes_of(&all[i]), b = hashes_of(&all[j]);

			assert_true(a.digest.high != b.digest.high);
			assert_true(a.digest.low != b.digest.low);
			assert_true(a.key_hash != b.key_hash || a.version_hash != b.version_hash);
		}
}

static void toggling_twice_is_nothing(void **state)
{
	static const struct digest zero;
	struct digest d = { 0 };

	(void)state;
	digest_toggle(&d, 0xab00000000000000u, (struct hash128){ 1, 2 });
	digest_toggle(&d, 0xcd00000000000000u, (struct hash128){ 4, 8 });
	assert_true(d.whole.high == 5 && d.whole.low == 10);
	assert_true(d.buckets[0xab].low == 2 && d.buckets[0xcd].high == 4);
	digest_toggle(&d, 0xab00000000000000u, (struct hash128){ 1, 2 });
	digest_toggle(&d, 0xcd00000000000000u, (struct hash128){ 4, 8 });
	assert_memory_equal(&d, &zero, sizeof d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_the_published_ones),
		cmocka_unit_test(key_hash_covers_kind_and_key_only),
		cmocka_unit_test(digest_covers_every_field),
		cmocka_unit_test(toggling_twice_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
