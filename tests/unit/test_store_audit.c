/* SPDX-License-Identifier: MIT */
/*
 * The audit log on disk: entries are there when their epoch is, keep their numbers, and leave oldest first;
 * who reads them does so beside the store, through the view or the reader.
 */
#include "store_fixture.h"

/* ---- making entries ---- */

static struct audit_entry entry(const char *name, int64_t time_us, enum audit_operation operation,
				int64_t delta, int64_t value)
{
	return (struct audit_entry){
		.time_us = time_us,
		.delta = delta,
		.value = value,
		.name = slice_str(name),
		.peer = slice_str("uid=1000,pid=42"),
		.operation = (uint8_t)operation,
	};
}

static void commit_entries(struct store *s, uint64_t epoch, const struct audit_entry *entries, size_t count)
{
	struct journal_writer w;

	journal_writer_init(&w, 1000);
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(store_commit(s, epoch, &w, entries, count, 1), STORE_OK);
	journal_writer_fini(&w);
}

/* Increments of `name` by one, from value `first` on; each a second later. */
static void commit_run(struct store *s, uint64_t epoch, const char *name, int64_t first, size_t count)
{
	struct audit_entry entries[100];

	assert_true(count <= 100);
	for (size_t i = 0; i < count; i++) {
		int64_t value = first + (int64_t)i;

		entries[i] = entry(name, value * 1000000, AUDIT_INCREMENT, 1, value);
	}
	commit_entries(s, epoch, entries, count);
}

/* ---- reading ---- */

enum { SEEN_MAX = 128 };

struct seen {
	size_t count;
	int64_t ids[SEEN_MAX];
	struct audit_entry entries[SEEN_MAX];
};

static void note(void *arg, int64_t log_id, const struct audit_entry *e)
{
	struct seen *seen = arg;

	assert_true(seen->count < SEEN_MAX);
	seen->ids[seen->count] = log_id;
	seen->entries[seen->count++] = *e;
	assert_true(slice_equal(e->peer, slice_str("uid=1000,pid=42")));
}

static struct seen read_log(const struct fixture *f, const char *name, int64_t after, int64_t count)
{
	struct store_audit_reader *r = NULL;
	struct seen seen = {0};
	char why[256] = "";

	if (store_audit_read(&r, f->path, slice_str(name), after, count, note, &seen, why, sizeof(why)))
		fail_msg("%s", why);
	store_audit_reader_close(r);
	return seen;
}

