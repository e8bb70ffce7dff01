/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../lib/buf.h"

static void test_bytes_come_out_in_the_order_they_went_in(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	buf_append(&b, "hello ", 6);
	buf_append(&b, "", 0);
	buf_append(&b, "world", 5);
	assert_int_equal(buf_len(&b), 11);
	assert_memory_equal(buf_head(&b), "hello world", 11);
	buf_consume(&b, 6);
	assert_int_equal(buf_len(&b), 5);
	assert_memory_equal(buf_head(&b), "world", 5);
	buf_fini(&b);
}

static void test_an_empty_buffer_may_be_asked_for_anything(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	assert_int_equal(buf_len(&b), 0);
	assert_null(buf_head(&b));
	buf_append(&b, NULL, 0);
	buf_consume(&b, 0);
	buf_shrink(&b, 0);
	assert_non_null(buf_reserve(&b, 0));
	assert_false(b.failed);
	buf_fini(&b);
	assert_null(b.data);
	buf_append(&b, "again", 5);
	assert_int_equal(buf_len(&b), 5);
	buf_fini(&b);
}

/* A queue of a running count, with appends and consumes of changing sizes: every byte must come out as it
 * went in. */
static void test_content_survives_every_move_and_growth(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	unsigned char in = 0, out = 0;
	uint32_t random = 1;
	for (int round = 0; round < 20000; round++) {
		random = random * 1664525 + 1013904223;
		size_t add = random >> 20 & 0x1ff;
		unsigned char *at = (unsigned char *)buf_reserve(&b, add);
		assert_non_null(at);
		for (size_t i = 0; i < add; i++)
			at[i] = in++;
		buf_commit(&b, add);
		random = random * 1664525 + 1013904223;
		size_t take = random >> 20 & 0x1ff;
		if (take > buf_len(&b) || round % 500 == 499)
			take = buf_len(&b);
		size_t wrong = 0;
		for (size_t i = 0; i < take; i++)
			wrong += (unsigned char)buf_head(&b)[i] != out++;
		assert_int_equal(wrong, 0);
		buf_consume(&b, take);
	}
	assert_in_range(b.cap, 256, 1 << 17);
	buf_fini(&b);
}

static void test_the_capacity_doubles_when_it_is_used_up(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	int grown = 0;
	for (int i = 0; i < 100000; i++) {
		size_t cap = b.cap;
		buf_append(&b, "0123456789", 10);
		if (b.cap != cap) {
			grown++;
			assert_true(cap == 0 || b.cap >= cap * 2);
		}
	}
	assert_in_range(grown, 1, 15);
	buf_fini(&b);
}

static void test_dead_space_is_used_before_growing(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	char block[256] = "abc";
	buf_append(&b, block, sizeof(block));
	size_t cap = b.cap;
	for (int i = 0; i < 1000; i++) {
		buf_consume(&b, 200);
		buf_append(&b, block, 200);
		assert_int_equal(buf_len(&b), sizeof(block));
	}
	assert_int_equal(b.cap, cap);
	buf_fini(&b);
}

static void test_a_few_dead_bytes_do_not_move_a_full_buffer_each_time(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	size_t len = 1 << 20;
	char *at = buf_reserve(&b, len);
	assert_non_null(at);
	memset(at, 'x', len);
	buf_commit(&b, len);
	int moves = 0;
	for (int i = 0; i < 100000; i++) {
		buf_consume(&b, 8);
		const char *first = buf_head(&b);
		buf_append(&b, "12345678", 8);
		moves += buf_head(&b) != first;
	}
	assert_in_range(moves, 0, 4);
	assert_in_range(b.cap, len, 2 * len);
	buf_fini(&b);
}

static void test_an_emptied_buffer_starts_again_at_the_front(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	buf_append(&b, "abc", 3);
	buf_consume(&b, 3);
	assert_int_equal(b.head, 0);
	assert_int_equal(b.tail, 0);
	buf_fini(&b);
}

static void test_out_of_memory_is_sticky_and_keeps_the_prefix(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	buf_append(&b, "before", 6);
	assert_null(buf_reserve(&b, PTRDIFF_MAX));
	assert_true(b.failed);
	buf_append(&b, "after", 5); /* there is room, but a hole in front of it */
	assert_null(buf_reserve(&b, 1));
	assert_int_equal(buf_len(&b), 6);
	assert_memory_equal(buf_head(&b), "before", 6);
	buf_consume(&b, 6);
	buf_shrink(&b, 0);
	assert_true(b.failed);
	buf_fini(&b);
	assert_false(b.failed);
}

static void test_sizes_that_wrap_are_refused(void **state)
{
	(void)state;
	const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 3, SIZE_MAX / 2 + 1, PTRDIFF_MAX};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf b = BUF_INIT;
		buf_append(&b, "abcd", 4);
		buf_consume(&b, 3);
		assert_null(buf_reserve(&b, sizes[i]));
		assert_true(b.failed);
		buf_fini(&b);
	}
}

static void test_shrink_frees_only_an_empty_buffer_that_is_too_large(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	assert_non_null(buf_reserve(&b, 5000));
	size_t cap = b.cap;
	buf_shrink(&b, cap);
	assert_int_equal(b.cap, cap);
	buf_append(&b, "x", 1);
	buf_shrink(&b, 100);
	assert_int_equal(b.cap, cap);
	buf_consume(&b, 1);
	buf_shrink(&b, 100);
	assert_int_equal(b.cap, 0);
	assert_null(b.data);
	buf_append(&b, "y", 1);
	assert_memory_equal(buf_head(&b), "y", 1);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_come_out_in_the_order_they_went_in),
		cmocka_unit_test(test_an_empty_buffer_may_be_asked_for_anything),
		cmocka_unit_test(test_content_survives_every_move_and_growth),
		cmocka_unit_test(test_the_capacity_doubles_when_it_is_used_up),
		cmocka_unit_test(test_dead_space_is_used_before_growing),
		cmocka_unit_test(test_a_few_dead_bytes_do_not_move_a_full_buffer_each_time),
		cmocka_unit_test(test_an_emptied_buffer_starts_again_at_the_front),
		cmocka_unit_test(test_out_of_memory_is_sticky_and_keeps_the_prefix),
		cmocka_unit_test(test_sizes_that_wrap_are_refused),
		cmocka_unit_test(test_shrink_frees_only_an_empty_buffer_that_is_too_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
