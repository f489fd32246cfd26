/* The kernel's programs, run by the kernel on generated frames, against router/decide.c.
 *
 * A world is drawn: peers, some of them reached straight, some through a relay, some not at all;
 * MACs on ports, on the bridge, at peers.  What decide() says about a frame is what the programs
 * must do with it, as far as they do anything: all that they leave to the router is compared too,
 * since a program that left everything would be right and useless.
 *
 * Needs the right to load programs; says so and skips without.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <endian.h>
#include <fastdp.skel.h>

#include "../../../router/decide.h"
#include "views.h"

#include <weave/bpf_maps.h>

#define PASSED UINT32_MAX /* TC_ACT_UNSPEC */
#define SHOT 2u
#define REDIRECTED 7u
#define UDP_PORT 6784u
#define SELF 1u
#define PEERS 9u
#define MACS 24u
#define SEGMENTS 3u
#define PORT_IFINDEX 1u
#define OUTER4 50u
#define OUTER6 70u

static struct fastdp_bpf *programs; /* NULL: not allowed to load any */

/* ---- maps ---- */

static struct bpf_map *map_named(const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(programs->obj, name);

	assert_non_null(map);
	return map;
}

static void set(const char *map, const void *key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map_named(map)), key, value, BPF_ANY), 0);
}

static void clear(const char *name)
{
	int fd = bpf_map__fd(map_named(name));
	uint8_t key[64];

	while (bpf_map_get_next_key(fd, NULL, key) == 0)
		assert_int_equal(bpf_map_delete_elem(fd, key), 0);
}

static uint64_t sum(const char *name, uint32_t key, size_t size, size_t word)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = mem_new((size_t)cpus, size), total = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map_named(name)), &key, values), 0);
	for (int i = 0; i < cpus; i++)
		total += values[(size_t)i * size / 8 + word];
	mem_free(values);
	return total;
}

static uint64_t dropped(enum drop_reason reason)
{
	return sum("drops", reason, 8, 0);
}

static uint64_t frames_out(uint32_t slot)
{
	return sum("traffic", slot, sizeof(struct fastdp_traffic), 0);
}

static struct fastdp_address address(uint32_t slot, bool ipv6)
{
	struct fastdp_address a = { { 0xfd } };

	if (!ipv6) {
		a.b[0] = 0;
		a.b[10] = a.b[11] = 0xff;
		a.b[12] = 10;
	}
	a.b[15] = (uint8_t)slot;
	return a;
}

/* ---- running a program ---- */

struct outcome {
	uint32_t verdict;
	uint8_t data[70000];
	uint32_t size;
};

static struct outcome run(const struct bpf_program *program, const void *data, size_t size,
			  uint32_t gso_size)
{
	static struct outcome out;
	struct __sk_buff context = { .gso_size = gso_size };
	struct bpf_test_run_opts options = {
		.sz = sizeof options,
		.data_in = data,
		.data_size_in = (uint32_t)size,
		.data_out = out.data,
		.data_size_out = sizeof out.data,
		.ctx_in = &context,
		.ctx_size_in = sizeof context,
	};

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
	out.verdict = options.retval;
	out.size = options.data_size_out;
	return out;
}

/* ---- the world ---- */

enum reach { CUT, STRAIGHT, RELAYED, SLEEVE };

struct spot {
	struct mac mac;
	enum fastdp_where where; /* 0: nobody has it */
	uint32_t peer;
};

struct world {
	struct view view;
	struct snapshot *snapshot;
	struct rng rng;
	bool ipv6;
	enum reach reach[PEERS + 1];
	uint32_t via[PEERS + 1];
	struct spot all[SEGMENTS][MACS];
	struct spot *spots; /* of the default segment */
};

/* Frames of the last one are only relayed by us. */
static const uint32_t segments[SEGMENTS] = { 0, 5, 7 };

static bool is_open(uint32_t s)
{
	return s < 2;
}

static uint32_t draw(struct world *w, uint32_t limit)
{
	return (uint32_t)rng_below(&w->rng, limit);
}

static void publish_link(struct view *v, peer_name from, peer_name to)
{
	struct link_info link = { .from = from, .to = to, .established = true };
	struct entry_view e = { .kind = KIND_LINK, .writer = from, .generation = 1, .version = to };
	uint8_t k[ENTRY_KEY_MAX], b[256];
	struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);

	link.overlay = OVERLAY_FASTDP;
	link.address = (struct netaddr){ { 4, { 10, 0, 0, (uint8_t)to } }, 6783 };
	link_info_key(from, to, &key);
	link_info_encode(&link, &value);
	e.key = writer_bytes(&key);
	e.value = writer_bytes(&value);
	assert_null(store_check(v->store, &e));
	store_merge(v->store, &e, from == v->self ? 0 : 1, at(0));
}

