#include "base_test.h"

#include <weave/list.h>

struct thing {
	int number;
	struct list link;
};

static void expect(const struct list *head, const int *numbers, size_t count)
{
	size_t i = 0;

	for (struct list *l = head->next; l != head; l = l->next, i++) {
		assert_true(i < count);
		assert_int_equal(list_entry(l, struct thing, link)->number, numbers[i]);
		assert_ptr_equal(l->next->prev, l);
	}
	assert_int_equal(i, count);
}

static void keeps_order_through_appends_and_removals(void **state)
{
	struct thing a = { .number = 1 }, b = { .number = 2 }, c = { .number = 3 };
	struct list head;

	(void)state;
	list_init(&head);
	assert_true(list_empty(&head));
	expect(&head, NULL, 0);
	list_append(&head, &a.link);
	list_append(&head, &b.link);
	list_append(&head, &c.link);
	expect(&head, (const int[]){ 1, 2, 3 }, 3);
	list_remove(&b.link);
	assert_true(list_empty(&b.link));
	list_remove(&b.link); /* unlinked already: nothing happens */
	expect(&head, (const int[]){ 1, 3 }, 2);
	list_append(&head, &b.link);
	expect(&head, (const int[]){ 1, 3, 2 }, 3);
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
