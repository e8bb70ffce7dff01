/* SPDX-License-Identifier: MIT */
/*
 * store.h - the state on disk: only the files behind it (store_private.h) know SQLite.
 *
 * WAL, synchronous=EXTRA, one read-write connection on one thread (the committer; before it starts: main) for
 * commits, folding and checkpoints. See docs/design.md "Store" and the schema on top of store_schema.c.
 *
 * Errors: STORE_RETRY = surely not committed, try again later (disk full, busy); negative = the outcome is
 * unknown or the file is no good: no further call but store_close. store_error() says it in a sentence for an
 * operator.
 */
#ifndef SHC_STORE_H
#define SHC_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"
#include "audit_entry.h"
#include "journal.h"

struct store;

enum {
	STORE_OK = 0,
	STORE_RETRY = 1, /* nothing has changed; store_error says why (full, busy) */
	STORE_AGAIN = 2, /* store_fold_step: there is more to do */
};

enum store_open_flags {
	STORE_CREATE = 1 << 0,	 /* make the file when it is missing (never when it is damaged) */
	STORE_READONLY = 1 << 1, /* --check */
};

/* What recovery found. */
struct store_state {
	uint64_t epoch_first; /* the first epoch this start may use: above every epoch ever used, across
				 restarts */
	uint64_t id_next;     /* above every id ever used on disk */
	uint64_t floor_id;    /* ids below are deleted (FLUSHALL) */
	uint64_t counters, sessions, tokens;  /* told to the sink */
	uint64_t journal_rows, journal_bytes; /* found, for the log */
};

/* What is there, journal applied: live counters, each id once; sessions and tokens, each key once, also
 * expired ones; used_ms is wall clock. In no particular order, but tokens about in the order of their use. A
 * result other than 0 stops the load and is returned; -EEXIST of `counters`: two of all that were told have
 * one name. */
struct store_counter {
	uint64_t id;
	int64_t value;
	struct slice name; /* until the call returns */
};

/* Some of them, at most STORE_BATCH_MAX. `loader`: the number of the thread that calls, below `loaders`. */
typedef int store_counters_fn(void *arg, unsigned loader, const struct store_counter *counters, size_t count);
typedef int store_session_fn(void *arg, struct slice id, uint64_t seq, struct slice cursor, int64_t used_ms);
typedef int store_token_fn(void *arg, struct slice name, struct slice token, int64_t delta, int64_t used_ms);
/* What counters have beside their values, journal applied: each id once. It may be one that no counter has
 * any more: then it is nobody's. The callee owns the window from then on, whatever it returns. */
struct window;
typedef int store_state_fn(void *arg, const struct journal_state *state);
typedef int store_window_fn(void *arg, uint64_t id, struct window *window);
/* Before the first counter: there will be about so many. */
typedef int store_expect_fn(void *arg, uint64_t count);

/* Who hears of it, on the calling thread; only `counters` may be called by `loaders` threads at once, when
 * there are many. States and windows come before the first counter and before `expect`. All but `counters`
 * may be null. */
struct store_sink {
	store_counters_fn *counters;
	store_session_fn *session;
	store_token_fn *token;
	void *arg;
	store_expect_fn *expect;
	unsigned loaders; /* 0 is 1 */
	store_state_fn *state;
	store_window_fn *window;
};

enum { STORE_LOADERS_MAX = 8, STORE_BATCH_MAX = 64 };

/* Opens (and, with STORE_CREATE, makes) the file. *out is set even on failure when memory allows, so that
 * store_error can say why; close it then too. 0, or negative: -EBUSY another program holds the file (two
 * daemons are kept apart by another file, see server.c), -EUCLEAN damaged or not ours, -EPROTONOSUPPORT newer
 * schema, -EACCES, -ENOENT, -EISDIR, -ENOTDIR, -EINVAL, -ENAMETOOLONG, -EOPNOTSUPP a file system without WAL,
 * -ENOSPC, -EIO, -ENOMEM. */
int store_open(struct store **out, const char *path, unsigned flags);

/* Closes; does not commit, does not fold. After a failure with unknown outcome it leaves the -wal file to the
 * next start. Returns null. */
struct store *store_close(struct store *s);

/* The last failure, in words, naming the file and what to do. Valid until the next call. Never null. */
const char *store_error(const struct store *s);

