#include "gossip_test.h"

static struct store *make(void)
{
	return store_new(42);
}

static void merge_says_what_it_did(void **state)
{
	struct store *s = make();
	struct entry_view v1 = entry_of(KIND_UNKNOWN, "k", 7, 1, 1, "one");
	struct entry_view v2 = entry_of(KIND_UNKNOWN, "k", 7, 1, 2, "two");
	const struct entry *e;

	(void)state;
	assert_int_equal(take(s, &v1, 0), STORE_TOOK);
	assert_int_equal(take(s, &v1, 0), STORE_SAME);
	assert_int_equal(store_merge(s, &v2, 99, at(5)), STORE_TOOK);
	assert_int_equal(take(s, &v1, 0), STORE_OLDER);
	assert_int_equal(store_count(s), 1);
	e = store_find(s, KIND_UNKNOWN, v1.key);
	assert_true(bytes_equal(e->view.value, v2.value));
	assert_true(e->view.value.data != v2.value.data);
	assert_int_equal(e->source, 99);
	assert_int_equal(e->received.ms, 5);
	assert_ptr_equal(store_find_hash(s, e->key_hash), e);
	assert_null(store_find(s, KIND_UNKNOWN, bytes_of("l", 1)));
	assert_null(store_find(s, KIND_UNKNOWN + 1, v1.key));
	assert_null(store_find_hash(s, e->key_hash + 1));
	assert_int_equal(store_counters(s)->took, 2);
	assert_int_equal(store_counters(s)->same, 1);
	assert_int_equal(store_counters(s)->older, 1);
	assert_int_equal(store_counters(s)->conflicts, 0);
	store_check_all(s);
	store_free(s);
}

static void own_writes_have_no_source(void **state)
{
	struct store *s = make();
	struct entry_view v = entry_of(KIND_UNKNOWN, "k", 7, 1, 1, "one");

	(void)state;
	store_put(s, &v, at(3));
	assert_int_equal(store_next(s, NULL)->source, 0);
	/* The view of the next version may borrow from what it replaces. */
	v = store_next(s, NULL)->view;
	v.version++;
	store_put(s, &v, at(4));
	assert_int_equal(store_next(s, NULL)->view.version, 2);
	assert_int_equal(store_next(s, NULL)->view.value.size, 3);
	store_check_all(s);
	store_free(s);
}

/* Cloned disks: equal version, different value.  Whatever comes first, the same one stays. */
static void f5_equal_versions_have_one_winner(void **state)
{
	const struct entry_view a = entry_of(KIND_UNKNOWN, "k", 7, 1, 1, "aaa");
	const struct entry_view b = entry_of(KIND_UNKNOWN, "k", 7, 1, 1, "bbb");
	struct store *x = make(), *y = make();

	(void)state;
	assert_int_equal(take(x, &a, 0), STORE_TOOK);
	assert_int_equal(take(x, &b, 0), STORE_TOOK);
	assert_int_equal(take(y, &b, 0), STORE_TOOK);
	assert_int_equal(take(y, &a, 0), STORE_OLDER);
	assert_true(digests_equal(x, y) && contents_equal(x, y));
	assert_int_equal(store_counters(x)->conflicts, 1);
	assert_int_equal(store_counters(y)->conflicts, 1);
	store_free(x);
	store_free(y);
}

/* A router that does not know a kind keeps it bit by bit and gives it on. */
static void f5_unknown_kinds_are_kept_unread(void **state)
{
	static const uint8_t raw[] = { 0x1b, 0xff, 0x00, 0x80 };
	struct store *s = make();
	struct entry_view v = entry_of(251, "k", 7, 1, 1, "");
	struct store_cursor c = { 0 };

	(void)state;
	v.value = bytes_of(raw, sizeof raw);
	store_cursor_open(s, &c, true);
	assert_int_equal(take(s, &v, 0), STORE_TOOK);
	assert_true(bytes_equal(store_cursor_peek(&c)->view.value, v.value));
	assert_true(store_digest(s).low != 0);
	store_cursor_close(&c);
	store_free(s);
}

