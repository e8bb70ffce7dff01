/* SPDX-License-Identifier: MIT */
/*
 * What an input begins with, told as soon as it can be, and not before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../cmd/head.h"

static const struct {
	const char *bytes;
	size_t len;
	enum head head;
} HEADS[] = {
	{"\xef\xbb\xbf", 3, HEAD_MARK},
	{"\x1f\x8b\x08", 3, HEAD_GZIP},
	{"\x28\xb5\x2f\xfd", 4, HEAD_ZSTD},
};

enum { HEADS_COUNT = sizeof(HEADS) / sizeof(HEADS[0]) };

static void test_each_is_known_when_it_is_there_whatever_follows(void **state)
{
	(void)state;
	for (size_t i = 0; i < HEADS_COUNT; i++) {
		char data[16] = "xxxxxxxxxxxxxxx";
		for (size_t k = 0; k < HEADS[i].len; k++)
			data[k] = HEADS[i].bytes[k];
		for (size_t len = HEADS[i].len; len <= sizeof(data); len++) {
			assert_int_equal(head_look(data, len, false), HEADS[i].head);
			assert_int_equal(head_look(data, len, true), HEADS[i].head);
		}
	}
}

static void test_a_part_of_one_is_open_and_at_the_end_of_the_input_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < HEADS_COUNT; i++) {
		for (size_t len = 0; len < HEADS[i].len; len++) {
			assert_int_equal(head_look(HEADS[i].bytes, len, false), HEAD_OPEN);
			assert_int_equal(head_look(HEADS[i].bytes, len, true), HEAD_TEXT);
		}
	}
}

static void test_text_does_not_wait_for_more(void **state)
{
	(void)state;
	static const char *const TEXTS[] = {"a",      "\n",	   "(a", "\xef\xbb\n", "\xef\xbb\xbe",
					    "\x1f\n", "\x1f\x8b\n"};
	static const size_t LENS[] = {1, 1, 2, 3, 3, 2, 3};
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
		assert_int_equal(head_look(TEXTS[i], LENS[i], false), HEAD_TEXT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_known_when_it_is_there_whatever_follows),
		cmocka_unit_test(test_a_part_of_one_is_open_and_at_the_end_of_the_input_text),
		cmocka_unit_test(test_text_does_not_wait_for_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
