/* The kernels' data path in the simulated world: maps as the router wants them, pings, and frames
 * that no router sees.
 *
 * In some small worlds (by seed) most routers offer fastdp.  Their kernels decide by the very rules
 * of bpf/decide.bpf.h, over maps that router_next_fastdp() fills.  Like the real ones they outlive
 * the process, not the machine: the next process takes them over, and what it has not spoken of is
 * forgotten after a while.  Between some pairs VXLAN is blocked, always.
 *
 * Checked: no frame comes out of a kernel at a bridge when its router knows that the destination
 * lives elsewhere, and all that sim_frames.h checks of every frame; in peace, that each arrives.
 */
#ifndef WEAVE_SIM_KERNEL_H
#define WEAVE_SIM_KERNEL_H

#include <weave/bytes.h>
#include <weave/fastdp.h>

#include "sim.h"

struct engine_config;
struct sim_kernel;
struct sim_router;

/* Whether this world's routers have any; before they are made. */
void sim_kernel_init(struct sim *s);
struct sim_kernel *sim_kernel_new(const struct sim *s, uint32_t index); /* NULL: it has none */
void sim_kernel_free(struct sim_kernel *k);
/* Before any router starts: all of them without fastdp. */
void sim_kernels_off(struct sim *s);

/* A process starts; its options, and what its kernel holds of an earlier one. */
void sim_kernel_configure(struct sim_router *r, struct engine_config *config);
void sim_kernel_started(struct sim_router *r);
/* The machine is off. */
void sim_kernel_lost(struct sim_router *r);

/* Some frames between containers, in worlds that have kernels: whenever something happened. */
void sim_kernel_traffic(struct sim *s);

/* Carries out what the router wants by now. */
void sim_kernel_flush(struct sim_router *r);
/* A container's frame: true when the kernel took it. */
bool sim_kernel_takes(struct sim_router *r, uint32_t segment, struct bytes frame);

#endif
