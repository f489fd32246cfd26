/* The replicated store: a set of entries, the order in which they changed, and their digests.
 *
 * Pure; loop thread.  The store copies what it is given and owns it; entries handed out are
 * borrowed until the next call that changes the store.  It knows nothing of connections, time or
 * reachability: reachability hides entries in views, never here, so that two stores with equal
 * entries have equal digests whoever they can reach (gossip-review F4).
 *
 * Order: every change gets the next local sequence number and moves its entry to the end.  A
 * reader of changes holds a cursor, in substance a sequence number: it may be any distance behind
 * at no cost, it never misses an entry, and it sees each changed entry once, in its newest
 * version only.
 */
#ifndef WEAVE_STORE_H
#define WEAVE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weave/entry.h>
#include <weave/hash.h>
#include <weave/list.h>
#include <weave/table.h>
#include <weave/time.h>

#define STORE_BUCKETS 256

/* A stored entry. Read freely; changed by the store only. */
struct entry {
	struct entry_view view;	  /* borrows from this allocation */
	uint64_t sequence;	  /* of its last change, local */
	uint64_t source;	  /* connection instance it came from; 0 = ourselves */
	struct mono received;	  /* of its last change */
	uint64_t key_hash;	  /* of kind and key: the same on all peers */
	uint64_t version_hash;	  /* of everything but kind and key: the same on all peers */
	struct hash128 digest;	  /* of the whole entry; counted in the digest unless tombstone */
	struct table_link by_key; /* from here on: the store's */
	struct list by_order;
	struct list by_writer;
	struct list by_bucket; /* in change order, too */
	struct store_writer *of;
	uint32_t cursors_count; /* that point here */
};

enum store_result {
	STORE_TOOK,    /* new or newer: stored, at the end of the order */
	STORE_SAME,    /* already have exactly this */
	STORE_OLDER,   /* ours wins: answer with ours */
	STORE_REFUSED, /* a `gone` or a bound forbids it; counted */
};

/* What a kind's own merge did to the entries of its kind: first the keys are dropped (they MUST be
 * there), then the entries are put in the place of what stands under their keys.  Owned by the
 * kind, valid until its next merge. */
struct store_edits {
	const struct bytes *removed;
	size_t removed_count;
	const struct entry_view *inserted;
	size_t inserted_count;
};

enum store_apart {
	STORE_APART_EQUAL, /* or nothing is exchanged */
	STORE_APART_DIFFERS,
	STORE_APART_UNMET, /* differs, and never was equal since the two connected */
};

/* What one kind adds to the store's general behaviour.  Lives in its kind_*.c, with its owner. */
struct kind {
	uint8_t number;
	const char *name;
	/* NULL, or the name of the wrong field: the whole message is then refused. Tombstones are
	 * checked by key only (value is empty). */
	const char *(*check)(const struct entry_view *e);
	/* Told after each change, with before = NULL for a new entry and after = NULL for one that
	 * was dropped. Must not change the store. May be NULL. */
	void (*on_change)(void *ctx, const struct entry_view *before,
			  const struct entry_view *after);
	void *ctx;
	/* NULL: merged by the store's rule. Else this decides, sets 'edits' when it returns TOOK
	 * and bounds its own growth; store_put does not apply. Its entries have digests of their
	 * own, apart from those of all others (store_digest_apart). Must not call the store. */
	enum store_result (*merge)(void *ctx, const struct entry_view *e,
				   struct store_edits *edits);
	/* With 'merge' only. What neighbours say of theirs travels apart, too (gossip_tell_rings):
	 * whether this entry is exchanged with that neighbour at all ... */
	bool (*exchanged)(void *ctx, peer_name with, const struct entry_view *e);
	/* ... and how what we exchange with it compares with what it said last. */
	enum store_apart (*compare)(void *ctx, peer_name with);
};

struct store_counters {
	uint64_t took, same, older, refused_gone, refused_full;
	uint64_t conflicts; /* equal version, different content: decided, counted, shown */
};

struct store;

/* Where one reader of changes stands. Zero it, then store_cursor_open.  Closing a zeroed one, or
 * one whose store was freed, is fine. */
