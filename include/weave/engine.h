/* One whole router without the world: gossip, topology, data plane, addresses, names, and their
 * wiring.
 *
 * Pure; loop thread.  The daemon (cmd/weaver.c) and the simulator (tests/sim) drive this same
 * object, so the wiring itself is under test.  After any call the caller drains
 * engine_next_action, flushes engine_outbox, and asks engine_deadline for the next tick.
 */
#ifndef WEAVE_ENGINE_H
#define WEAVE_ENGINE_H

#include <weave/dns.h>
#include <weave/gossip.h>
#include <weave/ipam.h>
#include <weave/router.h>

#define ENGINE_UNIVERSES_MAX 2u /* IPv4 and IPv6: dual stack */

struct engine_config {
	struct gossip_config gossip;
	struct router_config router; /* self, port and seed are taken from 'gossip' */
	/* Address ranges served; self, store_id and seed are taken from 'gossip'. Borrowed for the
	 * call. */
	const struct ipam_config *universes;
	size_t universes_count; /* 0: no IPAM */
	const char *domain;	/* of names; NULL: the usual one. Borrowed for the call */
};

enum engine_action_type { ENGINE_GOSSIP, ENGINE_IPAM };

/* What is for the world.  All else gossip and IPAM want is done inside. */
struct engine_action {
	enum engine_action_type type;
	size_t universe;	     /* IPAM */
	struct gossip_action gossip; /* GOSSIP: DIAL RESOLVE CLOSE WRITE PERSIST only */
	struct ipam_action ipam;     /* IPAM: SAVE, ANSWER, RENEW only */
};

struct engine;

struct engine *engine_new(const struct engine_config *config, struct mono now, struct log *log);
void engine_free(struct engine *e);

/* For every durable row before engine_start; NULL or the name of the damaged field. */
const char *engine_load(struct engine *e, size_t universe, enum ipam_table table, uint64_t key,
			struct bytes value);
/* Once; before any other event. */
void engine_start(struct engine *e, struct mono now);

/* Feed connection events straight to the gossip object, data straight to the router object,
 * requests and what became of SAVEs straight to the ipam object of that universe; then call
 * engine_next_action until it returns false. */
struct gossip *engine_gossip(struct engine *e);
struct router *engine_router(struct engine *e);
struct names *engine_names(struct engine *e);
struct ipam *engine_ipam(struct engine *e, size_t universe); /* NULL past the last */

/* The actions of one universe come in the order in which it made them.  What 'action' borrows is
 * valid until the next call. */
bool engine_next_action(struct engine *e, struct engine_action *action, struct mono now);
/* After RENEW: the new store id is durable: published, and told to all universes. */
void engine_set_store(struct engine *e, uint64_t store_id, struct mono now);
void engine_tick(struct engine *e, struct mono now);
struct mono engine_deadline(const struct engine *e);

void engine_check(struct engine *e);

#endif
