#include "sim_ipam_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../ipam/allocator.h"
#include "sim_invariants.h"
#include "sim_router.h"

/* What was known for so long was said on any connection that lives: one that is silent for 10 s
 * does not. */
#define OLD_US (12 * SIM_S)

/* ---- who may use what ---- */

static bool is_excusable(const struct sim_router *r)
{
	return r->ipam->stale;
}

static bool may_use(const struct sim_router *r, size_t universe)
{
	const struct ipam *i = sim_ipam_of(r, universe);

	return i && ipam_ready(i);
}

/* It takes itself for the owner, and something newer was durable somewhere. */
static bool is_mistaken(const struct sim_router *r, size_t universe, uint64_t offset)
{
	const struct ipam *i = sim_ipam_of(r, universe);
	const struct run *own = ring_at(&i->ring, offset);
	const struct run *truth = sim_ipam_truth(r->sim, universe, i->ring_id, offset);

	return own && truth && run_compare(truth, own) > 0;
}

/* Its operator went on without asking all: two who do so at once do not hear of each other. */
static bool has_forced(const struct sim_router *r)
{
	for (uint32_t k = 0; k < r->sim->count; k++)
		if (r->ipam->forced[k])
			return true;
	return false;
}

/* It was removed, and has not heard of what 'other' has, durable or not. */
static bool is_behind(const struct sim_router *r, const struct sim_router *other, size_t universe,
		      uint64_t offset)
{
	const struct run *own = ring_at(&sim_ipam_of(r, universe)->ring, offset);
	const struct run *its = ring_at(&sim_ipam_of(other, universe)->ring, offset);

	return r->ipam->removed && r->ipam->stale && run_compare(its, own) > 0;
}

static void taint_if_mistaken(const struct sim_router *r, size_t universe, uint64_t offset)
{
	const struct ipam *i = sim_ipam_of(r, universe);

	if (space_owns(&i->space, offset) && is_mistaken(r, universe, offset))
		sim_ipam_taint(r->sim, universe, i->ring_id, offset);
}

void sim_ipam_check_truth(struct sim *s, size_t universe, uint64_t ring_id, uint64_t offset)
{
	for (uint32_t k = 0; k < s->count; k++)
		if (is_excusable(s->routers[k]) && may_use(s->routers[k], universe) &&
		    sim_ipam_of(s->routers[k], universe)->ring_id == ring_id)
			taint_if_mistaken(s->routers[k], universe, offset);
}

/* Only a copy of a disk, or a life that has forgotten, writes what was written already. */
void sim_ipam_check_fork(struct sim *s, size_t universe, uint64_t ring_id, uint64_t offset)
{
	for (uint32_t k = 0; k < s->count; k++) {
		const struct sim_router *r = s->routers[k];

		if (!r->ipam->restored && !r->ipam->lost && !has_forced(r))
			continue;
		sim_ipam_taint(s, universe, ring_id, offset);
		return;
	}
	sim_fail(s, "offset %" PRIu64 " (range %zu) was written twice with one version", offset,
		 universe);
}

/* It came in sync, or to something new. */
static void taint_mistakes(const struct sim_router *r, size_t universe)
{
	const struct ipam *i = sim_ipam_of(r, universe);

	for (size_t n = 0; n < i->space.owned_count; n++)
		for (uint64_t at = i->space.owned[n].start; at < i->space.owned[n].end; at++)
			taint_if_mistaken(r, universe, at);
}

static void describe(const struct sim_router *r, size_t universe, uint64_t offset, char *text,
		     size_t size)
{
	const struct ipam *i = sim_ipam_of(r, universe);
	const struct run *run = i ? ring_at(&i->ring, offset) : NULL;

	if (!run)
		snprintf(text, size, "router %u: %s", r->index + 1, i ? "no run" : "down");
	else
		snprintf(text, size, "router %u: %u.%u of %u/%04x, itself %04x%s%s", r->index + 1,
			 run->epoch, run->counter, sim_ipam_index(r->sim, run->owner.name) + 1,
			 (unsigned)run->owner.store_id & 0xffff,
			 (unsigned)i->self.store_id & 0xffff,
			 space_owns(&i->space, offset) ? ", may use it" : "",
			 is_excusable(r) ? ", excusable" : "");
}

