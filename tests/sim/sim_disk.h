/* The state file of one router, as its disk holds it: what was synced, and nothing else.
 *
 * Pure.  A write is in the air until its sync came back; a crash before that loses it.
 */
#ifndef WEAVE_SIM_DISK_H
#define WEAVE_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include <weave/rng.h>
#include <weave/time.h>

#define SIM_DISK_TARGETS_MAX 16u

struct sim_disk {
	bool present; /* false: new or lost */
	uint64_t generation, store_id;
	uint32_t targets[SIM_DISK_TARGETS_MAX]; /* indexes of routers */
	uint32_t targets_count;
	/* in the air */
	bool writing;
	uint64_t pending_generation, pending_ticket;
};

/* What a start does: generation + 1; a new store begins at the time of day and makes a store id. */
void sim_disk_start(struct sim_disk *d, struct wall clock, struct rng *rng);

void sim_disk_lose(struct sim_disk *d);
void sim_disk_crash(struct sim_disk *d);

/* A newer write replaces one that is still in the air, as the daemon's does. */
void sim_disk_write(struct sim_disk *d, uint64_t generation, uint64_t ticket);
/* The sync of 'ticket' came back: false when that write was replaced or lost by a crash. */
bool sim_disk_synced(struct sim_disk *d, uint64_t ticket);

#endif
