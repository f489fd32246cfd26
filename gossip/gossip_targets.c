/* Addresses to dial: the operator's targets, and one per peer that the mesh wants.
 *
 * A target is satisfied by any connection to its peer, whoever dialled and by whichever address:
 * so two targets that lead to one peer do not fight.  An attempt goes through the target's
 * candidate addresses in turn and fails when the last one did.
 */
#include "gossip_engine.h"

#include <stdio.h>

#include <weave/alloc.h>
#include <weave/must.h>

static void reschedule(struct gossip *g, const struct dial_target *t)
{
	if (t->self || g->stopped)
		return;
	g->targets_due = mono_min(g->targets_due, target_deadline(&t->fsm));
	due_by(g, g->targets_due);
}

struct dial_target *target_find(const struct gossip *g, uint32_t id)
{
	for (size_t i = 0; i < g->targets_count; i++)
		if (g->targets[i]->id == id)
			return g->targets[i];
	return NULL;
}

static struct dial_target *target_new(struct gossip *g)
{
	struct dial_target *t = mem_new(1, sizeof *t);

	if (g->targets_count == g->targets_room) {
		g->targets_room = g->targets_room ? g->targets_room * 2 : 16;
		g->targets = mem_resize(g->targets, g->targets_room, sizeof *g->targets);
	}
	g->targets[g->targets_count++] = t;
	t->id = ++g->last_target;
	return t;
}

static void target_free(struct dial_target *t)
{
	mem_free(t->text);
	mem_free(t);
}

void targets_free(struct gossip *g)
{
	for (size_t i = 0; i < g->targets_count; i++)
		target_free(g->targets[i]);
	mem_free(g->targets);
}

/* What is being dialled for it is given up; a live connection stays. */
void targets_remove(struct gossip *g, struct dial_target *t)
{
	struct conn *c = t->conn ? conn_find(g, t->conn) : NULL;
	struct why why;
	size_t i = 0;

	while (g->targets[i] != t)
		i++;
	g->targets[i] = g->targets[--g->targets_count];
	if (c) {
		c->target = 0;
		why_set(&why, WHY_FORGOTTEN, "target forgotten");
		if (c->state == CONN_DIALLING || c->state == CONN_HANDSHAKE)
			conn_close(c, &why);
	}
	target_free(t);
}

bool targets_want(const struct gossip *g, peer_name peer)
{
	for (size_t i = 0; i < g->targets_count; i++)
		if (g->targets[i]->text && g->targets[i]->peer == peer)
			return true;
	return false;
}

bool target_is_satisfied(const struct gossip *g, const struct dial_target *t)
{
	return t->peer != PEER_NAME_NONE && conn_of_peer(g, t->peer);
}

bool is_own_address(const struct gossip *g, struct netaddr a)
{
	for (unsigned i = 0; i < g->own_addresses_count; i++)
		if (netaddr_compare(g->own_addresses[i], a) == 0)
			return true;
	return false;
}

/* ---- where to dial ---- */

static void add_candidate(const struct gossip *g, struct dial_target *t, struct netaddr a)
{
	if (!a.ip.family || !a.port || t->candidates_count == CANDIDATES_MAX ||
	    is_own_address(g, a))
		return;
	for (unsigned i = 0; i < t->candidates_count; i++)
		if (netaddr_compare(t->candidates[i], a) == 0)
			return;
	t->candidates[t->candidates_count++] = a;
}

static const struct link_info *find_link(const struct topology_peer *from, peer_name to)
{
	for (uint32_t i = 0; from && i < from->links_count; i++)
		if (from->links[i]->to == to)
			return from->links[i];
	return NULL;
}

/* What others see of the peer first, those that have dialled it before the rest; then what it
 * says of itself. */
static void discover_candidates(const struct gossip *g, struct dial_target *t)
{
	const struct topology_peer *p = topology_peer(g->topology, t->peer);

	t->candidates_count = 0;
	for (int dialled = 1; p && dialled >= 0; dialled--)
		for (uint32_t i = 0; i < p->links_count; i++) {
			const struct link_info *l = find_link(
				topology_peer(g->topology, p->links[i]->to), t->peer);

			if (l && l->outbound == (dialled == 1))
				add_candidate(g, t, l->address);
		}
	for (unsigned i = 0; p && i < p->info.addresses_count; i++)
		add_candidate(g, t,
			      (struct netaddr){ p->info.addresses[i],
						p->info.port ? p->info.port : g->config.port });
}

/* ---- attempts ---- */

static void succeed(struct gossip *g, struct dial_target *t)
{
	if (t->fsm.state == TARGET_WAITING) {
		target_reset(&t->fsm, 0, g->now, &g->rng);
		target_step(&t->fsm, TARGET_TICK, g->now, &g->rng);
	}
	target_step(&t->fsm, TARGET_OK, g->now, &g->rng);
	t->why = (struct why){ 0 };
}

