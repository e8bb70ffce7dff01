/* SPDX-License-Identifier: MIT */
/*
 * store_private.h - what the store's files share: store.c (commit), store_open.c (the connection),
 * store_place.c (the files), store_schema.c (the tables), store_sql.c (statements, transactions),
 * store_failure.c, store_wal.c and store_log_check.c (the log, checkpoints), store_load.c, store_loaders.c
 * and store_join.c (recovery), store_fold.c (snapshot), store_extra.c (states and windows), store_journal.c
 * and store_merge.c (journal), store_audit.c (the audit log), store_uplink.c, store_check.c. The only header
 * that includes sqlite3.h.
 *
 * Everything here runs on the thread that owns the store, but for the counters of `stats`.
 */
#ifndef SHC_STORE_PRIVATE_H
#define SHC_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "journal_set.h"
#include "store.h"

/* Measured with bench_store on ext4: 4096 was 5 to 20 % faster for commits than 8192 and 16384, and for the
 * journal table WITHOUT ROWID than a rowid and an index. Folding and loading hardly care. */
#define STORE_PAGE_BYTES 4096

enum {
	STORE_SCHEMA_VERSION = 4,
	STORE_BUSY_TIMEOUT_MS = 250, /* nobody else should write at all; the committer must not wait long */
	STORE_PATH_BYTES_MAX = 500,  /* SQLite takes 512, less its endings */
};

/* The statements, prepared at open; texts in store_sql.c. */
enum store_sql {
	SQL_BEGIN,	    /* takes the write lock at once: no surprise at COMMIT */
	SQL_BEGIN_READ,	    /* one view of the file for several reads */
	SQL_COMMIT,	    /* */
	SQL_ROLLBACK,	    /* */
	SQL_PAGE_COUNT,	    /* -> of the file and its log */
	SQL_META_GET,	    /* key -> value */
	SQL_META_SET,	    /* key, value */
	SQL_JOURNAL_INSERT, /* epoch, part, body */
	SQL_JOURNAL_READ,   /* epoch first, last -> epoch, part, body, in order */
	SQL_JOURNAL_DELETE, /* epoch first, last */
	SQL_NAME_ENDS,	    /* -> smallest and largest id, or null */
	SQL_NAME_COUNT,	    /* -> rows */
	SQL_NAME_FROM,	    /* id -> id, name, from there on, by id */
	SQL_NAME_INSERT,    /* id, name; nothing when it is there */
	SQL_NAME_DELETE,    /* id */
	SQL_NAME_FLOOR,	    /* floor, rows at most */
	SQL_VALUE_FROM,	    /* id -> id, value, as_of, from there on, by id */
	SQL_VALUE_INSERT,   /* id, value, as_of, updated_at; nothing when there is a row or no name */
	SQL_VALUE_ADD,	    /* id, delta, as_of, updated_at; nothing when the row is that new */
	SQL_VALUE_DELETE,   /* id */
	SQL_VALUE_FLOOR,    /* floor, rows at most */
	SQL_SESSION_ALL,    /* -> id, seq, cursor, used_at */
	SQL_SESSION_PUT,    /* id, seq, cursor, used_at; in place of what is there */
	SQL_SESSION_FORGET, /* used before, rows at most */
	SQL_TOKEN_ALL,	    /* -> name, token, delta, used_at, by used_at */
	SQL_TOKEN_PUT,	    /* name, token, delta, used_at; in place of what is there */
	SQL_TOKEN_FORGET,   /* used before, rows at most */
	SQL_STATE_FROM,	    /* -> id, version, expire_at, tat, by id. The first that version 2 has not */
	SQL_STATE_PUT,	    /* id, version, expire_at, tat; nothing when the row is that new, or no name */
	SQL_STATE_DELETE,   /* id */
	SQL_STATE_FLOOR,    /* floor, rows at most */
	SQL_WINDOW_FROM,    /* -> id, as_of, body, by id */
	SQL_WINDOW_GET,	    /* id -> as_of, body */
	SQL_WINDOW_PUT,	    /* id, as_of, body; in place of what is there; nothing when there is no name */
	SQL_WINDOW_DELETE,  /* id */
	SQL_WINDOW_FLOOR,   /* floor, rows at most */
	SQL_LOG_FIRST,	    /* -> smallest log_id, its time_us; or no row */
	SQL_LOG_LAST,	    /* -> largest log_id, or null */
	SQL_LOG_INSERT,	    /* log_id, name, time_us, operation, delta, value, peer */
	SQL_LOG_EXPIRED,    /* before, rows at most -> the last of the first rows that is older, or null */
	SQL_LOG_FORGET,	    /* up to this log_id */
	SQL_START_ALL,	    /* -> start, after_epoch, oldest first. The first that version 3 has not */
	SQL_START_INSERT,   /* start, after_epoch */
	SQL_BASE_OF,	    /* incarnation -> id, value, by id */
	SQL_BASE_PUT,	    /* id, incarnation, value; in place of what is there */
	SQL_BASE_STEP,	    /* id, n -> id of the row that is n behind the first from there on, or no row */
	SQL_BASE_FORGET,    /* id first, last, incarnation, another, 1: also ids without a name */
	SQL_BASE_DELETE,    /* id */
	SQL_BASE_FLOOR,	    /* floor, rows at most */
	SQL_COUNT,
};

