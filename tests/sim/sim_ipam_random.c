#include "sim_ipam_random.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../ipam/allocator.h"
#include "sim_invariants.h"
#include "sim_ipam.h"
#include "sim_ipam_check.h"
#include "sim_ipam_removals.h"
#include "sim_net.h"
#include "sim_router.h"

#define REST_LIMIT_US (300 * SIM_S)
#define PROBE_LIMIT_US (90 * SIM_S)
#define POLL_US (250 * SIM_MS)
#define ORPHAN_ROUNDS 6u

/* What may happen in a run. */
enum {
	CRASHES = 1,
	LOSSES = 2, /* of disks */
	COPIES = 4, /* an old one is put in the place of a disk */
	DEATHS = 8, /* hosts that never come back; and rmpeer */
	RESETS = 16,
	FULL_DISKS = 32,
	LATE = 64, /* messages and entries of long ago, doubled ones */
	CUTS = 128,
	FREEZES = 256,
	MISTAKES = 512, /* rmpeer of the living, --force */
};

struct course {
	struct sim *s;
	uint32_t kinds;
	uint32_t electors; /* 0: not by votes, or not all of one mind */
	uint32_t erased;   /* voters that may vote again */
	bool two_networks, met;
	bool had_ring; /* everybody, before anything was erased */
	bool asked;
	struct sim_router *removed, *remover; /* the last rmpeer: whom, and by whom */
};

static bool often(struct sim *s, uint32_t percent)
{
	return rng_below(&s->rng, 100) < percent;
}

static struct sim_router *any_router(struct sim *s)
{
	return s->routers[rng_below(&s->rng, s->count)];
}

static bool works(const struct sim_router *r)
{
	return r->engine && !r->frozen;
}

/* ---- the world of this seed ---- */

static void make_links(struct sim *s)
{
	static const uint32_t losses[] = { 0, 0, 0, 10000, 50000 };
	uint32_t loss = losses[rng_below(&s->rng, ARRAY_COUNT(losses))];
	uint64_t slow_us = sim_between(&s->rng, 500, often(s, 20) ? 60000 : 5000);

	for (uint32_t i = 0; i < s->count * s->count; i++) {
		struct sim_link *l = &s->links[i];

		l->delay_us = (uint32_t)sim_between(&s->rng, 100, slow_us);
		l->jitter_us = l->delay_us / 4;
		l->loss_ppm = loss;
	}
}

static size_t make_universes(struct sim *s, struct universe *list)
{
	static const char *const ranges[] = { "10.32.0.0/28", "10.32.0.0/27", "10.32.0.0/26",
					      "10.32.0.0/26", "10.32.0.0/25", "10.32.0.0/24",
					      "10.32.0.0/22" };
	const char *texts[SIM_UNIVERSES] = { ranges[rng_below(&s->rng, ARRAY_COUNT(ranges))],
					     "fd00:32::/122" };
	size_t count = often(s, 12) ? 2 : 1;

	for (size_t u = 0; u < count; u++) {
		struct cidr cidr;
		struct why why;

		MUST(cidr_parse(texts[u], &cidr) && universe_init(&list[u], cidr, &why));
	}
	return count;
}

static void choose_targets(struct course *c)
{
	struct sim *s = c->s;
	uint32_t half = s->count / 2;

	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t first = c->two_networks && i >= half ? half : 0;
		struct sim_disk *d = &s->routers[i]->disk;

		for (uint64_t n = i > first ? sim_between(&s->rng, 1, 2) : 0; n > 0; n--)
			d->targets[d->targets_count++] = first +
							 (uint32_t)rng_below(&s->rng, i - first);
		for (size_t u = 0; u < s->addresses->universes; u++)
			s->routers[i]->ipam->config[u].has_targets = d->targets_count > 0;
	}
}

static void configure(struct sim_router *r, enum ipam_mode mode, uint32_t electors,
		      const peer_name *seeds, size_t seeds_count)
{
	for (size_t u = 0; u < r->sim->addresses->universes; u++)
		r->ipam->config[u] = (struct ipam_config){
			.universe = r->sim->addresses->universe[u],
			.mode = mode,
			.electors = electors,
			.seeds = seeds,
			.seeds_count = mode == IPAM_SEED ? seeds_count : 0,
		};
}

