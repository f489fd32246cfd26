#include "sim_ipam_removals.h"

#include <weave/must.h>

#include "../../ipam/allocator.h"
#include "sim_ipam.h"
#include "sim_net.h"
#include "sim_router.h"

#define ROUNDS_MAX 4u
#define UNREACHED_US (20 * SIM_S)

/* Who is who in one round: all different, but that there may be no 'late'. */
struct cast {
	struct sim *s;
	uint32_t losses_left;
	struct sim_router *by, *victim, *third, *late; /* 'late' is away when it is asked */
};

static bool often(struct sim *s, uint32_t percent)
{
	return rng_below(&s->rng, 100) < percent;
}

static void pass(struct sim *s, uint64_t most_us)
{
	if (!s->failed)
		sim_run(s, rng_below(&s->rng, most_us));
}

static bool runs(const struct sim_router *r)
{
	return r && r->engine;
}

static struct cast choose_cast(struct sim *s)
{
	uint32_t n = (uint32_t)rng_below(&s->rng, s->count);

	MUST(s->count >= 3);
	return (struct cast){
		.s = s,
		.by = s->routers[n],
		.victim = s->routers[(n + 1) % s->count],
		.third = s->routers[(n + 2) % s->count],
		.late = s->count > 3 ? s->routers[(n + 3) % s->count] : NULL,
	};
}

/* ---- the network ---- */

/* 'by' on one side, the victim on the other, the third mostly with it, the rest anywhere. */
static void part(const struct cast *c)
{
	struct sim *s = c->s;
	uint64_t side = rng_u64(&s->rng);

	side = (side | UINT64_C(1) << c->victim->index) & ~(UINT64_C(1) << c->by->index);
	if (often(s, 80))
		side |= UINT64_C(1) << c->third->index;
	for (uint32_t a = 0; a < s->count; a++)
		for (uint32_t b = 0; b < a; b++)
			if ((side >> a & 1) != (side >> b & 1))
				sim_link(s, a, b)->cut = sim_link(s, b, a)->cut = true;
	sim_trace(s, "part", side, 0, 0);
}

static void isolate(struct sim_router *r)
{
	struct sim *s = r->sim;

	for (uint32_t n = 0; n < s->count; n++)
		if (n != r->index)
			sim_link(s, n, r->index)->cut = sim_link(s, r->index, n)->cut = true;
	sim_trace(s, "isolate", r->index, 0, 0);
}

static bool reaches(const struct sim_router *a, const struct sim_router *b)
{
	return runs(a) && topology_reachable(gossip_topology(sim_router_gossip(a)), b->name);
}

static void await_unreached(const struct cast *c)
{
	uint64_t until_us = c->s->clock.now_us + UNREACHED_US;

	while (!c->s->failed && reaches(c->by, c->victim) && c->s->clock.now_us < until_us)
		sim_run(c->s, SIM_S / 2);
}

/* ---- routers ---- */

static void crash(struct sim_router *r, bool host)
{
	if (r && r->engine)
		sim_router_crash(r, host);
}

static void start(struct sim_router *r)
{
	if (r && !r->engine && !r->ipam->dead)
		sim_router_start(r);
}

static uint32_t lose_disk(struct cast *c, struct sim_router *r)
{
	if (!r || !r->disk.present || !c->losses_left)
		return 0;
	c->losses_left--;
	crash(r, false);
	sim_ipam_lose_disk(r);
	pass(r->sim, 3 * SIM_S);
	start(r);
	return 1;
}

static void remove_victim(const struct cast *c)
{
	if (runs(c->by))
		sim_ipam_remove(c->by, 0, c->victim->index, 0, false);
}

/* ---- users ---- */

static void ask_for(struct sim_router *r, uint64_t count)
{
	for (; count > 0 && runs(r); count--)
		sim_ipam_allocate(r, sim_container_new(r), 0);
}

