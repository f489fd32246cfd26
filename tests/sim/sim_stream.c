#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "sim_goodbye.h"
#include "sim_ipam.h"
#include "sim_net.h"
#include "sim_router.h"
#include "sim_stream.h"

#define DIAL_LIMIT_US (5 * SIM_S)
#define LINGER_US SIM_S
#define RETRANSMIT_US (200 * SIM_MS)
/* A SYN is sent again after 1 s, then 3 s. */
#define SYN_FIRST_US SIM_S
#define SYN_SECOND_US (3 * SIM_S)

static void deliver(struct sim *s, void *what, uint64_t side);

struct sim_link *stream_link(const struct sim_stream *t, unsigned from)
{
	return sim_link(t->sim, t->half[from].router->index, t->half[!from].router->index);
}

static bool lives(const struct sim_half *h)
{
	return h->state != HALF_GONE && sim_router_runs(h->router) &&
	       h->router->incarnation == h->incarnation;
}

/* ---- life ---- */

static struct sim_stream *stream_new(struct sim *s, struct sim_router *from, struct sim_router *to)
{
	struct sim_stream *t = mem_new(1, sizeof *t);

	t->sim = s;
	t->number = ++s->streams_made;
	t->half[0] = (struct sim_half){ .router = from, .incarnation = from->incarnation };
	t->half[1] = (struct sim_half){ .router = to, .state = HALF_GONE };
	for (unsigned i = 0; i < 2; i++) {
		list_init(&t->pipe[i].segments);
		t->pipe[i].window = sim_between(&s->net_rng, s->window_min, s->window_max);
	}
	t->next = s->streams;
	if (t->next)
		t->next->prev = t;
	s->streams = t;
	return t;
}

static void pipe_empty(struct sim_pipe *p)
{
	while (!list_empty(&p->segments)) {
		struct sim_segment *g = list_entry(p->segments.next, struct sim_segment, link);

		list_remove(&g->link);
		mem_free(g);
	}
}

static void stream_free(struct sim_stream *t)
{
	if (t->prev)
		t->prev->next = t->next;
	else
		t->sim->streams = t->next;
	if (t->next)
		t->next->prev = t->prev;
	for (unsigned i = 0; i < 2; i++) {
		pipe_empty(&t->pipe[i]);
		mem_free(t->half[i].unsent);
	}
	mem_free(t);
}

static void free_when_done(struct sim_stream *t)
{
	if (t->events == 0 && t->half[0].state == HALF_GONE && t->half[1].state == HALF_GONE)
		stream_free(t);
}

static void stream_later(struct sim_stream *t, uint64_t at_us, sim_fire *fire, uint64_t argument)
{
	t->events++;
	sim_clock_add(&t->sim->clock, at_us, fire, t, argument);
}

void sim_net_fini(struct sim *s)
{
	while (s->streams)
		stream_free(s->streams);
}

static struct sim_half *find_half(struct sim_router *r, conn_id conn, struct sim_stream **stream)
{
	struct table_link *l = table_first(&r->halves, conn);
	struct sim_half *h = l ? table_entry(l, struct sim_half, by_conn) : NULL;

	*stream = h ? h->stream : NULL;
	return h;
}

static void half_open(struct sim_stream *t, unsigned side, conn_id conn, enum sim_half_state state)
{
	struct sim_half *h = &t->half[side];

	h->stream = t;
	h->conn = conn;
	h->state = state;
	h->incarnation = h->router->incarnation;
	table_insert(&h->router->halves, &h->by_conn, conn);
}

static void half_gone(struct sim_half *h)
{
	if (h->state == HALF_GONE)
		return;
	h->state = HALF_GONE;
	table_remove(&h->router->halves, &h->by_conn);
	mem_free(h->unsent);
	h->unsent = NULL;
	h->unsent_size = h->unsent_at = 0;
}

static unsigned side_of(const struct sim_half *h)
{
	return h == &h->stream->half[1];
}

/* ---- bytes on their way ---- */

