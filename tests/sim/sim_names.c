#include "sim_names.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/hash.h>
#include <weave/must.h>

#include "../../dns/kind_name.h"

struct sim_mirror {
	struct table found;
};

struct found {
	struct table_link link;
	uint8_t key[NAME_KEY_SIZE];
	char hostname[NAME_HOSTNAME_MAX + 1];
};

static const struct hash_key text_hash = { 1, 2 };

static void name_of(peer_name writer, const char *key, const char *value, struct name_entry *e)
{
	uint64_t bits = hash64(&text_hash, value, strlen(value));
	uint64_t place = hash64(&text_hash, key, strlen(key));
	char letters[33] = "";

	for (unsigned i = 0; i < 32; i++)
		letters[i] = (char)((bits >> i & 1 ? 'A' : 'a') + i % 26);
	*e = (struct name_entry){ .peer = writer, .container = "sim" };
	e->address = (struct ip_addr){ .family = 4,
				       .b = { 10, 99, (uint8_t)(place >> 8), (uint8_t)place } };
	snprintf(e->hostname, sizeof e->hostname, "%s.%s.%s", letters, key, NAMES_DOMAIN);
}

static void key_of(peer_name writer, const char *key, uint8_t *out)
{
	struct writer w = writer_over(out, NAME_KEY_SIZE);
	struct name_entry e;

	name_of(writer, key, "", &e);
	name_entry_key(&e, &w);
}

/* ---- the mirror ---- */

static uint64_t hash_of(const uint8_t *key)
{
	return hash64(&text_hash, key, NAME_KEY_SIZE);
}

static struct found *find(const struct sim_mirror *m, const uint8_t *key)
{
	uint64_t hash = hash_of(key);

	for (struct table_link *l = table_first(&m->found, hash); l; l = table_next(l, hash)) {
		struct found *f = table_entry(l, struct found, link);

		if (memcmp(f->key, key, NAME_KEY_SIZE) == 0)
			return f;
	}
	return NULL;
}

void sim_mirror_free(struct sim_mirror *m)
{
	if (!m)
		return;
	TABLE_EACH(&m->found, l)
		mem_free(table_entry(l, struct found, link));
	table_fini(&m->found);
	mem_free(m);
}

static void apply(struct sim_router *r, const struct name_change *c)
{
	struct sim_mirror *m = r->mirror;
	struct found *f = find(m, c->key);

	if (!c->present && r->sim->mutation == SIM_MUTATE_LASTING_NAME)
		return;
	if (!c->present && !f)
		sim_fail(r->sim, "router %u: a name is gone that was not there", r->index + 1);
	if (c->present && !f) {
		f = mem_new(1, sizeof *f);
		memcpy(f->key, c->key, sizeof f->key);
		table_insert(&m->found, &f->link, hash_of(f->key));
	}
	if (c->present) {
		strcpy(f->hostname, c->hostname);
	} else if (f) {
		table_remove(&m->found, &f->link);
		mem_free(f);
	}
}

void sim_names_turned(struct sim_router *r)
{
	struct name_change *c = names_take_changes(engine_names(r->engine));

	while (c) {
		struct name_change *next = c->next;

		apply(r, c);
		mem_free(c);
		c = next;
	}
}

void sim_names_started(struct sim_router *r)
{
	sim_mirror_free(r->mirror);
	r->mirror = mem_new(1, sizeof *r->mirror);
	names_track(engine_names(r->engine));
	/* Its containers died with it. */
	names_settled(engine_names(r->engine), sim_router_now(r));
}

/* ---- names ---- */

void sim_names_put(struct sim_router *r, const char *key, const char *value)
{
	struct names *names = engine_names(r->engine);
	struct name_entry e;
	struct why why;

	name_of(r->name, key, value, &e);
	if (!*value)
		names_remove(names, e.container, e.hostname, &e.address, sim_router_now(r));
	else if (!names_put(names, e.container, e.hostname, e.address, sim_router_now(r), &why))
		sim_fail(r->sim, "router %u: %s", r->index + 1, why.text);
}

const struct entry *sim_names_find(const struct sim_router *r, peer_name writer, const char *key)
{
	uint8_t k[NAME_KEY_SIZE];

	key_of(writer, key, k);
	return store_find(gossip_store(sim_router_gossip(r)), KIND_NAME, bytes_of(k, sizeof k));
}

const struct entry *sim_names_find_any(const struct sim_router *r, const char *key)
{
	const struct entry *dead = NULL;

	for (uint32_t i = 0; i < r->sim->count; i++) {
		const struct entry *e = sim_names_find(r, r->sim->routers[i]->name, key);

		if (e && !(e->view.flags & ENTRY_TOMBSTONE))
			return e;
		dead = dead ? dead : e;
	}
	return dead;
}

bool sim_names_says(const struct entry *e, const char *key, const char *value)
{
	struct name_entry said, wanted;

	if (!e || e->view.flags & ENTRY_TOMBSTONE || name_entry_decode(&said, &e->view))
		return false;
	name_of(e->view.writer, key, value, &wanted);
	return strcmp(said.hostname, wanted.hostname) == 0;
}

bool sim_names_found(const struct sim_router *r, peer_name writer, const char *key,
		     const char *value)
{
	struct name_entry wanted;
	const struct found *f;
	uint8_t k[NAME_KEY_SIZE];

	key_of(writer, key, k);
	name_of(writer, key, value, &wanted);
	f = find(r->mirror, k);
	return f && strcmp(f->hostname, wanted.hostname) == 0;
}

size_t sim_names_found_count(const struct sim_router *r)
{
	return r->mirror->found.count;
}
