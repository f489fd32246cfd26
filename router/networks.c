#include "networks.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/list.h>
#include <weave/must.h>
#include <weave/rng.h>
#include <weave/router.h>

/* What somebody means by a number; equal keys are one object. */
struct meaning {
	struct meaning *next;
	uint32_t uses;
	char key[];
};

struct member {
	peer_name peer;
	uint64_t generation; /* of its entry */
	struct meaning *meaning;
};

/* A number that somebody speaks of. */
struct network {
	struct table_link link;
	uint32_t index; /* in networks.list */
	uint32_t segment;
	struct meaning *meanings;
	struct meaning *mine;	/* NULL: not open here */
	struct member *members; /* other peers, in order of name */
	uint32_t members_count, members_room;
	bool contested;
	bool carried; /* as told last */
	bool published;
	struct list pending;  /* our entry is to be written */
	struct list settling; /* contested or not is to be seen */
	struct list carrying; /* the kernel is to hear of it */
};

struct networks {
	peer_name self;
	const struct topology *topology;
	struct hash_key key;
	struct table table;
	struct network **list;
	size_t count, room;
	struct list pending, settling, carrying;
	bool tracking;
	size_t several; /* open here, and some other key is known */
	uint64_t version, contests;
	uint64_t settled_at; /* version of the topology */
	uint8_t key_buffer[NETWORK_KEY_SIZE], value_buffer[NETWORK_VALUE_MAX];
};

/* ---- records ---- */

static uint64_t hash_of(const struct networks *n, uint32_t segment)
{
	return hash64(&n->key, &segment, sizeof segment);
}

static struct network *find(const struct networks *n, uint32_t segment)
{
	uint64_t hash = hash_of(n, segment);
	struct table_link *l = table_first(&n->table, hash);

	for (; l; l = table_next(l, hash)) {
		struct network *w = table_entry(l, struct network, link);

		if (w->segment == segment)
			return w;
	}
	return NULL;
}

static struct network *get(struct networks *n, uint32_t segment)
{
	struct network *w = find(n, segment);

	if (w)
		return w;
	w = mem_new(1, sizeof *w);
	w->segment = segment;
	w->index = (uint32_t)n->count;
	list_init(&w->pending);
	list_init(&w->settling);
	list_init(&w->carrying);
	if (n->count == n->room) {
		n->room = n->room ? n->room * 2 : 16;
		n->list = mem_resize(n->list, n->room, sizeof *n->list);
	}
	n->list[n->count++] = w;
	table_insert(&n->table, &w->link, hash_of(n, segment));
	return w;
}

static void free_network(struct networks *n, struct network *w)
{
	struct network *last = n->list[--n->count];

	n->list[w->index] = last;
	last->index = w->index;
	table_remove(&n->table, &w->link);
	list_remove(&w->pending);
	list_remove(&w->settling);
	list_remove(&w->carrying);
	while (w->meanings) {
		struct meaning *m = w->meanings;

		w->meanings = m->next;
		mem_free(m);
	}
	mem_free(w->members);
	mem_free(w);
}

/* Frees it when nobody speaks of it and everything about it was told. */
static void release(struct networks *n, struct network *w)
{
	if (!w->mine && !w->members_count && !w->carried && list_empty(&w->pending) &&
	    list_empty(&w->settling))
		free_network(n, w);
}

static struct meaning *hold(struct network *w, const char *key)
{
	size_t size = strlen(key) + 1;
	struct meaning *m = w->meanings;

	while (m && strcmp(m->key, key) != 0)
		m = m->next;
	if (!m) {
		m = mem_new(1, sizeof *m + size);
		memcpy(m->key, key, size);
		m->next = w->meanings;
		w->meanings = m;
	}
	m->uses++;
	return m;
}

static void let_go(struct network *w, struct meaning *meaning)
{
	struct meaning **at = &w->meanings;

	if (--meaning->uses)
		return;
	while (*at != meaning)
		at = &(*at)->next;
	*at = meaning->next;
	mem_free(meaning);
}

static bool has_several(const struct network *w)
{
	return w->mine && w->meanings->next;
}

