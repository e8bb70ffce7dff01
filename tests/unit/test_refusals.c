/* SPDX-License-Identifier: MIT */
/* Which refusals are logged: nobody is left out, and nobody fills the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../daemon/refusals.h"
#include "../../daemon/waker.h"

static struct refusals refusals;

static int setup(void **state)
{
	(void)state;
	refusals_init(&refusals);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	refusals_fini(&refusals);
	return 0;
}

/* How many were not said before this one; -1: neither is this one. */
static int64_t note(const char *who, int64_t now_ms)
{
	uint64_t unsaid = 0;

	return refusals_note(&refusals, who, now_ms, &unsaid) ? (int64_t)unsaid : -1;
}

static void test_the_first_of_a_source_is_said_at_once(void **state)
{
	(void)state;
	assert_int_equal(note("uid 1", 5), 0);
	assert_int_equal(note("uid 2", 5), 0);
	assert_int_equal(note("uid 1", 6), -1);
}

static void test_then_one_in_ten_seconds_with_how_many_there_were(void **state)
{
	(void)state;
	assert_int_equal(note("uid 1", 5), 0);
	for (int64_t ms = 6; ms < 5 + REFUSALS_MS; ms += 100)
		assert_int_equal(note("uid 1", ms), -1);
	assert_int_equal(note("uid 1", 5 + REFUSALS_MS), 100);
	assert_int_equal(note("uid 1", 6 + REFUSALS_MS), -1);
	assert_int_equal(note("uid 1", 5 + 2 * REFUSALS_MS), 1);
}

static void test_from_however_many_sources_there_are_only_so_many_lines(void **state)
{
	char who[REFUSALS_WHO_SIZE];
	int said = 0, ms = 0;

	(void)state;
	for (; ms < REFUSALS_MS; ms++) {
		(void)snprintf(who, sizeof(who), "10.0.%d.%d", ms / 256, ms % 256);
		said += note(who, ms) >= 0;
	}
	assert_int_equal(said, REFUSALS_SOURCES);
	/* The next line tells of all the others. */
	assert_int_equal(note("uid 1", ms + REFUSALS_MS), REFUSALS_MS - REFUSALS_SOURCES);
}

static void test_what_a_forgotten_source_was_not_told_is_told_with_another(void **state)
{
	char who[REFUSALS_WHO_SIZE];
	int64_t told = 0, n;

	(void)state;
	for (int i = 0; i < REFUSALS_SOURCES; i++) {
		(void)snprintf(who, sizeof(who), "uid %d", i);
		assert_int_equal(note(who, 0), 0);
		assert_int_equal(note(who, 1), -1);
	}
	for (int i = 0; i < REFUSALS_SOURCES; i++) {
		(void)snprintf(who, sizeof(who), "gid %d", i);
		n = note(who, REFUSALS_MS);
		assert_true(n >= 0);
		told += n;
	}
	assert_int_equal(told, REFUSALS_SOURCES);
}

static void test_a_source_without_a_name_is_one_source(void **state)
{
	(void)state;
	assert_int_equal(note("", 5), 0);
	assert_int_equal(note("", 6), -1);
	assert_int_equal(note("uid 1", 7), 0);
	assert_int_equal(note("", 8), -1);
}

static void test_names_that_are_cut_are_one_source_all_the_same(void **state)
{
	char who[2 * REFUSALS_WHO_SIZE];

	(void)state;
	memset(who, 'x', sizeof(who));
	who[sizeof(who) - 1] = '\0';
	assert_int_equal(note(who, 5), 0);
	assert_int_equal(note(who, 6), -1);
}