static void fail_two(const struct sim_router *a, const struct sim_router *b, size_t universe,
		     uint64_t offset, const char *what)
{
	char x[120], y[120];

	describe(a, universe, offset, x, sizeof x);
	describe(b, universe, offset, y, sizeof y);
	sim_fail(a->sim, "%s %" PRIu64 " (range %zu): %s; %s", what, offset, universe, x, y);
}

/* Invariant 2 for the offsets that both may use. */
static void check_overlap(const struct sim_router *a, const struct sim_router *b, size_t universe,
			  struct span both)
{
	for (uint64_t at = both.start; at < both.end; at++) {
		uint64_t ring_id = sim_ipam_of(a, universe)->ring_id;

		if (is_behind(a, b, universe, at) || is_behind(b, a, universe, at))
			sim_ipam_taint(a->sim, universe, ring_id, at);
		if (sim_ipam_is_tainted(a->sim, universe, ring_id, at))
			continue;
		fail_two(a, b, universe, at, "two may use offset");
		return;
	}
}

static void check_users(const struct sim_router *r, size_t universe)
{
	const struct ipam *i = sim_ipam_of(r, universe), *other;
	struct sim *s = r->sim;
	struct span part;

	if (!may_use(r, universe))
		return;
	if (is_excusable(r))
		taint_mistakes(r, universe);
	for (uint32_t k = 0; k < s->count; k++) {
		if (k == r->index || !may_use(s->routers[k], universe))
			continue;
		other = sim_ipam_of(s->routers[k], universe);
		if (other->ring_id != i->ring_id)
			continue;
		for (size_t n = 0; n < i->space.owned_count; n++)
			for (struct span rest = i->space.owned[n];
			     space_next_owned(&other->space, rest, &part); rest.start = part.end) {
				check_overlap(r, s->routers[k], universe, part);
				if (part.end >= rest.end)
					break;
			}
	}
}

/* ---- who lives where ---- */

static void check_double(struct sim_router *r, struct sim_container *c, size_t universe)
{
	const struct sim_home *home = &c->home[universe], *other;
	struct sim *s = r->sim;

	for (uint32_t k = 0; k < s->count; k++) {
		const struct sim_ipam *h = s->routers[k]->ipam;

		for (size_t n = 0; n < h->containers_count; n++) {
			other = &h->containers[n].home[universe];
			if (!h->containers[n].alive || !other->has ||
			    other->offset != home->offset || other->ring_id != home->ring_id ||
			    h->containers[n].id == c->id)
				continue;
			s->addresses->excused++;
			if (home->excused || other->excused ||
			    sim_ipam_is_tainted(s, universe, home->ring_id, home->offset))
				continue;
			fail_two(r, s->routers[k], universe, home->offset,
				 "two containers were told address");
			return;
		}
	}
}

void sim_ipam_check_durable(const struct sim_router *r, const struct sim_container *c,
			    size_t universe, uint64_t offset)
{
	const struct sim_row *row = sim_rows_find(&r->ipam->rows, universe, IPAM_TABLE_ADDRESS,
						  offset);
	char name[32];
	int length = snprintf(name, sizeof name, "c%" PRIu64, c->id);

	if (!row || row->size != (size_t)length || memcmp(row->value, name, row->size) != 0)
		sim_fail(r->sim, "router %u: %s was told address %" PRIu64 ", which is not durable",
			 r->index + 1, name, offset);
}

void sim_ipam_check_home(struct sim_router *r, struct sim_container *c, size_t universe)
{
	check_double(r, c, universe);
}

/* Who need not have answered a takeover, or could not: ipam/takeover.c. */
static bool need_not_answer(const struct sim_router *by, size_t universe, peer_name victim,
			    const struct sim_router *r)
{
	const struct peer *p = peer_find(sim_ipam_of(by, universe), r->name);
	uint32_t v = sim_ipam_index(by->sim, victim);

	if (r == by)
		return false;
	if (!p || (v < by->sim->count && by->ipam->insists[v]))
		return true;
	return !(p->known || p->owns || p->space || p->awaited) ||
	       (!p->reachable && p->removed && r->ipam->said_dead);
}

