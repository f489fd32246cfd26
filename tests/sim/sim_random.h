/* Random schedules: a seed decides who starts when and with which targets, what breaks and heals,
 * and then everything must come to rest and agree.
 */
#ifndef WEAVE_SIM_RANDOM_H
#define WEAVE_SIM_RANDOM_H

#include "sim.h"

struct sim_plan {
	uint64_t seed;
	uint32_t peers;
	uint32_t check_every;
	enum sim_mutation mutation;
	FILE *trace;   /* NULL: none */
	bool ipam;     /* a world that serves addresses: sim_ipam_random.h, */
	bool removals; /* in which one is removed again and again */
};

/* What happened to addresses, for the summary. */
struct sim_ipam_sums {
	uint64_t told, refused, takeovers, resets, restores, losses, crashes, excused, late,
		disputes;
};

/* Sent from a worker to its parent as bytes: no pointers. */
struct sim_result {
	uint64_t seed;
	bool passed;
	uint64_t events, virtual_us, converge_us, bytes_per_peer, hash, goodbyes, frames;
	struct sim_ipam_sums ipam;
	char failure[480];
};

/* Either sort of world. */
void sim_run_plan(const struct sim_plan *plan, struct sim_result *result);
void sim_random_run(const struct sim_plan *plan, struct sim_result *result);

#endif
