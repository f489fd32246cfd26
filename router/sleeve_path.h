/* The sleeve path of one connection: set-up, proof that both directions work, size, address.
 *
 * Pure; loop thread.  The router feeds what came over the control connection and what datagrams
 * carried, and pulls what is to be sent.
 *
 *   WAITING   no SETUP from the other end yet: nothing is sent
 *   PROVING   heartbeats go out, closely spaced at first; none of ours was echoed in time
 *   UP        the other end echoes our heartbeats: each direction is proved
 *
 * Any authenticated datagram shows that the other end's packets reach us, but only an echo of ours
 * shows the other direction, so a one-way path is noticed.  Fast means that data was carried in
 * the last 10 s or somebody doubts the peer: a heartbeat each 500 ms, dead after 1.5 s without a
 * new echo; otherwise 5 s and 15 s.  When an echo is overdue, heartbeats come closer and ask for
 * an answer at once, so that a lossy path is not taken for a dead one.  Nor does it die before some
 * of them went without an echo: a host that was held up for seconds finds all patience used up, and
 * the answers waiting in its sockets.
 *
 * Datagrams go to the address of the other end's newest heartbeat that carried our proof (told over
 * the control connection only): translators and roaming need no more.
 *
 * A path is sealed or in clear for all its life, as the handshake said.  The keys of a sealed one
 * exist from SETUP on, when both ends know the cipher.
 */
#ifndef WEAVE_ROUTER_SLEEVE_PATH_H
#define WEAVE_ROUTER_SLEEVE_PATH_H

#include <weave/gossip.h>
#include <weave/table.h>

#include "fragment.h"
#include "sleeve_keys.h"
#include "sleeve_pmtu.h"
#include "sleeve_session.h"
#include "sleeve_wire.h"
#include "train.h"

#define PATH_HEARTBEAT_FAST_MS 500u
#define PATH_HEARTBEAT_IDLE_MS 5000u
#define PATH_DEAD_FAST_MS 1500u
#define PATH_DEAD_IDLE_MS 15000u
#define PATH_DEAD_UNANSWERED 4u	   /* heartbeats, at least */
#define PATH_DATA_LINGER_MS 10000u /* fast for this long after data, or a suspicion */
#define PATH_OVERDUE_FAST_MS 100u  /* spacing while an echo is overdue */
#define PATH_OVERDUE_IDLE_MS 500u
#define PATH_ANSWER_MIN_MS 20u /* between heartbeats sent as answers */

enum path_state { PATH_WAITING, PATH_PROVING, PATH_UP };

#define PATH_SENT_RING 64u

/* What we sent with one heartbeat, to be matched with its echo. */
struct path_sent {
	uint32_t token;
	uint32_t largest; /* datagram sent since the heartbeat before */
	uint64_t epoch;	  /* that it was sealed in, or the one before */
	struct mono at;
};

struct sleeve_path {
	conn_id conn;
	peer_name peer;
	uint32_t slot; /* the router's number of this path */
	enum path_state state;
	struct netaddr address; /* where its datagrams go */
	struct sleeve_setup mine, theirs;
	struct path_secret secret; /* wiped as soon as the keys are made */
	struct keys_limits limits;
	uint32_t seal_size; /* of the tag that ends each datagram; 0 in clear */
	struct sleeve_keys keys;
	struct sleeve_session session;
	struct pmtu pmtu;
	struct reassembly reassembly;
	struct train train;
	uint32_t fragment_id; /* of fragments and of pieces */

	/* Our heartbeats. */
	uint32_t token; /* of the last one sent */
	struct mono sent_at;
	struct path_sent sent[PATH_SENT_RING];
	uint32_t largest_sent;	/* since the last heartbeat */
	uint32_t echoed;	/* newest token of ours that came back */
	struct mono echoed_at;	/* when it did */
	uint32_t unanswered;	/* sent since then ... */
	struct mono doubted_at; /* ... and when they became PATH_DEAD_UNANSWERED */
	uint32_t rtt_us;	/* smoothed; 0 unknown */
	bool heartbeat_now;	/* ahead of schedule */
	bool answer_due;

