/* Who lives where: (segment, MAC) to ourselves or another peer.
 *
 * Pure; loop thread.  A view on three sources, best first:
 *   local     attached containers, and MACs learned from frames of our bridge; published
 *   claims    what other peers published (kind ENDPOINT): the highest claim wins, then the lowest
 *             name; only of writers that can be reached now, down to the floor they announce, and
 *             that mean the same network by the segment
 *   seen      MACs in frames that came from another peer and that nobody publishes
 * Looking up is one hash; nothing is allocated for a MAC already known.
 *
 * Moves.  A peer claims a MAC of another's only when a local frame shows it, one second or more
 * after the claims last changed.  A learned entry of ours that another outbids is withdrawn.  After
 * five moves in 180 s a MAC is frozen for 180 s: nobody here claims it (RFC 7432 15.1).
 *
 * Bounds.  Local: ENDPOINTS_LOCAL_MAX; the longest idle learned one goes first, of the unpublished
 * before the published, never an attached one.  Learned ones are published at a limited rate, so
 * that a container that makes up MACs fills neither everybody's store nor the wire.  Seen:
 * ENDPOINTS_LEARNED_MAX, shared fairly among origins.  Both forget what was idle for 10 minutes.
 *
 * What changes the store is only noted here and leaves by endpoint_next_publish, because claims are
 * told from inside the store.
 */
#ifndef WEAVE_ROUTER_ENDPOINT_H
#define WEAVE_ROUTER_ENDPOINT_H

#include <weave/hash.h>
#include <weave/list.h>
#include <weave/store.h>
#include <weave/table.h>
#include <weave/topology.h>

#include "kind_endpoint.h"
#include "networks.h"

#define ENDPOINT_IDLE_MS (10u * 60u * 1000u)
#define ENDPOINT_CLAIM_APART_MS 1000u
#define ENDPOINT_MOVES_MAX 5u
#define ENDPOINT_MOVES_MS 180000u
#define ENDPOINT_FREEZE_MS 180000u
/* Learned endpoints published: burst, and per second. */
#define ENDPOINT_PUBLISH_BURST 256u
#define ENDPOINT_PUBLISH_RATE 32u
/* And in a day: each leaves a tombstone that long, and other peers take WRITER_ENTRIES_MAX entries
 * of ours, links among them, and nothing new beyond that. */
#define ENDPOINT_PUBLISH_DAY 16384u

struct endpoints;

struct endpoints *endpoints_new(peer_name self, struct store *store,
				const struct topology *topology, const struct networks *networks,
				uint64_t seed);
void endpoints_free(struct endpoints *e);

/* Moves are counted and times taken here; call before anything else in a turn. */
void endpoints_now(struct endpoints *e, struct mono now);

/* Containers.  False when the limit of attached ones is reached. */
bool endpoints_attach(struct endpoints *e, uint32_t segment, struct mac mac,
		      const struct ip_addr *ips, size_t ips_count);
void endpoints_detach(struct endpoints *e, uint32_t segment, struct mac mac);

/* The segment was closed here: all that was local there, and all that was seen, is forgotten. */
void endpoints_leave(struct endpoints *e, uint32_t segment);

enum endpoint_source {
	ENDPOINT_SOURCE_OK,	 /* lives here, by our view */
	ENDPOINT_SOURCE_FOREIGN, /* lives behind another peer, and we may not claim it (yet) */
	ENDPOINT_SOURCE_FROZEN,
};

/* A frame of our bridge came from 'mac'. */
enum endpoint_source endpoints_learn_local(struct endpoints *e, uint32_t segment, struct mac mac);
/* The same, but changes nothing. */
enum endpoint_source endpoints_would_learn(struct endpoints *e, uint32_t segment, struct mac mac);
/* A frame of 'mac' came from peer 'origin'. */
void endpoints_learn_seen(struct endpoints *e, uint32_t segment, struct mac mac, peer_name origin);

/* The peer where 'mac' lives, ourselves for local ones; NONE when unknown. */
peer_name endpoints_find(struct endpoints *e, uint32_t segment, struct mac mac);

/* Forgets what was idle too long. */
void endpoints_tick(struct endpoints *e);
struct mono endpoints_deadline(const struct endpoints *e);

/* The next own entry to write: gossip_put with this key and value (NULL data: tombstone).
 * Borrowed until the next call; false when there is none. */
bool endpoints_next_publish(struct endpoints *e, struct bytes *key, struct bytes *value);

struct endpoint_view {
	uint32_t segment;
	struct mac mac;
	peer_name peer;
	bool attached, published, frozen;
	struct mono changed; /* last seen or changed */
	uint32_t ips_count;
	const struct ip_addr *ips; /* borrowed until the next call */
};

/* All that can be found now, each once: index from 0, false at the end; hidden ones give a view
 * with peer NONE. */
bool endpoints_at(struct endpoints *e, size_t index, struct endpoint_view *view);

/* ---- for a mirror of all this ---- */
/* Keeps account of changes from now on; all that is known now counts as changed. */
void endpoints_track(struct endpoints *e);
/* The next MAC whose peer or addresses may have changed since it was handed out before; peer NONE:
 * nobody who can be reached has it.  False when there is no more. */
bool endpoints_next_changed(struct endpoints *e, struct endpoint_view *view);

void endpoints_check(struct endpoints *e);

#endif
