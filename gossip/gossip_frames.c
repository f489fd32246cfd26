#include "gossip_engine.h"

#include <stdio.h>

#include <weave/must.h>

/* ---- UNICAST: hop by hop ---- */

static struct conn *first_hop(const struct gossip *g, peer_name to)
{
	struct conn *direct = conn_of_peer(g, to);
	peer_name via;

	if (direct)
		return direct;
	via = topology_next_hop(g->topology, to);
	return via != PEER_NAME_NONE ? conn_of_peer(g, via) : NULL;
}

static bool send_on(struct gossip *g, const struct unicast *u)
{
	struct conn *c = first_hop(g, u->destination);
	struct writer w = writer_over(g->scratch, FRAME_SIZE_MAX);

	if (!c)
		return false;
	unicast_encode(u, &w);
	MUST(!w.full);
	neighbour_send_unicast(&c->neighbour, writer_bytes(&w));
	conn_poke(c);
	return true;
}

static void deliver(struct gossip *g, const struct unicast *u)
{
	struct gossip_action *a = push_action(g, u->flags & UNICAST_RETURNED ? GOSSIP_UNREACHED
									     : GOSSIP_UNICAST);

	a->peer = u->source;
	a->channel = u->channel;
	action_own_bytes(g, a, u->payload);
}

static const char *on_unicast(struct conn *c, struct bytes body)
{
	struct gossip *g = c->owner;
	struct unicast u, back;
	const char *bad = unicast_decode(&u, body);

	if (bad)
		return bad;
	if (u.destination == g->config.name) {
		deliver(g, &u);
		return NULL;
	}
	if (u.hops_left > 0) {
		u.hops_left--;
		if (send_on(g, &u)) {
			g->counters.unicast_forwarded++;
			return NULL;
		}
	}
	g->counters.unicast_dropped++;
	if (u.flags & UNICAST_RETURNED)
		return NULL;
	back = (struct unicast){
		.flags = UNICAST_RETURNED,
		.source = u.destination,
		.destination = u.source,
		.hops_left = HOP_LIMIT,
		.channel = u.channel,
	};
	if (back.destination == g->config.name)
		deliver(g, &back);
	else
		send_on(g, &back);
	return NULL;
}

bool gossip_send_unicast(struct gossip *g, peer_name to, uint8_t channel, struct bytes payload,
			 struct mono now, struct why *why)
{
	struct unicast u = {
		.source = g->config.name,
		.destination = to,
		.hops_left = HOP_LIMIT,
		.channel = channel,
		.payload = payload,
	};
	char name[PEER_NAME_TEXT_SIZE];
	bool sent = true;

	g->now = now;
	if (payload.size > UNICAST_PAYLOAD_MAX) {
		why_set(why, WHY_INVALID, "message of %zu bytes is larger than %u", payload.size,
			UNICAST_PAYLOAD_MAX);
		return false;
	}
	if (to == g->config.name)
		deliver(g, &u);
	else
		sent = to != PEER_NAME_NONE && send_on(g, &u);
	if (!sent)
		why_set(why, WHY_INVALID, "no way to peer %s", peer_name_text(to, name));
	gossip_settle(g);
	return sent;
}

/* ---- frames of an established connection ---- */

static void on_overlay(struct conn *c, struct bytes body)
{
	struct gossip_action *a = push_action(c->owner, GOSSIP_OVERLAY);

	a->conn = c->id;
	a->peer = c->hello.name;
	action_own_bytes(c->owner, a, body);
}

/* What it says is its kinds' business: they answer by gossip_rings_heard. */
static void on_rings(struct conn *c, struct bytes body)
{
	struct gossip_action *a;

	join_confirmed(c);
	neighbour_on_rings(&c->neighbour, body);
	a = push_action(c->owner, GOSSIP_RINGS);
	a->conn = c->id;
	a->peer = c->hello.name;
	action_own_bytes(c->owner, a, body);
}

static const char *on_heartbeat(struct conn *c, struct bytes body)
{
	struct pulse p;
	const char *bad = heartbeat_decode(&p, body);

	return bad ? bad : neighbour_on_pulse(&c->neighbour, &p, c->owner->now);
}

/* The other end shows what it wants of the link in every pulse. */
static void after_pulse(struct conn *c, bool published_before)
{
	bool published = c->neighbour.published || c->neighbour.published_theirs;

	join_confirmed(c);
	if (published != published_before && c->overlay)
		link_update(c);
	else if (published != published_before)
		c->link_due = mono_min(c->link_due, mono_after(c->owner->now, LINK_DELAY_MS));
}

static void on_close(struct conn *c, struct bytes body)
{
	struct gossip *g = c->owner;
	struct name_holder holder;
	struct why said, why;
	const char *bad = close_decode(&said, &holder, body);

	if (bad) {
		why_set(&why, WHY_MALFORMED, "malformed message CLOSE: %s", bad);
		conn_close(c, &why);
		return;
	}
	why_set(&why, said.reason, "the other end says: %s",
		said.text[0] ? said.text : why_reason_text(said.reason));
	push_action(g, GOSSIP_CLOSE)->conn = c->id;
	conn_lost(c, &why);
	if (holder.instance)
		entries_name_is_taken(g, holder);
}

