/* Codecs: what is written reads back; what is cut or wrong is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weave/alloc.h>

#include "../../../ipam/ipam_wire.h"

static struct universe universe(const char *text)
{
	struct universe u;
	struct cidr c;
	struct why why;

	assert_true(cidr_parse(text, &c));
	assert_true(universe_init(&u, c, &why));
	return u;
}

static struct run runs[] = {
	{ 0, 4, 0, 1, { 0x0a, 7 } },
	{ 4, 9, 3, 0, { 0x0b, UINT64_MAX } },
	{ 12, 256, RING_VERSION_MAX, RING_VERSION_MAX, { PEER_NAME_MAX, 0 } },
};
static uint64_t live[] = { 3, 17, 255 };

static struct ipam_message message(enum message_type type, const char *range)
{
	struct ipam_message m = {
		.type = type,
		.universe = universe(range),
		.ring_id = 0x1122334455667788u,
		.id = 99,
		.store_id = 42,
		.span = { 0, 256 },
		.refusal = REFUSAL_HELD,
		.free = 12,
		.holder = { (const uint8_t *)"c1", 2 },
		.victim = 0x0c,
		.retirement = { { 0x0a, 1 }, { 0x0b, 2 } },
	};

	if (type != MESSAGE_ASK && type != MESSAGE_HANDED) {
		m.runs = runs;
		m.runs_count = 3;
	}
	if (type == MESSAGE_TAKEN) {
		m.live = live;
		m.live_count = 3;
	}
	return m;
}

static void rings_round_trip_and_resist_cutting(void **state)
{
	uint8_t bytes[RINGS_MESSAGE_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct rings out, rings = { .count = 2 };

	(void)state;
	rings.list[0].universe = universe("10.32.0.0/12");
	rings.list[0].state = (struct ipam_ring_state){ 7, { 8, 9 } };
	rings.list[1].universe = universe("fd00::/64");
	rings_encode(&rings, &w);
	assert_int_equal(writer_size(&w), 1 + 6 + 24 + 18 + 24);
	assert_null(rings_decode(&out, writer_bytes(&w)));
	assert_int_equal(out.count, 2);
	assert_true(universe_equal(&out.list[0].universe, &rings.list[0].universe));
	assert_true(universe_equal(&out.list[1].universe, &rings.list[1].universe));
	assert_memory_equal(&out.list[0].state, &rings.list[0].state, sizeof out.list[0].state);
	assert_memory_equal(&out.list[1].state, &rings.list[1].state, sizeof out.list[1].state);
	for (size_t size = 0; size < writer_size(&w); size++)
		assert_non_null(rings_decode(&out, bytes_of(bytes, size)));
	assert_string_equal(rings_decode(&out, bytes_of(bytes, writer_size(&w) + 1)),
			    "trailing bytes");
	bytes[0] = RINGS_MAX + 1;
	assert_string_equal(rings_decode(&out, writer_bytes(&w)), "rings.count");
	rings.list[1] = rings.list[0];
	w = writer_over(bytes, sizeof bytes);
	rings_encode(&rings, &w);
	assert_string_equal(rings_decode(&out, writer_bytes(&w)), "rings.universe");
}

/* All or nothing; what a neighbour does not name it does not have. */
static void what_a_neighbour_says_of_its_rings(void **state)
{
	struct ipam_config config = { .universe = universe("10.32.0.0/24"),
				      .self = 1,
				      .store_id = 1,
				      .has_targets = true,
				      .electors = 2 };
	struct ipam *i = ipam_new(&config, NULL);
	uint8_t bytes[RINGS_MESSAGE_MAX];
	struct rings rings = { .count = 1 };
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t size;

	(void)state;
	ipam_start(i, (struct mono){ 1 });
	size = ipam_rings(&i, 1, bytes, sizeof bytes);
	assert_int_equal(size, 1 + 6 + 24);
	assert_int_equal(bytes[0], 1);
	ipam_on_neighbour(i, 2, NULL, (struct mono){ 1 });
	rings.list[0].universe = config.universe;
	rings.list[0].state.ring_id = 77;
	rings_encode(&rings, &w);
	assert_non_null(
		ipam_on_rings(&i, 1, 2, bytes_of(bytes, writer_size(&w) - 1), (struct mono){ 2 }));
	assert_int_equal(ipam_ring_state(i).ring_id, 0);
	assert_null(ipam_on_rings(&i, 1, 2, writer_bytes(&w), (struct mono){ 2 }));
	assert_int_equal(ipam_ring_state(i).ring_id, 77); /* the first ring heard is ours */
	ipam_free(i);
}

