#include "zone.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/hash.h>
#include <weave/must.h>
#include <weave/table.h>

struct zone_address {
	struct ip_addr ip;
	uint32_t records; /* that say so */
};

/* A name, or what stands above names. */
struct node {
	struct table_link by_name;
	uint32_t below; /* names below it, each counted once */
	uint32_t counts[2], rooms[2];
	struct zone_address *addresses[2]; /* IPv4, IPv6 */
	uint8_t size;
	uint8_t wire[]; /* lower case */
};

struct record {
	struct table_link by_key, by_address;
	uint8_t key[NAME_KEY_SIZE];
	struct ip_addr ip;
	char hostname[];
};

struct zone {
	struct dns_name domain;
	struct hash_key hash_key;
	struct table names, records, reverse;
	uint32_t serial;
};

void dns_name_from_text(struct dns_name *out, const char *text, bool keep_case)
{
	size_t at = 0;

	while (*text) {
		size_t label = strcspn(text, ".");

		MUST(label && label < 64 && at + 1 + label + 1 <= sizeof out->wire);
		out->wire[at++] = (uint8_t)label;
		for (size_t i = 0; i < label; i++) {
			char c = text[i];

			out->wire[at++] = (uint8_t)(!keep_case && c >= 'A' && c <= 'Z' ? c + 32
										       : c);
		}
		text += label + (text[label] == '.');
	}
	out->wire[at++] = 0;
	out->size = (uint8_t)at;
}

struct zone *zone_new(const char *domain, uint64_t seed)
{
	struct zone *z = mem_new(1, sizeof *z);
	struct rng rng = { seed };

	dns_name_from_text(&z->domain, domain, false);
	z->hash_key.k0 = rng_u64(&rng);
	z->hash_key.k1 = rng_u64(&rng);
	z->serial = 1;
	return z;
}

static void free_node(struct node *n)
{
	mem_free(n->addresses[0]);
	mem_free(n->addresses[1]);
	mem_free(n);
}

void zone_free(struct zone *z)
{
	if (!z)
		return;
	TABLE_EACH(&z->names, l)
		free_node(table_entry(l, struct node, by_name));
	TABLE_EACH(&z->records, l)
		mem_free(table_entry(l, struct record, by_key));
	table_fini(&z->names);
	table_fini(&z->records);
	table_fini(&z->reverse);
	mem_free(z);
}

const struct dns_name *zone_domain(const struct zone *z)
{
	return &z->domain;
}

uint32_t zone_serial(const struct zone *z)
{
	return z->serial;
}

size_t zone_count(const struct zone *z)
{
	return z->records.count;
}

/* ---- nodes ---- */

static struct node *find_node(const struct zone *z, const uint8_t *wire, size_t size)
{
	uint64_t hash = hash64(&z->hash_key, wire, size);

	for (struct table_link *l = table_first(&z->names, hash); l; l = table_next(l, hash)) {
		struct node *n = table_entry(l, struct node, by_name);

		if (n->size == size && memcmp(n->wire, wire, size) == 0)
			return n;
	}
	return NULL;
}

static struct node *get_node(struct zone *z, const uint8_t *wire, size_t size)
{
	struct node *n = find_node(z, wire, size);

	if (n)
		return n;
	n = mem_new(1, sizeof *n + size);
	n->size = (uint8_t)size;
	memcpy(n->wire, wire, size);
	table_insert(&z->names, &n->by_name, hash64(&z->hash_key, wire, size));
	return n;
}

static bool is_name(const struct node *n)
{
	return n->counts[0] || n->counts[1];
}

static void release_node(struct zone *z, struct node *n)
{
	if (is_name(n) || n->below)
		return;
	table_remove(&z->names, &n->by_name);
	free_node(n);
}

/* Everything above the name, up to the domain, has one name more or less below it. */
static void count_above(struct zone *z, const struct dns_name *name, bool more)
{
	const uint8_t *at = name->wire;
	size_t left = name->size;

	while (left > z->domain.size) {
		struct node *n;

		left -= *at + 1u;
		at += *at + 1u;
		if (left < z->domain.size)
			return; /* a domain of another router's */
		n = get_node(z, at, left);
		n->below += more ? 1 : UINT32_MAX;
		release_node(z, n);
	}
}

static void add_address(struct node *n, struct ip_addr ip)
{
	unsigned f = ip.family == 6;

	for (uint32_t i = 0; i < n->counts[f]; i++)
		if (ip_compare(n->addresses[f][i].ip, ip) == 0) {
			n->addresses[f][i].records++;
			return;
		}
	if (n->counts[f] == n->rooms[f]) {
		n->rooms[f] = n->rooms[f] ? n->rooms[f] * 2 : 1;
		n->addresses[f] = mem_resize(n->addresses[f], n->rooms[f], sizeof *n->addresses[f]);
	}
	n->addresses[f][n->counts[f]++] = (struct zone_address){ ip, 1 };
}

