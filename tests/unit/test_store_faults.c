/* SPDX-License-Identifier: MIT */
/*
 * Goal: a full disk costs nothing but time, and after an I/O error nothing more is written; either way what
 * is on disk is the state before or after the failed call, whole.
 *
 * Method: a VFS between SQLite and the disk lets the n-th write, sync or truncation fail, for every n that
 * the work reaches. After a full disk the call is tried again; after an I/O error the file is opened again.
 */
#include "store_fixture.h"
#include "../../daemon/window.h"

/* ---- a VFS that fails on demand ---- */

enum fault_kind { FAULT_NONE, FAULT_FULL, FAULT_IO };

static struct {
	enum fault_kind kind;
	uint64_t at;   /* this operation fails, and with FAULT_FULL the `length` - 1 after it */
	uint64_t done; /* operations so far */
	uint64_t length;
	bool has_struck;
} fault;

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs;

static int strike(int rc_io)
{
	if (fault.kind == FAULT_NONE)
		return SQLITE_OK;
	fault.done++;
	if (fault.done < fault.at || fault.done >= fault.at + fault.length)
		return SQLITE_OK;
	fault.has_struck = true;
	return fault.kind == FAULT_FULL ? SQLITE_FULL : rc_io;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct fault_file *)file)->real;
}

/* A full disk takes part of a write before it refuses the rest. */
static int fault_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
	int rc = strike(SQLITE_IOERR_WRITE);

	if (rc == SQLITE_OK)
		return real_of(file)->pMethods->xWrite(real_of(file), data, len, at);
	real_of(file)->pMethods->xWrite(real_of(file), data, len / 2, at);
	return rc;
}

static int fault_sync(sqlite3_file *file, int flags)
{
	int rc = fault.kind == FAULT_IO ? strike(SQLITE_IOERR_FSYNC) : SQLITE_OK;

	return rc == SQLITE_OK ? real_of(file)->pMethods->xSync(real_of(file), flags) : rc;
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int rc = fault.kind == FAULT_IO ? strike(SQLITE_IOERR_TRUNCATE) : SQLITE_OK;

	return rc == SQLITE_OK ? real_of(file)->pMethods->xTruncate(real_of(file), size) : rc;
}

#define FORWARD(name, params, ...)                                                                           \
	static int forward_##name params                                                                     \
	{                                                                                                    \
		return real_of(file)->pMethods->x##name(real_of(file), ##__VA_ARGS__);                       \
	}

FORWARD(Close, (sqlite3_file * file))
FORWARD(Read, (sqlite3_file * file, void *data, int len, sqlite3_int64 at), data, len, at)
FORWARD(FileSize, (sqlite3_file * file, sqlite3_int64 *size), size)
FORWARD(Lock, (sqlite3_file * file, int level), level)
FORWARD(Unlock, (sqlite3_file * file, int level), level)
FORWARD(CheckReservedLock, (sqlite3_file * file, int *out), out)
FORWARD(FileControl, (sqlite3_file * file, int op, void *arg), op, arg)
FORWARD(SectorSize, (sqlite3_file * file))
FORWARD(DeviceCharacteristics, (sqlite3_file * file))
FORWARD(ShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **out), page, size,
	extend, out)
FORWARD(ShmLock, (sqlite3_file * file, int offset, int count, int flags), offset, count, flags)
FORWARD(ShmUnmap, (sqlite3_file * file, int is_delete), is_delete)

static void forward_ShmBarrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static const sqlite3_io_methods fault_methods = {
	.iVersion = 2,
	.xClose = forward_Close,
	.xRead = forward_Read,
	.xWrite = fault_write,
	.xTruncate = fault_truncate,
	.xSync = fault_sync,
	.xFileSize = forward_FileSize,
	.xLock = forward_Lock,
	.xUnlock = forward_Unlock,
	.xCheckReservedLock = forward_CheckReservedLock,
	.xFileControl = forward_FileControl,
	.xSectorSize = forward_SectorSize,
	.xDeviceCharacteristics = forward_DeviceCharacteristics,
	.xShmMap = forward_ShmMap,
	.xShmLock = forward_ShmLock,
	.xShmBarrier = forward_ShmBarrier,
	.xShmUnmap = forward_ShmUnmap,
};

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_out)
{
	struct fault_file *wrapped = (struct fault_file *)file;
	int rc;

	(void)vfs;
	wrapped->real = (sqlite3_file *)(wrapped + 1);
	rc = real_vfs->xOpen(real_vfs, name, wrapped->real, flags, flags_out);
	wrapped->base.pMethods = wrapped->real->pMethods ? &fault_methods : NULL;
	return rc;
}