/* Everybody of one mind about N, and some that do not vote. */
static void by_votes(struct course *c, bool observers)
{
	struct sim *s = c->s;
	uint32_t from = observers ? (uint32_t)sim_between(&s->rng, 1, s->count) : s->count;

	c->electors = from;
	for (uint32_t i = 0; i < s->count; i++)
		configure(s->routers[i], i < from ? IPAM_CONSENSUS : IPAM_OBSERVER, from, NULL, 0);
}

static void in_two_networks(struct course *c)
{
	struct sim *s = c->s;
	uint32_t half = s->count / 2;

	c->two_networks = half > 0; /* one router alone is one */
	s->addresses->rings_may_differ = true;
	for (uint32_t i = 0; i < s->count; i++)
		configure(s->routers[i], IPAM_CONSENSUS, i < half ? half : s->count - half, NULL,
			  0);
	for (uint32_t a = 0; a < half; a++)
		for (uint32_t b = half; b < s->count; b++)
			sim_link(s, a, b)->cut = sim_link(s, b, a)->cut = true;
}

static void make_rings(struct course *c, peer_name *seeds)
{
	struct sim *s = c->s;
	uint64_t how = rng_below(&s->rng, 100);

	for (uint32_t i = 0; i < s->count; i++)
		seeds[i] = s->routers[i]->name;
	if (how < 55) {
		by_votes(c, false);
	} else if (how < 65) {
		by_votes(c, true);
	} else if (how < 82) {
		size_t count = (size_t)sim_between(&s->rng, 1, s->count);

		for (uint32_t i = 0; i < s->count; i++)
			configure(s->routers[i], IPAM_SEED, 0, seeds, count);
	} else if (how < 91) {
		s->addresses->rings_may_differ = true;
		for (uint32_t i = 0; i < s->count; i++)
			configure(s->routers[i], IPAM_CONSENSUS,
				  (uint32_t)sim_between(&s->rng, 1, s->count + 1), NULL, 0);
	} else {
		in_two_networks(c);
	}
	choose_targets(c);
}

/* Keys cost more than all the rest, and hide messages from those who would send them again: few
 * worlds have passwords. */
static void make_names(struct sim *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct sim_router *r = s->routers[i];

		if (s->seed % 16 != 3)
			r->config.passwords = NULL;
		r->name = (UINT64_C(0x02) << 40) | rng_below(&s->rng, UINT64_C(1) << 30) << 10 | i;
	}
}

static uint32_t choose_kinds(struct sim *s)
{
	static const uint32_t rare[] = { LOSSES,     COPIES,  DEATHS,  RESETS,
					 FULL_DISKS, FREEZES, MISTAKES };
	uint32_t kinds = (often(s, 85) ? CUTS : 0) | (often(s, 80) ? CRASHES : 0) |
			 (often(s, 50) ? LATE : 0);

	/* Few at a time, so that each meets long stretches of ordinary life. */
	for (uint64_t n = sim_between(&s->rng, 0, 3); n > 0; n--)
		kinds |= rare[rng_below(&s->rng, ARRAY_COUNT(rare))];
	return kinds | (kinds & MISTAKES ? DEATHS : 0);
}

/* ---- users ---- */

static struct sim_container *any_container(struct sim_router *r, bool alive)
{
	struct sim_ipam *h = r->ipam;
	size_t start = h->containers_count ? (size_t)rng_below(&r->sim->rng, h->containers_count)
					   : 0;

	for (size_t n = 0; n < h->containers_count; n++) {
		struct sim_container *c = &h->containers[(start + n) % h->containers_count];

		if (c->alive == alive)
			return c;
	}
	return NULL;
}

static uint64_t any_offset(struct sim *s, size_t universe)
{
	const struct sim_router *r = any_router(s);
	const struct sim_ipam *h = r->ipam;

	/* What somebody has, or had just now, makes more trouble. */
	if (h->containers_count && often(s, 50)) {
		const struct sim_container *c =
			&h->containers[rng_below(&s->rng, h->containers_count)];

		if (c->home[universe].has)
			return c->home[universe].offset;
	}
	return 1 + rng_below(&s->rng, s->addresses->universe[universe].size - 2);
}

