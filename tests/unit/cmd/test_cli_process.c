/* Launch and stop, with shell scripts in weaver's place and a real API server in the router's.
 * Each command runs in a child of its own, whose output goes to files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>

#include <weave/must.h>

#include "../../../cmd/cli_process_io.h"
#include <weave/server_io.h>
#include "../plugin/fake_ops.h"

struct bench {
	char directory[64];
	char run_dir[96];
	char out[2048], err[4096]; /* of the last command */
	pid_t router;
	/* What the router does: */
	bool ipam;
	enum why_reason refuse;
	const char *says;
};

/* Finds the descriptor to report to, and leaves its process id for us. */
#define SCRIPT                                                                                     \
	"#!/bin/sh\n"                                                                              \
	"echo $$ >\"$(dirname \"$0\")/pid\"\n"                                                     \
	"while [ $# -gt 0 ]; do [ \"$1\" = --ready-fd ] && fd=/proc/self/fd/$2; shift; done\n"

static void path_in(const struct bench *b, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", b->directory, name);
}

static void read_file(const struct bench *b, const char *name, char *text, size_t size)
{
	char path[128];
	size_t n = 0;
	FILE *f;

	path_in(b, name, path, sizeof path);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, size - 1, f);
		fclose(f);
	}
	text[n] = '\0';
}

static void write_weaver(const struct bench *b, const char *script)
{
	char path[128];
	FILE *f;

	path_in(b, "weaver", path, sizeof path);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(script, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

static void redirect(const struct bench *b, const char *name, int to)
{
	char path[128];
	int fd;

	path_in(b, name, path, sizeof path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0 && dup2(fd, to) == to);
}

/* 'verb' with up to two arguments for weaver; returns the exit code. */
static int command(struct bench *b, const char *verb, const char *first, const char *second)
{
	const char *args[] = { first, second };
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		redirect(b, "out", 1);
		redirect(b, "err", 2);
		if (strcmp(verb, "launch") == 0)
			status = cli_launch(b->run_dir, b->directory, args,
					    (size_t)(first != NULL) + (second != NULL));
		else if (strcmp(verb, "reset") == 0)
			status = cli_reset(b->run_dir, b->directory,
					   first && strcmp(first, "--force") == 0);
		else
			status = cli_stop(b->run_dir);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	read_file(b, "out", b->out, sizeof b->out);
	read_file(b, "err", b->err, sizeof b->err);
	return WEXITSTATUS(status);
}

/* The process id that the script left, 0 if it never ran. */
static pid_t script_pid(const struct bench *b)
{
	char text[32];

	read_file(b, "pid", text, sizeof text);
	return (pid_t)atoi(text);
}

static bool script_runs(const struct bench *b)
{
	pid_t pid = script_pid(b);

	return pid > 0 && kill(pid, 0) == 0;
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof *b);
	char path[512];

	assert_non_null(b);
	strcpy(b->directory, "/tmp/weave-cli-XXXXXX");
	assert_non_null(mkdtemp(b->directory));
	snprintf(b->run_dir, sizeof b->run_dir, "%s/run", b->directory);
	snprintf(path, sizeof path, "%s:/usr/bin:/bin", b->directory);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_int_equal(unsetenv("WEAVE_PASSWORD"), 0);
	*state = b;
	return 0;
}

static void remove_files(const char *directory)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	char path[512];

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
		if (e->d_type != DT_DIR)
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(directory);
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	if (script_runs(b))
		kill(script_pid(b), SIGKILL);
	if (b->router > 0) {
		kill(b->router, SIGKILL);
		waitpid(b->router, NULL, 0);
	}
	remove_files(b->run_dir);
	remove_files(b->directory);
	free(b);
	return 0;
}

static bool not_root(void)
{
	if (geteuid() != 0)
		print_message("skipped: only root may launch\n");
	return geteuid() != 0;
}

