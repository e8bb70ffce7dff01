/* SPDX-License-Identifier: MIT */
/*
 * What the uplink has on disk: starts and the incarnation are there when they were said to be, and the newest
 * epoch that has content is known after whatever folding, merging and crashes have left. Baselines:
 * test_store_baselines.c.
 */
#include "store_uplink_rig.h"

/* ---- starts and incarnations ---- */

static void test_a_new_file_has_neither_incarnation_nor_starts(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	struct store_uplink u = load_uplink(s);

	assert_int_equal(u.incarnation, 0);
	assert_false(u.is_restored);
	assert_int_equal(u.start_count, 0);
	free(u.starts);
	assert_int_equal(baselines(s).count, 0);
	assert_int_equal(store_last_epoch(s), 0);
	assert_int_equal(forget(s, 10), 1);
	store_close(s);
	picture_free(&p);
	assert_clean(f->path);
}

static void test_a_start_is_there_after_a_crash_and_the_first_brings_the_incarnation(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	struct store_uplink u;

	assert_int_equal(store_uplink_begin(s, INT64_MAX, UINT64_MAX, 0), STORE_OK);
	commit_name(s, p.state.epoch_first, 1, "a");
	for (uint64_t i = 1; i < 100; i++)
		assert_int_equal(store_uplink_begin(s, 5, 1000 - i, store_last_epoch(s)), STORE_OK);
	u = load_uplink(s);
	assert_int_equal(u.start_count, 100);
	free(u.starts);
	store_close(open_image(f));
	s = open_again(s, f->image);
	u = load_uplink(s);
	assert_true(u.incarnation == INT64_MAX);
	assert_false(u.is_restored);
	assert_int_equal(u.start_count, 100);
	assert_true(u.starts[0].start == UINT64_MAX);
	assert_int_equal(u.starts[0].after_epoch, 0);
	for (uint64_t i = 1; i < 100; i++) {
		assert_int_equal(u.starts[i].start, 1000 - i);
		assert_int_equal(u.starts[i].after_epoch, p.state.epoch_first);
	}
	free(u.starts);
	store_close(s);
	picture_free(&p);
	assert_clean(f->image);
}

static void test_a_switch_is_whole_and_stays_until_it_is_accepted(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s = open_with_counters(f, 20, &epoch);
	struct store_uplink u;

	put(s, NEXT, 1, 20, 1);
	assert_int_equal(baselines(s).count, 0);
	assert_int_equal(store_uplink_switch(s, NEXT), STORE_OK);
	u = load_uplink(s);
	assert_int_equal(u.incarnation, NEXT);
	assert_true(u.is_restored);
	free(u.starts);
	store_close(s);
	s = open_image(f);
	u = load_uplink(s);
	assert_int_equal(u.incarnation, NEXT);
	assert_true(u.is_restored);
	assert_int_equal(u.start_count, 1);
	free(u.starts);
	assert_int_equal(baselines(s).count, 20);
	assert_int_equal(store_uplink_accept(s), STORE_OK);
	s = open_again(s, f->image);
	u = load_uplink(s);
	assert_int_equal(u.incarnation, NEXT);
	assert_false(u.is_restored);
	free(u.starts);
	assert_int_equal(baselines(s).rows[4].value, 5);
	/* the next one */
	put(s, OTHER, 1, 10, -3);
	assert_int_equal(store_uplink_switch(s, OTHER), STORE_OK);
	assert_int_equal(baselines(s).count, 10);
	assert_int_equal(baselines(s).rows[9].value, -30);
	store_close(s);
	assert_clean(f->image);
}

static bool is_copy(struct store *s)
{
	struct store_uplink u = load_uplink(s);

	free(u.starts);
	return u.is_copy;
}

/* Opened. */
static struct store *back_up(const struct fixture *f, const char *from)
{
	static const _Atomic bool never = false;
	char why[200] = "";

	assert_int_equal(store_backup(from, f->image, &never, why, sizeof(why)), 0);
	return open_again(NULL, f->image);
}

static void test_a_backup_is_a_copy_until_it_switches_and_its_original_is_none(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s = open_with_counters(f, 20, &epoch), *copy;

	put(s, NEXT, 1, 20, 1);
	copy = back_up(f, f->path);
	assert_true(is_copy(copy));
	s = open_again(s, f->path);
	assert_false(is_copy(s));
	/* a start, and another one */
	assert_int_equal(store_uplink_begin(copy, OTHER, 2000, store_last_epoch(copy)), STORE_OK);
	copy = open_again(copy, f->image);
	assert_true(is_copy(copy));
	put(copy, OTHER, 1, 20, 1);
	assert_true(is_copy(copy));
	assert_int_equal(store_uplink_switch(copy, OTHER), STORE_OK);
	assert_false(is_copy(copy));
	copy = open_again(copy, f->image);
	assert_false(is_copy(copy));
	assert_int_equal(store_uplink_accept(copy), STORE_OK);
	store_close(copy);
	store_close(s);
	assert_clean(f->path);
	assert_clean(f->image);
}

