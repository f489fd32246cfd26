/* One offset, three peers, all interleavings: give, allocate, free, sync, crash, restart, death,
 * concurrent rmpeer, late values.  Breadth first over all reachable states with a visited set.
 *
 * The rules are those of allocator.h, told again in a few lines; versions are compared by ring.c.
 * In no state may two running peers use the offset, or two live containers have it.  The rules are
 * then broken one at a time, and each time a violation must be found.
 *
 *	prop_offset [--full]		one more gift in a row: a minute instead of a second or two
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../../ipam/ring.h"
#include "../../budget.h"

#define PEERS 3u

/* What is broken on purpose. */
enum { SEND_EARLY = 1, NO_CONFIRMATION = 2, MERGE_CLEARS_MARK = 4, GIVE_IN_USE = 8 };

struct value {
	uint8_t epoch, counter, owner;
};

struct peer {
	struct value mem, disk;
	uint8_t mark, disk_mark; /* epoch of (epoch, 0, self) that is not confirmed; 0: none */
	bool allocated;		 /* decided; acknowledged, that is live, after the next sync */
	bool live, up, dead;
	uint8_t heard[PEERS];  /* of a takeover of ours: 0 nothing, 1 TAKEN, 2 TAKEN and live */
	uint8_t answer[PEERS]; /* on its way to this peer, from each other one */
};

struct state {
	struct peer peers[PEERS];
	uint64_t sent; /* values that may arrive anywhere at any time: bit value_index() */
};

__extension__ typedef unsigned __int128 wide;

struct key {
	uint64_t a, b;
};

struct explorer {
	unsigned epochs, counters, deaths; /* bounds */
	unsigned broken;
	struct key *seen;
	size_t seen_room, seen_count;
	struct state *queue;
	size_t head, tail, room;
	uint64_t states;
	bool violated;
};

static unsigned value_index(struct value v)
{
	return (v.epoch * 4u + v.counter) * PEERS + v.owner;
}

static struct value value_at(unsigned index)
{
	return (struct value){ (uint8_t)(index / PEERS / 4), (uint8_t)(index / PEERS % 4),
			       (uint8_t)(index % PEERS) };
}

static struct run run_of(struct value v)
{
	return (struct run){ 0, 1, v.epoch, v.counter, { v.owner + 1u, 1 } };
}

static bool newer(struct value a, struct value b)
{
	struct run x = run_of(a), y = run_of(b);

	return run_compare(&x, &y) > 0;
}

/* ---- states as keys ---- */

static struct key pack(const struct state *s)
{
	wide v = s->sent;

	for (unsigned n = 0; n < PEERS; n++) {
		const struct peer *p = &s->peers[n];

		v = v << 6 | value_index(p->mem);
		v = v << 6 | value_index(p->disk);
		v = v << 2 | p->mark;
		v = v << 2 | p->disk_mark;
		v = v << 4 | (unsigned)(p->allocated | p->live << 1 | p->up << 2 | p->dead << 3);
		for (unsigned k = 0; k < PEERS; k++)
			if (k != n)
				v = v << 4 | (unsigned)(p->heard[k] | p->answer[k] << 2);
	}
	return (struct key){ (uint64_t)(v >> 64), (uint64_t)v };
}

static uint64_t spread(struct key k)
{
	uint64_t z = k.a * 0x9e3779b97f4a7c15u ^ (k.b + 0x632be59bd9b4e019u);

	z = (z ^ z >> 29) * 0xbf58476d1ce4e5b9u;
	return z ^ z >> 32;
}

/* No state is all zeroes: the first value is in 'sent'. */
static bool insert(struct key *table, size_t room, struct key k)
{
	size_t at = spread(k) & (room - 1);

	for (; table[at].a || table[at].b; at = (at + 1) & (room - 1))
		if (table[at].a == k.a && table[at].b == k.b)
			return false;
	table[at] = k;
	return true;
}

static void grow(struct explorer *e)
{
	struct key *old = e->seen;
	size_t room = e->seen_room;

	e->seen_room = room ? room * 2 : 1u << 16;
	e->seen = mem_new(e->seen_room, sizeof *e->seen);
	for (size_t n = 0; n < room; n++)
		if (old[n].a || old[n].b)
			insert(e->seen, e->seen_room, old[n]);
	mem_free(old);
}

/* ---- rules ---- */

static bool may_use(const struct explorer *e, const struct state *s, unsigned n)
{
	const struct peer *p = &s->peers[n];
	bool marked = p->mark && p->mark == p->mem.epoch && p->mem.counter == 0;

	if (e->broken & NO_CONFIRMATION)
		marked = false;
	return p->up && p->mem.owner == n && !marked;
}