static void f6_tombstones_are_not_in_digests(void **state)
{
	struct store *s = make(), *without = make();
	struct entry_view other = entry_of(KIND_UNKNOWN, "other", 7, 1, 1, "stays");
	struct entry_view v = entry_of(KIND_UNKNOWN, "k", 7, 1, 1, "one");
	struct entry_view dead = entry_of(KIND_UNKNOWN, "k", 7, 1, 2, NULL);

	(void)state;
	take(s, &other, 0);
	take(without, &other, 0);
	take(s, &v, 0);
	assert_false(digests_equal(s, without));
	take(s, &dead, 0);
	assert_int_equal(store_tombstones(s), 1);
	assert_int_equal(store_count(s), 2);
	assert_true(digests_equal(s, without));
	/* The deleted value cannot come back while the tombstone is there. */
	assert_int_equal(take(s, &v, 0), STORE_OLDER);
	store_drop(s, store_find(s, KIND_UNKNOWN, v.key));
	assert_int_equal(store_tombstones(s), 0);
	assert_true(digests_equal(s, without) && contents_equal(s, without));
	store_check_all(s);
	store_free(s);
	store_free(without);
}

static void expect_key(struct store *s, struct store_cursor *c, const char *key)
{
	const struct entry *e = store_cursor_peek(c);

	assert_non_null(e);
	assert_true(bytes_equal(e->view.key, bytes_of(key, strlen(key))));
	store_cursor_advance(s, c);
}

/* Order a b c, cursor behind a; a changes and moves to the end: b and c are not skipped. */
static void f8_a_cursor_survives_the_move_of_what_it_read(void **state)
{
	struct store *s = make();
	struct store_cursor c = { 0 };
	const struct entry_view all[] = {
		entry_of(KIND_UNKNOWN, "a", 7, 1, 1, "1"),
		entry_of(KIND_UNKNOWN, "b", 7, 1, 1, "1"),
		entry_of(KIND_UNKNOWN, "c", 7, 1, 1, "1"),
		entry_of(KIND_UNKNOWN, "a", 7, 1, 2, "2"),
	};

	(void)state;
	for (int i = 0; i < 3; i++)
		take(s, &all[i], 0);
	store_cursor_open(s, &c, false);
	expect_key(s, &c, "a");
	take(s, &all[3], 0);
	expect_key(s, &c, "b");
	expect_key(s, &c, "c");
	store_check_all(s);
	assert_int_equal(store_cursor_peek(&c)->view.version, 2);
	expect_key(s, &c, "a");
	assert_null(store_cursor_peek(&c));
	assert_int_equal(c.sequence, store_sequence(s));
	store_cursor_close(&c);
	store_free(s);
}

/* The entry that the cursor points at moves, is dropped, or is the last one and moves. */
static void f8_a_cursor_survives_the_move_of_what_it_reads_next(void **state)
{
	struct store *s = make();
	struct store_cursor c = { 0 }, other = { 0 };
	struct entry_view a = entry_of(KIND_UNKNOWN, "a", 7, 1, 1, "1");
	struct entry_view b = entry_of(KIND_UNKNOWN, "b", 7, 1, 1, "1");

	(void)state;
	take(s, &a, 0);
	take(s, &b, 0);
	store_cursor_open(s, &c, false);
	store_cursor_open(s, &other, false);
	a.version = 2;
	take(s, &a, 0);
	store_check_all(s);
	expect_key(s, &c, "b");
	store_drop(s, store_find(s, KIND_UNKNOWN, b.key));
	store_check_all(s);
	expect_key(s, &other, "a");
	a.version = 3;
	take(s, &a, 0);
	store_check_all(s);
	assert_int_equal(store_cursor_peek(&c)->view.version, 3);
	expect_key(s, &c, "a");
	assert_null(store_cursor_peek(&c));
	expect_key(s, &other, "a");
	assert_null(store_cursor_peek(&other));
	a.version = 4;
	take(s, &a, 0);
	store_drop(s, store_find(s, KIND_UNKNOWN, a.key));
	assert_null(store_cursor_peek(&c));
	assert_int_equal(c.sequence, store_sequence(s));
	store_check_all(s);
	store_cursor_close(&c);
	store_cursor_close(&c);
	store_free(s);
	assert_null(store_cursor_peek(&other));
	store_cursor_close(&other);
}

