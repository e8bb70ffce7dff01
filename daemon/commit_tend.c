/* SPDX-License-Identifier: MIT */
/*
 * commit_tend.c - what the committer does in the store between two epochs, a step at a time: folds the
 * journal into the snapshot, forgets sessions, tokens and entries of the audit log. Its thread; main when
 * that has ended.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>

#include "../lib/log.h"
#include "clock.h"
#include "commit_private.h"

enum {
	FOLD_ROWS = 2000, /* rows a transaction: some milliseconds, the longest that a commit waits */
	FOLD_SOON_BYTES = 32 << 20,    /* journal that is folded before its time: so large, */
	FOLD_SOON_EPOCHS = 1 << 16,    /* ... or of so many epochs */
	JOURNAL_BYTES_MAX = 256 << 20, /* journal that is merged, because folding does not keep up */
	CHECKPOINT_FRAMES = 2000,      /* of the WAL, after a pass; all of them when idle */
	CHECKPOINT_FRAMES_BUSY = 8192, /* 32 MiB: between commits, when there are more than passes */
	AUDIT_LATE_MS = 1000,	       /* an entry of the audit log goes so long after its time */
};

/* ---- sessions, tokens, baselines ---- */

/* Sessions and tokens that have expired leave memory at once, and the file in steps. Whether they count is a
 * matter of their time alone, so when that happens does not matter. */
static void begin_to_forget(struct commit *c)
{
	int64_t now = clock_wall_ms();
	uint64_t durable = epoch_durable(c->clock);

	c->sessions_before_ms = now - atomic_load(&c->config->session_ttl_ms);
	c->tokens_before_ms = now - atomic_load(&c->config->token_ttl_ms);
	if (c->sessions)
		session_expire(c->sessions, c->sessions_before_ms, durable);
	if (c->tokens)
		once_expire(c->tokens, c->tokens_before_ms, durable);
	c->is_forgetting = true;
}

/* One step, of baselines of the uplink, too. What finds no room on the disk is left for the next pass. */
static void forget_some(struct commit *c)
{
	int rc, rc_baselines;

	if (!c->is_forgetting)
		return;
	rc = store_forget(c->store, c->sessions_before_ms, c->tokens_before_ms, FOLD_ROWS);
	rc_baselines = rc < 0 ? rc : store_forget_baselines(c->store, FOLD_ROWS);
	c->is_forgetting = rc == STORE_AGAIN || rc_baselines == STORE_AGAIN;
	if (rc_baselines < 0 || (!c->is_forgetting && store_checkpoint(c->store, CHECKPOINT_FRAMES) < 0))
		commit_fail(c);
}

/* ---- the audit log ---- */

/* Entries that are to go: from before this moment (wall clock, microseconds), and beyond so many. */
struct audit_bounds {
	int64_t before_us;
	uint64_t count_max;
};

static struct audit_bounds audit_bounds(const struct commit *c)
{
	int64_t keep_ms = atomic_load(&c->config->audit_keep_ms), max = atomic_load(&c->config->audit_max);

	return (struct audit_bounds){
		.before_us = keep_ms ? (clock_wall_ms() - keep_ms) * 1000 : INT64_MIN,
		.count_max = max ? (uint64_t)max : UINT64_MAX,
	};
}

/* Milliseconds until entries are to go; -1: not before something happens. A sixteenth more than may be, and
 * some seconds, are let pass: that is no transaction for each entry that comes in. */
static int64_t prune_due_ms(const struct commit *c, int64_t now)
{
	struct audit_bounds bounds;
	int64_t oldest_us = store_audit_oldest_us(c->store), left_ms;

	if (oldest_us == INT64_MAX)
		return -1;
	if (c->prune_retry_ms)
		return c->prune_retry_ms > now ? c->prune_retry_ms - now : 0;
	bounds = audit_bounds(c);
	if (c->is_pruning ||
	    store_audit_count(c->store) - store_audit_count(c->store) / 16 > bounds.count_max)
		return 0;
	if (bounds.before_us == INT64_MIN)
		return -1;
	left_ms = (oldest_us - bounds.before_us) / 1000 + 1;
	return left_ms + AUDIT_LATE_MS > 0 ? left_ms + AUDIT_LATE_MS : 0;
}

/* One step. */
static void prune_some(struct commit *c)
{
	int64_t now = clock_ms(CLOCK_MONOTONIC);
	struct audit_bounds bounds;
	int rc;

	if (prune_due_ms(c, now) != 0)
		return;
	bounds = audit_bounds(c);
	rc = store_forget_audit(c->store, bounds.before_us, bounds.count_max, FOLD_ROWS);
	if (rc < 0)
		commit_fail(c);
	c->is_pruning = rc == STORE_AGAIN;
	c->prune_retry_ms = rc == STORE_RETRY ? now + COMMIT_RETRY_MS_MAX : 0;
}

/* ---- the snapshot ---- */

static bool is_fold_soon(const struct commit *c)
{
	return store_journal_bytes(c->store) > FOLD_SOON_BYTES ||
	       store_journal_epochs(c->store) > FOLD_SOON_EPOCHS;
}

/* The disk does not let us: stuck until it does. With durability = commit nothing else would find out, for no
 * change is taken meanwhile. */
