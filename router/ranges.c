#include "ranges.h"

#include <string.h>

#include <weave/must.h>

enum ranges_placed ranges_place(struct ranges *r, uint32_t start, uint32_t end)
{
	struct range *at = r->at, *stop = at + r->count;
	bool joins_left;

	while (at < stop && at->end < start)
		at++;
	/* 'at' is the first range that ends at or behind our start. */
	joins_left = at < stop && at->end == start;
	if (at < stop && !joins_left && at->start < end)
		return at->start <= start && end <= at->end ? RANGES_REPEATED : RANGES_REFUSED;
	if (joins_left) {
		struct range *right = at + 1;

		if (right < stop && right->start < end)
			return RANGES_REFUSED;
		at->end = end;
		if (right < stop && right->start == end) {
			at->end = right->end;
			memmove(right, right + 1, (size_t)(stop - right - 1) * sizeof *right);
			r->count--;
		}
		return RANGES_PLACED;
	}
	if (at < stop && at->start == end) {
		at->start = start;
		return RANGES_PLACED;
	}
	if (r->count == RANGES_MAX)
		return RANGES_REFUSED;
	memmove(at + 1, at, (size_t)(stop - at) * sizeof *at);
	*at = (struct range){ start, end };
	r->count++;
	return RANGES_PLACED;
}

bool ranges_cover(const struct ranges *r, uint32_t start, uint32_t end)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->at[i].end > start)
			return r->at[i].start <= start && end <= r->at[i].end;
	return false;
}

void ranges_check(const struct ranges *r, uint32_t total)
{
	MUST(r->count <= RANGES_MAX);
	for (uint32_t i = 0; i < r->count; i++) {
		MUST(r->at[i].start < r->at[i].end);
		MUST(r->at[i].end <= total);
		MUST(!i || r->at[i - 1].end < r->at[i].start);
	}
}
