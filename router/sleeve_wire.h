/* The sleeve's datagrams and its set-up message: bytes to structs and back.  Big endian.
 *
 * Pure.  A datagram is a header and then records back to back until its end:
 *
 *	type u8  epoch u8  reserved u16 (0)  receiver index u32  counter u64
 *
 * Type 1 is in clear: epoch 0.  Type 2 is sealed: the records are encrypted and followed by a tag
 *of 16 bytes that vouches for them and for the header; the epoch is the lowest byte of the key's
 * (sleeve_keys.h).  A path has datagrams of one type only.
 * The receiver's index was told over the control connection: no look-up goes by address.
 *
 *	FRAME      1  origin 6  destination 6 (0: broadcast)  segment u24  hop limit u8
 *	              length u16  bytes
 *	FRAGMENT   2  id u32  offset u24  total u24  length u16  bytes: pieces of one FRAME record's
 *	              body (all but its type), cut to the path for one hop and joined at its end
 *	HEARTBEAT  3  flags u8  proof u64  token u32  echo u32  held_ms u16  largest u16
 *	PROBE      4  id u32  zeroes up to the end of the datagram
 *	PROBE_ACK  5  id u32  size u16
 *	PARTIAL    6  like FRAME, with segment size u16 before the length: a frame whose checksum is
 *	              left undone and, if the size is not 0, that is still to be cut into segments
 *	PIECE      7  like FRAGMENT, of a PARTIAL record's body
 *	PADDING    8  zeroes up to the end of the datagram
 *
 * 6 to 8 go to those only who offer SLEEVE_TAKES_PARTIAL.
 *
 * SETUP, the only message over the control connection (GOSSIP_OVERLAY):
 *
 *	type u8 (1)  overlays u8  UDP port u16  receiver index u32  proof u64  ciphers u8
 */
#ifndef WEAVE_ROUTER_SLEEVE_WIRE_H
#define WEAVE_ROUTER_SLEEVE_WIRE_H

#include <weave/addr.h>
#include <weave/limits.h>
#include <weave/offload.h>
#include <weave/reader.h>
#include <weave/writer.h>

#define SLEEVE_CLEAR 1u /* type */
#define SLEEVE_SEALED 2u
#define SLEEVE_HEADER_SIZE 16u
#define SLEEVE_FRAME_HEADER_SIZE 19u /* with the record's type */
#define SLEEVE_PARTIAL_HEADER_SIZE 21u
#define SLEEVE_FRAGMENT_HEADER_SIZE 13u
#define SLEEVE_HEARTBEAT_SIZE 22u
#define SLEEVE_PROBE_HEADER_SIZE 5u
#define SLEEVE_PROBE_ACK_SIZE 7u
#define SLEEVE_SETUP_SIZE 17u

/* What fragments and pieces join to: the body of a FRAME or PARTIAL record. */
#define SLEEVE_BODY_MAX (SLEEVE_PARTIAL_HEADER_SIZE - 1 + FRAME_DATA_MAX)
/* A bit of SETUP's overlays, beside the overlays themselves. */
#define SLEEVE_TAKES_PARTIAL 0x40u
/* A datagram's UDP payload. */
#define SLEEVE_DATAGRAM_SIZE_MAX 65507u

struct sleeve_header {
	uint8_t type, epoch;
	uint32_t index;
	uint64_t counter; /* from 1; sealed: the nonce */
};

struct sleeve_frame {
	peer_name origin;
	peer_name destination; /* NONE: broadcast along the origin's tree */
	uint32_t segment;
	uint8_t hop_limit;	/* at least 1 */
	struct offload offload; /* not none: a PARTIAL record */
	struct bytes frame;	/* borrowed; an Ethernet header at least */
};

struct sleeve_fragment {
	uint32_t id;
	uint32_t offset, total; /* bytes; offset + piece.size <= total <= SLEEVE_BODY_MAX */
	struct bytes piece;	/* borrowed; not empty */
};

enum { HEARTBEAT_ANSWER = 1 }; /* flags: answer at once */

struct sleeve_heartbeat {
	uint8_t flags;
	uint64_t proof;	  /* heartbeat_proof: keyed by what the receiver told us */
	uint32_t token;	  /* counts our heartbeats, from 1 */
	uint32_t echo;	  /* newest token heard from the receiver, 0 none */
	uint16_t held_ms; /* between hearing that token and this echo */
	/* Largest datagram heard between the receiver's heartbeats up to 'echo', as far as not
	 * reported before. */
	uint16_t largest;
};

