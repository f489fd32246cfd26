#include "sim_ipam.h"

#include <inttypes.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../ipam/allocator.h"
#include "sim_ipam_check.h"
#include "sim_router.h"

#define MESSAGE_UNICAST 9u /* gossip/message_wire.h: its names collide with IPAM's */
#define UNICAST_HEAD 15u
#define FRAME_HEAD 5u
#define PREAMBLE 7u

/* ---- life ---- */

void sim_ipam_init(struct sim *s, const struct universe *universes, size_t count)
{
	struct sim_addresses *w = mem_new(1, sizeof *w);

	MUST(count <= SIM_UNIVERSES && s->count <= SIM_IPAM_ROUTERS_MAX);
	w->universes = count;
	memcpy(w->universe, universes, count * sizeof *universes);
	s->addresses = w;
	for (uint32_t i = 0; i < s->count; i++)
		s->routers[i]->ipam = mem_new(1, sizeof *s->routers[i]->ipam);
}

static void fini_router(struct sim_ipam *h)
{
	if (!h)
		return;
	sim_rows_fini(&h->rows);
	sim_rows_fini(&h->snapshot);
	mem_free(h->containers);
	mem_free(h->requests);
	mem_free(h);
}

static void forget_truth(struct sim_truth *t)
{
	mem_free(t->at);
	mem_free(t->tainted);
}

void sim_ipam_fini(struct sim *s)
{
	struct sim_addresses *w = s->addresses;

	if (!w)
		return;
	for (uint32_t i = 0; i < s->count; i++)
		fini_router(s->routers[i]->ipam);
	for (size_t u = 0; u < SIM_UNIVERSES; u++)
		for (size_t k = 0; k < SIM_RINGS_MAX; k++)
			forget_truth(&w->truths[u][k]);
	for (size_t n = 0; n < SIM_LATE_MAX; n++) {
		mem_free(w->messages[n].bytes);
		mem_free(w->entries[n].bytes);
	}
	mem_free(w);
	s->addresses = NULL;
}

struct ipam *sim_ipam_of(const struct sim_router *r, size_t universe)
{
	return r->engine ? engine_ipam(r->engine, universe) : NULL;
}

uint32_t sim_ipam_index(const struct sim *s, peer_name name)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->routers[i]->name == name)
			return i;
	return UINT32_MAX;
}

void sim_ipam_configure(struct sim_router *r, struct engine_config *config)
{
	config->universes = r->ipam->config;
	config->universes_count = r->sim->addresses->universes;
}

/* ---- what was ever durable ---- */

static struct sim_truth *truth_of(struct sim *s, size_t universe, uint64_t ring_id)
{
	struct sim_addresses *w = s->addresses;

	for (size_t k = 0; k < SIM_RINGS_MAX; k++) {
		struct sim_truth *t = &w->truths[universe][k];

		if (!t->at) {
			t->ring_id = ring_id;
			t->at = mem_new(w->universe[universe].size, sizeof *t->at);
			t->tainted = mem_new(w->universe[universe].size, sizeof *t->tainted);
		}
		if (t->ring_id == ring_id)
			return t;
	}
	return NULL;
}

/* Two writers of one version. Of two operators at once the lower wins, and neither has used it. */
static bool is_fork(const struct run *a, const struct run *b)
{
	return a->epoch == b->epoch && a->counter == b->counter &&
	       !owner_equal(a->owner, b->owner) && (a->counter || !a->epoch);
}

static struct sim_truth *known_truth(const struct sim *s, size_t universe, uint64_t ring_id)
{
	struct sim_addresses *w = s->addresses;

	for (size_t k = 0; k < SIM_RINGS_MAX && w->truths[universe][k].at; k++)
		if (w->truths[universe][k].ring_id == ring_id)
			return &w->truths[universe][k];
	return NULL;
}

const struct run *sim_ipam_truth(const struct sim *s, size_t universe, uint64_t ring_id,
				 uint64_t offset)
{
	const struct sim_truth *t = known_truth(s, universe, ring_id);

	return t && t->at[offset].end ? &t->at[offset] : NULL;
}