static void draw_peers(struct world *w)
{
	struct snapshot_hop live[PEERS];
	size_t count = 0;

	for (uint32_t p = 1; p <= PEERS; p++)
		view_peer(&w->view, p, 1, 1);
	/* 2 and 3 are always there to relay; they may have no link between them. */
	for (uint32_t p = 2; p <= PEERS; p++) {
		w->reach[p] = p <= 3 ? STRAIGHT : (enum reach)draw(w, 4);
		w->via[p] = w->reach[p] == RELAYED ? 2 + draw(w, 2) : p;
		if (w->reach[p] == CUT)
			continue;
		publish_link(&w->view, w->reach[p] == RELAYED ? w->via[p] : SELF, p);
		publish_link(&w->view, p, w->reach[p] == RELAYED ? w->via[p] : SELF);
		if (w->reach[p] == STRAIGHT || w->reach[p] == SLEEVE)
			topology_direct(w->view.topology, p, true);
		if (w->reach[p] == STRAIGHT)
			live[count++] = (struct snapshot_hop){ p, p };
	}
	topology_update(w->view.topology);
	w->snapshot = snapshot_new(SELF, w->view.topology, live, count, 1);
	for (uint32_t s = 0; s < SEGMENTS; s++)
		snapshot_want(w->snapshot, w->view.topology, w->view.networks, SELF, segments[s]);
}

/* The same MACs in all segments, at other places in each. */
static void draw_spots(struct world *w, uint32_t segment)
{
	struct endpoints *e = w->view.endpoints;
	uint32_t number = segments[segment];

	for (uint32_t i = 0; i < MACS; i++) {
		struct spot *s = &w->all[segment][i];

		*s = (struct spot){ .mac = mac_of(0x100 + i) };
		switch (is_open(segment) ? draw(w, 8) : draw(w, 2) * 3) {
		case 0:
			break;
		case 1:
			s->where = draw(w, 2) ? FASTDP_AT_BRIDGE : FASTDP_AT_HOST;
			endpoints_learn_local(e, number, s->mac);
			break;
		case 2:
			s->where = draw(w, 2) ? FASTDP_AT_PORT : FASTDP_BEHIND_PORT;
			endpoints_attach(e, number, s->mac, NULL, 0);
			break;
		default:
			s->where = FASTDP_AT_PEER;
			s->peer = 2 + draw(w, PEERS - 1);
			view_claim_in(&w->view, number, s->peer, s->mac, 1, i + 1);
		}
	}
	if (!is_open(segment))
		return;
	/* The container whose port frames come out of. */
	w->all[segment][0] = (struct spot){ mac_of(0x99), FASTDP_AT_PORT, 0 };
	endpoints_attach(e, number, mac_of(0x99), NULL, 0);
}

/* The port belongs to this segment from now on. */
static void put_port(struct world *w, uint32_t segment)
{
	struct fastdp_port port = { .segment = segments[segment] };
	uint32_t ifindex = PORT_IFINDEX;

	memcpy(port.mac, w->all[segment][0].mac.b, 6);
	set("ports", &ifindex, &port);
}

static void program_spots(struct world *w, uint32_t segment)
{
	for (uint32_t i = 0; i < MACS; i++) {
		const struct spot *s = &w->all[segment][i];
		struct fastdp_mac key = { .segment = segments[segment] };
		struct fastdp_endpoint value = { s->where, s->peer };

		if (!s->where || (s->where == FASTDP_AT_PEER && w->reach[s->peer] == CUT))
			continue;
		if (s->where == FASTDP_AT_PORT || s->where == FASTDP_AT_HOST ||
		    s->where == FASTDP_BEHIND_PORT)
			value.number = PORT_IFINDEX;
		memcpy(key.mac, s->mac.b, 6);
		set("endpoints", &key, &value);
	}
}

/* As the router programs them: who cannot be reached has nothing. */
static void program(struct world *w)
{
	static const char *const maps[] = { "ports",   "endpoints", "peers",	"segments",
					    "sources", "sessions",  "addresses" };
	struct fastdp_config config = { FASTDP_LAYOUT, 7, 8, 1514, UDP_PORT, 0 };
	struct fastdp_bridge bridge = { 9 };
	uint32_t zero = 0;

	for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
		clear(maps[i]);
	set("config", &zero, &config);
	put_port(w, 0);
	set("segments", &segments[1], &bridge);
	for (uint32_t p = 2; p <= PEERS; p++) {
		struct fastdp_source source = { p, 0, address(SELF, w->ipv6) };
		struct fastdp_address from = address(p, w->ipv6);
		struct fastdp_peer peer = {
			.flags = FASTDP_PEER_UP | FASTDP_PEER_RELAY | FASTDP_PEER_BY_HAND,
			.ifindex = 1,
			.via = w->via[p],
			.local = address(SELF, w->ipv6),
			.remote = address(w->via[p], w->ipv6),
			.name = p,
		};

		if (w->reach[p] != STRAIGHT && w->reach[p] != RELAYED)
			continue;
		if (w->ipv6)
			peer.flags |= FASTDP_PEER_IPV6;
		if (w->reach[p] == STRAIGHT) {
			peer.flags |= FASTDP_PEER_DIRECT;
			set("sources", &from, &source);
		}
		set("peers", &p, &peer);
	}
	for (uint32_t s = 0; s < SEGMENTS; s++)
		program_spots(w, s);
}