/* Looks at all pages, reads rows and journal, tells the sink everything, and reserves epochs for this start
 * (one small transaction, which also proves that the disk can be written). What was told counts only when it
 * is 0: a damaged file may be found at the end. Once, after open. Not with STORE_READONLY: use store_check. 0
 * or negative (a full or busy file is -ENOSPC or -EBUSY here). */
int store_load(struct store *s, const struct store_sink *sink, struct store_state *state);

/* One transaction with the bodies of `epoch` (above all before) and its entries of the audit log, in their
 * order; either may be empty. On STORE_OK it is on disk. `id_next` is stored with it. STORE_RETRY or -EIO. */
int store_commit(struct store *s, uint64_t epoch, const struct journal_writer *w,
		 const struct audit_entry *entries, size_t entry_count, uint64_t id_next);

/* Makes sure that epochs up to `epoch` may be used without going back after a crash (a small transaction once
 * in many calls). An epoch without content has no store_commit, but must have had this. */
int store_reserve(struct store *s, uint64_t epoch);

/* The name of `id` as of the last fold. Its length; 0: it is not in the snapshot, or cannot be read now. */
size_t store_name_of(struct store *s, uint64_t id, char name[NAME_LEN_MAX]);

/* ---- the snapshot ---- */

/* Bytes of journal not folded yet, and in how many epochs, for deciding when. Cheap. */
uint64_t store_journal_bytes(const struct store *s);
size_t store_journal_epochs(const struct store *s);

/* Begins a pass (or goes on with one): everything committed so far, or its oldest part when that is much
 * (bounded memory). STORE_OK: nothing to fold. STORE_AGAIN: call store_fold_step. */
int store_fold_begin(struct store *s);
/* Reads the next bodies, or writes one small transaction of at most rows_max rows, guarded by as_of.
 * STORE_AGAIN: more in this pass; STORE_OK: the pass is complete and its journal rows are deleted;
 * STORE_RETRY; -EIO. */
int store_fold_step(struct store *s, size_t rows_max);
bool store_is_folding(const struct store *s);
/* Is everything up to `epoch` in the snapshot, and nothing of it in the journal any more? */
bool store_is_folded(const struct store *s, uint64_t epoch);

/* One small transaction that deletes at most rows_max rows each of sessions and tokens that were used before
 * these moments (wall clock, ms). Those that are in the journal come back with the next fold and go then.
 * STORE_OK, STORE_AGAIN: there may be more, STORE_RETRY, -EIO. */
int store_forget(struct store *s, int64_t sessions_before_ms, int64_t tokens_before_ms, size_t rows_max);

/* ---- the audit log ---- store_audit.c */

/* How many entries there are, and the time of the oldest (wall clock, microseconds; INT64_MAX: there is
 * none). Cheap. */
uint64_t store_audit_count(const struct store *s);
int64_t store_audit_oldest_us(const struct store *s);

/* One small transaction that deletes the oldest entries: those from before `before_us`, and of the rest what
 * is more than `count_max`; at most rows_max of them. STORE_OK, STORE_AGAIN: there are more, STORE_RETRY,
 * -EIO. */
int store_forget_audit(struct store *s, int64_t before_us, uint64_t count_max, size_t rows_max);

/* A read-only connection of its own: one thread, any one, beside the owner's work. Null is allowed. */
struct store_audit_reader;
struct store_audit_reader *store_audit_reader_close(struct store_audit_reader *r); /* returns null */

/* Of the entries of `name`, and of FLUSHALL's, the last `count`; with after >= 0 the first `count` behind
 * that log_id. Tells `fn` each, by log_id. *r is the database at `path`, opened when null; after a failure it
 * is to be closed. 0, or negative with a sentence in `why`. */
typedef void store_audit_fn(void *arg, int64_t log_id, const struct audit_entry *entry);
int store_audit_read(struct store_audit_reader **r, const char *path, struct slice name, int64_t after,
		     int64_t count, store_audit_fn *fn, void *arg, char *why, size_t why_size);

/* ---- the uplink ---- store_uplink.c */

/* A start of the daemon that has pushed, or was about to: what the cluster may know this state by. */
struct store_start {
	uint64_t start;
	uint64_t after_epoch; /* store_last_epoch when it began */
};

struct store_uplink {
	uint64_t incarnation; /* 0: none */
	bool is_restored;     /* since store_uplink_switch, until store_uplink_accept */
	bool is_copy; /* a backup; its original goes on with the incarnation. Until store_uplink_switch */
	struct store_start *starts; /* oldest first; malloc'ed, the caller's */
	size_t start_count;
};