static void launch_returns_when_the_router_is_ready(void **state)
{
	struct bench *b = *state;
	char log[256];

	if (not_root())
		skip();
	write_weaver(b, SCRIPT "echo starting >&2\n"
			       "echo ready 7a:00:00:00:00:01 >$fd\n"
			       "exec sleep 60\n");
	assert_int_equal(command(b, "launch", "--port=7000", "h1"), 0);
	assert_string_equal(b->out, "7a:00:00:00:00:01\n");
	assert_string_equal(b->err, "");
	assert_true(script_runs(b));
	assert_int_equal(getsid(script_pid(b)), script_pid(b));
	read_file(b, "run/weaver.log", log, sizeof log);
	assert_string_equal(log, "starting\n");
}

static void what_weaver_says_is_shown(void **state)
{
	struct bench *b = *state;

	if (not_root())
		skip();
	write_weaver(b, SCRIPT "echo error port 6783 is taken >$fd\nexit 1\n");
	assert_int_equal(command(b, "launch", NULL, NULL), 1);
	assert_string_equal(b->err, "weave: port 6783 is taken\n");
	assert_string_equal(b->out, "");
	assert_false(script_runs(b));
	/* One that says so and stays is ended. */
	write_weaver(b, SCRIPT "echo error no luck >$fd\nexec sleep 60\n");
	assert_int_equal(command(b, "launch", NULL, NULL), 1);
	assert_string_equal(b->err, "weave: no luck\n");
	assert_false(script_runs(b));
	write_weaver(b, SCRIPT "echo error a router is already running here >$fd\nexit 1\n");
	assert_int_equal(command(b, "launch", NULL, NULL), 3);
}

/* Its arguments, what it was handed, and what its environment says. */
#define PASSWORD_SCRIPT                                                                            \
	"#!/bin/sh\n"                                                                              \
	"dir=$(dirname \"$0\")\n"                                                                  \
	"echo \"$@\" >\"$dir/args\"; env >\"$dir/env\"\n"                                          \
	"while [ $# -gt 0 ]; do\n"                                                                 \
	"[ \"$1\" = --ready-fd ] && fd=/proc/self/fd/$2\n"                                         \
	"[ \"$1\" = --password-fd ] && cat /proc/self/fd/$2 >\"$dir/password\"\n"                  \
	"shift; done\n"                                                                            \
	"echo ready 7a:00:00:00:00:01 >$fd\n"

static void the_password_goes_to_weaver_unseen(void **state)
{
	static char separate[] = "hush hush", joined[] = "--password=hush hush",
		    variable[] = "WEAVE_PASSWORD=hush hush", other[] = "WEAVE_PASSWORD=overruled";
	struct bench *b = *state;
	char text[4096];

	if (not_root())
		skip();
	write_weaver(b, PASSWORD_SCRIPT);
	for (int way = 0; way < 3; way++) {
		putenv(way == 2 ? variable : other);
		assert_int_equal(command(b, "launch",
					 way == 0   ? "--password"
					 : way == 1 ? joined
						    : NULL,
					 way == 0 ? separate : NULL),
				 0);
		unsetenv("WEAVE_PASSWORD");
		read_file(b, "password", text, sizeof text);
		assert_string_equal(text, "hush hush");
		read_file(b, "args", text, sizeof text);
		assert_non_null(strstr(text, "--password-fd"));
		assert_null(strstr(text, "hush"));
		read_file(b, "env", text, sizeof text);
		assert_non_null(strstr(text, "PATH="));
		assert_null(strstr(text, "WEAVE_PASSWORD"));
	}
}

static void a_silent_death_is_explained(void **state)
{
	struct bench *b = *state;

	if (not_root())
		skip();
	write_weaver(b, SCRIPT "echo last words >&2\nexit 5\n");
	assert_int_equal(command(b, "launch", NULL, NULL), 1);
	assert_non_null(strstr(b->err, "ended with code 5"));
	assert_non_null(strstr(b->err, "last words"));
	/* Only what this launch wrote. */
	write_weaver(b, SCRIPT "echo other words >&2\nkill -SEGV $$\n");
	assert_int_equal(command(b, "launch", NULL, NULL), 1);
	assert_non_null(strstr(b->err, "signal 11"));
	assert_non_null(strstr(b->err, "other words"));
	assert_null(strstr(b->err, "last words"));
}

