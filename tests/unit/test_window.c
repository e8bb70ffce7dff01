/* SPDX-License-Identifier: MIT */
/*
 * Hits in time. The oracle is a plain list of all hits there ever were, and knows no rings: what a window
 * holds is what of the list lies in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemon/journal.h"
#include "../../daemon/window.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, YEAR = 365 * DAY, HITS_MAX = 4000 };

static uint64_t seed;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* From -range to range, small ones more often. */
static int64_t draw_around(int64_t range)
{
	int64_t v = (int64_t)(draw() % (uint64_t)(range / (int64_t)(1 + draw() % 1000) + 1));

	return draw() % 2 ? v : -v;
}

/* ---- the oracle ---- */

struct list {
	struct {
		int64_t second;
		uint64_t count;
	} hits[HITS_MAX];
	size_t count;
	int64_t newest;
};

static int64_t floor_of(int64_t second, int64_t span)
{
	return second >= 0 ? second / span : -((span - 1 - second) / span);
}

static uint64_t sum_of(const struct list *l, int64_t now, int64_t seconds, int64_t *resolution_ms)
{
	int64_t span = seconds <= 5 * MINUTE ? 1 : seconds <= DAY ? MINUTE : HOUR;
	int64_t buckets = (seconds + span - 1) / span;
	uint64_t sum = 0;

	if (now < l->newest)
		now = l->newest;
	for (size_t i = 0; i < l->count; i++) {
		int64_t age = floor_of(now, span) - floor_of(l->hits[i].second, span);

		sum += age < buckets ? l->hits[i].count : 0;
	}
	*resolution_ms = span * 1000;
	return sum;
}

static void hit(struct window *w, struct list *l, int64_t second, uint64_t count)
{
	assert_int_equal(window_prepare(w, second), 0);
	window_add(w, second, count);
	assert_true(l->count < HITS_MAX);
	l->newest = l->count == 0 || second > l->newest ? second : l->newest;
	l->hits[l->count].second = second;
	l->hits[l->count++].count = count;
}

static void assert_sum(const struct window *w, const struct list *l, int64_t now, int64_t seconds)
{
	int64_t resolution_ms;
	uint64_t want = sum_of(l, now, seconds, &resolution_ms);
	struct window_sum sum;

	assert_int_equal(window_sum(w, now, seconds * 1000, &sum), 0);
	assert_int_equal(sum.resolution_ms, resolution_ms);
	if (sum.hits != want)
		fail_msg("%llu hits in the %lld s before %lld (newest %lld), not %llu",
			 (unsigned long long)sum.hits, (long long)seconds, (long long)now,
			 (long long)l->newest, (unsigned long long)want);
}

/* Lengths at the edges of levels and at random, asked now, earlier and later. */
static void assert_sums(const struct window *w, const struct list *l)
{
	static const int64_t edges[] = {1,
					2,
					59,
					60,
					61,
					299,
					300,
					301,
					359,
					360,
					361,
					3600,
					DAY - 1,
					DAY,
					DAY + 1,
					2 * DAY,
					30 * DAY - HOUR,
					30 * DAY - 1,
					30 * DAY};

	if (l->count == 0)
		return;
	assert_int_equal(window_newest(w), l->newest);
	for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
		assert_sum(w, l, l->newest, edges[i]);
		assert_sum(w, l, l->newest + draw_around(40 * (int64_t)DAY), edges[i]);
		assert_sum(w, l, l->newest + draw_around(2 * HOUR), 1 + (int64_t)(draw() % (30 * DAY)));
		assert_sum(w, l, l->newest + draw_around(100), 1 + (int64_t)(draw() % 400));
	}
}

/* ---- packing ---- */

static struct buf packed(const struct window *w)
{
	struct buf out = BUF_INIT;

	window_pack(w, &out);
	assert_false(out.failed);
	return out;
}

static void assert_same(const struct window *a, const struct window *b)
{
	struct buf x = packed(a), y = packed(b);

	assert_int_equal(buf_len(&x), buf_len(&y));
	assert_memory_equal(buf_head(&x), buf_head(&y), buf_len(&x));
	buf_fini(&x);
	buf_fini(&y);
}

