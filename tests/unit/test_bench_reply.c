/* SPDX-License-Identifier: MIT */
/*
 * A load generator's replies are read as what they are however they are cut, and what is none is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../cmd/bench_reply.h"

/* Reads a copy of exactly these bytes, so that the address sanitizer sees what is beyond. */
static int read_text(enum reply_kind kind, const char *text, size_t len, struct reply *out)
{
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	int rc = reply_read(kind, copy, len, out);
	size_t at = rc == REPLY_REFUSED ? (size_t)(out->words.data - copy) : 0;
	free(copy);
	if (rc == REPLY_REFUSED)
		out->words.data = text + at;
	return rc;
}

struct good {
	enum reply_kind kind;
	const char *text;
	int64_t value;
	bool is_there;
};

static const struct good GOOD[] = {
	{REPLY_INT, ":0\r\n", 0, true},
	{REPLY_INT, ":7\r\n", 7, true},
	{REPLY_INT, ":12\r\n", 12, true},
	{REPLY_INT, ":1234567\r\n", 1234567, true},
	{REPLY_INT, ":12345678\r\n", 12345678, true},
	{REPLY_INT, ":123456789\r\n", 123456789, true},
	{REPLY_INT, ":9223372036854775807\r\n", INT64_MAX, true},
	{REPLY_INT, ":-9223372036854775808\r\n", INT64_MIN, true},
	{REPLY_INT, ":-17\r\n", -17, true},
	{REPLY_OK, "+OK\r\n", 0, true},
	{REPLY_BULK, "$2\r\n17\r\n", 17, true},
	{REPLY_BULK, "$3\r\n-17\r\n", -17, true},
	{REPLY_BULK, "$-1\r\n", 0, false},
	{REPLY_DECIMAL, "17\r\n", 17, true},
	{REPLY_DECIMAL, "18446744073709551615\r\n", -1, true},
	{REPLY_HD, "HD\r\n", 0, true},
	{REPLY_VALUE, "VALUE bench:1 0 2\r\n17\r\nEND\r\n", 17, true},
	{REPLY_VALUE, "END\r\n", 0, false},
	{REPLY_STORED, "STORED\r\n", 0, true},
	{REPLY_STORED, "NOT_STORED\r\n", 0, false},
	{REPLY_DELETED, "DELETED\r\n", 0, true},
	{REPLY_DELETED, "NOT_FOUND\r\n", 0, false},
	{REPLY_STATS, "STAT pid 4711\r\nSTAT uptime 3\r\nEND\r\n", 4711, true},
	{REPLY_STATS, "END\r\n", 0, true},
};

enum { GOODS = sizeof(GOOD) / sizeof(GOOD[0]) };

static void test_a_good_reply_is_read_to_its_end(void **state)
{
	(void)state;
	struct reply reply;
	char text[128];
	for (size_t i = 0; i < GOODS; i++) {
		/* Whatever stands behind it. */
		int len = snprintf(text, sizeof(text), "%s12345678901234567890", GOOD[i].text);
		print_message("%s", GOOD[i].text);
		assert_int_equal(read_text(GOOD[i].kind, text, (size_t)len, &reply), REPLY_GOOD);
		assert_int_equal(reply.size, strlen(GOOD[i].text));
		assert_int_equal(reply.value, GOOD[i].value);
		assert_int_equal(reply.is_there, GOOD[i].is_there);
	}
}

static void test_the_beginning_of_a_good_reply_waits_for_the_rest(void **state)
{
	(void)state;
	struct reply reply;
	for (size_t i = 0; i < GOODS; i++)
		for (size_t len = 0; len < strlen(GOOD[i].text); len++)
			assert_int_equal(read_text(GOOD[i].kind, GOOD[i].text, len, &reply), REPLY_MORE);
}

static void test_an_error_is_told_in_its_words(void **state)
{
	static const struct {
		enum reply_kind kind;
		const char *text, *words;
	} CASES[] = {
		{REPLY_INT, "-ERR no\r\n:1\r\n", "ERR no"},
		{REPLY_OK, "-MISCONF disk\r\n", "MISCONF disk"},
		{REPLY_BULK, "-\r\n", ""},
		{REPLY_DECIMAL, "NOT_FOUND\r\n", "NOT_FOUND"},
		{REPLY_DECIMAL, "CLIENT_ERROR cannot increment\r\n", "CLIENT_ERROR cannot increment"},
		{REPLY_HD, "NF\r\n", "NF"},
		{REPLY_VALUE, "SERVER_ERROR out of memory\r\n", "SERVER_ERROR out of memory"},
		{REPLY_STORED, "ERROR\r\n", "ERROR"},
	};
	(void)state;
	struct reply reply;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		size_t len = strlen(CASES[i].text);
		assert_int_equal(read_text(CASES[i].kind, CASES[i].text, len, &reply), REPLY_REFUSED);
		assert_true(slice_equal(reply.words, slice_str(CASES[i].words)));
		assert_int_equal(reply.size, strcspn(CASES[i].text, "\n") + 1);
		size_t whole = reply.size;
		for (len = 0; len < whole; len++)
			assert_int_equal(read_text(CASES[i].kind, CASES[i].text, len, &reply), REPLY_MORE);
	}
}

