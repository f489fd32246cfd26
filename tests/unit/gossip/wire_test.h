/* What every decoder is put through: each shorter input is refused, no bit flip does harm, and what
 * is accepted reads nothing past its end. */
#ifndef TESTS_WIRE_TEST_H
#define TESTS_WIRE_TEST_H

#include "gossip_test.h"

/* Decodes 'size' bytes that end where the allocation ends, so that the sanitizer sees every byte
 * read too far. NULL or the wrong field. */
typedef const char *(*wire_decode)(const uint8_t *data, size_t size);

static inline const char *decode_copy(wire_decode decode, const uint8_t *data, size_t size)
{
	uint8_t *copy = calloc(1, size ? size : 1);
	const char *bad;

	if (size)
		memcpy(copy, data, size);
	bad = decode(copy, size);
	free(copy);
	return bad;
}

/* Truncations may be accepted only where 'open_ended' (a payload to the end). */
static inline void torture(wire_decode decode, const uint8_t *data, size_t size, bool open_ended)
{
	uint8_t *copy = malloc(size + 1);

	assert_null(decode_copy(decode, data, size));
	for (size_t n = 0; n < size; n++)
		if (!open_ended)
			assert_non_null(decode_copy(decode, data, n));
		else
			decode_copy(decode, data, n);
	memcpy(copy, data, size);
	for (size_t bit = 0; bit < size * 8; bit++) {
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		decode_copy(decode, copy, size);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	copy[size] = 0;
	if (!open_ended)
		assert_non_null(decode_copy(decode, copy, size + 1));
	free(copy);
}

#endif