/* All peers have the second segment, we too, and some the third. */
static void draw_networks(struct world *w)
{
	struct why why;

	for (uint32_t p = 2; p <= PEERS; p++) {
		view_network(&w->view, segments[1], p, "five", 1, 1);
		if (draw(w, 2))
			view_network(&w->view, segments[2], p, "seven", 1, 1);
	}
	assert_true(networks_open(w->view.networks, segments[1], "five", &why));
	networks_settle(w->view.networks);
}

static struct world *world_new(uint64_t seed, bool ipv6)
{
	struct world *w = mem_new(1, sizeof *w);

	w->rng.state = seed;
	w->ipv6 = ipv6;
	w->view = view_new(SELF);
	endpoints_now(w->view.endpoints, at(5000));
	w->spots = w->all[0];
	draw_networks(w);
	draw_peers(w);
	for (uint32_t s = 0; s < SEGMENTS; s++)
		draw_spots(w, s);
	endpoints_now(w->view.endpoints, at(5000));
	program(w);
	return w;
}

static void world_free(struct world *w)
{
	snapshot_free(w->snapshot);
	view_free(&w->view);
	mem_free(w);
}

static const struct spot *any_spot(struct world *w, uint32_t segment)
{
	return &w->all[segment][draw(w, MACS)];
}

static struct mac any_target(struct world *w, uint32_t segment, const struct spot **spot)
{
	static const struct mac broadcast = { { 255, 255, 255, 255, 255, 255 } };
	static const struct mac stp = { { 1, 0x80, 0xc2, 0, 0, 0 } };

	*spot = NULL;
	switch (draw(w, 10)) {
	case 0:
		return broadcast;
	case 1:
		return stp;
	default:
		*spot = any_spot(w, segment);
		return (*spot)->mac;
	}
}

static void any_frame(struct world *w, struct made_frame *f, struct mac to, struct mac from)
{
	if (w->ipv6)
		make_ipv6(f, to, from, 40 + draw(w, 1400), 17);
	else
		make_ipv4(f, to, from, 20 + draw(w, 1400), true, 17);
}

static peer_name owner(struct world *w, uint32_t segment, struct mac mac)
{
	return mac_is_group(mac) ? PEER_NAME_NONE
				 : endpoints_find(w->view.endpoints, segments[segment], mac);
}

/* ---- the outer header ---- */

static uint32_t outer_size(const struct world *w)
{
	return w->ipv6 ? OUTER6 : OUTER4;
}

static void check_outer(const struct world *w, const struct outcome *out, uint32_t to, uint8_t ttl,
			uint32_t vni, const struct made_frame *f)
{
	struct fastdp_address local = address(SELF, w->ipv6), remote = address(to, w->ipv6);
	const uint8_t *ip = out->data + 14, *udp = ip + (w->ipv6 ? 40 : 20);
	size_t udp_size = 16 + f->size;

	assert_int_equal(out->size, f->size + outer_size(w));
	if (w->ipv6) {
		assert_int_equal(ip[0], 0x60);
		assert_int_equal(ip[4] << 8 | ip[5], udp_size);
		assert_int_equal(ip[6], 17);
		assert_int_equal(ip[7], ttl);
		assert_memory_equal(ip + 8, local.b, 16);
		assert_memory_equal(ip + 24, remote.b, 16);
	} else {
		assert_int_equal(ip[0], 0x45);
		assert_int_equal(ip[2] << 8 | ip[3], 20 + udp_size);
		assert_int_equal(ip[6], 0x40); /* don't fragment */
		assert_int_equal(ip[8], ttl);
		assert_int_equal(ip[9], 17);
		assert_int_equal(checksum_finish(checksum_add(0, ip, 20)), 0);
		assert_memory_equal(ip + 12, local.b + 12, 4);
		assert_memory_equal(ip + 16, remote.b + 12, 4);
	}
	assert_true(udp[0] >= 0xc0); /* RFC 6335: a dynamic port */
	assert_int_equal(udp[2] << 8 | udp[3], UDP_PORT);
	assert_int_equal(udp[4] << 8 | udp[5], udp_size);
	assert_int_equal(udp[6] | udp[7], 0);
	/* RFC 7348 5: the I flag, and nothing else; 24 bits; zero */
	assert_int_equal(udp[8], 8);
	assert_int_equal(udp[9] | udp[10] | udp[11] | udp[15], 0);
	assert_int_equal(udp[12] << 16 | udp[13] << 8 | udp[14], vni);
	assert_memory_equal(udp + 16, f->data, f->size);
}

