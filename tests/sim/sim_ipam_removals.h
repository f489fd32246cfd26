/* A course of rmpeer: one victim that is away, is removed, comes back, gets and gives away
 * addresses, and is removed once more, while others are awaited, cannot hear of it, or lose their
 * disks.
 *
 * Plain random runs (sim_ipam_random.h) come to this once in 100 000 (F14 of
 * docs/why/ipam-proof.md).
 */
#ifndef WEAVE_SIM_IPAM_REMOVALS_H
#define WEAVE_SIM_IPAM_REMOVALS_H

#include "sim.h"

/* Everybody runs and has a ring; three routers at least.  At most so many disks are lost; returns
 * how many were; some routers are down in the end, and links are cut. */
uint32_t sim_ipam_removals(struct sim *s, uint32_t losses_max);

#endif
