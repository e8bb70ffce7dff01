/* SPDX-License-Identifier: MIT */
/*
 * store_uplink.c - what the uplink needs of the disk: by which numbers the cluster knows this state, and what
 * the contributions of its counters are counted from.
 *
 *	meta		uplink_incarnation	the number of the fields that are this state's; 0: none yet
 *			uplink_restored		1: it has taken a new one, and nobody has accepted that
 *			uplink_copy		1: this is a backup (store_backup.c): the number is its
 *original's uplink_start	number			starts that have pushed, in their order start,
 *after_epoch	the number that was drawn; store_last_epoch when it began baseline	id, incarnation, value
 *the contribution to a field of this incarnation is counted from here
 *
 * Each start is on disk before anything is pushed in its name, so a field that speaks of a start which is not
 * here, or of an epoch behind the next one's after_epoch, was written by another copy of this state.
 *
 * A new incarnation is prepared beside the present one, in any number of transactions, and becomes the
 * present one in another. Rows of one that never came to that, and of the one before, are swept up; so is
 *what was put for a counter whose deletion had been folded before. A deletion that is folded later takes its
 *rows with it (store_fold.c).
 */
#include "store_private.h"

#include <assert.h>
#include <stdlib.h>

uint64_t store_last_epoch(const struct store *s)
{
	uint64_t newest = s->epoch_count ? s->epochs[s->epoch_count - 1].epoch : 0;

	/* A pass goes to an epoch of the journal, and has deleted its rows or is about to. */
	return newest > s->fold_epoch ? newest : s->fold_epoch;
}

/* ---- loading ---- */

/* Makes sure that one more fits. */
static int reserve(struct store *s, struct store_uplink *u, size_t *cap)
{
	struct store_start *starts;
	size_t cap_new = *cap ? 2 * *cap : 16;

	if (u->start_count < *cap)
		return 0;
	starts = reallocarray(u->starts, cap_new, sizeof(*starts));
	if (!starts)
		return store_fail(s, SQLITE_NOMEM, "reading the starts of the uplink");
	u->starts = starts;
	*cap = cap_new;
	return 0;
}

/* The current row. Epochs never go back. */
static int add_start(struct store *s, struct store_uplink *u, size_t *cap)
{
	sqlite3_stmt *stmt = s->sql[SQL_START_ALL];
	uint64_t before = u->start_count ? u->starts[u->start_count - 1].after_epoch : 0;
	struct store_start start = {
		.start = (uint64_t)sqlite3_column_int64(stmt, 0),
		.after_epoch = (uint64_t)sqlite3_column_int64(stmt, 1),
	};
	int r = reserve(s, u, cap);

	if (r != 0)
		return r;
	if (start.after_epoch < before || start.after_epoch > s->epoch_limit)
		return store_damaged(s, "start %016llx of the uplink is said to be after epoch %lld",
				     (unsigned long long)start.start, (long long)start.after_epoch);
	u->starts[u->start_count++] = start;
	return 0;
}