bool sim_ipam_is_tainted(const struct sim *s, size_t universe, uint64_t ring_id, uint64_t offset)
{
	const struct sim_truth *t = known_truth(s, universe, ring_id);

	return t && t->tainted[offset];
}

void sim_ipam_taint(struct sim *s, size_t universe, uint64_t ring_id, uint64_t offset)
{
	struct sim_truth *t = truth_of(s, universe, ring_id);

	if (t)
		t->tainted[offset] = true;
}

static void learn(struct sim_router *r, const struct sim_row *row)
{
	struct ipam *i = sim_ipam_of(r, row->universe);
	struct sim_truth *t;
	struct run run;

	if (row->table != IPAM_TABLE_RUN || !row->value || !i || !i->ring_id)
		return;
	if (run_value_read(&run, row->key, bytes_of(row->value, row->size),
			   i->config.universe.size))
		return;
	t = truth_of(r->sim, row->universe, i->ring_id);
	for (uint64_t at = run.start; t && at < run.end; at++) {
		if (t->at[at].end && is_fork(&run, &t->at[at]))
			sim_ipam_check_fork(r->sim, row->universe, i->ring_id, at);
		if (t->at[at].end && run_compare(&run, &t->at[at]) <= 0)
			continue;
		t->at[at] = run;
		sim_ipam_check_truth(r->sim, row->universe, i->ring_id, at);
	}
}

static void learn_front(struct sim_router *r, size_t count)
{
	for (size_t n = 0; n < count; n++)
		learn(r, &r->ipam->rows.log[n]);
}

/* ---- syncs ---- */

static void begin_sync(struct sim_router *r);

static void told_of_disk(struct sim_router *r, const char *reason)
{
	for (size_t u = 0; u < r->sim->addresses->universes; u++)
		ipam_on_disk(sim_ipam_of(r, u), reason, sim_router_now(r));
	r->ipam->disk_told = reason != NULL;
}

static void sync_ended(struct sim *s, void *what, uint64_t incarnation)
{
	struct sim_router *r = what;
	struct sim_ipam *h = r->ipam;
	uint64_t tickets[SIM_UNIVERSES] = { 0 };

	if (!r->engine || r->incarnation != incarnation)
		return;
	h->syncing = false;
	if (h->disk_fails) {
		sim_rows_sync_failed(&h->rows);
		if (!h->disk_told)
			told_of_disk(r, "no space left on device");
		sim_router_turn(r);
		return;
	}
	learn_front(r, h->rows.syncing);
	sim_rows_sync_end(&h->rows, tickets, s->addresses->universes);
	sim_trace(s, "saved", r->index, tickets[0], tickets[1]);
	for (size_t u = 0; u < s->addresses->universes; u++)
		if (tickets[u])
			ipam_on_saved(sim_ipam_of(r, u), tickets[u], sim_router_now(r));
	if (h->disk_told)
		told_of_disk(r, NULL);
	sim_router_turn(r);
}

static void lazily(struct sim *s, void *what, uint64_t incarnation)
{
	struct sim_router *r = what;

	(void)s;
	if (!r->engine || r->incarnation != incarnation)
		return;
	r->ipam->lazy = false;
	if (!r->ipam->syncing && r->ipam->rows.log_count)
		begin_sync(r);
}

static void begin_sync(struct sim_router *r)
{
	struct sim *s = r->sim;
	uint64_t takes_us = sim_between(&s->net_rng, 200, 8 * SIM_MS);

	if (sim_chance(&s->net_rng, 30000))
		takes_us *= 50;
	r->ipam->syncing = true;
	sim_rows_sync_begin(&r->ipam->rows);
	sim_clock_add(&s->clock, s->clock.now_us + takes_us, sync_ended, r, r->incarnation);
}

static bool is_urgent(const struct sim_router *r)
{
	for (size_t u = 0; u < r->sim->addresses->universes; u++) {
		const struct ipam *i = sim_ipam_of(r, u);

		if (ipam_urgent(i) > i->out.saved)
			return true;
	}
	return false;
}

