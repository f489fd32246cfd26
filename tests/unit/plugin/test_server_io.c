/* The HTTP server on real sockets: answers, limits, clients that behave badly, and who may start
 * beside whom.  Server and clients share this thread: clients are non-blocking, and the loop turns
 * until something has come or the time is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>

#include <weave/api.h>
#include <weave/server_io.h>
#include "fake_ops.h"

#define PATIENCE_S 20.0

struct bench {
	char directory[64];
	char socket_path[96];
	struct ev_loop *loop;
	struct fake fake;
	struct api_ops ops;
	struct server_config config;
	struct server *server;
};

/* A free TCP port of the loopback interface; it is released again, so a retry may be needed. */
static uint16_t free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof *b);

	assert_non_null(b);
	strcpy(b->directory, "/tmp/weave-server-XXXXXX");
	assert_non_null(mkdtemp(b->directory));
	snprintf(b->socket_path, sizeof b->socket_path, "%s/weave.sock", b->directory);
	b->loop = ev_loop_new(EVFLAG_AUTO);
	b->ops = fake_ops(&b->fake);
	b->config.socket_path = b->socket_path;
	b->config.status_enabled = true;
	b->config.status_addr = (struct netaddr){ .ip = { 4, { 127, 0, 0, 1 } },
						  .port = free_port() };
	b->config.idle_timeout_s = 2;
	b->config.request_time_s = 4;
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	char path[128];

	server_free(b->server);
	ev_loop_destroy(b->loop);
	text_fini(&b->fake.calls);
	snprintf(path, sizeof path, "%s.lock", b->socket_path);
	unlink(path);
	unlink(b->socket_path);
	assert_int_equal(rmdir(b->directory), 0);
	free(b);
	return 0;
}

static void start(struct bench *b)
{
	struct why why = { 0 };

	if (server_new(&b->server, &b->config, &b->ops, b->loop, NULL, &why))
		fail_msg("%s", why.text);
}

static int connect_unix(const struct bench *b)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, b->socket_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static int connect_status(const struct bench *b)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(b->config.status_addr.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void turn(struct bench *b)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	ev_run(b->loop, EVRUN_NOWAIT);
	nanosleep(&pause, NULL);
}

static void send_text(struct bench *b, int fd, const char *text, size_t size)
{
	ev_tstamp end = ev_time() + PATIENCE_S;

	while (size > 0 && ev_time() < end) {
		ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

		if (n > 0) {
			text += n;
			size -= (size_t)n;
		} else if (errno != EAGAIN) {
			return; /* the server has had enough */
		}
		turn(b);
	}
}

