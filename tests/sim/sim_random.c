#include "sim_random.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "sim_frames.h"
#include "sim_invariants.h"
#include "sim_ipam_random.h"
#include "sim_kernel.h"
#include "sim_net.h"
#include "sim_router.h"

#define CONVERGE_LIMIT_US (60 * SIM_S)
#define SETTLE_US SIM_S
/* Links may still come and go after a password was changed: at rest again within this. */
#define REST_LIMIT_US (10 * SIM_S)
#define FRAMES_KEPT_US (5 * SIM_S)
#define SENDERS 5u

static uint32_t pick(struct sim *s)
{
	return (uint32_t)rng_below(&s->rng, s->count);
}

static bool often(struct sim *s, uint32_t percent)
{
	return rng_below(&s->rng, 100) < percent;
}

/* ---- the world of this seed ---- */

static void make_links(struct sim *s)
{
	static const uint32_t losses[] = { 0, 0, 1000, 10000, 50000 };
	uint32_t loss = losses[rng_below(&s->rng, ARRAY_COUNT(losses))];
	uint64_t slow_us = sim_between(&s->rng, 500, often(s, 20) ? 60000 : 5000);
	bool odd = often(s, 30), hostile = often(s, 30);

	for (uint32_t i = 0; i < s->count * s->count; i++) {
		struct sim_link *l = &s->links[i];

		l->delay_us = (uint32_t)sim_between(&s->rng, 100, slow_us);
		l->jitter_us = l->delay_us / 4;
		l->loss_ppm = loss;
		l->dup_ppm = odd ? 10000 : 0;
		l->reorder_ppm = odd ? 50000 : 0;
		l->tamper_ppm = hostile ? 10000 : 0;
		if (often(s, 3))
			l->mtu = 1280;
	}
}

static void make_routers(struct sim *s)
{
	/* Full meshes cost most, and less happens in them: few of those. */
	static const uint32_t limits[] = { 4, 4, 5, 5,	6,  6,	6,  6,	6,  8, 8,
					   8, 8, 8, 10, 10, 10, 12, 16, 24, 0 };
	uint32_t limit = limits[rng_below(&s->rng, ARRAY_COUNT(limits))];
	bool discovery = often(s, 88);

	for (uint32_t i = 0; i < s->count; i++) {
		struct sim_router *r = s->routers[i];

		r->config.conn_limit = discovery ? limit : 0;
		r->config.discovery = discovery;
		/* Any order of names, two of them never equal. */
		r->name = (UINT64_C(0x02) << 40) | rng_below(&s->rng, UINT64_C(1) << 30) << 10 | i;
	}
}

