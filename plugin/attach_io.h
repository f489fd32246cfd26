/* What attach_io.c and expose_io.c share. */
#ifndef WEAVE_PLUGIN_ATTACH_IO_H
#define WEAVE_PLUGIN_ATTACH_IO_H

#include <weave/attach.h>

/* Addresses of a link that an operator or we gave it (no IPv6 link-local), at most 'max'.
 * 0 or a negative errno (net_error). */
int link_cidrs(struct net *net, int ifindex, struct cidr *list, uint32_t *count, uint32_t max);

/* Fills 'why' from net_error when rc is negative; returns rc. */
int explain(struct net *net, int rc, struct why *why);

#endif
