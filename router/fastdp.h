/* The kernel's data path as the router sees it: a path per connection, and a mirror of what the
 * kernel's maps should hold, from which changes are handed out.
 *
 * Pure; loop thread.  Part of the router object.
 *
 * Peers without a connection to us are reached through others' kernels where fastdp leads there.
 *
 * A path outlives its connection: while the kernel of a peer whose daemon has ended answers pings,
 * established flows go on, and the endpoints that were known to live there stay, unless somebody
 * else claims them.  It ends when the pings end, or when a new connection's path takes over.
 */
#ifndef WEAVE_ROUTER_FASTDP_H
#define WEAVE_ROUTER_FASTDP_H

#include <weave/fastdp.h>
#include <weave/list.h>

#include "endpoint.h"
#include "esp.h"
#include "fastdp_path.h"

struct fastdp_limits {
	peer_name self;
	uint16_t port;	      /* UDP, of VXLAN */
	uint32_t frame_size;  /* of the largest frame: the bridge's MTU and an Ethernet header */
	bool keep;	      /* paths outlive their connections */
	uint64_t key_life_ms; /* of sealed ones */
};

struct fastdp;

/* Endpoints and topology are borrowed; the former keep account of their changes for us from now
 * on. */
struct fastdp *fastdp_new(const struct fastdp_limits *limits, struct endpoints *endpoints,
			  const struct topology *topology, uint64_t seed);
void fastdp_free(struct fastdp *f);

/* ---- connections ---- */
/* What to tell the other end, once it says that it can do fastdp.  'chains': of a sealed
 * connection, else NULL. */
struct fastdp_setup fastdp_on_up(struct fastdp *f, conn_id conn, peer_name peer,
				 struct ip_addr remote, const struct esp_chains *chains,
				 struct mono now);
void fastdp_on_down(struct fastdp *f, conn_id conn, struct mono now);
/* Peers whose paths outlive their connections: the index-th; NONE at the end. */
peer_name fastdp_kept_peer(const struct fastdp *f, size_t index);
/* Ends those to that peer. */
void fastdp_forget(struct fastdp *f, peer_name peer, struct mono now);
/* NULL, or the field that is refused; so too of the next. */
const char *fastdp_on_setup(struct fastdp *f, conn_id conn, const struct fastdp_setup *theirs,
			    struct mono now);
const char *fastdp_on_epochs(struct fastdp *f, conn_id conn, const struct esp_message *m,
			     struct mono now);
/* The next message about epochs to be sent; false: none. */
bool fastdp_next_epochs(struct fastdp *f, conn_id *conn, struct esp_message *m);
/* Its sleeve's datagrams come from there. */
void fastdp_on_remote(struct fastdp *f, conn_id conn, struct ip_addr remote, struct mono now);
/* Frames are larger or smaller now: each path is proved for it anew. */
void fastdp_set_size(struct fastdp *f, uint32_t frame_size, struct mono now);
void fastdp_on_suspect(struct fastdp *f, peer_name peer, struct mono now);
/* Sleeve has lost that connection's peer, or has it again: most likely its hosts do not reach each
 * other.  Whatever our pings still say, the peer may send through others now. */
void fastdp_on_doubt(struct fastdp *f, conn_id conn, bool doubted, struct mono now);

/* ---- the kernel ---- */
/* The connection whose session it is; 0: none. */
conn_id fastdp_on_pong(struct fastdp *f, uint32_t session, uint32_t token, bool by_hand,
		       unsigned says, struct ip_addr from, struct mono now);
/* The kernel refused that order, an SA or a GUARD. */
void fastdp_on_refused(struct fastdp *f, const struct fastdp_op *op, const char *why,
		       struct mono now);
/* The peer whose paths carried more frames since: that one, or the relay to it; NONE: no more. */
peer_name fastdp_on_counters(struct fastdp *f, peer_name peer, const struct fastdp_counters *c,
			     struct mono now);

/* True when some path came or went. */
bool fastdp_tick(struct fastdp *f, struct mono now);
struct mono fastdp_deadline(const struct fastdp *f, struct mono now);

/* The next thing that the kernel has to be told; false when there is nothing more for now. */
bool fastdp_next(struct fastdp *f, struct fastdp_op *op, struct mono now);

/* ---- looking in ---- */
/* NULL: that connection has no path. */
const struct fastdp_path *fastdp_path_of(const struct fastdp *f, conn_id conn);
/* True when frames of this connection go by fastdp; else 'why' says what is in the way. */
bool fastdp_carries(const struct fastdp *f, conn_id conn, struct mono now, char *why, size_t size);
struct fastdp_counters fastdp_counters(const struct fastdp *f, peer_name peer);

void fastdp_check(struct fastdp *f);

#endif
