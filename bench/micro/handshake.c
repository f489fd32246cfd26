/* A handshake with a password, both ends together, from the preamble to the proved keys. */
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../gossip/handshake_wire.h"
#include "micro.h"

struct side {
	struct handshake h;
	struct passwords passwords;
};

struct how {
	unsigned passwords[2];
	bool puzzle; /* the dialler has to solve one */
};

struct ends {
	struct how how;
	struct side side[2];
	/* Counts up, so that runs repeat, and puzzles differ in how long they take. */
	uint8_t entropy[HANDSHAKE_ENTROPY_SIZE];
};

static void set_passwords(struct side *s, unsigned count)
{
	for (s->passwords.count = 0; s->passwords.count < count; s->passwords.count++) {
		struct password *p = &s->passwords.list[s->passwords.count];

		p->id = s->passwords.count + 1;
		p->size = 28;
		memset(p->bytes, (int)p->id, p->size);
	}
}

static struct bytes feed(struct ends *e, int which, struct bytes from)
{
	struct side *s = &e->side[which];
	enum handshake_state before;
	struct why why;

	e->entropy[0] = (uint8_t)(which + 1);
	e->entropy[1]++;
	do {
		before = s->h.state;
		handshake_feed(&s->h, &from, &why);
		if (s->h.state == HANDSHAKE_OFFERED && e->how.puzzle && !s->h.solved)
			handshake_puzzle(&s->h, e->entropy);
		else if (s->h.state == HANDSHAKE_OFFERED ||
			 (s->h.state != before && s->h.state == HANDSHAKE_HELLO && s->h.dialled))
			handshake_offer(&s->h, &s->passwords, e->entropy, &why);
	} while (s->h.state != before);
	return handshake_output(&s->h);
}

static void *setup(const struct micro *m)
{
	struct ends *e = mem_new(1, sizeof *e);

	e->how = *(const struct how *)m->with;
	memset(e->entropy, 3, sizeof e->entropy);
	return e;
}

static void run(void *ctx, uint64_t count)
{
	static const uint8_t preamble[] = "weave\3\3";
	struct ends *e = ctx;

	while (count--) {
		struct bytes said;
		int turn = 1;

		for (int i = 0; i < 2; i++) {
			memset(&e->side[i], 0, sizeof e->side[i]);
			set_passwords(&e->side[i], e->how.passwords[i]);
			handshake_init(&e->side[i].h, i == 0, true, 3, 3);
		}
		feed(e, 1, bytes_of(preamble, 7));
		said = feed(e, 0, bytes_of(preamble, 7));
		while (said.size) {
			said = feed(e, turn, said);
			turn = !turn;
		}
		MUST(e->side[0].h.state == HANDSHAKE_DONE && e->side[1].h.state == HANDSHAKE_DONE);
	}
}

const struct micro micro_handshake[] = {
	{ "handshake/one password", setup, run, mem_free, 48, 0,
	  (&(const struct how){ { 1, 1 }, false }) },
	{ "handshake/two passwords", setup, run, mem_free, 48, 0,
	  (&(const struct how){ { 2, 2 }, false }) },
	{ "handshake/puzzle", setup, run, mem_free, 64, 0,
	  (&(const struct how){ { 1, 1 }, true }) },
	{ 0 },
};
