/* SPDX-License-Identifier: MIT */
/* The store from outside: what it makes, keeps, refuses and says. Damage is done with SQLite itself or to the
 * bytes. */
#include "store_fixture.h"

#include <sqlite3.h>

/* ---- tools ---- */

static int64_t ask_sql(const char *path, const char *sql)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t v;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	v = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return v;
}

static void add(struct store *s, uint64_t epoch, uint64_t id, uint64_t delta)
{
	struct journal_delta one = {.id = id, .delta = delta};
	struct journal_writer w;

	journal_writer_init(&w, 1700000000123);
	journal_put_deltas(&w, &one, 1);
	must_commit(s, epoch, &w, 0);
}

/* ---- what it keeps ---- */

static void test_a_new_file_begins_at_epoch_1_and_id_1(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);

	assert_int_equal(p.state.epoch_first, 1);
	assert_int_equal(p.state.id_next, 1);
	assert_int_equal(p.state.floor_id, 0);
	assert_int_equal(p.count, 0);
	assert_int_equal(store_fold_begin(s), STORE_OK);
	assert_int_equal(store_journal_merge(s, 0), STORE_OK);
	assert_int_equal(store_checkpoint(s, 0), STORE_OK);
	assert_string_equal(store_error(s), "no error");
	store_close(s);
	assert_clean(f->path);
}

static void test_an_empty_file_counts_as_new(void **state)
{
	struct fixture *f = *state;
	struct picture p;

	write_file(f->path, "", 0);
	store_close(open_and_load(f->path, &p));
	assert_int_equal(p.state.epoch_first, 1);
}

static void test_epochs_and_ids_never_go_back(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	uint64_t used = 0, id_next = 1;

	for (int start = 0; start < 6; start++) {
		struct store *s = open_and_load(f->path, &p);

		assert_true(p.state.epoch_first > used);
		assert_true(p.state.id_next >= id_next);
		used = p.state.epoch_first;
		if (start % 2 == 0) {
			/* Far beyond the reservation, with nothing in it. */
			used += 5000000;
			assert_int_equal(store_reserve(s, used), STORE_OK);
		} else {
			struct journal_writer w;

			/* An id that is gone again stays used. */
			id_next = p.state.id_next + 1;
			journal_writer_init(&w, 0);
			journal_put_name(&w, id_next - 1, slice_str("short life"));
			journal_put_delete(&w, id_next - 1);
			must_commit(s, used += 2000000, &w, id_next);
			assert_int_equal(fold_everything(s, 10), STORE_OK);
		}
		copy_database(f->path, f->image); /* as a crash leaves it */
		store_close(s);
		copy_database(f->image, f->path);
		picture_free(&p);
	}
}

static void test_an_epoch_of_nothing_needs_no_transaction(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;
	struct journal_writer w;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);

	journal_writer_init(&w, 0);
	must_commit(s, p.state.epoch_first, &w, 1);
	store_stats(s, &stats);
	assert_int_equal(stats.commits, 0);
	assert_int_equal(store_journal_bytes(s), 0);
	store_close(s);
}

static void test_values_wrap_modulo_2_to_the_64(void **state)
{
	/* Sums of all workers fit at the end; on the way they need not, and SQL would make floats of them. */
	static const uint64_t deltas[] = {INT64_MAX,	       INT64_MAX,	    5,
					  (uint64_t)INT64_MIN, (uint64_t)INT64_MIN, 7};
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	uint64_t epoch = p.state.epoch_first, sum = 1;

	create(s, epoch++, 1);
	for (size_t i = 0; i < sizeof(deltas) / sizeof(*deltas); i++) {
		add(s, epoch++, 1, deltas[i]);
		sum += deltas[i];
		if (i % 2)
			assert_int_equal(fold_everything(s, 10), STORE_OK);
		store_close(s);
		s = open_and_load(f->path, &p);
		epoch = p.state.epoch_first;
		assert_int_equal(p.counters[0].value, (int64_t)sum);
		picture_free(&p);
	}
	store_close(s);
	assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM value WHERE typeof(value) <> 'integer'"), 0);
}

static void test_merging_changes_nothing_but_the_size(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;
	struct picture p, merged;
	struct store *s = open_and_load(f->path, &p);
	uint64_t epoch_first = p.state.epoch_first, epoch = epoch_first, bytes;

	picture_free(&p);
	create(s, epoch++, 50);
	for (int i = 0; i < 200; i++)
		add(s, epoch++, 1 + draw() % 50, draw());
	bytes = store_journal_bytes(s);
	copy_database(f->path, f->image);
	assert_int_equal(store_journal_merge(s, bytes), STORE_OK);
	assert_int_equal(store_journal_bytes(s), bytes); /* not above the bound: left alone */
	for (int i = 0; i < 20; i++)
		assert_int_equal(store_journal_merge(s, 0), STORE_OK);
	assert_true(store_journal_bytes(s) < bytes / 8);
	/* Of what is merged nothing counts as folded before all is. */
	assert_true(store_is_folded(s, epoch_first - 1));
	assert_false(store_is_folded(s, epoch_first));
	assert_false(store_is_folded(s, epoch - 1));
	store_stats(s, &stats);
	assert_true(stats.merges >= 1 && stats.merges < 20);
	store_close(s);
	store_close(open_and_load(f->image, &p));
	store_close(open_and_load(f->path, &merged));
	assert_int_equal(merged.count, p.count);
	assert_memory_equal(merged.counters, p.counters, p.count * sizeof(*p.counters));
	picture_free(&merged);
	picture_free(&p);
}

