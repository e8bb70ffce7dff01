/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../cmd/nearest.h"

static const char *const WORDS[] = {"incr", "decr", "get", "set", "del", "list", "ingest", "shards", "stats"};

static const char *meant(const char *word)
{
	struct nearest n = {.word = word};
	for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
		nearest_offer(&n, WORDS[i]);
	return n.found;
}

static void test_the_nearest_word_is_found(void **state)
{
	(void)state;
	static const struct {
		const char *descr, *word, *meant;
	} CASES[] = {
		{"two letters changed places", "icnr", "incr"},
		{"at the end, too", "incrr", "incr"},
		{"one is missing", "ingst", "ingest"},
		{"two are missing", "shrd", "shards"},
		{"one is wrong", "lisp", "list"},
		{"two are too many", "statistic", NULL},
		{"two are too many", "statsx", "stats"},
		{"a short word may have one mistake", "gte", "get"},
		{"but not two", "gxx", NULL},
		{"the closer one of two", "xecr", "decr"},
		{"the first of two that are as close", "zet", "get"},
		{"itself", "set", "set"},
		{"nothing is nothing", "", NULL},
		{"something else", "frobnicate", NULL},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		const char *found = meant(CASES[i].word);
		if (!CASES[i].meant && found)
			fail_msg("%s: \"%s\" is taken for %s", CASES[i].descr, CASES[i].word, found);
		if (!CASES[i].meant)
			continue;
		if (!found)
			fail_msg("%s: nothing for \"%s\"", CASES[i].descr, CASES[i].word);
		assert_string_equal(found, CASES[i].meant);
	}
}

static void test_the_distance_is_the_number_of_mistakes(void **state)
{
	(void)state;
	static const struct {
		const char *word, *candidate;
		size_t distance;
	} CASES[] = {
		{"format", "format", 0},    {"fromat", "format", 1}, {"frmat", "format", 1},
		{"formaat", "format", 1},   {"farmot", "format", 2}, {"ofmrat", "format", 2},
		{"tmieoutt", "timeout", 2},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct nearest n = {.word = CASES[i].word};
		nearest_offer(&n, CASES[i].candidate);
		assert_non_null(n.found);
		assert_int_equal(n.distance, CASES[i].distance);
	}
}

static void test_a_word_of_any_length_is_read_safely(void **state)
{
	(void)state;
	static const char LONG[] = "a-word-of-more-than-thirty-two-letters-which-nobody-means";
	struct nearest n = {.word = LONG};
	nearest_offer(&n, LONG);
	assert_null(n.found);
	n.word = "get";
	nearest_offer(&n, LONG);
	assert_null(n.found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_nearest_word_is_found),
		cmocka_unit_test(test_the_distance_is_the_number_of_mistakes),
		cmocka_unit_test(test_a_word_of_any_length_is_read_safely),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
