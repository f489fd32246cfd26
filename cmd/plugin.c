/* weave-plugin's main: Docker's plugin sockets, always there, in front of a router that may not be.
 *
 * It has no state but promises (docker_front_io.c), so it may be ended and started at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include <weave/docker_front_io.h>
#include <weave/must.h>
#include <weave/pid_file_io.h>
#include <weave/text.h>

#define RUN_DIR "/run/weave"
#define STATE_DIR "/var/lib/weave"
#define SOCKET "/run/docker/plugins/weave.sock"
#define MESH_SOCKET "/run/docker/plugins/weavemesh.sock"
#define SYSTEMD_FIRST_FD 3
#define PATH_MAX_LENGTH 80u

static const char usage[] =
	"Usage: weave-plugin [options]\n"
	"Answers Docker on the sockets of its network plugins weave and weavemesh, for the router\n"
	"on this host.  Options, with defaults in parentheses:\n"
	"  --run-dir <dir>     where the router's control socket is (" RUN_DIR ")\n"
	"  --state-dir <dir>   for what was promised to Docker (" STATE_DIR ")\n"
	"  --socket <path>     listen there; repeat; none when systemd hands sockets over\n"
	"                      (" SOCKET " and weavemesh.sock)\n"
	"  --router <weaver>   run the router, too, and again when it ends, with the options in\n"
	"                      EXTRA_ARGS: in a managed plugin of Docker's\n"
	"  --log-level <level> debug, info, warning or error (info)\n"
	"  --ready-fd <fd>     write 'ready' or 'error <text>' there\n"
	"  --version, --help   print that and exit\n";

struct options {
	const char *run_dir, *state_dir;
	struct docker_front_config front;
	enum log_level log_level;
	int ready_fd;
	const char *router; /* program to run; NULL: somebody else does */
};

#define ROUTER_ARGS_MAX 64
#define ROUTER_RETRY_S 1

static void write_line(void *ctx, enum log_level level, const char *line)
{
	static const char *const names[] = { "DEBU", "INFO", "WARN", "ERRO" };
	struct timespec now;
	struct tm utc;
	char stamp[32];

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
	/* One call: lines of several threads do not mix. */
	fprintf(stderr, "%s: %s.%03ldZ %s\n", names[level], stamp, now.tv_nsec / 1000000, line);
}

static bool set_level(const char *value, enum log_level *level)
{
	static const char *const names[] = { "debug", "info", "warning", "error" };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(value, names[i]) != 0)
			continue;
		*level = (enum log_level)i;
		return true;
	}
	return false;
}

static bool is_path(const char *value)
{
	return value[0] == '/' && strlen(value) <= PATH_MAX_LENGTH;
}

static bool set_fd(const char *value, int *fd)
{
	char *end;
	long n = strtol(value, &end, 10);

	*fd = (int)n;
	return *value && !*end && n > 2 && n < 1 << 20;
}

/* False when it does not fit. */
static bool apply(struct options *o, const char *name, const char *value)
{
	if (strcmp(name, "--log-level") == 0)
		return set_level(value, &o->log_level);
	if (strcmp(name, "--ready-fd") == 0)
		return set_fd(value, &o->ready_fd);
	if (!is_path(value))
		return false;
	if (strcmp(name, "--run-dir") == 0)
		o->run_dir = value;
	else if (strcmp(name, "--router") == 0)
		o->router = value;
	else if (strcmp(name, "--state-dir") == 0)
		o->state_dir = value;
	else if (strcmp(name, "--socket") == 0 && o->front.sockets_count < DOCKER_FRONT_SOCKETS_MAX)
		o->front.sockets[o->front.sockets_count++] = value;
	else
		return false;
	return true;
}

/* 0: run; else the exit code, plus one. */
static int parse(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--version") == 0) {
			printf("weave %s\n", WEAVE_VERSION);
			return 1;
		}
		if (strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			return 1;
		}
		if (i + 1 >= argc || !apply(o, argv[i], argv[i + 1])) {
			fprintf(stderr, "weave-plugin: bad option %.60s\n%s", argv[i], usage);
			return 2;
		}
	}
	return 0;
}

/* sd_listen_fds(3), without the library. */
static void take_systemd_sockets(struct options *o)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

	if (!pid || !count || atol(pid) != (long)getpid())
		return;
	for (int i = 0; i < atoi(count) && o->front.fds_count < DOCKER_FRONT_SOCKETS_MAX; i++) {
		fcntl(SYSTEMD_FIRST_FD + i, F_SETFD, FD_CLOEXEC);
		o->front.fds[o->front.fds_count++] = SYSTEMD_FIRST_FD + i;
	}
}

