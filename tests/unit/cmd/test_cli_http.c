/* Asking a server that takes its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <poll.h>
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

#include "../../../cmd/cli_http_io.h"

#define SLOW_MS 4500 /* longer than CLI_NOTE_S */

struct bench {
	char directory[64], socket_path[96], err_path[96];
	int listener;
	pid_t server;
};

static int set_up(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct bench *b = calloc(1, sizeof *b);

	assert_non_null(b);
	strcpy(b->directory, "/tmp/weave-http-XXXXXX");
	assert_non_null(mkdtemp(b->directory));
	snprintf(b->socket_path, sizeof b->socket_path, "%s/s", b->directory);
	snprintf(b->err_path, sizeof b->err_path, "%s/err", b->directory);
	strcpy(a.sun_path, b->socket_path);
	b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(b->listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(b->listener, 4), 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	if (b->server > 0) {
		kill(b->server, SIGKILL);
		waitpid(b->server, NULL, 0);
	}
	close(b->listener);
	unlink(b->socket_path);
	unlink(b->err_path);
	assert_int_equal(rmdir(b->directory), 0);
	free(b);
	return 0;
}

/* A process that takes one request and answers it after 'delay_ms'; its exit code is 0 if the
 * client was still there then. */
static void serve(struct bench *b, int delay_ms)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes";

	fflush(NULL);
	b->server = fork();
	assert_true(b->server >= 0);
	if (b->server == 0) {
		int fd = accept(b->listener, NULL, NULL);
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char request[1024];

		MUST(fd >= 0 && recv(fd, request, sizeof request, 0) > 0);
		if (poll(&p, 1, delay_ms) > 0)
			_exit(1); /* its end: nothing else comes */
		MUST(send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) > 0);
		_exit(0);
	}
}

static int server_result(struct bench *b)
{
	int status;

	assert_int_equal(waitpid(b->server, &status, 0), b->server);
	b->server = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What cli_http says on stderr goes to 'said'. */
static void ask(struct bench *b, long timeout_s, const char *note, struct cli_answer *answer,
		char *said, size_t size)
{
	struct cli_request r = { .socket_path = b->socket_path,
				 .method = "GET",
				 .path = "/ring",
				 .timeout_s = timeout_s,
				 .note = note };
	int saved = dup(2), fd = open(b->err_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	assert_true(saved >= 0 && fd >= 0);
	assert_int_equal(dup2(fd, 2), 2);
	cli_http(&r, answer);
	assert_int_equal(dup2(saved, 2), 2);
	close(saved);
	n = pread(fd, said, size - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	close(fd);
}

static void it_waits_as_long_as_it_takes_and_says_so_once(void **state)
{
	struct bench *b = *state;
	struct cli_answer answer;
	char said[256];

	serve(b, SLOW_MS);
	ask(b, CLI_NO_TIMEOUT, "patience", &answer, said, sizeof said);
	assert_int_equal(answer.failure, 0);
	assert_int_equal(answer.status, 200);
	assert_string_equal(text_string(&answer.body), "yes");
	assert_string_equal(said, "weave: patience\n");
	cli_answer_fini(&answer);
	assert_int_equal(server_result(b), 0);
}

static void a_quick_answer_needs_no_note(void **state)
{
	struct bench *b = *state;
	struct cli_answer answer;
	char said[256];

	serve(b, 0);
	ask(b, CLI_NO_TIMEOUT, "patience", &answer, said, sizeof said);
	assert_int_equal(answer.status, 200);
	assert_string_equal(said, "");
	cli_answer_fini(&answer);
	assert_int_equal(server_result(b), 0);
}

static void a_timeout_closes_the_connection(void **state)
{
	struct bench *b = *state;
	struct cli_answer answer;
	char said[256];

	serve(b, 60000);
	ask(b, 1, NULL, &answer, said, sizeof said);
	assert_int_equal(answer.failure, 28);
	assert_string_equal(said, "");
	cli_answer_fini(&answer);
	assert_int_equal(server_result(b), 1);
}

int main(void)
{
#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		HTTP_TEST(it_waits_as_long_as_it_takes_and_says_so_once),
		HTTP_TEST(a_quick_answer_needs_no_note),
		HTTP_TEST(a_timeout_closes_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