static void begin_one(struct sim_router *r, bool claim)
{
	struct sim *s = r->sim;
	uint64_t id = sim_container_new(r)->id;

	for (size_t u = 0; u < s->addresses->universes; u++) {
		struct sim_ipam *h = r->ipam;
		struct sim_container *c = &h->containers[h->containers_count - 1];

		if (!works(r) || c->id != id)
			return;
		if (claim)
			sim_ipam_claim(r, c, u, any_offset(s, u));
		else
			sim_ipam_allocate(r, c, u);
	}
}

static void come_again(struct sim_router *r)
{
	struct sim_container *c = any_container(r, false);
	bool waits = false;

	for (size_t u = 0; c && u < r->sim->addresses->universes; u++)
		waits |= sim_container_waits(r, c, u);
	if (!c || waits)
		return;
	if (often(r->sim, 50)) {
		sim_container_revive(r, c);
		return;
	}
	c->alive = true;
	for (size_t u = 0; u < r->sim->addresses->universes; u++)
		sim_ipam_allocate(r, c, u);
}

static void cancel_one(struct sim_router *r)
{
	struct sim_ipam *h = r->ipam;

	if (h->requests_count)
		sim_ipam_cancel(r, (size_t)rng_below(&r->sim->rng, h->requests_count));
}

static void work(struct course *c)
{
	struct sim *s = c->s;
	struct sim_router *r = any_router(s);
	struct sim_container *victim;
	uint64_t how = rng_below(&s->rng, 100);

	if (!works(r)) {
		/* Containers die while nobody watches, too. */
		victim = r->engine ? NULL : any_container(r, true);
		if (victim && how < 20)
			sim_container_kill(r, victim, false);
		return;
	}
	c->asked = true;
	if (r->ipam->containers_count > 200)
		sim_ipam_forget_dead(r);
	if (how < 26) {
		victim = any_container(r, true);
		if (victim)
			sim_container_kill(r, victim, often(s, 60));
	} else if (how < 36) {
		come_again(r);
	} else if (how < 42) {
		cancel_one(r);
	} else if (how < 62) {
		begin_one(r, true);
	} else if (how < 64) {
		sim_ipam_prime(r, (size_t)rng_below(&s->rng, s->addresses->universes));
	} else {
		for (uint64_t n = often(s, 12) ? sim_between(&s->rng, 4, 24) : 1; n > 0 && works(r);
		     n--)
			begin_one(r, false);
	}
}

/* ---- the network ---- */

static bool is_between_networks(const struct course *c, uint32_t a, uint32_t b)
{
	uint32_t half = c->s->count / 2;

	return c->two_networks && !c->met && (a < half) != (b < half);
}

static void set_cut(struct course *c, uint32_t a, uint32_t b, bool cut)
{
	if (!is_between_networks(c, a, b))
		sim_link(c->s, a, b)->cut = sim_link(c->s, b, a)->cut = cut;
}

static void heal(struct course *c)
{
	struct sim *s = c->s;

	sim_net_heal(s);
	for (uint32_t a = 0; a < s->count; a++)
		for (uint32_t b = 0; b < a; b++)
			if (is_between_networks(c, a, b))
				sim_link(s, a, b)->cut = sim_link(s, b, a)->cut = true;
}

/* Somebody tells one side of the other; it stays told. */
static void meet(struct course *c)
{
	struct sim *s = c->s;
	uint32_t half = s->count / 2;

	MUST(half > 0);
	c->met = true;
	heal(c);
	sim_trace(s, "meet", 0, 0, 0);
	for (uint32_t b = half; b < s->count; b++) {
		struct sim_disk *d = &s->routers[b]->disk;
		uint32_t to = (uint32_t)rng_below(&s->rng, half);

		while (s->routers[to]->ipam->dead)
			to = (to + 1) % half;
		d->targets[d->targets_count++] = to;
		if (works(s->routers[b]))
			sim_router_connect(s->routers[b], to);
	}
}

