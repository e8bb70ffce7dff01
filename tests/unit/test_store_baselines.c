/* SPDX-License-Identifier: MIT */
/* Baselines of the uplink's contributions: they belong to one incarnation, and leave with it or with their
 * counter. */
#include "store_uplink_rig.h"

static void test_a_baseline_that_is_put_again_is_replaced(void **state)
{
	struct fixture *f = *state;
	const struct store_baseline extremes[] = {{1, INT64_MIN}, {3, INT64_MAX}};
	uint64_t epoch;
	struct store *s = open_with_counters(f, 20, &epoch);
	struct rows rows;

	put(s, NEXT, 1, 10, 1);
	put(s, NEXT, 5, 10, 2);
	assert_int_equal(store_put_baselines(s, NEXT, extremes, 2), STORE_OK);
	assert_int_equal(store_put_baselines(s, NEXT, NULL, 0), STORE_OK);
	assert_int_equal(store_uplink_switch(s, NEXT), STORE_OK);
	rows = baselines(s);
	assert_int_equal(rows.count, 14);
	assert_true(rows.rows[0].value == INT64_MIN);
	assert_int_equal(rows.rows[1].value, 2);
	assert_true(rows.rows[2].value == INT64_MAX);
	assert_int_equal(rows.rows[3].value, 4);
	assert_int_equal(rows.rows[4].value, 10);
	store_close(s);
}

static int stop_at_three(void *arg, uint64_t id, int64_t value)
{
	int *calls = arg;

	(void)value;
	(*calls)++;
	return id == 3 ? -ENOMEM : 0;
}

static void test_who_is_told_of_baselines_can_stop(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s = open_with_counters(f, 20, &epoch);
	int calls = 0;

	put(s, NEXT, 1, 10, 1);
	assert_int_equal(store_uplink_switch(s, NEXT), STORE_OK);
	assert_int_equal(store_baselines(s, stop_at_three, &calls), -ENOMEM);
	assert_int_equal(calls, 3);
	assert_int_equal(baselines(s).count, 10);
	store_close(s);
}

static void test_what_the_old_incarnation_had_is_forgotten_in_steps(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s = open_with_counters(f, 300, &epoch);

	put(s, NEXT, 1, 300, 1);
	assert_int_equal(store_uplink_switch(s, NEXT), STORE_OK);
	put(s, OTHER, 1, 300, 2);
	assert_in_range(forget(s, 50), 12, 13); /* neither the present one's nor the next one's are touched */
	assert_int_equal(rows_of(f, NEXT), 300);
	assert_int_equal(rows_of(f, OTHER), 300);
	assert_int_equal(store_uplink_switch(s, OTHER), STORE_OK);
	assert_int_equal(store_forget_baselines(s, 50), STORE_AGAIN);
	assert_in_range(rows_of(f, NEXT), 250, 299);
	assert_in_range(forget(s, 50), 11, 12);
	assert_int_equal(rows_of(f, NEXT), 0);
	assert_int_equal(baselines(s).count, 300);
	assert_int_equal(forget(s, 1), 1); /* and then nothing is looked at */
	store_close(s);
	assert_clean(f->path);
}

static void test_a_preparation_that_a_crash_cut_off_is_forgotten_and_another_is_not_harmed(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s = open_with_counters(f, 300, &epoch);

	put(s, NEXT, 1, 200, 1);
	store_close(s);
	copy_database(f->path, f->image);
	for (int is_early = 0; is_early < 2; is_early++) {
		copy_database(f->image, f->path);
		s = open_again(NULL, f->path);
		assert_int_equal(baselines(s).count, 0);
		if (is_early)
			forget(s, 50);
		put(s, OTHER, 100, 50, 2);
		put(s, OTHER, 150, 50, 2);
		assert_int_equal(rows_of(f, NEXT), is_early ? 0 : 200);
		forget(s, 50);
		assert_int_equal(rows_of(f, NEXT), 0);
		assert_int_equal(rows_of(f, OTHER), 100);
		assert_int_equal(store_uplink_switch(s, OTHER), STORE_OK);
		forget(s, 50);
		assert_int_equal(baselines(s).count, 100);
		store_close(s);
	}
}

/* What is put while a sweep is under way is looked at, too. */
static void test_a_sweep_begins_again_when_something_is_put(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s = open_with_counters(f, 300, &epoch);

	put(s, NEXT, 200, 100, 1);
	assert_int_equal(store_forget_baselines(s, 50), STORE_AGAIN);
	put(s, NEXT, 1, 100, 1);
	put(s, OTHER, 1, 1, 1); /* NEXT is given up */
	forget(s, 50);
	assert_int_equal(rows_of(f, NEXT), 0);
	assert_int_equal(rows_of(f, OTHER), 1);
	store_close(s);
}

