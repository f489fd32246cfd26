/* The control plane of one router: connections to other routers, the replicated store, topology.
 *
 * Pure; loop thread.  One `struct gossip` is everything a router knows and says over its control
 * connections (control-plane.md 3 to 5).  It opens no socket, reads no clock, draws no randomness
 * but from its seed.  The world (gossip/connection_io.c in the daemon, tests/sim in the simulator)
 * feeds events and carries out actions:
 *
 *   events:   gossip_on_*()              bytes came, a connection opened or closed, time passed
 *   actions:  gossip_next_action()       dial, close, resolve, persist ...  until it returns false
 *   output:   gossip_pull(conn)          next bytes for the wire, while the socket takes some
 *   time:     gossip_deadline()          when to call gossip_tick() at the latest
 *
 * After any event the world drains the actions and looks at gossip_wants_write of the
 * connections that the engine marked (action WRITE).
 *
 * A connection is known by a number that is never used again (0 = none): the connection instance.
 */
#ifndef WEAVE_GOSSIP_H
#define WEAVE_GOSSIP_H

#include <weave/log.h>
#include <weave/password.h>
#include <weave/peer.h>
#include <weave/store.h>
#include <weave/topology.h>
#include <weave/why.h>

typedef uint64_t conn_id;

struct gossip_config {
	peer_name name;
	char nickname[NICKNAME_MAX + 1];
	uint16_t port;	     /* we listen on; also the default port of targets */
	uint32_t conn_limit; /* dials; twice as many are accepted. 0 = no limit */
	bool discovery;
	uint8_t overlays; /* OVERLAY_* we can do */
	uint8_t addresses_count;
	struct ip_addr addresses[ADDRESSES_PER_PEER_MAX];
	uint64_t instance;   /* random per start */
	uint64_t store_id;   /* random per store */
	uint64_t generation; /* already persisted */
	uint64_t seed;
	uint8_t protocol_min, protocol_max; /* 3, 3; tests use others */

	/* Borrowed; must outlive the object or be replaced (gossip_set_passwords).  NULL: none. */
	const struct passwords *passwords;
	/* Data of connections to these goes in clear where the other end trusts us likewise. */
	uint8_t trusted_count;
	struct cidr trusted[TRUSTED_SUBNETS_MAX];
	/* Fills 'out' with bytes that nobody can guess: what keys are made from.  Never from
	 * 'seed', which is known to whoever knows its other outputs.  May be NULL without
	 * passwords. */
	void (*entropy)(void *ctx, void *out, size_t size);
	void *entropy_ctx;
};

enum gossip_action_type {
	GOSSIP_DIAL,	  /* conn, address: connect; answer on_connected or on_dial_failed */
	GOSSIP_RESOLVE,	  /* target, text: name to addresses; answer on_resolved */
	GOSSIP_CLOSE,	  /* conn: send what gossip_pull still gives (at most 1 s), then close */
	GOSSIP_WRITE,	  /* conn: gossip_pull has bytes */
	GOSSIP_PERSIST,	  /* ticket, generation: make durable; answer on_persisted */
	GOSSIP_UP,	  /* conn, peer: handshake done; data path may be set up */
	GOSSIP_DOWN,	  /* conn, peer: was UP before */
	GOSSIP_OVERLAY,	  /* conn, bytes: data-path message from the other end */
	GOSSIP_SUSPECT,	  /* peer: two of its neighbours dropped it: probe it now */
	GOSSIP_ROUTES,	  /* topology_version changed */
	GOSSIP_UNICAST,	  /* peer, channel, bytes: message for us from 'peer' */
	GOSSIP_UNREACHED, /* peer, channel: a message of ours could not be delivered */
	GOSSIP_RINGS,	  /* conn, peer, bytes: what it says of its rings; answer rings_heard */
	GOSSIP_PEERS,	  /* topology_peers_version changed */
	/* store_id: another life of our name had that store. Or 'copied': it has ours, and goes
	 * on where this disk does not know of: this disk is an old copy */
	GOSSIP_FORMER_LIFE,
};

/* What the two ends of one connection protect their data path with; known to them alone. */
struct path_secret {
	bool sealed;	    /* else the data path goes in clear */
	bool initiator;	    /* we dialled: so each direction gets keys of its own */
	uint8_t secret[32]; /* from this connection's handshake; zeroes unless sealed */
};