static void network(struct course *c)
{
	struct sim *s = c->s;
	uint32_t a = (uint32_t)rng_below(&s->rng, s->count);
	uint32_t b = (uint32_t)rng_below(&s->rng, s->count);
	uint64_t side = rng_u64(&s->rng);

	if (c->two_networks && !c->met && often(s, 15))
		meet(c);
	if (!(c->kinds & CUTS))
		return;
	switch (rng_below(&s->rng, 8)) {
	case 0: /* in two */
		for (a = 0; a < s->count; a++)
			for (b = 0; b < a; b++)
				set_cut(c, a, b, (side >> a & 1) != (side >> b & 1));
		break;
	case 1: /* one alone */
		for (b = 0; b < s->count; b++)
			if (a != b)
				set_cut(c, a, b, true);
		break;
	case 2:
		if (a != b)
			set_cut(c, a, b, true);
		break;
	case 3:
		if (a != b)
			sim_net_reset(s, a, b);
		break;
	case 4:
		if (a != b)
			sim_link(s, a, b)->stalled = true;
		break;
	default:
		heal(c);
	}
	sim_trace(s, "network", a, b, side);
}

/* ---- hosts ---- */

static void note_erased(struct course *c)
{
	struct sim_addresses *w = c->s->addresses;

	c->erased++;
	if (!c->had_ring || c->erased >= c->electors / 2 + 1)
		w->rings_may_differ = true;
	if (!c->had_ring)
		w->space_may_be_lost = true;
}

static void crash(struct course *c, struct sim_router *r)
{
	if (r->engine)
		sim_router_crash(r, often(c->s, 20));
}

static void restart(struct course *c, struct sim_router *r)
{
	struct sim *s = c->s;

	if (r->engine || r->ipam->dead)
		return;
	if (c->kinds & LOSSES && r->disk.present && often(s, 25)) {
		sim_ipam_lose_disk(r);
		note_erased(c);
	} else if (c->kinds & COPIES && often(s, 30) && sim_ipam_restore(r)) {
		note_erased(c);
	}
	if (often(s, 10))
		r->wall_offset_s = (int64_t)sim_between(&s->rng, 0, 2000000) - 1000000;
	sim_router_start(r);
}

static uint32_t living(const struct sim *s)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < s->count; i++)
		count += !s->routers[i]->ipam->dead;
	return count;
}

static void die(struct course *c, struct sim_router *r)
{
	/* In two networks, somebody stays on each side. */
	if (r->ipam->dead || living(c->s) <= 2 || (c->two_networks && r->index == 0) ||
	    (c->two_networks && r->index + 1 == c->s->count))
		return;
	sim_trace(c->s, "dies", r->index, 0, 0);
	if (r->engine)
		sim_router_crash(r, true);
	for (size_t n = 0; n < r->ipam->containers_count; n++)
		r->ipam->containers[n].alive = false;
	r->ipam->dead = true;
	sim_ipam_look_for_losses(c->s);
}

/* ---- operators ---- */

static bool can_reach(const struct sim_router *by, const struct sim_router *v)
{
	return topology_reachable(gossip_topology(sim_router_gossip(by)), v->name);
}

/* Once more, of whom it was said before: it may have come back, and have got and given away other
 * addresses since, while the first takeover still waits for somebody. */
static void remove_again(struct course *c)
{
	struct sim *s = c->s;
	struct sim_router *by = often(s, 70) ? c->remover : any_router(s);
	size_t universe = (size_t)rng_below(&s->rng, s->addresses->universes);

	if (works(by) && by != c->removed && !can_reach(by, c->removed))
		sim_ipam_remove(by, universe, c->removed->index, 0, false);
}

