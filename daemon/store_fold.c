/* SPDX-License-Identifier: MIT */
/*
 * store_fold.c - the snapshot: moves the journal into the counters' rows, in small transactions between
 * commits.
 *
 * A pass takes the oldest epochs of the journal, up to `epoch`, and puts their sums into the rows. It may be
 * cut off anywhere, by a crash or a full disk, and is exact all the same:
 *
 * - The first transaction writes fold_epoch = `epoch`. Until the pass has finished, every next one goes to
 * that same epoch, however much has been committed since. So a row's as_of is either `epoch` (done, skipped)
 * or below the first epoch of the pass (not done), and one sum per id is enough.
 * - Recovery adds, per row, only epochs above its as_of; and the journal's deletes and floor hide what is
 * half deleted.
 * - Journal rows go last, in a transaction behind all that made them superfluous.
 * - Merging leaves epochs up to fold_epoch alone (store_merge.c): a merged body could not say which of its
 * epochs a row already has.
 */
#include "store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "clock.h"

enum {
	FOLD_BYTES_MAX = 16 << 20, /* journal bodies of a pass: they are in memory while it runs */
	FOLD_EPOCHS_MAX = 1 << 16, /* ... and each costs something, however small */
	READ_BYTES_MAX = 1 << 20,  /* of a step that reads: a millisecond or two */
	READ_EPOCHS_MAX = 1 << 10,
};

/* What a row gets. */
struct fold_row {
	uint64_t id;
	uint64_t delta;
	int64_t time_ms;
	struct slice name; /* of a new counter; len 0: one that exists */
};

/* In this order: a deleted name may come back under a new id, and a reader should not see both. */
enum fold_phase {
	FOLD_FLOOR_VALUES,
	FOLD_FLOOR_STATES,
	FOLD_FLOOR_WINDOWS,
	FOLD_FLOOR_BASELINES,
	FOLD_FLOOR_NAMES,
	FOLD_DELETES,
	FOLD_ROWS,
	FOLD_STATES, /* behind the names that they are for */
	FOLD_WINDOWS,
	FOLD_SESSIONS,
	FOLD_TOKENS,
	FOLD_JOURNAL,
	FOLD_DONE,
};

/* How far the pass is; taken back when a transaction is. */
struct fold_progress {
	enum fold_phase phase;
	size_t delete_next; /* of the set */
	size_t row_next;    /* of the batch */
	size_t state_next;  /* of that of states */
	size_t window_next; /* of that of windows */
	size_t mark_next;   /* of the sessions, then of the tokens */
};

struct store_fold {
	struct journal_set set;
	uint64_t epoch;
	uint64_t read_epoch; /* epochs up to here are in the set */
	bool is_read;	     /* all are, and the set is sorted */
	bool is_announced;   /* fold_epoch is on disk */
	struct fold_progress progress;
	size_t name_next;      /* of the set: names before are in the batch or done */
	struct fold_row *rows; /* the batch: decoded, not known to be on disk */
	size_t row_count, row_cap;
	struct store_extra states, windows; /* the same */
	bool is_lost; /* some of these are neither in the set any more nor in the batch */
};

struct store_fold *store_fold_free(struct store_fold *fold)
{
	if (!fold)
		return NULL;
	journal_set_fini(&fold->set);
	free(fold->rows);
	store_extra_fini(&fold->states);
	store_extra_fini(&fold->windows);
	free(fold);
	return NULL;
}

bool store_is_folded(const struct store *s, uint64_t epoch)
{
	const struct store_epoch *oldest = s->epochs;

	return s->epoch_count == 0 || (oldest->first ? oldest->first : oldest->epoch) > epoch;
}

bool store_is_folding(const struct store *s)
{
	return s->fold != NULL;
}

uint64_t store_fold_epoch(const struct store *s)
{
	return s->fold->epoch;
}

/* ---- beginning ---- */