static void assert_values(const struct seen *seen, int64_t first, size_t count)
{
	assert_int_equal(seen->count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(seen->entries[i].value, first + (int64_t)i);
}

/* The rows of a query as text, columns separated by | and rows by a newline. */
static void query(const char *path, const char *sql, char *out, size_t out_size)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	*out = '\0';
	while (sqlite3_step(stmt) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(stmt); i++) {
			const char *text = (const char *)sqlite3_column_text(stmt, i);
			size_t len = strlen(out);

			snprintf(out + len, out_size - len, "%s%s", text ? text : "NULL",
				 i + 1 < sqlite3_column_count(stmt) ? "|" : "\n");
		}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

/* ---- tests ---- */

static void test_entries_are_read_while_the_store_is_open_and_after_a_crash(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	struct seen seen;

	commit_run(s, p.state.epoch_first, "a", 1, 3);
	commit_run(s, p.state.epoch_first + 1, "b", 1, 2);
	commit_run(s, p.state.epoch_first + 2, "a", 4, 2);
	seen = read_log(f, "a", -1, 10);
	assert_values(&seen, 1, 5);
	assert_int_equal(seen.ids[3], 6);
	copy_database(f->path, f->image);
	store_close(s);
	s = open_and_load(f->image, &p);
	assert_int_equal(store_audit_count(s), 7);
	assert_int_equal(store_audit_oldest_us(s), 1000000);
	commit_run(s, p.state.epoch_first, "a", 6, 1);
	store_close(s);
	memcpy(f->path, f->image, sizeof(f->path));
	seen = read_log(f, "a", -1, 10);
	assert_values(&seen, 1, 6);
	assert_int_equal(seen.ids[5], 8);
	picture_free(&p);
}

static void test_the_last_so_many_or_the_first_behind_a_number_are_read(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	struct seen seen;

	commit_run(s, p.state.epoch_first, "a", 1, 50);
	commit_run(s, p.state.epoch_first + 1, "b", 1, 50);
	seen = read_log(f, "a", -1, 3);
	assert_values(&seen, 48, 3);
	seen = read_log(f, "a", 0, 3);
	assert_values(&seen, 1, 3);
	seen = read_log(f, "a", 48, 3);
	assert_values(&seen, 49, 2);
	seen = read_log(f, "a", 50, 3);
	assert_int_equal(seen.count, 0);
	seen = read_log(f, "b", 50, 100);
	assert_values(&seen, 1, 50);
	seen = read_log(f, "c", -1, 3);
	assert_int_equal(seen.count, 0);
	store_close(s);
	picture_free(&p);
}

static void test_a_flush_is_told_with_every_name(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	const struct audit_entry entries[] = {
		entry("a", 1, AUDIT_SET, 5, 5),
		entry("b", 2, AUDIT_SET, 6, 6),
		entry("", 3, AUDIT_FLUSH, 0, 0),
		entry("a", 4, AUDIT_SET, 7, 7),
	};
	struct seen seen;

	commit_entries(s, p.state.epoch_first, entries, 4);
	seen = read_log(f, "a", -1, 2);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.entries[0].operation, AUDIT_FLUSH);
	assert_int_equal(seen.entries[1].value, 7);
	seen = read_log(f, "b", 2, 2);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.entries[0].operation, AUDIT_FLUSH);
	store_close(s);
	picture_free(&p);
}

static void test_the_view_tells_amounts_and_times(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	const struct audit_entry entries[] = {
		entry("n\"ame", 1700000000000001, AUDIT_INCREMENT, 5, 5),
		entry("a", 1700000000999999, AUDIT_DECREMENT, -7, -2),
		entry("a", 1700000001000000, AUDIT_SET, 12, 10),
		entry("a", 1700000001000001, AUDIT_DELETE, -10, 0),
		entry("a", 1700000001000002, AUDIT_EXPIRE, INT64_MIN, 0),
		entry("", 1700000001000003, AUDIT_FLUSH, 0, 0),
	};
	char text[1024];

	commit_entries(s, p.state.epoch_first, entries, 6);
	query(f->path, "SELECT * FROM counter_logs ORDER BY log_id", text, sizeof(text));
	assert_string_equal(text, "1|n\"ame|increment|5|5|2023-11-14T22:13:20.000001Z\n"
				  "2|a|decrement|7|-2|2023-11-14T22:13:20.999999Z\n"
				  "3|a|set|10|10|2023-11-14T22:13:21.000000Z\n"
				  "4|a|delete|10|0|2023-11-14T22:13:21.000001Z\n"
				  "5|a|expire|-9223372036854775808|0|2023-11-14T22:13:21.000002Z\n"
				  "6||flush|0|0|2023-11-14T22:13:21.000003Z\n");
	store_close(s);
	picture_free(&p);
}

