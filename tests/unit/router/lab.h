/* Whole routers, each with a small stand-in for the gossip engine, on a virtual network.
 *
 * The stand-in has a real store and a real topology; what one router publishes is in all stores at
 * once unless 'gossip' is off.  Datagrams between two routers can be delayed, lost, doubled, cut
 * off one way, overtake each other, or be refused for their size.  Links between routers are made
 * by lab_connect; in a sealed laboratory both ends get a secret that nobody else has, as if from a
 * handshake.
 */
#ifndef TESTS_ROUTER_LAB_H
#define TESTS_ROUTER_LAB_H

#include <weave/router.h>

#include "../../../router/sleeve_wire.h"
#include "frames.h"

#define LAB_MAX 40u
#define LAB_INBOX 64u

struct gossip {
	unsigned number; /* router i has the name i + 1 */
	struct lab *lab;
	struct store *store;
	struct topology *topology;
	uint64_t version;
	uint8_t overlay[LAB_MAX]; /* told by the router, per neighbour */
	uint32_t changes[LAB_MAX];
};

struct lab_wire {
	bool connected, cut;
	uint32_t delay_ms, jitter_ms, loss_percent, double_percent;
	uint32_t mtu;		/* largest UDP payload, 0 none */
	struct netaddr rewrite; /* source address seen by the receiver, if its port is not 0 */
};

struct lab_event {
	struct lab_event *next;
	uint64_t at_ms, order;
	unsigned from, to;
	bool overlay; /* a control message; else a datagram */
	struct netaddr source;
	size_t size;
	uint8_t data[];
};

struct lab {
	unsigned count;
	uint64_t now_ms, order;
	struct rng rng;
	bool gossip, sealed;
	/* Sees each datagram that somebody sends, also those that get lost. */
	void (*on_wire)(struct lab *l, unsigned from, unsigned to, struct bytes datagram);
	/* Sees each frame that comes to a bridge. */
	void (*on_bridge)(struct lab *l, unsigned at, const struct outbox_frame *f);
	uint64_t lost, doubled;
	struct gossip gossips[LAB_MAX];
	struct router *routers[LAB_MAX];
	struct lab_wire wires[LAB_MAX][LAB_MAX];
	struct lab_event *events;	   /* in order of time */
	struct made_frame *inbox[LAB_MAX]; /* frames that came to the bridge, oldest first */
	unsigned inbox_count[LAB_MAX];
	uint32_t segment[LAB_MAX]; /* of the newest of them */
	uint64_t frames[LAB_MAX], datagrams, datagram_bytes;
};

static inline struct netaddr lab_address(unsigned i)
{
	struct netaddr a = { .ip = { 4, { 10, 0, (uint8_t)(i >> 8), (uint8_t)(i + 1) } },
			     .port = 6783 };

	return a;
}

static inline conn_id lab_conn(unsigned to)
{
	return 100 + to;
}

static inline struct mono lab_now(const struct lab *l)
{
	return at(l->now_ms);
}

/* ---- the stand-in ---- */
struct store *gossip_store(struct gossip *g)
{
	return g->store;
}

struct topology *gossip_topology(struct gossip *g)
{
	return g->topology;
}

static inline void lab_spread(struct lab *l, unsigned from, const struct entry_view *e)
{
	for (unsigned i = 0; i < l->count; i++) {
		enum store_result result;

		if (i != from && !l->gossip)
			continue;
		result = store_merge(l->gossips[i].store, e, i == from ? 0 : 1, lab_now(l));
		assert_true(result == STORE_TOOK || result == STORE_SAME);
		if (topology_dirty(l->gossips[i].topology)) {
			topology_update(l->gossips[i].topology);
			if (l->routers[i])
				router_on_routes(l->routers[i], lab_now(l));
		}
	}
}