/* Around every change of a record: 'before' is what has_several said. */
static void changed(struct networks *n, struct network *w, bool before)
{
	bool after = has_several(w);

	n->several += after;
	n->several -= before;
	n->version++;
	if (list_empty(&w->settling))
		list_append(&n->settling, &w->settling);
}

static uint32_t position(const struct network *w, peer_name peer)
{
	uint32_t low = 0, high = w->members_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (w->members[middle].peer < peer)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct member *member_of(const struct network *w, peer_name peer)
{
	uint32_t at = position(w, peer);

	return at < w->members_count && w->members[at].peer == peer ? &w->members[at] : NULL;
}

static void set_member(struct network *w, const struct network_entry *e, uint64_t generation)
{
	uint32_t at = position(w, e->peer);
	struct meaning *meaning = hold(w, e->key);

	if (at < w->members_count && w->members[at].peer == e->peer) {
		let_go(w, w->members[at].meaning);
	} else {
		if (w->members_count == w->members_room) {
			w->members_room = w->members_room ? w->members_room * 2 : 4;
			w->members = mem_resize(w->members, w->members_room, sizeof *w->members);
		}
		memmove(w->members + at + 1, w->members + at,
			(w->members_count - at) * sizeof *w->members);
		w->members_count++;
	}
	w->members[at] = (struct member){ e->peer, generation, meaning };
}

static void remove_member(struct network *w, peer_name peer)
{
	struct member *m = member_of(w, peer);
	size_t at;

	if (!m)
		return;
	at = (size_t)(m - w->members);
	let_go(w, m->meaning);
	memmove(m, m + 1, (w->members_count - at - 1) * sizeof *m);
	w->members_count--;
}

/* From inside the store; nothing is freed here, since a list of work may be under way. */
static void on_change(void *ctx, const struct entry_view *before, const struct entry_view *after)
{
	const struct entry_view *e = after ? after : before;
	struct networks *n = ctx;
	struct network_entry entry;
	struct network *w;
	bool several;

	if (e->writer == n->self)
		return;
	MUST(!network_entry_decode(&entry, e));
	if (after && !(after->flags & ENTRY_TOMBSTONE)) {
		w = get(n, entry.segment);
		several = has_several(w);
		set_member(w, &entry, after->generation);
	} else {
		w = find(n, entry.segment);
		if (!w)
			return;
		several = has_several(w);
		remove_member(w, entry.peer);
	}
	changed(n, w, several);
}

struct networks *networks_new(peer_name self, struct store *store, const struct topology *topology,
			      uint64_t seed)
{
	struct networks *n = mem_new(1, sizeof *n);
	struct rng rng = { seed };
	struct kind kind = {
		.number = KIND_NETWORK,
		.name = "network",
		.check = network_entry_check,
		.on_change = on_change,
		.ctx = n,
	};

	n->self = self;
	n->topology = topology;
	n->key.k0 = rng_u64(&rng);
	n->key.k1 = rng_u64(&rng);
	list_init(&n->pending);
	list_init(&n->settling);
	list_init(&n->carrying);
	store_register(store, &kind);
	return n;
}

void networks_free(struct networks *n)
{
	if (!n)
		return;
	while (n->count)
		free_network(n, n->list[0]);
	table_fini(&n->table);
	mem_free(n->list);
	mem_free(n);
}

/* ---- who can be reached ---- */

static bool is_visible(const struct networks *n, const struct member *m)
{
	const struct topology_peer *p;

	if (!topology_reachable(n->topology, m->peer))
		return false;
	p = topology_peer(n->topology, m->peer);
	return p && p->known && m->generation >= p->generation;
}

/* The first visible one that means something else, or NULL. */
static const struct member *find_other(const struct networks *n, const struct network *w,
				       const char *key)
{
	for (uint32_t i = 0; i < w->members_count; i++)
		if (strcmp(w->members[i].meaning->key, key) != 0 && is_visible(n, &w->members[i]))
			return &w->members[i];
	return NULL;
}

static bool is_carried(const struct network *w)
{
	return w->mine && !w->contested;
}

static void settle(struct networks *n, struct network *w)
{
	bool contested = has_several(w) && find_other(n, w, w->mine->key);

	n->contests += contested != w->contested;
	w->contested = contested;
	if (n->tracking && is_carried(w) != w->carried && list_empty(&w->carrying))
		list_append(&n->carrying, &w->carrying);
}

void networks_settle(struct networks *n)
{
	uint64_t version = topology_version(n->topology);

	/* With one key each, nobody who comes or goes can make a difference. */
	if (n->several && n->settled_at != version)
		for (size_t i = 0; i < n->count; i++)
			if (has_several(n->list[i]) && list_empty(&n->list[i]->settling))
				list_append(&n->settling, &n->list[i]->settling);
	n->settled_at = version;
	while (!list_empty(&n->settling)) {
		struct network *w = list_entry(n->settling.next, struct network, settling);

		list_remove(&w->settling);
		settle(n, w);
		release(n, w);
	}
}

uint64_t networks_contests(const struct networks *n)
{
	return n->contests;
}

void networks_track(struct networks *n)
{
	n->tracking = true;
	for (size_t i = 0; i < n->count; i++)
		if (list_empty(&n->list[i]->settling))
			list_append(&n->settling, &n->list[i]->settling);
}

bool networks_next_carried(struct networks *n, uint32_t *segment, bool *carried)
{
	networks_settle(n);
	while (!list_empty(&n->carrying)) {
		struct network *w = list_entry(n->carrying.next, struct network, carrying);
		bool before = w->carried;

		list_remove(&w->carrying);
		*segment = w->segment;
		*carried = w->carried = is_carried(w);
		release(n, w);
		if (*carried != before)
			return true;
	}
	return false;
}

/* ---- ours ---- */

static void queue_publish(struct networks *n, struct network *w)
{
	if (list_empty(&w->pending))
		list_append(&n->pending, &w->pending);
}

static bool refuse(struct networks *n, const struct network *w, const char *key, struct why *why)
{
	char name[PEER_NAME_TEXT_SIZE];
	const struct member *other;

	if (w->mine) {
		if (strcmp(w->mine->key, key) == 0)
			return false;
		why_set(why, WHY_INVALID,
			"number %u of network %.32s is that of %.32s here: give one another name, "
			"or a number of its own",
			w->segment, key, w->mine->key);
		return true;
	}
	other = find_other(n, w, key);
	if (!other)
		return false;
	why_set(why, WHY_INVALID,
		"number %u of network %.32s is that of %.32s at peer %s: give one another name, or "
		"a number of its own",
		w->segment, key, other->meaning->key, peer_name_text(other->peer, name));
	return true;
}

bool networks_open(struct networks *n, uint32_t segment, const char *key, struct why *why)
{
	struct network *w = find(n, segment);
	bool several;

	MUST(segment != SEGMENT_DEFAULT && segment <= SEGMENT_MAX && segment_key_ok(key));
	if (w && refuse(n, w, key, why))
		return false;
	if (!w)
		w = get(n, segment);
	if (w->mine)
		return true;
	several = has_several(w);
	w->mine = hold(w, key);
	changed(n, w, several);
	queue_publish(n, w);
	return true;
}

void networks_close(struct networks *n, uint32_t segment)
{
	struct network *w = find(n, segment);
	struct meaning *mine;
	bool several;

	if (!w || !w->mine)
		return;
	several = has_several(w);
	mine = w->mine;
	w->mine = NULL;
	let_go(w, mine);
	changed(n, w, several);
	if (w->published || !list_empty(&w->pending))
		queue_publish(n, w);
}

bool networks_next_publish(struct networks *n, struct bytes *key, struct bytes *value)
{
	while (!list_empty(&n->pending)) {
		struct network *w = list_entry(n->pending.next, struct network, pending);
		struct writer k = writer_over(n->key_buffer, sizeof n->key_buffer);
		struct writer v = writer_over(n->value_buffer, sizeof n->value_buffer);
		struct network_entry entry = { .segment = w->segment, .peer = n->self };
		bool was = w->published;

		list_remove(&w->pending);
		w->published = w->mine != NULL;
		network_entry_key(&entry, &k);
		*key = writer_bytes(&k);
		*value = bytes_of(NULL, 0);
		if (w->mine) {
			memcpy(entry.key, w->mine->key, strlen(w->mine->key));
			network_entry_value(&entry, &v);
			*value = writer_bytes(&v);
		}
		if (w->mine)
			return true;
		release(n, w);
		if (was)
			return true;
	}
	return false;
}

/* ---- asking ---- */

uint64_t networks_version(const struct networks *n)
{
	return n->version;
}

bool networks_is_open(const struct networks *n, uint32_t segment)
{
	const struct network *w;

	if (segment == SEGMENT_DEFAULT)
		return true;
	w = find(n, segment);
	return w && w->mine;
}

static const struct meaning *meaning_of(const struct networks *n, const struct network *w,
					peer_name peer)
{
	const struct member *m;

	if (peer == n->self)
		return w->mine;
	m = member_of(w, peer);
	return m ? m->meaning : NULL;
}

bool networks_takes(const struct networks *n, uint32_t segment, peer_name origin)
{
	const struct network *w;

	if (segment == SEGMENT_DEFAULT)
		return true;
	w = find(n, segment);
	return w && w->mine && meaning_of(n, w, origin) == w->mine;
}

bool networks_agrees(const struct networks *n, uint32_t segment, peer_name peer)
{
	const struct network *w;
	const struct meaning *theirs;

	if (!n->several || segment == SEGMENT_DEFAULT)
		return true;
	w = find(n, segment);
	if (!w || !w->mine)
		return true;
	theirs = meaning_of(n, w, peer);
	return !theirs || theirs == w->mine;
}

peer_name networks_next_member(const struct networks *n, uint32_t segment, peer_name origin,
			       size_t *at)
{
	const struct network *w = find(n, segment);
	const struct meaning *meaning = w ? meaning_of(n, w, origin) : NULL;

	if (!meaning)
		return PEER_NAME_NONE;
	if (*at == 0) {
		++*at;
		if (w->mine == meaning)
			return n->self;
	}
	while (*at <= w->members_count) {
		const struct member *m = &w->members[*at - 1];

		++*at;
		if (m->meaning == meaning)
			return m->peer;
	}
	return PEER_NAME_NONE;
}

/* ---- looking in ---- */

static const struct meaning *shown_meaning(const struct network *w)
{
	return w->mine ? w->mine : w->members_count ? w->members[0].meaning : NULL;
}

peer_name networks_next_peer(const struct networks *n, size_t index, size_t *at)
{
	const struct network *w = n->list[index];
	const struct meaning *meaning = shown_meaning(w);

	while (*at < w->members_count) {
		const struct member *m = &w->members[(*at)++];

		if (m->meaning == meaning && is_visible(n, m))
			return m->peer;
	}
	return PEER_NAME_NONE;
}

bool networks_at(const struct networks *n, size_t index, struct network_info *info)
{
	const struct network *w;
	const struct meaning *meaning;
	size_t at = 0;

	if (index >= n->count)
		return false;
	w = n->list[index];
	meaning = shown_meaning(w);
	*info = (struct network_info){
		.segment = w->segment,
		.key = meaning ? meaning->key : "",
		.open = w->mine != NULL,
		.contested = w->contested,
	};
	while (networks_next_peer(n, index, &at) != PEER_NAME_NONE)
		info->peers_count++;
	return true;
}

void networks_check(const struct networks *n)
{
	size_t several = 0;

	MUST(n->table.count == n->count);
	for (size_t i = 0; i < n->count; i++) {
		const struct network *w = n->list[i];
		uint32_t uses = 0;

		MUST(w->index == i && find(n, w->segment) == w);
		MUST(w->segment != SEGMENT_DEFAULT && w->segment <= SEGMENT_MAX);
		for (uint32_t k = 1; k < w->members_count; k++)
			MUST(w->members[k - 1].peer < w->members[k].peer);
		for (const struct meaning *m = w->meanings; m; m = m->next) {
			MUST(m->uses > 0);
			uses += m->uses;
		}
		MUST(uses == w->members_count + (w->mine != NULL));
		several += has_several(w);
	}
	MUST(several == n->several);
}
