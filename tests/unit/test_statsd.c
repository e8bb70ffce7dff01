/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmd/statsd.h"

/* "name" and " whole" or " whole+rest/parts" for each value; "none"; or "bad: reason". */
static void show(const char *text, char *to, size_t size)
{
	struct statsd_line l;
	struct fraction f;
	const char *reason = NULL;
	size_t len = strlen(text);
	char *block = malloc(len + 1);
	assert_non_null(block);
	memcpy(block + 1, text, len); /* no NUL behind it */
	int rc = statsd_open(&l, (struct slice){block + 1, len}, &reason);
	size_t at = (size_t)snprintf(to, size, rc == STATSD_NONE ? "none" : "bad: %s", reason);
	if (rc == STATSD_OK) {
		at = (size_t)snprintf(to, size, "%.*s", (int)l.name.len, l.name.data);
		while ((rc = statsd_next(&l, &f, &reason)) == STATSD_OK) {
			at += (size_t)snprintf(to + at, size - at, " %lld", (long long)f.whole);
			if (f.rest > 0)
				at += (size_t)snprintf(to + at, size - at, "+%lld/%lld", (long long)f.rest,
						       (long long)f.parts);
		}
		assert_int_equal(rc, STATSD_NONE); /* what was looked at holds */
	}
	free(block);
}

static void test_lines_of_statsd_are_values_of_a_name(void **state)
{
	(void)state;
	static const struct {
		const char *text, *told;
	} CASES[] = {
		{"a:3|c", "a 3"},
		{"a:3|c|@0.1", "a 30"},
		{"a:1|c|@0.3", "a 3+1/3"},
		{"a:-2|c", "a -2"},
		{"a:+2|c", "a 2"},
		{"a:0.5|c", "a 0+1/2"},
		{"a:1|c|@1", "a 1"},
		{"a:1|c|@1e-05", "a 100000"},
		{"a b/c:1|c", "a b/c 1"},
		{"a:1|c:2|c|@0.5", "a 1 4"},
		{"a:1|c|@0.5:2|c", "a 2 2"},
		{"a:1:2:3|c", "a 1 2 3"},
		{"a:1:2|c|@0.5", "a 2 4"},
		{"a:1|c|#env:prod,b:2", "a 1"},
		{"a:1|c|@0.5|#env:prod", "a 2"},
		{"a:1|c|#env:prod|@0.5", "a 2"},
		{"a:1|c|#", "a 1"},
		{"a:1|c|#x|c:abc|T1656581400|e:f|card:low", "a 1"},
		{"a:1|c:320|ms", "a 1"},
		{"a:320|ms:1|c", "a 1"},
		{"a:320|ms", "none"},
		{"a:320|ms|@0.1|#x:y", "none"},
		{"a:+4|g", "none"},
		{"a:x y|s", "none"},
		{"a:x:y|s", "none"},
		{"a:1.5|h", "none"},
		{"a:1|d|#x", "none"},
		{"_e{5,4}:title|text|#tag", "none"},
		{"_sc|redis|0|m:all fine", "none"},
		{"", "none"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char told[256];
		show(CASES[i].text, told, sizeof(told));
		if (strcmp(told, CASES[i].told) != 0)
			fail_msg("%s: %s, not %s", CASES[i].text, told, CASES[i].told);
	}
}

static void test_one_fault_makes_the_whole_line_bad(void **state)
{
	(void)state;
	static const char TYPE[] = "bad: no type behind the value: NAME:VALUE|c is expected";
	static const char VALUE[] = "bad: the value is not a number, or has too many digits";
	static const char RATE[] = "bad: the rate behind @ is not a number above 0 and up to 1";
	static const char SECTION[] =
		"bad: behind the type stands neither a rate (@0.1) nor a tag (#NAME:VALUE)";
	static const struct {
		const char *text, *told;
	} CASES[] = {
		{"a", "bad: no value: NAME:VALUE|c is expected"},
		{"a|c", "bad: no value: NAME:VALUE|c is expected"},
		{":1|c", "bad: no name: NAME:VALUE|c is expected"},
		{"a:1", TYPE},
		{"a:1|", TYPE},
		{"a:1||c", TYPE},
		{"a:1|c:", TYPE},
		{"a:1|c:2", TYPE},
		{"a:|c", VALUE},
		{"a:x|c", VALUE},
		{"a:1:|c", VALUE},
		{"a: 1|c", VALUE},
		{"a:1|c:x|c", VALUE},
		{"a:99999999999999999999|c", VALUE},
		{"a:1|c|@", RATE},
		{"a:1|c|@0", RATE},
		{"a:1|c|@2", RATE},
		{"a:1|c|@-0.1", RATE},
		{"a:1|c|@0.1x", RATE},
		{"a:1|c|@0.5|@0.5", "bad: has two rates"},
		{"a:1|c|0.1", SECTION},
		{"a:1|c|", SECTION},
		{"a:9223372036854775807|c|@0.5",
		 "bad: the value (divided by its rate) leaves 64 bits, or has too many digits"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char told[256];
		show(CASES[i].text, told, sizeof(told));
		if (strcmp(told, CASES[i].told) != 0)
			fail_msg("%s: %s, not %s", CASES[i].text, told, CASES[i].told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_of_statsd_are_values_of_a_name),
		cmocka_unit_test(test_one_fault_makes_the_whole_line_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