static void remove_address(struct node *n, struct ip_addr ip)
{
	unsigned f = ip.family == 6;

	for (uint32_t i = 0; i < n->counts[f]; i++) {
		if (ip_compare(n->addresses[f][i].ip, ip) != 0)
			continue;
		if (--n->addresses[f][i].records == 0)
			n->addresses[f][i] = n->addresses[f][--n->counts[f]];
		return;
	}
	NOT_REACHED("an address that was there");
}

/* ---- records ---- */

static struct record *find_record(const struct zone *z, const uint8_t *key)
{
	uint64_t hash = hash64(&z->hash_key, key, NAME_KEY_SIZE);

	for (struct table_link *l = table_first(&z->records, hash); l; l = table_next(l, hash)) {
		struct record *r = table_entry(l, struct record, by_key);

		if (memcmp(r->key, key, NAME_KEY_SIZE) == 0)
			return r;
	}
	return NULL;
}

static uint64_t address_hash(const struct zone *z, struct ip_addr ip)
{
	return hash64(&z->hash_key, &ip, sizeof ip);
}

static void remove_record(struct zone *z, struct record *r)
{
	struct dns_name name;
	struct node *n;

	dns_name_from_text(&name, r->hostname, false);
	n = find_node(z, name.wire, name.size);
	MUST(n);
	remove_address(n, r->ip);
	if (!is_name(n))
		count_above(z, &name, false);
	release_node(z, n);
	table_remove(&z->records, &r->by_key);
	table_remove(&z->reverse, &r->by_address);
	mem_free(r);
}

static void add_record(struct zone *z, const struct name_change *c)
{
	size_t size = strlen(c->hostname) + 1;
	struct record *r = mem_new(1, sizeof *r + size);
	struct dns_name name;
	struct node *n;

	memcpy(r->key, c->key, sizeof r->key);
	r->ip = c->address;
	memcpy(r->hostname, c->hostname, size);
	dns_name_from_text(&name, c->hostname, false);
	n = get_node(z, name.wire, name.size);
	if (!is_name(n))
		count_above(z, &name, true);
	add_address(n, r->ip);
	table_insert(&z->records, &r->by_key, hash64(&z->hash_key, r->key, NAME_KEY_SIZE));
	table_insert(&z->reverse, &r->by_address, address_hash(z, r->ip));
}

void zone_apply(struct zone *z, const struct name_change *c)
{
	struct record *old = find_record(z, c->key);

	if (old)
		remove_record(z, old);
	if (c->present)
		add_record(z, c);
	z->serial = z->serial == UINT32_MAX ? 1 : z->serial + 1;
}

/* ---- lookups ---- */

enum zone_is zone_find(struct zone *z, const uint8_t *name, size_t size)
{
	const struct node *n = find_node(z, name, size);

	if (n && is_name(n))
		return ZONE_NAME;
	/* The domain itself is there without any name in it. */
	return n || (size == z->domain.size && memcmp(name, z->domain.wire, size) == 0)
		       ? ZONE_BRANCH
		       : ZONE_NOTHING;
}

struct zone_addresses zone_addresses(struct zone *z, const uint8_t *name, size_t size, int family)
{
	const struct node *n = find_node(z, name, size);
	unsigned f = family == 6;

	return n ? (struct zone_addresses){ n->counts[f], n->addresses[f] }
		 : (struct zone_addresses){ 0, NULL };
}

/* Fisher and Yates, in place: the order of the list means nothing. */
struct ip_addr zone_draw(struct zone_addresses *a, size_t drawn, struct rng *rng)
{
	size_t other = drawn + (size_t)rng_below(rng, a->count - drawn);
	struct zone_address chosen = a->list[other];

	a->list[other] = a->list[drawn];
	a->list[drawn] = chosen;
	return chosen.ip;
}

/* As strcmp, but letters are equal in both cases. */
static int compare(const char *a, const char *b)
{
	for (;; a++, b++) {
		int x = *a >= 'A' && *a <= 'Z' ? *a + 32 : *a;
		int y = *b >= 'A' && *b <= 'Z' ? *b + 32 : *b;

		if (x != y || !x)
			return x - y;
	}
}

const char *zone_reverse(const struct zone *z, struct ip_addr ip)
{
	uint64_t hash = address_hash(z, ip);
	const char *first = NULL;

	for (struct table_link *l = table_first(&z->reverse, hash); l; l = table_next(l, hash)) {
		const struct record *r = table_entry(l, struct record, by_address);

		if (ip_compare(r->ip, ip) == 0 && (!first || compare(r->hostname, first) < 0))
			first = r->hostname;
	}
	return first;
}

void zone_check(const struct zone *z)
{
	size_t counted = 0;

	MUST(z->records.count == z->reverse.count);
	TABLE_EACH(&z->names, l) {
		const struct node *n = table_entry(l, struct node, by_name);

		MUST(is_name(n) || n->below);
		MUST(find_node(z, n->wire, n->size) == n);
		for (unsigned f = 0; f < 2; f++)
			for (uint32_t i = 0; i < n->counts[f]; i++) {
				MUST(n->addresses[f][i].records);
				counted += n->addresses[f][i].records;
			}
	}
	MUST(counted == z->records.count);
}