static inline void lab_put(struct gossip *g, uint8_t kind, struct bytes key, struct bytes value)
{
	struct entry_view e = {
		.kind = kind,
		.flags = value.data ? 0 : ENTRY_TOMBSTONE,
		.writer = g->number + 1,
		.generation = 1,
		.version = ++g->version,
		.key = key,
		.value = value,
	};

	assert_null(store_check(g->store, &e));
	lab_spread(g->lab, g->number, &e);
}

bool gossip_put(struct gossip *g, uint8_t kind, struct bytes key, struct bytes value,
		struct mono now)
{
	(void)now;
	lab_put(g, kind, key, value);
	return true;
}

static inline void lab_send(struct lab *l, unsigned from, unsigned to, bool overlay, struct bytes b,
			    uint32_t delay_ms)
{
	struct lab_event *e = mem_new(1, sizeof *e + b.size), **at_ = &l->events;

	e->at_ms = l->now_ms + delay_ms;
	e->order = l->order++;
	e->from = from;
	e->to = to;
	e->overlay = overlay;
	e->source = l->wires[from][to].rewrite.port ? l->wires[from][to].rewrite
						    : lab_address(from);
	e->size = b.size;
	memcpy(e->data, b.data, b.size);
	while (*at_ && (*at_)->at_ms <= e->at_ms)
		at_ = &(*at_)->next;
	e->next = *at_;
	*at_ = e;
}

bool gossip_send_overlay(struct gossip *g, conn_id conn, struct bytes message)
{
	lab_send(g->lab, g->number, (unsigned)(conn - 100), true, message, 1);
	return true;
}

static inline void lab_publish_link(struct gossip *g, unsigned to, bool up)
{
	struct link_info link = { .from = g->number + 1, .to = to + 1, .established = up };
	uint8_t k[ENTRY_KEY_MAX], v[256];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);

	link.overlay = up ? OVERLAY_SLEEVE : 0;
	link.address = lab_address(to);
	link_info_key(link.from, link.to, &key);
	link_info_encode(&link, &value);
	lab_put(g, KIND_LINK, writer_bytes(&key), writer_bytes(&value));
}

void gossip_set_data_path(struct gossip *g, conn_id conn, uint8_t overlay, struct mono now)
{
	unsigned to = (unsigned)(conn - 100);

	(void)now;
	g->overlay[to] = overlay;
	g->changes[to]++;
	topology_direct(g->topology, to + 1, overlay != 0);
	lab_publish_link(g, to, overlay != 0);
}

/* ---- the laboratory ---- */
static inline void lab_publish_peer(struct gossip *g)
{
	struct peer_info p = { .name = g->number + 1, .protocol_min = 3, .protocol_max = 3 };
	uint8_t k[ENTRY_KEY_MAX], v[1024];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);

	snprintf(p.nickname, sizeof p.nickname, "host%u", g->number);
	snprintf(p.software, sizeof p.software, "test");
	p.overlays = OVERLAY_SLEEVE;
	p.port = 6783;
	peer_info_key(p.name, &key);
	peer_info_encode(&p, &value);
	lab_put(g, KIND_PEER, writer_bytes(&key), writer_bytes(&value));
}

