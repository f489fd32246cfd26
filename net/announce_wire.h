/* Frames that tell a link where an address lives: gratuitous ARP (RFC 5227 3, an ARP request with
 * both protocol addresses the same) and the unsolicited neighbour advertisement (RFC 4861 7.2.6).
 * Pure. */
#ifndef WEAVE_NET_ANNOUNCE_WIRE_H
#define WEAVE_NET_ANNOUNCE_WIRE_H

#include <weave/addr.h>
#include <weave/writer.h>

#define ANNOUNCE_SIZE_MAX 86u

/* The whole Ethernet frame without padding; 'w' has room for ANNOUNCE_SIZE_MAX bytes. */
void announce_write(struct mac mac, struct ip_addr ip, struct writer *w);

#endif
