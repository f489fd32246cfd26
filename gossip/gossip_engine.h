/* The inside of struct gossip, shared by gossip_*.c and nobody else.
 *
 *	gossip_engine.c    life of the object, actions, time
 *	gossip_conn.c      connections: transport events, output, end
 *	gossip_join.c      what to do with a peer that has said HELLO: accept, refuse, which of two
 *	gossip_passwords.c other passwords than before, on connections that are up
 *	gossip_frames.c    frames of established connections, UNICAST
 *	gossip_entries.c   own entries, merging, identity, garbage
 *	gossip_mesh.c      whom to be linked to, what of it is published
 *	gossip_targets.c   addresses to dial, and when
 *	gossip_status.c    looking in
 *
 * Pure; loop thread.  Every public event ends in gossip_settle, which does what follows from the
 * event: tells the neighbours of changes, updates the topology, starts repair, dials.
 */
#ifndef WEAVE_GOSSIP_ENGINE_H
#define WEAVE_GOSSIP_ENGINE_H

#include <weave/gossip.h>
#include <weave/hash.h>
#include <weave/hostport.h>
#include <weave/list.h>
#include <weave/rng.h>
#include <weave/table.h>

#include "garbage.h"
#include "handshake_wire.h"
#include "identity.h"
#include "neighbour.h"
#include "proof_wire.h"
#include "session_wire.h"
#include "strangers.h"
#include "target.h"

#define DIAL_TIMEOUT_MS 20000u	/* the world answers earlier; this is for a world that forgets */
#define SPARE_TIMEOUT_MS 10000u /* the other end decides within a round trip */
#define NO_PROGRESS_MS 10000u
#define CLOSING_MS 1500u
#define HISTORY_MS 60000u
#define HISTORY_MAX 64u
#define TOPOLOGY_MS 50u
#define MESH_MS 200u	      /* changes of the topology are gathered for so long */
#define MESH_REFRESH_MS 5000u /* for what only time changes */
#define LINK_DELAY_MS 300u    /* most data paths are up by then: one publication, not two */
#define ABSENT_KEPT_MS 30000u
#define UNWANTED_AFTER_MS 60000u
#define UNWANTED_EVERY_MS 5000u
#define RETRACT_MS 2000u
#define FLOOR_MS 30000u
#define REPUBLISH_MS 10000u
#define CANDIDATES_MAX 8u
/* Both ends dial: the one with the higher name gives the other a head start. */
#define HEAD_START_MS 1500u

enum conn_state {
	CONN_DIALLING,
	CONN_HANDSHAKE,
	CONN_SPARE, /* second connection to a peer; the peer of lower name decides */
	CONN_UP,    /* 'neighbour' is valid */
	CONN_CLOSING,
};

/* What a sealed connection rests on. */
struct trust {
	uint32_t password_id; /* of ours, that both ends proved to know */
	uint8_t binding[DERIVED_SIZE];
	struct proof *proof;   /* a run under way; owned */
	struct mono proof_due; /* dialled: begin a run */
	struct mono proof_at;  /* dialled: the latest one began, 0 none; else see there */
	bool again;	       /* another one when this one is over */
};

struct conn {
	struct list in_order; /* what every tick looks at comes first */
	struct mono due;      /* never later than conn_deadline */
	enum conn_state state;
	bool outbound;
	bool confirmed; /* UP, and the other end has shown that it accepted us */
	struct gossip *owner;
	conn_id id;
	struct list flowing;		  /* linked while entries flow on it */
	struct table_link by_id, by_peer; /* by_peer: UP only */
	uint32_t target;		  /* that dialled it; 0 none */
	struct netaddr local, remote;
	struct mono since; /* of 'state' */

	uint64_t random; /* our connection id in HELLO */
	struct handshake *handshake;
	struct hello hello;	   /* theirs, from SPARE or UP on */
	struct name_holder holder; /* what CLOSE shall say of who has its name */
	uint8_t version;	   /* of the protocol; 0 before it is agreed */
	struct path_secret secret;
	struct trust *trust; /* NULL while in clear; owned */

	struct session_in in;
	struct session_out sealer;
	uint8_t *out; /* what pull could not hand over whole; owned */
	size_t out_at, out_size;
	bool told; /* WRITE was asked for and pull has not emptied us since */
	struct mono told_at, pulled_at;