static void see_to_syncs(struct sim_router *r)
{
	struct sim_ipam *h = r->ipam;
	struct sim *s = r->sim;
	bool urgent = is_urgent(r) && !h->disk_told;

	if (h->syncing || !h->rows.log_count)
		return;
	if (urgent) {
		begin_sync(r);
	} else if (!h->lazy) {
		h->lazy = true;
		sim_clock_add(&s->clock,
			      s->clock.now_us + sim_between(&s->net_rng, 50 * SIM_MS, 2 * SIM_S),
			      lazily, r, r->incarnation);
	}
}

/* ---- a new store id ---- */

struct renewal {
	struct sim_router *router;
	uint64_t store_id, incarnation;
};

static void renewed(struct sim *s, void *what, uint64_t unused)
{
	struct renewal *n = what;
	struct sim_router *r = n->router;

	(void)unused;
	if (r->engine && r->incarnation == n->incarnation) {
		sim_trace(s, "renewed", r->index, n->store_id, 0);
		r->disk.store_id = n->store_id;
		r->ipam->orphans++;
		engine_set_store(r->engine, n->store_id, sim_router_now(r));
		sim_router_turn(r);
	}
	mem_free(n);
}

static void renew(struct sim_router *r)
{
	struct sim *s = r->sim;
	struct renewal *n = mem_new(1, sizeof *n);

	*n = (struct renewal){ r, rng_u64(&s->net_rng) | 1, r->incarnation };
	sim_clock_add_owned(&s->clock,
			    s->clock.now_us + sim_between(&s->net_rng, SIM_MS, 20 * SIM_MS),
			    renewed, n, 0);
}

/* ---- containers ---- */

static struct bytes name_of(uint64_t container, char *text)
{
	int length = snprintf(text, 32, "c%" PRIu64, container);

	return bytes_of(text, (size_t)length);
}

static struct sim_container *find_container(struct sim_router *r, uint64_t id)
{
	for (size_t n = 0; n < r->ipam->containers_count; n++)
		if (r->ipam->containers[n].id == id)
			return &r->ipam->containers[n];
	return NULL;
}

struct sim_container *sim_container_new(struct sim_router *r)
{
	struct sim_ipam *h = r->ipam;
	struct sim_container *c;

	if (h->containers_count == h->containers_room) {
		h->containers_room = h->containers_room ? h->containers_room * 2 : 16;
		h->containers = mem_resize(h->containers, h->containers_room, sizeof *c);
	}
	c = &h->containers[h->containers_count++];
	*c = (struct sim_container){ .id = ++r->sim->addresses->containers, .alive = true };
	return c;
}

static void leaves(struct sim_container *c)
{
	c->alive = false;
	memset(c->home, 0, sizeof c->home);
}

static void free_addresses(struct sim_router *r, const struct sim_container *c, size_t universe,
			   bool grace)
{
	struct ipam *i = sim_ipam_of(r, universe);
	char text[32];

	if (grace)
		ipam_container(i, name_of(c->id, text), false, sim_router_now(r));
	else
		ipam_release_all(i, name_of(c->id, text), sim_router_now(r));
}

void sim_container_kill(struct sim_router *r, struct sim_container *c, bool grace)
{
	leaves(c);
	sim_trace(r->sim, "kill", r->index, c->id, grace);
	if (!r->engine)
		return; /* found out at the next start */
	for (size_t u = 0; u < r->sim->addresses->universes; u++)
		free_addresses(r, c, u, grace);
	sim_router_turn(r);
}

static void settles(struct sim_router *r, struct sim_container *c, size_t universe, uint64_t offset,
		    bool disputed)
{
	struct ipam *i = sim_ipam_of(r, universe);

	c->home[universe] = (struct sim_home){
		.has = true, .offset = offset, .ring_id = i->ring_id, .excused = disputed
	};
	sim_ipam_check_home(r, c, universe);
}

void sim_container_revive(struct sim_router *r, struct sim_container *c)
{
	char text[32];

	sim_trace(r->sim, "revive", r->index, c->id, 0);
	c->alive = true;
	for (size_t u = 0; u < r->sim->addresses->universes; u++) {
		struct ipam *i = sim_ipam_of(r, u);
		uint64_t offset;

		ipam_container(i, name_of(c->id, text), true, sim_router_now(r));
		if (ipam_lookup(i, name_of(c->id, text),
				(struct span){ 0, i->config.universe.size }, 0, &offset))
			settles(r, c, u, offset, address_find(i, offset)->disputed);
	}
	sim_router_turn(r);
}

