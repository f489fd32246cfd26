/* Entries: our own, what others send, and what is done about those in our name that we did not
 * write (self-entry rule, control-plane.md 3).
 *
 * 'own' holds what we want the world to know of us; the store holds what it knows.  Whenever the
 * two disagree about an entry of ours, the store is overruled under a higher version, and under a
 * higher generation only after that was made durable.
 */
#include "gossip_engine.h"

#include <stdio.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "entry_wire.h"

/* ---- what we want known ---- */

static uint64_t own_hash(const struct gossip *g, uint8_t kind, struct bytes key)
{
	struct hash_key k = { g->hash_key.k0 ^ kind, g->hash_key.k1 };

	return hash64(&k, key.data, key.size);
}

static struct own_entry *own_find(const struct gossip *g, uint8_t kind, struct bytes key)
{
	uint64_t hash = own_hash(g, kind, key);

	for (struct table_link *l = table_first(&g->own, hash); l; l = table_next(l, hash)) {
		struct own_entry *o = table_entry(l, struct own_entry, by_key);

		if (o->kind == kind && bytes_equal(bytes_of(o->key, o->key_size), key))
			return o;
	}
	return NULL;
}

static void own_free(struct own_entry *o)
{
	mem_free(o->value);
	mem_free(o);
}

static void own_set(struct gossip *g, uint8_t kind, struct bytes key, struct bytes value)
{
	struct own_entry *o = own_find(g, kind, key);

	if (!o) {
		o = mem_new(1, sizeof *o + key.size);
		o->kind = kind;
		o->key_size = key.size;
		memcpy(o->key, key.data, key.size);
		table_insert(&g->own, &o->by_key, own_hash(g, kind, key));
	}
	mem_free(o->value);
	o->value = value.size ? mem_copy(value.data, value.size) : NULL;
	o->value_size = value.size;
}

void entries_free(struct gossip *g)
{
	TABLE_EACH(&g->own, l)
		own_free(table_entry(l, struct own_entry, by_key));
}

/* ---- writing ---- */

/* Makes identity.generation durable; all of ours is published anew once it is. */
static void begin_generation(struct gossip *g)
{
	struct gossip_action *a = push_action(g, GOSSIP_PERSIST);

	g->persisting = true;
	a->ticket = ++g->ticket;
	a->generation = g->identity.generation;
	log_warning(g->log, "generation raised to %llu; publishing everything again",
		    (unsigned long long)a->generation);
}

/* Takes the generation after 'over'.  At the very highest there is none: then an entry that stands
 * above ours stays. */
static void raise_generation(struct gossip *g, uint64_t over)
{
	if (over >= VERSION_LIMIT - 1)
		return;
	g->identity.generation = over + 1;
	begin_generation(g);
}

static bool may_write(const struct gossip *g)
{
	return !g->persisting && !g->identity.silent;
}

/* Writes 'value' (tombstone when .data is NULL) over whatever is stored. */
static void write_entry(struct gossip *g, uint8_t kind, struct bytes key, struct bytes value)
{
	const struct entry *old = store_find(g->store, kind, key);
	struct entry_view e = {
		.kind = kind,
		.flags = value.data ? 0 : ENTRY_TOMBSTONE,
		.writer = g->config.name,
		.generation = g->identity.generation,
		.version = 1,
		.key = key,
		.value = value,
	};

	if (!may_write(g))
		return; /* on_persisted or the end of silence does it */
	if (!value.data && (!old || old->view.flags & ENTRY_TOMBSTONE))
		return;
	if (old && old->view.generation == e.generation)
		e.version = old->view.version + 1;
	if ((old && old->view.generation > e.generation) || e.version >= VERSION_LIMIT) {
		if (!identity_waits(&g->identity))
			raise_generation(g, old ? old->view.generation : e.generation);
		return;
	}
	if (store_check(g->store, &e))
		NOT_REACHED("malformed entry of our own");
	store_put(g->store, &e, g->now);
}

