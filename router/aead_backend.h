/* What a library must bring to do our ciphers.  Private to aead*.c, their tests and benchmark.
 *
 * Pure.
 */
#ifndef WEAVE_ROUTER_AEAD_BACKEND_H
#define WEAVE_ROUTER_AEAD_BACKEND_H

#include "aead.h"

/* Begins every backend's own object. */
struct aead {
	const struct aead_backend *backend;
	enum aead_cipher cipher;
	enum aead_use use;
	bool has_key;
};

struct aead_backend {
	const char *name;
	/* NULL when the library cannot do this cipher here. */
	struct aead *(*create)(enum aead_cipher cipher, enum aead_use use);
	void (*destroy)(struct aead *a);
	bool (*set_key)(struct aead *a, const uint8_t *key);
	bool (*seal)(struct aead *a, const uint8_t *nonce, struct bytes head, uint8_t *text,
		     size_t size, uint8_t *tag);
	bool (*open)(struct aead *a, const uint8_t *nonce, struct bytes head, uint8_t *text,
		     size_t size, const uint8_t *tag);
};

#ifndef WEAVE_WITHOUT_IPSEC_MB
extern const struct aead_backend aead_ipsec_mb;
#endif
#ifndef WEAVE_WITHOUT_LIBCRYPTO
extern const struct aead_backend aead_openssl;
#endif
extern const struct aead_backend aead_sodium;

struct aead *aead_new_with(const struct aead_backend *backend, enum aead_cipher cipher,
			   enum aead_use use);

#endif
