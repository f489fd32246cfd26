#include <weave/dns.h>

#include <string.h>

#include <weave/alloc.h>
#include <weave/hash.h>
#include <weave/must.h>
#include <weave/rng.h>
#include <weave/table.h>

#include "kind_name.h"

/* One that we publish. */
struct name_own {
	struct table_link by_key;
	uint8_t key[NAME_KEY_SIZE];
	struct ip_addr address;
	const char *hostname; /* both behind this struct */
	const char *container;
};

/* Another peer that has names, as last looked at: its entries are judged by this alone, so that
 * what was handed out and what is taken back always fit. */
struct writer_state {
	struct table_link by_peer;
	peer_name peer;
	bool shown;	/* its names can be found */
	uint64_t floor; /* those of this generation or a later one */
};

/* An entry of a former life of ours, to be taken back. */
struct grave {
	struct grave *next;
	struct name_entry name;
};

struct names {
	peer_name self;
	char domain[NAME_HOSTNAME_MAX + 1];
	struct gossip *gossip;
	struct store *store;
	struct topology *topology;
	struct hash_key hash_key;
	struct table own;     /* name_own */
	struct table writers; /* writer_state */
	uint64_t own_version, topology_version;
	size_t found; /* names of others that can be found now */
	bool tracking, settled, burying;
	struct name_change *changes, **changes_end;
	struct grave *graves;
	bool graves_new;
	uint64_t graves_tried; /* in this generation */
};

/* ---- changes ---- */

static struct name_change *add_change(struct names *n, const uint8_t *key, const char *hostname)
{
	size_t size = strlen(hostname) + 1;
	struct name_change *c = mem_new(1, sizeof *c + size);

	memcpy(c->key, key, sizeof c->key);
	memcpy(c->hostname, hostname, size);
	*n->changes_end = c;
	n->changes_end = &c->next;
	return c;
}

static void tell(struct names *n, const uint8_t *key, const struct name_entry *e)
{
	struct name_change *c;

	if (!n->tracking)
		return;
	c = add_change(n, key, e ? e->hostname : "");
	c->present = e != NULL;
	if (e)
		c->address = e->address;
}

static void tell_entry(struct names *n, const struct entry_view *view)
{
	struct name_entry e;

	MUST(!name_entry_decode(&e, view));
	tell(n, view->key.data, &e);
}

struct name_change *names_take_changes(struct names *n)
{
	struct name_change *list = n->changes;

	n->changes = NULL;
	n->changes_end = &n->changes;
	return list;
}

/* ---- the names of others ---- */

static bool is_live(const struct entry_view *e)
{
	return e && !(e->flags & ENTRY_TOMBSTONE);
}

static bool is_shown(const struct writer_state *w, const struct entry_view *e)
{
	return is_live(e) && w->shown && e->generation >= w->floor;
}

static void look(const struct names *n, struct writer_state *w)
{
	const struct topology_peer *p = topology_peer(n->topology, w->peer);

	w->shown = p && p->known && topology_reachable(n->topology, w->peer);
	w->floor = w->shown ? p->info.floor : 0;
}

static struct writer_state *find_writer(const struct names *n, peer_name peer)
{
	uint64_t hash = hash64(&n->hash_key, &peer, sizeof peer);

	for (struct table_link *l = table_first(&n->writers, hash); l; l = table_next(l, hash)) {
		struct writer_state *w = table_entry(l, struct writer_state, by_peer);

		if (w->peer == peer)
			return w;
	}
	return NULL;
}

static struct writer_state *get_writer(struct names *n, peer_name peer)
{
	struct writer_state *w = find_writer(n, peer);

	if (w)
		return w;
	w = mem_new(1, sizeof *w);
	w->peer = peer;
	look(n, w);
	table_insert(&n->writers, &w->by_peer, hash64(&n->hash_key, &peer, sizeof peer));
	return w;
}

static struct name_own *find_own(const struct names *n, const uint8_t *key)
{
	uint64_t hash = hash64(&n->hash_key, key, NAME_KEY_SIZE);

