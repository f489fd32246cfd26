#include <weave/fastdp_io.h>

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <ev.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

#include "fastdp_maps_io.h"
#include "fastdp_slots.h"
#include "fastdp_wire.h"

#define POLL_S 1. /* counters; how soon data makes the pings fast */
/* Ways to peers asked anew per poll: routes change without notice to us. */
#define WAYS_PER_POLL 64u
#define SESSIONS_MAX FASTDP_SESSIONS_MAX
#define LOG_APART_MS 60000u

/* A connection, or one of an earlier life that nobody has spoken of yet. */
struct session {
	uint32_t number;
	peer_name peer;
	struct fastdp_session value; /* as in the map, but for what the kernel counts */
	struct ip_addr remote;
	bool inherited;
};

/* A peer that frames are sent to. */
struct peer {
	bool inherited;
	struct fastdp_peer value;
};

/* An endpoint of an earlier life, until somebody speaks of it. */
struct inherited {
	struct fastdp_mac key;
	bool settled;
};

struct port {
	int ifindex;
	uint32_t segment;
	struct mac mac;
};

struct fastdp_io {
	struct fastdp_io_config config;
	struct net *net;
	struct log *log;
	struct router *router;
	struct ev_loop *loop;
	struct fastdp_maps maps;
	struct ring_buffer *ring;
	int vxlan_ifindex, socket;
	uint32_t mark;
	uint8_t *frame; /* of pings */

	struct fastdp_slots slots;
	struct peer *peers[FASTDP_PEERS_MAX]; /* by slot; NULL: none is told */
	struct session *sessions;
	size_t sessions_count, sessions_room, next_way;
	struct port *ports;
	size_t ports_count, ports_room;
	int *underlay; /* interfaces with our program */
	size_t underlay_count;
	struct inherited *inherited; /* in order of key */
	size_t inherited_count;

	struct drop_counters drops; /* as read last */
	struct log_limit full;
	struct ev_io readable;
	struct ev_timer poll, hold;
};

/* ---- the underlay ---- */

/* Only where packets for us come in; what fails there is told once a minute at most. */
static void attach_underlay(struct fastdp_io *f, int ifindex)
{
	int rc;

	for (size_t i = 0; i < f->underlay_count; i++)
		if (f->underlay[i] == ifindex)
			return;
	rc = net_program_attach(ifindex, NET_INGRESS, f->mark,
				fastdp_program_fd(&f->maps, PROGRAM_UNDERLAY));
	if (rc) {
		/* Without it all goes by the device, and the pings by hand tell so. */
		log_warning(f->log, "cannot attach to interface %d: %s; fastdp is slower there",
			    ifindex, strerror(-rc));
		return;
	}
	f->underlay = mem_resize(f->underlay, f->underlay_count + 1, sizeof *f->underlay);
	f->underlay[f->underlay_count++] = ifindex;
}

static void detach_underlay(struct fastdp_io *f, int ifindex)
{
	for (size_t i = 0; i < f->underlay_count; i++) {
		if (f->underlay[i] != ifindex)
			continue;
		f->underlay[i] = f->underlay[--f->underlay_count];
		return;
	}
}

/* How packets for 'remote' leave; only its flags, interface and addresses are set. */
static bool find_way(struct fastdp_io *f, struct ip_addr remote, struct fastdp_peer *way)
{
	struct net_way found;

	memset(way, 0, sizeof *way);
	if (net_way_to(f->net, remote, &found) || found.local.family != remote.family)
		return false;
	way->ifindex = (uint32_t)found.ifindex;
	way->local = fastdp_address_of(found.local);
	way->remote = fastdp_address_of(remote);
	way->flags = remote.family == 6 ? FASTDP_PEER_IPV6 : 0;
	/* The helper for sending by hand writes an Ethernet header. */
	if (found.ethernet) {
		way->flags |= FASTDP_PEER_BY_HAND;
		attach_underlay(f, found.ifindex);
	}
	return true;
}

static bool same_way(const struct fastdp_peer *a, const struct fastdp_peer *b)
{
	const uint32_t mask = FASTDP_PEER_IPV6;

	return a->ifindex == b->ifindex && (a->flags & mask) == (b->flags & mask) &&
	       memcmp(&a->local, &b->local, sizeof a->local) == 0 &&
	       memcmp(&a->remote, &b->remote, sizeof a->remote) == 0;
}

/* ---- maps ---- */