/* Those who died without being asked for again. */
void sim_ipam_forget_dead(struct sim_router *r)
{
	struct sim_ipam *h = r->ipam;
	size_t kept = 0;

	for (size_t n = 0; n < h->containers_count; n++)
		if (h->containers[n].alive || h->containers_count - n <= 4)
			h->containers[kept++] = h->containers[n];
	h->containers_count = kept;
}

/* ---- requests ---- */

static uint64_t note_request(struct sim_router *r, struct sim_request q)
{
	struct sim_ipam *h = r->ipam;

	if (h->requests_count == h->requests_room) {
		h->requests_room = h->requests_room ? h->requests_room * 2 : 16;
		h->requests = mem_resize(h->requests, h->requests_room, sizeof q);
	}
	q.number = ++r->sim->addresses->requests;
	q.asked_us = r->sim->clock.now_us;
	h->requests[h->requests_count++] = q;
	return q.number;
}

bool sim_container_waits(const struct sim_router *r, const struct sim_container *c, size_t universe)
{
	for (size_t n = 0; n < r->ipam->requests_count; n++) {
		const struct sim_request *q = &r->ipam->requests[n];

		if ((q->kind == SIM_ALLOCATE || q->kind == SIM_CLAIM) && q->container == c->id &&
		    q->universe == universe)
			return true;
	}
	return false;
}

void sim_ipam_allocate(struct sim_router *r, struct sim_container *c, size_t universe)
{
	struct ipam *i = sim_ipam_of(r, universe);
	struct span all = { 1, i->config.universe.size - 1 };
	char text[32];

	sim_trace(r->sim, "allocate", r->index, c->id, universe);
	ipam_allocate(i,
		      note_request(r, (struct sim_request){ .kind = SIM_ALLOCATE,
							    .universe = universe,
							    .container = c->id }),
		      name_of(c->id, text), all, sim_router_now(r));
	sim_router_turn(r);
}

void sim_ipam_claim(struct sim_router *r, struct sim_container *c, size_t universe, uint64_t offset)
{
	char text[32];

	sim_trace(r->sim, "claim", r->index, c->id, offset);
	ipam_claim(sim_ipam_of(r, universe),
		   note_request(r, (struct sim_request){ .kind = SIM_CLAIM,
							 .universe = universe,
							 .container = c->id,
							 .offset = offset }),
		   name_of(c->id, text), offset, sim_router_now(r));
	sim_router_turn(r);
}

void sim_ipam_prime(struct sim_router *r, size_t universe)
{
	sim_trace(r->sim, "prime", r->index, universe, 0);
	ipam_prime(sim_ipam_of(r, universe),
		   note_request(r, (struct sim_request){ .kind = SIM_PRIME, .universe = universe }),
		   sim_router_now(r));
	sim_router_turn(r);
}

void sim_ipam_remove(struct sim_router *r, size_t universe, uint32_t victim, uint64_t store_id,
		     bool force)
{
	struct sim_router *v = r->sim->routers[victim];

	sim_trace(r->sim, "rmpeer", r->index, victim, force);
	/* Even if it is refused: whoever heard it may have begun. */
	v->ipam->removed = v->ipam->stale = true;
	r->sim->addresses->takeovers++;
	sim_ipam_check_removal(r, universe, victim, force);
	ipam_remove_peer(sim_ipam_of(r, universe),
			 note_request(r, (struct sim_request){ .kind = SIM_REMOVE,
							       .universe = universe,
							       .victim = v->name }),
			 v->name, store_id, force, sim_router_now(r));
	sim_router_turn(r);
}