	for (struct table_link *l = table_first(&n->own, hash); l; l = table_next(l, hash)) {
		struct name_own *o = table_entry(l, struct name_own, by_key);

		if (memcmp(o->key, key, NAME_KEY_SIZE) == 0)
			return o;
	}
	return NULL;
}

/* Somebody said in our name what we do not say: a former life. */
static void bury_later(struct names *n, const struct entry_view *e)
{
	struct grave *g;

	if (!n->settled || n->burying || !is_live(e) || find_own(n, e->key.data))
		return;
	g = mem_new(1, sizeof *g);
	MUST(!name_entry_decode(&g->name, e));
	g->next = n->graves;
	n->graves = g;
	n->graves_new = true;
}

/* From inside the store. */
static void on_change(void *ctx, const struct entry_view *before, const struct entry_view *after)
{
	const struct entry_view *e = after ? after : before;
	struct names *n = ctx;
	struct writer_state *w;

	if (e->writer == n->self) {
		/* Ours are told of when they are put and removed. */
		bury_later(n, after);
		return;
	}
	w = get_writer(n, e->writer);
	n->found += is_shown(w, after);
	n->found -= is_shown(w, before);
	if (is_shown(w, after))
		tell_entry(n, after);
	else if (is_shown(w, before))
		tell(n, e->key.data, NULL);
}

/* The writer is seen in another light now. */
static void reconsider(struct names *n, struct writer_state *w)
{
	struct writer_state before = *w;

	look(n, w);
	if (w->shown == before.shown && w->floor == before.floor)
		return;
	for (const struct entry *e = store_next_of(n->store, w->peer, NULL); e;
	     e = store_next_of(n->store, w->peer, e)) {
		if (e->view.kind != KIND_NAME)
			continue;
		n->found += is_shown(w, &e->view);
		n->found -= is_shown(&before, &e->view);
		if (is_shown(w, &e->view) && !is_shown(&before, &e->view))
			tell_entry(n, &e->view);
		else if (!is_shown(w, &e->view) && is_shown(&before, &e->view))
			tell(n, e->view.key.data, NULL);
	}
}

void names_update(struct names *n)
{
	uint64_t version = topology_version(n->topology);

	if (version == n->topology_version)
		return;
	n->topology_version = version;
	TABLE_EACH(&n->writers, l) {
		struct writer_state *w = table_entry(l, struct writer_state, by_peer);

		reconsider(n, w);
		if (!w->shown && !store_next_of(n->store, w->peer, NULL)) {
			table_remove(&n->writers, l);
			mem_free(w);
		}
	}
}

const struct entry *names_next(const struct names *n, const struct entry *after,
			       struct name_entry *out)
{
	for (const struct entry *e = store_next(n->store, after); e; e = store_next(n->store, e)) {
		const struct writer_state *w;

		if (e->view.kind != KIND_NAME || !is_live(&e->view))
			continue;
		w = e->view.writer == n->self ? NULL : find_writer(n, e->view.writer);
		if (e->view.writer == n->self ? find_own(n, e->view.key.data) != NULL
					      : w && is_shown(w, &e->view)) {
			MUST(!name_entry_decode(out, &e->view));
			return e;
		}
	}
	return NULL;
}

/* ---- our own ---- */

static void entry_of(const struct names *n, const struct name_own *o, struct name_entry *e)
{
	*e = (struct name_entry){ .peer = n->self, .address = o->address };
	strcpy(e->hostname, o->hostname);
	strcpy(e->container, o->container);
}

static void add_own(struct names *n, const uint8_t *key, const struct name_entry *e)
{
	size_t hostname = strlen(e->hostname) + 1, container = strlen(e->container) + 1;
	struct name_own *o = mem_new(1, sizeof *o + hostname + container);
	char *text = (char *)(o + 1);

	memcpy(o->key, key, sizeof o->key);
	o->address = e->address;
	o->hostname = memcpy(text, e->hostname, hostname);
	o->container = memcpy(text + hostname, e->container, container);
	table_insert(&n->own, &o->by_key, hash64(&n->hash_key, key, NAME_KEY_SIZE));
}

