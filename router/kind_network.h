/* Kind NETWORK: a peer has a segment open, and what it means by its number.
 *
 * Pure.  Writer: that peer.
 *	key:   segment u24 (1 .. 0xfffffe)  peer 6
 *	value: length u8  the network's key (<weave/segment.h>)
 *
 * Everybody has segment 0 open: nobody says so.
 */
#ifndef WEAVE_ROUTER_KIND_NETWORK_H
#define WEAVE_ROUTER_KIND_NETWORK_H

#include <weave/entry.h>
#include <weave/segment.h>
#include <weave/writer.h>

#define NETWORK_KEY_SIZE 9u
#define NETWORK_VALUE_MAX (1u + SEGMENT_KEY_MAX)

struct network_entry {
	uint32_t segment;
	peer_name peer;
	char key[SEGMENT_KEY_MAX + 1];
};

void network_entry_key(const struct network_entry *e, struct writer *key);
void network_entry_value(const struct network_entry *e, struct writer *value);

/* NULL, or the name of the wrong field.  Of a tombstone only segment and peer are meaningful. */
const char *network_entry_decode(struct network_entry *out, const struct entry_view *e);

/* For the store's row of this kind. */
const char *network_entry_check(const struct entry_view *e);

#endif
