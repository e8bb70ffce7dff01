/* SPDX-License-Identifier: MIT */
/* What a source may take: which line of the rules counts, and what the lines may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../daemon/access.h"
#include "../../daemon/budget.h"
#include "../../daemon/limits.h"

#define HASH	 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a machine with two users and two groups ---- */

static bool uid_of(const char *name, uint32_t *out)
{
	*out = strcmp(name, "anna") == 0 ? 1001 : 1002;
	return strcmp(name, "anna") == 0 || strcmp(name, "bob") == 0;
}

static bool gid_of(const char *name, uint32_t *out)
{
	*out = strcmp(name, "web") == 0 ? 2001 : 2002;
	return strcmp(name, "web") == 0 || strcmp(name, "mail") == 0;
}

static const struct access_names names = {uid_of, gid_of};
static const gid_t both[] = {2001, 2002};

static const struct rights_who anna = {.is_unix = true, .uid = 1001, .gid = 100};
static const struct rights_who bob = {.is_unix = true, .uid = 1002, .gid = 2001};
static const struct rights_who member = {
	.is_unix = true, .uid = 1003, .gid = 100, .groups = both, .group_count = COUNT(both)};
static const struct rights_who root = {.is_unix = true, .is_owner = true};
static const struct rights_who remote = {0};
static const struct rights_who web = {.is_unix = true, .is_owner = true, .login = "web"};
static const struct rights_who rest = {.login = "rest"};

static const struct limits settings = {{100, 200, 300}};

static struct access *parsed(const char *limits)
{
	char text[1024], why[GUARDED_WHY_SIZE] = "";
	struct access *a = NULL;

	(void)snprintf(text, sizeof(text),
		       "others admin\nlogin web read " HASH "\nlogin rest read " HASH "\n%s", limits);
	if (access_parse(&a, text, strlen(text), &names, "f", why))
		fail_msg("%s", why);
	return a;
}

static void assert_limits(const struct access *a, const struct rights_who *who, int64_t operations,
			  int64_t bytes, int64_t clients)
{
	struct limits l;

	limits_resolve(&settings, a, who, &l);
	assert_int_equal(l.values[LIMIT_OPERATIONS], operations);
	assert_int_equal(l.values[LIMIT_BYTES], bytes);
	assert_int_equal(l.values[LIMIT_CLIENTS], clients);
}

/* ---- which counts ---- */

static void test_without_lines_the_settings_count_but_not_for_the_owner(void **state)
{
	struct access *a = parsed("");

	(void)state;
	assert_limits(NULL, &anna, 100, 200, 300);
	assert_limits(a, &anna, 100, 200, 300);
	assert_limits(a, &remote, 100, 200, 300);
	assert_limits(a, &web, 100, 200, 300); /* who logs in is that */
	assert_limits(a, &root, 0, 0, 0);
	assert_limits(NULL, &root, 0, 0, 0);
	access_unref(a);
}

static void test_what_a_line_does_not_say_is_as_the_settings_have_it(void **state)
{
	struct access *a = parsed("limit user anna operations=5\nlimit user 0 bytes=2k\n");

	(void)state;
	assert_limits(a, &anna, 5, 200, 300);
	assert_limits(a, &root, 0, 2048, 0);
	access_unref(a);
}

static void test_none_is_no_limit_of_one_or_of_all(void **state)
{
	struct access *a = parsed("limit user anna none\nlimit user bob clients=none bytes=0\n");

	(void)state;
	assert_limits(a, &anna, 0, 0, 0);
	assert_limits(a, &bob, 100, 0, 0);
	access_unref(a);
}

static void test_the_line_that_names_him_goes_before_his_groups_and_those_before_others(void **state)
{
	struct access *a = parsed("limit others operations=1\nlimit group web operations=2\nlimit user bob "
				  "operations=3\nlimit login web operations=4\n");

	(void)state;
	assert_limits(a, &bob, 3, 200, 300);
	assert_limits(a, &member, 2, 200, 300);
	assert_limits(a, &anna, 1, 200, 300);
	assert_limits(a, &remote, 1, 200, 300);
	assert_limits(a, &web, 4, 200, 300);
	assert_limits(a, &rest, 1, 200, 300);
	assert_limits(a, &root, 0, 0, 0); /* is not others */
	access_unref(a);
}