static void fail(struct gossip *g, struct dial_target *t, const struct why *why)
{
	char address[ENDPOINT_TEXT_SIZE] = "";

	if (t->text && strcmp(t->why.text, why->text) != 0)
		log_info(g->log, "target failed: target=%s reason=\"%s\" %s", t->text, why->text,
			 t->self ? "not tried again" : "tried again within 10 s");
	else if (!t->text && t->candidates_count)
		log_debug(g->log, "discovered address failed: address=%s reason=\"%s\"",
			  netaddr_text(t->candidates[0], address), why->text);
	t->why = *why;
	target_step(&t->fsm, TARGET_FAILED, g->now, &g->rng);
	reschedule(g, t);
}

static bool dial_next(struct gossip *g, struct dial_target *t)
{
	if (t->candidate >= t->candidates_count)
		return false;
	t->conn = conn_dial(g, t->candidates[t->candidate++], t->id)->id;
	return true;
}

/* An address of ours stays ours; a name may lead to somebody else tomorrow. */
static void mark_self(struct dial_target *t)
{
	t->self = t->host.literal;
}

static void dial_candidates(struct gossip *g, struct dial_target *t, bool own)
{
	struct why why;

	t->candidate = 0;
	if (dial_next(g, t))
		return;
	if (own)
		why_set(&why, WHY_SELF, "this is our own address");
	else
		why_set(&why, WHY_TRANSPORT, "no address of it is known");
	fail(g, t, &why);
}

static void resolve(struct gossip *g, struct dial_target *t)
{
	struct gossip_action *a = push_action(g, GOSSIP_RESOLVE);

	t->resolving = true;
	a->target = t->id;
	action_own_text(g, a, t->text);
}

/* The operator's candidates, once its addresses are known. */
static void dial_addresses(struct gossip *g, struct dial_target *t, const struct netaddr *addresses,
			   size_t addresses_count)
{
	bool own;

	t->candidates_count = 0;
	for (size_t i = 0; i < addresses_count; i++)
		add_candidate(g, t, addresses[i]);
	own = addresses_count > 0 && t->candidates_count == 0;
	if (own)
		mark_self(t);
	dial_candidates(g, t, own);
}

static uint16_t port_of(const struct gossip *g, const struct dial_target *t)
{
	return t->host.port ? t->host.port : g->config.port;
}

static void attempt(struct gossip *g, struct dial_target *t)
{
	struct why why;
	struct netaddr literal = { t->host.ip, port_of(g, t) };

	if (target_step(&t->fsm, TARGET_TICK, g->now, &g->rng) != TARGET_DIAL)
		return;
	if (target_is_satisfied(g, t)) {
		succeed(g, t);
	} else if (!t->text) {
		if (g->config.conn_limit && g->outbound_count >= g->config.conn_limit) {
			why_set(&why, WHY_LIMIT, "connection limit reached: %u are dialled",
				g->config.conn_limit);
			fail(g, t, &why);
			return;
		}
		discover_candidates(g, t);
		dial_candidates(g, t, false);
	} else if (t->host.literal) {
		dial_addresses(g, t, &literal, 1);
	} else {
		resolve(g, t);
	}
}

void targets_tick(struct gossip *g)
{
	g->targets_due = MONO_NEVER;
	if (g->stopped)
		return;
	for (size_t i = 0; i < g->targets_count; i++) {
		struct dial_target *t = g->targets[i];

		if (!t->self && mono_reached(g->now, target_deadline(&t->fsm)))
			attempt(g, t);
		reschedule(g, t);
	}
}

void gossip_on_resolved(struct gossip *g, uint32_t target, const struct netaddr *addresses,
			size_t addresses_count, const char *reason, struct mono now)
{
	struct dial_target *t = target_find(g, target);
	struct netaddr with_port[CANDIDATES_MAX];
	struct why why;

	g->now = now;
	if (!t || !t->resolving)
		return;
	t->resolving = false;
	if (addresses_count > CANDIDATES_MAX)
		addresses_count = CANDIDATES_MAX;
	for (size_t i = 0; i < addresses_count; i++) {
		with_port[i] = addresses[i];
		if (!with_port[i].port)
			with_port[i].port = port_of(g, t);
	}
	if (addresses_count) {
		dial_addresses(g, t, with_port, addresses_count);
	} else {
		why_set(&why, WHY_TRANSPORT, "%s: %s", t->host.host,
			reason ? reason : "no address");
		fail(g, t, &why);
	}
	gossip_settle(g);
}

/* ---- what became of it ---- */

void target_conn_ended(struct dial_target *t, const struct conn *c, const struct why *why)
{
	struct gossip *g = c->owner;
	peer_name met = c->hello.name;
	bool expected = t->text || met == t->peer;

	t->conn = 0;
	if (t->text && met != PEER_NAME_NONE && why->reason != WHY_SELF)
		t->peer = met;
	if (t->fsm.state != TARGET_DIALLING)
		return; /* targets_peer_lost has the rest */
	if (why->reason == WHY_DUPLICATE && expected && conn_of_peer(g, met)) {
		succeed(g, t);
		return;
	}
	/* By the HELLO that we read: anybody may say SELF in a CLOSE. */
	if (why->reason == WHY_SELF && met == g->config.name && t->text)
		mark_self(t);
	else if ((met == PEER_NAME_NONE || !expected) && !g->stopped && dial_next(g, t))
		return;
	fail(g, t, why);
}

