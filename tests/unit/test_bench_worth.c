/* SPDX-License-Identifier: MIT */
/*
 * The answers of a server that counts right fit its counters, in whatever order they come; one answer that is
 * another does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../cmd/bench_worth.h"

enum { COUNTERS = 7, REQUESTS = 500 };

static const int64_t BEGINS[] = {
	0, 1, 2, -1, -300, -301, 17, INT64_MAX - REQUESTS, INT64_MAX - 2 * REQUESTS, INT64_MIN};

static void take(struct reply_values *values, int64_t value)
{
	const struct reply_values one = {.sum = (uint64_t)value, .least = value, .most = value};
	reply_values_merge(values, &one);
}

static struct bench_worth worth_of(const int64_t *values)
{
	struct bench_worth w = BENCH_WORTH_NONE;
	for (unsigned i = 0; i < COUNTERS; i++)
		bench_worth_add(&w, values[i]);
	return w;
}

/* What a server that is off by `error` in one of its answers makes of it. */
static int verdict(int64_t begin, int64_t error)
{
	int64_t counters[COUNTERS];
	struct reply_values answers = REPLY_VALUES_NONE;
	for (unsigned i = 0; i < COUNTERS; i++)
		counters[i] = begin + (i == 3);
	struct bench_worth before = worth_of(counters);
	for (unsigned i = 0; i < REQUESTS; i++) {
		int64_t *counter = &counters[(unsigned)rand() % COUNTERS];
		++*counter;
		take(&answers, i == REQUESTS / 2 ? *counter + error : *counter);
	}
	struct bench_worth after = worth_of(counters);
	assert_int_equal(after.sum - before.sum, REQUESTS);
	return bench_worth_judge(&before, &after, &answers, true);
}

static void test_the_answers_of_increments_fit_whatever_the_counters_were(void **state)
{
	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(BEGINS) / sizeof(BEGINS[0]); i++)
		assert_int_equal(verdict(BEGINS[i], 0), WORTH_FITS);
}

static void test_one_answer_that_is_another_does_not_fit(void **state)
{
	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(BEGINS) / sizeof(BEGINS[0]); i++) {
		assert_int_not_equal(verdict(BEGINS[i], 1), WORTH_FITS);
		assert_int_not_equal(verdict(BEGINS[i], -1), WORTH_FITS);
	}
}

static void test_two_wrong_answers_whose_sum_is_right_are_seen_where_no_counter_had_them(void **state)
{
	(void)state;
	const struct bench_worth before = {.least = 0, .most = 0},
				 after = {.sum = 2, .passed = 3, .least = 2, .most = 2};
	static const struct {
		int64_t first, second;
		int verdict;
	} CASES[] = {{1, 2, WORTH_FITS},
		     {0, 3, WORTH_OUTSIDE},
		     {3, 0, WORTH_OUTSIDE},
		     {-1, 4, WORTH_OUTSIDE},
		     {1, 1, WORTH_OTHER}};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct reply_values answers = REPLY_VALUES_NONE;
		take(&answers, CASES[i].first);
		take(&answers, CASES[i].second);
		assert_int_equal(bench_worth_judge(&before, &after, &answers, true), CASES[i].verdict);
	}
}

static void test_reads_answer_what_the_counters_are(void **state)
{
	(void)state;
	int64_t counters[COUNTERS] = {5, 6, 7, 8, 9, 10, 11};
	const struct bench_worth worth = worth_of(counters);
	static const struct {
		int64_t value;
		int verdict;
	} CASES[] = {{4, WORTH_OUTSIDE},
		     {5, WORTH_FITS},
		     {11, WORTH_FITS},
		     {12, WORTH_OUTSIDE},
		     {-5, WORTH_OUTSIDE}};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct reply_values answers = REPLY_VALUES_NONE;
		take(&answers, CASES[i].value);
		assert_int_equal(bench_worth_judge(&worth, &worth, &answers, false), CASES[i].verdict);
	}
}

static void test_without_any_answer_nothing_is_wrong_and_an_absent_counter_always_is(void **state)
{
	(void)state;
	const struct bench_worth worth = {.least = 0, .most = 0};
	struct reply_values answers = REPLY_VALUES_NONE;
	assert_int_equal(bench_worth_judge(&worth, &worth, &answers, true), WORTH_FITS);
	assert_int_equal(bench_worth_judge(&worth, &worth, &answers, false), WORTH_FITS);
	take(&answers, 0);
	answers.absent = 1;
	assert_int_equal(bench_worth_judge(&worth, &worth, &answers, false), WORTH_ABSENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_answers_of_increments_fit_whatever_the_counters_were),
		cmocka_unit_test(test_one_answer_that_is_another_does_not_fit),
		cmocka_unit_test(
			test_two_wrong_answers_whose_sum_is_right_are_seen_where_no_counter_had_them),
		cmocka_unit_test(test_reads_answer_what_the_counters_are),
		cmocka_unit_test(test_without_any_answer_nothing_is_wrong_and_an_absent_counter_always_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
