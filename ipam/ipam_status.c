/* What is shown of one universe, and the invariants that must hold. */
#include "allocator.h"

const char *ipam_phase_text(enum ipam_phase phase)
{
	static const char *const texts[] = {
#define X(name, text) [IPAM_##name] = text,
		IPAM_PHASES(X)
#undef X
	};

	return (size_t)phase < ARRAY_COUNT(texts) ? texts[phase] : "unknown";
}

static enum ipam_phase phase_without_ring(const struct ipam *i)
{
	const struct election *e = &i->election;

	if (e->tally.state == TALLY_TOO_MANY)
		return IPAM_TOO_MANY;
	if (i->config.mode == IPAM_OBSERVER || e->barred)
		return IPAM_WAITING;
	return e->voted || e->tally.leading || election_wanted(i) ? IPAM_ELECTING : IPAM_IDLE;
}

static enum ipam_phase phase_of(const struct ipam *i)
{
	if (i->disk[0])
		return IPAM_DISK;
	if (i->handover.retired)
		return IPAM_RETIRED;
	if (i->renewing)
		return IPAM_RENEWING;
	if (!i->ring_id)
		return phase_without_ring(i);
	return i->peers.in_sync ? IPAM_READY : IPAM_SYNCING;
}

static uint64_t count_own(const struct ipam *i)
{
	const struct run *run = ring_from(&i->ring, 0);
	uint64_t own = 0;

	for (; run; run = ring_from(&i->ring, run->end))
		if (owner_equal(run->owner, i->self))
			own += run->end - run->start;
	return own;
}

