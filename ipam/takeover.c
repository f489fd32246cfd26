/* rmpeer: taking over what a dead peer owned, without doubling what others got from it.
 *
 * We write (epoch + 1, 0, we) on all that we see as the victim's, with a durable mark at that
 * exact version, and use nothing of it until every known peer has answered, having synced what we
 * wrote: from then on nobody uses or gives away an older claim, and we know which addresses are
 * alive (counter-examples T2 to T4 and the lost mark of ipam-review.md 4).  A mark is cleared by
 * that confirmation only, never by a merge: a merge can be lost in a crash, and the mark with it.
 *
 * After a restart the marks say what was begun, and the answers are asked for again, of all who
 * were known then: they are durable too, as a restarted router may know of nobody yet.
 */
#include "allocator.h"

#include <stdio.h>

void takeovers_init(struct takeovers *t)
{
	list_init(&t->list);
}

static void free_takeover(struct takeover *t)
{
	list_remove(&t->link);
	mem_free(t->progress);
	mem_free(t->live);
	mem_free(t);
}

void takeovers_fini(struct takeovers *t)
{
	while (!list_empty(&t->list))
		free_takeover(list_entry(t->list.next, struct takeover, link));
	mem_free(t->marks);
}

/* ---- marks ---- */

static size_t mark_place(const struct takeovers *t, uint64_t offset)
{
	size_t low = 0, high = t->marks_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->marks[middle].end <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct mark *mark_from(const struct ipam *i, uint64_t offset)
{
	size_t at = mark_place(&i->takeovers, offset);

	return at < i->takeovers.marks_count ? &i->takeovers.marks[at] : NULL;
}

/* Whether what the ring says there is what the mark is about. */
bool mark_holds(const struct mark *m, const struct run *run)
{
	return m->epoch == run->epoch && m->counter == run->counter;
}

static void insert_mark(struct takeovers *t, const struct mark *mark)
{
	size_t at = mark_place(t, mark->start);

	if (t->marks_count == t->marks_room) {
		t->marks_room = t->marks_room ? t->marks_room * 2 : 8;
		t->marks = mem_resize(t->marks, t->marks_room, sizeof *t->marks);
	}
	MUST(t->marks);
	memmove(&t->marks[at + 1], &t->marks[at], (t->marks_count - at) * sizeof *t->marks);
	t->marks[at] = *mark;
	t->marks_count++;
}

static void save_mark(struct ipam *i, const struct mark *mark)
{
	uint8_t room[40];
	struct writer w = writer_over(room, sizeof room);

	write_u64(&w, mark->end);
	write_u32(&w, mark->epoch);
	write_u32(&w, mark->counter);
	owner_write(&w, mark->victim);
	out_save(i, IPAM_TABLE_MARK, mark->start, room, writer_size(&w));
}

static void drop_mark(struct takeovers *t, size_t at)
{
	t->marks_count--;
	memmove(&t->marks[at], &t->marks[at + 1], (t->marks_count - at) * sizeof *t->marks);
}

/* A crash in cut_marks() leaves a piece beside the whole that it was cut from: they are one again.
 * False when marks overlap that are not of one piece. */
static bool absorb(struct ipam *i, struct mark *mark)
{
	struct takeovers *t = &i->takeovers;
	size_t at = mark_place(t, mark->start);

	while (at < t->marks_count && t->marks[at].start < mark->end) {
		struct mark old = t->marks[at];
		uint64_t later = old.start > mark->start ? old.start : mark->start;

		if (old.epoch != mark->epoch || old.counter != mark->counter ||
		    !owner_equal(old.victim, mark->victim))
			return false;
		drop_mark(t, at);
		mark->start = old.start < mark->start ? old.start : mark->start;
		mark->end = old.end > mark->end ? old.end : mark->end;
		save_mark(i, mark);
		out_delete(i, IPAM_TABLE_MARK, later);
	}
	return true;
}

const char *takeovers_load(struct ipam *i, uint64_t start, struct bytes value)
{
	struct reader r = reader_over(value.data, value.size);
	struct mark mark = { .start = start };

	mark.end = read_u64(&r, "mark.end");
	mark.epoch = read_u32(&r, "mark.epoch");
	mark.counter = read_u32(&r, "mark.counter");
	mark.victim = owner_read(&r, "mark.victim");
	if (mark.start >= mark.end || mark.end > i->config.universe.size)
		reader_fail(&r, "mark.end");
	if (!reader_verdict(&r) && !absorb(i, &mark))
		reader_fail(&r, "mark.start");
	if (reader_verdict(&r))
		return reader_verdict(&r);
	insert_mark(&i->takeovers, &mark);
	return NULL;
}

void takeovers_forget(struct ipam *i)
{
	for (size_t n = 0; n < i->takeovers.marks_count; n++)
		out_delete(i, IPAM_TABLE_MARK, i->takeovers.marks[n].start);
	i->takeovers.marks_count = 0;
}

/* ---- one takeover ---- */

static struct takeover *find_takeover(const struct ipam *i, peer_name victim)
{
	for (struct list *l = i->takeovers.list.next; l != &i->takeovers.list; l = l->next) {
		struct takeover *t = list_entry(l, struct takeover, link);

		if (t->victim == victim)
			return t;
	}
	return NULL;
}

static struct takeover *new_takeover(struct ipam *i, peer_name victim)
{
	struct takeover *t = mem_new(1, sizeof *t);

	t->victim = victim;
	t->id = ipam_random(i);
	t->begun = i->now;
	list_append(&i->takeovers.list, &t->link);
	i->takeovers.dirty = true;
	return t;
}

void takeovers_start(struct ipam *i)
{
	for (size_t n = 0; n < i->takeovers.marks_count; n++) {
		const struct mark *m = &i->takeovers.marks[n];
		struct takeover *t = find_takeover(i, m->victim.name);

		if (!t)
			t = new_takeover(i, m->victim.name);
		t->size += m->end - m->start;
	}
}

/* Whose runs are taken. */
struct victim {
	peer_name name;
	uint64_t store_id; /* 0: of whatever store, */
	uint64_t living;   /* but not of this one: it can be reached (0: none) */
};

static bool is_victims(const struct ipam *i, const struct run *run, const struct victim *v)
{
	return run->owner.name == v->name && (!v->store_id || run->owner.store_id == v->store_id) &&
	       (!v->living || run->owner.store_id != v->living) &&
	       !owner_equal(run->owner, i->self);
}

static bool owns_any(const struct ipam *i, const struct victim *v)
{
	const struct run *run = ring_from(&i->ring, 0);

	for (; run; run = ring_from(&i->ring, run->end))
		if (is_victims(i, run, v))
			return true;
	return false;
}

static bool overlaps_mark(const struct ipam *i, const struct run *run)
{
	const struct mark *m = mark_from(i, run->start);

	return m && m->start < run->end;
}

/* Marks go to disk together with the writes that they are about: the order of saving sees to it
 * that a write is never there without its mark. */
static void take(struct ipam *i, struct takeover *t, const struct run *run)
{
	struct mark mark = {
		.start = run->start,
		.end = run->end,
		.epoch = run->epoch + 1,
		.victim = run->owner,
	};
	struct run mine = *run;

	mine.epoch++;
	mine.counter = 0;
	mine.owner = i->self;
	insert_mark(&i->takeovers, &mark);
	save_mark(i, &mark);
	ipam_write(i, &mine);
	t->size += mine.end - mine.start;
}

/* Own marks that this write would overlap belong to a takeover that another one overruled; they are
 * cut away first, which is safe as the ring has gone beyond them there.  A crash may keep any
 * beginning of this: what is left of the old one must have its mark at every moment. */
static void cut_marks(struct ipam *i, const struct run *run)
{
	struct takeovers *t = &i->takeovers;

	while (overlaps_mark(i, run)) {
		size_t at = mark_place(t, run->start);
		struct mark old = t->marks[at], rest = old;

		drop_mark(t, at);
		if (old.end > run->end) {
			rest.start = run->end;
			insert_mark(t, &rest);
			save_mark(i, &rest);
		}
		if (old.start < run->start) {
			rest = old;
			rest.end = run->start;
			insert_mark(t, &rest);
			save_mark(i, &rest);
		} else {
			out_delete(i, IPAM_TABLE_MARK, old.start);
		}
	}
}

static size_t take_all(struct ipam *i, struct takeover *t, const struct victim *v)
{
	struct run *runs;
	size_t count = ipam_runs(i, (struct span){ 0, i->config.universe.size }, &runs);
	size_t taken = 0;

	for (size_t n = 0; n < count; n++) {
		if (!is_victims(i, &runs[n], v) || runs[n].epoch >= RING_VERSION_MAX ||
		    i->takeovers.marks_count >= MARKS_MAX)
			continue;
		/* A mark that is left there is of a version that the ring has gone beyond. */
		cut_marks(i, &runs[n]);
		take(i, t, &runs[n]);
		taken++;
	}
	mem_free(runs);
	return taken;
}

/* ---- who must answer ---- */

/* Owners that we know from the ring alone exist all the same, and may have been given something
 * by the victim, or be removing it themselves. */
static void note_owners(struct ipam *i)
{
	const struct run *run = ring_from(&i->ring, 0);

	for (size_t n = 0; n < i->peers.count; n++)
		i->peers.list[n].owns = false;
	for (; run; run = ring_from(&i->ring, run->end)) {
		struct peer *p = run->owner.name == i->self.name ? NULL
								 : peer_get(i, run->owner.name);

		if (p)
			p->owns = true;
	}
}

/* The victim like any other: who says that it is dead has it noted as removed, and when it comes
 * back after all, or only its former store was lost, its word is needed as well. */
static bool must_answer(const struct peer *p)
{
	return (p->known || p->owns || p->space || p->awaited) && (p->reachable || !p->removed);
}

/* Before the marks are, so that they are never there without it. */
static void note_awaited(struct ipam *i)
{
	note_owners(i);
	for (size_t n = 0; n < i->peers.count; n++) {
		struct peer *p = &i->peers.list[n];

		if (p->awaited || !must_answer(p))
			continue;
		p->awaited = true;
		out_save(i, IPAM_TABLE_AWAITED, p->name, "", 1);
	}
}

static void forget_awaited(struct ipam *i)
{
	for (size_t n = 0; n < i->peers.count && list_empty(&i->takeovers.list); n++) {
		struct peer *p = &i->peers.list[n];

		if (p->awaited)
			out_delete(i, IPAM_TABLE_AWAITED, p->name);
		p->awaited = false;
	}
}

/* ---- what an operator asks for ---- */

/* A peer that lives is not removed by accident; what its former stores owned, whose disks are lost,
 * is taken all the same. */
static bool may_remove(struct ipam *i, const struct victim *v, struct why *why)
{
	char name[PEER_NAME_TEXT_SIZE];

	if (ipam_is_stuck(i, why))
		return false;
	if (ipam_ready(i) && (!v->living || owns_any(i, v)))
		return true;
	if (ipam_ready(i))
		why_set(why, WHY_INVALID,
			"peer %s can be reached: run weave reset there instead (or rmpeer --force)",
			peer_name_text(v->name, name));
	else
		why_set(why, WHY_INVALID, "not in sync with the other peers yet: try again");
	return false;
}

static uint64_t living_store(const struct ipam *i, peer_name name)
{
	const struct peer *p = peer_find(i, name);

	return p && p->reachable && p->known ? p->store_id : 0;
}

/* The first words are Weave Net's. */
static void answer(struct ipam *i, uint64_t request, const char *peer, uint64_t kept,
		   uint64_t given, uint64_t lost)
{
	char more[128] = "";

	if (given || lost)
		snprintf(more, sizeof more,
			 "; %llu more are in use and went to those who use them, %llu are another "
			 "peer's by now",
			 (unsigned long long)given, (unsigned long long)lost);
	out_yes(i, request, "%llu IPs taken over from %s%s", (unsigned long long)kept, peer, more);
}

/* Who answered before was not asked about what was taken just now: all are asked again, and what is
 * on its way answers another question.  What they said is alive stays known until they say it
 * anew: by force it may be all that we ever hear. */
static void ask_anew(struct ipam *i, struct takeover *t)
{
	t->id = ipam_random(i);
	t->progress_count = 0;
}

void ipam_remove_peer(struct ipam *i, uint64_t request, peer_name peer, uint64_t store_id,
		      bool force, struct mono now)
{
	struct takeover *t = find_takeover(i, peer);
	struct victim v = { peer, store_id, living_store(i, peer) };
	struct why why = { .reason = WHY_NONE };
	char name[PEER_NAME_TEXT_SIZE];
	size_t taken;

	i->now = now;
	if (!may_remove(i, &v, &why)) {
		if (!force || !ipam_ready(i)) {
			out_no(i, request, &why);
			ipam_settle(i);
			return;
		}
		v.living = 0;
	}
	if (!t)
		t = new_takeover(i, peer);
	else if (t->request)
		out_yes(i, t->request, "another request goes on with it");
	t->request = request;
	t->force = force;
	t->begun = now;
	/* Even when it owns nothing: other takeovers need not wait for it any more. */
	if (!v.living)
		peers_note_removed(i, peer);
	i->takeovers.dirty = true;
	note_awaited(i);
	taken = take_all(i, t, &v);
	if (taken)
		ask_anew(i, t);
	if (!taken && t->size == 0) {
		answer(i, request, peer_name_text(peer, name), 0, 0, 0);
		free_takeover(t);
		forget_awaited(i);
	}
	ipam_settle(i);
}

void takeovers_cancel(struct ipam *i, uint64_t request)
{
	for (struct list *l = i->takeovers.list.next; l != &i->takeovers.list; l = l->next) {
		struct takeover *t = list_entry(l, struct takeover, link);

		if (t->request == request)
			t->request = 0; /* the takeover itself goes on */
	}
}

/* ---- asking ---- */

static struct progress *progress_of(struct takeover *t, peer_name peer)
{
	for (size_t n = 0; n < t->progress_count; n++)
		if (t->progress[n].peer == peer)
			return &t->progress[n];
	if (t->progress_count == t->progress_room) {
		t->progress_room = t->progress_room ? t->progress_room * 2 : 8;
		t->progress = mem_resize(t->progress, t->progress_room, sizeof *t->progress);
	}
	t->progress[t->progress_count] = (struct progress){ .peer = peer };
	return &t->progress[t->progress_count++];
}

void takeovers_on_new_store(struct ipam *i, peer_name peer)
{
	for (struct list *l = i->takeovers.list.next; l != &i->takeovers.list; l = l->next) {
		struct takeover *t = list_entry(l, struct takeover, link);

		for (size_t n = 0; n < t->progress_count; n++)
			if (t->progress[n].peer == peer)
				ask_anew(i, t); /* ends the loop: nobody has answered now */
		i->takeovers.dirty = true;
	}
}

/* What the ring says now within our marks from 'from' on, as much as one message holds. */
static size_t collect(const struct ipam *i, const struct takeover *t, uint64_t from,
		      struct run *runs, uint64_t *end)
{
	size_t count = 0;

	*end = i->config.universe.size;
	for (size_t at = mark_place(&i->takeovers, from); at < i->takeovers.marks_count; at++) {
		const struct mark *m = &i->takeovers.marks[at];
		struct run *pieces;
		size_t n = 0, pieces_count;

		if (m->victim.name != t->victim)
			continue;
		pieces_count = ipam_runs(
			i, (struct span){ m->start > from ? m->start : from, m->end }, &pieces);
		while (n < pieces_count && count < MESSAGE_RUNS_MAX)
			runs[count++] = pieces[n++];
		if (n < pieces_count)
			*end = pieces[n].start;
		mem_free(pieces);
		if (*end < i->config.universe.size)
			break;
	}
	return count;
}

static void ask(struct ipam *i, const struct takeover *t, struct progress *p)
{
	struct ipam_message m = {
		.type = MESSAGE_TAKEOVER,
		.id = t->id,
		.victim = t->victim,
		.span.start = p->to,
	};

	m.runs = mem_new(MESSAGE_RUNS_MAX, sizeof *m.runs);
	m.runs_count = collect(i, t, p->to, m.runs, &m.span.end);
	p->due = mono_after(i->now, IPAM_RETRY_MS);
	if (m.runs_count)
		out_send(i, p->peer, &m, true);
	else
		p->to = i->config.universe.size;
	mem_free(m.runs);
}

static bool has_answered(const struct ipam *i, const struct progress *p)
{
	return p->declined || p->to >= i->config.universe.size;
}

static bool patience_is_over(const struct ipam *i, const struct takeover *t, const struct peer *p)
{
	uint64_t limit_ms = p->reachable ? IPAM_PATIENCE_MS : 0;

	return t->force && mono_elapsed(t->begun, i->now) >= limit_ms;
}

/* True when all have answered who must. */
static bool ask_all(struct ipam *i, struct takeover *t)
{
	bool all = true;

	note_awaited(i);
	for (size_t n = 0; n < i->peers.count; n++) {
		const struct peer *p = &i->peers.list[n];
		struct progress *progress;

		if (!must_answer(p))
			continue;
		progress = progress_of(t, p->name);
		if (!has_answered(i, progress) && p->reachable &&
		    mono_reached(i->now, progress->due))
			ask(i, t, progress);
		if (!has_answered(i, progress) && !patience_is_over(i, t, p))
			all = false;
	}
	return all;
}

/* ---- confirming ---- */

/* What came alive under an older claim goes to its holder; false when it is not ours to give. */
static bool give_back(struct ipam *i, const struct live *live)
{
	const struct run *run = ring_at(&i->ring, live->offset);
	const struct mark *m = mark_from(i, live->offset);
	struct run back;

	if (!run || !owner_equal(run->owner, i->self) || !m || m->start > live->offset ||
	    !mark_holds(m, run) || owner_equal(live->holder, i->self) ||
	    space_is_used(&i->space, live->offset) || run->counter >= RING_VERSION_MAX)
		return false;
	back = *run;
	back.start = live->offset;
	back.end = live->offset + 1;
	back.counter++;
	back.owner = live->holder;
	ipam_write(i, &back);
	return true;
}

static void clear_marks(struct ipam *i, const struct takeover *t, uint64_t *kept)
{
	struct takeovers *ts = &i->takeovers;
	size_t left = 0, count = ts->marks_count;
	struct mark *old = ts->marks;

	ts->marks = mem_new(count + 1, sizeof *old);
	ts->marks_room = count + 1;
	for (size_t n = 0; n < count; n++)
		if (old[n].victim.name != t->victim)
			ts->marks[left++] = old[n];
		else
			out_delete(i, IPAM_TABLE_MARK, old[n].start);
	ts->marks_count = left;
	for (size_t n = 0; n < count; n++) {
		struct run *runs;
		size_t runs_count;

		if (old[n].victim.name != t->victim)
			continue;
		ipam_refresh(i, (struct span){ old[n].start, old[n].end });
		runs_count = ipam_runs(i, (struct span){ old[n].start, old[n].end }, &runs);
		for (size_t k = 0; k < runs_count; k++)
			if (owner_equal(runs[k].owner, i->self))
				*kept += runs[k].end - runs[k].start;
		mem_free(runs);
	}
	mem_free(old);
}

/* Each address that is given back cuts a piece in three. */
static bool has_room(struct ipam *i, struct takeover *t)
{
	bool room = t->live_count <= (i->ring.runs_max - ring_count(&i->ring)) / 2;
	char name[PEER_NAME_TEXT_SIZE];
	struct why why;

	if (room || !t->request)
		return room;
	why_set(&why, WHY_LIMIT,
		"the range is in too many pieces to give %zu addresses of %s to those who use "
		"them: the rest stays unused until there are fewer",
		t->live_count, peer_name_text(t->victim, name));
	out_no(i, t->request, &why);
	t->request = 0;
	return room;
}

static void confirm(struct ipam *i, struct takeover *t)
{
	char name[PEER_NAME_TEXT_SIZE];
	uint64_t given = 0, kept = 0, lost;

	for (size_t n = 0; n < t->live_count; n++)
		given += give_back(i, &t->live[n]);
	clear_marks(i, t, &kept);
	lost = t->size > kept + given ? t->size - kept - given : 0;
	log_info(i->log,
		 "took over the addresses of a removed peer: peer=%s addresses=%llu "
		 "given_back=%llu overruled=%llu",
		 peer_name_text(t->victim, name), (unsigned long long)kept,
		 (unsigned long long)given, (unsigned long long)lost);
	answer(i, t->request, name, kept, given, lost);
	free_takeover(t);
	forget_awaited(i);
	i->requests.dirty = true;
	i->peers.space_dirty = true;
}

void takeovers_step(struct ipam *i)
{
	if (!i->takeovers.dirty && !mono_reached(i->now, takeovers_deadline(i)))
		return;
	i->takeovers.dirty = false;
	if (!ipam_ready(i))
		return; /* readiness sets dirty again */
	for (struct list *l = i->takeovers.list.next, *next; l != &i->takeovers.list; l = next) {
		struct takeover *t = list_entry(l, struct takeover, link);

		next = l->next;
		if (ask_all(i, t) && has_room(i, t))
			confirm(i, t);
	}
}

struct mono takeovers_deadline(const struct ipam *i)
{
	struct mono due = MONO_NEVER;

	for (struct list *l = i->takeovers.list.next; l != &i->takeovers.list; l = l->next) {
		const struct takeover *t = list_entry(l, struct takeover, link);

		if (t->force && mono_elapsed(t->begun, i->now) < IPAM_PATIENCE_MS)
			due = mono_min(due, mono_after(t->begun, IPAM_PATIENCE_MS));
		for (size_t n = 0; n < t->progress_count; n++) {
			const struct peer *p = peer_find(i, t->progress[n].peer);

			if (p && p->reachable && must_answer(p) &&
			    !has_answered(i, &t->progress[n]))
				due = mono_min(due, t->progress[n].due);
		}
	}
	return ipam_ready(i) ? due : MONO_NEVER;
}

bool takeover_waits_for(const struct ipam *i, size_t *index, peer_name *peer)
{
	for (struct list *l = i->takeovers.list.next; l != &i->takeovers.list; l = l->next) {
		const struct takeover *t = list_entry(l, struct takeover, link);

		for (size_t n = 0; n < t->progress_count; n++) {
			const struct peer *p = peer_find(i, t->progress[n].peer);

			if (!p || !must_answer(p) || has_answered(i, &t->progress[n]))
				continue;
			*peer = p->name;
			if ((*index)-- == 0)
				return true;
		}
	}
	return false;
}

/* ---- answering ---- */

/* What we know better; anything else they said themselves. */
static void report_runs(const struct ipam *i, const struct ipam_message *m,
			struct ipam_message *answer)
{
	for (size_t n = 0; n < m->runs_count; n++) {
		struct span span = { m->runs[n].start, m->runs[n].end };
		struct run *runs;
		size_t count = ipam_runs(i, span, &runs);

		for (size_t k = 0; k < count; k++) {
			if (run_compare(&runs[k], &m->runs[n]) <= 0)
				continue;
			if (answer->runs_count == MESSAGE_RUNS_MAX) {
				answer->span.end = runs[k].start;
				mem_free(runs);
				return;
			}
			answer->runs[answer->runs_count++] = runs[k];
		}
		mem_free(runs);
	}
}

/* The addresses that live here within the runs of the question, as far as the answer reaches. */
static void report_live(const struct ipam *i, const struct ipam_message *m,
			struct ipam_message *answer)
{
	for (size_t n = 0; n < m->runs_count; n++) {
		struct span rest = { m->runs[n].start, m->runs[n].end };
		uint64_t at;

		for (; space_next_used(&i->space, rest, &at); rest.start = at + 1) {
			if (at >= answer->span.end)
				return;
			if (answer->live_count == MESSAGE_LIVE_MAX) {
				answer->span.end = at;
				return;
			}
			answer->live[answer->live_count++] = at;
		}
	}
}

void takeover_on_question(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	struct ipam_message answer = { .type = MESSAGE_TAKEN, .id = m->id, .span = m->span };

	for (size_t n = 0; n < m->runs_count; n++)
		ipam_learn(i, &m->runs[n], true);
	peers_note_removed(i, m->victim);
	answer.live = mem_new(MESSAGE_LIVE_MAX, sizeof *answer.live);
	answer.runs = mem_new(MESSAGE_RUNS_MAX, sizeof *answer.runs);
	report_runs(i, m, &answer);
	report_live(i, m, &answer);
	/* Held until what was just merged is durable: from then on it cannot be forgotten. */
	out_send(i, from, &answer, true);
	mem_free(answer.live);
	mem_free(answer.runs);
}

static struct takeover *by_id(const struct ipam *i, uint64_t id)
{
	for (struct list *l = i->takeovers.list.next; l != &i->takeovers.list; l = l->next) {
		struct takeover *t = list_entry(l, struct takeover, link);

		if (t->id == id)
			return t;
	}
	return NULL;
}

static void note_live(struct takeover *t, uint64_t offset, struct owner holder)
{
	if (t->live_count == t->live_room) {
		t->live_room = t->live_room ? t->live_room * 2 : 16;
		t->live = mem_resize(t->live, t->live_room, sizeof *t->live);
	}
	t->live[t->live_count++] = (struct live){ offset, holder };
}

static void forget_live(struct takeover *t, peer_name holder)
{
	size_t kept = 0;

	for (size_t n = 0; n < t->live_count; n++)
		if (t->live[n].holder.name != holder)
			t->live[kept++] = t->live[n];
	t->live_count = kept;
}

void takeover_on_answer(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	struct takeover *t = by_id(i, m->id);
	struct progress *p;

	for (size_t n = 0; n < m->runs_count; n++)
		ipam_learn(i, &m->runs[n], true);
	if (!t)
		return;
	p = progress_of(t, from);
	if (!p->to && !m->span.start)
		forget_live(t, from); /* of an earlier question */
	/* A late or doubled answer says nothing new; one that leaves a gap does not count. */
	if (m->span.start > p->to || m->span.end <= p->to ||
	    m->live_count > LIVE_REPORTED_MAX - t->live_count)
		return;
	for (size_t n = 0; n < m->live_count; n++)
		note_live(t, m->live[n], (struct owner){ from, m->store_id });
	p->to = m->span.end;
	p->due = i->now;
	i->takeovers.dirty = true;
}

bool takeover_on_refusal(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	struct takeover *t = by_id(i, m->id);

	if (!t)
		return false;
	/* It has no part in our ring, so it uses nothing of it.  (Unless it lost its disk and then
	 * got another ring: what its containers kept from before is unique in neither.) */
	if (m->refusal == REFUSAL_OTHER_RING || m->refusal == REFUSAL_NO_UNIVERSE) {
		progress_of(t, from)->declined = true;
		i->takeovers.dirty = true;
	}
	return true;
}