static void test_of_his_groups_the_most_generous_counts_for_each(void **state)
{
	struct access *a = parsed("limit group web operations=50 bytes=none clients=7\n"
				  "limit group mail operations=20 bytes=10\n");

	(void)state;
	assert_limits(a, &member, 50, 0, 300);
	assert_limits(a, &bob, 50, 0, 7);
	assert_limits(a, &anna, 100, 200, 300);
	assert_true(limits_need_groups(a));
	access_unref(a);
	a = parsed("limit user anna none\n");
	assert_false(limits_need_groups(a));
	assert_false(limits_need_groups(NULL));
	access_unref(a);
}

static void test_root_is_limited_by_a_line_that_names_his_group(void **state)
{
	const struct rights_who owner = {.is_unix = true, .is_owner = true, .uid = 5, .gid = 2001};
	struct access *a = parsed("limit group web clients=9\n");

	(void)state;
	assert_limits(a, &owner, 0, 0, 9);
	access_unref(a);
}

/* ---- what may stand there ---- */

static void test_what_is_no_limit_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *line, *word;
	} cases[] = {
		{"limit", "f:2: a line is: limit user NAME"},
		{"limit user", "f:2: a line is: limit"},
		{"limit user anna", "f:2: a line is: limit"},
		{"limit others", "f:2: a line is: limit"},
		{"limit anna operations=1", "f:2: a line is: limit"},
		{"limit user anna read", "f:2: a line is: limit"},
		{"limit user anna operations", "f:2: a line is: limit"},
		{"limit user anna operations=", "operations: a value is missing"},
		{"limit user anna operations=1 clients=1 bytes=1 none", "f:2: a line is: limit"},
		{"limit user anna operations=1 none", "f:2: a line is: limit"},
		{"limit user anna operations=1 operations=2", "f:2: operations is given twice"},
		{"limit user anna operations=-1", "f:2: operations: '-1' will not do"},
		{"limit user anna operations=1k", "f:2: operations: '1k' will not do"},
		{"limit user anna operations=1000000001", "0 to 1000000000 (or none)"},
		{"limit user anna clients=1000001", "0 to 1000000 (or none)"},
		{"limit user anna bytes=9g", "0 to 8g (or none)"},
		{"limit user anna bytes=x", "f:2: bytes: 'x' will not do: give a size"},
		{"limit user carl none", "f:2: there is no user 'carl' here"},
		{"limit group carl none", "f:2: there is no group 'carl' here"},
		{"limit login web none", "f:2: there is no login 'web' in these rules"},
		{"limit login w:b none", "f:2: a login has letters"},
		{"limit user anna none\nlimit user 1001 clients=2",
		 "f:3: their limits stand in line 2 already"},
		{"limit others none\nlimit others clients=2", "f:3: their limits stand in line 2 already"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[256], why[GUARDED_WHY_SIZE] = "";
		struct access *a = NULL;

		(void)snprintf(text, sizeof(text), "others read\n%s\n", cases[i].line);
		assert_int_equal(access_parse(&a, text, strlen(text), &names, "f", why), -EINVAL);
		if (!strstr(why, cases[i].word))
			fail_msg("%s: %s", cases[i].line, why);
	}
}

static void test_limits_alone_are_no_rules(void **state)
{
	const char *text = "limit others clients=5\n";
	char why[GUARDED_WHY_SIZE] = "";
	struct access *a = NULL;

	(void)state;
	assert_int_equal(access_parse(&a, text, strlen(text), &names, "f", why), -EINVAL);
	assert_non_null(strstr(why, "there is no rule in it"));
}

static void test_the_largest_values_are_taken(void **state)
{
	struct access *a = parsed("limit user anna operations=1000000000 bytes=8g clients=1000000\n");

	(void)state;
	assert_limits(a, &anna, 1000000000, BUDGET_RATE_MAX, 1000000);
	access_unref(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_lines_the_settings_count_but_not_for_the_owner),
		cmocka_unit_test(test_what_a_line_does_not_say_is_as_the_settings_have_it),
		cmocka_unit_test(test_none_is_no_limit_of_one_or_of_all),
		cmocka_unit_test(test_the_line_that_names_him_goes_before_his_groups_and_those_before_others),
		cmocka_unit_test(test_of_his_groups_the_most_generous_counts_for_each),
		cmocka_unit_test(test_root_is_limited_by_a_line_that_names_his_group),
		cmocka_unit_test(test_what_is_no_limit_is_refused_with_its_line),
		cmocka_unit_test(test_limits_alone_are_no_rules),
		cmocka_unit_test(test_the_largest_values_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
