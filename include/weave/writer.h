/* Bounds-checked writing into a buffer of fixed size; big endian throughout.
 *
 * A writer that runs out of room remembers it (full) and writes nothing more; what is in the
 * buffer is then a prefix that the caller must not send.  Pure; the buffer is borrowed.
 */
#ifndef WEAVE_WRITER_H
#define WEAVE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weave/bytes.h>

struct writer {
	uint8_t *start, *at, *end;
	bool full; /* something did not fit */
};

static inline struct writer writer_over(void *buffer, size_t size)
{
	uint8_t *p = buffer;

	return (struct writer){ .start = p, .at = p, .end = size ? p + size : p };
}

static inline size_t writer_size(const struct writer *w)
{
	return (size_t)(w->at - w->start);
}

static inline size_t writer_left(const struct writer *w)
{
	return w->full ? 0 : (size_t)(w->end - w->at);
}

/* Room for 'size' bytes that the caller fills now; NULL when full. */
static inline uint8_t *write_room(struct writer *w, size_t size)
{
	uint8_t *p = w->at;

	if (!w->full && (size_t)(w->end - w->at) < size)
		w->full = true;
	if (w->full)
		return NULL;
	if (size)
		w->at += size;
	return p;
}

static inline void write_bytes(struct writer *w, const void *data, size_t size)
{
	uint8_t *p = write_room(w, size);

	if (p && size)
		memcpy(p, data, size);
}

static inline void write_uint(struct writer *w, uint64_t v, unsigned size)
{
	uint8_t *p = write_room(w, size);

	for (unsigned i = 0; p && i < size; i++)
		p[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
}

static inline void write_u8(struct writer *w, uint8_t v)
{
	write_uint(w, v, 1);
}

static inline void write_u16(struct writer *w, uint16_t v)
{
	write_uint(w, v, 2);
}

static inline void write_u32(struct writer *w, uint32_t v)
{
	write_uint(w, v, 4);
}

static inline void write_u64(struct writer *w, uint64_t v)
{
	write_uint(w, v, 8);
}

/* A u16 length and the bytes; more than 65535 bytes count as full. */
static inline void write_block16(struct writer *w, struct bytes b)
{
	if (b.size > UINT16_MAX) {
		w->full = true;
		return;
	}
	write_u16(w, (uint16_t)b.size);
	write_bytes(w, b.data, b.size);
}

/* What was written so far, borrowed. */
static inline struct bytes writer_bytes(const struct writer *w)
{
	return (struct bytes){ w->start, writer_size(w) };
}

#endif
