/* The first bytes of a control connection: which version, who is there, and do we share a password.
 *
 *	preamble:  "weave"  lowest:u8  highest:u8          from each side, at once
 *	HELLO:     TLVs  type:u8 length:u16 value
 *	CONFIRM:   tags, 32 bytes each (key_exchange_wire.h)
 *
 * Without a password each side sends a whole HELLO once the version is known, and that is all:
 *
 *	PREAMBLE --preamble--> HELLO --HELLO--> DONE
 *
 * With a password, HELLO carries key shares and nothing else; both ends prove that they know the
 * password; only then, sealed like everything that follows, do they say who they are.  The side
 * that dialled goes first, so the other one answers no question but one that it counts:
 *
 *	dialled   PREAMBLE --preamble--> HELLO ----HELLO----> CONFIRM --CONFIRM--> DONE
 *	              (sends HELLO)      (sends CONFIRM)
 *	accepted  PREAMBLE --preamble--> HELLO --HELLO--> OFFERED --answer--> CONFIRM --CONFIRM-->
 *DONE (sends HELLO)         (sends CONFIRM)
 *
 * The side that accepted may ask for work first, which costs it one hash and the other many:
 *
 *	accepted  OFFERED --puzzle--> PUZZLED --SOLUTION--> OFFERED --answer--> ...
 *	              (sends PUZZLE)
 *
 * A side with a password never goes on without: whatever else comes leads to REFUSED.
 *
 * Pure; randomness is an argument.  Before DONE at most HANDSHAKE_SIZE_MAX bytes are taken, in one
 * fixed buffer: this struct is all that an unknown peer costs.  It holds secrets: handshake_wipe.
 */
#ifndef WEAVE_GOSSIP_HANDSHAKE_WIRE_H
#define WEAVE_GOSSIP_HANDSHAKE_WIRE_H

#include <weave/addr.h>
#include <weave/limits.h>
#include <weave/password.h>
#include <weave/reader.h>
#include <weave/why.h>
#include <weave/writer.h>

#include "key_exchange_wire.h"

#define PREAMBLE_SIZE 7u
#define HELLO_WIRE_MAX (5u + 512u)
#define HELLO_SESSION_SIZE 16u
/* HELLO with PASSWORD, KEY_SHARE and SESSION. */
#define HELLO_KEYS_MAX (5u + 4u + 3u + OFFER_SIZE_MAX + 3u + HELLO_SESSION_SIZE)
#define PUZZLE_SIZE 16u
#define PUZZLE_WIRE_SIZE (5u + 1u + PUZZLE_SIZE)
#define SOLUTION_WIRE_SIZE (5u + 8u)
#define HANDSHAKE_ENTROPY_SIZE (HELLO_SESSION_SIZE + KEY_EXCHANGE_ENTROPY_SIZE)
#define HANDSHAKE_OUT_MAX (5u + PROOF_SIZE_MAX)

/* HELLO has three forms: in clear where no password is set; with keys, before they are agreed upon;
 * sealed, afterwards. */
enum hello_form { HELLO_CLEAR, HELLO_KEYS, HELLO_SEALED };

/* X(NAME, number, smallest, largest value, in each form: '+' must be there, '?' may, '-' must not).
 * Numbers travel, never renumber. */
#define HELLO_TLVS(X)                                                                              \
	X(NAME, 1, 6u, 6u, "+-+")                                                                  \
	X(NICKNAME, 2, 1u, NICKNAME_MAX, "+-+")                                                    \
	X(GENERATION, 3, 8u, 8u, "+-+")                                                            \
	X(INSTANCE, 4, 8u, 8u, "+-+")                                                              \
	X(CONNECTION, 5, 8u, 8u, "+-+")                                                            \
	X(PORT, 6, 2u, 2u, "+-+")                                                                  \
	X(OVERLAYS, 7, 1u, 1u, "+-+")                                                              \
	X(CAPABILITIES, 8, 4u, 4u, "?-?")                                                          \
	X(PASSWORD, 9, 1u, 1u, "++-")                                                              \
	X(KEY_SHARE, 10, CPACE_SHARE_SIZE, OFFER_SIZE_MAX, "-+-")                                  \
	X(SESSION, 11, HELLO_SESSION_SIZE, HELLO_SESSION_SIZE, "-?-")                              \
	X(TRUSTED, 12, 1u, 1u, "--?")

enum hello_tlv {
#define X(name, number, min, max, mandatory) HELLO_##name = (number),
	HELLO_TLVS(X)
#undef X
};

