/* What random worlds that serve addresses have found, told by hand: the seeds say less once the
 * courses of random runs change (docs/why/ipam-proof.md). */
#ifndef WEAVE_SIM_IPAM_FOUND_H
#define WEAVE_SIM_IPAM_FOUND_H

#include "sim.h"

/* Seed 923847, a scenario: see sim_scenarios.h. */
bool sim_ipam_another_ring(FILE *trace, enum sim_mutation mutation, char *why);

/* A self test: the same story, but for one thing that makes the excuse void, must fail. */
bool sim_ipam_excuse_is_exact(const char *program, char *why);

#endif