static bool find_mark(const struct sim_rows *rows, size_t universe, uint64_t start,
		      struct bytes *value)
{
	const struct sim_row *row;

	for (size_t n = rows->log_count; n-- > 0;) {
		row = &rows->log[n];
		if (row->universe != universe || row->table != IPAM_TABLE_MARK || row->key != start)
			continue;
		*value = bytes_of(row->value, row->size);
		return row->value != NULL;
	}
	row = sim_rows_find(rows, universe, IPAM_TABLE_MARK, start);
	if (row)
		*value = bytes_of(row->value, row->size);
	return row != NULL;
}

static peer_name victim_of(struct bytes mark)
{
	struct reader r = reader_over(mark.data, mark.size);

	read_u64(&r, "end");
	read_u64(&r, "version");
	return owner_read(&r, "victim").name;
}

/* Written down or about to be. */
static bool has_mark_of(const struct sim_rows *rows, peer_name victim)
{
	for (size_t n = 0; n < rows->disk_count; n++)
		if (rows->disk[n].table == IPAM_TABLE_MARK &&
		    victim_of(bytes_of(rows->disk[n].value, rows->disk[n].size)) == victim)
			return true;
	for (size_t n = 0; n < rows->log_count; n++)
		if (rows->log[n].table == IPAM_TABLE_MARK && rows->log[n].value &&
		    victim_of(bytes_of(rows->log[n].value, rows->log[n].size)) == victim)
			return true;
	return false;
}

static bool is_being_removed(const struct sim_router *r)
{
	for (uint32_t k = 0; k < r->sim->count; k++)
		if (!r->sim->routers[k]->ipam->dead &&
		    has_mark_of(&r->sim->routers[k]->ipam->rows, r->name))
			return true;
	return false;
}

static bool knows_all(const struct sim_router *r, size_t universe)
{
	const struct ipam *i = sim_ipam_of(r, universe);
	const struct run *own, *truth;

	if (!i->ring_id || !ipam_ready(i))
		return false;
	for (uint64_t at = 0; at < i->config.universe.size; at++) {
		own = ring_at(&i->ring, at);
		truth = sim_ipam_truth(r->sim, universe, i->ring_id, at);
		if (truth && (!own || run_compare(truth, own) > 0))
			return false;
	}
	return true;
}

/* It knows all that was ever durable, and nobody is taking anything from it: from now on it is to
 * be right again. */
static void look_whether_it_caught_up(struct sim_router *r)
{
	bool all = true;

	if (!r->ipam->stale || r->sim->clock.now_us < r->ipam->looked_us + SIM_S)
		return;
	r->ipam->looked_us = r->sim->clock.now_us;
	for (size_t u = 0; all && u < r->sim->addresses->universes; u++)
		all = knows_all(r, u);
	r->ipam->stale = !all || is_being_removed(r);
}

static void taint_forced(const struct sim_router *by, size_t universe, uint64_t start,
			 struct bytes value)
{
	struct reader r = reader_over(value.data, value.size);
	uint64_t end = read_u64(&r, "end");
	uint32_t v = sim_ipam_index(by->sim, victim_of(value));

	for (uint64_t at = start; v < by->sim->count && by->ipam->insists[v] && at < end; at++)
		sim_ipam_taint(by->sim, universe, sim_ipam_of(by, universe)->ring_id, at);
}

/* What was begun without force goes on with it; what comes after the end of that is without it
 * again. */
