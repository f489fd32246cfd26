/* One universe on one router: start, the ring, and where events go. */
#include "allocator.h"

#include <stdio.h>
#include <stdlib.h>

/* Own pieces that touch are joined when there are so many, at most once a minute. */
#define JOIN_MIN 8u

struct ipam *ipam_new(const struct ipam_config *config, struct log *log)
{
	struct ipam *i = mem_new(1, sizeof *i);

	MUST(config->self != PEER_NAME_NONE && config->store_id != 0);
	MUST(config->mode != IPAM_CONSENSUS ||
	     (config->electors > 0 && config->electors <= IPAM_ELECTORS_MAX));
	i->config = *config;
	i->self = (struct owner){ config->self, config->store_id };
	i->log = log;
	i->rng = (struct rng){ config->seed };
	i->seeds = mem_new(config->seeds_count + 1, sizeof *i->seeds);
	for (size_t n = 0; n < config->seeds_count; n++)
		i->seeds[n].name = config->seeds[n];
	i->config.seeds = NULL;
	i->config.seeds_count = owners_sort(i->seeds, config->seeds_count);
	MUST(config->mode != IPAM_SEED ||
	     (i->config.seeds_count > 0 && i->config.seeds_count <= IPAM_ELECTORS_MAX));
	ring_init(&i->ring, config->universe.size);
	ring_init(&i->published, config->universe.size);
	space_init(&i->space, config->universe.size);
	addresses_init(&i->addresses, rng_u64(&i->rng));
	requests_init(&i->requests);
	takeovers_init(&i->takeovers);
	return i;
}

void ipam_free(struct ipam *i)
{
	if (!i)
		return;
	out_fini(&i->out);
	addresses_fini(&i->addresses);
	peers_fini(&i->peers);
	ballot_fini(&i->election.ballot);
	requests_fini(&i->requests);
	takeovers_fini(&i->takeovers);
	handover_fini(&i->handover);
	ring_fini(&i->ring);
	ring_fini(&i->published);
	ring_changes_fini(&i->changes);
	mem_free(i->loaded);
	space_fini(&i->space);
	edits_fini(&i->edits);
	served_free(i->served);
	mem_free(i->seeds);
	mem_free(i);
}

uint64_t ipam_random(struct ipam *i)
{
	uint64_t v = rng_u64(&i->rng);

	return v ? v : 1;
}

const char *ipam_text(const struct ipam *i, uint64_t offset, char *text)
{
	return ip_text(universe_address(&i->config.universe, offset), text);
}

/* ---- durable rows ---- */

void run_value(struct writer *w, const struct run *run)
{
	write_u64(w, run->end);
	write_u32(w, run->epoch);
	write_u32(w, run->counter);
	owner_write(w, run->owner);
}

const char *run_value_read(struct run *run, uint64_t start, struct bytes value, uint64_t size)
{
	struct reader r = reader_over(value.data, value.size);
	const char *bad;

	run->start = start;
	run->end = read_u64(&r, "run.end");
	run->epoch = read_u32(&r, "run.epoch");
	run->counter = read_u32(&r, "run.counter");
	run->owner = owner_read(&r, "run.owner");
	bad = reader_verdict(&r);
	return bad ? bad : run_check(run, size);
}

static const char *load_run(struct ipam *i, uint64_t start, struct bytes value)
{
	struct run run;
	const char *bad = run_value_read(&run, start, value, i->config.universe.size);

	if (bad)
		return bad;
	ring_merge(&i->ring, &run, &i->changes);
	if (i->loaded_count == i->loaded_room) {
		i->loaded_room = i->loaded_room ? i->loaded_room * 2 : 64;
		i->loaded = mem_resize(i->loaded, i->loaded_room, sizeof run);
	}
	i->loaded[i->loaded_count++] = run;
	return NULL;
}

static const char *load_ring(struct ipam *i, uint64_t key, struct bytes value)
{
	struct reader r = reader_over(value.data, value.size);
	uint64_t ring_id = read_u64(&r, "ring.id");

	if (key || ring_id == 0)
		reader_fail(&r, "ring.id");
	if (!reader_verdict(&r))
		i->ring_id = ring_id;
	return reader_verdict(&r);
}

