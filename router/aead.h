/* Authenticated encryption of one datagram, in place: AES-256-GCM (NIST SP 800-38D) and
 * ChaCha20-Poly1305 (RFC 8439), both with keys of 32 bytes, nonces of 12 and tags of 16.
 *
 * Pure; an object belongs to one thread.  One `struct aead` holds one key in its expanded form and
 * works in one direction; it is made once and given another key when the old one has done its
 * work, so that neither a datagram nor a new key allocates anything.
 *
 * Three libraries can do the work (aead_backend.h), the fastest first: intel-ipsec-mb for AES on
 * x86; OpenSSL's libcrypto; libsodium, for builds without the others and where libcrypto's
 * configuration forbids a cipher.
 *
 * A nonce must never be used twice with one key: GCM would give away the key of its tags.  That is
 * the caller's business (sleeve_keys.h).
 */
#ifndef WEAVE_ROUTER_AEAD_H
#define WEAVE_ROUTER_AEAD_H

#include <stdbool.h>
#include <stdint.h>

#include <weave/bytes.h>

#define AEAD_KEY_SIZE 32u
#define AEAD_NONCE_SIZE 12u
#define AEAD_TAG_SIZE 16u

/* Numbers go into key derivation. X(NAME, number, text) */
#define AEAD_CIPHERS(X)                                                                            \
	X(AES_256_GCM, 1, "AES-256-GCM")                                                           \
	X(CHACHA20_POLY1305, 2, "ChaCha20-Poly1305")

enum aead_cipher {
	AEAD_NONE = 0,
#define X(name, number, text) AEAD_##name = (number),
	AEAD_CIPHERS(X)
#undef X
};

/* In a set of ciphers, as it travels in SETUP. */
#define AEAD_BIT(cipher) ((uint8_t)(1u << ((unsigned)(cipher)-1u)))
/* What every router can do. */
#define AEAD_MANDATORY AEAD_BIT(AEAD_CHACHA20_POLY1305)

/* "AES-256-GCM"; "" for NONE. */
const char *aead_name(enum aead_cipher cipher);

/* The cipher for two ends with these sets, the same whoever asks: AES where both do it fast, else
 * ChaCha20-Poly1305; NONE when they have nothing in common. */
enum aead_cipher aead_choose(uint8_t ours, uint8_t theirs);

enum aead_use { AEAD_SEALS, AEAD_OPENS };

struct aead;

/* Without a key yet.  NULL when no library here can do this cipher. */
struct aead *aead_new(enum aead_cipher cipher, enum aead_use use);
/* Wipes. NULL is fine. */
void aead_free(struct aead *a);

void aead_set_key(struct aead *a, const uint8_t key[AEAD_KEY_SIZE]);
/* Wipes the key; the object stays for the next one. */
void aead_forget(struct aead *a);
bool aead_has_key(const struct aead *a);

/* Encrypts 'size' bytes at 'text' in place; the tag vouches for them, for 'head' and the nonce. */
void aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_SIZE], struct bytes head,
	       uint8_t *text, size_t size, uint8_t tag[AEAD_TAG_SIZE]);

/* Decrypts in place.  False when the tag does not fit; 'text' then holds nothing of use. */
bool aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_SIZE], struct bytes head,
	       uint8_t *text, size_t size, const uint8_t tag[AEAD_TAG_SIZE]);

#endif
