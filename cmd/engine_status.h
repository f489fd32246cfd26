/* What the engine shows of itself, as the snapshot that status, report and metrics render.
 *
 * Pure; loop thread.  Texts that are not literals are copied into the snapshot.
 */
#ifndef WEAVE_CMD_ENGINE_STATUS_H
#define WEAVE_CMD_ENGINE_STATUS_H

#include <weave/engine.h>
#include <weave/status.h>

/* Fills everything that the engine knows; the daemon adds what only it knows (bridge, capture,
 * uptime, readiness). */
void engine_status_fill(struct engine *e, const struct gossip_config *config, struct mono now,
			struct status *s);

#endif