static void remove_peer(struct course *c)
{
	struct sim *s = c->s;
	struct sim_router *v = any_router(s);
	bool mistake = c->kinds & MISTAKES && often(s, 30);
	bool force = c->kinds & MISTAKES && often(s, 20);
	uint64_t store_id = often(s, 15) ? v->disk.store_id : 0;

	if (c->removed && often(s, 50)) {
		remove_again(c);
		return;
	}
	if (!v->ipam->dead && !v->ipam->orphans && !mistake)
		return;
	for (uint64_t operators = often(s, 25) ? 2 : 1; operators > 0; operators--) {
		struct sim_router *by = any_router(s);
		size_t universe = (size_t)rng_below(&s->rng, s->addresses->universes);

		if (!works(by) || (by == v && !v->ipam->orphans))
			continue;
		/* A living peer that can be reached is refused without --force: try that, too. */
		if (by != v && can_reach(by, v) && !force && !often(s, 10))
			continue;
		c->removed = v;
		c->remover = by;
		sim_ipam_remove(by, universe, v->index, store_id, force);
	}
}

static void reset(struct course *c)
{
	struct sim *s = c->s;
	struct sim_router *r = any_router(s);

	if (!works(r) || r->ipam->erase)
		return;
	sim_ipam_reset(r, often(s, 50));
	note_erased(c);
}

static void trouble(struct course *c)
{
	struct sim *s = c->s;
	struct sim_router *r = any_router(s);
	uint32_t kinds = c->kinds & ~(uint32_t)(LATE | CUTS), kind;

	if (!kinds)
		return;
	do
		kind = 1u << rng_below(&s->rng, 10);
	while (!(kinds & kind));
	switch (kind) {
	case CRASHES:
	case LOSSES:
	case COPIES:
		if (c->kinds & COPIES && r->engine && often(s, 30))
			sim_ipam_snapshot(r);
		else
			crash(c, r);
		break;
	case DEATHS:
		if (often(s, 25))
			die(c, r);
		else
			remove_peer(c);
		break;
	case RESETS:
		if (often(s, 30))
			reset(c);
		break;
	case FULL_DISKS:
		sim_ipam_disk_fails(r, !r->ipam->disk_fails);
		break;
	case FREEZES:
		if (r->engine)
			sim_router_freeze(r, !r->frozen);
		break;
	case MISTAKES:
		remove_peer(c);
		break;
	default:
		break;
	}
}

static void past(struct course *c)
{
	struct sim_router *r = any_router(c->s);

	if (!(c->kinds & LATE))
		return;
	if (r->engine && often(c->s, 40))
		sim_ipam_remember_entries(c->s, r);
	for (int n = 0; n < 3; n++)
		sim_ipam_replay(c->s);
}

static void step(struct course *c)
{
	uint64_t what = rng_below(&c->s->rng, 100);

	if (what < 62)
		work(c);
	else if (what < 70)
		network(c);
	else if (what < 80)
		trouble(c);
	else if (what < 88)
		restart(c, any_router(c->s));
	else
		past(c);
}

/* ---- the course of a run ---- */

static bool everybody_has_a_ring(const struct sim *s)
{
	for (size_t u = 0; u < s->addresses->universes; u++)
		for (uint32_t i = 0; i < s->count; i++) {
			const struct ipam *p = sim_ipam_of(s->routers[i], u);

			if (!p || !p->ring_id)
				return false;
		}
	return true;
}

static void start_all(struct course *c)
{
	struct sim *s = c->s;
	uint64_t pace_us = often(s, 60) ? 20 * SIM_MS : 3 * SIM_S;

	for (uint32_t i = 0; i < s->count && !s->failed; i++) {
		sim_router_start(s->routers[i]);
		sim_run(s, rng_below(&s->rng, pace_us));
	}
}

/* Whoever loses its disk before others have the ring may undo it: mostly not. */
static void first_ring(struct course *c)
{
	struct sim *s = c->s;
	uint64_t until_us = s->clock.now_us + 25 * SIM_S;

	if (!(c->kinds & (LOSSES | COPIES | RESETS)) || often(s, 10))
		return;
	c->asked = true;
	for (size_t u = 0; u < s->addresses->universes; u++)
		sim_ipam_prime(s->routers[rng_below(&s->rng, s->count)], u);
	while (!s->failed && s->clock.now_us < until_us && !everybody_has_a_ring(s))
		sim_run(s, POLL_US);
	sim_run(s, 2 * SIM_S);
	c->had_ring = everybody_has_a_ring(s);
}