/* One epoch with content in the journal table. */
struct store_epoch {
	uint64_t epoch; /* a merged one: its last */
	uint64_t bytes;
	uint64_t first; /* a merged one: its first; 0: the same */
};

/* Which files the paths led to when they were opened; ino 0: not looked yet. */
struct store_place {
	struct {
		uint64_t dev, ino;
	} db, wal;
};

struct store_fold; /* a running pass: store_fold.c */

struct store {
	sqlite3 *db;
	char *path; /* as given, for people */
	char *file; /* absolute */
	unsigned flags;
	int schema_version;
	bool is_failed;	       /* the outcome of something is unknown: nothing more is written */
	bool is_checkpointing; /* what fails now is the database, not the log */
	int cause;	       /* errno of the last failure */
	char *error;	       /* its sentence */
	sqlite3_stmt *sql[SQL_COUNT];

	/* What meta holds. */
	uint64_t epoch_limit; /* epochs up to here may be in use, on disk or not */
	uint64_t id_next;
	uint64_t floor_id;
	uint64_t fold_epoch; /* the newest pass, finished or not, folds up to here: no row is newer */

	uint64_t epoch_last;	    /* newest committed */
	struct store_epoch *epochs; /* owned; the journal table's, ascending */
	size_t epoch_count, epoch_cap;
	struct store_fold *fold; /* owned; null between passes */

	struct {
		uint64_t first, last; /* ids of its entries, which are dense; empty: first is last + 1 */
		int64_t oldest_us;    /* of the first */
	} audit;

	struct {
		uint64_t incarnation; /* meta, as the two below; 0: none */
		bool is_restored, is_copy;
		uint64_t preparing;  /* the incarnation of what was put last; 0: none, or present */
		uint64_t put_epoch;  /* all counters that have a baseline are of this epoch or before */
		uint64_t sweep_id;   /* where store_forget_baselines goes on; 0: it begins */
		bool is_sweep_whole; /* ... which looks for names, too */
		bool is_swept;	     /* ... has nothing to do */
	} uplink;

	bool is_alone;		     /* no -wal and no -journal were there when it was opened */
	struct store_place place;    /* where the files are */
	int64_t wal_bytes;	     /* the -wal file is so long, or was when it was looked at */
	unsigned wal_frames;	     /* in the -wal file */
	unsigned wal_frames_settled; /* of these, in the database already */
	unsigned wal_frames_last;    /* in it after the last commit, whatever a checkpoint has made of that */
	bool is_wal_held;	     /* somebody's reading keeps a long one from beginning again */

	struct {
		_Atomic uint64_t commits, fold_transactions, rows_folded, checkpoints, merges, journal_bytes;
		_Atomic int64_t last_fold_ms;
	} stats;
};

/* ---- failures ---- store_failure.c */

