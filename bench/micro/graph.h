/* Networks of peers for the micro-benchmarks: a ring of peers, each with further links by a fixed
 * rule, all in a store. */
#ifndef BENCH_MICRO_GRAPH_H
#define BENCH_MICRO_GRAPH_H

#include <weave/store.h>
#include <weave/topology.h>

#define GRAPH_LINKS 6u /* that each peer has begun: as many again come from others */

void graph_put_peer(struct store *s, peer_name name);
/* One end's word; both must say it for the link to count. */
void graph_put_half(struct store *s, peer_name from, peer_name to, uint64_t version,
		    bool established);
/* Peers 1 to count. */
void graph_fill(struct store *s, uint32_t count);

#endif
