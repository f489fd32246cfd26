#include "wire_test.h"

#include "../../../gossip/session_wire.h"

static size_t write_frames(uint8_t *room, size_t size, const size_t *bodies, size_t count)
{
	struct writer w = writer_over(room, size);

	for (size_t i = 0; i < count; i++) {
		size_t mark = session_begin(&w, (uint8_t)(i + 1));
		uint8_t *body = write_room(&w, bodies[i]);

		assert_non_null(body);
		memset(body, (int)(i + 65), bodies[i]);
		session_end(&w, mark);
	}
	return writer_size(&w);
}

/* Frames arrive whole and in order however the stream is cut. */
static void any_cut_gives_the_same_frames(void **state)
{
	static const size_t bodies[] = { 0, 1, 300, 5000, 0, 12 };
	static uint8_t room[8192];
	size_t size = write_frames(room, sizeof room, bodies, 6);
	struct rng rng = { test_seed(1) };

	(void)state;
	for (int round = 0; round < 500; round++) {
		struct session_in in = { 0 };
		size_t at_byte = 0, frames = 0;

		while (at_byte < size) {
			size_t piece = 1 + rng_below(&rng, round % 2 ? 8 : size - at_byte);
			struct bytes from;
			struct frame f;
			const char *bad = NULL;

			if (piece > size - at_byte)
				piece = size - at_byte;
			from = bytes_of(room + at_byte, piece);
			at_byte += piece;
			while (session_next(&in, &from, &f, &bad) == SESSION_FRAME) {
				assert_int_equal(f.type, frames + 1);
				assert_int_equal(f.body.size, bodies[frames]);
				for (size_t i = 0; i < f.body.size; i++)
					assert_int_equal(f.body.data[i], frames + 65);
				frames++;
			}
			assert_null(bad);
			assert_int_equal(from.size, 0);
		}
		assert_int_equal(frames, 6);
		session_in_fini(&in);
	}
	assert_int_equal(mem_in_use(), 0);
}

static void announced_sizes_cost_nothing_until_bytes_arrive(void **state)
{
	static const uint8_t head[] = { 0, 0, 0xff, 0xfc, 5 };
	struct session_in in = { 0 };
	struct bytes from = bytes_of(head, sizeof head);
	struct frame f;
	const char *bad = NULL;

	(void)state;
	assert_int_equal(session_next(&in, &from, &f, &bad), SESSION_MORE);
	assert_true(mem_in_use() <= 1024);
	session_in_fini(&in);
}

static void lengths_out_of_range_are_refused(void **state)
{
	static const uint8_t none[] = { 0, 0, 0, 0 }, large[] = { 0, 0, 0xff, 0xfd };
	struct session_in in = { 0 };
	struct frame f;
	const char *bad = NULL;
	struct bytes from = bytes_of(none, 4);

	(void)state;
	assert_int_equal(session_next(&in, &from, &f, &bad), SESSION_BAD);
	assert_string_equal(bad, "frame.length");
	for (size_t i = 0; i < 4; i++) {
		from = bytes_of(large + i, 1);
		assert_int_equal(session_next(&in, &from, &f, &bad),
				 i < 3 ? SESSION_MORE : SESSION_BAD);
	}
	session_in_fini(&in);
}

/* ---- sealed ---- */

static const uint8_t key[RECORD_KEY_SIZE] = { 1, 2, 3 };
static uint8_t opened[FRAME_SIZE_MAX];

/* Seals a frame of 'body_size' bytes 'fill' at 'to'; returns the size of the record. */
static size_t write_record(struct session_out *out, uint8_t *to, size_t body_size, uint8_t fill)
{
	static uint8_t room[SESSION_ROOM];
	struct writer w = writer_over(room + SESSION_HEAD_ROOM, FRAME_SIZE_MAX);
	size_t mark = session_begin(&w, fill);
	struct bytes record;

	memset(write_room(&w, body_size), fill, body_size);
	session_end(&w, mark);
	record = session_seal(out, room, writer_size(&w));
	memcpy(to, record.data, record.size);
	return record.size;
}

static enum session_result next(struct session_in *in, const uint8_t *data, size_t size,
				struct frame *f)
{
	struct bytes from = bytes_of(data, size);
	const char *bad = NULL;

	return session_next(in, &from, f, &bad);
}

