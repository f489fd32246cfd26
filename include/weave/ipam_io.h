/* IPAM's way to the world: its durable rows, in one database file.
 *
 * `<state-dir>/ipam.db` is an SQLite database (write-ahead log, every commit synced; docs/why/
 * ipam-store.md).  It holds the rows of <weave/ipam.h> for each universe, and the store id: what
 * makes us the owner of addresses must live and die with the rows that say which ones.
 *
 *   ipam_store_save --> queue --> writer thread: one transaction of all that waits, one sync
 *        saved() <---- loop <---- then the highest ticket of each universe
 *
 * All functions: loop thread.  Opening, loading and ipam_store_set_id wait for the disk;
 * ipam_store_save and ipam_store_sync never do.  What is handed in is copied.
 *
 * When the disk refuses, state(reason) says so once; what could not be made durable is kept, and
 * the whole of it is tried again and again.  No row is reported saved before a sync
 * of just that row succeeded, and a sync that failed is never repeated and believed: everything is
 * written anew first.
 *
 * A file that was cut or changed in any place, or that lacks commits that were once durable, is
 * noticed when it is opened.
 */
#ifndef WEAVE_IPAM_IO_H
#define WEAVE_IPAM_IO_H

#include <weave/ipam.h>
#include <weave/log.h>

#define IPAM_STORE_DELAY_MS 100u /* nobody waits: rows are gathered so long */
/* The disk refused: tried again after the first, twice as long each time up to the second. */
#define IPAM_STORE_RETRY_MIN_MS 250u
#define IPAM_STORE_RETRY_MAX_MS 4000u
#define IPAM_STORE_CLOSE_MS 10000u /* what a disk that hangs may hold up our end */

struct ev_loop;
struct ipam_store;

enum ipam_store_found { IPAM_STORE_KEPT, IPAM_STORE_NEW, IPAM_STORE_DAMAGED };

struct ipam_store_config {
	const char *directory; /* must be there */
	struct ev_loop *loop;
	/* All rows up to 'ticket' of that universe are durable. */
	void (*saved)(void *ctx, size_t universe, uint64_t ticket);
	/* The disk refuses ('reason'), or works again (NULL). */
	void (*state)(void *ctx, const char *reason);
	void *ctx;
};

/* 0 or a negative errno with 'why'.  A damaged file is set aside as ipam.db.damaged (with its -wal)
 * and a new one made: DAMAGED, and 'why' says what was wrong.  -EBUSY: another router has the
 * folder; -ENOTSUP: the file is of a newer weave, and is left as it is. */
int ipam_store_open(const struct ipam_store_config *config, struct log *log,
		    struct ipam_store **out, enum ipam_store_found *found, struct why *why);

/* Makes everything durable first, within IPAM_STORE_CLOSE_MS; no callback comes any more.  NULL is
 * fine. */
void ipam_store_close(struct ipam_store *s);

/* The store id (0: none yet) and the peer it was made for. */
uint64_t ipam_store_id(const struct ipam_store *s, peer_name *name);
/* Durable when it returns 0; else a negative errno with 'why', and the old one holds; state() is
 * told as well, and when it is worth another try. */
int ipam_store_set_id(struct ipam_store *s, peer_name name, uint64_t store_id, struct why *why);

/* Number 'universe' (below IPAM_STORE_UNIVERSES_MAX) stands for this prefix from now on.  The rows
 * of each prefix are kept apart, and for ever: a changed range starts anew, and finds its old state
 * again when it is changed back.  0 or a negative errno with 'why'. */
int ipam_store_universe(struct ipam_store *s, size_t universe, struct cidr prefix, struct why *why);

/* Before the first save.  'row' gets each row of the universe and returns NULL, or the name of what
 * is wrong with it.  Then, or when the disk cannot be read, the file is set aside as above:
 * -EBADMSG, and the store is a new and empty one with the same universes.  So start over with a new
 * store id and a new struct ipam for every universe. */
int ipam_store_load(struct ipam_store *s, size_t universe,
		    const char *(*row)(void *ctx, enum ipam_table table, uint64_t key,
				       struct bytes value),
		    void *ctx, struct why *why);

/* Tickets grow within a universe.  'put' false deletes. */
void ipam_store_save(struct ipam_store *s, size_t universe, enum ipam_table table, uint64_t key,
		     struct bytes value, bool put, uint64_t ticket);

/* Something waits for all that was saved so far: commit as soon as the last commit is through. */
void ipam_store_sync(struct ipam_store *s);

/* Everything of this file off the disk (weave reset), damaged copies too.  The store must be closed
 * before: -EBUSY.  A folder that is not there is fine. */
int ipam_store_remove(const char *directory, struct why *why);

#endif
