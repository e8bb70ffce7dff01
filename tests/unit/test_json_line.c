/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmd/json_line.h"

/* "name=delta", "name" without one, "none", or "bad: reason". Bytes that are not ASCII, and controls, as
 * "<e4>". */
static void show_name(struct slice name, char *to, size_t size)
{
	for (size_t i = 0, at = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];
		at += (size_t)snprintf(to + at, size - at, c >= 0x20 && c < 0x7f ? "%c" : "<%02x>", c);
	}
}

static void show_open(struct json_line *l, char *to, size_t size)
{
	struct slice name;
	int64_t delta;
	int rc = json_line_name(l, &name);
	if (rc == JSON_LINE_OK) {
		show_name(name, to, size);
		rc = json_line_i64(l, "delta", &delta);
	}
	if (rc == JSON_LINE_BAD)
		snprintf(to, size, "bad: %s", l->reason);
	else if (rc == JSON_LINE_OK)
		snprintf(to + strlen(to), size - strlen(to), "=%" PRId64, delta);
}

static void show(const char *text, char *to, size_t size)
{
	struct json_line l;
	size_t len = strlen(text);
	char *block = malloc(len + 1); /* no NUL behind it */
	assert_non_null(block);
	memcpy(block + 1, text, len);
	to[0] = '\0';
	int rc = json_line_open(&l, (struct slice){block + 1, len});
	if (rc == JSON_LINE_OK) {
		show_open(&l, to, size);
		json_line_close(&l);
	} else {
		snprintf(to, size, rc == JSON_LINE_NONE ? "none" : "bad: %s", l.reason);
	}
	free(block);
}

