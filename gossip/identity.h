/* Who we are in the store, and what to do about entries in our name that we did not write
 * (the self-entry rule, control-plane.md 3; gossip-review F5).
 *
 * Pure; loop thread.  Owns the current generation and instance id.  The engine writes all own
 * entries through it, and shows it every incoming entry whose writer is ourselves.
 *
 *   foreign entry, generation >= ours  -> JUMP: generation := that + 1, persist, publish all of
 *                                         ours again; at most once per foreign instance id
 *   foreign entry, older generation    -> ANSWER: tombstone it with a higher version, or publish
 *                                         ours again
 *   the instance jumped over publishes above us again: it is alive, two peers share one name:
 *                                         lower instance id stays, the other falls SILENT, says
 *                                         so, and tries again every 60 s
 */
#ifndef WEAVE_GOSSIP_IDENTITY_H
#define WEAVE_GOSSIP_IDENTITY_H

#include <weave/store.h>

#define IDENTITY_RETRY_MS 60000u
#define IDENTITY_FOREIGN_MAX 16u /* instance ids remembered, oldest forgotten first */

enum identity_verdict {
	IDENTITY_OURS,	 /* exactly what we wrote (an echo): merge as usual */
	IDENTITY_ANSWER, /* older or equal generation, not ours: merge, then overrule it */
	IDENTITY_JUMP,	 /* raise the generation: identity->generation has the new value */
	IDENTITY_SILENT, /* a live peer has our name and the lower instance id: stop publishing */
};

/* Read freely; change by functions. */
struct identity {
	peer_name name;
	uint64_t instance;   /* random per start */
	uint64_t generation; /* current; write only after it was persisted */
	bool silent;	     /* lost against a live peer of the same name */
	struct mono retry;   /* when silent: next attempt */
	uint64_t duplicate;  /* instance id of the live duplicate, 0 if none; for status */
	uint32_t jumps;	     /* for status and tests */
	uint64_t foreign[IDENTITY_FOREIGN_MAX]; /* instances that were jumped over */
	uint32_t foreign_count;
};

void identity_init(struct identity *id, peer_name name, uint64_t instance, uint64_t generation);

/* Judges an incoming entry with writer = ourselves, before it is merged.  'mine' is what the
 * store holds under its key (NULL if nothing).  'foreign_instance' is the instance id it carries
 * if it is a peer entry, else 0 (then a jump counts against the last peer entry's instance). */
enum identity_verdict identity_judge(struct identity *id, const struct entry_view *incoming,
				     const struct entry_view *mine, uint64_t foreign_instance,
				     struct mono now);

/* True when a silent peer's 60 s are over: it jumps once more and publishes again. */
bool identity_retry(struct identity *id, struct mono now);

#endif
