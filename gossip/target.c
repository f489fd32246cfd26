#include "target.h"

#include <weave/must.h>

/* Full jitter: peers that lost the same link do not come back in step. */
static void wait_at_most(struct target *t, uint32_t delay_ms, struct mono now, struct rng *rng)
{
	t->state = TARGET_WAITING;
	t->since = now;
	t->due = mono_after(now, rng_below(rng, (uint64_t)delay_ms + 1));
}

void target_init(struct target *t, uint32_t cap_ms, bool first_jitter, struct mono now,
		 struct rng *rng)
{
	MUST(cap_ms >= TARGET_DELAY_MIN_MS);
	*t = (struct target){ .delay_ms = TARGET_DELAY_MIN_MS, .cap_ms = cap_ms };
	wait_at_most(t, first_jitter ? TARGET_FIRST_MAX_MS : 0, now, rng);
}

static void failed(struct target *t, struct mono now, struct rng *rng)
{
	wait_at_most(t, t->delay_ms, now, rng);
	t->delay_ms = t->delay_ms > t->cap_ms / 2 ? t->cap_ms : t->delay_ms * 2;
}

enum target_action target_step(struct target *t, enum target_event ev, struct mono now,
			       struct rng *rng)
{
	MUST(t->delay_ms >= TARGET_DELAY_MIN_MS && t->delay_ms <= t->cap_ms);
	switch (t->state) {
	case TARGET_WAITING:
		if (ev != TARGET_TICK || !mono_reached(now, t->due))
			return TARGET_REST;
		t->state = TARGET_DIALLING;
		return TARGET_DIAL;
	case TARGET_DIALLING:
		if (ev == TARGET_OK)
			t->state = TARGET_UP;
		else if (ev == TARGET_FAILED)
			failed(t, now, rng);
		return TARGET_REST;
	case TARGET_UP:
		if (ev == TARGET_LOST) {
			t->delay_ms = TARGET_DELAY_MIN_MS;
			wait_at_most(t, t->delay_ms, now, rng);
		}
		return TARGET_REST;
	}
	NOT_REACHED("target state");
}

void target_reset(struct target *t, uint32_t within_ms, struct mono now, struct rng *rng)
{
	struct mono due = mono_after(now, rng_below(rng, (uint64_t)within_ms + 1));

	t->delay_ms = TARGET_DELAY_MIN_MS;
	if (t->state == TARGET_WAITING)
		t->due = mono_min(t->due, due);
}

void target_set_cap(struct target *t, uint32_t cap_ms)
{
	MUST(cap_ms >= TARGET_DELAY_MIN_MS);
	t->cap_ms = cap_ms;
	if (t->delay_ms > cap_ms)
		t->delay_ms = cap_ms;
	/* A wait drawn under the old cap must not outlast the new one. */
	if (t->state == TARGET_WAITING)
		t->due = mono_min(t->due, mono_after(t->since, cap_ms));
}

struct mono target_deadline(const struct target *t)
{
	return t->state == TARGET_WAITING ? t->due : MONO_NEVER;
}

const char *target_state_name(enum target_state state)
{
	switch (state) {
#define X(name)                                                                                    \
	case TARGET_##name:                                                                        \
		return #name;
		TARGET_STATES(X)
#undef X
	}
	NOT_REACHED("target state");
}
