#include "base_test.h"

#include <weave/log.h>

struct sink {
	int lines;
	enum log_level level;
	char last[2000];
};

static void keep(void *ctx, enum log_level level, const char *line)
{
	struct sink *s = ctx;

	s->lines++;
	s->level = level;
	snprintf(s->last, sizeof s->last, "%s", line);
}

static void lines_below_the_level_are_dropped(void **state)
{
	struct sink sink = { 0 };
	struct log log = { LOG_WARNING_LEVEL, keep, &sink };

	(void)state;
	log_debug(&log, "no");
	log_info(&log, "no");
	assert_int_equal(sink.lines, 0);
	log_warning(&log, "peer=%s why=%d", "x", 7);
	assert_string_equal(sink.last, "peer=x why=7");
	log_error(&log, "worse");
	assert_int_equal(sink.lines, 2);
	assert_int_equal(sink.level, LOG_ERROR_LEVEL);
	log_error(NULL, "nobody listens");
}

static void long_lines_are_cut(void **state)
{
	struct sink sink = { 0 };
	struct log log = { LOG_DEBUG_LEVEL, keep, &sink };
	char text[3000];

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	log_info(&log, "%s", text);
	assert_int_equal(strlen(sink.last), 1023);
}

static void a_limit_says_how_many_it_swallowed(void **state)
{
	struct log_limit limit = { 0 };
	uint32_t swallowed = 99;

	(void)state;
	assert_true(log_limit_allows(&limit, (struct mono){ 1000 }, 500, &swallowed));
	assert_int_equal(swallowed, 0);
	for (uint64_t t = 1000; t < 1500; t += 100)
		assert_false(log_limit_allows(&limit, (struct mono){ t }, 500, &swallowed));
	assert_true(log_limit_allows(&limit, (struct mono){ 1500 }, 500, &swallowed));
	assert_int_equal(swallowed, 5);
	assert_true(log_limit_allows(&limit, (struct mono){ 2000 }, 500, &swallowed));
	assert_int_equal(swallowed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_below_the_level_are_dropped),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(a_limit_says_how_many_it_swallowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
