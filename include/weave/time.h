/* Two kinds of time that cannot be mixed up, and intervals in milliseconds.
 *
 * Pure.  Only `_io` files read clocks; everything else gets `now` as an argument, one value per
 * turn of the loop.
 */
#ifndef WEAVE_TIME_H
#define WEAVE_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* Monotonic milliseconds since an arbitrary start, per router. Never goes back. */
struct mono {
	uint64_t ms;
};

/* Seconds since 1970; for people and first generations only, decides nothing else. */
struct wall {
	uint64_t s;
};

#define MONO_NEVER ((struct mono){ UINT64_MAX })

static inline struct mono mono_after(struct mono t, uint64_t delay_ms)
{
	if (delay_ms > UINT64_MAX - t.ms)
		return MONO_NEVER;
	return (struct mono){ t.ms + delay_ms };
}

/* True when 'now' is at or past 'due'; MONO_NEVER is never reached. */
static inline bool mono_reached(struct mono now, struct mono due)
{
	return due.ms != UINT64_MAX && now.ms >= due.ms;
}

/* Milliseconds from 'since' to 'now'; 0 when 'since' lies ahead. */
static inline uint64_t mono_elapsed(struct mono since, struct mono now)
{
	return now.ms > since.ms ? now.ms - since.ms : 0;
}

static inline struct mono mono_min(struct mono a, struct mono b)
{
	return a.ms < b.ms ? a : b;
}

#endif