static void test_what_is_no_answer_is_bad(void **state)
{
	static const struct {
		enum reply_kind kind;
		const char *text;
	} CASES[] = {
		{REPLY_INT, "+OK\r\n"},
		{REPLY_INT, "$1\r\n1\r\n"},
		{REPLY_INT, ":\r\n"},
		{REPLY_INT, ":-\r\n"},
		{REPLY_INT, ":1x\r\n"},
		{REPLY_INT, ":12345678x\r\n"},
		{REPLY_INT, ":1\n"},
		{REPLY_INT, ":1\rx"},
		{REPLY_INT, ":123456789012345678901\r\n"},
		{REPLY_OK, "+QUEUED\r\n"},
		{REPLY_OK, ":1\r\n"},
		{REPLY_BULK, "$-2\r\n"},
		{REPLY_BULK, "$3\r\n17\r\n"},
		{REPLY_BULK, "$1\r\n17\r\n"},
		{REPLY_BULK, "$2\r\nab\r\n"},
		{REPLY_DECIMAL, "HD\r\n"},
		{REPLY_DECIMAL, "-1\r\n"},
		{REPLY_HD, "17\r\n"},
		{REPLY_VALUE, "VALUE a 0 1\r\nx\r\nEND\r\n"},
		{REPLY_VALUE, "VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n1\r\nEND\r\n"},
		{REPLY_STORED, "EXISTS\r\n"},
		{REPLY_STATS, "STAT pid x\r\nEND\r\n"},
		{REPLY_STATS, "VERSION 1\r\n"},
		{REPLY_DECIMAL, "ERROR\n"},
	};
	(void)state;
	struct reply reply;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		print_message("%s", CASES[i].text);
		assert_int_equal(read_text(CASES[i].kind, CASES[i].text, strlen(CASES[i].text), &reply),
				 REPLY_BAD);
	}
}

static void test_a_reply_without_end_is_bad_at_last(void **state)
{
	(void)state;
	struct reply reply;
	char *text = malloc(REPLY_BYTES_MAX);
	assert_non_null(text);
	memset(text, 'E', REPLY_BYTES_MAX);
	text[0] = '-';
	assert_int_equal(reply_read(REPLY_INT, text, REPLY_BYTES_MAX - 1, &reply), REPLY_MORE);
	assert_int_equal(reply_read(REPLY_INT, text, REPLY_BYTES_MAX, &reply), REPLY_BAD);
	free(text);
}

static void test_a_run_ends_where_the_count_does_or_what_is_not_good(void **state)
{
	static const char text[] = ":5\r\n:6\r\n:9\r\n-ERR no\r\n:10\r\n:1";
	(void)state;
	const char *at = text, *end = text + sizeof(text) - 1;
	struct reply next;
	struct reply_run run = {.last = 4};
	assert_int_equal(reply_read_run(REPLY_INT, at, (size_t)(end - at), 2, &run, &next), REPLY_GOOD);
	assert_int_equal(run.count, 2);
	assert_int_equal(run.size, 8);
	assert_int_equal(run.last, 6);
	assert_true(run.is_rising);
	at += run.size;
	assert_int_equal(reply_read_run(REPLY_INT, at, (size_t)(end - at), 9, &run, &next), REPLY_REFUSED);
	assert_int_equal(run.count, 1);
	assert_int_equal(run.last, 9);
	assert_int_equal(next.size, strlen("-ERR no\r\n"));
	at += run.size + next.size;
	assert_int_equal(reply_read_run(REPLY_INT, at, (size_t)(end - at), 9, &run, &next), REPLY_MORE);
	assert_int_equal(run.count, 1);
	assert_int_equal(run.size, 5);
	assert_int_equal(run.last, 10);
}

static void test_values_that_do_not_rise_are_seen(void **state)
{
	static const char *const texts[] = {":5\r\n:5\r\n", ":5\r\n:4\r\n", ":4\r\n:5\r\n", ":-9\r\n:-8\r\n"};
	(void)state;
	struct reply next;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct reply_run run = {.last = 4};
		assert_int_equal(reply_read_run(REPLY_INT, texts[i], strlen(texts[i]), 2, &run, &next),
				 REPLY_GOOD);
		assert_false(run.is_rising);
	}
}

static void test_the_values_of_a_run_are_told(void **state)
{
	static const char texts[] = "$1\r\n7\r\n$2\r\n-3\r\n$-1\r\n$1\r\n5\r\n";
	(void)state;
	struct reply next;
	struct reply_run run = {.last = 4};
	assert_int_equal(reply_read_run(REPLY_BULK, texts, strlen(texts), 4, &run, &next), REPLY_GOOD);
	assert_int_equal(run.values.sum, 9);
	assert_int_equal(run.values.least, -3);
	assert_int_equal(run.values.most, 7);
	assert_int_equal(run.values.absent, 1);
	assert_int_equal(reply_read_run(REPLY_BULK, texts, 1, 4, &run, &next), REPLY_MORE);
	assert_true(run.values.least > run.values.most);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_reply_is_read_to_its_end),
		cmocka_unit_test(test_the_beginning_of_a_good_reply_waits_for_the_rest),
		cmocka_unit_test(test_an_error_is_told_in_its_words),
		cmocka_unit_test(test_what_is_no_answer_is_bad),
		cmocka_unit_test(test_a_reply_without_end_is_bad_at_last),
		cmocka_unit_test(test_a_run_ends_where_the_count_does_or_what_is_not_good),
		cmocka_unit_test(test_values_that_do_not_rise_are_seen),
		cmocka_unit_test(test_the_values_of_a_run_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
