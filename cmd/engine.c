#include <weave/engine.h>

#include <weave/alloc.h>
#include <weave/must.h>

struct engine {
	struct gossip *gossip;
	struct router *router;
};

struct engine *engine_new(const struct engine_config *config, struct mono now, struct log *log)
{
	struct router_config router = config->router;
	struct engine *e = mem_new(1, sizeof *e);

	router.self = config->gossip.name;
	router.port = config->gossip.port;
	/* Different streams of randomness from one seed. */
	router.seed = config->gossip.seed ^ 0x726f75746572u;
	e->gossip = gossip_new(&config->gossip, now, log);
	e->router = router_new(&router, e->gossip, now, log);
	return e;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	router_free(e->router);
	gossip_free(e->gossip);
	mem_free(e);
}

struct gossip *engine_gossip(struct engine *e)
{
	return e->gossip;
}

struct router *engine_router(struct engine *e)
{
	return e->router;
}

/* Hands one of gossip's actions to the data plane; false when it is the world's business. */
static bool carry_out(struct engine *e, const struct gossip_action *a, struct mono now)
{
	switch (a->type) {
	case GOSSIP_DIAL:
	case GOSSIP_RESOLVE:
	case GOSSIP_CLOSE:
	case GOSSIP_WRITE:
	case GOSSIP_PERSIST:
		return false;
	case GOSSIP_UP:
		router_on_up(e->router, a->conn, a->peer, a->address, &a->secret, now);
		return true;
	case GOSSIP_DOWN:
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
		return true;
	case GOSSIP_UNICAST:
	case GOSSIP_UNREACHED:
		/* No service is built into this router that talks by unicast. */
		return true;
	}
	NOT_REACHED("gossip action");
}

bool engine_next_action(struct engine *e, struct gossip_action *action, struct mono now)
{
	while (gossip_next_action(e->gossip, action))
		if (!carry_out(e, action, now))
			return true;
	return false;
}

void engine_tick(struct engine *e, struct mono now)
{
	gossip_tick(e->gossip, now);
	router_tick(e->router, now);
}

struct mono engine_deadline(const struct engine *e)
{
	return mono_min(gossip_deadline(e->gossip), router_deadline(e->router));
}

void engine_check(struct engine *e)
{
	gossip_check(e->gossip);
	router_check(e->router);
}
