/* SPDX-License-Identifier: MIT */
/* What the store refuses, and in which words. Damage is done with SQLite itself or to the bytes. */
#include "store_fixture.h"

static void assert_unchanged(const char *path, const char *before, size_t before_len)
{
	size_t len;
	char *after = read_file(path, &len);

	assert_non_null(after);
	assert_int_equal(len, before_len);
	assert_memory_equal(after, before, len);
	free(after);
}

/* ---- paths and rights ---- */

static void test_a_path_that_cannot_be_is_refused_in_words(void **state)
{
	struct fixture *f = *state;
	char path[FIXTURE_PATH_MAX + 600];

	assert_refused("", STORE_CREATE, -EINVAL, "empty");
	assert_refused(f->path, 0, -ENOENT, "does not exist");
	assert_refused(f->dir, STORE_CREATE, -EISDIR, "is a directory");
	assert_refused("/dev/null", STORE_CREATE, -EINVAL, "not a regular file");
	snprintf(path, sizeof(path), "%s/missing/counters.db", f->dir);
	assert_refused(path, STORE_CREATE, -ENOENT, "directory does not exist");
	write_file(f->path, "", 0);
	assert_refused(f->path, 0, -EUCLEAN, "the file is empty");
	snprintf(path, sizeof(path), "%s/below", f->path);
	assert_refused(path, STORE_CREATE, -ENOTDIR, "Not a directory");
	snprintf(path, sizeof(path), "%s/%0300d", f->dir, 1);
	assert_refused(path, STORE_CREATE, -ENAMETOOLONG, "too long");
}

/* Components that are short enough, together more than SQLite takes. */
static void test_a_path_too_long_for_sqlite_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[FIXTURE_PATH_MAX + 700], *end;
	struct store *s;

	end = path + snprintf(path, sizeof(path), "%s", f->dir);
	for (int i = 0; i < 3; i++) {
		end += snprintf(end, 200, "/%0160d", i);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	snprintf(end, 200, "/counters.db");
	assert_int_equal(store_open(&s, path, STORE_CREATE), -ENAMETOOLONG);
	assert_non_null(strstr(store_error(s), "shorter"));
	store_close(s);
	for (int i = 0; i < 3; i++) {
		*strrchr(path, '/') = '\0';
		assert_int_equal(rmdir(path), 0);
	}
}

/* As somebody without rights: root may do everything. */
static void test_missing_rights_are_told(void **state)
{
	struct fixture *f = *state;
	char wal[FIXTURE_PATH_MAX + 8];
	bool is_root = geteuid() == 0;

	make_database(f->path, 3);
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	write_file(wal, "", 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(f->path, 0444), 0);
	if (is_root)
		assert_int_equal(seteuid(65534), 0);
	assert_refused(f->path, STORE_CREATE, -EACCES, "check its owner and mode");
	if (is_root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	if (is_root) {
		assert_int_equal(seteuid(65534), 0);
		assert_refused(f->path, STORE_CREATE, -EACCES, "directory");
		assert_int_equal(seteuid(0), 0);
	}
	assert_int_equal(chmod(f->dir, is_root ? 0777 : 0700), 0);
	assert_int_equal(chmod(wal, 0), 0);
	if (is_root)
		assert_int_equal(seteuid(65534), 0);
	assert_refused(f->path, STORE_CREATE, -EACCES, "-wal");
	if (is_root)
		assert_int_equal(seteuid(0), 0);
}

static void test_a_foreign_or_newer_file_is_refused_and_left_alone(void **state)
{
	static const char text[] =
		"this is not a database, but somebody's notes. 0123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789";
	struct fixture *f = *state;
	char *before;
	size_t len;

	write_file(f->path, text, sizeof(text));
	assert_refused(f->path, STORE_CREATE, -EUCLEAN, "not a database");
	assert_unchanged(f->path, text, sizeof(text));
	unlink(f->path);

	run_sql(f->path, "CREATE TABLE notes(x)");
	before = read_file(f->path, &len);
	assert_refused(f->path, STORE_CREATE, -EUCLEAN, "another program");
	assert_unchanged(f->path, before, len);
	free(before);
	unlink(f->path);

	make_database(f->path, 3);
	run_sql(f->path, "PRAGMA user_version = 5");
	assert_refused(f->path, STORE_CREATE, -EPROTONOSUPPORT, "schema version 5");
	run_sql(f->path, "PRAGMA user_version = 0");
	assert_refused(f->path, STORE_CREATE, -EUCLEAN, "never existed");
}

static void test_a_lost_database_beside_its_wal_is_not_made_anew(void **state)
{
	struct fixture *f = *state;
	char wal[FIXTURE_PATH_MAX + 8];
	struct picture p;
	struct store *s = open_and_load(f->path, &p);

	create(s, p.state.epoch_first, 5);
	copy_database(f->path, f->image);
	store_close(s);
	snprintf(wal, sizeof(wal), "%s-wal", f->image);
	unlink(f->image);
	assert_refused(f->image, STORE_CREATE, -EUCLEAN, "missing but its -wal");
	write_file(f->image, "", 0);
	assert_refused(f->image, STORE_CREATE, -EUCLEAN, "empty but its -wal");
	assert_int_equal(access(wal, F_OK), 0);
}

static void test_a_damaged_journal_body_is_refused(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	struct store *s = open_and_load(f->path, &p);
	size_t lines = 0;

	create(s, p.state.epoch_first, 5);
	picture_free(&p);
	store_close(s);
	run_sql(f->path,
		"UPDATE journal SET body = CAST(substr(body, 1, 30) || x'ff' || substr(body, 32) AS BLOB)");
	assert_refused(f->path, 0, -EUCLEAN, "restore a backup");
	assert_int_equal(store_check(f->path, count_line, &lines), 1);
	assert_int_equal(lines, 1);
}

static void test_rows_that_contradict_each_other_are_refused_and_found(void **state)
{
	static const struct {
		const char *descr, *sql;
		bool is_load_refused;
	} cases[] = {
		{"a value from the future", "UPDATE value SET as_of = as_of + 1 WHERE id = 2", true},
		{"a name that is none", "UPDATE name SET name = x'' WHERE id = 2", true},
		{"a control character", "UPDATE name SET name = x'610a' WHERE id = 2", true},
		{"a negative id", "UPDATE name SET id = -2 WHERE id = 2", true},
		{"no meta", "DELETE FROM meta WHERE key = 'id_next'", true},
		{"no table", "DROP TABLE value", true},
		{"a value without name", "DELETE FROM name WHERE id = 2", false},
		{"an id not given out", "UPDATE name SET id = 99 WHERE id = 2", false},
		{"a name twice", "UPDATE name SET name = (SELECT name FROM name WHERE id = 3) WHERE id = 2",
		 false},
	};
	struct fixture *f = *state;

	make_database(f->image, 5);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t lines = 0;

		copy_database(f->image, f->path);
		run_sql(f->path, cases[i].sql);
		if (store_check(f->path, count_line, &lines) != 1)
			fail_msg("not found: %s", cases[i].descr);
		assert_true(lines >= 1);
		if (cases[i].is_load_refused)
			assert_refused(f->path, 0, -EUCLEAN, "damaged");
	}
}

