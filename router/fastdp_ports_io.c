#include "fastdp_state_io.h"

#include <string.h>

#include <weave/alloc.h>

/* ---- endpoints ---- */

static const struct fastdp_known_port *port_of(const struct fastdp_io *f, uint32_t segment,
					       struct mac mac)
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

	if (!port)
		return (struct fastdp_endpoint){ .where = FASTDP_AT_BRIDGE };
	return (struct fastdp_endpoint){ FASTDP_AT_PORT, (uint32_t)port->ifindex };
}

void fastdp_do_endpoint(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct fastdp_mac key = key_of(op->segment, op->mac);
	struct fastdp_endpoint value;

	fastdp_heard_of(f, &key);
	if (op->remove) {
		fastdp_remove_endpoint(f, &key);
		return;
	}
	if (op->peer == f->config.self) {
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

/* ---- containers ---- */

static struct fastdp_known_port *port_at(struct fastdp_io *f, int ifindex)
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
	struct fastdp_known_port *p = port_at(f, ifindex);
	uint32_t key = (uint32_t)ifindex;
	int rc;

	if (p && p->segment == segment && mac_equal(p->mac, mac))
		return;
	if (p)
		fastdp_io_port_gone(f, ifindex);
	memcpy(value.mac, mac.b, sizeof value.mac);
	fastdp_set(f, MAP_PORTS, &key, &value, "ports");
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
	f->ports[f->ports_count++] = (struct fastdp_known_port){ ifindex, segment, mac };
	settle_local(f, segment, mac);
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
	settle_local(f, gone.segment, gone.mac);
}
