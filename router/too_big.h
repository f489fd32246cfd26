/* Tells the sender of an IP packet that does not fit our path: ICMP "fragmentation needed" (RFC
 * 1191) or ICMPv6 "packet too big" (RFC 8201).
 *
 * Pure.  The answer comes from the packet's own destination: the router needs no address in the
 * container's subnet and every sender accepts it.
 */
#ifndef WEAVE_ROUTER_TOO_BIG_H
#define WEAVE_ROUTER_TOO_BIG_H

#include <stdbool.h>

#include "frame.h"

/* Least MTU worth announcing: Linux believes no IPv4 value below 552, and every IPv6 link carries
 * 1280.  Smaller packets are cut into fragments by the sleeve instead. */
#define TOO_BIG_MTU_MIN_IPV4 576u
#define TOO_BIG_MTU_MIN_IPV6 1280u

#define TOO_BIG_ANSWER_MAX (FRAME_HEADER_SIZE + FRAME_TAG_SIZE * FRAME_TAGS_MAX + 1280u)

/* The MTU to announce to the sender of this unicast frame, or 0 when it must not be told: it fits,
 * it may be fragmented (no DF), is not IP, or is one that no ICMP error may answer. */
size_t too_big_mtu(const struct frame *f, size_t path_mtu);

/* Writes the answer (a whole frame) and returns its size.  too_big_mtu(f, ...) returned 'mtu';
 * 'answer' has room for TOO_BIG_ANSWER_MAX bytes. */
size_t too_big_answer(const struct frame *f, size_t mtu, struct mac from, uint8_t *answer);

#endif
