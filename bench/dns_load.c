/* Questions at a fixed rate from one thread, and how long each answer took.
 *
 *	dns_load <ip> <names> <rate> <seconds>
 *
 * Asks name<n>.weave.local in turn, open loop: a question is sent when it is due, whatever has
 *become of those before it, and its time counts from when it was due.  dnsperf has a thread that
 *sends and one that receives; on one core each waits for the other, and its times tell that.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <weave/alloc.h>
#include <weave/writer.h>

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static size_t question(uint8_t *to, uint16_t id, unsigned n)
{
	struct writer w = writer_over(to, 64);
	char label[16];
	int size = snprintf(label, sizeof label, "name%u", n);

	write_u16(&w, id);
	write_u16(&w, 0x0100);
	write_u16(&w, 1);
	write_u32(&w, 0);
	write_u16(&w, 0);
	write_u8(&w, (uint8_t)size);
	write_bytes(&w, label, (size_t)size);
	write_bytes(&w, "\5weave\5local", 13);
	write_u16(&w, 1);
	write_u16(&w, 1);
	return writer_size(&w);
}

static int by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	static uint64_t due_of[65536];
	uint64_t start, end, sent = 0, answered = 0, wrong = 0;
	unsigned names, rate, seconds;
	uint32_t *took;
	int fd;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: dns_load <ip> <names> <rate> <seconds>\n");
		return 2;
	}
	names = (unsigned)atoi(argv[2]);
	rate = (unsigned)atoi(argv[3]);
	seconds = (unsigned)atoi(argv[4]);
	took = mem_new((size_t)rate * seconds + 1, sizeof *took);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		return 1;
	start = now_ns();
	end = start + seconds * UINT64_C(1000000000);
	/* A tenth of a second more for the last answers. */
	for (uint64_t now = start; now < end + 100000000; now = now_ns()) {
		uint64_t due = start + sent * 1000000000u / rate;
		uint8_t q[64], r[1500];
		ssize_t n;

		if (now >= due && due < end) {
			due_of[sent & 0xffff] = due;
			if (send(fd, q, question(q, (uint16_t)sent, (unsigned)(sent % names)), 0) <
			    0)
				wrong++;
			sent++;
		}
		n = recv(fd, r, sizeof r, 0);
		if (n < 0)
			continue;
		if (n < 12 || (r[3] & 15) || r[7] != 1)
			wrong++;
		else if (answered < (uint64_t)rate * seconds)
			took[answered++] = (uint32_t)(now_ns() - due_of[r[0] << 8 | r[1]]);
	}
	qsort(took, answered, sizeof *took, by_value);
	if (!answered)
		return 1;
	printf("{\"asked\": %llu, \"answered\": %llu, \"wrong\": %llu, \"p50_ms\": %.3f, "
	       "\"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f}\n",
	       (unsigned long long)sent, (unsigned long long)answered, (unsigned long long)wrong,
	       took[answered / 2] / 1e6, took[answered * 99 / 100] / 1e6,
	       took[answered * 999 / 1000] / 1e6, took[answered - 1] / 1e6);
	mem_free(took);
	return 0;
}
