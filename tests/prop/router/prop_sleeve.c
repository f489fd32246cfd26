/* The sleeve's codec, replay window and fragments on generated input. */
#include "../../../router/fragment.h"
#include "../../../router/sleeve_session.h"
#include "../../unit/router/router_test.h"

static uint8_t pattern[1 << 17];

static struct sleeve_record random_record(struct rng *rng, size_t left)
{
	struct sleeve_record r = { .type = SLEEVE_PROBE_ACK };

	if (left > SLEEVE_FRAME_HEADER_SIZE + 100 && rng_below(rng, 2)) {
		r.type = rng_below(rng, 2) ? SLEEVE_FRAME : SLEEVE_PARTIAL;
		r.frame.offload.checksum = r.type == SLEEVE_PARTIAL;
		if (r.type == SLEEVE_PARTIAL)
			r.frame.offload.segment_size = (uint16_t)rng_u64(rng);
		r.frame.origin = 1 + rng_below(rng, PEER_NAME_MAX);
		r.frame.destination = rng_below(rng, PEER_NAME_MAX);
		r.frame.segment = (uint32_t)rng_below(rng, 1 << 24);
		r.frame.hop_limit = (uint8_t)(1 + rng_below(rng, 255));
		r.frame.frame.data = pattern + rng_below(rng, 1000);
		r.frame.frame.size = 14 + rng_below(rng, left - SLEEVE_PARTIAL_HEADER_SIZE - 14);
	} else if (rng_below(rng, 2)) {
		r.type = rng_below(rng, 2) ? SLEEVE_FRAGMENT : SLEEVE_PIECE;
		r.fragment.id = (uint32_t)rng_u64(rng);
		r.fragment.piece.size = 1 + rng_below(rng, left - SLEEVE_FRAGMENT_HEADER_SIZE);
		r.fragment.piece.data = pattern + rng_below(rng, 1000);
		r.fragment.offset = (uint32_t)rng_below(rng, SLEEVE_BODY_MAX -
								     r.fragment.piece.size + 1);
		r.fragment.total = r.fragment.offset + (uint32_t)r.fragment.piece.size;
		r.fragment.total += (uint32_t)rng_below(rng,
							SLEEVE_BODY_MAX - r.fragment.total + 1);
	} else {
		r.probe_ack.id = (uint32_t)rng_u64(rng);
		r.probe_ack.size = (uint16_t)rng_u64(rng);
	}
	return r;
}

/* Heartbeats travel alone. */
static struct sleeve_record random_heartbeat(struct rng *rng)
{
	struct sleeve_record r = { .type = SLEEVE_HEARTBEAT };

	r.heartbeat.flags = (uint8_t)rng_u64(rng);
	r.heartbeat.proof = rng_u64(rng);
	r.heartbeat.token = 1 + (uint32_t)rng_below(rng, UINT32_MAX);
	r.heartbeat.echo = (uint32_t)rng_u64(rng);
	r.heartbeat.held_ms = (uint16_t)rng_u64(rng);
	r.heartbeat.largest = (uint16_t)rng_u64(rng);
	return r;
}

static void write_record(const struct sleeve_record *r, struct writer *w)
{
	switch (r->type) {
	case SLEEVE_FRAME:
	case SLEEVE_PARTIAL:
		sleeve_frame_write(&r->frame, w);
		break;
	case SLEEVE_FRAGMENT:
	case SLEEVE_PIECE:
		sleeve_fragment_write(&r->fragment, r->type, w);
		break;
	case SLEEVE_HEARTBEAT:
		sleeve_heartbeat_write(&r->heartbeat, w);
		break;
	case SLEEVE_PROBE:
		sleeve_probe_write(&r->probe, w);
		break;
	case SLEEVE_PROBE_ACK:
		sleeve_probe_ack_write(&r->probe_ack, w);
		break;
	case SLEEVE_PADDING:
		sleeve_padding_write(w);
		break;
	}
}

/* What was written reads back as the same, and writes the same bytes again. */
static void records_survive_the_wire(void **state)
{
	struct rng rng = { test_seed(0x5eed0301) };
	static uint8_t first[65536], second[65536];

	(void)state;
	for (unsigned run = 0; run < 3000; run++) {
		struct writer w = writer_over(first, 600 + rng_below(&rng, 60000));
		struct writer again = writer_over(second, sizeof second);
		struct sleeve_header header = { .type = SLEEVE_CLEAR,
						.index = (uint32_t)rng_u64(&rng),
						.counter = rng_u64(&rng) | 1 };
		struct sleeve_record r;
		struct reader reader;

		sleeve_header_write(&header, &w);
		if (rng_below(&rng, 4) == 0) {
			r = random_heartbeat(&rng);
			write_record(&r, &w);
		} else {
			while (writer_left(&w) > 100) {
				r = random_record(&rng, writer_left(&w));
				write_record(&r, &w);
			}
			if (writer_left(&w) >= SLEEVE_PROBE_HEADER_SIZE && rng_below(&rng, 2)) {
				r = (struct sleeve_record){ .type = SLEEVE_PROBE };
				write_record(&r, &w);
			}
		}
		assert_false(w.full);
		reader = reader_over(first, writer_size(&w));
		assert_null(sleeve_header_read(&header, &reader));
		assert_null(sleeve_records_check(reader));
		sleeve_header_write(&header, &again);
		while (reader_left(&reader)) {
			assert_null(sleeve_record_read(&r, &reader));
			if (r.type == SLEEVE_PROBE)
				again.end = second + writer_size(&w);
			write_record(&r, &again);
		}
		assert_int_equal(writer_size(&again), writer_size(&w));
		assert_memory_equal(first, second, writer_size(&w));
	}
}

