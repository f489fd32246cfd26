#include "sim.h"

#include <stdarg.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "sim_frames.h"
#include "sim_ipam.h"
#include "sim_kernel.h"
#include "sim_net.h"
#include "sim_router.h"

const char *sim_mutation_text(enum sim_mutation m)
{
	static const char *const texts[] = {
#define X(name, text, what) text,
		SIM_MUTATIONS(X)
#undef X
	};
	return texts[m];
}

const char *sim_mutation_what(enum sim_mutation m)
{
	static const char *const texts[] = {
#define X(name, text, what) what,
		SIM_MUTATIONS(X)
#undef X
	};
	return texts[m];
}

void sim_init(struct sim *s, uint64_t seed, uint32_t routers)
{
	MUST(routers > 0 && routers <= SIM_ROUTERS_MAX);
	*s = (struct sim){ .seed = seed,
			   .rng = { seed },
			   .net_rng = { seed ^ 0x6e6574776f726bu },
			   .count = routers,
			   .window_min = 4096,
			   .window_max = 65536,
			   .check_every = 1,
			   .check_goodbyes = true,
			   .duplicates_max = 3 };
	sim_clock_init(&s->clock);
	s->scratch = mem_new(1, SIM_SCRATCH_SIZE);
	s->links = mem_new((size_t)routers * routers, sizeof *s->links);
	for (uint32_t i = 0; i < routers * routers; i++)
		s->links[i] = (struct sim_link){ .delay_us = 1000, .jitter_us = 200 };
	s->routers = mem_new(routers, sizeof(struct sim_router *));
	sim_kernel_init(s);
	for (uint32_t i = 0; i < routers; i++)
		s->routers[i] = sim_router_new(s, i);
}

void sim_fini(struct sim *s)
{
	/* The network first: its ends point to routers. */
	sim_net_fini(s);
	sim_ipam_fini(s);
	for (uint32_t i = 0; i < s->count; i++)
		sim_router_free(s->routers[i]);
	sim_frames_fini(s);
	sim_clock_fini(&s->clock);
	mem_free(s->routers);
	mem_free(s->links);
	mem_free(s->scratch);
}

void sim_fail(struct sim *s, const char *format, ...)
{
	va_list args;
	size_t n;

	if (s->failed)
		return;
	s->failed = true;
	n = (size_t)snprintf(s->failure, sizeof s->failure,
			     "at %llu.%03llu s: ", (unsigned long long)(s->clock.now_us / SIM_S),
			     (unsigned long long)(s->clock.now_us % SIM_S / SIM_MS));
	va_start(args, format);
	vsnprintf(s->failure + n, sizeof s->failure - n, format, args);
	va_end(args);
	if (s->trace)
		fprintf(s->trace, "FAILURE %s\n", s->failure);
}

void sim_trace(struct sim *s, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t words[] = { s->clock.now_us,
				   (uint64_t)(uint8_t)what[0] << 8 | (uint8_t)what[1], a, b, c };
	uint64_t h = s->hash;

	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		h = (h ^ words[i]) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	if (s->mutation == SIM_MUTATE_RANDOM)
		h ^= (uint64_t)(uintptr_t)s->scratch;
	s->hash = h;
	if (s->trace)
		fprintf(s->trace, "%llu.%06llu %s %llu %llu %llu\n",
			(unsigned long long)(s->clock.now_us / SIM_S),
			(unsigned long long)(s->clock.now_us % SIM_S), what, (unsigned long long)a,
			(unsigned long long)b, (unsigned long long)c);
}

void sim_run_until(struct sim *s, uint64_t until_us)
{
	struct sim_event e;

	while (!s->failed && sim_clock_take(&s->clock, until_us, &e)) {
		s->stats.events++;
		e.fire(s, e.what, e.argument);
	}
}

struct sim_link *sim_link(struct sim *s, uint32_t from, uint32_t to)
{
	MUST(from < s->count && to < s->count);
	return &s->links[(size_t)from * s->count + to];
}