	struct neighbour neighbour;
	uint8_t overlay; /* data path in use */
	struct mono link_due;
	struct mono unwanted_since;
	uint64_t bytes_in, bytes_out;
};

struct dial_target {
	uint32_t id;
	char *text;	      /* as typed; NULL for a discovered one */
	struct hostport host; /* operator's */
	peer_name peer;	      /* expected (discovered) or met last (operator's); NONE */
	struct target fsm;
	conn_id conn; /* dialling or shaking hands or up; 0 none */
	bool resolving;
	bool self; /* it leads to ourselves: not tried again */
	struct why why;
	struct netaddr candidates[CANDIDATES_MAX];
	unsigned candidates_count, candidate;
};

struct mesh_peer {
	peer_name name;
	bool structural;
	bool reachable;
	struct mono reachable_until; /* counts as reachable; kept ABSENT_KEPT_MS */
	peer_name retracted_by;
	struct mono retracted_at;
	struct dial_target *target; /* discovered; owned by gossip->targets */
};

struct own_entry {
	struct table_link by_key;
	uint8_t kind;
	size_t key_size, value_size;
	uint8_t *value; /* owned */
	uint8_t key[];
};

struct history {
	struct gossip_conn_info info;
	struct mono until;
};

struct queued_action {
	struct gossip_action action;
	void *owned; /* text or bytes */
};

struct gossip {
	struct gossip_config config;
	struct log *log;
	struct rng rng;
	struct hash_key hash_key;
	struct mono now; /* of the latest event */
	struct mono started, due;
	bool stopped;

	struct store *store;
	struct topology *topology;
	struct garbage *garbage;
	struct identity identity;
	struct neighbours neighbours;

	struct table conns, peers; /* by id; by peer name: the one connection that counts */
	struct list conns_in_order;
	struct list conns_flowing;
	conn_id last_conn;
	uint32_t handshakes_count, inbound_count, outbound_count; /* inbound: SPARE and UP */
	struct netaddr own_addresses[2 * ADDRESSES_PER_PEER_MAX];
	unsigned own_addresses_count;

	struct dial_target **targets;
	size_t targets_count, targets_room;
	uint32_t last_target;
	struct mono targets_due;

	struct mesh_peer *mesh; /* in order of name */
	size_t mesh_count;
	struct mono mesh_due, unwanted_closed_at;

	struct table own;
	struct mono floor_due, republish_due;
	uint64_t ticket; /* newest PERSIST */
	bool persisting;

	uint64_t seen_sequence, routes_version, peers_version;
	bool gone_arrived;
	struct mono topology_due, topology_at;

	struct queued_action *actions; /* ring */
	size_t actions_room, actions_first, actions_count;
	void *action_owned; /* by the action handed out last */

	struct strangers strangers;
	struct log_limit strangers_log;
	struct history history[HISTORY_MAX];
	size_t history_next;
	struct gossip_counters counters;
	uint8_t scratch[SESSION_ROOM];
	uint8_t opened[FRAME_SIZE_MAX]; /* of the record in hand */
};

/* ---- gossip_engine.c ---- */
void gossip_settle(struct gossip *g);
void due_by(struct gossip *g, struct mono due);
struct gossip_action *push_action(struct gossip *g, enum gossip_action_type type);
/* Gives the action a copy of the bytes, freed once it was carried out. */
void action_own_bytes(struct gossip *g, struct gossip_action *a, struct bytes bytes);
void action_own_text(struct gossip *g, struct gossip_action *a, const char *text);

/* ---- gossip_conn.c ---- */
struct conn *conn_find(const struct gossip *g, conn_id id);
struct conn *conn_of_peer(const struct gossip *g, peer_name peer);
struct conn *conn_dial(struct gossip *g, struct netaddr to, uint32_t target);
void conn_out(struct conn *c, struct bytes bytes);
/* Sends a frame, sealed if that time has come; 'room' as for session_seal. */
void conn_out_frame(struct conn *c, uint8_t *room, size_t frame_size);
void conn_poke(struct conn *c); /* asks the world to pull if there is something to pull */
/* Whatever may bring its deadline forward ends in this. */
void conn_touch(struct conn *c);
void conn_tick(struct conn *c);
/* Ends it: says CLOSE if it can, tells everybody here why. */
void conn_close(struct conn *c, const struct why *why);
/* Ends it after the other end or the transport did. */
void conn_lost(struct conn *c, const struct why *why);
void conn_enter(struct conn *c, enum conn_state state);
void conns_free(struct gossip *g);
const char *conn_text(const struct conn *c, char *text, size_t size); /* for log lines */
#define CONN_TEXT_SIZE 400