/* An offset that 'r' may use, free or not. */
static uint64_t own_offset(const struct sim_router *r)
{
	const struct ipam *i = sim_ipam_of(r, 0);
	const struct span *own;

	if (!i || !i->space.owned_count)
		return 1;
	own = &i->space.owned[rng_below(&r->sim->rng, i->space.owned_count)];
	return own->start + rng_below(&r->sim->rng, own->end - own->start);
}

static void kill_any(struct sim_router *r)
{
	struct sim_ipam *h = r->ipam;

	for (size_t n = 0; n < h->containers_count; n++)
		if (h->containers[n].alive && often(r->sim, 40)) {
			sim_container_kill(r, &h->containers[n], false);
			return;
		}
}

/* The third gets, one by one, what the victim has. */
static void take_from_victim(const struct cast *c)
{
	struct sim *s = c->s;

	for (uint64_t n = sim_between(&s->rng, 1, 5); n > 0 && !s->failed; n--) {
		uint64_t offset = own_offset(c->victim);

		if (!runs(c->third) || offset == 0 || offset + 1 >= s->addresses->universe[0].size)
			continue;
		if (often(s, 40))
			kill_any(c->victim);
		sim_ipam_claim(c->third, sim_container_new(c->third), 0, offset);
		pass(s, SIM_S);
	}
}

/* ---- one round ---- */

static uint32_t go_away(struct cast *c)
{
	struct sim *s = c->s;
	uint32_t lost = often(s, 25) ? lose_disk(c, c->victim) : 0;

	if (lost && often(s, 60)) {
		pass(s, 6 * SIM_S); /* it lives: what its former store had is taken */
		return lost;
	}
	if (often(s, 70))
		crash(c->late, false);
	if (often(s, 50))
		part(c);
	else if (often(s, 70))
		crash(c->victim, often(s, 20));
	if (often(s, 80))
		await_unreached(c);
	return lost;
}

static void come_back(const struct cast *c)
{
	struct sim *s = c->s;

	pass(s, 5 * SIM_S);
	ask_for(c->by, sim_between(&s->rng, 0, 8));
	pass(s, SIM_S);
	sim_net_heal(s);
	start(c->victim);
	pass(s, often(s, 50) ? 2 * SIM_S : 8 * SIM_S);
	ask_for(c->victim, sim_between(&s->rng, 0, 6));
	ask_for(c->third, sim_between(&s->rng, 0, 3));
	pass(s, 3 * SIM_S);
}

static uint32_t round_of(struct cast *c)
{
	struct sim *s = c->s;
	uint32_t lost = go_away(c);

	remove_victim(c);
	if (lost && often(s, 60)) {
		isolate(c->victim); /* before it can answer */
		await_unreached(c);
	}
	come_back(c);
	if (often(s, 75))
		part(c);
	take_from_victim(c);
	if (often(s, 50))
		crash(c->victim, often(s, 60));
	if (often(s, 15))
		lost += lose_disk(c, often(s, 50) ? c->third : c->late);
	if (often(s, 80))
		await_unreached(c);
	remove_victim(c);
	if (often(s, 60))
		start(c->late);
	pass(s, 4 * SIM_S);
	ask_for(c->by, sim_between(&s->rng, 0, 16));
	if (often(s, 60))
		sim_net_heal(s);
	pass(s, 4 * SIM_S);
	ask_for(c->by, sim_between(&s->rng, 0, 16));
	return lost;
}

uint32_t sim_ipam_removals(struct sim *s, uint32_t losses_max)
{
	uint32_t lost = 0;

	for (uint32_t n = 0; n < s->count; n++)
		ask_for(s->routers[n], sim_between(&s->rng, 0, 4));
	for (uint64_t n = sim_between(&s->rng, 1, ROUNDS_MAX); n > 0 && !s->failed; n--) {
		struct cast c = choose_cast(s);

		c.losses_left = losses_max - lost;
		lost += round_of(&c);
		for (uint32_t k = 0; k < s->count && !s->failed; k++)
			if (often(s, 70))
				start(s->routers[k]);
		if (often(s, 60))
			sim_net_heal(s);
		pass(s, 10 * SIM_S);
	}
	return lost;
}
