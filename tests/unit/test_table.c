/* SPDX-License-Identifier: MIT */
/*
 * Ingest's parts that know no socket: the table and the scan for line ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmd/scan.h"
#include "../../cmd/table.h"

/* ---- the table ---- */

/* The k-th name: all lengths from 0 to 255 occur, and names that differ in one byte only. */
static struct slice name_of(unsigned k, char room[256])
{
	size_t len = k % 256;
	memset(room, 'a', len);
	char digits[16];
	int n = snprintf(digits, sizeof(digits), "%u", k);
	if (len >= (size_t)n)
		memcpy(room + (k % 3 ? 0 : len - (size_t)n), digits, (size_t)n);
	return (struct slice){room, len};
}

static void test_sums_are_kept_by_name(void **state)
{
	(void)state;
	enum { NAMES = 20000, ROUNDS = 3 };
	struct table t;
	char room[256];
	assert_int_equal(table_init(&t), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned k = 1000; k < NAMES;
		     k++) { /* shorter ones than four digits are not all different */
			struct slice s = name_of(k, room);
			if (s.len >= 5)
				assert_int_equal(table_add(&t, s, (int64_t)k), TABLE_OK);
		}
	}
	size_t count = 0;
	for (unsigned k = 1000; k < NAMES; k++) {
		struct slice s = name_of(k, room);
		if (s.len < 5)
			continue;
		const struct table_entry *e = table_find(&t, s);
		assert_non_null(e);
		assert_int_equal(e->sum, (int64_t)k * ROUNDS);
		count++;
	}
	assert_int_equal(t.count, count);
	assert_null(table_find(&t, slice_str("never")));
	table_fini(&t);
}

static void test_short_names_are_told_apart(void **state)
{
	(void)state;
	static const char *const names[] = {"",	     "a",      "b",	  "aa",	     "ab",   "ba",
					    "aaa",   "aba",    "aab",	  "abab",    "abba", "aaaa",
					    "aaaab", "aaaaaa", "aaaaaaa", "aaaabaaa"};
	struct table t;
	assert_int_equal(table_init(&t), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(table_add(&t, slice_str(names[i]), (int64_t)i), TABLE_OK);
	assert_int_equal(t.count, sizeof(names) / sizeof(names[0]));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(table_find(&t, slice_str(names[i]))->sum, i);
	table_fini(&t);
}

/* Hashes have 32 bits: among so many names about ten pairs share one. */
static void test_names_with_the_same_hash_are_told_apart(void **state)
{
	(void)state;
	enum { NAMES = 300000 };
	struct table t;
	char name[24];
	assert_int_equal(table_init(&t), 0);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "counter:%08d", i);
		assert_int_equal(table_add(&t, slice_str(name), 1), TABLE_OK);
	}
	assert_int_equal(t.count, NAMES);
	table_fini(&t);
}

static void test_a_batch_may_name_one_thing_twice(void **state)
{
	(void)state;
	struct table t;
	struct table_op ops[TABLE_BATCH_MAX];
	assert_int_equal(table_init(&t), 0);
	for (int i = 0; i < TABLE_BATCH_MAX; i++)
		ops[i] = (struct table_op){
			.name = i % 2 ? "odd" : "even", .name_len = i % 2 ? 3 : 4, .delta = i};
	size_t done = 0;
	assert_int_equal(table_apply(&t, ops, TABLE_BATCH_MAX, &done), TABLE_OK);
	assert_int_equal(done, TABLE_BATCH_MAX);
	assert_int_equal(t.count, 2);
	assert_int_equal(table_find(&t, slice_str("odd"))->sum, 4096);
	assert_int_equal(table_find(&t, slice_str("even"))->sum, 4032);
	table_fini(&t);
}

static void test_a_sum_never_wraps(void **state)
{
	(void)state;
	struct table t;
	struct table_op ops[] = {
		{.name = "x", .name_len = 1, .delta = INT64_MAX},
		{.name = "x", .name_len = 1, .delta = 1},
		{.name = "y", .name_len = 1, .delta = 7},
	};
	size_t done = 0;
	assert_int_equal(table_init(&t), 0);
	assert_int_equal(table_apply(&t, ops, 3, &done), TABLE_OVERFLOW);
	assert_int_equal(done, 1);
	assert_int_equal(table_find(&t, slice_str("x"))->sum, INT64_MAX);
	done++;
	assert_int_equal(table_apply(&t, ops, 3, &done), TABLE_OK);
	assert_int_equal(table_find(&t, slice_str("y"))->sum, 7);
	table_fini(&t);
}