/* The epoch a pass over the journal goes to. */
static uint64_t choose_epoch(const struct store *s)
{
	uint64_t bytes = s->epochs[0].bytes;
	size_t i = 0;

	if (s->epochs[0].epoch <= s->fold_epoch)
		return s->fold_epoch; /* one was cut off */
	while (i + 1 < s->epoch_count && i < FOLD_EPOCHS_MAX &&
	       bytes + s->epochs[i + 1].bytes <= FOLD_BYTES_MAX)
		bytes += s->epochs[++i].bytes;
	return s->epochs[i].epoch;
}

int store_fold_begin(struct store *s)
{
	struct store_fold *fold;

	if (s->is_failed)
		return -EIO;
	if (s->fold)
		return STORE_AGAIN;
	if (s->epoch_count == 0)
		return STORE_OK;
	fold = calloc(1, sizeof(*fold));
	if (!fold)
		return store_fail(s, SQLITE_NOMEM, "beginning to fold");
	journal_set_init(&fold->set);
	fold->epoch = choose_epoch(s);
	s->fold = fold;
	return STORE_AGAIN;
}

/* The next epochs of the pass: the number of the last of them. */
static uint64_t choose_read(const struct store *s)
{
	uint64_t last = s->fold->epoch, bytes = 0;
	size_t count = 0;

	for (size_t i = 0; i < s->epoch_count && s->epochs[i].epoch <= s->fold->epoch; i++) {
		if (s->epochs[i].epoch <= s->fold->read_epoch)
			continue;
		bytes += s->epochs[i].bytes;
		if (count && (bytes > READ_BYTES_MAX || count == READ_EPOCHS_MAX))
			break;
		last = s->epochs[i].epoch;
		count++;
	}
	return count ? last : s->fold->epoch;
}

static int sort_set(struct store *s)
{
	struct store_fold *fold = s->fold;
	int r = store_sort_set(s, &fold->set);

	if (r == 0 && s->floor_id > fold->set.floor_id)
		fold->set.floor_id = s->floor_id;
	fold->is_read = r == 0;
	return r;
}

/* One step of reading, outside of any transaction: only we write. A failed one ends the pass; it has changed
 * nothing. */
static int read_some(struct store *s)
{
	uint64_t last = choose_read(s);
	int r = store_read_set(s, s->fold->read_epoch + 1, last, &s->fold->set);

	s->fold->read_epoch = last;
	if (r == 0 && last == s->fold->epoch)
		r = sort_set(s);
	if (r != 0)
		s->fold = store_fold_free(s->fold);
	return r ? r : STORE_AGAIN;
}

/* ---- decoding the next rows ---- */

/* The next id that has a name or a delta, with its sum. STORE_AGAIN when there was one, STORE_OK at the end,
 * negative. */
static int next_row(struct store_fold *fold, struct fold_row *row)
{
	const struct journal_set_name *name =
		fold->name_next < fold->set.name_count ? &fold->set.names[fold->name_next] : NULL;
	struct journal_sum sum;
	bool has_delta = journal_set_peek(&fold->set, &row->id);

	if (!has_delta && !name)
		return STORE_OK;
	if (name && (!has_delta || name->id <= row->id))
		row->id = name->id;
	else
		name = NULL;
	if (journal_set_take(&fold->set, row->id, 0, &sum) < 0)
		return -EUCLEAN;
	row->delta = sum.delta;
	row->time_ms = sum.time_ms;
	row->name = (struct slice){0};
	if (name) {
		row->name = name->name;
		if (sum.count == 0 || name->time_ms > sum.time_ms)
			row->time_ms = name->time_ms;
		fold->name_next++;
	}
	return STORE_AGAIN;
}

