#include "neighbour.h"

#include <weave/alloc.h>
#include <weave/must.h>

#include "entry_wire.h"

static uint32_t stamp_of(struct mono now)
{
	uint32_t ms = (uint32_t)now.ms;

	return ms ? ms : 1; /* 0 means none */
}

void neighbour_init(struct neighbour *n, struct neighbours *shared, conn_id id, peer_name peer,
		    bool outbound, struct mono now)
{
	*n = (struct neighbour){
		.id = id,
		.peer = peer,
		.outbound = outbound,
		.shared = shared,
		.pulse_due = now,
		.echo_at = now,
		.echoed_ms = stamp_of(now) - 1,
		.unanswered_since = MONO_NEVER,
	};
	n->repair.with = peer;
	list_init(&n->unicast);
	list_init(&n->overlay);
}

static void drop_queued(struct list *l)
{
	struct queued *q = list_entry(l, struct queued, link);

	list_remove(l);
	mem_free(q);
}

void neighbour_fini(struct neighbour *n)
{
	store_cursor_close(&n->cursor);
	repair_fini(&n->repair);
	while (!list_empty(&n->unicast))
		drop_queued(n->unicast.next);
	while (!list_empty(&n->overlay))
		drop_queued(n->overlay.next);
}

/* Entries begin or cease to flow.  A cursor starts at the present end: what was missed before is
 * a matter of digests, which are compared anew. */
static void update_flow(struct neighbour *n)
{
	bool flow = n->structural || n->structural_theirs;

	if (flow == n->flow)
		return;
	n->flow = flow;
	if (flow) {
		store_cursor_open(n->shared->store, &n->cursor, true);
		n->compare_due = (struct mono){ 0 };
		n->compared = false;
	} else {
		store_cursor_close(&n->cursor);
		n->entries_left = false;
		n->sent_sequence = n->acked;
	}
}

void neighbour_set_wanted(struct neighbour *n, bool structural, bool published, struct mono now)
{
	if (structural == n->structural && published == n->published)
		return;
	n->structural = structural;
	n->published = published;
	n->pulse_due = mono_min(n->pulse_due, now);
	update_flow(n);
}

/* ---- input ---- */

static void hear_echo(struct neighbour *n, const struct pulse *p, struct mono now)
{
	uint32_t age = stamp_of(now) - p->echo_ms;

	/* Only a time stamp newer than the last that came back proves anything. */
	if (p->echo_ms == 0 || n->sent_ms == 0 || (int32_t)(p->echo_ms - n->echoed_ms) <= 0 ||
	    (int32_t)(n->sent_ms - p->echo_ms) < 0)
		return;
	n->echoed_ms = p->echo_ms;
	n->echo_at = now;
	n->rtt_ms = age > p->held_ms ? age - p->held_ms : 0;
	n->rtt_known = true;
	n->unanswered_since = p->echo_ms == n->sent_ms ? MONO_NEVER : now;
}

static bool is_calm(const struct neighbours *all, struct mono now)
{
	return mono_elapsed(all->changed, now) >= CALM_MS;
}

/* Nothing of ours is on its way to them. */
static bool is_quiet(const struct neighbour *n, struct mono now)
{
	if (!n->flow)
		return is_calm(n->shared, now);
	return !store_cursor_peek(&n->cursor) && n->acked >= n->sent_sequence;
}

static void compare(struct neighbour *n, const struct pulse *p, struct mono now)
{
	struct hash128 ours = store_digest(n->shared->store);
	uint64_t skip_above = UINT64_MAX;

	n->their_digest = p->digest;
	if (ours.high == p->digest.high && ours.low == p->digest.low &&
	    store_compare_apart(n->shared->store, n->peer) == STORE_APART_EQUAL) {
		n->compared = true;
		repair_equal(&n->repair);
		return;
	}
	if (!mono_reached(now, n->compare_due))
		return;
	n->compare_due = mono_after(now, COMPARE_MS);
	if (n->compared && !(is_quiet(n, now) && p->flags & PULSE_CAUGHT_UP)) {
		if (++n->restless % 3)
			return;
		skip_above = n->flow ? n->acked : n->shared->calm_sequence;
	}
	n->compared = true;
	if (n->outbound) {
		repair_want(&n->repair, neighbour_theirs(n), skip_above, now);
		n->shared->wanting++;
	} else {
		n->repair.differ = true;
	}
}