static void write_own(struct gossip *g, const struct own_entry *o)
{
	static const uint8_t nothing;

	write_entry(g, o->kind, bytes_of(o->key, o->key_size),
		    bytes_of(o->value ? o->value : &nothing, o->value_size));
}

bool entries_put(struct gossip *g, uint8_t kind, struct bytes key, struct bytes value)
{
	struct own_entry *o = own_find(g, kind, key);

	if (!value.data) {
		if (!o)
			return false;
		table_remove(&g->own, &o->by_key);
		own_free(o);
		write_entry(g, kind, key, value);
	} else {
		if (o && bytes_equal(bytes_of(o->value, o->value_size), value))
			return false;
		if (!o && g->own.count >= WRITER_ENTRIES_MAX)
			return false;
		own_set(g, kind, key, value);
		write_entry(g, kind, key, value);
	}
	return true;
}

bool gossip_put(struct gossip *g, uint8_t kind, struct bytes key, struct bytes value,
		struct mono now)
{
	bool changed;

	g->now = now;
	changed = entries_put(g, kind, key, value);
	if (changed)
		gossip_settle(g);
	return changed;
}

void entries_put_peer(struct gossip *g)
{
	uint8_t key[8], value[ENTRY_SIZE_MAX];
	struct writer k = writer_over(key, sizeof key), v = writer_over(value, sizeof value);
	struct peer_info p = {
		.name = g->config.name,
		.protocol_min = g->config.protocol_min,
		.protocol_max = g->config.protocol_max,
		.overlays = g->config.overlays,
		.instance = g->config.instance,
		.store_id = g->config.store_id,
		.floor = g->identity.floor,
		.port = g->config.port,
		.addresses_count = g->config.addresses_count,
	};

	memcpy(p.nickname, g->config.nickname, sizeof p.nickname);
	snprintf(p.software, sizeof p.software, "weave %s", WEAVE_VERSION);
	memcpy(p.addresses, g->config.addresses, sizeof p.addresses);
	peer_info_key(p.name, &k);
	peer_info_encode(&p, &v);
	MUST(!k.full && !v.full);
	own_set(g, KIND_PEER, writer_bytes(&k), writer_bytes(&v));
	write_entry(g, KIND_PEER, writer_bytes(&k), writer_bytes(&v));
}

/* ---- our name in entries that we did not write ---- */

static void publish_all(struct gossip *g)
{
	TABLE_EACH(&g->own, l)
		write_own(g, table_entry(l, struct own_entry, by_key));
	g->floor_due = mono_after(g->now, FLOOR_MS);
}

void gossip_on_persisted(struct gossip *g, uint64_t ticket, struct mono now)
{
	g->now = now;
	if (!g->persisting || ticket != g->ticket)
		return; /* an older one: the newer generation is on its way */
	g->persisting = false;
	publish_all(g);
	gossip_settle(g);
}

/* The store took an entry of ours that is not the newest we wrote. */
static void overrule(struct gossip *g, uint8_t kind, struct bytes key)
{
	struct own_entry *o = own_find(g, kind, key);

	if (o)
		write_own(g, o);
	else
		write_entry(g, kind, key, (struct bytes){ NULL, 0 });
}

static bool is_peer_entry(const struct entry_view *e, struct peer_info *p)
{
	return e->kind == KIND_PEER && !(e->flags & ENTRY_TOMBSTONE) && !peer_info_decode(p, e);
}

/* A generation is durable before it is said, so whoever reads the disk of our store starts above
 * all that this store ever said; below, the disk is an old copy. */
static void note_former_life(struct gossip *g, const struct peer_info *p, uint64_t generation)
{
	struct gossip_action *a;

	if (p->instance == g->config.instance ||
	    (p->store_id == g->config.store_id && generation < g->config.generation))
		return;
	a = push_action(g, GOSSIP_FORMER_LIFE);
	a->store_id = p->store_id;
	a->copied = p->store_id == g->config.store_id;
}