/* As a fold or a start does: what was unpacked is used in its place. */
static struct window *repack(struct window *w)
{
	struct buf b = packed(w);
	struct window *again;
	int error;

	again = window_unpack(buf_head(&b), buf_len(&b), &error);
	assert_non_null(again);
	assert_int_equal(error, 0);
	assert_same(w, again);
	assert_true(window_bytes(again) <= window_bytes(w));
	window_free(w);
	buf_fini(&b);
	return again;
}

/* ---- against the list ---- */

/* A clock that mostly goes on, by steps of very different size, with hits that come late. */
static void run(uint64_t round)
{
	struct list *l = calloc(1, sizeof(*l));
	struct window *w = window_new();
	int64_t now, range[] = {1, 5, 90, 400, 2 * HOUR, 2 * (int64_t)DAY, 40 * (int64_t)DAY};

	seed = round * 0x9e3779b97f4a7c15u;
	assert_true(w && l);
	now = draw() % 3 ? 1700000000 + draw_around(YEAR) : draw_around(HOUR);
	for (size_t n = 100 + draw() % 600; n > 0; n--) {
		size_t step = draw() % (draw() % 8 ? 3 : 7);
		int64_t late = draw() % 4 ? 0 : draw_around(range[draw() % 7]);

		now += (int64_t)(draw() % (uint64_t)range[step]);
		hit(w, l, now + (draw() % 20 ? -(late < 0 ? -late : late) : late), 1 + draw() % 5);
		if (draw() % 50 == 0)
			assert_sums(w, l);
		if (draw() % 100 == 0)
			w = repack(w);
		assert_true(window_bytes(w) <= WINDOW_BYTES_MAX);
	}
	assert_sums(w, l);
	window_free(repack(w));
	free(l);
}

static void test_sums_are_those_of_all_hits(void **state)
{
	(void)state;
	for (uint64_t round = 1; round <= 300; round++)
		run(round);
}

static void test_the_order_of_hits_changes_nothing(void **state)
{
	struct list *l = calloc(1, sizeof(*l));

	(void)state;
	assert_non_null(l);
	for (uint64_t round = 1; round <= 100; round++) {
		struct window *first = window_new(), *w = window_new();
		int64_t range =
			(int64_t[]){200, 400, 3 * HOUR, 3 * (int64_t)DAY, 60 * (int64_t)DAY}[round % 5];

		seed = round * 0x9e3779b97f4a7c15u;
		assert_true(first && w);
		l->count = 0;
		for (size_t n = 2 + draw() % 500; n > 0; n--)
			hit(first, l, 1700000000 + draw_around(range), draw());
		for (size_t i = 0; i < l->count; i++) {
			size_t other = i + draw() % (l->count - i);
			int64_t second = l->hits[other].second;
			uint64_t count = l->hits[other].count;

			l->hits[other] = l->hits[i];
			assert_int_equal(window_prepare(w, second), 0);
			window_add(w, second, count);
			if (draw() % 100 == 0)
				w = repack(w);
		}
		assert_same(first, w);
		window_free(first);
		window_free(w);
	}
	free(l);
}

/* Years on: nothing is left of before. Years back: what would be older than all is dropped. */
static void test_jumps_of_years_forget_and_revive_nothing(void **state)
{
	static struct list l;
	struct window *w = window_new();
	int64_t now = 1700000000;

	(void)state;
	assert_non_null(w);
	for (int i = 0; i < 40 * HOUR; i += 97)
		hit(w, &l, now + i, 1);
	for (int years = 1; years <= 30; years += 7) {
		now += (int64_t)years * YEAR;
		hit(w, &l, now, 3);
		assert_sum(w, &l, now, 30 * DAY);
		assert_sum(w, &l, now, 60);
		hit(w, &l, now - (int64_t)years * YEAR, 5);
		hit(w, &l, now - 31 * (int64_t)DAY, 5);
		assert_sum(w, &l, now - (int64_t)years * YEAR, 60);
		assert_sum(w, &l, now, 30 * DAY);
		assert_sums(w, &l);
	}
	window_free(w);
}

