/* Messages of protocol 3: the table of types, and the body of each (docs/PROTOCOL.md).
 *
 * Pure.  Encoders append a body to a writer; decoders return NULL or the name of the wrong field
 * and borrow from the body.  A message that does not decode changes nothing: the connection is
 * closed with the name of the field.
 */
#ifndef WEAVE_GOSSIP_MESSAGE_WIRE_H
#define WEAVE_GOSSIP_MESSAGE_WIRE_H

#include <weave/addr.h>
#include <weave/entry.h>
#include <weave/hash.h>
#include <weave/limits.h>
#include <weave/reader.h>
#include <weave/why.h>
#include <weave/writer.h>

#include "session_wire.h"

#define PULSE_SIZE 45u
#define ENTRIES_HEADER_SIZE (PULSE_SIZE + 2u)
#define KEYS_HEADER_SIZE 21u
#define KEYS_PER_MESSAGE ((FRAME_BODY_MAX - KEYS_HEADER_SIZE) / 16u)
#define RESEND_PER_MESSAGE ((FRAME_BODY_MAX - 5u) / 8u)
#define DIGESTS_MAX 256u
#define DIGEST_ITEM_SIZE 17u
#define UNICAST_HEADER_SIZE 15u
#define CLOSE_TEXT_MAX (sizeof(((struct why *)0)->text) - 1)
#define CLOSE_HOLDER_SIZE 16u

/* X(NAME, number, smallest body, largest body, allowed before the handshake is done) */
#define MESSAGE_TYPES(X)                                                                           \
	X(HELLO, 1, 1u, HANDSHAKE_SIZE_MAX - 16u, true)                                            \
	X(CLOSE, 2, 4u, 4u + CLOSE_TEXT_MAX + CLOSE_HOLDER_SIZE, true)                             \
	X(CONFIRM, 3, 32u, 4u * 32u, true)                                                         \
	X(HEARTBEAT, 4, PULSE_SIZE, PULSE_SIZE, false)                                             \
	X(ENTRIES, 5, ENTRIES_HEADER_SIZE, FRAME_BODY_MAX, false)                                  \
	X(DIGESTS, 6, 3u, 3u + DIGESTS_MAX * DIGEST_ITEM_SIZE, false)                              \
	X(KEYS, 7, 1u, FRAME_BODY_MAX, false)                                                      \
	X(RESEND, 8, 5u, FRAME_BODY_MAX, false)                                                    \
	X(UNICAST, 9, UNICAST_HEADER_SIZE, UNICAST_HEADER_SIZE + UNICAST_PAYLOAD_MAX, false)       \
	X(OVERLAY, 10, 1u, OVERLAY_MESSAGE_MAX, false)                                             \
	X(RINGS, 11, 1u, RINGS_MESSAGE_MAX, false)                                                 \
	X(PUZZLE, 12, 17u, 17u, true)                                                              \
	X(SOLUTION, 13, 8u, 8u, true)                                                              \
	X(PROOF, 14, 1u, 1u + 4u * 32u, false)

enum message_type {
#define X(name, number, min, max, before) MESSAGE_##name = (number),
	MESSAGE_TYPES(X)
#undef X
};

struct message_row {
	uint8_t number;
	const char *name;
	size_t min, max;       /* of the body */
	bool before_handshake; /* may arrive before the handshake is done */
};

/* NULL for a type that is not ours. */
const struct message_row *message_row(uint8_t type);

/* NULL when a frame of this type and size may arrive now, else what is wrong. */
const char *message_check(uint8_t type, size_t body_size, bool handshake_done);

/* ---- HEARTBEAT, and the head of ENTRIES ---- */
enum {
	PULSE_STRUCTURAL = 1, /* the sender wants entries to flow on this link */
	PULSE_PUBLISHED = 2,  /* the sender wants this link in the published graph */
	PULSE_CAUGHT_UP = 4,  /* nothing of the sender waits for this link */
	PULSE_SYNC_END = 8,   /* ENTRIES only: the answer to RESEND is complete */
};

struct pulse {
	uint64_t sequence; /* the sender's changes up to here were sent on this link */
	uint64_t ack;	   /* highest 'sequence' that the sender has processed */
	struct hash128 digest;
	uint32_t sent_ms; /* sender's clock, any origin; comes back as echo_ms */
	uint32_t echo_ms; /* newest sent_ms received, 0 for none yet */
	uint32_t held_ms; /* how long ago that one was received */
	uint8_t flags;
};

void pulse_encode(const struct pulse *p, struct writer *w);
void pulse_decode(struct pulse *p, struct reader *r);
const char *heartbeat_decode(struct pulse *p, struct bytes body);

/* ENTRIES: pulse, count:u16, entries.  The decoder checks the head; walk 'entries' with
 * entry_decode exactly 'count' times, then nothing may be left. */
const char *entries_decode(struct pulse *p, uint16_t *count, struct reader *entries,
			   struct bytes body);

/* ---- repair ---- */

/* DIGESTS: flags:u8 count:u16, then bucket:u8 digest:u128, buckets ascending. */
enum { DIGESTS_APART = 1 }; /* what merges by a rule of its own is compared as well */

struct digests {
	uint8_t flags;
	uint16_t count;
	uint8_t bucket[DIGESTS_MAX];
	struct hash128 digest[DIGESTS_MAX];
};
void digests_encode(const struct digests *d, struct writer *w);
const char *digests_decode(struct digests *d, struct bytes body);

/* KEYS: what the sender holds (tombstones left out) with key hashes from 'low' to 'high', all of
 * one bucket.  An empty list means that it holds nothing there.  KEYS_NOTHING: no range at all. */
enum {
	KEYS_LAST = 1,
	KEYS_NOTHING = 2,
	KEYS_APART = 4, /* answers DIGESTS_APART: what merges by a rule of its own is listed, too */
};

struct key_version {
	uint64_t key, version; /* hashes */
};

struct keys {
	uint8_t flags;
	uint64_t low, high;
	uint32_t count;
	struct reader items; /* decoding only: count * (key:u64 version:u64), keys ascending */
};
void keys_encode(const struct keys *k, const struct key_version *items, struct writer *w);
const char *keys_decode(struct keys *k, struct bytes body);
struct key_version keys_item(const struct keys *k, uint32_t index);

/* RESEND: flags:u8 count:u32 key:u64 ...: send me these. */
enum { RESEND_LAST = 1 };
struct resend {
	uint8_t flags;
	uint32_t count;
	struct reader items; /* decoding only */
};
void resend_encode(const struct resend *m, const uint64_t *keys, struct writer *w);
const char *resend_decode(struct resend *m, struct bytes body);

/* ---- UNICAST ---- */
enum { UNICAST_RETURNED = 1 }; /* "this could not be delivered": source and destination swapped */

struct unicast {
	uint8_t flags;
	peer_name source, destination;
	uint8_t hops_left;
	uint8_t channel;
	struct bytes payload; /* empty when returned */
};
void unicast_encode(const struct unicast *u, struct writer *w);
const char *unicast_decode(struct unicast *u, struct bytes body);

/* ---- CLOSE ---- */
/* Who has the name of the end that is closed: so it learns of the other one even when nobody keeps
 * a connection with it by which entries could come. */
struct name_holder {
	uint64_t generation, instance; /* instance 0: nothing is said */
};
void close_encode(const struct why *why, struct name_holder holder, struct writer *w);
/* Texts are cut and made printable; an unknown reason becomes TRANSPORT, its number in the text. */
const char *close_decode(struct why *why, struct name_holder *holder, struct bytes body);

#endif
