#include "base_test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weave/pid_file_io.h>

/* So much takes the kernel some hundredths of a second to give back, and locks are let go after it.
 */
#define HEAVY_SIZE (256u << 20)

static char path[] = "/tmp/weave-pid-XXXXXX";

static int make_place(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0)
		return -1;
	close(fd);
	return unlink(path);
}

static int remove_place(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

/* Another process that holds the file, and much memory. */
static pid_t start_holder(void)
{
	struct why why = { 0 };
	int fds[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *heavy = mmap(NULL, HEAVY_SIZE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (heavy == MAP_FAILED || pid_file_lock(path, "a test", &why) < 0)
			_exit(1);
		memset(heavy, 1, HEAVY_SIZE);
		_exit(write(fds[1], heavy, 1) == 1 ? pause() : 1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	return pid;
}

static void who_lives_keeps_it(void **state)
{
	pid_t holder = start_holder();
	struct why why = { 0 };
	char number[16];

	(void)state;
	assert_int_equal(pid_file_holder(path), holder);
	assert_int_equal(pid_file_lock(path, "a test", &why), -EBUSY);
	snprintf(number, sizeof number, "%d", (int)holder);
	assert_non_null(strstr(why.text, number));
	assert_non_null(strstr(why.text, "a test is already running"));
	kill(holder, SIGKILL);
	assert_int_equal(waitpid(holder, NULL, 0), holder);
}

/* Its parent has not even heard of it. */
static void who_was_killed_is_waited_for(void **state)
{
	(void)state;
	for (int n = 0; n < 3; n++) {
		pid_t holder = start_holder();
		struct why why = { 0 };
		int fd;

		kill(holder, SIGKILL);
		fd = pid_file_lock(path, "a test", &why);
		if (fd < 0)
			fail_msg("%s", why.text);
		assert_int_equal(pid_file_holder(path), getpid());
		close(fd);
		assert_int_equal(pid_file_holder(path), 0);
		assert_int_equal(waitpid(holder, NULL, 0), holder);
	}
}

static void what_cannot_be_opened_is_named(void **state)
{
	struct why why = { 0 };

	(void)state;
	assert_int_equal(pid_file_lock("/nowhere/at.pid", "a test", &why), -ENOENT);
	assert_non_null(strstr(why.text, "/nowhere/at.pid"));
	assert_int_equal(pid_file_holder("/nowhere/at.pid"), 0);
	/* Whoever may write to the folder leads us nowhere else. */
	assert_int_equal(symlink("/nowhere/else", path), 0);
	assert_int_equal(pid_file_lock(path, "a test", &why), -ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(who_lives_keeps_it, remove_place),
		cmocka_unit_test_teardown(who_was_killed_is_waited_for, remove_place),
		cmocka_unit_test_teardown(what_cannot_be_opened_is_named, remove_place),
	};

	return cmocka_run_group_tests(tests, make_place, NULL);
}
