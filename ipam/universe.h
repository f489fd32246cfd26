/* Helpers on universes that only ipam/ needs; the type and its public face: <weave/ipam.h>.
 *
 * Pure.  A universe of more than 2^32 addresses (IPv6) uses its lowest 2^32 only, so that offsets,
 * bitmaps and counts stay small; offsets are 64-bit all the same, so that size itself is one.
 */
#ifndef WEAVE_IPAM_UNIVERSE_H
#define WEAVE_IPAM_UNIVERSE_H

#include <weave/ipam.h>
#include <weave/reader.h>
#include <weave/writer.h>

#define UNIVERSE_SIZE_MAX (UINT64_C(1) << 32)
#define UNIVERSE_KEY_MAX 18u /* family u8, prefix u8, network address 4 or 16 bytes */

bool universe_equal(const struct universe *a, const struct universe *b);

void universe_write(const struct universe *u, struct writer *w);
/* Fails the reader when it is not a universe that universe_init would accept. */
void universe_read(struct universe *u, struct reader *r);

#endif
