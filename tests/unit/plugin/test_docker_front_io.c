/* weave-plugin's sockets against a router that is there, is not, hangs, or stops. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <weave/docker.h>
#include <weave/docker_front_io.h>

#define IDS "\"NetworkID\":\"n1\",\"EndpointID\":\"e1\""
#define LEAVE "{" IDS "}"
#define JOIN "{" IDS ",\"SandboxKey\":\"/x\"}"

/* ---- a router ---- */

enum mood { ANSWERS, HANGS, BUSY };

struct router {
	char path[108];
	int fd;
	pthread_t thread;
	_Atomic enum mood mood;
	atomic_bool stop;
	pthread_mutex_t lock;
	char seen[4096]; /* "path body\n" */
};

static void read_request(int fd, char *buffer, size_t size)
{
	size_t used = 0, wanted = 0;

	while (used < size - 1) {
		ssize_t n = recv(fd, buffer + used, size - 1 - used, 0);
		char *end, *length;

		if (n <= 0)
			break;
		used += (size_t)n;
		buffer[used] = '\0';
		end = strstr(buffer, "\r\n\r\n");
		length = strcasestr(buffer, "Content-Length: ");
		wanted = length ? (size_t)atol(length + 16) : 0;
		if (end && used >= (size_t)(end + 4 - buffer) + wanted)
			break;
	}
	buffer[used] = '\0';
}

static void note(struct router *r, char *request)
{
	char *body = strstr(request, "\r\n\r\n"), *path = strchr(request, ' ');
	size_t used = strlen(r->seen);

	if (!body || !path)
		return;
	path[strcspn(path + 1, " ?") + 1] = '\0';
	snprintf(r->seen + used, sizeof r->seen - used, "%s %s\n", path + 1, body + 4);
}

