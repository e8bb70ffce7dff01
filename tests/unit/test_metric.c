/* SPDX-License-Identifier: MIT */
/* test_metric.c - the table of metrics keeps to Prometheus's rules, and numbers come out in base units. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/metric.h"

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool is_volume(enum metric_unit unit)
{
	return unit == METRIC_BYTES || unit == METRIC_VOLUME;
}

static bool is_time(enum metric_unit unit)
{
	return unit == METRIC_SECONDS || unit == METRIC_MILLISECONDS || unit == METRIC_TIME ||
	       unit == METRIC_MILLISECONDS_TOTAL || unit == METRIC_MICROSECONDS;
}

static void check_name(const struct metric *m)
{
	const char *unit = is_volume(m->unit) ? "_bytes" : is_time(m->unit) ? "_seconds" : "";

	assert_int_equal(ends_with(m->name, "_total"), strcmp(metric_type(m->unit), "counter") == 0);
	assert_non_null(strstr(m->name, unit));
	assert_null(strstr(m->name, "_counter"));
	assert_int_equal(strspn(m->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(m->name));
}

static void test_names_have_their_unit_and_what_only_grows_ends_in_total(void **state)
{
	(void)state;
	for (size_t i = 0; i < metric_daemon_count; i++)
		if (metric_daemon[i].name)
			check_name(&metric_daemon[i]);
	for (size_t i = 0; i < metric_worker_count; i++)
		check_name(&metric_worker[i]);
}

static void test_each_key_and_name_is_there_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < metric_daemon_count; i++)
		for (size_t k = 0; k < i; k++) {
			const struct metric *a = &metric_daemon[i], *b = &metric_daemon[k];

			assert_string_not_equal(a->key, b->key);
			if (a->name && b->name)
				assert_string_not_equal(a->name, b->name);
		}
}

static void test_numbers_come_out_in_base_units(void **state)
{
	static const struct {
		enum metric_unit unit;
		int64_t value;
		const char *text;
	} cases[] = {
		{METRIC_COUNT, INT64_MAX, "9223372036854775807"},
		{METRIC_GAUGE, -3, "-3"},
		{METRIC_BYTES, 4096, "4096"},
		{METRIC_MILLISECONDS, 1005, "1.005"},
		{METRIC_MILLISECONDS, 0, "0.000"},
		{METRIC_MICROSECONDS, 12000034, "12.000034"},
		{METRIC_MICROSECONDS, INT64_MAX, "9223372036854.775807"},
	};
	char text[METRIC_CHARS_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		metric_format(text, cases[i].unit, cases[i].value);
		assert_string_equal(text, cases[i].text);
	}
}

static void test_the_bounds_of_times_grow(void **state)
{
	(void)state;
	for (size_t i = 1; i < METRIC_TIMES_BOUNDS; i++)
		assert_true(metric_times_bounds_us[i] > metric_times_bounds_us[i - 1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_have_their_unit_and_what_only_grows_ends_in_total),
		cmocka_unit_test(test_each_key_and_name_is_there_once),
		cmocka_unit_test(test_numbers_come_out_in_base_units),
		cmocka_unit_test(test_the_bounds_of_times_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
