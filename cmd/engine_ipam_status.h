/* What one universe shows of itself, as a part of the snapshot that status, report and metrics
 * render.
 *
 * Pure; loop thread.  Texts that are not literals are copied into the snapshot.
 */
#ifndef WEAVE_CMD_ENGINE_IPAM_STATUS_H
#define WEAVE_CMD_ENGINE_IPAM_STATUS_H

#include <weave/ipam.h>
#include <weave/status.h>
#include <weave/topology.h>

/* Adds a universe, and warnings about it.  's' has its own name and nickname already; 'topology'
 * knows nicknames. */
void engine_ipam_status_add(const struct ipam *ipam, const struct topology *topology,
			    struct status *s);

#endif
