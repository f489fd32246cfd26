/* Joins what another router cut: pieces of a FRAME record's body that did not fit the path.
 *
 * Pure.  One object per connection.  Cutting needs no state: fragment_room.
 * Bounded: REASSEMBLY_FRAMES_MAX bodies at once and REASSEMBLY_BYTES_MAX of buffers, oldest goes
 * first; each lives REASSEMBLY_TIMEOUT_MS.  A piece that overlaps others but is not a repetition
 * makes the whole body suspect and it is thrown away (as RFC 5722 does).  Buffers are kept for the
 * next body, so a busy path allocates nothing per packet.
 */
#ifndef WEAVE_ROUTER_FRAGMENT_H
#define WEAVE_ROUTER_FRAGMENT_H

#include <weave/limits.h>
#include <weave/time.h>

#include "sleeve_wire.h"

#define REASSEMBLY_BYTES_MAX (1u << 20)

struct reassembly_slot;

struct reassembly {
	struct reassembly_slot *slots[REASSEMBLY_FRAMES_MAX]; /* by id; made on first use */
	uint32_t open;					      /* bodies being joined */
	size_t bytes;					      /* of buffers */
	uint64_t dropped; /* bodies given up: timed out, pushed out, overlapping, malformed */
};

/* A zeroed object is ready. */
void reassembly_fini(struct reassembly *r);

/* Adds a piece (decoded, so within its bounds).  The whole body when it was the last one, borrowed
 * until the next call; else size 0. */
struct bytes reassembly_add(struct reassembly *r, const struct sleeve_fragment *f, struct mono now);

/* Gives up what is too old. */
void reassembly_tick(struct reassembly *r, struct mono now);
struct mono reassembly_deadline(const struct reassembly *r);

/* Asserts invariants; for tests. */
void reassembly_check(const struct reassembly *r);

/* Bytes of body in each piece but the last, in datagrams of 'datagram_size' (> headers) that end
 * with a tag of 'seal_size'. */
size_t fragment_room(size_t datagram_size, size_t seal_size);

#endif
