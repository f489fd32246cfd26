/* The record layer of an established connection: where frames begin and end in the byte stream.
 *
 *	frame:  length:u32 (of what follows)  type:u8  body
 *
 * Frames leave through session_begin/session_end and session_seal, and arrive through session_next.
 * Once a password was agreed upon, type and body are sealed in a record, which takes their place;
 * the length stays outside, authenticated:
 *
 *	record: length:u32  crypto_secretstream_xchacha20poly1305 of (type:u8 body), 17 bytes more
 *
 * Each direction has its own key.  Records are bound to their order: one that is missing, doubled,
 * changed or from elsewhere does not open, and then nothing more does.  Every RECORDS_PER_KEY
 * records the key is replaced by one that does not lead back to it.
 *
 * Pure.  session_in owns the part of a frame that arrived so far; its memory is at most one frame
 * and grows with what arrived, not with what was announced.
 */
#ifndef WEAVE_GOSSIP_SESSION_WIRE_H
#define WEAVE_GOSSIP_SESSION_WIRE_H

#include <sodium.h>

#include <weave/bytes.h>
#include <weave/limits.h>
#include <weave/writer.h>

#define FRAME_HEADER_SIZE 5u
#define FRAME_BODY_MAX (FRAME_SIZE_MAX - FRAME_HEADER_SIZE)

#define RECORD_KEY_SIZE crypto_secretstream_xchacha20poly1305_KEYBYTES
#define RECORD_OVERHEAD crypto_secretstream_xchacha20poly1305_ABYTES
#define RECORDS_PER_KEY 1024u
/* A frame that is to be sealed in place stands behind so many bytes of room for the overhead; the
 * rest of that comes behind it. */
#define SESSION_HEAD_ROOM 1u
#define SESSION_ROOM (FRAME_SIZE_MAX + RECORD_OVERHEAD)

struct frame {
	uint8_t type;
	struct bytes body; /* borrowed until the next session_next, and from the bytes fed */
};

struct session_in {
	uint8_t *partial; /* NULL while no frame is half there */
	size_t size, room;
	bool whole;	 /* 'partial' was handed out and is to be forgotten */
	uint8_t *opened; /* NULL: frames come in clear.  Borrowed, FRAME_SIZE_MAX bytes */
	crypto_secretstream_xchacha20poly1305_state *stream; /* owned */
};

struct session_out {
	bool sealed;
	uint32_t records;				     /* under this key */
	crypto_secretstream_xchacha20poly1305_state *stream; /* owned */
};

enum session_result {
	SESSION_FRAME,
	SESSION_MORE,
	SESSION_BAD,
	SESSION_FORGED /* a record that does not open */
};

/* From here on everything is sealed.  'key' serves one direction of one connection.  'opened', of
 * FRAME_SIZE_MAX bytes, may be shared by connections whose frames are used before the next call. */
void session_in_seal(struct session_in *in, const uint8_t key[RECORD_KEY_SIZE], uint8_t *opened);
void session_out_seal(struct session_out *out, const uint8_t key[RECORD_KEY_SIZE]);
void session_in_fini(struct session_in *in);
void session_out_fini(struct session_out *out);

/* Takes bytes from the front of 'from' until one frame is complete.  After SESSION_BAD (*bad names
 * the field) and SESSION_FORGED the stream is useless. */
enum session_result session_next(struct session_in *in, struct bytes *from, struct frame *frame,
				 const char **bad);

/* Starts a frame; the mark goes to session_end once the body is written. */
size_t session_begin(struct writer *w, uint8_t type);
void session_end(struct writer *w, size_t mark);

/* The bytes to send for one whole frame of 'frame_size' bytes at room + SESSION_HEAD_ROOM, within
 * 'room' (SESSION_ROOM bytes, or as much as this frame needs).  They must be sent in the order of
 * these calls. */
struct bytes session_seal(struct session_out *out, uint8_t *room, size_t frame_size);

#endif
