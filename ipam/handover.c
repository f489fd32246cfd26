/* reset: a peer gives everything to an heir before its disk is erased; and what an heir does.
 *
 * A retirement (owner -> heir) is immutable and never forgotten: the owner wrote it together with
 * its last runs, and never writes again with that store id.  So the heir is the only writer of
 * whatever later turns out to belong to the retired owner, such as a gift that was on its way
 * (ipam-review 5).  But only once it has been told all that the owner knew: before that, what it
 * sees as the owner's may have been given to a third one, who uses it.  For the same reason there
 * is no heir of an heir: what is left of both needs rmpeer.
 */
#include "allocator.h"

void handover_fini(struct handover *h)
{
	mem_free(h->list);
}

/* ---- retirements ---- */

static size_t place_of(const struct handover *h, struct owner owner)
{
	size_t low = 0, high = h->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (owner_compare(h->list[middle].who.owner, owner) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct inheritance *find(const struct handover *h, struct owner owner)
{
	size_t at = place_of(h, owner);

	return at < h->count && owner_equal(h->list[at].who.owner, owner) ? &h->list[at] : NULL;
}

peer_name handover_heir(const struct ipam *i)
{
	const struct inheritance *own = find(&i->handover, i->self);

	return own ? own->who.heir.name : PEER_NAME_NONE;
}

static bool add(struct ipam *i, const struct retirement *r, bool told)
{
	struct handover *h = &i->handover;
	size_t at = place_of(h, r->owner);

	if (find(h, r->owner) || h->count == RETIREMENTS_MAX)
		return false;
	if (h->count == h->room) {
		h->room = h->room ? h->room * 2 : 8;
		h->list = mem_resize(h->list, h->room, sizeof *h->list);
	}
	memmove(&h->list[at + 1], &h->list[at], (h->count - at) * sizeof *h->list);
	h->list[at] = (struct inheritance){ .who = *r, .told = told };
	h->count++;
	if (owner_equal(r->owner, i->self))
		h->retired = true;
	h->collect = true;
	i->dirty = true;
	return true;
}

static uint64_t row_of(struct owner owner)
{
	static const struct hash_key fixed = { 0x726574697265642eu, 0x2e726f772e6b6579u };
	uint8_t form[16];
	struct writer w = writer_over(form, sizeof form);

	owner_write(&w, owner);
	return hash64(&fixed, form, writer_size(&w));
}

static void save(struct ipam *i, const struct inheritance *r)
{
	uint8_t room[32];
	struct writer w = writer_over(room, sizeof room);

	owner_write(&w, r->who.owner);
	owner_write(&w, r->who.heir);
	write_u8(&w, r->told);
	out_save(i, IPAM_TABLE_RETIRED, row_of(r->who.owner), room, writer_size(&w));
}

static void publish(struct ipam *i, const struct retirement *r)
{
	struct entry_room room;

	retired_entry(&room, &i->config.universe, i->ring_id, r);
	out_merge(i, &room.view, true);
}

const char *handover_load(struct ipam *i, uint64_t key, struct bytes value)
{
	struct reader r = reader_over(value.data, value.size);
	struct retirement retirement;
	uint8_t told;

	retirement.owner = owner_read(&r, "retired.owner");
	retirement.heir = owner_read(&r, "retired.heir");
	told = read_u8(&r, "retired.told");
	if (told > 1)
		reader_fail(&r, "retired.told");
	if (!r.bad && row_of(retirement.owner) != key)
		reader_fail(&r, "retired.key");
	if (!reader_verdict(&r))
		add(i, &retirement, told);
	return reader_verdict(&r);
}

void handover_start(struct ipam *i)
{
	for (size_t n = 0; n < i->handover.count; n++)
		publish(i, &i->handover.list[n].who);
}

void handover_heard(struct ipam *i, const struct retirement *r, bool publishing)
{
	if (!add(i, r, false))
		return;
	save(i, find(&i->handover, r->owner));
	if (publishing)
		publish(i, r);
}

/* ---- collecting ---- */

/* Ours to write: what came to a retired peer too late, and what seed= gave to our name, whatever
 * its store id.  But not when a former life of ours may have had that, and given it away (V7). */
static bool is_inherited(const struct ipam *i, struct owner owner)
{
	const struct inheritance *r;

	if (owner_equal(owner, i->self))
		return false;
	if (owner.name == i->self.name && owner.store_id == 0)
		return !i->election.barred;
	r = find(&i->handover, owner);
	return r && r->told && owner_equal(r->who.heir, i->self);
}

static void collect(struct ipam *i)
{
	struct run *runs;
	size_t count = ipam_runs(i, (struct span){ 0, i->config.universe.size }, &runs);

	for (size_t n = 0; n < count; n++) {
		if (!is_inherited(i, runs[n].owner) || runs[n].counter >= RING_VERSION_MAX)
			continue;
		runs[n].counter++;
		runs[n].owner = i->self;
		ipam_write(i, &runs[n]);
	}
	mem_free(runs);
}

/* ---- giving everything away ---- */

/* An owner that is here if there is one: it has the ring and knows how to use it. */
static const struct peer *choose_heir(const struct ipam *i)
{
	const struct peer *best = NULL;

	for (size_t n = 0; n < i->peers.count; n++) {
		const struct peer *p = &i->peers.list[n];

		if (!i->ring_id || !p->known || !p->reachable || !p->space ||
		    p->space->ring_id != i->ring_id || p->space->store_id != p->store_id)
			continue;
		if (!best || (best->space->ranges_count == 0 && p->space->ranges_count))
			best = p;
	}
	return best;
}

static bool knows_others(const struct ipam *i)
{
	for (size_t n = 0; n < i->peers.count; n++)
		if (i->peers.list[n].known && !i->peers.list[n].removed)
			return true;
	return false;
}

static void write_all(struct ipam *i, struct owner heir)
{
	struct run *runs;
	size_t count = ipam_runs(i, (struct span){ 0, i->config.universe.size }, &runs);

	for (size_t n = 0; n < count; n++) {
		bool ours = owner_equal(runs[n].owner, i->self) || is_inherited(i, runs[n].owner);

		if (!ours || runs[n].counter >= RING_VERSION_MAX)
			continue;
		runs[n].counter++;
		runs[n].owner = heir;
		ipam_write(i, &runs[n]);
	}
	mem_free(runs);
}

static bool may_reset(const struct ipam *i, bool force, struct why *why)
{
	if (i->handover.retired)
		return true; /* asked again: goes on */
	if (i->takeovers.marks_count) {
		/* The heir would not know that they are unconfirmed, and use them. */
		why_set(why, WHY_INVALID,
			"a takeover is not finished: run weave rmpeer again, or with --force");
		return false;
	}
	if (i->space.used_count && !force) {
		why_set(why, WHY_INVALID, "%llu addresses are in use here",
			(unsigned long long)i->space.used_count);
		return false;
	}
	if (i->ring_id && !ipam_ready(i) && !force) {
		why_set(why, WHY_INVALID, "not in sync with the other peers yet: try again");
		return false;
	}
	return true;
}

/* Nobody needs our space: there is no ring, or nobody else. Else false, with 'why' unless
 * forced. */
static bool is_alone(const struct ipam *i, bool force, struct why *why)
{
	if (!i->ring_id || !knows_others(i))
		return true;
	why_set(why, WHY_TRANSPORT,
		"no other peer with our ring can be reached to take our addresses over");
	return force;
}

static void retire(struct ipam *i, const struct peer *heir)
{
	struct retirement r = { i->self, { heir->name, heir->store_id } };
	char name[PEER_NAME_TEXT_SIZE];

	log_info(i->log, "handing over all addresses: heir=%s", peer_name_text(heir->name, name));
	write_all(i, r.heir);
	handover_heard(i, &r, true);
	i->peers.space_dirty = true;
}

static bool may_begin(const struct ipam *i, bool force, const struct peer *heir, struct why *why)
{
	return may_reset(i, force, why) && (i->handover.retired || heir || is_alone(i, force, why));
}

bool ipam_may_reset(const struct ipam *i, bool force, struct why *why)
{
	return may_begin(i, force, choose_heir(i), why);
}

void ipam_reset(struct ipam *i, uint64_t request, bool force, struct mono now)
{
	struct handover *h = &i->handover;
	const struct peer *heir = choose_heir(i);
	struct why why = { .reason = WHY_NONE };

	i->now = now;
	if (!may_begin(i, force, heir, &why)) {
		out_no(i, request, &why);
	} else if (!h->retired && !heir) {
		out_yes(i, request, "there is nobody to hand addresses over to");
	} else {
		if (!h->retired)
			retire(i, heir);
		if (h->request)
			out_yes(i, h->request, "another request goes on with it");
		h->request = request;
		h->force = force;
		h->begun = now;
		h->due = now;
		h->to = 0;
		h->id = ipam_random(i);
		i->dirty = true;
	}
	ipam_settle(i);
}

static void send_piece(struct ipam *i)
{
	struct handover *h = &i->handover;
	struct ipam_message m = {
		.type = MESSAGE_HANDOVER,
		.id = h->id,
		.retirement = find(h, i->self)->who,
		.span = { h->to, i->config.universe.size },
	};

	m.runs_count = ipam_runs(i, m.span, &m.runs);
	if (m.runs_count > MESSAGE_RUNS_MAX) {
		m.span.end = m.runs[MESSAGE_RUNS_MAX].start;
		m.runs_count = MESSAGE_RUNS_MAX;
	}
	h->due = mono_after(i->now, IPAM_ASK_TIMEOUT_MS);
	out_send(i, handover_heir(i), &m, true);
	mem_free(m.runs);
}

static void end(struct ipam *i)
{
	struct handover *h = &i->handover;
	char name[PEER_NAME_TEXT_SIZE], own[PEER_NAME_TEXT_SIZE];
	struct why why;

	peer_name_text(handover_heir(i), name);
	if (h->to >= i->config.universe.size) {
		out_yes(i, h->request, "%s took all addresses over", name);
	} else if (h->force) {
		out_yes(i, h->request,
			"%s did not answer; what it does not hear of by others needs weave rmpeer "
			"%s there",
			name, peer_name_text(i->self.name, own));
	} else {
		why_set(&why, WHY_TRANSPORT, "%s does not answer: run weave reset again", name);
		out_no(i, h->request, &why);
	}
	h->request = 0;
}

void handover_step(struct ipam *i)
{
	struct handover *h = &i->handover;

	if (h->collect && !h->retired && ipam_ready(i)) {
		h->collect = false;
		collect(i);
	}
	if (!h->request || !h->retired)
		return;
	if (h->to >= i->config.universe.size || mono_elapsed(h->begun, i->now) >= IPAM_PATIENCE_MS)
		end(i);
	else if (mono_reached(i->now, h->due))
		send_piece(i);
}

struct mono handover_deadline(const struct ipam *i)
{
	const struct handover *h = &i->handover;

	if (!h->request || !h->retired)
		return MONO_NEVER;
	return mono_min(h->due, mono_after(h->begun, IPAM_PATIENCE_MS));
}

void handover_on_new_store(struct ipam *i)
{
	struct handover *h = &i->handover;
	struct why why;

	h->retired = find(h, i->self) != NULL;
	if (!h->request || h->retired)
		return;
	why_set(&why, WHY_INVALID,
		"this peer has a new store id, as its disk was an old copy: run weave reset again");
	out_no(i, h->request, &why);
	h->request = 0;
}

/* ---- messages ---- */

/* Pieces come in order; of one that leaves a gap the owner believes that we have it: a restart lay
 * between.  Then we never collect. */
static void note_told(struct ipam *i, const struct ipam_message *m)
{
	struct inheritance *r = find(&i->handover, m->retirement.owner);

	if (!r || r->told || m->span.start > r->told_to || m->span.end <= r->told_to)
		return;
	r->told_to = m->span.end;
	if (r->told_to < i->config.universe.size)
		return;
	r->told = true;
	save(i, r);
	i->handover.collect = i->dirty = true;
}

void handover_on_question(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	struct ipam_message answer = { .type = MESSAGE_HANDED, .id = m->id, .span = m->span };

	if (m->retirement.owner.name != from || owner_equal(m->retirement.owner, i->self)) {
		refuse(i, from, m, REFUSAL_STRANGER, bytes_of(NULL, 0));
		return;
	}
	handover_heard(i, &m->retirement, true);
	for (size_t n = 0; n < m->runs_count; n++)
		ipam_learn(i, &m->runs[n], true);
	note_told(i, m);
	out_send(i, from, &answer, true);
}

void handover_on_answer(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	struct handover *h = &i->handover;

	if (handover_heir(i) != from || !h->request || m->id != h->id || m->span.start > h->to ||
	    m->span.end <= h->to)
		return;
	h->to = m->span.end;
	h->due = i->now;
	i->dirty = true;
}
