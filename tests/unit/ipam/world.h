/* A few hosts with one struct ipam each, on disks that can be crashed, and a network that loses,
 * doubles, reorders and partitions: what the daemon, the store and gossip do, in small.
 *
 * Everything is done by hand or at random by the test.  After every step world_check asserts the
 * invariants of control-plane.md 6.6: no address with two live containers, no offset that two
 * running hosts may use.
 */
#ifndef TESTS_IPAM_WORLD_H
#define TESTS_IPAM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../ipam/allocator.h"

#define HOSTS_MAX 6u
#define CONTAINERS_MAX 64u
#define FLIGHT_MAX 512u
#define HISTORY_MAX 256u

struct row {
	enum ipam_table table;
	uint64_t key;
	uint8_t *value; /* NULL in 'pending': delete */
	size_t size;
	uint64_t ticket;
};

struct rows {
	struct row *list;
	size_t count, room;
};

/* A live container that was told its address. */
struct container {
	char name[32];
	uint64_t offset, ring_id;
};

struct host {
	peer_name name;
	struct ipam_config config;
	bool up;
	bool dead;    /* for ever, with its containers */
	bool refuses; /* its disk */
	bool stale;   /* started from an old copy of its disk, and nobody has told it yet */
	struct ipam *ipam;
	struct store *store;
	struct rows disk, pending, snapshot;
	uint64_t generation, version;
	struct container containers[CONTAINERS_MAX];
	size_t containers_count;
	/* What was asked and not answered: request number -> container. */
	struct {
		uint64_t request;
		char name[32];
	} asked[CONTAINERS_MAX];
	size_t asked_count;
	struct ipam_action last; /* last answer; its texts in 'text' */
	char text[256];
	uint64_t answers;
};

struct flight {
	unsigned from, to;
	uint8_t *bytes;
	size_t size;
};

struct late {
	uint8_t kind;
	peer_name writer;
	uint64_t generation, version;
	uint8_t key[64], value[4096];
	size_t key_size, value_size;
};

struct world {
	struct rng rng;
	struct mono now;
	struct universe universe;
	unsigned count;
	struct host hosts[HOSTS_MAX];
	bool cut[HOSTS_MAX][HOSTS_MAX];
	bool met[HOSTS_MAX][HOSTS_MAX];	      /* a knows of b */
	uint64_t knows[HOSTS_MAX][HOSTS_MAX]; /* the store id by which a knows b */
	struct flight flight[FLIGHT_MAX];
	size_t flight_count;
	struct late *history;
	size_t history_count;
	uint64_t requests;
	uint64_t acknowledged, messages, lost, crashes; /* for the summary */
	unsigned disks_lost;
	bool early; /* a mutation: things leave before they are durable */
};

/* ---- disks ---- */

static inline void rows_clear(struct rows *r)
{
	for (size_t n = 0; n < r->count; n++)
		mem_free(r->list[n].value);
	r->count = 0;
}

static inline void rows_push(struct rows *r, enum ipam_table table, uint64_t key, const void *value,
			     size_t size, uint64_t ticket)
{
	if (r->count == r->room) {
		r->room = r->room ? r->room * 2 : 32;
		r->list = mem_resize(r->list, r->room, sizeof *r->list);
	}
	r->list[r->count++] = (struct row){ table, key, value ? mem_copy(value, size + 1) : NULL,
					    size, ticket };
}

static inline void rows_apply(struct rows *r, const struct row *op)
{
	for (size_t n = 0; n < r->count; n++) {
		if (r->list[n].table != op->table || r->list[n].key != op->key)
			continue;
		mem_free(r->list[n].value);
		r->list[n] = r->list[--r->count];
		break;
	}
	if (op->value)
		rows_push(r, op->table, op->key, op->value, op->size, 0);
}

static inline void rows_copy(struct rows *to, const struct rows *from)
{
	rows_clear(to);
	for (size_t n = 0; n < from->count; n++)
		rows_push(to, from->list[n].table, from->list[n].key, from->list[n].value,
			  from->list[n].size, 0);
}

/* ---- what a host does ---- */

static inline struct bytes text_bytes(const char *text)
{
	return bytes_of(text, strlen(text));
}

static inline void world_drain(struct world *w, unsigned h);

static inline unsigned host_of(const struct world *w, peer_name name)
{
	for (unsigned n = 0; n < w->count; n++)
		if (w->hosts[n].name == name)
			return n;
	return HOSTS_MAX;
}

