#include "testing.h"

#include <sys/stat.h>

static void own_and_other_are_told_apart(void **state)
{
	struct netns_id own, own_again, other;
	int fd = new_namespace(), self;

	(void)state;
	assert_int_equal(netns_identify_own(&own), 0);
	assert_int_equal(netns_open_pid(getpid(), &self), 0);
	assert_int_equal(netns_identify(self, &own_again), 0);
	assert_int_equal(netns_identify(fd, &other), 0);
	assert_true(netns_equal(own, own_again));
	assert_false(netns_equal(own, other));
	close(self);
	close(fd);
}

static void what_is_no_namespace_is_refused(void **state)
{
	char fifo[] = "/tmp/weave-test-XXXXXX", path[64];
	int fd, out = -7;

	(void)state;
	assert_int_equal(netns_open("/nowhere/at/all", &out), -ENOENT);
	assert_int_equal(netns_open("/etc/passwd", &out), -EINVAL);
	assert_int_equal(netns_open("/proc", &out), -EINVAL);
	assert_int_equal(netns_open("/proc/self/ns/mnt", &out), -EINVAL);
	/* Opening a FIFO for real would wait for a writer. */
	fd = mkstemp(fifo);
	assert_true(fd >= 0);
	close(fd);
	snprintf(path, sizeof path, "%s.fifo", fifo);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(netns_open(path, &out), -EINVAL);
	unlink(path);
	unlink(fifo);
	assert_int_equal(out, -7);
}

static void a_visit_comes_back(void **state)
{
	struct netns_id own, now, other;
	struct netns_visit visit;
	int fd = new_namespace();

	(void)state;
	assert_int_equal(netns_identify_own(&own), 0);
	assert_int_equal(netns_identify(fd, &other), 0);
	assert_int_equal(netns_enter(fd, &visit), 0);
	assert_int_equal(netns_identify_own(&now), 0);
	assert_true(netns_equal(now, other));
	netns_leave(&visit);
	netns_leave(&visit);
	assert_int_equal(netns_identify_own(&now), 0);
	assert_true(netns_equal(now, own));
	close(fd);
	/* A failed visit leaves us where we are. */
	assert_true(netns_enter(STDIN_FILENO, &visit) < 0);
	netns_leave(&visit);
	assert_int_equal(netns_identify_own(&now), 0);
	assert_true(netns_equal(now, own));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_and_other_are_told_apart),
		cmocka_unit_test(what_is_no_namespace_is_refused),
		cmocka_unit_test(a_visit_comes_back),
	};

	enter_fresh_namespace("test_netns_io");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
