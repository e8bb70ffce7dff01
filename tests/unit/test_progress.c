/* SPDX-License-Identifier: MIT */
/*
 * The line of ingest's bar, for every width.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../cmd/progress.h"

static const struct progress_state half = {.bytes = 500000000, .lines = 12345678};

static const char *line(uint64_t total, const struct progress_state *s, double seconds, int columns)
{
	static char out[PROGRESS_COLUMNS_MAX + 1];
	struct progress p = {.bytes_total = total};
	memset(out, 'x', sizeof(out));
	progress_line(out, &p, s, seconds, columns);
	return out;
}

static void test_no_line_reaches_the_last_column(void **state)
{
	(void)state;
	static const struct progress_state most = {.bytes = UINT64_MAX, .lines = UINT64_MAX};
	static const struct progress_state none = {0};
	const struct progress_state *states[] = {&half, &most, &none};
	static const uint64_t totals[] = {0, 1, 1000000000, UINT64_MAX};
	static const double seconds[] = {0, 1e-9, 30, 1e9};
	for (int columns = -1; columns < 400; columns++) {
		for (size_t i = 0; i < 3 * 4 * 4; i++) {
			const char *text = line(totals[i % 4], states[i / 16], seconds[i / 4 % 4], columns);
			size_t room = columns > 1 ? (size_t)columns - 1 : 0;
			assert_true(strlen(text) <= room);
			assert_null(strpbrk(text, "\r\n\033"));
		}
	}
}

static void test_narrow_lines_lose_the_bar_then_speed_then_lines_then_time(void **state)
{
	(void)state;
	assert_string_equal(
		line(1000000000, &half, 30, 80),
		"[###############...............]  50%  0:30 left  12345678 lines  412 k lines/s");
	assert_string_equal(line(1000000000, &half, 30, 50),
			    " 50%  0:30 left  12345678 lines  412 k lines/s");
	assert_string_equal(line(1000000000, &half, 30, 40), " 50%  0:30 left  12345678 lines");
	assert_string_equal(line(1000000000, &half, 30, 20), " 50%  0:30 left");
	assert_string_equal(line(1000000000, &half, 30, 10), " 50%");
	assert_string_equal(line(1000000000, &half, 30, 4), "");
}

static void test_without_a_size_there_is_neither_bar_nor_share(void **state)
{
	(void)state;
	assert_string_equal(line(0, &half, 30, 80), "12345678 lines  412 k lines/s  500.0 MB");
	assert_string_equal(line(0, &half, 30, 20), "12345678 lines");
}

static void test_speed_is_told_in_the_unit_that_fits(void **state)
{
	(void)state;
	static const struct progress_state few = {.lines = 90};
	assert_non_null(strstr(line(0, &few, 30, 80), "  3 lines/s"));
	assert_non_null(strstr(line(0, &half, 1, 80), "  12.3 M lines/s"));
	assert_non_null(strstr(line(0, &half, 0, 80), "  0 lines/s"));
}

static void test_time_left_comes_from_what_this_run_has_read(void **state)
{
	(void)state;
	char out[PROGRESS_COLUMNS_MAX + 1];
	struct progress p = {.bytes_total = 1000000000, .bytes_over = 400000000};
	progress_line(out, &p, &half, 1000, 80);
	assert_non_null(strstr(out, " 50%  1:23:20 left  "));
	p.bytes_over = half.bytes;
	progress_line(out, &p, &half, 1000, 80);
	assert_null(strstr(out, "left"));
	p.bytes_over = 0;
	progress_line(out, &p, &half, 0.5, 80);
	assert_null(strstr(out, "left"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_line_reaches_the_last_column),
		cmocka_unit_test(test_narrow_lines_lose_the_bar_then_speed_then_lines_then_time),
		cmocka_unit_test(test_without_a_size_there_is_neither_bar_nor_share),
		cmocka_unit_test(test_speed_is_told_in_the_unit_that_fits),
		cmocka_unit_test(test_time_left_comes_from_what_this_run_has_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