static void *serve(void *ctx)
{
	static const char ok[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n"
		"{\"Done\":1}";
	static const char busy[] = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n"
				   "Connection: close\r\n\r\n";
	struct router *r = ctx;

	while (!r->stop) {
		struct pollfd p = { .fd = r->fd, .events = POLLIN };
		char request[4096];
		int fd;

		if (poll(&p, 1, 50) <= 0 || (fd = accept(r->fd, NULL, NULL)) < 0)
			continue;
		read_request(fd, request, sizeof request);
		while (r->mood == HANGS && !r->stop)
			usleep(10000);
		pthread_mutex_lock(&r->lock);
		if (r->mood == ANSWERS)
			note(r, request);
		pthread_mutex_unlock(&r->lock);
		/* Who has given up is not there to be answered. */
		if (r->mood == ANSWERS)
			send(fd, ok, sizeof ok - 1, MSG_NOSIGNAL);
		else
			send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static void start_router(struct router *r, enum mood mood)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	strcpy(a.sun_path, r->path);
	unlink(r->path);
	r->mood = mood;
	r->stop = false;
	r->seen[0] = '\0';
	pthread_mutex_init(&r->lock, NULL);
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(r->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(r->fd, 16), 0);
	assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
}

static void stop_router(struct router *r)
{
	r->stop = true;
	pthread_join(r->thread, NULL);
	close(r->fd);
	unlink(r->path);
	pthread_mutex_destroy(&r->lock);
}

static bool is_equal(const char *seen, const char *what)
{
	return strcmp(seen, what) == 0;
}

static bool has_part(const char *seen, const char *what)
{
	return strstr(seen, what) != NULL;
}

static bool waits_for(struct router *r, bool (*fits)(const char *, const char *), const char *what)
{
	bool seen = false;

	for (int i = 0; i < 800 && !seen; i++) {
		pthread_mutex_lock(&r->lock);
		seen = fits(r->seen, what);
		pthread_mutex_unlock(&r->lock);
		if (!seen)
			usleep(10000);
	}
	return seen;
}

static bool has_seen(struct router *r, const char *what)
{
	return waits_for(r, is_equal, what);
}

/* ---- the front ---- */

struct fixture {
	char folder[64], promises[108], socket[108];
	struct router router;
	struct docker_front_config config;
	struct docker_front *front;
};

static struct log silent = { .level = LOG_ERROR_LEVEL };

static void ignore(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)line;
}

static void open_front(struct fixture *f)
{
	struct why why;

	silent.write = ignore;
	if (docker_front_new(&f->config, &silent, &f->front, &why))
		fail_msg("%s", why.text);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	strcpy(f->folder, "/tmp/weave-front-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->promises, sizeof f->promises, "%s/plugin.later", f->folder);
	snprintf(f->socket, sizeof f->socket, "%s/plugins/weave.sock", f->folder);
	snprintf(f->router.path, sizeof f->router.path, "%s/router.sock", f->folder);
	f->config = (struct docker_front_config){ .router = f->router.path,
						  .promises = f->promises,
						  .sockets = { f->socket },
						  .sockets_count = 1 };
	open_front(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[128];

	docker_front_free(f->front);
	unlink(f->promises);
	snprintf(path, sizeof path, "%s/plugins", f->folder);
	rmdir(path);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

/* The answer's body; 'status' gets its HTTP status. */
static const char *ask(struct fixture *f, const char *call, const char *body, int *status)
{
	static char answer[4096];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char request[2048];
	size_t used = 0;
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, f->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	/* As engine 20.10.24 sends it: an empty Host, no type. */
	snprintf(
		request, sizeof request,
		"POST /%s HTTP/1.1\r\nHost: \r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		call, strlen(body), body);
	assert_true(send(fd, request, strlen(request), 0) > 0);
	while (used < sizeof answer - 1 &&
	       (n = recv(fd, answer + used, sizeof answer - 1 - used, 0)) > 0)
		used += (size_t)n;
	answer[used] = '\0';
	close(fd);
	*status = used > 12 ? atoi(answer + 9) : 0;
	return strstr(answer, "\r\n\r\n") ? strstr(answer, "\r\n\r\n") + 4 : "";
}

static void is_answered(struct fixture *f, const char *call, const char *body, int status,
			const char *part)
{
	int got;
	const char *answer = ask(f, call, body, &got);

	assert_int_equal(got, status);
	if (!strstr(answer, part))
		fail_msg("%s: '%s' has no '%s'", call, answer, part);
}

static void some_calls_need_no_router(void **state)
{
	struct fixture *f = *state;

	is_answered(f, "Plugin.Activate", "", 200, "IpamDriver");
	is_answered(f, "NetworkDriver.GetCapabilities", "", 200, "local");
	is_answered(f, "NetworkDriver.EndpointOperInfo", LEAVE, 200, "Value");
	is_answered(f, "IpamDriver.GetDefaultAddressSpaces", "", 200, "weavelocal");
	is_answered(f, "NetworkDriver.Nothing", "", 404, "NetworkDriver.Nothing");
	is_answered(f, "NetworkDriver.Leave", "{", 400, "malformed");
}

static void the_rest_goes_to_the_router(void **state)
{
	struct fixture *f = *state;

	start_router(&f->router, ANSWERS);
	is_answered(f, "NetworkDriver.Join", JOIN, 200, "Done");
	is_answered(f, "NetworkDriver.Leave", LEAVE, 200, "Done");
	assert_true(has_seen(&f->router, "/docker/NetworkDriver.Join " JOIN "\n"
					 "/docker/NetworkDriver.Leave " LEAVE "\n"));
	stop_router(&f->router);
}

static void without_a_router_it_is_said_what_to_do(void **state)
{
	is_answered(*state, "NetworkDriver.Join", JOIN, 200, "weave launch");
}

static void promises_are_kept_in_order(void **state)
{
	struct fixture *f = *state;

	is_answered(f, "NetworkDriver.Leave", LEAVE, 200, "{}");
	is_answered(f, "NetworkDriver.DeleteEndpoint", LEAVE, 200, "{}");
	/* Another life of ours knows them. */
	docker_front_free(f->front);
	open_front(f);
	is_answered(f, "NetworkDriver.DeleteNetwork", "{\"NetworkID\":\"n1\"}", 200, "{}");
	start_router(&f->router, ANSWERS);
	assert_true(has_seen(&f->router,
			     "/docker/NetworkDriver.Leave " LEAVE "\n"
			     "/docker/NetworkDriver.DeleteEndpoint " LEAVE "\n"
			     "/docker/NetworkDriver.DeleteNetwork {\"NetworkID\":\"n1\"}\n"));
	is_answered(f, "NetworkDriver.Join", JOIN, 200, "Done");
	stop_router(&f->router);
}

static void promises_come_before_anything_else(void **state)
{
	struct fixture *f = *state;

	is_answered(f, "NetworkDriver.Leave", LEAVE, 200, "{}");
	start_router(&f->router, BUSY);
	/* It is told the promise, and does not take it. */
	is_answered(f, "NetworkDriver.Join", JOIN, 200, "Err");
	assert_string_equal(f->router.seen, "");
	f->router.mood = ANSWERS;
	assert_true(has_seen(&f->router, "/docker/NetworkDriver.Leave " LEAVE "\n"));
	stop_router(&f->router);
}

static void a_router_that_hangs_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	struct timespec begun, now;

	start_router(&f->router, HANGS);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	is_answered(f, "NetworkDriver.Leave", LEAVE, 200, "{}");
	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_true(now.tv_sec - begun.tv_sec < 10);
	f->router.mood = ANSWERS;
	/* Perhaps twice: the first one may have been heard after all. */
	assert_true(waits_for(&f->router, has_part, "Leave"));
	stop_router(&f->router);
}

static void cut_promises_are_left_out(void **state)
{
	struct fixture *f = *state;
	FILE *file;

	docker_front_free(f->front);
	file = fopen(f->promises, "w");
	assert_non_null(file);
	fputs("nonsense\n7 NetworkDriver.Join {}\n7 NetworkDriver.Leave " LEAVE "\n"
	      "8 NetworkDriver.DeleteEndp",
	      file);
	fclose(file);
	open_front(f);
	start_router(&f->router, ANSWERS);
	assert_true(has_seen(&f->router, "/docker/NetworkDriver.Leave " LEAVE "\n"));
	stop_router(&f->router);
}

static void one_socket_has_one_owner(void **state)
{
	struct fixture *f = *state;
	struct docker_front *other = NULL;
	struct why why = { 0 };
	struct stat st;

	assert_int_equal(docker_front_new(&f->config, &silent, &other, &why), -EADDRINUSE);
	assert_non_null(strstr(why.text, f->socket));
	assert_int_equal(stat(f->socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	is_answered(f, "Plugin.Activate", "", 200, "Implements");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(some_calls_need_no_router, setup, teardown),
		cmocka_unit_test_setup_teardown(the_rest_goes_to_the_router, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_router_it_is_said_what_to_do, setup,
						teardown),
		cmocka_unit_test_setup_teardown(promises_are_kept_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(promises_come_before_anything_else, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_router_that_hangs_is_not_waited_for, setup,
						teardown),
		cmocka_unit_test_setup_teardown(cut_promises_are_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(one_socket_has_one_owner, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