struct sleeve_probe {
	uint32_t id;
};

struct sleeve_probe_ack {
	uint32_t id;
	uint16_t size; /* of the probe's datagram as it arrived */
};

enum sleeve_record_type {
	SLEEVE_FRAME = 1,
	SLEEVE_FRAGMENT = 2,
	SLEEVE_HEARTBEAT = 3,
	SLEEVE_PROBE = 4,
	SLEEVE_PROBE_ACK = 5,
	SLEEVE_PARTIAL = 6,
	SLEEVE_PIECE = 7,
	SLEEVE_PADDING = 8,
};

struct sleeve_record {
	enum sleeve_record_type type;
	union {
		struct sleeve_frame frame;	 /* or partial */
		struct sleeve_fragment fragment; /* or piece */
		struct sleeve_heartbeat heartbeat;
		struct sleeve_probe probe;
		struct sleeve_probe_ack probe_ack;
	};
};

/* The header; the reader then stands at the first record.  NULL or the field that is wrong. */
const char *sleeve_header_read(struct sleeve_header *h, struct reader *r);

/* The next record; call while reader_left(r).  NULL or the field that is wrong. */
const char *sleeve_record_read(struct sleeve_record *record, struct reader *r);

/* NULL when all records up to the end are well formed and there is at least one.  What was sealed
 * is opened before anybody asks. */
const char *sleeve_records_check(struct reader r);

/* Body of a FRAME record, joined from fragments; of a PARTIAL one, from pieces. */
const char *sleeve_frame_read(struct sleeve_frame *f, struct reader *r);
const char *sleeve_partial_read(struct sleeve_frame *f, struct reader *r);
/* Such a body whose frame may not be there yet: only its header is read, f->frame is where and how
 * large the frame will be.  'total': size of the body. */
const char *sleeve_partial_header_read(struct sleeve_frame *f, struct bytes start, size_t total);

void sleeve_header_write(const struct sleeve_header *h, struct writer *w);
/* FRAME or PARTIAL, as f->offload says, and so on. */
void sleeve_frame_write(const struct sleeve_frame *f, struct writer *w);
static inline size_t sleeve_frame_header_size(const struct sleeve_frame *f)
{
	return f->offload.checksum ? SLEEVE_PARTIAL_HEADER_SIZE : SLEEVE_FRAME_HEADER_SIZE;
}
/* All of the record's body but the frame's bytes: the size above less 1. */
void sleeve_frame_header_write(const struct sleeve_frame *f, struct writer *w);
void sleeve_fragment_write(const struct sleeve_fragment *f, enum sleeve_record_type type,
			   struct writer *w);
/* All but the piece's bytes, which are then to follow; 'type' FRAGMENT or PIECE. */
void sleeve_fragment_header_write(const struct sleeve_fragment *f, enum sleeve_record_type type,
				  struct writer *w);
void sleeve_heartbeat_write(const struct sleeve_heartbeat *h, struct writer *w);
/* Pads to the end of the writer's buffer. */
void sleeve_probe_write(const struct sleeve_probe *p, struct writer *w);
/* Fills the writer's buffer, of 1 byte at least. */
void sleeve_padding_write(struct writer *w);
void sleeve_probe_ack_write(const struct sleeve_probe_ack *a, struct writer *w);

struct sleeve_setup {
	uint8_t overlays; /* OVERLAY_* that the sender can do */
	uint16_t port;	  /* UDP */
	uint32_t index;	  /* to be put in datagrams to the sender */
	uint64_t proof;	  /* key of the proofs in heartbeats to the sender */
	uint8_t ciphers;  /* AEAD_BITs that the sender does fast; unknown ones are passed over */
};

const char *sleeve_setup_read(struct sleeve_setup *s, struct bytes message);
void sleeve_setup_write(const struct sleeve_setup *s, struct writer *w);

/* The proof that a heartbeat with this counter comes from whom 'receiver' sent its set-up: a keyed
 * hash over all of it, so that neither a guessed nor a changed nor a replayed one moves the path's
 * address or its replay window.  Whoever can read the control connection can make it: in clear
 * nothing keeps out those who sit on the path.  On a sealed path it adds nothing to the tag. */
uint64_t heartbeat_proof(const struct sleeve_setup *receiver, uint64_t counter,
			 const struct sleeve_heartbeat *h);

#endif