/* A set of everything seen, with the same horizon. */
static void the_replay_window_is_a_set(void **state)
{
	uint64_t seed = test_seed(0x5eed0302);

	(void)state;
	for (uint64_t run = 0; run < 20; run++) {
		struct rng rng = { seed + run };
		struct sleeve_session s = { 0 };
		uint64_t span = UINT64_C(1) << (6 + rng_below(&rng, 14)), base = 0, heard = 0;
		static bool seen[1 << 22];

		memset(seen, 0, sizeof seen);
		for (unsigned i = 0; i < 100000; i++) {
			uint64_t c = base + rng_below(&rng, span);
			bool fresh;

			base += rng_below(&rng, 8) == 0 ? rng_below(&rng, 200) : 0;
			if (c >= ARRAY_COUNT(seen))
				break;
			fresh = c && !seen[c] && c + REPLAY_WINDOW > heard;
			assert_int_equal(session_fresh(&s, c), fresh);
			assert_int_equal(session_accept(&s, c), fresh);
			if (!fresh)
				continue;
			seen[c] = true;
			heard = c > heard ? c : heard;
		}
	}
}

#define BODIES 12u

/* Cuts bodies for random paths, mixes all pieces, loses and doubles some. */
static void what_is_cut_joins_to_the_same_bytes(void **state)
{
	uint64_t seed = test_seed(0x5eed0303);

	(void)state;
	for (uint64_t run = 0; run < 400; run++) {
		struct rng rng = { seed + run };
		struct reassembly r = { 0 };
		static struct sleeve_fragment pieces[8192];
		uint32_t totals[BODIES];
		size_t at_[BODIES], count = 0, joined = 0, sum = 0;
		uint64_t loss = rng_below(&rng, 3), reorder = 1 + rng_below(&rng, 20);
		bool lost[BODIES] = { false }, done[BODIES] = { false };

		for (uint32_t b = 0; b < BODIES; b++) {
			size_t datagram = 548 + rng_below(&rng, 8500);
			size_t room = fragment_room(datagram, b & 2 ? 16 : 0);
			uint32_t pieces_of_it;

			totals[b] = (uint32_t)(1 + rng_below(&rng, b & 1 ? SLEEVE_BODY_MAX : 3000));
			at_[b] = rng_below(&rng, 5000);
			sum += totals[b];
			pieces_of_it = (uint32_t)((totals[b] + room - 1) / room);
			for (uint32_t i = 0; i < pieces_of_it; i++) {
				size_t offset = i * room, size = totals[b] - offset;
				unsigned copies = rng_below(&rng, 10) == 0 ? 2 : 1;

				if (rng_below(&rng, 100) < loss)
					copies = 0;
				lost[b] |= !copies;
				size = size < room ? size : room;
				while (copies--)
					pieces[count++] = (struct sleeve_fragment){
						b + 1,
						(uint32_t)offset,
						totals[b],
						{ pattern + at_[b] + offset, size }
					};
			}
		}
		for (size_t i = 0; i + 1 < count; i++) {
			size_t k = i + rng_below(&rng, reorder);
			struct sleeve_fragment t = pieces[i];

			k = k < count ? k : count - 1;
			pieces[i] = pieces[k];
			pieces[k] = t;
		}
		for (size_t i = 0; i < count; i++) {
			uint32_t b = pieces[i].id - 1;
			struct bytes body = reassembly_add(&r, &pieces[i], at(i));

			if (!body.size)
				continue;
			/* A repetition of a one-piece body joins again; the replay window is for
			 * that. */
			assert_int_equal(body.size, totals[b]);
			assert_memory_equal(body.data, pattern + at_[b], body.size);
			assert_false(lost[b]);
			joined += !done[b];
			done[b] = true;
		}
		reassembly_check(&r);
		/* All that came whole is there, as long as their buffers fit at once. */
		for (uint32_t b = 0; b < BODIES; b++)
			if (sum * 2 < REASSEMBLY_BYTES_MAX)
				assert_true(done[b] || lost[b]);
		assert_true(joined <= BODIES);
		reassembly_tick(&r, at(1000000));
		assert_int_equal(r.open, 0);
		reassembly_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_survive_the_wire),
		cmocka_unit_test(the_replay_window_is_a_set),
		cmocka_unit_test(what_is_cut_joins_to_the_same_bytes),
	};

	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (uint8_t)(i * 31 + i / 249);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
