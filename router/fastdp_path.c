#include "fastdp_path.h"

#include <stdio.h>

#include <weave/must.h>

/* Of one beat, in order: so that a path that comes up does so with all that it can. */
enum { PING_HAND = 1, PING_DEVICE = 2, PING_SMALL = 4 };

static void start_proving(struct fastdp_path *p, struct mono now)
{
	p->state = p->known && p->remote.family ? FASTDP_PROVING : FASTDP_WAITING;
	p->proving_since = now;
	p->accepted = p->relays = p->by_hand = false;
	p->beat_now = true;
	for (unsigned i = 0; i < FASTDP_WAYS; i++)
		p->ways[i] = (struct fastdp_way){ 0 };
}

void fastdp_path_init(struct fastdp_path *p, conn_id conn, peer_name peer,
		      const struct fastdp_setup *mine, struct mono now)
{
	*p = (struct fastdp_path){ .conn = conn, .peer = peer, .mine = *mine };
	start_proving(p, now);
}

void fastdp_path_on_setup(struct fastdp_path *p, const struct fastdp_setup *theirs, struct mono now)
{
	p->theirs = *theirs;
	p->known = true;
	start_proving(p, now);
}

void fastdp_path_set_remote(struct fastdp_path *p, struct ip_addr remote, struct mono now)
{
	if (ip_compare(p->remote, remote) == 0)
		return;
	p->remote = remote;
	start_proving(p, now);
}

void fastdp_path_on_size(struct fastdp_path *p, struct mono now)
{
	start_proving(p, now);
}

void fastdp_path_give_up(struct fastdp_path *p, struct mono now)
{
	p->known = false;
	start_proving(p, now);
}

static bool is_fast(const struct fastdp_path *p, struct mono now)
{
	return now.ms < p->fast_until.ms;
}

static void go_fast(struct fastdp_path *p, struct mono now)
{
	if (!is_fast(p, now)) {
		/* The last answer may be seconds old: patience starts here. */
		p->fast_since = now;
		p->beat_now = true;
	}
	p->fast_until = mono_after(now, FASTDP_USED_LINGER_MS);
}

void fastdp_path_on_used(struct fastdp_path *p, struct mono now)
{
	go_fast(p, now);
}

void fastdp_path_on_suspect(struct fastdp_path *p, struct mono now)
{
	go_fast(p, now);
	p->suspected = true;
	p->suspected_at = now;
	p->beat_now = true;
	if (p->state == FASTDP_PROVING)
		p->proving_since = now;
}

static struct mono later(struct mono a, struct mono b)
{
	return a.ms > b.ms ? a : b;
}

/* Unanswered pings without which no way is taken for dead. */
static uint32_t enough(unsigned way)
{
	return way == FASTDP_BY_HAND ? FASTDP_DEAD_UNANSWERED_BY_HAND : FASTDP_DEAD_UNANSWERED;
}

/* By when that way must have answered once more.  Fast pings are all full ones. */
static struct mono dead_at(const struct fastdp_path *p, unsigned way, struct mono now)
{
	const struct fastdp_way *w = &p->ways[way];

	if (w->unanswered < enough(way))
		return MONO_NEVER;
	/* The last one of those that count has its time, too. */
	if (!is_fast(p, now))
		return later(mono_after(w->answered_at, FASTDP_DEAD_IDLE_MS),
			     mono_after(w->doubted_at, FASTDP_OVERDUE_IDLE_MS));
	return later(mono_after(later(w->full_at, p->fast_since), FASTDP_DEAD_FAST_MS),
		     mono_after(w->doubted_at, FASTDP_OVERDUE_FAST_MS));
}

static bool is_alive(const struct fastdp_path *p, unsigned way, struct mono now)
{
	return p->ways[way].full && !mono_reached(now, dead_at(p, way, now));
}

static void settle(struct fastdp_path *p, struct mono now)
{
	bool alive = is_alive(p, FASTDP_BY_DEVICE, now);

	if (p->state == FASTDP_PROVING && alive) {
		p->state = FASTDP_UP;
		p->fast_since = now;
	} else if (p->state == FASTDP_UP && !alive) {
		p->lost = true;
		start_proving(p, now);
	}
	p->by_hand = p->state == FASTDP_UP && is_alive(p, FASTDP_BY_HAND, now);
}

