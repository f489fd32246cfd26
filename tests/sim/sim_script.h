/* Scenarios as text: one statement a line, carried out in order on a world of its own.
 *
 *	routers 5                       names of routers are 1 to 5
 *	targets-first                   everybody knows router 1
 *	loss 10%                        of all links, both ways
 *	start-all
 *	until converged within 10s
 *	at 30s cut 2-3                  moments count from the beginning; "after 5s" from now
 *	crash 4
 *	expect not reachable 1 4
 *	hold converged for 5s
 *
 * "2-3" is both directions of a link, "2>3" one.  `simulate --statements` lists all statements and
 * conditions.  A mistake is reported with its line and word before anything runs.
 */
#ifndef WEAVE_SIM_SCRIPT_H
#define WEAVE_SIM_SCRIPT_H

#include "sim.h"

/* Runs the text. False with what went wrong in 'why' (SIM_SCRIPT_WHY bytes). 'name' is for people.
 */
#define SIM_SCRIPT_WHY 640u
bool sim_script_run(const char *name, const char *text, FILE *trace, enum sim_mutation mutation,
		    char *why);
/* The same for a file, in the world that grows from this seed (1 for the text above). */
bool sim_script_run_file(const char *path, uint64_t seed, FILE *trace, enum sim_mutation mutation,
			 char *why);

void sim_script_list(FILE *out);

#endif
