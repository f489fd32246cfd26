/* The ends of measured traffic that iperf3 does not have: small packets, packets at a given rate,
 * questions and answers, connections.  Of bench/harness/measures.py; each prints a line of JSON.
 *
 *	probe receive ADDRESS SECONDS CPU           counts datagrams for SECONDS after the first,
 *	                                            or until none has come for 0.3 s
 *	probe send ADDRESS SECONDS CPU SIZE [RATE]  datagrams of SIZE bytes; RATE a second, or as
 *	                                            fast as it goes, one call each
 *	probe echo tcp|udp ADDRESS CPU              sends back what comes
 *	probe ask tcp|udp ADDRESS SECONDS CPU       one byte there and back, again and again
 *	probe accept ADDRESS CPU                    answers one byte on each connection
 *	probe connect ADDRESS SECONDS CPU           connects, asks one byte, resets; again
 *
 * receive, echo and accept say "ready" first, and end with the other end.  CPU: a number to be
 * pinned to, or "-".  IPv4.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 7001
#define BATCH 64
#define DATAGRAM_MAX 65507
#define SAMPLES_MAX (1u << 22)
#define WARM_UP_S 0.1
#define SILENCE_S 0.3
#define FIRST_S 20 /* the longest wait for the other end */
#define ANSWER_US 200000

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void pin(const char *cpu)
{
	cpu_set_t set;

	if (strcmp(cpu, "-") == 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)atoi(cpu), &set);
	if (sched_setaffinity(0, sizeof set, &set))
		fail("pin");
}

static struct sockaddr_in address(const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1) {
		fprintf(stderr, "not an IPv4 address: %s\n", text);
		exit(1);
	}
	return a;
}

static int open_socket(int type)
{
	int s = socket(AF_INET, type, 0);

	if (s < 0)
		fail("socket");
	return s;
}

static int listen_at(int type, const struct sockaddr_in *a)
{
	int s = open_socket(type), on = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, (const struct sockaddr *)a, sizeof *a))
		fail("bind");
	if (type == SOCK_STREAM && listen(s, 1024))
		fail("listen");
	puts("ready");
	fflush(stdout);
	return s;
}

static int connect_to(int type, const struct sockaddr_in *a)
{
	int s = open_socket(type), on = 1;

	if (connect(s, (const struct sockaddr *)a, sizeof *a))
		fail("connect");
	if (type == SOCK_STREAM)
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return s;
}

