/* What a router shows of itself: one plain snapshot for `weave status`, `weave report` and the
 * metrics.
 *
 * The engine fills it (cmd/engine.c), plugin/status.c, status_json.c and metrics.c render it. Pure;
 * loop thread.  Every text is a const char * that must stay valid until status_fini: a literal,
 * something that outlives the snapshot, or text made with status_text, which the snapshot owns.
 * NULL means unknown or none.  Texts from peers may hold any bytes; the renderers clean them.
 *
 * Arrays grow by the status_add_... functions, which return a zeroed element to fill, valid until
 * the next one is added to the same array.
 */
#ifndef WEAVE_STATUS_H
#define WEAVE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weave/addr.h>
#include <weave/time.h>

/* In the order in which `weave status` counts them.  X(NAME, text) */
#define STATUS_CONNECTION_STATES(X)                                                                \
	X(ESTABLISHED, "established")                                                              \
	X(PENDING, "pending")                                                                      \
	X(RETRYING, "retrying")                                                                    \
	X(FAILED, "failed")                                                                        \
	X(CONNECTING, "connecting")

enum status_connection_state {
#define X(name, text) STATUS_##name,
	STATUS_CONNECTION_STATES(X)
#undef X
		STATUS_CONNECTION_STATES_COUNT
};

const char *status_connection_state_name(enum status_connection_state state);

struct status_target {
	const char *text;   /* as the user typed it, or the address that discovery found */
	bool from_operator; /* false: discovered; `status targets` shows the operator's only */
};

/* A connection, or a target that has none at present. */
struct status_connection {
	bool outbound;
	const char *address; /* "1.2.3.4:6783" */
	enum status_connection_state state;
	peer_name peer; /* PEER_NAME_NONE before the handshake */
	const char *nickname;
	const char *overlay; /* "sleeve", "fastdp"; NULL: no data path is up */
	uint32_t mtu;	     /* of the data path, bytes; 0 unknown */
	bool encrypted;	     /* its data */
	bool trusted;	     /* its data is not, because both ends trust the network between them */
	const char *cipher;  /* of the data; NULL: none, or not agreed yet */
	uint64_t epoch;	     /* of the key that seals what we send: how often it changed */
	const char *error;   /* why it failed or is tried again: the last error */
	const char *not_better; /* why a better overlay is not used */
	bool retries;		/* 'retry_in_ms' holds */
	uint64_t retry_in_ms;
	bool rtt_known;
	double rtt_ms;
	uint64_t bytes_in, bytes_out, frames_in, frames_out; /* of the data path */
};

struct status_peer_connection {
	peer_name peer;
	const char *nickname;
	const char *address;
	bool outbound, established;
};

struct status_peer {
	peer_name name;
	const char *nickname;
	uint64_t instance;   /* random per start; Weave Net's UID */
	uint64_t generation; /* grows with every start */
	const char *version; /* software */
	bool self, reachable;
	struct status_peer_connection *connections;
	size_t connections_count;
};

struct status_unicast_route {
	peer_name dst, via;
};

struct status_broadcast_route {
	peer_name source;
	peer_name *via; /* to whom frames of 'source' are sent on */
	size_t via_count;
};

struct status_endpoint {
	uint64_t mac;
	uint32_t segment;
	peer_name peer; /* where it lives */
	const char *nickname;
	bool local;
	uint64_t age_ms; /* since it was last seen or published */
	struct ip_addr *ips;
	size_t ips_count;
};

struct status_drop {
	const char *name; /* metric label, [a-z0-9_]+ */
	const char *text; /* for people */
	uint64_t count;
};

struct status_store {
	uint64_t entries, tombstones;
	const char *digest; /* hex */
	uint64_t repairs;   /* entries that only digest repair brought */
	uint64_t conflicts; /* merges of two values under one version */
};

struct status_ipam_owner {
	peer_name peer;
	const char *nickname;
	uint64_t store_id;
	uint64_t owned; /* addresses */
	bool self;	/* this very disk, too */
	bool known;	/* a peer with this disk */
	bool reachable;
	bool former;   /* the peer can be reached, but has another disk now */
	uint64_t free; /* of those it owns; when reachable */
};

/* A piece of the ring. */
struct status_ipam_entry {
	struct ip_addr token; /* its first address */
	uint64_t size;	      /* addresses */
	peer_name peer;
	const char *nickname;
	bool known;
	uint64_t version;
};

struct status_ipam_pending {
	const char *container;
	struct cidr cidr; /* a claim's address; family 0: an allocation */
};

struct status_named {
	peer_name peer;
	const char *nickname;
};

/* A segment that somebody has open. */
struct status_network {
	uint32_t segment;
	const char *key;
	const char *bridge; /* "" where it is not open here */
	bool open;
	bool contested;	     /* a peer that can be reached means another network by the number */
	uint32_t containers; /* here */
	struct status_named *peers; /* others that can be reached; of the default one: not listed */
	size_t peers_count;
};

/* One range of addresses, and what is known of it. */
struct status_universe {
	struct cidr range;
	uint64_t size;	   /* addresses */
	const char *phase; /* one of few texts: "ready" */
	const char *state; /* that, or a longer one for people */
	bool ready;
	uint64_t ring_id; /* 0: none */
	uint64_t runs;	  /* pieces of the ring; 'entries' are the first of these */
	uint64_t own, own_free, own_unconfirmed;
	uint64_t active; /* addresses of containers here */
	uint64_t disputed, dying;
	uint64_t disputes_total;
	bool voting; /* consensus: the next two hold */
	uint32_t electors, votes;
	uint64_t foreign_ring; /* another ring that was heard, 0 none */
	struct status_named foreign_peer;
	uint64_t asked_total, granted_total, refused_total; /* as a donor */
	const char *disk;				    /* why it does not work */
	uint64_t pending_allocates, pending_claims;