static void test_a_backup_of_a_backup_is_a_copy(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;
	struct store *s;

	store_close(open_with_counters(f, 20, &epoch));
	store_close(back_up(f, f->path));
	copy_database(f->image, f->path);
	assert_clean(f->path);
	s = back_up(f, f->path);
	assert_true(is_copy(s));
	store_close(s);
	assert_clean(f->image);
}

static void test_a_backup_of_what_no_cluster_knows_is_no_copy(void **state)
{
	struct fixture *f = *state;
	struct store *s;

	make_database(f->path, 20);
	s = back_up(f, f->path);
	assert_false(is_copy(s));
	store_close(s);
	assert_clean(f->image);
}

/* ---- the newest epoch ---- */

/* Now, and after a crash now. */
static void assert_last(const struct fixture *f, struct store *s, uint64_t epoch)
{
	struct store *image = open_image(f);

	assert_int_equal(store_last_epoch(s), epoch);
	assert_int_equal(store_last_epoch(image), epoch);
	store_close(image);
}

static void test_the_newest_epoch_is_known_wherever_folding_stands(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	uint64_t e = p.state.epoch_first;
	struct journal_writer nothing;
	int r;

	assert_last(f, s, 0);
	create(s, e + 5, 50);
	assert_last(f, s, e + 5);
	/* neither what is reserved nor what has nothing in it counts */
	assert_int_equal(store_reserve(s, e + 3000000), STORE_OK);
	assert_last(f, s, e + 5);
	journal_writer_init(&nothing, 0);
	assert_int_equal(journal_writer_finish(&nothing), 0);
	assert_int_equal(store_commit(s, e + 3000001, &nothing, NULL, 0, 51), STORE_OK);
	journal_writer_fini(&nothing);
	assert_last(f, s, e + 5);
	commit_delta(s, e + 3000002, 1);
	assert_last(f, s, e + 3000002);
	r = store_fold_begin(s);
	commit_delta(s, e + 3000003, 1);
	while (r == STORE_AGAIN) {
		assert_last(f, s, e + 3000003);
		r = store_fold_step(s, 20);
	}
	assert_int_equal(r, STORE_OK);
	assert_last(f, s, e + 3000003);
	assert_int_equal(fold_everything(s, 20), STORE_OK);
	assert_int_equal(store_journal_epochs(s), 0);
	assert_last(f, s, e + 3000003);
	s = open_again(s, f->path);
	assert_last(f, s, e + 3000003);
	s = open_again(s, f->path);
	assert_last(f, s, e + 3000003);
	store_close(s);
	picture_free(&p);
}

/* A pass may go to an epoch that is folded already by the time it crashes, with newer ones behind. */
static void test_the_newest_epoch_is_known_when_a_pass_was_cut_off(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	uint64_t e = p.state.epoch_first;
	int r;

	create(s, e, 50);
	r = store_fold_begin(s);
	for (int i = 0; i < 3 && r == STORE_AGAIN; i++)
		r = store_fold_step(s, 10);
	assert_int_equal(r, STORE_AGAIN);
	s = open_again(s, f->path);
	assert_last(f, s, e);
	commit_delta(s, e + 3000000, 1);
	assert_last(f, s, e + 3000000);
	r = store_fold_begin(s); /* the rest of the first */
	while (r == STORE_AGAIN)
		r = store_fold_step(s, 10);
	assert_last(f, s, e + 3000000);
	store_close(s);
	picture_free(&p);
}

static void test_the_newest_epoch_is_known_when_all_of_it_has_cancelled_out(void **state)
{
	struct fixture *f = *state;
	uint64_t e, last;
	struct store *s = open_with_counters(f, 20, &e);

	commit_name(s, e, 21, "new");
	last = commit_life(s, e, 21);
	assert_last(f, s, last);
	assert_int_equal(store_journal_merge(s, 0), STORE_OK);
	assert_int_equal(store_journal_epochs(s), 1);
	assert_last(f, s, last);
	assert_int_equal(fold_everything(s, 20), STORE_OK);
	assert_last(f, s, last);
	store_close(s);
	assert_clean(f->path);
}

static void test_an_epoch_with_entries_of_the_audit_log_only_does_not_count(void **state)
{
	const struct audit_entry entry = {.name = slice_str("a"), .operation = AUDIT_INCREMENT};
	struct fixture *f = *state;
	uint64_t e;
	struct store *s = open_with_counters(f, 20, &e);
	uint64_t before = store_last_epoch(s);
	struct journal_writer w;

	journal_writer_init(&w, 0);
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(store_commit(s, e, &w, &entry, 1, 21), STORE_OK);
	journal_writer_fini(&w);
	assert_last(f, s, before);
	store_close(s);
}

/* ---- files of others ---- */

