/* Somebody asks for addresses: give, or say why not. */
#include "allocator.h"

void refuse(struct ipam *i, peer_name to, const struct ipam_message *question, enum refusal why,
	    struct bytes holder)
{
	struct ipam_message m = {
		.type = MESSAGE_REFUSE,
		.id = question->id,
		.refusal = why,
		.holder = holder,
	};
	struct run *runs = NULL;

	i->refused++;
	if (why == REFUSAL_FULL || why == REFUSAL_NOT_OURS) {
		m.runs_count = ipam_runs(i, question->span, &runs);
		if (m.runs_count > REFUSE_RUNS_MAX)
			m.runs_count = REFUSE_RUNS_MAX;
		m.runs = runs;
	}
	/* What it tells of the ring may be unsynced writes of ours. */
	out_send(i, to, &m, true);
	mem_free(runs);
}

/* A single address on purpose, or as much as we can spare. */
static bool choose(const struct ipam *i, struct span wanted, struct span *gift)
{
	if (wanted.end - wanted.start > 1)
		return space_donation(&i->space, wanted, gift);
	*gift = wanted;
	return space_owns(&i->space, wanted.start) && !space_is_used(&i->space, wanted.start);
}

static bool can_be_written(const struct run *runs, size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (runs[n].counter >= RING_VERSION_MAX)
			return false;
	return true;
}

static void give(struct ipam *i, peer_name to, const struct ipam_message *ask, struct span gift)
{
	struct ipam_message m = { .type = MESSAGE_GRANT, .id = ask->id };

	m.runs_count = ipam_runs(i, gift, &m.runs);
	if (m.runs_count > MESSAGE_RUNS_MAX)
		m.runs_count = MESSAGE_RUNS_MAX;
	if (!can_be_written(m.runs, m.runs_count)) {
		refuse(i, to, ask, REFUSAL_FULL, bytes_of(NULL, 0));
		mem_free(m.runs);
		return;
	}
	for (size_t n = 0; n < m.runs_count; n++) {
		m.runs[n].counter++;
		m.runs[n].owner = (struct owner){ to, ask->store_id };
		ipam_write(i, &m.runs[n]);
	}
	i->granted++;
	out_send(i, to, &m, true);
	mem_free(m.runs);
}

static void refuse_one(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	struct address *a = address_find(i, m->span.start);

	if (a && space_owns(&i->space, m->span.start))
		refuse(i, from, m, REFUSAL_HELD, bytes_of(a->container, a->container_size));
	else
		refuse(i, from, m, REFUSAL_NOT_OURS, bytes_of(NULL, 0));
}

void donor_on_ask(struct ipam *i, peer_name from, const struct ipam_message *m)
{
	struct peer *p = peer_find(i, from);
	struct span gift;

	i->asked++;
	if (!p || !p->known || p->store_id != m->store_id) {
		refuse(i, from, m, REFUSAL_STRANGER, bytes_of(NULL, 0));
		return;
	}
	/* The first copy was served; gossip brings what the answer said. */
	if (p->last_ask == m->id)
		return;
	p->last_ask = m->id;
	if (!ipam_ready(i))
		refuse(i, from, m, REFUSAL_NOT_READY, bytes_of(NULL, 0));
	else if (ring_count(&i->ring) > i->ring.runs_max / 2)
		refuse(i, from, m, REFUSAL_FULL, bytes_of(NULL, 0));
	else if (choose(i, m->span, &gift))
		give(i, from, m, gift);
	else if (m->span.end - m->span.start == 1)
		refuse_one(i, from, m);
	else
		refuse(i, from, m, REFUSAL_FULL, bytes_of(NULL, 0));
}
