/* The router object, for the files that it is made of: router.c (life, paths, looking in),
 * forward.c (frames out), receive.c (datagrams in).  Loop thread.
 */
#ifndef WEAVE_ROUTER_STATE_H
#define WEAVE_ROUTER_STATE_H

#include <weave/router.h>

#include "decide.h"
#include "endpoint.h"
#include "fastdp.h"
#include "frame.h"
#include "overlay_choice.h"
#include "sleeve_path.h"
#include "snapshot.h"

/* Frames in one datagram: what a receiver's outbox takes whatever else is in a batch. */
#define FRAMES_PER_DATAGRAM 32u

/* The datagram that is open in the outbox. */
struct open_datagram {
	struct sleeve_path *path;
	uint8_t *data;
	uint64_t counter;
	uint32_t size;	 /* with room for the tag */
	uint32_t frames; /* 0: none may join */
};

struct router {
	struct router_config config;
	struct gossip *gossip;
	struct topology *topology;
	struct log *log;
	struct outbox outbox;
	struct networks *networks;
	struct endpoints *endpoints;
	struct fastdp *fastdp;	/* NULL: none here */
	struct hash_key secret; /* of indices, proofs and tables */
	uint64_t drawn;

	struct sleeve_path **paths; /* dense; path->slot is its place */
	size_t paths_count, paths_room;
	struct table by_conn, by_index;
	struct sleeve_path *last_heard; /* or NULL: its datagrams are looked for here first */

	struct snapshot *snapshot;
	uint64_t snapshot_version;  /* of the topology */
	uint64_t snapshot_networks; /* version of the networks */
	bool snapshot_stale;	    /* a path came, went or moved */
	struct open_datagram open;
	/* A frame made of part of another one, and one made of that; FRAME_DATA_MAX each. */
	uint8_t *part, *finished;
	bool lends; /* what is delivered now may be lent to the outbox */

	struct mono now; /* of the latest turn */
	struct mono due;
	struct drop_counters drops;
	struct router_counters counters;
};

static inline void router_drop(struct router *r, enum drop_reason reason)
{
	r->drops.count[reason]++;
}

/* ---- router_fastdp.c; all may be called when there is no fastdp ---- */
void router_fastdp_init(struct router *r);
/* What this connection may use. */
uint8_t router_overlays(const struct router *r, bool sealed);
/* The sleeve's SETUP has come: begins, if both ends can. */
void router_fastdp_begin(struct router *r, struct sleeve_path *p, struct mono now);
void router_fastdp_on_epochs(struct router *r, const struct sleeve_path *p, struct bytes message,
			     struct mono now);
/* Sends what other ends have to be told about keys of the kernel's path. */
void router_fastdp_tell_epochs(struct router *r);
void router_fastdp_on_setup(struct router *r, const struct sleeve_path *p, struct bytes message,
			    struct mono now);
/* Does that peer hand frames as large as our bridge has on to others, by fastdp? */
bool router_is_relayed_by(const struct router *r, const struct sleeve_path *p);
struct overlay_choice router_choice(const struct router *r, const struct sleeve_path *p);

/* ---- router.c ---- */
struct sleeve_path *router_path_of(const struct router *r, conn_id conn);
/* Tells gossip, and the log, when a path's overlay has changed. */
void router_tell(struct router *r, struct sleeve_path *p, struct mono now);

/* Makes the snapshot current. */
void router_refresh(struct router *r);

/* Writes what the endpoints want published. */
void router_publish(struct router *r, struct mono now);

/* After anything happened to a path: tells gossip of its state, sends what it wants to send now,
 * and notes when it wants to be called. */
void router_path_run(struct router *r, struct sleeve_path *p, struct mono now);

/* Opens a datagram of 'size' bytes, a tag not counted, with its header written; the rest is the
 * caller's to fill before anything else is done.  NULL when it cannot be sent (counted). */
uint8_t *router_datagram(struct router *r, struct sleeve_path *p, size_t size);
/* Seals and closes the open datagram, if any. */
void router_close_datagram(struct router *r);

/* Sends 'f' over a path, in one datagram or in fragments. */
void router_send(struct router *r, struct sleeve_path *p, const struct sleeve_frame *f,
		 struct mono now);

/* Carries a verdict out. */
void router_carry_out(struct router *r, const struct verdict *v, uint32_t segment,
		      struct bytes frame, struct offload undone, struct mono now);

/* ---- receive.c ---- */
/* After pieces came, or time passed: takes what has become of them. */
/* Its train's memory is about to be written again: what the outbox has of it is copied. */
void router_take_back(struct router *r, struct sleeve_path *p);
void router_path_joined(struct router *r, struct sleeve_path *p, struct mono now);

#endif
