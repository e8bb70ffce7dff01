/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../lib/slice.h"

static void test_words_are_equal_in_either_case(void **state)
{
	(void)state;
	assert_true(slice_is_word(slice_str("incr"), "INCR"));
	assert_true(slice_is_word(slice_str("SHC.Add"), "shc.add"));
	assert_true(slice_is_word((struct slice){NULL, 0}, ""));
	assert_false(slice_is_word(slice_str("INCRBY"), "INCR"));
	assert_false(slice_is_word(slice_str("INC"), "INCR"));
	assert_false(slice_is_word((struct slice){"GET\0", 4}, "GET"));
	assert_false(slice_is_word((struct slice){NULL, 0}, "GET"));
	/* 0x20 apart like letters, but none */
	assert_false(slice_is_word(slice_str("@"), "`"));
	assert_false(slice_is_word(slice_str("["), "{"));
	assert_false(slice_is_word(slice_str("\xc4"), "\xe4"));
}

static void test_equal_slices_have_equal_bytes(void **state)
{
	(void)state;
	assert_true(slice_equal((struct slice){NULL, 0}, slice_str("")));
	assert_true(slice_equal(slice_str("ab"), slice_str("ab")));
	assert_false(slice_equal(slice_str("ab"), slice_str("aB")));
	assert_false(slice_equal(slice_str("ab"), slice_str("abc")));
}

static bool is_control(unsigned char c)
{
	return c <= 0x1f || c == 0x7f;
}

/* Every byte at every place of every length, among neighbours that could hide it or be taken for it. */
static void test_one_other_byte_anywhere_makes_a_difference(void **state)
{
	(void)state;
	for (size_t len = 1; len <= 40; len++) {
		char *a = malloc(len), *b = malloc(len); /* exactly: a read beyond is seen */
		assert_non_null(a);
		assert_non_null(b);
		memset(a, 'x', len);
		memset(b, 'x', len);
		for (size_t i = 0; i < len; i++) {
			assert_true(slice_equal((struct slice){a, len}, (struct slice){b, len}));
			b[i] = 'y';
			assert_false(slice_equal((struct slice){a, len}, (struct slice){b, len}));
			b[i] = 'x';
		}
		free(a);
		free(b);
	}
}

static void test_one_control_character_anywhere_spoils_a_name(void **state)
{
	(void)state;
	const unsigned char fills[] = {'a', ' ', 0x20, 0x7e, 0x80, 0xff};
	for (size_t len = 1; len <= 33; len++) {
		unsigned char *name =
			malloc(len); /* exactly: a read beyond is seen by the address sanitizer */
		assert_non_null(name);
		for (size_t at = 0; at < len; at++) {
			for (unsigned c = 0; c < 256; c++) {
				memset(name, fills[(at + c) % sizeof(fills)], len);
				name[at] = (unsigned char)c;
				struct slice s = {(const char *)name, len};
				assert_int_equal(slice_is_name(s), !is_control((unsigned char)c));
			}
		}
		free(name);
	}
}

static void test_a_name_has_1_to_255_bytes(void **state)
{
	(void)state;
	char name[NAME_LEN_MAX + 1];
	memset(name, 'n', sizeof(name));
	assert_false(slice_is_name((struct slice){name, 0}));
	assert_false(slice_is_name((struct slice){NULL, 0}));
	assert_true(slice_is_name((struct slice){name, 1}));
	assert_true(slice_is_name((struct slice){name, NAME_LEN_MAX}));
	assert_false(slice_is_name((struct slice){name, NAME_LEN_MAX + 1}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_are_equal_in_either_case),
		cmocka_unit_test(test_equal_slices_have_equal_bytes),
		cmocka_unit_test(test_one_other_byte_anywhere_makes_a_difference),
		cmocka_unit_test(test_one_control_character_anywhere_spoils_a_name),
		cmocka_unit_test(test_a_name_has_1_to_255_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
