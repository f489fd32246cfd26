#include <weave/router_io.h>

#include <sodium.h>
#include <sys/auxv.h>

#include <weave/must.h>

#include "aead.h"

/* Does this processor multiply in GF(2^128) and do rounds of AES by itself?  In software AES is
 * slow, and its tables tell of the key through the cache. */
static bool has_fast_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	/* HWCAP_AES and HWCAP_PMULL of <asm/hwcap.h>. */
	unsigned long both = 1u << 3 | 1u << 4;

	return (getauxval(AT_HWCAP) & both) == both;
#else
	return false;
#endif
}

static bool can(enum aead_cipher cipher)
{
	struct aead *a = aead_new(cipher, AEAD_SEALS);

	aead_free(a);
	return a != NULL;
}

uint8_t router_ciphers_here(void)
{
	uint8_t ciphers = 0;

	MUST(sodium_init() >= 0);
	if (has_fast_aes() && can(AEAD_AES_256_GCM))
		ciphers |= AEAD_BIT(AEAD_AES_256_GCM);
	if (can(AEAD_CHACHA20_POLY1305))
		ciphers |= AEAD_BIT(AEAD_CHACHA20_POLY1305);
	return ciphers;
}
