/* One replicated fact, and the single rule that merges two versions of it (control-plane.md 3).
 *
 * Pure.  An entry_view borrows its bytes; the store keeps its own copies.
 *
 * Merge: larger (generation, version) wins; then the lower writer; then the larger value bytes
 * (votes: the lower); then the tombstone.  It only ever selects one of the two, so it is
 * commutative, associative, idempotent and total.
 */
#ifndef WEAVE_ENTRY_H
#define WEAVE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include <weave/addr.h>
#include <weave/bytes.h>

/* Numbers travel: never renumber.  Numbers not listed are kept and forwarded unread. */
#define ENTRY_KINDS(X)                                                                             \
	X(PEER, 1, "peer")                                                                         \
	X(LINK, 2, "link")                                                                         \
	X(ENDPOINT, 3, "endpoint")                                                                 \
	X(NAME, 4, "name")                                                                         \
	X(VOTE, 5, "vote")                                                                         \
	X(RUN, 6, "run")                                                                           \
	X(RETIRED, 7, "retired")                                                                   \
	X(GONE, 8, "gone")                                                                         \
	X(SPACE, 9, "space")                                                                       \
	X(NETWORK, 10, "network")

enum entry_kind {
#define X(name, number, text) KIND_##name = (number),
	ENTRY_KINDS(X)
#undef X
};

/* Kinds whose single writer is in the key: what a router says of itself, and dies with it. */
static inline bool kind_has_one_writer(uint8_t kind)
{
	return kind == KIND_PEER || kind == KIND_LINK || kind == KIND_ENDPOINT ||
	       kind == KIND_NAME || kind == KIND_SPACE || kind == KIND_NETWORK;
}

enum { ENTRY_TOMBSTONE = 1 }; /* flags; other bits are malformed */

struct entry_view {
	uint8_t kind;
	uint8_t flags;
	peer_name writer;
	uint64_t generation, version; /* < VERSION_LIMIT */
	struct bytes key;   /* 1 .. ENTRY_KEY_MAX bytes; key and value <= ENTRY_SIZE_MAX */
	struct bytes value; /* empty for tombstones */
};

/* <0 when b wins over a, >0 when a wins, 0 when they are the same version of the same value.
 * Both must have the same kind and key. */
int entry_compare(const struct entry_view *a, const struct entry_view *b);

/* NULL, or the name of the field that makes it malformed for any kind. */
const char *entry_check(const struct entry_view *e);

#endif