	/* Theirs. */
	uint32_t heard_token;
	struct mono heard_token_at;
	struct mono heard_at;	 /* any datagram */
	bool heard;		 /* ever */
	uint64_t address_proof;	 /* counter of the heartbeat that told the address */
	uint32_t largest_heard;	 /* since their last heartbeat */
	uint32_t largest_closed; /* before it, not reported yet */

	struct mono fast_since, fast_until; /* fast while now < fast_until */
	struct mono proving_since;

	uint32_t icmp_tokens; /* ICMP messages that may still be sent for this path ... */
	struct mono icmp_at;  /* ... as of then */
	uint64_t frames_out, frames_in, bytes_out, bytes_in;

	uint8_t told;	   /* overlay that was last chosen */
	uint8_t published; /* and as what it was told to gossip */
	bool suspected;
	struct mono suspected_at;
	struct table_link by_conn, by_index;
};

struct path_config {
	conn_id conn;
	peer_name peer;
	uint32_t slot;
	struct ip_addr remote; /* of the control connection's other end */
	struct sleeve_setup mine;
	uint32_t datagram_max;
	struct path_secret secret;
	struct keys_limits limits;
};

void path_init(struct sleeve_path *p, const struct path_config *config, struct mono now);
void path_fini(struct sleeve_path *p);

/* NULL, or why it is refused: a path is set up once. */
const char *path_on_setup(struct sleeve_path *p, const struct sleeve_setup *theirs,
			  struct mono now);

/* May this datagram, fresh, with our index and (if sealed) opened, be believed?  It may from the
 * known address, or when it carries a proven heartbeat newer than what told the address: then it
 * tells the new one.  A sealed one may come from anywhere. */
bool path_accepts(struct sleeve_path *p, struct netaddr from, uint64_t counter,
		  const struct sleeve_heartbeat *heartbeat);
/* A datagram of 'size' bytes was accepted. */
void path_on_heard(struct sleeve_path *p, size_t size, struct mono now);
/* Of a datagram that path_accepts believed. */
void path_on_heartbeat(struct sleeve_path *p, const struct sleeve_heartbeat *h, struct mono now);
void path_on_probe_ack(struct sleeve_path *p, const struct sleeve_probe_ack *a, struct mono now);
/* Frames were sent or came in: heartbeats go fast. */
void path_on_data(struct sleeve_path *p, struct mono now);
/* Somebody doubts that the peer lives: find out now. */
void path_on_suspect(struct sleeve_path *p, struct mono now);
/* Of a datagram handed to the outbox. */
static inline void path_on_sent(struct sleeve_path *p, uint32_t size)
{
	if (size > p->largest_sent)
		p->largest_sent = size;
}

/* Lets time pass: timeouts.  Then pull. */
void path_tick(struct sleeve_path *p, struct mono now);

/* What is to be sent now: a HEARTBEAT (its proof is to be filled in, with its counter), or a PROBE
 * whose datagram must have '*size' bytes. */
bool path_pull(struct sleeve_path *p, struct mono now, struct sleeve_record *record,
	       uint32_t *size);
struct mono path_deadline(const struct sleeve_path *p, struct mono now);

static inline bool path_is_sealed(const struct sleeve_path *p)
{
	return p->seal_size > 0;
}

static inline bool path_is_up(const struct sleeve_path *p)
{
	return p->state == PATH_UP;
}

/* Does the other end take records 6 to 8 (sleeve_wire.h)? */
static inline bool path_takes_partial(const struct sleeve_path *p)
{
	return p->theirs.overlays & SLEEVE_TAKES_PARTIAL;
}

/* Largest IP packet that travels in one datagram, whatever is left undone in it. */
uint32_t path_mtu(const struct sleeve_path *p);

/* At most 100 a second and 32 at once. */
bool path_may_send_icmp(struct sleeve_path *p, struct mono now);

/* Why it is not up, into 'text'. */
void path_explain(const struct sleeve_path *p, struct mono now, char *text, size_t size);

void path_check(const struct sleeve_path *p);

#endif