static void patience(int s, long us)
{
	struct timeval t = { us / 1000000, us % 1000000 };

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

/* --- datagrams one way -------------------------------------------------------------------- */

static void receive(const struct sockaddr_in *a, double seconds)
{
	static char buffers[BATCH][DATAGRAM_MAX];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec pieces[BATCH];
	int room = 1 << 22, s = listen_at(SOCK_DGRAM, a);
	unsigned long count = 1;
	double start, last, now;

	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	for (int i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){ buffers[i], sizeof buffers[i] };
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	patience(s, FIRST_S * 1000000L);
	if (recv(s, buffers[0], sizeof buffers[0], 0) < 0)
		fail("receive");
	patience(s, ANSWER_US);
	start = last = now = now_s();
	while (now - start < seconds && now - last < SILENCE_S) {
		int n = recvmmsg(s, messages, BATCH, MSG_WAITFORONE, NULL);

		now = now_s();
		if (n > 0) {
			count += (unsigned)n;
			last = now;
		}
	}
	printf("{\"received\": %lu, \"seconds\": %.6f}\n", count, last - start);
}

/* Sleeps are too coarse for a packet each: what is due is sent in one go. */
static void send_many(const struct sockaddr_in *a, double seconds, size_t size, double rate)
{
	static char bytes[DATAGRAM_MAX];
	int s = connect_to(SOCK_DGRAM, a), room = 1 << 22;
	double start = now_s(), now = start;
	unsigned long sent = 0, calls = 0;

	if (size > sizeof bytes)
		exit(1);
	setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	while (now - start < seconds) {
		unsigned long due = rate > 0 ? (unsigned long)((now - start) * rate) : calls + 256;

		for (; calls < due; calls++) {
			if (send(s, bytes, size, 0) >= 0)
				sent++;
			else if (errno != ENOBUFS && errno != ECONNREFUSED)
				fail("send");
		}
		if (rate > 0)
			nanosleep(&(struct timespec){ 0, 50000 }, NULL);
		now = now_s();
	}
	printf("{\"sent\": %lu, \"refused\": %lu, \"seconds\": %.6f}\n", sent, calls - sent,
	       now - start);
}

/* --- there and back ----------------------------------------------------------------------- */

struct samples {
	double *us;
	size_t count;
};

static void samples_init(struct samples *s)
{
	s->us = calloc(SAMPLES_MAX, sizeof *s->us);
	s->count = 0;
	if (!s->us)
		fail("memory");
}

static void samples_add(struct samples *s, double us)
{
	if (s->count < SAMPLES_MAX)
		s->us[s->count++] = us;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nearest rank: the smallest sample that is not below 'part' of them. */
static double percentile(const struct samples *s, double part)
{
	size_t rank = (size_t)(part * (double)s->count);

	if ((double)rank < part * (double)s->count)
		rank++;
	return s->us[rank ? rank - 1 : 0];
}

static void samples_print(struct samples *s, double seconds, unsigned long lost)
{
	double sum = 0;

	if (!s->count) {
		fprintf(stderr, "no answer\n");
		exit(1);
	}
	qsort(s->us, s->count, sizeof *s->us, by_size);
	for (size_t i = 0; i < s->count; i++)
		sum += s->us[i];
	printf("{\"count\": %zu, \"seconds\": %.6f, \"lost\": %lu, \"mean\": %.2f, \"min\": %.2f, "
	       "\"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, \"p999\": %.2f, \"max\": %.2f}\n",
	       s->count, seconds, lost, sum / (double)s->count, s->us[0], percentile(s, .5),
	       percentile(s, .9), percentile(s, .99), percentile(s, .999), s->us[s->count - 1]);
	free(s->us);
}

static void echo_tcp(const struct sockaddr_in *a)
{
	int s = listen_at(SOCK_STREAM, a), c = accept(s, NULL, NULL), on = 1;
	char byte;

	if (c < 0)
		fail("accept");
	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	while (recv(c, &byte, 1, 0) == 1)
		if (send(c, &byte, 1, 0) != 1)
			fail("send");
}

static void echo_udp(const struct sockaddr_in *a)
{
	int s = listen_at(SOCK_DGRAM, a);
	struct sockaddr_in from;
	char bytes[64];

	patience(s, FIRST_S * 1000000L);
	for (;;) {
		socklen_t size = sizeof from;
		ssize_t n = recvfrom(s, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);

		/* The last one is empty; when it was lost, silence tells. */
		if (n <= 0)
			break;
		sendto(s, bytes, (size_t)n, 0, (struct sockaddr *)&from, size);
		patience(s, 5 * 1000000L);
	}
}

/* An answer to an older question is not ours: answers carry the question's number. */
static int ask_once(int s, int type, uint64_t number)
{
	uint64_t answer;
	char byte = 'x';

	if (type == SOCK_STREAM)
		return send(s, &byte, 1, 0) == 1 && recv(s, &byte, 1, 0) == 1;
	if (send(s, &number, sizeof number, 0) < 0)
		return 0;
	do {
		if (recv(s, &answer, sizeof answer, 0) != sizeof answer)
			return 0;
	} while (answer != number);
	return 1;
}

static void ask(const struct sockaddr_in *a, int type, double seconds)
{
	int s = connect_to(type, a);
	struct samples samples;
	unsigned long lost = 0;
	uint64_t number = 0;
	double start = now_s(), before = start, now = start;

	samples_init(&samples);
	if (type == SOCK_DGRAM)
		patience(s, ANSWER_US);
	while (now - start < seconds + WARM_UP_S) {
		int answered = ask_once(s, type, number++);

		if (!answered && type == SOCK_STREAM)
			fail("ask");
		before = now;
		now = now_s();
		if (now - start < WARM_UP_S)
			continue;
		if (answered)
			samples_add(&samples, (now - before) * 1e6);
		else
			lost++;
	}
	if (type == SOCK_DGRAM)
		for (int i = 0; i < 3; i++)
			send(s, "", 0, 0);
	samples_print(&samples, now - start - WARM_UP_S, lost);
}

/* --- connections --------------------------------------------------------------------------- */

static void accept_all(const struct sockaddr_in *a)
{
	int s = listen_at(SOCK_STREAM, a);

	for (;;) {
		int c = accept(s, NULL, NULL);
		ssize_t size;
		char byte;

		if (c < 0)
			continue;
		patience(c, 5 * 1000000L);
		size = recv(c, &byte, 1, 0);
		if (size == 1 && send(c, &byte, 1, MSG_NOSIGNAL) == 1)
			recv(c, &byte, 1, 0); /* until the other end resets it */
		close(c);
		if (size == 0) /* the last one says nothing */
			return;
	}
}

/* Reset, not closed: else some seconds of this use up all ports. */
static void connect_many(const struct sockaddr_in *a, double seconds)
{
	struct linger at_once = { 1, 0 };
	struct samples samples;
	double start = now_s(), before = start, now = start;

	samples_init(&samples);
	while (now - start < seconds) {
		int s = connect_to(SOCK_STREAM, a);

		setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		if (!ask_once(s, SOCK_STREAM, 0))
			fail("ask");
		close(s);
		before = now;
		now = now_s();
		samples_add(&samples, (now - before) * 1e6);
	}
	close(connect_to(SOCK_STREAM, a));
	samples_print(&samples, now - start, 0);
}

static int usage(void)
{
	fprintf(stderr, "see the first lines of bench/probe.c\n");
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct sockaddr_in a;

	if (argc > 4 && (strcmp(what, "echo") == 0 || strcmp(what, "ask") == 0)) {
		int type = strcmp(argv[2], "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;

		a = address(argv[3]);
		pin(argv[argc - 1]);
		if (*what == 'a' && argc == 6)
			ask(&a, type, atof(argv[4]));
		else if (*what == 'e')
			type == SOCK_STREAM ? echo_tcp(&a) : echo_udp(&a);
		else
			return usage();
		return 0;
	}
	if (argc < 4)
		return usage();
	a = address(argv[2]);
	pin(strcmp(what, "accept") == 0 ? argv[3] : argc > 4 ? argv[4] : "-");
	if (strcmp(what, "accept") == 0)
		accept_all(&a);
	else if (strcmp(what, "receive") == 0)
		receive(&a, atof(argv[3]));
	else if (strcmp(what, "connect") == 0)
		connect_many(&a, atof(argv[3]));
	else if (strcmp(what, "send") == 0 && argc > 5)
		send_many(&a, atof(argv[3]), (size_t)atol(argv[5]), argc > 6 ? atof(argv[6]) : 0);
	else
		return usage();
	return 0;
}