static void test_a_file_of_version_3_is_checked_as_it_is_and_brought_up_to_date_when_opened(void **state)
{
	struct fixture *f = *state;
	struct store_uplink u;
	struct picture p;
	struct store *s;

	make_database(f->path, 20);
	run_sql(f->path, TO_VERSION_3);
	assert_clean(f->path);
	assert_int_equal(count_rows(f->path, "PRAGMA user_version"), 3);
	s = open_and_load(f->path, &p);
	assert_int_equal(p.count, 20);
	picture_free(&p);
	assert_int_equal(count_rows(f->path, "PRAGMA user_version"), 4);
	assert_int_equal(store_uplink_begin(s, PRESENT, 1, store_last_epoch(s)), STORE_OK);
	put(s, NEXT, 1, 20, 1);
	s = open_again(s, f->path);
	u = load_uplink(s);
	assert_int_equal(u.incarnation, PRESENT);
	assert_int_equal(u.starts[0].after_epoch, store_last_epoch(s));
	free(u.starts);
	store_close(s);
	assert_clean(f->path);
}

static void test_rows_that_make_no_sense_are_refused_and_found(void **state)
{
	static const struct {
		const char *descr, *sql;
		const char *words;	/* of the check */
		bool is_load, is_start; /* who refuses it, too */
	} cases[] = {
		{"no incarnation", "DELETE FROM meta WHERE key = 'uplink_incarnation'", "uplink_incarnation",
		 true, false},
		{"negative incarnation", "UPDATE meta SET value = -1 WHERE key = 'uplink_incarnation'",
		 "uplink_incarnation", true, false},
		{"not a truth", "UPDATE meta SET value = 2 WHERE key = 'uplink_restored'", "uplink_restored",
		 true, false},
		{"no mark of a copy", "DELETE FROM meta WHERE key = 'uplink_copy'", "uplink_copy", true,
		 false},
		{"not a truth of a copy", "UPDATE meta SET value = 2 WHERE key = 'uplink_copy'",
		 "uplink_copy", true, false},
		{"a start of the future", "UPDATE uplink_start SET after_epoch = 1 << 62",
		 "is said to be after", false, true},
		{"a start before all", "UPDATE uplink_start SET after_epoch = -1", "is said to be after",
		 false, true},
		{"starts in disorder",
		 "UPDATE uplink_start SET after_epoch = 1;"
		 "INSERT INTO uplink_start(start, after_epoch) VALUES (1, 0)",
		 "is said to be after", false, true},
		{"starts of nothing", "UPDATE meta SET value = 0 WHERE key = 'uplink_incarnation'",
		 "no incarnation", false, false},
		{"a baseline of a new id", "INSERT INTO baseline VALUES (21, 7, 1)", "1 baselines", false,
		 false},
		{"a baseline of no id", "INSERT INTO baseline VALUES (0, 7, 1)", "1 baselines", false, false},
		{"a baseline of nothing", "INSERT INTO baseline VALUES (1, 0, 1)", "of no incarnation", false,
		 false},
	};
	struct fixture *f = *state;
	uint64_t epoch;

	store_close(open_with_counters(f, 20, &epoch));
	copy_database(f->path, f->image);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct store_uplink u = {.start_count = 99};
		struct picture p = {0};
		struct store *s;
		char line[1600] = "";
		int r;

		print_message("%s\n", cases[i].descr);
		copy_database(f->image, f->path);
		run_sql(f->path, cases[i].sql);
		assert_int_equal(store_check(f->path, keep_line, line), 1);
		assert_non_null(strstr(line, cases[i].words));
		assert_int_equal(store_open(&s, f->path, 0), 0);
		r = load_counters(s, picture_add, &p, &p.state);
		assert_int_equal(r, cases[i].is_load ? -EUCLEAN : 0);
		if (r == 0)
			assert_int_equal(store_uplink_load(s, &u), cases[i].is_start ? -EUCLEAN : 0);
		assert_true(u.start_count == 99 || !cases[i].is_start);
		if (u.start_count != 99)
			free(u.starts);
		store_close(s);
		picture_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_a_new_file_has_neither_incarnation_nor_starts),
		fixture_test(test_a_start_is_there_after_a_crash_and_the_first_brings_the_incarnation),
		fixture_test(test_a_switch_is_whole_and_stays_until_it_is_accepted),
		fixture_test(test_a_backup_is_a_copy_until_it_switches_and_its_original_is_none),
		fixture_test(test_a_backup_of_a_backup_is_a_copy),
		fixture_test(test_a_backup_of_what_no_cluster_knows_is_no_copy),
		fixture_test(test_the_newest_epoch_is_known_wherever_folding_stands),
		fixture_test(test_the_newest_epoch_is_known_when_a_pass_was_cut_off),
		fixture_test(test_the_newest_epoch_is_known_when_all_of_it_has_cancelled_out),
		fixture_test(test_an_epoch_with_entries_of_the_audit_log_only_does_not_count),
		fixture_test(test_a_file_of_version_3_is_checked_as_it_is_and_brought_up_to_date_when_opened),
		fixture_test(test_rows_that_make_no_sense_are_refused_and_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
