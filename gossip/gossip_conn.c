#include "gossip_engine.h"

#include <stdio.h>

#include <weave/alloc.h>
#include <weave/must.h>

struct conn *conn_find(const struct gossip *g, conn_id id)
{
	struct table_link *l = table_first(&g->conns, id);

	return l ? table_entry(l, struct conn, by_id) : NULL;
}

static uint64_t peer_hash(const struct gossip *g, peer_name peer)
{
	return hash64(&g->hash_key, &peer, sizeof peer);
}

struct conn *conn_of_peer(const struct gossip *g, peer_name peer)
{
	uint64_t hash = peer_hash(g, peer);

	for (struct table_link *l = table_first(&g->peers, hash); l; l = table_next(l, hash)) {
		struct conn *c = table_entry(l, struct conn, by_peer);

		if (c->hello.name == peer)
			return c;
	}
	return NULL;
}

const char *conn_text(const struct conn *c, char *text, size_t size)
{
	char address[ENDPOINT_TEXT_SIZE], name[PEER_NAME_TEXT_SIZE];

	netaddr_text(c->remote, address);
	if (c->hello.name)
		snprintf(text, size, "peer=%s nickname=%s address=%s%s",
			 peer_name_text(c->hello.name, name), c->hello.nickname,
			 c->outbound ? "" : "<-", address);
	else
		snprintf(text, size, "address=%s%s", c->outbound ? "" : "<-", address);
	return text;
}

/* ---- birth, states, end ---- */

/* The counters of gossip follow the states here and nowhere else. */
static void count(struct conn *c, int by)
{
	struct gossip *g = c->owner;
	bool met = c->state == CONN_SPARE || c->state == CONN_UP;

	if (c->outbound && c->state != CONN_CLOSING)
		g->outbound_count += (uint32_t)by;
	if (!c->outbound && c->state == CONN_HANDSHAKE)
		g->handshakes_count += (uint32_t)by;
	if (!c->outbound && met)
		g->inbound_count += (uint32_t)by;
	if (c->state != CONN_UP)
		return;
	if (by > 0)
		table_insert(&g->peers, &c->by_peer, peer_hash(g, c->hello.name));
	else
		table_remove(&g->peers, &c->by_peer);
}

static void forget_handshake(struct conn *c)
{
	if (c->handshake)
		handshake_wipe(c->handshake);
	mem_free(c->handshake);
	c->handshake = NULL;
}

void conn_enter(struct conn *c, enum conn_state state)
{
	count(c, -1);
	c->state = state;
	c->since = c->owner->now;
	count(c, 1);
	if (state != CONN_UP)
		list_remove(&c->flowing);
	if (state != CONN_HANDSHAKE)
		forget_handshake(c);
	c->due = MONO_NEVER;
	if (state != CONN_UP) /* its neighbour is yet to be made */
		conn_touch(c);
}

static struct conn *conn_new(struct gossip *g, bool outbound, enum conn_state state)
{
	struct conn *c = mem_new(1, sizeof *c);

	c->owner = g;
	c->id = ++g->last_conn;
	c->outbound = outbound;
	c->state = state;
	c->since = g->now;
	c->link_due = c->unwanted_since = MONO_NEVER;
	table_insert(&g->conns, &c->by_id, c->id);
	list_append(&g->conns_in_order, &c->in_order);
	count(c, 1);
	c->due = MONO_NEVER;
	list_init(&c->flowing);
	conn_touch(c);
	return c;
}

static void conn_free(struct conn *c)
{
	count(c, -1);
	if (c->state == CONN_UP)
		neighbour_fini(&c->neighbour);
	table_remove(&c->owner->conns, &c->by_id);
	list_remove(&c->in_order);
	list_remove(&c->flowing);
	session_in_fini(&c->in);
	session_out_fini(&c->sealer);
	passwords_forget(c);
	sodium_memzero(&c->secret, sizeof c->secret);
	forget_handshake(c);
	mem_free(c->out);
	mem_free(c);
}