void sim_ipam_check_removal(struct sim_router *by, size_t universe, uint32_t victim, bool force)
{
	const struct takeovers *t = &sim_ipam_of(by, universe)->takeovers;
	struct sim_router *v = by->sim->routers[victim];
	const struct peer *p = peer_find(sim_ipam_of(by, universe), v->name);

	by->ipam->forced[victim] |= force;
	if (victim != by->index && (force || !p || !p->known || !p->reachable))
		v->ipam->said_dead = true;
	if (!force && !has_mark_of(&by->ipam->rows, v->name))
		by->ipam->insists[victim] = false;
	if (!force)
		return;
	by->ipam->insists[victim] = true;
	for (size_t n = 0; n < t->marks_count; n++)
		for (uint64_t at = t->marks[n].start;
		     t->marks[n].victim.name == v->name && at < t->marks[n].end; at++)
			sim_ipam_taint(by->sim, universe, sim_ipam_of(by, universe)->ring_id, at);
}

/* Asked, it says that it has no part in the ring: its disk forgot it, and it got another one. What
 * its containers were told before is unique in neither (takeover_on_refusal). */
static bool is_in_another_ring(const struct sim_router *r, size_t universe, uint64_t ring_id)
{
	const struct ipam *i = sim_ipam_of(r, universe);
	uint64_t own = i ? i->ring_id : sim_ipam_disk_ring(r, universe);

	return own && own != ring_id && (r->ipam->lost || r->ipam->restored);
}

static void excuse_homes(const struct sim_router *r, size_t universe, uint64_t ring_id,
			 struct span taken)
{
	for (size_t n = 0; n < r->ipam->containers_count; n++) {
		struct sim_home *home = &r->ipam->containers[n].home[universe];

		if (home->has && home->ring_id == ring_id && home->offset >= taken.start &&
		    home->offset < taken.end)
			home->excused = true;
	}
}

/* A takeover is confirmed: the containers of those that could not be asked are on their own. */
void sim_ipam_check_save(struct sim_router *by, size_t universe, const struct ipam_action *save)
{
	struct sim *s = by->sim;
	struct span taken = { .start = save->key };
	const struct mark *mark = mark_from(sim_ipam_of(by, universe), save->key);
	uint64_t ring_id = sim_ipam_of(by, universe)->ring_id;
	struct bytes value;
	struct reader r;
	peer_name victim;

	if (save->table == IPAM_TABLE_MARK && save->ok)
		taint_forced(by, universe, save->key, save->bytes);
	if (save->table != IPAM_TABLE_MARK || save->ok ||
	    !find_mark(&by->ipam->rows, universe, save->key, &value))
		return;
	/* Cut for a newer one, which is not confirmed yet. */
	if (mark && mark->start <= save->key)
		return;
	r = reader_over(value.data, value.size);
	taken.end = read_u64(&r, "end");
	victim = victim_of(value);
	for (uint32_t k = 0; k < s->count; k++) {
		const struct sim_router *other = s->routers[k];
		bool was_not_asked = need_not_answer(by, universe, victim, other);

		if (!was_not_asked && !is_in_another_ring(other, universe, ring_id))
			continue;
		/* Nobody has ever told of it here: it was not asked, and goes on. */
		for (uint64_t at = taken.start;
		     !peer_find(sim_ipam_of(by, universe), other->name) && at < taken.end; at++)
			sim_ipam_taint(s, universe, ring_id, at);
		excuse_homes(other, universe, ring_id, taken);
	}
}

/* ---- in sync ---- */

/* Everything in 'known' is in 'mine', or something newer. */
static bool covers(const struct ring *mine, const struct ring *known)
{
	for (const struct run *k = ring_from(known, 0); k; k = ring_from(known, k->end)) {
		uint64_t at = k->start;

		while (at < k->end) {
			const struct run *m = ring_at(mine, at);

			if (!m || run_compare(k, m) > 0)
				return false;
			at = m->end;
		}
	}
	return true;
}

/* A neighbour whose ring had not changed for a while when the two met has said what it has. */
static void check_sync(const struct sim_router *r, size_t universe)
{
	const struct ipam *i = sim_ipam_of(r, universe), *other;
	const struct sim_seen *seen = &r->ipam->seen[universe];
	struct sim *s = r->sim;

	for (uint32_t k = 0; k < s->count; k++) {
		other = sim_ipam_of(s->routers[k], universe);
		if (!seen->met_us[k] || !other || other->ring_id != i->ring_id ||
		    s->routers[k]->ipam->seen[universe].published_us + OLD_US > seen->met_us[k])
			continue;
		if (!covers(&i->published, &other->published))
			sim_fail(s, "router %u is in sync and does not know what router %u knew",
				 r->index + 1, k + 1);
	}
}

