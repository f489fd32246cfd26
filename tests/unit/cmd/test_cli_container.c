/* From a container's name to its network namespace: paths, process ids, a Docker that is a
 * process of ours.  The namespace belongs to a child; nothing else is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <weave/must.h>

#include "../../../cmd/cli_container_io.h"

struct bench {
	char directory[64], socket_path[96];
	pid_t container, docker;
};

static bool not_root(void)
{
	if (geteuid() != 0)
		print_message("skipped: only root can make a namespace\n");
	return geteuid() != 0;
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof *b);
	char url[128], c;
	int ready[2];

	assert_non_null(b);
	*state = b;
	strcpy(b->directory, "/tmp/weave-container-XXXXXX");
	assert_non_null(mkdtemp(b->directory));
	snprintf(b->socket_path, sizeof b->socket_path, "%s/docker.sock", b->directory);
	snprintf(url, sizeof url, "unix://%s", b->socket_path);
	assert_int_equal(setenv("DOCKER_HOST", url, 1), 0);
	if (geteuid() != 0)
		return 0;
	assert_int_equal(pipe(ready), 0);
	b->container = fork();
	assert_true(b->container >= 0);
	if (b->container == 0) {
		MUST(unshare(CLONE_NEWNET) == 0);
		MUST(write(ready[1], "r", 1) == 1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return 0;
}

static void end(pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	end(&b->container);
	end(&b->docker);
	unlink(b->socket_path);
	rmdir(b->directory);
	free(b);
	return 0;
}

/* A Docker that answers every request with 'status' and 'body'. */
static void start_docker(struct bench *b, const char *status, const char *body)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	end(&b->docker);
	unlink(b->socket_path);
	strcpy(a.sun_path, b->socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 8), 0);
	b->docker = fork();
	assert_true(b->docker >= 0);
	if (b->docker == 0) {
		for (;;) {
			char request[4096];
			int c = accept(fd, NULL, NULL);

			if (read(c, request, sizeof request) > 0)
				dprintf(c,
					"HTTP/1.1 %s\r\nContent-Length: %zu\r\n"
					"Connection: close\r\n\r\n%s",
					status, strlen(body), body);
			close(c);
		}
	}
	close(fd);
}

static void expect_failure(const char *name, const char *reason)
{
	struct cli_container found;
	struct text message = { 0 };

	assert_false(cli_container_find(name, &found, &message));
	if (!strstr(text_string(&message), reason))
		fail_msg("%s: the message is: %s", name, text_string(&message));
	text_fini(&message);
}

static void expect_container(const char *name, const char *id, pid_t pid)
{
	struct cli_container found;
	struct text message = { 0 };
	char netns[64];

	if (!cli_container_find(name, &found, &message))
		fail_msg("%s", text_string(&message));
	snprintf(netns, sizeof netns, "/proc/%d/ns/net", (int)pid);
	assert_string_equal(found.id, id);
	assert_string_equal(found.netns, netns);
	text_fini(&message);
}

static void processes_and_paths_are_found(void **state)
{
	struct bench *b = *state;
	char path[64], pid[16];

	if (not_root())
		skip();
	snprintf(pid, sizeof pid, "%d", (int)b->container);
	snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
	expect_container(pid, pid, b->container);
	expect_container(path, pid, b->container);
}

static void what_is_no_container_is_named(void **state)
{
	char own[16];

	(void)state;
	snprintf(own, sizeof own, "%d", (int)getpid());
	expect_failure(own, "namespace of the host");
	expect_failure("/proc/self/ns/net", "namespace of the host");
	expect_failure("/nowhere/at/all", "/nowhere/at/all");
	expect_failure("no/where", "no/where");
	expect_failure("/etc/passwd", "not a network namespace");
	expect_failure("", "empty");
	expect_failure("a b", "blanks");
	expect_failure("..", "Docker");
	expect_failure("c1", "Docker does not answer");
	assert_int_equal(setenv("DOCKER_HOST", "tcp://1.2.3.4:5", 1), 0);
	expect_failure("c1", "tcp://1.2.3.4:5");
}

static void docker_is_asked(void **state)
{
	struct bench *b = *state;
	char body[256];

	if (not_root())
		skip();
	snprintf(body, sizeof body, "{\"Id\":\"0123abcd\",\"State\":{\"Running\":true,\"Pid\":%d}}",
		 (int)b->container);
	start_docker(b, "200 OK", body);
	expect_container("web", "0123abcd", b->container);
	start_docker(b, "200 OK", "{\"Id\":\"01\",\"State\":{\"Running\":false,\"Pid\":0}}");
	expect_failure("web", "not running");
	start_docker(b, "404 Not Found", "{\"message\":\"No such container\"}");
	expect_failure("web", "no such");
	start_docker(b, "500 Oops", "");
	expect_failure("web", "500");
	start_docker(b, "200 OK", "hello");
	expect_failure("web", "not JSON");
	start_docker(b, "200 OK", "[1]");
	expect_failure("web", "not understood");
	snprintf(body, sizeof body, "{\"Id\":\"01\",\"State\":{\"Running\":true,\"Pid\":%d}}",
		 (int)getpid());
	start_docker(b, "200 OK", body);
	expect_failure("web", "namespace of the host");
}

int main(void)
{
#define CONTAINER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CONTAINER_TEST(processes_and_paths_are_found),
		CONTAINER_TEST(what_is_no_container_is_named),
		CONTAINER_TEST(docker_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