static void test_a_flush_leaves_no_rows_behind(void **state)
{
	struct fixture *f = *state;
	struct journal_writer w;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	uint64_t epoch = p.state.epoch_first;

	create(s, epoch++, 500);
	assert_int_equal(fold_everything(s, 100), STORE_OK);
	journal_writer_init(&w, 0);
	journal_put_floor(&w, 501);
	must_commit(s, epoch++, &w, 501);
	assert_int_equal(fold_everything(s, 7), STORE_OK);
	assert_int_equal(
		ask_sql(f->path, "SELECT (SELECT count(*) FROM name) + (SELECT count(*) FROM value)"), 0);
	store_close(s);
	s = open_and_load(f->path, &p);
	assert_int_equal(p.state.floor_id, 501);
	assert_int_equal(p.count, 0);
	store_close(s);
}

/* A journal that is larger than a pass takes is folded in several, the oldest first. */
static void test_a_pass_takes_a_bounded_part_of_the_journal(void **state)
{
	char letters[NAME_LEN_MAX];
	struct fixture *f = *state;
	struct journal_writer w;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	uint64_t epoch = p.state.epoch_first, id = 1, left;
	int passes = 0, r;

	for (int i = 0; i < 5; i++) {
		journal_writer_init(&w, 0);
		for (int k = 0; k < 30000; k++) {
			memset(letters, 'x', sizeof(letters));
			snprintf(letters, 20, "%llu.", (unsigned long long)id);
			letters[strlen(letters)] = 'x';
			journal_put_name(&w, id++, (struct slice){.data = letters, .len = sizeof(letters)});
		}
		must_commit(s, epoch++, &w, id);
	}
	left = store_journal_bytes(s);
	while ((r = store_fold_begin(s)) == STORE_AGAIN) {
		while (r == STORE_AGAIN)
			r = store_fold_step(s, 10000);
		assert_int_equal(r, STORE_OK);
		assert_true(left - store_journal_bytes(s) <= 16 << 20);
		left = store_journal_bytes(s);
		passes++;
	}
	assert_true(passes >= 3);
	assert_int_equal(left, 0);
	assert_true(store_is_folded(s, epoch - 1));
	store_close(s);
	picture_free(&p);
	store_close(open_and_load(f->path, &p));
	assert_int_equal(p.count, 150000);
	picture_free(&p);
}

static void test_statistics_tell_what_was_done(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);

	create(s, p.state.epoch_first, 10);
	assert_true(store_journal_bytes(s) > 0);
	assert_int_equal(fold_everything(s, 4), STORE_OK);
	assert_int_equal(store_checkpoint(s, 100000), STORE_OK); /* not that long */
	assert_int_equal(store_checkpoint(s, 0), STORE_OK);
	assert_int_equal(store_checkpoint(s, 0), STORE_OK); /* nothing left to do */
	store_stats(s, &stats);
	assert_int_equal(stats.commits, 1);
	assert_int_equal(stats.rows_folded, 10);
	assert_int_equal(stats.fold_transactions, 4);
	assert_int_equal(stats.checkpoints, 1);
	assert_int_equal(stats.journal_bytes, 0);
	assert_true(stats.last_fold_ms > 1600000000000);
	store_close(s);
}

/* ---- for people ---- */

static void read_view(const char *path, char *out, size_t size)
{
	char command[256];
	size_t len;
	FILE *cli;

	snprintf(command, sizeof(command), "sqlite3 -readonly '%s' 'SELECT * FROM counter ORDER BY 1' 2>&1",
		 path);
	cli = popen(command, "r");
	assert_non_null(cli);
	len = fread(out, 1, size - 1, cli);
	out[len] = '\0';
	assert_int_equal(pclose(cli), 0);
}

static void test_the_command_line_of_sqlite_reads_the_view_while_open(void **state)
{
	struct fixture *f = *state;
	struct journal_writer w;
	char out[512];
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	uint64_t epoch = p.state.epoch_first;

	create(s, epoch++, 3);
	read_view(f->path, out, sizeof(out));
	assert_string_equal(out, ""); /* as of the last fold: none yet */
	assert_int_equal(fold_everything(s, 10), STORE_OK);
	add(s, epoch++, 2, 40);
	read_view(f->path, out, sizeof(out));
	assert_string_equal(out, "c1|1|2023-11-14T22:13:20.000Z\nc2|2|2023-11-14T22:13:20.000Z\n"
				 "c3|3|2023-11-14T22:13:20.000Z\n");
	journal_writer_init(&w, 0);
	journal_put_delete(&w, 3);
	journal_put_floor(&w, 2);
	must_commit(s, epoch++, &w, 4);
	assert_int_equal(fold_everything(s, 10), STORE_OK);
	read_view(f->path, out, sizeof(out));
	assert_string_equal(out, "c2|42|2023-11-14T22:13:20.123Z\n");
	store_close(s);
}

