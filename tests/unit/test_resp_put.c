/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/num.h"
#include "../../lib/resp.h"

static void assert_content(struct buf *b, const char *expected)
{
	assert_false(b->failed);
	buf_append(b, "", 1);
	assert_string_equal(buf_head(b), expected);
	buf_consume(b, buf_len(b));
}

static void test_replies_that_both_protocols_share(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	resp_put_simple(&b, "OK");
	assert_content(&b, "+OK\r\n");
	resp_put_error(&b, "ERR no such thing");
	assert_content(&b, "-ERR no such thing\r\n");
	resp_put_bulk(&b, "hello", 5);
	assert_content(&b, "$5\r\nhello\r\n");
	resp_put_bulk(&b, NULL, 0);
	assert_content(&b, "$0\r\n\r\n");
	resp_put_bulk_str(&b, "0.1.0");
	assert_content(&b, "$5\r\n0.1.0\r\n");
	resp_put_array(&b, 0);
	resp_put_array(&b, 123456);
	assert_content(&b, "*0\r\n*123456\r\n");
	buf_fini(&b);
}

/* Whatever way they are made: as one after the other. */
static void test_many_integers_are_one_after_the_other(void **state)
{
	(void)state;
	static const int64_t FIRSTS[] = {
		0,   1,	       8,   9,	       98,   95,       999990,		-5,
		-12, -1000001, -99, INT64_MIN, 4711, 99999999, INT64_MAX - 200, 999999999999999990,
		-1};
	static const int64_t STEPS[] = {1, -1, 7, 1000000};
	for (size_t i = 0; i < sizeof(FIRSTS) / sizeof(FIRSTS[0]); i++) {
		for (size_t k = 0; k < sizeof(STEPS) / sizeof(STEPS[0]); k++) {
			struct buf together = BUF_INIT, apart = BUF_INIT;
			int64_t v = FIRSTS[i], next;
			size_t count = 0;
			for (; count < 130; count++) {
				resp_put_int(&apart, v);
				if (__builtin_add_overflow(v, STEPS[k], &next))
					break;
				v = next;
			}
			count = count == 130 ? 130 : count + 1;
			resp_put_ints(&together, FIRSTS[i], STEPS[k], count);
			assert_int_equal(buf_len(&together), buf_len(&apart));
			assert_memory_equal(buf_head(&together), buf_head(&apart), buf_len(&apart));
			buf_fini(&together);
			buf_fini(&apart);
		}
	}
}

static void test_replies_that_differ_by_protocol(void **state)
{
	(void)state;
	static const struct {
		int proto;
		const char *null, *null_array, *yes, *no, *map, *set, *verbatim;
	} CASES[] = {
		{2, "$-1\r\n", "*-1\r\n", ":1\r\n", ":0\r\n", "*6\r\n", "*3\r\n", "$2\r\nhi\r\n"},
		{3, "_\r\n", "_\r\n", "#t\r\n", "#f\r\n", "%3\r\n", "~3\r\n", "=6\r\ntxt:hi\r\n"},
	};
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < 2; i++) {
		int proto = CASES[i].proto;
		resp_put_null(&b, proto);
		assert_content(&b, CASES[i].null);
		resp_put_null_array(&b, proto);
		assert_content(&b, CASES[i].null_array);
		resp_put_bool(&b, proto, true);
		assert_content(&b, CASES[i].yes);
		resp_put_bool(&b, proto, false);
		assert_content(&b, CASES[i].no);
		resp_put_map(&b, proto, 3);
		assert_content(&b, CASES[i].map);
		resp_put_set(&b, proto, 3);
		assert_content(&b, CASES[i].set);
		resp_put_verbatim(&b, proto, "hi", 2);
		assert_content(&b, CASES[i].verbatim);
	}
	buf_fini(&b);
}

static void check_integer(struct buf *b, int64_t v)
{
	char digits[32], expected[64];
	int len = snprintf(digits, sizeof(digits), "%" PRId64, v);
	resp_put_int(b, v);
	snprintf(expected, sizeof(expected), ":%s\r\n", digits);
	assert_content(b, expected);
	resp_put_bulk_i64(b, v);
	snprintf(expected, sizeof(expected), "$%d\r\n%s\r\n", len, digits);
	assert_content(b, expected);
}

static void test_integers_of_every_length(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	check_integer(&b, 0);
	check_integer(&b, INT64_MIN);
	check_integer(&b, INT64_MAX);
	for (int64_t v = 1; v < INT64_MAX / 10; v = v * 10 + 7) {
		check_integer(&b, v);
		check_integer(&b, -v);
	}
	buf_fini(&b);
}

static void test_line_breaks_in_an_error_become_blanks(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	resp_put_error(&b, "ERR a\r\n+OK\n");
	assert_content(&b, "-ERR a  +OK \r\n");
	resp_put_errorf(&b, "ERR unknown command '%s', %d", "x\r\ny", 5);
	assert_content(&b, "-ERR unknown command 'x  y', 5\r\n");
	buf_fini(&b);
}

