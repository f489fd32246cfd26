#include "identity.h"

#include <weave/limits.h>
#include <weave/must.h>

void identity_init(struct identity *id, peer_name name, uint64_t instance, uint64_t generation)
{
	*id = (struct identity){ .name = name, .instance = instance, .generation = generation };
	id->jump_due = MONO_NEVER;
}

static bool outlives_a_restart(uint8_t kind)
{
	return kind == KIND_ENDPOINT || kind == KIND_NAME;
}

bool identity_is_stale(const struct identity *id, const struct entry_view *e)
{
	return outlives_a_restart(e->kind) && e->generation < id->floor;
}

static bool was_jumped_over(const struct identity *id, uint64_t instance)
{
	for (uint32_t i = 0; i < id->foreign_count; i++)
		if (id->foreign[i] == instance)
			return true;
	return false;
}

static void remember(struct identity *id, uint64_t instance)
{
	if (was_jumped_over(id, instance))
		return;
	if (id->foreign_count == IDENTITY_FOREIGN_MAX) {
		for (uint32_t i = 1; i < IDENTITY_FOREIGN_MAX; i++)
			id->foreign[i - 1] = id->foreign[i];
		id->foreign_count--;
	}
	id->foreign[id->foreign_count++] = instance;
}

static enum identity_verdict jump(struct identity *id, uint64_t over)
{
	id->generation = over < VERSION_LIMIT - 1 ? over + 1 : VERSION_LIMIT - 1;
	id->jumps++;
	return IDENTITY_JUMP;
}

bool identity_waits(const struct identity *id)
{
	return !id->silent && id->jump_due.ms != MONO_NEVER.ms && id->jump_over >= id->generation;
}

/* A wait that is under way keeps its end: what comes in does not put it off. */
static enum identity_verdict wait_until(struct identity *id, uint64_t over, struct mono due)
{
	bool waits = identity_waits(id);

	if (!waits || over > id->jump_over)
		id->jump_over = over;
	if (!waits)
		id->jump_due = due;
	return IDENTITY_WAIT;
}

static enum identity_verdict wait_for_peer_entry(struct identity *id, uint64_t over,
						 struct mono now)
{
	struct mono due = mono_after(now, IDENTITY_WAIT_MS);

	return wait_until(id, over, due.ms > id->retry.ms ? due : id->retry);
}

/* Two live peers share our name. */
static enum identity_verdict dispute(struct identity *id, uint64_t instance, uint64_t generation,
				     struct mono now)
{
	id->duplicate = instance;
	if (id->instance > instance) {
		id->silent = true;
		id->retry = mono_after(now, IDENTITY_RETRY_MS);
		return IDENTITY_SILENT;
	}
	if (!mono_reached(now, id->retry)) {
		wait_until(id, generation, id->retry);
		id->jump_due = id->retry;
		return IDENTITY_WAIT;
	}
	id->retry = mono_after(now, IDENTITY_STAY_MS);
	return jump(id, generation);
}

static enum identity_verdict instance_above_us(struct identity *id, uint64_t instance,
					       uint64_t generation, struct mono now)
{
	if (was_jumped_over(id, instance))
		return dispute(id, instance, generation, now);
	remember(id, instance);
	return jump(id, generation);
}

static enum identity_verdict above_us(struct identity *id, const struct entry_view *e,
				      uint64_t instance, struct mono now)
{
	if (id->generation == VERSION_LIMIT - 1)
		return e->version < VERSION_LIMIT - 1 ? IDENTITY_ANSWER : IDENTITY_OURS;
	if (instance == 0)
		return wait_for_peer_entry(id, e->generation, now);
	return instance_above_us(id, instance, e->generation, now);
}

enum identity_verdict identity_meet(struct identity *id, uint64_t instance, uint64_t generation,
				    struct mono now)
{
	if (instance == id->instance)
		return IDENTITY_OURS;
	if (generation > id->highest)
		id->highest = generation;
	if (id->silent)
		return IDENTITY_SILENT;
	if (generation < id->generation || id->generation == VERSION_LIMIT - 1)
		return IDENTITY_OURS;
	return instance_above_us(id, instance, generation, now);
}

enum identity_verdict identity_judge(struct identity *id, const struct entry_view *incoming,
				     const struct entry_view *mine, uint64_t foreign_instance,
				     struct mono now)
{
	uint64_t instance = foreign_instance != id->instance ? foreign_instance : 0;
	bool above;

	MUST(incoming->writer == id->name);
	if (!kind_has_one_writer(incoming->kind))
		return IDENTITY_OURS;
	if (incoming->generation > id->highest)
		id->highest = incoming->generation;
	if (instance && id->blind_to && incoming->generation >= id->blind_from &&
	    incoming->generation <= id->blind_to)
		remember(id, instance);
	if (mine && entry_compare(mine, incoming) >= 0)
		return IDENTITY_OURS;
	if (id->silent)
		return IDENTITY_SILENT;
	/* Nothing above the highest version: then only a new generation helps. */
	above = incoming->generation > id->generation ||
		(incoming->generation == id->generation &&
		 (instance || incoming->version == VERSION_LIMIT - 1));
	if (above)
		return above_us(id, incoming, instance, now);
	if (!mine && (incoming->flags & ENTRY_TOMBSTONE))
		return IDENTITY_OURS; /* already dead */
	if (outlives_a_restart(incoming->kind) && incoming->generation < id->generation &&
	    incoming->generation >= id->floor)
		return IDENTITY_OURS;
	return IDENTITY_ANSWER;
}

static bool end_of_silence(struct identity *id, struct mono now)
{
	if (!mono_reached(now, id->retry))
		return false;
	id->silent = false;
	id->retry = now;
	id->duplicate = 0;
	jump(id, id->highest > id->generation ? id->highest : id->generation);
	return true;
}

static bool end_of_wait(struct identity *id, struct mono now)
{
	if (!identity_waits(id) || !mono_reached(now, id->jump_due))
		return false;
	if (id->duplicate)
		id->retry = mono_after(now, IDENTITY_STAY_MS);
	id->blind_from = id->generation;
	id->blind_to = id->jump_over;
	id->jump_due = MONO_NEVER;
	jump(id, id->jump_over);
	return true;
}

bool identity_tick(struct identity *id, struct mono now)
{
	if (id->silent)
		return end_of_silence(id, now);
	if (id->duplicate && mono_reached(now, mono_after(id->retry, IDENTITY_RETRY_MS)))
		id->duplicate = 0;
	return end_of_wait(id, now);
}

struct mono identity_deadline(const struct identity *id)
{
	if (id->silent)
		return id->retry;
	return identity_waits(id) ? id->jump_due : MONO_NEVER;
}
