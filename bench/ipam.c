/* How fast the pure allocator and the merging of rings are.  Prints; asserts nothing.
 *
 *	make build/release/bench/ipam && build/release/bench/ipam
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../ipam/allocator.h"

/* Of our own CPU time: others may use the machine meanwhile. */
static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void bench_space(unsigned used)
{
	struct space s;
	uint64_t at = 0;
	double start;
	unsigned n;

	space_init(&s, 1u << 20);
	space_own(&s, (struct span){ 0, 1u << 20 });
	for (n = 0; n < used; n++)
		space_use(&s, n);
	start = seconds();
	for (n = 0; n < 5000000; n++) {
		space_lowest_free(&s, (struct span){ 1, (1u << 20) - 1 }, &at);
		space_use(&s, at);
		space_release(&s, at);
	}
	printf("space: allocate + free, %u in use: %.1f million/s\n", used,
	       n / (seconds() - start) / 1e6);
	space_fini(&s);
}

static uint64_t drain(struct ipam *i, uint64_t *answers)
{
	struct ipam_action a;
	uint64_t ticket = 0;

	while (ipam_next_action(i, &a)) {
		if (a.type == IPAM_SAVE)
			ticket = a.ticket;
		*answers += a.type == IPAM_ANSWER;
	}
	return ticket;
}

/* A container's id as Docker makes them: 64 digits. */
static struct bytes container_id(char *text, unsigned n)
{
	memset(text, '0', 64);
	for (char *at = text + 63; n; n /= 10)
		*at-- = (char)('0' + n % 10);
	return bytes_of(text, 64);
}

/* Requests and answers of whole struct ipam, with its actions; the disk syncs every 'batch'. */
static void bench_allocator(unsigned used, unsigned batch)
{
	struct ipam_config config = { .self = 1, .store_id = 1, .electors = 1 };
	struct mono now = { 1000 };
	struct cidr c;
	struct why why;
	struct ipam *i;
	struct store *s = store_new(1);
	uint64_t answers = 0, request = 0, ticket;
	double start;
	unsigned n, pairs = 1000000;
	char name[64];

	cidr_parse("10.32.0.0/12", &c);
	universe_init(&config.universe, c, &why);
	i = ipam_new(&config, NULL);
	ipam_register(s, &i, 1);
	ipam_adopt(i, 7);
	ipam_learn(i, &(struct run){ 0, config.universe.size, 0, 1, { 1, 1 } }, true);
	ipam_start(i, now);
	ipam_on_saved(i, drain(i, &answers), now);
	for (n = 0; n < used; n++) {
		ipam_allocate(i, ++request, container_id(name, n),
			      (struct span){ 1, config.universe.size - 1 }, now);
		if (n % 100 == 99)
			ipam_on_saved(i, drain(i, &answers), now);
	}
	ipam_on_saved(i, drain(i, &answers), now);
	drain(i, &answers);
	answers = 0;
	start = seconds();
	for (n = 0; n < pairs; n += batch) {
		for (unsigned k = 0; k < batch; k++)
			ipam_allocate(i, ++request, container_id(name, 10000000 + n + k),
				      (struct span){ 1, config.universe.size - 1 }, now);
		ticket = drain(i, &answers);
		ipam_on_saved(i, ticket, now);
		drain(i, &answers);
		for (unsigned k = 0; k < batch; k++)
			ipam_release_all(i, container_id(name, 10000000 + n + k), now);
		drain(i, &answers);
	}
	printf("allocator: allocate + free, %u in use, answers in batches of %u: "
	       "%.2f million/s (%llu answers)\n",
	       used, batch, n / (seconds() - start) / 1e6, (unsigned long long)answers);
	ipam_free(i);
	store_free(s);
}

static void bench_ring(unsigned count)
{
	struct ring_changes changes = { 0 };
	struct run *runs = mem_new(count, sizeof *runs), *newer = mem_new(count, sizeof *runs);
	struct ring r;
	double t[4];

	for (unsigned n = 0; n < count; n++) {
		runs[n] = (struct run){ n * 100u, n * 100u + 100, 0, 1, { 1 + n % 1000, 7 } };
		newer[n] = runs[n];
		newer[n].counter = 2;
		newer[n].owner.name++;
	}
	ring_init(&r, (uint64_t)count * 100);
	t[0] = seconds();
	for (unsigned n = 0; n < count; n++)
		ring_merge(&r, &runs[n], &changes);
	t[1] = seconds();
	for (unsigned n = 0; n < count; n++)
		ring_merge(&r, &runs[n], &changes);
	t[2] = seconds();
	for (unsigned n = 0; n < count; n++)
		ring_merge(&r, &newer[n], &changes);
	t[3] = seconds();
	printf("ring of %zu runs: into an empty one %.2f ms, the same again %.2f ms, all newer "
	       "%.2f ms\n",
	       ring_count(&r), (t[1] - t[0]) * 1e3, (t[2] - t[1]) * 1e3, (t[3] - t[2]) * 1e3);
	ring_changes_fini(&changes);
	ring_fini(&r);
	mem_free(runs);
	mem_free(newer);
}

int main(void)
{
	bench_space(0);
	bench_space(100000);
	bench_space(1000000);
	bench_allocator(0, 64);
	bench_allocator(1000, 64);
	bench_allocator(100000, 64);
	for (unsigned n = 0; n < 3; n++)
		bench_ring(10000);
	bench_ring(100000);
	return 0;
}
