#include "cli_process_io.h"

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
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/text.h>

#include "cli_http_io.h"
#include "cli_plugin_io.h"
#include "options.h"

#define EXIT_RUNNING 3 /* of a launch while the router runs */
#define STOP_ANSWER_S 5L
#define LOG_TAIL_SIZE 2000
#define READY_LINE_SIZE 1024
#define ADDRESSES_FILE "ipam.db" /* in the state folder: <weave/ipam_io.h> */
#define EXIT_TIMEOUT_MS 3000	 /* for a weaver that said it failed */

extern char **environ;

static int complain(const char *what, const char *name)
{
	fprintf(stderr, "weave: %s %s: %s\n", what, name, strerror(errno));
	return 1;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits until 'fd' is readable; false when 'deadline' (of now_ms) passes first. */
static bool wait_readable(int fd, long long deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		long long left = deadline - now_ms();
		int rc = poll(&p, 1, left > 0 ? (int)left : 0);

		if (rc > 0)
			return true;
		if (rc == 0 || errno != EINTR)
			return false;
	}
}

/* --- weaver's program --------------------------------------------------------------------- */

/* Beside our own program, else wherever PATH says. */
static void find_weaver(char *path, size_t size)
{
	char own[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
	char *slash;

	if (length > 0) {
		own[length] = '\0';
		slash = strrchr(own, '/');
		if (slash &&
		    snprintf(path, size, "%.*s/weaver", (int)(slash - own), own) < (int)size &&
		    access(path, X_OK) == 0)
			return;
	}
	snprintf(path, size, "weaver");
}

/* weaver's arguments: the directories, 'more' (up to a NULL), then what the user gave.  The array
 * is the caller's to free, the texts are borrowed. */
static char **weaver_arguments(const char *run_dir, const char *state_dir, const char *const *more,
			       const char *const *args, size_t count)
{
	const char *head[] = { "weaver", "--run-dir", run_dir, "--state-dir", state_dir };
	size_t head_count = sizeof head / sizeof head[0], more_count = 0, n = 0;
	char **argv;

	while (more[more_count])
		more_count++;
	argv = mem_new(head_count + more_count + count + 1, sizeof *argv);
	for (size_t i = 0; i < head_count; i++)
		memcpy(&argv[n++], &head[i], sizeof *argv); /* exec takes them without const */
	for (size_t i = 0; i < more_count; i++)
		memcpy(&argv[n++], &more[i], sizeof *argv);
	for (size_t i = 0; i < count; i++)
		memcpy(&argv[n++], &args[i], sizeof *argv);
	return argv;
}

/* Runs weaver in the foreground and returns its exit code. */
static int run_weaver(char **argv)
{
	char path[PATH_MAX];
	int status;
	pid_t pid;

	find_weaver(path, sizeof path);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return complain("cannot start", path);
	if (pid == 0) {
		execvp(path, argv);
		complain("cannot start", path);
		_exit(1);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return complain("lost", path);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "weave: weaver was ended by signal %d\n", WTERMSIG(status));
	return 1;
}

int cli_daemon_version(void)
{
	char name[] = "weaver", option[] = "--version";
	char *argv[] = { name, option, NULL };

	return run_weaver(argv);
}

/* --- launch ------------------------------------------------------------------------------- */

struct launch {
	char log_path[PATH_MAX];
	int log_fd;
	off_t log_start; /* what is behind it was written by this launch */
	pid_t pid;
	int ready_fd;
	int password_fd; /* a pipe that holds the password; -1 none was given by value */
};

static const char *const nothing[] = { NULL };

static bool make_directory(const char *path, mode_t mode)
{
	char partial[PATH_MAX];
	size_t length = strlen(path);

	if (length >= sizeof partial) {
		errno = ENAMETOOLONG;
		return false;
	}
	for (size_t i = 1; i <= length; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(partial, path, i);
		partial[i] = '\0';
		if (mkdir(partial, path[i] ? 0755 : mode) < 0 && errno != EEXIST)
			return false;
	}
	return true;
}

static bool open_log(struct launch *l, const char *run_dir)
{
	if (!make_directory(run_dir, 0755)) {
		complain("cannot make", run_dir);
		return false;
	}
	snprintf(l->log_path, sizeof l->log_path, "%s/weaver.log", run_dir);
	l->log_fd = open(l->log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (l->log_fd < 0) {
		complain("cannot open", l->log_path);
		return false;
	}
	l->log_start = lseek(l->log_fd, 0, SEEK_END);
	return true;
}

/* In the child; returns only to leave. */
static void become_weaver(const struct launch *l, int ready_fd, const char *path, char **argv)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(l->log_fd, 1) < 0 ||
	    dup2(l->log_fd, 2) < 0 || fcntl(ready_fd, F_SETFD, 0) < 0 ||
	    (l->password_fd >= 0 && fcntl(l->password_fd, F_SETFD, 0) < 0) || chdir("/") < 0) {
		dprintf(ready_fd, "error cannot prepare weaver: %s\n", strerror(errno));
		_exit(1);
	}
	execvp(path, argv);
	dprintf(ready_fd, "error cannot start %s: %s\n", path, strerror(errno));
	_exit(1);
}