void targets_peer_up(struct gossip *g, struct conn *c)
{
	struct dial_target *dialler = c->target ? target_find(g, c->target) : NULL;

	if (dialler && dialler->conn == c->id && dialler->text)
		dialler->peer = c->hello.name;
	for (size_t i = 0; i < g->targets_count; i++) {
		struct dial_target *t = g->targets[i];

		if (t->peer == c->hello.name && (t->conn == 0 || t->conn == c->id) && !t->resolving)
			succeed(g, t);
	}
	if (dialler && dialler->conn == c->id && dialler->peer != c->hello.name) {
		/* The address belongs to somebody else by now. */
		struct why why;

		why_set(&why, WHY_TRANSPORT, "another peer answers at this address");
		dialler->conn = 0;
		c->target = 0;
		fail(g, dialler, &why);
	}
}

void targets_peer_lost(struct gossip *g, peer_name peer, const struct why *why)
{
	for (size_t i = 0; i < g->targets_count; i++) {
		struct dial_target *t = g->targets[i];

		if (t->peer != peer || t->fsm.state != TARGET_UP)
			continue;
		target_step(&t->fsm, TARGET_LOST, g->now, &g->rng);
		t->why = *why;
		reschedule(g, t);
	}
}

/* ---- the mesh ---- */

struct dial_target *targets_discover(struct gossip *g, peer_name peer, uint32_t cap_ms)
{
	struct dial_target *t = target_new(g);

	t->peer = peer;
	target_init(&t->fsm, cap_ms, true, g->now, &g->rng);
	if (g->config.name > peer)
		target_reset(&t->fsm, TARGET_FIRST_MAX_MS + HEAD_START_MS, g->now, &g->rng);
	reschedule(g, t);
	return t;
}

void target_set_urgency(struct gossip *g, struct dial_target *t, uint32_t cap_ms, bool soon)
{
	target_set_cap(&t->fsm, cap_ms);
	if (soon)
		target_reset(&t->fsm, TARGET_FIRST_MAX_MS, g->now, &g->rng);
	reschedule(g, t);
}

/* ---- people ---- */

static struct dial_target *find_text(const struct gossip *g, const char *text)
{
	for (size_t i = 0; i < g->targets_count; i++)
		if (g->targets[i]->text && strcmp(g->targets[i]->text, text) == 0)
			return g->targets[i];
	return NULL;
}

static size_t operator_count(const struct gossip *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->targets_count; i++)
		n += g->targets[i]->text != NULL;
	return n;
}

static bool is_listed(const char *text, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(texts[i], text) == 0)
			return true;
	return false;
}

static void forget_others(struct gossip *g, const char *const *texts, size_t count)
{
	for (size_t i = g->targets_count; i-- > 0;)
		if (g->targets[i]->text && !is_listed(g->targets[i]->text, texts, count))
			targets_remove(g, g->targets[i]);
}

static void connect_one(struct gossip *g, const char *text)
{
	struct dial_target *t = find_text(g, text);
	struct why why;

	if (!t) {
		t = target_new(g);
		t->text = mem_copy_text(text);
		MUST(hostport_parse(text, &t->host, &why));
		target_init(&t->fsm, TARGET_DELAY_NEAR_MAX_MS, false, g->now, &g->rng);
	} else {
		t->self = false;
		target_reset(&t->fsm, 0, g->now, &g->rng);
	}
	reschedule(g, t);
}

bool gossip_connect(struct gossip *g, const char *const *texts, size_t count, bool replace,
		    struct mono now, struct why *why)
{
	struct hostport host;

	g->now = now;
	for (size_t i = 0; i < count; i++)
		if (!hostport_parse(texts[i], &host, why))
			return false;
	if (count + (replace ? 0 : operator_count(g)) > TARGETS_MAX) {
		why_set(why, WHY_INVALID, "more than %u targets", TARGETS_MAX);
		return false;
	}
	if (replace)
		forget_others(g, texts, count);
	for (size_t i = 0; i < count; i++)
		connect_one(g, texts[i]);
	mesh_soon(g);
	gossip_settle(g);
	return true;
}

size_t gossip_forget(struct gossip *g, const char *const *texts, size_t count, struct mono now)
{
	size_t known = 0;

	g->now = now;
	for (size_t i = 0; i < count; i++) {
		struct dial_target *t = find_text(g, texts[i]);

		if (!t)
			continue;
		targets_remove(g, t);
		known++;
	}
	mesh_soon(g);
	gossip_settle(g);
	return known;
}

const char *gossip_target_at(const struct gossip *g, size_t index)
{
	for (size_t i = 0; i < g->targets_count; i++)
		if (g->targets[i]->text && index-- == 0)
			return g->targets[i]->text;
	return NULL;
}
