/* SPDX-License-Identifier: MIT */
/* Which bytes of a connection's output may leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../daemon/hold.h"

static void test_without_marks_all_bytes_are_free(void **state)
{
	struct hold h = {0};

	(void)state;
	assert_true(hold_is_empty(&h));
	assert_int_equal(hold_newest(&h), 0);
	assert_int_equal(hold_free_bytes(&h, 17), 17);
}

static void test_a_mark_holds_what_is_behind_it_until_its_epoch_is_durable(void **state)
{
	struct hold h = {0};

	(void)state;
	hold_add(&h, 5, 10, 4);
	assert_int_equal(hold_free_bytes(&h, 100), 10);
	hold_release(&h, 4);
	assert_int_equal(hold_free_bytes(&h, 100), 10);
	hold_release(&h, 5);
	assert_int_equal(hold_free_bytes(&h, 100), 100);
	assert_true(hold_is_empty(&h));
}

/* What waits for an older epoch than the one in front of it waits for that one all the same. */
static void test_an_older_epoch_behind_a_mark_needs_none_of_its_own(void **state)
{
	struct hold h = {0};

	(void)state;
	hold_add(&h, 6, 10, 4);
	hold_add(&h, 5, 20, 4);
	hold_add(&h, 6, 30, 4);
	assert_int_equal(h.count, 1);
	assert_int_equal(hold_newest(&h), 6);
	assert_int_equal(hold_free_bytes(&h, 100), 10);
}

static void test_two_epochs_are_let_go_one_after_the_other(void **state)
{
	struct hold h = {0};

	(void)state;
	hold_add(&h, 5, 10, 4);
	hold_add(&h, 6, 30, 4);
	hold_release(&h, 5);
	assert_int_equal(hold_free_bytes(&h, 100), 30);
	hold_shift(&h, 30);
	assert_int_equal(hold_free_bytes(&h, 70), 0);
	hold_release(&h, 6);
	assert_int_equal(hold_free_bytes(&h, 70), 70);
}

/* A third epoch can only be open when the first is durable, whether the connection has heard of it or not. */
static void test_adding_lets_go_first_what_is_durable_by_now(void **state)
{
	struct hold h = {0};

	(void)state;
	hold_add(&h, 5, 10, 4);
	hold_add(&h, 6, 20, 4);
	hold_add(&h, 7, 30, 5);
	assert_int_equal(h.count, 2);
	assert_int_equal(hold_free_bytes(&h, 100), 20);
	hold_release(&h, 7);
	assert_true(hold_is_empty(&h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_marks_all_bytes_are_free),
		cmocka_unit_test(test_a_mark_holds_what_is_behind_it_until_its_epoch_is_durable),
		cmocka_unit_test(test_an_older_epoch_behind_a_mark_needs_none_of_its_own),
		cmocka_unit_test(test_two_epochs_are_let_go_one_after_the_other),
		cmocka_unit_test(test_adding_lets_go_first_what_is_durable_by_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
