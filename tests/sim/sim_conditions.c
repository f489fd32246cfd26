#include "sim_conditions.h"

#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "sim_frames.h"
#include "sim_invariants.h"
#include "sim_names.h"
#include "sim_router.h"

#define UNKNOWN_KIND 77

static const struct sim_router *router(struct sim *s, const struct script_value *v)
{
	return s->routers[v->number];
}

static bool runs(struct sim *s, const struct script_value *v)
{
	return sim_router_runs(router(s, v));
}

static struct gossip_counters counters_of(const struct sim_router *r)
{
	struct gossip_counters c = { 0 };

	if (sim_router_runs(r))
		gossip_counters(sim_router_gossip(r), &c);
	return c;
}

static uint64_t repairs_of(const struct sim_router *r)
{
	return counters_of(r).repairs;
}

void sim_marks_set(struct sim *s, struct sim_marks *m)
{
	sim_marks_fini(m);
	m->repairs = mem_new(s->count, sizeof *m->repairs);
	m->jumps = mem_new(s->count, sizeof *m->jumps);
	for (uint32_t i = 0; i < s->count; i++) {
		m->repairs[i] = repairs_of(s->routers[i]);
		m->jumps[i] = counters_of(s->routers[i]).jumps;
	}
	m->segments = s->stats.segments;
	m->memory = mem_in_use();
}

void sim_marks_fini(struct sim_marks *m)
{
	mem_free(m->repairs);
	mem_free(m->jumps);
	*m = (struct sim_marks){ 0 };
}

/* ---- views ---- */

static bool is_converged(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	char why[SIM_WHY_SIZE];

	(void)m;
	(void)v;
	return sim_converged(s, why);
}

static bool same_digest(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	struct hash128 a, b;

	(void)m;
	if (!runs(s, &v[0]) || !runs(s, &v[1]))
		return false;
	a = store_digest(gossip_store(sim_router_gossip(router(s, &v[0]))));
	b = store_digest(gossip_store(sim_router_gossip(router(s, &v[1]))));
	return a.high == b.high && a.low == b.low;
}

static bool is_connected(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	(void)m;
	return sim_connected(s, v->a, v->b);
}

static bool is_reachable(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	(void)m;
	return runs(s, &v[0]) &&
	       topology_reachable(gossip_topology(sim_router_gossip(router(s, &v[0]))),
				  router(s, &v[1])->name);
}

static bool goes_via(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	(void)m;
	return runs(s, &v[0]) &&
	       topology_next_hop(gossip_topology(sim_router_gossip(router(s, &v[0]))),
				 router(s, &v[1])->name) == router(s, &v[2])->name;
}

static bool has_entry(struct sim *s, const struct script_value *v, uint8_t kind)
{
	const struct entry *e = runs(s, &v[0]) ? sim_router_find(router(s, &v[0]), kind, v[1].text)
					       : NULL;

	return e && !(e->view.flags & ENTRY_TOMBSTONE);
}

static bool has_name(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	(void)m;
	return has_entry(s, v, KIND_NAME);
}

static bool has_value(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	const struct entry *e;

	(void)m;
	if (!has_entry(s, v, KIND_NAME))
		return false;
	e = sim_router_find(router(s, &v[0]), KIND_NAME, v[1].text);
	return sim_names_says(e, v[1].text, v[2].text);
}

static bool has_unknown(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	(void)m;
	return has_entry(s, v, UNKNOWN_KIND);
}

/* ---- identity ---- */

static bool is_silent(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	(void)m;
	return counters_of(router(s, v)).silent;
}

static bool sees_duplicate(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	struct gossip_counters c = counters_of(router(s, v));

	(void)m;
	return c.duplicate != 0;
}

static bool jumps_below(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	uint64_t before = m->jumps ? m->jumps[v[0].number] : 0;

	return counters_of(router(s, &v[0])).jumps < before + v[1].number;
}

static bool repairs_below(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	uint64_t before = m->repairs ? m->repairs[v[0].number] : 0;

	return repairs_of(router(s, &v[0])) < before + v[1].number;
}

static bool segments_below(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	return s->stats.segments < m->segments + v[0].number;
}

/* The reason that the first one shows for a connection or target of the second. */
static bool shows_reason(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	struct gossip_conn_info info;

	(void)m;
	for (size_t i = 0;
	     runs(s, &v[0]) && gossip_conn_at(sim_router_gossip(router(s, &v[0])), i, &info); i++)
		if (sim_router_of_ip(s, info.address.ip) == v[1].number &&
		    info.why.reason == v[2].number)
			return true;
	return false;
}

static bool degree_below(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	struct gossip_conn_info info;
	uint64_t count = 0;

	(void)m;
	for (size_t i = 0;
	     runs(s, &v[0]) && gossip_conn_at(sim_router_gossip(router(s, &v[0])), i, &info); i++)
		count += info.conn && info.structural;
	return count < v[1].number;
}

/* ---- frames ---- */

/* Sends one each time it is asked; true when one of them came out. */
static bool flows(struct sim *s, struct sim_marks *m, const struct script_value *v)
{
	uint32_t from = (uint32_t)v[0].number, to = (uint32_t)v[1].number;

	for (uint64_t id = m->flow_first; id < s->frame_next; id++) {
		const struct sim_frame *f = sim_frame_find(s, id);

		if (f && f->from == from && f->to == to && f->delivered[to])
			return true;
	}
	if (sim_router_runs(s->routers[from]) && !s->routers[from]->frozen)
		sim_frame_send(s, from, to, SEGMENT_DEFAULT, 100);
	return false;
}

static const struct sim_condition table[] = {
	{ "converged", "", "stores, topologies, routes, trees and links agree", is_converged },
	{ "digests-equal", "rr", "the two stores have one digest", same_digest },
	{ "connected", "l", "an established connection between the two", is_connected },
	{ "reachable", "rr", "the first can reach the second", is_reachable },
	{ "route", "rrr", "the first reaches the second through the third", goes_via },
	{ "has", "rw", "the router knows this name", has_name },
	{ "value", "rww", "the router knows this name with this value", has_value },
	{ "has-unknown", "rw", "the router holds this entry of an unknown kind", has_unknown },
	{ "silent", "r", "the router stopped publishing: its name is taken", is_silent },
	{ "duplicate", "r", "the router knows that another one has its name", sees_duplicate },
	{ "jumps-below", "rn", "generation jumps since the mark", jumps_below },
	{ "repairs-below", "rn", "repair rounds since the mark", repairs_below },
	{ "segments-below", "n", "stream segments of all since the mark", segments_below },
	{ "shows", "rrn", "the router shows this reason for a connection to the other",
	  shows_reason },
	{ "degree-below", "rn", "links of the router that entries flow on", degree_below },
	{ "flows", "rr", "frames get from one container to the other", flows },
};

const struct sim_condition *sim_condition_at(size_t index)
{
	return index < ARRAY_COUNT(table) ? &table[index] : NULL;
}

const struct sim_condition *sim_condition_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_COUNT(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}