/* All that comes until the server closes the connection; false when it never does. */
static bool receive(struct bench *b, int fd, struct text *out)
{
	ev_tstamp end = ev_time() + PATIENCE_S;
	char buffer[4096];

	while (ev_time() < end) {
		ssize_t n = recv(fd, buffer, sizeof buffer, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		if (n > 0)
			text_add_bytes(out, buffer, (size_t)n);
		else
			turn(b);
	}
	return false;
}

/* One request on 'fd', which is closed; the whole answer must have 'expected' in it. */
static void exchange(struct bench *b, int fd, const char *request, const char *expected)
{
	struct text answer = { 0 };

	send_text(b, fd, request, strlen(request));
	assert_true(receive(b, fd, &answer));
	if (!strstr(text_string(&answer), expected))
		fail_msg("no '%s' in the answer: %s", expected, text_string(&answer));
	text_fini(&answer);
	close(fd);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"

static void both_listeners_answer(void **state)
{
	struct bench *b = *state;

	start(b);
	exchange(b, connect_unix(b), GET("/status"), "Service: router");
	exchange(b, connect_unix(b), GET("/report?format=%7B%7B.Version%7D%7D"), "\r\n\r\n3.0.0");
	exchange(b, connect_status(b), GET("/status"), "Service: router");
	exchange(b, connect_status(b), GET("/metrics"), "version=0.0.4");
	exchange(b, connect_unix(b),
		 "GET /status HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"
		 "Connection: close\r\n\r\n",
		 "\"Ready\": true");
	exchange(b, connect_unix(b),
		 "POST /connect HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" FORM
		 "Content-Length: 15\r\n\r\npeer=h1&peer=h2",
		 "200 OK");
	assert_string_equal(text_string(&b->fake.calls), "connect h1 h2\n");
	exchange(b, connect_unix(b),
		 "DELETE /connect HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "Allow: POST");
}

static void the_tcp_listener_changes_nothing(void **state)
{
	struct bench *b = *state;

	start(b);
	exchange(b, connect_status(b),
		 "POST /stop HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		 "Content-Length: 0\r\n\r\n",
		 "403");
	exchange(b, connect_status(b), GET("/ps"), "403");
	assert_string_equal(text_string(&b->fake.calls), "");
}

static void bad_requests_get_their_answer(void **state)
{
	struct bench *b = *state;
	struct text big = { 0 };

	start(b);
	exchange(b, connect_unix(b), "what is this\r\n\r\n", "400");
	exchange(b, connect_unix(b),
		 "POST /connect HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		 "Content-Type: text/plain\r\nContent-Length: 7\r\n\r\npeer=h1",
		 "415");
	text_add(&big, "GET /status HTTP/1.1\r\nHost: x\r\nX-Big: %0100000d\r\n\r\n", 1);
	exchange(b, connect_unix(b), text_string(&big), "431");
	text_fini(&big);
	text_add(&big, "GET /%0100000d HTTP/1.1\r\nHost: x\r\n\r\n", 1);
	exchange(b, connect_unix(b), text_string(&big), "HTTP/1.1 4");
	text_fini(&big);
	text_add(&big,
		 "POST /connect HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" FORM
		 "Content-Length: 200005\r\n\r\npeer=%0200000d",
		 1);
	exchange(b, connect_unix(b), text_string(&big), "413");
	text_fini(&big);
	assert_string_equal(text_string(&b->fake.calls), "");
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
}

static void half_requests_are_dropped(void **state)
{
	struct bench *b = *state;
	struct text answer = { 0 };
	int silent, half;

	start(b);
	silent = connect_unix(b);
	half = connect_status(b);
	send_text(b, half, "GET /stat", 9);
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
	assert_true(receive(b, silent, &answer));
	assert_true(receive(b, half, &answer));
	text_fini(&answer);
	close(silent);
	close(half);
}

/* One byte every now and then keeps a connection from being idle. */
static void slow_requests_are_dropped(void **state)
{
	struct bench *b = *state;
	ev_tstamp end = ev_time() + PATIENCE_S, next = 0;
	int fd;
	char c;

	start(b);
	fd = connect_status(b);
	while (ev_time() < end) {
		if (ev_time() > next) {
			if (send(fd, "G", 1, MSG_NOSIGNAL) < 0)
				break;
			next = ev_time() + 0.2;
		}
		if (recv(fd, &c, 1, 0) == 0)
			break;
		turn(b);
	}
	assert_true(ev_time() < end);
	close(fd);
}

static void clients_that_never_read_hold_nobody_up(void **state)
{
	struct bench *b = *state;
	int fds[8];
	ev_tstamp end;

	b->fake.peers_count = 20000; /* a report of megabytes */
	start(b);
	for (size_t i = 0; i < 8; i++) {
		fds[i] = connect_unix(b); /* its buffers are small */
		send_text(b, fds[i], GET("/report"), strlen(GET("/report")));
	}
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
	/* They are cut off: what they had not read is lost. */
	end = ev_time() + b->config.request_time_s * 2;
	while (ev_time() < end)
		turn(b);
	for (size_t i = 0; i < 8; i++) {
		struct text answer = { 0 };

		assert_true(receive(b, fds[i], &answer));
		assert_null(strstr(text_string(&answer), "\"UptimeMs\""));
		text_fini(&answer);
		close(fds[i]);
	}
}

static void connections_are_limited_and_come_back(void **state)
{
	struct bench *b = *state;
	struct text answer = { 0 };
	int fds[100]; /* more than the limit, fewer than limit and backlog */

	start(b);
	for (size_t i = 0; i < 100; i++) {
		fds[i] = connect_status(b);
		turn(b);
	}
	/* The control socket has its own limit. */
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
	for (size_t i = 0; i < 100; i++) {
		send_text(b, fds[i], GET("/version"), strlen(GET("/version")));
		assert_true(receive(b, fds[i], &answer));
		close(fds[i]);
	}
	text_fini(&answer);
	exchange(b, connect_status(b), GET("/version"), "3.0.0");
}

/* --- answers that come later --- */

#define PRIME "GET /ring HTTP/1.1\r\nHost: x\r\n\r\n"
#define PRIME_ONCE "GET /ring HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void count_cancel(void *ctx)
{
	text_add_string(&((struct fake *)ctx)->calls, "cancelled\n");
}

static void start_holding(struct bench *b, void (*on_cancel)(void *ctx))
{
	b->fake.ipam = true;
	b->fake.hold = true;
	b->fake.on_cancel = on_cancel;
	start(b);
}

/* Until 'count' operations have begun. */
static void await_held(struct bench *b, size_t count)
{
	ev_tstamp end = ev_time() + PATIENCE_S;

	while (b->fake.held_count < count && ev_time() < end)
		turn(b);
	assert_int_equal(b->fake.held_count, count);
}

static void await_calls(struct bench *b, const char *calls)
{
	ev_tstamp end = ev_time() + PATIENCE_S;

	while (strcmp(text_string(&b->fake.calls), calls) != 0 && ev_time() < end)
		turn(b);
	assert_string_equal(text_string(&b->fake.calls), calls);
}

static void await_text(struct bench *b, int fd, const char *expected)
{
	ev_tstamp end = ev_time() + PATIENCE_S;
	struct text got = { 0 };
	char buffer[4096];

	while (!strstr(text_string(&got), expected) && ev_time() < end) {
		ssize_t n = recv(fd, buffer, sizeof buffer, 0);

		if (n > 0)
			text_add_bytes(&got, buffer, (size_t)n);
		else
			turn(b);
	}
	if (!strstr(text_string(&got), expected))
		fail_msg("no '%s' in: %s", expected, text_string(&got));
	text_fini(&got);
}

/* Longer than any request may take otherwise; then the same connection serves the next one. */
static void a_request_may_wait_as_long_as_it_takes(void **state)
{
	struct bench *b = *state;
	ev_tstamp until;
	char c;
	int fd;

	b->config.idle_timeout_s = 1;
	b->config.request_time_s = 1;
	start_holding(b, count_cancel);
	fd = connect_unix(b);
	send_text(b, fd, PRIME, strlen(PRIME));
	await_held(b, 1);
	until = ev_time() + 3.5; /* three times what would end another request */
	while (ev_time() < until) {
		turn(b);
		assert_int_equal(recv(fd, &c, 1, 0), -1);
	}
	api_reply_text(b->fake.held[0], "here it is");
	await_text(b, fd, "here it is\n");
	send_text(b, fd, PRIME_ONCE, strlen(PRIME_ONCE));
	await_held(b, 2);
	api_reply_text(b->fake.held[1], "and another");
	await_text(b, fd, "and another\n");
	close(fd);
	assert_string_equal(text_string(&b->fake.calls), "prime\nprime\n");
}

static void a_client_that_goes_away_cancels(void **state)
{
	struct bench *b = *state;
	int stays, goes;

	start_holding(b, count_cancel);
	stays = connect_unix(b);
	send_text(b, stays, PRIME_ONCE, strlen(PRIME_ONCE));
	await_held(b, 1);
	goes = connect_unix(b);
	send_text(b, goes, PRIME_ONCE, strlen(PRIME_ONCE));
	await_held(b, 2);
	close(goes);
	await_calls(b, "prime\nprime\ncancelled\n");
	api_reply_text(b->fake.held[0], "for who stayed");
	await_text(b, stays, "for who stayed");
	close(stays);
}

/* It has sent the next request before the first was answered: its end is not the next thing that
 * the socket tells. */
static void a_hasty_client_that_goes_away_cancels(void **state)
{
	struct bench *b = *state;
	int hasty, patient;

	b->config.request_time_s = 1;
	start_holding(b, count_cancel);
	patient = connect_unix(b);
	send_text(b, patient, PRIME PRIME_ONCE, strlen(PRIME PRIME_ONCE));
	hasty = connect_unix(b);
	send_text(b, hasty, PRIME PRIME_ONCE, strlen(PRIME PRIME_ONCE));
	await_held(b, 2);
	close(hasty);
	await_calls(b, "prime\nprime\ncancelled\n");
	api_reply_text(b->fake.held[0], "the first");
	await_text(b, patient, "the first\n");
	await_held(b, 3);
	api_reply_text(b->fake.held[2], "the second");
	await_text(b, patient, "the second\n");
	close(patient);
}

static void an_operation_without_cancel_ends_in_its_own_time(void **state)
{
	struct bench *b = *state;
	int fd;

	start_holding(b, NULL);
	fd = connect_unix(b);
	send_text(b, fd, PRIME_ONCE, strlen(PRIME_ONCE));
	await_held(b, 1);
	close(fd);
	/* The server has seen it when it serves others again. */
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
	api_reply_text(b->fake.held[0], "nobody reads this");
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
}

/* Answered in one turn, before libmicrohttpd has taken the connection back, the client closes. */
static void an_answer_for_a_closed_socket_is_dropped(void **state)
{
	struct bench *b = *state;
	int fd;

	start_holding(b, count_cancel);
	fd = connect_unix(b);
	send_text(b, fd, PRIME_ONCE, strlen(PRIME_ONCE));
	await_held(b, 1);
	api_reply_text(b->fake.held[0], "too late");
	close(fd);
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
	assert_string_equal(text_string(&b->fake.calls), "prime\n");
}

static void those_who_wait_are_told_that_the_server_stops(void **state)
{
	struct bench *b = *state;
	struct text answer = { 0 };
	int fds[3];

	start_holding(b, count_cancel);
	for (size_t i = 0; i < 3; i++) {
		fds[i] = connect_unix(b);
		send_text(b, fds[i], PRIME, strlen(PRIME));
		await_held(b, i + 1);
	}
	close(fds[1]); /* not seen before the end */
	server_free(b->server);
	b->server = NULL;
	assert_string_equal(text_string(&b->fake.calls),
			    "prime\nprime\nprime\ncancelled\ncancelled\ncancelled\n");
	for (size_t i = 0; i < 3; i += 2) {
		assert_true(receive(b, fds[i], &answer));
		assert_non_null(strstr(text_string(&answer), "503"));
		assert_non_null(strstr(text_string(&answer), "the router stops\n"));
		text_fini(&answer);
		close(fds[i]);
	}
}

/* A request that is read while the server stops is not begun. */
static void nothing_is_begun_while_the_server_stops(void **state)
{
	struct bench *b = *state;
	struct text answer = { 0 };
	int waits, late;

	start_holding(b, count_cancel);
	waits = connect_unix(b);
	late = connect_unix(b);
	send_text(b, late, "GET", 3);
	send_text(b, waits, PRIME, strlen(PRIME));
	await_held(b, 1);
	assert_int_equal(send(late, &PRIME[3], strlen(PRIME) - 3, MSG_NOSIGNAL),
			 (int)strlen(PRIME) - 3);
	server_free(b->server);
	b->server = NULL;
	assert_int_equal(b->fake.held_count, 1);
	assert_true(receive(b, late, &answer));
	text_fini(&answer);
	close(waits);
	close(late);
}

static void those_who_wait_leave_room_for_others(void **state)
{
	struct bench *b = *state;
	int fds[1000];
	size_t waiting = 0;

	start_holding(b, count_cancel);
	for (size_t i = 0; i < 900; i++) {
		fds[i] = connect_unix(b);
		send_text(b, fds[i], PRIME, strlen(PRIME));
		turn(b);
	}
	await_held(b, 900);
	for (const char *at = text_string(&b->fake.calls); (at = strstr(at, "cancelled")); at++)
		waiting++;
	assert_int_equal(waiting, 4);
	await_text(b, fds[899], "503");
	/* What does not wait for other routers goes on, at once or not. */
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
	fds[900] = connect_unix(b);
	send_text(b, fds[900], "DELETE /expose HTTP/1.1\r\nHost: x\r\n\r\n", 37);
	await_held(b, 901);
	api_reply_text(b->fake.held[900], "hidden");
	await_text(b, fds[900], "hidden");
	/* Room again. */
	close(fds[0]);
	close(fds[1]);
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
	fds[901] = connect_unix(b);
	send_text(b, fds[901], PRIME, strlen(PRIME));
	await_held(b, 902);
	api_reply_text(b->fake.held[901], "found room");
	await_text(b, fds[901], "found room");
	for (size_t i = 2; i < 902; i++)
		close(fds[i]);
}

/* Before the server comes to look. */
static void many_may_knock_at_once(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct bench *b = *state;
	int fds[500];

	start(b);
	strcpy(a.sun_path, b->socket_path);
	for (size_t i = 0; i < 500; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&a, sizeof a), 0);
	}
	exchange(b, fds[499], GET("/version"), "3.0.0");
	for (size_t i = 0; i < 499; i++)
		close(fds[i]);
}

static void the_socket_is_for_root_and_the_group(void **state)
{
	struct bench *b = *state;
	struct why why = { 0 };
	struct stat st;

	start(b);
	assert_int_equal(stat(b->socket_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	server_free(b->server);
	b->server = NULL;
	assert_int_equal(access(b->socket_path, F_OK), -1);

	b->config.socket_group = "no-such-group-here";
	assert_int_equal(server_new(&b->server, &b->config, &b->ops, b->loop, NULL, &why), -ENOENT);
	assert_non_null(strstr(why.text, "no-such-group-here"));
	assert_int_equal(access(b->socket_path, F_OK), -1);
	if (geteuid() == 0 && getgrnam("daemon")) {
		b->config.socket_group = "daemon";
		start(b);
		assert_int_equal(stat(b->socket_path, &st), 0);
		assert_int_equal(st.st_gid, getgrnam("daemon")->gr_gid);
	}
}

static void a_second_router_is_refused(void **state)
{
	struct bench *b = *state;
	struct server *second = NULL;
	struct why why = { 0 };
	char lock[128];

	start(b);
	assert_int_equal(server_new(&second, &b->config, &b->ops, b->loop, NULL, &why),
			 -EADDRINUSE);
	assert_non_null(strstr(why.text, "already running"));
	/* Even when somebody has removed the lock. */
	snprintf(lock, sizeof lock, "%s.lock", b->socket_path);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(server_new(&second, &b->config, &b->ops, b->loop, NULL, &why),
			 -EADDRINUSE);
	assert_null(second);
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
}

static void stale_sockets_go_and_other_files_stay(void **state)
{
	struct bench *b = *state;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct why why = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, b->socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	close(fd);
	start(b);
	exchange(b, connect_unix(b), GET("/version"), "3.0.0");
	server_free(b->server);
	b->server = NULL;

	fd = open(b->socket_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(server_new(&b->server, &b->config, &b->ops, b->loop, NULL, &why), -EEXIST);
	assert_int_equal(access(b->socket_path, F_OK), 0);
}

static void a_taken_port_is_named_and_leaves_nothing(void **state)
{
	struct bench *b = *state;
	struct why why = { 0 };
	char other[128];

	start(b);
	snprintf(other, sizeof other, "%s/other.sock", b->directory);
	b->config.socket_path = other;
	struct server *second = NULL;
	assert_int_equal(server_new(&second, &b->config, &b->ops, b->loop, NULL, &why),
			 -EADDRINUSE);
	assert_non_null(strstr(why.text, "127.0.0.1:"));
	assert_null(strstr(why.text, "already running"));
	assert_int_equal(access(other, F_OK), -1);
	strcat(other, ".lock");
	unlink(other);

	b->config.status_enabled = false;
	snprintf(other, sizeof other, "%s/other.sock", b->directory);
	assert_int_equal(server_new(&second, &b->config, &b->ops, b->loop, NULL, &why), 0);
	server_free(second);
	strcat(other, ".lock");
	unlink(other);
}

int main(void)
{
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SERVER_TEST(both_listeners_answer),
		SERVER_TEST(the_tcp_listener_changes_nothing),
		SERVER_TEST(bad_requests_get_their_answer),
		SERVER_TEST(half_requests_are_dropped),
		SERVER_TEST(slow_requests_are_dropped),
		SERVER_TEST(clients_that_never_read_hold_nobody_up),
		SERVER_TEST(connections_are_limited_and_come_back),
		SERVER_TEST(a_request_may_wait_as_long_as_it_takes),
		SERVER_TEST(a_client_that_goes_away_cancels),
		SERVER_TEST(a_hasty_client_that_goes_away_cancels),
		SERVER_TEST(an_operation_without_cancel_ends_in_its_own_time),
		SERVER_TEST(an_answer_for_a_closed_socket_is_dropped),
		SERVER_TEST(those_who_wait_are_told_that_the_server_stops),
		SERVER_TEST(nothing_is_begun_while_the_server_stops),
		SERVER_TEST(those_who_wait_leave_room_for_others),
		SERVER_TEST(many_may_knock_at_once),
		SERVER_TEST(the_socket_is_for_root_and_the_group),
		SERVER_TEST(a_second_router_is_refused),
		SERVER_TEST(stale_sockets_go_and_other_files_stay),
		SERVER_TEST(a_taken_port_is_named_and_leaves_nothing),
	};

	struct rlimit files;

	/* Both ends of a thousand connections. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 4096) {
		files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
