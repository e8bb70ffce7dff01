/* SPDX-License-Identifier: MIT */
/*
 * store.c - the state on disk: failures in words, transactions, committing epochs. store_private.h lists
 * the other files: opening, the log, recovery, snapshot, merging, the check.
 *
 * Schema, version 4 (made in store_open.c; version 1 had no sessions and tokens, 2 no states, windows and
 * audit log, 3 nothing for the uplink):
 *
 *	meta	key, value	epoch_limit	every epoch ever used is at or below (raised in steps)
 *				id_next		every id ever used on disk is below
 *				floor_id	ids below are deleted
 *				fold_epoch	the newest pass, finished or not, folds up to here
 *				created		milliseconds since 1970
 *				log_id		every log_id of an entry that was forgotten is at or below
 *				uplink_incarnation, uplink_restored, uplink_copy	store_uplink.c
 *	name	id, name	a counter as of the last fold
 *	value	id, value, as_of, updated_at	its value with all epochs up to as_of; milliseconds
 *	state	id, version, expire_at, tat	as of the last fold; milliseconds, nanoseconds, 0: none
 *	window	id, as_of, body	its hits with those of all epochs up to as_of: window.c
 *	session	id, seq, cursor, used_at	as of the last fold
 *	token	name, token, delta, used_at	as of the last fold
 *	journal	epoch, part, body		what came later: journal.c
 *	log	log_id, name, time_us, ...	the audit log: store_audit.c
 *	uplink_start	number, start, after_epoch	store_uplink.c
 *	baseline	id, incarnation, value	store_uplink.c
 *	counter	(view)	for people: names as text, values as of the last fold
 *	counter_logs	(view)	for people: the audit log
 *
 * The value of a counter is value + the deltas of all journal rows with epoch > as_of, its window likewise.
 * Sums are made in C, modulo 2^64: SQL turns an integer overflow into a floating point number.
 *
 * One connection does all writing and checkpoints: SQLite 3.7.0 to 3.51.2 can corrupt a database when two
 * connections write and checkpoint at once. A reader never blocks us in WAL mode; another writer may, for
 * which STORE_BUSY_TIMEOUT_MS waits.
 */
#include "store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	EPOCH_RESERVE = 1 << 20, /* epochs a start may use before epoch_limit must move */
	ERROR_BYTES = 1536,	 /* a path of PATH_MAX/8 and a sentence */
};

/* ---- failures ---- */

static const char *const no_memory = "out of memory";

__attribute__((format(printf, 3, 0))) static void say_va(struct store *s, int cause, const char *fmt,
							 va_list args)
{
	int used;

	s->cause = cause;
	if (!s->error)
		s->error = malloc(ERROR_BYTES);
	if (!s->error)
		return;
	used = snprintf(s->error, ERROR_BYTES, "%.600s: ", s->path ? s->path : "(no path)");
	if (used > 0 && used < ERROR_BYTES)
		vsnprintf(s->error + used, (size_t)(ERROR_BYTES - used), fmt, args);
}

int store_say(struct store *s, int cause, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say_va(s, cause, fmt, args);
	va_end(args);
	return -cause;
}

int store_damaged(struct store *s, const char *fmt, ...)
{
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	s->is_failed = true;
	if (s->flags & STORE_READONLY)
		return store_say(s, EUCLEAN, "damaged: %s. Restore a backup; it is left as it is", what);
	return store_say(s, EUCLEAN,
			 "damaged: %s. Run `shcounterd --check` with this database to see how far it goes, "
			 "then restore a backup; it is left as it is",
			 what);
}

/* What the kernel said when SQLite last failed at a file: the log, or in a checkpoint the database. 0:
 * nothing. The connection's own note of it is not made where a COMMIT fails. */