void conns_free(struct gossip *g)
{
	while (!list_empty(&g->conns_in_order))
		conn_free(list_entry(g->conns_in_order.next, struct conn, in_order));
}

/* We computed for the other end, and what we said may serve to test a guess of the password; it has
 * proved nothing, and, if it was refused since, never will. */
static bool awaits_proof(const struct conn *c)
{
	return c->handshake && c->handshake->keys.theirs > 0 && !c->handshake->keys.agreed;
}

/* Once our proof is on its way the other end takes records only, which we cannot make yet. */
static bool has_proved_alone(const struct conn *c)
{
	return c->outbound && c->handshake && c->handshake->keys.proof_size > 0 &&
	       !c->sealer.sealed;
}

static bool is_about_password(const struct conn *c, const struct why *why)
{
	return why->reason == WHY_PASSWORD_WRONG || why->reason == WHY_PASSWORD_ONE_SIDE ||
	       awaits_proof(c);
}

static void count_failure(struct conn *c, const struct why *why)
{
	struct gossip *g = c->owner;

	if (why->reason == WHY_PASSWORD_WRONG)
		g->counters.password_wrong++;
	else if (why->reason == WHY_PASSWORD_ONE_SIDE)
		g->counters.password_one_side++;
	else if (awaits_proof(c))
		g->counters.password_unproved++;
	if (!c->outbound && is_about_password(c, why))
		strangers_failed(&g->strangers, c->remote.ip, g->now);
}

/* Anybody can knock as often as they like: at most one line a second. */
static void log_stranger(const struct conn *c, const struct why *why)
{
	struct gossip *g = c->owner;
	char text[CONN_TEXT_SIZE];
	uint32_t swallowed;

	if (!log_limit_allows(&g->strangers_log, g->now, 1000, &swallowed))
		return;
	conn_text(c, text, sizeof text);
	if (is_about_password(c, why))
		log_warning(g->log,
			    "authentication failed: %s reason=\"%s\" failures_from_there=%llu "
			    "others_not_shown=%u",
			    text, why->text,
			    (unsigned long long)strangers_failures(&g->strangers, c->remote.ip),
			    swallowed);
	else
		log_info(g->log, "handshake failed: %s reason=\"%s\" others_not_shown=%u", text,
			 why->text, swallowed);
}

/* What the end of 'c' means to the rest; 'c' is neither UP nor SPARE afterwards. */
static void ended(struct conn *c, const struct why *why)
{
	struct gossip *g = c->owner;
	struct dial_target *t = c->target ? target_find(g, c->target) : NULL;
	char text[CONN_TEXT_SIZE];
	bool was_up = c->state == CONN_UP;
	peer_name peer = c->hello.name;

	if (c->handshake)
		count_failure(c, why);
	if (peer != PEER_NAME_NONE)
		log_info(g->log, "connection ended: %s reason=\"%s\"",
			 conn_text(c, text, sizeof text), why->text);
	else if (c->state == CONN_HANDSHAKE)
		log_stranger(c, why);
	if (was_up && c->confirmed)
		g->counters.terminations++;
	if (!was_up && c->state != CONN_DIALLING && why->reason != WHY_DUPLICATE)
		g->counters.refused_handshakes++;
	if (why->reason == WHY_MALFORMED)
		g->counters.malformed++;
	history_add(c, why);
	if (was_up)
		join_leave(c);
	else
		conn_enter(c, CONN_CLOSING);
	if (t && t->conn == c->id)
		target_conn_ended(t, c, why);
	if (was_up && !conn_of_peer(g, peer))
		targets_peer_lost(g, peer, why);
}

