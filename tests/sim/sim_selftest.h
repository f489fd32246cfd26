/* The simulator checks itself: its own parts, that a seed means one run, and that each check can
 * fail. */
#ifndef WEAVE_SIM_SELFTEST_H
#define WEAVE_SIM_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>

struct sim_selftest {
	const char *name;
	/* 'program' is the path of this program. False with 'why' (SIM_SCRIPT_WHY bytes). */
	bool (*run)(const char *program, char *why);
};

/* NULL at the end. */
const struct sim_selftest *sim_selftest_at(size_t index);

#endif