static void put_fold_off(struct commit *c)
{
	commit_note_refusal(c, store_error(c->store));
	c->fold_pause_ms = c->fold_pause_ms ? 2 * c->fold_pause_ms : COMMIT_RETRY_MS_MIN;
	if (c->fold_pause_ms > COMMIT_RETRY_MS_MAX)
		c->fold_pause_ms = COMMIT_RETRY_MS_MAX;
	c->fold_retry_ms = clock_ms(CLOCK_MONOTONIC) + c->fold_pause_ms;
}

/* One step of folding. True: there is more, soon. */
static bool fold_some(struct commit *c)
{
	int rc = store_is_folding(c->store) ? STORE_AGAIN : store_fold_begin(c->store);

	if (rc == STORE_AGAIN)
		rc = store_fold_step(c->store, FOLD_ROWS);
	if (rc == STORE_AGAIN && store_journal_bytes(c->store) > JOURNAL_BYTES_MAX)
		if (store_journal_merge(c->store, JOURNAL_BYTES_MAX) < 0)
			rc = -EIO;
	if (rc < 0)
		commit_fail(c);
	if (rc == STORE_RETRY) {
		put_fold_off(c);
		return false;
	}
	c->fold_retry_ms = c->fold_pause_ms = 0;
	commit_set_stuck(c, NULL);
	if (rc == STORE_OK) {
		c->folded_ms = clock_ms(CLOCK_MONOTONIC);
		begin_to_forget(c);
	}
	return rc == STORE_AGAIN || is_fold_soon(c);
}

static bool has_journal(const struct commit *c)
{
	return store_journal_bytes(c->store) > 0 || store_is_folding(c->store);
}

bool commit_fold_all(struct commit *c)
{
	while (has_journal(c)) {
		fold_some(c);
		if (commit_is_stuck(c))
			return false;
	}
	if (store_checkpoint(c->store, 1) < 0)
		commit_fail(c);
	atomic_store(&c->last_save_s, clock_wall_ms() / 1000);
	return true;
}

static int64_t fold_due_ms(const struct commit *c, int64_t now)
{
	int64_t due;

	if (!has_journal(c))
		return -1;
	due = c->folded_ms + atomic_load(&c->config->snapshot_interval_ms) - now;
	if (store_is_folding(c->store) || is_fold_soon(c))
		due = 0;
	if (due < c->fold_rest_ms - now)
		due = c->fold_rest_ms - now;
	if (c->save_epoch)
		due = 0;
	if (c->fold_retry_ms)
		due = c->fold_retry_ms - now;
	return due > 0 ? due : 0;
}

/* What large epochs and their folding have needed goes back to the kernel: some hundred MB after ten million
 * new counters (buffers, journal bodies, SQLite's pages), most of it in the middle of malloc's heaps. */
static void give_memory_back(struct commit *c)
{
	store_release_memory(c->store);
	malloc_trim(0);
}

/* The committer has a nice value, but one that always wants the CPU is in the way of workers that share it:
 * folding takes a share and no more. Of the clock, not of the CPU: the longer it had to wait for that, the
 * longer it stays away. A millisecond more than a step that took none. */
static void rest(struct commit *c, int64_t began_ms)
{
	int64_t percent = atomic_load(&c->config->fold_cpu_percent), now = clock_ms(CLOCK_MONOTONIC);

	c->fold_rest_ms = percent >= 100 ? 0 : now + (now - began_ms + 1) * (100 - percent) / percent;
}

/* A snapshot that is due, in steps between commits. */
static void fold_if_due(struct commit *c)
{
	int64_t now = clock_ms(CLOCK_MONOTONIC);

	if (fold_due_ms(c, now) != 0)
		return;
	fold_some(c);
	rest(c, now);
	if (has_journal(c))
		return;
	atomic_store(&c->last_save_s, clock_wall_ms() / 1000);
	give_memory_back(c);
}

/* SAVE: it is whole when its epoch is folded. */
static void end_save(struct commit *c)
{
	if (!c->save_epoch || !store_is_folded(c->store, c->save_epoch))
		return;
	if (store_checkpoint(c->store, 1) < 0)
		commit_fail(c);
	c->save_epoch = 0;
	atomic_store(&c->last_save_s, clock_wall_ms() / 1000);
	atomic_store(&c->fold_done, c->save_number);
	commit_wake_waiting(c, EPOCH_WAITS_DISK);
}

/* ---- the log of the store ---- */

/* Readers hold nothing up but this; that it is told is all that can be done from here. */
static void say_held(struct commit *c)
{
	int64_t bytes = 0;
	bool is_held = store_is_log_held(c->store, &bytes);

	if (is_held == c->is_log_held)
		return;
	c->is_log_held = is_held;
	if (is_held)
		log_warning("%s: its -wal file has %" PRId64
			    " MiB and grows with each commit: another program reads the database in one "
			    "transaction that does not end. End it; fuser or lsof of the -shm file finds it",
			    c->config->db, bytes >> 20);
	else
		log_info("%s: its -wal file is used from its beginning again", c->config->db);
}

/* ---- all of it ---- */

int64_t commit_tend_due_ms(const struct commit *c, int64_t now)
{
	return c->is_forgetting ? 0 : clock_sooner_ms(fold_due_ms(c, now), prune_due_ms(c, now));
}

void commit_tend(struct commit *c)
{
	fold_if_due(c);
	forget_some(c);
	prune_some(c);
	if (store_checkpoint(c->store, CHECKPOINT_FRAMES_BUSY) < 0)
		commit_fail(c);
	say_held(c);
	end_save(c);
}