static int register_vfs(void **state)
{
	static sqlite3_vfs vfs;

	(void)state;
	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs;
	vfs.zName = "fault";
	vfs.pNext = NULL;
	vfs.szOsFile += (int)sizeof(struct fault_file);
	vfs.xOpen = fault_open;
	return sqlite3_vfs_register(&vfs, 1) == SQLITE_OK ? 0 : -1;
}

static void set_fault(enum fault_kind kind, uint64_t at, uint64_t length)
{
	fault.kind = kind;
	fault.at = at;
	fault.length = length;
	fault.done = 0;
	fault.has_struck = false;
}

static void clear_fault(void)
{
	fault.kind = FAULT_NONE;
}

/* ---- the work: commits, a fold in small steps, a merge, a checkpoint, and between them the uplink's ---- */

enum { COUNTERS = 300, EPOCHS = 6 };

struct work {
	struct store *s;
	uint64_t epoch_first;
	int epochs_done, uplink_done;
	bool is_fold_done, is_merge_done, is_checkpoint_done;
};

/* Every third counter has a state, every fourth hits: as many of an epoch as its number is large. */
static void put_extras(struct journal_writer *w, int epoch)
{
	for (uint64_t id = 3; id <= COUNTERS; id += 3)
		journal_put_state(w, &(struct journal_state){.id = id, .version = (uint64_t)epoch + 1});
	for (uint64_t id = 4; id <= COUNTERS; id += 4)
		journal_put_hit(w, &(struct journal_hit){id, epoch * 1000, UINT64_C(1) << epoch});
}

/* Adds epoch number `n` (0 creates). */
static int commit_one(struct work *work)
{
	struct journal_delta deltas[COUNTERS];
	struct journal_writer w;
	char name[16];
	int r;

	journal_writer_init(&w, 0);
	for (uint64_t i = 0; i < COUNTERS; i++) {
		snprintf(name, sizeof(name), "c%llu", (unsigned long long)i + 1);
		if (work->epochs_done == 0)
			journal_put_name(&w, i + 1, slice_str(name));
		deltas[i] = (struct journal_delta){.id = i + 1, .delta = (i + 1) << (8 * work->epochs_done)};
	}
	journal_put_deltas(&w, deltas, COUNTERS);
	put_extras(&w, work->epochs_done);
	assert_int_equal(journal_writer_finish(&w), 0);
	r = store_commit(work->s, work->epoch_first + (uint64_t)work->epochs_done, &w, NULL, 0, COUNTERS + 1);
	journal_writer_fini(&w);
	return r;
}

static int fold_some(struct work *work)
{
	int r = store_fold_begin(work->s);

	while (r == STORE_AGAIN)
		r = store_fold_step(work->s, 70);
	return r;
}

/* A start, baselines that lead to nothing and such that do, the switch, sweeping, accepting. */
enum { UPLINK_STEPS = 6, PRESENT = 7, NEXT = 8, GIVEN_UP = 9 };

static int uplink_step(struct store *s, int step)
{
	struct store_baseline rows[COUNTERS];

	for (uint64_t i = 0; i < COUNTERS; i++)
		rows[i] = (struct store_baseline){.id = i + 1, .value = (int64_t)i};
	switch (step) {
	case 0: return store_uplink_begin(s, PRESENT, 70, store_last_epoch(s));
	case 1: return store_put_baselines(s, GIVEN_UP, rows, COUNTERS / 2);
	case 2: return store_put_baselines(s, NEXT, rows, COUNTERS);
	case 3: return store_uplink_switch(s, NEXT);
	case 4: return store_forget_baselines(s, 2 * COUNTERS);
	default: return store_uplink_accept(s);
	}
}

/* What is there after so many steps. */
struct uplink_rows {
	int64_t incarnation, is_restored, starts, next, given_up;
};

static struct uplink_rows uplink_after(int steps)
{
	return (struct uplink_rows){
		.incarnation = steps > 3   ? NEXT
			       : steps > 0 ? PRESENT
					   : 0,
		.is_restored = steps > 3 && steps<UPLINK_STEPS, .starts = steps> 0,
		.next = steps > 2 ? COUNTERS : 0,
		.given_up = steps > 1 && steps < 5 ? COUNTERS / 2 : 0,
	};
}