struct gossip_action {
	enum gossip_action_type type;
	conn_id conn;
	peer_name peer;
	struct netaddr address;
	uint32_t target;
	const char *text;   /* borrowed until the next gossip call */
	struct bytes bytes; /* borrowed until the next gossip call */
	uint64_t generation, ticket, store_id;
	uint8_t channel;
	bool copied;
	struct path_secret secret; /* UP */
};

struct gossip;

struct gossip *gossip_new(const struct gossip_config *config, struct mono now, struct log *log);
void gossip_free(struct gossip *g);

/* Shared views; owned by the engine object, live as long as it does.  Other folders register their
 * kinds with the store right after gossip_new, and write entries through gossip_put only. */
struct store *gossip_store(struct gossip *g);
struct topology *gossip_topology(struct gossip *g);

/* ---- events from the world ---- */
void gossip_tick(struct gossip *g, struct mono now);
struct mono gossip_deadline(const struct gossip *g);

/* A TCP connection came in. Its number, or 0 with 'why' when it must be closed at once. */
conn_id gossip_on_accepted(struct gossip *g, struct netaddr remote, struct mono now,
			   struct why *why);
void gossip_on_connected(struct gossip *g, conn_id conn, struct netaddr local,
			 struct netaddr remote, struct mono now);
void gossip_on_dial_failed(struct gossip *g, conn_id conn, const char *reason, struct mono now);
/* 'addresses' may be empty: then 'reason' says why. */
void gossip_on_resolved(struct gossip *g, uint32_t target, const struct netaddr *addresses,
			size_t addresses_count, const char *reason, struct mono now);
/* Any number of bytes, cut anywhere. Unknown numbers (already closed) are ignored. */
void gossip_on_received(struct gossip *g, conn_id conn, struct bytes bytes, struct mono now);
/* The transport is gone. 'reason' may be NULL (closed by the other end). */
void gossip_on_closed(struct gossip *g, conn_id conn, const char *reason, struct mono now);
void gossip_on_persisted(struct gossip *g, uint64_t ticket, struct mono now);

/* Fills 'buffer' with the next bytes to send; returns how many, 0 when there is nothing. What was
 * pulled counts as progress only when more is pulled later: a peer that does not read is noticed.
 */
size_t gossip_pull(struct gossip *g, conn_id conn, void *buffer, size_t size, struct mono now);
bool gossip_wants_write(const struct gossip *g, conn_id conn);

bool gossip_next_action(struct gossip *g, struct gossip_action *action);

/* ---- from the router (data path) ---- */
/* Sends a data-path message to the other end of 'conn'; false when it is not up. */
bool gossip_send_overlay(struct gossip *g, conn_id conn, struct bytes message);
/* The data path of 'conn' came up with 'overlay' (OVERLAY_*), changed, or died (0). Publishes the
 * link and tells topology. */
void gossip_set_data_path(struct gossip *g, conn_id conn, uint8_t overlay, struct mono now);

/* ---- from views and services ---- */
/* Writes or (value.data == NULL) tombstones an entry of our own under its next version.  False when
 * nothing changed. Kept and re-published by the engine when the generation rises. */
bool gossip_put(struct gossip *g, uint8_t kind, struct bytes key, struct bytes value,
		struct mono now);
/* False with 'why' when there is no route or the payload is too large. */
bool gossip_send_unicast(struct gossip *g, peer_name to, uint8_t channel, struct bytes payload,
			 struct mono now, struct why *why);

/* Merges an entry that is not a single writer's own, versions and all: kinds vote, run, retired. */
void gossip_merge(struct gossip *g, const struct entry_view *e, struct mono now);

/* What every neighbour is told of kinds that merge by a rule of their own (1 .. RINGS_MESSAGE_MAX
 * bytes, the newest replaces the last): right after the connection came up, and when it changes. */
void gossip_tell_rings(struct gossip *g, struct bytes body, struct mono now);
/* The neighbour's RINGS were taken in, so that kind.compare knows them; or 'bad' names the wrong
 * field, and the connection is closed. */
void gossip_rings_heard(struct gossip *g, conn_id conn, const char *bad, struct mono now);

