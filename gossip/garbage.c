#include "garbage.h"

#include <weave/alloc.h>
#include <weave/limits.h>
#include <weave/must.h>

#include "kinds.h"

/* One peer that cannot be reached. */
struct absent {
	peer_name name;
	struct mono since;
	uint64_t declared; /* generation, 0 while not */
};

struct garbage {
	struct store *store;
	struct topology *topology;
	peer_name self;
	struct absent *absent; /* in order of name */
	size_t absent_count, absent_room;
	struct gone_info *arrived; /* since the last garbage_apply */
	size_t arrived_count, arrived_room;
	struct mono next;
	bool sweeping;
	size_t position; /* of the sweep, in 'absent' */
};

static void on_gone(void *ctx, const struct entry_view *before, const struct entry_view *after)
{
	struct garbage *g = ctx;

	(void)before;
	if (!after)
		return;
	if (g->arrived_count == g->arrived_room) {
		g->arrived_room = g->arrived_room ? g->arrived_room * 2 : 16;
		g->arrived = mem_resize(g->arrived, g->arrived_room, sizeof(struct gone_info));
	}
	MUST(!gone_info_decode(&g->arrived[g->arrived_count++], after));
}

struct garbage *garbage_new(struct store *store, struct topology *topology, peer_name self)
{
	struct garbage *g = mem_new(1, sizeof *g);
	struct kind kind = kind_gone;

	g->store = store;
	g->topology = topology;
	g->self = self;
	kind.on_change = on_gone;
	kind.ctx = g;
	store_register(store, &kind);
	return g;
}

void garbage_free(struct garbage *g)
{
	if (!g)
		return;
	mem_free(g->absent);
	mem_free(g->arrived);
	mem_free(g);
}

void garbage_apply(struct garbage *g)
{
	for (size_t i = 0; i < g->arrived_count; i++)
		store_refuse_until(g->store, g->arrived[i].peer, g->arrived[i].generation);
	mem_free(g->arrived);
	g->arrived = NULL;
	g->arrived_count = g->arrived_room = 0;
}

uint64_t garbage_gone_generation(const struct garbage *g, peer_name peer)
{
	uint8_t room[8];
	struct writer key = writer_over(room, sizeof room);
	const struct entry *e;

	gone_info_key(peer, &key);
	e = store_find(g->store, KIND_GONE, writer_bytes(&key));
	return e ? e->view.generation : 0;
}

/* ---- tombstones ---- */

static bool is_forgettable(uint8_t kind)
{
	return kind != KIND_VOTE && kind != KIND_RUN && kind != KIND_RETIRED;
}

/* In change order, so that all after the first young entry are young as well. */
static void forget_tombstones(struct garbage *g, struct mono now)
{
	size_t left = store_tombstones(g->store);
	const struct entry *e = store_next(g->store, NULL), *next;

	for (; e && left && mono_elapsed(e->received, now) >= GARBAGE_TOMBSTONE_MS; e = next) {
		next = store_next(g->store, e);
		if (!(e->view.flags & ENTRY_TOMBSTONE))
			continue;
		left--;
		if (is_forgettable(e->view.kind))
			store_drop(g->store, e);
	}
}

/* ---- absent peers ---- */

static void add_absent(struct garbage *g, struct absent a)
{
	if (g->absent_count == g->absent_room) {
		g->absent_room = g->absent_room ? g->absent_room * 2 : 16;
		g->absent = mem_resize(g->absent, g->absent_room, sizeof(struct absent));
	}
	g->absent[g->absent_count++] = a;
}

/* Merges the list of before with what topology says now; both are in order of name. */
static void look_around(struct garbage *g, struct mono now)
{
	struct absent *before = g->absent;
	size_t before_count = g->absent_count, i = 0;
	const struct topology_peer *p;

	g->absent = NULL;
	g->absent_count = g->absent_room = 0;
	for (size_t at = 0; (p = topology_peer_at(g->topology, at)); at++) {
		peer_name name = p->info.name;

		while (i < before_count && before[i].name < name)
			i++;
		/* What others say of links to it is theirs, and goes with them. */
		if (p->reachable || name == g->self || (!p->known && !p->links_count))
			continue;
		if (i < before_count && before[i].name == name)
			add_absent(g, before[i]);
		else
			add_absent(g, (struct absent){ .name = name, .since = now });
	}
	mem_free(before);
}

/* The lowest-named peer that is here acts first, so that as a rule one acts. */
static bool are_we_first(const struct garbage *g)
{
	const struct topology_peer *p;

	for (size_t i = 0; (p = topology_peer_at(g->topology, i)); i++)
		if (p->reachable)
			return p->info.name == g->self;
	return true;
}

static uint64_t last_generation(const struct garbage *g, peer_name peer)
{
	uint64_t last = 0;

	for (const struct entry *e = store_next_of(g->store, peer, NULL); e;
	     e = store_next_of(g->store, peer, e)) {
		if (kind_has_one_writer(e->view.kind) && e->view.generation > last)
			last = e->view.generation;
	}
	return last;
}

static bool must_declare(const struct garbage *g, struct absent *a, uint64_t patience_ms,
			 struct mono now, struct gone_info *declare)
{
	uint64_t last;

	if (mono_elapsed(a->since, now) < patience_ms)
		return false;
	last = last_generation(g, a->name);
	if (last == 0 || a->declared >= last || garbage_gone_generation(g, a->name) >= last)
		return false;
	a->declared = last;
	*declare = (struct gone_info){ .peer = a->name, .generation = last };
	return true;
}

bool garbage_sweep(struct garbage *g, struct mono now, struct gone_info *declare)
{
	uint64_t patience_ms = GARBAGE_PEER_MS;

	if (!g->sweeping) {
		if (!mono_reached(now, g->next))
			return false;
		forget_tombstones(g, now);
		look_around(g, now);
		g->sweeping = true;
		g->position = 0;
	}
	if (!are_we_first(g))
		patience_ms += GARBAGE_OTHERS_MS;
	while (g->position < g->absent_count)
		if (must_declare(g, &g->absent[g->position++], patience_ms, now, declare))
			return true;
	g->sweeping = false;
	g->next = mono_after(now, GARBAGE_SWEEP_MS);
	return false;
}

struct mono garbage_deadline(const struct garbage *g)
{
	return g->next;
}