/* Everybody knows one to three that were there before; the first one is found by the others. */
static void start_all(struct sim *s)
{
	uint32_t *order = mem_new(s->count, sizeof *order);
	uint64_t pace_us = often(s, 50) ? 10 * SIM_MS : 150 * SIM_MS;

	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t j = (uint32_t)rng_below(&s->rng, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (uint32_t i = 0; i < s->count && !s->failed; i++) {
		struct sim_router *r = s->routers[order[i]];
		uint64_t targets = i ? sim_between(&s->rng, 1, 3) : 0;

		while (targets-- > 0)
			r->disk.targets[r->disk.targets_count++] = order[rng_below(&s->rng, i)];
		sim_router_start(r);
		sim_run(s, rng_below(&s->rng, pace_us));
	}
	mem_free(order);
}

/* ---- faults ---- */

static void partition(struct sim *s)
{
	uint64_t side = rng_u64(&s->rng);

	for (uint32_t a = 0; a < s->count; a++)
		for (uint32_t b = 0; b < s->count; b++)
			if ((side >> (a % 64) & 1) != (side >> (b % 64) & 1))
				sim_link(s, a, b)->cut = true;
	sim_trace(s, "partition", side, 0, 0);
}

static void isolate(struct sim *s)
{
	uint32_t a = pick(s);

	for (uint32_t b = 0; b < s->count; b++)
		if (a != b)
			sim_link(s, a, b)->cut = sim_link(s, b, a)->cut = true;
	sim_trace(s, "isolate", a, 0, 0);
}

static void crash(struct sim *s)
{
	struct sim_router *r = s->routers[pick(s)];

	if (!sim_router_runs(r))
		return;
	if (often(s, 15))
		sim_router_stop(r);
	else
		sim_router_crash(r, often(s, 40));
}

static void restart(struct sim *s, struct sim_router *r)
{
	if (often(s, 25))
		sim_disk_lose(&r->disk);
	if (often(s, 25))
		r->wall_offset_s = (int64_t)sim_between(&s->rng, 0, 2000000) - 1000000;
	sim_router_start(r);
}

static void restart_one(struct sim *s)
{
	struct sim_router *r = s->routers[pick(s)];

	if (!sim_router_runs(r))
		restart(s, r);
}

static void break_link(struct sim *s)
{
	uint32_t a = pick(s), b = pick(s);
	struct sim_link *l = sim_link(s, a, b), *m = sim_link(s, b, a);

	if (a == b)
		return;
	switch (rng_below(&s->rng, 6)) {
	case 0:
		l->cut = m->cut = true;
		break;
	case 1: /* one way only */
		l->cut = true;
		break;
	case 2:
		l->udp_cut = true;
		break;
	case 3:
		l->udp_cut = m->udp_cut = true;
		break;
	case 4:
		l->stalled = true;
		break;
	case 5:
		sim_net_reset(s, a, b);
		break;
	}
	sim_trace(s, "break", a, b, 0);
}

static void freeze(struct sim *s)
{
	struct sim_router *r = s->routers[pick(s)];

	if (sim_router_runs(r))
		sim_router_freeze(r, !r->frozen);
}

static void write_name(struct sim *s)
{
	struct sim_router *r = s->routers[pick(s)];
	char key[32], value[32];

	if (!sim_router_runs(r) || r->frozen)
		return;
	snprintf(key, sizeof key, "name-%u-%u", r->index, (unsigned)rng_below(&s->rng, 5));
	snprintf(value, sizeof value, "%u", (unsigned)rng_below(&s->rng, 100000));
	sim_router_put(r, KIND_NAME, key, often(s, 25) ? "" : value);
}

static void send_frame(struct sim *s)
{
	uint32_t a = pick(s), b = pick(s);

	if (!sim_router_runs(s->routers[a]) || s->routers[a]->frozen || a == b)
		return;
	sim_frame_send(s, a, often(s, 50) ? SIM_EVERYBODY : b, sim_frame_segment(s, a),
		       (uint32_t)sim_between(&s->rng, 64, 1390));
}

static void one_fault(struct sim *s)
{
	switch (rng_below(&s->rng, 14)) {
	case 0:
		partition(s);
		break;
	case 1:
		isolate(s);
		break;
	case 2:
	case 3:
		sim_trace(s, "heal", 0, 0, 0);
		sim_net_heal(s);
		break;
	case 4:
	case 5:
		crash(s);
		break;
	case 6:
	case 7:
	case 8:
		restart_one(s);
		restart_one(s);
		break;
	case 9:
		freeze(s);
		break;
	default:
		for (uint32_t i = 0; i < 1 + s->count / 10; i++)
			break_link(s);
		break;
	}
}

/* Half of the worlds with a password change it in the middle of everything. */
static void accept_both(struct sim *s)
{
	struct sim_router *r = s->routers[pick(s)];

	if (s->seed / 4 % 2 && !r->frozen)
		sim_router_set_passwords(r, SIM_BOTH_PASSWORDS);
}

/* In peace: those who did not yet, and then, when all have proved it, the former one goes. */
static void change_password(struct sim *s)
{
	uint64_t ended = 0;
	struct gossip_counters c;

	if (s->seed / 4 % 2 == 0)
		return;
	for (uint32_t i = 0; i < s->count; i++)
		sim_router_set_passwords(s->routers[i], SIM_BOTH_PASSWORDS);
	sim_run(s, 6 * SIM_S);
	for (uint32_t i = 0; i < s->count && !s->failed; i++) {
		if (!sim_router_runs(s->routers[i]))
			continue;
		gossip_counters(sim_router_gossip(s->routers[i]), &c);
		ended = c.password_wrong;
		sim_router_set_passwords(s->routers[i], SIM_NEW_PASSWORD);
		gossip_counters(sim_router_gossip(s->routers[i]), &c);
		if (c.password_wrong != ended)
			sim_fail(s, "router %u cut off who knows the new password", i + 1);
	}
}

static void faults(struct sim *s)
{
	uint64_t steps = sim_between(&s->rng, 4, 11);

	for (uint64_t i = 0; i < steps && !s->failed; i++) {
		sim_run(s, rng_below(&s->rng, often(s, 10) ? 15 * SIM_S : SIM_S));
		if (s->failed)
			return;
		one_fault(s);
		accept_both(s);
		for (int k = 0; k < 4 && !s->failed; k++) {
			write_name(s);
			if (often(s, 30))
				sim_segments_change(s);
			send_frame(s);
		}
		sim_kernel_traffic(s);
		sim_frames_forget(
			s, s->clock.now_us > FRAMES_KEPT_US ? s->clock.now_us - FRAMES_KEPT_US : 0);
	}
}

/* ---- rest ---- */

static bool is_target(const struct sim *s, uint32_t of)
{
	for (uint32_t i = 0; i < s->count; i++)
		for (uint32_t k = 0; k < s->routers[i]->disk.targets_count; k++)
			if (s->routers[i]->disk.targets[k] == of)
				return true;
	return false;
}

static void end_faults(struct sim *s)
{
	/* Those who said goodbye are gone when their second is over. */
	sim_run(s, 1100 * SIM_MS);
	if (s->failed)
		return;
	sim_trace(s, "peace", 0, 0, 0);
	for (uint32_t i = 0; i < s->count * s->count; i++) {
		struct sim_link *l = &s->links[i];

		l->loss_ppm = l->dup_ppm = l->reorder_ppm = l->tamper_ppm = 0;
	}
	for (uint32_t i = 0; i < s->count; i++)
		if (s->routers[i]->frozen)
			sim_router_freeze(s->routers[i], false);
	sim_net_heal(s);
	/* Whom others were told of is back: who lost his store knows nobody else. */
	for (uint32_t i = 0; i < s->count; i++)
		if (!sim_router_runs(s->routers[i]) && (often(s, 85) || is_target(s, i)))
			restart(s, s->routers[i]);
}

void sim_run_plan(const struct sim_plan *plan, struct sim_result *result)
{
	if (plan->ipam)
		sim_ipam_run(plan, result);
	else
		sim_random_run(plan, result);
}

void sim_random_run(const struct sim_plan *plan, struct sim_result *result)
{
	struct sim *s = mem_new(1, sizeof *s);
	uint64_t bytes = 0, peace_us;
	char context[96];

	snprintf(context, sizeof context, "(replay: simulate --seed %llu --peers %u)",
		 (unsigned long long)plan->seed, plan->peers);
	must_set_context(context);
	sim_init(s, plan->seed, plan->peers);
	s->trace = plan->trace;
	s->mutation = plan->mutation;
	s->check_every = plan->check_every;
	make_links(s);
	make_routers(s);
	sim_segments_init(s);
	start_all(s);
	faults(s);
	end_faults(s);
	peace_us = s->clock.now_us;
	sim_await_converged(s, CONVERGE_LIMIT_US);
	*result = (struct sim_result){ .seed = plan->seed,
				       .converge_us = s->clock.now_us - peace_us };
	if (!s->failed)
		change_password(s);
	sim_run(s, SETTLE_US);
	if (!s->failed)
		sim_check_frames(s, SENDERS);
	sim_await_converged(s, s->failed ? 0 : REST_LIMIT_US);
	for (uint32_t i = 0; i < s->count; i++)
		bytes += s->routers[i]->bytes_out;
	result->passed = !s->failed;
	result->events = s->stats.events;
	result->virtual_us = s->clock.now_us;
	result->bytes_per_peer = bytes / s->count;
	result->hash = s->hash;
	result->goodbyes = s->goodbyes;
	result->frames = s->stats.frames;
	memcpy(result->failure, s->failure, sizeof result->failure);
	sim_fini(s);
	mem_free(s);
	must_set_context("");
}
