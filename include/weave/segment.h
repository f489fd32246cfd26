/* Segments: isolated layer-2 networks that share the routers, their connections and addresses.
 *
 * A segment is known to people by its key (for Docker: what names a network on all hosts), to
 * frames by its number of 24 bits, the VNI of fastdp.  The number is a hash of the key, so routers
 * agree on it without asking anybody; one that is taken is refused when the segment is opened, and
 * another may be given by hand.  Segment 0 is the default network, key "weave", always open.
 *
 * Pure.
 */
#ifndef WEAVE_SEGMENT_H
#define WEAVE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#define SEGMENT_DEFAULT 0u
#define SEGMENT_DEFAULT_KEY "weave"
#define SEGMENT_MAX 0xfffffeu /* 0xffffff is that of fastdp's pings */
/* A full Docker id with words around it; with the number it fits an interface's alias. */
#define SEGMENT_KEY_MAX 128u

/* [A-Za-z0-9][A-Za-z0-9_.:/-]*, at most SEGMENT_KEY_MAX bytes. */
bool segment_key_ok(const char *key);
/* 1 to SEGMENT_MAX, the same everywhere; SEGMENT_DEFAULT for the key "weave". */
uint32_t segment_number_of(const char *key);

#endif
