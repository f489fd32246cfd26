/* One whole router without the world: gossip, topology, data plane and their wiring.
 *
 * Pure; loop thread.  The daemon (cmd/weaver.c) and the simulator (tests/sim) drive this same
 * object, so the wiring itself is under test.  After any call the caller drains
 * engine_next_action, flushes engine_outbox, and asks engine_deadline for the next tick.
 */
#ifndef WEAVE_ENGINE_H
#define WEAVE_ENGINE_H

#include <weave/gossip.h>
#include <weave/router.h>

struct engine_config {
	struct gossip_config gossip;
	struct router_config router; /* self, port and seed are taken from 'gossip' */
};

/* Of gossip's actions only these reach the world: DIAL, RESOLVE, CLOSE, WRITE, PERSIST. */
struct engine;

struct engine *engine_new(const struct engine_config *config, struct mono now, struct log *log);
void engine_free(struct engine *e);

/* Feed connection events straight to the gossip object, data straight to the router object; then
 * call engine_next_action until it returns false. */
struct gossip *engine_gossip(struct engine *e);
struct router *engine_router(struct engine *e);

bool engine_next_action(struct engine *e, struct gossip_action *action, struct mono now);
void engine_tick(struct engine *e, struct mono now);
struct mono engine_deadline(const struct engine *e);

void engine_check(struct engine *e);

#endif
