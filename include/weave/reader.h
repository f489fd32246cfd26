/* Bounds-checked reading of bytes from outside; big endian throughout.
 *
 * A reader remembers its first failure and yields zeroes from then on, so that a decoder is a
 * straight list of reads with one check at its end (reader_verdict).  'what' names the field for
 * the log and must be a literal.  Reads have side effects: write them as statements in order.
 *
 * Pure; the bytes are borrowed and must outlive the reader and every pointer it hands out.
 */
#ifndef WEAVE_READER_H
#define WEAVE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weave/bytes.h>

struct reader {
	const uint8_t *at, *end;
	const char *bad; /* first field that failed, or NULL */
};

static inline struct reader reader_over(const void *data, size_t size)
{
	const uint8_t *at = data;

	/* NULL + 0 is undefined in C11, and UBSan says so. */
	return (struct reader){ .at = at, .end = size ? at + size : at };
}

static inline size_t reader_left(const struct reader *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

static inline void reader_fail(struct reader *r, const char *what)
{
	if (!r->bad)
		r->bad = what;
}

/* 'size' bytes, borrowed; NULL once failed. */
static inline const uint8_t *read_bytes(struct reader *r, size_t size, const char *what)
{
	const uint8_t *p = r->at;

	if (!r->bad && (size_t)(r->end - r->at) < size)
		r->bad = what;
	if (r->bad)
		return NULL;
	if (size)
		r->at += size;
	return p;
}

static inline uint64_t read_uint(struct reader *r, unsigned size, const char *what)
{
	const uint8_t *p = read_bytes(r, size, what);
	uint64_t v = 0;

	for (unsigned i = 0; p && i < size; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint8_t read_u8(struct reader *r, const char *what)
{
	return (uint8_t)read_uint(r, 1, what);
}

static inline uint16_t read_u16(struct reader *r, const char *what)
{
	return (uint16_t)read_uint(r, 2, what);
}

static inline uint32_t read_u32(struct reader *r, const char *what)
{
	return (uint32_t)read_uint(r, 4, what);
}

static inline uint64_t read_u64(struct reader *r, const char *what)
{
	return read_uint(r, 8, what);
}

/* Copies 'size' bytes to 'to', or zeroes them there once failed. */
static inline void read_copy(struct reader *r, void *to, size_t size, const char *what)
{
	const uint8_t *p = read_bytes(r, size, what);

	if (p && size)
		memcpy(to, p, size);
	else if (size)
		memset(to, 0, size);
}

/* Number of items of at least 'item_min' (> 0) bytes each; refused when what is left cannot hold
 * them: nobody makes us allocate more than a multiple of what they sent. */
static inline uint32_t read_count(struct reader *r, uint32_t max, size_t item_min, const char *what)
{
	uint32_t n = read_u32(r, what);

	if (!r->bad && (n > max || n > (size_t)(r->end - r->at) / item_min))
		r->bad = what;
	return r->bad ? 0 : n;
}

/* A u16 length and that many bytes, borrowed; longer than 'max' fails. */
static inline struct bytes read_block16(struct reader *r, size_t max, const char *what)
{
	size_t size = read_u16(r, what);
	const uint8_t *p;

	if (size > max)
		reader_fail(r, what);
	p = read_bytes(r, r->bad ? 0 : size, what);
	return r->bad ? (struct bytes){ NULL, 0 } : (struct bytes){ p, size };
}

/* A reader over the next 'size' bytes only, so that a nested decoder cannot leave its field. */
static inline struct reader read_nested(struct reader *r, size_t size, const char *what)
{
	const uint8_t *p = read_bytes(r, size, what);
	struct reader inner = reader_over(p, p ? size : 0);

	inner.bad = r->bad;
	return inner;
}

/* NULL when all reads succeeded and nothing is left, else what is wrong. */
static inline const char *reader_verdict(const struct reader *r)
{
	if (r->bad)
		return r->bad;
	return r->at == r->end ? NULL : "trailing bytes";
}

#endif
