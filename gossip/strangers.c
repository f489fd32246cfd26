#include "strangers.h"

#include <string.h>

#define ONE 1000u /* failure */

static uint32_t available(const struct allowance *a, uint32_t most, uint32_t per_second,
			  struct mono now)
{
	uint64_t grown = mono_elapsed(a->at, now) * per_second;

	return grown >= (uint64_t)most * ONE - a->left ? most * ONE : a->left + (uint32_t)grown;
}

static void spend(struct allowance *a, uint32_t most, uint32_t per_second, struct mono now)
{
	uint32_t left = available(a, most, per_second, now);

	a->left = left > ONE ? left - ONE : 0;
	a->at = now;
}

struct ip_addr strangers_network(struct ip_addr ip)
{
	if (ip.family == 6)
		memset(ip.b + 8, 0, 8);
	return ip;
}

static const struct stranger *find(const struct strangers *s, struct ip_addr network)
{
	for (unsigned i = 0; i < STRANGERS_MAX; i++)
		if (s->rows[i].network.family && ip_compare(s->rows[i].network, network) == 0)
			return &s->rows[i];
	return NULL;
}

static struct stranger *room_for(struct strangers *s, struct ip_addr network, struct mono now)
{
	struct stranger *oldest = &s->rows[0];

	for (unsigned i = 0; i < STRANGERS_MAX; i++) {
		struct stranger *row = &s->rows[i];

		if (!row->network.family) {
			oldest = row;
			break;
		}
		if (row->last.ms < oldest->last.ms)
			oldest = row;
	}
	*oldest = (struct stranger){ .network = network,
				     .allowance = { STRANGER_FAILURES * ONE, now } };
	return oldest;
}

void strangers_init(struct strangers *s, struct mono now)
{
	*s = (struct strangers){ .all = { STRANGERS_FAILURES * ONE, now } };
}

void strangers_failed(struct strangers *s, struct ip_addr from, struct mono now)
{
	struct ip_addr network = strangers_network(from);
	const struct stranger *known = find(s, network);
	struct stranger *row = known ? &s->rows[known - s->rows] : room_for(s, network, now);

	row->failures++;
	row->last = now;
	spend(&row->allowance, STRANGER_FAILURES, STRANGER_FAILURES_PER_S, now);
	spend(&s->all, STRANGERS_FAILURES, STRANGERS_FAILURES_PER_S, now);
}

bool strangers_may_ask(const struct strangers *s, struct ip_addr from, struct mono now)
{
	const struct stranger *row = find(s, strangers_network(from));

	if (row &&
	    available(&row->allowance, STRANGER_FAILURES, STRANGER_FAILURES_PER_S, now) < ONE)
		return false;
	return available(&s->all, STRANGERS_FAILURES, STRANGERS_FAILURES_PER_S, now) >= ONE;
}

uint64_t strangers_failures(const struct strangers *s, struct ip_addr from)
{
	const struct stranger *row = find(s, strangers_network(from));

	return row ? row->failures : 0;
}
