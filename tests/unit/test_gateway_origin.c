/* SPDX-License-Identifier: MIT */
/* Which Host, Origin and Sec-Fetch-* headers are those of a page of ours, or of no page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "../../gateway/origin.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const given[] = {"Counter.example.com", "192.0.2.7", "[2001:db8::7]", "app:8080"};
static const struct origin_self on_loopback = {"127.0.0.1:8480", NULL, 0, false};
static const struct origin_self on_address = {"192.0.2.1:8480", NULL, 0, false};
static const struct origin_self on_v6 = {"[2001:db8::1]:8480", NULL, 0, false};
static const struct origin_self on_all = {"0.0.0.0:8480", NULL, 0, false};
static const struct origin_self on_star = {"*:8480", NULL, 0, false};
static const struct origin_self on_name = {"gw.example.com:8480", NULL, 0, false};
static const struct origin_self with_names = {"127.0.0.1:8480", given, COUNT(given), false};
static const struct origin_self with_tls = {"127.0.0.1:8480", given, COUNT(given), true};

struct host_case {
	const struct origin_self *self;
	const char *host;
	bool is_ours;
};

static void check_hosts(const struct host_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (origin_is_our_host(cases[i].self, cases[i].host) != cases[i].is_ours)
			fail_msg("on %s the host '%s' is %s", cases[i].self->listen, cases[i].host,
				 cases[i].is_ours ? "refused" : "taken");
}

static void test_loopback_is_always_ours(void **state)
{
	static const struct host_case cases[] = {
		{&on_loopback, "localhost", true},	 {&on_loopback, "LocalHost:8480", true},
		{&on_loopback, "127.0.0.1", true},	 {&on_loopback, "127.0.0.1:1", true},
		{&on_loopback, "127.255.0.3:80", true},	 {&on_loopback, "[::1]", true},
		{&on_loopback, "[::1]:8480", true},	 {&on_loopback, "[::ffff:127.0.0.1]:8480", true},
		{&on_loopback, "localhost:", true},	 {&on_address, "localhost:8480", true},
		{&on_name, "[::1]:8480", true},		 {&on_star, "127.0.0.1", true},
		{&on_loopback, "localhost.:8480", true}, {&on_loopback, "localhost ", true},
		{&on_loopback, "[::1]:8480\t ", true},
	};

	(void)state;
	check_hosts(cases, COUNT(cases));
}

static void test_a_name_that_was_bound_to_our_address_is_not_ours(void **state)
{
	static const struct host_case cases[] = {
		{&on_loopback, "evil.example.com", false},
		{&on_loopback, "evil.example.com:8480", false},
		{&on_loopback, "localhost.evil.example.com", false},
		{&on_loopback, "evil.localhost", false},
		{&on_loopback, "127.0.0.1.evil.example.com", false},
		{&on_loopback, "127.0.0.1.", false},
		{&on_loopback, "localhost..", false},
		{&on_loopback, "localhost .evil.example.com", false},
		{&on_all, "evil.example.com:8480", false},
		{&on_star, "evil.example.com:8480", false},
		{&on_name, "evil.example.com:8480", false},
		{&with_names, "evil.example.com", false},
		{&with_names, "xcounter.example.com", false},
	};

	(void)state;
	check_hosts(cases, COUNT(cases));
}

static void test_what_we_listen_on_is_ours(void **state)
{
	static const struct host_case cases[] = {
		{&on_address, "192.0.2.1:8480", true},
		{&on_address, "192.0.2.1", true},
		{&on_address, "192.0.2.2:8480", false},
		{&on_loopback, "192.0.2.1:8480", false},
		{&on_v6, "[2001:db8::1]:8480", true},
		{&on_v6, "[2001:DB8:0::1]", true},
		{&on_v6, "[2001:db8::2]:8480", false},
		{&on_name, "gw.example.com", true},
		{&on_name, "GW.example.com:8480", true},
		/* We do not know what it stands for; an address cannot be rebound. */
		{&on_name, "192.0.2.9:8480", true},
		{&on_all, "192.0.2.9:8480", true},
		{&on_all, "[2001:db8::9]:8480", true},
		{&on_star, "192.0.2.9:8480", true},
	};

	(void)state;
	check_hosts(cases, COUNT(cases));
}

static void test_the_unspecified_address_is_never_ours(void **state)
{
	static const struct host_case cases[] = {
		{&on_all, "0.0.0.0:8480", false},      {&on_all, "[::]:8480", false},
		{&on_star, "0.0.0.0", false},	       {&on_loopback, "0.0.0.0:8480", false},
		{&on_name, "[::ffff:0.0.0.0]", false},
	};

	(void)state;
	check_hosts(cases, COUNT(cases));
}

static void test_given_names_are_ours_with_any_port(void **state)
{
	static const struct host_case cases[] = {
		{&with_names, "counter.example.com", true},
		{&with_names, "COUNTER.example.com:443", true},
		{&with_names, "192.0.2.7:1", true},
		{&with_names, "[2001:db8:0:0::7]:1", true},
		{&with_names, "app", true},
		{&with_names, "example.com", false},
	};

	(void)state;
	check_hosts(cases, COUNT(cases));
}