static inline bool connected(const struct world *w, unsigned a, unsigned b)
{
	return a != b && w->hosts[a].up && w->hosts[b].up && !w->cut[a][b];
}

static inline void remember(struct world *w, const struct entry_view *e)
{
	struct late *l =
		&w->history[w->history_count < HISTORY_MAX ? w->history_count++
							   : rng_below(&w->rng, HISTORY_MAX)];

	*l = (struct late){ e->kind, e->writer, e->generation, e->version, { 0 }, { 0 }, 0, 0 };
	l->key_size = e->key.size;
	l->value_size = e->value.size;
	memcpy(l->key, e->key.data, e->key.size);
	if (e->value.size)
		memcpy(l->value, e->value.data, e->value.size);
}

static inline void host_put(struct world *w, struct host *h, const struct entry_view *e)
{
	struct entry_view v = *e;

	v.generation = h->generation;
	v.version = ++h->version;
	store_put(h->store, &v, w->now);
}

static inline void host_send(struct world *w, unsigned from, const struct ipam_action *a)
{
	unsigned to = host_of(w, a->peer);

	w->messages++;
	if (to == HOSTS_MAX || w->flight_count == FLIGHT_MAX)
		return;
	w->flight[w->flight_count++] = (struct flight){ from, to,
							mem_copy(a->bytes.data, a->bytes.size + 0),
							a->bytes.size };
}

static inline void host_answer(struct world *w, struct host *h, const struct ipam_action *a)
{
	h->last = *a;
	h->answers++;
	snprintf(h->text, sizeof h->text, "%.*s", (int)a->bytes.size,
		 a->bytes.size ? (const char *)a->bytes.data : "");
	if (!a->ok)
		snprintf(h->text, sizeof h->text, "%s", a->why.text);
	for (size_t n = 0; n < h->asked_count; n++) {
		struct container *c;
		char name[32];

		if (h->asked[n].request != a->request)
			continue;
		memcpy(name, h->asked[n].name, sizeof name);
		h->asked[n] = h->asked[--h->asked_count];
		for (size_t k = 0; k < h->containers_count; k++)
			if (strcmp(h->containers[k].name, name) == 0)
				return; /* it had that address already */
		if (!a->ok || h->containers_count == CONTAINERS_MAX)
			return;
		c = &h->containers[h->containers_count++];
		memcpy(c->name, name, sizeof name);
		c->offset = a->offset;
		c->ring_id = h->ipam->ring_id;
		w->acknowledged++;
		return;
	}
}

static inline void world_sync(struct world *w, unsigned n)
{
	struct host *h = &w->hosts[n];
	uint64_t ticket = 0;

	for (size_t k = 0; k < h->pending.count && !h->refuses; k++) {
		rows_apply(&h->disk, &h->pending.list[k]);
		ticket = h->pending.list[k].ticket;
	}
	if (!h->refuses)
		rows_clear(&h->pending);
	if (ticket && h->up) {
		ipam_on_saved(h->ipam, ticket, w->now);
		world_drain(w, n);
	}
}

static inline void world_drain(struct world *w, unsigned n)
{
	struct host *h = &w->hosts[n];
	struct ipam_action a;

	while (h->up && ipam_next_action(h->ipam, &a)) {
		switch (a.type) {
		case IPAM_SAVE:
			rows_push(&h->pending, a.table, a.key, a.ok ? a.bytes.data : NULL,
				  a.bytes.size, a.ticket);
			if (w->early)
				ipam_on_saved(h->ipam, a.ticket, w->now);
			break;
		case IPAM_MERGE:
			remember(w, &a.entry);
			store_merge(h->store, &a.entry, 0, w->now);
			break;
		case IPAM_PUT:
			host_put(w, h, &a.entry);
			break;
		case IPAM_SEND:
			host_send(w, n, &a);
			break;
		case IPAM_ANSWER:
			host_answer(w, h, &a);
			break;
		case IPAM_RENEW:
			h->config.store_id = rng_u64(&w->rng) | 1;
			ipam_on_new_store(h->ipam, h->config.store_id, w->now);
			break;
		}
		if (ipam_deadline(h->ipam).ms == 0)
			ipam_tick(h->ipam, w->now);
	}
}