static void obey(struct gossip *g, enum identity_verdict verdict, const struct entry_view *e,
		 enum store_result result)
{
	switch (verdict) {
	case IDENTITY_OURS:
		break;
	case IDENTITY_ANSWER:
		if (result == STORE_TOOK)
			overrule(g, e->kind, e->key);
		break;
	case IDENTITY_JUMP:
		begin_generation(g);
		break;
	case IDENTITY_WAIT:
		due_by(g, identity_deadline(&g->identity));
		break;
	case IDENTITY_SILENT:
		due_by(g, identity_deadline(&g->identity));
		log_warning(g->log,
			    "another live router has our name: no longer publishing, next try "
			    "in 60 s duplicate_instance=%016llx",
			    (unsigned long long)g->identity.duplicate);
		break;
	}
}

static enum store_result merge_in_our_name(struct conn *c, const struct entry_view *e)
{
	struct gossip *g = c->owner;
	const struct entry *mine = store_find(g->store, e->kind, e->key);
	bool was_silent = g->identity.silent;
	struct peer_info p = { .instance = 0 };
	enum identity_verdict verdict;
	enum store_result result;

	if (is_peer_entry(e, &p))
		note_former_life(g, &p, e->generation);
	verdict = identity_judge(&g->identity, e, mine ? &mine->view : NULL, p.instance, g->now);
	result = store_merge(g->store, e, c->id, g->now);
	if (verdict != IDENTITY_SILENT || !was_silent)
		obey(g, verdict, e, result);
	return result;
}

void entries_name_is_taken(struct gossip *g, struct name_holder holder)
{
	bool was_silent = g->identity.silent;
	enum identity_verdict verdict = identity_meet(&g->identity, holder.instance,
						      holder.generation, g->now);

	if (verdict != IDENTITY_SILENT || !was_silent)
		obey(g, verdict, NULL, STORE_SAME);
}

/* What a former life said and this one does not. */
static void sweep_former_life(struct gossip *g)
{
	const struct entry *next;

	for (const struct entry *e = store_next_of(g->store, g->config.name, NULL); e; e = next) {
		uint8_t key[ENTRY_KEY_MAX];
		struct bytes k = { key, e->view.key.size };

		next = store_next_of(g->store, g->config.name, e);
		if (e->view.flags & ENTRY_TOMBSTONE || !kind_has_one_writer(e->view.kind) ||
		    own_find(g, e->view.kind, e->view.key))
			continue;
		memcpy(key, e->view.key.data, k.size);
		write_entry(g, e->view.kind, k, (struct bytes){ NULL, 0 });
	}
}

/* ---- what others send ---- */

void gossip_merge(struct gossip *g, const struct entry_view *e, struct mono now)
{
	g->now = now;
	MUST(!store_check(g->store, e));
	store_merge(g->store, e, 0, now);
	gossip_settle(g);
}

/* A neighbour of some peer says that its link to it is down. */
static bool is_retraction(const struct gossip *g, const struct entry_view *e,
			  struct link_info *now_down)
{
	const struct entry *old;
	struct link_info before;

	if (link_info_decode(now_down, e) ||
	    (!(e->flags & ENTRY_TOMBSTONE) && now_down->established))
		return false;
	old = store_find(g->store, e->kind, e->key);
	return old && !(old->view.flags & ENTRY_TOMBSTONE) &&
	       !link_info_decode(&before, &old->view) && before.established;
}

static void merge(struct conn *c, const struct entry_view *e)
{
	struct gossip *g = c->owner;
	struct link_info down;
	bool retraction = e->kind == KIND_LINK && is_retraction(g, e, &down);
	enum store_result result;

	if (e->writer == g->config.name && kind_has_one_writer(e->kind))
		result = merge_in_our_name(c, e);
	else
		result = store_merge(g->store, e, c->id, g->now);
	neighbour_on_merged(&c->neighbour, e, result);
	g->counters.entries_received++;
	if (result != STORE_TOOK)
		return;
	if (retraction)
		mesh_on_retract(g, down.to, down.from);
	if (e->kind == KIND_GONE)
		g->gone_arrived = true;
}

