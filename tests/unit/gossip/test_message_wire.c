#include "wire_test.h"

#include "../../../gossip/entry_wire.h"
#include "../../../gossip/message_wire.h"

static uint8_t room[FRAME_SIZE_MAX];

static struct writer begin(void)
{
	return writer_over(room, sizeof room);
}

/* ---- HEARTBEAT, ENTRIES ---- */

static const struct pulse pulse = { .sequence = 0x0102030405060708,
				    .ack = 9,
				    .digest = { 10, 11 },
				    .sent_ms = 12,
				    .echo_ms = 13,
				    .held_ms = 14,
				    .flags = PULSE_STRUCTURAL | PULSE_CAUGHT_UP };

static const char *decode_heartbeat(const uint8_t *data, size_t size)
{
	struct pulse p;

	return heartbeat_decode(&p, bytes_of(data, size));
}

static void heartbeats(void **state)
{
	struct writer w = begin();
	struct pulse out;

	(void)state;
	pulse_encode(&pulse, &w);
	assert_int_equal(writer_size(&w), PULSE_SIZE);
	assert_null(heartbeat_decode(&out, writer_bytes(&w)));
	assert_int_equal(out.sequence, pulse.sequence);
	assert_int_equal(out.ack, 9);
	assert_int_equal(out.digest.high, 10);
	assert_int_equal(out.digest.low, 11);
	assert_int_equal(out.sent_ms, 12);
	assert_int_equal(out.echo_ms, 13);
	assert_int_equal(out.held_ms, 14);
	assert_int_equal(out.flags, pulse.flags);
	torture(decode_heartbeat, room, writer_size(&w), false);
	room[PULSE_SIZE - 1] = PULSE_SYNC_END;
	assert_string_equal(decode_heartbeat(room, PULSE_SIZE), "pulse.flags");
	assert_string_equal(decode_heartbeat(room, 20), "pulse.digest");
}

static const char *decode_entries(const uint8_t *data, size_t size)
{
	struct pulse p;
	struct reader r;
	struct entry_view e;
	uint16_t count;
	const char *bad = entries_decode(&p, &count, &r, bytes_of(data, size));

	for (unsigned i = 0; !bad && i < count; i++)
		bad = entry_decode(&e, &r);
	return bad ? bad : reader_verdict(&r);
}

static void entries(void **state)
{
	struct entry_view one = entry_of(KIND_UNKNOWN, "a", 1, 2, 3, "x");
	struct entry_view other = entry_of(KIND_UNKNOWN, "b", 1, 2, 3, NULL);
	struct writer w = begin();

	(void)state;
	pulse_encode(&pulse, &w);
	write_u16(&w, 2);
	entry_encode(&one, &w);
	entry_encode(&other, &w);
	torture(decode_entries, room, writer_size(&w), false);
	/* A count that the bytes cannot hold. */
	room[PULSE_SIZE] = 0xff;
	assert_string_equal(decode_entries(room, writer_size(&w)), "entries.count");
}

/* ---- repair ---- */

static const char *decode_digests(const uint8_t *data, size_t size)
{
	struct digests d;

	return digests_decode(&d, bytes_of(data, size));
}

static void digests(void **state)
{
	static struct digests d, out;
	struct writer w = begin();

	(void)state;
	d.flags = DIGESTS_APART;
	d.count = DIGESTS_MAX;
	for (unsigned i = 0; i < DIGESTS_MAX; i++) {
		d.bucket[i] = (uint8_t)i;
		d.digest[i] = (struct hash128){ i, ~i };
	}
	digests_encode(&d, &w);
	assert_null(digests_decode(&out, writer_bytes(&w)));
	assert_int_equal(out.flags, DIGESTS_APART);
	assert_int_equal(out.count, DIGESTS_MAX);
	assert_memory_equal(d.digest, out.digest, sizeof d.digest);
	assert_null(message_check(MESSAGE_DIGESTS, writer_size(&w), true));
	d.count = 3;
	w = begin();
	digests_encode(&d, &w);
	torture(decode_digests, room, writer_size(&w), false);
	room[3 + DIGEST_ITEM_SIZE] = 0; /* a bucket twice */
	assert_string_equal(decode_digests(room, writer_size(&w)), "digests.bucket");
	room[0] = 2;
	assert_string_equal(decode_digests(room, writer_size(&w)), "digests.flags");
}

