/* Keeps the kernel's side as the router needs it: bridge, capture port, attached containers.
 *
 * Somebody may delete the bridge, flush the firewall, or kill a container; the kernel tells, and
 * the state is listed anew and repaired a moment later, all at once.
 */
#include "addresses.h"
#include "dns.h"

#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

#include "docker.h"

#define REPAIR_DELAY_S 0.05
#define REPAIR_RETRY_S 2.0
#define RELIST_DELAY_S 0.1
#define EVENTS_PER_TURN 256
#define CONTAINER_PORT ATTACH_PORT_PREFIX
#define PORT_WAIT_MS 1000u

static void on_capture_gone(void *ctx);
static bool open_monitor(struct daemon *d, struct why *why);

enum net_port_kind daemon_port_kind(const struct daemon *d)
{
	return d->capture_kind == CAPTURE_VNET ? NET_PORT_TAP : NET_PORT_VETH;
}

const char *bridge_watch_port(const struct daemon *d)
{
	return d->capture_kind == CAPTURE_VNET ? d->bridge.names.port : d->bridge.names.capture;
}

bool bridge_watch_open_capture(struct daemon *d, struct why *why)
{
	struct capture_config c = {
		.kind = d->capture_kind,
		.interface = bridge_watch_port(d),
		.segment = SEGMENT_DEFAULT,
		.room = d->capture_room,
		/* Ethernet header and two VLAN tags on top of the largest IP packet. */
		.frame_max = d->mtu + 14 + 8,
	};

	capture_free(d->capture);
	d->capture = NULL;
	if (capture_new(d->loop, &c, &d->log, &d->capture, why) < 0)
		return false;
	capture_start(d->capture, engine_router(d->engine), daemon_flush, on_capture_gone, d);
	/* A TAP's carrier is there only now. */
	if (net_port_wait(d->net, d->bridge.port_ifindex, PORT_WAIT_MS) == 0)
		return true;
	why_set(why, WHY_TRANSPORT, "%.150s", net_error(d->net));
	return false;
}

static void soon(struct daemon *d, struct ev_timer *timer, double delay_s)
{
	if (ev_is_active(timer) || d->stopping)
		return;
	ev_timer_set(timer, delay_s, 0.);
	ev_timer_start(d->loop, timer);
}

static void on_capture_gone(void *ctx)
{
	struct daemon *d = ctx;

	log_warning(&d->log, "capture port %s is gone; repairing", bridge_watch_port(d));
	/* It is dead whether or not the port is another one by then: repair opens it anew. */
	capture_free(d->capture);
	d->capture = NULL;
	soon(d, &d->repair, REPAIR_DELAY_S);
}

static bool repair(struct daemon *d, struct why *why)
{
	int port_before = d->bridge.port_ifindex, capture_before = d->bridge.capture_ifindex;

	if (!d->monitor && !open_monitor(d, why))
		return false;
	if (net_bridge_ensure(d->net, d->options->bridge, d->bridge.mac, d->mtu,
			      daemon_port_kind(d), &d->bridge, why))
		return false;
	segments_watch(d);
	daemon_fastdp_bridge(d);
	if (expose_assert(d->net, &d->bridge, &d->exposed, why))
		return false;
	if (d->bridge.port_ifindex != port_before || d->bridge.capture_ifindex != capture_before ||
	    !d->capture)
		return bridge_watch_open_capture(d, why);
	return true;
}

static void on_repair(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct daemon *d = w->data;
	struct why why;

	(void)loop;
	(void)events;
	if (repair(d, &why)) {
		log_info(&d->log, "bridge %s is in order", d->options->bridge);
	} else {
		log_error(&d->log, "cannot repair bridge %s: %s; next try in %.0f s",
			  d->options->bridge, why.text, REPAIR_RETRY_S);
		soon(d, &d->repair, REPAIR_RETRY_S);
	}
	bridge_watch_relist(d);
}

/* ---- what lives on the bridge ---- */

static struct local_endpoint *local_of(struct daemon *d, struct mac mac)
{
	/* Mostly asked for in the order in which they stand. */
	size_t at = d->locals_looked;

	for (size_t i = 0; i < d->locals_count; i++, at++) {
		at = at < d->locals_count ? at : 0;
		if (!mac_equal(d->locals[at].mac, mac))
			continue;
		d->locals_looked = at + 1;
		return &d->locals[at];
	}
	d->locals = mem_resize(d->locals, d->locals_count + 1, sizeof *d->locals);
	memset(&d->locals[d->locals_count], 0, sizeof *d->locals);
	d->locals[d->locals_count].mac = mac;
	return &d->locals[d->locals_count++];
}

/* Publishes 'mac' with these addresses unless that is what was published last. */
static void present(struct daemon *d, int ifindex, struct mac mac, const struct ip_addr *ips,
		    uint32_t count)
{
	size_t known = d->locals_count;
	struct local_endpoint *l = local_of(d, mac);
	bool same = known == d->locals_count && l->ips_count == count &&
		    memcmp(l->ips, ips, count * sizeof *ips) == 0;

	l->seen = true;
	l->ifindex = ifindex;
	if (same)
		return;
	l->ips_count = count;
	if (count)
		memcpy(l->ips, ips, count * sizeof *ips);
	router_add_endpoint(engine_router(d->engine), SEGMENT_DEFAULT, mac, ips, count, mono_now());
}