static void say_close(struct conn *c, const struct why *why)
{
	uint8_t room[FRAME_HEADER_SIZE + 4 + CLOSE_TEXT_MAX + CLOSE_HOLDER_SIZE + RECORD_OVERHEAD];
	struct writer w = writer_over(room + SESSION_HEAD_ROOM, sizeof room - RECORD_OVERHEAD);
	size_t mark = session_begin(&w, MESSAGE_CLOSE);
	struct name_holder holder = c->holder;
	struct why said = *why;

	/* Texts may hold names.  Who has not proved anything yet is told the reason only. */
	if (has_password(c->owner) && !c->sealer.sealed) {
		why_set(&said, why->reason, "%s", why_reason_text(why->reason));
		holder.instance = 0;
	}
	close_encode(&said, holder, &w);
	session_end(&w, mark);
	conn_out_frame(c, room, writer_size(&w));
}

void conn_close(struct conn *c, const struct why *why)
{
	struct gossip *g = c->owner;
	bool dialling = c->state == CONN_DIALLING;
	bool can_say = c->version != 0 && !has_proved_alone(c);

	MUST(c->state != CONN_CLOSING);
	ended(c, why);
	if (can_say)
		say_close(c, why);
	push_action(g, GOSSIP_CLOSE)->conn = c->id;
	if (dialling || c->out_at == c->out_size)
		conn_free(c);
}

void conn_lost(struct conn *c, const struct why *why)
{
	ended(c, why);
	conn_free(c);
}

static struct mono conn_deadline(const struct conn *c)
{
	struct mono due;

	switch (c->state) {
	case CONN_DIALLING:
		return mono_after(c->since, DIAL_TIMEOUT_MS);
	case CONN_HANDSHAKE:
		return mono_after(c->since, HANDSHAKE_TIMEOUT_MS);
	case CONN_SPARE:
		return mono_after(c->since, SPARE_TIMEOUT_MS);
	case CONN_CLOSING:
		return mono_after(c->since, CLOSING_MS);
	case CONN_UP:
		due = mono_min(neighbour_deadline(&c->neighbour, !c->told), c->link_due);
		due = mono_min(due, passwords_deadline(c));
		if (c->told)
			due = mono_min(due,
				       mono_after(c->told_at.ms > c->pulled_at.ms ? c->told_at
										  : c->pulled_at,
						  NO_PROGRESS_MS));
		return due;
	}
	NOT_REACHED("connection state");
}

void conn_touch(struct conn *c)
{
	c->due = mono_min(c->due, conn_deadline(c));
	due_by(c->owner, c->due);
}

/* The same, exactly: it may lie later than before. */
static void set_due(struct conn *c)
{
	c->due = conn_deadline(c);
	due_by(c->owner, c->due);
}

static void close_for(struct conn *c, enum why_reason reason, const char *text)
{
	struct why why;

	why_set(&why, reason, "%s", text);
	conn_close(c, &why);
}

static bool is_stuck(const struct conn *c, struct mono now)
{
	return c->told && mono_elapsed(c->told_at, now) >= NO_PROGRESS_MS &&
	       mono_elapsed(c->pulled_at, now) >= NO_PROGRESS_MS;
}

void conn_tick(struct conn *c)
{
	struct mono now = c->owner->now;

	c->due = conn_deadline(c);
	if (!mono_reached(now, c->due))
		return;
	switch (c->state) {
	case CONN_DIALLING:
		close_for(c, WHY_TRANSPORT, "no answer to the dial");
		break;
	case CONN_HANDSHAKE:
		close_for(c, WHY_HANDSHAKE_TIMEOUT, "no complete handshake within 10 s");
		break;
	case CONN_SPARE:
		close_for(c, WHY_DUPLICATE, "another connection to this peer is in use");
		break;
	case CONN_CLOSING:
		conn_free(c);
		break;
	case CONN_UP:
		if (neighbour_is_dead(&c->neighbour, now)) {
			close_for(c, WHY_NO_ECHO, "no answer to heartbeats for 10 s");
		} else if (is_stuck(c, now)) {
			close_for(c, WHY_NO_PROGRESS, "peer has not read for 10 s");
		} else {
			if (mono_reached(now, c->link_due))
				link_update(c);
			if (mono_reached(now, passwords_deadline(c)))
				passwords_tick(c);
			conn_poke(c);
			set_due(c);
		}
		break;
	}
}