static const char *decode_keys(const uint8_t *data, size_t size)
{
	struct keys k;

	return keys_decode(&k, bytes_of(data, size));
}

static void key_lists(void **state)
{
	static const struct key_version items[] = { { 0x0500000000000001, 7 },
						    { 0x0500000000000002, 8 },
						    { 0x05ffffffffffffff, 9 } };
	struct keys k = { .low = 0x0500000000000000, .high = 0x05ffffffffffffff, .count = 3 }, out;
	struct keys none = { .flags = KEYS_LAST | KEYS_NOTHING };
	struct writer w = begin();

	(void)state;
	keys_encode(&k, items, &w);
	assert_null(keys_decode(&out, writer_bytes(&w)));
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(keys_item(&out, i).key, items[i].key);
		assert_int_equal(keys_item(&out, i).version, items[i].version);
	}
	torture(decode_keys, room, writer_size(&w), false);
	room[KEYS_HEADER_SIZE + 7] = 3; /* not ascending */
	assert_string_equal(decode_keys(room, writer_size(&w)), "keys.key");
	room[KEYS_HEADER_SIZE] = 6; /* out of range */
	assert_string_equal(decode_keys(room, writer_size(&w)), "keys.key");
	room[9] = 6; /* two buckets */
	assert_string_equal(decode_keys(room, writer_size(&w)), "keys.high");
	w = begin();
	keys_encode(&none, NULL, &w);
	assert_int_equal(writer_size(&w), 1);
	assert_null(decode_keys(room, 1));
	assert_string_equal(decode_keys(room, 2), "trailing bytes");
}

static const char *decode_resend(const uint8_t *data, size_t size)
{
	struct resend m;

	return resend_decode(&m, bytes_of(data, size));
}

static void resends(void **state)
{
	static const uint64_t keys[] = { 5, 4 };
	struct resend m = { .flags = RESEND_LAST, .count = 2 }, out;
	struct writer w = begin();

	(void)state;
	resend_encode(&m, keys, &w);
	assert_null(resend_decode(&out, writer_bytes(&w)));
	assert_int_equal(out.count, 2);
	assert_int_equal(out.flags, RESEND_LAST);
	torture(decode_resend, room, writer_size(&w), false);
}

/* ---- UNICAST, CLOSE ---- */

static const char *decode_unicast(const uint8_t *data, size_t size)
{
	struct unicast u;

	return unicast_decode(&u, bytes_of(data, size));
}

static void unicasts(void **state)
{
	struct unicast u = { .source = 0xabcdef, .destination = 2, .hops_left = 3, .channel = 4 };
	struct unicast out;
	struct writer w = begin();

	(void)state;
	u.payload = bytes_of("payload", 7);
	unicast_encode(&u, &w);
	assert_null(unicast_decode(&out, writer_bytes(&w)));
	assert_int_equal(out.source, u.source);
	assert_int_equal(out.destination, 2);
	assert_int_equal(out.hops_left, 3);
	assert_int_equal(out.channel, 4);
	assert_true(bytes_equal(out.payload, u.payload));
	torture(decode_unicast, room, writer_size(&w), true);
	room[0] = UNICAST_RETURNED;
	assert_string_equal(decode_unicast(room, writer_size(&w)), "unicast.payload");
	room[0] = 0;
	room[13] = HOP_LIMIT + 1;
	assert_string_equal(decode_unicast(room, writer_size(&w)), "unicast.hops_left");
	memset(room + 1, 0, 6);
	assert_string_equal(decode_unicast(room, writer_size(&w)), "unicast.source");
}

static const char *decode_close(const uint8_t *data, size_t size)
{
	struct name_holder holder;
	struct why why;

	return close_decode(&why, &holder, bytes_of(data, size));
}