/* The daemon's start: load, free what does not live, find what lives on the bridge. */
static inline void world_start(struct world *w, unsigned n)
{
	struct host *h = &w->hosts[n];
	struct bytes container;
	uint64_t offset = 0;
	bool disputed;

	h->up = true;
	h->refuses = false;
	h->generation++;
	h->config.seed = rng_u64(&w->rng);
	h->ipam = ipam_new(&h->config, NULL);
	h->store = store_new(rng_u64(&w->rng));
	ipam_register(h->store, &h->ipam, 1);
	for (size_t k = 0; k < h->disk.count; k++) {
		const struct row *r = &h->disk.list[k];

		MUST(!ipam_load(h->ipam, r->table, r->key, bytes_of(r->value, r->size)));
	}
	ipam_start(h->ipam, w->now);
	while (ipam_address_at(h->ipam, offset, &offset, &container, &disputed)) {
		bool alive = false;
		char name[32] = "";

		memcpy(name, container.data, container.size < 31 ? container.size : 31);
		for (size_t k = 0; k < h->containers_count; k++)
			alive |= strcmp(h->containers[k].name, name) == 0 &&
				 h->containers[k].offset == offset;
		if (!alive)
			ipam_release(h->ipam, text_bytes(name), offset, w->now);
		if (++offset >= w->universe.size)
			break;
	}
	for (size_t k = 0; k < h->containers_count; k++)
		MUST(ipam_found(h->ipam, text_bytes(h->containers[k].name), h->containers[k].offset,
				w->now));
	for (unsigned o = 0; o < w->count; o++)
		if (w->met[n][o])
			ipam_on_peer(h->ipam, w->hosts[o].name, w->hosts[o].config.store_id, false,
				     w->now);
	world_drain(w, n);
}

/* It refuses from now on, or takes all that waits. */
static inline void world_disk(struct world *w, unsigned n, bool refuses)
{
	struct host *h = &w->hosts[n];

	if (h->refuses == refuses)
		return;
	h->refuses = refuses;
	if (!h->up)
		return;
	ipam_on_disk(h->ipam, refuses ? "the disk is full" : NULL, w->now);
	world_drain(w, n);
}

static inline void lose_neighbour(struct world *w, unsigned a, unsigned b)
{
	if (!w->hosts[a].up)
		return;
	ipam_on_neighbour_lost(w->hosts[a].ipam, w->hosts[b].name, w->now);
	if (w->met[a][b])
		ipam_on_peer(w->hosts[a].ipam, w->hosts[b].name, w->hosts[b].config.store_id, false,
			     w->now);
	world_drain(w, a);
}

/* Part of what was not synced is on the disk all the same. */
static inline void world_crash(struct world *w, unsigned n)
{
	struct host *h = &w->hosts[n];
	size_t kept = rng_below(&w->rng, h->pending.count + 1);

	if (!h->up)
		return;
	for (size_t k = 0; k < kept; k++)
		rows_apply(&h->disk, &h->pending.list[k]);
	rows_clear(&h->pending);
	h->up = false;
	h->asked_count = 0;
	store_free(h->store);
	ipam_free(h->ipam);
	h->store = NULL;
	h->ipam = NULL;
	w->crashes++;
	for (unsigned o = 0; o < w->count; o++)
		if (o != n)
			lose_neighbour(w, o, n);
}

/* One heartbeat from b to a: a learns that b is there, what it has, and whom it knows. */
static inline void world_heartbeat(struct world *w, unsigned a, unsigned b)
{
	struct host *ha = &w->hosts[a], *hb = &w->hosts[b];
	struct ipam_ring_state state;

	if (!connected(w, a, b))
		return;
	w->met[a][b] = true;
	/* The peer entry of ours that it has is newer than our disk. */
	if (ha->stale) {
		ha->stale = false;
		ha->config.store_id = rng_u64(&w->rng) | 1;
		ipam_on_new_store(ha->ipam, ha->config.store_id, w->now);
	}
	if (w->knows[b][a] && w->knows[b][a] != ha->config.store_id)
		ipam_on_peer(ha->ipam, ha->name, w->knows[b][a], false, w->now);
	w->knows[a][b] = hb->config.store_id;
	ipam_on_peer(ha->ipam, hb->name, hb->config.store_id, true, w->now);
	for (unsigned o = 0; o < w->count; o++) {
		if (o == a || !w->met[b][o] || w->met[a][o])
			continue;
		w->met[a][o] = true;
		ipam_on_peer(ha->ipam, w->hosts[o].name, w->hosts[o].config.store_id,
			     connected(w, a, o), w->now);
	}
	state = ipam_ring_state(hb->ipam);
	ipam_on_neighbour(ha->ipam, hb->name, &state, w->now);
	world_drain(w, a);
}

