/* SPDX-License-Identifier: MIT */
/*
 * What a line adds: fields of lines and of CSV records, and lines of uniq -c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../cmd/fields.h"

struct fields_case {
	const char *descr;
	struct fields_rule rule;
	const char *line, *told; /* "name=delta", "skip" or "bad: reason" */
};

/* The outcome of a call of fields_take or fields_take_uniq, as text. */
static void show(int found, struct slice name, int64_t delta, const char *reason, char told[256])
{
	if (found == FIELDS_OK)
		snprintf(told, 256, "%.*s=%lld", (int)name.len, name.data, (long long)delta);
	else
		snprintf(told, 256, found == FIELDS_BAD ? "bad: %s" : "skip", reason);
}

static void check_told(const struct fields_case *c, const char *told)
{
	if (strcmp(told, c->told) != 0)
		fail_msg("%s: %s, not %s", c->descr, told, c->told);
}

static void check_fields(const struct fields_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char room[FIELDS_ROOM], told[256];
		struct slice name = {0};
		int64_t delta = 0;
		const char *reason = "";
		int found =
			fields_take(&cases[i].rule, slice_str(cases[i].line), room, &name, &delta, &reason);
		show(found, name, delta, reason, told);
		check_told(&cases[i], told);
	}
}

static void test_fields_are_those_of_awk(void **state)
{
	(void)state;
	static const struct fields_case CASES[] = {
		{"whole line", {0, 0, 0, 255, false}, " a b ", " a b =1"},
		{"whole, empty", {0, 0, 0, 255, false}, "", "skip"},
		{"blanks around", {1, 0, 0, 255, false}, " \t a \tb ", "a=1"},
		{"second", {2, 0, 0, 255, false}, "a b", "b=1"},
		{"too few", {3, 0, 0, 255, false}, "a b ", "skip"},
		{"blanks only", {1, 0, 0, 255, false}, " \t ", "skip"},
		{"separated", {2, 0, ':', 255, false}, "a:b:c", "b=1"},
		{"separated keeps blanks", {1, 0, ':', 255, false}, " a :b", " a =1"},
		{"empty field", {2, 0, ':', 255, false}, "a::c", "skip"},
		{"last field empty", {2, 0, ':', 255, false}, "a:", "skip"},
		{"field behind the last", {3, 0, ':', 255, false}, "a:b", "skip"},
		{"delta", {1, 2, 0, 255, false}, "a -5", "a=-5"},
		{"delta first", {2, 1, 0, 255, false}, "  3 a", "a=3"},
		{"delta with plus", {1, 2, 0, 255, false}, "a +07", "a=7"},
		{"delta missing", {1, 2, 0, 255, false}, "a", "skip"},
		{"delta is no number",
		 {1, 2, 0, 255, false},
		 "a 1.5",
		 "bad: the delta is not a whole number of 64 bits"},
		{"delta too large",
		 {1, 2, 0, 255, false},
		 "a 9223372036854775808",
		 "bad: the delta is not a whole number of 64 bits"},
		{"tab in the whole line",
		 {0, 0, 0, 255, false},
		 "a\tb",
		 "bad: the name contains a control character"},
		{"control in another field", {1, 0, ':', 255, false}, "a:\001", "a=1"},
		{"too long",
		 {0, 0, 0, 3, false},
		 "abcd",
		 "bad: the name with its prefix is longer than 255 bytes"},
	};
	check_fields(CASES, sizeof(CASES) / sizeof(CASES[0]));
}

