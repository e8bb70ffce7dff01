/* SPDX-License-Identifier: MIT */
/* The file of tokens: what it may say, who may have written it, and who is found in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../gateway/tokens.h"

/* Of FIPS 180-4's example "abc", and of "s3cret". */
#define ABC    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_UP "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
#define OTHER  "sha256:1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct tokens *parsed(const char *text)
{
	char why[OPTIONS_ERROR_SIZE] = "";
	struct tokens *t = NULL;

	if (tokens_parse(&t, text, strlen(text), "f", why))
		fail_msg("%s", why);
	return t;
}

static void expect_refusal(const char *text, size_t len, const char *why_it_is)
{
	char why[OPTIONS_ERROR_SIZE] = "";
	struct tokens *t = NULL;

	assert_int_equal(tokens_parse(&t, text, len, "f", why), -22);
	assert_null(t);
	if (strncmp(why, why_it_is, strlen(why_it_is)) != 0)
		fail_msg("it says '%s', not '%s'", why, why_it_is);
}

static void test_a_token_is_found_by_its_hash(void **state)
{
	struct tokens *t = parsed("# who\n\nanna\tread  " OTHER "  # her phone\r\n bob admin " ABC_UP);
	const struct token *found;

	(void)state;
	found = tokens_find(t, "abc", 3);
	assert_non_null(found);
	assert_string_equal(found->name, "bob");
	assert_int_equal(found->role, ROLE_ADMIN);
	found = tokens_find(t, "s3cret", 6);
	assert_non_null(found);
	assert_string_equal(found->name, "anna");
	assert_int_equal(found->role, ROLE_READ);
	assert_null(tokens_find(t, "abd", 3));
	assert_null(tokens_find(t, "ab", 2));
	assert_null(tokens_find(t, "", 0));
	tokens_free(t);
}

static void test_each_of_many_is_found(void **state)
{
	char *text = malloc(TOKENS_MAX * 128 + 1), *at = text, token[32], hash[SECRET_LINE_SIZE];
	struct tokens *t;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < TOKENS_MAX; i++) {
		int len = snprintf(token, sizeof(token), "token-%d", i);

		secret_line((struct slice){token, (size_t)len}, hash);
		at += sprintf(at, "n%d write %s\n", i, hash);
	}
	t = parsed(text);
	for (int i = 0; i < TOKENS_MAX; i++) {
		int len = snprintf(token, sizeof(token), "token-%d", i);
		const struct token *found = tokens_find(t, token, (size_t)len);

		assert_non_null(found);
		assert_int_equal(atoi(found->name + 1), i);
	}
	tokens_free(t);
	sprintf(at, "one-more write " ABC "\n");
	expect_refusal(text, strlen(text), "f:1001: more than 1000 tokens");
	free(text);
}

static void test_a_bad_line_is_told_with_its_place(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "f: there is no token in it"},
		{"# nobody\n\n", "f: there is no token in it"},
		{"anna read", "f:1: a line is NAME ROLE sha256:HEX"},
		{"anna", "f:1: a line is NAME ROLE sha256:HEX"},
		{"\n\nanna read " ABC " x\n", "f:3: a line is NAME ROLE sha256:HEX"},
		{"anna reader " ABC "\n", "f:1: the role must be"},
		{"anna Read " ABC "\n", "f:1: the role must be"},
		{"anna rea " ABC "\n", "f:1: the role must be"},
		{"anna read " ABC "\nbob\n", "f:2: a line is"},
		{"an:na read " ABC "\n", "f:1: a name has"},
		{"0123456789012345678901234567890123456789012345678901234567890123 read " ABC,
		 "f:1: a name has at most 63"},
		{"anna read abc\n", "f:1: the third word must be sha256:"},
		{"anna read sha256:12\n", "f:1: the third word must be sha256:"},
		{"anna read " ABC "0\n", "f:1: the third word must be sha256:"},
		{"anna read sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
		 "f:1: the third word must be sha256:"},
		{"anna read sha256:xa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
		 "f:1: the third word must be sha256:"},
		{"anna read " ABC "\nanna write " OTHER "\n", "f:2: there is a 'anna' already"},
		{"anna read " ABC "\nbob write " ABC_UP "\n", "f:2: 'anna' has this token already"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		expect_refusal(cases[i].text, strlen(cases[i].text), cases[i].why);
	expect_refusal("an\0a read " ABC, sizeof("an\0a read " ABC) - 1, "f:1: a name has");
}

