/* The networks of a world: which router has which segment open, and what it means by the number.
 *
 * Random worlds have one to three segments, in which the same MACs live at different routers.  Like
 * bridges in the kernel, what is open stays so over crashes of the router.  In some worlds there
 * are routers that mean another network by a number, and open it when nobody tells them not to.
 */
#ifndef WEAVE_SIM_SEGMENTS_H
#define WEAVE_SIM_SEGMENTS_H

#include <weave/addr.h>

#include "sim.h"

#define SIM_SEGMENTS_MAX 3u

/* Gives this world its segments: before its routers start. */
void sim_segments_init(struct sim *s);
/* Opens again what was open before, and attaches a container in each. */
void sim_segments_started(struct sim_router *r);
/* A random router opens or closes one. */
void sim_segments_change(struct sim *s);

/* What the router means by it; NULL: not open there. */
const char *sim_segment_key(const struct sim_router *r, uint32_t segment);
/* Of the router's container in that segment. */
struct mac sim_segment_mac(const struct sim *s, uint32_t segment, uint32_t router);

#endif