/* When something sent now arrives: never before what was sent earlier. */
static uint64_t arrival(struct sim_stream *t, unsigned from)
{
	struct sim *s = t->sim;
	const struct sim_link *l = stream_link(t, from);
	uint64_t at = s->clock.now_us + l->delay_us + rng_below(&s->net_rng, l->jitter_us + 1);

	for (int i = 0; i < 8 && sim_chance(&s->net_rng, l->loss_ppm); i++)
		at += RETRANSMIT_US << i;
	if (at < t->pipe[from].last_us)
		at = t->pipe[from].last_us;
	t->pipe[from].last_us = at;
	return at;
}

static void schedule(struct sim_stream *t, unsigned from)
{
	struct sim_pipe *p = &t->pipe[from];
	const struct sim_segment *g;

	if (p->pending || list_empty(&p->segments))
		return;
	g = list_entry(p->segments.next, struct sim_segment, link);
	p->pending = true;
	p->held = false;
	stream_later(t, g->at_us, deliver, from);
}

static void push(struct sim_stream *t, unsigned from, enum sim_segment_type type,
		 const uint8_t *data, size_t size)
{
	struct sim_segment *g = mem_new(1, sizeof *g + size);

	g->type = type;
	g->at_us = arrival(t, from);
	g->size = size;
	if (size)
		memcpy(g->data, data, size);
	list_append(&t->pipe[from].segments, &g->link);
	if (!t->pipe[from].held)
		schedule(t, from);
}

static void send_reset(struct sim_stream *t, unsigned from)
{
	if (!t->pipe[from].ended)
		push(t, from, SEGMENT_RESET, NULL, 0);
	t->pipe[from].ended = true;
}

static void send_fin(struct sim_stream *t, unsigned from)
{
	if (!t->pipe[from].ended)
		push(t, from, SEGMENT_FIN, NULL, 0);
	t->pipe[from].ended = true;
}

/* What connection_io.c does when its socket takes bytes. */
static void write_on(struct sim_half *h)
{
	struct sim_stream *t = h->stream;
	struct sim_router *r = h->router;
	struct sim_pipe *p = &t->pipe[side_of(h)];
	struct mono now = sim_router_now(r);

	for (;;) {
		size_t room = p->window > p->unacked ? p->window - p->unacked : 0;
		size_t left = h->unsent_size - h->unsent_at;
		const uint8_t *from = h->unsent ? h->unsent + h->unsent_at : t->sim->scratch;

		if (left == 0) {
			mem_free(h->unsent);
			h->unsent = NULL;
			h->unsent_at = 0;
			h->unsent_size = left = gossip_pull(sim_router_gossip(r), h->conn,
							    t->sim->scratch, SIM_SCRATCH_SIZE, now);
			from = t->sim->scratch;
			if (left == 0)
				break;
			if (r->ipam)
				sim_ipam_watch(r, bytes_of(from, left));
		}
		if (room > left)
			room = left;
		if (room) {
			push(t, side_of(h), SEGMENT_DATA, from, room);
			p->unacked += room;
			t->sim->stats.bytes_tcp += room;
			t->sim->stats.segments++;
			r->bytes_out += room;
		}
		if (room < left && !h->unsent) {
			h->unsent = mem_copy(from + room, left - room);
			h->unsent_size = left - room;
			h->unsent_at = 0;
		} else {
			h->unsent_at += room;
		}
		if (room < left) {
			h->blocked = true;
			return;
		}
	}
	h->blocked = false;
	if (gossip_wants_write(sim_router_gossip(r), h->conn))
		sim_fail(t->sim, "router %u: gossip_pull gives nothing, yet wants to write",
			 r->index + 1);
	if (h->state == HALF_CLOSING)
		send_fin(t, side_of(h));
}

void sim_stream_write(struct sim_router *r, conn_id conn)
{
	struct sim_stream *t;
	struct sim_half *h = find_half(r, conn, &t);

	if (h && h->state != HALF_CONNECTING && !h->blocked)
		write_on(h);
}

/* ---- arriving ---- */

static void end_of_half(struct sim_half *h, const char *reason)
{
	enum sim_half_state state = h->state;
	conn_id conn = h->conn;
	struct sim_router *r = h->router;

	half_gone(h);
	/* The kernel of a closed socket answers what still comes with a reset. */
	send_reset(h->stream, side_of(h));
	if (state == HALF_CONNECTING)
		gossip_on_dial_failed(sim_router_gossip(r), conn, reason, sim_router_now(r));
	else if (state == HALF_OPEN)
		gossip_on_closed(sim_router_gossip(r), conn, reason, sim_router_now(r));
}