static int system_error(struct store *s)
{
	int which = s->is_checkpointing ? SQLITE_FCNTL_FILE_POINTER : SQLITE_FCNTL_JOURNAL_POINTER;
	sqlite3_file *file = NULL;
	int error = 0;

	if (s->db && sqlite3_file_control(s->db, "main", which, &file) == SQLITE_OK && file && file->pMethods)
		(void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
	return error ? error : sqlite3_system_errno(s->db);
}

static int fail_io(struct store *s, int rc, const char *doing)
{
	int system = system_error(s);

	s->is_failed = true;
	return store_say(s, EIO,
			 "I/O error while %s: %s (%s). What was being written may or may not be on disk. "
			 "Look into the "
			 "kernel's log, see to the disk, then start again",
			 doing, sqlite3_errstr(rc), system ? strerror(system) : "no system error");
}

/* What SQLite calls an I/O error, though it is a shortage: the quota of the disk, the limit on the size of a
 * file, or room for the index of the log (-shm), which it extends behind the commit. Nothing is unknown then
 * but for whether a crash right now would find the transaction, which nobody was told of; tried again it is
 * written over. */
static int shortage_of(struct store *s, int rc)
{
	int system = rc == SQLITE_IOERR_WRITE ? system_error(s) : 0;

	if (system == EDQUOT || system == EFBIG)
		return SQLITE_FULL;
	if (rc == SQLITE_IOERR_SHMSIZE)
		return SQLITE_FULL;
	return rc == SQLITE_IOERR_SHMMAP ? SQLITE_NOMEM : rc;
}

int store_fail(struct store *s, int rc, const char *doing)
{
	bool is_too_big = rc == SQLITE_IOERR_WRITE && system_error(s) == EFBIG;

	rc = shortage_of(s, rc);
	switch (rc & 0xff) {
	case SQLITE_FULL:
		store_say(s, ENOSPC, "%s (while %s): %s",
			  is_too_big ? "the limit on the size of files is reached" : "the disk is full",
			  doing, is_too_big ? "raise it (ulimit -f, LimitFSIZE)" : "free some space");
		return STORE_RETRY;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		store_say(s, EBUSY,
			  "another program is writing to the file (waited %d ms, while %s). Only the daemon "
			  "may write: end "
			  "the other one; `sqlite3 -readonly` does no harm",
			  STORE_BUSY_TIMEOUT_MS, doing);
		return STORE_RETRY;
	case SQLITE_NOMEM: store_say(s, ENOMEM, "out of memory while %s", doing); return STORE_RETRY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* our statements are right, so the schema is not */
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH: return store_damaged(s, "%s (while %s)", sqlite3_errmsg(s->db), doing);
	case SQLITE_CANTOPEN:
		if (!(s->flags & STORE_READONLY))
			return fail_io(s, rc, doing);
		/* fall through */
	case SQLITE_READONLY:
	case SQLITE_PERM:
		s->is_failed = true;
		if (s->flags & STORE_READONLY)
			return store_say(
				s, EACCES,
				"has a -wal or -journal file beside it, which cannot be read without writing "
				"there: copy both to a directory of your own, and check them there");
		return store_say(s, EACCES,
				 "may not be written (while %s): check owner and mode of file and directory",
				 doing);
	default: return fail_io(s, rc, doing);
	}
}

const char *store_error(const struct store *s)
{
	if (!s || (s->cause && !s->error))
		return no_memory;
	return s->cause ? s->error : "no error";
}

int store_take_failure(struct store *s, struct store *from, int r)
{
	char *error = s->error;

	s->error = from->error;
	from->error = error;
	s->cause = from->cause;
	s->is_failed |= from->is_failed;
	return r;
}

int64_t store_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- statements ---- */

int store_run(struct store *s, enum store_sql which, const char *doing)
{
	int rc = sqlite3_step(s->sql[which]);

	sqlite3_reset(s->sql[which]);
	return rc == SQLITE_DONE ? 0 : store_fail(s, rc, doing);
}

/* Binding a number fails only for an index that does not exist: our bug. */
void store_bind(struct store *s, enum store_sql which, int index, uint64_t v)
{
	int rc = sqlite3_bind_int64(s->sql[which], index, (int64_t)v);

	assert(rc == SQLITE_OK);
	(void)rc;
}

void store_bind_bytes(struct store *s, enum store_sql which, int index, struct slice v)
{
	/* A null pointer would be NULL, not an empty blob. */
	int rc = sqlite3_bind_blob64(s->sql[which], index, v.len ? v.data : "", v.len, SQLITE_STATIC);

	assert(rc == SQLITE_OK);
	(void)rc;
}

struct slice store_column_bytes(struct store *s, enum store_sql which, int column)
{
	const char *data = sqlite3_column_blob(s->sql[which], column);

	return (struct slice){.data = data,
			      .len = data ? (size_t)sqlite3_column_bytes(s->sql[which], column) : 0};
}

int store_begin(struct store *s, const char *doing)
{
	int r;

	if (s->is_failed)
		return -EIO; /* the sentence of the first failure stands */
	r = store_look_at_place(s);
	return r == 0 ? store_run(s, SQL_BEGIN, doing) : r;
}

/* SQLite may have rolled back by itself. A rollback that fails leaves us with no idea of the state. */
static int roll_back(struct store *s, const char *doing)
{
	int rc;

	if (sqlite3_get_autocommit(s->db))
		return 0;
	rc = sqlite3_step(s->sql[SQL_ROLLBACK]);
	sqlite3_reset(s->sql[SQL_ROLLBACK]);
	if (rc == SQLITE_DONE || sqlite3_get_autocommit(s->db))
		return 0;
	return fail_io(s, rc, doing);
}

int store_end(struct store *s, int result, const char *doing)
{
	int rc, r;

	if (result == 0) {
		rc = sqlite3_step(s->sql[SQL_COMMIT]);
		sqlite3_reset(s->sql[SQL_COMMIT]);
		if (rc == SQLITE_DONE)
			return 0;
		/* Full and busy leave the transaction whole or undone; anything else may have reached the
		 * disk. */
		if ((rc & 0xff) == SQLITE_NOMEM)
			result = fail_io(s, rc, doing);
		else
			result = store_fail(s, rc, doing);
	}
	r = roll_back(s, doing);
	return r < 0 ? r : result;
}

int store_end_durable(struct store *s, int result, const char *doing)
{
	int r = store_end(s, result, doing);

	/* It is in the files that are open; are these still the ones that a next start will find? */
	if (r == 0 && store_look_at_place(s) != 0) {
		s->is_failed = true;
		return -EIO;
	}
	return r;
}

int store_meta_set(struct store *s, const char *key, uint64_t v)
{
	int r;

	sqlite3_bind_text(s->sql[SQL_META_SET], 1, key, -1, SQLITE_STATIC);
	store_bind(s, SQL_META_SET, 2, v);
	r = store_run(s, SQL_META_SET, "writing meta");
	if (r == 0 && sqlite3_changes(s->db) != 1)
		return store_damaged(s, "meta has no %s", key);
	return r;
}

/* ---- journal ---- */

int store_read_journal(struct store *s, uint64_t first, uint64_t last, store_body_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = s->sql[SQL_JOURNAL_READ];
	int rc, r = 0;

	store_bind(s, SQL_JOURNAL_READ, 1, first);
	store_bind(s, SQL_JOURNAL_READ, 2, last);
	while (r >= 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const void *body = sqlite3_column_blob(stmt, 2);
		size_t len = (size_t)sqlite3_column_bytes(stmt, 2);

		if (!body && sqlite3_errcode(s->db) == SQLITE_NOMEM) {
			rc = SQLITE_NOMEM;
			break;
		}
		r = fn(arg, (uint64_t)sqlite3_column_int64(stmt, 0), (uint64_t)sqlite3_column_int64(stmt, 1),
		       body, len);
	}
	sqlite3_reset(stmt);
	if (r < 0)
		return r;
	return rc == SQLITE_DONE ? 0 : store_fail(s, rc, "reading the journal");
}

struct read_set {
	struct store *s;
	struct journal_set *set;
};

static int add_body(void *arg, uint64_t epoch, uint64_t part, const void *body, size_t len)
{
	struct read_set *read = arg;
	int r = journal_set_add(read->set, epoch, body, len);

	if (r == -EUCLEAN)
		return store_damaged(read->s,
				     "journal row epoch %llu part %llu (%zu bytes) is not what was written",
				     (unsigned long long)epoch, (unsigned long long)part, len);
	return r;
}

int store_read_set(struct store *s, uint64_t first, uint64_t last, struct journal_set *set)
{
	struct read_set read = {.s = s, .set = set};
	int r = store_read_journal(s, first, last, add_body, &read);

	return r == -ENOMEM ? store_fail(s, SQLITE_NOMEM, "reading the journal") : r;
}

int store_sort_set(struct store *s, struct journal_set *set)
{
	int r = journal_set_sort(set);

	if (r == -EUCLEAN)
		return store_damaged(s, "the journal creates one id twice");
	return r == -ENOMEM ? store_fail(s, SQLITE_NOMEM, "reading the journal") : r;
}

int store_insert_parts(struct store *s, uint64_t epoch, const struct journal_writer *w)
{
	int r = 0;

	for (size_t i = 0; i < w->count && r == 0; i++) {
		const struct buf *body = &w->parts[i];

		store_bind(s, SQL_JOURNAL_INSERT, 1, epoch);
		store_bind(s, SQL_JOURNAL_INSERT, 2, i);
		sqlite3_bind_blob64(s->sql[SQL_JOURNAL_INSERT], 3, buf_head(body), buf_len(body),
				    SQLITE_STATIC);
		r = store_run(s, SQL_JOURNAL_INSERT, "writing the journal");
	}
	sqlite3_clear_bindings(s->sql[SQL_JOURNAL_INSERT]); /* the bodies are the caller's */
	return r;
}

uint64_t store_writer_bytes(const struct journal_writer *w)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < w->count; i++)
		bytes += buf_len(&w->parts[i]);
	return bytes;
}

