#include "sim_clock.h"

#include <weave/alloc.h>
#include <weave/must.h>

void sim_clock_init(struct sim_clock *c)
{
	*c = (struct sim_clock){ .now_us = SIM_S };
}

void sim_clock_fini(struct sim_clock *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->heap[i].owned)
			mem_free(c->heap[i].what);
	mem_free(c->heap);
	*c = (struct sim_clock){ 0 };
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

static void add(struct sim_clock *c, struct sim_event event)
{
	size_t at = c->count++;

	if (at == c->room) {
		c->room = c->room ? c->room * 2 : 256;
		c->heap = mem_resize(c->heap, c->room, sizeof *c->heap);
	}
	while (at > 0 && before(&event, &c->heap[(at - 1) / 2])) {
		c->heap[at] = c->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	c->heap[at] = event;
}

void sim_clock_add(struct sim_clock *c, uint64_t at_us, sim_fire *fire, void *what,
		   uint64_t argument)
{
	add(c, (struct sim_event){ .at_us = at_us > c->now_us ? at_us : c->now_us,
				   .sequence = c->sequence++,
				   .fire = fire,
				   .what = what,
				   .argument = argument });
}

void sim_clock_add_owned(struct sim_clock *c, uint64_t at_us, sim_fire *fire, void *what,
			 uint64_t argument)
{
	add(c, (struct sim_event){ .at_us = at_us > c->now_us ? at_us : c->now_us,
				   .sequence = c->sequence++,
				   .fire = fire,
				   .what = what,
				   .argument = argument,
				   .owned = true });
}

/* The last event of the heap sinks from its top to its place. */
static void sink(struct sim_clock *c)
{
	struct sim_event last = c->heap[--c->count];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < c->count) {
		if (child + 1 < c->count && before(&c->heap[child + 1], &c->heap[child]))
			child++;
		if (!before(&c->heap[child], &last))
			break;
		c->heap[at] = c->heap[child];
		at = child;
	}
	if (c->count)
		c->heap[at] = last;
}

bool sim_clock_take(struct sim_clock *c, uint64_t until_us, struct sim_event *event)
{
	if (c->count == 0 || c->heap[0].at_us > until_us) {
		if (c->now_us < until_us)
			c->now_us = until_us;
		return false;
	}
	*event = c->heap[0];
	sink(c);
	MUST(event->at_us >= c->now_us);
	c->now_us = event->at_us;
	return true;
}