static int refuse_third(void *arg, unsigned loader, const struct store_counter *counters, size_t count)
{
	int *error = arg;

	(void)loader;
	for (size_t i = 0; i < count; i++)
		if (counters[i].id == 3)
			return *error;
	return 0;
}

static void test_the_callback_can_stop_the_load(void **state)
{
	static const int errors[] = {-EEXIST, -ENOMEM}, want[] = {-EUCLEAN, -ENOMEM};
	struct fixture *f = *state;
	struct store_state found;

	make_database(f->path, 5);
	for (size_t i = 0; i < 2; i++) {
		int error = errors[i];
		struct store *s;

		assert_int_equal(store_open(&s, f->path, 0), 0);
		assert_int_equal(load_counters(s, refuse_third, &error, &found), want[i]);
		assert_non_null(strstr(store_error(s), i ? "stopped" : "two counters have one name"));
		store_close(s);
	}
}

/* Every page in turn is overwritten: refused, or without effect on what is loaded. Never a crash, never other
 * values. */
static void test_a_damaged_page_never_gives_other_values(void **state)
{
	enum { PAGE = 4096 };
	struct fixture *f = *state;
	char *whole, *broken;
	size_t len, refused = 0;

	make_database(f->image, 2000);
	whole = read_file(f->image, &len);
	assert_non_null(whole);
	broken = malloc(len);
	assert_non_null(broken);
	for (size_t page = 0; page < len / PAGE; page++) {
		struct picture p = {0};
		struct store *s;
		int r;

		memcpy(broken, whole, len);
		memset(broken + page * PAGE, 0xa5, PAGE);
		copy_database("/nonexistent", f->path);
		write_file(f->path, broken, len);
		r = store_open(&s, f->path, STORE_CREATE);
		if (r == 0)
			r = load_counters(s, picture_add, &p, &p.state);
		assert_true(r == 0 || r == -EUCLEAN);
		refused += r != 0;
		if (r == 0) {
			assert_int_equal(p.count, 2000);
			for (size_t i = 0; i < p.count; i++)
				assert_int_equal(p.counters[i].value, p.counters[i].id);
		}
		store_close(s);
		picture_free(&p);
	}
	assert_true(refused > len / PAGE / 2);
	free(broken);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_a_path_that_cannot_be_is_refused_in_words),
		fixture_test(test_a_path_too_long_for_sqlite_is_refused),
		fixture_test(test_missing_rights_are_told),
		fixture_test(test_a_foreign_or_newer_file_is_refused_and_left_alone),
		fixture_test(test_a_lost_database_beside_its_wal_is_not_made_anew),
		fixture_test(test_a_damaged_journal_body_is_refused),
		fixture_test(test_rows_that_contradict_each_other_are_refused_and_found),
		fixture_test(test_the_callback_can_stop_the_load),
		fixture_test(test_a_damaged_page_never_gives_other_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
