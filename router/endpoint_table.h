/* The records behind endpoint.h: one for each (segment, MAC) that anybody speaks of.  Private to
 * endpoint.c and endpoint_view.c.
 *
 * Pure.  A record lives while something holds it: a claim, a local or seen entry, or work that is
 * still to be done for it (pending, changed); record_release frees it otherwise.
 */
#ifndef WEAVE_ROUTER_ENDPOINT_TABLE_H
#define WEAVE_ROUTER_ENDPOINT_TABLE_H

#include "endpoint.h"

/* What another peer published. */
struct claim {
	struct claim *next;
	peer_name peer;
	uint64_t generation;
	uint32_t claim;
	uint8_t ips_count;
	struct ip_addr ips[];
};

/* MACs seen behind one peer. */
struct origin {
	struct table_link link;
	peer_name peer;
	uint32_t count;
	struct list seen; /* records, longest idle first */
};

struct record {
	struct table_link link;
	uint32_t index; /* in endpoints.records */
	uint32_t segment;
	struct mac mac;

	struct claim *claims;
	struct claim *best;    /* among visible ones, as of best_version and best_at */
	uint64_t best_version; /* record_version; valid if best_known */
	struct mono best_at;
	bool best_known;

	bool attached, learned;	 /* local */
	bool publish;		 /* may be published; always when attached */
	bool published, pending; /* in the store; to be written there */
	uint32_t claim;		 /* ours, 0 while not published */
	uint32_t ips_count;
	struct ip_addr *ips; /* of an attached one */
	struct mono seen_here;
	struct list local; /* in one of endpoints.learned, while learned and not attached */

	struct origin *origin; /* of frames from other peers */
	struct mono seen_there;
	struct list by_origin, by_age;

	peer_name owner;     /* last known, to notice moves */
	struct mono claimed; /* last change of any claim, ours too */
	struct mono moves[ENDPOINT_MOVES_MAX];
	uint32_t moves_count;
	struct mono frozen_until;
	struct list pending_link, changed_link, touched_link; /* empty when not queued */
};

struct endpoints {
	peer_name self;
	const struct topology *topology;
	const struct networks *networks;
	struct hash_key key;
	struct mono now;
	struct table table;
	struct record **records;
	size_t records_count, records_room;
	struct table origins;
	struct list learned[2]; /* unpublished and published, longest idle first */
	struct list seen;	/* longest idle first */
	struct list pending, changed;
	struct list touched; /* for the mirror, while 'tracking' */
	bool tracking;
	uint64_t tracked_version; /* record_version */
	size_t local_count, seen_count;
	uint64_t publish_tokens, publish_tokens_day;
	struct mono publish_at, publish_day_at;
	uint8_t key_buffer[ENDPOINT_KEY_SIZE], value_buffer[ENDPOINT_VALUE_MAX];
};

struct record *record_find(const struct endpoints *e, uint32_t segment, struct mac mac);
struct record *record_get(struct endpoints *e, uint32_t segment, struct mac mac);
void record_release(struct endpoints *e, struct record *r);
void record_free(struct endpoints *e, struct record *r);

/* Where it lives may be another place now. */
void record_touch(struct endpoints *e, struct record *r);

/* Rises when other claims may be seen than before. */
uint64_t record_version(const struct endpoints *e);
/* The best claim that can be seen now, or NULL. */
const struct claim *record_best(struct endpoints *e, struct record *r);
uint32_t record_claim_max(const struct record *r);
void record_set_claim(struct record *r, const struct endpoint_entry *entry, uint64_t generation);
void record_remove_claim(struct record *r, peer_name peer);

/* Frames from other peers. */
void record_see(struct endpoints *e, struct record *r, peer_name peer);
void record_forget_seen(struct endpoints *e, struct record *r);
/* Makes room for one more MAC seen behind 'peer'. */
void record_make_seen_room(struct endpoints *e, peer_name peer);

static inline bool record_is_local(const struct record *r)
{
	return r->attached || r->learned;
}

static inline bool record_queued(const struct list *l)
{
	return !list_empty(l);
}

#endif