int store_epochs_reserve(struct store *s)
{
	size_t cap = s->epoch_cap ? 2 * s->epoch_cap : 64;
	struct store_epoch *epochs;

	if (s->epoch_count < s->epoch_cap)
		return 0;
	epochs = reallocarray(s->epochs, cap, sizeof(*epochs));
	if (!epochs)
		return store_fail(s, SQLITE_NOMEM, "making room for one more epoch");
	s->epochs = epochs;
	s->epoch_cap = cap;
	return 0;
}

void store_epochs_replace(struct store *s, size_t at, size_t count, struct store_epoch with)
{
	size_t kept = with.bytes ? 1 : 0;
	uint64_t bytes = atomic_load_explicit(&s->stats.journal_bytes, memory_order_relaxed) + with.bytes;

	assert(at + count <= s->epoch_count && s->epoch_count - count + kept <= s->epoch_cap);
	for (size_t i = at; i < at + count; i++)
		bytes -= s->epochs[i].bytes;
	memmove(s->epochs + at + kept, s->epochs + at + count,
		(s->epoch_count - at - count) * sizeof(*s->epochs));
	if (kept)
		s->epochs[at] = with;
	s->epoch_count += kept - count;
	atomic_store_explicit(&s->stats.journal_bytes, bytes, memory_order_relaxed);
}

