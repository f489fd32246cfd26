#include <weave/engine.h>

#include <sodium.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "engine_ipam.h"

struct engine {
	struct gossip *gossip;
	struct router *router;
	struct names *names;
	struct engine_ipam ipam;
};

struct engine *engine_new(const struct engine_config *config, struct mono now, struct log *log)
{
	struct router_config router = config->router;
	struct names_config names = { .self = config->gossip.name,
				      .domain = config->domain,
				      .seed = config->gossip.seed ^ 0x6e616d6573u };
	struct engine *e = mem_new(1, sizeof *e);

	router.self = config->gossip.name;
	router.port = config->gossip.port;
	/* Different streams of randomness from one seed. */
	router.seed = config->gossip.seed ^ 0x726f75746572u;
	e->gossip = gossip_new(&config->gossip, now, log);
	engine_ipam_init(&e->ipam, e->gossip, config, log);
	e->names = names_new(&names, e->gossip);
	e->router = router_new(&router, e->gossip, now, log);
	return e;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	router_free(e->router);
	gossip_free(e->gossip);
	names_free(e->names);
	engine_ipam_fini(&e->ipam);
	mem_free(e);
}

const char *engine_load(struct engine *e, size_t universe, enum ipam_table table, uint64_t key,
			struct bytes value)
{
	MUST(universe < e->ipam.count);
	return ipam_load(e->ipam.list[universe], table, key, value);
}

void engine_start(struct engine *e, struct mono now)
{
	engine_ipam_start(&e->ipam, now);
}

struct gossip *engine_gossip(struct engine *e)
{
	return e->gossip;
}

struct router *engine_router(struct engine *e)
{
	return e->router;
}

struct names *engine_names(struct engine *e)
{
	return e->names;
}

struct ipam *engine_ipam(struct engine *e, size_t universe)
{
	return universe < e->ipam.count ? e->ipam.list[universe] : NULL;
}

/* Hands one of gossip's actions to those it is for; false when it is the world's business. */
static bool carry_out(struct engine *e, struct gossip_action *a, struct mono now)
{
	switch (a->type) {
	case GOSSIP_DIAL:
	case GOSSIP_RESOLVE:
	case GOSSIP_CLOSE:
	case GOSSIP_WRITE:
	case GOSSIP_PERSIST:
		return false;
	case GOSSIP_UP:
		engine_ipam_do(&e->ipam, a, now);
		router_on_up(e->router, a->conn, a->peer, a->address, &a->secret, now);
		sodium_memzero(&a->secret, sizeof a->secret);
		return true;
	case GOSSIP_DOWN:
		engine_ipam_do(&e->ipam, a, now);
		router_on_down(e->router, a->conn, now);
		return true;
	case GOSSIP_OVERLAY:
		router_on_overlay(e->router, a->conn, a->bytes, now);
		return true;
	case GOSSIP_SUSPECT:
		router_on_suspect(e->router, a->peer, now);
		return true;
	case GOSSIP_ROUTES:
		router_on_routes(e->router, now);
		names_update(e->names);
		return true;
	case GOSSIP_RINGS:
	case GOSSIP_PEERS:
	case GOSSIP_FORMER_LIFE:
	case GOSSIP_UNICAST:
	case GOSSIP_UNREACHED:
		engine_ipam_do(&e->ipam, a, now);
		return true;
	}
	NOT_REACHED("gossip action");
}

/* Whoever removed a peer for good does not want its kernel to be sent to either. */
static void forget_removed(struct engine *e, struct mono now)
{
	size_t index = 0;
	peer_name peer;

	while ((peer = router_kept_peer(e->router, index)) != PEER_NAME_NONE) {
		if (engine_ipam_is_removed(&e->ipam, peer))
			router_forget_peer(e->router, peer, now);
		else
			index++;
	}
}

bool engine_next_action(struct engine *e, struct engine_action *action, struct mono now)
{
	MUST(e->ipam.started);
	forget_removed(e, now);
	for (;;) {
		engine_ipam_step(&e->ipam, now);
		names_step(e->names, now);
		action->type = ENGINE_GOSSIP;
		if (gossip_next_action(e->gossip, &action->gossip)) {
			if (!carry_out(e, &action->gossip, now))
				return true;
			continue;
		}
		switch (engine_ipam_next(&e->ipam, action, now)) {
		case ENGINE_IPAM_WORLD:
			return true;
		case ENGINE_IPAM_NOTHING:
			return false;
		case ENGINE_IPAM_DONE:
			break;
		}
	}
}

void engine_set_store(struct engine *e, uint64_t store_id, struct mono now)
{
	engine_ipam_set_store(&e->ipam, store_id, now);
}

void engine_tick(struct engine *e, struct mono now)
{
	gossip_tick(e->gossip, now);
	router_tick(e->router, now);
	engine_ipam_step(&e->ipam, now);
}

struct mono engine_deadline(const struct engine *e)
{
	struct mono due = mono_min(gossip_deadline(e->gossip), router_deadline(e->router));

	return mono_min(due, engine_ipam_deadline(&e->ipam));
}

void engine_check(struct engine *e)
{
	gossip_check(e->gossip);
	router_check(e->router);
	names_verify(e->names);
	engine_ipam_check(&e->ipam);
}
