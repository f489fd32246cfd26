/* The second lock on sealed paths, in netfilter: VXLAN to or from a guarded address that IPsec does
 * not seal is dropped.  It holds when somebody flushes the policies of the whole host.
 *
 * One table per router, of family inet; in the calling thread's namespace.
 */
#ifndef WEAVE_NET_GUARD_NFT_IO_H
#define WEAVE_NET_GUARD_NFT_IO_H

#include <weave/net_xfrm.h>

/* Makes what is missing of the table, too; as often as you like. */
int guard_nft_add(const struct net_guard *g, struct why *why);
int guard_nft_remove(const struct net_guard *g, struct why *why); /* gone already: 0 */
bool guard_nft_exists(const char *bridge);
/* The whole table; none, or no nftables in the kernel: 0. */
int guard_nft_remove_all(const char *bridge, struct why *why);

#endif
