#include "sim_ipam_found.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../ipam/allocator.h"
#include "sim_ipam.h"
#include "sim_net.h"
#include "sim_router.h"
#include "sim_script.h"

#define LOSER 2u /* router that loses its disk */

/* Three with one ring of 14 addresses, and a container each. */
static struct sim *three_with_space(FILE *trace)
{
	struct sim *s = mem_new(1, sizeof *s);
	struct universe universe;
	struct cidr cidr;
	struct why why;

	sim_init(s, 923847, 3);
	s->trace = trace;
	s->check_every = 100;
	MUST(cidr_parse("10.32.0.0/28", &cidr) && universe_init(&universe, cidr, &why));
	sim_ipam_init(s, &universe, 1);
	for (uint32_t n = 0; n < s->count; n++) {
		struct sim_router *r = s->routers[n];

		r->config.passwords = NULL;
		r->ipam->config[0] = (struct ipam_config){ .universe = universe,
							   .mode = IPAM_CONSENSUS,
							   .electors = 3,
							   .has_targets = n > 0 };
		if (n > 0)
			r->disk.targets[r->disk.targets_count++] = 0;
		sim_router_start(r);
	}
	sim_run(s, 5 * SIM_S);
	for (uint32_t n = 0; n < s->count; n++)
		sim_ipam_allocate(s->routers[n], sim_container_new(s->routers[n]), 0);
	sim_run(s, 20 * SIM_S);
	return s;
}

static void cut_off(struct sim *s, uint32_t index)
{
	for (uint32_t n = 0; n < s->count; n++)
		if (n != index)
			sim_link(s, n, index)->cut = sim_link(s, index, n)->cut = true;
}

/* Alone, and launched with a number of voters of its own. */
static void get_another_ring(struct sim *s, struct sim_router *r)
{
	s->addresses->rings_may_differ = true;
	cut_off(s, r->index);
	sim_router_crash(r, false);
	sim_ipam_lose_disk(r);
	r->ipam->config[0].electors = 1;
	sim_router_start(r);
	sim_ipam_prime(r, 0);
	sim_run(s, 20 * SIM_S);
	sim_net_heal(s);
	sim_run(s, 20 * SIM_S);
}

/* All there are: more than are left to it, which is what the loser's former store had. */
static void take_all(struct sim_router *r)
{
	for (int n = 0; n < 16; n++)
		sim_ipam_allocate(r, sim_container_new(r), 0);
	sim_run(r->sim, 20 * SIM_S);
}

/* Whether the world, as it is told, went well; it is freed.  'lies': the world says that no disk
 * was lost, so nothing excuses the address that is told twice. */
static bool tell(FILE *trace, enum sim_mutation mutation, bool lies, uint64_t *excused,
		 char failure[SIM_SCRIPT_WHY])
{
	struct sim *s = three_with_space(trace);
	struct sim_router *loser = s->routers[LOSER];
	bool ok;

	s->mutation = mutation;
	MUST(s->addresses->told == 3);
	get_another_ring(s, loser);
	MUST(sim_ipam_of(loser, 0)->ring_id &&
	     sim_ipam_of(loser, 0)->ring_id != sim_ipam_of(s->routers[0], 0)->ring_id);
	loser->ipam->lost = !lies;
	sim_ipam_remove(s->routers[0], 0, LOSER, 0, false);
	sim_run(s, 10 * SIM_S);
	MUST(sim_ipam_of(s->routers[0], 0)->takeovers.marks_count == 0);
	take_all(s->routers[0]);
	*excused = s->addresses->excused;
	snprintf(failure, SIM_SCRIPT_WHY, "%s", s->failure);
	ok = !s->failed;
	sim_fini(s);
	mem_free(s);
	return ok;
}

bool sim_ipam_another_ring(FILE *trace, enum sim_mutation mutation, char *why)
{
	uint64_t excused;

	if (!tell(trace, mutation, false, &excused, why))
		return false;
	if (excused != 1)
		snprintf(why, SIM_SCRIPT_WHY, "%llu addresses were told twice, not one",
			 (unsigned long long)excused);
	return excused == 1;
}

bool sim_ipam_excuse_is_exact(const char *program, char *why)
{
	uint64_t excused;
	char failure[SIM_SCRIPT_WHY];

	(void)program;
	if (!tell(NULL, SIM_MUTATE_NONE, true, &excused, failure) &&
	    strstr(failure, "two containers were told address"))
		return true;
	snprintf(why, SIM_SCRIPT_WHY, "an address told twice was excused: %.100s", failure);
	return false;
}
