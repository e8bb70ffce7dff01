/* SPDX-License-Identifier: MIT */
/* Rules of who may do what: what the file may say, and what follows for one peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../daemon/access.h"
#include "../../daemon/rights.h"

/* Of FIPS 180-4's example "abc", and of "s3cret". */
#define ABC   "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define OTHER "sha256:1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a machine with two users and a group ---- */

static bool uid_of(const char *name, uint32_t *out)
{
	if (strcmp(name, "anna") == 0)
		*out = 1001;
	else if (strcmp(name, "bob") == 0)
		*out = 1002;
	else
		return false;
	return true;
}

static bool gid_of(const char *name, uint32_t *out)
{
	*out = 2001;
	return strcmp(name, "web") == 0;
}

static const struct access_names names = {uid_of, gid_of};

static struct access *parsed(const char *text)
{
	char why[GUARDED_WHY_SIZE] = "";
	struct access *a = NULL;

	if (access_parse(&a, text, strlen(text), &names, "f", why))
		fail_msg("%s", why);
	return a;
}

static const struct rights_who anna = {.is_unix = true, .uid = 1001, .gid = 100};
static const struct rights_who bob = {.is_unix = true, .uid = 1002, .gid = 2001};
static const struct rights_who somebody = {.is_unix = true, .uid = 1003, .gid = 100};
static const struct rights_who root = {.is_unix = true, .is_owner = true};
static const struct rights_who loopback = {.is_loopback = true};
static const struct rights_who remote = {.is_loopback = false};

static struct rights of(const struct access *a, const struct rights_who *who)
{
	struct rights r;

	assert_int_equal(rights_resolve(&r, a, who), 0);
	return r;
}

/* The highest role on a name, as a word. */
static const char *role_on(const struct access *a, const struct rights_who *who, const char *name)
{
	struct rights r = of(a, who);
	enum role has = ROLE_NOBODY;

	for (enum role role = ROLE_READ; role <= ROLE_ADMIN; role++)
		if (r.is_free || rights_may(&r, role, slice_str(name)))
			has = role;
	rights_fini(&r);
	return role_name(has);
}

/* ---- whom a rule is about ---- */

static void test_a_user_has_his_role_on_the_names_that_fit(void **state)
{
	struct access *a = parsed("# who\n\nuser anna  write web:* app?\t# hers\r\nuser 1002 read\n");

	(void)state;
	assert_string_equal(role_on(a, &anna, "web:hits"), "write");
	assert_string_equal(role_on(a, &anna, "app1"), "write");
	assert_string_equal(role_on(a, &anna, "app12"), "nobody");
	assert_string_equal(role_on(a, &anna, "mail"), "nobody");
	assert_string_equal(role_on(a, &bob, "mail"), "read");
	assert_string_equal(role_on(a, &somebody, "mail"), "nobody");
	access_unref(a);
}

static void test_rules_of_a_user_and_of_his_groups_add_up(void **state)
{
	static const gid_t groups[] = {7, 2001};
	const struct rights_who member = {
		.is_unix = true, .uid = 1001, .gid = 100, .groups = groups, .group_count = COUNT(groups)};
	struct access *a = parsed("user anna read\nuser anna admin own:*\ngroup web write web:*\n");

	(void)state;
	assert_string_equal(role_on(a, &member, "x"), "read");
	assert_string_equal(role_on(a, &member, "own:x"), "admin");
	assert_string_equal(role_on(a, &member, "web:x"), "write");
	assert_string_equal(role_on(a, &anna, "web:x"), "read");
	/* of his primary group */
	assert_string_equal(role_on(a, &bob, "web:x"), "write");
	access_unref(a);
}

static void test_others_are_those_without_a_rule_of_their_own_and_loopback(void **state)
{
	struct access *a = parsed("others read pub:*\nuser anna write web:*\n");

	(void)state;
	assert_string_equal(role_on(a, &somebody, "pub:x"), "read");
	assert_string_equal(role_on(a, &loopback, "pub:x"), "read");
	assert_string_equal(role_on(a, &anna, "pub:x"), "nobody");
	assert_string_equal(role_on(a, &remote, "pub:x"), "nobody");
	access_unref(a);
}

static void test_the_owner_is_free_whatever_the_rules_say(void **state)
{
	struct access *a = parsed("user 0 read x\nothers read x\n");
	struct rights_who claims = root;
	struct rights r = of(a, &root);

	(void)state;
	assert_true(r.is_free);
	/* A uid means nothing on TCP. */
	claims.is_unix = false;
	r = of(a, &claims);
	assert_false(r.is_free);
	assert_int_equal(r.role, ROLE_NOBODY);
	access_unref(a);
}

