#include "run_map.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

void run_map_fini(struct run_map *m)
{
	for (size_t i = 0; i < m->chunks_count; i++)
		mem_free(m->chunks[i]);
	mem_free(m->chunks);
	*m = (struct run_map){ 0 };
}

struct run_at run_map_find(const struct run_map *m, uint64_t offset)
{
	size_t low = 0, high = m->chunks_count;
	uint32_t from = 0, to;
	const struct run_chunk *c;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		c = m->chunks[middle];
		if (c->runs[c->count - 1].end <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == m->chunks_count)
		return (struct run_at){ low, 0 };
	c = m->chunks[low];
	to = c->count;
	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (c->runs[middle].end <= offset)
			from = middle + 1;
		else
			to = middle;
	}
	return (struct run_at){ low, from };
}

static struct run_chunk *add_chunk(struct run_map *m, size_t at)
{
	if (m->chunks_count == m->chunks_room) {
		m->chunks_room = m->chunks_room ? m->chunks_room * 2 : 8;
		m->chunks = mem_resize(m->chunks, m->chunks_room, sizeof(struct run_chunk *));
	}
	memmove(&m->chunks[at + 1], &m->chunks[at], (m->chunks_count - at) * sizeof m->chunks[0]);
	m->chunks[at] = mem_new(1, sizeof(struct run_chunk));
	m->chunks_count++;
	return m->chunks[at];
}

static void split(struct run_map *m, size_t at)
{
	struct run_chunk *upper = add_chunk(m, at + 1), *lower = m->chunks[at];

	upper->count = lower->count / 2;
	lower->count -= upper->count;
	memcpy(upper->runs, &lower->runs[lower->count], upper->count * sizeof upper->runs[0]);
}

void run_map_insert(struct run_map *m, const struct run *run)
{
	struct run_at at = run_map_find(m, run->start);
	const struct run *behind = run_map_get(m, at);
	struct run_chunk *c;

	MUST(run->start < run->end && (!behind || run->end <= behind->start));
	if (!behind) {
		if (m->chunks_count == 0)
			add_chunk(m, 0);
		at.chunk = m->chunks_count - 1;
		at.index = m->chunks[at.chunk]->count;
	}
	if (m->chunks[at.chunk]->count == RUN_CHUNK) {
		uint32_t half;

		split(m, at.chunk);
		half = m->chunks[at.chunk]->count;
		if (at.index > half)
			at = (struct run_at){ at.chunk + 1, at.index - half };
	}
	c = m->chunks[at.chunk];
	memmove(&c->runs[at.index + 1], &c->runs[at.index],
		(c->count - at.index) * sizeof c->runs[0]);
	c->runs[at.index] = *run;
	c->count++;
	m->count++;
}

void run_map_remove(struct run_map *m, uint64_t start)
{
	struct run_at at = run_map_find(m, start);
	const struct run *run = run_map_get(m, at);
	struct run_chunk *c;

	MUST(run && run->start == start);
	c = m->chunks[at.chunk];
	c->count--;
	m->count--;
	memmove(&c->runs[at.index], &c->runs[at.index + 1],
		(c->count - at.index) * sizeof c->runs[0]);
	if (c->count)
		return;
	mem_free(c);
	m->chunks_count--;
	memmove(&m->chunks[at.chunk], &m->chunks[at.chunk + 1],
		(m->chunks_count - at.chunk) * sizeof m->chunks[0]);
}
