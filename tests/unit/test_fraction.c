/* SPDX-License-Identifier: MIT */
/*
 * Decimal numbers, their quotients, and sums of fractions that are exact until they are rounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../cmd/fraction.h"

static void test_decimals_are_read_exactly(void **state)
{
	(void)state;
	static const struct {
		const char *text, *told; /* mantissa e exponent, or "none" */
	} CASES[] = {
		{"0", "0e0"},
		{"-0", "0e0"},
		{"0.000", "0e0"},
		{"0e99", "0e0"},
		{"3", "3e0"},
		{"+3", "3e0"},
		{"-3", "-3e0"},
		{"300", "3e2"},
		{"0.1", "1e-1"},
		{".5", "5e-1"},
		{"5.", "5e0"},
		{"1.50", "15e-1"},
		{"100.001", "100001e-3"},
		{"1e-05", "1e-5"},
		{"2.5E+3", "25e2"},
		{"0.30000000000000004", "30000000000000004e-17"},
		{"00000000000000000000000000000000001", "1e0"},
		{"0.50000000000000000000000000000000000", "5e-1"},
		{"9223372036854775807", "9223372036854775807e0"},
		{"-9223372036854775808", "-9223372036854775808e0"},
		{"9223372036854775809", "none"},
		{"12345678901234567891", "none"},
		{"", "none"},
		{"-", "none"},
		{".", "none"},
		{"1.2.3", "none"},
		{"1e", "none"},
		{"1e+", "none"},
		{"1e1.5", "none"},
		{"e1", "none"},
		{"1e99999999999", "none"},
		{"0x10", "none"},
		{" 1", "none"},
		{"1 ", "none"},
		{"nan", "none"},
		{"inf", "none"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct decimal d;
		char told[64] = "none";
		if (decimal_parse(slice_str(CASES[i].text), &d))
			snprintf(told, sizeof(told), "%llde%d", (long long)d.mantissa, d.exponent);
		if (strcmp(told, CASES[i].told) != 0)
			fail_msg("\"%s\": %s, not %s", CASES[i].text, told, CASES[i].told);
	}
}

static void test_a_rate_is_above_0_and_at_most_1(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool is_rate;
	} CASES[] = {
		{"1", true},	     {"1.000", true},	   {"0.1", true},    {"1e-30", true},
		{"0.9999999", true}, {"0", false},	   {"-0.1", false},  {"1.01", false},
		{"10", false},	     {"1e1", false},	   {"0.01e2", true}, {"0.02e2", false},
		{"-1", false},	     {"1.0000001", false},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct decimal d;
		assert_true(decimal_parse(slice_str(CASES[i].text), &d));
		if (decimal_is_rate(&d) != CASES[i].is_rate)
			fail_msg("%s is %sa rate", CASES[i].text, CASES[i].is_rate ? "" : "not ");
	}
}

static struct fraction divide(const char *value, const char *rate)
{
	struct decimal v, r;
	struct fraction f = {0};
	assert_true(decimal_parse(slice_str(value), &v));
	assert_true(decimal_parse(slice_str(rate), &r));
	if (!fraction_divide(&v, &r, &f))
		f.parts = 0;
	return f;
}