static void map_full(struct fastdp_io *f, int rc, const char *what)
{
	uint32_t swallowed;

	if (log_limit_allows(&f->full, mono_now(), LOG_APART_MS, &swallowed))
		log_warning(f->log,
			    "the kernel takes no more %s: %s; what is missing goes by sleeve", what,
			    strerror(-rc));
}

static void set(struct fastdp_io *f, enum fastdp_map map, const void *key, const void *value,
		const char *what)
{
	int rc = fastdp_map_set(&f->maps, map, key, value);

	if (rc)
		map_full(f, rc, what);
}

static void write_config(struct fastdp_io *f)
{
	struct fastdp_config c = {
		.layout = FASTDP_LAYOUT,
		.vxlan_ifindex = (uint32_t)f->vxlan_ifindex,
		.bridge_port_ifindex = (uint32_t)f->config.bridge_port_ifindex,
		.frame_max = f->config.mtu + ETH_HLEN,
		.udp_port = f->config.port,
	};
	uint32_t zero = 0;

	set(f, MAP_CONFIG, &zero, &c, "settings");
}

/* ---- peers ---- */

static uint32_t hold_slot(struct fastdp_io *f, peer_name peer)
{
	bool fresh;
	uint32_t slot = fastdp_slot_hold(&f->slots, peer, &fresh);

	if (slot == FASTDP_NO_SLOT)
		map_full(f, -ENOSPC, "peers");
	else if (fresh)
		fastdp_maps_reset_traffic(&f->maps, slot);
	return slot;
}

static void remove_peer(struct fastdp_io *f, uint32_t slot)
{
	if (!f->peers[slot])
		return;
	fastdp_map_remove(&f->maps, MAP_PEERS, &slot);
	mem_free(f->peers[slot]);
	f->peers[slot] = NULL;
	fastdp_slot_release(&f->slots, slot);
}

static void write_peer(struct fastdp_io *f, uint32_t slot)
{
	set(f, MAP_PEERS, &slot, &f->peers[slot]->value, "peers");
}

static void do_peer(struct fastdp_io *f, const struct fastdp_op *op)
{
	uint32_t slot = fastdp_slot_find(&f->slots, op->peer);
	struct fastdp_peer way;

	if (op->remove || !find_way(f, op->remote, &way)) {
		if (slot != FASTDP_NO_SLOT)
			remove_peer(f, slot);
		return;
	}
	if (slot == FASTDP_NO_SLOT || !f->peers[slot]) {
		slot = hold_slot(f, op->peer);
		if (slot == FASTDP_NO_SLOT)
			return;
		f->peers[slot] = mem_new(1, sizeof *f->peers[slot]);
	}
	if (!op->by_hand)
		way.flags &= ~(uint32_t)FASTDP_PEER_BY_HAND;
	way.flags |= FASTDP_PEER_RELAY;
	if (!op->relays)
		way.flags |= FASTDP_PEER_UP;
	if (op->via == op->peer)
		way.flags |= FASTDP_PEER_DIRECT;
	way.via = fastdp_slot_find(&f->slots, op->via);
	way.name = op->peer;
	*f->peers[slot] = (struct peer){ .value = way };
	write_peer(f, slot);
}

/* ---- sessions, and whose frames are taken ---- */

static struct session *session_of(struct fastdp_io *f, uint32_t number)
{
	for (size_t i = 0; i < f->sessions_count; i++)
		if (f->sessions[i].number == number)
			return &f->sessions[i];
	return NULL;
}

static struct session *add_session(struct fastdp_io *f, uint32_t number)
{
	if (f->sessions_count == f->sessions_room) {
		f->sessions_room = f->sessions_room ? f->sessions_room * 2 : 16;
		f->sessions = mem_resize(f->sessions, f->sessions_room, sizeof *f->sessions);
	}
	f->sessions[f->sessions_count] = (struct session){ .number = number };
	return &f->sessions[f->sessions_count++];
}