static size_t wrap(const struct world *w, const struct made_frame *f, uint32_t from, uint8_t ttl,
		   uint32_t vni, uint8_t *out)
{
	struct fastdp_address local = address(SELF, w->ipv6), remote = address(from, w->ipv6);
	uint8_t *ip = out + 14, *udp = ip + (w->ipv6 ? 40 : 20);

	memset(out, 0, 14 + OUTER6);
	put16(out + 12, w->ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
	if (w->ipv6) {
		ip[0] = 0x60;
		put16(ip + 4, 16 + f->size);
		ip[6] = 17;
		ip[7] = ttl;
		memcpy(ip + 8, remote.b, 16);
		memcpy(ip + 24, local.b, 16);
	} else {
		ip[0] = 0x45;
		put16(ip + 2, 36 + f->size);
		ip[6] = 0x40;
		ip[8] = ttl;
		ip[9] = 17;
		memcpy(ip + 12, remote.b + 12, 4);
		memcpy(ip + 16, local.b + 12, 4);
		put16(ip + 10, checksum_finish(checksum_add(0, ip, 20)));
	}
	put16(udp, 50000);
	put16(udp + 2, UDP_PORT);
	put16(udp + 4, 16 + f->size);
	udp[8] = 8;
	udp[12] = (uint8_t)(vni >> 16);
	udp[13] = (uint8_t)(vni >> 8);
	udp[14] = (uint8_t)vni;
	memcpy(udp + 16, f->data, f->size);
	return f->size + 14 + outer_size(w) - 14;
}

/* ---- from a container ---- */

/* By the program at a container's port, or by that at the bridge's own device, which leaves what is
 * on the bridge to the bridge. */
static void one_from_here(struct world *w, uint32_t segment, bool host, unsigned *sent)
{
	const struct bpf_program *program = host ? programs->progs.weave_host
						 : programs->progs.weave_container;
	const struct spot *own_spot = &w->all[segment][0], *target;
	const struct spot *source = draw(w, 4) ? own_spot : any_spot(w, segment);
	struct decide_input in = { .side = DECIDE_FROM_BRIDGE,
				   .from = source->mac,
				   .segment = segments[segment] };
	static struct made_frame f;
	struct outcome out;
	struct verdict v;
	bool own = source == own_spot || (!host && source->where == FASTDP_BEHIND_PORT);
	uint64_t before = 0;

	in.to = any_target(w, segment, &target);
	in.source = endpoints_would_learn(w->view.endpoints, segments[segment], in.from);
	in.where = owner(w, segment, in.to);
	any_frame(w, &f, in.to, in.from);
	decide(w->snapshot, &in, &v);
	if (v.destination != PEER_NAME_NONE)
		before = frames_out((uint32_t)v.destination);
	out = run(program, f.data, f.size, 0);

	if (own && !host && v.drop == DROP_LOCAL &&
	    (target->where == FASTDP_AT_PORT || target->where == FASTDP_BEHIND_PORT ||
	     target->where == FASTDP_AT_HOST)) {
		assert_int_equal(out.verdict, REDIRECTED);
		assert_int_equal(out.size, f.size);
	} else if (own && v.destination != PEER_NAME_NONE && v.hops_count) {
		assert_int_equal(out.verdict, REDIRECTED);
		check_outer(w, &out, (uint32_t)v.hops[0].peer, FASTDP_TTL, segments[segment], &f);
		assert_int_equal(frames_out((uint32_t)v.destination), before + 1);
		(*sent)++;
	} else {
		/* Only the router can be meant when it is known to live elsewhere. */
		bool elsewhere = target && target->where == FASTDP_AT_PEER &&
				 w->reach[target->peer] != CUT;

		assert_int_equal(out.verdict, own && !host && elsewhere ? REDIRECTED : PASSED);
		assert_int_equal(out.size, f.size);
		assert_memory_equal(out.data, f.data, f.size);
	}
}

static void our_frames_go_where_decide_says(bool host)
{
	unsigned sent[2] = { 0 };

	if (!programs)
		skip();
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct world *w = world_new(seed, seed % 2);
		uint32_t segment = seed % 4 > 1;

		put_port(w, segment);
		for (unsigned i = 0; i < 60; i++)
			one_from_here(w, segment, host, &sent[segment]);
		world_free(w);
	}
	assert_true(sent[0] > 150 && sent[1] > 150);
}

static void containers_frames_go_where_decide_says(void **state)
{
	(void)state;
	our_frames_go_where_decide_says(false);
}

static void hosts_frames_go_where_decide_says(void **state)
{
	(void)state;
	our_frames_go_where_decide_says(true);
}

/* ---- from the router ---- */

