/* IP addresses for containers, unique in the whole network, without consensus rounds.
 *
 * Pure; loop thread.  One `struct ipam` is all that one router knows and does about one universe
 * (an address range; control-plane.md 6).  It opens no socket and no file, reads no clock and
 * draws randomness from its seed only.  The world feeds events and carries out actions in order:
 *
 *   SAVE    make one change durable, in order; ipam_on_saved(ticket) says: all up to it are
 *   MERGE   store_merge(entry, source 0): a vote, a run or a retirement, immutable versions
 *   PUT     gossip_put(kind, key, value): what we have free
 *   SEND    UNICAST on IPAM_CHANNEL to 'peer'; may be lost, late or doubled
 *   ANSWER  to a request; each request gets exactly one, unless it was cancelled
 *   RENEW   our disk is an old copy: make a new store id, durable, then ipam_on_new_store
 *
 * Nothing leaves (SEND, MERGE, ANSWER) that depends on a change before that change is durable:
 * the actions are held back here until the ticket comes.  An offset is an address minus the
 * first of the universe.  Texts that are handed out are borrowed until the next call.
 */
#ifndef WEAVE_IPAM_H
#define WEAVE_IPAM_H

#include <weave/hash.h>
#include <weave/log.h>
#include <weave/store.h>
#include <weave/why.h>

#define IPAM_CHANNEL 1
#define IPAM_CONTAINER_MAX 255u	  /* bytes of a container's identity */
#define IPAM_REQUESTS_MAX 16384u  /* waiting at a time */
#define IPAM_ELECTORS_MAX 255u	  /* seeds of a ring fit one entry */
#define IPAM_GRACE_MS 30000u	  /* a dead container keeps its addresses so long */
#define IPAM_ASK_TIMEOUT_MS 2000u /* then another donor is asked */
#define IPAM_PATIENCE_MS 10000u	  /* before "nobody answers" is an answer; 6.3 */
#define IPAM_RANK_DELAY_MS 5000u  /* between proposals of the first ring, by rank */
#define IPAM_RETRY_MS 5000u	  /* takeovers, hand-overs and disputes are sent again */

struct span {
	uint64_t start, end; /* [start, end) */
};

struct universe {
	struct cidr prefix;
	uint64_t size; /* offsets in use: at most 2^32, the lowest of an IPv6 prefix */
};

/* False with 'why' when it is not a network of at least 4 addresses. */
bool universe_init(struct universe *u, struct cidr cidr, struct why *why);
/* False when the address lies outside. */
bool universe_offset(const struct universe *u, struct ip_addr ip, uint64_t *offset);
struct ip_addr universe_address(const struct universe *u, uint64_t offset);
/* What may be handed out in 'subnet': its part of the universe, but neither its first nor its
 * last address.  False with 'why'. */
bool universe_subnet(const struct universe *u, struct cidr subnet, struct span *span,
		     struct why *why);

/* Tables of durable rows: key u64, value up to ENTRY_SIZE_MAX bytes.  Numbers are on disks. */
enum ipam_table {
	IPAM_TABLE_RING = 1,	/* 0: the ring id we belong to */
	IPAM_TABLE_VOTE = 2,	/* 0: our vote */
	IPAM_TABLE_RUN = 3,	/* start: the rest of a run of the ring */
	IPAM_TABLE_ADDRESS = 4, /* offset: container */
	IPAM_TABLE_MARK = 5,	/* start: owned by rmpeer, but not confirmed */
	IPAM_TABLE_RETIRED = 6, /* hash of owner: owner, heir */
	IPAM_TABLE_REMOVED = 7, /* peer name: removed by rmpeer, and not seen since */
	IPAM_TABLE_FORMER = 8,	/* 0: our name had another store before this one */
	IPAM_TABLE_AWAITED = 9, /* peer name: it must answer the takeovers that were begun */
};

enum ipam_action_type {
	IPAM_SAVE,   /* table, key, bytes (data NULL: delete), ticket */
	IPAM_MERGE,  /* entry */
	IPAM_PUT,    /* entry.kind, entry.key, entry.value */
	IPAM_SEND,   /* peer, bytes */
	IPAM_ANSWER, /* request, ok; offset (allocate, claim), bytes: a sentence; why when !ok */
	IPAM_RENEW,
};

struct ipam_action {
	enum ipam_action_type type;
	enum ipam_table table;
	uint64_t key, ticket, request, offset;
	peer_name peer;
	bool ok;
	bool fresh;		 /* ANSWER that gives an address: nobody had it before */
	struct bytes bytes;	 /* borrowed until the next call */
	struct entry_view entry; /* likewise */
	struct why why;
};

enum ipam_mode { IPAM_CONSENSUS, IPAM_SEED, IPAM_OBSERVER };

struct ipam_config {
	struct universe universe;
	peer_name self;
	uint64_t store_id, seed;
	bool has_targets; /* somebody is expected to answer */
	enum ipam_mode mode;
	uint32_t electors;	/* CONSENSUS: N, 1 .. IPAM_ELECTORS_MAX */
	const peer_name *seeds; /* SEED: borrowed for the call */
	size_t seeds_count;
};

struct ipam;

/* Then ipam_load for every durable row, in any order, then ipam_start, then events. */
struct ipam *ipam_new(const struct ipam_config *config, struct log *log);
void ipam_free(struct ipam *i);
/* NULL, or the name of the field that is damaged: set the disk aside and start with a new one. */
const char *ipam_load(struct ipam *i, enum ipam_table table, uint64_t key, struct bytes value);
void ipam_start(struct ipam *i, struct mono now);
/* Registers kinds vote, run, retired and space for all of them ('list' is copied; free the store
 * first). Runs of other universes and other rings than ours are refused. */
