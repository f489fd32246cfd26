#include "sim_segments.h"

#include <weave/must.h>

#include "sim_router.h"

static const char *const keys[SIM_SEGMENTS_MAX] = { SEGMENT_DEFAULT_KEY, "red", "blue" };
static const char *const other_keys[SIM_SEGMENTS_MAX] = { SEGMENT_DEFAULT_KEY, "carmine", "azure" };

void sim_segments_init(struct sim *s)
{
	struct rng rng = { s->seed * 7919 };
	bool apart;

	s->segments = 1 + (uint32_t)rng_below(&rng, SIM_SEGMENTS_MAX);
	apart = rng_below(&rng, 3) == 0;
	for (uint32_t i = 0; i < s->count; i++)
		for (uint32_t n = 1; n < s->segments; n++) {
			s->routers[i]->open[n] = rng_below(&rng, 100) < 60;
			s->routers[i]->apart[n] = apart && rng_below(&rng, 3) == 0;
		}
}

static const char *meaning(const struct sim_router *r, uint32_t segment)
{
	return r->apart[segment] ? other_keys[segment] : keys[segment];
}

const char *sim_segment_key(const struct sim_router *r, uint32_t segment)
{
	return segment == SEGMENT_DEFAULT || r->open[segment] ? meaning(r, segment) : NULL;
}

struct mac sim_segment_mac(const struct sim *s, uint32_t segment, uint32_t router)
{
	return sim_router_mac((router + segment) % s->count);
}

static void open_one(struct sim_router *r, uint32_t segment)
{
	struct router *router = engine_router(r->engine);
	struct why why;

	const char *key = meaning(r, segment);

	if (r->sim->mutation == SIM_MUTATE_OTHER_NETWORK)
		key = keys[segment];
	/* A number that somebody means otherwise by may be refused. */
	r->open[segment] = router_open_segment(router, segment, key, sim_router_now(r), &why);
	sim_trace(r->sim, "open", r->index, segment, r->open[segment]);
	if (r->open[segment])
		router_add_endpoint(router, segment, sim_segment_mac(r->sim, segment, r->index),
				    NULL, 0, sim_router_now(r));
}

void sim_segments_started(struct sim_router *r)
{
	for (uint32_t n = 1; n < r->sim->segments; n++)
		if (r->open[n])
			open_one(r, n);
}

void sim_segments_change(struct sim *s)
{
	struct sim_router *r = s->routers[rng_below(&s->rng, s->count)];
	uint32_t segment;

	if (s->segments < 2 || !sim_router_runs(r) || r->frozen)
		return;
	segment = 1 + (uint32_t)rng_below(&s->rng, s->segments - 1);
	if (r->open[segment]) {
		sim_trace(s, "shut", r->index, segment, 0);
		r->open[segment] = false;
		router_close_segment(engine_router(r->engine), segment, sim_router_now(r));
	} else {
		open_one(r, segment);
	}
	sim_router_turn(r);
}
