/* The kinds of IPAM in the store, and the ring as the store has it. */
#include "allocator.h"

/* The universes that this router serves; freed with the first of them. */
struct served {
	struct ipam **list;
	size_t count;
};

static struct ipam *find(const struct served *s, const struct universe *u)
{
	for (size_t n = 0; n < s->count; n++)
		if (universe_equal(&s->list[n]->config.universe, u))
			return s->list[n];
	return NULL;
}

/* The universe is the first field of every key. */
static struct ipam *served_by(const struct served *s, const struct entry_view *e)
{
	struct reader r = reader_over(e->key.data, e->key.size);
	struct universe u;

	universe_read(&u, &r);
	return r.bad ? NULL : find(s, &u);
}

/* ---- checks ---- */

static const char *check_run(const struct entry_view *e)
{
	struct universe u;
	struct run run;
	uint64_t ring_id;

	return run_entry_read(e, &u, &ring_id, &run);
}

static const char *check_vote(const struct entry_view *e)
{
	struct universe u;
	struct vote vote;

	return vote_entry_read(e, &u, &vote);
}

static const char *check_retired(const struct entry_view *e)
{
	struct universe u;
	struct retirement r;
	uint64_t ring_id;

	return retired_entry_read(e, &u, &ring_id, &r);
}

static const char *check_space(const struct entry_view *e)
{
	struct universe u;
	struct space_info info;

	return space_entry_read(e, &u, &info);
}

/* ---- views ---- */

static void on_change(void *ctx, const struct entry_view *before, const struct entry_view *after)
{
	struct ipam *i = served_by(ctx, after ? after : before);

	if (i)
		ipam_heard(i, after ? after : before, after == NULL);
}

/* ---- the ring's own merge ---- */

static const struct bytes *removed_keys(struct ipam *i, size_t count)
{
	struct edits *d = &i->edits;
	struct entry_room room;

	if (count > d->removed_room) {
		d->removed_room = count * 2;
		d->removed = mem_resize(d->removed, d->removed_room, sizeof *d->removed);
		d->removed_bytes = mem_resize(d->removed_bytes, d->removed_room,
					      sizeof *d->removed_bytes);
	}
	for (size_t n = 0; n < count; n++) {
		run_entry(&room, &i->config.universe, i->ring_id, &i->changes.removed[n]);
		memcpy(d->removed_bytes[n].key, room.view.key.data, room.view.key.size);
		d->removed[n] = bytes_of(d->removed_bytes[n].key, room.view.key.size);
	}
	return d->removed;
}

static const struct entry_view *inserted_entries(struct ipam *i, size_t count)
{
	struct edits *d = &i->edits;
	struct entry_room room;

	if (count > d->inserted_room) {
		d->inserted_room = count * 2;
		d->inserted = mem_resize(d->inserted, d->inserted_room, sizeof *d->inserted);
		d->inserted_bytes = mem_resize(d->inserted_bytes, d->inserted_room,
					       sizeof *d->inserted_bytes);
	}
	for (size_t n = 0; n < count; n++) {
		struct edit_bytes *b = &d->inserted_bytes[n];

		run_entry(&room, &i->config.universe, i->ring_id, &i->changes.inserted[n]);
		memcpy(b->key, room.view.key.data, room.view.key.size);
		memcpy(b->value, room.view.value.data, room.view.value.size);
		d->inserted[n] = room.view;
		d->inserted[n].key = bytes_of(b->key, room.view.key.size);
		d->inserted[n].value = bytes_of(b->value, room.view.value.size);
	}
	return d->inserted;
}

void edits_fini(struct edits *d)
{
	mem_free(d->removed);
	mem_free(d->removed_bytes);
	mem_free(d->inserted);
	mem_free(d->inserted_bytes);
}

static enum store_result merge_published(struct ipam *i, const struct run *run,
					 struct store_edits *edits)
{
	bool newer = ring_is_newer(&i->published, run);

	switch (ring_merge(&i->published, run, &i->changes)) {
	case RING_FULL:
		return STORE_REFUSED;
	case RING_SAME:
		return newer ? STORE_OLDER : STORE_SAME;
	case RING_CHANGED:
		break;
	}
	edits->removed_count = i->changes.removed_count;
	edits->inserted_count = i->changes.inserted_count;
	edits->removed = removed_keys(i, edits->removed_count);
	edits->inserted = inserted_entries(i, edits->inserted_count);
	return STORE_TOOK;
}

static enum store_result merge_run(void *ctx, const struct entry_view *e, struct store_edits *edits)
{
	struct ipam *i = served_by(ctx, e);
	enum store_result result;
	struct universe u;
	struct run run;
	uint64_t ring_id;

	if (!i || run_entry_read(e, &u, &ring_id, &run))
		return STORE_REFUSED;
	if (!i->ring_id)
		ipam_adopt(i, ring_id);
	if (ring_id != i->ring_id) {
		i->peers.foreign_ring = ring_id;
		return STORE_REFUSED;
	}
	result = merge_published(i, &run, edits);
	/* 'edits' stay as they are: what follows makes changes of its own. */
	if (result == STORE_TOOK)
		ipam_heard(i, e, false);
	return result;
}

/* ---- what is exchanged with whom ---- */

static bool exchanged(void *ctx, peer_name with, const struct entry_view *e)
{
	const struct ipam *i = served_by(ctx, e);
	const struct neighbour *n = i ? neighbour_find(i, with) : NULL;

	return n && neighbour_has_our_ring(i, n);
}

static enum store_apart compare(void *ctx, peer_name with)
{
	const struct served *s = ctx;
	enum store_apart worst = STORE_APART_EQUAL;

	for (size_t k = 0; k < s->count; k++) {
		const struct ipam *i = s->list[k];
		const struct neighbour *n = neighbour_find(i, with);

		if (!n || !neighbour_has_our_ring(i, n) || neighbour_is_equal(i, n))
			continue;
		if (!n->met)
			return STORE_APART_UNMET;
		worst = STORE_APART_DIFFERS;
	}
	return worst;
}

void ipam_register(struct store *s, struct ipam *const *list, size_t count)
{
	const struct kind kinds[] = {
		{ .number = KIND_VOTE,
		  .name = "vote",
		  .check = check_vote,
		  .on_change = on_change },
		{ .number = KIND_RETIRED,
		  .name = "retired",
		  .check = check_retired,
		  .on_change = on_change },
		{ .number = KIND_SPACE,
		  .name = "space",
		  .check = check_space,
		  .on_change = on_change },
		{ .number = KIND_RUN,
		  .name = "run",
		  .check = check_run,
		  .merge = merge_run,
		  .exchanged = exchanged,
		  .compare = compare },
	};
	struct served *served = mem_new(1, sizeof *served);

	MUST(count > 0);
	served->list = mem_copy(list, count * sizeof(struct ipam *));
	served->count = count;
	list[0]->served = served;
	for (size_t n = 0; n < ARRAY_COUNT(kinds); n++) {
		struct kind kind = kinds[n];

		kind.ctx = served;
		store_register(s, &kind);
	}
}

void served_free(struct served *s)
{
	if (s)
		mem_free(s->list);
	mem_free(s);
}
