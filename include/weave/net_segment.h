/* Bridges of segments: beside a router's main bridge, one for each further layer-2 network.
 *
 * Like the main bridge (<weave/net.h>), but the host is no part of it: it has no addresses there
 * and takes nothing from it, so that nothing gets from one segment to another through the host's
 * routing.  The bridge's alias keeps number and key, so that it is found again after a restart.
 */
#ifndef WEAVE_NET_SEGMENT_H
#define WEAVE_NET_SEGMENT_H

#include <weave/net.h>
#include <weave/segment.h>

/* "weave-<6 hex>" beside the main bridge "weave"; NET_NAME_SIZE bytes. */
void net_segment_name(const char *main, uint32_t segment, char *name);
/* False when it is not the name of a segment's bridge beside 'main'. */
bool net_segment_number(const char *main, const char *name, uint32_t *segment);

/* Makes or repairs it, as net_bridge_ensure does. */
int net_segment_ensure(struct net *net, const char *main, uint32_t segment, const char *key,
		       struct mac mac, uint32_t mtu, enum net_port_kind kind,
		       struct net_bridge *bridge, struct why *why);

struct net_segment {
	uint32_t number;
	char key[SEGMENT_KEY_MAX + 1]; /* "" when it was never finished */
};

/* Those that are there; mem_free(*list). */
int net_segments(struct net *net, const char *main, struct net_segment **list, size_t *count);
/* Bridge, port and containers' interfaces of one. */
int net_segment_remove(struct net *net, const char *main, uint32_t segment, struct why *why);

#endif
