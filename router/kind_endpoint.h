/* Kind ENDPOINT: (segment, MAC) lives at a peer.
 *
 * Pure.  Writer: that peer.
 *	key:   segment u24  MAC 6  peer 6
 *	value: claim u32  flags u8  count u8  count x { family u8 (4, 6)  address 4 or 16 }
 *
 * 'claim' orders the claims of different peers to one MAC, whose entry versions are counted apart
 * (the MAC mobility sequence number of RFC 7432 7.7): who sees the MAC newly behind itself claims
 * with one more than the highest it knows; the highest wins, then the lowest name.
 */
#ifndef WEAVE_ROUTER_KIND_ENDPOINT_H
#define WEAVE_ROUTER_KIND_ENDPOINT_H

#include <weave/entry.h>
#include <weave/limits.h>
#include <weave/writer.h>

#define ENDPOINT_KEY_SIZE 15u
#define ENDPOINT_VALUE_MAX (6u + ENDPOINT_IPS_MAX * 17u)

/* Claims at or above this are malformed: one that cannot be outbid would lock its MAC for ever. */
#define ENDPOINT_CLAIM_LIMIT (UINT32_C(1) << 31)

enum { ENDPOINT_ATTACHED = 1 }; /* flags: told by whoever attached it; else learned from frames */

struct endpoint_entry {
	uint32_t segment;
	struct mac mac;
	peer_name peer;
	uint32_t claim;
	uint8_t flags;
	uint8_t ips_count;
	struct ip_addr ips[ENDPOINT_IPS_MAX];
};

void endpoint_entry_key(const struct endpoint_entry *e, struct writer *key);
void endpoint_entry_value(const struct endpoint_entry *e, struct writer *value);

/* NULL, or the name of the wrong field.  Of a tombstone only the key is meaningful. */
const char *endpoint_entry_decode(struct endpoint_entry *out, const struct entry_view *e);

/* For the store's row of this kind. */
const char *endpoint_entry_check(const struct entry_view *e);

#endif