static void measure(struct fastdp_path *p, const struct fastdp_sent *sent, struct mono now)
{
	uint64_t ms = mono_elapsed(sent->at, now);
	uint32_t us = ms > UINT32_MAX / 1000 ? UINT32_MAX : (uint32_t)ms * 1000;

	p->rtt_us = p->rtt_us ? (uint32_t)(((uint64_t)p->rtt_us * 7 + us) / 8) : us;
}

void fastdp_path_on_pong(struct fastdp_path *p, uint32_t token, bool by_hand, unsigned says,
			 struct ip_addr from, struct mono now)
{
	const struct fastdp_sent *sent = &p->sent[token % FASTDP_SENT_RING];
	struct fastdp_way *w = &p->ways[by_hand ? FASTDP_BY_HAND : FASTDP_BY_DEVICE];

	/* Only what we sent since proving began, and to there. */
	if (p->state == FASTDP_WAITING || token == 0 || sent->token != token ||
	    sent->at.ms < p->proving_since.ms || ip_compare(from, p->remote) != 0)
		return;
	/* When it was sent, not when it came back: so long ago the way surely worked. */
	w->answered = true;
	w->answered_at = later(w->answered_at, sent->at);
	if (sent->full || !is_fast(p, now))
		w->unanswered = 0;
	if (sent->full) {
		w->full = true;
		w->full_at = later(w->full_at, sent->at);
		p->relays = says & FASTDP_RELAYS;
	}
	if (sent->at.ms >= p->suspected_at.ms)
		p->suspected = false;
	if ((int32_t)(token - p->newest) > 0) {
		p->newest = token;
		p->accepted = says & FASTDP_ACCEPTS;
		measure(p, sent, now);
	}
	settle(p, now);
}

void fastdp_path_tick(struct fastdp_path *p, struct mono now)
{
	settle(p, now);
}

/* ---- pings ---- */

static uint32_t proving_spacing(const struct fastdp_path *p, struct mono now)
{
	uint64_t ms = mono_elapsed(p->proving_since, now);

	/* Quick while the other end surely just starts, then sparing: where UDP is blocked this
	 * goes on for ever. */
	if (ms < 3000)
		return 100;
	if (ms < 15000)
		return 500;
	return ms < 60000 ? 2000 : 10000;
}

/* Time from the last beat to the next; '*overdue': an answer should have come. */
static uint32_t spacing(const struct fastdp_path *p, struct mono now, bool *overdue)
{
	bool fast = is_fast(p, now);
	uint32_t normal = fast ? FASTDP_BEAT_FAST_MS : FASTDP_BEAT_IDLE_MS;
	uint32_t closer = fast ? FASTDP_OVERDUE_FAST_MS : FASTDP_OVERDUE_IDLE_MS;
	const struct fastdp_way *w = &p->ways[FASTDP_BY_DEVICE];
	struct mono last = fast ? later(w->full_at, p->fast_since) : w->answered_at;

	*overdue = true;
	if (p->state == FASTDP_PROVING)
		return proving_spacing(p, now);
	if (p->suspected || mono_elapsed(last, now) > normal + closer)
		return closer;
	*overdue = false;
	/* The other end proves its way at the same time. */
	return p->accepted || mono_elapsed(p->proving_since, now) > 3000 ? normal : 100;
}

static struct mono beat_due(const struct fastdp_path *p, struct mono now)
{
	bool overdue, fast = is_fast(p, now);
	const struct fastdp_way *w = &p->ways[FASTDP_BY_DEVICE];
	struct mono due, doubt;
	uint32_t wait_ms;

	if (p->beat_now || !p->token)
		return now;
	wait_ms = spacing(p, now, &overdue);
	due = mono_after(p->beat_at, wait_ms);
	if (overdue)
		return due;
	/* Not overdue yet, but the moment when it will be may come first. */
	doubt = mono_after(fast ? later(w->full_at, p->fast_since) : w->answered_at,
			   1 + (fast ? FASTDP_BEAT_FAST_MS + FASTDP_OVERDUE_FAST_MS
				     : FASTDP_BEAT_IDLE_MS + FASTDP_OVERDUE_IDLE_MS));
	return mono_min(due, later(doubt, now));
}

