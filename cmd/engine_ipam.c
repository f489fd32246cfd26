#include "engine_ipam.h"

#include <weave/alloc.h>
#include <weave/must.h>

void engine_ipam_init(struct engine_ipam *e, struct gossip *gossip,
		      const struct engine_config *config, struct log *log)
{
	*e = (struct engine_ipam){ .gossip = gossip,
				   .self = config->gossip.name,
				   .store_id = config->gossip.store_id };
	MUST(config->universes_count <= ENGINE_UNIVERSES_MAX);
	for (size_t n = 0; n < config->universes_count; n++) {
		struct ipam_config c = config->universes[n];

		c.self = config->gossip.name;
		c.store_id = config->gossip.store_id;
		/* Different streams of randomness from one seed. */
		c.seed = config->gossip.seed ^ (0x6970616du + n);
		e->list[e->count++] = ipam_new(&c, log);
	}
	if (e->count)
		ipam_register(gossip_store(gossip), e->list, e->count);
}

void engine_ipam_fini(struct engine_ipam *e)
{
	/* The first one owns what all share. */
	while (e->count)
		ipam_free(e->list[--e->count]);
	mem_free(e->told);
	e->told = NULL;
}

void engine_ipam_start(struct engine_ipam *e, struct mono now)
{
	MUST(!e->started);
	e->started = true;
	for (size_t n = 0; n < e->count; n++)
		ipam_start(e->list[n], now);
}

/* ---- what gossip hears ---- */

/* What the topology says now, and who of those told before is not in it any more. */
static void tell_peers(struct engine_ipam *e, struct mono now)
{
	struct topology *t = gossip_topology(e->gossip);
	size_t count = 0, before = 0;
	peer_name *told = mem_new(topology_count(t) + 1, sizeof *told);
	const struct topology_peer *p;

	for (size_t i = 0; (p = topology_peer_at(t, i)); i++)
		if (p->known && p->info.name != e->self)
			told[count++] = p->info.name;
	for (size_t i = 0; before < e->told_count; before++) {
		while (i < count && told[i] < e->told[before])
			i++;
		if (i < count && told[i] == e->told[before])
			continue;
		for (size_t n = 0; n < e->count; n++)
			ipam_on_peer_gone(e->list[n], e->told[before], now);
	}
	for (size_t i = 0; i < count; i++) {
		p = topology_peer(t, told[i]);
		for (size_t n = 0; n < e->count; n++)
			ipam_on_peer(e->list[n], told[i], p->info.store_id, p->reachable, now);
	}
	mem_free(e->told);
	e->told = told;
	e->told_count = count;
}

static void on_message(struct engine_ipam *e, const struct gossip_action *a, struct mono now)
{
	uint8_t answer[128];
	struct why why;
	size_t size;

	for (size_t n = 0; n < e->count; n++)
		if (ipam_is_about(e->list[n], a->bytes)) {
			/* Who sent it is not always the neighbour it came through, so a wrong one
			 * is nobody's to be disconnected for. */
			(void)ipam_on_message(e->list[n], a->peer, a->bytes, now);
			return;
		}
	/* Routers without any address range must say so, too: a takeover waits for all. */
	size = ipam_decline(a->bytes, answer, sizeof answer);
	if (size)
		(void)gossip_send_unicast(e->gossip, a->peer, IPAM_CHANNEL, bytes_of(answer, size),
					  now, &why);
}