static void test_without_rules_everybody_is_free(void **state)
{
	struct rights r = of(NULL, &remote);

	(void)state;
	assert_true(r.is_free);
	assert_true(rights_may(&r, ROLE_ADMIN, slice_str("x")));
	assert_true(rights_may_all(&r, ROLE_ADMIN));
}

static void test_a_login_is_that_and_nobody_else_any_more(void **state)
{
	struct access *a = parsed("user anna admin\nothers read\nlogin app write " ABC " app:*\n");
	uint8_t hash[SECRET_HASH_SIZE];
	struct rights_who who = root;

	(void)state;
	secret_hash(slice_str("abc"), hash);
	assert_true(access_is_login(a, slice_str("app"), hash));
	assert_false(access_is_login(a, slice_str("ap"), hash));
	assert_false(access_is_login(a, slice_str("anna"), hash));
	assert_false(access_is_login(a, (struct slice){0}, hash));
	who.login = "app";
	who.hash = hash;
	assert_string_equal(role_on(a, &who, "app:x"), "write");
	assert_string_equal(role_on(a, &who, "x"), "nobody");
	access_unref(a);
}

static void test_of_a_login_with_two_passwords_each_has_its_own_lines(void **state)
{
	struct access *a =
		parsed("login app write " ABC " a:*\nlogin app read " ABC "\nlogin app read " OTHER "\n");
	uint8_t hash[SECRET_HASH_SIZE];
	struct rights_who who = {.login = "app", .hash = hash};

	(void)state;
	secret_hash(slice_str("abc"), hash);
	assert_string_equal(role_on(a, &who, "a:x"), "write");
	assert_string_equal(role_on(a, &who, "x"), "read");
	secret_hash(slice_str("s3cret"), hash);
	assert_true(access_is_login(a, slice_str("app"), hash));
	assert_string_equal(role_on(a, &who, "a:x"), "read");
	/* and one that is not in the file any more has none */
	secret_hash(slice_str("old"), hash);
	assert_false(access_is_login(a, slice_str("app"), hash));
	assert_string_equal(role_on(a, &who, "a:x"), "nobody");
	access_unref(a);
}

static void test_all_names_are_those_of_a_star_and_nothing_else(void **state)
{
	static const struct {
		const char *rules;
		enum role role, role_all;
		bool is_free;
	} cases[] = {
		{"user anna admin\n", ROLE_ADMIN, ROLE_ADMIN, true},
		{"user anna write a *\n", ROLE_WRITE, ROLE_WRITE, false},
		{"user anna write **\n", ROLE_WRITE, ROLE_NOBODY, false},
		{"user anna admin ?*\nuser anna read *\n", ROLE_ADMIN, ROLE_READ, false},
		{"user bob admin\n", ROLE_NOBODY, ROLE_NOBODY, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct access *a = parsed(cases[i].rules);
		struct rights r = of(a, &anna);

		assert_int_equal(r.role, cases[i].role);
		assert_int_equal(r.role_all, cases[i].role_all);
		assert_int_equal(r.is_free, cases[i].is_free);
		assert_int_equal(rights_may_all(&r, ROLE_READ), cases[i].role_all >= ROLE_READ);
		rights_fini(&r);
		access_unref(a);
	}
}

/* ---- what the file may say ---- */

static void test_what_is_no_rule_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "f: there is no rule in it"},
		{"# nothing\n", "f: there is no rule in it"},
		{"\nusers anna read\n", "f:2: a line begins with user, group, login, others or limit"},
		{"user\n", "f:1: a line is: user NAME ROLE [PATTERN ...], or group NAME ROLE [PATTERN ...]"},
		{"group web\n",
		 "f:1: a line is: user NAME ROLE [PATTERN ...], or group NAME ROLE [PATTERN ...]"},
		{"others\n", "f:1: a line is: others ROLE [PATTERN ...]"},
		{"login app read\n", "f:1: a line is: login NAME ROLE sha256:HEX [PATTERN ...]"},
		{"user carol read\n", "f:1: there is no user 'carol' here"},
		{"group carol read\n", "f:1: there is no group 'carol' here"},
		{"user -1 read\n", "f:1: a user has a number from 0 to 4294967294"},
		{"group 4294967295 read\n", "f:1: a group has a number from 0 to 4294967294"},
		{"user anna root\n", "f:1: the role must be read, write or admin"},
		{"user anna READ\n", "f:1: the role must be read, write or admin"},
		{"others read\nothers nobody\n", "f:2: the role must be read, write or admin"},
		{"login a:b read " ABC "\n", "f:1: a login has letters, digits and -._ only"},
		{"login app read s3cret\n", "f:1: behind the role of a login stands sha256: and 64"},
		{"user anna read a\x7f\n", "f:1: a pattern has at most 255 bytes and no control characters"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char why[GUARDED_WHY_SIZE] = "";
		struct access *a = NULL;

		assert_int_equal(access_parse(&a, cases[i].text, strlen(cases[i].text), &names, "f", why),
				 -EINVAL);
		assert_null(a);
		if (strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
			fail_msg("it says '%s', not '%s'", why, cases[i].why);
		assert_null(strstr(why, "s3cret"));
	}
}

