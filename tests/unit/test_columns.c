/* SPDX-License-Identifier: MIT */
/* How much room text takes, and cutting it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../cmd/columns.h"

static void expect_columns(const char *text, size_t columns)
{
	assert_int_equal(columns_of(slice_str(text)), columns);
}

static void expect_cut(size_t cut(struct buf *, struct slice, size_t, const char *), const char *text,
		       size_t columns, const char *want, size_t want_columns)
{
	struct buf b = BUF_INIT;
	size_t taken = cut(&b, slice_str(text), columns, "~");
	buf_append(&b, "", 1);
	assert_string_equal(buf_head(&b), want);
	assert_int_equal(taken, want_columns);
	buf_fini(&b);
}

static void expect_middle(const char *text, size_t columns, const char *want, size_t want_columns)
{
	expect_cut(columns_cut_middle, text, columns, want, want_columns);
}

static void expect_end(const char *text, size_t columns, const char *want, size_t want_columns)
{
	expect_cut(columns_cut_end, text, columns, want, want_columns);
}

static void test_columns_are_those_of_a_terminal(void **state)
{
	(void)state;
	expect_columns("", 0);
	expect_columns("visits", 6);
	expect_columns("gr\xc3\xbc\xc3\x9f"
		       "e",
		       5);
	expect_columns("\xe4\xbd\xa0\xe5\xa5\xbd", 4); /* two Han characters */
	expect_columns("e\xcc\x81", 1);		       /* a combining accent */
	expect_columns("\xf0\x9f\x98\x80", 2);	       /* an emoji */
	expect_columns("\xe2\x9d\xa4\xef\xb8\x8f", 2); /* one that is made wide */
	expect_columns("\xef\xbd\xb1\xe3\x82\xa2", 3); /* narrow and wide */
	expect_columns("\xe2\x80\x8b", 0);	       /* a blank without width */
}

static void test_what_fits_is_not_cut(void **state)
{
	(void)state;
	expect_middle("visits", 6, "visits", 6);
	expect_end("visits", 6, "visits", 6);
	expect_middle("", 0, "", 0);
}

static void test_a_name_is_cut_in_the_middle(void **state)
{
	(void)state;
	expect_middle("abcdefghij", 9, "abcd~ghij", 9);
	expect_middle("abcdefghij", 6, "abc~ij", 6);
	expect_middle("abcdefghij", 2, "a~", 2);
	expect_middle("abcdefghij", 1, "~", 1);
	expect_middle("abcdefghij", 0, "", 0);
}

static void test_a_sentence_is_cut_at_its_end(void **state)
{
	(void)state;
	expect_end("abcdefghij", 4, "abc~", 4);
	expect_end("abcdefghij", 1, "~", 1);
}

static void test_a_wide_character_is_never_halved(void **state)
{
	const char *wide = "\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0"; /* four times two */
	(void)state;
	expect_middle(wide, 8, wide, 8);
	expect_middle(wide, 7, "\xe4\xbd\xa0\xe4\xbd\xa0~\xe4\xbd\xa0", 7);
	expect_middle(wide, 6, "\xe4\xbd\xa0~\xe4\xbd\xa0", 5);
	expect_middle(wide, 4, "\xe4\xbd\xa0~", 3);
	expect_middle(wide, 2, "~", 1);
}

static void test_an_accent_stays_with_its_letter(void **state)
{
	(void)state;
	/* Five letters, each with an accent. */
	expect_middle("a\xcc\x81"
		      "b\xcc\x81"
		      "c\xcc\x81"
		      "d\xcc\x81"
		      "e\xcc\x81",
		      3, "a\xcc\x81~e\xcc\x81", 3);
	expect_end("a\xcc\x81"
		   "b\xcc\x81"
		   "c",
		   2, "a\xcc\x81~", 2);
}

static void test_an_escape_is_never_halved(void **state)
{
	(void)state;
	static const char OCTAL[] = "\\303\\274\\303\\274"; /* two letters where only ASCII may stand */
	expect_columns(OCTAL, 16);
	expect_middle(OCTAL, 15, "\\303\\274~\\274", 13);
	expect_middle(OCTAL, 12, "\\303~\\274", 9);
	expect_middle(OCTAL, 8, "\\303~", 5);
	expect_end(OCTAL, 8, "\\303~", 5);
	expect_end("ab\\tc", 4, "ab~", 3);
	expect_end("ab\\", 3, "ab\\", 3);
	expect_end("ab\\xc", 4, "ab\\~", 4); /* a backslash of the name's own */
	expect_end("ab\\27x", 5, "ab\\2~", 5);
}

static void test_bytes_that_are_no_utf8_take_a_column_each(void **state)
{
	(void)state;
	expect_columns("\xff\x80z", 3);
	expect_columns("\xe4\xbd", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_are_those_of_a_terminal),
		cmocka_unit_test(test_what_fits_is_not_cut),
		cmocka_unit_test(test_a_name_is_cut_in_the_middle),
		cmocka_unit_test(test_a_sentence_is_cut_at_its_end),
		cmocka_unit_test(test_a_wide_character_is_never_halved),
		cmocka_unit_test(test_an_accent_stays_with_its_letter),
		cmocka_unit_test(test_an_escape_is_never_halved),
		cmocka_unit_test(test_bytes_that_are_no_utf8_take_a_column_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
