/* When entries may be forgotten: tombstones by age, absent peers by `gone` entries.
 *
 * Pure; loop thread; monotonic clock only (gossip-review F4b, F6).  A peer unreachable for 24 h is
 * declared gone by the lowest-named reachable peer at once, by any other 10 minutes later.  Merging
 * `gone(peer, generation)` deletes that writer's peer, link, endpoint and name entries up to the
 * generation and refuses them from then on; the store's caller runs garbage_apply for that.
 * Tombstones are dropped 24 h after receipt.  Votes, runs, retired: never.
 */
#ifndef WEAVE_GOSSIP_GARBAGE_H
#define WEAVE_GOSSIP_GARBAGE_H

#include <weave/store.h>
#include <weave/topology.h>

#define GARBAGE_PEER_MS (24u * 3600u * 1000u)
#define GARBAGE_OTHERS_MS (10u * 60u * 1000u)
#define GARBAGE_TOMBSTONE_MS (24u * 3600u * 1000u)
#define GARBAGE_SWEEP_MS 10000u /* between two sweeps */

struct garbage;

struct garbage *garbage_new(struct store *store, struct topology *topology, peer_name self);
void garbage_free(struct garbage *g);

/* Looks at reachability, drops old tombstones; returns the next peer that we must declare gone
 * (with its generation) or false.  Call until false; the caller stores an entry (kind gone, that
 * generation, version 0; <weave/peer.h>) unless it has one that reaches as far. */
bool garbage_sweep(struct garbage *g, struct mono now, struct gone_info *declare);
struct mono garbage_deadline(const struct garbage *g);

/* After merges: applies `gone` entries that arrived since (store_refuse_until). */
void garbage_apply(struct garbage *g);

/* Highest generation of 'peer' declared gone; 0 if none.  Whoever finds itself there takes a higher
 * generation and publishes again. */
uint64_t garbage_gone_generation(const struct garbage *g, peer_name peer);

#endif
