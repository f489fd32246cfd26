/* Random schedules of whole allocators: loss, doubling, reordering, partial and late gossip,
 * partitions, disks that refuse, crashes before and after each sync, restarts, lost disks, restored
 *copies, deaths with concurrent rmpeer, resets.  After every step: no address with two live
 *containers, no offset that two running hosts may use; at the end: equal rings, one owner each.
 *
 *	prop_allocator [seed [runs]]
 */
#include <time.h>

#include "../../budget.h"
#include "../../unit/ipam/world.h"

#define STEPS 600u

enum { CRASHES = 1, LOST_DISKS = 2, DEATHS = 4, RESETS = 8, COPIES = 16 };

static uint64_t base_seed;
static uint64_t runs_wanted;

struct sums {
	uint64_t runs, acknowledged, messages, lost, crashes, granted, disputes;
};

static bool one_in(struct world *w, unsigned n)
{
	return rng_below(&w->rng, n) == 0;
}

static unsigned any_host(struct world *w)
{
	return (unsigned)rng_below(&w->rng, w->count);
}

static void start_again(struct world *w, unsigned n)
{
	if (!w->hosts[n].up && !w->hosts[n].dead)
		world_start(w, n);
}

/* A container starts, or one that is there starts again. */
static void work(struct world *w, unsigned n)
{
	struct host *h = &w->hosts[n];
	char name[32];

	if (h->containers_count && one_in(w, 3)) {
		world_kill_container(w, n, rng_below(&w->rng, h->containers_count), one_in(w, 3));
		return;
	}
	snprintf(name, sizeof name, "%u-%u", n, (unsigned)(w->requests % 100000));
	/* Two clients for one container: one of them may go away. */
	if (h->asked_count && one_in(w, 4))
		memcpy(name, h->asked[rng_below(&w->rng, h->asked_count)].name, sizeof name);
	if (one_in(w, 3))
		world_claim(w, n, name, 1 + rng_below(&w->rng, w->universe.size - 2));
	else
		world_allocate(w, n, name);
	if (h->up && h->asked_count && one_in(w, 6)) {
		size_t at = rng_below(&w->rng, h->asked_count);

		ipam_cancel(h->ipam, h->asked[at].request, w->now);
		h->asked[at] = h->asked[--h->asked_count];
		world_drain(w, n);
	}
}

static void trouble(struct world *w, unsigned n, unsigned kinds)
{
	struct host *h = &w->hosts[n];

	if (kinds & CRASHES && h->up && one_in(w, 4)) {
		if (one_in(w, 3))
			world_sync(w, n);
		world_crash(w, n);
		if (kinds & LOST_DISKS && one_in(w, 3))
			world_lose_disk(w, n);
	}
	if (kinds & CRASHES && one_in(w, 4))
		world_disk(w, n, !h->refuses);
	if (kinds & COPIES && one_in(w, 6))
		rows_copy(&h->snapshot, &h->disk);
}

/* A copy of an old disk, which the next neighbour tells of. */
static void restore(struct world *w, unsigned n)
{
	struct host *h = &w->hosts[n];
	unsigned b = any_host(w);

	if (h->dead || !h->snapshot.count || !w->hosts[b].up || b == n)
		return;
	world_crash(w, n);
	rows_copy(&h->disk, &h->snapshot);
	world_cut(w, n, b, false);
	world_start(w, n);
	h->stale = true;
	world_heartbeat(w, n, b);
}

static void die(struct world *w, unsigned n)
{
	for (unsigned o = 0; o < w->count; o++)
		if (w->hosts[o].dead)
			return;
	world_crash(w, n);
	w->hosts[n].dead = true;
	w->hosts[n].containers_count = 0;
	w->hosts[n].asked_count = 0;
}

