/* Namespaces for kernel tests.  Every test program moves into a fresh network namespace before its
 * first test, so nothing it makes outlives the process or touches the host's interfaces.
 */
#ifndef WEAVE_TESTS_NET_TESTING_H
#define WEAVE_TESTS_NET_TESTING_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/net.h>

static inline void enter_fresh_namespace(const char *program)
{
	if (unshare(CLONE_NEWNET) == 0)
		return;
	/* In TAP, which the runner reads. */
	printf("ok 1 - %s # SKIP no new network namespace: %s\n", program, strerror(errno));
	exit(0);
}

/* A namespace beside ours, like a container's: the caller closes the fd, and with it goes all. */
static inline int new_namespace(void)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), fd;

	assert_true(home >= 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	assert_true(fd >= 0);
	return fd;
}

/* A path by which others can open the namespace of 'fd' as long as that is open. */
static inline const char *namespace_path(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/%d/fd/%d", (int)getpid(), fd);
	return path;
}

static inline struct cidr cidr_of(const char *text)
{
	struct cidr c;

	MUST(cidr_parse(text, &c));
	return c;
}

static inline struct mac mac_of(const char *text)
{
	struct mac m;

	MUST(mac_parse(text, &m));
	return m;
}

static inline void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

/* What stands in /proc/sys/net/<path> of the calling thread's namespace, without the newline. */
static inline const char *sysctl_read(const char *path, char *value, size_t size)
{
	char full[160];
	ssize_t n;
	int fd;

	snprintf(full, sizeof full, "/proc/sys/net/%s", path);
	fd = open(full, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, value, size - 1);
	close(fd);
	assert_true(n > 0);
	value[n] = 0;
	value[strcspn(value, "\n")] = 0;
	return value;
}

/* Calls must succeed; the kernel's words are shown when not. */
#define NET_OK(net, call)                                                                          \
	do {                                                                                       \
		int ok_rc = (call);                                                                \
		if (ok_rc)                                                                         \
			print_error("%s: %s\n", #call, net_error(net));                            \
		assert_int_equal(ok_rc, 0);                                                        \
	} while (0)

#define WHY_OK(why, call)                                                                          \
	do {                                                                                       \
		int ok_rc = (call);                                                                \
		if (ok_rc)                                                                         \
			print_error("%s: %d %s\n", #call, ok_rc, (why).text);                      \
		assert_int_equal(ok_rc, 0);                                                        \
	} while (0)

#endif