static void messages_round_trip_and_resist_cutting(void **state)
{
	static const char *const ranges[] = { "10.32.0.0/24", "fd00::/64" };
	uint8_t bytes[1024], again[1024];

	(void)state;
	for (int type = MESSAGE_ASK; type <= MESSAGE_HANDED; type++)
		for (int r = 0; r < 2; r++) {
			struct ipam_message m = message((enum message_type)type, ranges[r]), back;
			struct writer w = writer_over(bytes, sizeof bytes);
			struct writer w2 = writer_over(again, sizeof again);

			ipam_message_encode(&m, &w);
			assert_null(ipam_message_decode(&back, writer_bytes(&w)));
			ipam_message_encode(&back, &w2);
			assert_true(bytes_equal(writer_bytes(&w), writer_bytes(&w2)));
			ipam_message_fini(&back);
			for (size_t cut = 0; cut < writer_size(&w); cut++) {
				assert_non_null(ipam_message_decode(&back, bytes_of(bytes, cut)));
				ipam_message_fini(&back);
			}
			bytes[writer_size(&w)] = 0;
			assert_string_equal(
				ipam_message_decode(&back, bytes_of(bytes, writer_size(&w) + 1)),
				"trailing bytes");
			ipam_message_fini(&back);
		}
}

static const char *refused(struct ipam_message *m)
{
	uint8_t bytes[1024];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct ipam_message back;
	const char *bad;

	ipam_message_encode(m, &w);
	bad = ipam_message_decode(&back, writer_bytes(&w));
	ipam_message_fini(&back);
	return bad ? bad : "";
}

static void wrong_messages_are_named(void **state)
{
	struct ipam_message m = message(MESSAGE_GRANT, "10.32.0.0/24");
	struct run wrong[2] = { runs[1], runs[0] };
	uint64_t disorder[2] = { 5, 5 };

	(void)state;
	m.runs = wrong, m.runs_count = 2;
	assert_string_equal(refused(&m), "run.start");
	wrong[0].end = 257;
	assert_string_equal(refused(&m), "run.end");
	m = message(MESSAGE_ASK, "10.32.0.0/24");
	m.span.end = 257;
	assert_string_equal(refused(&m), "ipam.end");
	m.span.end = 0;
	assert_string_equal(refused(&m), "ipam.end");
	m = message(MESSAGE_TAKEN, "10.32.0.0/24");
	m.live = disorder, m.live_count = 2;
	assert_string_equal(refused(&m), "ipam.live");
	m = message(MESSAGE_TAKEN, "10.32.0.0/24");
	m.span.end = 255;
	assert_string_equal(refused(&m), "ipam.live");
	m = message(MESSAGE_TAKEOVER, "10.32.0.0/24");
	m.victim = 0;
	assert_string_equal(refused(&m), "ipam.victim");
	m = message(MESSAGE_REFUSE, "10.32.0.0/24");
	m.refusal = 0;
	assert_string_equal(refused(&m), "ipam.reason");
}

static void a_count_cannot_make_us_allocate(void **state)
{
	struct ipam_message m = message(MESSAGE_GRANT, "10.32.0.0/24"), back;
	uint8_t bytes[1024];
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t before = mem_in_use(), at;

	(void)state;
	ipam_message_encode(&m, &w);
	at = writer_size(&w) - 3 * 38 - 4;
	memset(bytes + at, 0xff, 4);
	assert_string_equal(ipam_message_decode(&back, writer_bytes(&w)), "ipam.runs");
	assert_true(mem_in_use() - before < 1024);
	ipam_message_fini(&back);
}