static void test_a_line_says_a_name_and_a_number(void **state)
{
	(void)state;
	static const struct {
		const char *text, *told;
	} CASES[] = {
		{"{\"name\":\"a\",\"delta\":3}", "a=3"},
		{" { \"delta\" : -3 , \"name\" : \"a b\" } \r", "a b=-3"},
		{"{\"name\":\"a\"}", "a"},
		{"{\"name\":\"\"}", ""},
		{"{\"name\":\"a\",\"other\":{\"delta\":[1,2.5,null]}}", "a"},
		{"{\"name\":\"\\u00e9\\n\\u0000\\\"\"}", "<c3><a9><0a><00>\""},
		{"{\"name\":\"\xc3\xa9\"}", "<c3><a9>"},
		{"{\"name\":\"a\",\"delta\":9223372036854775807}", "a=9223372036854775807"},
		{"{\"name\":\"a\",\"delta\":-9223372036854775808}", "a=-9223372036854775808"},
		{"", "none"},
		{" \t\r", "none"},
		{"{\"name_base64\":\"\"}", ""},
		{"{\"name_base64\":\"5A==\"}", "<e4>"},
		{"{\"name_base64\":\"5OQ=\",\"delta\":0}", "<e4><e4>=0"},
		{"{\"name_base64\":\"AP/+\"}", "<00><ff><fe>"},
		{"{\"name_base64\":\"Zm9vYmFy\"}", "foobar"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char told[512];
		show(CASES[i].text, told, sizeof(told));
		if (strcmp(told, CASES[i].told) != 0)
			fail_msg("%s: %s, not %s", CASES[i].text, told, CASES[i].told);
	}
}

static void test_what_is_wrong_is_said(void **state)
{
	(void)state;
	static const struct {
		const char *text, *told;
	} CASES[] = {
		{"{\"name\":\"a\",\"delta\":9223372036854775808}", "\"delta\" is not a whole number"},
		{"{\"name\":\"a\",\"delta\":-9223372036854775809}", "\"delta\" is not a whole number"},
		{"{\"name\":\"a\",\"delta\":1.0}", "\"delta\" is not a whole number"},
		{"{\"name\":\"a\",\"delta\":1e3}", "\"delta\" is not a whole number"},
		{"{\"name\":\"a\",\"delta\":\"1\"}", "\"delta\" is not a whole number"},
		{"{\"name\":\"a\",\"delta\":null}", "\"delta\" is not a whole number"},
		{"{\"name\":\"a\",\"delta\":1,\"delta\":2}", "JSON that is not taken: duplicate object key"},
		{"{\"name\":\"a\",\"x\":{\"y\":1,\"y\":1}}", "JSON that is not taken: duplicate object key"},
		{"{\"delta\":1}", "has no \"name\""},
		{"{\"name\":1}", "\"name\" is not a string"},
		{"{\"name\":\"a\",\"name_base64\":\"YQ==\"}", "has both"},
		{"{\"name_base64\":7}", "\"name_base64\" is not a string"},
		{"{\"name_base64\":\"YQ=\"}", "name_base64: not a multiple"},
		{"{\"name_base64\":\"Y===\"}", "name_base64: not base64"},
		{"{\"name_base64\":\"====\"}", "name_base64: not base64"},
		{"{\"name_base64\":\"YR==\"}", "name_base64: not base64"},
		{"{\"name_base64\":\"YWF=\"}", "name_base64: not base64"},
		{"{\"name_base64\":\"YQ==YQ==\"}", "name_base64: not base64"},
		{"{\"name_base64\":\"Y=Q=\"}", "name_base64: not base64"},
		{"{\"name_base64\":\"Y-_=\"}", "name_base64: not base64"},
		{"{\"name_base64\":\"YQ\\n=\"}", "name_base64: not base64"},
		{"[]", "not a JSON object"},
		{"3", "not a JSON object"},
		{"null", "not a JSON object"},
		{"{\"name\":\"a\"} x", "not JSON: end of file expected"},
		{"{\"name\":\"a\"}{\"name\":\"b\"}", "not JSON: end of file expected"},
		{"{\"name\":\"a\",}", "not JSON: string or '}' expected"},
		{"{\"name\":\"\xe4\"}", "not JSON: unable to decode byte 0xe4"},
		{"{'name':'a'}", "not JSON: string or '}' expected"},
		{"name", "not JSON: invalid token"},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char told[512], wanted[512];
		show(CASES[i].text, told, sizeof(told));
		size_t len = (size_t)snprintf(wanted, sizeof(wanted), "bad: %s", CASES[i].told);
		if (strncmp(told, wanted, len) != 0)
			fail_msg("%s: %s, not %s", CASES[i].text, told, wanted);
	}
}

static void test_a_name_of_base64_is_as_long_as_a_name_may_be(void **state)
{
	(void)state;
	char text[512], told[512];
	for (int quads = 85; quads <= 86; quads++) {
		size_t at = (size_t)snprintf(text, sizeof(text), "{\"name_base64\":\"");
		for (int i = 0; i < quads; i++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "YWFh");
		snprintf(text + at, sizeof(text) - at, "\"}");
		show(text, told, sizeof(told));
		if (quads == 85)
			assert_int_equal(strlen(told), NAME_LEN_MAX);
		else
			assert_string_equal(told, "bad: the name is longer than 255 bytes");
	}
}

static void test_numbers_beyond_the_limits_are_read_over(void **state)
{
	static const char *const lines[] = {
		"{\"id\":18446744073709551615,\"name\":\"a\",\"delta\":9007199254740993}",
		"{\"name\":\"a\",\"delta\":9007199254740993,\"x\":[1e400,-99999999999999999999]}",
		"{\"name\":\"a\",\"delta\":9007199254740993,\"x\":-1.5E+999 }",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct json_line l;
		int64_t delta = 0;
		assert_int_equal(json_line_open(&l, slice_str(lines[i])), JSON_LINE_OK);
		assert_int_equal(json_line_i64(&l, "delta", &delta), JSON_LINE_OK);
		assert_int_equal(delta, 9007199254740993);
		json_line_close(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_says_a_name_and_a_number),
		cmocka_unit_test(test_what_is_wrong_is_said),
		cmocka_unit_test(test_numbers_beyond_the_limits_are_read_over),
		cmocka_unit_test(test_a_name_of_base64_is_as_long_as_a_name_may_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