static bool start_weaver(struct launch *l, const char *run_dir, const char *state_dir,
			 const char *const *args, size_t count)
{
	char path[PATH_MAX], fd_text[16], password_text[16];
	const char *more[] = { "--ready-fd", fd_text, NULL, NULL, NULL };
	char **argv;
	int fds[2];

	find_weaver(path, sizeof path);
	if (pipe2(fds, O_CLOEXEC) < 0) {
		complain("cannot start", path);
		return false;
	}
	/* Above 2, even if somebody started us with those closed. */
	l->ready_fd = fcntl(fds[0], F_DUPFD_CLOEXEC, 10);
	close(fds[0]);
	fds[0] = fcntl(fds[1], F_DUPFD_CLOEXEC, 10);
	close(fds[1]);
	fds[1] = fds[0];
	snprintf(fd_text, sizeof fd_text, "%d", fds[1]);
	if (l->password_fd >= 0) {
		snprintf(password_text, sizeof password_text, "%d", l->password_fd);
		more[2] = "--password-fd";
		more[3] = password_text;
	}
	argv = weaver_arguments(run_dir, state_dir, more, args, count);
	fflush(NULL);
	l->pid = l->ready_fd < 0 || fds[1] < 0 ? -1 : fork();
	if (l->pid == 0)
		become_weaver(l, fds[1], path, argv);
	if (l->pid < 0)
		complain("cannot start", path);
	if (fds[1] >= 0)
		close(fds[1]);
	mem_free(argv);
	return l->pid > 0;
}

/* The line that weaver writes when it knows how its start went.  False: none came before the end
 * of the pipe or the deadline; '*timed_out' tells these apart. */
static bool read_ready_line(int fd, char *line, size_t size, bool *timed_out)
{
	long long deadline = now_ms() + CLI_LAUNCH_TIMEOUT_MS;
	size_t used = 0;

	for (*timed_out = false; used < size - 1;) {
		ssize_t n;

		if (!wait_readable(fd, deadline)) {
			*timed_out = true;
			return false;
		}
		n = read(fd, line + used, size - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		used += (size_t)n;
		line[used] = '\0';
		if (strchr(line, '\n')) {
			*strchr(line, '\n') = '\0';
			return true;
		}
	}
	return false;
}

/* Waits for the end of a weaver that failed, and brings it about if it takes too long. */
static int reap(pid_t pid, int timeout_ms)
{
	int pidfd = pidfd_open(pid, 0), status = 0;

	if (pidfd < 0 || !wait_readable(pidfd, now_ms() + timeout_ms))
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pidfd >= 0)
		close(pidfd);
	return status;
}

