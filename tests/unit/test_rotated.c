/* SPDX-License-Identifier: MIT */
/*
 * What a log is called when it was rotated, and the cursor by which its content is known again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../cmd/cursor.h"
#include "../../cmd/rotated.h"
#include "../../lib/shcount.h"

/* ---- names ---- */

static void test_names_of_rotated_logs_are_known(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum rotated_kind kind;
		const char *text;
		bool is_packed;
	} cases[] = {
		{"a.log.1", ROTATED_NUMBER, "1", false},
		{"a.log.0", ROTATED_NUMBER, "0", false},
		{"a.log.12.gz", ROTATED_NUMBER, "12", true},
		{"a.log.2.zst", ROTATED_NUMBER, "2", true},
		{"a.log-20261127", ROTATED_DATE, "20261127", false},
		{"a.log-20261127.gz", ROTATED_DATE, "20261127", true},
		{"a.log-20261127-1795750000", ROTATED_DATE, "20261127-1795750000", false},
		{"a.log.2026-11-27_13", ROTATED_DATE, "2026-11-27_13", false},
		{"a.log-1795750000", ROTATED_DATE, "1795750000", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rotated r = {0};
		assert_true(rotated_parse("a.log", cases[i].name, &r));
		assert_int_equal(r.kind, cases[i].kind);
		assert_string_equal(r.text, cases[i].text);
		assert_int_equal(r.is_packed, cases[i].is_packed);
	}
}

static void test_other_names_are_no_rotations_of_it(void **state)
{
	(void)state;
	static const char *const names[] = {
		"a.log",       "a.log.",	  "a.log-",	  "a.log.gz",	     "a.log.1~",
		"a.log.bak",   "a.log-1",	  "a.log-backup", "a.log.1.bak",     "a.log.1.gz.part",
		"a.logs.1",    "b.log.1",	  "a.lo",	  "a.log.x20261127", "",
		"a.log.1.log", "a.log.-20261127",
	};
	struct rotated r;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(rotated_parse("a.log", names[i], &r));
}

static struct rotated item(const char *name, int64_t changed_ns)
{
	struct rotated r = {.changed_ns = changed_ns};
	assert_true(rotated_parse("f", name, &r));
	return r;
}

static void check_order(struct rotated *items, size_t count, const char *wanted)
{
	char got[200] = "";
	rotated_sort(items, count);
	for (size_t i = 0; i < count; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s ", items[i].text,
			 items[i].is_packed ? "z" : "");
	assert_string_equal(got, wanted);
}

static void test_newest_come_first(void **state)
{
	(void)state;
	struct rotated numbers[] = {item("f.10", 9), item("f.2.gz", 1), item("f.9", 2), item("f.2", 3),
				    item("f.1", 4)};
	check_order(numbers, 5, "1 2 2z 9 10 ");
	struct rotated dates[] = {item("f-20261126", 9), item("f-20261127", 1), item("f-20251231.gz", 2)};
	check_order(dates, 3, "20261127 20261126 20251231z ");
}

static void test_the_kind_that_was_changed_last_is_the_newer_one(void **state)
{
	(void)state;
	struct rotated to_dates[] = {item("f.1", 5), item("f-20261126", 6), item("f.2", 4),
				     item("f-20261127", 7)};
	check_order(to_dates, 4, "20261127 20261126 1 2 ");
	struct rotated to_numbers[] = {item("f.1", 9), item("f-20261126", 6), item("f.2", 8),
				       item("f-20261127", 7)};
	check_order(to_numbers, 4, "1 2 20261127 20261126 ");
}

/* ---- the cursor ---- */

static struct slice text_of(struct buf *b, const struct cursor *c)
{
	buf_fini(b);
	*b = (struct buf)BUF_INIT;
	cursor_put(b, c);
	return (struct slice){buf_head(b), buf_len(b)};
}

static void test_a_cursor_is_read_as_it_was_written(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	struct cursor c = {.files_count = 3, .lines = 7, .is_finished = true}, got;
	c.files[0] = (struct cursor_file){.offset = 10, .lines = 2, .mark = UINT64_MAX, .id = UINT32_MAX};
	c.files[1] = (struct cursor_file){.offset = 1, .lines = 1, .mark = 5};
	assert_true(cursor_parse(text_of(&b, &c), &got));
	assert_int_equal(got.files_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(got.files[i].offset == c.files[i].offset &&
			    got.files[i].lines == c.files[i].lines);
		assert_true(got.files[i].mark == c.files[i].mark && got.files[i].id == c.files[i].id);
	}
	buf_fini(&b);
}

static void test_a_file_that_is_not_whole_is_no_cursor(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	struct cursor c = {0}, got;
	struct slice empty = text_of(&b, &c);
	static const char *const files[] = {"1\n",     "1 2\n",	      "1 2 \n",
					    "1 2 3",   "1 2 3 \n",    "1 2 3 g\n",
					    "1 2 3 4", "1 2 3 4 5\n", "1 2 3 100000000\n"};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char text[400];
		int len = snprintf(text, sizeof(text), "%.*s%s", (int)empty.len, empty.data, files[i]);
		assert_false(cursor_parse((struct slice){text, (size_t)len}, &got));
	}
	buf_fini(&b);
}

/* A session takes no longer one. Files of 16 TiB and as many lines are enough for anybody's log. */
static void test_the_cursor_of_most_files_fits_into_a_session(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	char prefix[254];
	memset(prefix, 'p', sizeof(prefix));
	struct cursor c = {.files_count = CURSOR_FILES_MAX, .prefix = {prefix, sizeof(prefix)}};
	c.lines = c.lines_bad = c.lines_skipped = UINT64_MAX;
	c.separator = (char)0xff;
	c.name_field = c.delta_field = 1000000;
	for (size_t i = 0; i < CURSOR_FILES_MAX; i++)
		c.files[i] = (struct cursor_file){UINT64_C(0xfffffffffff), UINT64_C(0xfffffffffff),
						  UINT64_MAX, UINT32_MAX};
	assert_true(text_of(&b, &c).len <= SHC_CURSOR_MAX);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_rotated_logs_are_known),
		cmocka_unit_test(test_other_names_are_no_rotations_of_it),
		cmocka_unit_test(test_newest_come_first),
		cmocka_unit_test(test_the_kind_that_was_changed_last_is_the_newer_one),
		cmocka_unit_test(test_a_cursor_is_read_as_it_was_written),
		cmocka_unit_test(test_a_file_that_is_not_whole_is_no_cursor),
		cmocka_unit_test(test_the_cursor_of_most_files_fits_into_a_session),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
