#include "sleeve_pmtu.h"

#include <weave/must.h>

void pmtu_init(struct pmtu *p, uint32_t max)
{
	*p = (struct pmtu){
		.base = PMTU_BASE,
		.max = max > PMTU_BASE ? max : PMTU_BASE,
		.timeout_ms = PMTU_TIMEOUT_MIN_MS,
		.due = MONO_NEVER,
	};
	p->size = p->base;
	p->refused = p->max + 1;
}

static void next_round(struct pmtu *p, struct mono now);

void pmtu_set_max(struct pmtu *p, uint32_t max, struct mono now)
{
	if (max < p->base)
		max = p->base;
	if (max == p->max)
		return;
	p->max = max;
	p->refused = max + 1;
	p->settled = false;
	if (p->size > max)
		p->size = p->base;
	if (p->state != PMTU_STOPPED)
		next_round(p, now);
}

static void finish(struct pmtu *p, struct mono now)
{
	p->state = PMTU_DONE;
	p->settled = true;
	p->probes_count = 0;
	p->due = mono_after(now, PMTU_VERIFY_MS);
}

static void add_probe(struct pmtu *p, uint32_t size)
{
	MUST(p->probes_count < PMTU_PARALLEL);
	p->probes[p->probes_count++] =
		(struct pmtu_probe){ .id = ++p->next_id, .size = size, .unsent = true };
	p->sent[p->next_id % PMTU_SENT_RING] = size;
}

/* What was sent so far tells nothing any more. */
static void forget_sent(struct pmtu *p)
{
	p->sent_first = p->next_id + 1;
}

/* Sends what the round still waits for once more. */
static void next_try(struct pmtu *p, struct mono now)
{
	p->due = mono_after(now, (uint64_t)p->timeout_ms << p->tries);
	p->tries++;
	for (uint32_t i = 0; i < p->probes_count; i++)
		p->probes[i].unsent = !p->probes[i].acked && p->probes[i].size >= p->size;
}

/* Sizes spread evenly over (size, refused).  While nothing was refused yet the largest comes last:
 * mostly it is the answer, after one round trip. */
static void next_round(struct pmtu *p, struct mono now)
{
	uint32_t left = p->refused - p->size - 1; /* sizes nothing is known of */
	uint32_t count = left < PMTU_PARALLEL ? left : PMTU_PARALLEL;
	bool top = p->refused == p->max + 1;

	MUST(p->refused > p->size);
	p->state = PMTU_SEARCHING;
	p->probes_count = 0;
	p->tries = 0;
	if (!count) {
		finish(p, now);
		return;
	}
	for (uint32_t i = 1; i <= count; i++) {
		/* Steps of at least one byte, the last one on or below the largest unknown size. */
		uint64_t step = top || left == count ? (uint64_t)left * i / count
						     : (uint64_t)(left + 1) * i / (count + 1);

		add_probe(p, p->size + (uint32_t)step);
	}
	next_try(p, now);
}

static void fall_back(struct pmtu *p, struct mono now)
{
	if (p->size > p->base)
		p->black_holes++;
	p->refused = p->size > p->base ? p->size : p->base + 1;
	p->size = p->base;
	p->settled = false;
	p->strikes = 0;
	next_round(p, now);
}

static void verify(struct pmtu *p, struct mono now)
{
	forget_sent(p);
	p->state = PMTU_VERIFYING;
	p->probes_count = 0;
	p->tries = 0;
	add_probe(p, p->size);
	next_try(p, now);
}

void pmtu_start(struct pmtu *p, uint32_t rtt_ms, struct mono now)
{
	pmtu_stop(p);
	pmtu_rtt(p, rtt_ms);
	next_round(p, now);
}

void pmtu_stop(struct pmtu *p)
{
	p->state = PMTU_STOPPED;
	p->size = p->base;
	p->refused = p->max + 1;
	p->settled = false;
	p->probes_count = 0;
	p->strikes = 0;
	p->due = MONO_NEVER;
	forget_sent(p);
}

void pmtu_rtt(struct pmtu *p, uint32_t rtt_ms)
{
	uint64_t ms = (uint64_t)rtt_ms * 3 + 10;

	if (ms < PMTU_TIMEOUT_MIN_MS)
		ms = PMTU_TIMEOUT_MIN_MS;
	p->timeout_ms = ms > PMTU_TIMEOUT_MAX_MS ? PMTU_TIMEOUT_MAX_MS : (uint32_t)ms;
}

