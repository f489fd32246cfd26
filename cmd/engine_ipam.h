/* The part of the engine that joins addresses to the rest: peers and rings that gossip hears of
 * reach every universe, what the universes say reaches gossip.
 *
 * Pure; loop thread.  Part of struct engine and nobody else's.
 */
#ifndef WEAVE_CMD_ENGINE_IPAM_H
#define WEAVE_CMD_ENGINE_IPAM_H

#include <weave/engine.h>

enum engine_ipam_next {
	ENGINE_IPAM_NOTHING,
	ENGINE_IPAM_DONE,  /* it was for gossip: look again */
	ENGINE_IPAM_WORLD, /* in 'action' */
};

struct engine_ipam {
	struct gossip *gossip; /* borrowed */
	peer_name self;
	uint64_t store_id;
	struct ipam *list[ENGINE_UNIVERSES_MAX];
	size_t count;
	peer_name *told; /* peers that the universes know, in order of name */
	size_t told_count;
	bool started;
	bool renewing; /* RENEW was handed out, the new store id is not here yet */
};

void engine_ipam_init(struct engine_ipam *e, struct gossip *gossip,
		      const struct engine_config *config, struct log *log);
/* After the store is gone. */
void engine_ipam_fini(struct engine_ipam *e);
void engine_ipam_start(struct engine_ipam *e, struct mono now);

/* One of gossip's actions that is about addresses. */
void engine_ipam_do(struct engine_ipam *e, const struct gossip_action *a, struct mono now);
/* What has become due; tells neighbours of our rings when they changed.  Ahead of every action,
 * so that nothing leaves with older news of our rings than it has of entries. */
/* By weave rmpeer, from any address range. */
bool engine_ipam_is_removed(const struct engine_ipam *e, peer_name peer);
void engine_ipam_step(struct engine_ipam *e, struct mono now);
enum engine_ipam_next engine_ipam_next(struct engine_ipam *e, struct engine_action *action,
				       struct mono now);
void engine_ipam_set_store(struct engine_ipam *e, uint64_t store_id, struct mono now);
struct mono engine_ipam_deadline(const struct engine_ipam *e);
void engine_ipam_check(const struct engine_ipam *e);

#endif
