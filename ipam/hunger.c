/* Asking other peers for space.
 *
 * A *hunger* is one span in which somebody needs something: it asks one donor after the other,
 * chosen at random weighted by what they say they have, until the span has what is needed or
 * nobody is left to ask.  All who want something of the same span share one.
 */
#include "allocator.h"

/* Peers that say they have nothing are asked too, but no more of them than this. */
#define EMPTY_ASKED_MAX 3u

static void free_hunger(struct requests *r, struct hunger *h)
{
	list_remove(&h->link);
	mem_free(h->tried);
	mem_free(h);
	r->hungers_count--;
}

void hungers_fini(struct requests *r)
{
	while (!list_empty(&r->hungers))
		free_hunger(r, list_entry(r->hungers.next, struct hunger, link));
}

static struct hunger *find_hunger(const struct ipam *i, struct span want)
{
	for (struct list *l = i->requests.hungers.next; l != &i->requests.hungers; l = l->next) {
		struct hunger *h = list_entry(l, struct hunger, link);

		if (h->want.start == want.start && h->want.end == want.end)
			return h;
	}
	return NULL;
}

struct hunger *hunger_get(struct ipam *i, struct span want)
{
	struct hunger *h = find_hunger(i, want);

	if (h)
		return h;
	h = mem_new(1, sizeof *h);
	h->want = want;
	h->since = i->now;
	h->due = MONO_NEVER;
	list_append(&i->requests.hungers, &h->link);
	i->requests.hungers_count++;
	return h;
}

static bool was_tried(const struct hunger *h, peer_name name)
{
	for (size_t n = 0; n < h->tried_count; n++)
		if (h->tried[n] == name)
			return true;
	return false;
}

static void note_tried(struct hunger *h, peer_name name)
{
	if (h->tried_count == h->tried_room) {
		h->tried_room = h->tried_room ? h->tried_room * 2 : 8;
		h->tried = mem_resize(h->tried, h->tried_room, sizeof *h->tried);
	}
	h->tried[h->tried_count++] = name;
}

/* What a look at all owners in the span gives. */
struct choice {
	struct peer *chosen;
	uint64_t weight;   /* of all that could be asked */
	bool busy;	   /* somebody could be asked, but has a question of ours already */
	bool empty;	   /* the chosen one says that it has nothing */
	uint64_t away;	   /* offsets that belong to owners who cannot be reached */
	peer_name away_of; /* one of them */
	uint64_t unknown;  /* offsets whose owner we have not heard of */
	uint64_t pending;  /* ours, but not confirmed after rmpeer */
	bool tried;	   /* somebody was asked before */
};

static void consider(struct ipam *i, const struct hunger *h, const struct run *run,
		     struct choice *c)
{
	struct peer *p = peer_find(i, run->owner.name);
	uint64_t weight;

	if (owner_equal(run->owner, i->self)) {
		if (!space_owns(&i->space, run->start))
			c->pending += run->end - run->start;
		return;
	}
	if (!p || !p->reachable || p->store_id != run->owner.store_id) {
		c->away += run->end - run->start;
		c->away_of = run->owner.name;
		return;
	}
	if (was_tried(h, p->name)) {
		c->tried = true;
		return;
	}
	if (p->asked) {
		c->busy = true;
		return;
	}
	if (p == c->chosen)
		return;
	weight = peer_free(i, p, h->want);
	if (weight == 0 && h->want.end - h->want.start > 1) {
		if (!c->chosen && h->asked_empty < EMPTY_ASKED_MAX) {
			c->chosen = p;
			c->empty = true;
		}
		return;
	}
	/* Each replaces the one before with probability weight / sum so far: one pass suffices. */
	weight = weight ? weight : 1;
	c->weight += weight;
	if (c->empty || !c->chosen || rng_below(&i->rng, c->weight) < weight)
		c->chosen = p;
	c->empty = false;
}

/* Each owner counts once per run: who owns many pieces is likelier by that, which is as good. */
static struct choice choose(struct ipam *i, const struct hunger *h)
{
	struct choice c = { .unknown = h->want.end - h->want.start };
	const struct run *run = ring_from(&i->ring, h->want.start);
	struct run part;
	uint64_t at;

	for (; run && run_clip(run, h->want.start, h->want.end, &part);
	     run = ring_from(&i->ring, at)) {
		at = run->end;
		c.unknown -= part.end - part.start;
		consider(i, h, &part, &c);
	}
	return c;
}

