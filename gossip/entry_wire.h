/* One entry as bytes, the same in every message that carries entries.
 *
 *	kind:u8  flags:u8  writer:u48  generation:u64  version:u64
 *	key_size:u8  key  value_size:u16  value
 *
 * Pure.  Decoded views borrow from the reader's bytes.  Values are opaque here: kinds that this
 * router does not know travel unread (gossip-review F5g).
 */
#ifndef WEAVE_GOSSIP_ENTRY_WIRE_H
#define WEAVE_GOSSIP_ENTRY_WIRE_H

#include <weave/entry.h>
#include <weave/reader.h>
#include <weave/writer.h>

#define ENTRY_WIRE_MIN 28u /* a key of one byte, no value */

size_t entry_wire_size(const struct entry_view *e);

/* MUST be well formed; a full writer holds a prefix that must not be sent. */
void entry_encode(const struct entry_view *e, struct writer *w);

/* Reads one entry and applies entry_check; a wrong field fails the reader. Returns r->bad. */
const char *entry_decode(struct entry_view *e, struct reader *r);

#endif
