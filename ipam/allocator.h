/* The parts of one struct ipam, each with its file.  Private to ipam/; see <weave/ipam.h>.
 *
 * Pure; loop thread.  Rules that hold everywhere here (control-plane.md 6):
 *  - Only the owner of an offset writes it, with counter + 1; rmpeer writes epoch + 1.
 *  - A write of our own enters the ring at once, so that we do not use what we gave away, and
 *    leaves only after it is durable: all that leaves goes through out_hold().
 *  - 'ring' is what we know, our unsynced writes included; 'published' is what the store has.
 *  - 'space' owns exactly what we may use: ours by name and store id, and not marked unconfirmed
 *    at the very version it has.
 */
#ifndef WEAVE_IPAM_ALLOCATOR_H
#define WEAVE_IPAM_ALLOCATOR_H

#include <weave/alloc.h>
#include <weave/limits.h>
#include <weave/must.h>
#include <weave/rng.h>

#include "ipam_wire.h"
#include "kinds.h"
#include "ring.h"
#include "space.h"
#include "vote.h"

#define RETIREMENTS_MAX 4096u
#define MARKS_MAX (1u << 18)
#define LIVE_REPORTED_MAX (1u << 20)
#define DISPUTE_CLAIMS_MAX 64u /* asked for at a time */
#define SPACE_DELAY_MS 2000u   /* between two advertisements */
#define REFUSE_RUNS_MAX 64u

/* ---- outgoing.c: actions, some of them held until a ticket comes ---- */

struct item {
	enum ipam_action_type type;
	enum ipam_table table;
	uint64_t after;	  /* held until this ticket was saved */
	uint64_t number;  /* SAVE: key; ANSWER: request, 0: nobody waits any more; entry: generation
			   */
	uint64_t ticket;  /* SAVE: its own; ANSWER that gives an address: that of its row */
	uint64_t promise; /* ANSWER that gives an address: its number */
	uint64_t offset, version;
	peer_name peer; /* SEND: to whom; entry: writer */
	bool ok;	/* SAVE: put, not delete */
	bool fresh;	/* ANSWER that gives an address nobody had before */
	uint8_t kind;
	enum why_reason reason;
	uint32_t key_size, size;
	uint8_t *data; /* key and value, bytes, or text: owned; NULL: in 'few' */
	uint8_t few[96];
};

struct items {
	struct item *list; /* circular */
	size_t head, count, room;
};

struct outgoing {
	struct items ready, held;
	struct item current; /* handed out last */
	uint64_t ticket;     /* of the last SAVE */
	uint64_t saved;
	uint64_t promised; /* answers that give an address, so far; they leave in order */
	uint64_t kept;	   /* the last of them that left */
	bool renew;
};

struct ipam;
void out_fini(struct outgoing *o);
void out_save(struct ipam *i, enum ipam_table table, uint64_t key, const void *data, size_t size);
void out_delete(struct ipam *i, enum ipam_table table, uint64_t key);
void out_merge(struct ipam *i, const struct entry_view *e, bool hold);
void out_put(struct ipam *i, const struct entry_view *e);
/* SEND 'm' with our universe, ring and store id filled in. */
void out_send(struct ipam *i, peer_name peer, struct ipam_message *m, bool hold);
/* What gives something is held; a refusal promises nothing, and a disk that fails must not keep it
 * back. 'fresh': nobody had the address before. */