/* ---- output ---- */

void conn_out(struct conn *c, struct bytes bytes)
{
	size_t left = c->out_size - c->out_at;

	if (bytes.size) {
		uint8_t *out = mem_new(left + bytes.size, 1);

		if (left)
			memcpy(out, c->out + c->out_at, left);
		memcpy(out + left, bytes.data, bytes.size);
		mem_free(c->out);
		c->out = out;
		c->out_at = 0;
		c->out_size = left + bytes.size;
	}
	conn_poke(c);
}

void conn_out_frame(struct conn *c, uint8_t *room, size_t frame_size)
{
	conn_out(c, session_seal(&c->sealer, room, frame_size));
}

static bool wants_write(const struct conn *c, struct mono now)
{
	return c->out_at < c->out_size ||
	       (c->state == CONN_UP && neighbour_wants_write(&c->neighbour, now));
}

/* Keeps the list of those that changes must be told to. */
static void follow_flow(struct conn *c)
{
	bool flows = c->state == CONN_UP && c->neighbour.flow;

	if (flows && list_empty(&c->flowing))
		list_append(&c->owner->conns_flowing, &c->flowing);
	else if (!flows)
		list_remove(&c->flowing);
}

void conn_poke(struct conn *c)
{
	struct gossip *g = c->owner;

	follow_flow(c);
	if (!c->told && wants_write(c, g->now)) {
		c->told = true;
		c->told_at = g->now;
		push_action(g, GOSSIP_WRITE)->conn = c->id;
	}
	conn_touch(c);
}

static size_t pull_out(struct conn *c, uint8_t *buffer, size_t size)
{
	size_t n = c->out_size - c->out_at;

	if (n == 0)
		return 0;
	if (n > size)
		n = size;
	memcpy(buffer, c->out + c->out_at, n);
	c->out_at += n;
	if (c->out_at == c->out_size) {
		mem_free(c->out);
		c->out = NULL;
		c->out_at = c->out_size = 0;
	}
	return n;
}

/* One frame into the buffer; what does not fit is kept for the next pull. 0: there is none. */
static size_t pull_frame(struct conn *c, uint8_t *buffer, size_t size)
{
	struct gossip *g = c->owner;
	struct writer w = writer_over(g->scratch + SESSION_HEAD_ROOM, FRAME_SIZE_MAX);
	struct bytes out;
	size_t n;

	if (c->state != CONN_UP || !neighbour_pull(&c->neighbour, &w, g->now))
		return 0;
	MUST(!w.full);
	/* What was sealed earlier must be sent earlier. */
	MUST(c->out_at == c->out_size);
	out = session_seal(&c->sealer, g->scratch, writer_size(&w));
	n = out.size;
	if (n > size) {
		c->out = mem_copy(out.data + size, n - size);
		c->out_at = 0;
		c->out_size = n - size;
		n = size;
	}
	memcpy(buffer, out.data, n);
	return n;
}

size_t gossip_pull(struct gossip *g, conn_id conn, void *buffer, size_t size, struct mono now)
{
	struct conn *c = conn_find(g, conn);
	uint8_t *at = buffer;
	size_t total = 0, n;

	g->now = now;
	if (!c || size == 0)
		return 0;
	total = pull_out(c, at, size);
	while (total < size && (n = pull_frame(c, at + total, size - total)))
		total += n;
	c->bytes_out += total;
	c->pulled_at = now;
	if (total == size)
		return total;
	c->told = false;
	if (c->state == CONN_CLOSING)
		conn_free(c);
	else
		set_due(c);
	return total;
}

bool gossip_wants_write(const struct gossip *g, conn_id conn)
{
	const struct conn *c = conn_find(g, conn);

	return c && wants_write(c, g->now);
}

/* ---- events of the transport ---- */