static void test_what_is_no_host_is_refused(void **state)
{
	static const char *const hosts[] = {"",
					    ":",
					    ":8480",
					    "localhost:x",
					    "localhost:65536",
					    "localhost:123456",
					    "[::1",
					    "::1",
					    "[]",
					    "[::1]8480",
					    "localhost:80:80",
					    "user@localhost",
					    "localhost/",
					    " localhost",
					    "localhost,evil",
					    "[::1%25lo]",
					    "[127.0.0.1]",
					    "local\thost",
					    "[evil.example.com]",
					    "localhost\x80",
					    "http://localhost"};
	char long_name[400];

	(void)state;
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	for (size_t i = 0; i < COUNT(hosts); i++)
		if (origin_is_our_host(&on_all, hosts[i]))
			fail_msg("'%s' is taken", hosts[i]);
	assert_false(origin_is_our_host(&on_all, long_name));
}

static void test_listen_without_brackets_is_understood(void **state)
{
	static const struct origin_self self = {"2001:db8::1:8480", NULL, 0, false};
	static const struct host_case cases[] = {{&self, "[2001:db8::1]:8480", true},
						 {&self, "[2001:db8::2]:8480", false}};

	(void)state;
	check_hosts(cases, COUNT(cases));
}

/* ---- whose page ---- */

struct origin_case {
	const struct origin_self *self;
	const char *origin, *host;
	bool is_same;
};

static void check_origins(const struct origin_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (origin_is_same(cases[i].self, cases[i].origin, cases[i].host) != cases[i].is_same)
			fail_msg("Origin '%s' and Host '%s' are %s", cases[i].origin, cases[i].host,
				 cases[i].is_same ? "not the same" : "the same");
}

static void test_our_own_page_is_the_same(void **state)
{
	static const struct origin_case cases[] = {
		{&on_loopback, "http://localhost:8480", "localhost:8480", true},
		{&on_loopback, "http://127.0.0.1:8480", "127.0.0.1:8480", true},
		{&on_loopback, "http://[::1]:8480", "[::1]:8480", true},
		{&with_names, "http://counter.example.com", "counter.example.com", true},
		{&with_names, "http://counter.example.com", "counter.example.com:80", true},
		{&with_names, "http://Counter.example.com:80", "counter.example.com", true},
		/* Behind a proxy. */
		{&with_names, "https://counter.example.com", "counter.example.com", true},
		{&with_names, "https://counter.example.com", "counter.example.com:443", true},
		{&with_tls, "https://counter.example.com", "counter.example.com", true},
		{&with_tls, "https://localhost:8480", "localhost:8480", true},
	};

	(void)state;
	check_origins(cases, COUNT(cases));
}

static void test_a_page_of_elsewhere_is_not(void **state)
{
	static const struct origin_case cases[] = {
		{&on_loopback, "null", "localhost:8480", false},
		{&on_loopback, "", "localhost:8480", false},
		{&on_loopback, "http://", "localhost:8480", false},
		{&on_loopback, "http://evil.example.com", "localhost:8480", false},
		/* Another server of this machine, another name of it, another way to it. */
		{&on_loopback, "http://localhost:3000", "localhost:8480", false},
		{&on_loopback, "http://localhost", "localhost:8480", false},
		{&on_loopback, "http://127.0.0.1:8480", "localhost:8480", false},
		{&on_loopback, "http://localhost:8480.evil.example.com", "localhost:8480", false},
		{&on_loopback, "http://localhost:8480@evil.example.com", "localhost:8480", false},
		{&on_loopback, "http://localhost:8480/", "localhost:8480", false},
		{&on_loopback, "chrome-extension://localhost:8480", "localhost:8480", false},
		{&on_loopback, "file://", "localhost:8480", false},
		{&on_loopback, "HTTP://localhost:8480", "localhost:8480", false},
		{&with_names, "https://counter.example.com", "counter.example.com:80", false},
		/* The server without TLS at the same name. */
		{&with_tls, "http://counter.example.com", "counter.example.com", false},
		{&with_tls, "http://counter.example.com:8480", "counter.example.com:8480", false},
	};

	(void)state;
	check_origins(cases, COUNT(cases));
}

static void test_only_a_link_to_a_page_is_followed_from_elsewhere(void **state)
{
	(void)state;
	assert_true(origin_may_fetch(NULL, NULL, NULL, false));
	assert_true(origin_may_fetch("same-origin", "cors", "empty", false));
	assert_true(origin_may_fetch("none", "navigate", "document", false));
	assert_true(origin_may_fetch("cross-site", "navigate", "document", true));
	assert_true(origin_may_fetch("same-site", "navigate", "document", true));
	assert_false(origin_may_fetch("cross-site", "navigate", "document", false));
	assert_false(origin_may_fetch("cross-site", "navigate", "iframe", true));
	assert_false(origin_may_fetch("cross-site", "no-cors", "script", true));
	assert_false(origin_may_fetch("cross-site", "no-cors", "document", true));
	assert_false(origin_may_fetch("cross-site", NULL, NULL, true));
	assert_false(origin_may_fetch("same-site", "cors", "empty", false));
	assert_false(origin_may_fetch("", NULL, NULL, false));
	assert_false(origin_may_fetch("something new", "cors", "empty", false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback_is_always_ours),
		cmocka_unit_test(test_a_name_that_was_bound_to_our_address_is_not_ours),
		cmocka_unit_test(test_what_we_listen_on_is_ours),
		cmocka_unit_test(test_the_unspecified_address_is_never_ours),
		cmocka_unit_test(test_given_names_are_ours_with_any_port),
		cmocka_unit_test(test_what_is_no_host_is_refused),
		cmocka_unit_test(test_listen_without_brackets_is_understood),
		cmocka_unit_test(test_our_own_page_is_the_same),
		cmocka_unit_test(test_a_page_of_elsewhere_is_not),
		cmocka_unit_test(test_only_a_link_to_a_page_is_followed_from_elsewhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