static void report(const struct options *o, const char *what, const char *text)
{
	if (o->ready_fd >= 0) {
		dprintf(o->ready_fd, "%s %s\n", what, text);
		close(o->ready_fd);
	}
}

static bool make_folder(const char *path, struct why *why)
{
	char part[PATH_MAX_LENGTH + 1];

	for (size_t i = 1; i <= strlen(path); i++) {
		if (path[i] && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, path[i] ? 0755 : 0700) < 0 && errno != EEXIST) {
			why_set(why, WHY_INVALID, "cannot make folder %.90s: %s", part,
				strerror(errno));
			return false;
		}
	}
	return true;
}

/* ---- the router as a child ---- */

/* The container of a managed plugin has its sysctls read-only, and the router sets those of its
 * bridge.  Elsewhere this fails, and nothing is lost. */
static void allow_sysctls(void)
{
	if (mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL) < 0)
		return;
}

/* In the child; never returns. */
static void become_router(const struct options *o)
{
	static char words[4096];
	char *args[ROUTER_ARGS_MAX + 1] = { NULL }, *save = NULL;
	const char *head[] = { "weaver",     "--run-dir",    o->run_dir, "--state-dir",
			       o->state_dir, "--docker-api", "" };
	const char *extra = getenv("EXTRA_ARGS");
	size_t count = ARRAY_COUNT(head);
	sigset_t none;

	memcpy(args, head, sizeof head); /* exec takes them without const */
	snprintf(words, sizeof words, "%s", extra ? extra : "");
	for (char *word = strtok_r(words, " ", &save); word && count < ROUTER_ARGS_MAX;
	     word = strtok_r(NULL, " ", &save))
		args[count++] = word;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	allow_sysctls();
	execv(o->router, args);
	fprintf(stderr, "weave-plugin: cannot run %s: %s\n", o->router, strerror(errno));
	_exit(1);
}

static pid_t start_router(const struct options *o)
{
	pid_t pid = fork();

	if (pid == 0)
		become_router(o);
	return pid;
}

/* Until a signal ends us; a router that ends is started again. */
static void serve(const struct options *o, const sigset_t *signals)
{
	const struct timespec retry = { .tv_sec = ROUTER_RETRY_S };
	pid_t router = o->router ? start_router(o) : -1;
	int number;

	for (;;) {
		number = o->router ? sigtimedwait(signals, NULL, &retry)
				   : sigwaitinfo(signals, NULL);
		if (number > 0)
			break;
		if (router > 0 && waitpid(router, NULL, WNOHANG) != router)
			continue;
		if (o->router)
			router = start_router(o);
	}
	if (router > 0) {
		kill(router, SIGTERM);
		waitpid(router, NULL, 0);
	}
}

static int run(struct options *o)
{
	struct log log = { .level = o->log_level, .write = write_line };
	struct text router = { 0 }, promises = { 0 }, pid_file = { 0 };
	struct docker_front *front = NULL;
	struct why why = { 0 };
	sigset_t signals;
	int lock = -1, rc = 1;

	text_add(&router, "%s/weave.sock", o->run_dir);
	text_add(&promises, "%s/plugin.later", o->state_dir);
	text_add(&pid_file, "%s/plugin.pid", o->run_dir);
	o->front.router = text_string(&router);
	o->front.promises = text_string(&promises);
	/* Before any thread: they inherit it. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (make_folder(o->run_dir, &why) && make_folder(o->state_dir, &why))
		/* `weave` knows by it whom to end. */
		lock = pid_file_lock(text_string(&pid_file), "weave-plugin", &why);
	if (lock >= 0 && docker_front_new(&o->front, &log, &front, &why) == 0) {
		log_info(&log, "weave %s plugin ready, for the router on %s", WEAVE_VERSION,
			 text_string(&router));
		report(o, "ready", "");
		serve(o, &signals);
		log_info(&log, "plugin stopped");
		docker_front_free(front);
		rc = 0;
	} else {
		log_error(&log, "cannot start: %s", why.text);
		report(o, "error", why.text);
	}
	if (lock >= 0)
		close(lock);
	text_fini(&router);
	text_fini(&promises);
	text_fini(&pid_file);
	return rc;
}

int main(int argc, char **argv)
{
	struct options o = { .run_dir = RUN_DIR,
			     .state_dir = STATE_DIR,
			     .log_level = LOG_INFO_LEVEL,
			     .ready_fd = -1 };
	int rc = parse(&o, argc, argv);

	if (rc)
		return rc - 1;
	take_systemd_sockets(&o);
	if (o.front.sockets_count == 0 && o.front.fds_count == 0) {
		o.front.sockets[0] = SOCKET;
		o.front.sockets[1] = MESH_SOCKET;
		o.front.sockets_count = 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = run(&o);
	curl_global_cleanup();
	return rc;
}
