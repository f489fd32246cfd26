/* How fast datagrams are sealed and opened here, by cipher, library and size, on one core.  Prints;
 * asserts nothing.  Best of five runs of at least 100 ms each.
 *
 *	make build/release/bench/aead && build/release/bench/aead
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weave/must.h>

#include "../router/aead_backend.h"

#define RUNS 5
#define BATCH_MAX 256u

static uint8_t text[4 * 65536];
static const size_t sizes[] = { 64, 512, 1400, 8900, 65000 };

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As many datagrams as keep to the second-level cache. */
static size_t batch_of(size_t size)
{
	size_t count = sizeof text / size;

	return count > BATCH_MAX ? BATCH_MAX : count;
}

static void nonce_of(uint64_t number, uint8_t *nonce)
{
	memset(nonce, 0, AEAD_NONCE_SIZE);
	memcpy(nonce + 4, &number, sizeof number);
}

/* Seals a batch and opens it again; adds up the time of one of the two. Gbit/s. */
static double run(struct aead *seals, struct aead *opens, enum aead_use what, size_t size)
{
	static uint8_t tags[BATCH_MAX][AEAD_TAG_SIZE];
	uint8_t nonce[AEAD_NONCE_SIZE], head[16] = { 0 };
	size_t batch = batch_of(size);
	double took[2] = { 0, 0 }, t[3];
	uint64_t count = 0;

	while (took[what] < 0.1) {
		t[0] = seconds();
		for (size_t i = 0; i < batch; i++) {
			nonce_of(count + i, nonce);
			aead_seal(seals, nonce, bytes_of(head, 16), text + i * size, size, tags[i]);
		}
		t[1] = seconds();
		for (size_t i = 0; i < batch; i++) {
			nonce_of(count + i, nonce);
			MUST(aead_open(opens, nonce, bytes_of(head, 16), text + i * size, size,
				       tags[i]));
		}
		t[2] = seconds();
		took[AEAD_SEALS] += t[1] - t[0];
		took[AEAD_OPENS] += t[2] - t[1];
		count += batch;
	}
	return (double)count * (double)size * 8 / took[what] / 1e9;
}

static double best(const struct aead_backend *b, enum aead_cipher cipher, enum aead_use what,
		   size_t size)
{
	static const uint8_t key[AEAD_KEY_SIZE] = { 1 };
	struct aead *seals = aead_new_with(b, cipher, AEAD_SEALS);
	struct aead *opens = aead_new_with(b, cipher, AEAD_OPENS);
	double most = 0;

	if (seals && opens) {
		aead_set_key(seals, key);
		aead_set_key(opens, key);
		for (int i = 0; i < RUNS; i++) {
			double speed = run(seals, opens, what, size);

			most = speed > most ? speed : most;
		}
	}
	aead_free(seals);
	aead_free(opens);
	return most;
}

static void bench(const struct aead_backend *b, enum aead_cipher cipher)
{
	for (int use = AEAD_SEALS; use <= AEAD_OPENS; use++) {
		printf("%-10s %-18s %-5s", b->name, aead_name(cipher),
		       use == AEAD_SEALS ? "seal" : "open");
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
			printf(" %8.2f", best(b, cipher, (enum aead_use)use, sizes[i]));
		printf("\n");
	}
}

int main(void)
{
	MUST(sodium_init() >= 0);
	printf("Gbit/s of %-25s", "text, bytes:");
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
		printf(" %8zu", sizes[i]);
	printf("\n");
#ifndef WEAVE_WITHOUT_LIBCRYPTO
	bench(&aead_openssl, AEAD_AES_256_GCM);
	bench(&aead_openssl, AEAD_CHACHA20_POLY1305);
#endif
	bench(&aead_sodium, AEAD_AES_256_GCM);
	bench(&aead_sodium, AEAD_CHACHA20_POLY1305);
	return 0;
}
