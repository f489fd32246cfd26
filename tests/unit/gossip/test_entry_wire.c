#include "wire_test.h"

#include "../../../gossip/entry_wire.h"

static const char *decode(const uint8_t *data, size_t size)
{
	struct reader r = reader_over(data, size);
	struct entry_view e;
	const char *bad = entry_decode(&e, &r);

	return bad ? bad : reader_verdict(&r);
}

static size_t encode(const struct entry_view *e, uint8_t *room, size_t size)
{
	struct writer w = writer_over(room, size);

	entry_encode(e, &w);
	assert_false(w.full);
	assert_int_equal(writer_size(&w), entry_wire_size(e));
	return writer_size(&w);
}

static void an_entry_comes_back_as_it_was(void **state)
{
	struct entry_view e = entry_of(KIND_UNKNOWN, "key", 0x123456789abc, 7, 9, "value"), out;
	uint8_t room[100];
	size_t size = encode(&e, room, sizeof room);
	struct reader r = reader_over(room, size);

	(void)state;
	assert_null(entry_decode(&out, &r));
	assert_int_equal(entry_compare(&e, &out), 0);
	assert_int_equal(out.kind, e.kind);
	assert_int_equal(out.writer, e.writer);
	assert_true(bytes_equal(out.key, e.key));
	torture(decode, room, size, false);
}

static void a_tombstone_comes_back_as_it_was(void **state)
{
	struct entry_view e = entry_of(KIND_UNKNOWN, "key", 1, 7, 9, NULL), out;
	uint8_t room[100];
	size_t size = encode(&e, room, sizeof room);
	struct reader r = reader_over(room, size);

	(void)state;
	assert_null(entry_decode(&out, &r));
	assert_int_equal(out.flags, ENTRY_TOMBSTONE);
	torture(decode, room, size, false);
}

/* F5e: a generation or version that can never be exceeded locks its key for ever. */
static void a_version_beyond_all_others_is_refused(void **state)
{
	struct entry_view e = entry_of(KIND_UNKNOWN, "key", 1, 7, 9, "v");
	uint8_t room[100];
	size_t size = encode(&e, room, sizeof room);

	(void)state;
	room[8] = 0x40;
	assert_non_null(strstr(decode(room, size), "generation"));
	room[8] = 0;
	room[16] = 0xff;
	assert_non_null(strstr(decode(room, size), "version"));
}

static void wrong_fields_are_named(void **state)
{
	struct entry_view e = entry_of(KIND_UNKNOWN, "key", 1, 7, 9, "v");
	uint8_t room[100];
	size_t size = encode(&e, room, sizeof room);

	(void)state;
	assert_string_equal(decode(room, 0), "entry.kind");
	assert_string_equal(decode(room, 5), "entry.writer");
	assert_string_equal(decode(room, 25), "entry.key");
	assert_string_equal(decode(room, size - 1), "entry.value");
	room[1] = 0x80;
	assert_non_null(strstr(decode(room, size), "flags"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_comes_back_as_it_was),
		cmocka_unit_test(a_tombstone_comes_back_as_it_was),
		cmocka_unit_test(a_version_beyond_all_others_is_refused),
		cmocka_unit_test(wrong_fields_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