static void routers_frames_go_to_known_ports(void **state)
{
	unsigned seen[2] = { 0 };

	(void)state;
	if (!programs)
		skip();
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world *w = world_new(seed, seed % 2);
		uint32_t segment = seed % 4 > 1;

		put_port(w, segment);
		for (unsigned i = 0; i < 60; i++) {
			static struct made_frame f;
			const struct spot *target;
			struct mac to = any_target(w, segment, &target);
			bool known = target && (target->where == FASTDP_AT_PORT ||
						target->where == FASTDP_BEHIND_PORT ||
						target->where == FASTDP_AT_HOST);
			struct outcome out;

			any_frame(w, &f, to, any_spot(w, segment)->mac);
			out = run(programs->progs.weave_router, f.data, f.size, 0);
			assert_int_equal(out.verdict, known ? REDIRECTED : PASSED);
			assert_int_equal(out.size, f.size);
			assert_memory_equal(out.data, f.data, f.size);
			seen[known]++;
		}
		world_free(w);
	}
	assert_true(seen[0] > 200 && seen[1] > 200);
}

/* ---- from a peer ---- */

/* What only the kernel checks: a source that lives behind another peer with a way of its own. */
static bool is_spoofed(const struct world *w, uint32_t via, peer_name origin)
{
	return origin != via && origin != PEER_NAME_NONE && origin != SELF &&
	       w->reach[origin] == STRAIGHT;
}

static void check_shot(struct world *w, const struct outcome *out, const uint64_t *before,
		       enum drop_reason why)
{
	(void)w;
	assert_int_equal(out->verdict, SHOT);
	for (uint32_t i = 0; i < DROP_REASONS_COUNT; i++)
		assert_int_equal(dropped(i) - before[i], i == why);
}

static void one_from_peer(struct world *w, unsigned *seen)
{
	uint32_t via = 2 + draw(w, PEERS), segment = draw(w, SEGMENTS), vni = segments[segment];
	uint8_t ttl = draw(w, 6) ? 20 : 1;
	const struct spot *target, *source = any_spot(w, segment);
	static uint8_t packet[70000];
	static struct made_frame f;
	struct mac to = any_target(w, segment, &target);
	uint64_t before[DROP_REASONS_COUNT];
	struct decide_input in = {
		.side = DECIDE_FROM_PEER,
		.to = to,
		.from = source->mac,
		.segment = vni,
		.open = is_open(segment),
		.via = via,
		.hop_limit = ttl,
	};
	struct outcome out;
	struct verdict v;
	size_t size;

	in.origin = owner(w, segment, in.from);
	in.destination = owner(w, segment, to);
	if (in.origin == PEER_NAME_NONE)
		in.origin = via;
	if (in.destination == PEER_NAME_NONE)
		in.destination = SELF;
	any_frame(w, &f, to, source->mac);
	size = wrap(w, &f, via, ttl, vni, packet);
	for (uint32_t i = 0; i < DROP_REASONS_COUNT; i++)
		before[i] = dropped(i);
	decide(w->snapshot, &in, &v);
	out = run(programs->progs.weave_underlay, packet, size, 0);

	if (via > PEERS || w->reach[via] != STRAIGHT) {
		/* Nobody who has proved himself: the stack may look at it. */
		assert_int_equal(out.verdict, PASSED);
		assert_memory_equal(out.data, packet, size);
		seen[0]++;
	} else if (mac_is_group(to)) {
		check_shot(w, &out, before, DROP_NOT_PARENT);
	} else if (in.origin != SELF && is_spoofed(w, via, in.origin)) {
		check_shot(w, &out, before, DROP_FOREIGN_SOURCE);
		seen[1]++;
	} else if (v.to_bridge) {
		assert_int_equal(out.verdict, REDIRECTED);
		assert_int_equal(out.size, f.size);
		assert_memory_equal(out.data, f.data, f.size);
		seen[2]++;
	} else if (v.hops_count) {
		assert_int_equal(out.verdict, REDIRECTED);
		check_outer(w, &out, (uint32_t)v.hops[0].peer, (uint8_t)(ttl - FASTDP_RELAY_COST),
			    vni, &f);
		seen[3]++;
	} else if (v.drop == DROP_NO_ROUTE && w->via[in.destination] != via) {
		/* The kernel does not know why a peer is not in its map. */
		check_shot(w, &out, before, DROP_NO_DATA_PATH);
	} else {
		check_shot(w, &out, before, v.drop);
		seen[4]++;
	}
}

static void peers_frames_go_where_decide_says(void **state)
{
	unsigned seen[5] = { 0 };

	(void)state;
	if (!programs)
		skip();
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct world *w = world_new(seed, seed % 2);

		for (unsigned i = 0; i < 60; i++)
			one_from_peer(w, seen);
		world_free(w);
	}
	for (unsigned i = 0; i < 5; i++)
		assert_true(seen[i] > 20);
}

/* ---- what the programs must not take ---- */