static struct uplink_rows read_uplink(const char *path)
{
	struct uplink_rows rows = {0};
	sqlite3_stmt *stmt;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db,
				   "SELECT (SELECT value FROM meta WHERE key = 'uplink_incarnation'),"
				   "(SELECT value FROM meta WHERE key = 'uplink_restored'),"
				   "(SELECT count(*) FROM uplink_start),"
				   "(SELECT count(*) FROM baseline WHERE incarnation = 8),"
				   "(SELECT count(*) FROM baseline WHERE incarnation = 9)",
				   -1, &stmt, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	rows.incarnation = sqlite3_column_int64(stmt, 0);
	rows.is_restored = sqlite3_column_int64(stmt, 1);
	rows.starts = sqlite3_column_int64(stmt, 2);
	rows.next = sqlite3_column_int64(stmt, 3);
	rows.given_up = sqlite3_column_int64(stmt, 4);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return rows;
}

static bool has_uplink(const char *path, int steps)
{
	struct uplink_rows found = read_uplink(path), want = uplink_after(steps);

	return memcmp(&found, &want, sizeof(found)) == 0;
}

/* What is believed in memory. */
static void assert_told(struct store *s, int steps)
{
	struct uplink_rows want = uplink_after(steps);
	struct store_uplink told;

	assert_int_equal(store_uplink_load(s, &told), 0);
	assert_int_equal(told.incarnation, want.incarnation);
	assert_int_equal(told.is_restored, want.is_restored);
	assert_int_equal(told.start_count, want.starts);
	free(told.starts);
}

/* Does the next thing; STORE_AGAIN when there is more, STORE_OK at the end, else what failed. */
static int work_on(struct work *work)
{
	int r;

	if (work->uplink_done < UPLINK_STEPS && work->uplink_done < work->epochs_done) {
		r = uplink_step(work->s, work->uplink_done);
		work->uplink_done += r == STORE_OK;
	} else if (work->epochs_done == 3 && !work->is_fold_done) {
		r = fold_some(work);
		work->is_fold_done = r == STORE_OK;
	} else if (work->epochs_done == 4 && !work->is_checkpoint_done) {
		r = store_checkpoint(work->s, 0);
		work->is_checkpoint_done = r == STORE_OK;
	} else if (work->epochs_done < EPOCHS) {
		r = commit_one(work);
		work->epochs_done += r == STORE_OK;
	} else if (!work->is_merge_done) {
		r = store_journal_merge(work->s, 0);
		work->is_merge_done = r == STORE_OK;
	} else {
		return STORE_OK;
	}
	return r == STORE_OK ? STORE_AGAIN : r;
}

/* All of the first `epochs` epochs and nothing of later ones. */
static void assert_epochs(const struct picture *p, int epochs)
{
	assert_int_equal(p->count, epochs ? COUNTERS : 0);
	for (size_t i = 0; i < p->count; i++) {
		uint64_t want = 0;

		for (int n = 0; n < epochs; n++)
			want += (i + 1) << (8 * n);
		assert_int_equal(p->counters[i].value, (int64_t)want);
	}
}

/* ---- what a load tells beside counters ---- */

struct extras {
	uint64_t versions[COUNTERS + 1], hits[COUNTERS + 1];
};

static int take_state(void *arg, const struct journal_state *state)
{
	((struct extras *)arg)->versions[state->id] += state->version;
	return 0;
}

static int take_window(void *arg, uint64_t id, struct window *window)
{
	struct window_sum sum;

	assert_int_equal(window_sum(window, 0, 86400000, &sum), 0);
	((struct extras *)arg)->hits[id] += sum.hits;
	window_free(window);
	return 0;
}

static int ignore_counters(void *arg, unsigned loader, const struct store_counter *counters, size_t count)
{
	(void)arg;
	(void)loader;
	(void)counters;
	(void)count;
	return 0;
}

static void assert_extras(const char *path, int epochs)
{
	struct extras extras = {0};
	const struct store_sink sink = {
		.counters = ignore_counters, .state = take_state, .window = take_window, .arg = &extras};
	struct store_state state;
	struct store *s;

	assert_int_equal(store_open(&s, path, 0), 0);
	assert_int_equal(store_load(s, &sink, &state), 0);
	store_close(s);
	for (uint64_t id = 0; id <= COUNTERS; id++) {
		bool has_state = id && id % 3 == 0, has_hits = id && id % 4 == 0;

		assert_int_equal(extras.versions[id], has_state ? epochs : 0);
		assert_int_equal(extras.hits[id], has_hits ? (UINT64_C(1) << epochs) - 1 : 0);
	}
}

static struct work begin_work(struct fixture *f)
{
	struct picture p;
	struct work work = {0};

	copy_database("/nonexistent", f->path);
	unlink(f->path);
	work.s = open_and_load(f->path, &p);
	work.epoch_first = p.state.epoch_first;
	picture_free(&p);
	return work;
}

/* ---- the claims ---- */