/* A merge selects one of the two; the loser is answered, never mixed. */
static void f8_merge_only_selects(void **state)
{
	struct store *s = make();
	struct entry_view mine = entry_of(KIND_UNKNOWN, "k", 7, 3, 1, "mine");
	struct entry_view other = entry_of(KIND_UNKNOWN, "k", 6, 2, 9, "other, longer");
	uint64_t sequence;

	(void)state;
	store_put(s, &mine, at(0));
	sequence = store_sequence(s);
	assert_int_equal(take(s, &other, 0), STORE_OLDER);
	assert_int_equal(store_sequence(s), sequence);
	assert_int_equal(entry_compare(&store_find(s, mine.kind, mine.key)->view, &mine), 0);
	store_free(s);
}

static void f12_claims_of_two_writers_live_side_by_side(void **state)
{
	struct store *s = make();
	struct entry_view a = entry_of(KIND_ENDPOINT, "mac at a", 7, 1, 9, "v");
	struct entry_view b = entry_of(KIND_ENDPOINT, "mac at b", 8, 1, 1, "v");

	(void)state;
	take(s, &a, 0);
	take(s, &b, 0);
	store_refuse_until(s, 7, 1);
	assert_null(store_find(s, KIND_ENDPOINT, a.key));
	assert_non_null(store_find(s, KIND_ENDPOINT, b.key));
	store_free(s);
}

struct seen {
	int created, changed, dropped;
	uint64_t last_before, last_after;
};

static void note(void *ctx, const struct entry_view *before, const struct entry_view *after)
{
	struct seen *seen = ctx;

	*(before && after ? &seen->changed : after ? &seen->created : &seen->dropped) += 1;
	seen->last_before = before ? before->version : 0;
	seen->last_after = after ? after->version : 0;
}

static const char *no_x(const struct entry_view *e)
{
	return e->value.size && e->value.data[0] == 'x' ? "test.x" : NULL;
}

static void kinds_check_and_hear_of_changes(void **state)
{
	struct seen seen = { 0 };
	struct kind kind = {
		.number = KIND_NAME, .name = "name", .check = no_x, .on_change = note, .ctx = &seen
	};
	struct store *s = make();
	struct entry_view v = entry_of(KIND_NAME, "k", 7, 1, 1, "x");
	struct entry_view unheard = entry_of(KIND_LINK, "k", 7, 1, 1, "x");

	(void)state;
	store_register(s, &kind);
	assert_string_equal(store_check(s, &v), "test.x");
	assert_null(store_check(s, &unheard));
	v.value = bytes_of("a", 1);
	assert_null(store_check(s, &v));
	v.writer = 0;
	assert_string_equal(store_check(s, &v), "entry.writer");
	v.writer = 7;
	take(s, &v, 0);
	take(s, &v, 0);
	take(s, &unheard, 0);
	assert_true(seen.created == 1 && !seen.changed && seen.last_after == 1);
	v.version = 2;
	take(s, &v, 0);
	assert_true(seen.changed == 1 && seen.last_before == 1 && seen.last_after == 2);
	store_drop(s, store_find(s, v.kind, v.key));
	assert_true(seen.dropped == 1 && seen.last_before == 2);
	store_free(s);
}

static void buckets_hold_what_their_digest_says(void **state)
{
	struct store *s = make();
	char key[16];
	size_t found = 0;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		struct entry_view v;

		snprintf(key, sizeof key, "%u", i);
		v = entry_of(KIND_UNKNOWN, key, 7 + i % 3, 1, 1, "v");
		take(s, &v, 0);
	}
	for (unsigned b = 0; b < STORE_BUCKETS; b++) {
		struct hash128 sum = { 0 };
		uint64_t last = 0;

		for (const struct entry *e = store_next_in_bucket(s, b, NULL); e;
		     e = store_next_in_bucket(s, b, e)) {
			assert_int_equal(e->key_hash >> 56, b);
			sum.high ^= e->digest.high;
			sum.low ^= e->digest.low;
			last = e->sequence;
			found++;
		}
		assert_true(sum.low == store_bucket_digest(s, b).low);
		assert_true(sum.high == store_bucket_digest(s, b).high);
		assert_true(last == store_bucket_sequence(s, b));
	}
	assert_int_equal(found, 3000);
	store_check_all(s);
	store_free(s);
}