static void give(struct sim_half *h, const uint8_t *data, size_t size)
{
	struct sim *s = h->router->sim;

	if (h->state != HALF_OPEN)
		return;
	if (s->mutation == SIM_MUTATE_LOST_BYTES && rng_below(&s->net_rng, 200) == 0)
		size--;
	/* Now and then in two pieces, cut anywhere. */
	if (size > 1 && rng_below(&s->net_rng, 4) == 0) {
		size_t cut = 1 + (size_t)rng_below(&s->net_rng, size - 1);

		gossip_on_received(sim_router_gossip(h->router), h->conn, bytes_of(data, cut),
				   sim_router_now(h->router));
		sim_router_turn(h->router);
		data += cut;
		size -= cut;
		/* What it said may have closed us. */
		if (h->state != HALF_OPEN)
			return;
	}
	gossip_on_received(sim_router_gossip(h->router), h->conn, bytes_of(data, size),
			   sim_router_now(h->router));
	sim_router_turn(h->router);
}

static void acknowledge(struct sim_stream *t, unsigned from)
{
	struct sim_pipe *p = &t->pipe[from];
	struct sim_half *h = &t->half[from];

	if (stream_link(t, !from)->cut)
		return;
	p->unacked -= p->read;
	p->read = 0;
	if (lives(h) && h->blocked && p->unacked < p->window) {
		if (h->router->frozen)
			return; /* sim_net_resume comes back to it */
		write_on(h);
		sim_router_turn(h->router);
	}
}

static bool may_pass(const struct sim_stream *t, unsigned from)
{
	const struct sim_link *l = stream_link(t, from);
	const struct sim_half *to = &t->half[!from];

	/* A process that was frozen while it dialled hears first that it is connected. */
	return !l->cut && !l->stalled && !to->router->frozen &&
	       !(lives(to) && to->state == HALF_CONNECTING);
}

static void arrive(struct sim_stream *t, unsigned from, const struct sim_segment *g)
{
	struct sim_half *h = &t->half[!from];

	/* A machine that is off acknowledges nothing. */
	if (h->router->host_up)
		t->pipe[from].read += g->size;
	if (!lives(h)) {
		if (h->router->host_up && g->type == SEGMENT_DATA)
			send_reset(t, !from);
		return;
	}
	switch (g->type) {
	case SEGMENT_DATA:
		give(h, g->data, g->size);
		break;
	case SEGMENT_FIN:
		end_of_half(h, NULL);
		sim_router_turn(h->router);
		break;
	case SEGMENT_RESET:
		end_of_half(h, "Connection reset by peer");
		sim_router_turn(h->router);
		break;
	}
}

static void deliver(struct sim *s, void *what, uint64_t side)
{
	struct sim_stream *t = what;
	unsigned from = (unsigned)side;
	struct sim_pipe *p = &t->pipe[from];
	struct sim_segment *g;

	p->pending = false;
	if (list_empty(&p->segments)) { /* a reset emptied it meanwhile */
		t->events--;
		free_when_done(t);
		return;
	}
	g = list_entry(p->segments.next, struct sim_segment, link);
	if (g->at_us > s->clock.now_us) {
		/* The one that this event was for was cut off; this one is later. */
		schedule(t, from);
	} else if (!may_pass(t, from)) {
		p->held = true;
	} else {
		list_remove(&g->link);
		sim_trace(s, "stream", t->number << 1 | from, (uint64_t)g->type, g->size);
		arrive(t, from, g);
		mem_free(g);
		acknowledge(t, from);
		schedule(t, from);
	}
	t->events--;
	free_when_done(t);
}

/* ---- opening ---- */

static void dial_over(struct sim *s, void *what, uint64_t argument)
{
	struct sim_stream *t = what;
	struct sim_half *h = &t->half[0];

	(void)argument;
	if (h->router->frozen) {
		t->events--;
		stream_later(t, s->clock.now_us + SIM_S, dial_over, 0);
		return;
	}
	t->events--;
	if (lives(h) && h->state == HALF_CONNECTING) {
		sim_trace(s, "dial-timeout", t->number, 0, 0);
		end_of_half(h, "no answer to the dial within 5 s");
		sim_router_turn(h->router);
	}
	free_when_done(t);
}