static void life(struct course *c)
{
	struct sim *s = c->s;
	uint64_t steps = sim_between(&s->rng, 40, 160);

	for (uint64_t n = 0; n < steps && !s->failed; n++) {
		sim_run(s, rng_below(&s->rng, often(s, 4)    ? 40 * SIM_S
					      : often(s, 30) ? 2 * SIM_S
							     : 100 * SIM_MS));
		if (!s->failed)
			step(c);
	}
}

/* Seldom all have a ring by then, where they do not want the same one. */
static void removals(struct course *c)
{
	if (!everybody_has_a_ring(c->s) || c->two_networks || c->s->count < 3) {
		life(c);
		return;
	}
	c->asked = true;
	/* So few that those who forgot their vote cannot decide on another ring; without votes,
	 * any. */
	c->s->addresses->rings_may_differ |= !c->electors;
	for (uint32_t lost = sim_ipam_removals(c->s, c->electors ? c->electors / 2 : 8); lost > 0;
	     lost--)
		note_erased(c);
}

/* ---- peace ---- */

/* Whom somebody was told of may be dead; operators name somebody who is not. */
static void name_the_living(struct sim *s)
{
	uint32_t first = 0;

	while (s->routers[first]->ipam->dead)
		first++;
	for (uint32_t i = first + 1; i < s->count; i++) {
		struct sim_router *r = s->routers[i];

		if (r->ipam->dead)
			continue;
		r->disk.targets[r->disk.targets_count++] = first;
		if (r->engine)
			sim_router_connect(r, first);
	}
}

static void end_faults(struct course *c)
{
	struct sim *s = c->s;

	if (c->two_networks && !c->met)
		meet(c);
	c->kinds = 0;
	sim_trace(s, "peace", 0, 0, 0);
	for (uint32_t i = 0; i < s->count * s->count; i++)
		s->links[i].loss_ppm = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		sim_ipam_disk_fails(s->routers[i], false);
		if (s->routers[i]->frozen)
			sim_router_freeze(s->routers[i], false);
	}
	heal(c);
	name_the_living(s);
	for (uint32_t i = 0; i < s->count; i++)
		restart(c, s->routers[i]);
}

static bool await_rest(struct sim *s, uint64_t limit_us, char *why)
{
	uint64_t until_us = s->clock.now_us + limit_us;

	while (!s->failed && !sim_ipam_settled(s, why)) {
		if (s->clock.now_us >= until_us)
			return false;
		sim_run(s, POLL_US);
	}
	return !s->failed;
}

static bool is_retired(const struct sim_router *r)
{
	for (size_t u = 0; u < r->sim->addresses->universes; u++)
		if (r->engine && sim_ipam_of(r, u)->handover.retired)
			return true;
	return false;
}

/* Handed over, but the heir's answer was lost: goes on until the disk is erased, then starts
 * anew. True while somebody is not done. */
static bool finish_resets(struct sim *s)
{
	bool any = false;

	for (uint32_t i = 0; i < s->count && !s->failed; i++) {
		struct sim_router *r = s->routers[i];

		if (r->ipam->dead)
			continue;
		if (!r->engine)
			sim_router_start(r);
		else if (is_retired(r) && !r->ipam->erase)
			sim_ipam_reset(r, true);
		else if (!is_retired(r))
			continue;
		any = true;
	}
	return any;
}

/* An owner that is not there any more, as 'r' sees it; false when there is none. */
static bool find_orphan(const struct sim_router *r, size_t universe, struct owner *orphan)
{
	const struct ipam *i = sim_ipam_of(r, universe);

	for (const struct run *run = ring_from(&i->ring, 0); run;
	     run = ring_from(&i->ring, run->end)) {
		uint32_t k = sim_ipam_index(r->sim, run->owner.name);
		const struct ipam *of = k < r->sim->count
						? sim_ipam_of(r->sim->routers[k], universe)
						: NULL;

		if (of && of->ring_id == i->ring_id && owner_equal(of->self, run->owner))
			continue;
		*orphan = run->owner;
		return true;
	}
	return false;
}