static void print_log_tail(const struct launch *l)
{
	char tail[LOG_TAIL_SIZE + 1];
	off_t end = lseek(l->log_fd, 0, SEEK_END), start = l->log_start;
	ssize_t n;
	char *from = tail;

	if (end - start > LOG_TAIL_SIZE)
		start = end - LOG_TAIL_SIZE;
	n = pread(l->log_fd, tail, LOG_TAIL_SIZE, start);
	if (n <= 0)
		return;
	tail[n] = '\0';
	if (start != l->log_start && strchr(tail, '\n'))
		from = strchr(tail, '\n') + 1;
	fprintf(stderr, "Its last messages, from %s:\n%s%s", l->log_path, from,
		tail[n - 1] == '\n' ? "" : "\n");
}

/* weaver ended, or must end now, without a word about why. */
static int explain_silence(const struct launch *l, bool timed_out)
{
	int status = reap(l->pid, timed_out ? 0 : EXIT_TIMEOUT_MS);

	if (timed_out)
		fprintf(stderr, "weave: weaver was not ready after %d s and was stopped\n",
			CLI_LAUNCH_TIMEOUT_MS / 1000);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "weave: weaver was ended by signal %d (%s) before it was ready\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "weave: weaver ended with code %d before it was ready\n",
			WEXITSTATUS(status));
	print_log_tail(l);
	return 1;
}

static int already_running(void)
{
	fprintf(stderr, "weave is already running; you can stop it with 'weave stop'.\n");
	return EXIT_RUNNING;
}

static int wait_until_ready(const struct launch *l)
{
	char line[READY_LINE_SIZE];
	bool timed_out;

	if (!read_ready_line(l->ready_fd, line, sizeof line, &timed_out))
		return explain_silence(l, timed_out);
	if (strncmp(line, "ready ", 6) == 0) {
		printf("%s\n", line + 6);
		return 0;
	}
	reap(l->pid, EXIT_TIMEOUT_MS);
	if (strncmp(line, "error ", 6) == 0 && strstr(line, "already running"))
		return already_running();
	fprintf(stderr, "weave: %s\n", strncmp(line, "error ", 6) == 0 ? line + 6 : line);
	return 1;
}

/* A connected socket, or -1. */
static int connect_router(const char *run_dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int size, fd;

	size = snprintf(address.sun_path, sizeof address.sun_path, "%s/weave.sock", run_dir);
	if (size < 0 || (size_t)size >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

/* What the daemon would refuse is refused here, before anything is started.  'argv' is weaver's. */
static bool check_options(char **argv, struct weaver_options *o)
{
	struct why why = { 0 };
	int count = 0;

	while (argv[1 + count])
		count++;
	if (!weaver_options_parse(o, count, (const char *const *)(argv + 1),
				  (const char *const *)environ, &why)) {
		fprintf(stderr, "weave launch: %s\n", why.text);
		return false;
	}
	if (o->mode == WEAVER_RUN && o->ready_fd < 0 && o->password_fd < 0)
		return true;
	fprintf(stderr, "weave launch: --reset, --version, --help, --ready-fd and --password-fd "
			"are weaver's own\n");
	weaver_options_fini(o);
	return false;
}

/* The arguments but for the password.  Its text is one of them, or the end of one. */
static size_t without_password(const char *const *args, size_t count, const char *password,
			       const char **kept)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (args[i] == password)
			n--; /* the option before it */
		else if (!password || password < args[i] || password > args[i] + strlen(args[i]))
			kept[n++] = args[i];
	}
	return n;
}

/* Hands the password over to a pipe and wipes it where the kernel shows it to others: in our own
 * arguments and environment.  False when there is no pipe to be had. */