/* One per universe: all must be answered with yes before the disk is erased. */
void sim_ipam_reset(struct sim_router *r, bool force)
{
	uint64_t incarnation = r->incarnation;

	sim_trace(r->sim, "reset", r->index, force, 0);
	r->sim->addresses->resets++;
	r->ipam->erase = true;
	/* By force: the command takes the addresses away from them first. */
	for (size_t n = 0; force && n < r->ipam->containers_count; n++)
		leaves(&r->ipam->containers[n]);
	for (size_t u = 0; u < r->sim->addresses->universes; u++) {
		ipam_reset(
			sim_ipam_of(r, u),
			note_request(r, (struct sim_request){ .kind = SIM_RESET, .universe = u }),
			force, sim_router_now(r));
		sim_router_turn(r);
		if (!r->engine || r->incarnation != incarnation)
			return; /* the last answer came at once */
	}
}

void sim_ipam_cancel(struct sim_router *r, size_t request)
{
	struct sim_ipam *h = r->ipam;
	struct sim_request q = h->requests[request];

	h->requests[request] = h->requests[--h->requests_count];
	sim_trace(r->sim, "cancel", r->index, q.number, 0);
	r->sim->addresses->cancelled++;
	if (q.kind == SIM_RESET)
		h->erase = false;
	ipam_cancel(sim_ipam_of(r, q.universe), q.number, sim_router_now(r));
	sim_router_turn(r);
}

static bool resets_wait(const struct sim_ipam *h)
{
	for (size_t n = 0; n < h->requests_count; n++)
		if (h->requests[n].kind == SIM_RESET)
			return true;
	return false;
}

static void erased(struct sim *s, void *what, uint64_t incarnation)
{
	struct sim_router *r = what;

	(void)s;
	if (!r->engine || r->incarnation != incarnation)
		return;
	sim_router_crash(r, false);
	for (size_t n = 0; n < r->ipam->containers_count; n++)
		leaves(&r->ipam->containers[n]);
	sim_ipam_lose_disk(r);
}

static void answered_reset(struct sim_router *r, bool ok)
{
	struct sim *s = r->sim;

	if (!ok)
		r->ipam->erase = false;
	/* Not from inside the turn in which the answer came. */
	if (r->ipam->erase && !resets_wait(r->ipam))
		sim_clock_add(&s->clock, s->clock.now_us, erased, r, r->incarnation);
}

static void answered(struct sim_router *r, const struct sim_request *q, const struct ipam_action *a)
{
	struct sim_container *c = find_container(r, q->container);
	struct sim_addresses *w = r->sim->addresses;

	if (q->kind == SIM_RESET)
		answered_reset(r, a->ok);
	if (q->kind != SIM_ALLOCATE && q->kind != SIM_CLAIM)
		return;
	if (!a->ok) {
		w->refused++;
		sim_ipam_check_refusal(r, q, &a->why);
		return;
	}
	if (q->kind == SIM_CLAIM && q->offset != a->offset)
		sim_fail(r->sim, "router %u: claimed %" PRIu64 ", got %" PRIu64, r->index + 1,
			 q->offset, a->offset);
	if (!c || !c->alive) {
		struct sim_container gone = { .id = q->container };

		free_addresses(r, &gone, q->universe, true);
		return;
	}
	w->told++;
	if (r->sim->mutation != SIM_MUTATE_EARLY_SYNC)
		sim_ipam_check_durable(r, c, q->universe, a->offset);
	settles(r, c, q->universe,
		r->sim->mutation == SIM_MUTATE_WRONG_ADDRESS ? a->offset / 2 : a->offset, false);
}

static void on_answer(struct sim_router *r, const struct engine_action *a)
{
	struct sim_ipam *h = r->ipam;

	sim_trace(r->sim, a->ipam.ok ? "yes" : "no", r->index, a->ipam.request, a->ipam.offset);
	if (r->sim->mutation == SIM_MUTATE_LOST_ANSWER && a->ipam.request % 10 == 0)
		return;
	for (size_t n = 0; n < h->requests_count; n++) {
		struct sim_request q = h->requests[n];

		if (q.number != a->ipam.request)
			continue;
		h->requests[n] = h->requests[--h->requests_count];
		answered(r, &q, &a->ipam);
		return;
	}
	sim_fail(r->sim, "router %u: an answer to request %" PRIu64 ", which does not wait",
		 r->index + 1, a->ipam.request);
}