/* ---- beside others ---- */

static void test_another_writer_means_try_again(void **state)
{
	struct fixture *f = *state;
	struct journal_writer w;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	sqlite3 *other;

	assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	journal_writer_init(&w, 0);
	journal_put_name(&w, 1, slice_str("a"));
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(store_commit(s, p.state.epoch_first, &w, NULL, 0, 2), STORE_RETRY);
	assert_non_null(strstr(store_error(s), "another program holds a lock"));
	assert_int_equal(store_journal_bytes(s), 0);
	sqlite3_close(other);
	assert_int_equal(store_commit(s, p.state.epoch_first, &w, NULL, 0, 2), STORE_OK);
	journal_writer_fini(&w);
	store_close(s);
	store_close(open_and_load(f->path, &p));
	assert_int_equal(p.count, 1);
	picture_free(&p);
}

/* A reader that holds an old view blocks nothing, and the checkpoint goes as far as it can. */
static void test_a_reader_blocks_neither_commit_nor_fold(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	uint64_t epoch = p.state.epoch_first;
	sqlite3 *reader;

	create(s, epoch++, 10);
	assert_int_equal(sqlite3_open_v2(f->path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM counter", NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < 5; i++) {
		add(s, epoch++, 1, 1);
		assert_int_equal(fold_everything(s, 3), STORE_OK);
		assert_int_equal(store_checkpoint(s, 0), STORE_OK);
	}
	sqlite3_close(reader);
	assert_int_equal(store_checkpoint(s, 0), STORE_OK);
	store_close(s);
}

static void test_the_check_runs_beside_an_open_store(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	size_t lines = 0;

	create(s, p.state.epoch_first, 10);
	assert_clean(f->path);
	assert_int_equal(store_fold_begin(s), STORE_AGAIN);
	assert_int_equal(store_fold_step(s, 3), STORE_AGAIN);
	assert_clean(f->path);
	store_close(s);
	assert_int_equal(store_check(f->image, count_line, &lines), -ENOENT);
	assert_int_equal(lines, 1);
}

/* ---- a check while the daemon works ---- */

/* Before each statement of the check another epoch is committed, and folded in part. */
static struct at_work {
	struct store *s;
	uint64_t epoch;
	unsigned statements;
} at_work;

static int work_on(unsigned what, void *arg, void *stmt, void *text)
{
	struct at_work *w = arg;

	(void)what;
	(void)stmt;
	(void)text;
	w->statements++;
	add(w->s, w->epoch++, 1 + w->statements % 10, 1);
	if (!store_is_folding(w->s))
		assert_int_equal(store_fold_begin(w->s), STORE_AGAIN);
	assert_true(store_fold_step(w->s, 3) >= 0);
	return 0;
}

/* SQLite's, for each connection that is opened: only the check's. */
static int watch_statements(sqlite3 *db, const char **error, const struct sqlite3_api_routines *api)
{
	(void)error;
	(void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, work_on, &at_work);
}

static void print_line(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static void test_the_check_sees_one_moment_whatever_is_committed_and_folded_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	int r;

	at_work = (struct at_work){.s = open_and_load(f->path, &p), .epoch = p.state.epoch_first};
	create(at_work.s, at_work.epoch++, 10);
	assert_int_equal(sqlite3_auto_extension((void (*)(void))watch_statements), SQLITE_OK);
	r = store_check(f->path, print_line, NULL);
	sqlite3_reset_auto_extension();
	assert_true(at_work.statements > 20);
	assert_int_equal(r, 0);
	store_close(at_work.s);
	assert_clean(f->path);
	picture_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_a_new_file_begins_at_epoch_1_and_id_1),
		fixture_test(test_an_empty_file_counts_as_new),
		fixture_test(test_epochs_and_ids_never_go_back),
		fixture_test(test_an_epoch_of_nothing_needs_no_transaction),
		fixture_test(test_values_wrap_modulo_2_to_the_64),
		fixture_test(test_merging_changes_nothing_but_the_size),
		fixture_test(test_a_flush_leaves_no_rows_behind),
		fixture_test(test_a_pass_takes_a_bounded_part_of_the_journal),
		fixture_test(test_statistics_tell_what_was_done),
		fixture_test(test_the_command_line_of_sqlite_reads_the_view_while_open),
		fixture_test(test_another_writer_means_try_again),
		fixture_test(test_a_reader_blocks_neither_commit_nor_fold),
		fixture_test(test_the_check_runs_beside_an_open_store),
		fixture_test(test_the_check_sees_one_moment_whatever_is_committed_and_folded_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