/* ---- committing ---- */

/* Inside a transaction. */
static int raise_limit(struct store *s, uint64_t epoch, uint64_t margin, uint64_t *limit)
{
	*limit = s->epoch_limit;
	if (epoch + margin <= s->epoch_limit)
		return 0;
	*limit = epoch + EPOCH_RESERVE;
	return store_meta_set(s, "epoch_limit", *limit);
}

struct content {
	const struct journal_writer *w;
	const struct audit_entry *entries;
	size_t entry_count;
};

static int write_epoch(struct store *s, uint64_t epoch, const struct content *content, uint64_t id_next,
		       uint64_t *limit)
{
	/* Half a reservation early: so the small transaction of store_reserve stays rare. */
	int r = raise_limit(s, epoch, EPOCH_RESERVE / 2, limit);

	if (r == 0 && id_next > s->id_next)
		r = store_meta_set(s, "id_next", id_next);
	if (r == 0)
		r = store_insert_parts(s, epoch, content->w);
	return r == 0 ? store_insert_audit(s, content->entries, content->entry_count) : r;
}

int store_commit(struct store *s, uint64_t epoch, const struct journal_writer *w, uint64_t id_next)
{
	return store_commit_audited(s, epoch, w, NULL, 0, id_next);
}

int store_commit_audited(struct store *s, uint64_t epoch, const struct journal_writer *w,
			 const struct audit_entry *entries, size_t entry_count, uint64_t id_next)
{
	const struct content content = {.w = w, .entries = entries, .entry_count = entry_count};
	uint64_t limit;
	int r;

	assert(epoch > s->epoch_last && !(s->flags & STORE_READONLY));
	if (w->count == 0 && entry_count == 0)
		return store_reserve(s, epoch);
	r = store_epochs_reserve(s);
	if (r == 0)
		r = store_begin(s, "committing");
	if (r != 0)
		return r;
	r = store_end_durable(s, write_epoch(s, epoch, &content, id_next, &limit), "committing");
	if (r == 0)
		r = store_make_room(s);
	if (r != 0)
		return r;
	s->epoch_limit = limit;
	s->epoch_last = epoch;
	if (id_next > s->id_next)
		s->id_next = id_next;
	store_epochs_replace(s, s->epoch_count, 0,
			     (struct store_epoch){.epoch = epoch, .bytes = store_writer_bytes(w)});
	store_count_audit(s, entries, entry_count);
	store_count(&s->stats.commits, 1);
	return STORE_OK;
}

