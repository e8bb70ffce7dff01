/* SPDX-License-Identifier: MIT */
/*
 * Windows over what Redis keeps of hits: against a model that looks at every bucket, and at the edges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <endian.h>
#include <cmocka.h>

#include "../../lib/hits.h"
#include "../../lib/shcount.h"

enum { HEAD = 2, BUCKETS_MAX = 1440 };

static const int64_t units_s[] = {1, 60, 3600}, counts[] = {300, 1440, 720};

struct ring {
	int64_t words[HEAD + BUCKETS_MAX]; /* as they are sent */
	enum hits_level level;
};

static void put_word(struct ring *r, size_t at, int64_t v)
{
	r->words[at] = (int64_t)htobe64((uint64_t)v);
}

static void ring_init(struct ring *r, enum hits_level level, int64_t newest_s, int64_t ahead_s)
{
	*r = (struct ring){.level = level};
	put_word(r, 0, newest_s);
	put_word(r, 1, ahead_s);
}

static void put_hits(struct ring *r, int64_t unit_number, int64_t n)
{
	put_word(r, HEAD + (size_t)(unit_number % counts[r->level]), n);
}

static struct slice bytes_of(const struct ring *r)
{
	return (struct slice){(const char *)r->words,
			      (size_t)(HEAD + counts[r->level]) * sizeof(r->words[0])};
}

static int64_t sum_of(const struct ring *r, int64_t window_ms, int64_t now_s)
{
	int64_t sum = -1;
	assert_true(hits_sum(bytes_of(r), r->level, window_ms, now_s, &sum));
	return sum;
}