static void what_cannot_be_started_is_named(void **state)
{
	struct bench *b = *state;

	if (not_root())
		skip();
	assert_int_equal(command(b, "launch", NULL, NULL), 1);
	assert_non_null(strstr(b->err, "cannot start weaver"));
}

static void mistakes_start_nothing(void **state)
{
	static const char *const wrong[] = { "--bogus",	     "--port=x", "--reset",
					     "--ready-fd=9", "a b",	 "--password=" };
	struct bench *b = *state;

	write_weaver(b, SCRIPT "echo ready x >$fd\n");
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(command(b, "launch", wrong[i], NULL), 1);
		assert_true(strlen(b->err) > 10);
	}
	assert_int_equal(script_pid(b), 0);
	assert_int_equal(access(b->run_dir, F_OK), -1);
}

/* --- with a router ------------------------------------------------------------------------ */

/* The fake comes first: its operations get a pointer to the whole. */
struct router {
	struct fake fake;
	struct ev_loop *loop;
};

static void end_loop(void *ctx)
{
	ev_break(((struct router *)ctx)->loop, EVBREAK_ALL);
}

static void router_status(void *ctx, struct status *s)
{
	(void)ctx;
	sample_status(s);
	s->bridge = "br-fake";
}

static void leave_calls(const struct bench *b, const struct router *r)
{
	redirect(b, "calls", 1);
	MUST(write(1, text_string(&r->fake.calls), r->fake.calls.size) ==
	     (ssize_t)r->fake.calls.size);
}

/* In the child. */
static void serve(const struct bench *b, int ready_fd)
{
	static struct router r;
	char path[128];
	struct api_ops ops = fake_ops(&r.fake);
	struct server_config config = { .socket_path = path };
	struct server *server = NULL;
	struct why why;

	r.loop = ev_default_loop(EVFLAG_AUTO);
	r.fake.ipam = b->ipam;
	r.fake.refuse = b->refuse;
	r.fake.says = b->says;
	snprintf(path, sizeof path, "%s/weave.sock", b->run_dir);
	ops.stop = end_loop;
	ops.status = router_status;
	MUST(server_new(&server, &config, &ops, r.loop, NULL, &why) == 0);
	MUST(write(ready_fd, "r", 1) == 1);
	ev_run(r.loop, 0);
	for (int i = 0; i < 10; i++) /* let the answer go out */
		ev_run(r.loop, EVRUN_NOWAIT);
	server_free(server);
	leave_calls(b, &r);
	_exit(0);
}