/* The current size holds.  What was refused before may fit by now: look again. */
static void verified(struct pmtu *p, struct mono now)
{
	p->strikes = 0;
	p->refused = p->max + 1;
	next_round(p, now);
}

static bool round_complete(const struct pmtu *p)
{
	for (uint32_t i = 0; i < p->probes_count; i++)
		if (!p->probes[i].acked && p->probes[i].size > p->size)
			return false;
	return true;
}

/* A probe of a round that is over arrived after all.  If its size had been taken as refused, then
 * nothing is known of larger ones either. */
static void late_ack(struct pmtu *p, uint32_t id, uint32_t size, struct mono now)
{
	bool known = id - p->sent_first <= p->next_id - p->sent_first &&
		     p->next_id - id < PMTU_SENT_RING && p->sent[id % PMTU_SENT_RING] == size;

	if (!known || p->state == PMTU_STOPPED || size <= p->size || size > p->max)
		return;
	p->size = size;
	p->settled = false;
	if (size >= p->refused)
		p->refused = p->max + 1;
	next_round(p, now);
}

void pmtu_on_ack(struct pmtu *p, uint32_t id, uint32_t size, struct mono now)
{
	for (uint32_t i = 0; i < p->probes_count; i++) {
		struct pmtu_probe *probe = &p->probes[i];

		if (probe->id != id || probe->size != size || probe->acked)
			continue;
		probe->acked = true;
		probe->unsent = false;
		if (p->state == PMTU_VERIFYING) {
			verified(p, now);
			return;
		}
		if (size > p->size && size < p->refused)
			p->size = size;
		if (round_complete(p))
			next_round(p, now);
		return;
	}
	late_ack(p, id, size, now);
}

void pmtu_on_too_big(struct pmtu *p, uint32_t size, struct mono now)
{
	if (p->state == PMTU_STOPPED || size <= p->base || size >= p->refused)
		return;
	if (size <= p->size) {
		/* What we took as fitting does not even leave the host. */
		p->size = size;
		forget_sent(p);
		fall_back(p, now);
		return;
	}
	p->refused = size;
	if (p->state == PMTU_SEARCHING)
		next_round(p, now);
}

void pmtu_on_report(struct pmtu *p, uint32_t sent, uint32_t arrived, struct mono now)
{
	if (p->state == PMTU_STOPPED || sent <= p->base)
		return;
	if (arrived >= sent) {
		p->strikes = 0;
		return;
	}
	/* Datagrams of the time before a fall may still be reported missing. */
	if (p->size <= arrived || p->size <= p->base)
		return;
	if (++p->strikes >= 2)
		fall_back(p, now);
	else if (p->state != PMTU_VERIFYING)
		verify(p, now);
}

/* All tries of this round are over: the smallest size without an answer is taken as too large. */
static void round_failed(struct pmtu *p, struct mono now)
{
	if (p->state == PMTU_VERIFYING) {
		fall_back(p, now);
		return;
	}
	for (uint32_t i = 0; i < p->probes_count; i++) {
		if (p->probes[i].acked || p->probes[i].size <= p->size)
			continue;
		p->refused = p->probes[i].size;
		break;
	}
	next_round(p, now);
}

static void run(struct pmtu *p, struct mono now)
{
	if (!mono_reached(now, p->due))
		return;
	if (p->state == PMTU_DONE) {
		if (p->size > p->base)
			verify(p, now);
		else
			verified(p, now);
	} else if (p->tries < PMTU_TRIES) {
		next_try(p, now);
	} else {
		round_failed(p, now);
	}
}

bool pmtu_pull(struct pmtu *p, struct mono now, uint32_t *id, uint32_t *size)
{
	run(p, now);
	for (uint32_t i = 0; i < p->probes_count; i++) {
		struct pmtu_probe *probe = &p->probes[i];

		if (!probe->unsent)
			continue;
		probe->unsent = false;
		*id = probe->id;
		*size = probe->size;
		return true;
	}
	return false;
}

struct mono pmtu_deadline(const struct pmtu *p)
{
	for (uint32_t i = 0; i < p->probes_count; i++)
		if (p->probes[i].unsent)
			return (struct mono){ 0 };
	return p->due;
}

void pmtu_check(const struct pmtu *p)
{
	MUST(p->base <= p->size && p->size <= p->max);
	MUST(p->size < p->refused && p->refused <= p->max + 1);
	MUST(p->probes_count <= PMTU_PARALLEL);
	MUST((p->state == PMTU_STOPPED) == (p->due.ms == UINT64_MAX));
	MUST(p->state != PMTU_SEARCHING || p->probes_count > 0);
}
