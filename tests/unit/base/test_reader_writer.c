#include "base_test.h"

#include <weave/reader.h>
#include <weave/writer.h>

static void what_is_written_is_read(void **state)
{
	uint8_t buffer[64], copy[3];
	struct writer w = writer_over(buffer, sizeof buffer);
	struct reader r;
	struct bytes block;

	(void)state;
	write_u8(&w, 0x12);
	write_u16(&w, 0x3456);
	write_u32(&w, 0x789abcde);
	write_u64(&w, 0x0102030405060708u);
	write_uint(&w, 0xaabbccddeeff, 6);
	write_bytes(&w, "abc", 3);
	write_block16(&w, bytes_of("hello", 5));
	assert_false(w.full);
	assert_int_equal(writer_size(&w), 1 + 2 + 4 + 8 + 6 + 3 + 7);
	assert_int_equal(buffer[1], 0x34); /* big endian */
	assert_int_equal(writer_left(&w), sizeof buffer - writer_size(&w));
	r = reader_over(buffer, writer_size(&w));
	assert_int_equal(read_u8(&r, "a"), 0x12);
	assert_int_equal(read_u16(&r, "b"), 0x3456);
	assert_int_equal(read_u32(&r, "c"), 0x789abcde);
	assert_true(read_u64(&r, "d") == 0x0102030405060708u);
	assert_true(read_uint(&r, 6, "e") == 0xaabbccddeeff);
	read_copy(&r, copy, 3, "f");
	assert_memory_equal(copy, "abc", 3);
	assert_string_equal(reader_verdict(&r), "trailing bytes");
	block = read_block16(&r, 5, "g");
	assert_true(bytes_equal(block, bytes_of("hello", 5)));
	assert_null(reader_verdict(&r));
	assert_int_equal(reader_left(&r), 0);
}

static void the_first_failure_is_remembered(void **state)
{
	static const uint8_t data[] = { 1, 2, 3 };
	struct reader r = reader_over(data, sizeof data);
	uint8_t copy[2] = { 9, 9 };

	(void)state;
	assert_int_equal(read_u32(&r, "first"), 0);
	assert_int_equal(read_u8(&r, "second"), 0);
	assert_null(read_bytes(&r, 0, "third"));
	read_copy(&r, copy, 2, "fourth");
	assert_true(copy[0] == 0 && copy[1] == 0);
	assert_string_equal(reader_verdict(&r), "first");
	assert_int_equal(reader_left(&r), 0);
	reader_fail(&r, "fifth");
	assert_string_equal(r.bad, "first");
}

static void counts_are_bounded_by_what_is_left(void **state)
{
	uint8_t data[4 + 12] = { 0, 0, 0, 3 };
	struct reader r = reader_over(data, sizeof data);

	(void)state;
	assert_int_equal(read_count(&r, 100, 4, "n"), 3);
	r = reader_over(data, sizeof data);
	assert_int_equal(read_count(&r, 100, 5, "n"), 0);
	assert_string_equal(reader_verdict(&r), "n");
	r = reader_over(data, sizeof data);
	assert_int_equal(read_count(&r, 2, 4, "max"), 0);
	assert_string_equal(reader_verdict(&r), "max");
	memset(data, 0xff, 4);
	r = reader_over(data, sizeof data);
	assert_int_equal(read_count(&r, UINT32_MAX, 1, "huge"), 0);
}

static void blocks_and_nested_readers_stay_inside(void **state)
{
	static const uint8_t data[] = { 0, 4, 'a', 'b', 'c' };
	static const uint8_t two[] = { 0, 2, 'a', 'b', 7 };
	struct reader r = reader_over(data, sizeof data), inner;

	(void)state;
	assert_int_equal(read_block16(&r, 10, "cut").size, 0);
	assert_string_equal(r.bad, "cut");
	r = reader_over(two, sizeof two);
	assert_int_equal(read_block16(&r, 1, "long").size, 0);
	assert_string_equal(r.bad, "long");
	r = reader_over(two, sizeof two);
	inner = read_nested(&r, 2, "nested");
	assert_int_equal(read_u16(&inner, "x"), 2);
	assert_int_equal(read_u8(&inner, "beyond"), 0);
	assert_string_equal(reader_verdict(&inner), "beyond");
	assert_int_equal(read_u8(&r, "outer"), 'a');
	inner = read_nested(&r, 9, "too much");
	assert_string_equal(reader_verdict(&inner), "too much");
	assert_string_equal(r.bad, "too much");
}

static void a_full_writer_writes_nothing_more(void **state)
{
	uint8_t buffer[4] = { 0 }, big[70000];
	struct writer w = writer_over(buffer, 3);

	(void)state;
	write_u16(&w, 0x0102);
	write_u16(&w, 0x0304);
	assert_true(w.full);
	write_u8(&w, 5);
	assert_int_equal(writer_size(&w), 2);
	assert_int_equal(writer_left(&w), 0);
	assert_true(buffer[2] == 0 && buffer[3] == 0);
	assert_null(write_room(&w, 0));
	memset(big, 0, sizeof big);
	w = writer_over(big, sizeof big);
	write_block16(&w, bytes_of(big, UINT16_MAX + 1));
	assert_true(w.full && writer_size(&w) == 0);
}

static void nothing_over_nothing(void **state)
{
	struct writer w = writer_over(NULL, 0);
	struct reader r = reader_over(NULL, 0);

	(void)state;
	assert_null(reader_verdict(&r));
	assert_null(read_bytes(&r, 0, "x"));
	assert_null(r.bad);
	write_bytes(&w, NULL, 0);
	assert_false(w.full);
	assert_int_equal(writer_bytes(&w).size, 0);
	write_u8(&w, 1);
	assert_true(w.full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_first_failure_is_remembered),
		cmocka_unit_test(counts_are_bounded_by_what_is_left),
		cmocka_unit_test(blocks_and_nested_readers_stay_inside),
		cmocka_unit_test(a_full_writer_writes_nothing_more),
		cmocka_unit_test(nothing_over_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
