/* SPDX-License-Identifier: MIT */
/* Which refusals are logged: nobody is left out, and nobody fills the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "../../daemon/refusals.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_first_of_a_source_is_said_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_then_one_in_ten_seconds_with_how_many_there_were, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_from_however_many_sources_there_are_only_so_many_lines,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_a_forgotten_source_was_not_told_is_told_with_another, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