/* Each entry of b's store reaches a with probability chance / 256. */
static inline void world_gossip(struct world *w, unsigned a, unsigned b, unsigned chance)
{
	struct late *list;
	size_t count = 0;

	if (!connected(w, a, b))
		return;
	list = mem_new(store_count(w->hosts[b].store) + 1, sizeof *list);
	for (const struct entry *e = store_next(w->hosts[b].store, NULL); e;
	     e = store_next(w->hosts[b].store, e)) {
		struct late *l = &list[count];

		if (rng_below(&w->rng, 256) >= chance)
			continue;
		*l = (struct late){
			e->view.kind, e->view.writer, e->view.generation, e->view.version,
			{ 0 },	      { 0 },	      e->view.key.size,	  e->view.value.size
		};
		memcpy(l->key, e->view.key.data, l->key_size);
		if (l->value_size)
			memcpy(l->value, e->view.value.data, l->value_size);
		count++;
	}
	for (size_t n = 0; n < count; n++) {
		struct entry_view v = {
			.kind = list[n].kind,
			.writer = list[n].writer,
			.generation = list[n].generation,
			.version = list[n].version,
			.key = bytes_of(list[n].key, list[n].key_size),
			.value = bytes_of(list[n].value, list[n].value_size),
		};

		MUST(!store_check(w->hosts[a].store, &v));
		store_merge(w->hosts[a].store, &v, b + 1, w->now);
	}
	mem_free(list);
	ipam_tick(w->hosts[a].ipam, w->now);
	world_drain(w, a);
}

static inline void world_late(struct world *w, unsigned a)
{
	const struct late *l;
	struct entry_view v;

	if (!w->hosts[a].up || w->history_count == 0)
		return;
	l = &w->history[rng_below(&w->rng, w->history_count)];
	v = (struct entry_view){
		.kind = l->kind,
		.writer = l->writer,
		.generation = l->generation,
		.version = l->version,
		.key = bytes_of(l->key, l->key_size),
		.value = bytes_of(l->value, l->value_size),
	};
	store_merge(w->hosts[a].store, &v, 99, w->now);
	ipam_tick(w->hosts[a].ipam, w->now);
	world_drain(w, a);
}

/* Delivers, drops or doubles the message with that number. */
static inline void world_deliver(struct world *w, size_t at, bool drop, bool twice)
{
	struct flight f;

	assert_true(at < w->flight_count);
	f = w->flight[at];
	w->flight[at] = w->flight[--w->flight_count];
	if (!drop && connected(w, f.from, f.to)) {
		for (int n = 0; n < (twice ? 2 : 1); n++)
			MUST(!ipam_on_message(w->hosts[f.to].ipam, w->hosts[f.from].name,
					      bytes_of(f.bytes, f.size), w->now));
		world_drain(w, f.to);
	} else {
		w->lost++;
	}
	mem_free(f.bytes);
}

static inline void world_cut(struct world *w, unsigned a, unsigned b, bool cut)
{
	w->cut[a][b] = w->cut[b][a] = cut;
	if (cut) {
		lose_neighbour(w, a, b);
		lose_neighbour(w, b, a);
	}
}

static inline void world_tick(struct world *w, uint64_t ms)
{
	w->now.ms += ms;
	for (unsigned n = 0; n < w->count; n++) {
		if (!w->hosts[n].up)
			continue;
		ipam_tick(w->hosts[n].ipam, w->now);
		world_drain(w, n);
	}
}

/* ---- what users do ---- */

static inline uint64_t note_asked(struct world *w, struct host *h, const char *name)
{
	uint64_t request = ++w->requests;

	if (h->asked_count == CONTAINERS_MAX)
		return 0;
	h->asked[h->asked_count].request = request;
	snprintf(h->asked[h->asked_count].name, 32, "%s", name);
	h->asked_count++;
	return request;
}

static inline uint64_t world_allocate(struct world *w, unsigned n, const char *name)
{
	struct host *h = &w->hosts[n];
	uint64_t request = h->up ? note_asked(w, h, name) : 0;

	if (request) {
		ipam_allocate(h->ipam, request, text_bytes(name),
			      (struct span){ 1, w->universe.size - 1 }, w->now);
		world_drain(w, n);
	}
	return request;
}