/* What the living left behind under an earlier store id, they take over themselves. */
static void remove_orphan(struct sim_router *r, size_t universe, struct owner orphan)
{
	uint32_t k = sim_ipam_index(r->sim, orphan.name);
	struct sim_router *v = r->sim->routers[k];
	const struct ipam *of = sim_ipam_of(v, universe);
	bool self = of && of->ring_id == sim_ipam_of(r, universe)->ring_id && ipam_ready(of);

	if (orphan.store_id == 0 && of && ipam_ready(of) && !of->election.barred)
		return; /* its seed: it will bind it */
	if (self)
		sim_ipam_remove(v, universe, k, orphan.store_id, false);
	else if (ipam_ready(sim_ipam_of(r, universe)))
		sim_ipam_remove(r, universe, k, orphan.store_id, of != NULL);
}

/* One of each ring speaks for all. */
static bool speaks(const struct sim *s, uint32_t index, size_t universe)
{
	const struct ipam *i = sim_ipam_of(s->routers[index], universe), *other;

	if (!i || !i->ring_id)
		return false;
	for (uint32_t k = 0; k < index; k++) {
		other = sim_ipam_of(s->routers[k], universe);
		if (other && other->ring_id == i->ring_id)
			return false;
	}
	return true;
}

/* Status says whom a takeover waits for. */
static bool remove_the_awaited(struct sim_router *r, size_t universe)
{
	peer_name peer;
	uint32_t k;

	if (!r->engine || !ipam_waiting_for(sim_ipam_of(r, universe), 0, &peer))
		return false;
	k = sim_ipam_index(r->sim, peer);
	if (k < r->sim->count && r->sim->routers[k]->ipam->dead)
		sim_ipam_remove(r, universe, k, 0, false);
	return true;
}

/* Operators see to what the dead had, until nothing is left. */
static void remove_the_dead(struct sim *s)
{
	bool any = true;

	sim_run(s, 16 * SIM_S); /* until everybody has noticed that they are gone */
	for (unsigned round = 0; any && round < ORPHAN_ROUNDS && !s->failed; round++) {
		char why[SIM_WHY_SIZE];

		/* One that could not go on while a takeover waited. */
		any = finish_resets(s);
		for (uint32_t k = 0; k < s->count && !s->failed; k++)
			for (size_t u = 0; u < s->addresses->universes; u++) {
				struct owner orphan;

				/* Also those who own nothing: a takeover would wait for them. */
				for (uint32_t v = 0; round == 0 && v < s->count; v++)
					if (speaks(s, k, u) && s->routers[v]->ipam->dead)
						sim_ipam_remove(s->routers[k], u, v, 0, false);
				any |= remove_the_awaited(s->routers[k], u);
				if (!speaks(s, k, u) || !find_orphan(s->routers[k], u, &orphan))
					continue;
				any = true;
				remove_orphan(s->routers[k], u, orphan);
			}
		/* A no because it seemed to be reachable a moment ago is worth another try. */
		if (any && await_rest(s, 60 * SIM_S, why))
			sim_run(s, 5 * SIM_S);
	}
}

static bool all_ready(const struct sim *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		for (size_t u = 0; u < s->addresses->universes; u++) {
			const struct ipam *p = sim_ipam_of(s->routers[i], u);

			if (p && p->ring_id && !ipam_ready(p) && !p->handover.retired)
				return false;
		}
	return true;
}

/* Addresses that become free in a moment. */
static bool somebody_is_dying(const struct sim *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		for (size_t u = 0; u < s->addresses->universes; u++) {
			const struct ipam *p = sim_ipam_of(s->routers[i], u);

			if (p && p->addresses.dying_count)
				return true;
		}
	return false;
}

/* Everybody gets an address while there is one; one after the other, so that none is on its way
 * from one to the next while a third one looks for it. */