/* Sets or removes the source as the sessions with that address say. */
static void settle_source(struct fastdp_io *f, struct ip_addr remote)
{
	struct fastdp_address key = fastdp_address_of(remote);
	struct fastdp_source value = { .slot = FASTDP_NO_SLOT }, before;

	for (size_t i = 0; i < f->sessions_count; i++) {
		const struct session *s = &f->sessions[i];

		if (!(s->value.flags & FASTDP_SESSION_ACCEPTED) ||
		    ip_compare(s->remote, remote) != 0)
			continue;
		value.slot = fastdp_slot_find(&f->slots, s->peer);
		value.local = s->value.way.local;
		/* One that somebody spoke of in this life counts more. */
		if (!s->inherited)
			break;
	}
	if (value.slot == FASTDP_NO_SLOT)
		fastdp_map_remove(&f->maps, MAP_SOURCES, &key);
	else if (!fastdp_map_get(&f->maps, MAP_SOURCES, &key, &before) ||
		 memcmp(&before, &value, sizeof value) != 0)
		set(f, MAP_SOURCES, &key, &value, "sources");
}

static void write_session(struct fastdp_io *f, const struct session *s)
{
	set(f, MAP_SESSIONS, &s->number, &s->value, "sessions");
}

static void remove_session(struct fastdp_io *f, struct session *s)
{
	struct ip_addr remote = s->remote;
	uint32_t slot = fastdp_slot_find(&f->slots, s->peer);

	fastdp_map_remove(&f->maps, MAP_SESSIONS, &s->number);
	*s = f->sessions[--f->sessions_count];
	settle_source(f, remote);
	if (slot != FASTDP_NO_SLOT)
		fastdp_slot_release(&f->slots, slot);
}

static void do_session(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct session *s = session_of(f, op->session);
	struct ip_addr before;

	if (op->remove) {
		if (s)
			remove_session(f, s);
		return;
	}
	if (!s) {
		if (hold_slot(f, op->peer) == FASTDP_NO_SLOT)
			return;
		s = add_session(f, op->session);
		s->peer = op->peer;
	}
	before = s->remote;
	s->inherited = false;
	s->remote = op->remote;
	s->value.mine = (struct fastdp_key){ op->mine.k0, op->mine.k1 };
	s->value.theirs = (struct fastdp_key){ op->theirs.k0, op->theirs.k1 };
	s->value.their_session = op->their_session;
	s->value.flags = op->accepted ? FASTDP_SESSION_ACCEPTED : 0;
	find_way(f, op->remote, &s->value.way);
	s->value.way.name = op->peer;
	write_session(f, s);
	settle_source(f, op->remote);
	if (ip_compare(before, op->remote) != 0)
		settle_source(f, before);
}

/* ---- endpoints ---- */

static const struct port *port_of(const struct fastdp_io *f, uint32_t segment, struct mac mac)
{
	for (size_t i = 0; i < f->ports_count; i++)
		if (f->ports[i].segment == segment && mac_equal(f->ports[i].mac, mac))
			return &f->ports[i];
	return NULL;
}

static struct fastdp_mac key_of(uint32_t segment, struct mac mac)
{
	struct fastdp_mac key = { .segment = segment };

	memcpy(key.mac, mac.b, sizeof key.mac);
	return key;
}

static int compare_inherited(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct fastdp_mac));
}

static void forget_inherited(struct fastdp_io *f, const struct fastdp_mac *key)
{
	struct inherited wanted = { .key = *key }, *found = NULL;

	if (f->inherited_count)
		found = bsearch(&wanted, f->inherited, f->inherited_count, sizeof wanted,
				compare_inherited);
	if (found)
		found->settled = true;
}

static void remove_endpoint(struct fastdp_io *f, const struct fastdp_mac *key)
{
	struct fastdp_endpoint before;

	if (!fastdp_map_get(&f->maps, MAP_ENDPOINTS, key, &before))
		return;
	fastdp_map_remove(&f->maps, MAP_ENDPOINTS, key);
	if (before.where == FASTDP_AT_PEER)
		fastdp_slot_release(&f->slots, before.number);
}

static void set_endpoint(struct fastdp_io *f, const struct fastdp_mac *key,
			 const struct fastdp_endpoint *value)
{
	struct fastdp_endpoint before;
	bool known = fastdp_map_get(&f->maps, MAP_ENDPOINTS, key, &before);
	int rc = fastdp_map_set(&f->maps, MAP_ENDPOINTS, key, value);

	if (rc) {
		map_full(f, rc, "endpoints");
		if (value->where == FASTDP_AT_PEER)
			fastdp_slot_release(&f->slots, value->number);
		return;
	}
	if (known && before.where == FASTDP_AT_PEER)
		fastdp_slot_release(&f->slots, before.number);
}

