#include "identity.h"

#include <weave/limits.h>
#include <weave/must.h>

void identity_init(struct identity *id, peer_name name, uint64_t instance, uint64_t generation)
{
	*id = (struct identity){ .name = name, .instance = instance, .generation = generation };
}

static bool outlives_a_restart(uint8_t kind)
{
	return kind == KIND_ENDPOINT || kind == KIND_NAME;
}

static bool is_judged(uint8_t kind)
{
	return kind == KIND_PEER || kind == KIND_LINK || kind == KIND_SPACE ||
	       outlives_a_restart(kind);
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

static void meet(struct identity *id, uint64_t instance, uint64_t generation)
{
	id->last_foreign = instance;
	if (id->unattributed && generation >= id->jumped_from && generation <= id->jumped_to) {
		remember(id, instance);
		id->unattributed = 0;
	}
}

static enum identity_verdict jump(struct identity *id, uint64_t over)
{
	id->generation = over < VERSION_LIMIT - 1 ? over + 1 : VERSION_LIMIT - 1;
	id->jumps++;
	return IDENTITY_JUMP;
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
	if (!mono_reached(now, id->retry))
		return IDENTITY_OURS;
	id->retry = mono_after(now, IDENTITY_STAY_MS);
	return jump(id, generation);
}

static enum identity_verdict jump_unattributed(struct identity *id, uint64_t generation,
					       struct mono now)
{
	if (id->unattributed && mono_elapsed(id->unattributed_since, now) >= IDENTITY_STAY_MS)
		id->unattributed = 0;
	if (id->unattributed >= IDENTITY_UNATTRIBUTED_MAX)
		return IDENTITY_OURS;
	if (id->unattributed++ == 0)
		id->unattributed_since = now;
	id->jumped_from = id->generation;
	id->jumped_to = generation;
	return jump(id, generation);
}

static enum identity_verdict above_us(struct identity *id, const struct entry_view *e,
				      uint64_t instance, struct mono now)
{
	if (id->generation == VERSION_LIMIT - 1)
		return e->version < VERSION_LIMIT - 1 ? IDENTITY_ANSWER : IDENTITY_OURS;
	if (instance == 0 && was_jumped_over(id, id->last_foreign))
		instance = id->last_foreign;
	if (instance == 0)
		return jump_unattributed(id, e->generation, now);
	if (was_jumped_over(id, instance))
		return dispute(id, instance, e->generation, now);
	remember(id, instance);
	return jump(id, e->generation);
}

enum identity_verdict identity_judge(struct identity *id, const struct entry_view *incoming,
				     const struct entry_view *mine, uint64_t foreign_instance,
				     struct mono now)
{
	uint64_t instance = foreign_instance != id->instance ? foreign_instance : 0;
	bool above;

	MUST(incoming->writer == id->name);
	if (!is_judged(incoming->kind))
		return IDENTITY_OURS;
	if (incoming->generation > id->highest)
		id->highest = incoming->generation;
	if (instance)
		meet(id, instance, incoming->generation);
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

bool identity_retry(struct identity *id, struct mono now)
{
	if (!id->silent) {
		if (id->duplicate && mono_reached(now, mono_after(id->retry, IDENTITY_RETRY_MS)))
			id->duplicate = 0;
		return false;
	}
	if (!mono_reached(now, id->retry))
		return false;
	id->silent = false;
	id->retry = now;
	id->duplicate = 0;
	jump(id, id->highest > id->generation ? id->highest : id->generation);
	return true;
}