struct store_cursor {
	uint64_t sequence;  /* everything up to and including this was read */
	struct entry *next; /* hint, kept right by the store; NULL at the end */
	struct list link;
};

/* 'seed' keys the local hash table only. */
struct store *store_new(uint64_t seed);
void store_free(struct store *s);

/* Before the first entry of that kind. 'kind' is copied. Kinds without a row are opaque. */
void store_register(struct store *s, const struct kind *kind);

/* Entries of 'writer' of kinds peer, link, endpoint and name with generation <= 'generation' are
 * dropped now and refused from now on.  Called for `gone` entries after the merge that brought
 * them, never from inside on_change.  At most GONE_ENTRIES_MAX writers, lowest (generation, name)
 * forgotten first: the same order in which the store lets go of `gone` entries themselves. */
void store_refuse_until(struct store *s, peer_name writer, uint64_t generation);

/* NULL, or the name of the wrong field by entry_check and the kind's own check. */
const char *store_check(const struct store *s, const struct entry_view *e);

/* Merges an entry from outside that store_check accepted. 'source' is the connection instance. */
enum store_result store_merge(struct store *s, const struct entry_view *e, uint64_t source,
			      struct mono now);

/* Our own write: like a merge from ourselves that must win; MUST be newer than what is stored.
 * No bound and no refusal applies: what others put here in our name cannot stop us from writing,
 * and our own growth is bounded where it arises. */
void store_put(struct store *s, const struct entry_view *e, struct mono now);

/* NULL if there is none; a tombstone is returned like any other entry. */
const struct entry *store_find(const struct store *s, uint8_t kind, struct bytes key);

/* By hash, as the repair lists name entries; NULL if none. */
const struct entry *store_find_hash(const struct store *s, uint64_t key_hash);

/* Physically drops an entry without a trace: tombstones past their age, entries of the gone. */
void store_drop(struct store *s, const struct entry *e);

/* All entries, in change order: NULL gives the first. Walking ends at NULL. */
const struct entry *store_next(const struct store *s, const struct entry *after);
/* All entries of one writer, in no particular order. */
const struct entry *store_next_of(const struct store *s, peer_name writer,
				  const struct entry *after);

/* Cursors. At the present end, or at the very beginning. */
void store_cursor_open(struct store *s, struct store_cursor *c, bool at_end);
void store_cursor_close(struct store_cursor *c);
/* The next changed entry, or NULL; store_cursor_advance passes it. */
const struct entry *store_cursor_peek(const struct store_cursor *c);
void store_cursor_advance(struct store *s, struct store_cursor *c);

uint64_t store_sequence(const struct store *s); /* of the latest change */
size_t store_count(const struct store *s);
size_t store_tombstones(const struct store *s);
const struct store_counters *store_counters(const struct store *s);

/* 128-bit digests over everything stored except tombstones and kinds that merge by a rule of their
 * own; whole = XOR of the buckets.
 * The bucket of an entry is the top byte of its key_hash. */
struct hash128 store_digest(const struct store *s);
struct hash128 store_bucket_digest(const struct store *s, unsigned bucket);
/* The same over the kinds that merge by a rule of their own. */
struct hash128 store_digest_apart(const struct store *s);
struct hash128 store_bucket_digest_apart(const struct store *s, unsigned bucket);
/* True of all kinds that merge by the store's rule; else the kind tells. */
bool store_exchanges(const struct store *s, const struct entry *e, peer_name with);
/* Whether the entry counts in the digest apart. */
bool store_is_apart(const struct store *s, const struct entry *e);
/* The worst that any kind says. */
enum store_apart store_compare_apart(const struct store *s, peer_name with);
/* Of what is exchanged with that neighbour; walks the bucket when there is anything apart. */
struct hash128 store_bucket_digest_with(const struct store *s, unsigned bucket, peer_name with);
/* Highest sequence number of any entry now in the bucket (0 when empty). */
uint64_t store_bucket_sequence(const struct store *s, unsigned bucket);
/* Entries of one bucket, tombstones included; NULL gives the first. */
const struct entry *store_next_in_bucket(const struct store *s, unsigned bucket,
					 const struct entry *after);

/* Asserts all invariants; for tests and debug builds; O(entries). */
void store_check_all(const struct store *s);

#endif