static bool hide_password(struct weaver_options *o, struct launch *l)
{
	const char *inherited = getenv("WEAVE_PASSWORD");
	const char *texts[] = { o->password, inherited };
	size_t size = o->password ? strlen(o->password) : 0;
	bool ok = true;
	int fds[2];

	if (size) {
		/* It fits: a pipe takes 4096 bytes at least (PIPE_BUF). */
		ok = pipe2(fds, O_CLOEXEC) == 0 &&
		     write(fds[1], o->password, size) == (ssize_t)size;
		if (ok) {
			l->password_fd = fcntl(fds[0], F_DUPFD_CLOEXEC, 10);
			close(fds[0]);
			close(fds[1]);
			/* Without it the router would talk in clear. */
			ok = l->password_fd >= 0;
		}
		if (!ok)
			complain("cannot pass the password to", "weaver");
	}
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		char *at;

		if (!texts[i])
			continue;
		memcpy(&at, &texts[i], sizeof at); /* argv and environ are ours to write to */
		explicit_bzero(at, strlen(at));
	}
	unsetenv("WEAVE_PASSWORD");
	o->password = NULL;
	return ok;
}

/* The effective directories are in 'o': the arguments may name others than the global options. */
static int launch(struct weaver_options *o, const char *const *args, size_t args_count)
{
	struct launch l = { .log_fd = -1, .ready_fd = -1, .password_fd = -1 };
	const char **kept = mem_new(args_count + 1, sizeof *kept);
	size_t kept_count = without_password(args, args_count, o->password, kept);
	bool hidden = hide_password(o, &l);
	int result = 1;

	/* Whether one runs here is for weaver to say: it takes the locks. */
	if (hidden && open_log(&l, o->run_dir) &&
	    start_weaver(&l, o->run_dir, o->state_dir, kept, kept_count))
		result = wait_until_ready(&l);
	if (result == 0)
		result = cli_plugin_start(o);
	mem_free(kept);
	if (l.password_fd >= 0)
		close(l.password_fd);
	if (l.ready_fd >= 0)
		close(l.ready_fd);
	if (l.log_fd >= 0)
		close(l.log_fd);
	return result;
}

int cli_launch(const char *run_dir, const char *state_dir, const char *const *args,
	       size_t args_count)
{
	char **argv = weaver_arguments(run_dir, state_dir, nothing, args, args_count);
	struct weaver_options o;
	int result = 1;

	if (!check_options(argv, &o))
		goto out;
	if (geteuid() == 0)
		result = launch(&o, args, args_count);
	else
		fprintf(stderr, "weave launch: only root may start a router\n");
	weaver_options_fini(&o);
out:
	mem_free(argv);
	return result;
}

/* --- stop --------------------------------------------------------------------------------- */

static pid_t pid_from_file(const char *run_dir)
{
	char path[PATH_MAX];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/weaver.pid", run_dir);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%9d", &pid) != 1)
		pid = 0;
	fclose(f);
	return pid;
}

/* Who listens on the socket cannot be an unrelated process that got an old number; the file is
 * for routers in another pid namespace, where the kernel tells us 0. */
static pid_t router_pid(int fd, const char *run_dir)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0)
		return peer.pid;
	return pid_from_file(run_dir);
}

static int ask_to_stop(const char *run_dir)
{
	struct cli_request request = { .method = "POST",
				       .path = "/stop",
				       .timeout_s = STOP_ANSWER_S };
	struct cli_answer answer;
	struct text path = { 0 };
	int result = 0;

	text_add(&path, "%s/weave.sock", run_dir);
	request.socket_path = text_string(&path);
	cli_http(&request, &answer);
	if (answer.failure) {
		fprintf(stderr, "weave: the router does not answer: %s\n", answer.problem);
		result = answer.failure;
	} else if (answer.status / 100 != 2) {
		fprintf(stderr, "weave: %s", text_string(&answer.body));
		result = 1;
	}
	cli_answer_fini(&answer);
	text_fini(&path);
	return result;
}

