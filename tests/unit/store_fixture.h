/* SPDX-License-Identifier: MIT */
/*
 * store_fixture.h - for the tests of the store: a private directory, random numbers, a picture of what was
 * loaded, and a copy of the files as a crash would leave them.
 */
#ifndef SHC_STORE_FIXTURE_H
#define SHC_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../../daemon/store.h"

static uint64_t seed = 1;

static inline uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- directory ---- */

enum { FIXTURE_PATH_MAX = 128 };

struct fixture {
	char dir[64];
	char path[FIXTURE_PATH_MAX];  /* the database */
	char image[FIXTURE_PATH_MAX]; /* a copy of it */
};

/* A crash is a copy of the files here, so no disk needs to be waited for: memory, where there is enough of
 * it. */
static inline const char *fixture_base(void)
{
	const char *base = getenv("TMPDIR");
	struct statvfs fs;

	if (base)
		return base;
	if (statvfs("/dev/shm", &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize > 512u << 20 &&
	    access("/dev/shm", W_OK) == 0)
		return "/dev/shm";
	return "/tmp";
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "%.40s/shc_store.XXXXXX", fixture_base());
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/counters.db", f->dir);
	snprintf(f->image, sizeof(f->image), "%s/image.db", f->dir);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	DIR *dir = opendir(f->dir);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
	rmdir(f->dir);
	free(f);
	return 0;
}

#define fixture_test(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

/* ---- files ---- */

static inline char *read_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	char *data;

	*len = 0;
	if (!file)
		return NULL;
	assert_int_equal(fstat(fileno(file), &st), 0);
	*len = (size_t)st.st_size;
	data = malloc(*len + 1);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, *len, file), *len);
	fclose(file);
	return data;
}

static inline void write_file(const char *path, const void *data, size_t len)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* What a crash leaves: database and -wal, no -shm. (Reading the files of an open database drops SQLite's
 * locks on it; nobody else is there to notice.) */
static inline void copy_database(const char *from, const char *to)
{
	static const char *const endings[] = {"", "-wal", "-shm"};
	char source[FIXTURE_PATH_MAX + 8], target[FIXTURE_PATH_MAX + 8];

	for (size_t i = 0; i < 3; i++) {
		char *data = NULL;
		size_t len = 0;

		snprintf(source, sizeof(source), "%s%s", from, endings[i]);
		snprintf(target, sizeof(target), "%s%s", to, endings[i]);
		if (i < 2)
			data = read_file(source, &len);
		if (data)
			write_file(target, data, len);
		else
			unlink(target);
		free(data);
	}
}

/* ---- what a load tells ---- */

struct found {
	uint64_t id;
	char name[NAME_LEN_MAX + 1];
	int64_t value;
};

struct picture {
	struct found *counters; /* by ascending id */
	size_t count, cap;
	struct store_state state;
};

static inline void picture_add_one(struct picture *p, uint64_t id, struct slice name, int64_t value)
{
	struct found *found;

	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 64;
		p->counters = reallocarray(p->counters, p->cap, sizeof(*p->counters));
		assert_non_null(p->counters);
	}
	found = &p->counters[p->count++];
	memset(found, 0, sizeof(*found)); /* pictures are compared byte by byte */
	found->id = id;
	found->value = value;
	memcpy(found->name, name.data, name.len);
}

static inline int picture_add(void *arg, unsigned loader, const struct store_counter *counters, size_t count)
{
	assert_int_equal(loader, 0);
	for (size_t i = 0; i < count; i++)
		picture_add_one(arg, counters[i].id, counters[i].name, counters[i].value);
	return 0;
}

static inline void picture_free(struct picture *p)
{
	free(p->counters);
	*p = (struct picture){0};
}

/* Counters only. */
static inline int load_counters(struct store *s, store_counters_fn *fn, void *arg, struct store_state *state)
{
	const struct store_sink sink = {.counters = fn, .arg = arg};

	return store_load(s, &sink, state);
}

