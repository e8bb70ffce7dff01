/* SPDX-License-Identifier: MIT */
/*
 * Percentiles out of a histogram are those of the sorted values, as exactly as the buckets are narrow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../cmd/histogram.h"

static struct histogram histogram, other;

static int empty(void **state)
{
	(void)state;
	histogram = other = (struct histogram){0};
	return 0;
}

static void test_without_values_all_is_0(void **state)
{
	(void)state;
	assert_int_equal(histogram_at(&histogram, 500), 0);
	assert_int_equal(histogram_at(&histogram, 1000), 0);
}

static void test_small_values_are_exact(void **state)
{
	(void)state;
	static const struct {
		unsigned per_mille;
		uint64_t value;
	} CASES[] = {{0, 1}, {10, 1}, {500, 50}, {501, 51}, {990, 99}, {991, 100}, {999, 100}, {1000, 100}};
	for (uint64_t v = 100; v >= 1; v--)
		histogram_add(&histogram, v, 1);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		assert_int_equal(histogram_at(&histogram, CASES[i].per_mille), CASES[i].value);
}

static void test_one_value_is_every_percentile_whatever_it_is(void **state)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		for (uint64_t v = (UINT64_C(1) << bit) - 1, i = 0; i < 3; v++, i++) {
			empty(state);
			histogram_add(&histogram, v, 1);
			assert_int_equal(histogram_at(&histogram, 1), v);
			assert_int_equal(histogram_at(&histogram, 1000), v);
			assert_int_equal(histogram.max, v);
		}
	}
	empty(state);
	histogram_add(&histogram, UINT64_MAX, 1);
	assert_int_equal(histogram_at(&histogram, 500), UINT64_MAX);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Over nine orders of magnitude, as latencies are. */
static void test_a_percentile_is_at_most_a_128th_above_the_one_of_the_sorted_values(void **state)
{
	(void)state;
	enum { COUNT = 20000 };
	static uint64_t values[COUNT];
	uint64_t random = 1;
	for (size_t i = 0; i < COUNT; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		values[i] = random >> (20 + random % 40);
		histogram_add(i % 2 ? &histogram : &other, values[i], 1);
	}
	histogram_merge(&histogram, &other);
	qsort(values, COUNT, sizeof(values[0]), compare);
	assert_int_equal(histogram.count, COUNT);
	assert_int_equal(histogram.max, values[COUNT - 1]);
	for (unsigned per_mille = 1; per_mille <= 1000; per_mille++) {
		uint64_t exact = values[COUNT / 1000 * per_mille - 1];
		uint64_t told = histogram_at(&histogram, per_mille);
		assert_in_range(told, exact, exact + exact / 128);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_without_values_all_is_0, empty),
		cmocka_unit_test_setup(test_small_values_are_exact, empty),
		cmocka_unit_test_setup(test_one_value_is_every_percentile_whatever_it_is, empty),
		cmocka_unit_test_setup(
			test_a_percentile_is_at_most_a_128th_above_the_one_of_the_sorted_values, empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