static inline uint64_t world_claim(struct world *w, unsigned n, const char *name, uint64_t offset)
{
	struct host *h = &w->hosts[n];
	uint64_t request = h->up ? note_asked(w, h, name) : 0;

	if (request) {
		ipam_claim(h->ipam, request, text_bytes(name), offset, w->now);
		world_drain(w, n);
	}
	return request;
}

static inline void world_kill_container(struct world *w, unsigned n, size_t at, bool grace)
{
	struct host *h = &w->hosts[n];
	struct container c = h->containers[at];

	h->containers[at] = h->containers[--h->containers_count];
	if (!h->up)
		return; /* found out at the next start */
	if (grace)
		ipam_container(h->ipam, text_bytes(c.name), false, w->now);
	else
		ipam_release(h->ipam, text_bytes(c.name), c.offset, w->now);
	world_drain(w, n);
}

static inline void world_lose_disk(struct world *w, unsigned n)
{
	struct host *h = &w->hosts[n];

	world_crash(w, n);
	w->disks_lost++;
	rows_clear(&h->disk);
	h->config.store_id = rng_u64(&w->rng) | 1;
}

/* ---- invariants ---- */

static inline bool may_use(const struct host *h, uint64_t offset)
{
	return h->up && ipam_ready(h->ipam) && space_owns(&h->ipam->space, offset);
}

/* Addresses are unique within one ring: the most users and holders that one has. */
static inline void count_by_ring(const struct world *w, uint64_t at, unsigned *users,
				 unsigned *holders)
{
	*users = *holders = 0;
	for (unsigned r = 0; r < w->count; r++) {
		uint64_t ring_id = w->hosts[r].up ? w->hosts[r].ipam->ring_id : 0;
		unsigned u = 0, h = 0;

		for (unsigned n = 0; n < w->count; n++) {
			const struct host *host = &w->hosts[n];

			u += may_use(host, at) && host->ipam->ring_id == ring_id;
			for (size_t k = 0; k < host->containers_count; k++)
				h += host->containers[k].offset == at &&
				     host->containers[k].ring_id == ring_id;
		}
		*users = u > *users ? u : *users;
		*holders = h > *holders ? h : *holders;
	}
}

static inline void world_check(struct world *w)
{
	char text[96];

	for (uint64_t at = 0; at < w->universe.size; at++) {
		unsigned users = 0, holders = 0;

		for (unsigned n = 0; n < w->count; n++) {
			users += may_use(&w->hosts[n], at);
			for (size_t k = 0; k < w->hosts[n].containers_count; k++)
				holders += w->hosts[n].containers[k].offset == at;
		}
		if (users > 1 || holders > 1)
			count_by_ring(w, at, &users, &holders);
		if (users <= 1 && holders <= 1)
			continue;
		for (unsigned n = 0; n < w->count; n++) {
			const struct host *h = &w->hosts[n];
			const struct run *run = h->up ? ring_at(&h->ipam->ring, at) : NULL;

			fprintf(stderr, "host %u: %s", n, h->up ? "up" : "down");
			if (run)
				fprintf(stderr, " [%u,%u) %u.%u owner %x/%x us %x marks %zu %s",
					(unsigned)run->start, (unsigned)run->end, run->epoch,
					run->counter, (unsigned)run->owner.name,
					(unsigned)run->owner.store_id,
					(unsigned)h->ipam->self.store_id,
					h->ipam->takeovers.marks_count,
					may_use(h, at) ? "may use" : "");
			fputc('\n', stderr);
		}
		snprintf(text, sizeof text, "offset %u: %u may use it, %u live there", (unsigned)at,
			 users, holders);
		must_failed(__FILE__, __LINE__, __func__, text);
	}
}

/* Who lives was told its address, so that is held; where nothing is released behind our back. */
static inline void world_check_held(const struct host *h)
{
	for (size_t k = 0; h->up && k < h->containers_count; k++) {
		const struct container *c = &h->containers[k];
		uint64_t offset;

		MUST(ipam_lookup(h->ipam, text_bytes(c->name),
				 (struct span){ c->offset, c->offset + 1 }, 0, &offset));
	}
}

