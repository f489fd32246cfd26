/* The fastdp path of one connection: does the kernel's way to that peer work, in both directions,
 * for frames as large as our bridge carries?
 *
 * Pure; loop thread.  The router feeds the other end's SETUP and the pongs that the kernel heard,
 * and pulls the pings that are to be sent.
 *
 *   WAITING   no SETUP from the other end yet, or nowhere to ping
 *   PROVING   pings go out, closely spaced at first; the full size did not come back in time
 *   UP        pings of full size come back: we take frames from there.  Frames are sent there once
 *             the other end's pongs say that it takes ours.
 *
 * There are two ways through the kernel, and each has pings of its own: by the VXLAN device, where
 * routing and the firewall see the packet, and by hand, past them.  The first must work, since
 * super-frames and all that is not IP go by it.  The second is a bonus: without it everything goes
 * by the device.
 *
 * While frames are carried, or somebody doubts the peer, pings fill the MTU every 500 ms, and 1.5 s
 * without an answer end it: an underlay that suddenly takes smaller packets only is noticed as
 * quickly as one that takes none.  Otherwise small ones go every 5 s, a full one every 60 s.  When
 * an answer is overdue pings come closer, so that a lossy path is not taken for a dead one; nor
 * does it die before some of them went unanswered, see sleeve_path.h.
 */
#ifndef WEAVE_ROUTER_FASTDP_PATH_H
#define WEAVE_ROUTER_FASTDP_PATH_H

#include <weave/fastdp.h>
#include <weave/gossip.h>
#include <weave/table.h>

#include "fastdp_wire.h"

#define FASTDP_BEAT_FAST_MS 500u
#define FASTDP_BEAT_IDLE_MS 5000u
#define FASTDP_BEAT_FULL_MS 60000u
#define FASTDP_DEAD_FAST_MS 1500u
#define FASTDP_DEAD_IDLE_MS 15000u
/* Pings, at least; fewer by hand, which do not come closer when they alone are overdue. */
#define FASTDP_DEAD_UNANSWERED 4u
#define FASTDP_DEAD_UNANSWERED_BY_HAND 2u
#define FASTDP_USED_LINGER_MS 10000u /* fast for this long after frames, or a suspicion */
#define FASTDP_OVERDUE_FAST_MS 100u  /* spacing while an answer is overdue */
#define FASTDP_OVERDUE_IDLE_MS 500u

enum fastdp_path_state { FASTDP_WAITING, FASTDP_PROVING, FASTDP_UP };

enum { FASTDP_BY_DEVICE, FASTDP_BY_HAND, FASTDP_WAYS };

#define FASTDP_SENT_RING 64u

struct fastdp_sent {
	uint32_t token;
	bool full;
	struct mono at;
};

struct fastdp_way {
	bool answered, full;	 /* ever, since proving began */
	struct mono answered_at; /* newest ping of any size that came back was sent then */
	struct mono full_at;	 /* of full size */
	uint32_t unanswered;	 /* pings since one was answered that counts ... */
	struct mono doubted_at;	 /* ... and when they became enough */
};

struct fastdp_path {
	conn_id conn; /* 0: its connection is gone, and the kernels carry on */
	peer_name peer;
	enum fastdp_path_state state;
	bool accepted; /* by the other end: its newest pong says so */
	bool relays;   /* it hands our largest frames on: the last pong of one said so */
	bool by_hand;  /* that way works too */
	bool sealed;   /* by ESP, which the way by hand would go past */
	bool known;    /* 'theirs' is filled */
	uint16_t
		other_port; /* the other end's VXLAN is there and not where ours is; 0: it is not */
			    /* 'theirs' is filled */
	struct ip_addr remote; /* family 0: not known yet */
	struct fastdp_setup mine, theirs;

	uint32_t token; /* of the last ping */
	struct fastdp_sent sent[FASTDP_SENT_RING];
	struct fastdp_way ways[FASTDP_WAYS];
	uint32_t newest;  /* token that came back */
	unsigned pending; /* pings of this beat that are not pulled yet */
	struct mono beat_at, full_beat_at;
	bool beat_full;
	bool beat_now; /* ahead of schedule */
	uint32_t rtt_us;

	struct mono proving_since;
	bool lost; /* it was up before */
	struct mono fast_since, fast_until;
	bool suspected;
	struct mono suspected_at;
	struct table_link by_session;
};

void fastdp_path_init(struct fastdp_path *p, conn_id conn, peer_name peer,
		      const struct fastdp_setup *mine, struct mono now);
void fastdp_path_on_setup(struct fastdp_path *p, const struct fastdp_setup *theirs,
			  struct mono now);
/* Where the peer's datagrams come from; proving starts again when it is another place. */
void fastdp_path_set_remote(struct fastdp_path *p, struct ip_addr remote, struct mono now);
/* The full size is another now. */
void fastdp_path_on_size(struct fastdp_path *p, struct mono now);
/* A pong with our session's proof came 'from' there; 'says': FASTDP_ACCEPTS, _RELAYS. */
void fastdp_path_on_pong(struct fastdp_path *p, uint32_t token, bool by_hand, unsigned says,
			 struct ip_addr from, struct mono now);
/* The kernel refused what the path needs: it waits for ever. */
void fastdp_path_give_up(struct fastdp_path *p, struct mono now);
/* Frames were sent or came in. */
void fastdp_path_on_used(struct fastdp_path *p, struct mono now);
void fastdp_path_on_suspect(struct fastdp_path *p, struct mono now);

/* Lets time pass; then pull. */
void fastdp_path_tick(struct fastdp_path *p, struct mono now);

struct fastdp_ping_order {
	uint32_t token;
	bool by_hand, full;
};
bool fastdp_path_pull(struct fastdp_path *p, struct mono now, struct fastdp_ping_order *order);
struct mono fastdp_path_deadline(const struct fastdp_path *p, struct mono now);

/* Frames may be sent. */
static inline bool fastdp_path_carries(const struct fastdp_path *p)
{
	return p->state == FASTDP_UP && p->accepted;
}

/* Why it does not carry, into 'text'; "" when it does.  'frame_size': the full one. */
void fastdp_path_explain(const struct fastdp_path *p, uint32_t frame_size, struct mono now,
			 char *text, size_t size);

void fastdp_path_check(const struct fastdp_path *p);

#endif
