#include "ipam_wire.h"

#include <weave/alloc.h>
#include <weave/must.h>

#define RUN_SIZE 38u /* start, end u64, epoch, counter u32, owner */

_Static_assert(MESSAGE_RUNS_MAX *RUN_SIZE + MESSAGE_LIVE_MAX * 8 + 512 < UNICAST_PAYLOAD_MAX,
	       "the largest message fits");

_Static_assert(1 + RINGS_MAX * (UNIVERSE_KEY_MAX + 24) <= RINGS_MESSAGE_MAX, "all rings fit");

void rings_encode(const struct rings *rings, struct writer *w)
{
	MUST(rings->count <= RINGS_MAX);
	write_u8(w, (uint8_t)rings->count);
	for (uint32_t n = 0; n < rings->count; n++) {
		universe_write(&rings->list[n].universe, w);
		write_u64(w, rings->list[n].state.ring_id);
		write_u64(w, rings->list[n].state.digest.high);
		write_u64(w, rings->list[n].state.digest.low);
	}
}

static bool is_named_twice(const struct rings *rings, uint32_t last)
{
	for (uint32_t n = 0; n < last; n++)
		if (universe_equal(&rings->list[n].universe, &rings->list[last].universe))
			return true;
	return false;
}

const char *rings_decode(struct rings *rings, struct bytes body)
{
	struct reader r = reader_over(body.data, body.size);

	rings->count = read_u8(&r, "rings.count");
	if (rings->count > RINGS_MAX)
		reader_fail(&r, "rings.count");
	for (uint32_t n = 0; !r.bad && n < rings->count; n++) {
		universe_read(&rings->list[n].universe, &r);
		rings->list[n].state.ring_id = read_u64(&r, "rings.ring");
		rings->list[n].state.digest.high = read_u64(&r, "rings.digest");
		rings->list[n].state.digest.low = read_u64(&r, "rings.digest");
		if (is_named_twice(rings, n))
			reader_fail(&r, "rings.universe");
	}
	return reader_verdict(&r);
}

static bool has_span(enum message_type type)
{
	return type != MESSAGE_GRANT && type != MESSAGE_REFUSE;
}

static bool has_runs(enum message_type type)
{
	return type != MESSAGE_ASK && type != MESSAGE_HANDED;
}

static void write_runs(struct writer *w, const struct run *runs, size_t count)
{
	MUST(count <= MESSAGE_RUNS_MAX);
	write_u32(w, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		write_u64(w, runs[i].start);
		write_u64(w, runs[i].end);
		write_u32(w, runs[i].epoch);
		write_u32(w, runs[i].counter);
		owner_write(w, runs[i].owner);
	}
}