/* One or two operators; also a host that takes over what a former disk of its own had. */
static void remove_dead(struct world *w)
{
	for (unsigned v = 0; v < w->count; v++) {
		unsigned by = any_host(w);

		if (w->hosts[by].up && (w->hosts[v].dead || (v == by && one_in(w, 4)))) {
			ipam_remove_peer(w->hosts[by].ipam, ++w->requests, w->hosts[v].name, 0,
					 false, w->now);
			world_drain(w, by);
		}
	}
}

/* The CLI erases the disk after a yes, and only then. */
static void reset(struct world *w, unsigned n)
{
	struct host *h = &w->hosts[n];
	uint64_t request = ++w->requests;

	if (!h->up)
		return;
	while (h->containers_count)
		world_kill_container(w, n, 0, false);
	ipam_reset(h->ipam, request, false, w->now);
	world_drain(w, n);
	for (unsigned k = 0; k < 40 && h->last.request != request; k++) {
		for (unsigned o = 0; o < w->count; o++)
			world_sync(w, o);
		while (w->flight_count && !one_in(w, 10))
			world_deliver(w, rng_below(&w->rng, w->flight_count), one_in(w, 10),
				      one_in(w, 7));
		world_tick(w, 300);
		world_check(w);
	}
	h->asked_count = 0;
	if (h->last.request == request && h->last.ok) {
		world_lose_disk(w, n);
		/* What is allocated in the moment before is gone with the disk: nothing lives. */
		h->containers_count = 0;
	}
}

static void network(struct world *w)
{
	unsigned a = any_host(w),
		 b = (a + 1 + (unsigned)rng_below(&w->rng, w->count - 1)) % w->count;

	switch (rng_below(&w->rng, 10)) {
	case 0:
		/* Cut one time in three, so that most are connected most of the time. */
		if (one_in(w, 6))
			world_cut(w, a, b, one_in(w, 3));
		break;
	case 1:
	case 2:
		world_gossip(w, a, b, 100);
		break;
	case 3:
	case 4:
		world_heartbeat(w, a, b);
		break;
	case 5:
		if (one_in(w, 3))
			world_late(w, a);
		break;
	case 6:
		world_sync(w, a);
		break;
	default:
		if (w->flight_count)
			world_deliver(w, rng_below(&w->rng, w->flight_count), one_in(w, 10),
				      one_in(w, 7));
	}
}

static void step(struct world *w, unsigned kinds)
{
	unsigned n = any_host(w);

	network(w);
	network(w);
	switch (rng_below(&w->rng, 40)) {
	case 0:
		trouble(w, n, kinds);
		break;
	case 1:
	case 2:
		start_again(w, n);
		break;
	case 3:
		if (kinds & DEATHS && one_in(w, 4))
			die(w, n);
		if (kinds & (DEATHS | LOST_DISKS))
			remove_dead(w);
		break;
	case 4:
		if (kinds & RESETS && one_in(w, 4))
			reset(w, n);
		break;
	case 5:
		if (kinds & COPIES && one_in(w, 2))
			restore(w, n);
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		world_tick(w, rng_below(&w->rng, 700));
		break;
	case 10:
	case 11:
	case 12:
	case 13:
	case 14:
		work(w, n);
		break;
	default:
		network(w);
	}
	world_check(w);
	world_check_held(&w->hosts[n]);
	if (one_in(w, 8))
		world_check_all(w);
}

/* After the last fault: everybody knows the same, every offset has one owner. */
static void settle(struct world *w)
{
	const struct host *first = NULL;

	for (unsigned a = 0; a < w->count; a++)
		for (unsigned b = 0; b < w->count; b++)
			world_cut(w, a, b, false);
	for (unsigned n = 0; n < w->count; n++) {
		world_disk(w, n, false);
		start_again(w, n);
	}
	world_run(w, 20000);
	for (unsigned n = 0; n < w->count; n++) {
		const struct host *h = &w->hosts[n];
		char text[64];

		if (!h->up)
			continue;
		first = first ? first : h;
		snprintf(text, sizeof text, "host %u has another ring than host %u", n,
			 host_of(w, first->name));
		if (h->ipam->ring_id != first->ipam->ring_id ||
		    memcmp(&h->ipam->ring.digest, &first->ipam->ring.digest, 16) ||
		    memcmp(&h->ipam->published.digest, &first->ipam->ring.digest, 16))
			must_failed(__FILE__, __LINE__, __func__, text);
		/* Of a ring that only lost disks knew, pieces may be gone. */
		for (uint64_t at = 0; at < w->universe.size && h->ipam->ring_id; at++)
			MUST(w->disks_lost > 1 || ring_at(&h->ipam->ring, at));
	}
}