static void note_neighbours(const struct sim_router *r, size_t universe)
{
	const struct ipam *i = sim_ipam_of(r, universe);
	struct sim *s = r->sim;

	for (uint32_t k = 0; k < s->count; k++) {
		uint64_t *met_us = &r->ipam->seen[universe].met_us[k];

		if (!neighbour_find(i, s->routers[k]->name))
			*met_us = 0;
		else if (!*met_us)
			*met_us = s->clock.now_us;
	}
}

/* ---- after each turn ---- */

static bool same(struct hash128 a, struct hash128 b)
{
	return a.high == b.high && a.low == b.low;
}

/* Invariant 6. */
static void check_ring_id(const struct sim_router *r, size_t universe)
{
	struct sim_addresses *w = r->sim->addresses;
	uint64_t ring_id = sim_ipam_of(r, universe)->ring_id;

	if (!w->ring_id[universe])
		w->ring_id[universe] = ring_id;
	if (ring_id != w->ring_id[universe] && !w->rings_may_differ)
		sim_fail(r->sim, "router %u has another first ring", r->index + 1);
}

static void check_universe(struct sim_router *r, size_t universe)
{
	const struct ipam *i = sim_ipam_of(r, universe);
	struct sim_seen *seen = &r->ipam->seen[universe];
	bool ready = ipam_ready(i), synced = i->peers.in_sync && !seen->in_sync;

	note_neighbours(r, universe);
	if (!same(i->published.digest, seen->published)) {
		seen->published = i->published.digest;
		seen->published_us = r->sim->clock.now_us;
	}
	if (i->ring_id != seen->ring_id) {
		seen->ring_id = i->ring_id;
		check_ring_id(r, universe);
	}
	seen->in_sync = i->peers.in_sync;
	if (ready && !seen->in_sync)
		sim_fail(r->sim, "router %u may use addresses and is not in sync", r->index + 1);
	if (synced)
		check_sync(r, universe);
	if (ready == seen->ready && same(i->ring.digest, seen->ring) &&
	    i->space.owned_size == seen->owned_size && i->space.owned_count == seen->owned_count)
		return;
	seen->ready = ready;
	seen->ring = i->ring.digest;
	seen->owned_size = i->space.owned_size;
	seen->owned_count = i->space.owned_count;
	check_users(r, universe);
}

void sim_ipam_check_router(struct sim_router *r)
{
	for (size_t u = 0; u < r->sim->addresses->universes; u++)
		check_universe(r, u);
	look_whether_it_caught_up(r);
}

/* ---- in peace ---- */

static uint64_t free_anywhere(const struct sim *s, size_t universe, uint64_t ring_id)
{
	uint64_t sum = 0;

	for (uint32_t k = 0; k < s->count; k++) {
		const struct ipam *i = sim_ipam_of(s->routers[k], universe);

		if (i && ipam_ready(i) && i->ring_id == ring_id)
			sum += space_free(&i->space, (struct span){ 1, i->space.size - 1 });
	}
	return sum;
}

void sim_ipam_check_refusal(struct sim_router *r, const struct sim_request *q,
			    const struct why *why)
{
	const struct ipam *i = sim_ipam_of(r, q->universe);
	uint64_t left;

	if (!r->sim->addresses->probing || q->kind != SIM_ALLOCATE)
		return;
	left = free_anywhere(r->sim, q->universe, i->ring_id);
	if (left)
		sim_fail(r->sim, "router %u: %" PRIu64 " addresses are free, yet: %s", r->index + 1,
			 left, why->text);
}

static bool no(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool no(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, SIM_WHY_SIZE, format, args);
	va_end(args);
	return false;
}

