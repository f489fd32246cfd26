/* What a handshake with a password costs each end, in CPU time, with one and with two passwords a
 *side; and what refusing garbage and solving a puzzle cost.  Prints; asserts nothing.  Median of
 *many.
 *
 *	make build/release/bench/handshake && build/release/bench/handshake
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weave/must.h>

#include "../gossip/handshake_wire.h"

#define RUNS 401

struct side {
	struct handshake h;
	struct passwords passwords;
	double spent;
};

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void set_passwords(struct side *s, unsigned count)
{
	for (s->passwords.count = 0; s->passwords.count < count; s->passwords.count++) {
		struct password *p = &s->passwords.list[s->passwords.count];

		p->id = s->passwords.count + 1;
		p->size = 28;
		memset(p->bytes, (int)p->id, p->size);
	}
}

static struct bytes feed(struct side *s, struct bytes from, bool puzzle)
{
	uint8_t entropy[HANDSHAKE_ENTROPY_SIZE];
	double start = cpu_seconds();
	enum handshake_state before;
	struct why why;

	randombytes_buf(entropy, sizeof entropy);
	do {
		before = s->h.state;
		handshake_feed(&s->h, &from, &why);
		if (s->h.state == HANDSHAKE_OFFERED && puzzle && !s->h.solved)
			handshake_puzzle(&s->h, entropy);
		else if (s->h.state == HANDSHAKE_OFFERED ||
			 (s->h.state != before && s->h.state == HANDSHAKE_HELLO && s->h.dialled))
			handshake_offer(&s->h, &s->passwords, entropy, &why);
	} while (s->h.state != before);
	s->spent += cpu_seconds() - start;
	return handshake_output(&s->h);
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void run(unsigned ours, unsigned theirs, bool puzzle)
{
	static struct side side[2];
	static double spent[2][RUNS];

	for (int n = 0; n < RUNS; n++) {
		static const uint8_t preamble[] = "weave\3\3";
		struct bytes said;
		int turn = 1;

		memset(side, 0, sizeof side);
		set_passwords(&side[0], ours);
		set_passwords(&side[1], theirs);
		for (int i = 0; i < 2; i++)
			handshake_init(&side[i].h, i == 0, true, 3, 3);
		feed(&side[1], bytes_of(preamble, 7), puzzle);
		said = feed(&side[0], bytes_of(preamble, 7), puzzle);
		while (said.size) {
			said = feed(&side[turn], said, puzzle);
			turn = !turn;
		}
		MUST(side[0].h.state == HANDSHAKE_DONE && side[1].h.state == HANDSHAKE_DONE);
		for (int i = 0; i < 2; i++)
			spent[i][n] = side[i].spent;
	}
	for (int i = 0; i < 2; i++)
		qsort(spent[i], RUNS, sizeof spent[i][0], compare);
	printf("%u and %u passwords%s: dialled %.3f ms (p99 %.3f), accepted %.3f ms (p99 %.3f)\n",
	       ours, theirs, puzzle ? ", with a puzzle" : "", spent[0][RUNS / 2] * 1e3,
	       spent[0][RUNS * 99 / 100] * 1e3, spent[1][RUNS / 2] * 1e3,
	       spent[1][RUNS * 99 / 100] * 1e3);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	run(1, 1, false);
	run(2, 1, false);
	run(2, 2, false);
	run(1, 1, true);
	return 0;
}
