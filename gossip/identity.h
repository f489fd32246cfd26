/* Who we are in the store, and what to do about entries in our name that we did not write
 * (the self-entry rule, control-plane.md 3; gossip-review F5).
 *
 * Pure; loop thread.  Owns the current generation and instance id.  The engine writes all own
 * entries through it, and shows it every incoming entry whose writer is ourselves.  Only kinds that
 * a router publishes anew in each life are judged (peer, link, endpoint, name, space); votes and
 * `gone` entries of former lives, and kinds we do not know, are merged as usual.
 *
 *   it loses against what we store   -> OURS: an echo, merging answers it
 *   peer entry, generation above     -> JUMP: generation := that + 1, persist, publish all of ours
 *   ours or equal, other instance       again; at most once per foreign instance id
 *   anything else above ours         -> WAIT: who wrote it stands in the peer entry behind it
 *   equal or older, not ours         -> ANSWER: tombstone it with a higher version, or publish
 *                                       ours again.  But endpoints and names of former lives down
 *                                       to 'floor' are left alone: a restart drops no flow
 *   the instance jumped over publishes above us again: it is alive, two peers share one name:
 *                                       lower instance id stays, the other falls SILENT, says
 *                                       so, and tries again every 60 s
 *
 * Why wait: a link or an endpoint does not say which instance wrote it.  Jumping over it would put
 * our peer entry above the other's everywhere, so that the only proof of who lives never reaches
 * us.  While we stay below, the other's peer entry is the newest in our name and does reach us.
 * Only when nobody has one (its writer died between two messages) do we jump without
 * (docs/why/same-name.md).
 */
#ifndef WEAVE_GOSSIP_IDENTITY_H
#define WEAVE_GOSSIP_IDENTITY_H

#include <weave/store.h>

#define IDENTITY_RETRY_MS 60000u
/* The one that stays jumps over a live duplicate at most this often. */
#define IDENTITY_STAY_MS 30000u
/* So long a peer entry is waited for: a connection that brings nothing for that time is closed. */
#define IDENTITY_WAIT_MS 10000u
#define IDENTITY_FOREIGN_MAX 16u /* instance ids remembered, oldest forgotten first */

enum identity_verdict {
	IDENTITY_OURS,	 /* nothing to do but to merge it as usual */
	IDENTITY_ANSWER, /* older or equal generation, not ours: merge, then overrule it */
	IDENTITY_JUMP,	 /* raise the generation: identity->generation has the new value */
	IDENTITY_WAIT,	 /* above ours: merge; identity_tick() jumps unless a peer entry comes */
	IDENTITY_SILENT, /* a live peer has our name and the lower instance id: stop publishing */
};

/* Read freely; change by functions. */
struct identity {
	peer_name name;
	uint64_t instance;   /* random per start */
	uint64_t generation; /* current; write only after it was persisted */
	/* Endpoints and names of ours count down to this generation.  0 at start; the engine sets
	 * it to the current generation when it publishes that floor, and then tombstones what is
	 * older (identity_is_stale). */
	uint64_t floor;
	bool silent;	    /* lost against a live peer of the same name */
	struct mono retry;  /* when silent: next attempt; else: no jump over the duplicate before */
	uint64_t duplicate; /* instance id of the live duplicate, 0 if none; for status */
	uint32_t jumps;	    /* for status and tests */
	uint64_t foreign[IDENTITY_FOREIGN_MAX]; /* instances that were jumped over, oldest first */
	uint32_t foreign_count;
	uint64_t highest;     /* generation of any foreign entry */
	struct mono jump_due; /* when identity_waits(): jump over jump_over then */
	uint64_t jump_over;
	uint64_t blind_from, blind_to; /* generations passed over by the last jump over nobody */
};

void identity_init(struct identity *id, peer_name name, uint64_t instance, uint64_t generation);

/* Judges an incoming entry with writer = ourselves, before it is merged.  'mine' is what the
 * store holds under its key (NULL if nothing).  'foreign_instance' is the instance id it carries
 * if it is a peer entry, else 0. */
enum identity_verdict identity_judge(struct identity *id, const struct entry_view *incoming,
				     const struct entry_view *mine, uint64_t foreign_instance,
				     struct mono now);

/* The same for news of a live or former instance of our name without an entry: a neighbour closes
 * a connection in favour of it, or it said HELLO to us. */
enum identity_verdict identity_meet(struct identity *id, uint64_t instance, uint64_t generation,
				    struct mono now);

/* Something above our generation stands in our name, and we do not jump over it yet: what is
 * written must not rise above it either. */
bool identity_waits(const struct identity *id);

/* True when it has jumped (persist, publish again): a silent peer's 60 s are over, or a wait is.
 * Call it at identity_deadline(), and now and then: it forgets a duplicate that is not heard. */
bool identity_tick(struct identity *id, struct mono now);
struct mono identity_deadline(const struct identity *id);

/* Whether an entry with writer = ourselves is an endpoint or name of a life below the floor. */
bool identity_is_stale(const struct identity *id, const struct entry_view *e);

#endif