static void test_the_oldest_leave_first_by_age_and_by_number(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	struct seen seen;

	commit_run(s, p.state.epoch_first, "a", 1, 100);
	assert_int_equal(store_forget_audit(s, INT64_MIN, UINT64_MAX, 10), STORE_OK);
	assert_int_equal(store_audit_count(s), 100);
	/* by age, in steps of ten rows */
	assert_int_equal(store_forget_audit(s, 26 * 1000000, UINT64_MAX, 10), STORE_AGAIN);
	assert_int_equal(store_audit_count(s), 90);
	assert_int_equal(store_forget_audit(s, 26 * 1000000, UINT64_MAX, 10), STORE_AGAIN);
	assert_int_equal(store_forget_audit(s, 26 * 1000000, UINT64_MAX, 10), STORE_OK);
	assert_int_equal(store_audit_oldest_us(s), 26 * 1000000);
	/* by number */
	assert_int_equal(store_forget_audit(s, INT64_MIN, 70, 10), STORE_OK);
	seen = read_log(f, "a", -1, 100);
	assert_values(&seen, 31, 70);
	/* whichever takes more */
	assert_int_equal(store_forget_audit(s, 32 * 1000000, 60, 10), STORE_AGAIN);
	assert_int_equal(store_forget_audit(s, 95 * 1000000, 60, 100), STORE_OK);
	seen = read_log(f, "a", -1, 100);
	assert_values(&seen, 95, 6);
	store_close(s);
	picture_free(&p);
}

static void test_times_that_lie_in_the_future_keep_nothing_behind_them(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);

	commit_run(s, p.state.epoch_first, "a", 1000, 3);
	commit_run(s, p.state.epoch_first + 1, "a", 1, 5);
	assert_int_equal(store_forget_audit(s, 5 * 1000000, UINT64_MAX, 100), STORE_OK);
	assert_int_equal(store_audit_count(s), 1);
	assert_int_equal(store_audit_oldest_us(s), 5 * 1000000);
	store_close(s);
	picture_free(&p);
}

static void test_numbers_are_not_used_again_when_all_entries_are_gone(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	struct seen seen;

	commit_run(s, p.state.epoch_first, "a", 1, 7);
	assert_int_equal(store_forget_audit(s, INT64_MAX, UINT64_MAX, 100), STORE_OK);
	assert_int_equal(store_audit_count(s), 0);
	assert_int_equal(store_audit_oldest_us(s), INT64_MAX);
	store_close(s);
	picture_free(&p);
	s = open_and_load(f->path, &p);
	assert_int_equal(store_audit_count(s), 0);
	commit_run(s, p.state.epoch_first, "a", 8, 1);
	assert_int_equal(store_audit_oldest_us(s), 8 * 1000000);
	seen = read_log(f, "a", 7, 10);
	assert_values(&seen, 8, 1);
	assert_int_equal(seen.ids[0], 8);
	store_close(s);
	picture_free(&p);
}

/* As version 2 left it. */
static void test_a_file_of_version_2_gets_an_audit_log(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s;

	make_database(f->path, 3);
	run_sql(f->path, TO_VERSION_2);
	assert_clean(f->path);
	s = open_and_load(f->path, &p);
	assert_int_equal(p.count, 3);
	commit_run(s, p.state.epoch_first, "a", 1, 7);
	store_close(s);
	picture_free(&p);
	assert_clean(f->path);
}

static void test_a_reader_of_what_is_no_database_says_so(void **state)
{
	struct fixture *f = *state;
	struct store_audit_reader *r = NULL;
	struct seen seen = {0};
	char why[256] = "";

	assert_int_equal(store_audit_read(&r, f->path, slice_str("a"), -1, 1, note, &seen, why, sizeof(why)),
			 -EIO);
	assert_string_not_equal(why, "");
	store_audit_reader_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_entries_are_read_while_the_store_is_open_and_after_a_crash),
		fixture_test(test_the_last_so_many_or_the_first_behind_a_number_are_read),
		fixture_test(test_a_flush_is_told_with_every_name),
		fixture_test(test_the_view_tells_amounts_and_times),
		fixture_test(test_the_oldest_leave_first_by_age_and_by_number),
		fixture_test(test_times_that_lie_in_the_future_keep_nothing_behind_them),
		fixture_test(test_numbers_are_not_used_again_when_all_entries_are_gone),
		fixture_test(test_a_file_of_version_2_gets_an_audit_log),
		fixture_test(test_a_reader_of_what_is_no_database_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