struct address;
void out_address(struct ipam *i, uint64_t request, struct address *a, bool fresh);
void out_yes(struct ipam *i, uint64_t request, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void out_no(struct ipam *i, uint64_t request, const struct why *why);
/* Takes an answer back that is still here, and its address unless somebody else was given it, or
 * its container lives there. */
bool out_cancel(struct ipam *i, uint64_t request);
/* The address is about to be free: answers that give it are refusals now. */
void out_revoke(struct ipam *i, const struct address *a);
/* The disk fails: the same with all that wait for it, and they get a refusal. */
void out_refuse_held(struct ipam *i, const struct why *why);

/* ---- addresses.c: which container has which offset ---- */

struct address {
	uint64_t offset;
	uint64_t ticket;   /* of its row; 0: loaded */
	uint64_t promised; /* the last answer that gives it */
	bool seen;	   /* its container lives there, whoever asked for it */
	bool disputed;	   /* not ours to use, yet a container of ours lives there */
	bool dying;
	struct mono due; /* when dying: then it is free */
	struct table_link by_offset, by_container;
	struct list by_death, by_dispute;
	uint32_t container_size;
	uint8_t container[];
};

/* The container that was hashed last: one request hashes it several times. */
struct hashed_container {
	uint64_t hash;
	size_t size; /* 0: none yet */
	uint8_t name[IPAM_CONTAINER_MAX];
};

struct addresses {
	struct hash_key hash_key;
	struct hashed_container *last; /* a memory of lookups that change nothing else */
	struct table by_offset, by_container;
	struct list dying;    /* by due */
	struct list disputed; /* those that waited longest for being claimed first */
	size_t disputed_count, dying_count;
};

void addresses_init(struct addresses *a, uint64_t seed);
void addresses_fini(struct addresses *a);
struct address *address_find(const struct ipam *i, uint64_t offset);
/* The container's lowest address >= from within the span. */
struct address *address_of(const struct ipam *i, struct bytes container, struct span within,
			   uint64_t from);
/* Neither saves; the caller knows whether it is on disk. */
struct address *address_add(struct ipam *i, struct bytes container, uint64_t offset);
void address_remove(struct ipam *i, struct address *a);
void address_set_disputed(struct ipam *i, struct address *a, bool disputed);
void address_revive(struct ipam *i, struct address *a);
/* On disk as well. */
void address_drop(struct ipam *i, struct address *a);
bool address_is_of(const struct address *a, struct bytes container);
void addresses_tick(struct ipam *i);

/* ---- peers.c: who is there, what it has free; comparing rings ---- */

struct peer {
	peer_name name;
	bool known; /* has a peer entry: 'store_id' and 'reachable' hold */
	bool reachable;
	bool removed; /* by rmpeer, and not reachable since */
	bool awaited; /* was known while a takeover of ours was under way, perhaps in a life before
		       */
	bool owns;    /* something in the ring, when a takeover looked last */
	uint64_t store_id;
	bool asked;		  /* a question of ours is on its way */
	uint64_t last_ask;	  /* id of its last question: a repeated one is not served twice */
	struct space_info *space; /* NULL: unknown */
};

struct neighbour {
	peer_name name;
	bool said, synced;
	bool met; /* our rings are the same one, and were equal once */
	/* The connection ended before we knew what it knows.  Another one often follows at once. */
	bool lost;
	struct mono lost_due; /* until then we wait for it; MONO_NEVER: was never lost */
	struct ipam_ring_state state;
};

struct peers {
	struct peer *list; /* by name */
	size_t count, room;
	struct neighbour *neighbours; /* by name; those lost, too, while they hold us back */
	size_t neighbours_count, neighbours_room;
	bool in_sync;
	bool met_any;	      /* one of our ring, since we have it */
	struct mono sync_due; /* go on though no such one is there */
	struct mono space_next;
	bool space_dirty;
	struct space_info told; /* last advertisement */
	bool told_once;
	peer_name foreign_peer;
	uint64_t foreign_ring;
};

void peers_fini(struct peers *p);
struct peer *peer_find(const struct ipam *i, peer_name name);
struct peer *peer_get(struct ipam *i, peer_name name);
void peers_heard_space(struct ipam *i, const struct space_info *info, bool gone);
void peers_ring_adopted(struct ipam *i);
/* 'changed': something that its comparisons depend on did. */
void peers_step(struct ipam *i, bool changed);
struct mono peers_deadline(const struct ipam *i);
void peers_note_removed(struct ipam *i, peer_name name);
/* Free addresses of 'p' in 'within' by its advertisement; 1 when it has not said. */
uint64_t peer_free(const struct ipam *i, const struct peer *p, struct span within);
/* NULL when not connected. */
struct neighbour *neighbour_find(const struct ipam *i, peer_name name);
/* Whether runs of our ring are exchanged with a neighbour: it must have the same ring. */
bool neighbour_has_our_ring(const struct ipam *i, const struct neighbour *n);
bool neighbour_is_equal(const struct ipam *i, const struct neighbour *n);

/* ---- election.c: the first ring ---- */

struct election {
	struct ballot ballot;
	struct tally tally;
	bool barred; /* our name has, or had, another store: it may have voted from there */
	bool voted;
	struct vote own; /* when voted */
	bool installed;	 /* the initial runs of our ring are known */
	size_t searched; /* votes in the ballot when last looked for them */
	bool proposing;
	struct mono propose_due;
};

void election_heard(struct ipam *i, const struct vote *vote);
/* Our name was seen with this store id. */
void election_former_life(struct ipam *i, uint64_t store_id);
void election_step(struct ipam *i);
struct mono election_deadline(const struct ipam *i);
bool election_wanted(const struct ipam *i);
/* It could decide with fewer votes than we need: we do not vote as long as it is there. */
bool election_is_left_to(const struct ipam *i, const struct peer *p);
/* Those who could vote and can be reached, ourselves among them; caller frees. */
struct owner *election_visible(const struct ipam *i, size_t *count);

/* ---- requests.c: what callers wait for; hungers: spans we need addresses in ---- */

enum request_type { REQUEST_ALLOCATE, REQUEST_CLAIM, REQUEST_PRIME };

struct request {
	enum request_type type;
	uint64_t id;
	struct span want;      /* CLAIM: one offset */
	struct hunger *hunger; /* NULL while there is no ring, say */
	struct list link;
	uint32_t container_size;
	uint8_t container[];
};

/* One per span that somebody needs something in, whoever and however many they are. */
struct hunger {
	struct span want;
	bool dispute;	/* for a disputed address: never gives up */
	size_t waiters; /* requests */
	bool unready;	/* somebody could not answer now: worth another round */
	struct mono since;
	struct mono due; /* of the question, or the next round; MONO_NEVER: ask now */
	uint32_t delay_ms;
	uint64_t ask_id; /* 0: no question is out */
	peer_name asked;
	peer_name *tried;
	size_t tried_count, tried_room;
	uint32_t asked_empty; /* how many were asked that say they have nothing */
	struct why why;	      /* of the last refusal */
	struct list link;
};

struct requests {
	struct list waiting;
	size_t count;
	struct list hungers;
	size_t hungers_count;
	struct mono hunger_due;	 /* of the first */
	struct mono dispute_due; /* next look for addresses to claim back */
	bool dirty;		 /* something changed that could help */
};

void requests_init(struct requests *r);
void requests_fini(struct requests *r);
void requests_step(struct ipam *i);
struct mono requests_deadline(const struct ipam *i);
void requests_granted(struct ipam *i, peer_name from, const struct ipam_message *m);
void requests_refused(struct ipam *i, peer_name from, const struct ipam_message *m);
void requests_unreached(struct ipam *i, peer_name peer);
void requests_answer_prime(struct ipam *i);
void requests_fail_all(struct ipam *i, const struct why *why);
void requests_fail(struct ipam *i, const struct hunger *h, const struct why *why);

/* ---- hunger.c ---- */
struct hunger *hunger_get(struct ipam *i, struct span want);
void hungers_step(struct ipam *i);
void hungers_fini(struct requests *r);

/* ---- donor.c ---- */
void donor_on_ask(struct ipam *i, peer_name from, const struct ipam_message *m);
void refuse(struct ipam *i, peer_name to, const struct ipam_message *question, enum refusal why,
	    struct bytes holder);

/* ---- takeover.c: rmpeer ---- */

struct mark {
	uint64_t start, end;
	uint32_t epoch, counter;
	struct owner victim;
};

struct live {
	uint64_t offset;
	struct owner holder;
};

struct progress {
	peer_name peer;
	uint64_t to; /* answered up to here */
	bool declined;
	struct mono due; /* next time we ask */
};

struct takeover {
	peer_name victim;
	uint64_t id, request;
	struct mono begun;
	bool force;
	uint64_t size; /* offsets taken */
	struct progress *progress;
	size_t progress_count, progress_room;
	struct live *live;
	size_t live_count, live_room;
	struct list link;
};

struct takeovers {
	struct mark *marks; /* by start */
	size_t marks_count, marks_room;
	struct list list;
	bool dirty;
};

void takeovers_init(struct takeovers *t);
void takeovers_fini(struct takeovers *t);
const char *takeovers_load(struct ipam *i, uint64_t start, struct bytes value);
void takeovers_forget(struct ipam *i);
void takeovers_start(struct ipam *i);
void takeovers_step(struct ipam *i);
struct mono takeovers_deadline(const struct ipam *i);
void takeovers_cancel(struct ipam *i, uint64_t request);
/* The peer has another store: it has forgotten what it was asked, and what it said. */
void takeovers_on_new_store(struct ipam *i, peer_name peer);
void takeover_on_question(struct ipam *i, peer_name from, const struct ipam_message *m);
void takeover_on_answer(struct ipam *i, peer_name from, const struct ipam_message *m);
/* False when it was no question of ours. */
bool takeover_on_refusal(struct ipam *i, peer_name from, const struct ipam_message *m);
bool takeover_waits_for(const struct ipam *i, size_t *index, peer_name *peer);
/* The first mark that ends behind 'offset', NULL if there is none. */
const struct mark *mark_from(const struct ipam *i, uint64_t offset);
bool mark_holds(const struct mark *m, const struct run *run);

/* ---- handover.c: reset, heirs ---- */

struct inheritance {
	struct retirement who;
	/* We are the heir, and have merged all that the owner knew in the end, up to there: what
	 * we then still see as the owner's came to it later, and is ours to write. */
	uint64_t told_to;
	bool told;
};

struct handover {
	struct inheritance *list; /* by owner */
	size_t count, room;
	bool collect; /* something may belong to us as heir, or as a seed name */
	bool retired; /* we have handed over: never write again with this store id */
	uint64_t request, id, to;
	bool force;
	struct mono begun, due;
};

void handover_fini(struct handover *h);
const char *handover_load(struct ipam *i, uint64_t key, struct bytes value);
void handover_start(struct ipam *i);
/* Learns a retirement; 'publish' when it did not come from the store. */
void handover_heard(struct ipam *i, const struct retirement *r, bool publish);
/* We are another owner now, who has not retired. */
void handover_on_new_store(struct ipam *i);
void handover_step(struct ipam *i);
struct mono handover_deadline(const struct ipam *i);
void handover_on_question(struct ipam *i, peer_name from, const struct ipam_message *m);
void handover_on_answer(struct ipam *i, peer_name from, const struct ipam_message *m);
/* Whom we have handed over to; NONE if we have not. */
peer_name handover_heir(const struct ipam *i);

/* ---- register.c: the kinds in the store ---- */

struct edit_bytes {
	uint8_t key[UNIVERSE_KEY_MAX + 24];
	uint8_t value[16];
};

struct edits {
	struct bytes *removed;
	struct edit_bytes *removed_bytes, *inserted_bytes;
	struct entry_view *inserted;
	size_t removed_room, inserted_room;
};

struct served;
void edits_fini(struct edits *d);
void served_free(struct served *s);

/* ---- allocator.c ---- */

struct ipam {
	struct ipam_config config;
	struct owner self;
	struct owner *seeds; /* owned copy */
	struct log *log;
	struct rng rng;
	struct mono now;
	bool started;
	bool dirty;	/* a step is due */
	bool renewing;	/* our disk is an old copy */
	char disk[160]; /* why it does not work; "" */
	uint64_t ring_id;
	struct ring ring, published;
	struct run *loaded; /* rows of runs, until the start */
	size_t loaded_count, loaded_room;
	struct ring_changes changes;
	struct edits edits;
	struct served *served; /* by the store's kinds; the first universe owns it */
	struct space space;
	bool ring_is_full; /* and that was said */
	uint64_t disputes, asked, granted, refused;
	struct mono join_due;
	struct outgoing out;
	struct addresses addresses;
	struct peers peers;
	struct election election;
	struct requests requests;
	struct takeovers takeovers;
	struct handover handover;
};

/* May we allocate and give? Else 'why' tells. */
bool ipam_ready(const struct ipam *i);
/* Never will be, as things stand: refuse at once. */
bool ipam_is_stuck(const struct ipam *i, struct why *why);
void ipam_adopt(struct ipam *i, uint64_t ring_id);
/* Merges what somebody else wrote; 'publish' when it did not come from the store. */
void ipam_learn(struct ipam *i, const struct run *run, bool publish);
/* Writes as the owner (or by rmpeer): ring, disk, then the store. */
void ipam_write(struct ipam *i, const struct run *run);
/* Looks again at what of [start, end) we may use and what is disputed. */
void ipam_refresh(struct ipam *i, struct span span);
/* All runs of the ring within the span, clipped; the caller frees *list. */
size_t ipam_runs(const struct ipam *i, struct span span, struct run **list);
uint64_t ipam_random(struct ipam *i);					  /* never 0 */
const char *ipam_text(const struct ipam *i, uint64_t offset, char *text); /* IP_TEXT_SIZE */
/* From the store. */
void ipam_heard(struct ipam *i, const struct entry_view *e, bool gone);
/* Another copy of our store is in use: take a new store id. 'how' says what showed it. */
void ipam_renew(struct ipam *i, const char *how);
/* Ends every event. */
void ipam_settle(struct ipam *i);
void run_value(struct writer *w, const struct run *run);
const char *run_value_read(struct run *run, uint64_t start, struct bytes value, uint64_t size);

#endif