static bool is_violated(const struct explorer *e, const struct state *s)
{
	unsigned users = 0, lives = 0;

	for (unsigned n = 0; n < PEERS; n++) {
		users += may_use(e, s, n);
		lives += s->peers[n].live;
	}
	return users > 1 || lives > 1;
}

static void found(struct explorer *e, const struct state *s)
{
	if (e->seen_count * 2 >= e->seen_room)
		grow(e);
	if (!insert(e->seen, e->seen_room, pack(s)))
		return;
	e->seen_count++;
	if (is_violated(e, s))
		e->violated = true;
	if (e->tail == e->room) {
		memmove(e->queue, e->queue + e->head, (e->tail - e->head) * sizeof *e->queue);
		e->tail -= e->head;
		e->head = 0;
		if (e->tail * 2 > e->room) {
			e->room *= 2;
			e->queue = mem_resize(e->queue, e->room, sizeof *e->queue);
		}
	}
	e->queue[e->tail++] = *s;
}

static void publish(struct state *s, struct value v)
{
	s->sent |= UINT64_C(1) << value_index(v);
}

/* Durable, and with it whatever waited for that: the container is told, others may hear. */
static void sync(struct state *s, unsigned n)
{
	struct peer *p = &s->peers[n];

	p->disk = p->mem;
	p->disk_mark = p->mark;
	p->live = p->live || p->allocated;
	publish(s, p->mem);
}

static void write(const struct explorer *e, struct state *s, unsigned n, struct value v)
{
	s->peers[n].mem = v;
	if (e->broken & SEND_EARLY)
		publish(s, v);
}

static void merge(const struct explorer *e, struct state *s, unsigned n, struct value v)
{
	struct peer *p = &s->peers[n];

	if (!newer(v, p->mem))
		return;
	p->mem = v;
	if (e->broken & MERGE_CLEARS_MARK) {
		p->mark = 0;
		p->disk_mark = 0; /* saved apart from the ring, and first */
	}
}

static void gives(struct explorer *e, const struct state *s, unsigned n)
{
	const struct peer *p = &s->peers[n];

	if (!may_use(e, s, n) || (p->allocated && !(e->broken & GIVE_IN_USE)) ||
	    p->mem.counter == e->counters)
		return;
	for (unsigned to = 0; to < PEERS; to++) {
		struct state next = *s;

		if (to == n)
			continue;
		write(e, &next, n,
		      (struct value){ p->mem.epoch, (uint8_t)(p->mem.counter + 1), (uint8_t)to });
		found(e, &next);
	}
}

static void uses(struct explorer *e, const struct state *s, unsigned n)
{
	struct state next = *s;

	if (s->peers[n].allocated) {
		next.peers[n].allocated = next.peers[n].live = false;
		found(e, &next);
	} else if (may_use(e, s, n)) {
		next.peers[n].allocated = true;
		found(e, &next);
	}
}

static void crashes(struct explorer *e, const struct state *s, unsigned n)
{
	struct state next = *s;
	struct peer *p = &next.peers[n];

	if (p->dead)
		return;
	if (!p->up) {
		p->up = true;
		found(e, &next);
		return;
	}
	p->up = false;
	p->mem = p->disk;
	p->mark = p->disk_mark;
	p->allocated = p->live; /* found on the bridge at the next start */
	memset(p->heard, 0, sizeof p->heard);
	memset(p->answer, 0, sizeof p->answer); /* to questions of a life before: ignored */
	found(e, &next);
	for (unsigned k = 0, dead = 0; k < PEERS; k++) {
		dead += s->peers[k].dead;
		if (k + 1 == PEERS && dead >= e->deaths)
			return;
	}
	p->dead = true;
	p->live = p->allocated = false;
	found(e, &next);
}

static void removes(struct explorer *e, const struct state *s, unsigned n)
{
	const struct peer *p = &s->peers[n];
	struct state next = *s;

	if (!s->peers[p->mem.owner].dead || p->mem.epoch == e->epochs)
		return;
	next.peers[n].mark = (uint8_t)(p->mem.epoch + 1);
	memset(next.peers[n].heard, 0, sizeof p->heard);
	memset(next.peers[n].answer, 0, sizeof p->answer);
	write(e, &next, n, (struct value){ (uint8_t)(p->mem.epoch + 1), 0, (uint8_t)n });
	found(e, &next);
}

/* n asks k, whenever its mark is durable; k merges, syncs, answers; the answer arrives some time.
 */
