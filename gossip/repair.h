/* Making two stores equal that should be and are not: digests, then key lists, then entries.
 *
 *	the end that dialled ("asker")            the other end ("teller")
 *	DIGESTS of its buckets        ------>
 *	                              <------     KEYS of each bucket that differs; the last is
 *marked ENTRIES that the other lacks  ------> RESEND of what it lacks       ------>
 *	                              <------     ENTRIES, the last marked SYNC_END
 *
 * A router asks one neighbour at a time (gossip-review F10): the others wait and compare again.
 * A round that changed nothing while the digests still differ backs off 2, 4 ... 64 s (F9).
 * Split horizon does not apply here (F8b).
 *
 * Kinds that merge by a rule of their own (the ring) are part of a round when what the neighbour
 * said of its rings differs from ours; then only entries that are exchanged with it count, at both
 * ends, so that two rings that must not mix do not.
 *
 * Pure; loop thread; part of one neighbour.  Memory: a bitmap and two lists of key hashes, each
 * with a limit; what does not fit is found again by the next round.
 */
#ifndef WEAVE_GOSSIP_REPAIR_H
#define WEAVE_GOSSIP_REPAIR_H

#include <weave/store.h>

#include "message_wire.h"

#define REPAIR_LIST_MAX 65536u
#define REPAIR_TIMEOUT_MS 5000u
#define REPAIR_DELAY_MIN_MS 2000u
#define REPAIR_DELAY_MAX_MS 64000u

enum repair_state {
	REPAIR_IDLE,
	REPAIR_WANTED,	 /* waits for its turn among the neighbours */
	REPAIR_ASKING,	 /* DIGESTS sent or to be sent, KEYS to come */
	REPAIR_FETCHING, /* RESEND sent or to be sent, ENTRIES to come */
};

/* Key hashes, taken from the front. */
struct hash_list {
	uint64_t *items;
	uint32_t at, count, room;
};

/* Read freely; change by functions. */
struct repair {
	peer_name with;
	enum repair_state state;
	bool differ;	       /* the digests did when last compared */
	bool started;	       /* there was a round; the next fields tell of it */
	uint64_t took;	       /* entries it brought us */
	struct hash128 theirs; /* the other digest when it began */
	uint64_t skip_above;   /* leave out buckets that changed after this sequence number */
	bool apart;	       /* the round is about what merges by a rule of its own, too */
	struct mono not_before, deadline;
	uint32_t delay_ms; /* 0, or the back-off */
	uint64_t rounds;   /* that moved something */
	bool digests_due;
	bool resend_due;
	struct hash_list fetch; /* to ask for */
	struct hash_list give;	/* to send */
	bool end_due;		/* the teller's: mark the end once 'give' is sent */
	bool tell;		/* the teller's: KEYS are to be sent */
	bool tell_apart;	/* the teller's: the asker's 'apart' */
	uint64_t tell_from;	/* the next range starts here */
	uint8_t tell_buckets[STORE_BUCKETS / 8];
};

void repair_fini(struct repair *r);

/* The digests were compared and differ; 'theirs' stands for all that they said of theirs.
 * Buckets that changed after 'skip_above' are left out. */
void repair_want(struct repair *r, struct hash128 theirs, uint64_t skip_above, struct mono now);
/* They were compared and are equal. */
void repair_equal(struct repair *r);
bool repair_ready(const struct repair *r, struct mono now); /* wanted, and no back-off */
void repair_start(struct repair *r, struct hash128 theirs, bool apart, struct mono now);
/* True when the asker's round has ended by itself or by its deadline, once. */
bool repair_over(struct repair *r, struct mono now);

/* Something that only ENTRIES can carry: 'key_hash' is sent whatever the split horizon says. */
void repair_give(struct repair *r, uint64_t key_hash);

/* Messages of the other end, decoded. */
void repair_on_digests(struct repair *r, const struct store *s, const struct digests *d);
void repair_on_keys(struct repair *r, const struct store *s, const struct keys *k, struct mono now);
void repair_on_resend(struct repair *r, const struct resend *m);
void repair_on_entries(struct repair *r, bool sync_end, struct mono now);

/* Our next repair frame other than ENTRIES; false when there is none. */
bool repair_pull(struct repair *r, const struct store *s, struct writer *w);
bool repair_wants_entries(const struct repair *r);
bool repair_wants_write(const struct repair *r); /* ENTRIES included */

/* The next key hash to send as ENTRIES; false when there is none. */
bool repair_next_give(const struct repair *r, uint64_t *key_hash);
void repair_gave(struct repair *r);

#endif