/* NULL or the name of the wrong field. */
static const char *on_frame(struct conn *c, const struct frame *f)
{
	bool published = c->neighbour.published || c->neighbour.published_theirs;
	const char *bad;

	switch ((enum message_type)f->type) {
	case MESSAGE_HEARTBEAT:
	case MESSAGE_ENTRIES:
		bad = f->type == MESSAGE_HEARTBEAT ? on_heartbeat(c, f->body)
						   : entries_received(c, f->body);
		if (!bad)
			after_pulse(c, published);
		return bad;
	case MESSAGE_DIGESTS:
	case MESSAGE_KEYS:
	case MESSAGE_RESEND:
		return neighbour_on_repair(&c->neighbour, f, c->owner->now);
	case MESSAGE_UNICAST:
		return on_unicast(c, f->body);
	case MESSAGE_OVERLAY:
		on_overlay(c, f->body);
		return NULL;
	case MESSAGE_RINGS:
		on_rings(c, f->body);
		return NULL;
	case MESSAGE_PROOF:
		return passwords_on_proof(c, f->body);
	case MESSAGE_HELLO:
	case MESSAGE_CLOSE:
	case MESSAGE_CONFIRM:
	case MESSAGE_PUZZLE:
	case MESSAGE_SOLUTION:
		break; /* never get here */
	}
	NOT_REACHED("message type that passed its check");
}

static void malformed(struct conn *c, const struct frame *f, const char *bad)
{
	const struct message_row *row = f ? message_row(f->type) : NULL;
	char text[CONN_TEXT_SIZE];
	struct why why;

	why_set(&why, WHY_MALFORMED, "malformed message%s%s: %s", row ? " " : "",
		row ? row->name : "", bad);
	log_warning(c->owner->log, "malformed message: %s field=\"%s\"",
		    conn_text(c, text, sizeof text), bad);
	conn_close(c, &why);
}

static void forged(struct conn *c)
{
	char text[CONN_TEXT_SIZE];
	struct why why;

	why_set(&why, WHY_FORGED, "a message was changed on its way");
	log_warning(c->owner->log, "a record does not open: %s", conn_text(c, text, sizeof text));
	conn_close(c, &why);
}

void frames_received(struct conn *c, struct bytes bytes)
{
	struct gossip *g = c->owner;
	conn_id id = c->id;
	const char *bad = NULL;
	struct frame f;

	while (c && (c->state == CONN_UP || c->state == CONN_SPARE)) {
		switch (session_next(&c->in, &bytes, &f, &bad)) {
		case SESSION_MORE:
			if (c->state == CONN_UP)
				conn_poke(c);
			return;
		case SESSION_BAD:
			malformed(c, NULL, bad);
			return;
		case SESSION_FORGED:
			forged(c);
			return;
		case SESSION_FRAME:
			break;
		}
		bad = message_check(f.type, f.body.size, true);
		if (!bad && f.type == MESSAGE_CLOSE) {
			on_close(c, f.body);
			return;
		}
		if (!bad && c->state == CONN_SPARE)
			join_promote(c);
		if (!bad)
			bad = on_frame(c, &f);
		if (bad) {
			malformed(c, &f, bad);
			return;
		}
		c = conn_find(g, id);
	}
}

void gossip_tell_rings(struct gossip *g, struct bytes body, struct mono now)
{
	struct neighbours *all = &g->neighbours;

	MUST(body.size > 0 && body.size <= sizeof all->rings);
	if (bytes_equal(body, bytes_of(all->rings, all->rings_size)))
		return;
	g->now = now;
	memcpy(all->rings, body.data, body.size);
	all->rings_size = body.size;
	all->rings_version++;
	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		struct conn *c = list_entry(l, struct conn, in_order);

		if (c->state == CONN_UP)
			conn_poke(c);
	}
}

void gossip_rings_heard(struct gossip *g, conn_id conn, const char *bad, struct mono now)
{
	struct conn *c = conn_find(g, conn);
	struct frame f = { .type = MESSAGE_RINGS };

	g->now = now;
	if (!c || c->state != CONN_UP)
		return;
	if (bad)
		malformed(c, &f, bad);
	else
		neighbour_meet(&c->neighbour, now);
	gossip_settle(g);
}

bool gossip_send_overlay(struct gossip *g, conn_id conn, struct bytes message)
{
	struct conn *c = conn_find(g, conn);

	if (!c || !c->confirmed || !neighbour_send_overlay(&c->neighbour, message))
		return false;
	conn_poke(c);
	return true;
}

void gossip_set_data_path(struct gossip *g, conn_id conn, uint8_t overlay, struct mono now)
{
	struct conn *c = conn_find(g, conn);

	g->now = now;
	if (!c || !c->confirmed || c->overlay == overlay)
		return;
	if (!c->overlay != !overlay)
		topology_direct(g->topology, c->hello.name, overlay != 0);
	c->overlay = overlay;
	link_update(c);
	gossip_settle(g);
}
