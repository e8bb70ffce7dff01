/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/num.h"

typedef bool parse_fn(struct slice, int64_t *);

static void check(const char *descr, parse_fn *parse, const char *text, bool is_good, int64_t value)
{
	const int64_t untouched = 4711;
	int64_t v = untouched;
	size_t len = strlen(text);
	char *block =
		malloc(len ? len : 1); /* exactly its size: a read beyond is seen by the address sanitizer */
	assert_non_null(block);
	memcpy(block, text, len);
	bool r = parse((struct slice){len ? block : NULL, len}, &v);
	free(block);
	int64_t expected = is_good ? value : untouched;
	if (r != is_good || v != expected)
		fail_msg("%s, \"%s\": expected %d with %" PRId64 ", got %d with %" PRId64, descr, text,
			 is_good, expected, r, v);
}

/* ---- integers ---- */

static const struct {
	const char *descr;
	const char *text;
	bool is_strict, is_loose;
	int64_t value;
} INTEGERS[] = {
	{.descr = "zero", .text = "0", .is_strict = true, .is_loose = true, .value = 0},
	{.descr = "one digit", .text = "7", .is_strict = true, .is_loose = true, .value = 7},
	{.descr = "negative", .text = "-1", .is_strict = true, .is_loose = true, .value = -1},
	{.descr = "18 digits",
	 .text = "999999999999999999",
	 .is_strict = true,
	 .is_loose = true,
	 .value = 999999999999999999},
	{.descr = "largest",
	 .text = "9223372036854775807",
	 .is_strict = true,
	 .is_loose = true,
	 .value = INT64_MAX},
	{.descr = "smallest",
	 .text = "-9223372036854775808",
	 .is_strict = true,
	 .is_loose = true,
	 .value = INT64_MIN},
	{.descr = "one past the largest", .text = "9223372036854775808"},
	{.descr = "one past the smallest", .text = "-9223372036854775809"},
	{.descr = "19 nines", .text = "9999999999999999999"},
	{.descr = "2 to the 64th", .text = "18446744073709551616"},
	{.descr = "2 to the 64th and 5, which wraps to 5", .text = "18446744073709551621"},
	{.descr = "30 digits", .text = "123456789012345678901234567890"},
	{.descr = "nothing", .text = ""},
	{.descr = "a minus alone", .text = "-"},
	{.descr = "a plus alone", .text = "+"},
	{.descr = "two signs", .text = "--1"},
	{.descr = "plus and minus", .text = "+-1"},
	{.descr = "a blank in front", .text = " 1"},
	{.descr = "a blank behind", .text = "1 "},
	{.descr = "a letter behind", .text = "1x"},
	{.descr = "a letter in front", .text = "x1"},
	{.descr = "hexadecimal", .text = "0x10"},
	{.descr = "a fraction", .text = "1.0"},
	{.descr = "an exponent", .text = "1e3"},
	{.descr = "the byte below '0'", .text = "1/"},
	{.descr = "the byte above '9'", .text = "1:"},
	{.descr = "a byte above ASCII", .text = "1\xb2"},
	{.descr = "a plus sign", .text = "+5", .is_loose = true, .value = 5},
	{.descr = "a leading zero", .text = "05", .is_loose = true, .value = 5},
	{.descr = "negative with a leading zero", .text = "-05", .is_loose = true, .value = -5},
	{.descr = "minus zero", .text = "-0", .is_loose = true, .value = 0},
	{.descr = "two zeros", .text = "00", .is_loose = true, .value = 0},
	{.descr = "smallest with many zeros in front",
	 .text = "-00000000000000000000009223372036854775808",
	 .is_loose = true,
	 .value = INT64_MIN},
	{.descr = "too large with zeros in front", .text = "0009223372036854775808"},
};
enum { INTEGER_COUNT = sizeof(INTEGERS) / sizeof(INTEGERS[0]) };

static void test_strict_integers_are_those_of_redis(void **state)
{
	(void)state;
	for (size_t i = 0; i < INTEGER_COUNT; i++)
		check(INTEGERS[i].descr, num_parse_i64, INTEGERS[i].text, INTEGERS[i].is_strict,
		      INTEGERS[i].value);
}

static void test_loose_integers_are_those_people_type(void **state)
{
	(void)state;
	for (size_t i = 0; i < INTEGER_COUNT; i++)
		check(INTEGERS[i].descr, num_parse_i64_loose, INTEGERS[i].text, INTEGERS[i].is_loose,
		      INTEGERS[i].value);
}

static void test_nul_inside_is_no_digit(void **state)
{
	(void)state;
	int64_t v;
	assert_false(num_parse_i64((struct slice){"1\0", 2}, &v));
	assert_false(num_parse_i64_loose((struct slice){"1\0", 2}, &v));
}

