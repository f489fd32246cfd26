#include "fastdp_mirror.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/rng.h>

struct shown;

/* One MAC's claim to one address. */
struct claimant {
	struct list link; /* in address.claimants */
	struct shown *shown;
	struct address *address;
};

struct address {
	struct table_link link;
	uint32_t segment;
	struct ip_addr ip;
	struct list claimants;
	bool told;
	struct mac told_mac;
	struct list dirty;
};

/* A MAC that the kernel was told of. */
struct shown {
	struct table_link link;
	uint32_t segment;
	struct mac mac;
	peer_name peer;
	bool kept; /* nobody who can be reached has it */
	uint32_t claimants_count;
	struct claimant *claimants;
};

struct kept {
	struct table_link link;
	peer_name peer;
	unsigned times;
};

struct mirror {
	struct endpoints *endpoints;
	struct hash_key key;
	struct table shown, addresses, kept;
	struct list dirty; /* addresses */
	size_t kept_count; /* shown that are kept */
	bool sweep;	   /* of those, some have lost their peer */
};

struct mirror *mirror_new(struct endpoints *endpoints, uint64_t seed)
{
	struct mirror *m = mem_new(1, sizeof *m);
	struct rng rng = { seed };

	m->endpoints = endpoints;
	m->key.k0 = rng_u64(&rng);
	m->key.k1 = rng_u64(&rng);
	list_init(&m->dirty);
	endpoints_track(endpoints);
	return m;
}

/* ---- addresses ---- */

static uint64_t hash_of_address(const struct mirror *m, uint32_t segment, struct ip_addr ip)
{
	uint8_t form[21];

	memcpy(form, &segment, sizeof segment);
	form[4] = ip.family;
	memcpy(form + 5, ip.b, sizeof ip.b);
	return hash64(&m->key, form, sizeof form);
}

static struct address *get_address(struct mirror *m, uint32_t segment, struct ip_addr ip)
{
	uint64_t hash = hash_of_address(m, segment, ip);
	struct table_link *l = table_first(&m->addresses, hash);
	struct address *a;

	for (; l; l = table_next(l, hash)) {
		a = table_entry(l, struct address, link);
		if (a->segment == segment && ip_compare(a->ip, ip) == 0)
			return a;
	}
	a = mem_new(1, sizeof *a);
	a->segment = segment;
	a->ip = ip;
	list_init(&a->claimants);
	list_init(&a->dirty);
	table_insert(&m->addresses, &a->link, hash);
	return a;
}

static void free_address(struct mirror *m, struct address *a)
{
	table_remove(&m->addresses, &a->link);
	list_remove(&a->dirty);
	mem_free(a);
}

static void touch_address(struct mirror *m, struct address *a)
{
	if (list_empty(&a->dirty))
		list_append(&m->dirty, &a->dirty);
}

static void drop_claimants(struct mirror *m, struct shown *s)
{
	for (uint32_t i = 0; i < s->claimants_count; i++) {
		list_remove(&s->claimants[i].link);
		touch_address(m, s->claimants[i].address);
	}
	mem_free(s->claimants);
	s->claimants = NULL;
	s->claimants_count = 0;
}

static bool same_addresses(const struct shown *s, const struct endpoint_view *view)
{
	if (s->claimants_count != view->ips_count)
		return false;
	for (uint32_t i = 0; i < view->ips_count; i++)
		if (ip_compare(s->claimants[i].address->ip, view->ips[i]))
			return false;
	return true;
}

static void set_claimants(struct mirror *m, struct shown *s, const struct endpoint_view *view)
{
	if (same_addresses(s, view))
		return;
	drop_claimants(m, s);
	if (!view->ips_count)
		return;
	s->claimants = mem_new(view->ips_count, sizeof *s->claimants);
	s->claimants_count = view->ips_count;
	for (uint32_t i = 0; i < view->ips_count; i++) {
		struct claimant *c = &s->claimants[i];

		c->shown = s;
		c->address = get_address(m, s->segment, view->ips[i]);
		list_append(&c->address->claimants, &c->link);
		touch_address(m, c->address);
	}
}

/* The only MAC that claims it, or NULL. */
static const struct mac *owner_of(const struct address *a)
{
	const struct shown *first;

	if (list_empty(&a->claimants))
		return NULL;
	first = list_entry(a->claimants.next, struct claimant, link)->shown;
	for (struct list *l = a->claimants.next; l != &a->claimants; l = l->next)
		if (list_entry(l, struct claimant, link)->shown != first)
			return NULL;
	return &first->mac;
}

static bool next_address(struct mirror *m, struct fastdp_op *op)
{
	while (!list_empty(&m->dirty)) {
		struct address *a = list_entry(m->dirty.next, struct address, dirty);
		const struct mac *mac = owner_of(a);
		bool same = mac ? a->told && mac_equal(a->told_mac, *mac) : !a->told;

		list_remove(&a->dirty);
		*op = (struct fastdp_op){
			.type = FASTDP_OP_ADDRESS,
			.remove = !mac,
			.segment = a->segment,
			.ip = a->ip,
		};
		a->told = mac != NULL;
		if (mac)
			op->mac = a->told_mac = *mac;
		if (list_empty(&a->claimants))
			free_address(m, a);
		if (!same)
			return true;
	}
	return false;
}

/* ---- MACs ---- */

