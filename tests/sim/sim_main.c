/* simulate: many routers in one process on a virtual clock.  See docs/why/simulator.md. */
#include <stdlib.h>
#include <string.h>

#include <weave/must.h>

#include "sim_jobs.h"
#include "sim_script.h"

int main(int argc, char **argv)
{
	struct sim_plan plan = { .peers = 50, .check_every = 64 };
	struct sim_jobs jobs = {
		.first = 1, .last = 0, .jobs = 1, .check_every = 64, .block = 100
	};
	uint32_t p = 0, f = 0;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seed"))
			plan.seed = strtoull(argv[i + 1], 0, 10);
		if (!strcmp(argv[i], "--peers"))
			plan.peers = (uint32_t)atoi(argv[i + 1]);
		if (!strcmp(argv[i], "--check"))
			plan.check_every = (uint32_t)atoi(argv[i + 1]);
		if (!strcmp(argv[i], "--jobs"))
			jobs.jobs = (uint32_t)atoi(argv[i + 1]);
		if (!strcmp(argv[i], "--trace"))
			plan.trace = fopen(argv[i + 1], "w");
		if (!strcmp(argv[i], "--seeds"))
			sscanf(argv[i + 1], "%lu-%lu", &jobs.first, &jobs.last);
	}
	if (argc > 2 && !strcmp(argv[1], "--scenario")) {
		char why[SIM_SCRIPT_WHY];
		bool ok = sim_script_run_file(argv[2], plan.trace, 0, why);
		printf("%s %s%s%s\n", ok ? "PASS" : "FAIL", argv[2], ok ? "" : ": ", ok ? "" : why);
		return !ok;
	}
	jobs.peers = plan.peers;
	jobs.check_every = plan.check_every;
	if (jobs.last) {
		sim_jobs_run(&jobs, &p, &f);
		return f != 0;
	}
	struct sim_result r;
	sim_random_run(&plan, &r);
	printf("%s %llu events %.1f s virtual converge %.1f s %llu KB/peer hash %llx %s\n",
	       r.passed ? "PASS" : "FAIL", (unsigned long long)r.events, (double)r.virtual_us / 1e6,
	       (double)r.converge_us / 1e6, (unsigned long long)r.bytes_per_peer / 1000,
	       (unsigned long long)r.hash, r.failure);
	return !r.passed;
}
