/* SPDX-License-Identifier: MIT */
/*
 * Records and fields of CSV: the rules of RFC 4180 section 2, what breaks them, and that it does not matter
 * in what pieces the bytes come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmd/csv.h"

/* ---- what is read, as text ---- "LINES:[field][field]" a record, "LINES!first words of the fault" a bad
 * one; a LF in a field is shown as "~" */

static void show_record(const struct csv_record *r, char separator, char *to, size_t size)
{
	size_t at = strlen(to);
	at += (size_t)snprintf(to + at, size - at, "%d", (int)r->lines);
	if (r->fault) {
		snprintf(to + at, size - at, "!%.20s%s ", r->fault, r->is_endless ? "..." : "");
		return;
	}
	at += (size_t)snprintf(to + at, size - at, ":");
	struct slice rest = r->text;
	struct csv_field field;
	while (csv_next(&rest, separator, &field)) {
		char text[256];
		size_t len = csv_unpair(field.text, text);
		if (!field.has_pairs && (len != field.text.len || memcmp(text, field.text.data, len) != 0))
			len = 0; /* has_pairs was wrong */
		for (size_t i = 0; i < len; i++)
			text[i] = text[i] == '\n' ? '~' : text[i];
		at += (size_t)snprintf(to + at, size - at, "[%.*s]", (int)len, text);
	}
	snprintf(to + at, size - at, " ");
}

/* The bytes come `piece` at a time, each time in a heap block of exactly the size that is told. */
static void show(const char *input, size_t len, char separator, size_t piece, char *to, size_t size)
{
	struct csv_cutter cutter = {.separator = separator};
	size_t begin = 0, have = 0;
	to[0] = '\0';
	for (bool is_end = false; !is_end;) {
		have = have + piece < len ? have + piece : len;
		is_end = have == len;
		for (bool is_more = true; is_more;) {
			struct csv_record r;
			char *block = malloc(have - begin + 1);
			assert_non_null(block);
			memcpy(block + 1, input + begin, have - begin);
			is_more = csv_cut(&cutter, block + 1, have - begin, is_end, &r);
			if (is_more) {
				assert_in_range(r.size, 1, have - begin);
				show_record(&r, separator, to, size);
				begin += r.size;
			}
			free(block);
		}
	}
	assert_int_equal(begin, len);
}

