/* Who we are in the store, and what to do about entries in our name that we did not write
 * (the self-entry rule, control-plane.md 3; gossip-review F5).
 *
 * Pure; loop thread.  Owns the current generation and instance id.  The engine writes all own
 * entries through it, and shows it every incoming entry whose writer is ourselves.  Only kinds that
 * a router publishes anew in each life are judged (peer, link, endpoint, name, space); votes and
 * `gone` entries of former lives, and kinds we do not know, are merged as usual.
 *
 *   it loses against what we store   -> OURS: an echo, merging answers it
 *   generation above ours, or equal  -> JUMP: generation := that + 1, persist, publish all of ours
 *   and another instance's peer entry   again; at most once per foreign instance id
 *   equal or older, not ours         -> ANSWER: tombstone it with a higher version, or publish
 *                                       ours again.  But endpoints and names of former lives down
 *                                       to 'floor' are left alone: a restart drops no flow
 *   the instance jumped over publishes above us again: it is alive, two peers share one name:
 *                                       lower instance id stays, the other falls SILENT, says
 *                                       so, and tries again every 60 s
 *
 * A link or endpoint says nothing of the instance behind it: it counts as the last foreign peer
 * entry's.  A jump over one that is none's yet is attributed to the first peer entry that arrives
 * from within what was jumped over; few such jumps are made without one.
 */
#ifndef WEAVE_GOSSIP_IDENTITY_H
#define WEAVE_GOSSIP_IDENTITY_H

#include <weave/store.h>

#define IDENTITY_RETRY_MS 60000u
/* The one that stays jumps over a live duplicate at most this often; unattributed jumps likewise,
 * a few at a time. */
#define IDENTITY_STAY_MS 30000u
#define IDENTITY_UNATTRIBUTED_MAX 4u
#define IDENTITY_FOREIGN_MAX 16u /* instance ids remembered, oldest forgotten first */

enum identity_verdict {
	IDENTITY_OURS,	 /* nothing to do but to merge it as usual */
	IDENTITY_ANSWER, /* older or equal generation, not ours: merge, then overrule it */
	IDENTITY_JUMP,	 /* raise the generation: identity->generation has the new value */
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
	uint64_t last_foreign; /* instance of the last foreign peer entry, 0 if none */
	uint64_t highest;      /* generation of any foreign entry */
	uint32_t unattributed; /* jumps over entries of nobody, since unattributed_since */
	struct mono unattributed_since;
	uint64_t jumped_from, jumped_to; /* the generations that the last of them passed over */
};

void identity_init(struct identity *id, peer_name name, uint64_t instance, uint64_t generation);

/* Judges an incoming entry with writer = ourselves, before it is merged.  'mine' is what the
 * store holds under its key (NULL if nothing).  'foreign_instance' is the instance id it carries
 * if it is a peer entry, else 0 (then a jump counts against the last peer entry's instance). */
enum identity_verdict identity_judge(struct identity *id, const struct entry_view *incoming,
				     const struct entry_view *mine, uint64_t foreign_instance,
				     struct mono now);

/* True when a silent peer's 60 s are over: it has jumped once more (persist) and publishes again.
 * Call now and then also when not silent: it forgets a duplicate that is not heard any more. */
bool identity_retry(struct identity *id, struct mono now);

/* Whether an entry with writer = ourselves is an endpoint or name of a life below the floor. */
bool identity_is_stale(const struct identity *id, const struct entry_view *e);

#endif