/* One peer cannot crowd out the others; refusals are counted, our own writes go through. */
static void writers_are_bounded(void **state)
{
	struct store *s = make();
	char key[16];
	struct entry_view v;

	(void)state;
	for (unsigned i = 0; i <= WRITER_ENTRIES_MAX; i++) {
		snprintf(key, sizeof key, "%u", i);
		v = entry_of(KIND_UNKNOWN, key, 7, 1, 1, "v");
		assert_int_equal(take(s, &v, 0),
				 i < WRITER_ENTRIES_MAX ? STORE_TOOK : STORE_REFUSED);
	}
	assert_int_equal(store_counters(s)->refused_full, 1);
	assert_int_equal(store_count(s), WRITER_ENTRIES_MAX);
	/* What is there may still change; others may still write; and so may we. */
	v = entry_of(KIND_UNKNOWN, "17", 7, 1, 2, "new");
	assert_int_equal(take(s, &v, 0), STORE_TOOK);
	v = entry_of(KIND_UNKNOWN, "other", 8, 1, 1, "v");
	assert_int_equal(take(s, &v, 0), STORE_TOOK);
	/* Nor by taking over a key of another writer. */
	v = entry_of(KIND_UNKNOWN, "other", 7, 2, 1, "v");
	assert_int_equal(take(s, &v, 0), STORE_REFUSED);
	v = entry_of(KIND_UNKNOWN, "mine", 7, 1, 1, "v");
	store_put(s, &v, at(0));
	assert_int_equal(store_count(s), WRITER_ENTRIES_MAX + 2);
	store_check_all(s);
	store_free(s);
}

static void the_store_is_bounded(void **state)
{
	struct store *s = make();
	char key[16];
	struct entry_view v;

	(void)state;
	for (unsigned i = 0; i <= STORE_ENTRIES_MAX; i++) {
		snprintf(key, sizeof key, "%u", i);
		v = entry_of(KIND_UNKNOWN, key, 1 + i / 1000, 1, 1, "");
		assert_int_equal(store_merge(s, &v, 1, at(0)),
				 i < STORE_ENTRIES_MAX ? STORE_TOOK : STORE_REFUSED);
	}
	v = entry_of(KIND_UNKNOWN, "mine", 1, 1, 1, "v");
	store_put(s, &v, at(0));
	assert_int_equal(store_count(s), STORE_ENTRIES_MAX + 1);
	store_free(s);
}

static void the_store_is_bounded_in_bytes(void **state)
{
	struct store *s = make();
	char key[16], value[4001];
	struct entry_view v;
	unsigned i = 0;
	enum store_result result = STORE_TOOK;

	(void)state;
	memset(value, 'v', sizeof value - 1);
	value[sizeof value - 1] = 0;
	for (; result == STORE_TOOK && i < STORE_ENTRIES_MAX; i++) {
		snprintf(key, sizeof key, "%08u", i);
		v = entry_of(KIND_UNKNOWN, key, 1 + i / 1000, 1, 1, value);
		result = store_merge(s, &v, 1, at(0));
	}
	assert_int_equal(result, STORE_REFUSED);
	assert_int_equal(store_count(s), STORE_BYTES_MAX / (8 + 4000));
	/* What makes room is taken, and then there is room. */
	v = entry_of(KIND_UNKNOWN, "00000000", 1, 1, 2, "short");
	assert_int_equal(store_merge(s, &v, 1, at(0)), STORE_TOOK);
	snprintf(key, sizeof key, "%08u", i - 1);
	v = entry_of(KIND_UNKNOWN, key, 1 + (i - 1) / 1000, 1, 1, "v");
	assert_int_equal(store_merge(s, &v, 1, at(0)), STORE_TOOK);
	store_free(s);
}

static void gone_entry(struct store *s, unsigned peer, uint64_t generation, bool kept)
{
	struct entry_view v;
	char key[16];

	snprintf(key, sizeof key, "%08u", peer);
	v = entry_of(KIND_GONE, key, 7, generation, 0, "v");
	assert_int_equal(take(s, &v, 0), kept ? STORE_TOOK : STORE_REFUSED);
}

/* Bounded, and whatever the order, those of the highest generations stay. */
static void gone_entries_are_bounded(void **state)
{
	const unsigned extra = 40;
	struct store *up = make(), *down = make();

	(void)state;
	for (unsigned i = 0; i < GONE_ENTRIES_MAX + extra; i++)
		gone_entry(up, i, 10 + i, true);
	for (unsigned i = GONE_ENTRIES_MAX + extra; i-- > 0;)
		gone_entry(down, i, 10 + i, i >= extra);
	assert_int_equal(store_count(up), GONE_ENTRIES_MAX);
	assert_null(store_find(up, KIND_GONE, bytes_of("00000000", 8)));
	assert_true(contents_equal(up, down) && digests_equal(up, down));
	assert_int_equal(store_counters(down)->refused_full, extra);
	store_check_all(up);
	store_check_all(down);
	store_free(up);
	store_free(down);
}