static void records_arrive_however_they_are_cut(void **state)
{
	static const size_t bodies[] = { 0, 1, 300, 5000, FRAME_BODY_MAX, 12 };
	static uint8_t stream[2 * FRAME_SIZE_MAX];
	struct session_out out = { 0 };
	struct rng rng = { test_seed(2) };
	size_t size = 0;

	(void)state;
	session_out_seal(&out, key);
	for (size_t i = 0; i < ARRAY_COUNT(bodies); i++)
		size += write_record(&out, stream + size, bodies[i], (uint8_t)(i + 65));
	/* Nothing of it is in clear. */
	assert_null(memmem(stream, size, "BBBBBBBB", 8));
	for (int round = 0; round < 100; round++) {
		struct session_in in = { 0 };
		size_t at_byte = 0, frames = 0;

		session_in_seal(&in, key, opened);
		while (at_byte < size) {
			size_t piece = 1 + rng_below(&rng, round % 2 ? 3000 : size - at_byte);
			struct bytes from;
			struct frame f;
			const char *bad = NULL;

			if (piece > size - at_byte)
				piece = size - at_byte;
			from = bytes_of(stream + at_byte, piece);
			at_byte += piece;
			while (session_next(&in, &from, &f, &bad) == SESSION_FRAME) {
				assert_int_equal(f.type, frames + 65);
				assert_int_equal(f.body.size, bodies[frames]);
				for (size_t i = 0; i < f.body.size; i++)
					assert_int_equal(f.body.data[i], frames + 65);
				frames++;
			}
			assert_null(bad);
		}
		assert_int_equal(frames, ARRAY_COUNT(bodies));
		session_in_fini(&in);
	}
	session_out_fini(&out);
	assert_int_equal(mem_in_use(), 0);
}

static void no_changed_bit_opens(void **state)
{
	uint8_t record[200], other[200];
	struct session_out out = { 0 };
	size_t size;

	(void)state;
	session_out_seal(&out, key);
	size = write_record(&out, record, 40, 7);
	for (size_t bit = 0; bit < size * 8; bit++) {
		struct session_in in = { 0 };
		enum session_result result;
		struct frame f;

		session_in_seal(&in, key, opened);
		memcpy(other, record, size);
		other[bit / 8] ^= (uint8_t)(1u << bit % 8);
		result = next(&in, other, size, &f);
		if (bit <
		    32) /* the length: too large, or more is waited for, or fewer do not open */
			assert_int_not_equal(result, SESSION_FRAME);
		else
			assert_int_equal(result, SESSION_FORGED);
		session_in_fini(&in);
	}
	session_out_fini(&out);
}

static void records_open_in_their_order_only(void **state)
{
	uint8_t record[3][64];
	struct session_out out = { 0 };
	size_t size = 0;
	static const int orders[][3] = { { 1, 0, 2 }, { 0, 0, 1 }, { 0, 2, 1 }, { 2, 0, 1 } };

	(void)state;
	session_out_seal(&out, key);
	for (int i = 0; i < 3; i++)
		size = write_record(&out, record[i], 20, 7);
	for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
		struct session_in in = { 0 };
		struct frame f;
		int good = 0;

		session_in_seal(&in, key, opened);
		for (int k = 0; k < 3; k++) {
			bool in_order = orders[i][k] == k && good == k;

			assert_int_equal(next(&in, record[orders[i][k]], size, &f),
					 in_order ? SESSION_FRAME : SESSION_FORGED);
			good += in_order;
			if (!in_order)
				break;
		}
		session_in_fini(&in);
	}
	session_out_fini(&out);
}

static void keys_change_on_the_way(void **state)
{
	struct session_out out = { 0 };
	struct session_in in = { 0 };
	uint8_t before[sizeof *out.stream], record[64];
	struct frame f;

	(void)state;
	session_out_seal(&out, key);
	session_in_seal(&in, key, opened);
	memcpy(before, out.stream, sizeof before);
	for (unsigned i = 0; i < 3 * RECORDS_PER_KEY + 5; i++) {
		size_t size = write_record(&out, record, 20, 9);

		if (i == RECORDS_PER_KEY - 2)
			assert_memory_equal(before, out.stream->k, sizeof out.stream->k);
		if (i == RECORDS_PER_KEY)
			assert_memory_not_equal(before, out.stream->k, sizeof out.stream->k);
		assert_int_equal(next(&in, record, size, &f), SESSION_FRAME);
	}
	session_in_fini(&in);
	session_out_fini(&out);
}

static void another_key_or_none_opens_nothing(void **state)
{
	static const uint8_t wrong[RECORD_KEY_SIZE] = { 1, 2, 4 };
	uint8_t record[64], plain[64];
	struct session_out out = { 0 }, clear = { 0 };
	struct session_in in = { 0 };
	struct frame f;
	size_t size, plain_size;

	(void)state;
	session_out_seal(&out, key);
	size = write_record(&out, record, 20, 9);
	plain_size = write_record(&clear, plain, 20, 9);
	session_in_seal(&in, wrong, opened);
	assert_int_equal(next(&in, record, size, &f), SESSION_FORGED);
	session_in_fini(&in);
	/* A frame in clear where records are due. */
	session_in_seal(&in, key, opened);
	assert_int_equal(next(&in, plain, plain_size, &f), SESSION_FORGED);
	session_in_fini(&in);
	session_out_fini(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_cut_gives_the_same_frames),
		cmocka_unit_test(announced_sizes_cost_nothing_until_bytes_arrive),
		cmocka_unit_test(lengths_out_of_range_are_refused),
		cmocka_unit_test(records_arrive_however_they_are_cut),
		cmocka_unit_test(no_changed_bit_opens),
		cmocka_unit_test(records_open_in_their_order_only),
		cmocka_unit_test(keys_change_on_the_way),
		cmocka_unit_test(another_key_or_none_opens_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
