/* SPDX-License-Identifier: MIT */
/*
 * The addresses of servers. A good one is told as "unix PATH" or "unix USER PASSWORD PATH", "tcp USER
 * PASSWORD HOST PORT" (- for none), or "cluster USER PASSWORD HOST PORT HOST PORT ..."; with TLS as "tcp+tls"
 * and "cluster+tls".
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
	if (u->kind == URL_UNIX) {
		if (u->user || u->password)
			snprintf(out, size, "unix %s %s %s", u->user ? u->user : "-",
				 u->password ? u->password : "-", u->path);
		else
			snprintf(out, size, "unix %s", u->path);
		return;
	}
	int len = snprintf(out, size, "%s%s %s %s", u->kind == URL_TCP ? "tcp" : "cluster",
			   u->is_tls ? "+tls" : "", u->user ? u->user : "-", u->password ? u->password : "-");
	if (u->kind == URL_TCP)
		snprintf(out + len, size - (size_t)len, " %s %u", u->host, (unsigned)u->port);
	for (size_t i = 0; i < u->hosts_count; i++)
		len += snprintf(out + len, size - (size_t)len, " %s %u", u->hosts[i].host,
				(unsigned)u->hosts[i].port);
}

static void test_addresses_are_understood(void **state)
{
	(void)state;
	static const struct {
		const char *text, *told;
	} cases[] = {
		{"unix:///run/x.sock", "unix /run/x.sock"},
		{"unix:///a%20b%2Fc%25", "unix /a b/c%"},
		{"unix://ann:p%2Fw@/run/x.sock", "unix ann p/w /run/x.sock"},
		{"unix://:secret@/x@/y", "unix - secret /x@/y"},
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
		{"rediss://ann:secret@h:7", "tcp+tls ann secret h 7"},
		{"rediss://[::1]/0", "tcp+tls - - ::1 6379"},
		{"redis+cluster://h", "cluster - - h 6379"},
		{"redis+cluster://h:1,i,j:3", "cluster - - h 1 i 6379 j 3"},
		{"redis+cluster://h:1,h:2", "cluster - - h 1 h 2"},
		{"redis+cluster://h:1,i:2/", "cluster - - h 1 i 2"},
		{"redis+cluster://[::1]:7000,[fe80::2%25eth0],10.0.0.1:7001",
		 "cluster - - ::1 7000 fe80::2%eth0 6379 10.0.0.1 7001"},
		{"redis+cluster://ann:a,b@h:1,i:2", "cluster ann a,b h 1 i 2"},
		{"rediss+cluster://:secret@h:1,i:2", "cluster+tls - secret h 1 i 2"},
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
		{"unix://ann:secret@run/x", "absolute path"},
		{"unix://ann:%zz@/x", "bad % escape"},
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
		{"redis://h:7x", "bad port behind \"h\""},
		{"redis://::1", "brackets"},
		{"redis://[::1", "IPv6"},
		{"redis://[::1]7", "IPv6"},
		{"redis://h/1", "one database"},
		{"redis://a:%@h", "in the password"},
		{"redis://%:b@h", "in the user name"},
		{"redis://h:1,i:2", "redis+cluster://"},
		{"rediss://h:1,i:2", "rediss+cluster://"},
		{"redis+cluster://", "host is missing: redis+cluster://HOST"},
		{"redis+cluster://h:1,", "host 2 of 2 is empty"},
		{"redis+cluster://,h:1", "host 1 of 2 is empty"},
		{"redis+cluster://h:1,,i:2", "host 2 of 3 is empty"},
		{"redis+cluster://h:1,:2", "host is missing"},
		{"redis+cluster://h:1,i:x,j:2", "bad port behind \"i\""},
		{"redis+cluster://h:1,::1", "brackets"},
		{"redis+cluster://h:1,i:2,H:1", "H with port 1 stands there twice"},
		{"redis+cluster://h,h:6379", "twice"},
		{"redis+cluster://h:1,i:2/3", "one database"},
		{"redis-cluster://h:1", "unknown scheme \"redis-cluster\""},
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
	static const char *const texts[] = {"redis://ann:hunter2@h:x",
					    "redis://ann:hunter2%@h",
					    "redis://ann:hunter2@",
					    "redis://ann:hunter2@h/7",
					    "redis://ann:hunter2@[::1",
					    "redis://ann:hunter2",
					    "redis://ann:hunter2,h",
					    "redis+cluster://ann:hunter2@h:1,i:x",
					    "redis+cluster://ann:hunter2@h:1,",
					    "redis+cluster://ann:hunter2@h:1,h:1",
					    "redis+cluster://ann:hunter2,h:1",
					    "redi://ann:hunter2@h"};
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

static void test_a_cluster_has_1000_hosts_at_most(void **state)
{
	(void)state;
	char text[16384], error[URL_ERROR_SIZE];
	struct url u;
	int len = snprintf(text, sizeof(text), "redis+cluster://h:1");
	for (int i = 2; i <= URL_HOSTS_MAX; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, ",h:%d", i);
	assert_int_equal(url_parse(&u, text, error), URL_OK);
	assert_int_equal(u.hosts_count, URL_HOSTS_MAX);
	assert_int_equal(u.hosts[URL_HOSTS_MAX - 1].port, URL_HOSTS_MAX);
	url_fini(&u);
	snprintf(text + len, sizeof(text) - (size_t)len, ",i");
	assert_int_equal(url_parse(&u, text, error), URL_BAD);
	assert_non_null(strstr(error, "1001 hosts"));
}

static void test_what_the_url_says_wins_over_what_is_given_apart(void **state)
{
	(void)state;
	static const struct {
		const char *text, *user, *password, *told;
		bool is_spare;
	} cases[] = {
		{"redis://h", "bob", "pw", "tcp bob pw h 6379", true},
		{"redis://h", NULL, "pw", "tcp - pw h 6379", true},
		{"redis://h", "bob", "", "tcp bob  h 6379", true},
		{"redis://ann@h", NULL, "pw", "tcp ann pw h 6379", true},
		{"redis://ann@h", "bob", "pw", "tcp ann pw h 6379", true},
		{"redis://:mine@h", "bob", "pw", "tcp - mine h 6379", false},
		{"redis://ann:mine@h", "bob", "pw", "tcp ann mine h 6379", false},
		{"rediss+cluster://h:1,i:2", "bob", "pw", "cluster+tls bob pw h 1 i 2", true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct url u;
		char error[URL_ERROR_SIZE], told[256], user[8], password[8];
		assert_int_equal(url_parse(&u, cases[i].text, error), URL_OK);
		snprintf(user, sizeof(user), "%s", cases[i].user ? cases[i].user : "");
		snprintf(password, sizeof(password), "%s", cases[i].password);
		assert_int_equal(url_set_auth(&u, cases[i].user ? user : NULL, password), 0);
		memset(user, 'x', sizeof(user)); /* copied, not borrowed */
		memset(password, 'x', sizeof(password));
		tell(&u, told, sizeof(told));
		assert_string_equal(told, cases[i].told);
		assert_int_equal(u.is_spare_password, cases[i].is_spare);
		url_fini(&u);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_are_understood),
		cmocka_unit_test(test_what_is_wrong_is_said),
		cmocka_unit_test(test_a_password_is_not_in_the_message),
		cmocka_unit_test(test_a_path_has_107_bytes_at_most),
		cmocka_unit_test(test_a_cluster_has_1000_hosts_at_most),
		cmocka_unit_test(test_what_the_url_says_wins_over_what_is_given_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