static void test_quotients_are_exact_and_in_lowest_terms(void **state)
{
	(void)state;
	static const struct {
		const char *value, *rate, *told; /* whole+rest/parts, or "none" */
	} CASES[] = {
		{"3", "0.1", "30+0/1"},
		{"1", "0.3", "3+1/3"},
		{"0.5", "1", "0+1/2"},
		{"-0.5", "1", "-1+1/2"},
		{"-1", "0.3", "-4+2/3"},
		{"1", "0.7", "1+3/7"},
		{"0.1", "0.1", "1+0/1"},
		{"0", "0.3", "0+0/1"},
		{"1", "0.30000000000000004", "3+2499999999999997/7500000000000001"},
		{"9223372036854775807", "1", "9223372036854775807+0/1"},
		{"-9223372036854775808", "1", "-9223372036854775808+0/1"},
		{"922337203685477580.7", "0.1", "9223372036854775807+0/1"},
		{"-9223372036854775808.5", "1", "none"},
		{"9223372036854775808", "1", "none"},
		{"9223372036854775807", "0.5", "none"},
		{"-4611686018427387904", "0.5", "-9223372036854775808+0/1"},
		{"1", "1e-19", "none"},
		{"1", "1e-999", "none"},
		{"1e-999", "1", "none"},
		{"1e-18", "1", "0+1/1000000000000000000"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct decimal d;
		if (!decimal_parse(slice_str(CASES[i].value), &d)) { /* more than 64 bits hold */
			assert_string_equal(CASES[i].told, "none");
			continue;
		}
		struct fraction f = divide(CASES[i].value, CASES[i].rate);
		char told[128] = "none";
		if (f.parts > 0)
			snprintf(told, sizeof(told), "%lld+%llu/%llu", (long long)f.whole,
				 (unsigned long long)f.rest, (unsigned long long)f.parts);
		if (strcmp(told, CASES[i].told) != 0)
			fail_msg("%s / %s: %s, not %s", CASES[i].value, CASES[i].rate, told, CASES[i].told);
	}
}

/* ---- sums ---- */

static int64_t add(struct fraction_sums *s, const char *name, const char *value, const char *rate)
{
	struct fraction f = divide(value, rate);
	return f.whole + fraction_add(s, slice_str(name), &f);
}

static int64_t round_all(struct fraction_sums *s)
{
	struct fraction_walk at = {0};
	struct slice name;
	int64_t count = 0;
	while (fraction_round(s, &at, &name))
		count++;
	fraction_clear(s);
	return count;
}

static void test_what_adds_up_to_whole_numbers_is_not_rounded(void **state)
{
	(void)state;
	struct fraction_sums s = {0};
	int64_t a = 0, b = 0;
	for (int i = 0; i < 3000; i++)
		a += add(&s, "a", "1", "0.3");
	for (int i = 0; i < 7; i++)
		b += add(&s, "b", "-0.1", "0.7");
	assert_int_equal(a, 10000);
	assert_int_equal(b, -1);
	assert_int_equal(round_all(&s), 0);
	fraction_fini(&s);
}

static void test_names_and_denominators_are_kept_apart(void **state)
{
	(void)state;
	struct fraction_sums s = {0};
	int64_t sum = add(&s, "a", "0.5", "1") + add(&s, "b", "0.5", "1") + add(&s, "a", "0.25", "1") +
		      add(&s, "a", "0.25", "1");
	assert_int_equal(sum, 0);
	assert_int_equal(s.count, 2);
	assert_int_equal(add(&s, "b", "0.5", "1"), 1);
	fraction_clear(&s);
	assert_int_equal(round_all(&s), 0);
	fraction_fini(&s);
}

/* What is expected of `draws` lots at a third, plus or minus seven standard deviations. */
static void check_third(int64_t ups, int draws)
{
	int64_t expected = draws / 3, off = (ups - expected) * (ups - expected);
	if (off > 49 * draws * 2 / 9)
		fail_msg("%lld of %d rounded up, not about a third", (long long)ups, draws);
}

static void test_what_is_left_is_rounded_up_with_its_probability(void **state)
{
	(void)state;
	enum { NAMES = 100, ROUNDS = 300 };
	struct fraction_sums s = {0};
	int64_t ups = 0;
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < NAMES; i++) {
			char name[16];
			snprintf(name, sizeof(name), "%d", i);
			assert_int_equal(add(&s, name, "1", "0.3"), 3);
		}
		ups += round_all(&s);
	}
	check_third(ups, NAMES * ROUNDS);
	fraction_fini(&s);
}

static void test_beyond_the_tables_each_addition_is_rounded_alone(void **state)
{
	(void)state;
	enum { DRAWS = 30000 };
	struct fraction_sums s = {0};
	for (int i = 1; i <= FRACTION_TABLES_MAX; i++) {
		struct fraction f = {0, 1, (unsigned)(3 + i)};
		assert_int_equal(fraction_add(&s, slice_str("a"), &f), 0);
	}
	const struct fraction THIRD = {0, 1, 3};
	const struct fraction WIDE_THIRD = {0, (unsigned __int128)1 << 100, ((unsigned __int128)3 << 100)};
	int64_t ups = 0, wide_ups = 0;
	for (int i = 0; i < DRAWS; i++) {
		ups += fraction_add(&s, slice_str("a"), &THIRD);
		wide_ups += fraction_add(&s, slice_str("a"), &WIDE_THIRD);
	}
	assert_int_equal(s.count, FRACTION_TABLES_MAX);
	check_third(ups, DRAWS);
	check_third(wide_ups, DRAWS);
	fraction_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decimals_are_read_exactly),
		cmocka_unit_test(test_a_rate_is_above_0_and_at_most_1),
		cmocka_unit_test(test_quotients_are_exact_and_in_lowest_terms),
		cmocka_unit_test(test_what_adds_up_to_whole_numbers_is_not_rounded),
		cmocka_unit_test(test_names_and_denominators_are_kept_apart),
		cmocka_unit_test(test_what_is_left_is_rounded_up_with_its_probability),
		cmocka_unit_test(test_beyond_the_tables_each_addition_is_rounded_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
