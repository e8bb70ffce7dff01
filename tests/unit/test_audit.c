/* SPDX-License-Identifier: MIT */
/* The patterns and the stamps of the audit log; its entries in a buffer, and in order. */
#include "../../daemon/audit.h"
#include "../../daemon/audit_entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pthread.h>

#include <cmocka.h>

/* ---- patterns ---- */

static bool matches(const char *patterns, const char *name)
{
	struct config config = {0};
	struct audit audit;

	audit_init(&audit, &config);
	config.audit = (char *)(uintptr_t)patterns;
	assert_int_equal(audit_is_on(&audit), patterns != NULL);
	return audit_matches(&audit, slice_str(name));
}

static void test_a_name_matches_when_one_pattern_fits_the_whole_of_it(void **state)
{
	(void)state;
	assert_true(matches("orders.* tickets", "orders.new"));
	assert_true(matches("orders.* tickets", "tickets"));
	assert_true(matches("  a \t b ", "b"));
	assert_true(matches("*", "anything at all"));
	assert_true(matches("a[0-9]?c", "a5bc"));
	assert_false(matches("orders.* tickets", "tickets2"));
	assert_false(matches("orders.* tickets", "orders"));
	assert_false(matches("a b", "a b"));
	assert_false(matches(NULL, "anything"));
}

/* ---- stamps ---- */

enum { STAMPS = 100000, THREADS = 4 };

static struct audit audit;

static void *draw_stamps(void *arg)
{
	int64_t *stamps = arg;

	for (size_t i = 0; i < STAMPS; i++)
		stamps[i] = audit_stamp(&audit, 2);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void test_no_stamp_is_given_twice_and_none_goes_back(void **state)
{
	static int64_t stamps[THREADS * STAMPS];
	static const struct config config;
	pthread_t threads[THREADS];

	(void)state;
	audit_init(&audit, &config);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, draw_stamps, &stamps[i * STAMPS]), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < THREADS * STAMPS; i++)
		assert_true(i % STAMPS == 0 || stamps[i] > stamps[i - 1]);
	qsort(stamps, THREADS * STAMPS, sizeof(int64_t), compare);
	for (size_t i = 1; i < THREADS * STAMPS; i++)
		assert_true(stamps[i] > stamps[i - 1] + 1); /* each was for two */
}

static void test_a_wall_clock_that_is_set_back_does_not_turn_the_order_round(void **state)
{
	static const struct config config;
	int64_t ahead = ((int64_t)time(NULL) + 3600) * 1000000;

	(void)state;
	audit_init(&audit, &config);
	assert_true(audit_stamp(&audit, 1) < ahead);
	atomic_store(&audit.last_us, ahead); /* an hour ago it was an hour later */
	assert_int_equal(audit_stamp(&audit, 3), ahead + 1);
	assert_int_equal(audit_stamp(&audit, 1), ahead + 4);
}

/* ---- entries ---- */

static void put(struct buf *b, const struct audit_entry *entry)
{
	assert_non_null(buf_reserve(b, audit_entry_bytes(entry->name.len, entry->peer.len)));
	audit_entry_put(b, entry);
}

static void test_what_is_put_comes_out_again(void **state)
{
	const struct audit_entry in[] = {
		{1, 2, -3, INT64_MIN, slice_str("name"), slice_str("uid=0,pid=1"), AUDIT_DECREMENT},
		{UINT64_MAX, INT64_MAX, 0, INT64_MAX, slice_str(""), slice_str(""), AUDIT_FLUSH},
	};
	struct audit_entry out;
	struct buf b = BUF_INIT;
	size_t pos = 0;

	(void)state;
	put(&b, &in[0]);
	put(&b, &in[1]);
	for (size_t i = 0; i < 2; i++) {
		assert_true(audit_entry_next(&b, &pos, &out));
		assert_int_equal(out.id, in[i].id);
		assert_int_equal(out.time_us, in[i].time_us);
		assert_int_equal(out.delta, in[i].delta);
		assert_int_equal(out.value, in[i].value);
		assert_int_equal(out.operation, in[i].operation);
		assert_true(slice_equal(out.name, in[i].name));
		assert_true(slice_equal(out.peer, in[i].peer));
	}
	assert_false(audit_entry_next(&b, &pos, &out));
	buf_fini(&b);
}

/* Entries are told apart by their values. */
static void assert_order(struct buf *buffers, size_t count, const int64_t *values, size_t value_count)
{
	struct audit_entries e = {0};

	for (size_t i = 0; i < count; i++)
		assert_int_equal(audit_entries_add(&e, &buffers[i]), 0);
	assert_int_equal(e.count, value_count);
	audit_entries_sort(&e);
	for (size_t i = 0; i < value_count; i++)
		assert_int_equal(e.items[i].value, values[i]);
	audit_entries_clear(&e);
	assert_int_equal(e.count, 0);
	audit_entries_fini(&e);
}