static void test_records_are_those_of_rfc_4180(void **state)
{
	(void)state;
	static const struct {
		const char *descr, *input;
		char separator;
		const char *told;
	} CASES[] = {
		{"rule 1: a line a record", "aaa,bbb,ccc\r\nzzz,yyy,xxx\r\n", ',',
		 "1:[aaa][bbb][ccc] 1:[zzz][yyy][xxx] "},
		{"rule 2: the last may lack its end", "aaa,bbb,ccc\r\nzzz,yyy,xxx", ',',
		 "1:[aaa][bbb][ccc] 1:[zzz][yyy][xxx] "},
		{"rule 4: blanks belong to a field", " a , b\n", ',', "1:[ a ][ b] "},
		{"rule 5: quotes", "\"aaa\",\"bbb\",\"ccc\"\r\nzzz,yyy,xxx\r\n", ',',
		 "1:[aaa][bbb][ccc] 1:[zzz][yyy][xxx] "},
		{"rule 6: line ends in quotes", "\"aaa\",\"b\r\nbb\",\"ccc\"\r\nzzz,yyy,xxx", ',',
		 "2:[aaa][b\r~bb][ccc] 1:[zzz][yyy][xxx] "},
		{"rule 6: separators in quotes", "\"a,b\",\",\"\n", ',', "1:[a,b][,] "},
		{"rule 7: a quote in quotes", "\"aaa\",\"b\"\"bb\",\"ccc\"\r\n", ',', "1:[aaa][b\"bb][ccc] "},
		{"nothing but quotes", "\"\"\"\",\"\"\"\"\"\"\n", ',', "1:[\"][\"\"] "},
		{"nothing", "", ',', ""},
		{"empty records", "\n\r\n\"\"\n", ',', "1:[] 1:[] 1:[] "},
		{"empty fields", ",\n,,\n\"\",\n", ',', "1:[][] 1:[][][] 1:[][] "},
		{"line ends mixed", "a\nb\r\nc\n", ',', "1:[a] 1:[b] 1:[c] "},
		{"a lone CR is a byte like others", "a\rb,c\n", ',', "1:[a\rb][c] "},
		{"a CR at the very end", "a\r", ',', "1:[a] "},
		{"the same behind quotes", "\"a\"\r", ',', "1:[a] "},
		{"lines are counted", "\"1\n2\n3\"\n\"4\"\n\"\n\n\"", ',', "3:[1~2~3] 1:[4] 3:[~~] "},
		{"another separator", "a,b;c\n\"d;e\";f\n", ';', "1:[a,b][c] 1:[d;e][f] "},
		{"a tab", "a b\t\"c\td\"\n", '\t', "1:[a b][c\td] "},
		{"a quote in a plain field", "a\"b,c\nd\n", ',', "1!a quote in a field w 1:[d] "},
		{"one at its end", "ab\"\nd\n", ',', "1!a quote in a field w 1:[d] "},
		{"one behind a blank", "a, \"b\"\nd\n", ',', "1!a quote in a field w 1:[d] "},
		{"text behind quotes", "\"a\"b,c\nd\n", ',', "1!text behind a closin 1:[d] "},
		{"a blank behind quotes", "\"a\" ,c\nd\n", ',', "1!text behind a closin 1:[d] "},
		{"a CR behind quotes, then text", "\"a\"\rb\nd\n", ',', "1!text behind a closin 1:[d] "},
		{"two CRs behind quotes", "\"a\"\r\r\nd\n", ',', "1!text behind a closin 1:[d] "},
		{"a bad one ends at the next line end", "a\"b,\"c\nd\"\ne\n", ',',
		 "1!a quote in a field w 1!a quote in a field w 1:[e] "},
		{"a bad one of several lines", "\"a\nb\"c\nd\n", ',', "2!text behind a closin 1:[d] "},
		{"a quote that stays open", "a\n\"b\nc\n", ',', "1:[a] 2!a quote that is not  "},
		{"only a quote", "\"", ',', "1!a quote that is not  "},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		size_t len = strlen(CASES[i].input);
		for (size_t piece = 1; piece <= len + 1; piece++) {
			char told[1024];
			show(CASES[i].input, len, CASES[i].separator, piece, told, sizeof(told));
			if (strcmp(told, CASES[i].told) != 0)
				fail_msg("%s, %zu bytes at a time: %s, not %s", CASES[i].descr, piece, told,
					 CASES[i].told);
		}
	}
}

static void test_a_record_that_never_ends_is_given_up_at_its_limit(void **state)
{
	(void)state;
	enum { SIZE = CSV_RECORD_MAX + 3 };
	char *input = malloc(SIZE);
	assert_non_null(input);
	memset(input, 'x', SIZE);
	input[0] = '"';
	input[9] = input[99] = '\n';
	struct csv_cutter cutter = {.separator = ','};
	struct csv_record r;
	assert_false(csv_cut(&cutter, input, CSV_RECORD_MAX, false, &r));
	assert_true(csv_cut(&cutter, input, SIZE, false, &r));
	assert_true(r.is_endless);
	assert_string_equal(r.fault, "the record is longer than 1 MiB: is a quote not closed?");
	assert_int_equal(r.size, CSV_RECORD_MAX);
	assert_int_equal(r.lines, 3);
	/* one byte less, and it is one */
	input[CSV_RECORD_MAX - 1] = '"';
	input[CSV_RECORD_MAX] = '\n';
	assert_true(csv_cut(&cutter, input, SIZE, false, &r));
	assert_null(r.fault);
	assert_int_equal(r.size, CSV_RECORD_MAX + 1);
	free(input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_are_those_of_rfc_4180),
		cmocka_unit_test(test_a_record_that_never_ends_is_given_up_at_its_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
