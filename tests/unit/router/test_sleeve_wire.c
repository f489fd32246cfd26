#include "../../../router/sleeve_wire.h"

#include "router_test.h"

/* The bytes of every record, so that a change of the format does not pass unseen. */
static void known_bytes(void **state)
{
	static const uint8_t payload[14] = { 1, 2, 3 };
	const struct sleeve_header header = { .type = SLEEVE_CLEAR,
					      .index = 0x01020304,
					      .counter = 0x1122334455667788 };
	const struct sleeve_frame frame = { .origin = 0x7a0011223344,
					    .destination = 0x7a0055667788,
					    .segment = 0x0a0b0c,
					    .hop_limit = 32,
					    .frame = { payload, sizeof payload } };
	const struct sleeve_fragment fragment = {
		.id = 5, .offset = 0x10000, .total = 0x10003, .piece = { payload, 3 }
	};
	const struct sleeve_heartbeat heartbeat = { .flags = HEARTBEAT_ANSWER,
						    .proof = 0x1122334455667788,
						    .token = 9,
						    .echo = 8,
						    .held_ms = 7,
						    .largest = 1472 };
	const struct sleeve_probe_ack ack = { .id = 6, .size = 1472 };
	const char *expected = "01 00 0000 01020304 1122334455667788"
			       "01 7a0011223344 7a0055667788 0a0b0c 20 000e"
			       "01020300 00000000 00000000 0000"
			       "02 00000005 010000 010003 0003 010203"
			       "03 01 1122334455667788 00000009 00000008 0007 05c0"
			       "05 00000006 05c0"
			       "04 00000007 000000";
	const struct sleeve_probe probe = { .id = 7 };
	uint8_t bytes[256], want[256];
	size_t size = hex(expected, want);
	struct writer w = writer_over(bytes, size);

	(void)state;
	sleeve_header_write(&header, &w);
	sleeve_frame_write(&frame, &w);
	sleeve_fragment_write(&fragment, SLEEVE_FRAGMENT, &w);
	sleeve_heartbeat_write(&heartbeat, &w);
	sleeve_probe_ack_write(&ack, &w);
	sleeve_probe_write(&probe, &w);
	assert_false(w.full);
	assert_int_equal(writer_size(&w), size);
	assert_memory_equal(bytes, want, size);
}

static const char *check(const char *text)
{
	static uint8_t data[256];
	size_t size = hex(text, data);
	struct reader r = reader_over(data, size);
	struct sleeve_header h;
	const char *bad = sleeve_header_read(&h, &r);

	return bad ? bad : sleeve_records_check(r);
}

#define HEADER "01 00 0000 01020304 0000000000000001 "
#define FRAME14 "0000000000000000000000000000 "

static void malformed_ones_are_named(void **state)
{
	static const struct {
		const char *bytes, *field;
	} cases[] = {
		{ "", "header.type" },
		{ "03 00 0000 01020304 0000000000000001", "header.type" },
		{ "02 ff 0001 01020304 0000000000000001", "header.reserved" },
		{ "02 ff 0000 01020304 0000000000000000", "header.counter" },
		{ "01 01 0000 01020304 0000000000000001", "header.epoch" },
		{ "01 00 0001 01020304 0000000000000001", "header.reserved" },
		{ "01 00 0000 01020304 0000000000000000", "header.counter" },
		{ "01 00 0000 01020304 00000000000000", "header.counter" },
		{ HEADER, "record.type" },
		{ HEADER "00", "record.type" },
		{ HEADER "09", "record.type" },
		{ HEADER "06 000000000000 000000000000 000000 20 0578 000e " FRAME14,
		  "frame.origin" },
		{ HEADER "06 000000000001 000000000000 000000 20 05 000e " FRAME14, "frame.bytes" },
		{ HEADER "06 000000000001 000000000000 000000 20 0578 000e " FRAME14, NULL },
		{ HEADER "07 00000001 000000 000004 0000", "fragment.bytes" },
		{ HEADER "07 00000001 000000 010014 0001 01", "fragment.total" },
		{ HEADER "08", NULL },
		{ HEADER "05 00000001 0001 08 000000", NULL },
		{ HEADER "01 000000000000 000000000000 000000 20 000e " FRAME14, "frame.origin" },
		{ HEADER "01 000000000001 000000000000 000000 00 000e " FRAME14,
		  "frame.hop_limit" },
		{ HEADER "01 000000000001 000000000000 000000 01 000d " FRAME14, "frame.bytes" },
		{ HEADER "01 000000000001 000000000000 000000 01 000f " FRAME14, "frame.bytes" },
		{ HEADER "02 00000001 000000 000004 0000", "fragment.bytes" },
		{ HEADER "02 00000001 000001 000004 0004 01020304", "fragment.bytes" },
		{ HEADER "02 00000001 000000 010014 0001 01", "fragment.total" },
		{ HEADER "03 00 0000000000000001 00000000 00000000 0000 0000", "heartbeat.token" },
		{ HEADER "05 00000001 00", "probe_ack.size" },
		{ HEADER "05 00000001 0001 09", "record.type" },
		{ HEADER "05 00000001 0001", NULL },
		{ HEADER "04 00000001", NULL },
		{ HEADER "04 000001", "probe.id" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const char *bad = check(cases[i].bytes);

		if (cases[i].field)
			assert_string_equal(bad ? bad : "(accepted)", cases[i].field);
		else
			assert_null(bad);
	}
}

static void set_up_messages(void **state)
{
	const struct sleeve_setup in = { .overlays = 1,
					 .port = 6783,
					 .index = 0xdeadbeef,
					 .proof = 0x0102030405060708,
					 .ciphers = 0x83 };
	uint8_t bytes[SLEEVE_SETUP_SIZE], want[64];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct sleeve_setup out;

	(void)state;
	sleeve_setup_write(&in, &w);
	assert_int_equal(hex("01 01 1a7f deadbeef 0102030405060708 83", want), sizeof bytes);
	assert_memory_equal(bytes, want, sizeof bytes);
	assert_null(sleeve_setup_read(&out, writer_bytes(&w)));
	assert_true(in.overlays == out.overlays && in.port == out.port && in.index == out.index &&
		    in.proof == out.proof && in.ciphers == out.ciphers);
	assert_string_equal(sleeve_setup_read(&out, bytes_of(bytes, 15)), "setup.proof");
	assert_string_equal(sleeve_setup_read(&out, bytes_of(bytes, 16)), "setup.ciphers");
	bytes[0] = 2;
	assert_string_equal(sleeve_setup_read(&out, bytes_of(bytes, 17)), "setup.type");
	bytes[0] = 1;
	bytes[16] = 0x81; /* not what all can do */
	assert_string_equal(sleeve_setup_read(&out, bytes_of(bytes, 17)), "setup.ciphers");
	bytes[2] = bytes[3] = 0;
	assert_string_equal(sleeve_setup_read(&out, bytes_of(bytes, 17)), "setup.port");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_bytes),
		cmocka_unit_test(malformed_ones_are_named),
		cmocka_unit_test(set_up_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