static void dial_answer(struct sim *s, void *what, uint64_t accepted)
{
	struct sim_stream *t = what;
	struct sim_half *h = &t->half[0];

	t->events--;
	if (h->router->frozen) {
		stream_later(t, s->clock.now_us + 100 * SIM_MS, dial_answer, accepted);
		return;
	}
	if (lives(h) && h->state == HALF_CONNECTING && !stream_link(t, 1)->cut) {
		struct netaddr local = { sim_router_ip(h->router->index), t->port };

		sim_trace(s, "connected", t->number, accepted, 0);
		if (accepted) {
			h->state = HALF_OPEN;
			gossip_on_connected(sim_router_gossip(h->router), h->conn, local,
					    t->dialled, sim_router_now(h->router));
			sim_net_resume(s);
		} else {
			end_of_half(h, "Connection refused");
		}
		sim_router_turn(h->router);
	} else if (accepted && h->state != HALF_CONNECTING) {
		send_reset(t, 0);
	}
	free_when_done(t);
}

/* A SYN reaches the other machine. */
static void dial_arrives(struct sim *s, void *what, uint64_t attempt)
{
	struct sim_stream *t = what;
	struct sim_half *h = &t->half[0], *other = &t->half[1];
	struct sim_router *to = other->router;
	uint64_t back = s->clock.now_us + stream_link(t, 1)->delay_us;

	t->events--;
	if (!lives(h) || h->state != HALF_CONNECTING || t->answered) {
		free_when_done(t);
		return;
	}
	if (stream_link(t, 0)->cut || stream_link(t, 1)->cut || !to->host_up || to->frozen) {
		if (attempt < 2)
			stream_later(t,
				     s->clock.now_us + (attempt ? SYN_SECOND_US - SYN_FIRST_US
								: SYN_FIRST_US),
				     dial_arrives, attempt + 1);
		return;
	}
	t->answered = true;
	if (!sim_router_runs(to)) {
		stream_later(t, back, dial_answer, false);
		return;
	}
	sim_trace(s, "accept", t->number, to->index, 0);
	stream_later(t, back, dial_answer, true);
	{
		struct why why;
		struct netaddr remote = { sim_router_ip(h->router->index), t->port };
		conn_id conn = gossip_on_accepted(sim_router_gossip(to), remote, sim_router_now(to),
						  &why);

		/* The answer travels ahead of our first bytes. */
		t->pipe[1].last_us = back;
		if (conn)
			half_open(t, 1, conn, HALF_OPEN);
		else
			send_fin(t, 1);
		sim_router_turn(to);
	}
}

void sim_stream_dial(struct sim_router *r, conn_id conn, struct netaddr to)
{
	struct sim *s = r->sim;
	uint32_t index = sim_router_of_ip(s, to.ip);
	struct sim_stream *t;

	s->stats.dials++;
	/* Nobody's address: the dial times out like one into the void. */
	t = stream_new(s, r, s->routers[index == UINT32_MAX ? r->index : index]);
	t->dialled = to;
	t->port = (uint16_t)(32768 + t->number % 28000);
	t->answered = index == UINT32_MAX;
	sim_trace(s, "dial", t->number, r->index, index);
	half_open(t, 0, conn, HALF_CONNECTING);
	stream_later(t, s->clock.now_us + stream_link(t, 0)->delay_us, dial_arrives, 0);
	stream_later(t, s->clock.now_us + DIAL_LIMIT_US, dial_over, 0);
}

/* ---- closing ---- */

static void linger_over(struct sim *s, void *what, uint64_t side)
{
	struct sim_stream *t = what;
	struct sim_half *h = &t->half[side];

	(void)s;
	t->events--;
	if (h->state == HALF_CLOSING) {
		half_gone(h);
		/* Unsent bytes are lost: the other end hears a reset, else it had its FIN. */
		send_reset(t, (unsigned)side);
	}
	free_when_done(t);
}

