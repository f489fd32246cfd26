/* Addresses: the space of one router, whole requests, the merging of rings. */
#include <string.h>

#include "../../ipam/allocator.h"
#include "micro.h"

#define SPACE_SIZE (1u << 20)
#define RUNS 10000u

/* --- the lowest free address, taken and given back ------------------------------------------- */

static void *space_setup(const struct micro *c)
{
	struct space *s = mem_new(1, sizeof *s);

	space_init(s, SPACE_SIZE);
	space_own(s, (struct span){ 0, SPACE_SIZE });
	for (unsigned n = 0; n < *(const unsigned *)c->with; n++)
		space_use(s, n);
	return s;
}

static void space_run(void *ctx, uint64_t count)
{
	struct space *s = ctx;
	uint64_t at = 0;

	for (uint64_t n = 0; n < count; n++) {
		space_lowest_free(s, (struct span){ 1, SPACE_SIZE - 1 }, &at);
		space_use(s, at);
		space_release(s, at);
	}
	micro_use(at);
}

static void space_end(void *ctx)
{
	space_fini(ctx);
	mem_free(ctx);
}

/* --- requests and answers of a whole struct ipam; the disk syncs every BATCH ------------------ */

#define BATCH 64u

struct asking {
	struct ipam *ipam;
	struct store *store;
	uint64_t request, answers, containers;
	struct mono now;
};

static uint64_t drain(struct asking *r)
{
	struct ipam_action a;
	uint64_t ticket = 0;

	while (ipam_next_action(r->ipam, &a)) {
		if (a.type == IPAM_SAVE)
			ticket = a.ticket;
		r->answers += a.type == IPAM_ANSWER;
	}
	return ticket;
}

/* As Docker makes them: 64 digits. */
static struct bytes container_id(char *text, uint64_t n)
{
	memset(text, '0', 64);
	for (char *at = text + 63; n; n /= 10)
		*at-- = (char)('0' + n % 10);
	return bytes_of(text, 64);
}

static void allocate(struct asking *r, uint64_t container)
{
	char name[64];

	ipam_allocate(r->ipam, ++r->request, container_id(name, container),
		      (struct span){ 1, SPACE_SIZE - 1 }, r->now);
}

static void *requests_setup(const struct micro *c)
{
	struct ipam_config config = { .self = 1, .store_id = 1, .electors = 1 };
	struct asking *r = mem_new(1, sizeof *r);
	struct cidr prefix;
	struct why why;

	r->now = (struct mono){ 1000 };
	r->store = store_new(1);
	cidr_parse("10.32.0.0/12", &prefix);
	universe_init(&config.universe, prefix, &why);
	r->ipam = ipam_new(&config, NULL);
	ipam_register(r->store, &r->ipam, 1);
	ipam_adopt(r->ipam, 7);
	ipam_learn(r->ipam, &(struct run){ 0, config.universe.size, 0, 1, { 1, 1 } }, true);
	ipam_start(r->ipam, r->now);
	for (unsigned n = 0; n < *(const unsigned *)c->with; n++) {
		allocate(r, n);
		if (n % BATCH == BATCH - 1)
			ipam_on_saved(r->ipam, drain(r), r->now);
	}
	ipam_on_saved(r->ipam, drain(r), r->now);
	drain(r);
	r->containers = 10000000;
	return r;
}

static void requests_run(void *ctx, uint64_t count)
{
	struct asking *r = ctx;
	char name[64];

	for (uint64_t n = 0; n < count; n += BATCH) {
		for (unsigned k = 0; k < BATCH; k++)
			allocate(r, r->containers + k);
		ipam_on_saved(r->ipam, drain(r), r->now);
		drain(r);
		for (unsigned k = 0; k < BATCH; k++)
			ipam_release_all(r->ipam, container_id(name, r->containers + k), r->now);
		drain(r);
		r->containers += BATCH;
	}
	micro_use(r->answers);
}

static void requests_end(void *ctx)
{
	struct asking *r = ctx;

	ipam_free(r->ipam);
	store_free(r->store);
	mem_free(r);
}

/* --- rings: an operation is the merging of all of one with RUNS runs ---------------------------
 */

struct merging {
	struct ring ring;
	struct ring_changes changes;
	struct run *runs;
	unsigned stage;
};

static void ring_take(struct merging *r)
{
	for (unsigned n = 0; n < RUNS; n++)
		ring_merge(&r->ring, &r->runs[n], &r->changes);
}

static void *ring_setup(const struct micro *c)
{
	struct merging *r = mem_new(1, sizeof *r);

	r->runs = mem_new(RUNS, sizeof *r->runs);
	for (unsigned n = 0; n < RUNS; n++)
		r->runs[n] = (struct run){ n * 100u, n * 100u + 100, 0, 1, { 1 + n % 1000, 7 } };
	ring_init(&r->ring, (uint64_t)RUNS * 100);
	if (strcmp(c->with, "new") != 0)
		ring_take(r);
	if (strcmp(c->with, "newer") == 0)
		for (unsigned n = 0; n < RUNS; n++) {
			r->runs[n].counter = 2;
			r->runs[n].owner.name++;
		}
	return r;
}

/* Once, for a ring that was merged is another one; 'count' is 1. */
static void ring_run(void *ctx, uint64_t count)
{
	struct merging *r = ctx;

	while (count--)
		ring_take(r);
	micro_use(ring_count(&r->ring));
}

static void ring_end(void *ctx)
{
	struct merging *r = ctx;

	ring_changes_fini(&r->changes);
	ring_fini(&r->ring);
	mem_free(r->runs);
	mem_free(r);
}

static const unsigned none = 0, thousand = 1000, many = 100000;

const struct micro micro_ipam[] = {
	{ "ipam/space-take-free, 0 used", space_setup, space_run, space_end, 200000, 0, &none },
	{ "ipam/space-take-free, 100000 used", space_setup, space_run, space_end, 200000, 0,
	  &many },
	{ "ipam/allocate-free, 1000 used", requests_setup, requests_run, requests_end, 65536, 0,
	  &thousand },
	{ "ipam/allocate-free, 100000 used", requests_setup, requests_run, requests_end, 65536, 0,
	  &many },
	{ "ipam/ring-merge-10000, new", ring_setup, ring_run, ring_end, 1, 0, "new" },
	{ "ipam/ring-merge-10000, same", ring_setup, ring_run, ring_end, 1, 0, "same" },
	{ "ipam/ring-merge-10000, newer", ring_setup, ring_run, ring_end, 1, 0, "newer" },
	{ 0 },
};
