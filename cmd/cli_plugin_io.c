#include "cli_plugin_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weave/pid_file_io.h>

#define PROGRAM "weave-plugin"
#define READY_TIMEOUT_MS 10000
#define END_TIMEOUT_MS 5000

static bool somebody_answers(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;
	bool ok;

	if (strlen(path) >= sizeof address.sun_path)
		return false;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ok = fd >= 0 && (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ||
			 errno == EAGAIN);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Beside our own program, else wherever PATH says. */
static void find_program(char *path, size_t size)
{
	char own[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
	char *slash;

	if (length > 0) {
		own[length] = '\0';
		slash = strrchr(own, '/');
		if (slash &&
		    snprintf(path, size, "%.*s/" PROGRAM, (int)(slash - own), own) < (int)size &&
		    access(path, X_OK) == 0)
			return;
	}
	snprintf(path, size, PROGRAM);
}

/* In the child; never returns. */
static void become_plugin(const struct weaver_options *o, int ready_fd, int log_fd)
{
	char path[PATH_MAX], fd_text[16];
	const char *argv[] = { PROGRAM,
			       "--run-dir",
			       o->run_dir,
			       "--state-dir",
			       o->state_dir,
			       "--ready-fd",
			       fd_text,
			       "--socket",
			       o->plugin_sockets[0],
			       o->plugin_sockets[1] ? "--socket" : NULL,
			       o->plugin_sockets[1],
			       NULL };
	char *args[sizeof argv / sizeof argv[0]];
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	memcpy(args, argv, sizeof args); /* exec takes them without const */
	snprintf(fd_text, sizeof fd_text, "%d", ready_fd);
	find_program(path, sizeof path);
	setsid();
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
	    fcntl(ready_fd, F_SETFD, 0) < 0 || chdir("/") < 0)
		_exit(1);
	execvp(path, args);
	dprintf(ready_fd, "error cannot start %s: %s\n", path, strerror(errno));
	_exit(1);
}

/* NULL: it is ready; else why not. */
static const char *read_ready(int fd, char *line, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	ssize_t n = 0;

	do {
		if (poll(&p, 1, READY_TIMEOUT_MS) <= 0)
			return "it is not ready after 10 s";
		n = read(fd, line + used, size - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0 && used < size - 1 && !memchr(line, '\n', used));
	line[used] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "ready", 5) == 0)
		return NULL;
	return strncmp(line, "error ", 6) == 0 ? line + 6 : "it ended; see plugin.log";
}

static const char *start(const struct weaver_options *o, char *line, size_t size)
{
	char log_path[PATH_MAX];
	const char *wrong;
	int fds[2], log_fd;
	pid_t pid;

	snprintf(log_path, sizeof log_path, "%s/plugin.log", o->run_dir);
	log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (log_fd < 0)
		return "its log cannot be written";
	if (pipe2(fds, O_CLOEXEC) < 0) {
		close(log_fd);
		return "no pipe is to be had";
	}
	pid = fork();
	if (pid == 0)
		become_plugin(o, fds[1], log_fd);
	close(fds[1]);
	close(log_fd);
	wrong = pid > 0 ? read_ready(fds[0], line, size) : "no process is to be had";
	close(fds[0]);
	return wrong;
}

int cli_plugin_start(const struct weaver_options *o)
{
	bool wanted = o->plugin == PLUGIN_ON || (o->plugin == PLUGIN_AUTO && o->docker_api &&
						 access(o->docker_api, F_OK) == 0);
	const char *wrong;
	char line[512];

	if (!wanted || somebody_answers(o->plugin_sockets[0]))
		return 0;
	wrong = start(o, line, sizeof line);
	if (!wrong)
		return 0;
	fprintf(stderr, "weave: the router runs, but Docker's plugin does not: %s\n", wrong);
	return o->plugin == PLUGIN_ON;
}

static pid_t running(const char *run_dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/plugin.pid", run_dir);
	return pid_file_holder(path);
}

void cli_plugin_stop(const char *run_dir)
{
	pid_t pid = running(run_dir);
	int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0)
		return;
	/* Still the same process, or the number would be another's by now. */
	if (running(run_dir) == pid && pidfd_send_signal(pidfd, SIGTERM, NULL, 0) == 0 &&
	    poll(&p, 1, END_TIMEOUT_MS) == 0)
		pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	close(pidfd);
}