static void takes(struct explorer *e, const struct state *s, unsigned n, unsigned k)
{
	struct state next = *s;
	struct value asked = { s->peers[n].mark, 0, (uint8_t)n };

	if (s->peers[n].mark && s->peers[n].disk_mark == s->peers[n].mark && s->peers[k].up &&
	    !s->peers[n].answer[k]) {
		merge(e, &next, k, asked);
		sync(&next, k);
		next.peers[n].answer[k] = s->peers[k].allocated ? 2 : 1;
		found(e, &next);
	}
	if (s->peers[n].answer[k]) {
		next = *s;
		if (!next.peers[n].heard[k])
			next.peers[n].heard[k] = s->peers[n].answer[k];
		next.peers[n].answer[k] = 0;
		merge(e, &next, n, s->peers[k].disk);
		found(e, &next);
		/* Or gets lost. */
		next = *s;
		next.peers[n].answer[k] = 0;
		found(e, &next);
	}
}

static void confirms(struct explorer *e, const struct state *s, unsigned n)
{
	const struct peer *p = &s->peers[n];
	struct state next = *s;
	unsigned holder = PEERS;

	if (!p->mark)
		return;
	for (unsigned k = 0; k < PEERS; k++) {
		if (k != n && !s->peers[k].dead && !p->heard[k])
			return;
		if (p->heard[k] == 2 && holder == PEERS)
			holder = k;
	}
	if (holder < PEERS && p->mem.owner == n && p->mem.epoch == p->mark && p->mem.counter == 0 &&
	    !p->allocated)
		write(e, &next, n, (struct value){ p->mark, 1, (uint8_t)holder });
	next.peers[n].mark = 0;
	memset(next.peers[n].heard, 0, sizeof p->heard);
	memset(next.peers[n].answer, 0, sizeof p->answer);
	found(e, &next);
}

static void hears(struct explorer *e, const struct state *s, unsigned n)
{
	for (uint64_t left = s->sent; left; left &= left - 1) {
		struct state next = *s;

		merge(e, &next, n, value_at((unsigned)__builtin_ctzll(left)));
		found(e, &next);
	}
}

static void expand(struct explorer *e, const struct state *s)
{
	for (unsigned n = 0; n < PEERS; n++) {
		struct state next = *s;

		crashes(e, s, n);
		if (!s->peers[n].up)
			continue;
		sync(&next, n);
		found(e, &next);
		hears(e, s, n);
		gives(e, s, n);
		uses(e, s, n);
		removes(e, s, n);
		confirms(e, s, n);
		for (unsigned k = 0; k < PEERS; k++)
			if (k != n)
				takes(e, s, n, k);
	}
}

static void explore(struct explorer *e)
{
	struct state first = { .sent = 0 };

	for (unsigned n = 0; n < PEERS; n++) {
		first.peers[n].mem = first.peers[n].disk = (struct value){ 0, 0, 0 };
		first.peers[n].up = true;
	}
	publish(&first, first.peers[0].mem);
	e->room = 1u << 12;
	e->queue = mem_new(e->room, sizeof *e->queue);
	found(e, &first);
	while (e->head < e->tail && !e->violated) {
		struct state s = e->queue[e->head++];

		e->states++;
		expand(e, &s);
	}
	mem_free(e->seen);
	mem_free(e->queue);
}

/* ---- tests ---- */

static bool full;

static void never_two_owners(void **state)
{
	bool again = tests_run_again() && !full;
	struct explorer e = { .epochs = again ? 1 : 2, .counters = full ? 3 : 2, .deaths = 2 };

	(void)state;
	explore(&e);
	print_message("%llu states, no two owners\n", (unsigned long long)e.states);
	assert_false(e.violated);
	assert_true(e.states > (again ? 10000 : 500000));
}

static void is_caught(unsigned broken, const char *what)
{
	struct explorer e = { .epochs = 2, .counters = 2, .deaths = 2, .broken = broken };

	explore(&e);
	print_message("%s: violation after %llu states\n", what, (unsigned long long)e.states);
	assert_true(e.violated);
}

static void send_before_sync_is_caught(void **state)
{
	(void)state;
	is_caught(SEND_EARLY, "send before sync");
}

static void use_without_confirmation_is_caught(void **state)
{
	(void)state;
	is_caught(NO_CONFIRMATION, "rmpeer without confirmation");
}

static void marks_cleared_by_merges_are_caught(void **state)
{
	(void)state;
	is_caught(MERGE_CLEARS_MARK, "mark cleared by a merge");
}

static void giving_what_is_in_use_is_caught(void **state)
{
	(void)state;
	is_caught(GIVE_IN_USE, "give what is in use");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_two_owners),
		cmocka_unit_test(send_before_sync_is_caught),
		cmocka_unit_test(use_without_confirmation_is_caught),
		cmocka_unit_test(marks_cleared_by_merges_are_caught),
		cmocka_unit_test(giving_what_is_in_use_is_caught),
	};

	full = argc > 1 && strcmp(argv[1], "--full") == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