static void test_what_was_not_said_is_told_when_it_is_due_without_another_one(void **state)
{
	(void)state;
	assert_int_equal(refusals_wait_ms(&refusals, 5), -1);
	assert_int_equal(note("uid 1", 5), 0);
	assert_int_equal(refusals_wait_ms(&refusals, 5), -1);
	assert_int_equal(note("uid 1", 6), -1);
	assert_int_equal(note("uid 1", 7), -1);
	assert_int_equal(refusals_wait_ms(&refusals, 8), REFUSALS_MS - 3);
	refusals_tell(&refusals, 4 + REFUSALS_MS, false);
	assert_int_equal(refusals_wait_ms(&refusals, 4 + REFUSALS_MS), 1);
	assert_int_equal(refusals_wait_ms(&refusals, 9 + REFUSALS_MS), 0);
	refusals_tell(&refusals, 9 + REFUSALS_MS, false);
	assert_int_equal(refusals_wait_ms(&refusals, 9 + REFUSALS_MS), -1);
	/* That was a line of his: the next one is ten seconds later. */
	assert_int_equal(note("uid 1", 10 + REFUSALS_MS), -1);
	assert_int_equal(note("uid 1", 9 + 2 * REFUSALS_MS), 1);
}

static void test_at_the_end_everything_is_told(void **state)
{
	(void)state;
	assert_int_equal(note("uid 1", 5), 0);
	assert_int_equal(note("uid 1", 6), -1);
	refusals_tell(&refusals, 7, true);
	assert_int_equal(refusals_wait_ms(&refusals, 7), -1);
}

static void test_what_sources_without_a_place_were_refused_is_told_too(void **state)
{
	char who[REFUSALS_WHO_SIZE];

	(void)state;
	for (int i = 0; i <= REFUSALS_SOURCES; i++) {
		(void)snprintf(who, sizeof(who), "uid %d", i);
		assert_int_equal(note(who, 5), i < REFUSALS_SOURCES ? 0 : -1);
	}
	assert_int_equal(refusals_wait_ms(&refusals, 6), REFUSALS_MS - 1);
	refusals_tell(&refusals, 5 + REFUSALS_MS, false);
	assert_int_equal(refusals_wait_ms(&refusals, 5 + REFUSALS_MS), -1);
}

/* Once: a flood must not be one of wake-ups. */
static void test_the_teller_is_woken_once_and_again_when_he_has_told(void **state)
{
	struct waker waker;

	(void)state;
	assert_int_equal(waker_init(&waker), 0);
	refusals_set_teller(&refusals, &waker);
	(void)note("uid 1", 5);
	waker_park(&waker);
	assert_int_equal(waker_sleep(&waker, 0), 0);
	for (int round = 0; round < 2; round++) {
		waker_park(&waker);
		for (int i = 0; i < 3; i++)
			assert_int_equal(note("uid 1", 6 + round * REFUSALS_MS), -1);
		assert_int_equal(waker_sleep(&waker, 0), 1);
		waker_park(&waker);
		assert_true(refusals_wait_ms(&refusals, 7 + round * REFUSALS_MS) > 0);
		assert_int_equal(note("uid 1", 7 + round * REFUSALS_MS), -1);
		assert_int_equal(waker_sleep(&waker, 0), 0);
		refusals_tell(&refusals, 5 + (round + 1) * REFUSALS_MS, false);
		assert_int_equal(refusals_wait_ms(&refusals, 5 + (round + 1) * REFUSALS_MS), -1);
	}
	refusals_set_teller(&refusals, NULL);
	waker_fini(&waker);
	assert_int_equal(note("uid 1", 6 + 2 * REFUSALS_MS), -1);
}

static void test_one_more_is_no_more_refusals(void **state)
{
	char more[REFUSALS_MORE_SIZE];

	(void)state;
	refusals_more(0, more);
	assert_string_equal(more, "");
	refusals_more(1, more);
	assert_string_equal(more, "; 1 more refusal since the last such line");
	refusals_more(2, more);
	assert_string_equal(more, "; 2 more refusals since the last such line");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_first_of_a_source_is_said_at_once),
		TEST(test_then_one_in_ten_seconds_with_how_many_there_were),
		TEST(test_from_however_many_sources_there_are_only_so_many_lines),
		TEST(test_what_a_forgotten_source_was_not_told_is_told_with_another),
		TEST(test_a_source_without_a_name_is_one_source),
		TEST(test_names_that_are_cut_are_one_source_all_the_same),
		TEST(test_what_was_not_said_is_told_when_it_is_due_without_another_one),
		TEST(test_at_the_end_everything_is_told),
		TEST(test_what_sources_without_a_place_were_refused_is_told_too),
		TEST(test_the_teller_is_woken_once_and_again_when_he_has_told),
		TEST(test_one_more_is_no_more_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
