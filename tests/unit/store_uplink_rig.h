/* SPDX-License-Identifier: MIT */
/* store_uplink_rig.h - for the tests of what the uplink has on disk: what is there, and what is done to it.
 */
#ifndef SHC_STORE_UPLINK_RIG_H
#define SHC_STORE_UPLINK_RIG_H

#include "store_fixture.h"

enum { PRESENT = 7, NEXT = 8, OTHER = 9 };

/* ---- what is there ---- */

static inline struct store_uplink load_uplink(struct store *s)
{
	struct store_uplink u;

	assert_int_equal(store_uplink_load(s, &u), 0);
	return u;
}

static inline struct store *open_again(struct store *s, const char *path)
{
	struct picture p;

	store_close(s);
	s = open_and_load(path, &p);
	picture_free(&p);
	return s;
}

/* After a crash now. */
static inline struct store *open_image(const struct fixture *f)
{
	copy_database(f->path, f->image);
	return open_again(NULL, f->image);
}

enum { ROWS_MAX = 400 };

struct rows {
	size_t count;
	struct store_baseline rows[ROWS_MAX];
};

static inline int take_row(void *arg, uint64_t id, int64_t value)
{
	struct rows *rows = arg;

	assert_true(rows->count < ROWS_MAX);
	assert_true(rows->count == 0 || id > rows->rows[rows->count - 1].id);
	rows->rows[rows->count++] = (struct store_baseline){.id = id, .value = value};
	return 0;
}

static inline struct rows baselines(struct store *s)
{
	struct rows rows = {0};

	assert_int_equal(store_baselines(s, take_row, &rows), 0);
	return rows;
}

static inline int64_t count_rows(const char *path, const char *sql)
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

static inline int64_t rows_of(const struct fixture *f, int incarnation)
{
	char sql[100];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM baseline WHERE incarnation = %d", incarnation);
	return count_rows(f->path, sql);
}

static inline void keep_line(void *arg, const char *line)
{
	snprintf(arg, 1600, "%s", line);
}

/* ---- what is done ---- */

/* Ids from `first` on, each worth `factor` times its id. */
static inline void put(struct store *s, uint64_t incarnation, uint64_t first, size_t count, int64_t factor)
{
	struct store_baseline rows[ROWS_MAX];

	for (size_t i = 0; i < count; i++)
		rows[i] = (struct store_baseline){.id = first + i, .value = factor * (int64_t)(first + i)};
	assert_int_equal(store_put_baselines(s, incarnation, rows, count), STORE_OK);
}

static inline unsigned forget(struct store *s, size_t rows_max)
{
	unsigned steps = 1;
	int r;

	while ((r = store_forget_baselines(s, rows_max)) == STORE_AGAIN)
		steps++;
	assert_int_equal(r, STORE_OK);
	return steps;
}

static inline void commit_delete(struct store *s, uint64_t epoch, uint64_t id, uint64_t id_next)
{
	struct journal_writer w;

	journal_writer_init(&w, 0);
	journal_put_delete(&w, id);
	must_commit(s, epoch, &w, id_next);
}

static inline void commit_name(struct store *s, uint64_t epoch, uint64_t id, const char *name)
{
	struct journal_writer w;

	journal_writer_init(&w, 0);
	journal_put_name(&w, id, slice_str(name));
	must_commit(s, epoch, &w, id + 1);
}

static inline void commit_delta(struct store *s, uint64_t epoch, uint64_t id)
{
	struct journal_writer w;

	journal_writer_init(&w, 0);
	journal_put_deltas(&w, &(struct journal_delta){.id = id, .delta = 1}, 1);
	must_commit(s, epoch, &w, id + 1);
}

/* Behind commit_name: the counter is added to and deleted, in so many epochs that they are worth merging. The
 * last of them. */
enum { LIFE_EPOCHS = 8 };

static inline uint64_t commit_life(struct store *s, uint64_t epoch, uint64_t id)
{
	for (uint64_t e = epoch + 1; e < epoch + LIFE_EPOCHS - 1; e++)
		commit_delta(s, e, id);
	commit_delete(s, epoch + LIFE_EPOCHS - 1, id, id + 1);
	return epoch + LIFE_EPOCHS - 1;
}

/* A database with `count` counters, in the snapshot, whose incarnation is PRESENT. */
static inline struct store *open_with_counters(const struct fixture *f, uint64_t count, uint64_t *epoch)
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

#endif