void sim_ipam_act(struct sim_router *r, const struct engine_action *a)
{
	switch (a->ipam.type) {
	case IPAM_SAVE:
		sim_ipam_check_save(r, a->universe, &a->ipam);
		sim_rows_write(&r->ipam->rows, a->universe, a->ipam.table, a->ipam.key,
			       a->ipam.ok ? a->ipam.bytes : bytes_of(NULL, 0), a->ipam.ticket);
		if (r->sim->mutation == SIM_MUTATE_EARLY_SYNC)
			ipam_on_saved(sim_ipam_of(r, a->universe), a->ipam.ticket,
				      sim_router_now(r));
		break;
	case IPAM_ANSWER:
		on_answer(r, a);
		break;
	case IPAM_RENEW:
		renew(r);
		break;
	case IPAM_MERGE:
	case IPAM_PUT:
	case IPAM_SEND:
		sim_fail(r->sim, "ipam action %d of router %u is not for the world", a->ipam.type,
			 r->index + 1);
	}
}

void sim_ipam_turned(struct sim_router *r)
{
	see_to_syncs(r);
	sim_ipam_check_router(r);
}

/* ---- start and end ---- */

void sim_ipam_load(struct sim_router *r)
{
	const struct sim_rows *rows = &r->ipam->rows;

	for (size_t n = 0; n < rows->disk_count; n++) {
		const struct sim_row *row = &rows->disk[n];
		const char *bad = engine_load(r->engine, row->universe, row->table, row->key,
					      bytes_of(row->value, row->size));

		if (bad)
			sim_fail(r->sim, "router %u: its own disk is damaged: %s (table %d)",
				 r->index + 1, bad, row->table);
	}
}

static bool lives_at(const struct sim_router *r, size_t universe, uint64_t offset,
		     struct bytes name)
{
	char text[32];

	for (size_t n = 0; n < r->ipam->containers_count; n++) {
		const struct sim_container *c = &r->ipam->containers[n];

		if (c->alive && c->home[universe].has && c->home[universe].offset == offset &&
		    bytes_equal(name_of(c->id, text), name))
			return true;
	}
	return false;
}

static void free_what_is_gone(struct sim_router *r, size_t universe)
{
	struct ipam *i = sim_ipam_of(r, universe);
	struct bytes name;
	uint64_t offset;
	bool disputed;

	for (uint64_t at = 0; ipam_address_at(i, at, &offset, &name, &disputed); at = offset + 1) {
		char text[IPAM_CONTAINER_MAX];
		size_t size = name.size;

		memcpy(text, name.data, size);
		if (!lives_at(r, universe, offset, name))
			ipam_release(i, bytes_of(text, size), offset, sim_router_now(r));
	}
}

void sim_ipam_started(struct sim_router *r)
{
	char text[32];

	for (size_t u = 0; u < r->sim->addresses->universes; u++) {
		memset(&r->ipam->seen[u], 0, sizeof r->ipam->seen[u]);
		free_what_is_gone(r, u);
		for (size_t n = 0; n < r->ipam->containers_count; n++) {
			const struct sim_container *c = &r->ipam->containers[n];

			if (c->alive && c->home[u].has &&
			    !ipam_found(sim_ipam_of(r, u), name_of(c->id, text), c->home[u].offset,
					sim_router_now(r)))
				sim_fail(r->sim, "router %u: an address of two containers of ours",
					 r->index + 1);
		}
	}
}

void sim_ipam_crashed(struct sim_router *r, bool host)
{
	struct sim_ipam *h = r->ipam;
	size_t kept = (size_t)rng_below(&r->sim->net_rng, h->rows.log_count + 1);

	learn_front(r, kept);
	sim_rows_crash(&h->rows, kept);
	if (r->sim->mutation == SIM_MUTATE_LOST_ROW && h->rows.disk_count)
		sim_rows_drop(&h->rows, (size_t)rng_below(&r->sim->net_rng, h->rows.disk_count));
	h->requests_count = 0;
	h->syncing = h->lazy = h->disk_told = h->erase = false;
	r->sim->addresses->crashes++;
	for (size_t u = 0; u < r->sim->addresses->universes; u++)
		r->sim->addresses->disputes += sim_ipam_of(r, u)->disputes;
	for (size_t n = 0; host && n < h->containers_count; n++)
		leaves(&h->containers[n]);
}

