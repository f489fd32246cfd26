#include "fastdp_state_io.h"

#include <net/if.h>
#include <string.h>

#include <weave/alloc.h>

/* ---- endpoints ---- */

static const struct fastdp_known_port *port_of(const struct fastdp_io *f, uint32_t segment,
					       struct mac mac)
{
	for (size_t i = 0; i < f->ports_count; i++)
		if (f->ports[i].segment == segment && f->ports[i].kind != PORT_ROUTER &&
		    mac_equal(f->ports[i].mac, mac))
			return &f->ports[i];
	return NULL;
}

static struct fastdp_known_port *port_at(struct fastdp_io *f, int ifindex)
{
	for (size_t i = 0; i < f->ports_count; i++)
		if (f->ports[i].ifindex == ifindex)
			return &f->ports[i];
	return NULL;
}

static struct fastdp_behind *find_behind(const struct fastdp_io *f, uint32_t segment,
					 struct mac mac)
{
	for (size_t i = 0; i < f->behind_count; i++)
		if (f->behind[i].segment == segment && mac_equal(f->behind[i].mac, mac))
			return &f->behind[i];
	return NULL;
}

static void forget_behind(struct fastdp_io *f, struct fastdp_behind *b)
{
	if (b)
		*b = f->behind[--f->behind_count];
}

static struct fastdp_mac key_of(uint32_t segment, struct mac mac)
{
	struct fastdp_mac key = { .segment = segment };

	memcpy(key.mac, mac.b, sizeof key.mac);
	return key;
}

void fastdp_remove_endpoint(struct fastdp_io *f, const struct fastdp_mac *key)
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
		fastdp_map_full(f, rc, "endpoints");
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
	const struct fastdp_known_port *port = port_of(f, segment, mac);
	const struct fastdp_behind *b = port ? NULL : find_behind(f, segment, mac);

	if (b)
		return (struct fastdp_endpoint){ FASTDP_BEHIND_PORT, (uint32_t)b->ifindex };
	if (!port)
		return (struct fastdp_endpoint){ .where = FASTDP_AT_BRIDGE };
	return (struct fastdp_endpoint){ port->kind == PORT_HOST ? FASTDP_AT_HOST : FASTDP_AT_PORT,
					 (uint32_t)port->ifindex };
}

/* The router may speak of its containers' MACs before it is told of their ports: until then they
 * are where the earlier life had them, past a bridge that is perhaps being repaired. */
static bool is_where_it_was(struct fastdp_io *f, const struct fastdp_mac *key)
{
	struct fastdp_endpoint before;
	char name[IF_NAMESIZE];

	return f->inherited_count && fastdp_map_get(&f->maps, MAP_ENDPOINTS, key, &before) &&
	       before.where != FASTDP_AT_PEER && before.where != FASTDP_AT_BRIDGE &&
	       !port_at(f, (int)before.number) && if_indextoname(before.number, name);
}

void fastdp_do_endpoint(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct fastdp_mac key = key_of(op->segment, op->mac);
	struct fastdp_endpoint value;

	fastdp_heard_of(f, &key);
	if (op->remove || op->peer != f->config.self)
		forget_behind(f, find_behind(f, op->segment, op->mac));
	if (op->remove) {
		fastdp_remove_endpoint(f, &key);
		return;
	}
	if (op->peer == f->config.self) {
		if (is_where_it_was(f, &key))
			return;
		value = local_endpoint(f, op->segment, op->mac);
	} else {
		value = (struct fastdp_endpoint){ FASTDP_AT_PEER, fastdp_hold_slot(f, op->peer) };
		if (value.number == FASTDP_NO_SLOT) {
			fastdp_remove_endpoint(f, &key);
			return;
		}
	}
	set_endpoint(f, &key, &value);
}

void fastdp_do_address(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct fastdp_ip key = { op->segment, fastdp_address_of(op->ip) };
	struct fastdp_ip_mac value = { { 0 }, { 0 } };

	memcpy(value.mac, op->mac.b, sizeof value.mac);
	if (op->remove)
		fastdp_map_remove(&f->maps, MAP_ADDRESSES, &key);
	else
		fastdp_set(f, MAP_ADDRESSES, &key, &value, "addresses");
}

/* ---- containers, and the host itself ---- */

