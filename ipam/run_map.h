/* Runs in order of their start: a sorted array cut into small chunks, so that one insertion moves
 * at most one chunk's worth of bytes however many runs there are.
 *
 * Pure.  Owns its chunks.  Runs never overlap; keeping it so is ring.c's business.
 */
#ifndef WEAVE_IPAM_RUN_MAP_H
#define WEAVE_IPAM_RUN_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weave/addr.h>

#define RUN_CHUNK 64u

/* Of a piece of the ring: a peer and the store it wrote with. The zero owner is nobody. */
struct owner {
	peer_name name;
	uint64_t store_id;
};

/* Offsets [start, end) belong to 'owner' since version (epoch, counter). */
struct run {
	uint64_t start, end;
	uint32_t epoch, counter;
	struct owner owner;
};

struct run_chunk {
	uint32_t count; /* 1 .. RUN_CHUNK */
	struct run runs[RUN_CHUNK];
};

struct run_map {
	struct run_chunk **chunks;
	size_t chunks_count, chunks_room;
	size_t count; /* runs */
};

/* A place in the map; valid until the next change. */
struct run_at {
	size_t chunk;
	uint32_t index;
};

/* A zeroed map is empty and valid. */
void run_map_fini(struct run_map *m);

/* The first run that ends behind 'offset'. */
struct run_at run_map_find(const struct run_map *m, uint64_t offset);

/* Borrowed until the next change; NULL at the end. */
static inline const struct run *run_map_get(const struct run_map *m, struct run_at at)
{
	return at.chunk < m->chunks_count ? &m->chunks[at.chunk]->runs[at.index] : NULL;
}

static inline struct run_at run_map_next(const struct run_map *m, struct run_at at)
{
	if (at.chunk < m->chunks_count && ++at.index >= m->chunks[at.chunk]->count)
		at = (struct run_at){ at.chunk + 1, 0 };
	return at;
}

static inline const struct run *run_map_before(const struct run_map *m, struct run_at at)
{
	if (at.index > 0)
		return &m->chunks[at.chunk]->runs[at.index - 1];
	if (at.chunk == 0)
		return NULL;
	return &m->chunks[at.chunk - 1]->runs[m->chunks[at.chunk - 1]->count - 1];
}

/* Another value for the same offsets. */
static inline void run_map_replace(struct run_map *m, struct run_at at, const struct run *run)
{
	m->chunks[at.chunk]->runs[at.index] = *run;
}

/* MUST not overlap a run that is there. */
void run_map_insert(struct run_map *m, const struct run *run);
/* The run that starts there; MUST be there. */
void run_map_remove(struct run_map *m, uint64_t start);

#endif
