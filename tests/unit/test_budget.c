/* SPDX-License-Identifier: MIT */
/* So much a second, by a clock that the test moves: never more, and nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "../../daemon/budget.h"

#define S  INT64_C(1000000000)
#define T0 (INT64_C(1800000000) * S)

enum { THREADS = 4, USES = 500000 };

/* Uses one as often as that is allowed at this moment. */
static int64_t use_up(struct budget *b, int64_t rate, int64_t now_ns)
{
	int64_t used = 0;

	for (; budget_left(b, rate, now_ns) > 0; used++)
		budget_use(b, rate, 1, now_ns);
	return used;
}

static void test_a_seconds_worth_passes_at_once_and_then_the_rate(void **state)
{
	static const int64_t rates[] = {1, 2, 3, 7, 10, 1000, 5000};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct budget b = {0};
		int64_t rate = rates[i], used = use_up(&b, rate, T0);

		assert_int_equal(used, rate);
		for (int64_t step = 1; step <= 100; step++)
			used += use_up(&b, rate, T0 + step * S / 10);
		assert_int_equal(used, rate + 10 * rate);
	}
}

static void test_what_was_not_used_is_not_saved_up(void **state)
{
	struct budget b = {0};

	(void)state;
	assert_int_equal(use_up(&b, 5, T0), 5);
	assert_int_equal(use_up(&b, 5, T0 + 1000 * S), 5);
}

static void test_what_was_used_beyond_it_is_waited_for(void **state)
{
	struct budget b = {0};

	(void)state;
	budget_use(&b, 100, 1000, T0); /* one batch, ten seconds */
	assert_int_equal(budget_debt_ns(&b, T0), 10 * S);
	assert_int_equal(budget_left(&b, 100, T0 + 9 * S), 0);
	assert_int_equal(budget_left(&b, 100, T0 + 9 * S + S / 100), 1);
	assert_int_equal(budget_left(&b, 100, T0 + 10 * S), 100);
}

static void test_ready_is_the_first_moment_at_which_one_is_left(void **state)
{
	static const int64_t rates[] = {1, 3, 7, 1000, 999999937, BUDGET_RATE_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct budget b = {0};
		int64_t ready;

		budget_use(&b, rates[i], 2 * rates[i] + 1, T0);
		ready = budget_ready_ns(&b, rates[i]);
		assert_true(budget_left(&b, rates[i], ready) > 0);
		assert_int_equal(budget_left(&b, rates[i], ready - 1), 0);
	}
}

static void test_the_largest_rates_and_amounts_stay_in_64_bits(void **state)
{
	struct budget b = {0};

	(void)state;
	assert_int_equal(budget_left(&b, BUDGET_RATE_MAX, T0), BUDGET_RATE_MAX);
	budget_use(&b, BUDGET_RATE_MAX, BUDGET_RATE_MAX, T0);
	assert_int_equal(budget_debt_ns(&b, T0), S);
	for (int i = 0; i < 3; i++)
		budget_use(&b, 1, INT64_MAX, T0);
	assert_int_equal(budget_debt_ns(&b, T0), BUDGET_DEBT_MAX_S * S);
}

static void test_a_clock_that_has_gone_back_takes_nothing_away(void **state)
{
	struct budget b = {0};

	(void)state;
	budget_use(&b, 10, 5, T0);
	budget_use(&b, 10, 1, T0 - S / 10);
	assert_int_equal(budget_debt_ns(&b, T0), 6 * S / 10);
}

static void test_forgiving_leaves_a_second(void **state)
{
	struct budget b = {0};

	(void)state;
	budget_use(&b, 1, 600, T0);
	budget_forgive(&b, T0);
	assert_int_equal(budget_debt_ns(&b, T0), S);
	budget_forgive(&b, T0 + S / 2);
	assert_int_equal(budget_debt_ns(&b, T0 + S / 2), S / 2);
}

/* ---- several threads ---- */

static struct budget shared;
static pthread_barrier_t all_are_there;

static void *use_often(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&all_are_there);
	for (int i = 0; i < USES; i++)
		budget_use(&shared, 1000, 1, T0);
	return NULL;
}

static void test_nothing_that_is_used_at_the_same_time_is_lost(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	pthread_barrier_init(&all_are_there, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_often, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_are_there);
	assert_int_equal(budget_debt_ns(&shared, T0), THREADS * USES * (S / 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_seconds_worth_passes_at_once_and_then_the_rate),
		cmocka_unit_test(test_what_was_not_used_is_not_saved_up),
		cmocka_unit_test(test_what_was_used_beyond_it_is_waited_for),
		cmocka_unit_test(test_ready_is_the_first_moment_at_which_one_is_left),
		cmocka_unit_test(test_the_largest_rates_and_amounts_stay_in_64_bits),
		cmocka_unit_test(test_a_clock_that_has_gone_back_takes_nothing_away),
		cmocka_unit_test(test_forgiving_leaves_a_second),
		cmocka_unit_test(test_nothing_that_is_used_at_the_same_time_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