static void others_packets_pass_untouched(void **state)
{
	struct world *w;
	static struct made_frame f;
	static uint8_t packet[70000];
	/* offset behind the outer Ethernet header, what stands there instead */
	static const uint8_t wrongs[][2] = {
		{ 0, 0x46 }, /* options */
		{ 6, 0x20 }, /* more fragments */
		{ 7, 1 },    /* a later fragment */
		{ 9, 6 },    /* TCP */
		{ 19, 77 },  /* to another host behind us */
		{ 22, 1 },   /* another port */
		{ 28, 0 },   /* no valid VNI */
		{ 29, 1 },   /* flags of somebody's extension */
	};

	(void)state;
	if (!programs)
		skip();
	w = world_new(3, false);
	make_ipv4(&f, w->spots[0].mac, mac_of(0xabc), 100, true, 17);
	for (size_t i = 0; i <= sizeof wrongs / sizeof wrongs[0]; i++) {
		bool right = i == sizeof wrongs / sizeof wrongs[0];
		size_t size = wrap(w, &f, 2, 64, 0, packet);
		struct outcome out;

		if (!right)
			packet[14 + wrongs[i][0]] = wrongs[i][1];
		out = run(programs->progs.weave_underlay, packet, size, 0);
		assert_int_equal(out.verdict, right ? REDIRECTED : PASSED);
		if (!right)
			assert_memory_equal(out.data, packet, size);
	}
	/* Cut anywhere, as far as the kernel runs a program on it: never more than is there. */
	for (size_t size = 14 + 20; size < 14 + OUTER4; size++) {
		wrap(w, &f, 2, 64, 0, packet);
		assert_int_equal(run(programs->progs.weave_underlay, packet, size, 0).verdict,
				 PASSED);
	}
	world_free(w);
}

static void what_is_too_large_is_left_to_the_router(void **state)
{
	struct world *w = NULL;
	static struct made_frame f;
	struct outcome out;
	uint32_t i = 0;

	(void)state;
	if (!programs)
		skip();
	w = world_new(5, false);
	while (w->spots[i].where != FASTDP_AT_PEER || w->reach[w->spots[i].peer] != STRAIGHT)
		i++;
	make_ipv4(&f, w->spots[i].mac, w->spots[0].mac, 1500, true, 6);
	assert_int_equal(run(programs->progs.weave_container, f.data, f.size, 0).verdict,
			 REDIRECTED);
	make_ipv4(&f, w->spots[i].mac, w->spots[0].mac, 1501, true, 6);
	out = run(programs->progs.weave_container, f.data, f.size, 0);
	assert_int_equal(out.verdict, REDIRECTED);
	assert_int_equal(out.size, f.size);
	world_free(w);
}

/* ---- pings ---- */

static void make_ping(const struct world *w, const struct hash_key *key, struct fastdp_ping *ping,
		      size_t frame_size, uint8_t *packet, size_t *size)
{
	static struct made_frame f;

	ping->session = htonl(ping->session);
	ping->token = htonl(ping->token);
	ping->proof = htobe64(hash64(key, ping, FASTDP_PING_PROVED));
	make_ipv4(&f, mac_of(1), mac_of(2), frame_size - 14, true, FASTDP_PING_PROTOCOL);
	memcpy(f.data + 34, ping, sizeof *ping);
	*size = wrap(w, &f, 2, 64, FASTDP_PING_VNI, packet);
}

static void pings_are_answered_with_proof(void **state)
{
	struct hash_key mine = { 1, 2 }, theirs = { 3, 4 };
	struct fastdp_session session = { .mine = { 1, 2 },
					  .theirs = { 3, 4 },
					  .their_session = 77 };
	static uint8_t packet[70000];
	uint32_t number = 55;
	struct world *w;

	(void)state;
	if (!programs)
		skip();
	w = world_new(7, false);
	set("sessions", &number, &session);
	for (unsigned i = 0; i < 7; i++) {
		struct fastdp_ping ping = {
			.type = FASTDP_PING, .flags = FASTDP_PING_BY_HAND, .session = 55, .token = 9
		};
		uint64_t refused = dropped(DROP_BAD_SOURCE), unknown = dropped(DROP_NO_CONNECTION);
		const uint8_t *ip;
		struct outcome out;
		size_t size;

		if (i == 3)
			ping.session = 56;
		/* 1514 is the largest that we prove ways for. */
		make_ping(w, i == 2 ? &theirs : &mine, &ping,
			  i == 6 ? 1515
			  : i	 ? 1514
				 : FASTDP_PING_FRAME_MIN,
			  packet, &size);
		if (i == 4)
			packet[14 + OUTER4 + 20 + 8] ^= 1; /* the token */
		if (i == 5) {
			session.flags = FASTDP_SESSION_ACCEPTED;
			set("sessions", &number, &session);
		}
		out = run(programs->progs.weave_underlay, packet, size, 0);
		assert_int_equal(dropped(DROP_BAD_SOURCE), refused + (i == 2 || i == 4));
		assert_int_equal(dropped(DROP_NO_CONNECTION), unknown + (i == 3));
		if (i >= 2 && i <= 4) {
			assert_int_equal(out.verdict, SHOT);
			continue;
		}
		assert_int_equal(out.verdict, REDIRECTED);
		assert_int_equal(out.size, size);
		ip = out.data + 14;
		assert_int_equal(ip[15], SELF);
		assert_int_equal(ip[19], 2);
		assert_int_equal(checksum_finish(checksum_add(0, ip, 20)), 0);
		memcpy(&ping, out.data + OUTER4 + 34, sizeof ping);
		assert_int_equal(ping.type, FASTDP_PONG);
		assert_int_equal(ping.flags, FASTDP_PING_BY_HAND |
						     (i >= 5 ? FASTDP_PONG_ACCEPTED : 0) |
						     (i != 6 ? FASTDP_PONG_RELAYS : 0));
		assert_int_equal(ntohl(ping.session), 77);
		assert_int_equal(ntohl(ping.token), 9);
		assert_true(be64toh(ping.proof) == hash64(&theirs, &ping, FASTDP_PING_PROVED));
	}
	world_free(w);
}

