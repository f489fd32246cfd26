/* Random schedules of small worlds that serve addresses: containers come and go, ranges fill up,
 * networks part and meet, routers crash with and without their disks, come back with old copies of
 * them, hosts die for good and operators take over what they had, or are wrong about that.  Then
 * everything must come to rest (sim_ipam_check.h).
 */
#ifndef WEAVE_SIM_IPAM_RANDOM_H
#define WEAVE_SIM_IPAM_RANDOM_H

#include "sim_random.h"

/* plan->peers 0: three to six, as the seed says. */
void sim_ipam_run(const struct sim_plan *plan, struct sim_result *result);

#endif