static void begin_handshake(struct conn *c)
{
	struct gossip *g = c->owner;
	uint8_t preamble[PREAMBLE_SIZE];
	struct writer w = writer_over(preamble, sizeof preamble);

	/* It is shown to strangers, who must not learn the state of 'rng' from it. */
	c->random = rng_u64(&g->rng);
	c->random = hash64(&g->hash_key, &c->random, sizeof c->random);
	c->handshake = mem_new(1, sizeof *c->handshake);
	handshake_init(c->handshake, c->outbound, has_password(g), g->config.protocol_min,
		       g->config.protocol_max);
	preamble_encode(g->config.protocol_min, g->config.protocol_max, &w);
	conn_out(c, writer_bytes(&w));
}

static bool is_knocking(const struct conn *c)
{
	return c->state == CONN_HANDSHAKE && !c->outbound;
}

static unsigned knocking_from(const struct gossip *g, struct ip_addr ip)
{
	struct ip_addr network = strangers_network(ip);
	unsigned count = 0;

	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		const struct conn *c = list_entry(l, struct conn, in_order);

		count += is_knocking(c) &&
			 ip_compare(strangers_network(c->remote.ip), network) == 0;
	}
	return count;
}

/* At most HANDSHAKES_MAX strangers at once: of the address with most of them the oldest goes, so
 * that nobody pushes out others than themselves. */
static void make_room_for_handshake(struct gossip *g)
{
	struct conn *goes = NULL;
	unsigned most = 0;

	if (g->handshakes_count < HANDSHAKES_MAX)
		return;
	for (struct list *l = g->conns_in_order.next; l != &g->conns_in_order; l = l->next) {
		struct conn *c = list_entry(l, struct conn, in_order);
		unsigned count = is_knocking(c) ? knocking_from(g, c->remote.ip) : 0;

		if (count > most) {
			most = count;
			goes = c;
		}
		if (most > HANDSHAKES_MAX / 2)
			break;
	}
	MUST(goes);
	close_for(goes, WHY_OVERLOADED, "too many connections in handshake at once");
}

conn_id gossip_on_accepted(struct gossip *g, struct netaddr remote, struct mono now,
			   struct why *why)
{
	struct conn *c;
	conn_id id;

	g->now = now;
	if (g->stopped) {
		why_set(why, WHY_STOPPED, "router stopped");
		return 0;
	}
	g->counters.accepted++;
	make_room_for_handshake(g);
	c = conn_new(g, false, CONN_HANDSHAKE);
	id = c->id;
	c->remote = remote;
	begin_handshake(c);
	gossip_settle(g);
	return id;
}

struct conn *conn_dial(struct gossip *g, struct netaddr to, uint32_t target)
{
	struct conn *c = conn_new(g, true, CONN_DIALLING);
	struct gossip_action *a = push_action(g, GOSSIP_DIAL);

	c->remote = to;
	c->target = target;
	a->conn = c->id;
	a->address = to;
	a->target = target;
	g->counters.dials++;
	return c;
}

static void remember_own_address(struct gossip *g, struct netaddr local)
{
	struct netaddr listening = { local.ip, g->config.port };

	if (local.ip.family && !is_own_address(g, listening) &&
	    g->own_addresses_count < ARRAY_COUNT(g->own_addresses))
		g->own_addresses[g->own_addresses_count++] = listening;
}

void gossip_on_connected(struct gossip *g, conn_id conn, struct netaddr local,
			 struct netaddr remote, struct mono now)
{
	struct conn *c = conn_find(g, conn);

	g->now = now;
	if (!c || c->state != CONN_DIALLING)
		return;
	c->local = local;
	c->remote = remote;
	remember_own_address(g, local);
	conn_enter(c, CONN_HANDSHAKE);
	begin_handshake(c);
	gossip_settle(g);
}

void gossip_on_dial_failed(struct gossip *g, conn_id conn, const char *reason, struct mono now)
{
	struct conn *c = conn_find(g, conn);
	struct why why;

	g->now = now;
	if (!c || c->state != CONN_DIALLING)
		return;
	why_set(&why, WHY_TRANSPORT, "%s", reason);
	conn_lost(c, &why);
	gossip_settle(g);
}