/* Each round the disk is full a write later, for as long as it takes for some retries to fail too. */
static void test_a_full_disk_is_retried_until_nothing_is_missing(void **state)
{
	struct fixture *f = *state;
	uint64_t rounds = 0;
	bool has_struck;

	do {
		struct work work = begin_work(f);
		struct picture p;
		int r;

		set_fault(FAULT_FULL, ++rounds, 3);
		while ((r = work_on(&work)) != STORE_OK) {
			assert_true(r == STORE_AGAIN || r == STORE_RETRY);
			if (r == STORE_RETRY)
				assert_non_null(strstr(store_error(work.s), "disk is full"));
			assert_told(work.s, work.uplink_done);
		}
		has_struck = fault.has_struck;
		clear_fault();
		store_close(work.s);
		store_close(open_and_load(f->path, &p));
		assert_epochs(&p, EPOCHS);
		picture_free(&p);
		assert_extras(f->path, EPOCHS);
		assert_true(has_uplink(f->path, UPLINK_STEPS));
		assert_clean(f->path);
	} while (has_struck);
	assert_true(rounds > 50); /* the fault has been nearly everywhere */
}

static void test_after_an_io_error_nothing_more_is_written(void **state)
{
	struct fixture *f = *state;
	uint64_t rounds = 0;
	bool has_struck;

	do {
		struct work work = begin_work(f);
		struct picture p;
		int r;

		set_fault(FAULT_IO, ++rounds, UINT64_MAX / 2);
		do {
			r = work_on(&work);
		} while (r == STORE_AGAIN);
		has_struck = fault.has_struck;
		if (has_struck) {
			assert_int_equal(r, -EIO);
			assert_non_null(strstr(store_error(work.s), "I/O error"));
		}
		clear_fault(); /* even when the disk seems well again */
		copy_database(f->path, f->image);
		if (has_struck) {
			assert_int_equal(store_checkpoint(work.s, 0), -EIO);
			assert_int_equal(store_fold_begin(work.s), -EIO);
			assert_int_equal(store_journal_merge(work.s, 0), -EIO);
			assert_int_equal(store_uplink_begin(work.s, PRESENT, 71, 0), -EIO);
			assert_int_equal(store_put_baselines(work.s, GIVEN_UP, NULL, 0), -EIO);
			assert_int_equal(store_uplink_switch(work.s, GIVEN_UP), -EIO);
			assert_int_equal(store_uplink_accept(work.s), -EIO);
			assert_int_equal(work.epochs_done < EPOCHS ? commit_one(&work) : -EIO, -EIO);
			assert_non_null(strstr(store_error(work.s), "I/O error"));
		}
		store_close(work.s);
		store_close(open_and_load(f->image, &p));
		/* What failed, an epoch or a step of the uplink's, may be there or not, but whole. */
		if (p.count && p.counters[0].value >> (8 * work.epochs_done))
			work.epochs_done++;
		assert_epochs(&p, work.epochs_done);
		picture_free(&p);
		assert_extras(f->image, work.epochs_done);
		assert_true(has_uplink(f->image, work.uplink_done) ||
			    (has_struck && has_uplink(f->image, work.uplink_done + 1)));
		assert_clean(f->image);
		store_close(open_and_load(f->path, &p));
		assert_epochs(&p, work.epochs_done);
		picture_free(&p);
	} while (has_struck);
	assert_true(rounds > 50);
}

/* Making the file: it is whole, or as if nothing had been there. */
static void test_a_fault_while_making_the_file_leaves_it_new_or_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t rounds = 0;
	bool has_struck;

	do {
		struct picture p = {0};
		struct store *s;
		int r;

		copy_database("/nonexistent", f->path);
		unlink(f->path);
		set_fault(rounds % 2 ? FAULT_FULL : FAULT_IO, rounds / 2 + 1, UINT64_MAX / 2);
		rounds++;
		r = store_open(&s, f->path, STORE_CREATE);
		if (r == 0)
			r = load_counters(s, picture_add, &p, &p.state);
		has_struck = fault.has_struck;
		if (has_struck)
			assert_true(r == (fault.kind == FAULT_FULL ? -ENOSPC : -EIO));
		clear_fault();
		store_close(s);
		store_close(open_and_load(f->path, &p));
		assert_int_equal(p.count, 0);
		assert_clean(f->path);
	} while (has_struck || rounds % 2);
	assert_true(rounds > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_a_full_disk_is_retried_until_nothing_is_missing),
		fixture_test(test_after_an_io_error_nothing_more_is_written),
		fixture_test(test_a_fault_while_making_the_file_leaves_it_new_or_whole),
	};

	return cmocka_run_group_tests(tests, register_vfs, NULL);
}