/* The store id in our peer entry from now on; it is durable. */
void gossip_set_store(struct gossip *g, uint64_t store_id, struct mono now);

/* Where this router is now, in place of config.addresses (the first ADDRESSES_PER_PEER_MAX count);
 * published when they differ. */
void gossip_set_addresses(struct gossip *g, const struct ip_addr *addresses, size_t count,
			  struct mono now);

/* Other passwords in place of config.passwords; there were some, and there are some.  Connections
 * stay, and their ends prove to each other what they know now; those that rest on a password that
 * is not among the new ones are closed. */
void gossip_set_passwords(struct gossip *g, const struct passwords *passwords, struct mono now);

/* ---- from people ---- */
/* Adds targets (texts as typed: host or address with optional port); 'replace' forgets all others
 * first.  All or nothing: false with 'why' naming the bad one.  Dials at once. */
bool gossip_connect(struct gossip *g, const char *const *texts, size_t count, bool replace,
		    struct mono now, struct why *why);
/* By exact text; unknown ones are ignored. Live connections stay. Returns how many were known. */
size_t gossip_forget(struct gossip *g, const char *const *texts, size_t count, struct mono now);
/* Says goodbye on all connections (CLOSE with STOPPED); the world then drains and stops. */
void gossip_stop(struct gossip *g, struct mono now);

/* ---- looking in ---- */
enum gossip_conn_state {
	CONN_CONNECTING,
	CONN_RETRYING,
	CONN_FAILED,
	CONN_PENDING,
	CONN_ESTABLISHED
};

struct gossip_conn_info {
	conn_id conn; /* 0 for a target without a connection */
	enum gossip_conn_state state;
	bool outbound;
	bool structural;
	struct netaddr address; /* of the other end; family 0: a name that did not resolve yet */
	const char *target;	/* then this is the name, borrowed until the next gossip call */
	peer_name peer;		/* NONE before the handshake */
	char nickname[NICKNAME_MAX + 1];
	uint8_t overlay;
	uint32_t rtt_ms;      /* of control heartbeats; 0 unknown */
	struct why why;	      /* last error of a target, or why the other end closed */
	uint64_t retry_in_ms; /* FAILED, RETRYING: until the next dial; UINT64_MAX = never */
	bool digests_differ;  /* repair is going on */
	uint64_t repairs;     /* that sent something */
	uint64_t bytes_in, bytes_out;
	uint32_t version; /* protocol */
	bool sealed;	  /* the control connection is */
	bool preferred;	  /* by the first of our passwords; else by the second */
	bool data_sealed; /* the data path is, once it is up; else 'sealed' and trusted */
};

/* Connections and connection-less targets: index from 0; false at the end. Recent failures and
 * closes are kept 60 s so that the reason can be read on both sides. */
bool gossip_conn_at(const struct gossip *g, size_t index, struct gossip_conn_info *info);
bool gossip_conn_find(const struct gossip *g, conn_id conn, struct gossip_conn_info *info);
const char *gossip_target_at(const struct gossip *g, size_t index); /* operator's, as typed */

struct gossip_counters {
	uint64_t terminations, accepted, refused_handshakes, malformed, dials;
	/* Handshakes that ended so, whoever dialled: different passwords; one on one side only; the
	 * other end left before it proved anything.  And puzzles that we set. */
	uint64_t password_wrong, password_one_side, password_unproved, puzzles;
	uint64_t entries_sent, entries_received, repairs, repair_entries;
	uint64_t unicast_forwarded, unicast_dropped;
	uint64_t generation, jumps;
	bool silent;	    /* another live peer has our name; see 'duplicate' */
	uint64_t duplicate; /* its instance id */
};
void gossip_counters(const struct gossip *g, struct gossip_counters *counters);

/* An address from which handshakes failed for their password; an IPv6 one stands for its /64. */
struct gossip_stranger {
	struct ip_addr address;
	uint64_t failures;
	uint64_t last_ms; /* ago */
};
/* Those that are remembered, index from 0; false at the end. */
bool gossip_stranger_at(const struct gossip *g, size_t index, struct gossip_stranger *stranger);

/* Asserts all invariants; for tests. */
void gossip_check(struct gossip *g);

#endif
