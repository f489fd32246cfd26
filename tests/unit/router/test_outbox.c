#include <weave/drop.h>
#include <weave/outbox.h>
#include <weave/segment.h>

#include "router_test.h"

static uint8_t *datagram(struct outbox *o, size_t size)
{
	uint8_t *p = outbox_open(o, (struct netaddr){ .port = 1 }, size);

	if (p)
		outbox_close(o);
	return p;
}

static void keeps_order_and_refuses_what_does_not_fit(void **state)
{
	struct outbox o;
	uint8_t *a, *b;

	(void)state;
	outbox_init(&o);
	a = datagram(&o, 10);
	b = outbox_frame(&o, SEGMENT_DEFAULT, 20);
	assert_ptr_equal(b, a + 10);
	assert_int_equal(o.frames[0].size, 20);
	assert_null(datagram(&o, OUTBOX_ARENA_SIZE));
	assert_int_equal(o.overflows, 1);
	assert_int_equal(o.datagrams_count, 1);
	for (uint32_t i = 1; i < OUTBOX_DATAGRAMS_MAX; i++)
		assert_non_null(datagram(&o, 1));
	assert_null(datagram(&o, 1));
	assert_int_equal(o.overflows, 2);
	assert_true(outbox_nearly_full(&o));
	outbox_clear(&o);
	assert_false(outbox_nearly_full(&o));
	assert_ptr_equal(outbox_frame(&o, SEGMENT_DEFAULT, OUTBOX_ARENA_SIZE), a);
	assert_null(outbox_frame(&o, SEGMENT_DEFAULT, 1));
	outbox_fini(&o);
}

static void what_is_lent_is_copied_in_its_place(void **state)
{
	struct outbox o;
	uint8_t mine[3000];

	(void)state;
	outbox_init(&o);
	memcpy(outbox_frame(&o, SEGMENT_DEFAULT, 4), "one", 4);
	memset(mine, 7, sizeof mine);
	assert_false(outbox_nearly_full(&o));
	assert_true(outbox_lend(&o, 5, bytes_of(mine, sizeof mine)));
	assert_true(outbox_nearly_full(&o));
	assert_ptr_equal(o.frames[1].data, mine);
	o.frames[1].undone.segment_size = 9;
	memcpy(outbox_frame(&o, SEGMENT_DEFAULT, 4), "two", 4);
	outbox_own(&o);
	memset(mine, 8, sizeof mine);
	assert_int_equal(o.frames_count, 3);
	assert_string_equal(o.frames[0].data, "one");
	assert_int_equal(o.frames[1].data[0], 7);
	assert_int_equal(o.frames[1].data[sizeof mine - 1], 7);
	assert_int_equal(o.frames[1].size, sizeof mine);
	assert_int_equal(o.frames[1].segment, 5);
	assert_int_equal(o.frames[1].undone.segment_size, 9);
	assert_string_equal(o.frames[2].data, "two");
	assert_false(outbox_nearly_full(&o));
	/* What finds no room is lost and counted, and the rest moves up. */
	assert_true(outbox_lend(&o, 5, bytes_of(mine, sizeof mine)));
	assert_non_null(outbox_frame(&o, SEGMENT_DEFAULT, OUTBOX_ARENA_SIZE - o.arena_used));
	outbox_own(&o);
	assert_int_equal(o.frames_count, 4);
	assert_int_equal(o.overflows, 1);
	assert_int_equal(o.frames[3].segment, SEGMENT_DEFAULT);
	outbox_own(&o);
	assert_int_equal(o.frames_count, 4);
	outbox_clear(&o);
	assert_true(outbox_lend(&o, 5, bytes_of(mine, sizeof mine)));
	outbox_clear(&o);
	assert_false(outbox_nearly_full(&o));
	outbox_fini(&o);
}

