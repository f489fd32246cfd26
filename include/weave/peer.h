/* What peers say of themselves and of their links: the values of kinds peer, link and gone.
 *
 * Pure.  Encoders write into a caller's buffer and MUST fit ENTRY_SIZE_MAX; decoders return NULL
 * or the name of the wrong field.  Texts from peers are checked: printable UTF-8 without control
 * characters, so that no peer can write to our terminals.
 */
#ifndef WEAVE_PEER_H
#define WEAVE_PEER_H

#include <weave/addr.h>
#include <weave/entry.h>
#include <weave/limits.h>
#include <weave/writer.h>

enum { OVERLAY_SLEEVE = 1, OVERLAY_FASTDP = 2 }; /* bit mask */

/* Key: peer name.  Writer: that peer. */
struct peer_info {
	peer_name name;
	char nickname[NICKNAME_MAX + 1];
	char software[32]; /* "weave 3.0.0" */
	uint8_t protocol_min, protocol_max;
	uint8_t overlays;  /* OVERLAY_* it can do */
	uint64_t instance; /* random per start */
	uint64_t store_id; /* random per store */
	uint64_t floor;	   /* its endpoint and name entries count down to this generation */
	uint16_t port;	   /* of its control listener */
	uint8_t addresses_count;
	struct ip_addr addresses[ADDRESSES_PER_PEER_MAX]; /* its own idea of where it is */
};

/* Key: from, to.  Writer: from. Counts only if its generation is the writer's current one. */
struct link_info {
	peer_name from, to;
	bool established;	/* data path alive: each end hears its own heartbeat echoed */
	bool outbound;		/* 'from' dialled */
	uint8_t overlay;	/* OVERLAY_* in use, 0 while not established */
	struct netaddr address; /* of 'to' as seen by 'from'; with to's listening port */
};

/* Key: peer.  Writer: whoever noticed.  The entry's own generation is the one it declares gone and
 * its version 0, so that of several notices the one that reaches furthest wins on every peer,
 * whoever wrote it; there is no tombstone of it. */
struct gone_info {
	peer_name peer;
	uint64_t generation; /* entries of 'peer' up to this one are deleted and refused */
};

/* Well-formed UTF-8 of printable characters: no control, direction or line-separating ones. */
bool peer_text_ok(struct bytes text);

void peer_info_key(peer_name name, struct writer *key);
void peer_info_encode(const struct peer_info *p, struct writer *value);
const char *peer_info_decode(struct peer_info *p, const struct entry_view *e);

void link_info_key(peer_name from, peer_name to, struct writer *key);
void link_info_encode(const struct link_info *l, struct writer *value);
/* Of a tombstone only from and to are meaningful. */
const char *link_info_decode(struct link_info *l, const struct entry_view *e);

void gone_info_key(peer_name peer, struct writer *key);
void gone_info_encode(const struct gone_info *g, struct writer *value);
const char *gone_info_decode(struct gone_info *g, const struct entry_view *e);

#endif