void gossip_on_closed(struct gossip *g, conn_id conn, const char *reason, struct mono now)
{
	struct conn *c = conn_find(g, conn);
	struct why why;

	g->now = now;
	if (!c)
		return;
	if (c->state == CONN_CLOSING) {
		conn_free(c);
		return;
	}
	if (awaits_proof(c))
		why_set(&why, WHY_TRANSPORT,
			"the other end left before it proved to know the password");
	else
		why_set(&why, WHY_TRANSPORT, "%s",
			reason ? reason : "the other end closed the connection");
	conn_lost(c, &why);
	gossip_settle(g);
}

/* ---- handshake ---- */

static bool trusts(const struct gossip *g, struct ip_addr ip)
{
	for (unsigned i = 0; i < g->config.trusted_count; i++)
		if (cidr_contains(g->config.trusted[i], ip))
			return true;
	return false;
}

static void send_hello(struct conn *c)
{
	struct gossip *g = c->owner;
	struct hello h = {
		.form = c->sealer.sealed ? HELLO_SEALED : HELLO_CLEAR,
		.trusted = trusts(g, c->remote.ip),
		.name = g->config.name,
		.generation = g->identity.generation,
		.instance = g->config.instance,
		.connection = c->random,
		.port = g->config.port,
		.overlays = g->config.overlays,
	};
	uint8_t room[HELLO_WIRE_MAX + RECORD_OVERHEAD];
	struct writer w = writer_over(room + SESSION_HEAD_ROOM, HELLO_WIRE_MAX);
	size_t mark = session_begin(&w, MESSAGE_HELLO);

	memcpy(h.nickname, g->config.nickname, sizeof h.nickname);
	hello_encode(&h, &w);
	session_end(&w, mark);
	conn_out_frame(c, room, writer_size(&w));
}

static void refused(struct conn *c, bool by_peer, struct why *why)
{
	struct why told;

	if (!by_peer) {
		conn_close(c, why);
		return;
	}
	why_set(&told, why->reason, "the other end says: %s",
		why->text[0] ? why->text : why_reason_text(why->reason));
	push_action(c->owner, GOSSIP_CLOSE)->conn = c->id;
	conn_lost(c, &told);
}

/* Before the first costly step. */
static bool set_puzzle(struct conn *c)
{
	struct gossip *g = c->owner;
	uint8_t random[PUZZLE_SIZE];

	if (c->outbound || c->handshake->solved ||
	    strangers_may_ask(&g->strangers, c->remote.ip, g->now))
		return false;
	g->counters.puzzles++;
	g->config.entropy(g->config.entropy_ctx, random, sizeof random);
	handshake_puzzle(c->handshake, random);
	return true;
}

static void offer_keys(struct conn *c, struct why *why)
{
	struct gossip *g = c->owner;
	uint8_t entropy[HANDSHAKE_ENTROPY_SIZE];

	if (set_puzzle(c))
		return;
	g->config.entropy(g->config.entropy_ctx, entropy, sizeof entropy);
	handshake_offer(c->handshake, g->config.passwords, entropy, why);
	sodium_memzero(entropy, sizeof entropy);
}

/* Both ends know the password: from here on everything is sealed, beginning with who we are. */
static void seal(struct conn *c)
{
	const struct key_exchange *keys = &c->handshake->keys;
	uint8_t dialled[DERIVED_SIZE], accepted[DERIVED_SIZE];

	key_exchange_derive(keys, LABEL_RECORDS_DIALLED, dialled);
	key_exchange_derive(keys, LABEL_RECORDS_ACCEPTED, accepted);
	key_exchange_derive(keys, LABEL_DATA_PATH, c->secret.secret);
	passwords_trust(c, keys);
	session_in_seal(&c->in, c->outbound ? accepted : dialled, c->owner->opened);
	session_out_seal(&c->sealer, c->outbound ? dialled : accepted);
	sodium_memzero(dialled, sizeof dialled);
	sodium_memzero(accepted, sizeof accepted);
}

