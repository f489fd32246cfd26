/* Small packets as fast as they go, and how long one takes there and back.  Of bench/fastdp.py.
 *
 *	rate receive ADDRESS SECONDS CPU        counts datagrams; prints "ready", then thousands a
 *second rate send    ADDRESS SECONDS CPU SIZE   datagrams of SIZE bytes, one call each rate echo
 *ADDRESS CPU                prints "ready"; sends back each byte of one connection rate ask ADDRESS
 *COUNT CPU          one byte there and back; prints the median in microseconds
 *
 * IPv4, port 7001.  Each is pinned to a CPU, so that runs compare.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 7001
#define BATCH 64
#define WARM_UP 1000

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

static int open_socket(int type, const struct sockaddr_in *listen_at)
{
	int s = socket(AF_INET, type, 0), on = 1;

	if (s < 0)
		fail("socket");
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (listen_at && bind(s, (const struct sockaddr *)listen_at, sizeof *listen_at))
		fail("bind");
	return s;
}

static void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

static void receive(const struct sockaddr_in *a, double seconds)
{
	static char buffers[BATCH][2048];
	struct timeval patience = { .tv_usec = 200000 };
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec pieces[BATCH];
	int s = open_socket(SOCK_DGRAM, a), room = 1 << 22;
	unsigned long count = 0;
	double start, now;

	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	for (int i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){ buffers[i], sizeof buffers[i] };
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	say_ready();
	if (recv(s, buffers[0], sizeof buffers[0], 0) < 0)
		fail("receive");
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	start = now = now_s();
	while (now - start < seconds) {
		int n = recvmmsg(s, messages, BATCH, MSG_WAITFORONE, NULL);

		count += n > 0 ? (unsigned long)n : 0;
		now = now_s();
	}
	printf("%.1f\n", (double)count / (now - start) / 1e3);
}

static void send_many(const struct sockaddr_in *a, double seconds, size_t size)
{
	static char bytes[2048];
	int s = open_socket(SOCK_DGRAM, NULL);
	double end = now_s() + seconds;

	if (size > sizeof bytes || connect(s, (const struct sockaddr *)a, sizeof *a))
		fail("connect");
	while (now_s() < end)
		for (int i = 0; i < 256; i++)
			if (send(s, bytes, size, 0) < 0 && errno != ENOBUFS &&
			    errno != ECONNREFUSED)
				fail("send");
}

static void no_delay(int s)
{
	int on = 1;

	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void echo(const struct sockaddr_in *a)
{
	int s = open_socket(SOCK_STREAM, a), c;
	char byte;

	if (listen(s, 1))
		fail("listen");
	say_ready();
	c = accept(s, NULL, NULL);
	if (c < 0)
		fail("accept");
	no_delay(c);
	while (recv(c, &byte, 1, 0) == 1)
		if (send(c, &byte, 1, 0) != 1)
			fail("send");
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void ask(const struct sockaddr_in *a, long count)
{
	double *times = calloc((size_t)count, sizeof *times);
	int s = open_socket(SOCK_STREAM, NULL);
	char byte = 'x';

	if (!times || connect(s, (const struct sockaddr *)a, sizeof *a))
		fail("connect");
	no_delay(s);
	for (long i = -WARM_UP; i < count; i++) {
		double start = now_s();

		if (send(s, &byte, 1, 0) != 1 || recv(s, &byte, 1, 0) != 1)
			fail("ask");
		if (i >= 0)
			times[i] = (now_s() - start) * 1e6;
	}
	qsort(times, (size_t)count, sizeof *times, by_size);
	printf("%.2f\n", times[count / 2]);
	free(times);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a;

	if (argc < 4) {
		fprintf(stderr, "see the first lines of bench/rate.c\n");
		return 1;
	}
	a = address(argv[2]);
	if (strcmp(argv[1], "echo") == 0) {
		pin(argv[3]);
		echo(&a);
		return 0;
	}
	if (argc < 5)
		return 1;
	pin(argv[4]);
	if (strcmp(argv[1], "receive") == 0)
		receive(&a, atof(argv[3]));
	else if (strcmp(argv[1], "send") == 0 && argc > 5)
		send_many(&a, atof(argv[3]), (size_t)atol(argv[5]));
	else if (strcmp(argv[1], "ask") == 0)
		ask(&a, atol(argv[3]));
	else
		return 1;
	return 0;
}