static inline bool has_password(const struct gossip *g)
{
	return g->config.passwords && g->config.passwords->count > 0;
}

/* The configured limit counts dials; twice as many are accepted. */
static inline uint64_t accept_limit(const struct gossip *g)
{
	return g->config.conn_limit ? (uint64_t)g->config.conn_limit * 2 : UINT64_MAX;
}

/* ---- gossip_passwords.c ---- */
bool password_is_known(const struct gossip *g, uint32_t id);
/* Both ends know a password, by 'keys'. */
void passwords_trust(struct conn *c, const struct key_exchange *keys);
void passwords_confirmed(struct conn *c); /* it is up */
const char *passwords_on_proof(struct conn *c, struct bytes body);
void passwords_tick(struct conn *c); /* when the deadline is reached */
void passwords_forget(struct conn *c);

static inline struct mono passwords_deadline(const struct conn *c)
{
	return c->trust ? c->trust->proof_due : MONO_NEVER;
}

/* ---- gossip_join.c ---- */
void join(struct conn *c); /* its HELLO is in c->hello */
void join_confirmed(struct conn *c);
/* A spare was chosen by the other end. */
void join_promote(struct conn *c);
/* The connection that counted ended: takes back what it meant, and lets a spare follow. */
void join_leave(struct conn *c);

/* ---- gossip_frames.c ---- */
void frames_received(struct conn *c, struct bytes bytes);

/* ---- gossip_entries.c ---- */
const char *entries_received(struct conn *c, struct bytes body);
/* Another instance of our name is or was connected somewhere. */
void entries_name_is_taken(struct gossip *g, struct name_holder holder);
bool entries_put(struct gossip *g, uint8_t kind, struct bytes key, struct bytes value);
void entries_put_peer(struct gossip *g);
void entries_tick(struct gossip *g);
struct mono entries_deadline(const struct gossip *g);
void entries_settle(struct gossip *g); /* applies `gone` */
void entries_free(struct gossip *g);

/* ---- gossip_mesh.c ---- */
struct mesh_peer *mesh_find(const struct gossip *g, peer_name name);
void mesh_soon(struct gossip *g);
void mesh_update(struct gossip *g);
void mesh_on_retract(struct gossip *g, peer_name to, peer_name by);
void mesh_close_unwanted(struct gossip *g);
struct mono mesh_deadline(const struct gossip *g);
bool mesh_is_structural(const struct conn *c);
/* Neither end needs entries to flow on it, and its peer can be reached without it. */
bool mesh_can_spare(const struct conn *c);
/* Publishes the link of 'c' as it is now, or takes it back. */
void link_update(struct conn *c);
void link_retract(struct gossip *g, peer_name to);

/* ---- gossip_targets.c ---- */
struct dial_target *target_find(const struct gossip *g, uint32_t id);
struct dial_target *targets_discover(struct gossip *g, peer_name peer, uint32_t cap_ms);
void targets_remove(struct gossip *g, struct dial_target *t);
/* Another cap; 'soon': the delay starts over. */
void target_set_urgency(struct gossip *g, struct dial_target *t, uint32_t cap_ms, bool soon);
bool targets_want(const struct gossip *g, peer_name peer); /* the operator does */
bool target_is_satisfied(const struct gossip *g, const struct dial_target *t);
bool is_own_address(const struct gossip *g, struct netaddr a);
void targets_tick(struct gossip *g);
/* The connection 'c' of 't' is over; 'c' is still readable. */
void target_conn_ended(struct dial_target *t, const struct conn *c, const struct why *why);
void targets_peer_up(struct gossip *g, struct conn *c);
void targets_peer_lost(struct gossip *g, peer_name peer, const struct why *why);
void targets_free(struct gossip *g);

/* ---- gossip_status.c ---- */
void history_add(struct conn *c, const struct why *why);

#endif
