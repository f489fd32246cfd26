/* What a crash may leave on the disk: any beginning of the rows that an event saved.  Random rings,
 * gifts, takeovers and crashes of one router; after each event, for every beginning: what a start
 * finds lies, at each offset, between the ring before the event and the ring after it, and it may
 *use nothing that was not usable before or after.
 *
 *	prop_rows [seed [runs]]
 */
#include <time.h>

#include "../../unit/ipam/world.h"

#define SIZE 32u
#define STEPS 120u
#define PEERS 4u /* the first of them are we */

static uint64_t base_seed;
static uint64_t runs_wanted = 60;

struct view {
	struct run at[SIZE]; /* start == end: unknown */
	bool usable[SIZE];
};

static void view_ring(const struct ipam *i, struct view *v)
{
	for (uint64_t at = 0; at < SIZE; at++) {
		const struct run *run = ring_at(&i->ring, at);

		v->at[at] = run ? *run : (struct run){ 0 };
	}
}

static void view_space(const struct ipam *i, struct view *v)
{
	for (uint64_t at = 0; at < SIZE; at++)
		v->usable[at] = space_owns(&i->space, at);
}

static struct view view_of(const struct ipam *i)
{
	struct view v;

	view_ring(i, &v);
	view_space(i, &v);
	return v;
}

static bool known(const struct run *r)
{
	return r->start < r->end;
}

static bool at_least(const struct run *a, const struct run *b)
{
	return !known(b) || (known(a) && run_compare(a, b) >= 0);
}

static void check_between(const struct view *v, const struct view *before, const struct view *after)
{
	for (uint64_t at = 0; at < SIZE; at++) {
		MUST(at_least(&v->at[at], &before->at[at]));
		MUST(at_least(&after->at[at], &v->at[at]));
		MUST(!v->usable[at] || before->usable[at] || after->usable[at]);
	}
}

static struct ipam *load(const struct host *h, const struct rows *disk, struct mono now)
{
	struct ipam *i = ipam_new(&h->config, NULL);

	for (size_t k = 0; k < disk->count; k++)
		MUST(!ipam_load(i, disk->list[k].table, disk->list[k].key,
				bytes_of(disk->list[k].value, disk->list[k].size)));
	/* They are known and away, so what is taken from one is not confirmed before all are
	 * removed. */
	for (peer_name name = 0x0a; name < 0x0a + PEERS; name++)
		ipam_on_peer(i, name, 7, false, now);
	return i;
}

/* SAVEs to 'pending'; what else wants to leave, leaves: nobody is there. */
static void drain(struct host *h, struct mono now)
{
	struct ipam_action a;

	while (ipam_next_action(h->ipam, &a))
		if (a.type == IPAM_SAVE)
			rows_push(&h->pending, a.table, a.key, a.ok ? a.bytes.data : NULL,
				  a.bytes.size, a.ticket);
		else if (a.type == IPAM_RENEW)
			ipam_on_new_store(h->ipam, ++h->config.store_id, now);
}

static void save(struct world *w, struct host *h)
{
	drain(h, w->now);
	while (h->pending.count) {
		uint64_t ticket = h->pending.list[h->pending.count - 1].ticket;

		for (size_t k = 0; k < h->pending.count; k++)
			rows_apply(&h->disk, &h->pending.list[k]);
		rows_clear(&h->pending);
		ipam_on_saved(h->ipam, ticket, w->now);
		drain(h, w->now);
	}
}

static void check_beginnings(struct world *w, struct host *h, const struct view *before)
{
	struct view after = view_of(h->ipam), v;
	struct rows disk = { 0 };
	struct ipam *i;

	rows_copy(&disk, &h->disk);
	for (size_t kept = 0; kept <= h->pending.count; kept++) {
		if (kept)
			rows_apply(&disk, &h->pending.list[kept - 1]);
		i = load(h, &disk, w->now);
		view_ring(i, &v); /* a start may join pieces of its own */
		ipam_start(i, w->now);
		view_space(i, &v);
		check_between(&v, before, &after);
		ipam_free(i);
	}
	rows_clear(&disk);
	mem_free(disk.list);
}

