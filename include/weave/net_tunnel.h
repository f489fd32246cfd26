/* What a kernel data path stands on: the VXLAN device, the way to an address, programs at
 * interfaces.
 *
 * Loop thread; in the calling thread's network namespace, which must be the handle's.  Results as
 * in <weave/net.h>.
 */
#ifndef WEAVE_NET_TUNNEL_H
#define WEAVE_NET_TUNNEL_H

#include <weave/net.h>

/* A VXLAN device that takes each packet's addresses and segment from its metadata (RFC 7348 on this
 * UDP port, IPv4 and IPv6), belongs to the router of 'bridge', and is up.  One of ours that is
 * there already stays, and with it what is attached to it, unless its port is another. -EEXIST:
 * something else has the name; -EADDRINUSE: or the port. */
int net_vxlan_ensure(struct net *net, const char *name, const char *bridge, uint16_t port,
		     int *ifindex);

struct net_way {
	int ifindex;	      /* by which packets leave */
	struct ip_addr local; /* their source address */
	struct ip_addr link;  /* whom the link's own address is asked of: a gateway, or 'to' */
	bool ethernet;
	uint32_t mtu; /* of the interface */
};

/* -ENETUNREACH and the like when there is no route; -EINVAL when 'to' is an address of ours. */
int net_way_to(struct net *net, struct ip_addr to, struct net_way *way);

/* ---- programs at interfaces (tcx, where the kernel has it; else clsact, with direct action) ----
 *
 * 'mark' tells the routers of one namespace apart (net_bridge_mark); others' programs and queueing
 * disciplines stay as they are.  A program can have one mark only. */
enum net_direction { NET_INGRESS, NET_EGRESS };

uint32_t net_bridge_mark(const char *bridge);
/* Attaches, or replaces what this mark had there, without a packet in between passing neither. */
int net_program_attach(int ifindex, enum net_direction direction, uint32_t mark, int program_fd);
/* Its number; -ENOENT: there is none. */
int net_program_find(int ifindex, enum net_direction direction, uint32_t mark, uint32_t *id);
int net_program_detach(int ifindex, enum net_direction direction, uint32_t mark); /* none: 0 */

/* Removes all of the above that belongs to the router of 'bridge'; nothing there: 0. */
int net_tunnel_remove(struct net *net, const char *bridge);

#endif