static bool check(const struct names *n, struct name_entry *e, const char *container,
		  const char *hostname, struct why *why)
{
	const char *bad = hostname_check(hostname, e->hostname);

	if (bad) {
		why_set(why, WHY_INVALID, "'%.60s' is no host name: %s", hostname, bad);
		return false;
	}
	if (!hostname_is_within(e->hostname, n->domain)) {
		why_set(why, WHY_INVALID,
			"'%.60s' is outside of the domain %.60s.: is %.60s.%.60s. meant?", hostname,
			n->domain, e->hostname, n->domain);
		return false;
	}
	if (!*container || strlen(container) > NAME_CONTAINER_MAX) {
		why_set(why, WHY_INVALID, "a container's id has 1 to %u bytes: '%.80s'",
			NAME_CONTAINER_MAX, container);
		return false;
	}
	strcpy(e->container, container);
	for (const char *c = container; *c; c++) {
		if ((unsigned char)*c > 0x20 && (unsigned char)*c < 0x7f)
			continue;
		why_set(why, WHY_INVALID, "a container's id has no blanks: '%.80s'", container);
		return false;
	}
	return true;
}

bool names_put(struct names *n, const char *container, const char *hostname, struct ip_addr address,
	       struct mono now, struct why *why)
{
	struct name_entry e = { .peer = n->self, .address = address };
	uint8_t k[NAME_KEY_SIZE], v[NAME_VALUE_MAX];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);
	struct name_own *old;

	MUST(address.family == 4 || address.family == 6);
	if (!check(n, &e, container, hostname, why))
		return false;
	name_entry_key(&e, &key);
	old = find_own(n, k);
	if (old && strcmp(old->hostname, e.hostname) == 0)
		return true;
	if (!old && n->own.count >= NAMES_OWN_MAX) {
		why_set(why, WHY_LIMIT, "this router has %u names already, more it cannot have",
			NAMES_OWN_MAX);
		return false;
	}
	if (old) {
		table_remove(&n->own, &old->by_key);
		mem_free(old);
	}
	add_own(n, k, &e);
	n->own_version++;
	tell(n, k, &e);
	name_entry_value(&e, &value);
	gossip_put(n->gossip, KIND_NAME, writer_bytes(&key), writer_bytes(&value), now);
	return true;
}

static bool fits(const struct name_own *o, const char *container, const char *hostname,
		 const struct ip_addr *address)
{
	return (!container || strcmp(o->container, container) == 0) &&
	       (!hostname || hostname_equal(o->hostname, hostname)) &&
	       (!address || ip_compare(o->address, *address) == 0);
}

size_t names_remove(struct names *n, const char *container, const char *hostname,
		    const struct ip_addr *address, struct mono now)
{
	char bare[NAME_HOSTNAME_MAX + 1];
	size_t count = 0;

	if (hostname && hostname_check(hostname, bare))
		return 0;
	TABLE_EACH(&n->own, l) {
		struct name_own *o = table_entry(l, struct name_own, by_key);

		if (!fits(o, container, hostname ? bare : NULL, address))
			continue;
		table_remove(&n->own, l);
		tell(n, o->key, NULL);
		gossip_put(n->gossip, KIND_NAME, bytes_of(o->key, sizeof o->key),
			   (struct bytes){ NULL, 0 }, now);
		mem_free(o);
		count++;
	}
	n->own_version += count > 0;
	return count;
}

const struct name_own *names_next_own(const struct names *n, const struct name_own *after,
				      struct name_entry *out)
{
	const struct table_link *l = table_each(&n->own, after ? &after->by_key : NULL);
	const struct name_own *o;

	if (!l)
		return NULL;
	o = (const struct name_own *)((const char *)l - offsetof(struct name_own, by_key));
	entry_of(n, o, out);
	return o;
}

size_t names_count(const struct names *n)
{
	return n->found + n->own.count;
}

size_t names_own_count(const struct names *n)
{
	return n->own.count;
}

uint64_t names_own_version(const struct names *n)
{
	return n->own_version;
}

void names_settled(struct names *n, struct mono now)
{
	n->settled = true;
	for (const struct entry *e = store_next_of(n->store, n->self, NULL); e;
	     e = store_next_of(n->store, n->self, e))
		if (e->view.kind == KIND_NAME)
			bury_later(n, &e->view);
	names_step(n, now);
}

