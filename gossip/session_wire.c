#include "session_wire.h"

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/reader.h>

#define LENGTH_SIZE 4u

static void forget_partial(struct session_in *in)
{
	mem_free(in->partial);
	in->partial = NULL;
	in->size = in->room = 0;
	in->whole = false;
}

static void end_stream(crypto_secretstream_xchacha20poly1305_state *stream)
{
	if (stream)
		sodium_memzero(stream, sizeof *stream);
	mem_free(stream);
}

void session_in_fini(struct session_in *in)
{
	forget_partial(in);
	end_stream(in->stream);
	*in = (struct session_in){ 0 };
}

void session_out_fini(struct session_out *out)
{
	end_stream(out->stream);
	*out = (struct session_out){ 0 };
}

/* libsodium draws the header of a stream at random when it starts to push.  Our keys are used for
 * one stream only, so the header may be the same always; then it need not travel, and nothing here
 * draws randomness.  Both directions of a stream are the same state: init_pull takes the header. */
static crypto_secretstream_xchacha20poly1305_state *start_stream(const uint8_t key[RECORD_KEY_SIZE])
{
	crypto_secretstream_xchacha20poly1305_state *stream = mem_new(1, sizeof *stream);
	static const uint8_t header[crypto_secretstream_xchacha20poly1305_HEADERBYTES];
	int rc = crypto_secretstream_xchacha20poly1305_init_pull(stream, header, key);

	MUST(rc == 0);
	return stream;
}

void session_in_seal(struct session_in *in, const uint8_t key[RECORD_KEY_SIZE], uint8_t *opened)
{
	MUST(!in->partial && !in->opened);
	in->opened = opened;
	in->stream = start_stream(key);
}

void session_out_seal(struct session_out *out, const uint8_t key[RECORD_KEY_SIZE])
{
	MUST(!out->sealed);
	out->sealed = true;
	out->stream = start_stream(key);
}

/* Size of the whole frame that starts at 'data', or 0 with *bad. */
static size_t frame_size(const struct session_in *in, const uint8_t *data, const char **bad)
{
	struct reader r = reader_over(data, LENGTH_SIZE);
	uint32_t length = read_u32(&r, "frame.length");
	uint32_t more = in->opened ? RECORD_OVERHEAD : 0;

	if (length < 1 + more || length > FRAME_SIZE_MAX - LENGTH_SIZE + more) {
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

/* 'data' and 'size': one whole frame or record. */
static enum session_result hand_out(struct session_in *in, struct frame *frame, const uint8_t *data,
				    size_t size)
{
	const uint8_t *type = data + LENGTH_SIZE;
	size_t left = size - LENGTH_SIZE; /* type and body */
	uint8_t tag;

	if (in->opened) {
		if (crypto_secretstream_xchacha20poly1305_pull(in->stream, in->opened, NULL, &tag,
							       type, left, data, LENGTH_SIZE) ||
		    (tag != crypto_secretstream_xchacha20poly1305_TAG_MESSAGE &&
		     tag != crypto_secretstream_xchacha20poly1305_TAG_REKEY))
			return SESSION_FORGED;
		type = in->opened;
		left -= RECORD_OVERHEAD;
	}
	frame->type = *type;
	frame->body = bytes_of(type + 1, left - 1);
	return SESSION_FRAME;
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
	whole = frame_size(in, in->partial, bad);
	if (!whole)
		return SESSION_BAD;
	keep(in, from, min_size(whole - in->size, from->size));
	if (in->size < whole)
		return SESSION_MORE;
	in->whole = true;
	return hand_out(in, frame, in->partial, whole);
}

enum session_result session_next(struct session_in *in, struct bytes *from, struct frame *frame,
				 const char **bad)
{
	size_t whole = 0;

	if (in->whole)
		forget_partial(in);
	if (from->size == 0)
		return SESSION_MORE;
	if (in->size)
		return next_of_partial(in, from, frame, bad);
	if (from->size >= LENGTH_SIZE) {
		whole = frame_size(in, from->data, bad);
		if (!whole)
			return SESSION_BAD;
	}
	if (!whole || from->size < whole) {
		keep(in, from, from->size);
		return SESSION_MORE;
	}
	from->data += whole;
	from->size -= whole;
	return hand_out(in, frame, from->data - whole, whole);
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

struct bytes session_seal(struct session_out *out, uint8_t *room, size_t frame_size)
{
	size_t plain = frame_size - LENGTH_SIZE;
	uint8_t tag = crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
	struct writer length = writer_over(room, LENGTH_SIZE);
	int rc;

	MUST(frame_size > LENGTH_SIZE && frame_size <= FRAME_SIZE_MAX);
	if (!out->sealed)
		return bytes_of(room + SESSION_HEAD_ROOM, frame_size);
	if (++out->records == RECORDS_PER_KEY) {
		out->records = 0;
		tag = crypto_secretstream_xchacha20poly1305_TAG_REKEY;
	}
	write_u32(&length, (uint32_t)(plain + RECORD_OVERHEAD));
	/* In place: libsodium puts one byte before the ciphertext, which starts where the
	 * plaintext does. */
	rc = crypto_secretstream_xchacha20poly1305_push(out->stream, room + LENGTH_SIZE, NULL,
							room + LENGTH_SIZE + 1, plain, room,
							LENGTH_SIZE, tag);
	MUST(rc == 0);
	return bytes_of(room, LENGTH_SIZE + plain + RECORD_OVERHEAD);
}