static void the_largest_message_fits(void **state)
{
	struct ipam_message m = message(MESSAGE_TAKEN, "10.0.0.0/8"), back;
	uint8_t *bytes = mem_new(1, UNICAST_PAYLOAD_MAX);
	struct writer w = writer_over(bytes, UNICAST_PAYLOAD_MAX);

	(void)state;
	m.span.end = m.universe.size;
	m.runs = mem_new(MESSAGE_RUNS_MAX, sizeof *m.runs);
	m.live = mem_new(MESSAGE_LIVE_MAX, sizeof *m.live);
	m.runs_count = MESSAGE_RUNS_MAX;
	m.live_count = MESSAGE_LIVE_MAX;
	for (uint64_t n = 0; n < MESSAGE_RUNS_MAX; n++)
		m.runs[n] = (struct run){ n, n + 1, 0, 1, { 1, 1 } };
	for (uint64_t n = 0; n < MESSAGE_LIVE_MAX; n++)
		m.live[n] = n;
	ipam_message_encode(&m, &w);
	assert_null(ipam_message_decode(&back, writer_bytes(&w)));
	ipam_message_fini(&back);
	ipam_message_fini(&m);
	mem_free(bytes);
}

static void unknown_universes_are_declined(void **state)
{
	struct ipam_message m = message(MESSAGE_TAKEOVER, "fd00::/64"), back;
	uint8_t bytes[1024], answer[128];
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t size;

	(void)state;
	ipam_message_encode(&m, &w);
	size = ipam_decline(writer_bytes(&w), answer, sizeof answer);
	assert_true(size > 0);
	assert_null(ipam_message_decode(&back, bytes_of(answer, size)));
	assert_int_equal(back.type, MESSAGE_REFUSE);
	assert_int_equal(back.refusal, REFUSAL_NO_UNIVERSE);
	assert_int_equal(back.id, 99);
	ipam_message_fini(&back);
	/* Answers and noise get no answer. */
	assert_int_equal(ipam_decline(bytes_of(answer, size), bytes, 128), 0);
	assert_int_equal(ipam_decline(bytes_of("x", 1), bytes, 128), 0);
}

/* ---- entries ---- */

static void runs_as_entries(void **state)
{
	struct universe u = universe("10.32.0.0/24"), back_u;
	struct entry_room room;
	uint64_t ring_id;
	struct run back;

	(void)state;
	for (size_t n = 0; n < 3; n++) {
		run_entry(&room, &u, 7, &runs[n]);
		assert_null(entry_check(&room.view));
		assert_null(run_entry_read(&room.view, &back_u, &ring_id, &back));
		assert_true(universe_equal(&u, &back_u) && ring_id == 7);
		assert_memory_equal(&back, &runs[n], sizeof back);
	}
	room.view.flags = ENTRY_TOMBSTONE;
	assert_string_equal(run_entry_read(&room.view, &back_u, &ring_id, &back), "run.flags");
	room.view.flags = 0;
	room.view.generation = (uint64_t)RING_VERSION_MAX + 1;
	assert_string_equal(run_entry_read(&room.view, &back_u, &ring_id, &back), "run.epoch");
	run_entry(&room, &u, 0, &runs[0]);
	assert_string_equal(run_entry_read(&room.view, &back_u, &ring_id, &back), "run.ring");
	run_entry(&room, &u, 7, &runs[0]);
	room.view.value.size--;
	assert_string_equal(run_entry_read(&room.view, &back_u, &ring_id, &back), "run.store");
}