/* Written once more, so that the tombstone is of this life and stands above it.  False: another
 * life stands above us still, and has to be tried again in our next generation. */
static bool bury(struct names *n, const struct name_entry *e, struct mono now)
{
	uint8_t k[NAME_KEY_SIZE], v[NAME_VALUE_MAX];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);
	const struct entry *left;

	name_entry_key(e, &key);
	if (find_own(n, k))
		return true; /* put since */
	name_entry_value(e, &value);
	gossip_put(n->gossip, KIND_NAME, writer_bytes(&key), writer_bytes(&value), now);
	gossip_put(n->gossip, KIND_NAME, writer_bytes(&key), (struct bytes){ NULL, 0 }, now);
	left = store_find(n->store, KIND_NAME, writer_bytes(&key));
	return !left || !is_live(&left->view);
}

static uint64_t published_generation(const struct names *n)
{
	const struct topology_peer *self = topology_peer(n->topology, n->self);

	return self ? self->generation : 0;
}

void names_step(struct names *n, struct mono now)
{
	struct grave *left = NULL;

	if (!n->graves || (!n->graves_new && n->graves_tried == published_generation(n)))
		return;
	n->graves_tried = published_generation(n);
	n->graves_new = false;
	/* What is written here is told to us again: it must not be buried twice. */
	n->burying = true;
	while (n->graves) {
		struct grave *g = n->graves;

		n->graves = g->next;
		if (bury(n, &g->name, now)) {
			mem_free(g);
		} else {
			g->next = left;
			left = g;
		}
	}
	n->burying = false;
	n->graves = left;
}

/* ---- life ---- */

struct names *names_new(const struct names_config *config, struct gossip *gossip)
{
	struct names *n = mem_new(1, sizeof *n);
	struct rng rng = { config->seed };
	struct kind kind = {
		.number = KIND_NAME,
		.name = "name",
		.check = name_entry_check,
		.on_change = on_change,
		.ctx = n,
	};

	n->self = config->self;
	MUST(!hostname_check(config->domain ? config->domain : NAMES_DOMAIN, n->domain));
	n->gossip = gossip;
	n->store = gossip_store(gossip);
	n->topology = gossip_topology(gossip);
	n->hash_key.k0 = rng_u64(&rng);
	n->hash_key.k1 = rng_u64(&rng);
	n->changes_end = &n->changes;
	store_register(n->store, &kind);
	return n;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	TABLE_EACH(&n->own, l)
		mem_free(table_entry(l, struct name_own, by_key));
	TABLE_EACH(&n->writers, l)
		mem_free(table_entry(l, struct writer_state, by_peer));
	table_fini(&n->own);
	table_fini(&n->writers);
	while (n->changes) {
		struct name_change *c = n->changes;

		n->changes = c->next;
		mem_free(c);
	}
	while (n->graves) {
		struct grave *g = n->graves;

		n->graves = g->next;
		mem_free(g);
	}
	mem_free(n);
}

const char *names_domain(const struct names *n)
{
	return n->domain;
}

void names_track(struct names *n)
{
	const struct entry *e = NULL;
	struct name_entry found;

	if (n->tracking)
		return;
	n->tracking = true;
	while ((e = names_next(n, e, &found)))
		tell(n, e->view.key.data, &found);
}

void names_verify(const struct names *n)
{
	const struct entry *e = NULL;
	struct name_entry found;
	size_t others = 0;

	while ((e = names_next(n, e, &found)))
		others += found.peer != n->self;
	MUST(others == n->found);
	MUST(n->own.count <= NAMES_OWN_MAX);
	TABLE_EACH(&n->own, l) {
		const struct name_own *o = table_entry(l, struct name_own, by_key);
		uint8_t k[NAME_KEY_SIZE];
		struct writer key = writer_over(k, sizeof k);
		struct name_entry own;

		entry_of(n, o, &own);
		name_entry_key(&own, &key);
		MUST(memcmp(k, o->key, sizeof k) == 0);
	}
}
