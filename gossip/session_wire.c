#include "session_wire.h"

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/reader.h>

#define LENGTH_SIZE 4u

void session_in_fini(struct session_in *in)
{
	mem_free(in->partial);
	*in = (struct session_in){ 0 };
}

/* Size of the whole frame that starts at 'data', or 0 with *bad. */
static size_t frame_size(const uint8_t *data, const char **bad)
{
	struct reader r = reader_over(data, LENGTH_SIZE);
	uint32_t length = read_u32(&r, "frame.length");

	if (length < 1 || length > FRAME_SIZE_MAX - LENGTH_SIZE) {
		*bad = "frame.length";
		return 0;
	}
	return LENGTH_SIZE + length;
}

static void keep(struct session_in *in, struct bytes *from, size_t size)
{
	if (in->size + size > in->room) {
		in->room = in->size + size < 512 ? 512 : in->size + size;
		in->partial = mem_resize(in->partial, in->room, 1);
	}
	memcpy(in->partial + in->size, from->data, size);
	in->size += size;
	from->data += size;
	from->size -= size;
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void hand_out(struct frame *frame, const uint8_t *data, size_t size)
{
	frame->type = data[LENGTH_SIZE];
	frame->body = bytes_of(data + FRAME_HEADER_SIZE, size - FRAME_HEADER_SIZE);
}

/* The frame of which a part is already here. */
static enum session_result next_of_partial(struct session_in *in, struct bytes *from,
					   struct frame *frame, const char **bad)
{
	size_t whole;

	if (in->size < LENGTH_SIZE)
		keep(in, from, min_size(LENGTH_SIZE - in->size, from->size));
	if (in->size < LENGTH_SIZE)
		return SESSION_MORE;
	whole = frame_size(in->partial, bad);
	if (!whole)
		return SESSION_BAD;
	keep(in, from, min_size(whole - in->size, from->size));
	if (in->size < whole)
		return SESSION_MORE;
	hand_out(frame, in->partial, whole);
	in->whole = true;
	return SESSION_FRAME;
}

enum session_result session_next(struct session_in *in, struct bytes *from, struct frame *frame,
				 const char **bad)
{
	size_t whole = 0;

	if (in->whole)
		session_in_fini(in);
	if (from->size == 0)
		return SESSION_MORE;
	if (in->size)
		return next_of_partial(in, from, frame, bad);
	if (from->size >= LENGTH_SIZE) {
		whole = frame_size(from->data, bad);
		if (!whole)
			return SESSION_BAD;
	}
	if (!whole || from->size < whole) {
		keep(in, from, from->size);
		return SESSION_MORE;
	}
	hand_out(frame, from->data, whole);
	from->data += whole;
	from->size -= whole;
	return SESSION_FRAME;
}

size_t session_begin(struct writer *w, uint8_t type)
{
	size_t mark = writer_size(w);

	write_u32(w, 0);
	write_u8(w, type);
	return mark;
}

void session_end(struct writer *w, size_t mark)
{
	size_t length = writer_size(w) - mark - LENGTH_SIZE;
	struct writer at = writer_over(w->start + mark, LENGTH_SIZE);

	MUST(!w->full);
	MUST(length >= 1 && length <= FRAME_SIZE_MAX - LENGTH_SIZE);
	write_u32(&at, (uint32_t)length);
}
