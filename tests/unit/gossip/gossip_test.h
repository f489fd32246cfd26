/* Builders shared by the tests of gossip's pure state: entries with small keys and values, and
 * stores compared by content. */
#ifndef TESTS_GOSSIP_TEST_H
#define TESTS_GOSSIP_TEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <weave/alloc.h>
#include <weave/limits.h>
#include <weave/must.h>
#include <weave/peer.h>
#include <weave/rng.h>
#include <weave/store.h>
#include <weave/topology.h>

#define KIND_UNKNOWN 200

static inline struct mono at(uint64_t ms)
{
	return (struct mono){ ms };
}

/* 'key' and 'value' are texts that outlive the view; value NULL makes a tombstone. */
static inline struct entry_view entry_of(uint8_t kind, const char *key, peer_name writer,
					 uint64_t generation, uint64_t version, const char *value)
{
	return (struct entry_view){
		.kind = kind,
		.flags = value ? 0 : ENTRY_TOMBSTONE,
		.writer = writer,
		.generation = generation,
		.version = version,
		.key = bytes_of(key, strlen(key)),
		.value = value ? bytes_of(value, strlen(value)) : bytes_of(NULL, 0),
	};
}

/* A view with room for its bytes: for the kinds that have a codec. */
struct made {
	struct entry_view view;
	uint8_t key[ENTRY_KEY_MAX], value[ENTRY_SIZE_MAX];
};

static inline const struct entry_view *made_of(struct made *m, uint8_t kind, peer_name writer,
					       uint64_t generation, uint64_t version,
					       const struct writer *key, const struct writer *value)
{
	m->view = (struct entry_view){
		.kind = kind,
		.flags = value ? 0 : ENTRY_TOMBSTONE,
		.writer = writer,
		.generation = generation,
		.version = version,
		.key = writer_bytes(key),
	};
	if (value)
		m->view.value = writer_bytes(value);
	return &m->view;
}

static inline const struct entry_view *make_peer(struct made *m, const struct peer_info *p,
						 uint64_t generation, uint64_t version)
{
	struct writer key = writer_over(m->key, sizeof m->key);
	struct writer value = writer_over(m->value, sizeof m->value);

	peer_info_key(p->name, &key);
	peer_info_encode(p, &value);
	return made_of(m, KIND_PEER, p->name, generation, version, &key, &value);
}

/* 'l' without a 'to' of its own makes no sense; established says which kind of link. */
static inline const struct entry_view *make_link(struct made *m, peer_name from, peer_name to,
						 bool established, uint64_t generation,
						 uint64_t version)
{
	struct link_info l = { .from = from,
			       .to = to,
			       .established = established,
			       .overlay = established ? OVERLAY_SLEEVE : 0 };
	struct writer key = writer_over(m->key, sizeof m->key);
	struct writer value = writer_over(m->value, sizeof m->value);

	link_info_key(from, to, &key);
	link_info_encode(&l, &value);
	return made_of(m, KIND_LINK, from, generation, version, &key, &value);
}

static inline const struct entry_view *make_gone(struct made *m, peer_name peer,
						 uint64_t generation, peer_name writer)
{
	struct gone_info g = { .peer = peer, .generation = generation };
	struct writer key = writer_over(m->key, sizeof m->key);
	struct writer value = writer_over(m->value, sizeof m->value);

	gone_info_key(peer, &key);
	gone_info_encode(&g, &value);
	return made_of(m, KIND_GONE, writer, generation, 0, &key, &value);
}

static inline struct peer_info peer_of(peer_name name)
{
	return (struct peer_info){ .name = name,
				   .nickname = "host",
				   .software = "weave test",
				   .protocol_min = 3,
				   .protocol_max = 3,
				   .overlays = OVERLAY_SLEEVE,
				   .instance = name + 1000,
				   .port = 6783 };
}

/* Like a peer would: check, then merge. */
static inline enum store_result take(struct store *s, const struct entry_view *e, uint64_t now_ms)
{
	assert_null(store_check(s, e));
	return store_merge(s, e, 1, at(now_ms));
}

static inline bool digests_equal(const struct store *a, const struct store *b)
{
	struct hash128 x = store_digest(a), y = store_digest(b);

	return x.high == y.high && x.low == y.low;
}

/* The same entries, tombstones included, whatever their order. */
static inline bool contents_equal(const struct store *a, const struct store *b)
{
	if (store_count(a) != store_count(b) || store_tombstones(a) != store_tombstones(b))
		return false;
	for (const struct entry *e = store_next(a, NULL); e; e = store_next(a, e)) {
		const struct entry *other = store_find(b, e->view.kind, e->view.key);

		if (!other || entry_compare(&e->view, &other->view) != 0)
			return false;
	}
	return true;
}

/* WEAVE_SEED replays one; else the fixed one, so that runs compare. Printed when a test starts. */
static inline uint64_t test_seed(uint64_t fixed)
{
	const char *text = getenv("WEAVE_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : fixed;

	print_message("seed %#llx (set WEAVE_SEED to change it)\n", (unsigned long long)seed);
	return seed;
}

static inline double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
