/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../lib/fill.h"

static void check(const char *text, size_t at, size_t indent, size_t width, const char *expected)
{
	struct buf out = BUF_INIT;
	fill_append(&out, text, at, indent, width);
	buf_append(&out, "", 1);
	assert_false(out.failed);
	assert_string_equal(buf_head(&out), expected);
	buf_fini(&out);
}

static void test_a_paragraph_is_filled_whatever_its_lines_were(void **state)
{
	(void)state;
	check("one two three four", 0, 0, 9, "one two\nthree\nfour\n");
	check("one\ntwo\nthree four\n", 0, 0, 9, "one two\nthree\nfour\n");
	check("one two", 0, 0, 7, "one two\n");
	check("one two", 0, 0, 6, "one\ntwo\n");
	check("one   two ", 0, 0, 20, "one two\n");
	check("", 0, 0, 20, "");
}

static void test_an_empty_line_ends_a_paragraph(void **state)
{
	(void)state;
	check("a b\n\nc\nd\n", 0, 0, 20, "a b\n\nc d\n");
	check("\na", 0, 4, 20, "\n    a\n");
}

static void test_an_example_stays_as_it_is(void **state)
{
	(void)state;
	check("text of\ntwo lines\n  an  example,  wide\n  another\nmore\n", 0, 0, 10,
	      "text of\ntwo lines\n  an  example,  wide\n  another\nmore\n");
}

static void test_the_first_line_begins_where_something_stands(void **state)
{
	(void)state;
	check("one two three", 4, 4, 12, "one two\n    three\n");
	check("one two three", 2, 4, 12, "  one two\n    three\n");
	check("one two", 0, 4, 8, "    one\n    two\n");
}

static void test_a_word_that_is_wider_has_a_line_for_itself(void **state)
{
	(void)state;
	check("a incomprehensible b", 0, 2, 6, "  a\n  incomprehensible\n  b\n");
}

static void test_letters_count_not_bytes(void **state)
{
	(void)state;
	check("\xc3\xbc\xc3\xbc \xc3\xbc", 0, 0, 4, "\xc3\xbc\xc3\xbc \xc3\xbc\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_paragraph_is_filled_whatever_its_lines_were),
		cmocka_unit_test(test_an_empty_line_ends_a_paragraph),
		cmocka_unit_test(test_an_example_stays_as_it_is),
		cmocka_unit_test(test_the_first_line_begins_where_something_stands),
		cmocka_unit_test(test_a_word_that_is_wider_has_a_line_for_itself),
		cmocka_unit_test(test_letters_count_not_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