const char *neighbour_on_pulse(struct neighbour *n, const struct pulse *p, struct mono now)
{
	if (p->ack > n->announced)
		return "pulse.ack";
	if (p->sequence < n->their_sequence)
		return "pulse.sequence";
	if (p->ack > n->acked)
		n->acked = p->ack;
	n->their_sequence = p->sequence;
	n->structural_theirs = p->flags & PULSE_STRUCTURAL;
	n->published_theirs = p->flags & PULSE_PUBLISHED;
	update_flow(n);
	hear_echo(n, p, now);
	n->heard_ms = p->sent_ms;
	n->heard_at = now;
	if (mono_elapsed(n->pulse_sent_at, now) >= HEARTBEAT_REPLY_MS)
		n->pulse_due = mono_min(n->pulse_due, now);
	neighbour_skip_own(n);
	compare(n, p, now);
	return NULL;
}

const char *neighbour_on_repair(struct neighbour *n, const struct frame *frame, struct mono now)
{
	const struct store *s = n->shared->store;
	uint64_t rounds = n->repair.rounds;
	struct digests digests;
	struct keys keys;
	struct resend resend;
	const char *bad;

	switch (frame->type) {
	case MESSAGE_DIGESTS:
		bad = digests_decode(&digests, frame->body);
		if (!bad)
			repair_on_digests(&n->repair, s, &digests);
		return bad;
	case MESSAGE_KEYS:
		bad = keys_decode(&keys, frame->body);
		if (!bad)
			repair_on_keys(&n->repair, s, &keys, now);
		n->shared->repairs += n->repair.rounds - rounds;
		return bad;
	case MESSAGE_RESEND:
		bad = resend_decode(&resend, frame->body);
		if (!bad)
			repair_on_resend(&n->repair, &resend);
		return bad;
	default:
		NOT_REACHED("not a message of repair");
	}
}

void neighbour_on_merged(struct neighbour *n, const struct entry_view *e, enum store_result result)
{
	const struct entry *ours;

	if (result == STORE_TOOK) {
		n->repair.took++;
	} else if (result == STORE_OLDER) {
		/* They have an older version: answer with ours, whatever the split horizon. */
		ours = store_find(n->shared->store, e->kind, e->key);
		if (ours)
			repair_give(&n->repair, ours->key_hash);
	}
}

void neighbour_sync_end(struct neighbour *n, bool sync_end, struct mono now)
{
	repair_on_entries(&n->repair, sync_end, now);
}

struct hash128 neighbour_theirs(const struct neighbour *n)
{
	return (struct hash128){ n->their_digest.high ^ n->their_rings.high,
				 n->their_digest.low ^ n->their_rings.low };
}

void neighbour_on_rings(struct neighbour *n, struct bytes body)
{
	static const struct hash_key key = { 0, 0 }; /* nobody else sees it */

	n->their_rings = hash128(&key, body.data, body.size);
}

void neighbour_meet(struct neighbour *n, struct mono now)
{
	if (!n->outbound || n->repair.state != REPAIR_IDLE ||
	    store_compare_apart(n->shared->store, n->peer) != STORE_APART_UNMET)
		return;
	repair_want(&n->repair, neighbour_theirs(n), UINT64_MAX, now);
	n->shared->wanting++;
}

/* ---- output ---- */

static struct queued *enqueue(struct list *queue, struct bytes body)
{
	struct queued *q = mem_new(1, sizeof *q + body.size);

	q->size = body.size;
	if (body.size)
		memcpy(q->body, body.data, body.size);
	list_append(queue, &q->link);
	return q;
}

void neighbour_send_unicast(struct neighbour *n, struct bytes body)
{
	n->unicast_size += enqueue(&n->unicast, body)->size;
	while (n->unicast_size > UNICAST_QUEUE_MAX) {
		n->unicast_size -= list_entry(n->unicast.next, struct queued, link)->size;
		drop_queued(n->unicast.next);
		n->shared->unicast_dropped++;
	}
}

bool neighbour_send_overlay(struct neighbour *n, struct bytes message)
{
	if (n->overlay_count >= OVERLAY_QUEUE_MAX || message.size > OVERLAY_MESSAGE_MAX ||
	    message.size == 0)
		return false;
	enqueue(&n->overlay, message);
	n->overlay_count++;
	return true;
}

static void pull_queued(struct list *queue, uint8_t type, struct writer *w)
{
	struct queued *q = list_entry(queue->next, struct queued, link);
	size_t mark = session_begin(w, type);

	write_bytes(w, q->body, q->size);
	session_end(w, mark);
	drop_queued(&q->link);
}

