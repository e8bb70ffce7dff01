/* SPDX-License-Identifier: MIT */
/*
 * The addresses of servers. A good one is told as "unix PATH" or "tcp USER PASSWORD HOST PORT" (- for none).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../lib/url.h"

static void tell(const struct url *u, char *out, size_t size)
{
	if (u->kind == URL_UNIX)
		snprintf(out, size, "unix %s", u->path);
	else
		snprintf(out, size, "tcp %s %s %s %u", u->user ? u->user : "-",
			 u->password ? u->password : "-", u->host, (unsigned)u->port);
}

static void test_addresses_are_understood(void **state)
{
	(void)state;
	static const struct {
		const char *text, *told;
	} cases[] = {
		{"unix:///run/x.sock", "unix /run/x.sock"},
		{"unix:///a%20b%2Fc%25", "unix /a b/c%"},
		{"/run/100%.sock", "unix /run/100%.sock"},
		{"here.sock", "unix here.sock"},
		{"redis://localhost", "tcp - - localhost 6379"},
		{"redis://10.0.0.1:7000", "tcp - - 10.0.0.1 7000"},
		{"redis://h:65535/", "tcp - - h 65535"},
		{"redis://h:1/0", "tcp - - h 1"},
		{"redis://[::1]", "tcp - - ::1 6379"},
		{"redis://[fe80::1%25eth0]:7000", "tcp - - fe80::1%eth0 7000"},
		{"redis://ann:secret@h", "tcp ann secret h 6379"},
		{"redis://:secret@h:7", "tcp - secret h 7"},
		{"redis://ann@h", "tcp ann - h 6379"},
		{"redis://a%40b:p%3Aw%2F@h", "tcp a@b p:w/ h 6379"},
		{"redis://ann:p:w@x@h", "tcp ann p:w@x h 6379"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct url u;
		char error[URL_ERROR_SIZE] = "", told[256];
		if (url_parse(&u, cases[i].text, error) != URL_OK)
			fail_msg("%s: %s", cases[i].text, error);
		tell(&u, told, sizeof(told));
		assert_string_equal(told, cases[i].told);
		url_fini(&u);
	}
}

static void test_what_is_wrong_is_said(void **state)
{
	(void)state;
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"", "path is empty"},
		{"unix://", "absolute path"},
		{"unix://run/x", "absolute path"},
		{"unix:///run/x?db=0", "%3F"},
		{"unix:///run/%zz", "bad % escape"},
		{"unix:///run/%4", "bad % escape"},
		{"unix:///run/%00x", "bad % escape"},
		{"redis://", "host is missing"},
		{"redis://:7000", "host is missing"},
		{"redis://h:", "bad port"},
		{"redis://h:0", "bad port"},
		{"redis://h:65536", "bad port"},
		{"redis://h:99999999999999999999", "bad port"},
		{"redis://h:7x", "bad port \"7x\""},
		{"redis://::1", "brackets"},
		{"redis://[::1", "IPv6"},
		{"redis://[::1]7", "IPv6"},
		{"redis://h/1", "one database"},
		{"redis://a:%@h", "in the password"},
		{"redis://%:b@h", "in the user name"},
		{"rediss://h", "rediss:// is not supported by this version"},
		{"redis+cluster://h:1,h:2", "redis+cluster:// is not supported by this version"},
		{"rediss+cluster://h:1", "not supported by this version"},
		{"http://h", "unknown scheme \"http\""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct url u = {.port = 99};
		char error[URL_ERROR_SIZE] = "";
		assert_int_equal(url_parse(&u, cases[i].text, error), URL_BAD);
		if (!strstr(error, cases[i].said))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, error, cases[i].said);
		assert_int_equal(u.port, 99);
	}
}

static void test_a_password_is_not_in_the_message(void **state)
{
	(void)state;
	static const char *const texts[] = {"redis://ann:hunter2@h:x", "redis://ann:hunter2%@h",
					    "redis://ann:hunter2@", "redis://ann:hunter2@h/7",
					    "redis://ann:hunter2@[::1"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct url u;
		char error[URL_ERROR_SIZE] = "";
		assert_int_equal(url_parse(&u, texts[i], error), URL_BAD);
		assert_null(strstr(error, "hunter2"));
	}
}

static void test_a_path_has_107_bytes_at_most(void **state)
{
	(void)state;
	char text[7 + 108 + 1] = "unix://";
	char error[URL_ERROR_SIZE];
	struct url u;
	memset(text + 7, 'a', 108);
	text[7] = '/';
	assert_int_equal(url_parse(&u, text, error), URL_BAD);
	assert_non_null(strstr(error, "108 bytes"));
	text[7 + 107] = '\0';
	assert_int_equal(url_parse(&u, text, error), URL_OK);
	assert_int_equal(strlen(u.path), URL_PATH_MAX);
	url_fini(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_are_understood),
		cmocka_unit_test(test_what_is_wrong_is_said),
		cmocka_unit_test(test_a_password_is_not_in_the_message),
		cmocka_unit_test(test_a_path_has_107_bytes_at_most),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
