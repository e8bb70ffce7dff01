/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../cmd/cursor.h"

static struct slice put(const struct cursor *c, struct buf *b)
{
	cursor_put(b, c);
	assert_false(b->failed);
	return (struct slice){buf_head(b), buf_len(b)};
}

static void test_a_cursor_is_read_as_it_was_written(void **state)
{
	(void)state;
	for (unsigned format = 0; format < 5; format++) {
		struct cursor c = {
			.format = format, .separator = (char)0xff, .name_field = 3, .delta_field = 2};
		c.is_skip = true;
		c.prefix = slice_str("p: q");
		c.lines = UINT64_MAX;
		c.lines_bad = 5;
		c.lines_skipped = 6;
		c.is_finished = true;
		c.files_count = 2;
		c.files[0] = (struct cursor_file){.offset = 1, .lines = 2, .mark = UINT64_MAX, .id = 7};
		c.files[1] = (struct cursor_file){.offset = 4, .lines = 5, .mark = 6};
		struct buf text = BUF_INIT, again = BUF_INIT;
		struct cursor read;
		struct slice written = put(&c, &text);
		assert_true(cursor_parse(written, &read));
		assert_null(cursor_difference(&c, &read));
		assert_true(slice_equal(put(&read, &again), written));
		buf_fini(&text);
		buf_fini(&again);
	}
}

/* The text of 0.1.0 and what followed until formats came: streams that it began are gone on with, and one
 * that has not moved is written the same. */
static void test_a_cursor_of_versions_without_formats_is_understood(void **state)
{
	(void)state;
	static const char OLD[] =
		"shcount ingest 1\nseparator 9\nname 1\ndelta 2\nskip 0\nprefix p:\nlines 10\n"
		"bad 1\nskipped 2\nfinished 1\nff 10 123456789abcdef0\n";
	struct cursor c;
	struct buf text = BUF_INIT;
	assert_true(cursor_parse(slice_str(OLD), &c));
	assert_int_equal(c.format, 0);
	assert_int_equal(c.separator, '\t');
	assert_int_equal(c.delta_field, 2);
	assert_true(slice_equal(c.prefix, slice_str("p:")));
	assert_int_equal(c.lines, 16);
	assert_int_equal(c.files_count, 1);
	assert_int_equal(c.files[0].offset, 255);
	assert_true(slice_equal(put(&c, &text), slice_str(OLD)));
	buf_fini(&text);
}

static void test_options_that_differ_are_named(void **state)
{
	(void)state;
	const struct cursor plain = {.name_field = 1, .separator = ','};
	struct cursor other = plain;
	assert_null(cursor_difference(&plain, &other));
	other.format = 1;
	assert_string_equal(cursor_difference(&plain, &other), "-f");
	other = plain;
	other.separator = ';';
	assert_string_equal(cursor_difference(&plain, &other), "-F (or -f)");
	other = plain;
	other.name_field = 2;
	assert_string_equal(cursor_difference(&plain, &other), "-k");
	other = plain;
	other.delta_field = 2;
	assert_string_equal(cursor_difference(&plain, &other), "-d");
	other = plain;
	other.prefix = slice_str("p");
	assert_string_equal(cursor_difference(&plain, &other), "--prefix");
	other = plain;
	other.is_skip = true;
	assert_string_equal(cursor_difference(&plain, &other), "--on-error");
}

static void test_what_is_no_cursor_is_refused(void **state)
{
	(void)state;
	static const char *const TEXTS[] = {
		"",
		"shcount ingest 1\n",
		"shcount ingest 2\nseparator 0\nname 0\ndelta 0\nskip 0\nprefix \nlines 0\nbad 0\nskipped 0\n"
		"finished 0\n",
		"shcount ingest 1\nformat x\nseparator 0\nname 0\ndelta 0\nskip 0\nprefix \nlines 0\nbad 0\n"
		"skipped 0\nfinished 0\n",
		"shcount ingest 1\nseparator 0\nname 0\ndelta 0\nskip 0\nprefix \nlines 0\nbad 0\nskipped 0\n"
		"finished 0\n1 2\n",
	};
	struct cursor c;
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
		assert_false(cursor_parse(slice_str(TEXTS[i]), &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_cursor_is_read_as_it_was_written),
		cmocka_unit_test(test_a_cursor_of_versions_without_formats_is_understood),
		cmocka_unit_test(test_options_that_differ_are_named),
		cmocka_unit_test(test_what_is_no_cursor_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