/* Where 'owner' is in the sorted list, or belongs. */
static size_t owner_place(const struct ipam_owner *list, size_t count, struct owner owner)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct owner o = { list[middle].peer, list[middle].store_id };

		if (owner_compare(o, owner) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void add_run(struct ipam_owner **list, size_t *count, const struct run *run)
{
	size_t at = owner_place(*list, *count, run->owner);
	struct ipam_owner *o = at < *count ? *list + at : NULL;

	if (!o || o->peer != run->owner.name || o->store_id != run->owner.store_id) {
		if ((*count & (*count - 1)) == 0)
			*list = mem_resize(*list, *count ? 2 * *count : 1, sizeof **list);
		o = *list + at;
		memmove(o + 1, o, (*count - at) * sizeof *o);
		*o = (struct ipam_owner){ .peer = run->owner.name,
					  .store_id = run->owner.store_id };
		++*count;
	}
	o->owned += run->end - run->start;
}

static void look_up_owner(const struct ipam *i, struct ipam_owner *o)
{
	const struct span all = { 0, i->config.universe.size };
	const struct peer *p = peer_find(i, o->peer);

	if (o->peer == i->self.name) {
		/* A seed's part has no store id before it is bound to one. */
		o->known = o->reachable = !o->store_id || o->store_id == i->self.store_id;
		o->former = !o->known;
		if (o->store_id == i->self.store_id)
			o->free = space_free(&i->space, all);
	} else if (p && p->known && (!o->store_id || p->store_id == o->store_id)) {
		o->known = true;
		o->reachable = p->reachable;
		if (o->store_id && p->space && p->space->ring_id == i->ring_id)
			o->free = peer_free(i, p, all);
	} else {
		o->former = p && p->known && p->reachable;
	}
}

size_t ipam_owners(const struct ipam *i, struct ipam_owner **list)
{
	const struct run *run = ring_from(&i->ring, 0);
	size_t count = 0;

	*list = NULL;
	for (; run; run = ring_from(&i->ring, run->end))
		add_run(list, &count, run);
	for (size_t n = 0; n < count; n++)
		look_up_owner(i, *list + n);
	return count;
}

void ipam_status(const struct ipam *i, struct ipam_status *s)
{
	struct ipam_owner *list;
	size_t owners = ipam_owners(i, &list);

	mem_free(list);
	*s = (struct ipam_status){
		.phase = phase_of(i),
		.universe = i->config.universe,
		.ring_id = i->ring_id,
		.runs = ring_count(&i->ring),
		.owners = owners,
		.own = count_own(i),
		.own_free = space_free(&i->space, (struct span){ 0, i->config.universe.size }),
		.allocated = i->space.used_count,
		.disputed = i->addresses.disputed_count,
		.dying = i->addresses.dying_count,
		.disputes = i->disputes,
		.electors = i->config.mode == IPAM_CONSENSUS ? i->config.electors : 0,
		.votes = i->election.tally.voters,
		.requests = i->requests.count,
		.foreign_ring = i->peers.foreign_ring,
		.foreign_peer = i->peers.foreign_peer,
		.asked = i->asked,
		.granted = i->granted,
		.refused = i->refused,
		.disk = i->disk[0] ? i->disk : NULL,
	};
	s->own_unconfirmed = s->own - i->space.owned_size;
}

bool ipam_piece_at(const struct ipam *i, uint64_t from, struct ipam_piece *piece)
{
	const struct run *run = ring_from(&i->ring, from);

	if (run)
		*piece = (struct ipam_piece){ .span = { run->start, run->end },
					      .owner = run->owner.name,
					      .store_id = run->owner.store_id,
					      .epoch = run->epoch,
					      .counter = run->counter };
	return run != NULL;
}

size_t ipam_pendings(const struct ipam *i, struct ipam_pending **list)
{
	static const enum ipam_pending_type types[] = {
		[REQUEST_ALLOCATE] = IPAM_PENDING_ALLOCATE,
		[REQUEST_CLAIM] = IPAM_PENDING_CLAIM,
		[REQUEST_PRIME] = IPAM_PENDING_PRIME,
	};
	struct ipam_pending *to = mem_new(i->requests.count + 1, sizeof *to);

	*list = to;
	for (struct list *l = i->requests.waiting.next; l != &i->requests.waiting; l = l->next) {
		const struct request *r = list_entry(l, struct request, link);

		*to++ = (struct ipam_pending){ types[r->type],
					       { r->container, r->container_size },
					       r->want };
	}
	return (size_t)(to - *list);
}

/* Whoever decides in our place, or could vote with us and has not, whether it can be reached or
 * not. */
static bool voter_at(const struct ipam *i, size_t *index, peer_name *peer)
{
	for (size_t n = 0; n < i->peers.count; n++) {
		const struct peer *p = &i->peers.list[n];

		if (!p->known || !p->space || !(p->space->flags & SPACE_ELECTOR))
			continue;
		if (!election_is_left_to(i, p) && (p->space->electors != i->config.electors ||
						   ballot_has(&i->election.ballot, p->name)))
			continue;
		*peer = p->name;
		if ((*index)-- == 0)
			return true;
	}
	return false;
}

bool ipam_waiting_for(const struct ipam *i, size_t index, peer_name *peer)
{
	if (!i->ring_id)
		return phase_of(i) == IPAM_ELECTING && voter_at(i, &index, peer);
	if (i->handover.request && index-- == 0) {
		*peer = handover_heir(i);
		return true;
	}
	return takeover_waits_for(i, &index, peer);
}

/* ---- invariants ---- */

/* What may be used is exactly what the ring says is ours and no mark holds back. */
static void check_usable(const struct ipam *i)
{
	const struct run *run = ring_from(&i->ring, 0);
	uint64_t usable = 0;

	for (; run; run = ring_from(&i->ring, run->end)) {
		uint64_t at = run->start;

		while (owner_equal(run->owner, i->self) && at < run->end) {
			const struct mark *m = mark_from(i, at);
			uint64_t next = run->end;
			bool held = m && m->start <= at && mark_holds(m, run);

			if (m && m->start > at)
				next = m->start < next ? m->start : next;
			else if (m)
				next = m->end < next ? m->end : next;
			MUST(space_owns(&i->space, at) == !held);
			usable += held ? 0 : next - at;
			at = next;
		}
	}
	MUST(usable == i->space.owned_size);
}

static void check_addresses(const struct ipam *i)
{
	size_t disputed = 0, dying = 0;

	TABLE_EACH(&i->addresses.by_offset, l) {
		const struct address *a = table_entry(l, struct address, by_offset);
		const struct run *run = ring_at(&i->ring, a->offset);
		bool ours = run && owner_equal(run->owner, i->self);

		MUST(space_is_used(&i->space, a->offset));
		MUST(!i->ring_id || a->disputed == !ours);
		disputed += a->disputed;
		dying += a->dying;
	}
	MUST(i->addresses.by_offset.count == i->space.used_count);
	MUST(i->addresses.by_container.count == i->space.used_count);
	MUST(disputed == i->addresses.disputed_count && dying == i->addresses.dying_count);
}

/* Whatever the store has, we know. */
static void check_published(const struct ipam *i)
{
	const struct run *run = ring_from(&i->published, 0);

	for (; run; run = ring_from(&i->published, run->end)) {
		uint64_t at = run->start;

		while (at < run->end) {
			const struct run *ours = ring_at(&i->ring, at);

			MUST(ours && run_compare(ours, run) >= 0);
			at = ours->end;
		}
	}
}

static void check_requests(const struct ipam *i)
{
	size_t count = 0, waiters = 0, hungers = 0, fed = 0;

	for (struct list *l = i->requests.waiting.next; l != &i->requests.waiting; l = l->next) {
		count++;
		waiters += list_entry(l, struct request, link)->hunger != NULL;
	}
	for (struct list *l = i->requests.hungers.next; l != &i->requests.hungers; l = l->next) {
		hungers++;
		fed += list_entry(l, struct hunger, link)->waiters;
	}
	MUST(count == i->requests.count && hungers == i->requests.hungers_count);
	MUST(waiters == fed && count <= IPAM_REQUESTS_MAX);
}

void ipam_check(const struct ipam *i)
{
	ring_check(&i->ring);
	ring_check(&i->published);
	space_check(&i->space);
	if (i->started) {
		check_usable(i);
		check_addresses(i);
	}
	check_published(i);
	check_requests(i);
	MUST(i->out.saved <= i->out.ticket);
}