void engine_ipam_do(struct engine_ipam *e, const struct gossip_action *a, struct mono now)
{
	const char *bad;

	switch (a->type) {
	case GOSSIP_UP:
		for (size_t n = 0; n < e->count; n++)
			ipam_on_neighbour(e->list[n], a->peer, NULL, now);
		break;
	case GOSSIP_DOWN:
		for (size_t n = 0; n < e->count; n++)
			ipam_on_neighbour_lost(e->list[n], a->peer, now);
		break;
	case GOSSIP_RINGS:
		bad = ipam_on_rings(e->list, e->count, a->peer, a->bytes, now);
		gossip_rings_heard(e->gossip, a->conn, bad, now);
		break;
	case GOSSIP_PEERS:
		tell_peers(e, now);
		break;
	case GOSSIP_FORMER_LIFE:
		for (size_t n = 0; n < e->count; n++)
			/* Told twice, it has perhaps been answered by a new store id already. */
			if (a->copied && a->store_id == e->store_id)
				ipam_on_copy(e->list[n], now);
			else
				ipam_on_peer(e->list[n], e->self, a->store_id, false, now);
		break;
	case GOSSIP_UNICAST:
		if (a->channel == IPAM_CHANNEL)
			on_message(e, a, now);
		break;
	case GOSSIP_UNREACHED:
		for (size_t n = 0; a->channel == IPAM_CHANNEL && n < e->count; n++)
			ipam_on_unreached(e->list[n], a->peer, now);
		break;
	default:
		NOT_REACHED("no business of addresses");
	}
}

/* ---- what the universes want ---- */

bool engine_ipam_is_removed(const struct engine_ipam *e, peer_name peer)
{
	for (size_t n = 0; n < e->count; n++)
		if (ipam_is_removed(e->list[n], peer))
			return true;
	return false;
}

void engine_ipam_step(struct engine_ipam *e, struct mono now)
{
	uint8_t rings[RINGS_MESSAGE_MAX];

	if (!e->started)
		return;
	for (size_t n = 0; n < e->count; n++)
		if (mono_reached(now, ipam_deadline(e->list[n])))
			ipam_tick(e->list[n], now);
	gossip_tell_rings(e->gossip,
			  bytes_of(rings, ipam_rings(e->list, e->count, rings, sizeof rings)), now);
}

static void send(struct engine_ipam *e, struct ipam *i, const struct ipam_action *a,
		 struct mono now)
{
	peer_name to = a->peer;
	struct why why;

	if (!gossip_send_unicast(e->gossip, to, IPAM_CHANNEL, a->bytes, now, &why))
		ipam_on_unreached(i, to, now);
}

/* False when it is the world's business. */
static bool carry_out(struct engine_ipam *e, struct ipam *i, const struct ipam_action *a,
		      struct mono now)
{
	switch (a->type) {
	case IPAM_MERGE:
		gossip_merge(e->gossip, &a->entry, now);
		return true;
	case IPAM_PUT:
		gossip_put(e->gossip, a->entry.kind, a->entry.key, a->entry.value, now);
		return true;
	case IPAM_SEND:
		send(e, i, a, now);
		return true;
	case IPAM_RENEW:
		/* One disk under all universes: once is enough. */
		if (e->renewing)
			return true;
		e->renewing = true;
		return false;
	case IPAM_SAVE:
	case IPAM_ANSWER:
		return false;
	}
	NOT_REACHED("ipam action");
}

enum engine_ipam_next engine_ipam_next(struct engine_ipam *e, struct engine_action *action,
				       struct mono now)
{
	for (size_t n = 0; n < e->count; n++) {
		if (!ipam_next_action(e->list[n], &action->ipam))
			continue;
		action->type = ENGINE_IPAM;
		action->universe = n;
		return carry_out(e, e->list[n], &action->ipam, now) ? ENGINE_IPAM_DONE
								    : ENGINE_IPAM_WORLD;
	}
	return ENGINE_IPAM_NOTHING;
}

void engine_ipam_set_store(struct engine_ipam *e, uint64_t store_id, struct mono now)
{
	e->renewing = false;
	e->store_id = store_id;
	gossip_set_store(e->gossip, store_id, now);
	for (size_t n = 0; n < e->count; n++)
		ipam_on_new_store(e->list[n], store_id, now);
}

struct mono engine_ipam_deadline(const struct engine_ipam *e)
{
	struct mono due = MONO_NEVER;

	for (size_t n = 0; n < e->count; n++)
		due = mono_min(due, ipam_deadline(e->list[n]));
	return due;
}

void engine_ipam_check(const struct engine_ipam *e)
{
	for (size_t n = 0; n < e->count; n++)
		ipam_check(e->list[n]);
	for (size_t n = 1; n < e->told_count; n++)
		MUST(e->told[n - 1] < e->told[n]);
}
