/* A peer has said HELLO: is it welcome, and which of two connections to it stays?
 *
 * Two connections between one pair of routers: the router of lower name decides.  It keeps the
 * older one, unless a heartbeat on that has been unanswered for 4.5 s; of two that came up in the
 * same millisecond it keeps the one of lower handshake_rank.  The loser is closed as DUPLICATE,
 * which counts as success for the target that dialled it.  The router of higher name keeps the
 * second one as a spare, silent, until a frame on it shows that it was chosen.
 */
#include "gossip_engine.h"

#include <stdio.h>

#include <sodium.h>

#include <weave/must.h>

static void refuse(struct conn *c, enum why_reason reason, const char *text)
{
	struct why why;

	why_set(&why, reason, "%s", text);
	conn_close(c, &why);
}

/* Its hello is as old as the connection; what it has published since counts. */
static uint64_t generation_of(const struct conn *c)
{
	uint8_t key[8];
	struct writer k = writer_over(key, sizeof key);
	const struct entry *e;
	struct peer_info p;

	peer_info_key(c->hello.name, &k);
	e = store_find(c->owner->store, KIND_PEER, writer_bytes(&k));
	if (e && e->view.generation > c->hello.generation && !(e->view.flags & ENTRY_TOMBSTONE) &&
	    !peer_info_decode(&p, &e->view) && p.instance == c->hello.instance)
		return e->view.generation;
	return c->hello.generation;
}

/* 'c' loses its name to 'holder', and is told to whom: perhaps nobody else tells it. */
static void refuse_name(struct conn *c, const struct conn *holder, enum why_reason reason,
			const char *text)
{
	c->holder = (struct name_holder){ generation_of(holder), holder->hello.instance };
	refuse(c, reason, text);
}

static void come_up(struct conn *c)
{
	struct gossip *g = c->owner;

	conn_enter(c, CONN_UP);
	neighbour_init(&c->neighbour, &g->neighbours, c->id, c->hello.name, c->outbound, g->now);
	c->confirmed = false;
	c->pulled_at = g->now;
	neighbour_set_wanted(&c->neighbour, mesh_is_structural(c),
			     mesh_is_structural(c) || targets_want(g, c->hello.name), g->now);
	conn_poke(c);
}

static void close_spares(struct gossip *g, peer_name peer, const struct conn *except,
			 enum why_reason reason, const char *text)
{
	for (struct list *l = g->conns_in_order.next, *next; l != &g->conns_in_order; l = next) {
		struct conn *c = list_entry(l, struct conn, in_order);

		next = l->next;
		if (c != except && c->state == CONN_SPARE && c->hello.name == peer)
			refuse(c, reason, text);
	}
}

static uint64_t rank_of(const struct conn *c)
{
	return handshake_rank(c->random, c->hello.connection);
}

static bool prefers_newer(const struct conn *old, const struct conn *new)
{
	if (neighbour_is_suspect(&old->neighbour, old->owner->now))
		return true;
	return old->since.ms == new->owner->now.ms &&rank_of(new) < rank_of(old);
}

static void choose(struct conn *old, struct conn *new)
{
	struct gossip *g = new->owner;
	static const char text[] = "another connection between the two is in use";

	if (g->config.name > new->hello.name) {
		conn_enter(new, CONN_SPARE);
		return;
	}
	if (!prefers_newer(old, new)) {
		refuse(new, WHY_DUPLICATE, text);
		return;
	}
	/* As a spare first: so it follows when the other one leaves. */
	conn_enter(new, CONN_SPARE);
	refuse(old, WHY_DUPLICATE, text);
	MUST(new->state == CONN_UP);
}

static void same_name(struct conn *c, const struct conn *holder)
{
	char text[160], name[PEER_NAME_TEXT_SIZE];

	snprintf(text, sizeof text, "two routers have the name %s: %.40s and another one",
		 peer_name_text(c->hello.name, name), c->hello.nickname);
	if (holder)
		refuse_name(c, holder, WHY_SAME_NAME, text);
	else
		refuse(c, WHY_SAME_NAME, text);
}

/* Whoever cannot be reached in another way is let in even at the limit, at the cost of one who can:
 * else the first peer that everybody is told of would lock out whom nobody knows yet. */
static bool makes_room(struct conn *c)
{
	struct gossip *g = c->owner;

	if (topology_reachable(g->topology, c->hello.name))
		return false;
	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		struct conn *other = list_entry(l, struct conn, in_order);

		if (!other->outbound && mesh_can_spare(other)) {
			refuse(other, WHY_LIMIT, "connection limit reached: room for a newcomer");
			return g->inbound_count < accept_limit(g);
		}
	}
	return false;
}