/* ---- disks ---- */

/* Whether some disk still has an entry about everything that was ever written. */
static bool is_on_some_disk(const struct sim *s, size_t universe, uint64_t ring_id, uint64_t offset)
{
	for (uint32_t k = 0; k < s->count; k++) {
		const struct sim_rows *rows = &s->routers[k]->ipam->rows;

		/* The disk of a dead machine is nowhere any more. */
		if (s->routers[k]->ipam->dead ||
		    !sim_ipam_disk_has_ring(s->routers[k], universe, ring_id))
			continue;
		for (size_t n = 0; n < rows->disk_count; n++) {
			const struct sim_row *row = &rows->disk[n];
			struct run run;

			if (row->universe == universe && row->table == IPAM_TABLE_RUN &&
			    !run_value_read(&run, row->key, bytes_of(row->value, row->size),
					    s->addresses->universe[universe].size) &&
			    offset >= run.start && offset < run.end)
				return true;
		}
	}
	return false;
}

uint64_t sim_ipam_disk_ring(const struct sim_router *r, size_t universe)
{
	const struct sim_row *id = sim_rows_find(&r->ipam->rows, universe, IPAM_TABLE_RING, 0);
	struct reader in;

	if (!id)
		return 0;
	in = reader_over(id->value, id->size);
	return read_u64(&in, "ring");
}

bool sim_ipam_disk_has_ring(const struct sim_router *r, size_t universe, uint64_t ring_id)
{
	return ring_id && sim_ipam_disk_ring(r, universe) == ring_id;
}

void sim_ipam_look_for_losses(struct sim *s)
{
	struct sim_addresses *w = s->addresses;

	for (size_t u = 0; u < w->universes; u++)
		for (size_t k = 0; k < SIM_RINGS_MAX && w->truths[u][k].at; k++)
			for (uint64_t at = 0; at < w->universe[u].size && !w->space_may_be_lost;
			     at++)
				w->space_may_be_lost = w->truths[u][k].at[at].end &&
						       !is_on_some_disk(
							       s, u, w->truths[u][k].ring_id, at);
}

void sim_ipam_lose_disk(struct sim_router *r)
{
	MUST(!r->engine);
	sim_trace(r->sim, "lost", r->index, 0, 0);
	sim_rows_clear(&r->ipam->rows);
	sim_disk_lose(&r->disk);
	r->ipam->lost = r->ipam->stale = true;
	r->ipam->orphans++;
	r->sim->addresses->losses++;
	sim_ipam_look_for_losses(r->sim);
}

void sim_ipam_snapshot(struct sim_router *r)
{
	sim_trace(r->sim, "snapshot", r->index, 0, 0);
	sim_rows_copy(&r->ipam->snapshot, &r->ipam->rows);
	r->ipam->snapshot_generation = r->disk.generation;
	r->ipam->snapshot_store = r->disk.store_id;
	r->ipam->has_snapshot = true;
}

bool sim_ipam_restore(struct sim_router *r)
{
	MUST(!r->engine);
	if (!r->ipam->has_snapshot || !r->disk.present)
		return false;
	sim_trace(r->sim, "restored", r->index, 0, 0);
	sim_rows_copy(&r->ipam->rows, &r->ipam->snapshot);
	r->disk.generation = r->ipam->snapshot_generation;
	r->disk.store_id = r->ipam->snapshot_store;
	r->ipam->restored = r->ipam->stale = true;
	sim_ipam_look_for_losses(r->sim);
	r->sim->addresses->restores++;
	return true;
}

void sim_ipam_disk_fails(struct sim_router *r, bool fails)
{
	sim_trace(r->sim, "disk", r->index, fails, 0);
	r->ipam->disk_fails = fails;
	if (!fails && r->engine && r->ipam->disk_told && !r->ipam->syncing)
		begin_sync(r);
}

/* ---- the past ---- */

