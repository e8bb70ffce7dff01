/* SPDX-License-Identifier: MIT */
/*
 * What one request may cost: the limits on its size, exactly at them and one byte past, and the memory and
 * work that the parser spends on requests that are large, cut, or only announced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../../lib/buf.h"
#include "../../lib/resp.h"

static void append_fill(struct buf *b, char c, size_t len)
{
	char *at = buf_reserve(b, len);
	assert_non_null(at);
	memset(at, c, len);
	buf_commit(b, len);
}

static void append_str(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

static void test_longest_bulk_is_taken(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	append_str(&b, "*1\r\n$1048576\r\n");
	append_fill(&b, 'x', RESP_BULK_MAX);
	append_str(&b, "\r\n");
	struct resp_parser p;
	resp_parser_init(&p);
	assert_int_equal(resp_parse(&p, buf_head(&b), buf_len(&b) - 1), RESP_MORE);
	assert_int_equal(resp_parse(&p, buf_head(&b), buf_len(&b)), RESP_DONE);
	assert_int_equal(p.size_bytes, buf_len(&b));
	assert_int_equal(p.argv[0].len, RESP_BULK_MAX);
	assert_ptr_equal(p.argv[0].data, buf_head(&b) + 14);
	resp_parser_fini(&p);
	buf_fini(&b);
}

static void append_most_arguments(struct buf *b)
{
	append_str(b, "*1048576\r\n");
	for (int i = 0; i < RESP_ARGS_MAX; i++)
		append_str(b, i % 2 ? "$0\r\n\r\n" : "$1\r\na\r\n");
}

static void test_most_arguments_are_taken_while_bytes_move(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	append_most_arguments(&b);
	struct resp_parser p;
	resp_parser_init(&p);
	size_t len = buf_len(&b), step = len / 7 + 1;
	char *moved = malloc(len);
	assert_non_null(moved);
	for (size_t avail = step; avail < len; avail += step) {
		memcpy(moved, buf_head(&b), avail);
		assert_int_equal(resp_parse(&p, moved, avail), RESP_MORE);
		memset(moved, 'x', avail);
	}
	assert_int_equal(resp_parse(&p, buf_head(&b), len), RESP_DONE);
	assert_int_equal(p.argc, RESP_ARGS_MAX);
	assert_int_equal(p.size_bytes, len);
	for (size_t i = 0; i < p.argc; i += 2) {
		assert_true(slice_equal(p.argv[i], slice_str("a")));
		assert_int_equal(p.argv[i + 1].len, 0);
	}
	free(moved);
	resp_parser_fini(&p);
	buf_fini(&b);
}

static void test_announced_arguments_cost_nothing(void **state)
{
	(void)state;
	struct resp_parser p;
	resp_parser_init(&p);
	const char *input = "*1048576\r\n$1\r\na\r\n";
	assert_int_equal(resp_parse(&p, input, strlen(input)), RESP_MORE);
	assert_in_range(p.argv_cap, 1, 64);
	resp_parser_fini(&p);
}

static void test_memory_of_a_huge_request_goes_when_the_next_begins(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	append_most_arguments(&b);
	struct resp_parser p;
	resp_parser_init(&p);
	assert_int_equal(resp_parse(&p, buf_head(&b), buf_len(&b)), RESP_DONE);
	assert_int_equal(resp_parse(&p, NULL, 0), RESP_MORE);
	assert_in_range(p.argv_cap, 0, 4096);
	resp_parser_fini(&p);
	buf_fini(&b);
}

/* A request of exactly `size` bytes. */
static void append_request_of(struct buf *b, size_t size)
{
	enum { BULK = (1 << 20) + 12 }; /* "$1048576\r\n", content, "\r\n" */
	char header[32];
	size_t bulks = (size - 24) / BULK, start = buf_len(b);
	snprintf(header, sizeof(header), "*%zu\r\n", bulks + 1);
	append_str(b, header);
	for (size_t i = 0; i < bulks; i++) {
		append_str(b, "$1048576\r\n");
		append_fill(b, 'x', RESP_BULK_MAX);
		append_str(b, "\r\n");
	}
	/* The last bulk's length depends on how many digits that length has. */
	size_t left = size - (buf_len(b) - start), digits = 1, len = left - 6;
	while ((size_t)snprintf(header, sizeof(header), "$%zu\r\n", len) != 1 + digits + 2)
		len = left - (5 + ++digits);
	append_str(b, header);
	append_fill(b, 'x', len);
	append_str(b, "\r\n");
	assert_int_equal(buf_len(b) - start, size);
}

static int parse_in_steps(struct resp_parser *p, const struct buf *b, size_t step)
{
	int r = RESP_MORE;
	for (size_t avail = step; r == RESP_MORE && avail < buf_len(b) + step; avail += step)
		r = resp_parse(p, buf_head(b), avail < buf_len(b) ? avail : buf_len(b));
	return r;
}

