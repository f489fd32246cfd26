/* What routers ask of each other about addresses, by UNICAST on IPAM_CHANNEL.
 *
 * Pure; bytes <-> structs.  Big endian.  Every message starts with
 *	type u8, universe, ring id u64, id u64 (of the question; echoed by the answer),
 *	store id of the sender u64
 * All questions may be repeated, all answers may come late or twice.
 *
 *	question                                   answer
 *	ASK       wanted span                      GRANT     runs that are the asker's now
 *	                                           REFUSE    reason, free there, holder, runs
 *	TAKEOVER  victim, span, runs in it         TAKEN     span that is answered, runs that are
 *	                                                     newer, live addresses
 *	HANDOVER  retirement, span, runs in it     HANDED    span that is durable at the heir
 *
 * TAKEOVER and HANDOVER go through the offsets in pieces: the answer says how far it reaches, the
 * next question starts there.
 */
#ifndef WEAVE_IPAM_WIRE_H
#define WEAVE_IPAM_WIRE_H

#include <weave/limits.h>

#include "kinds.h"

#define RINGS_MAX 8u	       /* universes of one router that RINGS can name */
#define MESSAGE_RUNS_MAX 1024u /* with MESSAGE_LIVE_MAX they fit one UNICAST payload */
#define MESSAGE_LIVE_MAX 2048u

enum message_type {
	MESSAGE_ASK = 1,
	MESSAGE_GRANT = 2,
	MESSAGE_REFUSE = 3,
	MESSAGE_TAKEOVER = 4,
	MESSAGE_TAKEN = 5,
	MESSAGE_HANDOVER = 6,
	MESSAGE_HANDED = 7,
};

/* Numbers travel. */
enum refusal {
	REFUSAL_FULL = 1,      /* nothing free in that span */
	REFUSAL_HELD = 2,      /* that one address is in use; 'holder' */
	REFUSAL_NOT_OURS = 3,  /* see 'runs' */
	REFUSAL_NOT_READY = 4, /* try later */
	REFUSAL_STRANGER = 5,  /* the asker's store id is not the one in its peer entry */
	REFUSAL_OTHER_RING = 6,
	REFUSAL_NO_UNIVERSE = 7,
};

struct ipam_message {
	enum message_type type;
	struct universe universe;
	uint64_t ring_id, id, store_id;
	struct span span;	      /* all but GRANT and REFUSE */
	enum refusal refusal;	      /* REFUSE */
	uint64_t free;		      /* REFUSE */
	struct bytes holder;	      /* REFUSE; borrowed from the payload */
	peer_name victim;	      /* TAKEOVER */
	struct retirement retirement; /* HANDOVER */
	struct run *runs;	      /* all but ASK and HANDED; in order, not overlapping */
	size_t runs_count;
	uint64_t *live; /* TAKEN; rising */
	size_t live_count;
};

/* RINGS: count u8, then universe, ring id u64 (0: none), digest u128; no universe twice. */
struct rings {
	uint32_t count;
	struct {
		struct universe universe;
		struct ipam_ring_state state;
	} list[RINGS_MAX];
};

void rings_encode(const struct rings *rings, struct writer *w);
const char *rings_decode(struct rings *rings, struct bytes body);

/* MUST fit UNICAST_PAYLOAD_MAX within the limits above. */
void ipam_message_encode(const struct ipam_message *m, struct writer *w);
/* NULL, or the name of the wrong field.  Call ipam_message_fini in any case. */
const char *ipam_message_decode(struct ipam_message *m, struct bytes payload);
void ipam_message_fini(struct ipam_message *m);

#endif