/* What has to be done in the state that was just reached. */
static void shake_hands_on(struct conn *c, struct why *why)
{
	struct handshake *h = c->handshake;

	if (h->state == HANDSHAKE_HELLO) {
		c->version = h->version;
		if (!h->password)
			send_hello(c);
		else if (h->dialled)
			offer_keys(c, why);
	} else if (h->state == HANDSHAKE_OFFERED) {
		offer_keys(c, why);
	}
}

static void handshake_refused(struct conn *c, struct why *why)
{
	struct handshake *h = c->handshake;

	c->version = h->version >= h->lowest ? h->version : 0;
	if (why->reason == WHY_VERSION)
		c->version = 0; /* no language to say CLOSE in */
	refused(c, h->closed_by_peer, why);
}

/* The first record must be the other end's HELLO. */
static bool take_sealed_hello(struct conn *c, struct bytes *bytes)
{
	struct frame f;
	struct name_holder holder; /* of use only to a connection that is up */
	struct why why;
	const char *bad = NULL;
	enum session_result result = session_next(&c->in, bytes, &f, &bad);

	if (result == SESSION_MORE)
		return false;
	if (result == SESSION_FORGED) {
		close_for(c, WHY_FORGED, "a message was changed on its way");
		return false;
	}
	if (result == SESSION_FRAME)
		bad = message_check(f.type, f.body.size, false);
	if (!bad && f.type == MESSAGE_CLOSE) {
		bad = close_decode(&why, &holder, f.body);
		if (!bad) {
			refused(c, true, &why);
			return false;
		}
	}
	if (!bad)
		bad = f.type == MESSAGE_HELLO ? hello_decode(&c->hello, f.body, true)
					      : "frame.type before HELLO";
	if (bad) {
		c->hello = (struct hello){ 0 };
		why_set(&why, WHY_MALFORMED, "malformed handshake: %s", bad);
		conn_close(c, &why);
		return false;
	}
	return true;
}

static void set_path_secret(struct conn *c)
{
	c->secret.initiator = c->outbound;
	c->secret.sealed = c->sealer.sealed &&
			   !(c->hello.trusted && trusts(c->owner, c->remote.ip));
	if (!c->secret.sealed)
		sodium_memzero(c->secret.secret, sizeof c->secret.secret);
}

/* True once the handshake is done; what is left of 'bytes' are frames. */
static bool shake_hands(struct conn *c, struct bytes *bytes)
{
	struct handshake *h = c->handshake;
	struct bytes output;
	struct why why;

	while (h->state != HANDSHAKE_DONE) {
		enum handshake_state before = h->state;

		handshake_feed(h, bytes, &why);
		if (h->state != before && h->state != HANDSHAKE_REFUSED)
			shake_hands_on(c, &why);
		if (h->state == HANDSHAKE_REFUSED) {
			handshake_refused(c, &why);
			return false;
		}
		output = handshake_output(h);
		conn_out(c, output);
		if (h->state == before && output.size == 0)
			return false;
	}
	if (h->password && !c->sealer.sealed) {
		seal(c);
		send_hello(c);
	}
	if (!h->password)
		c->hello = h->hello;
	else if (!take_sealed_hello(c, bytes))
		return false;
	set_path_secret(c);
	return true;
}

void gossip_on_received(struct gossip *g, conn_id conn, struct bytes bytes, struct mono now)
{
	struct conn *c = conn_find(g, conn);

	g->now = now;
	if (!c || c->state == CONN_CLOSING || c->state == CONN_DIALLING)
		return;
	c->bytes_in += bytes.size;
	if (c->state == CONN_HANDSHAKE) {
		if (shake_hands(c, &bytes))
			join(c);
		c = conn_find(g, conn);
	}
	if (c && (c->state == CONN_UP || c->state == CONN_SPARE))
		frames_received(c, bytes);
	gossip_settle(g);
}
