/* The kernel's data path in the daemon: opened at the start if it may and can be used. */
#include "daemon.h"

#include <string.h>

#include <weave/net_tunnel.h>
#include <weave/net_xfrm.h>
#include <weave/sockaddr_io.h>

/* Of a life with a password: without, the maps must not be taken over from it. */
static bool was_sealed(struct daemon *d)
{
	struct net *xfrm;
	size_t count = 0;

	if (net_xfrm_open(&xfrm))
		return false;
	if (net_xfrm_count(xfrm, d->options->bridge, &count))
		count = 0;
	net_close(xfrm);
	return count > 0;
}

/* What an earlier life left in the kernel must not go on when this one may not use it. */
static void remove_rest(struct daemon *d)
{
	if (net_tunnel_remove(d->net, d->options->bridge))
		log_warning(&d->log, "cannot remove the kernel data path of an earlier run: %s",
			    net_error(d->net));
}

void daemon_fastdp_open(struct daemon *d)
{
	struct fastdp_io_config c = {
		.self = d->state.name,
		.bridge = d->options->bridge,
		.bridge_port_ifindex = d->bridge.port_ifindex,
		.port = d->options->fastdp ? (uint16_t)(d->options->port + 1) : 0,
		.mtu = d->mtu,
	};
	struct why why = { 0 };

	/* With a password some peers may not be spoken to in clear any more: begin anew, and let
	 * each connection decide. */
	if (!d->options->fastdp || d->passwords || was_sealed(d))
		remove_rest(d);
	if (fastdp_io_new(&c, d->net, &d->log, &d->fastdp, &why)) {
		log_warning(&d->log, "%s: %s",
			    c.port ? "no fastdp, all goes by sleeve"
				   : "containers' frames take the way over the bridge",
			    why.text);
		remove_rest(d);
		c.port = 0;
	}
	if (!d->options->fastdp)
		why_set(&why, WHY_NONE, "switched off here (--no-fastdp)");
	memcpy(d->no_fastdp, why.text, sizeof d->no_fastdp);
	if (c.port && d->passwords && !fastdp_io_seal(d->fastdp, &why)) {
		log_warning(&d->log, "sealed connections go by sleeve: %s", why.text);
		d->no_esp = "a password is set, and this kernel has no ESP: see the log";
	}
	d->config.gossip.overlays = OVERLAY_SLEEVE | (c.port ? OVERLAY_FASTDP : 0);
	d->config.router.fastdp_port = c.port;
	d->config.router.tells_kernel = d->fastdp;
	d->config.router.fastdp_keep = !d->passwords;
	d->config.router.no_fastdp = c.port ? NULL : d->no_fastdp;
	d->config.router.no_esp = d->no_esp;
}

/* With a password there is nobody to change keys when we are gone, and nothing that the other end
 * still takes. */
void daemon_fastdp_close(struct daemon *d)
{
	bool was_there = d->fastdp;

	fastdp_io_free(d->fastdp);
	d->fastdp = NULL;
	if (was_there && d->passwords)
		remove_rest(d);
}

void daemon_fastdp_start(struct daemon *d)
{
	if (d->fastdp)
		fastdp_io_start(d->fastdp, d->loop, engine_router(d->engine));
}

void daemon_fastdp_flush(struct daemon *d)
{
	if (d->fastdp)
		fastdp_io_flush(d->fastdp);
}

void daemon_fastdp_segment(struct daemon *d, uint32_t segment, int bridge_port_ifindex)
{
	if (d->fastdp)
		fastdp_io_segment(d->fastdp, segment, bridge_port_ifindex);
}

void daemon_fastdp_ports(struct daemon *d, uint32_t segment, const struct attachment *list,
			 size_t count)
{
	for (size_t i = 0; d->fastdp && i < count; i++)
		fastdp_io_port(d->fastdp, list[i].ifindex, segment, list[i].mac);
}

/* The host itself, while it is exposed. */
void daemon_fastdp_host(struct daemon *d)
{
	if (!d->fastdp)
		return;
	if (d->exposed.count)
		fastdp_io_host(d->fastdp, d->bridge.bridge_ifindex, SEGMENT_DEFAULT, d->bridge.mac);
	else
		fastdp_io_port_gone(d->fastdp, d->bridge.bridge_ifindex);
}

void daemon_fastdp_link_gone(struct daemon *d, int ifindex)
{
	struct why why;

	if (!d->fastdp)
		return;
	fastdp_io_port_gone(d->fastdp, ifindex);
	if (!fastdp_io_is_device(d->fastdp, ifindex) || d->stopping)
		return;
	if (fastdp_io_repair(d->fastdp, &why))
		log_error(&d->log,
			  "the VXLAN device is gone and cannot be made again: %s; all "
			  "goes by sleeve",
			  why.text);
	else
		log_warning(&d->log, "the VXLAN device was gone and is back");
}

void daemon_fastdp_bridge(struct daemon *d)
{
	if (d->fastdp)
		fastdp_io_bridge_port(d->fastdp, d->bridge.port_ifindex);
}

void daemon_fastdp_mtu(struct daemon *d)
{
	if (d->fastdp)
		fastdp_io_mtu(d->fastdp, d->mtu);
}

/* The bridge saw frames of 'mac' at one of its ports: with fastdp not all of them come to the
 * router, so this is how it learns who is there. */
void daemon_fastdp_fdb(struct daemon *d, const struct net_fdb *fdb)
{
	uint32_t segment = SEGMENT_DEFAULT;
	int port = d->bridge.port_ifindex;

	if (!d->fastdp || fdb->is_local || fdb->vlan)
		return;
	for (size_t i = 0; fdb->bridge != d->bridge.bridge_ifindex && i < d->segments_count; i++) {
		const struct segment *s = &d->segments[i]->segment;

		if (s->bridge.bridge_ifindex != fdb->bridge)
			continue;
		segment = s->number;
		port = s->bridge.port_ifindex;
	}
	if (segment == SEGMENT_DEFAULT && fdb->bridge != d->bridge.bridge_ifindex)
		return;
	if (fdb->ifindex == port)
		return;
	fastdp_io_learned(d->fastdp, fdb->ifindex, segment, fdb->mac);
	router_on_local_mac(engine_router(d->engine), segment, fdb->mac, mono_now());
}
