/* SPDX-License-Identifier: MIT */
/*
 * What the uplink has on disk: starts and the incarnation are there when they were said to be, baselines
 * belong to one incarnation and leave with it or with their counter, and the newest epoch that has content is
 * known after whatever folding, merging and crashes have left.
 */
#include "store_fixture.h"

enum { PRESENT = 7, NEXT = 8, OTHER = 9 };

/* ---- what is there ---- */

static struct store_uplink load_uplink(struct store *s)
{
	struct store_uplink u;

	assert_int_equal(store_uplink_load(s, &u), 0);
	return u;
}

static struct store *open_again(struct store *s, const char *path)
{
	struct picture p;

	store_close(s);
	s = open_and_load(path, &p);
	picture_free(&p);
	return s;
}

/* After a crash now. */
static struct store *open_image(const struct fixture *f)
{
	copy_database(f->path, f->image);
	return open_again(NULL, f->image);
}

enum { ROWS_MAX = 400 };

struct rows {
	size_t count;
	struct store_baseline rows[ROWS_MAX];
};

static int take_row(void *arg, uint64_t id, int64_t value)
{
	struct rows *rows = arg;

	assert_true(rows->count < ROWS_MAX);
	assert_true(rows->count == 0 || id > rows->rows[rows->count - 1].id);
	rows->rows[rows->count++] = (struct store_baseline){.id = id, .value = value};
	return 0;
}

static struct rows baselines(struct store *s)
{
	struct rows rows = {0};

	assert_int_equal(store_baselines(s, take_row, &rows), 0);
	return rows;
}

static int64_t count_rows(const char *path, const char *sql)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t count;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	count = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return count;
}

static int64_t rows_of(const struct fixture *f, int incarnation)
{
	char sql[100];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM baseline WHERE incarnation = %d", incarnation);
	return count_rows(f->path, sql);
}

static void keep_line(void *arg, const char *line)
{
	snprintf(arg, 1600, "%s", line);
}

/* ---- what is done ---- */

/* Ids from `first` on, each worth `factor` times its id. */
static void put(struct store *s, uint64_t incarnation, uint64_t first, size_t count, int64_t factor)
{
	struct store_baseline rows[ROWS_MAX];

	for (size_t i = 0; i < count; i++)
		rows[i] = (struct store_baseline){.id = first + i, .value = factor * (int64_t)(first + i)};
	assert_int_equal(store_put_baselines(s, incarnation, rows, count), STORE_OK);
}

static unsigned forget(struct store *s, size_t rows_max)
{
	unsigned steps = 1;
	int r;

	while ((r = store_forget_baselines(s, rows_max)) == STORE_AGAIN)
		steps++;
	assert_int_equal(r, STORE_OK);
	return steps;
}

static void commit_delete(struct store *s, uint64_t epoch, uint64_t id, uint64_t id_next)
{
	struct journal_writer w;

	journal_writer_init(&w, 0);
	journal_put_delete(&w, id);
	must_commit(s, epoch, &w, id_next);
}

static void commit_name(struct store *s, uint64_t epoch, uint64_t id, const char *name)
{
	struct journal_writer w;

	journal_writer_init(&w, 0);
	journal_put_name(&w, id, slice_str(name));
	must_commit(s, epoch, &w, id + 1);
}

static void commit_delta(struct store *s, uint64_t epoch, uint64_t id)
{
	struct journal_writer w;

	journal_writer_init(&w, 0);
	journal_put_deltas(&w, &(struct journal_delta){.id = id, .delta = 1}, 1);
	must_commit(s, epoch, &w, id + 1);
}

/* Behind commit_name: the counter is added to and deleted, in so many epochs that they are worth merging. The
 * last of them. */
enum { LIFE_EPOCHS = 8 };

static uint64_t commit_life(struct store *s, uint64_t epoch, uint64_t id)
{
	for (uint64_t e = epoch + 1; e < epoch + LIFE_EPOCHS - 1; e++)
		commit_delta(s, e, id);
	commit_delete(s, epoch + LIFE_EPOCHS - 1, id, id + 1);
	return epoch + LIFE_EPOCHS - 1;
}

/* A database with `count` counters, in the snapshot, whose incarnation is PRESENT. */
static struct store *open_with_counters(const struct fixture *f, uint64_t count, uint64_t *epoch)
{
	struct picture p;
	struct store *s;

	make_database(f->path, count);
	s = open_and_load(f->path, &p);
	*epoch = p.state.epoch_first;
	picture_free(&p);
	assert_int_equal(store_uplink_begin(s, PRESENT, 1000, store_last_epoch(s)), STORE_OK);
	return s;
}

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

/* ---- baselines ---- */

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
		fixture_test(test_a_baseline_that_is_put_again_is_replaced),
		fixture_test(test_who_is_told_of_baselines_can_stop),
		fixture_test(test_what_the_old_incarnation_had_is_forgotten_in_steps),
		fixture_test(test_a_preparation_that_a_crash_cut_off_is_forgotten_and_another_is_not_harmed),
		fixture_test(test_a_sweep_begins_again_when_something_is_put),
		fixture_test(test_a_baseline_goes_with_its_counter),
		fixture_test(test_what_is_put_for_a_counter_whose_deletion_is_folded_is_forgotten),
		fixture_test(test_a_baseline_of_a_counter_that_only_the_journal_has_is_kept),
		fixture_test(test_a_baseline_of_a_counter_that_no_fold_saw_is_forgotten),
		fixture_test(test_the_newest_epoch_is_known_wherever_folding_stands),
		fixture_test(test_the_newest_epoch_is_known_when_a_pass_was_cut_off),
		fixture_test(test_the_newest_epoch_is_known_when_all_of_it_has_cancelled_out),
		fixture_test(test_an_epoch_with_entries_of_the_audit_log_only_does_not_count),
		fixture_test(test_a_file_of_version_3_is_checked_as_it_is_and_brought_up_to_date_when_opened),
		fixture_test(test_rows_that_make_no_sense_are_refused_and_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