static void ask(struct ipam *i, struct hunger *h, const struct choice *c)
{
	struct ipam_message m = { .type = MESSAGE_ASK, .span = h->want };

	h->ask_id = m.id = ipam_random(i);
	h->asked = c->chosen->name;
	c->chosen->asked = true;
	h->due = mono_after(i->now, IPAM_ASK_TIMEOUT_MS);
	if (c->empty)
		h->asked_empty++;
	note_tried(h, h->asked);
	out_send(i, h->asked, &m, false);
}

static void begin_round(struct hunger *h, struct mono due)
{
	h->tried_count = 0;
	h->asked_empty = 0;
	h->unready = false;
	h->due = due;
}

/* The remedy is in the sentence: which peers would have to come back, or that it is full. */
static void explain(const struct ipam *i, const struct hunger *h, const struct choice *c,
		    struct why *why)
{
	char from[IP_TEXT_SIZE], to[IP_TEXT_SIZE], name[PEER_NAME_TEXT_SIZE];

	ipam_text(i, h->want.start, from);
	ipam_text(i, h->want.end - 1, to);
	if (h->why.reason != WHY_NONE && h->want.end - h->want.start == 1)
		*why = h->why;
	else if (c->away && h->want.end - h->want.start == 1)
		why_set(why, WHY_TRANSPORT, "%s is owned by peer %s, which cannot be reached", from,
			peer_name_text(c->away_of, name));
	else if (c->away)
		why_set(why, WHY_LIMIT,
			"no free address in %s-%s; %llu belong to peers that cannot be reached, "
			"such as %s (see weave rmpeer)",
			from, to, (unsigned long long)c->away, peer_name_text(c->away_of, name));
	else if (c->pending)
		why_set(why, WHY_LIMIT,
			"no free address in %s-%s; %llu are being taken over and not confirmed yet",
			from, to, (unsigned long long)c->pending);
	else if (h->unready || c->unknown)
		why_set(why, WHY_LIMIT, "no free address in %s-%s: peers did not answer", from, to);
	else
		why_set(why, WHY_LIMIT, "no free address in %s-%s: all are in use", from, to);
}

static void come_back_later(struct ipam *i, struct hunger *h)
{
	uint32_t max_ms = 12 * IPAM_RETRY_MS;

	h->delay_ms = h->delay_ms ? h->delay_ms * 2 : IPAM_RETRY_MS;
	if (h->delay_ms > max_ms)
		h->delay_ms = max_ms;
	begin_round(h, mono_after(i->now, h->delay_ms));
}

/* Nobody is left to ask in this round. */
static void give_up(struct ipam *i, struct hunger *h, const struct choice *c)
{
	bool patient = mono_elapsed(h->since, i->now) < IPAM_PATIENCE_MS;
	struct why why;

	if (patient && (h->unready || c->unknown || (c->away && !c->tried))) {
		begin_round(h, mono_after(i->now, IPAM_ASK_TIMEOUT_MS / 2));
		return;
	}
	explain(i, h, c, &why);
	requests_fail(i, h, &why);
	if (h->dispute)
		come_back_later(i, h);
	else
		free_hunger(&i->requests, h);
}

/* The question is answered, or will not be. */
static void end_question(struct ipam *i, struct hunger *h)
{
	struct peer *p = peer_find(i, h->asked);

	if (h->ask_id && p) {
		p->asked = false;
		/* Another hunger may wait for just this peer. */
		i->dirty = i->requests.dirty = true;
	}
	h->ask_id = 0;
	h->due = MONO_NEVER;
}

static void feed(struct ipam *i, struct hunger *h)
{
	struct choice c;

	if (h->ask_id) {
		if (!mono_reached(i->now, h->due))
			return;
		end_question(i, h); /* elsewhere */
		h->unready = true;
	}
	if (h->due.ms != UINT64_MAX) {
		if (!mono_reached(i->now, h->due))
			return;
		h->due = MONO_NEVER;
	}
	c = choose(i, h);
	if (c.chosen)
		ask(i, h, &c);
	else if (!c.busy)
		give_up(i, h, &c);
}