static void test_going_over_all_meets_each_once(void **state)
{
	(void)state;
	struct table t;
	char name[16];
	size_t pos = 0;
	assert_int_equal(table_init(&t), 0);
	assert_null(table_next(&t, &pos));
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(table_add(&t, slice_str(name), i), TABLE_OK);
	}
	pos = 0;
	int i = 0;
	for (const struct table_entry *e; (e = table_next(&t, &pos)); i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_true(slice_equal(table_entry_name(e), slice_str(name)));
		assert_int_equal(e->sum, i);
	}
	assert_int_equal(i, 5000);
	table_clear(&t);
	pos = 0;
	assert_null(table_next(&t, &pos));
	assert_null(table_find(&t, slice_str("n1")));
	table_fini(&t);
}

/* Names of all lengths, in batches that come to a new name, an old one and a crowded table in any order. */
static void test_batches_count_what_single_additions_count(void **state)
{
	(void)state;
	enum { NAMES = 7000, BATCHES = 400 };
	static char rooms[TABLE_BATCH_MAX][256];
	struct table t, single;
	struct table_op ops[TABLE_BATCH_MAX];
	assert_int_equal(table_init(&t), 0);
	assert_int_equal(table_init(&single), 0);
	srandom(4);
	for (int batch = 0; batch < BATCHES; batch++) {
		size_t count = (size_t)random() % (TABLE_BATCH_MAX + 1), done = 0;
		for (size_t i = 0; i < count; i++) {
			struct slice name = name_of((unsigned)random() % NAMES, rooms[i]);
			int64_t delta = random() - random();
			ops[i] = (struct table_op){
				.name = name.data, .name_len = (uint32_t)name.len, .delta = delta};
			assert_int_equal(table_add(&single, name, delta), TABLE_OK);
		}
		assert_int_equal(table_apply(&t, ops, count, &done), TABLE_OK);
		assert_int_equal(done, count);
	}
	assert_int_equal(t.count, single.count);
	const struct table_entry *e;
	for (size_t pos = 0; (e = table_next(&single, &pos));)
		assert_int_equal(table_find(&t, table_entry_name(e))->sum, e->sum);
	table_fini(&t);
	table_fini(&single);
}

/* ---- the scan ---- */

static void test_scans_agree_on_every_byte(void **state)
{
	(void)state;
	char bytes[SCAN_BYTES];
	for (int c = 0; c < 256; c++) {
		bool is_control = c < 0x20 || c == 0x7f;
		for (unsigned at = 0; at < SCAN_BYTES; at++) {
			memset(bytes, 'x', sizeof(bytes));
			bytes[at] = (char)c;
			uint64_t bit = UINT64_C(1) << at;
			struct scan s = scan_look(bytes);
			assert_int_equal(s.controls, is_control ? bit : 0);
			assert_int_equal(s.ends, c == '\n' ? bit : 0);
			assert_int_equal(scan_controls_portable(bytes), s.controls);
			assert_int_equal(scan_ends_portable(bytes, s.controls), s.ends);
		}
		memset(bytes, c, sizeof(bytes));
		struct scan s = scan_look(bytes);
		assert_int_equal(s.controls, is_control ? UINT64_MAX : 0);
		assert_int_equal(s.ends, c == '\n' ? UINT64_MAX : 0);
		assert_int_equal(scan_controls_portable(bytes), s.controls);
		assert_int_equal(scan_ends_portable(bytes, s.controls), s.ends);
	}
}

/* In memory of exactly that size: a read behind it is seen by the address sanitizer. */
static void test_the_first_blank_is_found_at_every_place(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 70; len++) {
		char *p = malloc(len + (len == 0));
		assert_non_null(p);
		memset(p, 'x', len);
		assert_int_equal(scan_to_blank(p, len), len);
		for (size_t at = len; at-- > 0;) { /* those behind it stay */
			p[at] = at % 2 ? ' ' : '\t';
			assert_int_equal(scan_to_blank(p, len), at);
		}
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums_are_kept_by_name),
		cmocka_unit_test(test_short_names_are_told_apart),
		cmocka_unit_test(test_names_with_the_same_hash_are_told_apart),
		cmocka_unit_test(test_a_batch_may_name_one_thing_twice),
		cmocka_unit_test(test_a_sum_never_wraps),
		cmocka_unit_test(test_going_over_all_meets_each_once),
		cmocka_unit_test(test_batches_count_what_single_additions_count),
		cmocka_unit_test(test_scans_agree_on_every_byte),
		cmocka_unit_test(test_the_first_blank_is_found_at_every_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
