#include "gossip_test.h"

static void check_names_the_bad_field(void **state)
{
	static uint8_t big[ENTRY_SIZE_MAX + 1];
	struct entry_view good = entry_of(KIND_UNKNOWN, "k", 7, 1, 1, "v"), e;

	(void)state;
	assert_null(entry_check(&good));
	e = good, e.kind = 0;
	assert_string_equal(entry_check(&e), "entry.kind");
	e = good, e.flags = 2;
	assert_string_equal(entry_check(&e), "entry.flags");
	e = good, e.writer = 0;
	assert_string_equal(entry_check(&e), "entry.writer");
	e = good, e.writer = PEER_NAME_MAX + 1;
	assert_string_equal(entry_check(&e), "entry.writer");
	e = good, e.key.size = 0;
	assert_string_equal(entry_check(&e), "entry.key");
	e = good, e.key = bytes_of(big, ENTRY_KEY_MAX + 1);
	assert_string_equal(entry_check(&e), "entry.key");
	e = good, e.value = bytes_of(big, ENTRY_SIZE_MAX - 1);
	assert_null(entry_check(&e));
	e.value.size++;
	assert_string_equal(entry_check(&e), "entry.value");
	e = good, e.flags = ENTRY_TOMBSTONE;
	assert_string_equal(entry_check(&e), "entry.value");
}

/* A value that nothing can exceed would lock its key for ever. */
static void f5_numbers_from_2_to_the_62_are_malformed(void **state)
{
	struct entry_view e = entry_of(KIND_UNKNOWN, "k", 7, VERSION_LIMIT - 1, VERSION_LIMIT - 1,
				       "v");

	(void)state;
	assert_null(entry_check(&e));
	e.generation = VERSION_LIMIT;
	assert_string_equal(entry_check(&e), "entry.generation");
	e.generation = 1;
	e.version = UINT64_MAX;
	assert_string_equal(entry_check(&e), "entry.version");
}

/* Each pair differs in one field; the second wins. */
static void f5_merge_has_one_winner(void **state)
{
	const struct {
		struct entry_view loser, winner;
	} cases[] = {
		{ entry_of(4, "k", 7, 1, 9, "z"), entry_of(4, "k", 7, 2, 1, "a") },
		{ entry_of(4, "k", 7, 1, 1, "z"), entry_of(4, "k", 7, 1, 2, "a") },
		{ entry_of(4, "k", 8, 1, 1, "z"), entry_of(4, "k", 7, 1, 1, "a") },
		{ entry_of(4, "k", 7, 1, 1, "a"), entry_of(4, "k", 7, 1, 1, "b") },
		{ entry_of(4, "k", 7, 1, 1, "a"), entry_of(4, "k", 7, 1, 1, "aa") },
		{ entry_of(4, "k", 7, 1, 1, NULL), entry_of(4, "k", 7, 1, 1, "a") },
		{ entry_of(4, "k", 7, 1, 1, ""), entry_of(4, "k", 7, 1, 1, NULL) },
		{ entry_of(KIND_VOTE, "k", 7, 1, 1, "b"), entry_of(KIND_VOTE, "k", 7, 1, 1, "a") },
		{ entry_of(4, "k", 7, 0, 0, "a"),
		  entry_of(4, "k", 7, VERSION_LIMIT - 1, VERSION_LIMIT - 1, "a") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_true(entry_compare(&cases[i].winner, &cases[i].loser) > 0);
		assert_true(entry_compare(&cases[i].loser, &cases[i].winner) < 0);
		assert_int_equal(entry_compare(&cases[i].loser, &cases[i].loser), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_names_the_bad_field),
		cmocka_unit_test(f5_numbers_from_2_to_the_62_are_malformed),
		cmocka_unit_test(f5_merge_has_one_winner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