static int keep_pong(void *ctx, void *data, size_t size)
{
	struct fastdp_pong *pong = ctx;

	assert_int_equal(size, sizeof *pong);
	memcpy(pong, data, size);
	return 0;
}

static void each_pong_is_told_once(void **state)
{
	struct fastdp_session session = { .mine = { 1, 2 }, .theirs = { 3, 4 } };
	struct hash_key mine = { 1, 2 };
	struct fastdp_pong pong = { 0 };
	struct fastdp_address from = address(2, false);
	struct ring_buffer *ring;
	static uint8_t packet[70000];
	uint32_t number = 55;
	struct world *w;

	(void)state;
	if (!programs)
		skip();
	w = world_new(7, false);
	ring = ring_buffer__new(bpf_map__fd(map_named("events")), keep_pong, &pong, NULL);
	assert_non_null(ring);
	set("sessions", &number, &session);
	for (unsigned i = 0; i < 4; i++) {
		/* forward, again, backward, forward */
		static const uint32_t tokens[] = { 5, 5, 4, 6 };
		struct fastdp_ping ping = { .type = FASTDP_PONG,
					    .flags = FASTDP_PING_BY_HAND,
					    .session = 55,
					    .token = tokens[i] };
		size_t size;

		make_ping(w, &mine, &ping, 200, packet, &size);
		assert_int_equal(run(programs->progs.weave_underlay, packet, size, 0).verdict,
				 SHOT);
		assert_int_equal(ring_buffer__consume(ring), i == 0 || i == 3);
		assert_int_equal(pong.token, i == 3 ? 6 : 5);
		assert_memory_equal(&pong.from, &from, sizeof from);
	}
	ring_buffer__free(ring);
	world_free(w);
}

/* ---- who has this address? ---- */

static void set_address(struct ip_addr ip, struct mac mac)
{
	struct fastdp_ip key = { .segment = 0 };
	struct fastdp_ip_mac value = { { 0 }, { 0 } };

	if (ip.family == 4) {
		key.ip.b[10] = key.ip.b[11] = 0xff;
		memcpy(key.ip.b + 12, ip.b, 4);
	} else {
		memcpy(key.ip.b, ip.b, 16);
	}
	memcpy(value.mac, mac.b, 6);
	set("addresses", &key, &value);
}

static size_t make_arp(uint8_t *p, struct mac from, const uint8_t *sender, const uint8_t *target)
{
	memset(p, 0, 60);
	memset(p, 0xff, 6);
	memcpy(p + 6, from.b, 6);
	hex("0806 0001 0800 06 04 0001", p + 12);
	memcpy(p + 22, from.b, 6);
	memcpy(p + 28, sender, 4);
	memcpy(p + 38, target, 4);
	return 42;
}

