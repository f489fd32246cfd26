#include <weave/hash.h>

#include <string.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

static uint64_t load_le(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline void sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

static struct sip sip_absorb(const struct hash_key *key, const void *data, size_t size, int wide)
{
	const uint8_t *p = data;
	size_t whole = size / 8 * 8;
	struct sip s = {
		.v0 = key->k0 ^ 0x736f6d6570736575u,
		.v1 = key->k1 ^ 0x646f72616e646f6du ^ (wide ? 0xee : 0),
		.v2 = key->k0 ^ 0x6c7967656e657261u,
		.v3 = key->k1 ^ 0x7465646279746573u,
	};

	for (size_t i = 0; i < whole; i += 8) {
		uint64_t m;

		memcpy(&m, p + i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		m = __builtin_bswap64(m);
#endif
		sip_word(&s, m);
	}
	sip_word(&s, (uint64_t)size << 56 | (size > whole ? load_le(p + whole, size - whole) : 0));
	s.v2 ^= wide ? 0xee : 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s;
}

uint64_t hash64(const struct hash_key *key, const void *data, size_t size)
{
	struct sip s = sip_absorb(key, data, size, 0);

	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct hash128 hash128(const struct hash_key *key, const void *data, size_t size)
{
	struct sip s = sip_absorb(key, data, size, 1);
	struct hash128 h = { .high = s.v0 ^ s.v1 ^ s.v2 ^ s.v3 };

	s.v1 ^= 0xdd;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	h.low = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
	return h;
}
