/* One router's store, topology and endpoints without a network: entries are put in by hand. */
#ifndef TESTS_ROUTER_VIEWS_H
#define TESTS_ROUTER_VIEWS_H

#include "../../../router/endpoint.h"

#include "frames.h"

struct view {
	peer_name self;
	struct store *store;
	struct topology *topology;
	struct networks *networks;
	struct endpoints *endpoints;
	uint64_t version; /* of our own entries */
};

static inline struct view view_new(peer_name self)
{
	struct view v = { .self = self, .store = store_new(self) };

	v.topology = topology_new(v.store, self);
	v.networks = networks_new(self, v.store, v.topology, self);
	v.endpoints = endpoints_new(self, v.store, v.topology, v.networks, self);
	return v;
}

static inline void view_free(struct view *v)
{
	endpoints_check(v->endpoints);
	endpoints_free(v->endpoints);
	networks_check(v->networks);
	networks_free(v->networks);
	topology_free(v->topology);
	store_free(v->store);
}

static inline void view_peer(struct view *v, peer_name name, uint64_t floor, uint64_t version)
{
	struct peer_info p = { .name = name, .protocol_min = 3, .protocol_max = 3, .floor = floor };
	uint8_t k[ENTRY_KEY_MAX], b[1024];
	struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);
	struct entry_view e = { .kind = KIND_PEER, .writer = name, .generation = 1 };

	snprintf(p.nickname, sizeof p.nickname, "n");
	snprintf(p.software, sizeof p.software, "t");
	p.port = 1;
	e.version = version;
	peer_info_key(name, &key);
	peer_info_encode(&p, &value);
	e.key = writer_bytes(&key);
	e.value = writer_bytes(&value);
	assert_null(store_check(v->store, &e));
	store_merge(v->store, &e, 1, at(0));
	topology_update(v->topology);
}

static inline void view_reach(struct view *v, peer_name name, bool reachable)
{
	topology_direct(v->topology, name, reachable);
	topology_update(v->topology);
}

struct made_entry {
	struct entry_view view;
	uint8_t key[ENDPOINT_KEY_SIZE], value[ENDPOINT_VALUE_MAX];
};

static inline void make_claim_in(struct made_entry *m, uint32_t segment, peer_name peer,
				 struct mac mac, uint32_t claim, uint64_t generation,
				 uint64_t version, bool dead)
{
	struct endpoint_entry e = {
		.segment = segment, .mac = mac, .peer = peer, .claim = claim, .ips_count = 1
	};
	struct writer key = writer_over(m->key, sizeof m->key);
	struct writer value = writer_over(m->value, sizeof m->value);

	e.ips[0] = (struct ip_addr){ 4, { 10, 32, 0, (uint8_t)peer } };
	endpoint_entry_key(&e, &key);
	endpoint_entry_value(&e, &value);
	m->view = (struct entry_view){
		.kind = KIND_ENDPOINT,
		.flags = dead ? ENTRY_TOMBSTONE : 0,
		.writer = peer,
		.generation = generation,
		.version = version,
		.key = writer_bytes(&key),
		.value = dead ? bytes_of(NULL, 0) : writer_bytes(&value),
	};
}

static inline void make_claim(struct made_entry *m, peer_name peer, struct mac mac, uint32_t claim,
			      uint64_t generation, uint64_t version, bool dead)
{
	make_claim_in(m, SEGMENT_DEFAULT, peer, mac, claim, generation, version, dead);
}

static inline void view_merge(struct view *v, const struct entry_view *e)
{
	assert_null(store_check(v->store, e));
	store_merge(v->store, e, 1, at(0));
}

static inline void view_claim(struct view *v, peer_name peer, struct mac mac, uint32_t claim,
			      uint64_t version)
{
	struct made_entry m;

	make_claim(&m, peer, mac, claim, 1, version, false);
	view_merge(v, &m.view);
}

static inline void view_claim_in(struct view *v, uint32_t segment, peer_name peer, struct mac mac,
				 uint32_t claim, uint64_t version)
{
	struct made_entry m;

	make_claim_in(&m, segment, peer, mac, claim, 1, version, false);
	view_merge(v, &m.view);
}

static inline void view_network(struct view *v, uint32_t segment, peer_name peer, const char *name,
				uint64_t generation, uint64_t version)
{
	struct network_entry e = { .segment = segment, .peer = peer };
	uint8_t k[NETWORK_KEY_SIZE], b[NETWORK_VALUE_MAX];
	struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);
	struct entry_view view = { .kind = KIND_NETWORK,
				   .writer = peer,
				   .generation = generation,
				   .version = version,
				   .flags = name ? 0 : ENTRY_TOMBSTONE };

	network_entry_key(&e, &key);
	view.key = writer_bytes(&key);
	if (name) {
		snprintf(e.key, sizeof e.key, "%s", name);
		network_entry_value(&e, &value);
		view.value = writer_bytes(&value);
	}
	view_merge(v, &view);
}

/* Our next own entry as it would travel. */
static inline bool view_published(struct view *v, struct made_entry *m)
{
	struct bytes key, value;

	if (!endpoints_next_publish(v->endpoints, &key, &value))
		return false;
	memcpy(m->key, key.data, key.size);
	if (value.size)
		memcpy(m->value, value.data, value.size);
	m->view = (struct entry_view){
		.kind = KIND_ENDPOINT,
		.flags = value.data ? 0 : ENTRY_TOMBSTONE,
		.writer = v->self,
		.generation = 1,
		.version = ++v->version,
		.key = { m->key, key.size },
		.value = { value.data ? m->value : NULL, value.size },
	};
	return true;
}

#endif
