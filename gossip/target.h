/* One address that we try to stay connected to: when to dial and when to wait.
 *
 * Pure; loop thread.  The engine dials when told to and reports how it went.
 *
 *              TICK, when due             OK
 *   WAITING ------------------> DIALLING ----> UP
 *      ^                           |           |
 *      | FAILED: delay doubles     |           | LOST: delay starts over
 *      +---------------------------+-----------+
 *
 * Full jitter: the wait is uniform in [0, delay]. The cap is 10 s for operator and structural
 * targets, 10 min for the rest; 'reset' when gossip shows the peer reachable or a person asks.
 */
#ifndef WEAVE_GOSSIP_TARGET_H
#define WEAVE_GOSSIP_TARGET_H

#include <weave/rng.h>
#include <weave/time.h>

#define TARGET_DELAY_MIN_MS 500u
#define TARGET_DELAY_NEAR_MAX_MS 10000u
#define TARGET_DELAY_FAR_MAX_MS (10u * 60u * 1000u)
/* At start and after a heal, so that peers do not dial in step. */
#define TARGET_FIRST_MAX_MS 2000u

#define TARGET_STATES(X)                                                                           \
	X(WAITING)                                                                                 \
	X(DIALLING)                                                                                \
	X(UP)

enum target_state {
#define X(name) TARGET_##name,
	TARGET_STATES(X)
#undef X
};

enum target_event { TARGET_TICK, TARGET_OK, TARGET_FAILED, TARGET_LOST };
enum target_action { TARGET_REST, TARGET_DIAL };

/* Lives inside its owner.  Read the fields freely; change them by functions only. */
struct target {
	enum target_state state;
	struct mono due;   /* next dial; meaningful in WAITING */
	struct mono since; /* start of this wait */
	uint32_t delay_ms; /* upper end of the next wait */
	uint32_t cap_ms;   /* of delay_ms */
};

/* Starts in WAITING, due at once ('first_jitter' false) or after 0 .. TARGET_FIRST_MAX_MS. */
void target_init(struct target *t, uint32_t cap_ms, bool first_jitter, struct mono now,
		 struct rng *rng);

/* Applies 'ev' and returns what the caller must do now.  An event that does not belong to the
 * state (a late FAILED of an older attempt) changes nothing. */
enum target_action target_step(struct target *t, enum target_event ev, struct mono now,
			       struct rng *rng);

/* The delay starts over and, when WAITING, the next dial is due within 'within_ms' at random, or
 * as it was if that is sooner. */
void target_reset(struct target *t, uint32_t within_ms, struct mono now, struct rng *rng);
/* A wait that is under way is cut to the new cap, too. */
void target_set_cap(struct target *t, uint32_t cap_ms);

/* When to feed the next TICK; MONO_NEVER while somebody else must act first. */
struct mono target_deadline(const struct target *t);

const char *target_state_name(enum target_state state);

#endif
