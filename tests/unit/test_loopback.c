/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>
#include <cmocka.h>

#include "../../lib/loopback.h"

static const struct {
	const char *text;
	bool is_loopback;
} v4_cases[] = {
	{"127.0.0.1", true},  {"127.0.0.0", true}, {"127.255.255.255", true}, {"126.255.255.255", false},
	{"128.0.0.0", false}, {"0.0.0.0", false},  {"10.0.0.127", false},     {"255.255.255.255", false},
};

static const struct {
	const char *text;
	bool is_loopback;
} v6_cases[] = {
	{"::1", true},	 {"::ffff:127.0.0.1", true}, {"::ffff:127.9.9.9", true},  {"::", false},
	{"::2", false},	 {"::127.0.0.1", false},     {"::ffff:128.0.0.1", false}, {"::ffff:0.0.0.1", false},
	{"1::1", false}, {"fe80::1", false},	     {"::fffe:127.0.0.1", false},
};

/* Of a family, whatever it has for an address. */
union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

static void test_of_ipv4_the_network_127_is_loopback(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(v4_cases) / sizeof(v4_cases[0]); i++) {
		union address a = {.v4 = {.sin_family = AF_INET}};

		assert_int_equal(inet_pton(AF_INET, v4_cases[i].text, &a.v4.sin_addr), 1);
		assert_int_equal(loopback_is(&a.any), v4_cases[i].is_loopback);
	}
}

static void test_of_ipv6_one_address_and_the_mapped_network_are_loopback(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(v6_cases) / sizeof(v6_cases[0]); i++) {
		union address a = {.v6 = {.sin6_family = AF_INET6}};

		assert_int_equal(inet_pton(AF_INET6, v6_cases[i].text, &a.v6.sin6_addr), 1);
		assert_int_equal(loopback_is(&a.any), v6_cases[i].is_loopback);
	}
}

static void test_other_families_have_none(void **state)
{
	const union address a = {.local = {.sun_family = AF_UNIX, .sun_path = "\177\0\0\1"}};

	(void)state;
	assert_false(loopback_is(&a.any));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_ipv4_the_network_127_is_loopback),
		cmocka_unit_test(test_of_ipv6_one_address_and_the_mapped_network_are_loopback),
		cmocka_unit_test(test_other_families_have_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