static void check_format(int64_t v)
{
	char expected[32], block[NUM_I64_CHARS_MAX + 1];
	int len = snprintf(expected, sizeof(expected), "%" PRId64, v);
	memset(block, '#', sizeof(block));
	assert_int_equal(num_format_i64(block, v), len);
	assert_memory_equal(block, expected, (size_t)len);
	for (size_t i = (size_t)len; i < sizeof(block); i++)
		assert_int_equal(block[i], '#');
	int64_t back;
	assert_true(num_parse_i64((struct slice){block, (size_t)len}, &back));
	assert_int_equal(back, v);
}

static void test_every_length_of_number_is_written_and_read_back(void **state)
{
	(void)state;
	check_format(0);
	check_format(INT64_MIN);
	check_format(INT64_MAX);
	int64_t power = 1;
	for (int digits = 1; digits <= 19; digits++) {
		for (int64_t delta = -1; delta <= 1; delta++) {
			check_format(power + delta);
			check_format(-(power + delta));
		}
		if (digits < 19)
			power *= 10;
	}
	for (int64_t v = -20000; v <= 20000; v++)
		check_format(v);
}

/* ---- durations ---- */

static void test_a_duration_is_a_number_and_its_unit(void **state)
{
	(void)state;
	static const struct {
		const char *descr;
		const char *text;
		bool is_good;
		int64_t ms;
	} DURATIONS[] = {
		{.descr = "milliseconds", .text = "500ms", .is_good = true, .ms = 500},
		{.descr = "seconds", .text = "60s", .is_good = true, .ms = 60000},
		{.descr = "minutes", .text = "5m", .is_good = true, .ms = 300000},
		{.descr = "hours", .text = "24h", .is_good = true, .ms = 86400000},
		{.descr = "days", .text = "7d", .is_good = true, .ms = 604800000},
		{.descr = "zero needs no unit", .text = "0", .is_good = true, .ms = 0},
		{.descr = "zero may have a unit", .text = "0s", .is_good = true, .ms = 0},
		{.descr = "the largest", .text = "9223372036854775807ms", .is_good = true, .ms = INT64_MAX},
		{.descr = "the largest in days",
		 .text = "106751991167d",
		 .is_good = true,
		 .ms = 9223372036828800000},
		{.descr = "days that leave 64 bits", .text = "106751991168d"},
		{.descr = "milliseconds that leave 64 bits", .text = "9223372036854775808ms"},
		{.descr = "seconds whose product wraps", .text = "18446744073709552s"},
		{.descr = "no unit", .text = "5"},
		{.descr = "nothing", .text = ""},
		{.descr = "a unit alone", .text = "s"},
		{.descr = "an unknown unit", .text = "5w"},
		{.descr = "a capital unit", .text = "5S"},
		{.descr = "a unit spelled out", .text = "5min"},
		{.descr = "two parts", .text = "1h30m"},
		{.descr = "negative", .text = "-5s"},
		{.descr = "a plus", .text = "+5s"},
		{.descr = "a fraction", .text = "1.5s"},
		{.descr = "a blank between", .text = "5 s"},
		{.descr = "a blank in front", .text = " 5s"},
		{.descr = "a blank behind", .text = "5s "},
	};
	for (size_t i = 0; i < sizeof(DURATIONS) / sizeof(DURATIONS[0]); i++)
		check(DURATIONS[i].descr, num_parse_duration_ms, DURATIONS[i].text, DURATIONS[i].is_good,
		      DURATIONS[i].ms);
}

/* ---- sums ---- */

static void test_sums_that_leave_64_bits_are_refused(void **state)
{
	(void)state;
	int64_t v = 4711;
	assert_false(num_add_i64(INT64_MAX, 1, &v));
	assert_false(num_add_i64(INT64_MIN, -1, &v));
	assert_int_equal(v, 4711);
	assert_true(num_add_i64(INT64_MAX, INT64_MIN, &v));
	assert_int_equal(v, -1);
}

static void test_a_difference_is_exact_where_it_fits(void **state)
{
	(void)state;
	assert_true(num_difference(INT64_MAX, INT64_MAX - 1) == 1);
	assert_true(num_difference(INT64_MIN, INT64_MIN + 3) == -3);
	assert_true(num_difference(INT64_MAX, INT64_MIN) == 0x1p64);
	assert_true(num_difference(INT64_MIN, INT64_MAX) == -0x1p64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strict_integers_are_those_of_redis),
		cmocka_unit_test(test_loose_integers_are_those_people_type),
		cmocka_unit_test(test_nul_inside_is_no_digit),
		cmocka_unit_test(test_every_length_of_number_is_written_and_read_back),
		cmocka_unit_test(test_a_duration_is_a_number_and_its_unit),
		cmocka_unit_test(test_sums_that_leave_64_bits_are_refused),
		cmocka_unit_test(test_a_difference_is_exact_where_it_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