static void test_a_token_that_stands_there_by_mistake_is_not_repeated(void **state)
{
	static const char *const texts[] = {"anna read hunter2hunter2\n", "anna hunter2hunter2 " ABC "\n",
					    "hunter2/hunter2 read " ABC "\n", "hunter2hunter2\n"};
	char why[OPTIONS_ERROR_SIZE];
	struct tokens *t = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		assert_int_equal(tokens_parse(&t, texts[i], strlen(texts[i]), "f", why), -22);
		assert_null(strstr(why, "hunter2"));
	}
}

/* ---- the header ---- */

static void test_only_a_bearer_token_counts(void **state)
{
	static const char *const none[] = {
		"",	      "Bearer",	    "Bearer ",	"Basic YTpi", "BearerX abc", "abc",
		"Bearer a b", "Bearer a,b", "Bearer =", "Bearer a=b", "Bearer \xe4", "Bearer a\"",
		"Bearer\tabc"};
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(none); i++)
		if (tokens_bearer(none[i], &len))
			fail_msg("'%s' is taken", none[i]);
	assert_string_equal(tokens_bearer("Bearer abc", &len), "abc");
	assert_int_equal(len, 3);
	assert_string_equal(tokens_bearer("bEARER   a-._~+/9==  ", &len), "a-._~+/9==  ");
	assert_int_equal(len, 10);
}

static void test_a_token_of_any_allowed_length_is_one(void **state)
{
	char *text = malloc(TOKEN_CHARS_MAX + 2);

	(void)state;
	assert_non_null(text);
	memset(text, 'a', TOKEN_CHARS_MAX + 1);
	assert_true(tokens_is_token(text, TOKEN_CHARS_MAX));
	assert_false(tokens_is_token(text, TOKEN_CHARS_MAX + 1));
	assert_false(tokens_is_token(text, 0));
	free(text);
	assert_false(tokens_is_token("a\0b", 3));
}

/* ---- the file ---- */

static char path[] = "/tmp/test_gateway_tokens.XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0 || write(fd, "bob write " ABC "\n", 10 + sizeof(ABC)) < 0)
		return -1;
	close(fd);
	return 0;
}

static int drop_file(void **state)
{
	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	return 0;
}

static void expect_unread(const char *what)
{
	char why[OPTIONS_ERROR_SIZE] = "";
	struct tokens *t = NULL;

	assert_int_not_equal(tokens_read(&t, path, why), 0);
	assert_null(t);
	if (!strstr(why, what) || strncmp(why, path, strlen(path)) != 0)
		fail_msg("it says '%s'", why);
}

static void test_a_file_that_others_can_write_is_refused(void **state)
{
	static const mode_t bad[] = {0620, 0602, 0622, 0666}, good[] = {0400, 0600, 0440, 0644};
	char why[OPTIONS_ERROR_SIZE];
	struct tokens *t;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(chmod(path, bad[i]), 0);
		expect_unread("others can write it");
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(chmod(path, good[i]), 0);
		assert_int_equal(tokens_read(&t, path, why), 0);
		assert_non_null(tokens_find(t, "abc", 3));
		tokens_free(t);
	}
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 1, (gid_t)-1), 0);
		expect_unread("belongs to somebody else");
	}
	unlink(path);
}

static void test_what_is_no_file_is_refused(void **state)
{
	FILE *f = fopen(path, "we");

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 200000; i++)
		fputs("# many\n", f);
	fclose(f);
	expect_unread("it is too large");
	unlink(path);
	expect_unread("No such file");
	assert_int_equal(mkdir(path, 0700), 0);
	expect_unread("it is no regular file");
	rmdir(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_unread("it is no regular file");
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_token_is_found_by_its_hash),
		cmocka_unit_test(test_each_of_many_is_found),
		cmocka_unit_test(test_a_bad_line_is_told_with_its_place),
		cmocka_unit_test(test_a_token_that_stands_there_by_mistake_is_not_repeated),
		cmocka_unit_test(test_only_a_bearer_token_counts),
		cmocka_unit_test(test_a_token_of_any_allowed_length_is_one),
		cmocka_unit_test_setup_teardown(test_a_file_that_others_can_write_is_refused, make_file,
						drop_file),
		cmocka_unit_test_setup_teardown(test_what_is_no_file_is_refused, make_file, drop_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