/* After store_load. 0 or negative. */
int store_uplink_load(struct store *s, struct store_uplink *out);

/* The newest epoch of which counters, sessions or tokens have something on disk, folded or not, in this run
 * or an earlier one; 0: none. One that has only entries of the audit log does not count. */
uint64_t store_last_epoch(const struct store *s);

/* This start, in one durable transaction, and the incarnation (below 2^63) when there is none; when there is
 * one it is ignored. STORE_OK, STORE_RETRY, negative. */
int store_uplink_begin(struct store *s, uint64_t incarnation, uint64_t start, uint64_t after_epoch);

/* Tells `fn` of the baselines of the present incarnation, by ascending id; of a counter that is deleted there
 * may be one, too. What is not 0 stops it and is returned. 0 or negative. */
typedef int store_baseline_fn(void *arg, uint64_t id, int64_t value);
int store_baselines(struct store *s, store_baseline_fn *fn, void *arg);

struct store_baseline {
	uint64_t id; /* of a counter that is committed */
	int64_t value;
};

/* One transaction; of an incarnation that is being prepared (not 0, not the present one). What there is of an
 * id is replaced. Rows of one that was being prepared before may be forgotten from here on. STORE_OK,
 * STORE_RETRY, negative. */
int store_put_baselines(struct store *s, uint64_t incarnation, const struct store_baseline *rows,
			size_t count);

/* From here on it is the present one, and this state a restored one and no copy: in one durable transaction.
 * STORE_OK, STORE_RETRY, negative. */
int store_uplink_switch(struct store *s, uint64_t incarnation);

/* An operator has accepted that it is a restored one; durable. STORE_OK, STORE_RETRY, negative. */
int store_uplink_accept(struct store *s);

/* The committer does this behind each fold. One small transaction of a sweep, over about rows_max rows:
 * deletes baselines of other incarnations than the present one and the one that is being prepared, and of ids
 * that no counter has any more (the fold of their deletion has taken most). STORE_OK: nothing more for now,
 * and cheap until something is put or switched; what the journal may still have the name of waits for it to
 * be folded. STORE_AGAIN, STORE_RETRY, negative. */
int store_forget_baselines(struct store *s, size_t rows_max);

/* When the journal has outgrown folding: merges the oldest bodies behind the running pass into one set. As
 * the journal stays above `bytes_max` only. STORE_OK, STORE_RETRY, -EIO. */
int store_journal_merge(struct store *s, uint64_t bytes_max);

/* Do the paths still lead to the files that are open? What is committed to others nobody will find again.
 * STORE_OK, or STORE_RETRY: they may be put back. */
int store_look_at_place(struct store *s);

/* PASSIVE checkpoint when the WAL is longer than frames_min pages. */
int store_checkpoint(struct store *s, unsigned frames_min);

/* Does a transaction of another program, that only reads, keep a log that is long from being started again?
 * It grows with each commit then. *bytes: how long it is. */
bool store_is_log_held(const struct store *s, int64_t *bytes);

/* Gives back pages of the file that are kept in memory: for a pause between passes. */
void store_release_memory(struct store *s);

/* For INFO: rows folded, transactions, checkpoints, last durations. Relaxed; any thread. */
struct store_stats {
	uint64_t commits, fold_transactions, rows_folded, checkpoints, merges;
	uint64_t journal_bytes;
	int64_t last_fold_ms; /* wall clock of the end of the last complete pass; 0: none yet */
};
void store_stats(const struct store *s, struct store_stats *out);

/* ---- beside the store ---- */

/* Copies the database at `path`, as last committed, to the new file `target` (one that is there is removed),
 * over a read-only connection of its own: any thread, beside the owner's work. One that an uplink knows is
 * marked as a copy there (store_uplink.is_copy). Blocks for as long as it takes, or until *is_cancelled. 0,
 * or negative with a sentence in `why`; then nothing is left. */
int store_backup(const char *path, const char *target, const _Atomic bool *is_cancelled, char *why,
		 size_t why_size);

/* ---- offline ---- */

/* `shcounterd --check`: reads everything, changes nothing, also beside a running daemon. Calls `say` with a
 * line per finding (or the reason why it cannot be read), or once with a summary when there is none. 0 clean,
 * 1 findings, negative could not be read. */
int store_check(const char *path, void (*say)(void *arg, const char *line), void *arg);

#endif