static void test_largest_request_is_taken_and_no_byte_more(void **state)
{
	(void)state;
	const size_t steps[] = {RESP_REQUEST_MAX + 2, 1 << 20, 999983};
	struct buf fits = BUF_INIT, over = BUF_INIT;
	append_request_of(&fits, RESP_REQUEST_MAX);
	append_request_of(&over, RESP_REQUEST_MAX + 1);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct resp_parser p;
		resp_parser_init(&p);
		assert_int_equal(parse_in_steps(&p, &fits, steps[i]), RESP_DONE);
		assert_int_equal(p.size_bytes, RESP_REQUEST_MAX);
		assert_int_equal(parse_in_steps(&p, &over, steps[i]), RESP_BAD);
		assert_string_equal(p.error, "Protocol error: too big request");
		resp_parser_fini(&p);
	}
	buf_fini(&fits);
	buf_fini(&over);
}

static void test_a_full_buffer_without_a_whole_request_is_refused(void **state)
{
	(void)state;
	struct buf over = BUF_INIT;
	append_request_of(&over, RESP_REQUEST_MAX + 1);
	struct resp_parser p;
	resp_parser_init(&p);
	assert_int_equal(resp_parse(&p, buf_head(&over), RESP_REQUEST_MAX - 1), RESP_MORE);
	/* A caller that buffers no more than the limit must not wait for ever. */
	assert_int_equal(resp_parse(&p, buf_head(&over), RESP_REQUEST_MAX), RESP_BAD);
	resp_parser_fini(&p);
	buf_fini(&over);
}

/* ---- resuming ---- */

static void test_bytes_once_looked_at_are_not_looked_at_again(void **state)
{
	(void)state;
	struct resp_parser p;
	resp_parser_init(&p);
	char line[] = "ECHO abc def\n";
	assert_int_equal(resp_parse(&p, line, 9), RESP_MORE);
	line[5] = '\n'; /* seen by whoever starts again */
	assert_int_equal(resp_parse(&p, line, sizeof(line) - 1), RESP_DONE);
	assert_int_equal(p.size_bytes, sizeof(line) - 1);

	char array[] = "*2\r\n$4\r\nINCR\r\n$1234\r\n";
	assert_int_equal(resp_parse(&p, array, 17), RESP_MORE);
	memset(array + 1, 'x', 7); /* both headers that were read */
	array[15] = '\r';
	assert_int_equal(resp_parse(&p, array, sizeof(array) - 1),
			 RESP_BAD); /* "$\r234": its value is read when whole */
	assert_string_equal(p.error, "Protocol error: invalid bulk length");
	resp_parser_fini(&p);
}

static void test_steady_state_allocates_nothing(void **state)
{
	(void)state;
	struct resp_parser p;
	resp_parser_init(&p);
	const char *input = "*3\r\n$6\r\nINCRBY\r\n$1\r\na\r\n$1\r\n5\r\n";
	assert_int_equal(resp_parse(&p, input, strlen(input)), RESP_DONE);
	struct slice *argv = p.argv;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(resp_parse(&p, input, strlen(input)), RESP_DONE);
		assert_ptr_equal(p.argv, argv);
	}
	resp_parser_fini(&p);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMITABLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LIMITABLE 0
#endif
#endif
#ifndef LIMITABLE
#define LIMITABLE 1
#endif

static void set_address_space(rlim_t bytes)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static void test_out_of_memory_is_told_and_can_be_tried_again(void **state)
{
	(void)state;
	if (!LIMITABLE)
		skip(); /* sanitizers reserve terabytes of addresses */
	struct buf b = BUF_INIT;
	append_most_arguments(&b);
	struct resp_parser p;
	resp_parser_init(&p);
	malloc_trim(0);
	set_address_space(1 << 20); /* less than is in use: nothing new is granted */
	int r = resp_parse(&p, buf_head(&b), buf_len(&b));
	set_address_space(RLIM_INFINITY);
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(resp_parse(&p, buf_head(&b), buf_len(&b)), RESP_DONE);
	assert_int_equal(p.argc, RESP_ARGS_MAX);
	assert_true(slice_equal(p.argv[RESP_ARGS_MAX - 2], slice_str("a")));
	resp_parser_fini(&p);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest_bulk_is_taken),
		cmocka_unit_test(test_most_arguments_are_taken_while_bytes_move),
		cmocka_unit_test(test_announced_arguments_cost_nothing),
		cmocka_unit_test(test_memory_of_a_huge_request_goes_when_the_next_begins),
		cmocka_unit_test(test_largest_request_is_taken_and_no_byte_more),
		cmocka_unit_test(test_a_full_buffer_without_a_whole_request_is_refused),
		cmocka_unit_test(test_bytes_once_looked_at_are_not_looked_at_again),
		cmocka_unit_test(test_steady_state_allocates_nothing),
		cmocka_unit_test(test_out_of_memory_is_told_and_can_be_tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