/* As `docker stop` did it for Weave Net: ten seconds, then the hard way. */
static int wait_gone(int pidfd)
{
	if (wait_readable(pidfd, now_ms() + CLI_STOP_TIMEOUT_MS))
		return 0;
	fprintf(stderr, "weave: the router did not stop within %d s and is killed\n",
		CLI_STOP_TIMEOUT_MS / 1000);
	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return complain("cannot kill", "the router");
	return wait_readable(pidfd, now_ms() + EXIT_TIMEOUT_MS) ? 0 : 1;
}

int cli_stop(const char *run_dir)
{
	int fd = connect_router(run_dir), pidfd, result;
	pid_t pid;

	if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED)) {
		fprintf(stderr, "weave is not running.\n");
		return 0;
	}
	if (fd < 0)
		return complain("cannot reach the router in", run_dir);
	pid = router_pid(fd, run_dir);
	close(fd);
	pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
	if (pidfd < 0) {
		if (pid > 0 && errno == ESRCH)
			return 0;
		return complain("cannot find the process of", "the router");
	}
	result = ask_to_stop(run_dir);
	/* A router that hangs must still be possible to stop; one that refuses us must not. */
	if (result != 1)
		result = wait_gone(pidfd);
	close(pidfd);
	return result;
}

/* --- reset -------------------------------------------------------------------------------- */

static bool forgive(bool force, const char *consequence)
{
	fprintf(stderr,
		force ? "weave: %s; going on, as --force says\n"
		      : "weave: %s; --force goes on without that\n",
		consequence);
	return force;
}

/* The router said no, or nothing. */
static bool forgive_answer(const struct cli_answer *answer, bool force)
{
	const char *body = text_string(&answer->body);

	if (answer->failure)
		fprintf(stderr, "weave: the router does not answer: %s\n", answer->problem);
	else
		fprintf(stderr, "%s%s", body, *body && body[strlen(body) - 1] == '\n' ? "" : "\n");
	return forgive(force, "the addresses of this router were not given to another peer");
}

/* False: stop here. */
static bool hand_addresses_over(const char *run_dir, bool force)
{
	/* Force is for routers that hang, too. */
	struct cli_request request = { .method = "DELETE",
				       .path = force ? "/peer?force=true" : "/peer",
				       .timeout_s = force ? 0 : CLI_NO_TIMEOUT,
				       .note = "waiting for the peer that takes the addresses; "
					       "Ctrl-C gives up" };
	struct cli_answer answer;
	struct text path = { 0 };
	bool go_on = true;

	text_add(&path, "%s/weave.sock", run_dir);
	request.socket_path = text_string(&path);
	cli_http(&request, &answer);
	if (!answer.failure && answer.status / 100 == 2)
		fputs(text_string(&answer.body), stdout);
	else if (answer.failure || answer.status != 404) /* 404: it runs no IPAM */
		go_on = forgive_answer(&answer, force);
	cli_answer_fini(&answer);
	text_fini(&path);
	return go_on;
}

/* A router that does not run may own addresses: its database tells. */
static bool has_addresses(const char *state_dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/" ADDRESSES_FILE, state_dir);
	return access(path, F_OK) == 0;
}

int cli_reset(const char *run_dir, const char *state_dir, bool force)
{
	char **argv;
	int fd, result;

	if (geteuid() != 0) {
		fprintf(stderr, "weave reset: only root may do that\n");
		return 1;
	}
	fd = connect_router(run_dir);
	if (fd >= 0) {
		close(fd);
		if (!hand_addresses_over(run_dir, force))
			return 1;
	} else if (has_addresses(state_dir) &&
		   !forgive(force, "the router does not run, so its addresses cannot be given to "
				   "another peer")) {
		return 1;
	}
	result = cli_stop(run_dir);
	if (result == 0) {
		cli_plugin_stop(run_dir);
		argv = weaver_arguments(run_dir, state_dir,
					(const char *const[]){ "--reset", NULL }, NULL, 0);
		result = run_weaver(argv);
		mem_free(argv);
	}
	return result;
}
