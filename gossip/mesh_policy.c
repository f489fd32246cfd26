#include "mesh_policy.h"

#include <stdint.h>

#include <weave/hash.h>
#include <weave/must.h>

/* The texts "weave.3 mesh rin" and "weave.3 mesh pai": all peers must choose alike, so the keys
 * are fixed. */
static const struct hash_key ring_key = { 0x77656176652e3320u, 0x6d6573682072696eu };
static const struct hash_key pair_key = { 0x77656176652e3320u, 0x6d65736820706169u };

#define SUCCESSORS 2u
#define PAIRS_MIN 2u
#define PAIRS_MAX (MESH_WANTED_MAX - SUCCESSORS)

/* The best few of many: names with the highest scores, best first. */
struct best {
	struct {
		uint64_t score;
		peer_name name;
	} items[MESH_WANTED_MAX];
	size_t count, limit;
};

static void best_offer(struct best *b, uint64_t score, peer_name name)
{
	size_t i = b->count;

	while (i > 0 && (b->items[i - 1].score < score ||
			 (b->items[i - 1].score == score && b->items[i - 1].name > name)))
		i--;
	if (i == b->limit)
		return;
	if (b->count < b->limit)
		b->count++;
	for (size_t j = b->count - 1; j > i; j--)
		b->items[j] = b->items[j - 1];
	b->items[i].score = score;
	b->items[i].name = name;
}

/* Hashes see bytes, and all machines must see the same ones. */
static void put_name(uint8_t bytes[6], peer_name name)
{
	struct mac m = mac_from_u64(name);

	for (int i = 0; i < 6; i++)
		bytes[i] = m.b[i];
}

static uint64_t ring_place(peer_name name)
{
	uint8_t bytes[6];

	put_name(bytes, name);
	return hash64(&ring_key, bytes, sizeof bytes);
}

static uint64_t pair_score(peer_name a, peer_name b)
{
	uint8_t bytes[12];

	put_name(bytes, a < b ? a : b);
	put_name(bytes + 6, a < b ? b : a);
	return hash64(&pair_key, bytes, sizeof bytes);
}

/* ceil(0.6 * log2 n), at least PAIRS_MIN, without floating point: k >= 0.6 * log2 n is the same as
 * 2^(5k) >= n^3. */
static size_t pairs_for(size_t n)
{
	size_t k = PAIRS_MIN;

	MUST(n < (size_t)1 << 20); /* n^3 fits */
	while (k < 12 && (uint64_t)1 << (5 * k) < (uint64_t)n * n * n)
		k++;
	MUST(k <= PAIRS_MAX);
	return k;
}

static void insert_sorted(peer_name *names, size_t *count, peer_name name)
{
	size_t i = 0;

	while (i < *count && names[i] < name)
		i++;
	if (i < *count && names[i] == name)
		return;
	for (size_t j = (*count)++; j > i; j--)
		names[j] = names[j - 1];
	names[i] = name;
}

size_t mesh_wanted(peer_name self, const peer_name *peers, size_t peers_count, peer_name *wanted)
{
	struct best successors = { .limit = SUCCESSORS }, pairs = { 0 };
	uint64_t place = ring_place(self);
	size_t others = 0, count = 0;

	for (size_t i = 0; i < peers_count; i++)
		others += peers[i] != self;
	pairs.limit = pairs_for(others + 1);
	for (size_t i = 0; i < peers_count; i++) {
		peer_name p = peers[i];

		if (p == self)
			continue;
		if (others < MESH_FULL_MAX) {
			insert_sorted(wanted, &count, p);
			continue;
		}
		/* The nearest ahead of us, around the end: the smallest difference. */
		best_offer(&successors, ~(ring_place(p) - place), p);
		best_offer(&pairs, pair_score(self, p), p);
	}
	for (size_t i = 0; i < successors.count; i++)
		insert_sorted(wanted, &count, successors.items[i].name);
	for (size_t i = 0; i < pairs.count; i++)
		insert_sorted(wanted, &count, pairs.items[i].name);
	return count;
}