static struct fastdp_endpoint local_endpoint(const struct fastdp_io *f, uint32_t segment,
					     struct mac mac)
{
	const struct port *port = port_of(f, segment, mac);

	if (!port)
		return (struct fastdp_endpoint){ .where = FASTDP_AT_BRIDGE };
	return (struct fastdp_endpoint){ FASTDP_AT_PORT, (uint32_t)port->ifindex };
}

static void do_endpoint(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct fastdp_mac key = key_of(op->segment, op->mac);
	struct fastdp_endpoint value;

	forget_inherited(f, &key);
	if (op->remove) {
		remove_endpoint(f, &key);
		return;
	}
	if (op->peer == f->config.self) {
		value = local_endpoint(f, op->segment, op->mac);
	} else {
		value = (struct fastdp_endpoint){ FASTDP_AT_PEER, hold_slot(f, op->peer) };
		if (value.number == FASTDP_NO_SLOT) {
			remove_endpoint(f, &key);
			return;
		}
	}
	set_endpoint(f, &key, &value);
}

static void do_address(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct fastdp_ip key = { op->segment, fastdp_address_of(op->ip) };
	struct fastdp_ip_mac value = { { 0 }, { 0 } };

	memcpy(value.mac, op->mac.b, sizeof value.mac);
	if (op->remove)
		fastdp_map_remove(&f->maps, MAP_ADDRESSES, &key);
	else
		set(f, MAP_ADDRESSES, &key, &value, "addresses");
}

/* ---- the device ---- */

static int make_device(struct fastdp_io *f, struct why *why)
{
	char name[NET_NAME_SIZE];
	int rc;

	snprintf(name, sizeof name, "vxlan-%u", f->config.port);
	rc = net_vxlan_ensure(f->net, name, f->config.bridge, f->config.port, &f->vxlan_ifindex);
	if (rc)
		why_set(why, WHY_ABSENT, "%.150s", net_error(f->net));
	return rc;
}

static int attach_device(struct fastdp_io *f, struct why *why)
{
	int rc = net_program_attach(f->vxlan_ifindex, NET_INGRESS, f->mark,
				    fastdp_program_fd(&f->maps, PROGRAM_VXLAN));

	if (rc == 0)
		rc = net_program_attach(f->vxlan_ifindex, NET_EGRESS, f->mark,
					fastdp_program_fd(&f->maps, PROGRAM_PING));
	if (rc)
		why_set(why, WHY_ABSENT, "cannot attach programs to the VXLAN device: %s",
			strerror(-rc));
	return rc;
}

/* ---- containers ---- */

static struct port *port_at(struct fastdp_io *f, int ifindex)
{
	for (size_t i = 0; i < f->ports_count; i++)
		if (f->ports[i].ifindex == ifindex)
			return &f->ports[i];
	return NULL;
}

/* What the kernel knows of a local MAC follows its port. */
static void settle_local(struct fastdp_io *f, uint32_t segment, struct mac mac)
{
	struct fastdp_mac key = key_of(segment, mac);
	struct fastdp_endpoint value = local_endpoint(f, segment, mac), before;

	if (fastdp_map_get(&f->maps, MAP_ENDPOINTS, &key, &before) &&
	    before.where != FASTDP_AT_PEER && memcmp(&before, &value, sizeof value) != 0)
		set_endpoint(f, &key, &value);
}

void fastdp_io_port(struct fastdp_io *f, int ifindex, uint32_t segment, struct mac mac)
{
	struct fastdp_port value = { .segment = segment };
	struct port *p = port_at(f, ifindex);
	uint32_t key = (uint32_t)ifindex;
	int rc;

	if (p && p->segment == segment && mac_equal(p->mac, mac))
		return;
	if (p)
		fastdp_io_port_gone(f, ifindex);
	memcpy(value.mac, mac.b, sizeof value.mac);
	set(f, MAP_PORTS, &key, &value, "ports");
	rc = net_program_attach(ifindex, NET_INGRESS, f->mark,
				fastdp_program_fd(&f->maps, PROGRAM_CONTAINER));
	if (rc) {
		/* It may be gone again; else its frames take the long way. */
		log_warning(f->log, "cannot attach to interface %d: %s; its frames go by sleeve",
			    ifindex, strerror(-rc));
		return;
	}
	if (f->ports_count == f->ports_room) {
		f->ports_room = f->ports_room ? f->ports_room * 2 : 16;
		f->ports = mem_resize(f->ports, f->ports_room, sizeof *f->ports);
	}
	f->ports[f->ports_count++] = (struct port){ ifindex, segment, mac };
	settle_local(f, segment, mac);
}