/* Another container lives there, too: somebody must decide who moves. */
static bool is_double(const struct sim *s, const struct sim_router *r, size_t universe,
		      uint64_t offset)
{
	for (uint32_t k = 0; k < s->count; k++)
		for (size_t n = 0; n < s->routers[k]->ipam->containers_count; n++) {
			const struct sim_container *c = &s->routers[k]->ipam->containers[n];

			if (k != r->index && c->alive && c->home[universe].has &&
			    c->home[universe].offset == offset)
				return true;
		}
	return false;
}

static bool disputes_are_over(const struct sim *s, const struct sim_router *r, size_t universe,
			      char *why)
{
	const struct ipam *i = sim_ipam_of(r, universe);
	struct bytes name;
	uint64_t offset;
	bool disputed;

	for (uint64_t at = 0;
	     i->addresses.disputed_count && ipam_address_at(i, at, &offset, &name, &disputed);
	     at = offset + 1)
		if (disputed && !is_double(s, r, universe, offset) &&
		    (ring_at(&i->ring, offset) || !s->addresses->space_may_be_lost))
			return no(why, "router %u: address %" PRIu64 " is disputed by nobody",
				  r->index + 1, offset);
	return true;
}

static bool knows_others_ring(const struct ipam *i)
{
	return i->peers.foreign_ring != 0;
}

static bool pair_agrees(const struct sim *s, uint32_t a, uint32_t b, size_t universe, char *why)
{
	const struct ipam *x = sim_ipam_of(s->routers[a], universe);
	const struct ipam *y = sim_ipam_of(s->routers[b], universe);

	if (!x || !y || !sim_connected(s, a, b))
		return true;
	if (!x->ring_id || !y->ring_id)
		return x->ring_id == y->ring_id ||
		       no(why, "only one of routers %u and %u has a ring", a + 1, b + 1);
	if (x->ring_id != y->ring_id)
		return (knows_others_ring(x) && knows_others_ring(y)) ||
		       no(why, "routers %u and %u have two rings and do not say so", a + 1, b + 1);
	return (same(x->published.digest, y->published.digest) &&
		same(x->ring.digest, y->ring.digest) &&
		same(x->ring.digest, x->published.digest)) ||
	       no(why, "rings of routers %u and %u differ", a + 1, b + 1);
}

/* Number of the router; 0: nobody. */
static uint32_t awaited(const struct ipam *i, const struct sim *s)
{
	peer_name peer;

	return ipam_waiting_for(i, 0, &peer) ? sim_ipam_index(s, peer) + 1 : 0;
}

static bool router_rests(const struct sim *s, const struct sim_router *r, size_t universe,
			 char *why)
{
	const struct ipam *i = sim_ipam_of(r, universe);
	const struct sim_request *q = r->ipam->requests;

	if (!i->ring_id)
		return !s->addresses->ring_is_due || no(why, "router %u has no ring", r->index + 1);
	if (!ipam_ready(i) && !i->handover.retired)
		return no(why, "router %u is not ready", r->index + 1);
	if (i->takeovers.marks_count)
		return no(why, "a takeover of router %u does not end: waits for router %u",
			  r->index + 1, awaited(i, s));
	for (size_t n = 0; n < r->ipam->requests_count; n++)
		if (q[n].universe == universe)
			return no(why, "request %" PRIu64 " (%d) of router %u waits", q[n].number,
				  q[n].kind, r->index + 1);
	return disputes_are_over(s, r, universe, why);
}

bool sim_ipam_settled(struct sim *s, char *why)
{
	for (size_t u = 0; u < s->addresses->universes; u++)
		for (uint32_t a = 0; a < s->count; a++) {
			if (sim_ipam_of(s->routers[a], u) &&
			    !router_rests(s, s->routers[a], u, why))
				return false;
			for (uint32_t b = 0; b < a; b++)
				if (!pair_agrees(s, a, b, u, why))
					return false;
		}
	return true;
}

/* ---- the join of all disks ---- */

static void join_disk(struct ring *join, const struct sim_router *r, size_t universe,
		      uint64_t ring_id)
{
	const struct sim_rows *rows = &r->ipam->rows;
	bool has_it = sim_ipam_disk_has_ring(r, universe, ring_id);
	struct ring_changes changes = { 0 };
	struct run run;

	for (size_t n = 0; has_it && n < rows->disk_count; n++) {
		const struct sim_row *row = &rows->disk[n];

		if (row->universe == universe && row->table == IPAM_TABLE_RUN &&
		    !run_value_read(&run, row->key, bytes_of(row->value, row->size), join->size))
			ring_merge(join, &run, &changes);
	}
	ring_changes_fini(&changes);
}

