#include "base_test.h"

#include <weave/segment.h>

static void keys_are_plain_words(void **state)
{
	char longest[SEGMENT_KEY_MAX + 2];

	(void)state;
	memset(longest, 'k', sizeof longest);
	longest[SEGMENT_KEY_MAX] = 0;
	assert_true(segment_key_ok(longest));
	longest[SEGMENT_KEY_MAX] = 'k';
	longest[SEGMENT_KEY_MAX + 1] = 0;
	assert_false(segment_key_ok(longest));
	assert_true(segment_key_ok("0"));
	assert_true(segment_key_ok("docker:shop/back_end.1-b"));
	assert_false(segment_key_ok(""));
	assert_false(segment_key_ok("-x"));
	assert_false(segment_key_ok("a b"));
	assert_false(segment_key_ok("a\n"));
	assert_false(segment_key_ok("a\x80"));
}

/* What routers of all releases must agree on: docs/PROTOCOL.md has the first two. */
static void numbers_stay_what_they_are(void **state)
{
	(void)state;
	assert_int_equal(segment_number_of(SEGMENT_DEFAULT_KEY), SEGMENT_DEFAULT);
	assert_int_equal(segment_number_of("blue"), 0xb7eebf);
	assert_int_equal(segment_number_of("red"), 0xd41c02);
	assert_int_not_equal(segment_number_of("reds"), segment_number_of("red"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_plain_words),
		cmocka_unit_test(numbers_stay_what_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