/* The key is the store id that it was cast with: another one's binds us not, but bars us. */
static const char *load_vote(struct ipam *i, uint64_t key, struct bytes value)
{
	struct entry_room room;
	struct vote vote = { .voter = { i->self.name, key } };
	struct universe u;
	const char *bad;

	/* The key of the entry is made from a vote; its value is what was stored. */
	vote.proposal.seeds_count = 0;
	vote_entry(&room, &i->config.universe, &vote);
	room.view.value = value;
	bad = vote_entry_read(&room.view, &u, &vote);
	if (bad)
		return bad;
	if (key == i->self.store_id) {
		i->election.voted = true;
		i->election.own = vote;
	} else {
		i->election.barred = true;
	}
	return NULL;
}

static const char *load_address(struct ipam *i, uint64_t offset, struct bytes value)
{
	if (offset >= i->config.universe.size || address_find(i, offset))
		return "address.offset";
	if (value.size == 0 || value.size > IPAM_CONTAINER_MAX)
		return "address.container";
	address_add(i, value, offset);
	return NULL;
}

static const char *load_removed(struct ipam *i, uint64_t name)
{
	struct peer *p;

	if (name == PEER_NAME_NONE || name > PEER_NAME_MAX)
		return "removed.peer";
	p = peer_get(i, name);
	if (p)
		p->removed = true;
	return NULL;
}

static const char *load_awaited(struct ipam *i, uint64_t name)
{
	struct peer *p;

	if (name == PEER_NAME_NONE || name > PEER_NAME_MAX)
		return "awaited.peer";
	p = peer_get(i, name);
	if (p)
		p->awaited = true;
	return NULL;
}

const char *ipam_load(struct ipam *i, enum ipam_table table, uint64_t key, struct bytes value)
{
	MUST(!i->started);
	switch (table) {
	case IPAM_TABLE_RING:
		return load_ring(i, key, value);
	case IPAM_TABLE_VOTE:
		return load_vote(i, key, value);
	case IPAM_TABLE_RUN:
		return load_run(i, key, value);
	case IPAM_TABLE_ADDRESS:
		return load_address(i, key, value);
	case IPAM_TABLE_MARK:
		return takeovers_load(i, key, value);
	case IPAM_TABLE_RETIRED:
		return handover_load(i, key, value);
	case IPAM_TABLE_REMOVED:
		return load_removed(i, key);
	case IPAM_TABLE_FORMER:
		i->election.barred = true;
		return NULL;
	case IPAM_TABLE_AWAITED:
		return load_awaited(i, key);
	}
	return "table";
}

static void save_run(struct ipam *i, const struct run *run)
{
	uint8_t room[40];
	struct writer w = writer_over(room, sizeof room);

	run_value(&w, run);
	out_save(i, IPAM_TABLE_RUN, run->start, room, writer_size(&w));
}

static void publish_run(struct ipam *i, const struct run *run, bool hold)
{
	struct entry_room room;

	run_entry(&room, &i->config.universe, i->ring_id, run);
	out_merge(i, &room.view, hold);
}

static void publish_all(struct ipam *i)
{
	struct run *runs;
	size_t count = ipam_runs(i, (struct span){ 0, i->config.universe.size }, &runs);
	struct entry_room room;

	for (size_t n = 0; n < count; n++)
		publish_run(i, &runs[n], false);
	mem_free(runs);
	handover_start(i);
	if (i->election.voted) {
		vote_entry(&room, &i->config.universe, &i->election.own);
		out_merge(i, &room.view, false);
	}
}

/* The initial runs, at the lowest version there is: safe at any time. At the first start a crash
 * may have left a part of them. */
static void install_seed_ring(struct ipam *i)
{
	size_t count = i->config.seeds_count;
	uint64_t ring_id = seed_ring_id(&i->config.universe, i->seeds, count);
	struct run run;

	if (!i->ring_id)
		ipam_adopt(i, ring_id);
	for (size_t n = 0; i->ring_id == ring_id && n < count; n++) {
		ring_split(i->config.universe.size, i->seeds, count, n, &run);
		if (run.start < run.end)
			ipam_learn(i, &run, true);
	}
}

