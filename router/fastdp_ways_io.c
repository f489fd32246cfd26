#include "fastdp_state_io.h"

#include <string.h>
#include <sys/socket.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

/* Ways to peers asked anew per poll: routes change without notice to us. */
#define WAYS_PER_POLL 64u

/* ---- the underlay ---- */

/* Only where packets for us come in; what fails there is told once a minute at most, since it is
 * tried with each look at the routes. */
static void attach_underlay(struct fastdp_io *f, int ifindex)
{
	uint32_t swallowed;
	int rc;

	for (size_t i = 0; i < f->underlay_count; i++)
		if (f->underlay[i] == ifindex)
			return;
	rc = net_program_attach(ifindex, NET_INGRESS, f->mark,
				fastdp_program_fd(&f->maps, PROGRAM_UNDERLAY));
	if (rc) {
		/* Without it all goes by the device, and the pings by hand tell so. */
		if (log_limit_allows(&f->no_underlay, mono_now(), FASTDP_LOG_APART_MS, &swallowed))
			log_warning(f->log,
				    "cannot attach to interface %d: %s; fastdp is slower there",
				    ifindex, strerror(-rc));
		return;
	}
	f->underlay = mem_resize(f->underlay, f->underlay_count + 1, sizeof *f->underlay);
	f->underlay[f->underlay_count++] = ifindex;
}

void fastdp_detach_underlay(struct fastdp_io *f, int ifindex)
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
	way->link = fastdp_address_of(found.link);
	way->link_family = found.link.family == 4 ? AF_INET : AF_INET6;
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
	       a->link_family == b->link_family &&
	       memcmp(&a->link, &b->link, sizeof a->link) == 0 &&
	       memcmp(&a->remote, &b->remote, sizeof a->remote) == 0;
}

/* ---- peers ---- */
void fastdp_remove_peer(struct fastdp_io *f, uint32_t slot)
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
	fastdp_set(f, MAP_PEERS, &slot, &f->peers[slot]->value, "peers");
}

void fastdp_do_peer(struct fastdp_io *f, const struct fastdp_op *op)
{
	uint32_t slot = fastdp_slot_find(&f->slots, op->peer);
	struct fastdp_peer way;

	if (op->remove || (op->sealed && !fastdp_is_guarded(f, op->remote)) ||
	    !find_way(f, op->remote, &way)) {
		if (slot != FASTDP_NO_SLOT)
			fastdp_remove_peer(f, slot);
		return;
	}
	if (slot == FASTDP_NO_SLOT || !f->peers[slot]) {
		slot = fastdp_hold_slot(f, op->peer);
		if (slot == FASTDP_NO_SLOT)
			return;
		f->peers[slot] = mem_new(1, sizeof *f->peers[slot]);
	}
	if (!op->by_hand)
		way.flags &= ~(uint32_t)FASTDP_PEER_BY_HAND;
	way.flags |= FASTDP_PEER_RELAY;
	if (!op->relays)
		way.flags |= FASTDP_PEER_UP;
	if (op->direct)
		way.flags |= FASTDP_PEER_DIRECT;
	way.via = fastdp_slot_find(&f->slots, op->via);
	way.name = op->peer;
	*f->peers[slot] = (struct fastdp_known_peer){ .value = way };
	write_peer(f, slot);
}

/* ---- sessions, and whose frames are taken ---- */

static struct fastdp_known_session *session_of(struct fastdp_io *f, uint32_t number)
{
	for (size_t i = 0; i < f->sessions_count; i++)
		if (f->sessions[i].number == number)
			return &f->sessions[i];
	return NULL;
}

struct fastdp_known_session *fastdp_add_session(struct fastdp_io *f, uint32_t number)
{
	if (f->sessions_count == f->sessions_room) {
		f->sessions_room = f->sessions_room ? f->sessions_room * 2 : 16;
		f->sessions = mem_resize(f->sessions, f->sessions_room, sizeof *f->sessions);
	}
	f->sessions[f->sessions_count] = (struct fastdp_known_session){ .number = number };
	return &f->sessions[f->sessions_count++];
}

/* Sets or removes the source as the sessions with that address say. */
static void settle_source(struct fastdp_io *f, struct ip_addr remote)
{
	struct fastdp_address key = fastdp_address_of(remote);
	struct fastdp_source value = { .slot = FASTDP_NO_SLOT }, before;

	for (size_t i = 0; i < f->sessions_count; i++) {
		const struct fastdp_known_session *s = &f->sessions[i];

		if (!(s->value.flags & FASTDP_SESSION_ACCEPTED) ||
		    ip_compare(s->remote, remote) != 0)
			continue;
		if (s->sealed)
			value.flags |= FASTDP_SOURCE_SEALED;
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
		fastdp_set(f, MAP_SOURCES, &key, &value, "sources");
}

static void write_session(struct fastdp_io *f, const struct fastdp_known_session *s)
{
	fastdp_set(f, MAP_SESSIONS, &s->number, &s->value, "sessions");
}

void fastdp_remove_session(struct fastdp_io *f, struct fastdp_known_session *s)
{
	struct ip_addr remote = s->remote;
	uint32_t slot = fastdp_slot_find(&f->slots, s->peer);

	fastdp_map_remove(&f->maps, MAP_SESSIONS, &s->number);
	*s = f->sessions[--f->sessions_count];
	settle_source(f, remote);
	if (slot != FASTDP_NO_SLOT)
		fastdp_slot_release(&f->slots, slot);
}

void fastdp_do_session(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct fastdp_known_session *s = session_of(f, op->session);
	struct ip_addr before;

	if (op->remove || (op->sealed && !fastdp_is_guarded(f, op->remote))) {
		if (s)
			fastdp_remove_session(f, s);
		return;
	}
	if (!s) {
		if (fastdp_hold_slot(f, op->peer) == FASTDP_NO_SLOT)
			return;
		s = fastdp_add_session(f, op->session);
		s->peer = op->peer;
	}
	before = s->remote;
	s->inherited = false;
	s->sealed = op->sealed;
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

/* ---- now and then ---- */

static void renew_peers(struct fastdp_io *f, const struct fastdp_peer *way)
{
	for (uint32_t slot = 0; slot < f->slots.count; slot++) {
		struct fastdp_known_peer *p = f->peers[slot];
		struct fastdp_peer value;

		if (!p || memcmp(&p->value.remote, &way->remote, sizeof way->remote) != 0 ||
		    same_way(&p->value, way))
			continue;
		value = p->value;
		value.ifindex = way->ifindex;
		value.local = way->local;
		value.link = way->link;
		value.link_family = way->link_family;
		if (!(way->flags & FASTDP_PEER_BY_HAND))
			value.flags &= ~(uint32_t)FASTDP_PEER_BY_HAND;
		p->value = value;
		write_peer(f, slot);
	}
}

/* Routes, interfaces and addresses of the host may change at any time. */
void fastdp_renew_ways(struct fastdp_io *f)
{
	for (size_t i = 0; i < f->sessions_count && i < WAYS_PER_POLL; i++) {
		struct fastdp_known_session *s =
			&f->sessions[(f->next_way + i) % f->sessions_count];
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