/* A process that serves the API until it is asked to stop. */
static void start_router(struct bench *b)
{
	int ready[2];
	char c;

	assert_int_equal(mkdir(b->run_dir, 0755), 0);
	assert_int_equal(pipe(ready), 0);
	fflush(NULL);
	b->router = fork();
	assert_true(b->router >= 0);
	if (b->router == 0)
		serve(b, ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
}

/* What it was asked to do, after its end. */
static void expect_calls(struct bench *b, const char *expected)
{
	char calls[512];

	assert_int_equal(waitpid(b->router, NULL, 0), b->router);
	b->router = 0;
	read_file(b, "calls", calls, sizeof calls);
	assert_string_equal(calls, expected);
}

static void stop_waits_until_the_router_is_gone(void **state)
{
	struct bench *b = *state;
	struct pollfd p = { .events = POLLIN };

	start_router(b);
	p.fd = pidfd_open(b->router, 0);
	assert_true(p.fd >= 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(command(b, "stop", NULL, NULL), 0);
	assert_string_equal(b->err, "");
	assert_int_equal(poll(&p, 1, 0), 1);
	close(p.fd);
	assert_int_equal(command(b, "stop", NULL, NULL), 0);
	assert_string_equal(b->err, "weave is not running.\n");
}

static void nothing_to_stop_is_no_error(void **state)
{
	struct bench *b = *state;

	assert_int_equal(command(b, "stop", NULL, NULL), 0);
	assert_string_equal(b->err, "weave is not running.\n");
	start_router(b);
	kill(b->router, SIGKILL);
	waitpid(b->router, NULL, 0);
	b->router = 0;
	assert_int_equal(command(b, "stop", NULL, NULL), 0);
	assert_string_equal(b->err, "weave is not running.\n");
}

static void reset_stops_and_has_the_daemon_clean_up(void **state)
{
	struct bench *b = *state;
	char said[512];

	if (not_root())
		skip();
	write_weaver(b, "#!/bin/sh\necho \"$@\" >\"$(dirname \"$0\")/said\"\nexit 7\n");
	start_router(b);
	assert_int_equal(command(b, "reset", NULL, NULL), 7);
	assert_int_equal(waitpid(b->router, NULL, 0), b->router);
	b->router = 0;
	read_file(b, "said", said, sizeof said);
	assert_non_null(strstr(said, "--reset\n"));
	assert_non_null(strstr(said, b->run_dir));
}

#define CLEANS "#!/bin/sh\necho \"$@\" >\"$(dirname \"$0\")/said\"\n"

static bool cleaned_up(const struct bench *b)
{
	char said[512];

	read_file(b, "said", said, sizeof said);
	return strstr(said, "--reset\n") != NULL;
}

static void reset_hands_the_addresses_over_first(void **state)
{
	struct bench *b = *state;

	if (not_root())
		skip();
	write_weaver(b, CLEANS);
	b->ipam = true;
	b->says = "host2 has them";
	start_router(b);
	assert_int_equal(command(b, "reset", NULL, NULL), 0);
	assert_string_equal(b->out, "host2 has them\n");
	assert_string_equal(b->err, "");
	expect_calls(b, "hand over 0\n");
	assert_true(cleaned_up(b));
}

static void addresses_that_nobody_takes_stop_a_reset(void **state)
{
	struct bench *b = *state;

	if (not_root())
		skip();
	write_weaver(b, CLEANS);
	b->ipam = true;
	b->refuse = WHY_TRANSPORT;
	start_router(b);
	assert_int_equal(command(b, "reset", NULL, NULL), 1);
	assert_string_equal(b->err, "the fake refuses\n"
				    "weave: the addresses of this router were not given to "
				    "another peer; --force goes on without that\n");
	assert_int_equal(kill(b->router, 0), 0);
	assert_false(cleaned_up(b));

	assert_int_equal(command(b, "reset", "--force", NULL), 0);
	assert_non_null(strstr(b->err, "going on, as --force says"));
	expect_calls(b, "hand over 0\nhand over 1\n");
	assert_true(cleaned_up(b));
}

static void addresses_of_a_stopped_router_are_not_lost_by_accident(void **state)
{
	struct bench *b = *state;
	char path[128];
	int fd;

	if (not_root())
		skip();
	write_weaver(b, CLEANS);
	path_in(b, "ipam.db", path, sizeof path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(command(b, "reset", NULL, NULL), 1);
	assert_non_null(strstr(b->err, "the router does not run"));
	assert_false(cleaned_up(b));
	assert_int_equal(command(b, "reset", "--force", NULL), 0);
	assert_true(cleaned_up(b));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(command(b, "reset", NULL, NULL), 0);
}

int main(void)
{
#define PROCESS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		PROCESS_TEST(launch_returns_when_the_router_is_ready),
		PROCESS_TEST(what_weaver_says_is_shown),
		PROCESS_TEST(the_password_goes_to_weaver_unseen),
		PROCESS_TEST(a_silent_death_is_explained),
		PROCESS_TEST(what_cannot_be_started_is_named),
		PROCESS_TEST(mistakes_start_nothing),
		PROCESS_TEST(stop_waits_until_the_router_is_gone),
		PROCESS_TEST(nothing_to_stop_is_no_error),
		PROCESS_TEST(reset_stops_and_has_the_daemon_clean_up),
		PROCESS_TEST(reset_hands_the_addresses_over_first),
		PROCESS_TEST(addresses_that_nobody_takes_stop_a_reset),
		PROCESS_TEST(addresses_of_a_stopped_router_are_not_lost_by_accident),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