void fastdp_io_port_gone(struct fastdp_io *f, int ifindex)
{
	struct port *p = port_at(f, ifindex), gone;
	uint32_t key = (uint32_t)ifindex;

	detach_underlay(f, ifindex);
	if (!p)
		return;
	gone = *p;
	*p = f->ports[--f->ports_count];
	fastdp_map_remove(&f->maps, MAP_PORTS, &key);
	settle_local(f, gone.segment, gone.mac);
}

void fastdp_io_bridge_port(struct fastdp_io *f, int ifindex)
{
	f->config.bridge_port_ifindex = ifindex;
	write_config(f);
}

void fastdp_io_mtu(struct fastdp_io *f, uint32_t mtu)
{
	f->config.mtu = mtu;
	f->frame = mem_resize(f->frame, mtu + ETH_HLEN, 1);
	write_config(f);
}

bool fastdp_io_is_device(const struct fastdp_io *f, int ifindex)
{
	return f->vxlan_ifindex == ifindex;
}

int fastdp_io_repair(struct fastdp_io *f, struct why *why)
{
	int rc = make_device(f, why);

	if (rc == 0)
		rc = attach_device(f, why);
	if (rc == 0)
		write_config(f);
	return rc;
}

/* ---- pings ---- */

static void do_ping(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct fastdp_ping_frame ping = {
		.session = op->session,
		.their_session = op->their_session,
		.token = op->token,
		.theirs = op->theirs,
		.by_hand = op->by_hand,
		.size = op->size,
	};
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = f->vxlan_ifindex,
		.sll_halen = ETH_ALEN,
	};

	/* One of before the MTU changed: it would prove nothing. */
	if (op->size > f->config.mtu + ETH_HLEN)
		return;
	fastdp_ping_write(&ping, f->frame);
	memcpy(to.sll_addr, f->frame, ETH_ALEN);
	/* What the kernel refuses is one ping that is not answered. */
	(void)sendto(f->socket, f->frame, op->size, MSG_DONTWAIT, (struct sockaddr *)&to,
		     sizeof to);
}

static int on_pong(void *ctx, void *data, size_t size)
{
	struct fastdp_io *f = ctx;
	struct fastdp_pong pong;

	MUST(size >= sizeof pong);
	memcpy(&pong, data, sizeof pong);
	router_on_pong(f->router, pong.session, pong.token, pong.flags & FASTDP_PING_BY_HAND,
		       pong.flags & FASTDP_PONG_ACCEPTED, fastdp_ip_of(&pong.from), mono_now());
	return 0;
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct fastdp_io *f = w->data;

	(void)loop;
	(void)events;
	ring_buffer__consume(f->ring);
}

/* ---- carrying out ---- */

void fastdp_io_flush(struct fastdp_io *f)
{
	struct fastdp_op op;

	while (router_next_fastdp(f->router, &op, mono_now())) {
		switch (op.type) {
		case FASTDP_OP_SESSION:
			do_session(f, &op);
			break;
		case FASTDP_OP_PEER:
			do_peer(f, &op);
			break;
		case FASTDP_OP_ENDPOINT:
			do_endpoint(f, &op);
			break;
		case FASTDP_OP_ADDRESS:
			do_address(f, &op);
			break;
		case FASTDP_OP_PING:
			do_ping(f, &op);
			break;
		}
	}
}

/* ---- now and then ---- */

static void tell_counters(struct fastdp_io *f)
{
	struct drop_counters drops;

	for (uint32_t slot = 0; slot < f->slots.count; slot++) {
		struct fastdp_counters c;

		if (f->slots.slots[slot].peer == PEER_NAME_NONE)
			continue;
		c = fastdp_maps_traffic(&f->maps, slot);
		router_on_fastdp_counters(f->router, f->slots.slots[slot].peer, &c, mono_now());
	}
	fastdp_maps_drops(&f->maps, &drops);
	for (int i = 0; i < DROP_REASONS_COUNT; i++)
		if (drops.count[i] > f->drops.count[i])
			router_count_drop(f->router, (enum drop_reason)i,
					  drops.count[i] - f->drops.count[i]);
	f->drops = drops;
}

