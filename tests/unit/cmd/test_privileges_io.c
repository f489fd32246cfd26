/* In a child each, for what is dropped does not come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../cmd/privileges_io.h"

/* The exit code of 'body' in a child that has dropped its privileges. */
static int in_child(int (*body)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		privileges_drop(NULL);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static unsigned long long status_number(const char *name, int base)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long value = 0;
	char line[256];

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			value = strtoull(line + strlen(name) + 1, NULL, base);
	if (f)
		fclose(f);
	return value;
}

#define BIT(cap) (1ull << (cap))

/* Numbers of linux/capability.h, which must never change. */
static int check_status(void)
{
	unsigned long long effective = status_number("CapEff", 16);
	unsigned long long permitted = status_number("CapPrm", 16);
	unsigned long long gone = BIT(0) /* chown */ | BIT(5) /* kill */ | BIT(6) | BIT(7) |
				  BIT(16) /* sys_module */ | BIT(17) | BIT(22) | BIT(25) | BIT(27);

	if (effective & gone || permitted & gone)
		return 1;
	if (getuid() == 0 && !(effective & BIT(12) /* net_admin */ && effective & BIT(21)))
		return 2;
	if (status_number("NoNewPrivs", 10) != 1)
		return 3;
	return status_number("Seccomp", 10) == 2 ? 0 : 4;
}

static int try_denied(void)
{
	char *const argv[] = { NULL };

	if (execve("/bin/true", argv, argv) == 0 || errno != EPERM)
		return 1;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 || errno != EPERM)
		return 2;
	if (setuid(0) == 0 || errno != EPERM)
		return 3;
	if (syscall(SYS_init_module, NULL, 0, "") == 0 || errno != EPERM)
		return 4;
	return system("true") == 0 ? 5 : 0;
}

static pid_t stranger;

static int try_needed(void)
{
	char path[32];
	int fd;

	if (getuid() != 0)
		return 0;
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0)
		return 1;
	close(fd);
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		return 2;
	close(fd);
	/* Of a container whose process belongs to somebody else. */
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)stranger);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 3;
	close(fd);
	return 0;
}

static void start_stranger(void)
{
	int fds[2];
	char c;

	assert_int_equal(pipe(fds), 0);
	stranger = fork();
	assert_true(stranger >= 0);
	if (stranger == 0) {
		/* It ends with us, even if an assertion ends us first. */
		if (setgid(65534) < 0 || setuid(65534) < 0 ||
		    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || write(fds[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
}

static void what_is_not_needed_is_gone(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_status), 0);
	assert_int_equal(in_child(try_denied), 0);
}

static void what_is_needed_stays(void **state)
{
	(void)state;
	if (getuid() == 0)
		start_stranger();
	assert_int_equal(in_child(try_needed), 0);
	if (stranger > 0) {
		kill(stranger, SIGKILL);
		waitpid(stranger, NULL, 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_needed_is_gone),
		cmocka_unit_test(what_is_needed_stays),
	};

	return cmocka_run_group_tests_name("privileges_io", tests, NULL, NULL);
}