static uint64_t hash_of_mac(const struct mirror *m, uint32_t segment, struct mac mac)
{
	uint64_t words[2] = { mac_to_u64(mac), segment };

	return hash64(&m->key, words, sizeof words);
}

static struct shown *find_shown(const struct mirror *m, uint32_t segment, struct mac mac)
{
	uint64_t hash = hash_of_mac(m, segment, mac);
	struct table_link *l = table_first(&m->shown, hash);

	for (; l; l = table_next(l, hash)) {
		struct shown *s = table_entry(l, struct shown, link);

		if (s->segment == segment && mac_equal(s->mac, mac))
			return s;
	}
	return NULL;
}

static struct shown *add_shown(struct mirror *m, uint32_t segment, struct mac mac)
{
	struct shown *s = mem_new(1, sizeof *s);

	s->segment = segment;
	s->mac = mac;
	table_insert(&m->shown, &s->link, hash_of_mac(m, segment, mac));
	return s;
}

static void set_kept(struct mirror *m, struct shown *s, bool kept)
{
	if (kept && !s->kept)
		m->kept_count++;
	if (!kept && s->kept)
		m->kept_count--;
	s->kept = kept;
}

static void free_shown(struct mirror *m, struct shown *s)
{
	set_kept(m, s, false);
	drop_claimants(m, s);
	table_remove(&m->shown, &s->link);
	mem_free(s);
}

void mirror_free(struct mirror *m)
{
	TABLE_EACH(&m->shown, l)
		free_shown(m, table_entry(l, struct shown, link));
	TABLE_EACH(&m->addresses, l)
		free_address(m, table_entry(l, struct address, link));
	TABLE_EACH(&m->kept, l)
		mem_free(table_entry(l, struct kept, link));
	table_fini(&m->shown);
	table_fini(&m->addresses);
	table_fini(&m->kept);
	mem_free(m);
}

static void fill_endpoint(const struct shown *s, bool remove, struct fastdp_op *op)
{
	*op = (struct fastdp_op){
		.type = FASTDP_OP_ENDPOINT,
		.remove = remove,
		.peer = s->peer,
		.segment = s->segment,
		.mac = s->mac,
	};
}

/* ---- peers that are kept ---- */

static struct kept *find_kept(const struct mirror *m, peer_name peer)
{
	uint64_t hash = hash64(&m->key, &peer, sizeof peer);
	struct table_link *l = table_first(&m->kept, hash);

	for (; l; l = table_next(l, hash)) {
		struct kept *k = table_entry(l, struct kept, link);

		if (k->peer == peer)
			return k;
	}
	return NULL;
}

void mirror_keep(struct mirror *m, peer_name peer)
{
	struct kept *k = find_kept(m, peer);

	if (!k) {
		k = mem_new(1, sizeof *k);
		k->peer = peer;
		table_insert(&m->kept, &k->link, hash64(&m->key, &peer, sizeof peer));
	}
	k->times++;
}

void mirror_release(struct mirror *m, peer_name peer)
{
	struct kept *k = find_kept(m, peer);

	MUST(k);
	if (--k->times)
		return;
	table_remove(&m->kept, &k->link);
	mem_free(k);
	m->sweep = m->kept_count > 0;
}

/* The next one that was only kept for the sake of a peer that is not kept any more. */
static bool next_released(struct mirror *m, struct fastdp_op *op)
{
	if (!m->sweep)
		return false;
	TABLE_EACH(&m->shown, l) {
		struct shown *s = table_entry(l, struct shown, link);

		if (!s->kept || find_kept(m, s->peer))
			continue;
		fill_endpoint(s, true, op);
		free_shown(m, s);
		return true;
	}
	m->sweep = false;
	return false;
}

/* ---- changes ---- */

/* True when the kernel has to hear of it. */
static bool take_change(struct mirror *m, const struct endpoint_view *view, struct fastdp_op *op)
{
	struct shown *s = find_shown(m, view->segment, view->mac);
	bool same;

	if (view->peer == PEER_NAME_NONE) {
		if (!s)
			return false;
		if (find_kept(m, s->peer)) {
			set_kept(m, s, true);
			return false;
		}
		fill_endpoint(s, true, op);
		free_shown(m, s);
		return true;
	}
	same = s && s->peer == view->peer;
	if (!s)
		s = add_shown(m, view->segment, view->mac);
	s->peer = view->peer;
	set_kept(m, s, false);
	set_claimants(m, s, view);
	fill_endpoint(s, false, op);
	return !same;
}

bool mirror_next(struct mirror *m, struct fastdp_op *op)
{
	struct endpoint_view view;

	if (next_released(m, op))
		return true;
	while (endpoints_next_changed(m->endpoints, &view))
		if (take_change(m, &view, op))
			return true;
	return next_address(m, op);
}

void mirror_check(struct mirror *m)
{
	size_t kept = 0;

	TABLE_EACH(&m->shown, l) {
		const struct shown *s = table_entry(l, struct shown, link);

		MUST(s->peer != PEER_NAME_NONE);
		kept += s->kept;
		for (uint32_t i = 0; i < s->claimants_count; i++)
			MUST(s->claimants[i].address->segment == s->segment);
	}
	MUST(kept == m->kept_count);
	TABLE_EACH(&m->addresses, l) {
		const struct address *a = table_entry(l, struct address, link);

		/* One that nobody claims waits to be told of. */
		MUST(!list_empty(&a->claimants) || !list_empty(&a->dirty));
	}
}