static int fill_batch(struct store *s, size_t rows_max)
{
	struct store_fold *fold = s->fold;
	int r = STORE_AGAIN;

	if (rows_max > fold->row_cap) {
		void *rows = reallocarray(fold->rows, rows_max, sizeof(*fold->rows));

		if (!rows)
			return store_fail(s, SQLITE_NOMEM, "folding");
		fold->rows = rows;
		fold->row_cap = rows_max;
	}
	fold->row_count = 0;
	while (fold->row_count < rows_max && r == STORE_AGAIN) {
		r = next_row(fold, &fold->rows[fold->row_count]);
		if (r == STORE_AGAIN && !journal_set_is_dead(&fold->set, fold->rows[fold->row_count].id))
			fold->row_count++;
	}
	if (r < 0)
		return store_damaged(s, "a journal row has records that make no sense");
	return 0;
}

/* ---- writing ---- */

static int insert_value(struct store *s, const struct fold_row *row)
{
	store_bind(s, SQL_VALUE_INSERT, 1, row->id);
	store_bind(s, SQL_VALUE_INSERT, 2, row->delta);
	store_bind(s, SQL_VALUE_INSERT, 3, s->fold->epoch);
	store_bind(s, SQL_VALUE_INSERT, 4, (uint64_t)row->time_ms);
	return store_run(s, SQL_VALUE_INSERT, "folding");
}

/* A new counter's name and row in one; when they are there, a pass was cut off behind them. */
static int write_new(struct store *s, const struct fold_row *row)
{
	int r;

	store_bind(s, SQL_NAME_INSERT, 1, row->id);
	sqlite3_bind_blob64(s->sql[SQL_NAME_INSERT], 2, row->name.data, row->name.len, SQLITE_STATIC);
	r = store_run(s, SQL_NAME_INSERT, "folding");
	return r == 0 ? insert_value(s, row) : r;
}

/* Without effect on a row that is done already. A row may be missing with its name there (another program's
 * repair); with no name, the delta is nobody's. */
static int write_delta(struct store *s, const struct fold_row *row)
{
	int r;

	store_bind(s, SQL_VALUE_ADD, 1, row->id);
	store_bind(s, SQL_VALUE_ADD, 2, row->delta);
	store_bind(s, SQL_VALUE_ADD, 3, s->fold->epoch);
	store_bind(s, SQL_VALUE_ADD, 4, (uint64_t)row->time_ms);
	r = store_run(s, SQL_VALUE_ADD, "folding");
	return r == 0 && sqlite3_changes(s->db) == 0 ? insert_value(s, row) : r;
}

/* Each phase does about *budget rows and lowers it; 0, STORE_RETRY, negative. */

static int fold_floor(struct store *s, enum store_sql which, size_t *budget)
{
	struct store_fold *fold = s->fold;
	size_t deleted;
	int r;

	store_bind(s, which, 1, fold->set.floor_id);
	store_bind(s, which, 2, *budget);
	r = store_run(s, which, "deleting flushed counters");
	if (r != 0)
		return r;
	deleted = (size_t)sqlite3_changes(s->db);
	if (deleted < *budget)
		fold->progress.phase++;
	*budget -= deleted;
	return 0;
}

static int fold_deletes(struct store *s, size_t *budget)
{
	static const enum store_sql tables[] = {SQL_VALUE_DELETE, SQL_STATE_DELETE, SQL_WINDOW_DELETE,
						SQL_BASE_DELETE, SQL_NAME_DELETE};
	struct store_fold *fold = s->fold;
	int r = 0;

	for (; *budget > 0 && fold->progress.delete_next < fold->set.delete_count && r == 0; (*budget)--) {
		uint64_t id = fold->set.deletes[fold->progress.delete_next++];

		for (size_t i = 0; i < sizeof(tables) / sizeof(*tables) && r == 0; i++) {
			store_bind(s, tables[i], 1, id);
			r = store_run(s, tables[i], "deleting counters");
		}
	}
	if (fold->progress.delete_next == fold->set.delete_count)
		fold->progress.phase++;
	return r;
}