static struct hunger *hunger_of(struct ipam *i, peer_name from, uint64_t ask_id)
{
	for (struct list *l = i->requests.hungers.next; l != &i->requests.hungers; l = l->next) {
		struct hunger *h = list_entry(l, struct hunger, link);

		if (ask_id && h->ask_id == ask_id && h->asked == from)
			return h;
	}
	return NULL;
}

/* Late and doubled ones are as good: the runs say what is ours. */
void requests_granted(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	struct hunger *h = hunger_of(i, from, m->id);

	for (size_t n = 0; n < m->runs_count; n++)
		ipam_learn(i, &m->runs[n], true);
	if (h) {
		end_question(i, h);
		begin_round(h, MONO_NEVER);
	}
	i->requests.dirty = true;
}

void requests_refused(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	struct hunger *h = hunger_of(i, from, m->id);
	char name[PEER_NAME_TEXT_SIZE], address[IP_TEXT_SIZE];

	if (m->ring_id == i->ring_id)
		for (size_t n = 0; n < m->runs_count; n++)
			ipam_learn(i, &m->runs[n], true);
	if (!h)
		return;
	end_question(i, h);
	if (m->refusal == REFUSAL_NOT_READY || m->refusal == REFUSAL_STRANGER ||
	    m->refusal == REFUSAL_NOT_OURS)
		h->unready = true;
	if (m->refusal == REFUSAL_HELD)
		why_set(&h->why, WHY_INVALID, "%s is in use by %.*s on peer %s",
			ipam_text(i, h->want.start, address),
			(int)(m->holder.size < 64 ? m->holder.size : 64),
			(const char *)m->holder.data, peer_name_text(from, name));
	i->requests.dirty = true;
}

/* Elsewhere, without waiting for the answer that will not come.  Perhaps it is another message
 * that came back, and the answer comes after all: as good as a late one. */
void requests_unreached(struct ipam *i, peer_name peer)
{
	for (struct list *l = i->requests.hungers.next; l != &i->requests.hungers; l = l->next) {
		struct hunger *h = list_entry(l, struct hunger, link);

		if (!h->ask_id || h->asked != peer)
			continue;
		end_question(i, h);
		h->unready = true;
		i->requests.dirty = true;
	}
}

/* ---- disputes: addresses of live containers that are not ours to use ---- */

static bool is_disputed(const struct ipam *i, uint64_t offset)
{
	const struct address *a = address_find(i, offset);

	return a && a->disputed;
}

/* Each in its turn: some may never succeed. */
static void claim_disputed(struct ipam *i)
{
	size_t claims = i->addresses.disputed_count;

	if (claims > DISPUTE_CLAIMS_MAX)
		claims = DISPUTE_CLAIMS_MAX;
	for (; claims > 0; claims--) {
		struct address *a = list_entry(i->addresses.disputed.next, struct address,
					       by_dispute);

		hunger_get(i, (struct span){ a->offset, a->offset + 1 })->dispute = true;
		list_remove(&a->by_dispute);
		list_append(&i->addresses.disputed, &a->by_dispute);
	}
}

/* ---- steps ---- */

void hungers_step(struct ipam *i)
{
	struct requests *r = &i->requests;

	r->hunger_due = MONO_NEVER;
	if (i->addresses.disputed_count && ipam_ready(i) && mono_reached(i->now, r->dispute_due)) {
		claim_disputed(i);
		r->dispute_due = mono_after(i->now, IPAM_RETRY_MS);
	}
	for (struct list *l = r->hungers.next, *next; l != &r->hungers; l = next) {
		struct hunger *h = list_entry(l, struct hunger, link);

		next = l->next;
		if (h->dispute && !is_disputed(i, h->want.start))
			h->dispute = false;
		if (h->waiters == 0 && !h->dispute) {
			end_question(i, h);
			free_hunger(r, h);
		} else if (ipam_ready(i)) {
			feed(i, h);
		}
	}
	for (struct list *l = r->hungers.next; l != &r->hungers; l = l->next)
		r->hunger_due = mono_min(r->hunger_due, list_entry(l, struct hunger, link)->due);
}

struct mono requests_deadline(const struct ipam *i)
{
	struct mono due = i->requests.hunger_due;

	/* Nothing is asked meanwhile; whatever makes us ready again looks at the requests, too. */
	if (!ipam_ready(i))
		return MONO_NEVER;
	if (i->addresses.disputed_count)
		due = mono_min(due, i->requests.dispute_due);
	return due;
}