static void only_the_open_datagram_grows(void **state)
{
	struct outbox o;
	struct netaddr to = { .port = 1 };
	uint8_t *a;

	(void)state;
	outbox_init(&o);
	assert_null(outbox_extend(&o, 5));
	a = outbox_open(&o, to, 10);
	assert_ptr_equal(outbox_extend(&o, 5), a + 10);
	assert_null(outbox_extend(&o, OUTBOX_ARENA_SIZE));
	assert_non_null(outbox_frame(&o, SEGMENT_DEFAULT, 1));
	assert_null(outbox_extend(&o, 5));
	assert_int_equal(o.datagrams_count, 0);
	outbox_close(&o);
	assert_int_equal(o.datagrams_count, 1);
	assert_int_equal(o.datagrams[0].size, 15);
	assert_null(outbox_extend(&o, 5));
	/* What is not finished is never sent. */
	assert_non_null(outbox_open(&o, to, 10));
	outbox_clear(&o);
	assert_int_equal(o.datagrams_count, 0);
	assert_non_null(outbox_open(&o, to, 10));
	outbox_fini(&o);
}

static void add(struct outbox *o, uint16_t port, size_t size, bool alone)
{
	assert_non_null(outbox_open(o, (struct netaddr){ .port = port }, size));
	if (alone)
		outbox_alone(o);
	outbox_close(o);
}

static void runs_are_of_one_size_and_receiver(void **state)
{
	struct outbox o;

	(void)state;
	outbox_init(&o);
	add(&o, 1, 100, false);
	add(&o, 1, 100, false);
	add(&o, 1, 60, false); /* may end it */
	add(&o, 1, 60, false);
	add(&o, 2, 60, false);
	add(&o, 2, 61, false);
	assert_non_null(outbox_frame(&o, SEGMENT_DEFAULT, 1));
	add(&o, 2, 61, false);
	assert_int_equal(outbox_run(&o, 0), 3);
	assert_int_equal(outbox_run(&o, 3), 1);
	assert_int_equal(outbox_run(&o, 4), 1);
	assert_int_equal(outbox_run(&o, 5), 1);
	assert_int_equal(outbox_run(&o, 6), 1);
	outbox_clear(&o);
	for (unsigned i = 0; i < OUTBOX_RUN_DATAGRAMS_MAX + 1; i++)
		add(&o, 1, 100, false);
	assert_int_equal(outbox_run(&o, 0), OUTBOX_RUN_DATAGRAMS_MAX);
	outbox_clear(&o);
	for (unsigned i = 0; i < 3; i++)
		add(&o, 1, OUTBOX_RUN_SIZE_MAX / 2, false);
	assert_int_equal(outbox_run(&o, 0), 2);
	outbox_fini(&o);
}

/* Whether before or behind others, whatever the sizes. */
static void what_asks_for_a_size_goes_alone(void **state)
{
	struct outbox o;

	(void)state;
	outbox_init(&o);
	add(&o, 1, 100, false);
	add(&o, 1, 100, true);
	add(&o, 1, 100, false);
	add(&o, 1, 60, true);
	assert_int_equal(outbox_run(&o, 0), 1);
	assert_int_equal(outbox_run(&o, 1), 1);
	assert_int_equal(outbox_run(&o, 2), 1);
	outbox_clear(&o);
	add(&o, 1, 100, false);
	add(&o, 1, 100, false);
	assert_int_equal(outbox_run(&o, 0), 2);
	outbox_fini(&o);
}

static void every_drop_reason_has_its_words(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DROP_REASONS_COUNT; i++) {
		assert_true(strlen(drop_label((enum drop_reason)i)) > 0);
		assert_true(strlen(drop_text((enum drop_reason)i)) > 0);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(drop_label((enum drop_reason)i),
						drop_label((enum drop_reason)k));
	}
	assert_string_equal(drop_label(DROP_REASONS_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order_and_refuses_what_does_not_fit),
		cmocka_unit_test(what_is_lent_is_copied_in_its_place),
		cmocka_unit_test(only_the_open_datagram_grows),
		cmocka_unit_test(runs_are_of_one_size_and_receiver),
		cmocka_unit_test(what_asks_for_a_size_goes_alone),
		cmocka_unit_test(every_drop_reason_has_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
