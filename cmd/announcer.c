#include "announcer.h"

#include <weave/alloc.h>
#include <weave/time.h>

#define INTERVAL_S (ATTACH_ANNOUNCE_INTERVAL_MS / 1000.)

struct announcement {
	struct list link;
	ev_tstamp due;
	bool of_host;
	struct attachment container;
};

/* All wait equally long, so the order of the list is that of time. */
static void wait_for_first(struct announcer *a)
{
	ev_tstamp left;

	if (list_empty(&a->waiting) || ev_is_active(&a->due))
		return;
	left = list_entry(a->waiting.next, struct announcement, link)->due - ev_now(a->loop);
	ev_timer_set(&a->due, left > 0. ? left : 0., 0.);
	ev_timer_start(a->loop, &a->due);
}

static void announce(const struct announcer *a, const struct announcement *n)
{
	if (n->of_host)
		expose_announce(a->bridge, a->exposed);
	else
		attach_announce(&n->container);
}

/* One in a turn: each may take a millisecond, and frames go in between. */
static void on_due(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct announcer *a = w->data;
	struct announcement *first = list_entry(a->waiting.next, struct announcement, link);

	(void)loop;
	(void)events;
	list_remove(&first->link);
	announce(a, first);
	mem_free(first);
	wait_for_first(a);
}

void announcer_init(struct announcer *a, struct ev_loop *loop, const struct net_bridge *bridge,
		    const struct expose_set *exposed)
{
	*a = (struct announcer){ .loop = loop, .bridge = bridge, .exposed = exposed };
	list_init(&a->waiting);
	ev_timer_init(&a->due, on_due, 0., 0.);
	a->due.data = a;
}

void announcer_stop(struct announcer *a)
{
	if (!a->loop)
		return;
	ev_timer_stop(a->loop, &a->due);
	while (!list_empty(&a->waiting)) {
		struct announcement *n = list_entry(a->waiting.next, struct announcement, link);

		list_remove(&n->link);
		mem_free(n);
	}
}

static struct announcement *append(struct announcer *a)
{
	struct announcement *n = mem_new(1, sizeof *n);

	n->due = ev_now(a->loop) + INTERVAL_S;
	list_append(&a->waiting, &n->link);
	wait_for_first(a);
	return n;
}

void announcer_attached(struct announcer *a, const struct attachment *attached)
{
	append(a)->container = *attached;
}

void announcer_exposed(struct announcer *a)
{
	append(a)->of_host = true;
}