static int read_starts(struct store *s, struct store_uplink *u)
{
	sqlite3_stmt *stmt = s->sql[SQL_START_ALL];
	size_t cap = 0;
	int rc = SQLITE_DONE, r = 0;

	if (!stmt)
		return 0; /* an old file has no such table */
	while (r == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		r = add_start(s, u, &cap);
	sqlite3_reset(stmt);
	if (r != 0)
		return r;
	return rc == SQLITE_DONE ? 0 : store_fail(s, rc, "reading the starts of the uplink");
}

int store_uplink_load(struct store *s, struct store_uplink *out)
{
	struct store_uplink found = {
		.incarnation = s->uplink.incarnation,
		.is_restored = s->uplink.is_restored,
		.is_copy = s->uplink.is_copy,
	};
	int r = read_starts(s, &found);

	if (r == 0) {
		*out = found;
		return 0;
	}
	free(found.starts);
	return r == STORE_RETRY ? -s->cause : r;
}

int store_baselines(struct store *s, store_baseline_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = s->sql[SQL_BASE_OF];
	int rc = SQLITE_DONE, r = 0;

	store_bind(s, SQL_BASE_OF, 1, s->uplink.incarnation);
	while (r == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		r = fn(arg, (uint64_t)sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1));
	sqlite3_reset(stmt);
	if (r != 0)
		return r;
	if (rc != SQLITE_DONE && store_fail(s, rc, "reading baselines") != 0)
		return -s->cause;
	return 0;
}

/* ---- this start ---- */

static int insert_start(struct store *s, uint64_t start, uint64_t after_epoch)
{
	store_bind(s, SQL_START_INSERT, 1, start);
	store_bind(s, SQL_START_INSERT, 2, after_epoch);
	return store_run(s, SQL_START_INSERT, "noting a start of the uplink");
}

int store_uplink_begin(struct store *s, uint64_t incarnation, uint64_t start, uint64_t after_epoch)
{
	bool is_first = s->uplink.incarnation == 0;
	int r;

	assert(incarnation <= INT64_MAX && after_epoch <= s->epoch_limit);
	r = store_begin(s, "noting a start of the uplink");
	if (r != 0)
		return r;
	if (is_first)
		r = store_meta_set(s, "uplink_incarnation", incarnation);
	if (r == 0)
		r = insert_start(s, start, after_epoch);
	r = store_end_durable(s, r, "noting a start of the uplink");
	if (r == 0 && is_first)
		s->uplink.incarnation = incarnation;
	return r;
}

/* ---- another incarnation ---- */

static int put_baseline(struct store *s, uint64_t incarnation, const struct store_baseline *row)
{
	store_bind(s, SQL_BASE_PUT, 1, row->id);
	store_bind(s, SQL_BASE_PUT, 2, incarnation);
	store_bind(s, SQL_BASE_PUT, 3, (uint64_t)row->value);
	return store_run(s, SQL_BASE_PUT, "writing baselines");
}

/* From the beginning: what is to go may be anywhere. */
static void begin_sweep(struct store *s)
{
	s->uplink.sweep_id = 0;
	s->uplink.is_swept = false;
}

int store_put_baselines(struct store *s, uint64_t incarnation, const struct store_baseline *rows,
			size_t count)
{
	int r;

	assert(incarnation && incarnation <= INT64_MAX && incarnation != s->uplink.incarnation);
	r = store_begin(s, "writing baselines");
	if (r != 0)
		return r;
	for (size_t i = 0; i < count && r == 0; i++)
		r = put_baseline(s, incarnation, &rows[i]);
	r = store_end(s, r, "writing baselines");
	if (r != 0)
		return r;
	s->uplink.preparing = incarnation;
	s->uplink.put_epoch = store_last_epoch(s);
	begin_sweep(s);
	return STORE_OK;
}

int store_uplink_switch(struct store *s, uint64_t incarnation)
{
	int r;

	assert(incarnation && incarnation <= INT64_MAX);
	r = store_begin(s, "taking a new incarnation");
	if (r != 0)
		return r;
	r = store_meta_set(s, "uplink_incarnation", incarnation);
	if (r == 0)
		r = store_meta_set(s, "uplink_restored", 1);
	if (r == 0)
		r = store_meta_set(s, "uplink_copy", 0);
	r = store_end_durable(s, r, "taking a new incarnation");
	if (r != 0)
		return r;
	s->uplink.incarnation = incarnation;
	s->uplink.is_restored = true;
	s->uplink.is_copy = false;
	s->uplink.preparing = 0;
	begin_sweep(s);
	return STORE_OK;
}

int store_uplink_accept(struct store *s)
{
	int r = store_begin(s, "accepting a restored state");

	if (r != 0)
		return r;
	r = store_end_durable(s, store_meta_set(s, "uplink_restored", 0), "accepting a restored state");
	if (r == 0)
		s->uplink.is_restored = false;
	return r;
}

/* ---- sweeping ---- */

/* The last id of a step; JOURNAL_ID_MAX: of the sweep. */
static int find_end(struct store *s, size_t rows_max, uint64_t *last)
{
	sqlite3_stmt *stmt = s->sql[SQL_BASE_STEP];
	int rc;

	store_bind(s, SQL_BASE_STEP, 1, s->uplink.sweep_id);
	store_bind(s, SQL_BASE_STEP, 2, rows_max - 1);
	rc = sqlite3_step(stmt);
	*last = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(stmt, 0) : JOURNAL_ID_MAX;
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : store_fail(s, rc, "reading baselines");
}

static int forget_up_to(struct store *s, uint64_t last)
{
	store_bind(s, SQL_BASE_FORGET, 1, s->uplink.sweep_id);
	store_bind(s, SQL_BASE_FORGET, 2, last);
	store_bind(s, SQL_BASE_FORGET, 3, s->uplink.incarnation);
	store_bind(s, SQL_BASE_FORGET, 4, s->uplink.preparing);
	store_bind(s, SQL_BASE_FORGET, 5, s->uplink.is_sweep_whole);
	return store_run(s, SQL_BASE_FORGET, "deleting old baselines");
}

int store_forget_baselines(struct store *s, size_t rows_max)
{
	uint64_t last;
	int r;

	assert(rows_max > 0);
	if (s->uplink.is_swept)
		return STORE_OK;
	/* A counter that the journal creates has no name in the snapshot yet. */
	if (s->uplink.sweep_id == 0)
		s->uplink.is_sweep_whole = store_is_folded(s, s->uplink.put_epoch);
	r = store_begin(s, "deleting old baselines");
	if (r != 0)
		return r;
	r = find_end(s, rows_max, &last);
	if (r == 0)
		r = forget_up_to(s, last);
	r = store_end(s, r, "deleting old baselines");
	if (r != 0)
		return r;
	s->uplink.sweep_id = last < JOURNAL_ID_MAX ? last + 1 : 0;
	s->uplink.is_swept = last == JOURNAL_ID_MAX && s->uplink.is_sweep_whole;
	return last < JOURNAL_ID_MAX ? STORE_AGAIN : STORE_OK;
}