static void test_a_long_formatted_error_is_whole(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	char text[3000];
	memset(text, 'e', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	resp_put_errorf(&b, "%s", text);
	assert_int_equal(buf_len(&b), 1 + sizeof(text) - 1 + 2);
	assert_memory_equal(buf_head(&b) + 1, text, sizeof(text) - 1);
	assert_memory_equal(buf_head(&b) + sizeof(text), "\r\n", 2);
	buf_fini(&b);
}

static void test_bulks_may_hold_any_byte(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	resp_put_bulk(&b, "\0\r\n$", 4);
	assert_int_equal(buf_len(&b), 10);
	assert_memory_equal(buf_head(&b), "$4\r\n\0\r\n$\r\n", 10);
	buf_fini(&b);
}

static void test_a_request_is_an_array_of_bulks(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	const struct slice argv[] = {slice_str("INCRBY"), slice_str("hits"), slice_str("-5"), {NULL, 0}};
	resp_put_request(&b, 4, argv);
	assert_content(&b, "*4\r\n$6\r\nINCRBY\r\n$4\r\nhits\r\n$2\r\n-5\r\n$0\r\n\r\n");
	buf_fini(&b);
}

static void test_a_request_written_is_the_request_parsed(void **state)
{
	(void)state;
	enum { ARGC = 1500 };
	static struct slice argv[ARGC];
	static char bytes[ARGC];
	for (size_t i = 0; i < ARGC; i++) {
		bytes[i] = (char)i;
		argv[i] = (struct slice){bytes, i};
	}
	struct buf b = BUF_INIT;
	resp_put_request(&b, ARGC, argv);
	struct resp_parser p;
	resp_parser_init(&p);
	assert_int_equal(resp_parse(&p, buf_head(&b), buf_len(&b)), RESP_DONE);
	assert_int_equal(p.size_bytes, buf_len(&b));
	assert_int_equal(p.argc, ARGC);
	for (size_t i = 0; i < ARGC; i++)
		assert_true(slice_equal(p.argv[i], argv[i]));
	resp_parser_fini(&p);
	buf_fini(&b);
}

static void put_everything(struct buf *b)
{
	const struct slice argv[] = {slice_str("PING")};
	resp_put_simple(b, "OK");
	resp_put_error(b, "ERR");
	resp_put_errorf(b, "ERR %d", 1);
	resp_put_int(b, 1);
	resp_put_bulk(b, "a", 1);
	resp_put_bulk_str(b, "a");
	resp_put_bulk_i64(b, 1);
	resp_put_verbatim(b, 3, "a", 1);
	resp_put_null(b, 2);
	resp_put_null_array(b, 3);
	resp_put_bool(b, 3, true);
	resp_put_array(b, 1);
	resp_put_map(b, 3, 1);
	resp_put_set(b, 3, 1);
	resp_put_request(b, 1, argv);
}

static void test_out_of_memory_is_sticky_and_leaves_whole_replies(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	resp_put_int(&b, 1);
	/* No byte of it is read: the reservation fails first. */
	resp_put_bulk(&b, "x", (size_t)PTRDIFF_MAX - 100);
	assert_true(b.failed);
	put_everything(&b);
	assert_int_equal(buf_len(&b), 4);
	assert_memory_equal(buf_head(&b), ":1\r\n", 4);
	buf_fini(&b);
}

/* Fills the buffer up to its last byte in front of each writer: a reservation that is too small writes beyond
 * it. */
static void test_writers_stay_inside_what_they_reserved(void **state)
{
	(void)state;
	for (size_t left = 0; left < 256; left++) {
		struct buf b = BUF_INIT;
		assert_non_null(buf_reserve(&b, 256));
		buf_commit(&b, b.cap - left);
		size_t start = buf_len(&b);
		resp_put_bulk_i64(&b, INT64_MIN);
		resp_put_int(&b, INT64_MIN);
		put_everything(&b);
		assert_memory_equal(buf_head(&b) + start, "$20\r\n-9223372036854775808\r\n:-", 29);
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies_that_both_protocols_share),
		cmocka_unit_test(test_many_integers_are_one_after_the_other),
		cmocka_unit_test(test_replies_that_differ_by_protocol),
		cmocka_unit_test(test_integers_of_every_length),
		cmocka_unit_test(test_line_breaks_in_an_error_become_blanks),
		cmocka_unit_test(test_a_long_formatted_error_is_whole),
		cmocka_unit_test(test_bulks_may_hold_any_byte),
		cmocka_unit_test(test_a_request_is_an_array_of_bulks),
		cmocka_unit_test(test_a_request_written_is_the_request_parsed),
		cmocka_unit_test(test_out_of_memory_is_sticky_and_leaves_whole_replies),
		cmocka_unit_test(test_writers_stay_inside_what_they_reserved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