	struct status_ipam_owner *owners; /* ourselves first */
	size_t owners_count;
	struct status_ipam_entry *entries;
	size_t entries_count;
	struct status_ipam_pending *pendings;
	size_t pendings_count;
	struct status_named *waiting_for;
	size_t waiting_for_count;
};

struct status_name {
	const char *hostname; /* with the last dot */
	struct ip_addr address;
	const char *container;
	peer_name origin;
	uint64_t version;
};

struct status_dns_counter {
	const char *name; /* metric label */
	const char *text; /* for people */
	uint64_t count;
};

struct status_dns {
	bool on;
	const char *domain; /* with the last dot */
	uint32_t ttl_s;
	uint64_t own_count, found_count; /* names of what lives here; all that can be found now */
	const char **upstreams;
	size_t upstreams_count;
	const char **address_texts; /* "172.17.0.1:53": where questions are answered */
	struct netaddr *addresses;
	size_t address_texts_count, addresses_count;
	bool wanted; /* by who asks for the snapshot: fill in 'names', which may be very many */
	struct status_name *names;
	size_t names_count;
	struct status_dns_counter *counters;
	size_t counters_count;
};

struct status_capture {
	uint64_t received, dropped, interface_dropped;
};

/* An address from which handshakes failed for their password; an IPv6 one stands for its /64. */
struct status_stranger {
	const char *address;
	uint64_t failures;
	uint64_t last_ms; /* ago */
};

struct status_authentication {
	uint64_t wrong, one_side, unproved; /* handshakes that ended so */
	uint64_t puzzles;		    /* set to those that failed too often */
};

struct status {
	const char *version;
	unsigned protocol_min, protocol_max;
	peer_name name;
	const char *nickname;
	uint64_t generation, instance;
	bool ready; /* until then GET /status answers 503 */
	bool encryption, discovery;
	uint16_t port;
	uint64_t uptime_ms;
	struct wall now;       /* turns ages into times of day in JSON; 0 leaves those out */
	unsigned conn_limit;   /* 0: none */
	uint64_t terminations; /* connections that ended, since the start */
	uint64_t duplicates;   /* of these, second connections to one peer */
	const char *bridge;    /* "weave" */
	const char *interface; /* where frames are captured */
	const char *capture;   /* how: "pcap" */
	uint32_t mtu;	       /* of the overlay, bytes */
	struct status_capture captured;
	struct status_store store;
	struct status_authentication authentication;
	struct status_stranger *strangers;
	size_t strangers_count;

	struct status_target *targets;
	size_t targets_count;
	struct status_connection *connections;
	size_t connections_count;
	struct status_peer *peers; /* ourselves too */
	size_t peers_count;
	struct status_unicast_route *unicast_routes;
	size_t unicast_routes_count;
	struct status_broadcast_route *broadcast_routes;
	size_t broadcast_routes_count;
	struct status_endpoint *endpoints;
	size_t endpoints_count;
	struct status_drop *drops;
	size_t drops_count;
	const char **warnings; /* sentences for the operator, e.g. two peers share one name */
	size_t warnings_count;
	const char **trusted_subnets;
	size_t trusted_subnets_count;
	struct status_universe *universes; /* none: no IPAM */
	size_t universes_count;
	struct status_network *networks; /* the default one first, then by number */
	size_t networks_count;
	struct cidr *default_subnets; /* at most one of each universe */
	size_t default_subnets_count;

	struct status_dns dns;

	char **owned; /* texts made by status_text */
	size_t owned_count;
};

/* Empty and not ready; status_fini frees all that hangs on it. */
void status_init(struct status *s);
void status_fini(struct status *s);

/* A formatted text that lives as long as 's'. */
const char *status_text(struct status *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void status_add_target(struct status *s, const char *text, bool from_operator);
struct status_connection *status_add_connection(struct status *s);
struct status_peer *status_add_peer(struct status *s);
struct status_peer_connection *status_peer_add_connection(struct status_peer *p);
void status_add_unicast_route(struct status *s, peer_name dst, peer_name via);
struct status_broadcast_route *status_add_broadcast_route(struct status *s, peer_name source);
void status_broadcast_route_add(struct status_broadcast_route *r, peer_name via);
struct status_endpoint *status_add_endpoint(struct status *s);
void status_endpoint_add_ip(struct status_endpoint *e, struct ip_addr ip);
void status_add_drop(struct status *s, const char *name, const char *text, uint64_t count);
void status_add_stranger(struct status *s, const char *address, uint64_t failures,
			 uint64_t last_ms);
void status_add_warning(struct status *s, const char *text);
void status_add_trusted_subnet(struct status *s, const char *text);
struct status_universe *status_add_universe(struct status *s);
struct status_ipam_owner *status_universe_add_owner(struct status_universe *u);
struct status_ipam_entry *status_universe_add_entry(struct status_universe *u);
void status_universe_add_pending(struct status_universe *u, const char *container,
				 struct cidr cidr);
void status_universe_add_waiting(struct status_universe *u, peer_name peer, const char *nickname);
struct status_network *status_add_network(struct status *s);
void status_network_add_peer(struct status_network *n, peer_name peer, const char *nickname);
void status_add_default_subnet(struct status *s, struct cidr subnet);

void status_add_dns_upstream(struct status *s, const char *text);
void status_add_dns_address(struct status *s, struct netaddr address, const char *text);
struct status_name *status_add_name(struct status *s);
void status_add_dns_counter(struct status *s, const char *name, const char *text, uint64_t count);

#endif