static void closes(void **state)
{
	const struct name_holder nobody = { 0 };
	struct name_holder holder;
	struct why why = { 0 }, out;
	struct writer w = begin();

	(void)state;
	why_set(&why, WHY_STOPPED, "router stopped");
	close_encode(&why, nobody, &w);
	assert_null(close_decode(&out, &holder, writer_bytes(&w)));
	assert_int_equal(out.reason, WHY_STOPPED);
	assert_string_equal(out.text, "router stopped");
	torture(decode_close, room, writer_size(&w), false);
	/* No peer writes to our terminals. */
	room[4] = 0x1b;
	room[5] = 0xff;
	assert_null(close_decode(&out, &holder, writer_bytes(&w)));
	assert_string_equal(out.text, "??uter stopped");
	/* A reason of a later release. */
	room[0] = 9;
	assert_null(close_decode(&out, &holder, writer_bytes(&w)));
	assert_int_equal(out.reason, WHY_TRANSPORT);
	assert_non_null(strstr(out.text, "reason 2305: "));
	/* The longest text there may be. */
	memset(why.text, 'x', CLOSE_TEXT_MAX);
	why.text[CLOSE_TEXT_MAX] = '\0';
	w = begin();
	close_encode(&why, nobody, &w);
	assert_null(message_check(MESSAGE_CLOSE, writer_size(&w), false));
	assert_null(close_decode(&out, &holder, writer_bytes(&w)));
	assert_int_equal(strlen(out.text), CLOSE_TEXT_MAX);
	assert_int_equal(holder.instance, 0);
}

static void closes_that_name_a_holder(void **state)
{
	const struct name_holder said = { VERSION_LIMIT - 1, 0x1122334455667788 };
	struct name_holder holder;
	struct why why = { 0 }, out;
	struct writer w = begin();
	size_t size;

	(void)state;
	why_set(&why, WHY_REPLACED, "%0*u", (int)CLOSE_TEXT_MAX, 0u);
	close_encode(&why, said, &w);
	size = writer_size(&w);
	assert_null(message_check(MESSAGE_CLOSE, size, false));
	assert_null(close_decode(&out, &holder, writer_bytes(&w)));
	assert_int_equal(holder.generation, said.generation);
	assert_int_equal(holder.instance, said.instance);
	for (size_t cut = 1; cut < CLOSE_HOLDER_SIZE; cut++)
		assert_non_null(decode_close(room, size - cut));
	room[size++] = 0;
	assert_string_equal(decode_close(room, size--), "trailing bytes");
	memset(room + size - 8, 0, 8);
	assert_string_equal(decode_close(room, size), "close.instance");
	room[size - 16] = 0x40;
	assert_string_equal(decode_close(room, size), "close.generation");
}

static void the_table_says_what_may_come_when(void **state)
{
	(void)state;
	assert_non_null(message_check(MESSAGE_CONFIRM, 32, true));
	assert_non_null(message_check(MESSAGE_CONFIRM, 31, false));
	assert_null(message_check(MESSAGE_CONFIRM, 32, false));
	assert_string_equal(message_check(99, 10, true), "frame.type");
	assert_non_null(message_check(MESSAGE_HEARTBEAT, PULSE_SIZE, false));
	assert_null(message_check(MESSAGE_HEARTBEAT, PULSE_SIZE, true));
	assert_non_null(message_check(MESSAGE_HEARTBEAT, PULSE_SIZE + 1, true));
	assert_non_null(message_check(MESSAGE_HELLO, 100, true));
	assert_null(message_check(MESSAGE_HELLO, 100, false));
	assert_non_null(message_check(MESSAGE_OVERLAY, OVERLAY_MESSAGE_MAX + 1, true));
	assert_null(
		message_check(MESSAGE_UNICAST, UNICAST_HEADER_SIZE + UNICAST_PAYLOAD_MAX, true));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(heartbeats),
		cmocka_unit_test(entries),
		cmocka_unit_test(digests),
		cmocka_unit_test(key_lists),
		cmocka_unit_test(resends),
		cmocka_unit_test(unicasts),
		cmocka_unit_test(closes),
		cmocka_unit_test(closes_that_name_a_holder),
		cmocka_unit_test(the_table_says_what_may_come_when),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