static void drop_unseen(struct daemon *d)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->locals_count; i++) {
		if (d->locals[i].seen)
			d->locals[kept++] = d->locals[i];
		else
			router_remove_endpoint(engine_router(d->engine), SEGMENT_DEFAULT,
					       d->locals[i].mac, mono_now());
	}
	d->locals_count = kept;
}

static uint32_t first_ips(const struct cidr *cidrs, uint32_t count, struct ip_addr *ips)
{
	uint32_t n = 0;

	for (; n < count && n < ENDPOINT_IPS_MAX; n++)
		ips[n] = cidrs[n].ip;
	return n;
}

static void present_host(struct daemon *d)
{
	struct ip_addr ips[ENDPOINT_IPS_MAX];
	uint32_t n = 0;

	if (d->exposed.count == 0)
		return;
	for (; n < d->exposed.count && n < ENDPOINT_IPS_MAX; n++)
		ips[n] = d->exposed.items[n].cidr.ip;
	present(d, 0, d->bridge.mac, ips, n);
}

static void present_container(struct daemon *d, const struct attachment *a)
{
	struct ip_addr ips[ENDPOINT_IPS_MAX];

	present(d, a->ifindex, a->mac, ips, first_ips(a->cidrs, a->cidrs_count, ips));
}

struct known_id {
	char text[ATTACH_ID_MAX + 1];
};

static struct known_id *attached_ids(const struct daemon *d)
{
	struct known_id *ids = mem_new(d->attached.count + 1, sizeof *ids);

	for (size_t i = 0; i < d->attached.count; i++)
		strcpy(ids[i].text, d->attached.list[i].id);
	return ids;
}

void bridge_watch_relist(struct daemon *d)
{
	size_t before_count = d->attached.count;
	struct known_id *before = attached_ids(d);
	struct why why;

	if (attach_refresh(d->net, &d->bridge, &d->attached, &why)) {
		log_warning(&d->log, "cannot list the attached containers: %s", why.text);
		soon(d, &d->relist, REPAIR_RETRY_S);
		mem_free(before);
		return;
	}
	for (size_t i = 0; i < before_count; i++)
		dns_container(d, before[i].text);
	mem_free(before);
	for (size_t i = 0; i < d->locals_count; i++)
		d->locals[i].seen = false;
	for (size_t i = 0; i < d->attached.count; i++)
		present_container(d, &d->attached.list[i]);
	present_host(d);
	drop_unseen(d);
	addresses_relisted(d);
	daemon_fastdp_ports(d, SEGMENT_DEFAULT, d->attached.list, d->attached.count);
	daemon_fastdp_host(d);
}

void bridge_watch_attached(struct daemon *d, const struct attachment *a)
{
	present_container(d, a);
	addresses_attached(d, a);
	daemon_fastdp_ports(d, SEGMENT_DEFAULT, a, 1);
}

void bridge_watch_detached(struct daemon *d, int ifindex, const char *id)
{
	for (size_t i = 0; i < d->locals_count; i++)
		d->locals[i].seen = d->locals[i].ifindex != ifindex;
	drop_unseen(d);
	addresses_container(d, id);
	dns_container(d, id);
}

void bridge_watch_exposed(struct daemon *d)
{
	for (size_t i = 0; i < d->locals_count; i++)
		d->locals[i].seen = d->locals[i].ifindex != 0;
	present_host(d);
	drop_unseen(d);
	addresses_exposed(d);
	daemon_fastdp_host(d);
	dns_follow_addresses(d);
}

void bridge_watch_relist_soon(struct daemon *d)
{
	soon(d, &d->relist, RELIST_DELAY_S);
}

static void on_relist(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	bridge_watch_relist(w->data);
}

/* ---- events ---- */

static bool is_ours(const struct daemon *d, const char *name)
{
	const struct net_bridge_names *n = &d->bridge.names;

	return strcmp(name, n->bridge) == 0 || strcmp(name, n->port) == 0 ||
	       strcmp(name, n->capture) == 0;
}

static void on_follow_mtu(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	daemon_follow_mtu(w->data);
}

static void on_follow_addresses(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	daemon_follow_addresses(w->data);
}

static bool is_container_port(const struct net_link *link)
{
	return strcmp(link->kind, "veth") == 0 &&
	       strncmp(link->name, CONTAINER_PORT, sizeof CONTAINER_PORT - 1) == 0;
}

/* A container's port without a bridge: it was pulled out, and listing plugs it in again.  The
 * kernel tells so of a new one, too, and has plugged it in by the time we hear it. */
static void on_unplugged(struct daemon *d, int ifindex)
{
	struct net_link now;

	if (net_link_get(d->net, ifindex, &now) == 0 && now.master == 0)
		bridge_watch_relist_soon(d);
}

