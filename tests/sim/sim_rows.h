/* The durable rows of one router, as its disk holds them, and what was written and not synced yet.
 *
 * Pure.  Writes are kept in order.  A sync that came back has made all writes up to its beginning
 * durable; a crash keeps any beginning of what was written after the last sync, in the middle of
 * a sync as well.
 */
#ifndef WEAVE_SIM_ROWS_H
#define WEAVE_SIM_ROWS_H

#include <weave/ipam.h>

struct sim_row {
	size_t universe;
	enum ipam_table table;
	uint64_t key;
	uint64_t ticket;
	uint8_t *value; /* owned; in the log NULL: delete */
	size_t size;
};

/* Read freely; change by functions. Zeroed: an empty disk. */
struct sim_rows {
	struct sim_row *disk; /* by universe, table, key */
	size_t disk_count, disk_room;
	struct sim_row *log;
	size_t log_count, log_room;
	size_t syncing; /* that many of the log are covered by the sync under way */
};

void sim_rows_fini(struct sim_rows *r);

/* value.data NULL: delete */
void sim_rows_write(struct sim_rows *r, size_t universe, enum ipam_table table, uint64_t key,
		    struct bytes value, uint64_t ticket);

/* One sync at a time. The end applies what the begin saw and tells the last ticket of each universe
 * in 'tickets' (0: none); failed: nothing is known to be durable, all stays in the log. */
void sim_rows_sync_begin(struct sim_rows *r);
void sim_rows_sync_end(struct sim_rows *r, uint64_t *tickets, size_t universes);
void sim_rows_sync_failed(struct sim_rows *r);

/* The first 'kept' of the log had reached the disk, the rest had not. */
void sim_rows_crash(struct sim_rows *r, size_t kept);
/* What no disk should do. */
void sim_rows_drop(struct sim_rows *r, size_t at);
void sim_rows_clear(struct sim_rows *r);
/* What is durable of 'from' replaces everything in 'to'. */
void sim_rows_copy(struct sim_rows *to, const struct sim_rows *from);

/* NULL when it is not durable. */
const struct sim_row *sim_rows_find(const struct sim_rows *r, size_t universe,
				    enum ipam_table table, uint64_t key);

#endif