static void start_beat(struct fastdp_path *p, struct mono now)
{
	p->beat_full = p->state == FASTDP_PROVING || is_fast(p, now) ||
		       mono_elapsed(p->full_beat_at, now) >= FASTDP_BEAT_FULL_MS;
	p->pending = p->sealed ? PING_DEVICE : PING_DEVICE | PING_HAND;
	/* Which sizes get through is worth knowing while the full one does not. */
	if (p->state == FASTDP_PROVING)
		p->pending |= PING_SMALL;
	if (p->beat_full)
		p->full_beat_at = now;
	p->beat_at = now;
	p->beat_now = false;
}

static void ask(struct fastdp_path *p, unsigned way, struct mono now)
{
	if (++p->ways[way].unanswered == enough(way))
		p->ways[way].doubted_at = now;
}

static void fill_order(struct fastdp_path *p, unsigned ping, struct mono now,
		       struct fastdp_ping_order *order)
{
	bool full = ping != PING_SMALL && p->beat_full;

	p->pending &= ~ping;
	if (ping != PING_SMALL)
		ask(p, ping == PING_HAND ? FASTDP_BY_HAND : FASTDP_BY_DEVICE, now);
	p->token = p->token == UINT32_MAX ? 1 : p->token + 1;
	p->sent[p->token % FASTDP_SENT_RING] = (struct fastdp_sent){ p->token, full, now };
	*order = (struct fastdp_ping_order){ p->token, ping == PING_HAND, full };
}

bool fastdp_path_pull(struct fastdp_path *p, struct mono now, struct fastdp_ping_order *order)
{
	if (p->state == FASTDP_WAITING)
		return false;
	if (!p->pending && mono_reached(now, beat_due(p, now)))
		start_beat(p, now);
	for (unsigned ping = PING_HAND; ping <= PING_SMALL; ping *= 2) {
		if (p->pending & ping) {
			fill_order(p, ping, now, order);
			return true;
		}
	}
	return false;
}

struct mono fastdp_path_deadline(const struct fastdp_path *p, struct mono now)
{
	struct mono due;

	if (p->state == FASTDP_WAITING)
		return MONO_NEVER;
	if (p->pending)
		return now;
	due = beat_due(p, now);
	if (p->state == FASTDP_UP)
		due = mono_min(due, dead_at(p, FASTDP_BY_DEVICE, now));
	if (p->by_hand)
		due = mono_min(due, dead_at(p, FASTDP_BY_HAND, now));
	return due;
}

void fastdp_path_explain(const struct fastdp_path *p, uint32_t frame_size, struct mono now,
			 char *text, size_t size)
{
	const struct fastdp_way *w = &p->ways[FASTDP_BY_DEVICE];
	char remote[ENDPOINT_TEXT_SIZE];

	netaddr_text((struct netaddr){ p->remote, p->theirs.port }, remote);
	if (p->other_port)
		snprintf(text, size, "the other end uses UDP port %u for it, we %u", p->other_port,
			 p->mine.port);
	else if (p->state == FASTDP_WAITING)
		snprintf(text, size, "waiting for the other end");
	else if (p->state == FASTDP_UP && !p->accepted)
		snprintf(text, size, "the other end has not proved its way yet");
	else if (p->state == FASTDP_UP)
		text[0] = '\0';
	else if (w->answered && mono_elapsed(w->answered_at, now) < FASTDP_DEAD_IDLE_MS)
		snprintf(text, size, "packets of %u bytes do not get through", frame_size - 14);
	else if (!p->lost && mono_elapsed(p->proving_since, now) < 1000)
		snprintf(text, size, "being proved");
	else if (p->lost)
		snprintf(text, size, "no answer from UDP %s for %llu s", remote,
			 (unsigned long long)(mono_elapsed(p->proving_since, now) / 1000));
	else
		snprintf(text, size, "no answer from UDP %s", remote);
}

void fastdp_path_check(const struct fastdp_path *p)
{
	MUST((p->state == FASTDP_WAITING) == !(p->known && p->remote.family));
	MUST((p->state == FASTDP_UP && !p->sealed) || !p->by_hand);
	MUST(p->state != FASTDP_UP || p->ways[FASTDP_BY_DEVICE].full);
	MUST(p->mine.session);
}