static void crash(struct world *w, struct host *h)
{
	size_t kept = rng_below(&w->rng, h->pending.count + 1);

	for (size_t k = 0; k < kept; k++)
		rows_apply(&h->disk, &h->pending.list[k]);
	rows_clear(&h->pending);
	ipam_free(h->ipam);
	h->ipam = load(h, &h->disk, w->now);
	ipam_start(h->ipam, w->now);
}

static struct run any_run(struct world *w, const struct host *h)
{
	uint64_t start = rng_below(&w->rng, SIZE);
	const struct run *there = ring_at(&h->ipam->ring, start);
	struct run r = {
		.start = start,
		.end = start + 1 + rng_below(&w->rng, SIZE - start),
		.epoch = (uint32_t)rng_below(&w->rng, 3),
		.counter = (uint32_t)rng_below(&w->rng, 6),
		.owner = { 0x0a + rng_below(&w->rng, PEERS), 7 },
	};

	/* Often a little newer than what is there. */
	if (there && rng_below(&w->rng, 2)) {
		r.epoch = there->epoch;
		r.counter = there->counter + (uint32_t)rng_below(&w->rng, 2);
	}
	if (r.owner.name == h->name)
		r.owner.store_id = h->config.store_id;
	return r;
}

static void give(struct world *w, struct host *h)
{
	struct run r = any_run(w, h);
	struct run *list;
	size_t count = ipam_runs(h->ipam, (struct span){ r.start, r.end }, &list);

	for (size_t n = 0; n < count; n++) {
		if (!owner_equal(list[n].owner, h->ipam->self) ||
		    !space_owns(&h->ipam->space, list[n].start))
			continue;
		list[n].counter++;
		list[n].owner = r.owner;
		ipam_write(h->ipam, &list[n]);
	}
	mem_free(list);
}

static void event(struct world *w, struct host *h)
{
	struct run r = any_run(w, h);

	switch (rng_below(&w->rng, 6)) {
	case 0:
		give(w, h);
		break;
	case 1:
		/* Others stay away, so it remains unconfirmed, mostly. */
		ipam_remove_peer(h->ipam, ++w->requests, 0x0a + rng_below(&w->rng, PEERS), 0,
				 rng_below(&w->rng, 8) == 0, w->now);
		break;
	default:
		ipam_learn(h->ipam, &r, false);
		ipam_tick(h->ipam, w->now);
	}
}

static void run(uint64_t seed)
{
	struct world *w = world_new(seed, 1, "10.32.0.0/27", IPAM_OBSERVER, 0);
	struct host *h = &w->hosts[0];
	struct rows nothing = { 0 };
	char context[64];

	snprintf(context, sizeof context, "seed %llu", (unsigned long long)seed);
	must_set_context(context);
	MUST(w->universe.size == SIZE);
	h->ipam = load(h, &nothing, w->now);
	ipam_start(h->ipam, w->now);
	ipam_adopt(h->ipam, 99);
	ipam_tick(h->ipam, w->now);
	save(w, h);
	for (unsigned n = 0; n < STEPS; n++) {
		struct view before = view_of(h->ipam);

		w->now.ms += 100;
		event(w, h);
		drain(h, w->now);
		check_beginnings(w, h, &before);
		if (rng_below(&w->rng, 4) == 0)
			crash(w, h);
		save(w, h);
		h->up = true;
		world_check_rows(h);
		h->up = false;
	}
	ipam_free(h->ipam);
	h->ipam = NULL;
	world_free(w);
	must_set_context(NULL);
}

static void any_beginning_will_do(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < runs_wanted; n++)
		run(base_seed + n);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_beginning_will_do),
	};

	base_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	if (argc > 2)
		runs_wanted = strtoull(argv[2], NULL, 0);
	print_message("seed %llu\n", (unsigned long long)base_seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