/* Invariant 4, and that nothing is lost: whoever owns it runs, knows it, and can use it. */
static bool run_is_in_hand(const struct sim *s, size_t universe, uint64_t ring_id,
			   const struct run *run, char *why)
{
	uint32_t k = sim_ipam_index(s, run->owner.name);
	const struct sim_router *r = k < s->count ? s->routers[k] : NULL;
	const struct ipam *i = r ? sim_ipam_of(r, universe) : NULL;

	if (!i || i->ring_id != ring_id || !owner_equal(i->self, run->owner))
		return s->addresses->space_may_be_lost ||
		       no(why,
			  "offsets %" PRIu64 "-%" PRIu64 " belong to router %u/%04x, which is "
			  "not there",
			  run->start, run->end, k + 1, (unsigned)run->owner.store_id & 0xffff);
	for (uint64_t at = run->start; at < run->end; at++) {
		const struct run *own = ring_at(&i->ring, at);

		if (!own || run_compare(own, run) != 0)
			return no(why, "router %u does not know that offset %" PRIu64 " is its own",
				  k + 1, at);
		if (!space_owns(&i->space, at) && !i->handover.retired)
			return no(why, "router %u owns offset %" PRIu64 " and cannot use it", k + 1,
				  at);
	}
	return true;
}

static bool disks_agree(const struct sim *s, size_t universe, uint64_t ring_id, char *why)
{
	struct ring join;
	uint64_t covered = 0;
	bool ok = true;

	ring_init(&join, s->addresses->universe[universe].size);
	for (uint32_t k = 0; k < s->count; k++)
		if (!s->routers[k]->ipam->dead) /* its disk is nowhere any more */
			join_disk(&join, s->routers[k], universe, ring_id);
	for (const struct run *run = ring_from(&join, 0); ok && run;
	     run = ring_from(&join, run->end)) {
		if (run->start != covered)
			break;
		covered = run->end;
		ok = run_is_in_hand(s, universe, ring_id, run, why);
	}
	if (ok && covered != join.size && !s->addresses->space_may_be_lost)
		ok = no(why, "nobody owns offset %" PRIu64, covered);
	ring_fini(&join);
	return ok;
}

/* What two containers have, one of them knows. */
static bool doubles_are_told(const struct sim *s, size_t universe, char *why)
{
	for (uint32_t k = 0; k < s->count; k++)
		for (size_t n = 0; n < s->routers[k]->ipam->containers_count; n++) {
			const struct sim_container *c = &s->routers[k]->ipam->containers[n];
			const struct sim_home *home = &c->home[universe];
			unsigned holders = 0, disputed = 0;

			for (uint32_t o = 0; c->alive && home->has && o < s->count; o++) {
				const struct ipam *i = sim_ipam_of(s->routers[o], universe);
				const struct address *a = i && i->ring_id == home->ring_id
								  ? address_find(i, home->offset)
								  : NULL;

				holders += a != NULL;
				disputed += a && a->disputed;
			}
			if (holders > disputed + 1)
				return no(why, "address %" PRIu64 " is held %u times, disputed %u",
					  home->offset, holders, disputed);
		}
	return true;
}

void sim_ipam_check_end(struct sim *s)
{
	const struct sim_addresses *w = s->addresses;
	char why[SIM_WHY_SIZE] = "";

	for (size_t u = 0; u < w->universes && !s->failed; u++) {
		bool ok = doubles_are_told(s, u, why);

		for (uint32_t k = 0; ok && k < s->count; k++) {
			const struct ipam *i = sim_ipam_of(s->routers[k], u);

			ok = !i || !i->ring_id || disks_agree(s, u, i->ring_id, why);
		}
		if (!ok)
			sim_fail(s, "range %zu: %s", u, why);
	}
}
