/* Common to the router's tests: cmocka in its order, and byte strings from hex. */
#ifndef TESTS_ROUTER_TEST_H
#define TESTS_ROUTER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/rng.h>
#include <weave/time.h>

static inline struct mono at(uint64_t ms)
{
	return (struct mono){ ms };
}

/* WEAVE_SEED replays one; else the fixed one, so that runs compare. Printed when a test starts. */
static inline uint64_t test_seed(uint64_t fixed)
{
	const char *text = getenv("WEAVE_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : fixed;

	print_message("seed %#llx (set WEAVE_SEED to change it)\n", (unsigned long long)seed);
	return seed;
}

static inline unsigned hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	return (unsigned)(c - 'a') + 10;
}

/* Hex digits in pairs, spaces anywhere between; returns the number of bytes. */
static inline size_t hex(const char *text, uint8_t *out)
{
	size_t n = 0;

	for (; *text; text++) {
		if (*text == ' ')
			continue;
		out[n++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
		text++;
	}
	return n;
}

#endif
