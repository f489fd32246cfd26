/* The overlay's MTU: what the underlay's leaves, and following it when it changes. */
#include "daemon.h"

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

/* Room that the worst overlay takes from a packet of the underlay: IPv6 40, UDP 8, sleeve header
 * and record 35, Ethernet 14, VLAN 4, authentication tag 16, rounded to what Weave Net's users
 * know (1376 on 1500). */
#define OVERLAY_RESERVE 124u
#define UNDERLAY_MTU_DEFAULT 1500u
#define UNDERLAY_MTU_MIN 576u
#define IPV4_UDP_HEADERS 28u
#define IPV6_UDP_HEADERS 48u
/* Smaller paths do not make the containers' MTU smaller: IPv6 needs this much (RFC 8200 5), and
 * sleeve cuts what does not fit. */
#define PATH_MTU_MIN (1280u + OVERLAY_RESERVE)

uint32_t daemon_underlay_mtu(struct daemon *d)
{
	struct net_link bridge;
	int except[1] = { 0 };
	uint32_t mtu = 0;

	if (net_link_find(d->net, d->options->bridge, &bridge) == 0)
		except[0] = bridge.ifindex;
	if (net_underlay_mtu(d->net, except, 1, &mtu) || mtu == 0)
		mtu = UNDERLAY_MTU_DEFAULT;
	return mtu < UNDERLAY_MTU_MIN ? UNDERLAY_MTU_MIN : mtu;
}

uint32_t daemon_overlay_mtu(const struct daemon *d, uint32_t underlay)
{
	return d->options->mtu ? d->options->mtu : underlay - OVERLAY_RESERVE;
}

uint32_t daemon_datagram_max(uint32_t underlay)
{
	uint32_t size = underlay - IPV4_UDP_HEADERS;

	return size > SLEEVE_DATAGRAM_MAX ? SLEEVE_DATAGRAM_MAX : size;
}

void daemon_settle_mtu(struct daemon *d)
{
	struct why why;

	/* One that is going away just now is no reason to worry anybody. */
	if (attach_set_mtu(d->net, &d->bridge, d->mtu, &why))
		log_info(&d->log, "cannot set the MTU of every container: %s", why.text);
}

/* Containers first when it shrinks, last when it grows: what they send always fits the bridge. */
static void apply(struct daemon *d, uint32_t mtu)
{
	struct net_bridge before = d->bridge;
	bool shrinks = mtu < d->mtu;
	struct why why;

	d->mtu = mtu;
	if (shrinks)
		daemon_settle_mtu(d);
	if (net_bridge_ensure(d->net, d->options->bridge, d->bridge.mac, mtu, daemon_port_kind(d),
			      &d->bridge, &why)) {
		/* The repair of the bridge has the new MTU too. */
		log_error(&d->log, "cannot set the MTU of bridge %s: %s", d->options->bridge,
			  why.text);
		d->bridge = before;
	}
	if (!shrinks)
		daemon_settle_mtu(d);
	daemon_fastdp_mtu(d);
	segments_mtu(d);
	if (!bridge_watch_open_capture(d, &why))
		log_error(&d->log, "%s", why.text);
}

/* What both the first link and the paths to all peers carry. */
static uint32_t effective(const struct daemon *d, uint32_t underlay)
{
	return d->path_mtu && d->path_mtu < underlay ? d->path_mtu : underlay;
}

static void take(struct daemon *d, uint32_t underlay)
{
	uint32_t mtu = daemon_overlay_mtu(d, effective(d, underlay));

	d->underlay_mtu = underlay;
	if (mtu != d->mtu)
		apply(d, mtu);
	router_set_mtu(engine_router(d->engine), d->mtu, daemon_datagram_max(underlay), mono_now());
}

void daemon_follow_mtu(struct daemon *d)
{
	uint32_t underlay = daemon_underlay_mtu(d), mtu;

	if (underlay == d->underlay_mtu)
		return;
	mtu = daemon_overlay_mtu(d, effective(d, underlay));
	log_info(&d->log, "the underlay's MTU is %u now, was %u; that of the containers %s %u",
		 underlay, d->underlay_mtu, mtu == d->mtu ? "stays" : "becomes", mtu);
	take(d, underlay);
}

/* Of the IP packets that every peer with a settled path gets; 0 when there is none. */
static uint32_t smallest_path(const struct daemon *d)
{
	struct path_info p;
	uint32_t smallest = 0;

	for (size_t i = 0; router_path_at(engine_router(d->engine), i, &p); i++) {
		uint32_t size = p.datagram_size;

		if (!p.established || !p.settled)
			continue;
		size += p.address.ip.family == 6 ? IPV6_UDP_HEADERS : IPV4_UDP_HEADERS;
		if (size < PATH_MTU_MIN)
			size = PATH_MTU_MIN;
		if (!smallest || size < smallest)
			smallest = size;
	}
	return smallest;
}

void daemon_look_at_paths(struct daemon *d)
{
	uint32_t path = smallest_path(d), before = d->mtu;

	/* Twice the same: one measurement may have been unlucky. */
	if (path && path == d->path_mtu_before && path != d->path_mtu) {
		d->path_mtu = path;
		take(d, d->underlay_mtu);
		if (d->mtu != before)
			log_info(&d->log,
				 "paths to peers carry %u bytes: the containers' MTU becomes %u",
				 path, d->mtu);
	}
	d->path_mtu_before = path;
}