static void renew_peers(struct fastdp_io *f, const struct fastdp_peer *way)
{
	for (uint32_t slot = 0; slot < f->slots.count; slot++) {
		struct peer *p = f->peers[slot];
		struct fastdp_peer value;

		if (!p || memcmp(&p->value.remote, &way->remote, sizeof way->remote) != 0 ||
		    same_way(&p->value, way))
			continue;
		value = p->value;
		value.ifindex = way->ifindex;
		value.local = way->local;
		if (!(way->flags & FASTDP_PEER_BY_HAND))
			value.flags &= ~(uint32_t)FASTDP_PEER_BY_HAND;
		p->value = value;
		write_peer(f, slot);
	}
}

/* Routes, interfaces and addresses of the host may change at any time. */
static void renew_ways(struct fastdp_io *f)
{
	for (size_t i = 0; i < f->sessions_count && i < WAYS_PER_POLL; i++) {
		struct session *s = &f->sessions[(f->next_way + i) % f->sessions_count];
		uint64_t name = s->value.way.name;
		struct fastdp_peer way;

		if (!find_way(f, s->remote, &way) ||
		    (same_way(&way, &s->value.way) &&
		     (way.flags & FASTDP_PEER_BY_HAND) ==
			     (s->value.way.flags & FASTDP_PEER_BY_HAND)))
			continue;
		way.name = name;
		s->value.way = way;
		write_session(f, s);
		settle_source(f, s->remote);
		renew_peers(f, &way);
	}
	f->next_way += WAYS_PER_POLL;
}

static void on_poll(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct fastdp_io *f = w->data;

	(void)loop;
	(void)events;
	tell_counters(f);
	renew_ways(f);
}

/* What the earlier life knew and this one has not heard of by now. */
static void on_hold(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct fastdp_io *f = w->data;

	(void)loop;
	(void)events;
	for (size_t i = 0; i < f->inherited_count; i++)
		if (!f->inherited[i].settled)
			remove_endpoint(f, &f->inherited[i].key);
	f->inherited_count = 0;
	for (size_t i = f->sessions_count; i-- > 0;)
		if (f->sessions[i].inherited)
			remove_session(f, &f->sessions[i]);
	for (uint32_t slot = 0; slot < f->slots.count; slot++)
		if (f->peers[slot] && f->peers[slot]->inherited)
			remove_peer(f, slot);
}

/* ---- taking over ---- */

static void inherit_peers(struct fastdp_io *f)
{
	uint32_t slot, *after = NULL, key;

	while (fastdp_map_next(&f->maps, MAP_PEERS, after, &slot)) {
		struct fastdp_peer value;

		key = slot;
		after = &key;
		if (!fastdp_map_get(&f->maps, MAP_PEERS, &slot, &value) ||
		    !fastdp_slot_take(&f->slots, slot, value.name))
			continue;
		f->peers[slot] = mem_new(1, sizeof *f->peers[slot]);
		*f->peers[slot] = (struct peer){ .inherited = true, .value = value };
	}
}

static void inherit_sessions(struct fastdp_io *f)
{
	uint32_t number, *after = NULL, key;
	bool fresh;

	while (fastdp_map_next(&f->maps, MAP_SESSIONS, after, &number)) {
		struct session *s;

		key = number;
		after = &key;
		s = add_session(f, number);
		s->inherited = true;
		if (!fastdp_map_get(&f->maps, MAP_SESSIONS, &number, &s->value) ||
		    s->value.way.name == PEER_NAME_NONE ||
		    fastdp_slot_hold(&f->slots, s->value.way.name, &fresh) == FASTDP_NO_SLOT) {
			f->sessions_count--;
			continue;
		}
		s->peer = s->value.way.name;
		s->remote = fastdp_ip_of(&s->value.way.remote);
	}
}

/* Slots have names as far as there is a way to their peers; endpoints elsewhere go. */
static bool inherit_endpoint(struct fastdp_io *f, const struct fastdp_mac *key)
{
	struct fastdp_endpoint value;
	uint32_t slot;

	if (!fastdp_map_get(&f->maps, MAP_ENDPOINTS, key, &value))
		return false;
	if (value.where != FASTDP_AT_PEER)
		return true;
	slot = value.number;
	return slot < f->slots.count &&
	       fastdp_slot_take(&f->slots, slot, f->slots.slots[slot].peer);
}