/* Opens and loads; both must succeed. */
static inline struct store *open_and_load(const char *path, struct picture *p)
{
	struct store *s;
	int r = store_open(&s, path, STORE_CREATE);

	if (r != 0)
		print_error("%s\n", store_error(s));
	assert_int_equal(r, 0);
	*p = (struct picture){0};
	r = load_counters(s, picture_add, p, &p->state);
	if (r != 0)
		print_error("%s\n", store_error(s));
	assert_int_equal(r, 0);
	assert_int_equal(p->state.counters, p->count);
	return s;
}

/* The same, expected to fail in either. The sentence names the file and contains `words`. */
static inline void assert_refused(const char *path, unsigned flags, int error, const char *words)
{
	struct picture p = {0};
	struct store *s;
	int r = store_open(&s, path, flags);

	if (r == 0)
		r = load_counters(s, picture_add, &p, &p.state);
	if (r != error || !strstr(store_error(s), words) || !strstr(store_error(s), path))
		print_error("%d: %s\n", r, store_error(s));
	assert_int_equal(r, error);
	assert_non_null(strstr(store_error(s), words));
	assert_non_null(strstr(store_error(s), path));
	store_close(s);
	picture_free(&p);
}

static inline int fold_everything(struct store *s, size_t rows_max)
{
	int r;

	while ((r = store_fold_begin(s)) == STORE_AGAIN) {
		while (r == STORE_AGAIN)
			r = store_fold_step(s, rows_max);
		if (r != STORE_OK)
			return r;
	}
	return r;
}

/* ---- making databases ---- */

/* Runs SQL on a file over a connection of its own. */
static inline void run_sql(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Makes a file of the present version one that an older program has left. */
#define TO_VERSION_3                                                                                         \
	"DROP TABLE uplink_start; DROP TABLE baseline;"                                                      \
	"DELETE FROM meta WHERE key IN ('uplink_incarnation', 'uplink_restored', 'uplink_copy'); PRAGMA user_version = 3;"
#define TO_VERSION_2                                                                                         \
	TO_VERSION_3 "DROP VIEW counter_logs; DROP TABLE log; DELETE FROM meta WHERE key = 'log_id';"        \
		     "DROP TABLE state; DROP TABLE window; PRAGMA user_version = 2;"
#define TO_VERSION_1 TO_VERSION_2 "DROP TABLE session; DROP TABLE token; PRAGMA user_version = 1;"

static inline void must_commit(struct store *s, uint64_t epoch, struct journal_writer *w, uint64_t id_next)
{
	assert_int_equal(journal_writer_finish(w), 0);
	assert_int_equal(store_commit(s, epoch, w, NULL, 0, id_next), STORE_OK);
	journal_writer_fini(w);
}

/* `count` counters c1, c2, ... worth their id. */
static inline void create(struct store *s, uint64_t epoch, uint64_t count)
{
	struct journal_writer w;
	char name[32];

	journal_writer_init(&w, 1700000000000);
	for (uint64_t id = 1; id <= count; id++) {
		snprintf(name, sizeof(name), "c%llu", (unsigned long long)id);
		journal_put_name(&w, id, slice_str(name));
	}
	for (uint64_t id = 1; id <= count; id++) {
		struct journal_delta one = {.id = id, .delta = id};

		journal_put_deltas(&w, &one, 1);
	}
	must_commit(s, epoch, &w, count + 1);
}

/* A database with counters, folded and closed. */
static inline void make_database(const char *path, uint64_t count)
{
	struct picture p;
	struct store *s = open_and_load(path, &p);

	create(s, p.state.epoch_first, count);
	assert_int_equal(fold_everything(s, 1000), STORE_OK);
	store_close(s);
	picture_free(&p);
}

/* ---- the check ---- */

/* Ignores or counts lines of store_check. */
static inline void count_line(void *arg, const char *line)
{
	size_t *lines = arg;

	(void)line;
	(*lines)++;
}

static inline void assert_clean(const char *path)
{
	size_t lines = 0;

	assert_int_equal(store_check(path, count_line, &lines), 0);
	assert_int_equal(lines, 1);
}

#endif
