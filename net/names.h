/* How the objects of one bridge are called and recognised in the kernel.  Pure.
 *
 * Our objects carry an alias "weave/1 <bridge> <rest>".  It names the bridge, because several
 * routers may share a namespace; for a container's veth the rest is its id and namespace path
 * (plugin/attach.c), for the others one word.
 */
#ifndef WEAVE_NET_NAMES_H
#define WEAVE_NET_NAMES_H

#include <stdbool.h>

#include <weave/net.h>

/* True when the alias says that the object belongs to this bridge. */
bool alias_is_ours(const char *alias, const char *bridge);
/* Is this link to be removed with the bridge 'bridge_ifindex' (0: gone already)?  The router's
 * port by its names, a container's veth by its prefix and its port or alias. */
bool link_is_ours(const struct net_link *link, const struct net_bridge_names *names,
		  int bridge_ifindex);

#endif
