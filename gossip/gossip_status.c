#include "gossip_engine.h"

#include <stdio.h>

#include <weave/must.h>

/* ---- what ended lately ---- */

/* One line for each address that tries the same again and again. */
static struct history *history_room(struct conn *c, const struct why *why)
{
	struct gossip *g = c->owner;

	for (size_t i = 0; c->hello.name == PEER_NAME_NONE && i < HISTORY_MAX; i++) {
		struct history *h = &g->history[i];

		if (h->until.ms > g->now.ms && h->info.peer == PEER_NAME_NONE &&
		    h->info.outbound == c->outbound && h->info.why.reason == why->reason &&
		    ip_compare(h->info.address.ip, c->remote.ip) == 0)
			return h;
	}
	return &g->history[g->history_next++ % HISTORY_MAX];
}

void history_add(struct conn *c, const struct why *why)
{
	struct gossip *g = c->owner;
	struct history *h;

	/* What a target dialled shows its reason there; a duplicate is no news. */
	if (why->reason == WHY_DUPLICATE || (c->target && target_find(g, c->target)) ||
	    (c->state == CONN_DIALLING))
		return;
	h = history_room(c, why);
	*h = (struct history){ .until = mono_after(g->now, HISTORY_MS) };
	h->info = (struct gossip_conn_info){
		.state = CONN_FAILED,
		.outbound = c->outbound,
		.address = c->remote,
		.peer = c->hello.name,
		.why = *why,
		.retry_in_ms = UINT64_MAX,
		.bytes_in = c->bytes_in,
		.bytes_out = c->bytes_out,
		.version = c->version,
	};
	memcpy(h->info.nickname, c->hello.nickname, sizeof h->info.nickname);
}

/* Old news: the peer is back. That somebody else was refused in its name stays. */
static bool is_outlived(const struct gossip *g, const struct history *h)
{
	return h->info.why.reason != WHY_SAME_NAME && h->info.why.reason != WHY_OLD_GENERATION &&
	       h->info.peer != PEER_NAME_NONE && conn_of_peer(g, h->info.peer);
}

static const struct history *history_at(const struct gossip *g, size_t index)
{
	for (size_t i = 0; i < HISTORY_MAX; i++) {
		const struct history *h = &g->history[(g->history_next + i) % HISTORY_MAX];

		if (h->until.ms > g->now.ms && !is_outlived(g, h) && index-- == 0)
			return h;
	}
	return NULL;
}

/* ---- connections and targets ---- */

static enum gossip_conn_state shown_state(const struct conn *c, const struct dial_target *t)
{
	if (c->state == CONN_UP)
		return c->overlay ? CONN_ESTABLISHED : CONN_PENDING;
	if (c->state == CONN_SPARE)
		return CONN_PENDING;
	return t && t->why.reason != WHY_NONE ? CONN_RETRYING : CONN_CONNECTING;
}

static void describe_conn(const struct gossip *g, const struct conn *c,
			  struct gossip_conn_info *info)
{
	const struct dial_target *t = c->target ? target_find(g, c->target) : NULL;

	*info = (struct gossip_conn_info){
		.conn = c->id,
		.state = shown_state(c, t),
		.outbound = c->outbound,
		.address = c->remote,
		.peer = c->hello.name,
		.overlay = c->overlay,
		.bytes_in = c->bytes_in,
		.bytes_out = c->bytes_out,
		.version = c->version,
		.retry_in_ms = UINT64_MAX,
		.sealed = c->sealer.sealed,
		.data_sealed = c->secret.sealed,
		.preferred = c->sealer.sealed &&
			     c->trust->password_id == g->config.passwords->list[0].id,
	};
	memcpy(info->nickname, c->hello.nickname, sizeof info->nickname);
	if (t && info->state == CONN_RETRYING)
		info->why = t->why;
	if (c->state != CONN_UP)
		return;
	info->structural = c->neighbour.flow;
	info->rtt_ms = c->neighbour.rtt_ms;
	info->digests_differ = c->neighbour.repair.differ;
	info->repairs = c->neighbour.repair.rounds;
}

static void describe_target(const struct gossip *g, const struct dial_target *t,
			    struct gossip_conn_info *info)
{
	bool waiting = t->fsm.state == TARGET_WAITING;

	*info = (struct gossip_conn_info){
		.outbound = true,
		.peer = t->peer,
		.why = t->why,
		.retry_in_ms = UINT64_MAX,
	};
	if (t->why.reason == WHY_NONE)
		info->state = CONN_CONNECTING;
	else
		info->state = waiting || t->self ? CONN_FAILED : CONN_RETRYING;
	if (waiting && !t->self && !g->stopped)
		info->retry_in_ms = mono_elapsed(g->now, t->fsm.due);
	if (t->candidates_count)
		info->address = t->candidates[0];
	else if (t->host.literal)
		info->address = (struct netaddr){ t->host.ip,
						  t->host.port ? t->host.port : g->config.port };
	else
		info->target = t->text;
}

/* A target that has something to say of its own: no connection speaks for it, and it is the
 * operator's or has failed. */
static bool is_shown(const struct gossip *g, const struct dial_target *t)
{
	const struct conn *c = t->conn ? conn_find(g, t->conn) : NULL;

	return !c && !target_is_satisfied(g, t) && (t->text || t->why.reason != WHY_NONE);
}

bool gossip_conn_at(const struct gossip *g, size_t index, struct gossip_conn_info *info)
{
	const struct history *h;

	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		const struct conn *c = list_entry(l, struct conn, in_order);

		if (c->state == CONN_CLOSING || index-- > 0)
			continue;
		describe_conn(g, c, info);
		return true;
	}
	for (size_t i = 0; i < g->targets_count; i++) {
		if (!is_shown(g, g->targets[i]) || index-- > 0)
			continue;
		describe_target(g, g->targets[i], info);
		return true;
	}
	h = history_at(g, index);
	if (h)
		*info = h->info;
	return h != NULL;
}

bool gossip_stranger_at(const struct gossip *g, size_t index, struct gossip_stranger *stranger)
{
	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		const struct stranger *row = &g->strangers.rows[i];

		if (!row->network.family || index-- > 0)
			continue;
		*stranger = (struct gossip_stranger){ row->network, row->failures,
						      mono_elapsed(row->last, g->now) };
		return true;
	}
	return false;
}

bool gossip_conn_find(const struct gossip *g, conn_id conn, struct gossip_conn_info *info)
{
	const struct conn *c = conn_find(g, conn);

	if (!c || c->state == CONN_CLOSING)
		return false;
	describe_conn(g, c, info);
	return true;
}
