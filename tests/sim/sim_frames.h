/* Frames put into bridges, and where they came out.
 *
 * A frame carries an id behind an Ethernet header of the local experimental type, so that it is
 * known again in any datagram and on any bridge.
 */
#ifndef WEAVE_SIM_FRAMES_H
#define WEAVE_SIM_FRAMES_H

#include <weave/bytes.h>

#include "sim.h"

#define SIM_EVERYBODY UINT32_MAX

struct sim_router;

/* In a segment that is open at 'from'; 'size' of the whole frame, at least 64.  Returns its id. */
uint64_t sim_frame_send(struct sim *s, uint32_t from, uint32_t to, uint32_t segment, uint32_t size);
/* Any segment that is open there. */
uint32_t sim_frame_segment(struct sim *s, uint32_t from);
/* NULL when it was forgotten. Borrowed until the next frame is sent. */
const struct sim_frame *sim_frame_find(const struct sim *s, uint64_t id);
void sim_frame_arrived(struct sim_router *r, uint32_t segment, struct bytes frame);
/* A datagram leaves that may carry a frame. */
void sim_frame_in_datagram(struct sim *s, struct bytes datagram);
/* Forgets frames older than that; their counts were checked when they arrived. */
void sim_frames_forget(struct sim *s, uint64_t before_us);
void sim_frames_fini(struct sim *s);

#endif
