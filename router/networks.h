/* Which routers have which segment open, and what they mean by its number.
 *
 * Pure; loop thread.  A view on the entries of kind NETWORK, and on what is open here.  Segment 0
 * is open everywhere and means the same to everybody.
 *
 * Two routers that have a number open under different keys mean different networks.  Opening such
 * a number is refused; when two parts of the network meet that opened it apart, both stay open and
 * the number is *contested*: then frames are only taken from origins that mean the same by it, and
 * the kernels, which know numbers only, are not to carry it (docs/why/segments.md).
 */
#ifndef WEAVE_ROUTER_NETWORKS_H
#define WEAVE_ROUTER_NETWORKS_H

#include <weave/store.h>
#include <weave/topology.h>
#include <weave/why.h>

#include "kind_network.h"

struct networks;

/* Registers its kind with 'store'. */
struct networks *networks_new(peer_name self, struct store *store, const struct topology *topology,
			      uint64_t seed);
void networks_free(struct networks *n);

/* 'segment' is not 0.  False with 'why', and nothing changed, when the number has another key here
 * or at a peer that can be reached.  Open already with that key: true. */
bool networks_open(struct networks *n, uint32_t segment, const char *key, struct why *why);
void networks_close(struct networks *n, uint32_t segment);
bool networks_is_open(const struct networks *n, uint32_t segment);

/* Is a frame that 'origin' sent in this segment for the bridge that we have for it? */
bool networks_takes(const struct networks *n, uint32_t segment, peer_name origin);
/* Does what 'peer' says of this segment concern us?  Yes, unless both have it under other keys. */
bool networks_agrees(const struct networks *n, uint32_t segment, peer_name peer);
/* The peers, ourselves among them, that have the segment as 'origin' means it, in no particular
 * order: '*at' starts at 0; NONE at the end. */
peer_name networks_next_member(const struct networks *n, uint32_t segment, peer_name origin,
			       size_t *at);
/* Changes whenever the answers of the three above may have changed. */
uint64_t networks_version(const struct networks *n);

/* Sees who can be reached now; call each turn. */
void networks_settle(struct networks *n);
/* Rises whenever a segment that is open here begins or ceases to be contested. */
uint64_t networks_contests(const struct networks *n);
/* For the kernel's data path, which begins without any: keeps account from now on ... */
void networks_track(struct networks *n);
/* ... of the next segment that it is to carry from now on, or not any more.  False when there is
 * none. */
bool networks_next_carried(struct networks *n, uint32_t *segment, bool *carried);

/* The next own entry to write: gossip_put with this key and value (NULL data: tombstone).
 * Borrowed until the next call; false when there is none. */
bool networks_next_publish(struct networks *n, struct bytes *key, struct bytes *value);

/* As router_network_at and router_network_peer say. */
struct network_info;
bool networks_at(const struct networks *n, size_t index, struct network_info *info);
peer_name networks_next_peer(const struct networks *n, size_t index, size_t *at);

void networks_check(const struct networks *n);

#endif