static void on_port_gone(struct daemon *d, int ifindex)
{
	const char *known = attach_known_id(&d->attached, ifindex);
	char id[ATTACH_ID_MAX + 1];

	/* One that made room for another of the same id is not known any more. */
	snprintf(id, sizeof id, "%s", known ? known : ATTACH_UNKNOWN_ID);
	attach_known_gone(&d->attached, ifindex);
	bridge_watch_detached(d, ifindex, id);
	if (docker_is_port_id(id))
		docker_port_gone(d, id);
}

static void on_link(struct daemon *d, const struct net_link *link)
{
	bool unplugged = link->ifindex == d->bridge.port_ifindex &&
			 link->master != d->bridge.bridge_ifindex;

	/* IFF_UP is bit 0. */
	if (is_ours(d, link->name) && (!(link->flags & 1) || unplugged))
		soon(d, &d->repair, REPAIR_DELAY_S);
	if (is_container_port(link))
		docker_on_link(d, link);
	if (segments_on_link(d, link) || link->master || is_ours(d, link->name))
		return;
	if (is_container_port(link))
		on_unplugged(d, link->ifindex);
	else
		soon(d, &d->follow_mtu, RELIST_DELAY_S);
}

static void on_event(struct daemon *d, const struct net_event *e)
{
	switch (e->kind) {
	case NET_EVENT_LINK:
		on_link(d, &e->link);
		break;
	case NET_EVENT_LINK_GONE:
		daemon_fastdp_link_gone(d, e->link.ifindex);
		if (is_ours(d, e->link.name))
			soon(d, &d->repair, REPAIR_DELAY_S);
		else if (!segments_on_link_gone(d, &e->link))
			on_port_gone(d, e->link.ifindex);
		break;
	case NET_EVENT_RESYNC:
		segments_resync(d);
		soon(d, &d->repair, REPAIR_DELAY_S);
		soon(d, &d->follow_addresses, RELIST_DELAY_S);
		break;
	case NET_EVENT_ADDRESS:
		soon(d, &d->follow_addresses, RELIST_DELAY_S);
		break;
	case NET_EVENT_FDB:
		daemon_fastdp_fdb(d, &e->fdb);
		break;
	case NET_EVENT_FDB_GONE:
		/* Who was learned is forgotten when idle for long, whatever the bridge does. */
		break;
	}
}

static void on_monitor(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct daemon *d = w->data;
	struct net_event e;
	int rc = 0;

	(void)events;
	for (int i = 0; i < EVENTS_PER_TURN; i++) {
		rc = net_monitor_next(d->monitor, &e);
		if (rc <= 0)
			break;
		on_event(d, &e);
	}
	if (rc < 0) {
		log_error(&d->log, "the kernel's event socket failed: %s; opening another",
			  strerror(-rc));
		ev_io_stop(loop, &d->monitor_readable);
		net_monitor_close(d->monitor);
		d->monitor = NULL;
		soon(d, &d->repair, REPAIR_DELAY_S);
	}
}

static bool open_monitor(struct daemon *d, struct why *why)
{
	int rc = net_monitor_open(&d->monitor);

	if (rc) {
		why_set(why, WHY_TRANSPORT, "cannot listen to the kernel's events: %s",
			strerror(-rc));
		return false;
	}
	ev_io_init(&d->monitor_readable, on_monitor, net_monitor_fd(d->monitor), EV_READ);
	d->monitor_readable.data = d;
	ev_io_start(d->loop, &d->monitor_readable);
	return true;
}

bool bridge_watch_start(struct daemon *d, struct why *why)
{
	ev_timer_init(&d->repair, on_repair, 0., 0.);
	ev_timer_init(&d->relist, on_relist, 0., 0.);
	ev_timer_init(&d->follow_mtu, on_follow_mtu, 0., 0.);
	ev_timer_init(&d->follow_addresses, on_follow_addresses, 0., 0.);
	d->repair.data = d->relist.data = d->follow_mtu.data = d->follow_addresses.data = d;
	if (!open_monitor(d, why))
		return false;
	segments_watch(d);
	if (expose_load(d->net, &d->bridge, &d->exposed, why) ||
	    expose_assert(d->net, &d->bridge, &d->exposed, why) ||
	    !bridge_watch_open_capture(d, why))
		return false;
	daemon_settle_mtu(d);
	if (!segments_start(d, why))
		return false;
	bridge_watch_relist(d);
	return true;
}

void bridge_watch_stop(struct daemon *d)
{
	if (d->monitor)
		ev_io_stop(d->loop, &d->monitor_readable);
	ev_timer_stop(d->loop, &d->repair);
	ev_timer_stop(d->loop, &d->relist);
	ev_timer_stop(d->loop, &d->follow_mtu);
	ev_timer_stop(d->loop, &d->follow_addresses);
	net_monitor_close(d->monitor);
	capture_free(d->capture);
	mem_free(d->locals);
	attach_known_fini(&d->attached);
}