/* Router i is configured like bases[i % bases_count]. */
static inline struct lab *lab_new_with(unsigned count, uint64_t seed,
				       const struct router_config *bases, unsigned bases_count)
{
	struct lab *l = mem_new(1, sizeof *l);

	assert_true(count <= LAB_MAX);
	l->count = count;
	l->rng.state = seed;
	l->gossip = true;
	l->now_ms = 1000;
	for (unsigned i = 0; i < count; i++) {
		struct gossip *g = &l->gossips[i];

		*g = (struct gossip){ .number = i, .lab = l, .store = store_new(seed + i) };
		g->topology = topology_new(g->store, i + 1);
		l->inbox[i] = mem_new(LAB_INBOX, sizeof *l->inbox[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		struct router_config c = bases[i % bases_count];

		c.self = i + 1;
		c.seed = seed * 1000 + i;
		c.port = 6783;
		c.mtu = 1500;
		c.bridge_mac = mac_of(0xb0000 + i);
		l->routers[i] = router_new(&c, &l->gossips[i], lab_now(l), NULL);
	}
	for (unsigned i = 0; i < count; i++)
		lab_publish_peer(&l->gossips[i]);
	return l;
}

static inline struct lab *lab_new(unsigned count, uint64_t seed, uint32_t datagram_max)
{
	return lab_new_with(count, seed, &(struct router_config){ .datagram_max = datagram_max },
			    1);
}

static inline void lab_check(struct lab *l)
{
	for (unsigned i = 0; i < l->count; i++)
		router_check(l->routers[i]);
}

static inline void lab_free(struct lab *l)
{
	lab_check(l);
	for (unsigned i = 0; i < l->count; i++) {
		router_free(l->routers[i]);
		topology_free(l->gossips[i].topology);
		store_free(l->gossips[i].store);
		mem_free(l->inbox[i]);
	}
	while (l->events) {
		struct lab_event *e = l->events;

		l->events = e->next;
		mem_free(e);
	}
	mem_free(l);
}

static inline uint32_t lab_delay(struct lab *l, const struct lab_wire *w)
{
	return w->delay_ms + (w->jitter_ms ? (uint32_t)rng_below(&l->rng, w->jitter_ms) : 0);
}

static inline void lab_flush(struct lab *l, unsigned i)
{
	struct outbox *o = router_outbox(l->routers[i]);

	for (uint32_t k = 0; k < o->datagrams_count; k++) {
		const struct outbox_datagram *d = &o->datagrams[k];
		unsigned to = (unsigned)(d->to.ip.b[2] << 8 | d->to.ip.b[3]) - 1;
		struct lab_wire *w;

		/* In a train it might pass where data would not. */
		if (d->data[0] == SLEEVE_CLEAR && d->data[SLEEVE_HEADER_SIZE] == SLEEVE_PROBE)
			assert_true(d->alone);
		l->datagrams++;
		l->datagram_bytes += d->size;
		if (to >= l->count || d->to.port != 6783)
			continue;
		if (l->on_wire)
			l->on_wire(l, i, to, bytes_of(d->data, d->size));
		w = &l->wires[i][to];
		if (!w->connected || w->cut || (w->mtu && d->size > w->mtu) ||
		    rng_below(&l->rng, 100) < w->loss_percent) {
			l->lost++;
			continue;
		}
		lab_send(l, i, to, false, bytes_of(d->data, d->size), lab_delay(l, w));
		if (rng_below(&l->rng, 100) >= w->double_percent)
			continue;
		lab_send(l, i, to, false, bytes_of(d->data, d->size), lab_delay(l, w) + 3);
		l->doubled++;
	}
	for (uint32_t k = 0; k < o->frames_count; k++) {
		struct made_frame *f = &l->inbox[i][l->inbox_count[i] % LAB_INBOX];

		if (l->on_bridge)
			l->on_bridge(l, i, &o->frames[k]);
		memcpy(f->data, o->frames[k].data, o->frames[k].size);
		f->size = o->frames[k].size;
		l->segment[i] = o->frames[k].segment;
		l->inbox_count[i]++;
		l->frames[i]++;
	}
	outbox_clear(o);
}

static inline void lab_deliver(struct lab *l)
{
	struct lab_event *e = l->events;

	l->events = e->next;
	l->now_ms = e->at_ms > l->now_ms ? e->at_ms : l->now_ms;
	if (e->overlay)
		router_on_overlay(l->routers[e->to], lab_conn(e->from), bytes_of(e->data, e->size),
				  lab_now(l));
	else
		router_on_datagram(l->routers[e->to], e->source, e->data, e->size, lab_now(l));
	lab_flush(l, e->to);
	mem_free(e);
}

/* Runs what is due in the next 'ms' of virtual time. */
static inline void lab_run(struct lab *l, uint64_t ms)
{
	uint64_t end = l->now_ms + ms;

	for (;;) {
		uint64_t next = end + 1;
		unsigned who = 0;

		for (unsigned i = 0; i < l->count; i++) {
			uint64_t due = router_deadline(l->routers[i]).ms;

			if (due < next) {
				next = due;
				who = i;
			}
		}
		if (l->events && l->events->at_ms <= next && l->events->at_ms <= end) {
			lab_deliver(l);
			continue;
		}
		if (next > end)
			break;
		l->now_ms = next > l->now_ms ? next : l->now_ms;
		router_tick(l->routers[who], lab_now(l));
		lab_flush(l, who);
	}
	l->now_ms = end;
}

/* Another one for each pair and each time. */
static inline struct path_secret lab_secret(const struct lab *l, unsigned a, unsigned b)
{
	struct path_secret s = { .sealed = l->sealed, .initiator = true };

	for (unsigned i = 0; l->sealed && i < sizeof s.secret; i++)
		s.secret[i] = (uint8_t)(a * 7 + b * 31 + i * 3 + l->now_ms);
	return s;
}

/* 'a' dialled. */
static inline void lab_connect(struct lab *l, unsigned a, unsigned b, uint32_t delay_ms)
{
	struct path_secret secret = lab_secret(l, a, b);

	l->wires[a][b] = l->wires[b][a] = (struct lab_wire){ .connected = true,
							     .delay_ms = delay_ms };
	router_on_up(l->routers[a], lab_conn(b), b + 1, lab_address(b), &secret, lab_now(l));
	secret.initiator = false;
	router_on_up(l->routers[b], lab_conn(a), a + 1, lab_address(a), &secret, lab_now(l));
}

static inline void lab_disconnect(struct lab *l, unsigned a, unsigned b)
{
	router_on_down(l->routers[a], lab_conn(b), lab_now(l));
	lab_flush(l, a);
	router_on_down(l->routers[b], lab_conn(a), lab_now(l));
	lab_flush(l, b);
	l->wires[a][b].connected = l->wires[b][a].connected = false;
}

static inline void lab_frame_in(struct lab *l, unsigned i, uint32_t segment,
				const struct made_frame *f)
{
	router_on_frame(l->routers[i], segment, bytes_of(f->data, f->size), OFFLOAD_NONE,
			lab_now(l));
	lab_flush(l, i);
}

static inline void lab_frame(struct lab *l, unsigned i, const struct made_frame *f)
{
	lab_frame_in(l, i, SEGMENT_DEFAULT, f);
}

/* Everybody hears of what everybody knows. */
static inline void lab_sync(struct lab *l)
{
	for (unsigned i = 0; i < l->count; i++)
		for (const struct entry *e = store_next(l->gossips[i].store, NULL); e;
		     e = store_next(l->gossips[i].store, e))
			for (unsigned to = 0; to < l->count; to++)
				if (to != i)
					store_merge(l->gossips[to].store, &e->view, 1, lab_now(l));
	for (unsigned i = 0; i < l->count; i++)
		topology_update(l->gossips[i].topology);
}

static inline struct path_info lab_path(const struct lab *l, unsigned from, unsigned to)
{
	struct path_info info;

	assert_true(router_path_find(l->routers[from], lab_conn(to), &info));
	return info;
}

static inline uint64_t lab_drops(const struct lab *l, unsigned i, enum drop_reason reason)
{
	return router_drops(l->routers[i])->count[reason];
}

/* The newest frame on router i's bridge. */
static inline const struct made_frame *lab_last(const struct lab *l, unsigned i)
{
	assert_true(l->inbox_count[i] > 0);
	return &l->inbox[i][(l->inbox_count[i] - 1) % LAB_INBOX];
}

#endif
