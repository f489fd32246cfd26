/* Every reason for which a frame or datagram is dropped: one list for counters, texts, metrics and,
 * later, the kernel programs.  Numbers travel to BPF maps: append only.  Pure. */
#ifndef WEAVE_DROP_H
#define WEAVE_DROP_H

#include <stdint.h>

#define DROP_REASONS(X)                                                                            \
	X(NONE, "none", "not dropped")                                                             \
	X(MALFORMED, "malformed", "frame is shorter than its headers say")                         \
	X(LINK_LOCAL, "link_local", "bridge control frame (STP, LLDP, pause), never forwarded")    \
	X(LOCAL, "local", "destination is on the bridge it came from")                             \
	X(FOREIGN_SOURCE, "foreign_source", "source MAC lives behind another peer")                \
	X(FROZEN, "frozen", "source MAC moved too often and is frozen")                            \
	X(NO_ROUTE, "no_route", "destination peer cannot be reached")                              \
	X(NO_PEERS, "no_peers", "nobody to send a broadcast to")                                   \
	X(HOP_LIMIT, "hop_limit", "hop limit used up")                                             \
	X(NOT_PARENT, "not_parent", "broadcast came over a link outside its origin's tree")        \
	X(OWN_FRAME, "own_frame", "frame of our own came back")                                    \
	X(UNKNOWN_ORIGIN, "unknown_origin", "origin is not a known peer")                          \
	X(UNKNOWN_SEGMENT, "unknown_segment", "segment that we do not have")                       \
	X(NO_CONNECTION, "no_connection", "datagram for no connection of ours")                    \
	X(BAD_SOURCE, "bad_source", "datagram from an address that has not proved itself")         \
	X(BAD_DATAGRAM, "bad_datagram", "datagram does not parse")                                 \
	X(REPLAY, "replay", "datagram seen before or too old")                                     \
	X(NO_DATA_PATH, "no_data_path", "data path to the next hop is not up")                     \
	X(REASSEMBLY, "reassembly", "a fragment was lost or came too late")                        \
	X(OUTBOX_FULL, "outbox_full", "more output at once than buffers hold")                     \
	X(SEND_FAILED, "send_failed", "the kernel refused a datagram")                             \
	X(INJECT_FAILED, "inject_failed", "the kernel refused a frame for the bridge")             \
	X(CAPTURE_LOST, "capture_lost", "capture buffer overflowed")                               \
	X(NOT_SEALED, "not_sealed", "datagram in clear where only sealed ones are taken")          \
	X(NOT_CLEAR, "not_clear", "sealed datagram for a path without keys: no password here")     \
	X(BAD_EPOCH, "bad_epoch", "sealed with a key that is gone or not there yet")               \
	X(BAD_SEAL, "bad_seal", "datagram changed on its way, or made by a stranger")

enum drop_reason {
#define X(name, label, text) DROP_##name,
	DROP_REASONS(X)
#undef X
		DROP_REASONS_COUNT
};

struct drop_counters {
	uint64_t count[DROP_REASONS_COUNT];
};

const char *drop_label(enum drop_reason reason); /* metric label */
const char *drop_text(enum drop_reason reason);	 /* for people */

#endif