static int fold_rows(struct store *s, size_t *budget)
{
	struct store_fold *fold = s->fold;
	int r = 0;

	if (fold->row_count == 0) {
		r = fill_batch(s, *budget);
		if (r == 0 && fold->row_count == 0)
			fold->progress.phase++;
	}
	for (; *budget > 0 && fold->progress.row_next < fold->row_count && r == 0; (*budget)--) {
		const struct fold_row *row = &fold->rows[fold->progress.row_next++];

		r = row->name.len ? write_new(s, row) : write_delta(s, row);
	}
	if (fold->row_count > 0)
		*budget = 0; /* the next batch belongs to the next transaction: this one may have to be
				written again */
	return r;
}

typedef int fill_fn(struct store *s, struct store_extra *x, struct journal_set *set, size_t count_max);
typedef int write_fn(struct store *s, struct store_extra *x, size_t i, size_t *cost);

/* States or windows; of a batch of these a transaction takes as much as is worth *budget rows. */
static int fold_extras(struct store *s, struct store_extra *x, size_t *next, fill_fn *fill, write_fn *write,
		       size_t *budget)
{
	struct store_fold *fold = s->fold;
	int r = 0;

	if (x->count == 0) {
		r = fill(s, x, &fold->set, *budget);
		fold->is_lost = r != 0;
		if (r == 0 && x->count == 0)
			fold->progress.phase++;
	}
	while (*budget > 0 && *next < x->count && r == 0) {
		size_t cost;

		r = write(s, x, (*next)++, &cost);
		*budget -= cost < *budget ? cost : *budget;
	}
	if (x->count > 0)
		*budget = 0; /* as with rows */
	return r;
}

static int fold_states(struct store *s, size_t *budget)
{
	return fold_extras(s, &s->fold->states, &s->fold->progress.state_next, store_extra_fill_states,
			   store_extra_write_state, budget);
}

static int fold_windows(struct store *s, size_t *budget)
{
	return fold_extras(s, &s->fold->windows, &s->fold->progress.window_next, store_extra_fill_windows,
			   store_extra_write_window, budget);
}

static int write_session(struct store *s, const struct journal_set_mark *mark)
{
	store_bind_bytes(s, SQL_SESSION_PUT, 1, mark->name);
	store_bind(s, SQL_SESSION_PUT, 2, mark->number);
	store_bind_bytes(s, SQL_SESSION_PUT, 3, mark->detail);
	store_bind(s, SQL_SESSION_PUT, 4, (uint64_t)mark->time_ms);
	return store_run(s, SQL_SESSION_PUT, "folding sessions");
}

static int write_token(struct store *s, const struct journal_set_mark *mark)
{
	store_bind_bytes(s, SQL_TOKEN_PUT, 1, mark->name);
	store_bind_bytes(s, SQL_TOKEN_PUT, 2, mark->detail);
	store_bind(s, SQL_TOKEN_PUT, 3, mark->number);
	store_bind(s, SQL_TOKEN_PUT, 4, (uint64_t)mark->time_ms);
	return store_run(s, SQL_TOKEN_PUT, "folding tokens");
}

/* The newest of each replaces what is there: a pass that was cut off does the same again. */
static int fold_marks(struct store *s, const struct journal_marks *marks,
		      int (*write)(struct store *s, const struct journal_set_mark *mark), size_t *budget)
{
	struct fold_progress *progress = &s->fold->progress;
	int r = 0;

	for (; *budget > 0 && progress->mark_next < marks->count && r == 0; (*budget)--)
		r = write(s, &marks->items[progress->mark_next++]);
	if (r == 0 && progress->mark_next == marks->count) {
		progress->mark_next = 0;
		progress->phase++;
	}
	return r;
}

static int fold_journal(struct store *s, size_t *budget)
{
	store_bind(s, SQL_JOURNAL_DELETE, 1, 0);
	store_bind(s, SQL_JOURNAL_DELETE, 2, s->fold->epoch);
	s->fold->progress.phase++;
	*budget = 0;
	return store_run(s, SQL_JOURNAL_DELETE, "deleting the folded journal");
}

