/* Joins what a train carried: the pieces of PARTIAL records' bodies, frames that stand for many.
 *
 * Pure.  One object per path.  One datagram that is lost must not cost the other forty of its
 * frame: what has arrived is cut into frames that stand for the segments that are wholly there,
 * and late pieces are worth the segments that they complete.  That happens when pieces of later
 * frames have overtaken a frame by TRAIN_REORDER datagrams, or when nothing has come for
 * TRAIN_WAIT_MS.  Only without its first piece, which has the headers, a frame is worth nothing.
 *
 *	free --first piece--> JOINING --all there--> HANDED_OUT --taken back--> free
 *	                         | overtaken, or waited for long enough
 *	                         v
 *	                      PARTED: segments go out as they are complete; free when all have come,
 *	                              after TRAIN_KEEP_MS, or when a newer frame needs the room
 *
 * Bounded: TRAIN_SLOTS frames at once; their buffers are made when needed, kept for the next, and
 * given back by a path that rests.
 */
#ifndef WEAVE_ROUTER_TRAIN_H
#define WEAVE_ROUTER_TRAIN_H

#include <weave/time.h>

#include "offload.h"
#include "sleeve_wire.h"

#define TRAIN_SLOTS 8u
#define TRAIN_REORDER 8u
#define TRAIN_WAIT_MS 4u
#define TRAIN_KEEP_MS 250u
#define TRAIN_REST_MS 5000u

struct train_slot;

struct train {
	struct train_slot *slots[TRAIN_SLOTS];
	uint32_t used;	   /* slots */
	bool any;	   /* pieces ever */
	uint32_t newest;   /* id */
	uint64_t finished; /* of the ids newest (bit 0) to newest - 63 */
	struct mono last;  /* piece */
	uint64_t dropped;  /* frames given up with something missing, or malformed */
};

/* A zeroed object is ready. */
void train_fini(struct train *t);

/* Adds a piece (decoded, so within its bounds).  The whole body when it was the last one, borrowed
 * until train_take_back or train_tick; else size 0. */
struct bytes train_add(struct train *t, const struct sleeve_fragment *f, struct mono now);

/* The bodies that were handed out are not needed any more. */
void train_take_back(struct train *t);

/* Segments of a frame that is not whole. */
struct train_part {
	struct sleeve_frame frame; /* .frame: only headers and these segments are there */
	struct offload_layout layout;
	uint32_t first, count;
};

/* The next part that is due; call after train_add and train_tick until it returns false. */
bool train_next(struct train *t, struct train_part *part);

/* Ends waiting that has lasted long enough. */
void train_tick(struct train *t, struct mono now);
struct mono train_deadline(const struct train *t);

/* Asserts invariants; for tests. */
void train_check(const struct train *t);

#endif
