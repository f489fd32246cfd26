/* One established connection to a neighbour: what to send on it, and whether it is alive.
 *
 * Pure; loop thread.  It pulls: changes are not copied to a neighbour, it holds a cursor into the
 * store's change order and reads from there when the socket can take bytes, so a slow neighbour
 * costs no memory and bursts coalesce.  The engine merges what comes in (self-entry rule) and
 * tells the neighbour; everything else about the protocol of an established connection is here.
 *
 * Entries flow while the link is structural for either end; otherwise only repair runs.  A change
 * leaves at once when the link was silent for 50 ms, else 50 ms after the last sending, and never
 * back on the connection instance it came from.
 *
 * Alive = the other end echoes heartbeats of ours: every heartbeat (and every ENTRIES, which
 * carries the same) brings the newest time stamp received back.
 */
#ifndef WEAVE_GOSSIP_NEIGHBOUR_H
#define WEAVE_GOSSIP_NEIGHBOUR_H

#include <weave/gossip.h>
#include <weave/list.h>

#include "message_wire.h"
#include "repair.h"

#define HEARTBEAT_MS 4000u
/* The end that dialled keeps time and the other answers: did both keep it, their heartbeats would
 * cross, and each would see its own come back only every second time. */
#define HEARTBEAT_ACCEPTED_MS 4500u
#define HEARTBEAT_REPLY_MS 2000u /* answered at once when we were silent for so long */
#define ECHO_TIMEOUT_MS 10000u
#define SUSPECT_MS 4500u
#define COALESCE_MS 50u
#define COMPARE_MS 3000u /* between two comparisons of digests */
#define CALM_MS 2000u	 /* without a change a store counts as calm */
#define OVERLAY_QUEUE_MAX 64u
/* Where entries flow, rings are told as often as they do; elsewhere only repair needs them. */
#define RINGS_SELDOM_MS 1000u

/* What all neighbours of one router share. */
struct neighbours {
	struct store *store;
	struct mono changed; /* when the store changed last */
	/* Every change up to calm_sequence is at least CALM_MS old; the mark becomes the next. */
	uint64_t calm_sequence, mark_sequence;
	struct mono mark_at;
	conn_id syncing;  /* whose repair round is running; 0 none */
	uint32_t wanting; /* at least as many wait for a round, unless 0 */
	uint64_t entries_sent, repairs, repair_entries, unicast_dropped;
	uint8_t rings[RINGS_MESSAGE_MAX]; /* what we tell of ours; size 0: nothing */
	size_t rings_size;
	uint64_t rings_version; /* grows with each change */
};

struct queued {
	struct list link;
	size_t size;
	uint8_t body[];
};

/* Read freely; change by functions. */
struct neighbour {
	conn_id id;
	peer_name peer;
	bool outbound;
	struct neighbours *shared;

	bool structural, published;		  /* we want */
	bool structural_theirs, published_theirs; /* they want */
	bool flow;				  /* entries flow; 'cursor' is open */
	struct store_cursor cursor;
	uint64_t sent_sequence; /* of the newest entry sent by the cursor */
	uint64_t announced;	/* newest pulse.sequence sent */
	uint64_t acked;		/* they have processed up to here */
	uint64_t their_sequence;
	bool entries_left; /* the last frame was full */
	bool entries_ever;
	struct mono entries_sent_at;

	struct mono pulse_due, pulse_sent_at;
	uint32_t sent_ms;   /* newest time stamp sent, 0 none */
	uint32_t echoed_ms; /* newest one that came back */
	struct mono echo_at;
	struct mono unanswered_since; /* MONO_NEVER when all came back */
	uint32_t heard_ms;	      /* their newest time stamp, 0 none */
	struct mono heard_at;
	uint32_t rtt_ms;
	bool rtt_known;

	uint64_t rings_sent; /* version of ours that was sent last, 0 none */
	struct mono rings_sent_at;
	struct hash128 their_rings; /* hash of what they said of theirs, zeroes for nothing yet */

	bool compared; /* digests, ever */
	unsigned restless;
	struct mono compare_due;
	struct hash128 their_digest;
	struct repair repair;

	struct list unicast, overlay; /* struct queued */
	size_t unicast_size, overlay_count;
	bool replicate_next; /* the last frame was a message */
};

void neighbour_init(struct neighbour *n, struct neighbours *shared, conn_id id, peer_name peer,
		    bool outbound, struct mono now);
void neighbour_fini(struct neighbour *n);

/* What we want of this link; told to the other end soon when it changed. */
void neighbour_set_wanted(struct neighbour *n, bool structural, bool published, struct mono now);

/* ---- input ---- */
/* A pulse alone, or the head of ENTRIES (after its entries were merged). NULL or the wrong field.
 */
const char *neighbour_on_pulse(struct neighbour *n, const struct pulse *p, struct mono now);
/* DIGESTS, KEYS, RESEND. NULL or the wrong field. */
const char *neighbour_on_repair(struct neighbour *n, const struct frame *frame, struct mono now);
/* What the merge of one received entry said. */
void neighbour_on_merged(struct neighbour *n, const struct entry_view *e, enum store_result result);
void neighbour_sync_end(struct neighbour *n, bool sync_end, struct mono now);
/* RINGS came; its kinds know what it says only when neighbour_meet is called. */
void neighbour_on_rings(struct neighbour *n, struct bytes body);
/* What the two exchange apart never was equal and differs: repair does not wait for a pulse. */
void neighbour_meet(struct neighbour *n, struct mono now);
/* All that they said of their store, for telling whether it is still the same. */
struct hash128 neighbour_theirs(const struct neighbour *n);

/* ---- output ---- */
/* Queues a body; oldest UNICAST go when there are too many, OVERLAY is refused (false). */
void neighbour_send_unicast(struct neighbour *n, struct bytes body);
bool neighbour_send_overlay(struct neighbour *n, struct bytes message);
/* The next frame into 'w', which has room for FRAME_SIZE_MAX; false when there is none now. */
bool neighbour_pull(struct neighbour *n, struct writer *w, struct mono now);
bool neighbour_wants_write(const struct neighbour *n, struct mono now);
/* Steps over changes that came from this very connection; after every change of the store. */
void neighbour_skip_own(struct neighbour *n);

/* ---- time ---- */
bool neighbour_is_dead(const struct neighbour *n, struct mono now);    /* no echo */
bool neighbour_is_suspect(const struct neighbour *n, struct mono now); /* an echo is late */
/* When to look again; 'may_write' false while earlier output was not taken yet. */
struct mono neighbour_deadline(const struct neighbour *n, bool may_write);

/* Called when the store may have changed. */
void neighbours_note_change(struct neighbours *all, struct mono now);

#endif