static void test_a_baseline_goes_with_its_counter(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s = open_with_counters(f, 20, &epoch);
	struct journal_writer w;

	put(s, NEXT, 1, 20, 1);
	assert_int_equal(store_uplink_switch(s, NEXT), STORE_OK);
	put(s, OTHER, 1, 20, 2);
	commit_delete(s, epoch, 7, 21);
	assert_int_equal(baselines(s).count, 20);
	assert_int_equal(fold_everything(s, 3), STORE_OK);
	assert_int_equal(rows_of(f, NEXT), 19);
	assert_int_equal(rows_of(f, OTHER), 19);
	assert_int_equal(baselines(s).rows[6].id, 8);
	/* FLUSHALL, and one that was created since */
	journal_writer_init(&w, 0);
	journal_put_floor(&w, 21);
	journal_put_name(&w, 21, slice_str("new"));
	must_commit(s, epoch + 1, &w, 22);
	put(s, OTHER, 21, 1, 2);
	assert_int_equal(fold_everything(s, 3), STORE_OK);
	assert_int_equal(rows_of(f, NEXT), 0);
	assert_int_equal(rows_of(f, OTHER), 1);
	store_close(s);
	assert_clean(f->path);
}

/* Who puts has looked at what was committed a moment ago. */
static void test_what_is_put_for_a_counter_whose_deletion_is_folded_is_forgotten(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s = open_with_counters(f, 20, &epoch);

	commit_delete(s, epoch, 7, 21);
	assert_int_equal(fold_everything(s, 100), STORE_OK);
	put(s, NEXT, 1, 20, 1);
	forget(s, 5);
	assert_int_equal(rows_of(f, NEXT), 19);
	/* ... also when that is long ago */
	run_sql(f->path, "INSERT INTO baseline VALUES (7, 8, 1)");
	s = open_again(s, f->path);
	assert_int_equal(store_uplink_switch(s, NEXT), STORE_OK);
	forget(s, 5);
	assert_int_equal(baselines(s).count, 19);
	store_close(s);
}

static void test_a_baseline_of_a_counter_that_only_the_journal_has_is_kept(void **state)
{
	struct fixture *f = *state;

	for (int is_reopened = 0; is_reopened < 2; is_reopened++) {
		uint64_t epoch;
		struct store *s;

		copy_database("/nonexistent", f->path);
		unlink(f->path);
		s = open_with_counters(f, 20, &epoch);
		commit_name(s, epoch, 21, "new");
		put(s, NEXT, 1, 21, 1);
		assert_int_equal(store_uplink_switch(s, NEXT), STORE_OK);
		if (is_reopened)
			s = open_again(s, f->path);
		forget(s, 5);
		assert_int_equal(baselines(s).count, 21);
		assert_int_equal(fold_everything(s, 100), STORE_OK);
		forget(s, 5);
		assert_int_equal(baselines(s).count, 21);
		assert_int_equal(forget(s, 1), 1);
		store_close(s);
	}
}

/* Created and deleted behind the last fold, and merged: no fold ever hears of it. */
static void test_a_baseline_of_a_counter_that_no_fold_saw_is_forgotten(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s = open_with_counters(f, 20, &epoch);

	commit_name(s, epoch, 21, "new");
	put(s, NEXT, 1, 21, 1);
	assert_int_equal(store_uplink_switch(s, NEXT), STORE_OK);
	commit_life(s, epoch, 21);
	assert_int_equal(store_journal_merge(s, 0), STORE_OK);
	assert_int_equal(store_journal_epochs(s), 1);
	forget(s, 5);
	assert_int_equal(fold_everything(s, 100), STORE_OK);
	assert_int_equal(rows_of(f, NEXT), 21);
	forget(s, 5);
	assert_int_equal(baselines(s).count, 20);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_a_baseline_that_is_put_again_is_replaced),
		fixture_test(test_who_is_told_of_baselines_can_stop),
		fixture_test(test_what_the_old_incarnation_had_is_forgotten_in_steps),
		fixture_test(test_a_preparation_that_a_crash_cut_off_is_forgotten_and_another_is_not_harmed),
		fixture_test(test_a_sweep_begins_again_when_something_is_put),
		fixture_test(test_a_baseline_goes_with_its_counter),
		fixture_test(test_what_is_put_for_a_counter_whose_deletion_is_folded_is_forgotten),
		fixture_test(test_a_baseline_of_a_counter_that_only_the_journal_has_is_kept),
		fixture_test(test_a_baseline_of_a_counter_that_no_fold_saw_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