static int by_start(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static bool is_as_loaded(const struct ipam *i, const struct run *run)
{
	const struct run *row = i->loaded_count ? bsearch(run, i->loaded, i->loaded_count,
							  sizeof *run, by_start)
						: NULL;

	return row && row->end == run->end && run_compare(row, run) == 0;
}

/* A crash leaves rows that overlap, of which the ring has made its own: that gets rows first, from
 * the highest start down as always, and then what is too much goes. */
static void tidy_rows(struct ipam *i)
{
	struct run *runs;
	size_t count = ipam_runs(i, (struct span){ 0, i->config.universe.size }, &runs);
	const struct run *run;

	if (i->loaded_count)
		qsort(i->loaded, i->loaded_count, sizeof *i->loaded, by_start);
	while (count-- > 0)
		if (!is_as_loaded(i, &runs[count]))
			save_run(i, &runs[count]);
	for (size_t n = 0; n < i->loaded_count; n++) {
		run = ring_at(&i->ring, i->loaded[n].start);
		if (!run || run->start != i->loaded[n].start)
			out_delete(i, IPAM_TABLE_RUN, i->loaded[n].start);
	}
	mem_free(runs);
	mem_free(i->loaded);
	i->loaded = NULL;
	i->loaded_count = i->loaded_room = 0;
}

void ipam_start(struct ipam *i, struct mono now)
{
	MUST(!i->started);
	i->started = true;
	i->now = now;
	i->requests.dispute_due = now;
	/* Runs and marks without the id of their ring mean nothing, and must not be mixed with the
	 * next one: a disk that lost its first row. */
	if (!i->ring_id) {
		ring_fini(&i->ring);
		takeovers_forget(i);
	}
	tidy_rows(i);
	/* Whoever told us of a former life will not tell us at the next start. */
	if (i->election.barred)
		out_save(i, IPAM_TABLE_FORMER, 0, "", 1);
	if (i->ring_id) {
		peers_ring_adopted(i);
		ipam_refresh(i, (struct span){ 0, i->config.universe.size });
	}
	if (i->ring_id || i->config.mode != IPAM_SEED)
		publish_all(i);
	if (i->config.mode == IPAM_SEED)
		install_seed_ring(i);
	takeovers_start(i);
	i->peers.space_dirty = true;
	i->dirty = true;
	ipam_settle(i);
}

/* ---- the ring ---- */

size_t ipam_runs(const struct ipam *i, struct span span, struct run **list)
{
	size_t count = 0, room = 0;
	const struct run *run = ring_from(&i->ring, span.start);
	struct run part;

	*list = NULL;
	for (; run && run_clip(run, span.start, span.end, &part);
	     run = ring_from(&i->ring, run->end)) {
		if (count == room) {
			room = room ? room * 2 : 16;
			*list = mem_resize(*list, room, sizeof part);
		}
		(*list)[count++] = part;
	}
	return count;
}

bool ipam_is_stuck(const struct ipam *i, struct why *why)
{
	if (i->disk[0])
		why_set(why, WHY_LIMIT, "addresses cannot be made durable: %s", i->disk);
	else if (i->handover.retired)
		why_set(why, WHY_STOPPED, "this peer has handed over its addresses (weave reset)");
	else
		return false;
	return true;
}

bool ipam_ready(const struct ipam *i)
{
	return i->ring_id && i->peers.in_sync && !i->renewing && !i->handover.retired &&
	       !i->disk[0];
}

/* What of this run we may use: ours, but not where a mark of just this version lies. */
static void own_usable(struct ipam *i, const struct run *run)
{
	uint64_t at = run->start;
	const struct mark *m;

	if (!owner_equal(run->owner, i->self))
		return;
	while (at < run->end && (m = mark_from(i, at)) && m->start < run->end) {
		if (at < m->start)
			space_own(&i->space, (struct span){ at, m->start });
		at = m->end < run->end ? m->end : run->end;
		if (!mark_holds(m, run))
			space_own(
				&i->space,
				(struct span){ m->start > run->start ? m->start : run->start, at });
	}
	if (at < run->end)
		space_own(&i->space, (struct span){ at, run->end });
}

static bool is_ours(const struct ipam *i, uint64_t offset)
{
	const struct run *run = ring_at(&i->ring, offset);

	return run && owner_equal(run->owner, i->self);
}

void ipam_refresh(struct ipam *i, struct span span)
{
	const struct run *run = ring_from(&i->ring, span.start);
	struct span rest = span;
	struct run part;
	uint64_t at;

	space_disown(&i->space, span);
	for (; run && run_clip(run, span.start, span.end, &part);
	     run = ring_from(&i->ring, run->end)) {
		own_usable(i, &part);
		if (!owner_equal(part.owner, i->self) &&
		    (part.owner.name == i->self.name || i->handover.count))
			i->handover.collect = true;
	}
	for (; space_next_used(&i->space, rest, &at); rest.start = at + 1) {
		struct address *a = address_find(i, at);
		bool disputed = !is_ours(i, at);

		if (disputed && !a->disputed)
			i->requests.dispute_due = i->now;
		address_set_disputed(i, a, disputed);
	}
	i->peers.space_dirty = true;
	i->requests.dirty = true;
	i->dirty = true;
}

/* A crash may keep any beginning of this, so no row may shrink or go before what takes its place
 * is there: from the highest start down, then the deletions.  Rows that overlap are merged when
 * they are loaded. */
static void save_changes(struct ipam *i)
{
	const struct ring_changes *c = &i->changes;
	size_t next = 0;

	for (size_t n = c->inserted_count; n-- > 0;)
		save_run(i, &c->inserted[n]);
	for (size_t n = 0; n < c->removed_count; n++) {
		while (next < c->inserted_count && c->inserted[next].start < c->removed[n].start)
			next++;
		if (next == c->inserted_count || c->inserted[next].start != c->removed[n].start)
			out_delete(i, IPAM_TABLE_RUN, c->removed[n].start);
	}
}

void ipam_renew(struct ipam *i, const char *how)
{
	if (i->renewing || i->handover.retired)
		return;
	i->renewing = true;
	i->out.renew = true;
	i->dirty = true;
	log_error(i->log,
		  "this disk is an old copy, it does not know that %s; taking a new store id, "
		  "what is left of the old one needs weave rmpeer",
		  how);
}

/* Somebody writes with our name and store id: it is we, on another copy of our disk.  Nobody else
 * raises a counter of ours within its epoch. */
static void note_copy(struct ipam *i, const struct run *before, const struct run *after)
{
	if (after->epoch == before->epoch && after->counter > before->counter)
		ipam_renew(i, "addresses were given away in our name");
}

/* What only we write, and only after our disk has it: a takeover that is not confirmed has its mark
 * on the disk that was lost, so without it we would use what others live on. */
static void note_forgotten(struct ipam *i, const struct run *merged)
{
	if (owner_equal(merged->owner, i->self) && merged->epoch > 0 && merged->counter == 0)
		ipam_renew(i, "it took over addresses of a removed peer");
}

/* Pieces that we owned and do not own any more. */
static void note_losses(struct ipam *i, const struct run *merged)
{
	uint64_t lost = 0;
	char from[IP_TEXT_SIZE], name[PEER_NAME_TEXT_SIZE];

	for (size_t n = 0; n < i->changes.removed_count; n++) {
		const struct run *old = &i->changes.removed[n];
		const struct mark *m = mark_from(i, old->start);
		struct run part;

		if (!owner_equal(old->owner, i->self) ||
		    !run_clip(old, merged->start, merged->end, &part) ||
		    run_compare(merged, old) < 0 || owner_equal(merged->owner, i->self))
			continue;
		if (m && m->start < part.end && mark_holds(m, old))
			continue; /* two takeovers at once: the loser had used nothing */
		lost += part.end - part.start;
		note_copy(i, old, merged);
	}
	if (!lost)
		return;
	i->disputes += lost;
	log_warning(i->log,
		    "addresses of ours were taken away: first=%s count=%llu owner=%s; containers "
		    "that use them try to get them back",
		    ipam_text(i, merged->start, from), (unsigned long long)lost,
		    peer_name_text(merged->owner.name, name));
}

static bool concerns_us(const struct ipam *i, const struct run *run)
{
	uint64_t used;

	for (size_t n = 0; n < i->changes.removed_count; n++)
		if (owner_equal(i->changes.removed[n].owner, i->self))
			return true;
	return run->owner.name == i->self.name || i->handover.count ||
	       space_next_used(&i->space, (struct span){ run->start, run->end }, &used);
}

static bool merge(struct ipam *i, const struct run *run)
{
	enum ring_result result = ring_merge(&i->ring, run, &i->changes);

	if (result == RING_FULL && !i->ring_is_full)
		log_warning(i->log,
			    "the range is in too many pieces (%zu): what else others tell of it is "
			    "not taken",
			    ring_count(&i->ring));
	i->ring_is_full = result == RING_FULL || (i->ring_is_full && result == RING_SAME);
	if (result != RING_CHANGED)
		return false;
	/* One may wait for room. */
	if (i->changes.removed_count > i->changes.inserted_count)
		i->takeovers.dirty = true;
	save_changes(i);
	return true;
}

void ipam_learn(struct ipam *i, const struct run *run, bool publish)
{
	if (!merge(i, run))
		return;
	if (publish)
		publish_run(i, run, false);
	note_losses(i, run);
	note_forgotten(i, run);
	if (concerns_us(i, run))
		ipam_refresh(i, (struct span){ run->start, run->end });
	i->dirty = true;
}

void ipam_write(struct ipam *i, const struct run *run)
{
	bool changed = merge(i, run);

	MUST(changed);
	ipam_refresh(i, (struct span){ run->start, run->end });
	publish_run(i, run, true);
}

void ipam_adopt(struct ipam *i, uint64_t ring_id)
{
	uint8_t room[8];
	struct writer w = writer_over(room, sizeof room);

	MUST(!i->ring_id && ring_id);
	i->ring_id = ring_id;
	write_u64(&w, ring_id);
	out_save(i, IPAM_TABLE_RING, 0, room, writer_size(&w));
	peers_ring_adopted(i);
	ipam_refresh(i, (struct span){ 0, i->config.universe.size });
}

/* ---- joining own pieces ---- */

static bool joins(const struct ipam *i, const struct run *a, const struct run *b)
{
	const struct mark *m = mark_from(i, a->start);

	return a->end == b->start && owner_equal(a->owner, i->self) &&
	       owner_equal(b->owner, i->self) && a->epoch == b->epoch &&
	       a->counter < RING_VERSION_MAX && b->counter < RING_VERSION_MAX &&
	       (!m || m->start >= b->end);
}

static size_t count_joints(const struct ipam *i, const struct run *runs, size_t count)
{
	size_t joints = 0;

	for (size_t n = 1; n < count; n++)
		joints += joins(i, &runs[n - 1], &runs[n]);
	return joints;
}

static void join(struct ipam *i, const struct run *runs, size_t count)
{
	for (size_t n = 0; n < count;) {
		struct run all = runs[n];
		size_t last = n;

		while (last + 1 < count && joins(i, &runs[last], &runs[last + 1])) {
			last++;
			all.end = runs[last].end;
			if (runs[last].counter > all.counter)
				all.counter = runs[last].counter;
		}
		all.counter++;
		if (last > n)
			ipam_write(i, &all);
		n = last + 1;
	}
}

static void join_own(struct ipam *i)
{
	struct run *runs;
	size_t count;

	if (!ipam_ready(i) || !mono_reached(i->now, i->join_due) || i->space.owned_count == 0)
		return;
	i->join_due = mono_after(i->now, 60000);
	count = ipam_runs(i, (struct span){ 0, i->config.universe.size }, &runs);
	if (count_joints(i, runs, count) >= JOIN_MIN)
		join(i, runs, count);
	mem_free(runs);
}

/* ---- events ---- */

void ipam_heard(struct ipam *i, const struct entry_view *e, bool gone)
{
	union {
		struct vote vote;
		struct retirement retirement;
		struct space_info space;
		struct run run;
	} u;
	struct universe universe;
	uint64_t ring_id;

	if (e->kind == KIND_VOTE && !gone && !vote_entry_read(e, &universe, &u.vote))
		election_heard(i, &u.vote);
	else if (e->kind == KIND_RETIRED && !gone &&
		 !retired_entry_read(e, &universe, &ring_id, &u.retirement) &&
		 ring_id == i->ring_id)
		handover_heard(i, &u.retirement, false);
	else if (e->kind == KIND_SPACE && !space_entry_read(e, &universe, &u.space))
		peers_heard_space(i, &u.space, gone || e->flags & ENTRY_TOMBSTONE);
	else if (e->kind == KIND_RUN && !gone && !run_entry_read(e, &universe, &ring_id, &u.run) &&
		 ring_id == i->ring_id)
		ipam_learn(i, &u.run, false);
	i->dirty = true;
}

/* Who has no ring yet may get just this one in a moment, and containers from before a lost disk
 * that live in it: a takeover asks again (F15 of docs/why/ipam-proof.md). */
static void answer_foreign(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	bool later = m->type == MESSAGE_TAKEOVER && !i->ring_id;

	if (m->type == MESSAGE_ASK || m->type == MESSAGE_TAKEOVER || m->type == MESSAGE_HANDOVER)
		refuse(i, from, m, later ? REFUSAL_NOT_READY : REFUSAL_OTHER_RING,
		       bytes_of(NULL, 0));
}

static void dispatch(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	switch (m->type) {
	case MESSAGE_ASK:
		donor_on_ask(i, from, m);
		break;
	case MESSAGE_GRANT:
		requests_granted(i, from, m);
		break;
	case MESSAGE_REFUSE:
		if (!takeover_on_refusal(i, from, m))
			requests_refused(i, from, m);
		break;
	case MESSAGE_TAKEOVER:
		takeover_on_question(i, from, m);
		break;
	case MESSAGE_TAKEN:
		takeover_on_answer(i, from, m);
		break;
	case MESSAGE_HANDOVER:
		handover_on_question(i, from, m);
		break;
	case MESSAGE_HANDED:
		handover_on_answer(i, from, m);
		break;
	}
}

bool ipam_is_about(const struct ipam *i, struct bytes payload)
{
	struct reader r = reader_over(payload.data, payload.size);
	struct universe u;

	read_u8(&r, "ipam.type");
	universe_read(&u, &r);
	return !r.bad && universe_equal(&u, &i->config.universe);
}

const char *ipam_on_message(struct ipam *i, peer_name from, struct bytes payload, struct mono now)
{
	struct ipam_message m;
	const char *bad = ipam_message_decode(&m, payload);

	i->now = now;
	if (!bad && !universe_equal(&m.universe, &i->config.universe))
		bad = "ipam.universe";
	/* A refusal may carry another ring's id: that is what it is about. */
	if (!bad && (m.ring_id != i->ring_id || !i->ring_id) && m.type != MESSAGE_REFUSE)
		answer_foreign(i, from, &m);
	else if (!bad)
		dispatch(i, from, &m);
	ipam_message_fini(&m);
	ipam_settle(i);
	return bad;
}

void ipam_on_disk(struct ipam *i, const char *reason, struct mono now)
{
	struct why why;

	i->now = now;
	if (reason) {
		snprintf(i->disk, sizeof i->disk, "%s", reason[0] ? reason : "unknown reason");
		log_error(i->log, "addresses cannot be made durable: none is given out: %s",
			  i->disk);
		ipam_is_stuck(i, &why);
		out_refuse_held(i, &why);
		requests_fail_all(i, &why);
	} else if (i->disk[0]) {
		log_info(i->log, "addresses are durable again");
		i->disk[0] = '\0';
	}
	i->dirty = i->requests.dirty = i->takeovers.dirty = true;
	i->peers.space_dirty = true; /* nothing to give, or something again */
	ipam_settle(i);
}

void ipam_on_unreached(struct ipam *i, peer_name peer, struct mono now)
{
	i->now = now;
	requests_unreached(i, peer);
	ipam_settle(i);
}

void ipam_on_copy(struct ipam *i, struct mono now)
{
	i->now = now;
	ipam_renew(i, "this router has run since it was made");
	ipam_settle(i);
}

void ipam_on_new_store(struct ipam *i, uint64_t store_id, struct mono now)
{
	uint64_t old;

	MUST(store_id != 0);
	i->now = now;
	old = i->self.store_id;
	i->self.store_id = i->config.store_id = store_id;
	/* Another life of this store has voted, for all we know. */
	election_former_life(i, old);
	handover_on_new_store(i);
	i->renewing = i->out.renew = false; /* another universe may have asked for us */
	ipam_refresh(i, (struct span){ 0, i->config.universe.size });
	i->takeovers.dirty = true;
	ipam_settle(i);
}

void ipam_tick(struct ipam *i, struct mono now)
{
	i->now = now;
	ipam_settle(i);
}

/* Each step may make work for another; all of them do what there is to do at most once per event
 * of the world, so this ends. */
void ipam_settle(struct ipam *i)
{
	if (!i->started)
		return;
	addresses_tick(i);
	for (unsigned rounds = 0; i->dirty || rounds == 0; rounds++) {
		bool dirty = i->dirty || mono_reached(i->now, election_deadline(i));

		MUST(rounds < 1000);
		i->dirty = false;
		if (dirty)
			election_step(i);
		peers_step(i, dirty);
		handover_step(i);
		takeovers_step(i);
		requests_step(i);
	}
	join_own(i);
}

struct mono ipam_deadline(const struct ipam *i)
{
	const struct addresses *a = &i->addresses;
	struct mono due;

	if (i->dirty)
		return (struct mono){ 0 };
	due = mono_min(peers_deadline(i), election_deadline(i));
	due = mono_min(due, handover_deadline(i));
	due = mono_min(due, takeovers_deadline(i));
	if (i->requests.dirty)
		due = i->now;
	due = mono_min(due, requests_deadline(i));
	if (!list_empty(&a->dying))
		due = mono_min(due, list_entry(a->dying.next, struct address, by_death)->due);
	return due;
}
