/* The first bytes of a control connection: which version, who is there.
 *
 *	preamble:  "weave"  lowest:u8  highest:u8          from each side, at once
 *	HELLO:     TLVs  type:u8 length:u16 value          from each side, once the version is known
 *
 *	          preamble              HELLO
 *	PREAMBLE ----------> HELLO_WAIT ------> DONE
 *	    |                    |
 *	    +----- wrong --------+----> REFUSED
 *
 * Pure.  Before DONE at most HANDSHAKE_SIZE_MAX bytes are taken, in one fixed buffer: this struct
 * is all that an unknown peer costs.  Where keys are agreed upon, their exchange comes between
 * HELLO and DONE; HELLO's key share has its place already.
 */
#ifndef WEAVE_GOSSIP_HANDSHAKE_WIRE_H
#define WEAVE_GOSSIP_HANDSHAKE_WIRE_H

#include <weave/addr.h>
#include <weave/limits.h>
#include <weave/reader.h>
#include <weave/why.h>
#include <weave/writer.h>

#define PREAMBLE_SIZE 7u
#define KEY_SHARE_MAX 64u
#define HELLO_WIRE_MAX (5u + 512u)

/* X(NAME, number, smallest, largest value, mandatory): numbers travel, never renumber. */
#define HELLO_TLVS(X)                                                                              \
	X(NAME, 1, 6u, 6u, true)                                                                   \
	X(NICKNAME, 2, 1u, NICKNAME_MAX, true)                                                     \
	X(GENERATION, 3, 8u, 8u, true)                                                             \
	X(INSTANCE, 4, 8u, 8u, true)                                                               \
	X(CONNECTION, 5, 8u, 8u, true)                                                             \
	X(PORT, 6, 2u, 2u, true)                                                                   \
	X(OVERLAYS, 7, 1u, 1u, true)                                                               \
	X(CAPABILITIES, 8, 4u, 4u, false)                                                          \
	X(PASSWORD, 9, 1u, 1u, true)                                                               \
	X(KEY_SHARE, 10, 1u, KEY_SHARE_MAX, false)

enum hello_tlv {
#define X(name, number, min, max, mandatory) HELLO_##name = (number),
	HELLO_TLVS(X)
#undef X
};

struct hello {
	peer_name name;
	char nickname[NICKNAME_MAX + 1];
	uint64_t generation;
	uint64_t instance;   /* random per start */
	uint64_t connection; /* random per connection and side */
	uint16_t port;	     /* control listener */
	uint8_t overlays;
	uint32_t capabilities; /* bits of optional features; none is defined yet */
	bool password;
	uint8_t key_share_size; /* 0 without a password */
	uint8_t key_share[KEY_SHARE_MAX];
};

/* The body of HELLO. */
void hello_encode(const struct hello *h, struct writer *w);
const char *hello_decode(struct hello *h, struct bytes body);

enum handshake_state { HANDSHAKE_PREAMBLE, HANDSHAKE_HELLO, HANDSHAKE_DONE, HANDSHAKE_REFUSED };

/* Read freely; change by functions. */
struct handshake {
	enum handshake_state state;
	uint8_t lowest, highest; /* we offer */
	uint8_t their_lowest, their_highest;
	uint8_t version;     /* agreed; 0 before */
	bool closed_by_peer; /* REFUSED because it said CLOSE */
	size_t size, taken;  /* bytes in 'buffer'; bytes of all kinds so far */
	struct hello hello;  /* theirs, from DONE on */
	uint8_t buffer[HANDSHAKE_SIZE_MAX];
};

void handshake_init(struct handshake *h, uint8_t lowest, uint8_t highest);
void preamble_encode(uint8_t lowest, uint8_t highest, struct writer *w);

/* Takes bytes from the front of 'from' and returns the state reached.  It returns when the state
 * changes (the caller then sends its HELLO on reaching HANDSHAKE_HELLO, and calls again) or when
 * nothing is left to take.  REFUSED fills 'why'. Bytes after HELLO stay in 'from'. */
enum handshake_state handshake_feed(struct handshake *h, struct bytes *from, struct why *why);

/* A number that both ends compute alike from the random connection ids of their HELLOs. */
uint64_t handshake_rank(uint64_t one, uint64_t other);

#endif
