#include "sim_rows.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

static void push(struct sim_row **list, size_t *count, size_t *room, size_t at, struct sim_row row)
{
	if (*count == *room) {
		*room = *room ? *room * 2 : 32;
		*list = mem_resize(*list, *room, sizeof **list);
	}
	memmove(*list + at + 1, *list + at, (*count - at) * sizeof **list);
	(*list)[at] = row;
	(*count)++;
}

static int order(const struct sim_row *a, size_t universe, enum ipam_table table, uint64_t key)
{
	if (a->universe != universe)
		return a->universe < universe ? -1 : 1;
	if (a->table != table)
		return a->table < table ? -1 : 1;
	return a->key < key ? -1 : a->key > key;
}

static size_t place(const struct sim_rows *r, size_t universe, enum ipam_table table, uint64_t key)
{
	size_t low = 0, high = r->disk_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (order(&r->disk[middle], universe, table, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct sim_rows *r, size_t at, const struct sim_row *row)
{
	return at < r->disk_count && order(&r->disk[at], row->universe, row->table, row->key) == 0;
}

void sim_rows_drop(struct sim_rows *r, size_t at)
{
	MUST(at < r->disk_count);
	mem_free(r->disk[at].value);
	r->disk_count--;
	memmove(r->disk + at, r->disk + at + 1, (r->disk_count - at) * sizeof *r->disk);
}

/* Takes the value of 'row' over. */
static void apply(struct sim_rows *r, struct sim_row row)
{
	size_t at = place(r, row.universe, row.table, row.key);

	if (is_at(r, at, &row))
		sim_rows_drop(r, at);
	if (row.value)
		push(&r->disk, &r->disk_count, &r->disk_room, at, row);
}

static void apply_front(struct sim_rows *r, size_t count)
{
	for (size_t n = 0; n < count; n++)
		apply(r, r->log[n]);
	r->log_count -= count;
	if (r->log_count)
		memmove(r->log, r->log + count, r->log_count * sizeof *r->log);
}

static void forget_log(struct sim_rows *r)
{
	for (size_t n = 0; n < r->log_count; n++)
		mem_free(r->log[n].value);
	r->log_count = r->syncing = 0;
}

void sim_rows_clear(struct sim_rows *r)
{
	forget_log(r);
	for (size_t n = 0; n < r->disk_count; n++)
		mem_free(r->disk[n].value);
	r->disk_count = 0;
}

void sim_rows_fini(struct sim_rows *r)
{
	sim_rows_clear(r);
	mem_free(r->disk);
	mem_free(r->log);
}

void sim_rows_write(struct sim_rows *r, size_t universe, enum ipam_table table, uint64_t key,
		    struct bytes value, uint64_t ticket)
{
	struct sim_row row = { universe, table, key, ticket, NULL, value.size };

	if (value.data) {
		row.value = mem_new(1, value.size + 1);
		if (value.size)
			memcpy(row.value, value.data, value.size);
	}
	if (r->log_count == 0)
		r->syncing = 0;
	push(&r->log, &r->log_count, &r->log_room, r->log_count, row);
}

void sim_rows_sync_begin(struct sim_rows *r)
{
	r->syncing = r->log_count;
}

void sim_rows_sync_end(struct sim_rows *r, uint64_t *tickets, size_t universes)
{
	memset(tickets, 0, universes * sizeof *tickets);
	for (size_t n = 0; n < r->syncing; n++) {
		MUST(r->log[n].universe < universes);
		tickets[r->log[n].universe] = r->log[n].ticket;
	}
	apply_front(r, r->syncing);
	r->syncing = 0;
}

void sim_rows_sync_failed(struct sim_rows *r)
{
	r->syncing = 0;
}

void sim_rows_crash(struct sim_rows *r, size_t kept)
{
	MUST(kept <= r->log_count);
	apply_front(r, kept);
	forget_log(r);
}

void sim_rows_copy(struct sim_rows *to, const struct sim_rows *from)
{
	sim_rows_clear(to);
	for (size_t n = 0; n < from->disk_count; n++) {
		struct sim_row row = from->disk[n];

		row.value = mem_copy(row.value, row.size + 1);
		push(&to->disk, &to->disk_count, &to->disk_room, to->disk_count, row);
	}
}

const struct sim_row *sim_rows_find(const struct sim_rows *r, size_t universe,
				    enum ipam_table table, uint64_t key)
{
	size_t at = place(r, universe, table, key);
	struct sim_row probe = { .universe = universe, .table = table, .key = key };

	return is_at(r, at, &probe) ? &r->disk[at] : NULL;
}