/* What the kernel knows of a local MAC follows its port. */
static void settle_local(struct fastdp_io *f, uint32_t segment, struct mac mac)
{
	struct fastdp_mac key = key_of(segment, mac);
	struct fastdp_endpoint value = local_endpoint(f, segment, mac), before;

	if (fastdp_map_get(&f->maps, MAP_ENDPOINTS, &key, &before) &&
	    before.where != FASTDP_AT_PEER && memcmp(&before, &value, sizeof value) != 0)
		set_endpoint(f, &key, &value);
}

void fastdp_settle_local(struct fastdp_io *f, const struct fastdp_mac *key)
{
	struct mac mac;

	memcpy(mac.b, key->mac, sizeof mac.b);
	settle_local(f, key->segment, mac);
}

static struct fastdp_known_segment *segment_of(const struct fastdp_io *f, uint32_t number)
{
	for (size_t i = 0; i < f->segments_count; i++)
		if (f->segments[i].number == number)
			return &f->segments[i];
	return NULL;
}

/* What comes out of a container of a segment that is not carried passes, since its port is not in
 * the map. */
static void settle_port(struct fastdp_io *f, const struct fastdp_known_port *p)
{
	const struct fastdp_known_segment *s = segment_of(f, p->segment);
	struct fastdp_port value = { .segment = p->segment, .netns = p->netns };
	uint32_t key = (uint32_t)p->ifindex;

	memcpy(value.mac, p->mac.b, sizeof value.mac);
	if (p->segment == SEGMENT_DEFAULT || (s && s->carried))
		fastdp_set(f, MAP_PORTS, &key, &value, "ports");
	else
		fastdp_map_remove(&f->maps, MAP_PORTS, &key);
}

static int netns_behind(struct fastdp_io *f, int ifindex)
{
	struct net_link link;

	return net_link_get(f->net, ifindex, &link) ? -1 : link.peer_netns;
}

static int attach(struct fastdp_io *f, const struct fastdp_known_port *p)
{
	static const enum fastdp_program programs[] = {
		[PORT_CONTAINER] = PROGRAM_CONTAINER,
		[PORT_HOST] = PROGRAM_HOST,
		[PORT_ROUTER] = PROGRAM_ROUTER,
	};

	return net_program_attach(p->ifindex, p->kind == PORT_HOST ? NET_EGRESS : NET_INGRESS,
				  f->mark, fastdp_program_fd(&f->maps, programs[p->kind]));
}

static void add_port(struct fastdp_io *f, struct fastdp_known_port fresh)
{
	const struct fastdp_known_port *p = port_at(f, fresh.ifindex);
	int rc;

	if (p && p->segment == fresh.segment && mac_equal(p->mac, fresh.mac))
		return;
	if (p)
		fastdp_io_port_gone(f, fresh.ifindex);
	fresh.netns = fresh.kind == PORT_CONTAINER ? netns_behind(f, fresh.ifindex) : -1;
	settle_port(f, &fresh);
	rc = attach(f, &fresh);
	if (rc) {
		/* It may be gone again; else its frames take the long way. */
		log_warning(f->log, "cannot attach to interface %d: %s; its frames go by sleeve",
			    fresh.ifindex, strerror(-rc));
		return;
	}
	if (f->ports_count == f->ports_room) {
		f->ports_room = f->ports_room ? f->ports_room * 2 : 16;
		f->ports = mem_resize(f->ports, f->ports_room, sizeof *f->ports);
	}
	f->ports[f->ports_count++] = fresh;
	if (fresh.kind == PORT_ROUTER)
		return;
	forget_behind(f, find_behind(f, fresh.segment, fresh.mac));
	settle_local(f, fresh.segment, fresh.mac);
}

void fastdp_io_port(struct fastdp_io *f, int ifindex, uint32_t segment, struct mac mac)
{
	add_port(f,
		 (struct fastdp_known_port){ .ifindex = ifindex, .segment = segment, .mac = mac });
}

void fastdp_io_host(struct fastdp_io *f, int bridge_ifindex, uint32_t segment, struct mac mac)
{
	add_port(f, (struct fastdp_known_port){
			    .ifindex = bridge_ifindex,
			    .kind = PORT_HOST,
			    .segment = segment,
			    .mac = mac,
		    });
}

