/* Who is there and what it has free; whether we know all about the ring that our neighbours do. */
#include "allocator.h"

void peers_fini(struct peers *p)
{
	for (size_t n = 0; n < p->count; n++)
		mem_free(p->list[n].space);
	mem_free(p->list);
	mem_free(p->neighbours);
}

/* ---- the table ---- */

static size_t place_of(const struct ipam *i, peer_name name)
{
	size_t low = 0, high = i->peers.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (i->peers.list[middle].name < name)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct peer *peer_find(const struct ipam *i, peer_name name)
{
	size_t at = place_of(i, name);

	return at < i->peers.count && i->peers.list[at].name == name ? &i->peers.list[at] : NULL;
}

/* NULL when there are too many. */
struct peer *peer_get(struct ipam *i, peer_name name)
{
	struct peers *p = &i->peers;
	size_t at = place_of(i, name);

	if (at < p->count && p->list[at].name == name)
		return &p->list[at];
	if (p->count == PEERS_MAX)
		return NULL;
	if (p->count == p->room) {
		p->room = p->room ? p->room * 2 : 8;
		p->list = mem_resize(p->list, p->room, sizeof *p->list);
	}
	memmove(&p->list[at + 1], &p->list[at], (p->count - at) * sizeof *p->list);
	p->list[at] = (struct peer){ .name = name };
	p->count++;
	return &p->list[at];
}

static void forget_if_nothing(struct ipam *i, peer_name name)
{
	struct peers *p = &i->peers;
	size_t at = place_of(i, name);

	if (at == p->count || p->list[at].name != name || p->list[at].known ||
	    p->list[at].removed || p->list[at].awaited || p->list[at].space)
		return;
	p->count--;
	memmove(&p->list[at], &p->list[at + 1], (p->count - at) * sizeof *p->list);
}

static void helped(struct ipam *i)
{
	i->dirty = true;
	i->requests.dirty = true;
	i->takeovers.dirty = true;
}

void ipam_on_peer(struct ipam *i, peer_name name, uint64_t store_id, bool reachable,
		  struct mono now)
{
	struct peer *p;

	i->now = now;
	if (name == i->self.name) {
		election_former_life(i, store_id);
		return;
	}
	p = peer_get(i, name);
	if (!p || (p->known && p->reachable == reachable && p->store_id == store_id))
		return;
	if (p->store_id && p->store_id != store_id)
		takeovers_on_new_store(i, name);
	p->known = true;
	p->reachable = reachable;
	p->store_id = store_id;
	if (reachable && p->removed) {
		p->removed = false;
		out_delete(i, IPAM_TABLE_REMOVED, name);
	}
	helped(i);
	ipam_settle(i);
}

void ipam_on_peer_gone(struct ipam *i, peer_name name, struct mono now)
{
	struct peer *p = peer_find(i, name);

	i->now = now;
	if (!p)
		return;
	p->known = p->reachable = false;
	forget_if_nothing(i, name);
	helped(i);
	ipam_settle(i);
}

void peers_note_removed(struct ipam *i, peer_name name)
{
	struct peer *p = peer_get(i, name);

	if (!p || p->reachable || p->removed || name == i->self.name)
		return;
	p->removed = true;
	i->takeovers.dirty = true; /* nobody waits for it any more */
	out_save(i, IPAM_TABLE_REMOVED, name, "", 1);
}

bool ipam_is_removed(const struct ipam *i, peer_name peer)
{
	const struct peer *p = peer_find(i, peer);

	return p && p->removed;
}

void peers_heard_space(struct ipam *i, const struct space_info *info, bool gone)
{
	struct peer *p;

	if (info->peer == i->self.name) {
		if (!gone)
			election_former_life(i, info->store_id);
		return;
	}
	p = gone ? peer_find(i, info->peer) : peer_get(i, info->peer);
	if (!p)
		return;
	mem_free(p->space);
	p->space = gone ? NULL : mem_copy(info, sizeof *info);
	if (gone)
		forget_if_nothing(i, info->peer);
	i->dirty = true;
	i->requests.dirty = true;
}

static uint64_t overlap(struct span a, struct span b)
{
	uint64_t start = a.start > b.start ? a.start : b.start;
	uint64_t end = a.end < b.end ? a.end : b.end;

	return start < end ? end - start : 0;
}

uint64_t peer_free(const struct ipam *i, const struct peer *p, struct span within)
{
	uint64_t sum = 0;

	if (!p->space || p->space->ring_id != i->ring_id || p->space->store_id != p->store_id)
		return 1;
	for (uint32_t n = 0; n < p->space->ranges_count; n++) {
		const struct space_range *r = &p->space->ranges[n];
		uint64_t size = r->span.end - r->span.start;
		uint64_t share = overlap(r->span, within);

		/* As if what is free were spread evenly; both are at most 2^32. */
		sum += share == size ? r->free : (r->free * share + size - 1) / size;
	}
	return sum;
}

/* ---- what we tell others that we have ---- */

/* Owned spans, and only so many ranges: then neighbours are told as one. */
static void survey(const struct ipam *i, struct space_info *info)
{
	const struct space *s = &i->space;
	size_t per = s->owned_count / SPACE_RANGES_MAX + 1;

	*info = (struct space_info){
		.peer = i->self.name,
		.store_id = i->self.store_id,
		.ring_id = i->ring_id,
	};
	/* Who must not vote is not waited for. */
	if (i->config.mode == IPAM_CONSENSUS && (!i->election.barred || i->election.voted)) {
		info->flags |= SPACE_ELECTOR;
		info->electors = i->config.electors;
	}
	if (!i->ring_id && election_wanted(i))
		info->flags |= SPACE_WANTS;
	for (size_t n = 0; n < s->owned_count && ipam_ready(i); n += per) {
		size_t last = n + per < s->owned_count ? n + per - 1 : s->owned_count - 1;
		struct space_range *r = &info->ranges[info->ranges_count++];

		r->span = (struct span){ s->owned[n].start, s->owned[last].end };
		r->free = space_free(s, r->span);
	}
}

/* Small changes are not worth everybody's attention. */
static bool worth_telling(const struct space_info *old, const struct space_info *new)
{
	uint64_t before = 0, after = 0, step;

	if (old->store_id != new->store_id || old->ring_id != new->ring_id ||
	    old->flags != new->flags || old->ranges_count != new->ranges_count)
		return true;
	for (uint32_t n = 0; n < new->ranges_count; n++) {
		if (old->ranges[n].span.start != new->ranges[n].span.start ||
		    old->ranges[n].span.end != new->ranges[n].span.end)
			return true;
		before += old->ranges[n].free;
		after += new->ranges[n].free;
	}
	step = before > after ? before - after : after - before;
	return step > before / 8;
}

static void advertise(struct ipam *i)
{
	struct peers *p = &i->peers;
	struct entry_room room;
	struct writer key = writer_over(room.key, sizeof room.key);
	struct writer value = writer_over(room.value, sizeof room.value);
	struct space_info info;

	p->space_dirty = false;
	p->space_next = mono_after(i->now, SPACE_DELAY_MS);
	survey(i, &info);
	if (p->told_once && !worth_telling(&p->told, &info))
		return;
	p->told_once = true;
	p->told = info;
	space_key(&key, &i->config.universe, i->self.name);
	space_value(&value, &info);
	MUST(!key.full && !value.full);
	room.view = (struct entry_view){
		.kind = KIND_SPACE,
		.writer = i->self.name,
		.key = writer_bytes(&key),
		.value = writer_bytes(&value),
	};
	out_put(i, &room.view);
}

/* ---- in sync (control-plane.md 6.3) ---- */

static size_t neighbour_place(const struct ipam *i, peer_name name)
{
	size_t low = 0, high = i->peers.neighbours_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (i->peers.neighbours[middle].name < name)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct neighbour *neighbour_at(const struct ipam *i, peer_name name)
{
	size_t at = neighbour_place(i, name);

	return at < i->peers.neighbours_count && i->peers.neighbours[at].name == name
		       ? &i->peers.neighbours[at]
		       : NULL;
}

struct neighbour *neighbour_find(const struct ipam *i, peer_name name)
{
	struct neighbour *n = neighbour_at(i, name);

	return n && !n->lost ? n : NULL;
}

/* NULL when there are too many. */
static struct neighbour *neighbour_get(struct ipam *i, peer_name name)
{
	struct peers *p = &i->peers;
	struct neighbour *n = neighbour_at(i, name);
	size_t at = neighbour_place(i, name);

	if (n && n->lost)
		*n = (struct neighbour){ .name = name, .lost_due = n->lost_due };
	if (n || p->neighbours_count == PEERS_MAX)
		return n;
	if (p->neighbours_count == p->neighbours_room) {
		p->neighbours_room = p->neighbours_room ? p->neighbours_room * 2 : 8;
		p->neighbours = mem_resize(p->neighbours, p->neighbours_room, sizeof *n);
	}
	n = &p->neighbours[at];
	memmove(n + 1, n, (p->neighbours_count - at) * sizeof *n);
	p->neighbours_count++;
	*n = (struct neighbour){ .name = name, .lost_due = MONO_NEVER };
	i->dirty = true;
	return n;
}

static void neighbour_remove(struct peers *p, struct neighbour *n)
{
	p->neighbours_count--;
	memmove(n, n + 1, (size_t)(&p->neighbours[p->neighbours_count] - n) * sizeof *n);
}

void ipam_on_neighbour(struct ipam *i, peer_name name, const struct ipam_ring_state *state,
		       struct mono now)
{
	struct neighbour *n = neighbour_get(i, name);

	i->now = now;
	if (n && state) {
		n->said = true;
		n->state = *state;
		i->dirty = true;
	}
	ipam_settle(i);
}

/* While we are not in sync, who left us in the dark is waited for; but not for longer because it
 * comes and goes. */
void ipam_on_neighbour_lost(struct ipam *i, peer_name name, struct mono now)
{
	struct neighbour *n = neighbour_find(i, name);

	i->now = now;
	if (!n)
		return;
	if (!i->ring_id || i->peers.in_sync || n->synced) {
		neighbour_remove(&i->peers, n);
	} else {
		n->lost = true;
		n->said = false;
		n->lost_due = mono_min(n->lost_due, mono_after(now, IPAM_PATIENCE_MS));
	}
	i->dirty = true;
	ipam_settle(i);
}

static void forget_lost(struct peers *p)
{
	for (size_t n = p->neighbours_count; n-- > 0;)
		if (p->neighbours[n].lost)
			neighbour_remove(p, &p->neighbours[n]);
}

void peers_ring_adopted(struct ipam *i)
{
	struct peers *p = &i->peers;

	p->in_sync = p->met_any = false;
	p->sync_due = i->config.has_targets ? mono_after(i->now, IPAM_PATIENCE_MS) : i->now;
	for (size_t n = 0; n < p->neighbours_count; n++)
		p->neighbours[n].synced = p->neighbours[n].met = false;
	p->space_dirty = true;
	p->space_next = i->now;
}

bool neighbour_has_our_ring(const struct ipam *i, const struct neighbour *n)
{
	return n->said && i->ring_id && n->state.ring_id == i->ring_id;
}

bool neighbour_is_equal(const struct ipam *i, const struct neighbour *n)
{
	return neighbour_has_our_ring(i, n) && n->state.digest.high == i->published.digest.high &&
	       n->state.digest.low == i->published.digest.low;
}

/* Another ring has nothing to tell us about ours; who has none yet, neither.  Being equal once is
 * enough: then we know all that this neighbour knew when we met. */
static bool is_synced(struct ipam *i, struct neighbour *n)
{
	bool other = n->said && n->state.ring_id && n->state.ring_id != i->ring_id;

	if (other && i->peers.foreign_ring != n->state.ring_id) {
		char name[PEER_NAME_TEXT_SIZE];

		i->peers.foreign_ring = n->state.ring_id;
		i->peers.foreign_peer = n->name;
		log_warning(i->log,
			    "a peer has another ring: no addresses are exchanged with it peer=%s "
			    "ring=%016llx ours=%016llx",
			    peer_name_text(n->name, name), (unsigned long long)n->state.ring_id,
			    (unsigned long long)i->ring_id);
	}
	if (neighbour_is_equal(i, n))
		n->met = i->peers.met_any = true;
	if (n->met || (n->said && n->state.ring_id != i->ring_id))
		n->synced = true;
	return n->synced || (n->lost && mono_reached(i->now, n->lost_due));
}

/* Those who have nothing to tell us are as good as nobody. */
static bool all_synced(struct ipam *i)
{
	struct peers *p = &i->peers;
	bool all = true;

	for (size_t n = 0; n < p->neighbours_count; n++)
		all = is_synced(i, &p->neighbours[n]) && all;
	return all && (p->met_any || mono_reached(i->now, p->sync_due));
}

static peer_name anybodys_ring(const struct ipam *i, uint64_t *ring_id)
{
	const struct peers *p = &i->peers;

	for (size_t n = 0; n < p->neighbours_count; n++) {
		*ring_id = p->neighbours[n].state.ring_id;
		if (p->neighbours[n].said && *ring_id)
			return p->neighbours[n].name;
	}
	for (size_t n = 0; n < p->count; n++) {
		*ring_id = p->list[n].space ? p->list[n].space->ring_id : 0;
		if (p->list[n].reachable && *ring_id)
			return p->list[n].name;
	}
	return PEER_NAME_NONE;
}

static void enter_sync(struct ipam *i)
{
	struct peers *p = &i->peers;

	p->in_sync = true;
	forget_lost(p);
	if (!p->met_any && i->config.has_targets)
		log_warning(i->log,
			    "no peer with our ring answered for %u s: allocating addresses with "
			    "what this disk knows",
			    IPAM_PATIENCE_MS / 1000);
	i->handover.collect = true;
	i->requests.dirty = true;
	i->takeovers.dirty = true;
	p->space_dirty = true;
}

void peers_step(struct ipam *i, bool changed)
{
	struct peers *p = &i->peers;
	uint64_t ring_id;

	if (changed && !i->ring_id && anybodys_ring(i, &ring_id))
		ipam_adopt(i, ring_id);
	/* Afterwards, too, neighbours with another ring are noticed here. */
	if (i->ring_id && (changed || !p->in_sync) && all_synced(i) && !p->in_sync)
		enter_sync(i);
	if (p->space_dirty && mono_reached(i->now, p->space_next))
		advertise(i);
}

/* When waiting for who is not there makes us go on: it may be over already. */
static struct mono patience_ends(const struct ipam *i)
{
	const struct peers *p = &i->peers;
	struct mono due = p->met_any ? MONO_NEVER : p->sync_due;

	if (mono_reached(i->now, due))
		due = MONO_NEVER;
	for (size_t n = 0; n < p->neighbours_count; n++)
		if (p->neighbours[n].lost && !mono_reached(i->now, p->neighbours[n].lost_due))
			due = mono_min(due, p->neighbours[n].lost_due);
	return due;
}

struct mono peers_deadline(const struct ipam *i)
{
	const struct peers *p = &i->peers;
	struct mono due = p->space_dirty ? p->space_next : MONO_NEVER;

	if (i->ring_id && !p->in_sync)
		due = mono_min(due, patience_ends(i));
	return due;
}

struct ipam_ring_state ipam_ring_state(const struct ipam *i)
{
	return (struct ipam_ring_state){ i->ring_id, i->published.digest };
}