/* Told as numbers, so that the oracle cannot be wrong the same way. */
static void test_the_edges_of_levels_are_where_they_should_be(void **state)
{
	static const struct {
		const char *descr;
		int64_t hit, now, window_ms;
		uint64_t hits;
		int64_t resolution_ms;
	} cases[] = {
		{"the running second", 1000, 1000, 1, 1, 1000},
		{"60 s: the oldest second", 941, 1000, 60000, 1, 1000},
		{"60 s: one before", 940, 1000, 60000, 0, 1000},
		{"part of a second is one", 999, 1000, 1001, 1, 1000},
		{"300 s: the oldest second", 701, 1000, 300000, 1, 1000},
		{"300 s: one before", 700, 1000, 300000, 0, 1000},
		{"301 s: six minutes, the oldest second", 660, 1000, 301000, 1, 60000},
		{"301 s: one before", 659, 1000, 301000, 0, 60000},
		{"300.001 s: six minutes", 660, 1000, 300001, 1, 60000},
		{"24 h: the oldest second", 100080, 186460, 86400000, 1, 60000},
		{"24 h: one before", 100079, 186460, 86400000, 0, 60000},
		{"24 h and 1 ms: 25 hours, the oldest second", 93600, 183599, 86400001, 1, 3600000},
		{"24 h and 1 ms: one before", 93599, 183599, 86400001, 0, 3600000},
		{"30 d: the oldest second", 7200, 7200 + 2592000 - 1, 2592000000, 1, 3600000},
		{"30 d: one before", 7199, 7200 + 2592000 - 1, 2592000000, 0, 3600000},
		{"before 1970", -3661, -61, 3600000, 0, 60000},
		{"before 1970, the oldest second", -3660, -61, 3600000, 1, 60000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		/* With and without a hit at `now` that pushes the other one out of its ring. */
		for (uint64_t with_newer = 0; with_newer < 2; with_newer++) {
			struct window *w = window_new();
			struct window_sum sum;

			assert_non_null(w);
			window_add(w, cases[i].hit, 1);
			if (with_newer) {
				assert_int_equal(window_prepare(w, cases[i].now), 0);
				window_add(w, cases[i].now, 16);
			}
			assert_int_equal(window_sum(w, cases[i].now, cases[i].window_ms, &sum), 0);
			if (sum.hits != cases[i].hits + 16 * with_newer)
				fail_msg("%s: %llu", cases[i].descr, (unsigned long long)sum.hits);
			assert_int_equal(sum.resolution_ms, cases[i].resolution_ms);
			window_free(w);
		}
	}
}

static void test_windows_that_cannot_be_are_refused(void **state)
{
	static const int64_t cases[] = {0, -1, INT64_MIN, 30 * INT64_C(86400000) + 1, INT64_MAX};
	struct window_sum sum = {.hits = 7};
	struct window *w = window_new();

	(void)state;
	assert_non_null(w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(window_sum(w, 0, cases[i], &sum), -ERANGE);
		assert_int_equal(window_sum(NULL, 0, cases[i], &sum), -ERANGE);
	}
	assert_int_equal(sum.hits, 7);
	assert_int_equal(window_sum(w, 0, 1, &sum), 0);
	assert_int_equal(sum.hits, 0);
	assert_int_equal(window_sum(NULL, 0, 301000, &sum), 0);
	assert_int_equal(sum.hits, 0);
	assert_int_equal(sum.resolution_ms, 60000);
	assert_int_equal(window_newest(w), INT64_MIN);
	window_free(repack(w));
}

static void test_seconds_that_make_no_sense_are_dropped(void **state)
{
	static const int64_t cases[] = {INT64_MIN, INT64_MAX, WINDOW_SECOND_MAX + 1, -WINDOW_SECOND_MAX - 1};
	struct window *w = window_new();
	struct window_sum sum;

	(void)state;
	assert_non_null(w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(window_prepare(w, cases[i]), 0);
		window_add(w, cases[i], 1);
	}
	assert_int_equal(window_newest(w), INT64_MIN);
	window_add(w, -WINDOW_SECOND_MAX, 2);
	assert_int_equal(window_prepare(w, WINDOW_SECOND_MAX), 0);
	window_add(w, WINDOW_SECOND_MAX, 3);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(window_sum(w, cases[i], 30 * INT64_C(86400000), &sum), 0);
		assert_int_equal(sum.hits, 3);
	}
	window_free(repack(w));
}

