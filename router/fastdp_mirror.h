/* Which endpoints and addresses the kernel was told of, and what has changed since.
 *
 * Pure; loop thread.  Part of fastdp.c.  Follows the endpoints, with two differences: what lives at
 * a peer that is kept (its daemon is gone, its kernel is not) stays, unless another has it now; and
 * an IP address that several MACs claim has none, so that the containers find out by themselves.
 */
#ifndef WEAVE_ROUTER_FASTDP_MIRROR_H
#define WEAVE_ROUTER_FASTDP_MIRROR_H

#include <weave/fastdp.h>

#include "endpoint.h"

struct mirror;

struct mirror *mirror_new(struct endpoints *endpoints, uint64_t seed);
void mirror_free(struct mirror *m);

/* From now on, as often as it is released again. */
void mirror_keep(struct mirror *m, peer_name peer);
void mirror_release(struct mirror *m, peer_name peer);

/* The next ENDPOINT or ADDRESS; false when all is told. */
bool mirror_next(struct mirror *m, struct fastdp_op *op);

void mirror_check(struct mirror *m);

#endif
