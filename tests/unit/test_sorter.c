/* SPDX-License-Identifier: MIT */
/*
 * The sorter, with so little memory that it needs many runs, against qsort in memory that is not bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../../cmd/sorter.h"

enum { COUNT = 20000 };

struct counter {
	size_t len;
	int64_t value;
	unsigned added; /* when */
	char name[NAME_LEN_MAX];
};

static struct counter *all;
static uint64_t seed;

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t draw(void)
{
	uint64_t z = (seed += 0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void draw_name(struct counter *c, const char *prefix, bool is_long)
{
	size_t prefix_len = strlen(prefix);
	memcpy(c->name, prefix, prefix_len);
	c->len = prefix_len + 1 + draw() % (is_long ? NAME_LEN_MAX - prefix_len : 4);
	for (size_t i = prefix_len; i < c->len; i++)
		c->name[i] = (char)(draw() % 3 ? 'a' + draw() % 3 : 0x80 + draw() % 128);
}

static int64_t draw_value(void)
{
	switch (draw() % 4) {
	case 0: return (int64_t)(draw() % 5) - 2;
	case 1: return INT64_MIN;
	case 2: return INT64_MAX;
	default: return (int64_t)draw();
	}
}

static int compare_names(const struct counter *a, const struct counter *b)
{
	int order = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);
	return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* The newest of a name first. */
static int by_name(const void *a, const void *b)
{
	const struct counter *x = a, *y = b;
	int order = compare_names(x, y);
	return order ? order : (x->added < y->added) - (x->added > y->added);
}

static int by_value(const void *a, const void *b)
{
	const struct counter *x = a, *y = b;
	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	return compare_names(x, y);
}

/* Leaves the newest of each name, in order of names. */
static size_t unique(size_t count)
{
	size_t kept = 0;
	qsort(all, count, sizeof(*all), by_name);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || compare_names(&all[kept - 1], &all[i]) != 0)
			all[kept++] = all[i];
	}
	return kept;
}

struct told {
	size_t count, stop_at;
};

/* Compares with all[], which is in order meanwhile. */
static bool check_one(void *arg, struct slice name, int64_t value)
{
	struct told *told = arg;
	const struct counter *c = &all[told->count++];
	assert_true(slice_equal(name, (struct slice){c->name, c->len}));
	assert_int_equal(value, c->value);
	return told->count != told->stop_at;
}

static void fill(struct sorter *s, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		all[i].added = (unsigned)i;
		assert_int_equal(sorter_add(s, (struct slice){all[i].name, all[i].len}, all[i].value), 0);
	}
}

static void expect_told(struct sorter *s, size_t count)
{
	struct told told = {0};
	assert_int_equal(sorter_tell(s, check_one, &told), 0);
	assert_int_equal(told.count, count);
	sorter_fini(s);
}

static void draw_all(const char *prefix, bool is_long)
{
	for (size_t i = 0; i < COUNT; i++) {
		all[i].value = draw_value();
		draw_name(&all[i], prefix, is_long);
	}
}

static const size_t limits[] = {1, 2, 7, 100, 5000, COUNT, SIZE_MAX};
enum { LIMITS = sizeof(limits) / sizeof(limits[0]) };

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Short names repeat often: several times in a run, and over runs. */
static void test_by_name_each_name_is_told_once_with_its_last_value(void **state)
{
	(void)state;
	static const char *const prefixes[] = {"", "longer than a key: "};
	for (size_t i = 0; i < LIMITS * 4; i++) {
		struct sorter s;
		uint64_t limit = limits[i / 4];
		assert_int_equal(sorter_init(&s, SORTER_BY_NAME, limit, SORTER_BYTES_MIN), 0);
		draw_all(prefixes[i % 2], i / 2 % 2);
		fill(&s, COUNT);
		if (limit > COUNT)
			assert_true(s.runs.count > 20);
		expect_told(&s, smaller(unique(COUNT), limit));
	}
}

static void test_by_value_the_largest_comes_first_and_ties_go_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < LIMITS; i++) {
		struct sorter s;
		assert_int_equal(sorter_init(&s, SORTER_BY_VALUE, limits[i], SORTER_BYTES_MIN), 0);
		draw_all("v:", true);
		size_t count = unique(COUNT);
		for (size_t k = count; k > 1; k--) { /* in no order again */
			struct counter last = all[k - 1], *other = &all[draw() % k];
			all[k - 1] = *other;
			*other = last;
		}
		fill(&s, count);
		qsort(all, count, sizeof(*all), by_value);
		expect_told(&s, smaller(count, limits[i]));
	}
}