/* ---- memory ---- */

static void add(struct window *w, int64_t second)
{
	assert_int_equal(window_prepare(w, second), 0);
	window_add(w, second, UINT64_MAX);
}

static void test_a_ring_is_there_when_something_first_goes_there(void **state)
{
	struct window *w = window_new();
	size_t bare;

	(void)state;
	assert_non_null(w);
	bare = window_bytes(w);
	assert_true(bare <= 2600);
	add(w, 1000000);
	add(w, 1000299);
	assert_int_equal(window_bytes(w), bare);
	add(w, 1000300); /* the first one leaves the seconds */
	assert_int_equal(window_bytes(w), bare + 1440 * 8);
	add(w, 1000300 + DAY - 10 * MINUTE);
	assert_int_equal(window_bytes(w), bare + 1440 * 8);
	add(w, 1000300 + DAY + HOUR);
	assert_int_equal(window_bytes(w), bare + 1440 * 8 + 720 * 8);
	assert_true(window_bytes(w) <= WINDOW_BYTES_MAX);
	window_free(w);

	/* A jump over a level, and what is dropped, need no ring. */
	w = window_new();
	assert_non_null(w);
	add(w, 1000000);
	add(w, 1000000 + 2 * DAY);
	assert_int_equal(window_bytes(w), bare + 720 * 8);
	add(w, 1000000 + 2 * YEAR);
	add(w, 1000000);
	assert_int_equal(window_bytes(w), bare + 720 * 8);
	window_free(w);
}

/* Every bucket of every level in use. */
static void test_a_full_window_takes_at_most_20_kib(void **state)
{
	struct window *w = window_new();
	struct window_sum sum;
	struct buf b;

	(void)state;
	assert_non_null(w);
	for (int64_t second = 0; second < 31 * (int64_t)DAY; second += 30)
		add(w, 1700000000 + second);
	for (int64_t second = 31 * (int64_t)DAY - 30; second < 31 * (int64_t)DAY; second++)
		add(w, 1700000000 + second);
	for (int64_t second = 31 * (int64_t)DAY - 400; second < 31 * (int64_t)DAY; second++)
		add(w, 1700000000 + second);
	assert_in_range(window_bytes(w), 19680, WINDOW_BYTES_MAX);
	assert_int_equal(window_sum(w, 0, 300000, &sum), 0);
	assert_int_equal(0 - sum.hits, 300 + 30 + 10);
	b = packed(w);
	assert_true(buf_len(&b) > 10 * 2000);
	buf_fini(&b);
	window_free(repack(w));
}

/* ---- the format ---- */

/* What is on somebody's disk stays readable. */
static void test_bytes_on_disk_do_not_change(void **state)
{
	static const unsigned char body[] = {
		1, 0xc0, 0x9a, 0x0c,		 /* version, newest 100000 */
		2, 0,	 3,    0x81, 1, 0xac, 2, /* seconds: 3 now, 300 129 s before */
		1, 6,	 2,			 /* minutes: 2 in the sixth before */
		1, 25,	 1,			 /* hours: 1 in the 25th before */
	};
	static const int64_t seconds[][2] = {{10000, 1}, {99659, 1}, {99871, 300}, {100000, 3}, {99600, 1}};
	struct window *w = window_new();
	struct buf b;

	(void)state;
	assert_non_null(w);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(window_prepare(w, seconds[i][0]), 0);
		window_add(w, seconds[i][0], (uint64_t)seconds[i][1]);
	}
	b = packed(w);
	assert_int_equal(buf_len(&b), sizeof(body) + 4);
	assert_memory_equal(buf_head(&b), body, sizeof(body));
	buf_fini(&b);
	window_free(w);
}