void neighbour_skip_own(struct neighbour *n)
{
	const struct store *s = n->shared->store;
	const struct entry *e;

	while (n->flow && (e = store_cursor_peek(&n->cursor)) &&
	       (e->source == n->id || !store_exchanges(s, e, n->peer)))
		store_cursor_advance(n->shared->store, &n->cursor);
}

static bool has_changes(const struct neighbour *n)
{
	return n->flow && store_cursor_peek(&n->cursor);
}

static struct mono changes_due(const struct neighbour *n)
{
	if (!n->entries_ever || n->entries_left)
		return (struct mono){ 0 };
	return mono_after(n->entries_sent_at, COALESCE_MS);
}

static bool changes_are_due(const struct neighbour *n, struct mono now)
{
	return has_changes(n) && mono_reached(now, changes_due(n));
}

static struct pulse make_pulse(struct neighbour *n, struct mono now)
{
	struct pulse p = {
		.ack = n->their_sequence,
		.digest = store_digest(n->shared->store),
		.sent_ms = stamp_of(now),
		.echo_ms = n->heard_ms,
		.held_ms = (uint32_t)mono_elapsed(n->heard_at, now),
	};

	if (n->flow && n->cursor.sequence > n->announced)
		n->announced = n->cursor.sequence;
	p.sequence = n->announced;
	if (n->structural)
		p.flags |= PULSE_STRUCTURAL;
	if (n->published)
		p.flags |= PULSE_PUBLISHED;
	if (n->flow ? !store_cursor_peek(&n->cursor) : is_calm(n->shared, now))
		p.flags |= PULSE_CAUGHT_UP;
	n->sent_ms = p.sent_ms;
	if (n->unanswered_since.ms == MONO_NEVER.ms)
		n->unanswered_since = now;
	n->pulse_sent_at = now;
	n->pulse_due = mono_after(now, n->outbound ? HEARTBEAT_MS : HEARTBEAT_ACCEPTED_MS);
	return p;
}

static void pull_heartbeat(struct neighbour *n, struct writer *w, struct mono now)
{
	struct pulse p = make_pulse(n, now);
	size_t mark = session_begin(w, MESSAGE_HEARTBEAT);

	pulse_encode(&p, w);
	session_end(w, mark);
}

static bool add_entry(const struct entry *e, struct writer *w)
{
	if (entry_wire_size(&e->view) > writer_left(w))
		return false;
	entry_encode(&e->view, w);
	return true;
}

static uint16_t add_given(struct neighbour *n, struct writer *w)
{
	uint16_t count = 0;
	uint64_t hash;

	while (repair_next_give(&n->repair, &hash)) {
		const struct entry *e = store_find_hash(n->shared->store, hash);

		if (e && !store_exchanges(n->shared->store, e, n->peer))
			e = NULL;
		if (e && !add_entry(e, w))
			break;
		count = (uint16_t)(count + (e != NULL));
		repair_gave(&n->repair);
	}
	n->shared->repair_entries += count;
	return count;
}

static uint16_t add_changes(struct neighbour *n, struct writer *w)
{
	const struct entry *e;
	uint16_t count = 0;

	neighbour_skip_own(n);
	while ((e = store_cursor_peek(&n->cursor)) && add_entry(e, w)) {
		n->sent_sequence = e->sequence;
		store_cursor_advance(n->shared->store, &n->cursor);
		neighbour_skip_own(n);
		count++;
	}
	n->entries_left = e != NULL;
	return count;
}

static void pull_entries(struct neighbour *n, struct writer *w, struct mono now)
{
	size_t mark = session_begin(w, MESSAGE_ENTRIES);
	struct writer head = writer_over(write_room(w, ENTRIES_HEADER_SIZE), ENTRIES_HEADER_SIZE);
	struct pulse p;
	uint16_t count = add_given(n, w);
	bool end = n->repair.end_due && !n->repair.give.count;

	if (changes_are_due(n, now)) {
		count = (uint16_t)(count + add_changes(n, w));
		n->entries_ever = true;
		n->entries_sent_at = now;
	}
	p = make_pulse(n, now);
	if (end) {
		p.flags |= PULSE_SYNC_END;
		n->repair.end_due = false;
	}
	pulse_encode(&p, &head);
	write_u16(&head, count);
	session_end(w, mark);
	n->shared->entries_sent += count;
}

