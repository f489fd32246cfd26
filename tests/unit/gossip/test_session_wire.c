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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_cut_gives_the_same_frames),
		cmocka_unit_test(announced_sizes_cost_nothing_until_bytes_arrive),
		cmocka_unit_test(lengths_out_of_range_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