static void refusal_deletes_and_refuses(void **state)
{
	static const uint8_t mortal[] = { KIND_PEER, KIND_LINK, KIND_ENDPOINT, KIND_NAME };
	static const uint8_t lasting[] = { KIND_VOTE, KIND_RUN, KIND_RETIRED, KIND_UNKNOWN };
	struct store *s = make();
	struct entry_view v;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		v = entry_of(mortal[i], "old", 7, 5, 1, "v");
		take(s, &v, 0);
		v = entry_of(mortal[i], "new", 7, 6, 1, "v");
		take(s, &v, 0);
		v = entry_of(lasting[i], "old", 7, 5, 1, "v");
		take(s, &v, 0);
	}
	store_refuse_until(s, 7, 5);
	store_check_all(s);
	assert_int_equal(store_count(s), 8);
	for (size_t i = 0; i < 4; i++) {
		v = entry_of(mortal[i], "old", 7, 5, 9, "v");
		assert_int_equal(take(s, &v, 0), STORE_REFUSED);
		assert_non_null(store_find(s, mortal[i], bytes_of("new", 3)));
		assert_non_null(store_find(s, lasting[i], bytes_of("old", 3)));
	}
	assert_int_equal(store_counters(s)->refused_gone, 4);
	store_refuse_until(s, 7, 4); /* lower: changes nothing */
	assert_int_equal(store_count(s), 8);
	/* Other writers are not concerned, nor is a later life. */
	v = entry_of(KIND_NAME, "old", 8, 1, 1, "v");
	assert_int_equal(take(s, &v, 0), STORE_TOOK);
	v = entry_of(KIND_LINK, "old", 7, 6, 1, "v");
	assert_int_equal(take(s, &v, 0), STORE_TOOK);
	store_free(s);
}

static void refusals_are_bounded(void **state)
{
	struct store *s = make();
	struct entry_view v = entry_of(KIND_NAME, "k", 1, 1, 1, "v");

	(void)state;
	for (unsigned i = 0; i <= GONE_ENTRIES_MAX; i++)
		store_refuse_until(s, 1 + i, 5 + i);
	store_check_all(s);
	assert_int_equal(take(s, &v, 0), STORE_TOOK); /* the lowest was forgotten */
	v = entry_of(KIND_NAME, "l", 2, 1, 1, "v");
	assert_int_equal(take(s, &v, 0), STORE_REFUSED);
	store_free(s);
}

static void everything_is_given_back(void **state)
{
	size_t before = mem_in_use();
	struct store *s = make();
	char key[16];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		struct entry_view v;

		snprintf(key, sizeof key, "%u", i % 100);
		v = entry_of(KIND_GONE, key, 1 + i % 7, i, 1, "v");
		take(s, &v, 0);
		store_refuse_until(s, 1 + i % 7, i);
	}
	store_free(s);
	assert_int_equal(mem_in_use(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merge_says_what_it_did),
		cmocka_unit_test(own_writes_have_no_source),
		cmocka_unit_test(f5_equal_versions_have_one_winner),
		cmocka_unit_test(f5_unknown_kinds_are_kept_unread),
		cmocka_unit_test(f6_tombstones_are_not_in_digests),
		cmocka_unit_test(f8_a_cursor_survives_the_move_of_what_it_read),
		cmocka_unit_test(f8_a_cursor_survives_the_move_of_what_it_reads_next),
		cmocka_unit_test(f8_merge_only_selects),
		cmocka_unit_test(f12_claims_of_two_writers_live_side_by_side),
		cmocka_unit_test(kinds_check_and_hear_of_changes),
		cmocka_unit_test(buckets_hold_what_their_digest_says),
		cmocka_unit_test(writers_are_bounded),
		cmocka_unit_test(the_store_is_bounded),
		cmocka_unit_test(the_store_is_bounded_in_bytes),
		cmocka_unit_test(gone_entries_are_bounded),
		cmocka_unit_test(refusal_deletes_and_refuses),
		cmocka_unit_test(refusals_are_bounded),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