static void votes_as_entries(void **state)
{
	struct universe u = universe("fd00::/64"), back_u;
	struct vote vote = { .voter = { 0x0a, 1 }, .electors = 255 }, back;
	struct entry_room room;

	(void)state;
	vote.proposal.proposer = (struct owner){ 0x0b, 2 };
	vote.proposal.seeds_count = IPAM_ELECTORS_MAX;
	for (uint64_t n = 0; n < IPAM_ELECTORS_MAX; n++)
		vote.proposal.seeds[n] = (struct owner){ n + 1, n * n };
	vote_entry(&room, &u, &vote);
	assert_null(entry_check(&room.view));
	assert_null(vote_entry_read(&room.view, &back_u, &back));
	assert_int_equal(back.electors, 255);
	assert_int_equal(proposal_compare(&back.proposal, &vote.proposal), 0);
	for (size_t cut = 0; cut < room.view.value.size; cut++) {
		struct entry_view e = room.view;

		e.value.size = cut;
		assert_non_null(vote_entry_read(&e, &back_u, &back));
	}
	/* Nobody raises the version of a vote, or votes in another name. */
	room.view.version = 2;
	assert_string_equal(vote_entry_read(&room.view, &back_u, &back), "entry.version");
	room.view.version = 1;
	room.view.writer = 0x0c;
	assert_string_equal(vote_entry_read(&room.view, &back_u, &back), "entry.writer");
	vote.proposal.seeds[1] = vote.proposal.seeds[0];
	vote_entry(&room, &u, &vote);
	assert_string_equal(vote_entry_read(&room.view, &back_u, &back), "vote.seeds");
}

static void retirements_as_entries(void **state)
{
	struct universe u = universe("10.32.0.0/24"), back_u;
	struct retirement r = { { 0x0a, 1 }, { 0x0b, 2 } }, back;
	struct entry_room room;
	uint64_t ring_id;

	(void)state;
	retired_entry(&room, &u, 5, &r);
	assert_null(entry_check(&room.view));
	assert_null(retired_entry_read(&room.view, &back_u, &ring_id, &back));
	assert_true(owner_equal(back.heir, r.heir) && owner_equal(back.owner, r.owner));
	room.view.generation = 1;
	assert_string_equal(retired_entry_read(&room.view, &back_u, &ring_id, &back),
			    "entry.version");
	r.heir = r.owner;
	retired_entry(&room, &u, 5, &r);
	assert_string_equal(retired_entry_read(&room.view, &back_u, &ring_id, &back),
			    "retired.heir");
}

static void space_as_entries(void **state)
{
	struct universe u = universe("10.32.0.0/24"), back_u;
	struct space_info info = {
		.peer = 0x0a,
		.store_id = 3,
		.flags = SPACE_ELECTOR,
		.electors = 3,
		.ring_id = 9,
		.ranges_count = 2,
		.ranges = { { { 0, 10 }, 10 }, { { 10, 256 }, 0 } },
	};
	struct space_info back;
	struct entry_room room;
	struct writer key = writer_over(room.key, sizeof room.key);
	struct writer value = writer_over(room.value, sizeof room.value);

	(void)state;
	space_key(&key, &u, 0x0a);
	space_value(&value, &info);
	room.view = (struct entry_view){
		.kind = KIND_SPACE,
		.writer = 0x0a,
		.version = 1,
		.key = writer_bytes(&key),
		.value = writer_bytes(&value),
	};
	assert_null(space_entry_read(&room.view, &back_u, &back));
	assert_memory_equal(&back, &info, sizeof back);
	room.view.value.size--;
	assert_string_equal(space_entry_read(&room.view, &back_u, &back), "space.free");
	room.view.value.size++;
	room.view.writer = 0x0b;
	assert_string_equal(space_entry_read(&room.view, &back_u, &back), "space.peer");
	room.view.writer = 0x0a;
	info.ranges[1].span.start = 9;
	value = writer_over(room.value, sizeof room.value);
	space_value(&value, &info);
	assert_string_equal(space_entry_read(&room.view, &back_u, &back), "space.end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rings_round_trip_and_resist_cutting),
		cmocka_unit_test(what_a_neighbour_says_of_its_rings),
		cmocka_unit_test(messages_round_trip_and_resist_cutting),
		cmocka_unit_test(wrong_messages_are_named),
		cmocka_unit_test(a_count_cannot_make_us_allocate),
		cmocka_unit_test(the_largest_message_fits),
		cmocka_unit_test(unknown_universes_are_declined),
		cmocka_unit_test(runs_as_entries),
		cmocka_unit_test(votes_as_entries),
		cmocka_unit_test(retirements_as_entries),
		cmocka_unit_test(space_as_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
