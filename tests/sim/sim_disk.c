#include "sim_disk.h"

void sim_disk_start(struct sim_disk *d, struct wall clock, struct rng *rng)
{
	if (!d->present) {
		d->present = true;
		d->store_id = rng_u64(rng) | 1;
		d->generation = clock.s;
	}
	d->generation++;
}

void sim_disk_lose(struct sim_disk *d)
{
	struct sim_disk empty = { .targets_count = d->targets_count };

	/* The operator's start script names the targets again. */
	for (uint32_t i = 0; i < d->targets_count; i++)
		empty.targets[i] = d->targets[i];
	*d = empty;
}

void sim_disk_crash(struct sim_disk *d)
{
	d->writing = false;
}

void sim_disk_write(struct sim_disk *d, uint64_t generation, uint64_t ticket)
{
	d->writing = true;
	d->pending_generation = generation;
	d->pending_ticket = ticket;
}

bool sim_disk_synced(struct sim_disk *d, uint64_t ticket)
{
	if (!d->writing || d->pending_ticket != ticket)
		return false;
	d->writing = false;
	d->generation = d->pending_generation;
	return true;
}