/* Given twice with one value, as a Redis server may: once among the first N, which are N all the same. */
static void test_by_value_a_repeated_counter_takes_no_place(void **state)
{
	(void)state;
	struct sorter s;
	assert_int_equal(sorter_init(&s, SORTER_BY_VALUE, 10, SORTER_BYTES_MIN), 0);
	draw_all("twice:", true);
	size_t count = unique(COUNT);
	fill(&s, count);
	fill(&s, count);
	qsort(all, count, sizeof(*all), by_value);
	expect_told(&s, 10);
}

static void test_of_nothing_nothing_comes_out(void **state)
{
	(void)state;
	struct sorter s;
	assert_int_equal(sorter_init(&s, SORTER_BY_NAME, SORTER_NO_LIMIT, SORTER_BYTES_MIN), 0);
	expect_told(&s, 0);
}

static void test_a_small_limit_needs_no_file(void **state)
{
	(void)state;
	struct sorter s;
	setenv("TMPDIR", "/nonexistent", 1);
	assert_int_equal(sorter_init(&s, SORTER_BY_NAME, 10, 1 << 20), 0);
	draw_all("", true);
	fill(&s, COUNT);
	assert_int_equal(s.runs.count, 0);
	expect_told(&s, smaller(unique(COUNT), 10));
	unsetenv("TMPDIR");
}

static void test_who_has_seen_enough_ends_it(void **state)
{
	(void)state;
	static const size_t memory_bytes[] = {SORTER_BYTES_MIN, SORTER_BYTES};
	for (size_t i = 0; i < 2; i++) {
		struct sorter s;
		struct told told = {.stop_at = 100};
		assert_int_equal(sorter_init(&s, SORTER_BY_NAME, SORTER_NO_LIMIT, memory_bytes[i]), 0);
		draw_all("", true);
		fill(&s, COUNT);
		assert_true(unique(COUNT) > 100);
		assert_int_equal(sorter_tell(&s, check_one, &told), 0);
		assert_int_equal(told.count, 100);
		sorter_fini(&s);
	}
}

/* Adds until it fails, for whatever reason it says. */
static int add_until_failure(struct sorter *s)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < COUNT; i++)
		rc = sorter_add(s, (struct slice){all[i].name, all[i].len}, all[i].value);
	sorter_fini(s);
	return rc;
}

static void test_a_directory_that_cannot_be_used_is_told(void **state)
{
	(void)state;
	static const struct {
		const char *directory;
		int rc;
	} cases[] = {{"/nonexistent", -ENOENT}, {"/dev/null", -ENOTDIR}};
	draw_all("", true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sorter s;
		setenv("TMPDIR", cases[i].directory, 1);
		assert_int_equal(sorter_init(&s, SORTER_BY_NAME, SORTER_NO_LIMIT, SORTER_BYTES_MIN), 0);
		assert_int_equal(add_until_failure(&s), cases[i].rc);
	}
	unsetenv("TMPDIR");
}

/* The limit on the size of files stands for a disk that is full: a write that fails in the middle of a run.
 */
static void test_a_file_that_cannot_grow_is_told(void **state)
{
	(void)state;
	struct rlimit before;
	struct sorter s;
	draw_all("", true);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	struct rlimit small = {.rlim_cur = 100000, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(sorter_init(&s, SORTER_BY_NAME, SORTER_NO_LIMIT, SORTER_BYTES_MIN), 0);
	int rc = add_until_failure(&s);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(rc, -EFBIG);
}

static int begin(void **state)
{
	(void)state;
	const char *text = getenv("SHC_SEED");
	seed = text ? strtoull(text, NULL, 10) : 20261127;
	printf("# SHC_SEED=%llu\n", (unsigned long long)seed);
	all = calloc(COUNT, sizeof(*all));
	return all ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	free(all);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name_each_name_is_told_once_with_its_last_value),
		cmocka_unit_test(test_by_value_the_largest_comes_first_and_ties_go_by_name),
		cmocka_unit_test(test_by_value_a_repeated_counter_takes_no_place),
		cmocka_unit_test(test_of_nothing_nothing_comes_out),
		cmocka_unit_test(test_a_small_limit_needs_no_file),
		cmocka_unit_test(test_who_has_seen_enough_ends_it),
		cmocka_unit_test(test_a_directory_that_cannot_be_used_is_told),
		cmocka_unit_test(test_a_file_that_cannot_grow_is_told),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
