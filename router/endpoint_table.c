#include "endpoint_table.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#define BEST_VALID_MS 1000u /* a floor may rise without a new topology */
#define FAIR_LOOKS 16u

static uint64_t hash_of(const struct endpoints *e, uint32_t segment, struct mac mac)
{
	uint64_t words[2] = { mac_to_u64(mac), segment };

	return hash64(&e->key, words, sizeof words);
}

static struct record *find(const struct endpoints *e, uint32_t segment, struct mac mac,
			   uint64_t hash)
{
	struct table_link *l = table_first(&e->table, hash);

	for (; l; l = table_next(l, hash)) {
		struct record *r = table_entry(l, struct record, link);

		if (r->segment == segment && mac_equal(r->mac, mac))
			return r;
	}
	return NULL;
}

struct record *record_find(const struct endpoints *e, uint32_t segment, struct mac mac)
{
	return find(e, segment, mac, hash_of(e, segment, mac));
}

static void add_to_records(struct endpoints *e, struct record *r)
{
	if (e->records_count == e->records_room) {
		e->records_room = e->records_room ? e->records_room * 2 : 64;
		e->records = mem_resize(e->records, e->records_room, sizeof(struct record *));
	}
	r->index = (uint32_t)e->records_count;
	e->records[e->records_count++] = r;
}

struct record *record_get(struct endpoints *e, uint32_t segment, struct mac mac)
{
	uint64_t hash = hash_of(e, segment, mac);
	struct record *r = find(e, segment, mac, hash);

	if (r)
		return r;
	r = mem_new(1, sizeof *r);
	r->segment = segment;
	r->mac = mac;
	list_init(&r->local);
	list_init(&r->by_origin);
	list_init(&r->by_age);
	list_init(&r->pending_link);
	list_init(&r->changed_link);
	list_init(&r->touched_link);
	table_insert(&e->table, &r->link, hash);
	add_to_records(e, r);
	return r;
}

void record_free(struct endpoints *e, struct record *r)
{
	struct record *last = e->records[--e->records_count];

	e->records[r->index] = last;
	last->index = r->index;
	table_remove(&e->table, &r->link);
	list_remove(&r->local);
	list_remove(&r->pending_link);
	list_remove(&r->changed_link);
	record_forget_seen(e, r);
	list_remove(&r->touched_link);
	while (r->claims)
		record_remove_claim(r, r->claims->peer);
	mem_free(r->ips);
	mem_free(r);
}

void record_release(struct endpoints *e, struct record *r)
{
	if (!r->claims && !record_is_local(r) && !r->published && !r->origin &&
	    !record_queued(&r->pending_link) && !record_queued(&r->changed_link) &&
	    !record_queued(&r->touched_link))
		record_free(e, r);
}

void record_touch(struct endpoints *e, struct record *r)
{
	if (e->tracking && !record_queued(&r->touched_link))
		list_append(&e->touched, &r->touched_link);
}

uint64_t record_version(const struct endpoints *e)
{
	/* Both only rise, and so does the sum. */
	return topology_version(e->topology) + networks_contests(e->networks);
}

static bool is_visible(const struct endpoints *e, const struct record *r, const struct claim *c)
{
	const struct topology_peer *p;

	if (!topology_reachable(e->topology, c->peer) ||
	    !networks_agrees(e->networks, r->segment, c->peer))
		return false;
	p = topology_peer(e->topology, c->peer);
	return p && p->known && c->generation >= p->info.floor;
}

static bool outbids(const struct claim *a, const struct claim *b)
{
	if (a->claim != b->claim)
		return a->claim > b->claim;
	return a->peer < b->peer;
}

const struct claim *record_best(struct endpoints *e, struct record *r)
{
	uint64_t version;

	if (!r->claims)
		return NULL;
	version = record_version(e);
	if (r->best_known && r->best_version == version &&
	    mono_elapsed(r->best_at, e->now) < BEST_VALID_MS)
		return r->best;
	r->best = NULL;
	for (struct claim *c = r->claims; c; c = c->next)
		if (is_visible(e, r, c) && (!r->best || outbids(c, r->best)))
			r->best = c;
	r->best_known = true;
	r->best_version = version;
	r->best_at = e->now;
	return r->best;
}