static struct mono rings_due(const struct neighbour *n)
{
	if (n->rings_sent == n->shared->rings_version || n->sent_ms == 0)
		return MONO_NEVER;
	if (n->rings_sent == 0)
		return (struct mono){ 0 };
	return mono_after(n->rings_sent_at, n->flow ? COALESCE_MS : RINGS_SELDOM_MS);
}

/* Ahead of every pulse of a link on which entries flow, so that the other end compares what
 * belongs together. */
static bool rings_are_due(const struct neighbour *n, bool before_pulse, struct mono now)
{
	struct mono due = rings_due(n);

	return mono_reached(now, due) || (before_pulse && n->flow && due.ms != MONO_NEVER.ms);
}

static void pull_rings(struct neighbour *n, struct writer *w, struct mono now)
{
	size_t mark = session_begin(w, MESSAGE_RINGS);

	write_bytes(w, n->shared->rings, n->shared->rings_size);
	session_end(w, mark);
	n->rings_sent = n->shared->rings_version;
	n->rings_sent_at = now;
}

/* OVERLAY and UNICAST; they take turns with the rest, so that neither starves the other. */
static bool pull_message(struct neighbour *n, struct writer *w)
{
	if (!list_empty(&n->overlay)) {
		n->overlay_count--;
		pull_queued(&n->overlay, MESSAGE_OVERLAY, w);
	} else if (!list_empty(&n->unicast)) {
		n->unicast_size -= list_entry(n->unicast.next, struct queued, link)->size;
		pull_queued(&n->unicast, MESSAGE_UNICAST, w);
	} else {
		return false;
	}
	n->replicate_next = true;
	return true;
}

bool neighbour_pull(struct neighbour *n, struct writer *w, struct mono now)
{
	bool replicate = n->replicate_next, pulse;

	neighbour_skip_own(n);
	pulse = repair_wants_entries(&n->repair) || changes_are_due(n, now) ||
		mono_reached(now, n->pulse_due);
	if (rings_are_due(n, pulse, now)) {
		pull_rings(n, w, now);
		return true;
	}
	n->replicate_next = false;
	if (!replicate && !mono_reached(now, n->pulse_due) && pull_message(n, w))
		return true;
	if (!mono_reached(now, n->pulse_due) && repair_pull(&n->repair, n->shared->store, w))
		return true;
	if (repair_wants_entries(&n->repair) || changes_are_due(n, now)) {
		pull_entries(n, w, now);
		return true;
	}
	if (mono_reached(now, n->pulse_due)) {
		pull_heartbeat(n, w, now);
		return true;
	}
	return pull_message(n, w);
}

bool neighbour_wants_write(const struct neighbour *n, struct mono now)
{
	return !list_empty(&n->overlay) || !list_empty(&n->unicast) ||
	       mono_reached(now, n->pulse_due) || changes_are_due(n, now) ||
	       rings_are_due(n, false, now) || repair_wants_write(&n->repair);
}

/* ---- time ---- */

bool neighbour_is_dead(const struct neighbour *n, struct mono now)
{
	return mono_elapsed(n->echo_at, now) >= ECHO_TIMEOUT_MS;
}

bool neighbour_is_suspect(const struct neighbour *n, struct mono now)
{
	/* Unanswered, or not even taken by the transport. */
	return mono_elapsed(n->pulse_due, now) > SUSPECT_MS ||
	       (n->unanswered_since.ms != MONO_NEVER.ms &&
		mono_elapsed(n->unanswered_since, now) > SUSPECT_MS);
}

struct mono neighbour_deadline(const struct neighbour *n, bool may_write)
{
	struct mono due = mono_after(n->echo_at, ECHO_TIMEOUT_MS);

	if (may_write) {
		due = mono_min(due, n->pulse_due);
		if (has_changes(n))
			due = mono_min(due, changes_due(n));
		due = mono_min(due, rings_due(n));
	}
	if (n->repair.state == REPAIR_WANTED && !n->shared->syncing)
		due = mono_min(due, n->repair.not_before);
	else if (n->repair.state == REPAIR_ASKING || n->repair.state == REPAIR_FETCHING)
		due = mono_min(due, n->repair.deadline);
	return due;
}

void neighbours_note_change(struct neighbours *all, struct mono now)
{
	all->changed = now;
	if (mono_elapsed(all->mark_at, now) < CALM_MS)
		return;
	all->calm_sequence = all->mark_sequence;
	all->mark_sequence = store_sequence(all->store);
	all->mark_at = now;
}