void fastdp_add_router_port(struct fastdp_io *f, int ifindex, uint32_t segment)
{
	add_port(f, (struct fastdp_known_port){
			    .ifindex = ifindex,
			    .kind = PORT_ROUTER,
			    .segment = segment,
		    });
}

void fastdp_io_port_gone(struct fastdp_io *f, int ifindex)
{
	struct fastdp_known_port *p = port_at(f, ifindex), gone;
	uint32_t key = (uint32_t)ifindex;

	fastdp_detach_underlay(f, ifindex);
	if (!p)
		return;
	gone = *p;
	*p = f->ports[--f->ports_count];
	fastdp_map_remove(&f->maps, MAP_PORTS, &key);
	if (gone.kind == PORT_ROUTER)
		return;
	settle_local(f, gone.segment, gone.mac);
	for (size_t i = f->behind_count; i-- > 0;) {
		struct fastdp_behind b = f->behind[i];

		if (b.ifindex != ifindex)
			continue;
		forget_behind(f, &f->behind[i]);
		settle_local(f, b.segment, b.mac);
	}
}

void fastdp_io_learned(struct fastdp_io *f, int ifindex, uint32_t segment, struct mac mac)
{
	const struct fastdp_known_port *p = port_at(f, ifindex);
	struct fastdp_behind *b = find_behind(f, segment, mac);

	if (!p || p->kind != PORT_CONTAINER || p->segment != segment || port_of(f, segment, mac)) {
		forget_behind(f, b);
	} else if (b) {
		b->ifindex = ifindex;
	} else if (f->behind_count < FASTDP_BEHIND_MAX) {
		if (f->behind_count == f->behind_room) {
			f->behind_room = f->behind_room ? f->behind_room * 2 : 16;
			f->behind = mem_resize(f->behind, f->behind_room, sizeof *f->behind);
		}
		f->behind[f->behind_count++] = (struct fastdp_behind){ ifindex, segment, mac };
	}
	settle_local(f, segment, mac);
}

/* ---- segments ---- */

static struct fastdp_known_segment *get_segment(struct fastdp_io *f, uint32_t number)
{
	struct fastdp_known_segment *s = segment_of(f, number);

	if (s)
		return s;
	f->segments = mem_resize(f->segments, f->segments_count + 1, sizeof *f->segments);
	s = &f->segments[f->segments_count++];
	*s = (struct fastdp_known_segment){ .number = number };
	return s;
}

static void settle_segment(struct fastdp_io *f, struct fastdp_known_segment *s)
{
	struct fastdp_bridge value = { (uint32_t)s->bridge_port_ifindex };

	if (s->carried && s->bridge_port_ifindex)
		fastdp_set(f, MAP_SEGMENTS, &s->number, &value, "segments");
	else
		fastdp_map_remove(&f->maps, MAP_SEGMENTS, &s->number);
	for (size_t i = 0; i < f->ports_count; i++)
		if (f->ports[i].segment == s->number)
			settle_port(f, &f->ports[i]);
	if (!s->carried && !s->bridge_port_ifindex)
		*s = f->segments[--f->segments_count];
}

void fastdp_do_segment(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct fastdp_known_segment *s = get_segment(f, op->segment);

	s->carried = !op->remove;
	settle_segment(f, s);
}

void fastdp_io_segment(struct fastdp_io *f, uint32_t segment, int bridge_port_ifindex)
{
	struct fastdp_known_segment *s = get_segment(f, segment);

	/* Until the router has spoken, what an earlier life carried goes on. */
	s->bridge_port_ifindex = bridge_port_ifindex;
	if (bridge_port_ifindex)
		fastdp_add_router_port(f, bridge_port_ifindex, segment);
	if (s->carried || !bridge_port_ifindex)
		settle_segment(f, s);
}

void fastdp_forget_segments(struct fastdp_io *f)
{
	uint32_t number, *after = NULL, last;

	while (fastdp_map_next(&f->maps, MAP_SEGMENTS, after, &number)) {
		const struct fastdp_known_segment *s = segment_of(f, number);

		if (s && s->carried) {
			last = number;
			after = &last;
			continue;
		}
		/* From the start: walking goes on only from what is there. */
		fastdp_map_remove(&f->maps, MAP_SEGMENTS, &number);
		after = NULL;
	}
}
