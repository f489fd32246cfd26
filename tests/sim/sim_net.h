/* The simulated network: streams for control connections, datagrams for the data path.
 *
 * Streams keep order and are cut into arbitrary pieces, delayed, held while a link is cut, have a
 * small send window, end by FIN or reset, and stay half open when the other machine vanishes.
 * Datagrams are lost, doubled, overtaken, too large, or pass one way only.
 */
#ifndef WEAVE_SIM_NET_H
#define WEAVE_SIM_NET_H

#include <weave/addr.h>
#include <weave/gossip.h>

#include "sim.h"

struct sim_router;

void sim_net_fini(struct sim *s);

/* ---- what a router asks of its kernel ---- */
void sim_stream_dial(struct sim_router *r, conn_id conn, struct netaddr to);
void sim_stream_write(struct sim_router *r, conn_id conn);
void sim_stream_close(struct sim_router *r, conn_id conn);
void sim_datagram_send(struct sim_router *r, struct netaddr to, const uint8_t *data, size_t size);

/* ---- faults ---- */
/* The process of 'r' is gone; its kernel resets its streams, unless the machine is gone too. */
void sim_net_crashed(struct sim_router *r);
/* The machine is back: it answers what still comes for old streams with a reset. */
void sim_net_host_back(struct sim_router *r);
/* Streams between the two that were held may go on; call after anything was opened again. */
void sim_net_resume(struct sim *s);
/* Resets all streams between the two; what is on its way is cut anywhere. */
void sim_net_reset(struct sim *s, uint32_t a, uint32_t b);

/* Stops or resumes both directions. */
void sim_net_cut(struct sim *s, uint32_t a, uint32_t b, bool cut);
void sim_net_heal(struct sim *s);

/* Datagrams and bytes written but not read, for tests of back-pressure. */
size_t sim_net_in_flight(const struct sim *s);
size_t sim_net_streams(const struct sim *s);

#endif
