#include "base_test.h"

#include <weave/list.h>

struct thing {
	int number;
	struct list link;
};

/* 'numbers' ends with 0. */
static void expect(const struct list *head, const int *numbers)
{
	const struct list *before = head;

	for (struct list *l = head->next; l != head; l = l->next) {
		assert_int_equal(list_entry(l, struct thing, link)->number, *numbers++);
		assert_ptr_equal(l->prev, before);
		before = l;
	}
	assert_ptr_equal(head->prev, before);
	assert_int_equal(*numbers, 0);
}

static void keeps_order_through_appends_and_removals(void **state)
{
	struct thing a = { .number = 1 }, b = { .number = 2 }, c = { .number = 3 };
	struct list head;

	(void)state;
	list_init(&head);
	assert_true(list_empty(&head));
	expect(&head, (const int[]){ 0 });
	list_append(&head, &a.link);
	list_append(&head, &b.link);
	list_append(&head, &c.link);
	expect(&head, (const int[]){ 1, 2, 3, 0 });
	list_remove(&b.link);
	assert_true(list_empty(&b.link));
	list_remove(&b.link); /* unlinked already: nothing happens */
	expect(&head, (const int[]){ 1, 3, 0 });
	list_append(&head, &b.link);
	expect(&head, (const int[]){ 1, 3, 2, 0 });
	list_remove(&a.link);
	list_remove(&b.link);
	list_remove(&c.link);
	assert_true(list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order_through_appends_and_removals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