static void test_there_is_an_end_to_rules_and_patterns(void **state)
{
	char *text = malloc(1 << 20), *at = text, why[GUARDED_WHY_SIZE];
	struct access *a = NULL;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < ACCESS_RULES_MAX; i++)
		at += sprintf(at, "user %d read n%d\n", i, i);
	a = parsed(text);
	assert_string_equal(role_on(a, &(struct rights_who){.is_unix = true, .uid = 999}, "n999"), "read");
	access_unref(a);
	sprintf(at, "user 1 read\n");
	assert_int_equal(access_parse(&a, text, strlen(text), &names, "f", why), -EINVAL);
	assert_string_equal(why, "f:1001: more than 1000 rules");
	at = text + sprintf(text, "others read");
	for (int i = 0; i < ACCESS_PATTERNS_MAX; i++)
		at += sprintf(at, " p%d", i);
	a = parsed(text);
	assert_string_equal(role_on(a, &somebody, "p255"), "read");
	access_unref(a);
	sprintf(at, " x");
	assert_int_equal(access_parse(&a, text, strlen(text), &names, "f", why), -EINVAL);
	assert_string_equal(why, "f:1: more than 256 patterns: write another line");
	free(text);
}

static void test_a_file_that_others_can_write_is_refused(void **state)
{
	char path[] = "/tmp/test_access.XXXXXX", why[GUARDED_WHY_SIZE];
	struct access *a = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "others read\n", 12), 12);
	assert_int_equal(access_read(&a, path, why), 0);
	a = access_unref(a);
	assert_int_equal(fchmod(fd, 0620), 0);
	assert_int_equal(access_read(&a, path, why), -EINVAL);
	assert_non_null(strstr(why, "others can write it"));
	close(fd);
	unlink(path);
	assert_int_equal(access_read(&a, path, why), -EINVAL);
	assert_non_null(strstr(why, "No such file"));
}

static void test_a_byte_order_mark_is_named(void **state)
{
	static const char text[] = "\xef\xbb\xbfothers read\n";
	char path[] = "/tmp/test_access.XXXXXX", why[GUARDED_WHY_SIZE];
	struct access *a = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	assert_int_equal(access_read(&a, path, why), -EINVAL);
	assert_non_null(strstr(why, "byte order mark"));
	unlink(path);
}

/* ---- the set in force ---- */

enum { ROUNDS = 2000 };

static void *replace(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		access_now_set(arg, parsed(i % 2 ? "others read\n" : "others write\n"));
	return NULL;
}

static void test_a_set_lives_as_long_as_somebody_looks_at_it(void **state)
{
	struct access_now now;
	uint64_t generation = 0;
	pthread_t thread;

	(void)state;
	access_now_init(&now);
	assert_null(access_now_get(&now, &generation));
	assert_false(access_now_is_new(&now, generation));
	assert_int_equal(pthread_create(&thread, NULL, replace, &now), 0);
	while (generation < ROUNDS) {
		struct access *a = access_now_get(&now, &generation);

		if (a)
			assert_string_not_equal(role_on(a, &somebody, "x"), "nobody");
		access_unref(a);
	}
	pthread_join(thread, NULL);
	assert_false(access_now_is_new(&now, generation));
	access_now_fini(&now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_user_has_his_role_on_the_names_that_fit),
		cmocka_unit_test(test_rules_of_a_user_and_of_his_groups_add_up),
		cmocka_unit_test(test_others_are_those_without_a_rule_of_their_own_and_loopback),
		cmocka_unit_test(test_the_owner_is_free_whatever_the_rules_say),
		cmocka_unit_test(test_without_rules_everybody_is_free),
		cmocka_unit_test(test_a_login_is_that_and_nobody_else_any_more),
		cmocka_unit_test(test_of_a_login_with_two_passwords_each_has_its_own_lines),
		cmocka_unit_test(test_all_names_are_those_of_a_star_and_nothing_else),
		cmocka_unit_test(test_what_is_no_rule_is_refused_with_its_line),
		cmocka_unit_test(test_there_is_an_end_to_rules_and_patterns),
		cmocka_unit_test(test_a_file_that_others_can_write_is_refused),
		cmocka_unit_test(test_a_byte_order_mark_is_named),
		cmocka_unit_test(test_a_set_lives_as_long_as_somebody_looks_at_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