static void put_short(struct buf *b, enum audit_operation operation, uint64_t id, int64_t time_us,
		      int64_t value)
{
	const struct audit_entry entry = {
		.id = id, .time_us = time_us, .value = value, .operation = (uint8_t)operation};

	put(b, &entry);
}

static void test_a_flush_that_was_told_too_early_is_told_again(void **state)
{
	struct audit_entries e = {0};
	struct buf b[3] = {BUF_INIT, BUF_INIT, BUF_INIT};

	(void)state;
	put_short(&b[0], AUDIT_INCREMENT, 5, 10, 1);
	put_short(&b[0], AUDIT_FLUSH, 8, 12, 0);
	assert_int_equal(audit_entries_add(&e, &b[0]), 0);
	audit_entries_sort(&e);
	assert_int_equal(e.count, 2);
	audit_entries_clear(&e);
	/* One of before it, one of behind it. */
	put_short(&b[1], AUDIT_INCREMENT, 8, 13, 3);
	put_short(&b[1], AUDIT_INCREMENT, 5, 11, 2);
	assert_int_equal(audit_entries_add(&e, &b[1]), 0);
	audit_entries_sort(&e);
	assert_int_equal(e.count, 3);
	assert_int_equal(e.items[0].value, 2);
	assert_int_equal(e.items[1].operation, AUDIT_FLUSH);
	assert_int_equal(e.items[2].value, 3);
	audit_entries_clear(&e);
	/* Nothing of before: it is not told again. */
	put_short(&b[2], AUDIT_INCREMENT, 8, 14, 4);
	assert_int_equal(audit_entries_add(&e, &b[2]), 0);
	audit_entries_sort(&e);
	assert_int_equal(e.count, 1);
	audit_entries_fini(&e);
	for (int i = 0; i < 3; i++)
		buf_fini(&b[i]);
}

static void test_entries_of_several_workers_stand_in_the_order_of_their_stamps(void **state)
{
	static const int64_t expected[] = {1, 2, 3, 4, 5};
	struct buf b[2] = {BUF_INIT, BUF_INIT};

	(void)state;
	put_short(&b[0], AUDIT_INCREMENT, 7, 10, 1);
	put_short(&b[0], AUDIT_INCREMENT, 7, 13, 4);
	put_short(&b[1], AUDIT_INCREMENT, 7, 11, 2);
	put_short(&b[1], AUDIT_INCREMENT, 1, 12, 3);
	put_short(&b[1], AUDIT_INCREMENT, 7, 14, 5);
	assert_order(b, 2, expected, 5);
	buf_fini(&b[0]);
	buf_fini(&b[1]);
}

/* Two FLUSHALLs, with floors 10 and 20; the stamps are such as preempted workers may draw. */
static void test_a_flush_stands_between_what_it_deleted_and_what_came_later(void **state)
{
	static const int64_t expected[] = {1, 2, 100, 3, 4, 200, 5, 6};
	struct buf b[2] = {BUF_INIT, BUF_INIT};

	(void)state;
	put_short(&b[0], AUDIT_FLUSH, 10, 50, 100);
	put_short(&b[0], AUDIT_FLUSH, 20, 60, 200);
	put_short(&b[0], AUDIT_INCREMENT, 20, 40, 5); /* is of the time behind both */
	put_short(&b[0], AUDIT_INCREMENT, 9, 55, 2);  /* was deleted by the first */
	put_short(&b[1], AUDIT_INCREMENT, 3, 30, 1);
	put_short(&b[1], AUDIT_INCREMENT, 10, 31, 3);
	put_short(&b[1], AUDIT_INCREMENT, 19, 70, 4);
	put_short(&b[1], AUDIT_INCREMENT, 21, 71, 6);
	assert_order(b, 2, expected, 8);
	buf_fini(&b[0]);
	buf_fini(&b[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_matches_when_one_pattern_fits_the_whole_of_it),
		cmocka_unit_test(test_no_stamp_is_given_twice_and_none_goes_back),
		cmocka_unit_test(test_a_wall_clock_that_is_set_back_does_not_turn_the_order_round),
		cmocka_unit_test(test_what_is_put_comes_out_again),
		cmocka_unit_test(test_a_flush_that_was_told_too_early_is_told_again),
		cmocka_unit_test(test_entries_of_several_workers_stand_in_the_order_of_their_stamps),
		cmocka_unit_test(test_a_flush_stands_between_what_it_deleted_and_what_came_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
