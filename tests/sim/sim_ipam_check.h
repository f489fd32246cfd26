/* What must be true of addresses: control-plane.md 6.6, seen from outside of all routers.
 *
 * All the time, each where it can become wrong: when a container is told its address, nobody else
 * lives there (1), and the row is durable; when a router's ring, marks or readiness changed, no
 * other one may use what it may use (2); when it comes in sync, it knows what its neighbours knew
 * when they met (6.3); when it gets a ring, it is the one that all have (6).
 *
 * In peace: rings are equal (3); in the join of all disks each offset has one owner, which knows it
 * and can use it, so no space is lost (4); requests are answered, takeovers end, disputes do,
 * and whoever asks for an address gets one while there is any.
 */
#ifndef WEAVE_SIM_IPAM_CHECK_H
#define WEAVE_SIM_IPAM_CHECK_H

#include "sim_ipam.h"

void sim_ipam_check_home(struct sim_router *r, struct sim_container *c, size_t universe);
/* It was just told so by an answer. */
void sim_ipam_check_durable(const struct sim_router *r, const struct sim_container *c,
			    size_t universe, uint64_t offset);
void sim_ipam_check_save(struct sim_router *r, size_t universe, const struct ipam_action *save);
/* rmpeer is about to be said; with --force, 6.6 makes no promise about what it takes. */
void sim_ipam_check_removal(struct sim_router *by, size_t universe, uint32_t victim, bool force);
void sim_ipam_check_refusal(struct sim_router *r, const struct sim_request *q,
			    const struct why *why);
/* Something newer than ever is durable at the offset; two values of one version are. */
void sim_ipam_check_truth(struct sim *s, size_t universe, uint64_t ring_id, uint64_t offset);
void sim_ipam_check_fork(struct sim *s, size_t universe, uint64_t ring_id, uint64_t offset);
/* After each turn of a router. */
void sim_ipam_check_router(struct sim_router *r);

/* Whether everything is at rest; false says in 'why' (SIM_WHY_SIZE bytes) what is not. */
bool sim_ipam_settled(struct sim *s, char *why);
/* At rest, once. */
void sim_ipam_check_end(struct sim *s);

#endif