uint32_t record_claim_max(const struct record *r)
{
	uint32_t max = 0;

	for (const struct claim *c = r->claims; c; c = c->next)
		if (c->claim > max)
			max = c->claim;
	return max;
}

void record_remove_claim(struct record *r, peer_name peer)
{
	for (struct claim **at = &r->claims; *at; at = &(*at)->next) {
		struct claim *c = *at;

		if (c->peer != peer)
			continue;
		*at = c->next;
		mem_free(c);
		break;
	}
	r->best = NULL;
	r->best_known = false;
}

void record_set_claim(struct record *r, const struct endpoint_entry *entry, uint64_t generation)
{
	struct claim *c;

	record_remove_claim(r, entry->peer);
	c = mem_new(1, sizeof *c + entry->ips_count * sizeof c->ips[0]);
	c->peer = entry->peer;
	c->generation = generation;
	c->claim = entry->claim;
	c->ips_count = entry->ips_count;
	memcpy(c->ips, entry->ips, entry->ips_count * sizeof c->ips[0]);
	c->next = r->claims;
	r->claims = c;
}

static struct origin *find_origin(const struct endpoints *e, peer_name peer)
{
	uint64_t hash = hash64(&e->key, &peer, sizeof peer);
	struct table_link *l = table_first(&e->origins, hash);

	for (; l; l = table_next(l, hash)) {
		struct origin *o = table_entry(l, struct origin, link);

		if (o->peer == peer)
			return o;
	}
	return NULL;
}

static struct origin *get_origin(struct endpoints *e, peer_name peer)
{
	struct origin *o = find_origin(e, peer);

	if (o)
		return o;
	o = mem_new(1, sizeof *o);
	o->peer = peer;
	list_init(&o->seen);
	table_insert(&e->origins, &o->link, hash64(&e->key, &peer, sizeof peer));
	return o;
}

void record_forget_seen(struct endpoints *e, struct record *r)
{
	struct origin *o = r->origin;

	if (!o)
		return;
	list_remove(&r->by_origin);
	list_remove(&r->by_age);
	r->origin = NULL;
	record_touch(e, r);
	e->seen_count--;
	if (--o->count)
		return;
	table_remove(&e->origins, &o->link);
	mem_free(o);
}

void record_see(struct endpoints *e, struct record *r, peer_name peer)
{
	if (!r->origin || r->origin->peer != peer) {
		struct origin *o;

		record_forget_seen(e, r);
		o = get_origin(e, peer);
		o->count++;
		e->seen_count++;
		r->origin = o;
		record_touch(e, r);
	}
	r->seen_there = e->now;
	list_remove(&r->by_origin);
	list_remove(&r->by_age);
	list_append(&r->origin->seen, &r->by_origin);
	list_append(&e->seen, &r->by_age);
}

/* Whose entry has to go: of a peer that has its fair share already its own oldest; else the oldest
 * of somebody who has more, among the first few; else the oldest of all. */
static struct record *victim_for(struct endpoints *e, peer_name peer)
{
	struct origin *o = find_origin(e, peer);
	size_t share = ENDPOINTS_LEARNED_MAX / (e->origins.count + (o ? 0 : 1));
	struct list *l = e->seen.next;

	if (o && o->count >= share)
		return list_entry(o->seen.next, struct record, by_origin);
	for (unsigned i = 0; i < FAIR_LOOKS && l != &e->seen; i++, l = l->next) {
		struct record *r = list_entry(l, struct record, by_age);

		if (r->origin->count > share)
			return r;
	}
	return list_entry(e->seen.next, struct record, by_age);
}

void record_make_seen_room(struct endpoints *e, peer_name peer)
{
	struct record *victim;

	if (e->seen_count < ENDPOINTS_LEARNED_MAX)
		return;
	victim = victim_for(e, peer);
	record_forget_seen(e, victim);
	record_release(e, victim);
}