static void write_live(struct writer *w, const uint64_t *live, size_t count)
{
	MUST(count <= MESSAGE_LIVE_MAX);
	write_u32(w, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		write_u64(w, live[i]);
}

void ipam_message_encode(const struct ipam_message *m, struct writer *w)
{
	write_u8(w, (uint8_t)m->type);
	universe_write(&m->universe, w);
	write_u64(w, m->ring_id);
	write_u64(w, m->id);
	write_u64(w, m->store_id);
	if (has_span(m->type)) {
		write_u64(w, m->span.start);
		write_u64(w, m->span.end);
	}
	if (m->type == MESSAGE_REFUSE) {
		write_u8(w, (uint8_t)m->refusal);
		write_u64(w, m->free);
		write_block16(w, m->holder);
	}
	if (m->type == MESSAGE_TAKEOVER)
		write_uint(w, m->victim, 6);
	if (m->type == MESSAGE_HANDOVER) {
		owner_write(w, m->retirement.owner);
		owner_write(w, m->retirement.heir);
	}
	if (has_runs(m->type))
		write_runs(w, m->runs, m->runs_count);
	if (m->type == MESSAGE_TAKEN)
		write_live(w, m->live, m->live_count);
	MUST(!w->full);
}

static void read_runs(struct reader *r, struct ipam_message *m)
{
	uint32_t count = read_count(r, MESSAGE_RUNS_MAX, RUN_SIZE, "ipam.runs");

	m->runs = mem_new(count + 1u, sizeof *m->runs);
	for (uint32_t i = 0; i < count; i++) {
		struct run *run = &m->runs[i];
		const char *bad;

		run->start = read_u64(r, "run.start");
		run->end = read_u64(r, "run.end");
		run->epoch = read_u32(r, "run.epoch");
		run->counter = read_u32(r, "run.counter");
		run->owner = owner_read(r, "run.owner");
		bad = run_check(run, m->universe.size);
		if (!bad && i > 0 && run->start < run[-1].end)
			bad = "run.start";
		if (bad)
			reader_fail(r, bad);
	}
	m->runs_count = count;
}

static void read_live(struct reader *r, struct ipam_message *m)
{
	uint32_t count = read_count(r, MESSAGE_LIVE_MAX, 8, "ipam.live");

	m->live = mem_new(count + 1u, sizeof *m->live);
	for (uint32_t i = 0; i < count; i++) {
		m->live[i] = read_u64(r, "ipam.live");
		if (m->live[i] < m->span.start || m->live[i] >= m->span.end ||
		    (i > 0 && m->live[i - 1] >= m->live[i]))
			reader_fail(r, "ipam.live");
	}
	m->live_count = count;
}

static void read_span(struct reader *r, struct ipam_message *m)
{
	m->span.start = read_u64(r, "ipam.start");
	m->span.end = read_u64(r, "ipam.end");
	if (m->span.start >= m->span.end || m->span.end > m->universe.size)
		reader_fail(r, "ipam.end");
}

static void read_refusal(struct reader *r, struct ipam_message *m)
{
	uint8_t reason = read_u8(r, "ipam.reason");

	if (reason < REFUSAL_FULL || reason > REFUSAL_NO_UNIVERSE)
		reader_fail(r, "ipam.reason");
	m->refusal = reason;
	m->free = read_u64(r, "ipam.free");
	m->holder = read_block16(r, IPAM_CONTAINER_MAX, "ipam.holder");
}

const char *ipam_message_decode(struct ipam_message *m, struct bytes payload)
{
	struct reader r = reader_over(payload.data, payload.size);
	uint8_t type = read_u8(&r, "ipam.type");

	*m = (struct ipam_message){ .type = type };
	if (type < MESSAGE_ASK || type > MESSAGE_HANDED)
		reader_fail(&r, "ipam.type");
	universe_read(&m->universe, &r);
	m->ring_id = read_u64(&r, "ipam.ring");
	m->id = read_u64(&r, "ipam.id");
	m->store_id = read_u64(&r, "ipam.store");
	if (has_span(m->type))
		read_span(&r, m);
	if (m->type == MESSAGE_REFUSE)
		read_refusal(&r, m);
	if (m->type == MESSAGE_TAKEOVER) {
		m->victim = read_uint(&r, 6, "ipam.victim");
		if (m->victim == PEER_NAME_NONE)
			reader_fail(&r, "ipam.victim");
	}
	if (m->type == MESSAGE_HANDOVER) {
		m->retirement.owner = owner_read(&r, "ipam.owner");
		m->retirement.heir = owner_read(&r, "ipam.heir");
	}
	if (has_runs(m->type))
		read_runs(&r, m);
	if (m->type == MESSAGE_TAKEN)
		read_live(&r, m);
	return reader_verdict(&r);
}

void ipam_message_fini(struct ipam_message *m)
{
	mem_free(m->runs);
	mem_free(m->live);
	m->runs = NULL;
	m->live = NULL;
}

/* A router without that universe still has to say so: a takeover waits for every known peer. */
size_t ipam_decline(struct bytes payload, void *buffer, size_t size)
{
	struct ipam_message m, answer;
	struct writer w = writer_over(buffer, size);

	if (ipam_message_decode(&m, payload) ||
	    (m.type != MESSAGE_ASK && m.type != MESSAGE_TAKEOVER && m.type != MESSAGE_HANDOVER)) {
		ipam_message_fini(&m);
		return 0;
	}
	answer = (struct ipam_message){
		.type = MESSAGE_REFUSE,
		.universe = m.universe,
		.ring_id = m.ring_id,
		.id = m.id,
		.refusal = REFUSAL_NO_UNIVERSE,
	};
	ipam_message_fini(&m);
	ipam_message_encode(&answer, &w);
	return writer_size(&w);
}