/* Keeps the sentence "PATH: ..." and the errno; returns -cause. */
int store_say(struct store *s, int cause, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same for a result code of SQLite's. STORE_RETRY, or negative. `doing`: "committing", ... */
int store_fail(struct store *s, int rc, const char *doing);
/* The same where the outcome is unknown whatever the code: nothing more is written. -EIO. */
int store_fail_io(struct store *s, int rc, const char *doing);
/* -EUCLEAN, with what to do about a damaged file behind what was found. */
int store_damaged(struct store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- the tables ---- store_schema.c */

/* Made where the file is new; whether they are ours, and of which version. 0, STORE_RETRY, negative. */
int store_make_schema(struct store *s);
/* Of an older version to the present one. 0, STORE_RETRY, negative. */
int store_upgrade(struct store *s);
/* Of an older one: only one that is merely read is left so. */
bool store_is_old(const struct store *s);

/* ---- the files ---- */

/* Whether they may be opened, before SQLite tries: resolves the path. 0, or negative. store_place.c */
int store_look_at_files(struct store *s);

/* Has the log lost what was committed? 0, -EUCLEAN with what, -errno. Before it is opened. */
int store_look_at_log(struct store *s);

/* Before the first change: what a killed process has left in the kernel's hands goes to disk, so that never
 * more than one transaction can be torn (store_log_check.c). STORE_OK, or negative. */
int store_sync_log(struct store *s);

/* SQLite's hook, after each commit: how many frames the log has. */
int store_on_wal(void *arg, sqlite3 *db, const char *name, int frames);
/* After a commit: lets the log grow ahead of the next ones. STORE_OK, also when there is no room; -EIO. */
int store_make_room(struct store *s);

/* ---- statements, transactions ---- store_sql.c */

/* All that the version of the schema has tables for. 0, STORE_RETRY, negative. */
int store_prepare(struct store *s);
/* Words of the moment; a query's one value, as number or into `text`. 0, STORE_RETRY, negative. */
int store_execute(struct store *s, const char *sql, const char *doing);
int store_query(struct store *s, const char *sql, int64_t *number, char *text, size_t text_size);
/* Runs a statement that returns no row, and resets it. 0, STORE_RETRY, negative. */
int store_run(struct store *s, enum store_sql which, const char *doing);
void store_bind(struct store *s, enum store_sql which, int index, uint64_t v);
/* The bytes must stay until the statement has run. */
void store_bind_bytes(struct store *s, enum store_sql which, int index, struct slice v);
/* Column of the current row; lasts until the next step. */
struct slice store_column_bytes(struct store *s, enum store_sql which, int column);
/* 0, STORE_RETRY, negative. */
int store_begin(struct store *s, const char *doing);
/* Commits when `result` is 0; else rolls back and passes `result` on. 0, STORE_RETRY, negative. */
int store_end(struct store *s, int result, const char *doing);
/* The same, for what somebody is told of: makes sure that the files are still where a next start looks. */
int store_end_durable(struct store *s, int result, const char *doing);
int store_meta_set(struct store *s, const char *key, uint64_t v);

/* ---- journal ---- store_journal.c */

/* Told for every body, in order; a negative result stops and is passed on. */
typedef int store_body_fn(void *arg, uint64_t epoch, uint64_t part, const void *body, size_t len);
int store_read_journal(struct store *s, uint64_t first, uint64_t last, store_body_fn *fn, void *arg);
/* All bodies of the epochs into `set` (initialized). */
int store_read_set(struct store *s, uint64_t first, uint64_t last, struct journal_set *set);
/* When all are in it. */
int store_sort_set(struct store *s, struct journal_set *set);
int store_insert_parts(struct store *s, uint64_t epoch, const struct journal_writer *w);
uint64_t store_writer_bytes(const struct journal_writer *w);
/* Makes sure that one more element fits. 0 or STORE_RETRY. */
int store_epochs_reserve(struct store *s);
/* Replaces `count` elements from `at` by one, or by none when it has no bytes. */
void store_epochs_replace(struct store *s, size_t at, size_t count, struct store_epoch with);

/* ---- the audit log ---- store_audit.c */

/* What there is of it. 0, STORE_RETRY, negative. */
int store_load_audit(struct store *s);
/* Inside a transaction; when that has been committed, store_count_audit. */
int store_insert_audit(struct store *s, const struct audit_entry *entries, size_t count);
void store_count_audit(struct store *s, const struct audit_entry *entries, size_t count);

/* ---- parts ---- */

/* Recovery's reading part; changes nothing. */
int store_load_meta(struct store *s);
/* A table that SQLite reads to what it takes for the end may have lost some of its rows to a damaged page: it
 * finds that only when asked to. 0, STORE_RETRY, -EUCLEAN with what it has
 * found. */
int store_look_at_pages(struct store *s);
/* The same, for whoever wants to hear of all: tells every fault of a page or an index. What is not 0 ends it
 * and is passed on. */
typedef int store_fault_fn(void *arg, const char *fault);
int store_each_fault(struct store *s, store_fault_fn *fn, void *arg);
int store_load_rows(struct store *s, const struct store_sink *sink, struct store_state *state);

/* A connection of its own to the file of `of`, for another thread, to read what `of` sees while that has
 * begun a transaction. *out is set even on failure when memory allows. 0 or negative. */
int store_open_reader(struct store **out, const struct store *of);
/* The failure of `from`, which is another connection to the same file, is now that of `s`. Returns r. */
int store_take_failure(struct store *s, struct store *from, int r);

/* One thread's run through both tables and the journal: store_join.c. */
struct store_join {
	/* set before; borrowed */
	struct store *s; /* its connection */
	unsigned loader;
	const struct store_sink *sink;
	uint64_t floor_id;
	const _Atomic bool *is_stopped; /* looked at now and then */
	struct journal_set set;		/* owned, shares the journal's */
	/* results */
	uint64_t counters; /* told */
	uint64_t id_max;   /* of a name */
	/* private */
	uint64_t last;		    /* of the range */
	bool has_name, has_value;   /* there is a current row */
	uint64_t name_id, value_id; /* of the current rows */
	uint64_t value, as_of;
	size_t batch_count, batch_bytes;
	struct store_counter batch[STORE_BATCH_MAX];
	char names[STORE_BATCH_MAX * NAME_LEN_MAX];
};

/* Tells the sink of all counters with these ids. Ranges of one join ascend. 0, STORE_RETRY, negative. */
int store_join_range(struct store_join *join, uint64_t first, uint64_t last);

/* ---- what counters have beside their values ---- store_extra.c */

/* The next rows of a pass, decoded, not known to be on disk: states, or windows. */
struct store_window {
	uint64_t id;
	size_t first, count; /* of the hits */
};
struct store_extra {
	size_t count;		      /* of states or of windows */
	struct journal_state *states; /* owned, as the others */
	struct store_window *windows;
	struct journal_hit *hits;
	size_t hit_count;
	size_t state_cap, window_cap, hit_cap;
	struct buf packed; /* a window */
};

void store_extra_fini(struct store_extra *x);
/* At most count_max of them out of the set, without those that it deletes; none: there are no more. 0,
 * STORE_RETRY, -EUCLEAN; after a failure some may be lost, and the pass has to begin again. */
int store_extra_fill_states(struct store *s, struct store_extra *x, struct journal_set *set,
			    size_t count_max);
int store_extra_fill_windows(struct store *s, struct store_extra *x, struct journal_set *set,
			     size_t count_max);
/* Writes number i, in the transaction. *cost: how many rows that is worth. */
int store_extra_write_state(struct store *s, struct store_extra *x, size_t i, size_t *cost);
int store_extra_write_window(struct store *s, struct store_extra *x, size_t i, size_t *cost);

/* Tells the sink of all states, then of all windows, out of tables and journal. 0, STORE_RETRY, negative. */
int store_load_extras(struct store *s, struct journal_set *set, uint64_t floor_id,
		      const struct store_sink *sink, const _Atomic bool *is_stopped);

/* ---- many hands ---- store_loaders.c */

/* How many threads the sink allows and the file is worth. */
int store_loader_count(struct store *s, const struct store_sink *sink, unsigned *count);

/* store_look_at_pages, on a thread of its own. `s` has begun a transaction. */
struct store_look {
	struct store *s, *reader;
	pthread_t thread;
	bool has_thread;
	int result;
	_Atomic bool is_stopped; /* pages are damaged, or a loader has failed */
};
/* Not beside anything: before it returns. 0, or what it has found. */
int store_look_begin(struct store_look *look, struct store *s, bool is_beside);
/* Waits for it. `result` is that of what was done meanwhile; what it has found counts more, for it is why. */
int store_look_end(struct store_look *look, int result);

struct store_loaded {
	uint64_t counters; /* told */
	uint64_t id_max;   /* of a name */
};
/* All counters there are, on `count` threads, this one among them. `set`: the journal, sorted. 0,
 * STORE_RETRY, negative. */
int store_load_counters(struct store *s, const struct journal_set *set, uint64_t floor_id, unsigned count,
			const struct store_sink *sink, _Atomic bool *is_stopped, struct store_loaded *out);
struct store_fold *store_fold_free(struct store_fold *fold);
/* The last epoch of the running pass. */
uint64_t store_fold_epoch(const struct store *s);

/* Counters for INFO have one writer, the owner of the store; readers may see them apart from each other. */
static inline void store_count(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

#endif
