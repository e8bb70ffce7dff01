/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../lib/glob.h"

/* In a heap block of exactly its size: a read beyond is seen by the address sanitizer. */
static char *exact_copy(struct slice s)
{
	char *block = malloc(s.len ? s.len : 1);
	assert_non_null(block);
	memcpy(block, s.data, s.len);
	return block;
}

static bool matches(const char *pattern, const char *text)
{
	struct slice p = slice_str(pattern), t = slice_str(text);
	char *p_block = exact_copy(p), *t_block = exact_copy(t);
	bool r = glob_match((struct slice){p_block, p.len}, (struct slice){t_block, t.len});
	free(p_block);
	free(t_block);
	return r;
}

static void test_patterns_match_as_in_redis(void **state)
{
	(void)state;
	static const struct {
		const char *descr;
		const char *pattern;
		const char *text;
		bool matches;
	} CASES[] = {
		{"plain text matches itself", "hits", "hits", true},
		{"plain text is case-sensitive", "hits", "Hits", false},
		{"plain text must match to its end", "hits", "hits2", false},
		{"and to the pattern's end", "hits2", "hits", false},
		{"nothing matches nothing", "", "", true},
		{"nothing does not match something", "", "a", false},
		{"? is one character", "h?llo", "hello", true},
		{"? is not none", "h?llo", "hllo", false},
		{"? is not two", "h?llo", "heello", false},
		{"* is any text", "*", "anything", true},
		{"* is no text", "h*llo", "hllo", true},
		{"* is much text", "h*llo", "heeeello", true},
		{"* at both ends", "*ell*", "hello", true},
		{"* must leave the rest", "h*z", "hello", false},
		{"* gives back what the rest needs", "*aab", "aaaab", true},
		{"the last of many * decides", "a*b*c", "abcbcbc", true},
		{"two * are one", "**", "x", true},
		{"* at the end matches nothing more", "hello***", "hello", true},
		{"* then ? needs a character", "hello*?", "hello", false},
		{"? then *", "?*", "a", true},
		{"a set", "h[ae]llo", "hallo", true},
		{"a set without the character", "h[ae]llo", "hillo", false},
		{"an inverted set", "h[^e]llo", "hallo", true},
		{"an inverted set with the character", "h[^e]llo", "hello", false},
		{"! does not invert", "[!a]", "b", false},
		{"! is a character", "[!a]", "!", true},
		{"a range", "h[a-c]llo", "hbllo", true},
		{"outside a range", "h[a-c]llo", "hdllo", false},
		{"a range backwards", "h[c-a]llo", "hbllo", true},
		{"a range and more", "[a-cx]", "x", true},
		{"a range of bytes above ASCII", "[\x80-\xff]", "\xc3", true},
		{"^ later in a set is itself", "[a^]", "^", true},
		{"- first in a set is itself", "[-a]", "-", true},
		{"] closes even when first", "[]a]", "]a]", false},
		{"] closes even when first: an empty set", "[]", "]", false},
		{"an empty inverted set is any character", "[^]", "x", true},
		{"- last in a set makes a range up to ]", "[a-]", "b", false},
		{"and the set goes on behind it", "[Z-]", "[", true},
		{"\\ in a set is plain ]", "[\\]]", "]", true},
		{"\\ in a set is plain -", "[a\\-z]", "-", true},
		{"and makes no range", "[a\\-z]", "b", false},
		{"an open set ends with the pattern", "[abc", "b", true},
		{"an open set still chooses", "[abc", "d", false},
		{"[ alone matches nothing", "[", "[", false},
		{"[^ alone is any character", "[^", "x", true},
		{"\\ at the end of an open set is itself", "[a\\", "\\", true},
		{"\\ makes * plain", "a\\*b", "a*b", true},
		{"and nothing else", "a\\*b", "axb", false},
		{"\\ makes ? plain", "\\?", "x", false},
		{"\\ makes [ plain", "\\[a]", "[a]", true},
		{"\\ makes \\ plain", "\\\\", "\\", true},
		{"\\ at the end is itself", "a\\", "a\\", true},
		{"\\ before a letter is the letter", "\\a", "a", true},
		{"* before a set", "*[0-9]", "page12", true},
		{"* before a set that ends", "*[0-9]x", "page12", false},
		{"* tries a set again", "*[0-9][a-z]", "1a2b", true},
		{"* in a set is itself", "[*]", "*", true},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		if (matches(CASES[i].pattern, CASES[i].text) != CASES[i].matches)
			fail_msg("%s: \"%s\" against \"%s\" should %s", CASES[i].descr, CASES[i].pattern,
				 CASES[i].text, CASES[i].matches ? "match" : "not match");
	}
}

static void test_nul_is_a_character(void **state)
{
	(void)state;
	assert_true(glob_match((struct slice){"a?b", 3}, (struct slice){"a\0b", 3}));
	assert_true(glob_match((struct slice){"a\0*", 3}, (struct slice){"a\0b", 3}));
	assert_false(glob_match((struct slice){"a\0b", 3}, (struct slice){"a\0c", 3}));
	assert_true(glob_match((struct slice){NULL, 0}, (struct slice){NULL, 0}));
}

/* With backtracking into every '*' this takes longer than the universe has; with one it is 30 000 steps at
 * most. */
static void test_many_stars_end_soon(void **state)
{
	(void)state;
	char pattern[121], text[256];
	for (size_t i = 0; i < 120; i += 2)
		memcpy(pattern + i, "a*", 2);
	pattern[120] = 'b';
	memset(text, 'a', sizeof(text));
	assert_false(
		glob_match((struct slice){pattern, sizeof(pattern)}, (struct slice){text, sizeof(text)}));
	assert_true(
		glob_match((struct slice){pattern, sizeof(pattern) - 1}, (struct slice){text, sizeof(text)}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns_match_as_in_redis),
		cmocka_unit_test(test_nul_is_a_character),
		cmocka_unit_test(test_many_stars_end_soon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