void sim_stream_close(struct sim_router *r, conn_id conn)
{
	struct sim_stream *t;
	struct sim_half *h = find_half(r, conn, &t);

	if (!h || h->state == HALF_CLOSING)
		return;
	r->sim->stats.closes++;
	sim_trace(r->sim, "close", t->number, side_of(h), 0);
	if (h->state == HALF_CONNECTING) {
		half_gone(h);
		return; /* its events free it */
	}
	sim_goodbye(t, side_of(h));
	h->state = HALF_CLOSING;
	stream_later(t, r->sim->clock.now_us + LINGER_US, linger_over, side_of(h));
	write_on(h);
}

/* ---- faults ---- */

void sim_net_crashed(struct sim_router *r)
{
	for (struct sim_stream *t = r->sim->streams, *next; t; t = next) {
		next = t->next;
		for (unsigned i = 0; i < 2; i++) {
			if (t->half[i].router != r || t->half[i].state == HALF_GONE)
				continue;
			t->faulted = true;
			half_gone(&t->half[i]);
			if (r->host_up) {
				send_reset(t, i);
			} else {
				/* What the machine held for sending is gone with it. */
				pipe_empty(&t->pipe[i]);
			}
		}
		free_when_done(t);
	}
}

static void host_back(struct sim *s, void *what, uint64_t side)
{
	struct sim_stream *t = what;

	(void)s;
	t->events--;
	if (t->half[!side].state != HALF_GONE && t->half[side].state == HALF_GONE)
		send_reset(t, (unsigned)side);
	free_when_done(t);
}

void sim_net_host_back(struct sim_router *r)
{
	struct sim *s = r->sim;

	for (struct sim_stream *t = s->streams; t; t = t->next)
		for (unsigned i = 0; i < 2; i++)
			/* Only an end that still sends is told: after its next retransmission. */
			if (t->half[i].router == r && t->half[i].state == HALF_GONE &&
			    t->half[!i].state == HALF_OPEN && t->pipe[!i].unacked)
				stream_later(t,
					     s->clock.now_us + sim_between(&s->net_rng,
									   RETRANSMIT_US,
									   3 * SIM_S),
					     host_back, i);
}

void sim_net_resume(struct sim *s)
{
	for (struct sim_stream *t = s->streams; t; t = t->next)
		for (unsigned i = 0; i < 2; i++) {
			struct sim_pipe *p = &t->pipe[i];
			struct sim_half *h = &t->half[i];

			if (p->held && may_pass(t, i)) {
				struct sim_segment *g = list_entry(p->segments.next,
								   struct sim_segment, link);

				/* At the next retransmission. */
				g->at_us = s->clock.now_us + rng_below(&s->net_rng, RETRANSMIT_US);
				schedule(t, i);
			}
			if ((p->read || h->blocked) && lives(h) && !h->router->frozen)
				acknowledge(t, i);
		}
}

static void reset_stream(struct sim_stream *t)
{
	t->faulted = true;
	for (unsigned i = 0; i < 2; i++) {
		struct sim_half *h = &t->half[i];

		/* A prefix of the first segment may still have arrived. */
		if (!list_empty(&t->pipe[i].segments) && lives(&t->half[!i])) {
			struct sim_segment *g = list_entry(t->pipe[i].segments.next,
							   struct sim_segment, link);

			if (g->type == SEGMENT_DATA && g->size > 1)
				give(&t->half[!i], g->data,
				     1 + (size_t)rng_below(&t->sim->net_rng, g->size - 1));
		}
		pipe_empty(&t->pipe[i]);
		t->pipe[i].ended = true;
		if (lives(h)) {
			end_of_half(h, "Connection reset by peer");
			sim_router_turn(h->router);
		}
	}
}

void sim_net_reset(struct sim *s, uint32_t a, uint32_t b)
{
	for (struct sim_stream *t = s->streams, *next; t; t = next) {
		uint32_t x = t->half[0].router->index, y = t->half[1].router->index;

		next = t->next;
		if ((x == a && y == b) || (x == b && y == a)) {
			reset_stream(t);
			free_when_done(t);
		}
	}
}

size_t sim_net_in_flight(const struct sim *s)
{
	size_t total = 0;

	for (const struct sim_stream *t = s->streams; t; t = t->next)
		total += t->pipe[0].unacked + t->pipe[1].unacked;
	return total;
}

size_t sim_net_streams(const struct sim *s)
{
	size_t total = 0;

	for (const struct sim_stream *t = s->streams; t; t = t->next)
		total++;
	return total;
}
