/* The keys of one sealed path: from the connection's secret, per direction and epoch.
 *
 * Pure; loop thread.  Wiped by keys_fini.
 *
 *	secret of the handshake (32 bytes, known to the two ends of this one connection)
 *	   |  BLAKE2b-256 keyed by it: label, cipher, SETUP of who dialled, SETUP of who answered
 *	   v
 *	root --kdf 1--> chain 0 of who dialled     root --kdf 2--> chain 0 of who answered
 *	root --kdf 3, 4--> the same for the kernel's path (esp.h), which goes on by itself
 *
 *	chain n --kdf 1--> key n                    (seals one direction during epoch n)
 *	chain n --kdf 2--> chain n+1                (then chain n is wiped)
 *
 * kdf is libsodium's crypto_kdf (BLAKE2b with the number as salt and a label of 8 bytes).  Chains
 * only go forward: who takes a router's memory reads what is sealed from now on, but not what
 * passed in epochs before the last (forward secrecy inside the connection; the handshake gives it
 * between connections).  The cipher goes into the root, so two ends that were made to believe in
 * different offers have no key in common.
 *
 * Each direction has its own epochs, begun by its sender every 'epoch_ms' or 'epoch_packets' as
 * soon as the other end has shown that it is in the present one (an echo of a heartbeat sealed in
 * it): however long a path is dead, the receiver is never more than one epoch behind.  It opens
 * datagrams of the previous (for KEYS_LINGER_MS: they may have been overtaken), the current and
 * the next epoch, whose key is derived once, ahead of time: a datagram with an invented epoch costs
 * no derivation.  Only a datagram that authenticates moves the receiver on.
 *
 * Nonce: four zeroes and the datagram's counter, big endian.  The counter is the session's
 * (sleeve_session.h): one for each direction, from 1, going on through all epochs and refused
 * before it would wrap; so no nonce is ever used twice, not even under different keys.  Associated
 * data: the whole header, that is type, epoch, receiver's index and counter.
 */
#ifndef WEAVE_ROUTER_SLEEVE_KEYS_H
#define WEAVE_ROUTER_SLEEVE_KEYS_H

#include <weave/time.h>

#include "aead.h"
#include "esp.h"

/* How long after a new epoch datagrams of the one before are opened: far longer than anything is
 * on its way, far shorter than an epoch. */
#define KEYS_LINGER_MS 10000u

struct keys_limits {
	uint64_t epoch_ms;	/* a sender begins a new epoch after so long ... */
	uint64_t epoch_packets; /* ... or so many datagrams */
};

struct keys_sender {
	struct aead *key;
	uint8_t chain[AEAD_KEY_SIZE]; /* of the next epoch */
	uint64_t epoch, first;	      /* counter with which the epoch began */
	struct mono since;
	bool confirmed; /* the other end opens this epoch */
};

struct keys_receiver {
	struct aead *previous, *current, *next; /* previous: without a key when it is over */
	uint8_t chain[AEAD_KEY_SIZE];		/* of the epoch after next */
	uint64_t epoch;				/* current */
	struct mono since;
};

/* Zeroed: no keys yet. */
struct sleeve_keys {
	enum aead_cipher cipher; /* NONE until keys_init */
	struct keys_limits limits;
	struct keys_sender out;
	struct keys_receiver in;
	struct esp_chains esp; /* until keys_take_esp */
};

struct keys_config {
	const uint8_t *secret;		/* 32 bytes, borrowed */
	bool initiator;			/* we dialled */
	enum aead_cipher cipher;	/* not NONE */
	struct bytes dialled, answered; /* the SETUP messages of the two ends, as they travelled */
	struct keys_limits limits;
};

/* False when no library here can do the cipher; then nothing is held. */
bool keys_init(struct sleeve_keys *k, const struct keys_config *config, struct mono now);
void keys_fini(struct sleeve_keys *k);

/* Moves the chains of the kernel's path out; the caller wipes them. */
void keys_take_esp(struct sleeve_keys *k, struct esp_chains *chains);

/* The epoch in which the datagram with this counter is to be sealed; begins a new one when that is
 * due.  The header carries its lowest byte. */
uint64_t keys_epoch(struct sleeve_keys *k, uint64_t counter, struct mono now);
/* The other end has opened something that was sealed in 'epoch'. */
void keys_confirm(struct sleeve_keys *k, uint64_t epoch);

/* Seals in place, in the epoch that keys_epoch gave last: 'datagram' is the header of 'head_size'
 * bytes, the text, and room for the tag. */
void keys_seal(struct sleeve_keys *k, uint64_t counter, uint8_t *datagram, size_t head_size,
	       size_t size);

enum keys_verdict {
	KEYS_OPENED,
	KEYS_NO_EPOCH, /* not one that we have a key for; nothing was tried */
	KEYS_BAD_TAG
};

/* Opens in place; the text then stands between header and tag.  Whoever asks has looked first that
 * 'counter' is fresh. */
enum keys_verdict keys_open(struct sleeve_keys *k, uint8_t epoch, uint64_t counter,
			    uint8_t *datagram, size_t head_size, size_t size, struct mono now);

/* Wipes the previous epoch's key when its time is over. */
void keys_tick(struct sleeve_keys *k, struct mono now);

void keys_check(const struct sleeve_keys *k);

#endif
