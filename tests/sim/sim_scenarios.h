/* Scenarios that need more than statements: hand-made peers, counting, hundreds of routers. */
#ifndef WEAVE_SIM_SCENARIOS_H
#define WEAVE_SIM_SCENARIOS_H

#include "sim.h"

struct sim_scenario {
	const char *name;
	/* False with what went wrong in 'why' (SIM_SCRIPT_WHY bytes). */
	bool (*run)(FILE *trace, enum sim_mutation mutation, char *why);
};

/* NULL at the end. */
const struct sim_scenario *sim_scenario_at(size_t index);

#endif