static bool has_room(struct conn *c)
{
	struct gossip *g = c->owner;
	char text[120];

	if (c->outbound || g->inbound_count < accept_limit(g) || makes_room(c))
		return true;
	snprintf(text, sizeof text, "connection limit reached: %llu are accepted here",
		 (unsigned long long)accept_limit(g));
	refuse(c, WHY_LIMIT, text);
	return false;
}

/* Refuses what needs no look at other connections of that peer. */
static bool is_welcome(struct conn *c)
{
	struct gossip *g = c->owner;
	const struct hello *h = &c->hello;

	if (h->name == g->config.name && h->instance == g->config.instance) {
		refuse(c, WHY_SELF, "connected to ourself");
		return false;
	}
	if (h->name == g->config.name) {
		entries_name_is_taken(g, (struct name_holder){ h->generation, h->instance });
		same_name(c, NULL);
		return false;
	}
	if (c->sealer.sealed && !password_is_known(g, c->trust->password_id)) {
		refuse(c, WHY_PASSWORD_WRONG, "the password was changed meanwhile");
		return false;
	}
	return conn_of_peer(g, h->name) || has_room(c);
}

/* A spare counts as accepted too. */
static bool spare_fits(struct conn *c)
{
	struct gossip *g = c->owner;

	if (c->outbound || g->inbound_count < accept_limit(g))
		return true;
	refuse(c, WHY_DUPLICATE, "another connection between the two is in use");
	return false;
}

void join(struct conn *c)
{
	struct gossip *g = c->owner;
	struct conn *old;

	if (!is_welcome(c))
		return;
	old = conn_of_peer(g, c->hello.name);
	if (!old) {
		come_up(c);
	} else if (old->hello.instance == c->hello.instance) {
		if (spare_fits(c))
			choose(old, c);
	} else if (generation_of(old) < generation_of(c)) {
		close_spares(g, c->hello.name, c, WHY_REPLACED,
			     "a newer instance of this peer has connected");
		refuse_name(old, c, WHY_REPLACED, "a newer instance of this peer has connected");
		/* The old one may have been a dial of ours, which leaves no accepted one's place.
		 */
		if (has_room(c))
			come_up(c);
	} else if (generation_of(old) > generation_of(c)) {
		refuse_name(c, old, WHY_OLD_GENERATION,
			    "a newer instance of this peer is connected");
	} else {
		same_name(c, old);
	}
}

void join_confirmed(struct conn *c)
{
	struct gossip *g = c->owner;
	char text[CONN_TEXT_SIZE];
	struct gossip_action *a;

	if (c->confirmed)
		return;
	c->confirmed = true;
	log_info(g->log, "connected: %s", conn_text(c, text, sizeof text));
	a = push_action(g, GOSSIP_UP);
	a->conn = c->id;
	a->peer = c->hello.name;
	a->address = (struct netaddr){ c->remote.ip, c->hello.port };
	a->secret = c->secret;
	/* Keys of all times follow from it: from here on it is the data path's alone. */
	sodium_memzero(c->secret.secret, sizeof c->secret.secret);
	targets_peer_up(g, c);
	passwords_confirmed(c);
	c->link_due = mono_after(g->now, LINK_DELAY_MS);
	mesh_soon(g);
}

void join_promote(struct conn *c)
{
	struct conn *old = conn_of_peer(c->owner, c->hello.name);

	MUST(c->state == CONN_SPARE);
	/* There may be several, and only the chosen one may follow the one that leaves. */
	close_spares(c->owner, c->hello.name, c, WHY_DUPLICATE,
		     "another connection between the two is in use");
	if (old)
		refuse(old, WHY_DUPLICATE, "another connection between the two is in use");
	else
		come_up(c);
	MUST(c->state == CONN_UP);
}

static struct conn *find_spare(const struct gossip *g, peer_name peer)
{
	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		struct conn *c = list_entry(l, struct conn, in_order);

		if (c->state == CONN_SPARE && c->hello.name == peer)
			return c;
	}
	return NULL;
}

void join_leave(struct conn *c)
{
	struct gossip *g = c->owner;
	peer_name peer = c->hello.name;
	struct conn *spare;
	struct gossip_action *a;

	if (c->confirmed) {
		a = push_action(g, GOSSIP_DOWN);
		a->conn = c->id;
		a->peer = peer;
	}
	if (c->overlay)
		topology_direct(g->topology, peer, false);
	c->overlay = 0;
	c->confirmed = false;
	c->link_due = MONO_NEVER;
	conn_enter(c, CONN_CLOSING);
	neighbour_fini(&c->neighbour);
	spare = g->stopped ? NULL : find_spare(g, peer);
	if (spare)
		come_up(spare);
	else
		link_retract(g, peer);
	mesh_soon(g);
}