/* Without its disk a seed starts over with what it may have given away, and a voter may vote once
 * more (V5, V7): there the first ring is made by votes, before the trouble begins. */
static struct world *begin(uint64_t seed, unsigned kinds)
{
	bool forgets = kinds & (LOST_DISKS | RESETS);
	struct world *w = world_new(seed, 3 + (unsigned)(seed & 1), "10.32.0.0/28",
				    forgets || seed & 2 ? IPAM_CONSENSUS : IPAM_SEED, 3);

	if (w->count == 4)
		w->hosts[3].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	if (forgets) {
		world_allocate(w, 0, "first");
		world_run(w, 8000);
	}
	return w;
}

static void run(uint64_t seed, unsigned kinds, struct sums *sums)
{
	struct world *w;
	char context[64];

	snprintf(context, sizeof context, "seed %llu kinds %u", (unsigned long long)seed, kinds);
	must_set_context(context);
	w = begin(seed, kinds);
	for (unsigned n = 0; n < STEPS; n++)
		step(w, kinds);
	settle(w);
	sums->runs++;
	sums->acknowledged += w->acknowledged;
	sums->messages += w->messages;
	sums->lost += w->lost;
	sums->crashes += w->crashes;
	for (unsigned n = 0; n < w->count; n++)
		if (w->hosts[n].up) {
			sums->granted += w->hosts[n].ipam->granted;
			sums->disputes += w->hosts[n].ipam->disputes;
		}
	world_free(w);
	must_set_context(NULL);
}

static void runs(const char *what, unsigned kinds)
{
	struct sums s = { 0 };

	for (uint64_t n = 0; n < runs_wanted; n++)
		run(base_seed + n * 4 + n, kinds, &s);
	print_message("%s: %llu runs, %llu addresses, %llu gifts, %llu messages, %llu lost, "
		      "%llu crashes, %llu disputes\n",
		      what, (unsigned long long)s.runs, (unsigned long long)s.acknowledged,
		      (unsigned long long)s.granted, (unsigned long long)s.messages,
		      (unsigned long long)s.lost, (unsigned long long)s.crashes,
		      (unsigned long long)s.disputes);
	assert_true(s.acknowledged > s.runs);
}

static void calm(void **state)
{
	(void)state;
	runs("loss and partitions", 0);
}

static void crashes(void **state)
{
	(void)state;
	runs("crashes", CRASHES);
}

static void lost_disks(void **state)
{
	(void)state;
	runs("lost disks", CRASHES | LOST_DISKS);
}

static void deaths(void **state)
{
	(void)state;
	runs("deaths and rmpeer", CRASHES | DEATHS);
}

static void resets(void **state)
{
	(void)state;
	runs("resets", CRASHES | RESETS);
}

static void copies(void **state)
{
	(void)state;
	runs("restored copies", CRASHES | COPIES);
}

static void everything(void **state)
{
	(void)state;
	runs("everything", CRASHES | LOST_DISKS | DEATHS | RESETS | COPIES);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calm),	      cmocka_unit_test(crashes),
		cmocka_unit_test(lost_disks), cmocka_unit_test(deaths),
		cmocka_unit_test(resets),     cmocka_unit_test(copies),
		cmocka_unit_test(everything),
	};

	base_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	runs_wanted = tests_run_again() ? 5 : 25;
	if (argc > 2)
		runs_wanted = strtoull(argv[2], NULL, 0);
	print_message("seed %llu\n", (unsigned long long)base_seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