static void assert_refused(const void *data, size_t len, const char *descr)
{
	int error = 0;
	char *copy = malloc(len ? len : 1); /* exactly as large, so that ASan sees a read behind it */

	assert_non_null(copy);
	if (len)
		memcpy(copy, data, len);
	if (window_unpack(copy, len, &error))
		fail_msg("not refused: %s", descr);
	assert_int_equal(error, -EUCLEAN);
	free(copy);
}

static void test_every_flipped_bit_and_every_wrong_length_is_found(void **state)
{
	struct window *w = window_new();
	struct buf b;

	(void)state;
	assert_non_null(w);
	for (int64_t second = 0; second < 3 * DAY; second += 1000)
		add(w, second);
	b = packed(w);
	for (size_t bit = 0; bit < 8 * buf_len(&b); bit++) {
		buf_head(&b)[bit / 8] ^= (char)(1 << bit % 8);
		assert_refused(buf_head(&b), buf_len(&b), "a flipped bit");
		buf_head(&b)[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t len = 0; len < buf_len(&b); len++)
		assert_refused(buf_head(&b), len, "one that is cut off");
	buf_fini(&b);
	window_free(w);
}

/* Under a checksum that is right. */
static void test_content_that_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *descr;
		size_t len;
		const char *bytes;
	} cases[] = {
		{"another version", 5, "\2\0\0\0\0"},
		{"no levels", 2, "\1\0"},
		{"two levels", 4, "\1\0\0\0"},
		{"more bytes than buckets", 6, "\1\0\0\0\0\0"},
		{"fewer buckets than said", 5, "\1\0\1\0\0"},
		{"a count of 0", 7, "\1\0\1\0\0\0\0"},
		{"the same bucket twice", 9, "\1\0\2\0\1\0\1\0\0"},
		{"more buckets than a ring has", 6, "\1\0\xad\2\0\0"},
		{"a second beyond the ring", 8, "\1\0\1\xac\2\1\0\0"},
		{"a sum of distances beyond the ring", 11, "\1\0\2\x90\1\1\xa0\1\1\0\0"},
		{"a minute that is still in the seconds", 7, "\1\0\0\1\4\1\0"},
		{"a minute beyond the ring", 8, "\1\0\0\1\xa0\x0b\1\0"},
		{"an hour that is still in the minutes", 7, "\1\0\0\0\1\x17\1"},
		{"an hour beyond the ring", 8, "\1\0\0\0\1\xd0\5\1"},
		{"a newest second beyond sense", 14, "\1\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0\0"},
		{"hits without a newest second", 16, "\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1\0\1\0\0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char body[32];
		uint32_t sum = journal_checksum(cases[i].bytes, cases[i].len);

		memcpy(body, cases[i].bytes, cases[i].len);
		for (size_t k = 0; k < 4; k++)
			body[cases[i].len + k] = (char)(sum >> 8 * k);
		assert_refused(body, cases[i].len + 4, cases[i].descr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums_are_those_of_all_hits),
		cmocka_unit_test(test_the_order_of_hits_changes_nothing),
		cmocka_unit_test(test_jumps_of_years_forget_and_revive_nothing),
		cmocka_unit_test(test_the_edges_of_levels_are_where_they_should_be),
		cmocka_unit_test(test_windows_that_cannot_be_are_refused),
		cmocka_unit_test(test_seconds_that_make_no_sense_are_dropped),
		cmocka_unit_test(test_a_ring_is_there_when_something_first_goes_there),
		cmocka_unit_test(test_a_full_window_takes_at_most_20_kib),
		cmocka_unit_test(test_bytes_on_disk_do_not_change),
		cmocka_unit_test(test_every_flipped_bit_and_every_wrong_length_is_found),
		cmocka_unit_test(test_content_that_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
