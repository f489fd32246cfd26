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
	bool known;	/* a peer entry with this store id is known */
	bool reachable;
	uint64_t free; /* as advertised; meaningful when reachable */
};

/* Owners by name and store id, each with all that it owns; the index-th, false at the end. */
bool ipam_owner_at(const struct ipam *i, size_t index, struct ipam_owner *owner);

/* Whom an election (votes) or a takeover (answers) waits for: the index-th, false at the end. */
bool ipam_waiting_for(const struct ipam *i, size_t index, peer_name *peer);

#endif