/* Once all is saved, the disk has a row for each run, address and mark, and no other. */
static inline void world_check_rows(const struct host *h)
{
	size_t runs = 0, addresses = 0, marks = 0;

	for (size_t k = 0; h->up && !h->pending.count && k < h->disk.count; k++) {
		const struct row *r = &h->disk.list[k];
		const struct run *run = ring_at(&h->ipam->ring, r->key);
		const struct mark *m = mark_from(h->ipam, r->key);
		struct run row;

		runs += r->table == IPAM_TABLE_RUN;
		addresses += r->table == IPAM_TABLE_ADDRESS;
		marks += r->table == IPAM_TABLE_MARK;
		if (r->table == IPAM_TABLE_RUN) {
			MUST(!run_value_read(&row, r->key, bytes_of(r->value, r->size),
					     h->ipam->config.universe.size));
			MUST(run && run->start == row.start && run->end == row.end &&
			     run_compare(run, &row) == 0);
		}
		MUST(r->table != IPAM_TABLE_ADDRESS || address_find(h->ipam, r->key));
		MUST(r->table != IPAM_TABLE_MARK || (m && m->start == r->key));
	}
	if (!h->up || h->pending.count)
		return;
	MUST(runs == ring_count(&h->ipam->ring));
	MUST(addresses == h->ipam->space.used_count);
	MUST(marks == h->ipam->takeovers.marks_count);
}

/* What each router says of itself. */
static inline void world_check_all(struct world *w)
{
	for (unsigned n = 0; n < w->count; n++)
		if (w->hosts[n].up) {
			ipam_check(w->hosts[n].ipam);
			store_check_all(w->hosts[n].store);
			world_check_rows(&w->hosts[n]);
		}
}

/* ---- whole worlds ---- */

static inline struct world *world_new(uint64_t seed, unsigned count, const char *range,
				      enum ipam_mode mode, uint32_t electors)
{
	struct world *w = mem_new(1, sizeof *w);
	struct cidr c;
	struct why why;

	w->rng.state = seed;
	w->now.ms = 1000;
	w->count = count;
	w->history = mem_new(HISTORY_MAX, sizeof *w->history);
	MUST(cidr_parse(range, &c) && universe_init(&w->universe, c, &why));
	for (unsigned n = 0; n < count; n++) {
		static peer_name names[HOSTS_MAX];
		struct host *h = &w->hosts[n];

		h->name = names[n] = 0x0a + n;
		h->config = (struct ipam_config){
			.universe = w->universe,
			.self = h->name,
			.store_id = rng_u64(&w->rng) | 1,
			.has_targets = count > 1,
			.mode = mode,
			.electors = electors,
			.seeds = names,
			.seeds_count = mode == IPAM_SEED ? (electors ? electors : count) : 0,
		};
	}
	return w;
}

static inline void world_free(struct world *w)
{
	for (unsigned n = 0; n < w->count; n++) {
		struct host *h = &w->hosts[n];

		store_free(h->store);
		ipam_free(h->ipam);
		rows_clear(&h->disk);
		rows_clear(&h->pending);
		rows_clear(&h->snapshot);
		mem_free(h->disk.list);
		mem_free(h->pending.list);
		mem_free(h->snapshot.list);
	}
	for (size_t n = 0; n < w->flight_count; n++)
		mem_free(w->flight[n].bytes);
	mem_free(w->history);
	mem_free(w);
}

/* Lets everything happen that wants to: syncs, messages, gossip, heartbeats, for 'ms'. */
static inline void world_run(struct world *w, uint64_t ms)
{
	uint64_t until = w->now.ms + ms;

	while (w->now.ms < until) {
		for (unsigned a = 0; a < w->count; a++)
			for (unsigned b = 0; b < w->count; b++) {
				world_heartbeat(w, a, b);
				world_gossip(w, a, b, 256);
			}
		for (unsigned n = 0; n < w->count; n++)
			world_sync(w, n);
		for (size_t limit = 1000; w->flight_count && limit; limit--)
			world_deliver(w, 0, false, false);
		world_tick(w, 250);
		world_check(w);
		world_check_all(w);
	}
}

static inline void world_start_all(struct world *w)
{
	for (unsigned n = 0; n < w->count; n++)
		world_start(w, n);
}

static inline uint64_t world_offset_of(const struct world *w, unsigned n, const char *name)
{
	for (size_t k = 0; k < w->hosts[n].containers_count; k++)
		if (strcmp(w->hosts[n].containers[k].name, name) == 0)
			return w->hosts[n].containers[k].offset;
	return UINT64_MAX;
}

/* Who owns it in n's view. */
static inline peer_name world_owner(const struct world *w, unsigned n, uint64_t offset)
{
	const struct run *run = ring_at(&w->hosts[n].ipam->ring, offset);

	return run ? run->owner.name : PEER_NAME_NONE;
}

#endif