static void test_a_window_is_served_from_the_finest_level_that_covers_it(void **state)
{
	static const struct {
		int64_t window_ms;
		enum hits_level level;
	} cases[] = {
		{1, HITS_SECONDS},	  {300000, HITS_SECONDS}, {300001, HITS_MINUTES},
		{86400000, HITS_MINUTES}, {86400001, HITS_HOURS}, {SHC_WINDOW_MS_MAX, HITS_HOURS},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(hits_level_of(cases[i].window_ms), cases[i].level);
	assert_int_equal(hits_resolution_ms(HITS_SECONDS), 1000);
	assert_int_equal(hits_resolution_ms(HITS_MINUTES), 60000);
	assert_int_equal(hits_resolution_ms(HITS_HOURS), 3600000);
}

static void test_a_window_has_the_running_bucket_and_whole_ones_before_it(void **state)
{
	struct ring r;
	(void)state;
	ring_init(&r, HITS_SECONDS, 1000, 0);
	for (int64_t s = 701; s <= 1000; s++)
		put_hits(&r, s, s == 1000 ? 1000 : 1);
	assert_int_equal(sum_of(&r, 1, 1000), 1000);
	assert_int_equal(sum_of(&r, 1000, 1000), 1000);
	assert_int_equal(sum_of(&r, 1001, 1000), 1001); /* rounded up */
	assert_int_equal(sum_of(&r, 60000, 1000), 1059);
	assert_int_equal(sum_of(&r, 300000, 1000), 1299);
	assert_int_equal(sum_of(&r, 60000, 1059), 1000);
	assert_int_equal(sum_of(&r, 60000, 1060), 0);
	assert_int_equal(sum_of(&r, 300000, 1001), 1298);
	assert_int_equal(sum_of(&r, 300000, 1300), 0);
}

static void test_all_windows_are_what_a_model_of_every_bucket_says(void **state)
{
	(void)state;
	srandom(7);
	for (enum hits_level level = 0; level < HITS_LEVELS; level++) {
		int64_t newest = 500000, n[2 * BUCKETS_MAX + 1] = {0};
		struct ring r;
		ring_init(&r, level, newest * units_s[level] + units_s[level] - 1, 0);
		for (int64_t back = 0; back < counts[level]; back++) {
			n[back] = random() % 1000;
			put_hits(&r, newest - back, n[back]);
		}
		for (int round = 0; round < 2000; round++) {
			int64_t later = random() % counts[level], wanted = 1 + random() % counts[level],
				model = 0;
			for (int64_t back = 0; back < wanted - later; back++)
				model += n[back];
			/* The newest hit is at the end of its bucket, where the counter's clock does not go
			 * back. */
			int64_t now_s = (newest + later) * units_s[level] +
					(later ? random() % units_s[level] : units_s[level] - 1);
			int64_t part_ms = random() % (units_s[level] * 1000);
			assert_int_equal(sum_of(&r, wanted * units_s[level] * 1000 - part_ms, now_s), model);
		}
	}
}

static void test_a_clock_that_was_set_back_goes_on_from_the_newest_hit(void **state)
{
	struct ring r;
	(void)state;
	ring_init(&r, HITS_SECONDS, 1000, 400); /* the server's clock is 600 */
	put_hits(&r, 1000, 5);
	assert_int_equal(sum_of(&r, 60000, 600), 5);
	assert_int_equal(sum_of(&r, 60000, 659), 5);
	assert_int_equal(sum_of(&r, 60000, 660), 0);
	assert_int_equal(sum_of(&r, 60000, 100), 5); /* set back again, and nothing was hit since */
}

static void test_a_sum_is_exact_beyond_doubles_and_ends_at_64_bits(void **state)
{
	struct ring r;
	(void)state;
	ring_init(&r, HITS_SECONDS, 1000, 0);
	put_hits(&r, 1000, INT64_C(9007199254740993));
	put_hits(&r, 999, 1);
	assert_true(sum_of(&r, 2000, 1000) == INT64_C(9007199254740994));
	put_hits(&r, 998, INT64_MAX);
	assert_true(sum_of(&r, 3000, 1000) == INT64_MAX);
}

static void test_what_is_short_is_zero_and_what_is_none_is_told(void **state)
{
	struct ring r;
	int64_t sum = 7;
	(void)state;
	assert_true(hits_sum((struct slice){"", 0}, HITS_HOURS, SHC_WINDOW_MS_MAX, 1764250000, &sum));
	assert_int_equal(sum, 0);
	ring_init(&r, HITS_SECONDS, 1000, 0);
	put_hits(&r, 900, 4); /* bucket 0 of the ring: the string ends behind it */
	struct slice s = bytes_of(&r);
	s.len = (HEAD + 1) * sizeof(int64_t);
	assert_true(hits_sum(s, HITS_SECONDS, 200000, 1000, &sum));
	assert_int_equal(sum, 4);
	s.len = sizeof(r.words);
	assert_false(hits_sum(s, HITS_SECONDS, 1000, 1000, &sum));
	put_word(&r, 0, -1);
	assert_false(hits_sum(bytes_of(&r), HITS_SECONDS, 1000, 1000, &sum));
	ring_init(&r, HITS_SECONDS, 1000, INT64_MAX);
	assert_false(hits_sum(bytes_of(&r), HITS_SECONDS, 1000, 1000, &sum));
	ring_init(&r, HITS_SECONDS, 1000, INT64_MIN);
	put_hits(&r, 1000, -5);
	assert_false(hits_sum(bytes_of(&r), HITS_SECONDS, 1000, 1000, &sum));
	assert_int_equal(sum, 4);	   /* untouched */
	ring_init(&r, HITS_SECONDS, 3, 0); /* a clock at the beginning of time */
	put_hits(&r, 3, 2);
	assert_int_equal(sum_of(&r, 300000, 3), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_window_is_served_from_the_finest_level_that_covers_it),
		cmocka_unit_test(test_a_window_has_the_running_bucket_and_whole_ones_before_it),
		cmocka_unit_test(test_all_windows_are_what_a_model_of_every_bucket_says),
		cmocka_unit_test(test_a_clock_that_was_set_back_goes_on_from_the_newest_hit),
		cmocka_unit_test(test_a_sum_is_exact_beyond_doubles_and_ends_at_64_bits),
		cmocka_unit_test(test_what_is_short_is_zero_and_what_is_none_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
