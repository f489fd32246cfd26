/* What `weave status ipam` shows of one universe.  Included by <weave/ipam.h>.
 *
 * Pure; loop thread; texts are borrowed until the next call.
 */
#ifndef WEAVE_IPAM_STATUS_H
#define WEAVE_IPAM_STATUS_H

#include <weave/ipam.h>

#define IPAM_PHASES(X)                                                                             \
	X(IDLE, "idle")			 /* no ring, and nobody has asked for one */               \
	X(ELECTING, "waiting for votes") /* see waiting_for */                                     \
	X(TOO_MANY, "too many voters")	 /* nobody decides: restart with seed= */                  \
	X(WAITING, "waiting for a ring") /* observer, or a peer that must not vote */              \
	X(SYNCING, "comparing rings")	 /* has a ring, not in sync yet */                         \
	X(READY, "ready")                                                                          \
	X(RENEWING, "this disk is an old copy: taking a new store id")                             \
	X(RETIRED, "handed over by reset")                                                         \
	X(DISK, "disk does not work")

enum ipam_phase {
#define X(name, text) IPAM_##name,
	IPAM_PHASES(X)
#undef X
};

const char *ipam_phase_text(enum ipam_phase phase);

struct ipam_status {
	enum ipam_phase phase;
	struct universe universe;
	uint64_t ring_id;
	size_t runs, owners;
	uint64_t own, own_free, own_unconfirmed; /* addresses */
	uint64_t allocated, disputed, dying;
	uint64_t disputes;		  /* offsets that a merge took from us, since the start */
	uint32_t electors, votes;	  /* N, and votes seen */
	size_t requests;		  /* waiting */
	uint64_t foreign_ring;		  /* id of another ring that was heard, 0 if none */
	peer_name foreign_peer;		  /* who has it */
	uint64_t asked, granted, refused; /* as a donor: what we were asked, gave, refused */
	const char *disk;		  /* why it does not work, NULL if it does */
};

void ipam_status(const struct ipam *i, struct ipam_status *status);

struct ipam_owner {
	peer_name peer;
	uint64_t store_id;
	uint64_t owned; /* addresses */
	bool known;	/* a peer entry with this store id, or any when it is 0, is known */
	bool reachable;
	bool former;   /* the peer can be reached, but has another store id */
	uint64_t free; /* as advertised; meaningful when reachable */
};

/* All owners, by name and store id, each with all that it owns: *list is new, for mem_free. */
size_t ipam_owners(const struct ipam *i, struct ipam_owner **list);

/* Whom an election (votes) or a takeover (answers) waits for: the index-th, false at the end. */
bool ipam_waiting_for(const struct ipam *i, size_t index, peer_name *peer);

/* A piece of the ring. */
struct ipam_piece {
	struct span span;
	peer_name owner;
	uint64_t store_id;
	uint32_t epoch, counter; /* of its version */
};

/* The first one that ends behind 'from'; false at the end. */
bool ipam_piece_at(const struct ipam *i, uint64_t from, struct ipam_piece *piece);

enum ipam_pending_type { IPAM_PENDING_ALLOCATE, IPAM_PENDING_CLAIM, IPAM_PENDING_PRIME };

struct ipam_pending {
	enum ipam_pending_type type;
	struct bytes container; /* empty: PRIME */
	struct span want;	/* likewise */
};

/* The requests that wait for space or for a ring, oldest first: *list is new, for mem_free. */
size_t ipam_pendings(const struct ipam *i, struct ipam_pending **list);

#endif