void ipam_register(struct store *s, struct ipam *const *list, size_t count);

bool ipam_next_action(struct ipam *i, struct ipam_action *action);
/* The highest ticket that something waits for; above the last one saved: sync now. */
uint64_t ipam_urgent(const struct ipam *i);
void ipam_tick(struct ipam *i, struct mono now);
struct mono ipam_deadline(const struct ipam *i);

/* ---- events from the world ---- */
void ipam_on_saved(struct ipam *i, uint64_t ticket, struct mono now);
/* The disk refuses ('reason'): nothing new is allocated or given away, and who waits for it is
 * refused; NULL: it works again. */
void ipam_on_disk(struct ipam *i, const char *reason, struct mono now);
/* A peer entry is known, and whether its peer can be reached; and when it is gone.  Of our own name
 * with another store id, too: then a former life has voted, or used what seed= gives us. */
void ipam_on_peer(struct ipam *i, peer_name peer, uint64_t store_id, bool reachable,
		  struct mono now);
void ipam_on_peer_gone(struct ipam *i, peer_name peer, struct mono now);

/* It was removed by weave rmpeer, here or elsewhere, and not seen since. */
bool ipam_is_removed(const struct ipam *i, peer_name peer);

struct ipam_ring_state {
	uint64_t ring_id; /* 0: none yet, or no such universe */
	struct hash128 digest;
};
/* What we tell neighbours, and what a connected neighbour says; NULL: it has not said yet. */
struct ipam_ring_state ipam_ring_state(const struct ipam *i);
void ipam_on_neighbour(struct ipam *i, peer_name peer, const struct ipam_ring_state *state,
		       struct mono now);
void ipam_on_neighbour_lost(struct ipam *i, peer_name peer, struct mono now);

/* The same in bytes, for all universes of a router: what RINGS carries.  At most
 * RINGS_MESSAGE_MAX bytes. */
size_t ipam_rings(struct ipam *const *list, size_t count, void *buffer, size_t size);
/* A connected neighbour said that; of universes that it does not name it has no ring. NULL, or the
 * name of the wrong field: then nothing happened. */
const char *ipam_on_rings(struct ipam *const *list, size_t count, peer_name peer, struct bytes body,
			  struct mono now);

/* Whether the message is about this universe; a malformed one is about none. */
bool ipam_is_about(const struct ipam *i, struct bytes payload);
/* NULL, or the name of the wrong field. */
const char *ipam_on_message(struct ipam *i, peer_name from, struct bytes payload, struct mono now);
/* Answers a message about a universe that this router does not serve; size of the answer, 0: none.
 * 'buffer' holds at least 128 bytes. */
size_t ipam_decline(struct bytes payload, void *buffer, size_t size);
/* A message of ours to 'peer' came back: it cannot be reached just now. */
void ipam_on_unreached(struct ipam *i, peer_name peer, struct mono now);
/* Our store goes on somewhere where this disk does not know of: it is an old copy. RENEW follows.
 */
void ipam_on_copy(struct ipam *i, struct mono now);
void ipam_on_new_store(struct ipam *i, uint64_t store_id, struct mono now);

/* ---- requests: answered by an action with the same number (0 is none) ---- */
/* The container's address in 'within' if it has one, else the lowest free one. */
void ipam_allocate(struct ipam *i, uint64_t request, struct bytes container, struct span within,
		   struct mono now);
void ipam_claim(struct ipam *i, uint64_t request, struct bytes container, uint64_t offset,
		struct mono now);
void ipam_prime(struct ipam *i, uint64_t request, struct mono now);
/* Takes over what 'peer' owns, as far as this store id (0: any).  Of a peer that can be reached
 * only what its former, lost stores owned, unless it owns nothing such and 'force' is set; 'force'
 * also does not wait longer for peers that do not answer. Asked again, it goes on with what was
 * begun. */
void ipam_remove_peer(struct ipam *i, uint64_t request, peer_name peer, uint64_t store_id,
		      bool force, struct mono now);
/* Gives all that is ours to an heir; after the answer the caller may erase the disk. */
bool ipam_may_reset(const struct ipam *i, bool force, struct why *why); /* false with 'why' */
void ipam_reset(struct ipam *i, uint64_t request, bool force, struct mono now);
/* The client went away: no answer, and an address that only it would have had is free again. */
void ipam_cancel(struct ipam *i, uint64_t request, struct mono now);

/* ---- at once ---- */
/* The container lives on that address already (found on the bridge at start, after the disk was
 * lost, say): it is ours from now on, or disputed until its owner gives it. False when another
 * container of ours has it. */
bool ipam_found(struct ipam *i, struct bytes container, uint64_t offset, struct mono now);
/* False when the container does not hold it. */
bool ipam_release(struct ipam *i, struct bytes container, uint64_t offset, struct mono now);
size_t ipam_release_all(struct ipam *i, struct bytes container, struct mono now);
/* Addresses of a dead container are free after IPAM_GRACE_MS, unless it is seen alive again. */
void ipam_container(struct ipam *i, struct bytes container, bool alive, struct mono now);
/* The lowest address >= 'from' that the container holds in 'within'; false when there is none. */
bool ipam_lookup(const struct ipam *i, struct bytes container, struct span within, uint64_t from,
		 uint64_t *offset);
/* The first address >= 'from' in use here; false at the end. 'container' is borrowed. */
bool ipam_address_at(const struct ipam *i, uint64_t from, uint64_t *offset, struct bytes *container,
		     bool *disputed);

#include <weave/ipam_status.h>

/* Asserts all invariants; for tests. */
void ipam_check(const struct ipam *i);

#endif
