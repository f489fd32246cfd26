/* A network changes its password while it runs.
 *
 * Each router accepts two for a while, and every connection remembers with which one it was let in.
 * When our passwords change, each connection that is up goes through a proof (proof_wire.h): that
 * finds the password that both ends prefer now.  When a password is dropped, the connections that
 * rest on it go, because nothing says that their other ends know the new one.
 */
#include "gossip_engine.h"

#include <weave/alloc.h>
#include <weave/must.h>

/* Each run is a guess for whoever is in with the old password only. */
#define PROOF_EVERY_MS 2000u
/* What was sent so far apart may arrive closer together, by as much as a living connection stalls.
 */
#define PROOF_BUNCHED_MS (ECHO_TIMEOUT_MS + PROOF_EVERY_MS)

bool password_is_known(const struct gossip *g, uint32_t id)
{
	for (unsigned i = 0; i < g->config.passwords->count; i++)
		if (g->config.passwords->list[i].id == id)
			return true;
	return false;
}

static void forget_proof(struct trust *t)
{
	if (t->proof)
		proof_wipe(t->proof);
	mem_free(t->proof);
	t->proof = NULL;
}

static struct proof *proof_of(struct trust *t)
{
	if (!t->proof)
		t->proof = mem_new(1, sizeof *t->proof);
	return t->proof;
}

void passwords_trust(struct conn *c, const struct key_exchange *keys)
{
	c->trust = mem_new(1, sizeof *c->trust);
	c->trust->password_id = key_exchange_password(keys);
	c->trust->proof_due = MONO_NEVER;
	key_exchange_derive(keys, LABEL_BINDING, c->trust->binding);
}

void passwords_forget(struct conn *c)
{
	if (!c->trust)
		return;
	forget_proof(c->trust);
	sodium_memzero(c->trust, sizeof *c->trust);
	mem_free(c->trust);
	c->trust = NULL;
}

static void send_proof(struct conn *c, struct bytes body)
{
	uint8_t room[FRAME_HEADER_SIZE + PROOF_BODY_MAX + RECORD_OVERHEAD];
	struct writer w = writer_over(room + SESSION_HEAD_ROOM, sizeof room - RECORD_OVERHEAD);
	size_t mark = session_begin(&w, MESSAGE_PROOF);

	write_bytes(&w, body.data, body.size);
	session_end(&w, mark);
	conn_out_frame(c, room, writer_size(&w));
}

/* Ours have changed, or the other end says that its have. */
static void prove_soon(struct conn *c)
{
	struct gossip *g = c->owner;
	static const uint8_t ask = PROOF_ASK;

	if (!c->outbound) {
		send_proof(c, bytes_of(&ask, 1));
		return;
	}
	c->trust->proof_due = mono_after(c->trust->proof_at, PROOF_EVERY_MS);
	if (c->trust->proof_at.ms == 0 || mono_reached(g->now, c->trust->proof_due))
		c->trust->proof_due = g->now;
	conn_touch(c);
}

void passwords_tick(struct conn *c)
{
	struct gossip *g = c->owner;
	uint8_t entropy[PROOF_ENTROPY_SIZE], body[PROOF_BODY_MAX];
	struct writer w = writer_over(body, sizeof body);

	MUST(c->state == CONN_UP && c->outbound && c->sealer.sealed);
	c->trust->proof_due = MONO_NEVER;
	if (c->trust->proof && c->trust->proof->state != PROOF_RESTS) {
		c->trust->again = true;
		return;
	}
	c->trust->proof_at = g->now;
	g->config.entropy(g->config.entropy_ctx, entropy, sizeof entropy);
	proof_begin(proof_of(c->trust), g->config.passwords, c->trust->binding, entropy, &w);
	sodium_memzero(entropy, sizeof entropy);
	send_proof(c, writer_bytes(&w));
}

/* The run used our passwords of when it began. */
static void proved(struct conn *c, uint32_t id)
{
	struct gossip *g = c->owner;
	char text[CONN_TEXT_SIZE];

	if (!password_is_known(g, id) || id == c->trust->password_id)
		return;
	c->trust->password_id = id;
	log_info(g->log, "has proved to know the %s password: %s",
		 id == g->config.passwords->list[0].id ? "new" : "other",
		 conn_text(c, text, sizeof text));
}

static void failed(struct conn *c)
{
	struct gossip *g = c->owner;
	char text[CONN_TEXT_SIZE];

	g->counters.password_wrong++;
	strangers_failed(&g->strangers, c->remote.ip, g->now);
	log_warning(g->log, "has no password in common with us any more: %s",
		    conn_text(c, text, sizeof text));
}

/* The generic cell rate algorithm (ITU-T I.371): 'proof_at' is when the next one is due in theory.
 */
static bool comes_too_often(struct conn *c, struct bytes body)
{
	struct mono now = c->owner->now, *at = &c->trust->proof_at;

	if (c->outbound || body.data[0] != PROOF_OFFER)
		return false;
	if (mono_elapsed(now, *at) > PROOF_BUNCHED_MS)
		return true;
	*at = mono_after(at->ms > now.ms ? *at : now, PROOF_EVERY_MS);
	return false;
}

static void ended(struct conn *c)
{
	forget_proof(c->trust);
	if (c->trust->again)
		prove_soon(c);
	c->trust->again = false;
}

const char *passwords_on_proof(struct conn *c, struct bytes body)
{
	struct gossip *g = c->owner;
	uint8_t entropy[PROOF_ENTROPY_SIZE], answer[PROOF_BODY_MAX];
	struct writer w = writer_over(answer, sizeof answer);
	enum proof_result result;
	uint32_t id = 0;
	const char *bad = NULL;

	if (!c->sealer.sealed)
		return "frame.type: no password is set";
	if (comes_too_often(c, body))
		return "proof.step: too often";
	g->config.entropy(g->config.entropy_ctx, entropy, sizeof entropy);
	result = proof_on_message(proof_of(c->trust), c->outbound, body, g->config.passwords,
				  c->trust->binding, entropy, &w, &id, &bad);
	sodium_memzero(entropy, sizeof entropy);
	MUST(!w.full);
	if (result == PROOF_DONE)
		proved(c, id);
	else if (result == PROOF_FAILED)
		failed(c);
	else if (result == PROOF_WANTED)
		prove_soon(c);
	if (result != PROOF_GOES_ON && result != PROOF_WANTED)
		ended(c);
	if (result != PROOF_BAD && writer_size(&w))
		send_proof(c, writer_bytes(&w));
	return bad;
}

void passwords_confirmed(struct conn *c)
{
	/* Ours, or the other end's, may have changed while it shook hands. */
	if (c->trust && c->trust->password_id != c->owner->config.passwords->list[0].id)
		prove_soon(c);
}

void gossip_set_passwords(struct gossip *g, const struct passwords *passwords, struct mono now)
{
	struct why why;

	MUST(has_password(g) && passwords->count > 0 && passwords->count <= PASSWORDS_MAX);
	g->now = now;
	g->config.passwords = passwords;
	why_set(&why, WHY_PASSWORD_WRONG,
		"the password was changed, and the other end has not proved to know the new one");
	for (struct list *l = g->conns_in_order.next, *next; l != &g->conns_in_order; l = next) {
		struct conn *c = list_entry(l, struct conn, in_order);

		next = l->next;
		if (c->state != CONN_UP && c->state != CONN_SPARE)
			continue;
		if (!password_is_known(g, c->trust->password_id))
			conn_close(c, &why);
		else if (c->state == CONN_UP && c->confirmed)
			prove_soon(c);
	}
	gossip_settle(g);
}
