/* The record layer of an established connection: where frames begin and end in the byte stream.
 *
 *	frame:  length:u32 (of what follows)  type:u8  body
 *
 * Frames leave through session_begin/session_end and arrive through session_next only.  That is
 * where records are sealed and opened once a password is set: a sealed record takes the place of
 * type and body; the length stays outside.  Without a password, as now, a record is the frame.
 *
 * Pure.  session_in owns the part of a frame that arrived so far; its memory is at most one frame
 * and grows with what arrived, not with what was announced.
 */
#ifndef WEAVE_GOSSIP_SESSION_WIRE_H
#define WEAVE_GOSSIP_SESSION_WIRE_H

#include <weave/bytes.h>
#include <weave/limits.h>
#include <weave/writer.h>

#define FRAME_HEADER_SIZE 5u
#define FRAME_BODY_MAX (FRAME_SIZE_MAX - FRAME_HEADER_SIZE)

struct frame {
	uint8_t type;
	struct bytes body; /* borrowed until the next session_next, and from the bytes fed */
};

struct session_in {
	uint8_t *partial; /* NULL while no frame is half there */
	size_t size, room;
	bool whole; /* 'partial' was handed out and is to be forgotten */
};

enum session_result { SESSION_FRAME, SESSION_MORE, SESSION_BAD };

void session_in_fini(struct session_in *in);

/* Takes bytes from the front of 'from' until one frame is complete. SESSION_BAD: *bad names the
 * field; the stream is then useless. */
enum session_result session_next(struct session_in *in, struct bytes *from, struct frame *frame,
				 const char **bad);

/* Starts a frame; the mark goes to session_end once the body is written. */
size_t session_begin(struct writer *w, uint8_t type);
void session_end(struct writer *w, size_t mark);

#endif
