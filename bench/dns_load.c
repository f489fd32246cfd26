/* Questions at a fixed rate from one thread, and how long each answer took.
 *
 *	dns_load <ip> <names> <rate> <seconds>
 *
 * Asks name<n>.weave.local in turn, open loop: a question is sent when it is due, whatever has
 * become of those before it, and its time counts from when it was due.  dnsperf has a thread that
 * sends and one that receives; on one core each waits for the other, and its times tell that.
 *
 * Whose the time is: "late" from due to sent and "unread" from the kernel's stamp on the answer to
 * its reading are this program's; "router" from sent to the stamp is the router's and the path's.
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

	clock_gettime(CLOCK_REALTIME, &t); /* the clock of the kernel's stamps */
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

/* Parts of an answer's time. */
enum { WHOLE, LATE, ROUTER, UNREAD, PARTS };

static const char *const part_names[PARTS] = { "", "late_", "router_", "unread_" };

struct times {
	uint32_t *ns[PARTS];
	size_t count, room;
};

static uint32_t between(uint64_t from, uint64_t to)
{
	return to > from ? (uint32_t)(to - from) : 0;
}

static double ms_of(uint32_t ns)
{
	return ns / 1e6;
}

static void print_part(struct times *t, int part)
{
	uint32_t *ns = t->ns[part];
	const char *name = part_names[part];
	size_t middle = t->count / 2, p99 = t->count * 99 / 100, p999 = t->count * 999 / 1000;

	qsort(ns, t->count, sizeof *ns, by_value);
	printf(", \"%sp50_ms\": %.3f, \"%sp99_ms\": %.3f, \"%sp999_ms\": %.3f, \"%smax_ms\": %.3f",
	       name, ms_of(ns[middle]), name, ms_of(ns[p99]), name, ms_of(ns[p999]), name,
	       ms_of(ns[t->count - 1]));
}

/* When the kernel had it; 0: it does not say. */
static uint64_t stamp_of(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct timespec t;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(c), sizeof t);
		return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	static uint64_t due_of[65536], sent_at[65536];
	uint64_t start, end, sent = 0, wrong = 0, before;
	unsigned names, rate, seconds;
	struct times times = { 0 };
	uint64_t stalled = 0;
	int fd, yes = 1;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: dns_load <ip> <names> <rate> <seconds>\n");
		return 2;
	}
	names = (unsigned)atoi(argv[2]);
	rate = (unsigned)atoi(argv[3]);
	seconds = (unsigned)atoi(argv[4]);
	times.room = (size_t)rate * seconds;
	for (int part = 0; part < PARTS; part++)
		times.ns[part] = mem_new(times.room + 1, sizeof *times.ns[part]);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		return 1;
	start = before = now_ns();
	end = start + seconds * UINT64_C(1000000000);
	/* A tenth of a second more for the last answers. */
	for (uint64_t now = start; now < end + 100000000; now = now_ns()) {
		uint64_t due = start + sent * 1000000000u / rate, stamp;
		uint8_t q[64], r[1500];
		union {
			struct cmsghdr header;
			char room[CMSG_SPACE(sizeof(struct timespec))];
		} control;
		struct iovec vector = { r, sizeof r };
		struct msghdr m = { .msg_iov = &vector,
				    .msg_iovlen = 1,
				    .msg_control = &control,
				    .msg_controllen = sizeof control };
		ssize_t n;

		/* No turn takes so long: the core was somebody else's. */
		if (now - before > 200000)
			stalled += now - before;
		before = now;
		if (now >= due && due < end) {
			due_of[sent & 0xffff] = due;
			sent_at[sent & 0xffff] = now;
			if (send(fd, q, question(q, (uint16_t)sent, (unsigned)(sent % names)), 0) <
			    0)
				wrong++;
			sent++;
		}
		n = recvmsg(fd, &m, 0);
		if (n < 0)
			continue;
		stamp = stamp_of(&m);
		if (n < 12 || (r[3] & 15) || r[7] != 1 || !stamp) {
			wrong++;
		} else if (times.count < times.room) {
			unsigned id = (unsigned)r[0] << 8 | r[1];
			size_t i = times.count++;

			now = now_ns();
			times.ns[WHOLE][i] = between(due_of[id], now);
			times.ns[LATE][i] = between(due_of[id], sent_at[id]);
			times.ns[ROUTER][i] = between(sent_at[id], stamp);
			times.ns[UNREAD][i] = between(stamp, now);
		}
	}
	if (!times.count)
		return 1;
	printf("{\"asked\": %llu, \"answered\": %zu, \"wrong\": %llu, \"stalled_ms\": %.1f",
	       (unsigned long long)sent, times.count, (unsigned long long)wrong,
	       (double)stalled / 1e6);
	for (int part = 0; part < PARTS; part++) {
		print_part(&times, part);
		mem_free(times.ns[part]);
	}
	printf("}\n");
	return 0;
}
