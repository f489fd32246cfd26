/* The kernel's data path: programs at the containers, the underlay and the VXLAN device, kept as
 * the router object says.
 *
 * Loop thread.  The router object is borrowed, and so is the netlink handle; both outlive this.
 * What is in the kernel stays when this is freed or the daemon is killed, so that established flows
 * go on; the next life takes it over, and forgets what nobody spoke of for FASTDP_HOLD_S.
 */
#ifndef WEAVE_FASTDP_IO_H
#define WEAVE_FASTDP_IO_H

#include <weave/net.h>
#include <weave/router.h>
#include <weave/why.h>

struct ev_loop;

#define FASTDP_HOLD_S 30.

struct fastdp_io_config {
	peer_name self;
	const char *bridge;	 /* its name */
	int bridge_port_ifindex; /* the router's port of it */
	/* UDP, of VXLAN; 0: nothing goes to peers by itself, the programs only take the short way
	 * between containers and to the router, past the bridge. */
	uint16_t port;
	uint32_t mtu; /* of the bridge */
};

struct fastdp_io;

/* Loads programs and makes the device; nothing is attached to others' interfaces yet.  -errno with
 * 'why' when this kernel cannot do it. */
int fastdp_io_new(const struct fastdp_io_config *config, struct net *net, struct log *log,
		  struct fastdp_io **out, struct why *why);
/* Before the start, when there is a password: may sealed connections use it?  Else 'why'. */
bool fastdp_io_seal(struct fastdp_io *f, struct why *why);
void fastdp_io_start(struct fastdp_io *f, struct ev_loop *loop, struct router *router);
void fastdp_io_free(struct fastdp_io *f); /* NULL is fine */

/* Carries out what the router wants by now; call it each turn. */
void fastdp_io_flush(struct fastdp_io *f);

/* The host's end of a container's veth, and the container's MAC; as often as you like. */
void fastdp_io_port(struct fastdp_io *f, int ifindex, uint32_t segment, struct mac mac);
/* The bridge, by whose MAC the host itself is reached since it is exposed. */
void fastdp_io_host(struct fastdp_io *f, int bridge_ifindex, uint32_t segment, struct mac mac);
/* The bridge saw that MAC behind one of its ports; only containers' ports matter. */
void fastdp_io_learned(struct fastdp_io *f, int ifindex, uint32_t segment, struct mac mac);
/* Either is gone, or the host not exposed any more. */
void fastdp_io_port_gone(struct fastdp_io *f, int ifindex);
/* The router's port at the bridge of a segment other than the default one; 0: closed.  Nothing is
 * carried there until the router says so. */
void fastdp_io_segment(struct fastdp_io *f, uint32_t segment, int bridge_port_ifindex);
/* The bridge has another MTU; before the router is told. */
void fastdp_io_mtu(struct fastdp_io *f, uint32_t mtu);
/* The default segment's bridge was repaired. */
void fastdp_io_bridge_port(struct fastdp_io *f, int ifindex);

/* Is it the VXLAN device that went, or changed?  Then this makes it anew; until it could, all goes
 * by sleeve. */
bool fastdp_io_is_device(const struct fastdp_io *f, int ifindex);
int fastdp_io_repair(struct fastdp_io *f, struct why *why);

#endif
