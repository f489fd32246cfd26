/* The one SQLite file behind ipam_store_io.c: opening and checking it, transactions, recovery.
 *
 * Not pure; any thread, one at a time (the store's lock).  Nothing else in weave knows SQLite.
 *
 * One table, `row`: universe (a number of this file; 0: about the file itself), kind, key, value,
 * sum.  Three things guard it, since SQLite notices torn writes but no flipped bits:
 *  - 'sum' is a hash of its row;
 *  - the head row holds the number of rows and the sum of all their hashes: none can vanish, come
 *    back, or be old;
 *  - ipam.db.seen holds the number of the last commit that was durable.  It is not synced, so it
 *    may be behind, but never ahead: a database that has fewer commits lost its end, or is a copy.
 */
#ifndef WEAVE_IPAM_DATABASE_IO_H
#define WEAVE_IPAM_DATABASE_IO_H

#include <weave/ipam_io.h>

struct database;

struct database_row {
	uint64_t universe, kind, key;
	struct bytes value;
};

int database_open(const char *directory, struct database **out, enum ipam_store_found *found,
		  struct why *why);
/* Moves all into the main file, if the disk lets it.  NULL is fine. */
void database_close(struct database *d);
/* Sets the open file aside because of 'wrong', and goes on with a new one: -EBADMSG with 'why', or
 * another negative errno when that could not be done. */
int database_set_aside(struct database *d, const char *wrong, struct why *why);

uint64_t database_store_id(const struct database *d, peer_name *name);
int database_set_store_id(struct database *d, peer_name name, uint64_t store_id, struct why *why);
/* The universe's number in this file; a new one when the prefix is new to it. */
int database_universe(struct database *d, struct cidr prefix, uint64_t *number, struct why *why);
/* 'row' stops the walk with the name of what is wrong.  0; or -EBADMSG and *wrong; or an
 * errno with 'why' when the disk fails. */
int database_load(struct database *d, uint64_t universe,
		  const char *(*row)(void *ctx, const struct database_row *row), void *ctx,
		  const char **wrong, struct why *why);

/* A transaction.  Each returns 0 or a negative errno with 'why'; after a failure there is no
 * transaction any more, and nothing of it in the file. The next one begins by writing anew all
 * that might not have reached the disk. */
int database_begin(struct database *d, struct why *why);
int database_put(struct database *d, const struct database_row *row, struct why *why);
int database_delete(struct database *d, const struct database_row *row, struct why *why);
int database_commit(struct database *d, struct why *why);
/* When the log has grown long: moves it into the main file.  As above. */
int database_tidy(struct database *d, struct why *why);

int database_remove(const char *directory, struct why *why);

#endif