static void inherit_endpoints(struct fastdp_io *f)
{
	struct fastdp_mac key, last;
	bool first = true;
	size_t room = 0, kept = 0;

	/* All keys first: the map must not change while it is walked. */
	while (fastdp_map_next(&f->maps, MAP_ENDPOINTS, first ? NULL : &last, &key)) {
		if (f->inherited_count == room) {
			room = room ? room * 2 : 256;
			f->inherited = mem_resize(f->inherited, room, sizeof *f->inherited);
		}
		f->inherited[f->inherited_count++] = (struct inherited){ .key = key };
		last = key;
		first = false;
	}
	for (size_t i = 0; i < f->inherited_count; i++) {
		key = f->inherited[i].key;
		if (inherit_endpoint(f, &key))
			f->inherited[kept++].key = key;
		else
			fastdp_map_remove(&f->maps, MAP_ENDPOINTS, &key);
	}
	f->inherited_count = kept;
	if (kept)
		qsort(f->inherited, kept, sizeof *f->inherited, compare_inherited);
}

/* ---- life ---- */

static int open_socket(struct fastdp_io *f, struct why *why)
{
	int mark = (int)FASTDP_PING_MARK, rc;

	/* Protocol 0: it receives nothing. */
	f->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->socket >= 0 && setsockopt(f->socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0)
		return 0;
	rc = -errno;
	why_set(why, WHY_TRANSPORT, "cannot open a packet socket: %s", strerror(-rc));
	return rc;
}

int fastdp_io_new(const struct fastdp_io_config *config, struct net *net, struct log *log,
		  struct fastdp_io **out, struct why *why)
{
	struct fastdp_io *f = mem_new(1, sizeof *f);
	int rc;

	f->config = *config;
	f->net = net;
	f->log = log;
	f->socket = -1;
	f->mark = net_bridge_mark(config->bridge);
	f->frame = mem_new(1, config->mtu + ETH_HLEN);
	fastdp_slots_init(&f->slots, FASTDP_PEERS_MAX);
	rc = make_device(f, why);
	if (rc == 0)
		rc = fastdp_maps_load(&f->maps, f->vxlan_ifindex, f->mark, why);
	if (rc == 0)
		rc = open_socket(f, why);
	if (rc == 0) {
		f->ring = ring_buffer__new(f->maps.fds[MAP_EVENTS], on_pong, f, NULL);
		if (!f->ring) {
			rc = -errno;
			why_set(why, WHY_ABSENT, "cannot map the kernel's events: %s",
				strerror(-rc));
		}
	}
	if (rc == 0) {
		write_config(f);
		rc = attach_device(f, why);
	}
	if (rc) {
		fastdp_io_free(f);
		return rc;
	}
	if (f->maps.taken_over) {
		inherit_peers(f);
		inherit_sessions(f);
		inherit_endpoints(f);
		log_info(log,
			 "took over fastdp of the router that ran before sessions=%zu "
			 "endpoints=%zu",
			 f->sessions_count, f->inherited_count);
	}
	fastdp_maps_drops(&f->maps, &f->drops);
	*out = f;
	return 0;
}

void fastdp_io_start(struct fastdp_io *f, struct ev_loop *loop, struct router *router)
{
	f->loop = loop;
	f->router = router;
	ev_io_init(&f->readable, on_readable, ring_buffer__epoll_fd(f->ring), EV_READ);
	ev_timer_init(&f->poll, on_poll, POLL_S, POLL_S);
	ev_timer_init(&f->hold, on_hold, FASTDP_HOLD_S, 0.);
	f->readable.data = f->poll.data = f->hold.data = f;
	ev_io_start(loop, &f->readable);
	ev_timer_start(loop, &f->poll);
	ev_timer_start(loop, &f->hold);
}

void fastdp_io_free(struct fastdp_io *f)
{
	if (!f)
		return;
	if (f->loop) {
		ev_io_stop(f->loop, &f->readable);
		ev_timer_stop(f->loop, &f->poll);
		ev_timer_stop(f->loop, &f->hold);
	}
	ring_buffer__free(f->ring);
	if (f->socket >= 0)
		close(f->socket);
	for (uint32_t slot = 0; slot < FASTDP_PEERS_MAX; slot++)
		mem_free(f->peers[slot]);
	fastdp_maps_unload(&f->maps);
	fastdp_slots_fini(&f->slots);
	mem_free(f->sessions);
	mem_free(f->ports);
	mem_free(f->underlay);
	mem_free(f->inherited);
	mem_free(f->frame);
	mem_free(f);
}
