/* Whom to be linked to: structural links (control-plane.md 4).
 *
 * Pure.  f(S) for peer x = the two successors of x in hash order of names, plus the
 * ceil(0.6 * log2 |S|) (at least 2) peers y of highest H(min(x,y), max(x,y)) (rendezvous), so
 * that one join or death changes about five links that do not concern it (gossip-review F1).
 * Up to MESH_FULL_MAX peers every link is structural.
 */
#ifndef WEAVE_GOSSIP_MESH_POLICY_H
#define WEAVE_GOSSIP_MESH_POLICY_H

#include <weave/addr.h>

#include <stdbool.h>
#include <stddef.h>

#define MESH_FULL_MAX 13u
#define MESH_WANTED_MAX 24u

/* Writes f(S) for 'self' into 'wanted' (room for max(MESH_WANTED_MAX, MESH_FULL_MAX)), in order
 * of name, and returns the count.  'peers' is S, sorted by name, without duplicates; whether it
 * contains 'self' does not matter; |S| counts it. */
size_t mesh_wanted(peer_name self, const peer_name *peers, size_t peers_count, peer_name *wanted);

#endif