struct hello {
	enum hello_form form;
	bool trusted; /* SEALED: the sender trusts the network where it sees the receiver */
	/* CLEAR and SEALED */
	uint8_t overlays;
	uint16_t port; /* control listener */
	peer_name name;
	uint64_t generation;
	uint64_t instance;     /* random per start */
	uint64_t connection;   /* random per connection and side */
	uint32_t capabilities; /* bits of optional features; none is defined yet */
	union {
		char nickname[NICKNAME_MAX + 1];
		struct { /* KEYS: no form has both, so they share the room */
			uint8_t key_share_size;
			uint8_t key_share[OFFER_SIZE_MAX];
			bool has_session; /* from the side that dialled only */
			uint8_t session[HELLO_SESSION_SIZE];
		};
	};
};

/* The body of HELLO. */
void hello_encode(const struct hello *h, struct writer *w);
/* 'sealed': it came in a sealed record.  Else its PASSWORD says which form it has. */
const char *hello_decode(struct hello *h, struct bytes body, bool sealed);

enum handshake_state {
	HANDSHAKE_PREAMBLE,
	HANDSHAKE_HELLO,
	HANDSHAKE_OFFERED,
	HANDSHAKE_PUZZLED,
	HANDSHAKE_CONFIRM,
	HANDSHAKE_DONE,
	HANDSHAKE_REFUSED
};

/* Read freely; change by functions. */
struct handshake {
	enum handshake_state state;
	bool dialled, password;	 /* we did, we have one */
	uint8_t lowest, highest; /* we offer */
	uint8_t their_lowest, their_highest;
	uint8_t version;     /* agreed; 0 before */
	bool closed_by_peer; /* REFUSED because it said CLOSE */
	struct hello hello;  /* theirs; complete from DONE on, in the form KEYS with a password */
	struct key_exchange keys;
	uint8_t session[HELLO_SESSION_SIZE + 2 * PREAMBLE_SIZE];
	bool puzzled, solved; /* there is a puzzle, and a solution */
	uint8_t puzzle[PUZZLE_SIZE];
	/* All that we have said up to our HELLO, or SOLUTION; CONFIRM. */
	uint8_t said[PREAMBLE_SIZE + HELLO_KEYS_MAX + PUZZLE_WIRE_SIZE];
	size_t said_size;
	uint8_t out[HANDSHAKE_OUT_MAX];
	struct bytes output; /* what the caller has to send */
	size_t start, size;  /* of the item that is arriving; of all that was taken, in 'buffer' */
	uint8_t buffer[HANDSHAKE_SIZE_MAX];
};

void handshake_init(struct handshake *h, bool dialled, bool password, uint8_t lowest,
		    uint8_t highest);
void handshake_wipe(struct handshake *h);
void preamble_encode(uint8_t lowest, uint8_t highest, struct writer *w);

/* Takes bytes from the front of 'from' and returns the state reached.  It returns when the state
 * changes or when nothing is left to take; the caller then sends handshake_output, and calls again
 * after a change.  REFUSED fills 'why'.  Bytes behind the handshake stay in 'from'.
 *
 * On reaching HELLO the caller sends its HELLO (no password), or calls handshake_offer (dialled).
 * In OFFERED nothing is taken: the caller ends it, or calls handshake_puzzle unless it is solved,
 * or calls handshake_offer, the one costly step that a stranger can ask of us. */
enum handshake_state handshake_feed(struct handshake *h, struct bytes *from, struct why *why);

/* Makes our key shares, and HELLO for handshake_output.  REFUSED when theirs are invalid. */
enum handshake_state handshake_offer(struct handshake *h, const struct passwords *passwords,
				     const uint8_t entropy[HANDSHAKE_ENTROPY_SIZE],
				     struct why *why);

/* Makes the other end work before we do; 'random' is PUZZLE_SIZE bytes. */
void handshake_puzzle(struct handshake *h, const uint8_t random[PUZZLE_SIZE]);

/* What is to be sent now, borrowed until the next call; empty when nothing is. */
struct bytes handshake_output(struct handshake *h);

/* What both ends derive their keys under, see docs/SECURITY.md. */
#define LABEL_RECORDS_DIALLED "weave.3 records of the asking end"
#define LABEL_RECORDS_ACCEPTED "weave.3 records of the asked end"
#define LABEL_DATA_PATH "weave.3 data path"
#define LABEL_BINDING "weave.3 binding"

/* A number that both ends compute alike from the random connection ids of their HELLOs. */
uint64_t handshake_rank(uint64_t one, uint64_t other);

#endif
