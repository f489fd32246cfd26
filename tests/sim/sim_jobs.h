/* Many seeds in several processes.  A run that aborts (a failed MUST) or hangs costs its process
 * only: it counts as failed with its seed, and the rest goes on. */
#ifndef WEAVE_SIM_JOBS_H
#define WEAVE_SIM_JOBS_H

#include "sim_random.h"

struct sim_jobs {
	uint64_t first, last; /* seeds */
	uint32_t peers, jobs, check_every;
	uint32_t seconds; /* start no run after so many; 0 = no limit */
	uint32_t block;	  /* one PASS line for each so many runs without a failure */
	bool ipam;	  /* worlds that serve addresses, */
	bool removals;	  /* and the sort that sim_ipam_removals.h tells */
};

struct sim_totals {
	uint64_t runs, passed, events, virtual_us, frames, goodbyes;
	struct sim_ipam_sums ipam;
	uint64_t *converge_us, *bytes_per_peer; /* of each run that passed */
};

/* Prints FAIL lines, PASS lines per block, and a line RUNS.  Adds the count of lines of each
 * sort to *passed and *failed; returns that of runs. */
uint64_t sim_jobs_run(const struct sim_jobs *jobs, uint32_t *passed, uint32_t *failed);

#endif
