/* Virtual time: one queue of events in the order of (time, sequence number).
 *
 * Pure.  Two events at one moment fire in the order in which they were added, so a run depends on
 * nothing but its seed.  Time is in microseconds; routers see milliseconds of it.
 */
#ifndef WEAVE_SIM_CLOCK_H
#define WEAVE_SIM_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_MS UINT64_C(1000)
#define SIM_S UINT64_C(1000000)
#define SIM_HOUR (3600 * SIM_S)

struct sim;

/* 'what' and 'argument' are what the event was added with. */
typedef void sim_fire(struct sim *s, void *what, uint64_t argument);

struct sim_event {
	uint64_t at_us, sequence;
	sim_fire *fire;
	void *what; /* the one who adds it sees to it that it lives until then */
	uint64_t argument;
	bool owned; /* 'what' is freed when it never fires */
};

struct sim_clock {
	uint64_t now_us;
	uint64_t sequence; /* events added so far */
	struct sim_event *heap;
	size_t count, room;
};

void sim_clock_init(struct sim_clock *c);
void sim_clock_fini(struct sim_clock *c);

/* 'at_us' in the past means now. */
void sim_clock_add(struct sim_clock *c, uint64_t at_us, sim_fire *fire, void *what,
		   uint64_t argument);

/* The same for a 'what' from mem_new that whoever fires frees. */
void sim_clock_add_owned(struct sim_clock *c, uint64_t at_us, sim_fire *fire, void *what,
			 uint64_t argument);

/* Takes the earliest event that is due by 'until_us' and moves time there; false when there is
 * none: then time is 'until_us'. */
bool sim_clock_take(struct sim_clock *c, uint64_t until_us, struct sim_event *event);

#endif
