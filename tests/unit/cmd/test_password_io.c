#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "../../../cmd/password_io.h"

static char path[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(path, "/tmp/weave-password-XXXXXX");
	return close(mkstemp(path));
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

static void write_file(const char *content, size_t size, mode_t mode)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(content, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static bool load_file(struct passwords **out, bool *exposed, struct why *why)
{
	struct weaver_options o = { .password_file = path, .password_fd = -1 };

	return passwords_load(&o, out, exposed, why);
}

static void assert_password(const struct passwords *p, unsigned index, const char *text)
{
	assert_true(index < p->count);
	assert_int_equal(p->list[index].size, strlen(text));
	assert_memory_equal(p->list[index].bytes, text, strlen(text));
	assert_int_not_equal(p->list[index].id, 0);
}

static void a_text_is_copied_and_wiped_where_it_stood(void **state)
{
	char argument[] = "--password=hush hush", variable[] = "WEAVE_PASSWORD=other";
	struct weaver_options o = { .password = argument + 11, .password_fd = -1 };
	struct passwords *p;
	struct why why;
	bool exposed;

	(void)state;
	putenv(variable);
	assert_true(passwords_load(&o, &p, &exposed, &why));
	assert_int_equal(p->count, 1);
	assert_password(p, 0, "hush hush");
	assert_null(o.password);
	for (size_t i = 11; i < sizeof argument; i++)
		assert_int_equal(argument[i], 0);
	for (size_t i = 15; i < sizeof variable; i++)
		assert_int_equal(variable[i], 0);
	assert_null(getenv("WEAVE_PASSWORD"));
	passwords_free(p);
}

static void no_password_is_none(void **state)
{
	struct weaver_options o = { .password_fd = -1 };
	struct passwords *p = (struct passwords *)1;
	struct why why;
	bool exposed;

	(void)state;
	assert_true(passwords_load(&o, &p, &exposed, &why));
	assert_null(p);
	passwords_free(p);
}

static void a_descriptor_is_read_to_its_end(void **state)
{
	struct weaver_options o = { 0 };
	struct passwords *p;
	struct why why;
	bool exposed;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	o.password_fd = fds[0];
	/* As given: this came from an argument, in which a line end may be meant. */
	assert_int_equal(write(fds[1], "two\nlines\n", 10), 10);
	close(fds[1]);
	assert_true(passwords_load(&o, &p, &exposed, &why));
	assert_int_equal(p->count, 1);
	assert_password(p, 0, "two\nlines\n");
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	passwords_free(p);
}

static void files_hold_a_password_a_line(void **state)
{
	static const struct {
		const char *content, *first, *second;
	} files[] = { { "one", "one", NULL },
		      { "one\n", "one", NULL },
		      { "one\r\n", "one", NULL },
		      { "one two \n", "one two ", NULL },
		      { "\n\none\n\ntwo\n", "one", "two" },
		      { "one\r\ntwo", "one", "two" } };
	struct passwords *p;
	struct why why;
	bool exposed;

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		write_file(files[i].content, strlen(files[i].content), 0600);
		assert_true(load_file(&p, &exposed, &why));
		assert_false(exposed);
		assert_int_equal(p->count, files[i].second ? 2 : 1);
		assert_password(p, 0, files[i].first);
		if (files[i].second)
			assert_password(p, 1, files[i].second);
		passwords_free(p);
	}
}

static void what_is_wrong_with_a_file_is_said(void **state)
{
	static char longest[2 * PASSWORD_SIZE_MAX + 8];
	static const struct {
		const char *content;
		size_t size;
		const char *message;
	} files[] = {
		{ "", 0, "the password is empty" },
		{ "\r\n\n", 3, "the password is empty" },
		{ "a\0b", 3, "zero byte" },
		{ "a\nb\nc", 5, "more than 2 lines" },
		{ "a\na\n", 4, "the same password" },
		{ longest, PASSWORD_SIZE_MAX + 1, "longer than 1024 bytes" },
		{ longest, sizeof longest, "more than 2 passwords of 1024 bytes" },
	};
	struct passwords *p;
	struct why why;
	bool exposed;

	(void)state;
	memset(longest, 'x', sizeof longest);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		write_file(files[i].content, files[i].size, 0600);
		assert_false(load_file(&p, &exposed, &why));
		assert_null(p);
		assert_non_null(strstr(why.text, files[i].message));
		assert_non_null(strstr(why.text, path));
		assert_null(strstr(why.text, "xxx"));
	}
	write_file(longest, PASSWORD_SIZE_MAX, 0600);
	assert_true(load_file(&p, &exposed, &why));
	passwords_free(p);
}

static void who_else_may_read_it_matters(void **state)
{
	static const mode_t modes[] = { 0640, 0604, 0660 };
	struct passwords *p;
	struct why why;
	bool exposed;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		write_file("x", 1, modes[i]);
		assert_true(load_file(&p, &exposed, &why));
		assert_true(exposed);
		passwords_free(p);
	}
}

static void sets_are_joined_and_cut(void **state)
{
	struct passwords *old, *fresh, *both, *again, *one;
	struct why why;

	(void)state;
	assert_true(passwords_parse(bytes_of("old", 3), &old, &why));
	assert_true(passwords_parse(bytes_of("new", 3), &fresh, &why));
	both = passwords_join(fresh, old);
	assert_int_equal(both->count, 2);
	assert_password(both, 0, "new");
	assert_password(both, 1, "old");
	assert_int_equal(both->list[0].id, fresh->list[0].id);
	/* No room for a third; the same one counts once. */
	again = passwords_join(both, old);
	assert_int_equal(again->count, 2);
	passwords_free(again);
	again = passwords_join(old, both);
	assert_int_equal(again->count, 2);
	assert_password(again, 0, "old");
	assert_password(again, 1, "new");
	one = passwords_only(both, 1);
	assert_int_equal(one->count, 1);
	assert_password(one, 0, "old");
	passwords_free(one);
	passwords_free(again);
	passwords_free(both);
	passwords_free(fresh);
	passwords_free(old);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_copied_and_wiped_where_it_stood),
		cmocka_unit_test(no_password_is_none),
		cmocka_unit_test(a_descriptor_is_read_to_its_end),
		cmocka_unit_test(files_hold_a_password_a_line),
		cmocka_unit_test(what_is_wrong_with_a_file_is_said),
		cmocka_unit_test(who_else_may_read_it_matters),
		cmocka_unit_test(sets_are_joined_and_cut),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("password_io", tests, set_up, tear_down);
}
