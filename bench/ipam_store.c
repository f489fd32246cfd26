/* How fast addresses become durable, beside what the disk can do.  Prints; asserts nothing.
 *
 *	make build/release/bench/ipam_store && build/release/bench/ipam_store [folder on that disk]
 *
 * Each of so many clients saves one row (an address taken, or given back) and waits until it is
 * durable, then saves the next.
 */
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weave/ipam_io.h>

#define SECONDS 2.

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 4 KiB over and over at one place, and at the end of a growing file. */
static void bench_disk(const char *folder, int grow)
{
	char path[256], block[4096] = { 1 };
	double start;
	unsigned n;
	int fd;

	snprintf(path, sizeof path, "%s/sync-test", folder);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	start = seconds();
	for (n = 0; seconds() - start < SECONDS; n++)
		if (pwrite(fd, block, sizeof block, grow ? (off_t)n * 4096 : 0) < 0 ||
		    fdatasync(fd) < 0)
			perror(path);
	printf("disk: write 4 KiB and fdatasync, %s: %.0f/s\n",
	       grow ? "growing file" : "same place", n / (seconds() - start));
	close(fd);
	unlink(path);
}

struct bench {
	struct ipam_store *store;
	uint64_t issued, saved, last_reported, reports;
	unsigned clients;
	double end;
	struct ev_loop *loop;
};

static void issue(struct bench *b)
{
	uint64_t n = ++b->issued, pair = (n - 1) / (2 * (uint64_t)b->clients);
	bool put = (n - 1) % (2 * (uint64_t)b->clients) < b->clients;
	char container[64];

	memset(container, 'c', sizeof container);
	ipam_store_save(b->store, 0, IPAM_TABLE_ADDRESS,
			(pair * b->clients + (n - 1) % b->clients) % 100000,
			bytes_of(container, put ? sizeof container : 0), put, n);
}

static void on_saved(void *ctx, size_t universe, uint64_t ticket)
{
	struct bench *b = ctx;
	uint64_t done = ticket - b->saved;

	(void)universe;
	b->saved = ticket;
	b->reports++;
	if (seconds() > b->end) {
		ev_break(b->loop, EVBREAK_ALL);
		return;
	}
	while (done--)
		issue(b);
	ipam_store_sync(b->store);
}

static void on_state(void *ctx, const char *reason)
{
	(void)ctx;
	printf("the disk fails: %s\n", reason ? reason : "no more");
}

static void bench_store(const char *folder, unsigned clients, unsigned kept)
{
	struct bench b = { .clients = clients, .loop = ev_loop_new(0) };
	struct ipam_store_config c = { folder, b.loop, on_saved, on_state, &b };
	enum ipam_store_found found;
	struct cidr prefix;
	struct why why;
	double start;

	ipam_store_remove(folder, &why);
	cidr_parse("10.32.0.0/12", &prefix);
	if (ipam_store_open(&c, NULL, &b.store, &found, &why) ||
	    ipam_store_universe(b.store, 0, prefix, &why)) {
		printf("%s\n", why.text);
		exit(1);
	}
	b.end = 0;
	for (unsigned n = 0; n < kept; n++)
		ipam_store_save(b.store, 0, IPAM_TABLE_RUN, n,
				bytes_of("rrrrrrrrrrrrrrrrrrrrrrrr", 24), true, ++b.issued);
	if (kept) {
		start = seconds();
		ipam_store_sync(b.store);
		while (b.saved < kept)
			ev_run(b.loop, 0);
		printf("store: %u rows at once: %.0f rows/s\n", kept, kept / (seconds() - start));
	}
	b.reports = 0;
	start = seconds();
	b.end = start + SECONDS;
	for (unsigned n = 0; n < clients; n++)
		issue(&b);
	ipam_store_sync(b.store);
	ev_run(b.loop, 0);
	printf("store: %u clients, %u rows there: %.0f rows/s durable, %.0f commits/s\n", clients,
	       kept, (double)(b.saved - kept) / (seconds() - start),
	       (double)b.reports / (seconds() - start));
	ipam_store_close(b.store);
	if (kept) {
		start = seconds();
		ipam_store_open(&c, NULL, &b.store, &found, &why);
		printf("store: start with %u rows, all checked: %.0f ms\n", kept,
		       (seconds() - start) * 1e3);
		ipam_store_close(b.store);
	}
	ipam_store_remove(folder, &why);
	ev_loop_destroy(b.loop);
}

int main(int count, char **arguments)
{
	char folder[128];

	snprintf(folder, sizeof folder, "%s/weave-bench-XXXXXX", count > 1 ? arguments[1] : "/tmp");
	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	/* A disk is not the same from second to second: it is asked again before each. */
	for (unsigned clients = 1; clients <= 1024; clients *= 4) {
		bench_disk(folder, 0);
		bench_disk(folder, 1);
		bench_store(folder, clients, 0);
	}
	bench_disk(folder, 0);
	bench_disk(folder, 1);
	bench_store(folder, 64, 100000);
	bench_store(folder, 64, 1000000);
	rmdir(folder);
	return 0;
}
