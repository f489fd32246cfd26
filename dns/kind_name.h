/* Entries of kind NAME: a name that a peer gives to an address of a container.
 *
 *	key    peer:u48  hash[16]
 *	value  family:u8 (4 or 6)  address[4 or 16]  hostname:u8+bytes  container:u8+bytes
 *
 * 'hash' is the keyed hash, the same everywhere, of the rest but for the case of letters: the text
 * of a name may be longer than a key.  Pure.
 */
#ifndef WEAVE_DNS_KIND_NAME_H
#define WEAVE_DNS_KIND_NAME_H

#include <weave/dns.h>
#include <weave/writer.h>

#define NAME_VALUE_MAX (1u + 16u + 1u + NAME_HOSTNAME_MAX + 1u + NAME_CONTAINER_MAX)

/* 'hostname' and 'container' are checked. */
void name_entry_key(const struct name_entry *e, struct writer *key);
void name_entry_value(const struct name_entry *e, struct writer *value);

/* NULL, or the name of the wrong field.  Of a tombstone only the peer is known. */
const char *name_entry_decode(struct name_entry *out, const struct entry_view *e);
const char *name_entry_check(const struct entry_view *e);

/* The same for all spellings of one name. */
uint64_t name_hash(const struct hash_key *key, const char *hostname);

#endif
