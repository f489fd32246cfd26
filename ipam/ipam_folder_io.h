/* The files of the address database in the state folder, and who may use them.
 *
 *   ipam.db          the database          ipam.db-wal       its write-ahead log
 *   ipam.db.new      one being made        ipam.db.damaged   one set aside, with its -wal
 *   ipam.db.seen     the last commit that was known to be durable (ipam_database_io.h)
 *
 * Not pure; any thread, one at a time.  An open folder is locked against other processes until it
 * is closed.
 */
#ifndef WEAVE_IPAM_FOLDER_IO_H
#define WEAVE_IPAM_FOLDER_IO_H

#include <stdbool.h>
#include <stdint.h>

#include <weave/why.h>

struct folder {
	int fd;		  /* of the folder, locked; -1: closed */
	int seen_fd;	  /* of ipam.db.seen; -1: not open */
	char *directory;  /* owned, like the paths below */
	char *path, *new; /* of ipam.db and ipam.db.new, for SQLite */
};

/* 0, or a negative errno with 'why'; folder_close is due in either case. */
int folder_open(struct folder *f, const char *directory, struct why *why);
void folder_close(struct folder *f);

/* Something of a database is there, whole or not. */
bool folder_is_used(const struct folder *f);
bool folder_has_database(const struct folder *f);
/* Shorter than any database: SQLite would make an empty one of it, and remove the log. */
bool folder_database_is_cut(const struct folder *f);
/* Moves what is there of a database out of the way.  0, and 'why' says so; or a negative errno. */
int folder_set_aside(struct folder *f, const char *wrong, struct why *why);

/* An empty ipam.db.new that only we may read; what was left of an earlier one is gone. */
int folder_begin_new(struct folder *f, struct why *why);
/* ipam.db.new is whole and synced: it is ipam.db from now on. */
int folder_end_new(struct folder *f, struct why *why);

/* Opens ipam.db.seen: *commits is what it says of the database 'file_id', 0: nothing. */
int folder_open_seen(struct folder *f, uint64_t file_id, uint64_t *commits, struct why *why);
/* That commit is durable.  Not synced, and a failure does no harm: the old number guards less. */
void folder_see(struct folder *f, uint64_t file_id, uint64_t commits);

int folder_remove(const char *directory, struct why *why);

#endif
