/* Allocates and frees addresses through the router's API as fast as it answers: 'clients'
 * connections that stay open, each with one request out at a time.  Prints one line of JSON for
 * bench/ipam_api.py; asserts nothing.
 *
 *	make build/release/bench/ipam_load
 *	build/release/bench/ipam_load /run/weave/weave.sock 64 5
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <weave/alloc.h>

#define CLIENTS_MAX 800 /* that may wait at a time: <weave/server_io.h> */
#define ANSWER_SIZE 2048
#define LATENCIES_MAX 4000000u

struct client {
	int fd;
	unsigned number;
	uint64_t round;
	bool freeing; /* the request that is out: DELETE, else POST */
	uint64_t since_ns;
	char answer[ANSWER_SIZE + 1];
	size_t size;
};

struct load {
	const char *path;
	int epoll;
	struct client *clients;
	size_t count;
	uint64_t pairs, errors;
	uint32_t *latencies_us; /* of allocations */
	size_t latencies_count;
	char first_error[256];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_connection(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof address.sun_path)
		die("the path of the socket is too long");
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		die(path);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* A request is far smaller than a socket's buffer. */
static void ask(struct client *c)
{
	char request[256];
	int size = snprintf(request, sizeof request,
			    "%s /ip/bench-%u-%" PRIu64 " HTTP/1.1\r\nHost: weave\r\n%s\r\n",
			    c->freeing ? "DELETE" : "POST", c->number, c->round,
			    c->freeing ? "" : "Content-Length: 0\r\n");

	c->size = 0;
	c->since_ns = now_ns();
	if (send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
		die("send");
}

/* Whether the whole answer is there: its headers, and the body if it has one. */
static bool complete(const struct client *c)
{
	const char *end = strstr(c->answer, "\r\n\r\n");
	const char *length = strcasestr(c->answer, "\r\nContent-Length:");
	size_t body = 0;

	if (!end)
		return false;
	if (length && length < end)
		body = strtoul(length + 17, NULL, 10);
	return c->size >= (size_t)(end + 4 - c->answer) + body;
}

static void take_answer(struct load *l, struct client *c)
{
	bool good = strncmp(c->answer, c->freeing ? "HTTP/1.1 204" : "HTTP/1.1 200", 12) == 0;

	if (!good && !l->errors++)
		snprintf(l->first_error, sizeof l->first_error, "%.200s", c->answer);
	if (!c->freeing && l->latencies_count < LATENCIES_MAX)
		l->latencies_us[l->latencies_count++] = (uint32_t)((now_ns() - c->since_ns) / 1000);
	if (c->freeing) {
		l->pairs += good;
		c->round++;
	}
	c->freeing = !c->freeing && good;
}

/* False: the connection is gone. */
static bool read_answer(struct client *c)
{
	ssize_t n = recv(c->fd, c->answer + c->size, ANSWER_SIZE - c->size, 0);

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		return false;
	c->size += (size_t)n;
	c->answer[c->size] = '\0';
	return true;
}

static void run(struct load *l, double seconds)
{
	uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
	struct epoll_event events[64];

	for (size_t i = 0; i < l->count; i++)
		ask(&l->clients[i]);
	while (now_ns() < end) {
		int n = epoll_wait(l->epoll, events, 64, 100);

		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;

			if (!read_answer(c))
				errno = ECONNRESET, die("the router closed a connection");
			if (!complete(c))
				continue;
			take_answer(l, c);
			ask(c);
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile_ms(const struct load *l, double part)
{
	size_t at = (size_t)(part * (double)(l->latencies_count ? l->latencies_count - 1 : 0));

	return l->latencies_count ? l->latencies_us[at] / 1e3 : 0;
}

int main(int argc, char **argv)
{
	struct load l = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
	double seconds;
	long count;

	if (argc != 4) {
		fprintf(stderr, "usage: ipam_load <socket> <clients> <seconds>\n");
		return 1;
	}
	l.path = argv[1];
	count = strtol(argv[2], NULL, 10);
	seconds = strtod(argv[3], NULL);
	if (count < 1 || count > CLIENTS_MAX || seconds <= 0) {
		fprintf(stderr, "1 to %d clients, for some seconds\n", CLIENTS_MAX);
		return 1;
	}
	l.count = (size_t)count;
	l.clients = mem_new(l.count, sizeof *l.clients);
	l.latencies_us = mem_new(LATENCIES_MAX, sizeof *l.latencies_us);
	for (size_t i = 0; i < l.count; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data = { .ptr = &l.clients[i] } };

		l.clients[i].number = (unsigned)i;
		l.clients[i].fd = open_connection(l.path);
		epoll_ctl(l.epoll, EPOLL_CTL_ADD, l.clients[i].fd, &e);
	}
	run(&l, seconds);
	qsort(l.latencies_us, l.latencies_count, sizeof *l.latencies_us, compare);
	printf("{\"clients\": %zu, \"pairs\": %" PRIu64
	       ", \"per_second\": %.0f, \"errors\": %" PRIu64
	       ", \"allocate_ms\": {\"median\": %.3f, \"p99\": %.3f, \"worst\": %.3f}}\n",
	       l.count, l.pairs, (double)l.pairs / seconds, l.errors, percentile_ms(&l, 0.5),
	       percentile_ms(&l, 0.99), percentile_ms(&l, 1));
	if (l.errors)
		fprintf(stderr, "first error: %s\n", l.first_error);
	mem_free(l.latencies_us);
	mem_free(l.clients);
	return 0;
}
