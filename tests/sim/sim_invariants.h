/* What must be true of a whole world that was left in peace: all views agree, and frames travel.
 *
 * "Expected" comes from the world, not from the routers: who runs, and which links are open.
 */
#ifndef WEAVE_SIM_INVARIANTS_H
#define WEAVE_SIM_INVARIANTS_H

#include "sim.h"

#define SIM_WHY_SIZE 256u

/* Stores, topologies and data paths agree with the world and with each other; false says in 'why'
 * (SIM_WHY_SIZE bytes) what does not yet. */
bool sim_converged(struct sim *s, char *why);

/* Sends frames from some routers and waits for them: each comes out exactly once at its
 * destination, a broadcast exactly once at every bridge that can be reached. */
void sim_check_frames(struct sim *s, uint32_t senders);

/* Lets time pass until sim_converged, at most 'limit_us'; fails the run when that is over. Returns
 * the microseconds that it took. */
uint64_t sim_await_converged(struct sim *s, uint64_t limit_us);

/* Whether two running routers can be expected to reach each other. */
bool sim_expected(struct sim *s, uint32_t a, uint32_t b);

/* An established connection of a to b. */
bool sim_connected(const struct sim *s, uint32_t a, uint32_t b);

#endif