static void arp_is_answered_for_known_addresses(void **state)
{
	static const uint8_t me[4] = { 10, 32, 0, 1 }, known[4] = { 10, 32, 0, 2 },
			     unknown[4] = { 10, 32, 0, 3 }, none[4] = { 0 };
	struct mac far = mac_of(0xfa2);
	struct outcome out;
	uint8_t frame[60], wanted[60];
	struct world *w;
	size_t size;

	(void)state;
	if (!programs)
		skip();
	w = world_new(3, false);
	set_address((struct ip_addr){ 4, { 10, 32, 0, 2 } }, far);
	set_address((struct ip_addr){ 4, { 10, 32, 0, 1 } }, w->spots[0].mac);
	size = make_arp(frame, w->spots[0].mac, me, known);
	out = run(programs->progs.weave_container, frame, size, 0);
	assert_int_equal(out.verdict, REDIRECTED);
	make_arp(wanted, far, known, me);
	memcpy(wanted, w->spots[0].mac.b, 6);
	wanted[21] = 2; /* reply */
	memcpy(wanted + 32, w->spots[0].mac.b, 6);
	assert_int_equal(out.size, size);
	assert_memory_equal(out.data, wanted, size);

	/* Nobody's; one's own; a probe; an announcement; a reply; another's MAC; cut. */
	for (unsigned i = 0; i < 8; i++) {
		size = make_arp(frame, w->spots[0].mac,
				i == 2	 ? none
				: i == 3 ? known
					 : me,
				i == 0	 ? unknown
				: i == 1 ? me
					 : known);
		if (i == 4)
			frame[21] = 2;
		if (i == 5)
			frame[11] ^= 1;
		if (i == 6)
			frame[27] ^= 1;
		if (i == 7)
			size--;
		out = run(programs->progs.weave_container, frame, size, 0);
		assert_int_equal(out.verdict, PASSED);
		assert_memory_equal(out.data, frame, size);
	}
	world_free(w);
}

/* RFC 4861 4.3: who has fd02::<target>, asks fd02::1 */
static size_t make_solicitation(struct made_frame *f, struct mac from, uint8_t target)
{
	uint8_t *ip = f->data + 14, *icmp = ip + 40;

	make_ipv6(f, mac_of(0), from, 40 + 32, PROTOCOL_ICMPV6);
	hex("3333ff000002", f->data);
	ip[7] = 255;
	hex("fd020000000000000000000000000001 ff0200000000000000000001ff000002", ip + 8);
	memset(icmp, 0, 32);
	icmp[0] = 135;
	hex("fd02000000000000000000000000 00", icmp + 8);
	icmp[23] = target;
	icmp[24] = 1;
	icmp[25] = 1;
	memcpy(icmp + 26, from.b, 6);
	put16(icmp + 2, transport_checksum(ip));
	return f->size;
}

static void neighbour_solicitations_are_answered(void **state)
{
	struct ip_addr known = { 6, { 0xfd, 2, [15] = 2 } };
	static struct made_frame f;
	struct mac far = mac_of(0xfa2);
	uint8_t expected[24];
	const uint8_t *ip;
	struct outcome out;
	struct world *w;
	size_t size;

	(void)state;
	if (!programs)
		skip();
	w = world_new(3, true);
	set_address(known, far);
	size = make_solicitation(&f, w->spots[0].mac, 2);
	out = run(programs->progs.weave_container, f.data, size, 0);
	assert_int_equal(out.verdict, REDIRECTED);
	assert_int_equal(out.size, size);
	assert_memory_equal(out.data, w->spots[0].mac.b, 6);
	assert_memory_equal(out.data + 6, far.b, 6);
	ip = out.data + 14;
	assert_memory_equal(ip + 8, known.b, 16);
	assert_memory_equal(ip + 24, f.data + 14 + 8, 16);
	assert_int_equal(ip[7], 255);
	assert_int_equal(ip[40], 136);
	hex("60000000 fd020000000000000000000000000002 0201", expected);
	assert_memory_equal(ip + 44, expected, 22);
	assert_memory_equal(ip + 66, far.b, 6);
	assert_int_equal(transport_checksum(ip), 0);

	/* Nobody's; duplicate address detection; a hop limit of who is not on the link; without
	 * option; another type; another code. */
	for (unsigned i = 0; i < 6; i++) {
		size = make_solicitation(&f, w->spots[0].mac, i ? 2 : 3);
		if (i == 1)
			memset(f.data + 14 + 8, 0, 16);
		if (i == 2)
			f.data[14 + 7] = 254;
		if (i == 3) {
			size -= 8;
			put16(f.data + 14 + 4, 24);
		}
		if (i == 4)
			f.data[14 + 40] = 136;
		if (i == 5)
			f.data[14 + 41] = 1;
		out = run(programs->progs.weave_container, f.data, size, 0);
		assert_int_equal(out.verdict, PASSED);
		assert_memory_equal(out.data, f.data, size);
	}
	world_free(w);
}

static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_frames_go_where_decide_says),
		cmocka_unit_test(hosts_frames_go_where_decide_says),
		cmocka_unit_test(routers_frames_go_to_known_ports),
		cmocka_unit_test(peers_frames_go_where_decide_says),
		cmocka_unit_test(others_packets_pass_untouched),
		cmocka_unit_test(what_is_too_large_is_left_to_the_router),
		cmocka_unit_test(pings_are_answered_with_proof),
		cmocka_unit_test(each_pong_is_told_once),
		cmocka_unit_test(arp_is_answered_for_known_addresses),
		cmocka_unit_test(neighbour_solicitations_are_answered),
	};
	int failed;

	libbpf_set_print(say_nothing);
	programs = fastdp_bpf__open_and_load();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fastdp_bpf__destroy(programs);
	return failed;
}