static void probe(struct sim *s)
{
	char why[SIM_WHY_SIZE] = "";

	s->addresses->probing = true;
	for (uint32_t i = 0; i < s->count && !s->failed; i++) {
		const struct ipam *p = sim_ipam_of(s->routers[i], 0);

		if (!p || !p->ring_id)
			continue;
		begin_one(s->routers[i], false);
		if (!await_rest(s, PROBE_LIMIT_US, why))
			sim_fail(s, "asked for an address in peace: %s", why);
	}
}

static void peace(struct course *c)
{
	struct sim *s = c->s;
	struct sim_addresses *w = s->addresses;
	char why[SIM_WHY_SIZE] = "";
	uint64_t ready_us;

	end_faults(c);
	ready_us = s->clock.now_us + 200 * SIM_S;
	do
		sim_run(s, 2 * SIM_S);
	while (!s->failed && s->clock.now_us < ready_us && (finish_resets(s) || !all_ready(s)));
	/* Votes that can all be cast lead to a ring, once somebody wants one. */
	w->ring_is_due = c->electors && c->asked && !c->erased && living(s) == s->count;
	/* Who asked before was cut off, perhaps. */
	for (size_t u = 0; w->ring_is_due && u < w->universes; u++)
		sim_ipam_prime(s->routers[0], u);
	if (!s->failed)
		remove_the_dead(s);
	if (!s->failed && !await_rest(s, REST_LIMIT_US, why))
		sim_fail(s, "after %llu s of peace: %s",
			 (unsigned long long)(REST_LIMIT_US / SIM_S), why);
	while (!s->failed && somebody_is_dying(s))
		sim_run(s, SIM_S);
	/* Who says that it has nothing is not always asked: all must have heard what is free. */
	sim_run(s, SPACE_DELAY_MS * SIM_MS + SIM_S);
	if (!s->failed)
		probe(s);
	/* All that is written lazily. */
	sim_run(s, 4 * SIM_S);
	if (!s->failed)
		sim_ipam_check_end(s);
}

void sim_ipam_run(const struct sim_plan *plan, struct sim_result *result)
{
	struct sim *s = mem_new(1, sizeof *s);
	struct course c = { .s = s };
	struct universe universes[SIM_UNIVERSES];
	peer_name seeds[SIM_IPAM_ROUTERS_MAX];
	struct rng first = { plan->seed ^ 0x6970616d6970u };
	uint32_t peers = plan->peers ? plan->peers : (uint32_t)sim_between(&first, 3, 6);
	uint64_t peace_us;
	char context[96];

	snprintf(context, sizeof context, "(replay: simulate --ipam --seed %llu --peers %u)",
		 (unsigned long long)plan->seed, plan->peers);
	must_set_context(context);
	sim_init(s, plan->seed, peers);
	s->trace = plan->trace;
	s->mutation = plan->mutation;
	s->check_every = plan->check_every;
	s->check_goodbyes = false; /* the other worlds compare them */
	make_links(s);
	make_names(s);
	sim_ipam_init(s, universes, make_universes(s, universes));
	c.kinds = plan->removals ? LOSSES : choose_kinds(s);
	make_rings(&c, seeds);
	start_all(&c);
	first_ring(&c);
	if (plan->removals)
		removals(&c);
	else
		life(&c);
	peace_us = s->clock.now_us;
	if (!s->failed)
		peace(&c);
	if (!s->failed)
		sim_await_converged(s, 60 * SIM_S);
	*result = (struct sim_result){ .seed = plan->seed,
				       .passed = !s->failed,
				       .events = s->stats.events,
				       .virtual_us = s->clock.now_us,
				       .converge_us = s->clock.now_us - peace_us,
				       .hash = s->hash };
	result->ipam = (struct sim_ipam_sums){
		.told = s->addresses->told,
		.refused = s->addresses->refused,
		.takeovers = s->addresses->takeovers,
		.resets = s->addresses->resets,
		.restores = s->addresses->restores,
		.losses = s->addresses->losses,
		.crashes = s->addresses->crashes,
		.excused = s->addresses->excused,
		.late = s->addresses->late,
		.disputes = s->addresses->disputes,
	};
	memcpy(result->failure, s->failure, sizeof result->failure);
	sim_fini(s);
	mem_free(s);
	must_set_context("");
}