static int fold_phase(struct store *s, size_t *budget)
{
	switch (s->fold->progress.phase) {
	case FOLD_FLOOR_VALUES: return fold_floor(s, SQL_VALUE_FLOOR, budget);
	case FOLD_FLOOR_STATES: return fold_floor(s, SQL_STATE_FLOOR, budget);
	case FOLD_FLOOR_WINDOWS: return fold_floor(s, SQL_WINDOW_FLOOR, budget);
	case FOLD_FLOOR_BASELINES: return fold_floor(s, SQL_BASE_FLOOR, budget);
	case FOLD_FLOOR_NAMES: return fold_floor(s, SQL_NAME_FLOOR, budget);
	case FOLD_DELETES: return fold_deletes(s, budget);
	case FOLD_ROWS: return fold_rows(s, budget);
	case FOLD_STATES: return fold_states(s, budget);
	case FOLD_WINDOWS: return fold_windows(s, budget);
	case FOLD_SESSIONS: return fold_marks(s, &s->fold->set.sessions, write_session, budget);
	case FOLD_TOKENS: return fold_marks(s, &s->fold->set.tokens, write_token, budget);
	case FOLD_JOURNAL: return fold_journal(s, budget);
	case FOLD_DONE: break;
	}
	return 0;
}

static int announce(struct store *s)
{
	int r = store_meta_set(s, "fold_epoch", s->fold->epoch);

	return r == 0 ? store_meta_set(s, "floor_id", s->fold->set.floor_id) : r;
}

/* ---- a step ---- */

static size_t epochs_up_to(const struct store *s, uint64_t epoch)
{
	size_t count = 0;

	while (count < s->epoch_count && s->epochs[count].epoch <= epoch)
		count++;
	return count;
}

static void end_pass(struct store *s)
{
	store_epochs_replace(s, 0, epochs_up_to(s, s->fold->epoch), (struct store_epoch){0});
	atomic_store_explicit(&s->stats.last_fold_ms, clock_wall_ms(), memory_order_relaxed);
	s->fold = store_fold_free(s->fold);
}

/* The transaction is on disk. */
static int settle(struct store *s, size_t rows)
{
	struct store_fold *fold = s->fold;

	store_count(&s->stats.fold_transactions, 1);
	store_count(&s->stats.rows_folded, rows);
	fold->is_announced = true;
	s->fold_epoch = fold->epoch;
	if (fold->set.floor_id > s->floor_id)
		s->floor_id = fold->set.floor_id;
	if (fold->progress.row_next == fold->row_count)
		fold->progress.row_next = fold->row_count = 0;
	if (fold->progress.state_next == fold->states.count)
		fold->progress.state_next = fold->states.count = 0;
	if (fold->progress.window_next == fold->windows.count)
		fold->progress.window_next = fold->windows.count = 0;
	if (fold->progress.phase != FOLD_DONE)
		return STORE_AGAIN;
	end_pass(s);
	return STORE_OK;
}

int store_fold_step(struct store *s, size_t rows_max)
{
	struct store_fold *fold = s->fold;
	struct fold_progress before;
	size_t budget = rows_max;
	int r;

	assert(fold && rows_max > 0);
	if (!fold->is_read)
		return read_some(s);
	before = fold->progress;
	r = store_begin(s, "folding");
	if (r != 0)
		return r;
	if (!fold->is_announced)
		r = announce(s);
	while (r == 0 && budget > 0 && fold->progress.phase != FOLD_DONE)
		r = fold_phase(s, &budget);
	r = store_end(s, r, "folding");
	if (r == 0)
		return settle(s, fold->progress.row_next - before.row_next + fold->progress.delete_next -
					 before.delete_next);
	if (fold->is_lost)
		s->fold =
			store_fold_free(fold); /* the next one does it all again, and changes nothing twice */
	else
		fold->progress = before;
	return r;
}