int store_reserve(struct store *s, uint64_t epoch)
{
	uint64_t limit;
	int r;

	if (epoch <= s->epoch_limit)
		return STORE_OK;
	r = store_begin(s, "reserving epochs");
	if (r != 0)
		return r;
	r = store_end(s, raise_limit(s, epoch, 0, &limit), "reserving epochs");
	if (r == 0)
		s->epoch_limit = limit;
	return r;
}

int store_load(struct store *s, const struct store_sink *sink, struct store_state *state)
{
	struct store_state found = {0};
	int r = store_load_rows(s, sink, &found);

	if (r == 0)
		r = store_load_audit(s);
	/* Only now: a damaged file is left as it is. */
	if (r == 0) {
		s->epoch_last = s->epoch_limit;
		s->uplink.put_epoch = store_last_epoch(s);
		r = store_reserve(s, found.epoch_first);
	}
	if (r == STORE_RETRY)
		return -s->cause;
	if (r == 0)
		*state = found;
	return r;
}

uint64_t store_journal_bytes(const struct store *s)
{
	return atomic_load_explicit(&s->stats.journal_bytes, memory_order_relaxed);
}

/* ---- forgetting ---- */

static int forget(struct store *s, enum store_sql which, int64_t before_ms, size_t rows_max,
		  size_t *forgotten)
{
	int r;

	store_bind(s, which, 1, (uint64_t)before_ms);
	store_bind(s, which, 2, rows_max);
	r = store_run(s, which, "deleting what has expired");
	if (r == 0 && (size_t)sqlite3_changes(s->db) > *forgotten)
		*forgotten = (size_t)sqlite3_changes(s->db);
	return r;
}

int store_forget(struct store *s, int64_t sessions_before_ms, int64_t tokens_before_ms, size_t rows_max)
{
	size_t forgotten = 0;
	int r = store_begin(s, "deleting what has expired");

	if (r != 0)
		return r;
	r = forget(s, SQL_SESSION_FORGET, sessions_before_ms, rows_max, &forgotten);
	if (r == 0)
		r = forget(s, SQL_TOKEN_FORGET, tokens_before_ms, rows_max, &forgotten);
	r = store_end(s, r, "deleting what has expired");
	return r == 0 && forgotten == rows_max ? STORE_AGAIN : r;
}

/* It changes nothing, so a failure leaves nothing in doubt; whoever writes next hears of it. */
size_t store_name_of(struct store *s, uint64_t id, char name[NAME_LEN_MAX])
{
	sqlite3_stmt *stmt = s->sql[SQL_NAME_FROM];
	struct slice found = {0};

	store_bind(s, SQL_NAME_FROM, 1, id);
	if (sqlite3_step(stmt) == SQLITE_ROW && (uint64_t)sqlite3_column_int64(stmt, 0) == id)
		found = store_column_bytes(s, SQL_NAME_FROM, 1);
	if (found.len > NAME_LEN_MAX)
		found.len = 0;
	memcpy(name, found.len ? found.data : "", found.len);
	sqlite3_reset(stmt);
	return found.len;
}

void store_release_memory(struct store *s)
{
	(void)sqlite3_db_release_memory(s->db);
}

size_t store_journal_epochs(const struct store *s)
{
	return s->epoch_count;
}

void store_stats(const struct store *s, struct store_stats *out)
{
	*out = (struct store_stats){
		.commits = atomic_load_explicit(&s->stats.commits, memory_order_relaxed),
		.fold_transactions = atomic_load_explicit(&s->stats.fold_transactions, memory_order_relaxed),
		.rows_folded = atomic_load_explicit(&s->stats.rows_folded, memory_order_relaxed),
		.checkpoints = atomic_load_explicit(&s->stats.checkpoints, memory_order_relaxed),
		.merges = atomic_load_explicit(&s->stats.merges, memory_order_relaxed),
		.journal_bytes = atomic_load_explicit(&s->stats.journal_bytes, memory_order_relaxed),
		.last_fold_ms = atomic_load_explicit(&s->stats.last_fold_ms, memory_order_relaxed),
	};
}