/* All of a message is checked before any of it is merged. */
const char *entries_received(struct conn *c, struct bytes body)
{
	struct gossip *g = c->owner;
	struct pulse p;
	struct reader start, r;
	struct entry_view e;
	uint16_t count;
	const char *bad = entries_decode(&p, &count, &start, body);

	if (bad)
		return bad;
	r = start;
	for (unsigned i = 0; i < count; i++) {
		bad = entry_decode(&e, &r);
		if (!bad)
			bad = store_check(g->store, &e);
		if (bad)
			return bad;
	}
	bad = reader_verdict(&r);
	if (bad)
		return bad;
	for (unsigned i = 0; i < count; i++) {
		entry_decode(&e, &start);
		merge(c, &e);
	}
	neighbour_sync_end(&c->neighbour, p.flags & PULSE_SYNC_END, g->now);
	return neighbour_on_pulse(&c->neighbour, &p, g->now);
}

/* ---- time ---- */

void entries_settle(struct gossip *g)
{
	if (!g->gone_arrived)
		return;
	g->gone_arrived = false;
	garbage_apply(g->garbage);
	/* We were away for a day: everybody who was comes back within ten seconds, not at once. */
	if (garbage_gone_generation(g->garbage, g->config.name) >= g->identity.generation &&
	    g->republish_due.ms == MONO_NEVER.ms) {
		g->republish_due = mono_after(g->now, rng_below(&g->rng, REPUBLISH_MS));
		due_by(g, g->republish_due);
	}
}

static void come_back(struct gossip *g)
{
	uint64_t gone = garbage_gone_generation(g->garbage, g->config.name);

	g->republish_due = MONO_NEVER;
	if (gone >= g->identity.generation)
		raise_generation(g, gone);
}

static void declare_gone(struct gossip *g, const struct gone_info *gone)
{
	uint8_t key[8], value[ENTRY_SIZE_MAX];
	struct writer k = writer_over(key, sizeof key), v = writer_over(value, sizeof value);
	const struct entry *old;
	char name[PEER_NAME_TEXT_SIZE];
	struct entry_view e;

	gone_info_key(gone->peer, &k);
	gone_info_encode(gone, &v);
	e = (struct entry_view){
		.kind = KIND_GONE,
		.writer = g->config.name,
		.generation = gone->generation,
		.key = writer_bytes(&k),
		.value = writer_bytes(&v),
	};
	old = store_find(g->store, e.kind, e.key);
	if (old && old->view.generation >= e.generation)
		return;
	store_put(g->store, &e, g->now);
	g->gone_arrived = true;
	log_info(g->log, "peer has been away for a day and is forgotten: peer=%s",
		 peer_name_text(gone->peer, name));
}

void entries_tick(struct gossip *g)
{
	struct gone_info gone;

	if (mono_reached(g->now, garbage_deadline(g->garbage)))
		for (unsigned i = 0;
		     i < GONE_ENTRIES_MAX && garbage_sweep(g->garbage, g->now, &gone); i++)
			if (!g->identity.silent)
				declare_gone(g, &gone);
	if (mono_reached(g->now, g->republish_due))
		come_back(g);
	if (identity_tick(&g->identity, g->now))
		begin_generation(g);
	if (mono_reached(g->now, g->floor_due) && may_write(g)) {
		g->floor_due = MONO_NEVER;
		g->identity.floor = g->identity.generation;
		entries_put_peer(g);
		sweep_former_life(g);
	}
}

struct mono entries_deadline(const struct gossip *g)
{
	struct mono due = mono_min(garbage_deadline(g->garbage), g->republish_due);

	if (may_write(g))
		due = mono_min(due, g->floor_due);
	return mono_min(due, identity_deadline(&g->identity));
}
