/* Where the data path puts what it wants sent: datagrams to peers and frames to the bridge.
 *
 * Pure; belongs to the thread that runs the forwarder.  The world flushes it after every batch of
 * input (sendmmsg, inject) and calls outbox_clear.  Everything is allocated at start; what does not
 * fit is dropped and counted, never grown.
 */
#ifndef WEAVE_OUTBOX_H
#define WEAVE_OUTBOX_H

#include <weave/addr.h>
#include <weave/bytes.h>
#include <weave/offload.h>

#define OUTBOX_DATAGRAMS_MAX 2048u
#define OUTBOX_FRAMES_MAX 512u
#define OUTBOX_ARENA_SIZE (4u << 20)
/* A forwarder call never adds more than this; flush when less is left (outbox_nearly_full). */
#define OUTBOX_RESERVE (1u << 20)
/* One or two trains. */
#define OUTBOX_BATCH (96u << 10)
/* UDP_MAX_SEGMENTS before Linux 6.9, and what fits one IP packet with either IP's headers. */
#define OUTBOX_RUN_DATAGRAMS_MAX 64u
#define OUTBOX_RUN_SIZE_MAX 65000u

struct outbox_datagram {
	struct netaddr to;
	const uint8_t *data; /* in the arena */
	uint32_t size;
	bool alone; /* never one of a train that the kernel cuts */
};

/* For the bridge of a segment. */
struct outbox_frame {
	const uint8_t *data; /* in the arena, or lent */
	uint32_t size, segment;
	struct offload undone;
	bool lent;
};

struct outbox {
	struct outbox_datagram datagrams[OUTBOX_DATAGRAMS_MAX]; /* in order; DF is set on all */
	struct outbox_frame frames[OUTBOX_FRAMES_MAX];		/* for bridges, in order */
	uint32_t datagrams_count, frames_count;
	size_t arena_used;
	uint64_t overflows; /* datagrams or frames dropped for want of room */
	bool lent;	    /* some frames are */
	bool open;	    /* datagrams[datagrams_count] is being written; it does not count yet */
	uint8_t *arena;
};

void outbox_init(struct outbox *o);
void outbox_fini(struct outbox *o);
void outbox_clear(struct outbox *o);
bool outbox_nearly_full(const struct outbox *o);
/* So much waits that more would only cool the caches down. */
static inline bool outbox_worth_a_flush(const struct outbox *o)
{
	return o->arena_used >= OUTBOX_BATCH;
}

/* Room for a frame of 'size' bytes that the caller fills now, with nothing undone unless the caller
 * says so in the newest of 'frames'; NULL (counted) when there is none. */
uint8_t *outbox_frame(struct outbox *o, uint32_t segment, size_t size);

/* The frame stays where it is: whoever lends it keeps it until the next flush, which is due at once
 * (outbox_nearly_full), or calls outbox_own before it goes.  False (counted) when there is no room.
 */
bool outbox_lend(struct outbox *o, uint32_t segment, struct bytes frame);
/* What was lent gets a copy in the arena; what has no room there is lost, and counted. */
void outbox_own(struct outbox *o);

/* A datagram is opened, written, extended while more fits, and closed; only then it is there to be
 * sent.  One that a flush finds open was not finished (not sealed, say) and is lost.  NULL
 * (counted) when there is no room. */
uint8_t *outbox_open(struct outbox *o, struct netaddr to, size_t size);
/* Grows the open datagram by 'size' bytes and returns them; NULL when none is open, something else
 * was taken behind it, or the arena has no room (the caller then starts another one). */
uint8_t *outbox_extend(struct outbox *o, size_t size);
void outbox_close(struct outbox *o);
/* The open datagram asks whether one of its size gets through.  In a train it would be cut from it
 * anywhere on the way, beyond links that a lone one does not pass: veth and bridges look at the
 * size of what is not to be cut only. */
void outbox_alone(struct outbox *o);

/* How many datagrams from 'first' on the kernel can take as one and cut again: one receiver, back
 * to back in memory, all of one size but the last, which may be smaller.  At least one. */
uint32_t outbox_run(const struct outbox *o, uint32_t first);

#endif