static struct sim_late *a_place(struct sim *s, struct sim_late *list)
{
	struct sim_late *l = &list[rng_below(&s->net_rng, SIM_LATE_MAX)];

	mem_free(l->bytes);
	*l = (struct sim_late){ .used = true };
	return l;
}

static void watch_unicast(struct sim *s, struct bytes body)
{
	struct reader r = reader_over(body.data, body.size);
	peer_name from, to;
	struct sim_late *l;
	uint8_t flags, channel;

	flags = read_u8(&r, "flags");
	from = read_uint(&r, 6, "source");
	to = read_uint(&r, 6, "destination");
	read_u8(&r, "hops");
	channel = read_u8(&r, "channel");
	if (r.bad || flags || channel != IPAM_CHANNEL || reader_left(&r) == 0)
		return;
	l = a_place(s, s->addresses->messages);
	l->from = from;
	l->to = to;
	l->size = reader_left(&r);
	l->bytes = mem_copy(r.at, l->size);
}

void sim_ipam_watch(struct sim_router *r, struct bytes bytes)
{
	struct reader in = reader_over(bytes.data, bytes.size);

	if (bytes.size >= PREAMBLE && memcmp(bytes.data, "weave", 5) == 0)
		read_bytes(&in, PREAMBLE, "preamble");
	while (reader_left(&in) > FRAME_HEAD) {
		uint32_t size = read_u32(&in, "length");
		struct reader body;

		if (size == 0 || size > reader_left(&in))
			return;
		body = read_nested(&in, size, "frame");
		if (read_u8(&body, "type") == MESSAGE_UNICAST)
			watch_unicast(r->sim, bytes_of(body.at, reader_left(&body)));
	}
}

void sim_ipam_remember_entries(struct sim *s, struct sim_router *r)
{
	struct store *store = gossip_store(sim_router_gossip(r));

	for (const struct entry *e = store_next(store, NULL); e; e = store_next(store, e)) {
		const struct entry_view *v = &e->view;
		struct sim_late *l;

		if ((v->kind != KIND_RUN && v->kind != KIND_VOTE && v->kind != KIND_RETIRED) ||
		    !sim_chance(&s->rng, 100000))
			continue;
		l = a_place(s, s->addresses->entries);
		l->size = v->key.size + v->value.size;
		l->bytes = mem_new(1, l->size);
		memcpy(l->bytes, v->key.data, v->key.size);
		if (v->value.size)
			memcpy(l->bytes + v->key.size, v->value.data, v->value.size);
		l->view = *v;
		l->view.key = bytes_of(l->bytes, v->key.size);
		l->view.value = bytes_of(l->bytes + v->key.size, v->value.size);
	}
}

static void replay_message(struct sim *s, const struct sim_late *l)
{
	uint32_t to = sim_ipam_index(s, l->to);
	struct sim_router *r = to < s->count ? s->routers[to] : NULL;

	if (!r || !r->engine || r->frozen)
		return;
	sim_trace(s, "late-message", l->from, l->to, l->size);
	s->addresses->late++;
	for (size_t u = 0; u < s->addresses->universes; u++)
		if (ipam_is_about(sim_ipam_of(r, u), bytes_of(l->bytes, l->size)))
			ipam_on_message(sim_ipam_of(r, u), l->from, bytes_of(l->bytes, l->size),
					sim_router_now(r));
	sim_router_turn(r);
}

static void replay_entry(struct sim *s, const struct sim_late *l)
{
	struct sim_router *r = s->routers[rng_below(&s->rng, s->count)];

	if (!r->engine || r->frozen)
		return;
	sim_trace(s, "late-entry", r->index, l->view.kind, l->size);
	s->addresses->late++;
	gossip_merge(sim_router_gossip(r), &l->view, sim_router_now(r));
	sim_router_turn(r);
}

void sim_ipam_replay(struct sim *s)
{
	size_t n = (size_t)rng_below(&s->rng, SIM_LATE_MAX);

	if (s->addresses->messages[n].used && rng_below(&s->rng, 2))
		replay_message(s, &s->addresses->messages[n]);
	else if (s->addresses->entries[n].used)
		replay_entry(s, &s->addresses->entries[n]);
}
