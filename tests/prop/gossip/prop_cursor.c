/* Cursors under random changes and reads: nothing missed, newest version only, never twice; and
 * the store's invariants (digests among them) after every few steps. */
#include "../../unit/gossip/gossip_test.h"

#define KEYS 40
#define READERS 6

struct reader_model {
	struct store_cursor cursor;
	bool open;
	uint64_t seen[KEYS]; /* version last read; what it must have read is in the store */
};

struct world {
	struct rng rng;
	struct store *store;
	uint64_t version[KEYS]; /* 0: not there */
	uint64_t last_version;
	struct reader_model readers[READERS];
};

static struct entry_view entry_for(unsigned k, uint64_t version, bool dead)
{
	static char keys[KEYS][4];

	snprintf(keys[k], sizeof keys[k], "%u", k);
	return entry_of(KIND_UNKNOWN, keys[k], 1 + k % 3, 1, version, dead ? NULL : "v");
}

static unsigned key_of(const struct entry *e)
{
	char text[4] = { 0 };

	memcpy(text, e->view.key.data, e->view.key.size);
	return (unsigned)atoi(text);
}

static void change(struct world *w)
{
	unsigned k = (unsigned)rng_below(&w->rng, KEYS);
	struct entry_view v;

	if (w->version[k] && rng_below(&w->rng, 5) == 0) {
		v = entry_for(k, 1, false);
		store_drop(w->store, store_find(w->store, v.kind, v.key));
		w->version[k] = 0;
		for (int i = 0; i < READERS; i++)
			w->readers[i].seen[k] = 0;
		return;
	}
	w->version[k] = ++w->last_version;
	v = entry_for(k, w->last_version, rng_below(&w->rng, 4) == 0);
	assert_int_equal(take(w->store, &v, 0), STORE_TOOK);
}

/* A merge that changes nothing must not be read again. */
static void repeat(struct world *w)
{
	unsigned k = (unsigned)rng_below(&w->rng, KEYS);
	const struct entry_view probe = entry_for(k, 1, false);
	const struct entry *e = store_find(w->store, probe.kind, probe.key);

	if (e) {
		struct entry_view same = e->view;

		assert_int_equal(take(w->store, &same, 0), STORE_SAME);
	}
}

static void open_or_close(struct world *w, struct reader_model *r)
{
	bool at_end = rng_below(&w->rng, 2);

	if (r->open) {
		store_cursor_close(&r->cursor);
	} else {
		store_cursor_open(w->store, &r->cursor, at_end);
		for (unsigned k = 0; k < KEYS; k++)
			r->seen[k] = at_end ? w->version[k] : 0;
	}
	r->open = !r->open;
}

static void read_some(struct world *w, struct reader_model *r, uint64_t count)
{
	while (r->open && count--) {
		const struct entry *e = store_cursor_peek(&r->cursor);
		unsigned k;

		if (!e) {
			/* At the end nothing is owed. */
			assert_memory_equal(r->seen, w->version, sizeof r->seen);
			assert_true(r->cursor.sequence == store_sequence(w->store));
			return;
		}
		k = key_of(e);
		assert_true(e->view.version == w->version[k]);
		assert_true(e->view.version > r->seen[k]);
		assert_true(e->sequence > r->cursor.sequence);
		r->seen[k] = e->view.version;
		store_cursor_advance(w->store, &r->cursor);
	}
}

/* Everything that a reader has not got yet lies behind its cursor, everything it has before. */
static void check_debts(struct world *w)
{
	for (int i = 0; i < READERS; i++) {
		struct reader_model *r = &w->readers[i];

		for (const struct entry *e = store_next(w->store, NULL); r->open && e;
		     e = store_next(w->store, e)) {
			bool owed = r->seen[key_of(e)] != e->view.version;

			assert_int_equal(owed, e->sequence > r->cursor.sequence);
		}
	}
	store_check_all(w->store);
}

static void f8_cursors_miss_nothing_and_repeat_nothing(void **state)
{
	uint64_t seed = test_seed(0x5eed0010);

	(void)state;
	for (uint64_t run = 0; run < 40; run++) {
		struct world w = { .rng = { seed + run }, .store = store_new(seed) };

		for (unsigned step = 0; step < 2000; step++) {
			struct reader_model *r = &w.readers[rng_below(&w.rng, READERS)];
			uint64_t dice = rng_below(&w.rng, 100);

			if (dice < 55)
				change(&w);
			else if (dice < 60)
				repeat(&w);
			else if (dice < 65)
				open_or_close(&w, r);
			else
				read_some(&w, r, rng_below(&w.rng, 12));
			if (step % 16 == 0)
				check_debts(&w);
		}
		for (int i = 0; i < READERS; i++) {
			read_some(&w, &w.readers[i], UINT64_MAX);
			store_cursor_close(&w.readers[i].cursor);
		}
		store_free(w.store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(f8_cursors_miss_nothing_and_repeat_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
