/* IPsec of the kernel (XFRM) for one purpose: UDP to one port between two hosts, by ESP in
 * transport mode with AES-256-GCM (RFC 4303, RFC 4106), extended sequence numbers and a replay
 * window.
 *
 * Loop thread; in the namespace in which the handle was opened.  Results as in <weave/net.h>.
 *
 * What is ours is told by its request id: the upper half is that of the bridge's router, the lower
 * the number of a guard, so that others' IPsec on the same host is never touched.
 */
#ifndef WEAVE_NET_XFRM_H
#define WEAVE_NET_XFRM_H

#include <weave/net.h>

#define NET_SA_KEY_SIZE 36u /* 32 of AES, 4 of salt */
#define NET_GUARDS_MAX 65535u

/* Another kind of handle than net_open gives. */
int net_xfrm_open(struct net **net);

/* 0 when this kernel does all that is needed, for 4 or 6; tried, not guessed. */
int net_xfrm_probe(struct net *net, uint8_t family);

struct net_guard {
	const char *bridge;
	uint32_t number;       /* 1 to NET_GUARDS_MAX */
	struct ip_addr remote; /* the other host */
	uint16_t port;	       /* UDP; at both */
};

struct net_sa {
	struct net_guard guard;
	bool out;
	uint32_t spi;
	struct ip_addr local; /* of what comes in */
	uint32_t expires_s;   /* the kernel deletes it then */
	const uint8_t *key;   /* NET_SA_KEY_SIZE; only to add */
};

int net_sa_add(struct net *net, const struct net_sa *sa);
int net_sa_remove(struct net *net, const struct net_sa *sa); /* gone already: 0 */

/* From now on nothing goes to that host and port but by the association 'spi' (0: nothing at all),
 * and nothing is taken from there but what came by one of this guard.  Two locks: IPsec policies,
 * and rules of nftables that hold when somebody flushes those.  In the calling thread's namespace.
 */
int net_guard_set(struct net *net, const struct net_guard *guard, uint32_t spi);
int net_guard_remove(struct net *net, const struct net_guard *guard); /* gone already: 0 */

/* How many guards and associations of that bridge's router there are, or were: not 0 while its
 * table of nftables stands. */
int net_xfrm_count(struct net *net, const char *bridge, size_t *count);
/* Removes them all. */
int net_xfrm_remove(struct net *net, const char *bridge);

#endif