static void test_fields_of_a_csv_record_are_without_their_quotes(void **state)
{
	(void)state;
	static const struct fields_case CASES[] = {
		{"plain", {1, 0, ',', 255, true}, "a,b", "a=1"},
		{"quoted", {2, 0, ',', 255, true}, "a,\"b,c\"", "b,c=1"},
		{"a quote in it", {1, 0, ',', 255, true}, "\"say \"\"hi\"\"\",b", "say \"hi\"=1"},
		{"only a quote", {1, 0, ',', 255, true}, "\"\"\"\"", "\"=1"},
		{"delta", {1, 2, ',', 255, true}, "a,-5,x", "a=-5"},
		{"quoted delta", {3, 1, ',', 255, true}, "\"7\",,\"a b\"", "a b=7"},
		{"delta with a quote",
		 {1, 2, ',', 255, true},
		 "a,\"7\"\"\"",
		 "bad: the delta is not a whole number of 64 bits"},
		{"blanks stay", {1, 0, ',', 255, true}, " a ,b", " a =1"},
		{"too few fields", {3, 0, ',', 255, true}, "a,b", "skip"},
		{"empty", {1, 0, ',', 255, true}, "", "skip"},
		{"empty field", {2, 0, ',', 255, true}, "a,,b", "skip"},
		{"empty quotes", {1, 0, ',', 255, true}, "\"\",b", "skip"},
		{"empty delta", {1, 2, ',', 255, true}, "a,\"\"", "skip"},
		{"a line end",
		 {1, 0, ',', 255, true},
		 "\"a\nb\"",
		 "bad: the name contains a control character"},
		{"as long as it may be without its pairs", {1, 0, ',', 3, true}, "\"a\"\"b\"", "a\"b=1"},
		{"longer",
		 {1, 0, ',', 3, true},
		 "\"a\"\"bc\"",
		 "bad: the name with its prefix is longer than 255 bytes"},
	};
	check_fields(CASES, sizeof(CASES) / sizeof(CASES[0]));
}

static void test_a_name_of_pairs_fits_the_room_or_is_too_long(void **state)
{
	(void)state;
	static const struct fields_rule RULE = {1, 0, ',', 255, true};
	char line[2 + 2 * 400], room[FIELDS_ROOM];
	for (size_t pairs = 250; pairs <= 400; pairs++) {
		memset(line, '"', 2 + 2 * pairs);
		struct slice name;
		int64_t delta;
		const char *reason;
		int found =
			fields_take(&RULE, (struct slice){line, 2 + 2 * pairs}, room, &name, &delta, &reason);
		assert_int_equal(found, pairs <= NAME_LEN_MAX ? FIELDS_OK : FIELDS_BAD);
		if (found == FIELDS_OK)
			assert_int_equal(name.len, pairs);
		else
			assert_string_equal(reason, "the name is longer than 255 bytes");
	}
}

static void test_lines_of_uniq_are_a_count_and_a_name(void **state)
{
	(void)state;
	static const struct fields_rule RULE = {.name_max = 255};
	static const char NO_COUNT[] = "bad: no count in front of the name, as `uniq -c` writes it";
	static const struct fields_case CASES[] = {
		{"as uniq writes it", {0}, "      3 a", "a=3"},
		{"no blanks in front", {0}, "3 a", "a=3"},
		{"a wide count", {0}, "12345678 a", "a=12345678"},
		{"blanks of the name stay", {0}, "      3   a  b ", "  a  b =3"},
		{"a name of digits", {0}, "      3 4", "4=3"},
		{"a blank as name", {0}, "      3  ", " =3"},
		{"empty lines, counted", {0}, "      3 ", "skip"},
		{"the same, trimmed", {0}, "      3", "skip"},
		{"empty", {0}, "", "skip"},
		{"blanks", {0}, "   ", "skip"},
		{"largest", {0}, "9223372036854775807 a", "a=9223372036854775807"},
		{"larger", {0}, "9223372036854775808 a", NO_COUNT},
		{"no count", {0}, "a 3", NO_COUNT},
		{"negative", {0}, "     -3 a", NO_COUNT},
		{"signed", {0}, "     +3 a", NO_COUNT},
		{"a fraction", {0}, "    1.5 a", NO_COUNT},
		{"a control", {0}, "      3 a\tb", "bad: the name contains a control character"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char told[256];
		struct slice name = {0};
		int64_t delta = 0;
		const char *reason = "";
		int found = fields_take_uniq(&RULE, slice_str(CASES[i].line), &name, &delta, &reason);
		show(found, name, delta, reason, told);
		check_told(&CASES[i], told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_are_those_of_awk),
		cmocka_unit_test(test_fields_of_a_csv_record_are_without_their_quotes),
		cmocka_unit_test(test_a_name_of_pairs_fits_the_room_or_is_too_long),
		cmocka_unit_test(test_lines_of_uniq_are_a_count_and_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
