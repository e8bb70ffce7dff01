/* SPDX-License-Identifier: MIT */
/*
 * commit.h - the committer: closes epochs, writes them to the store, folds the journal into the snapshot,
 * reclaims, forgets sessions and tokens that have expired.
 *
 * One thread, the only one with the store; what others want of that it does for them between two commits
 * (commit_call). It sleeps until an epoch is due: a commit interval after its first
 * change, or at once when somebody waits for it (epoch_want). With nothing changed and nothing to fold it
 * does not wake up.
 *
 * Disk full or busy: keeps the sealed buffers, says so (commit_is_stuck), tries again with growing pauses;
 * the workers go on in the next epoch. An I/O error: whether the transaction is on disk is unknown, so
 * nothing more may be acknowledged: the process ends at once with status 74, which closes every connection.
 */
#ifndef SHC_COMMIT_H
#define SHC_COMMIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/metric.h"
#include "../lib/pulse.h"
#include "commit_call.h"
#include "config.h"
#include "epoch.h"
#include "once.h"
#include "pack.h"
#include "registry.h"
#include "session.h"
#include "store.h"
#include "top.h"
#include "uplink.h"
#include "waker.h"

struct commit_worker {
	struct epoch_slot *slot;
	struct waker *waker; /* wakes the slot's worker */
};

/* How long commits took. Written by the committer, read by any; relaxed: each number stands for itself. */
struct commit_times {
	_Atomic uint64_t counts[METRIC_TIMES_BOUNDS + 1]; /* by metric_times_bounds_us */
	_Atomic uint64_t sum_ns;
};

struct commit {
	/* set before start; borrowed */
	struct epoch_clock *clock;
	struct store *store;
	struct registry *registry;
	struct session_table *sessions; /* null: none, in tests */
	struct once_table *tokens;	/* null: none, in tests */
	struct uplink *uplink;		/* null: none */
	const struct config *config;
	struct commit_worker *workers; /* owned */
	size_t worker_count;
	struct waker waker;
	/* shared */
	_Atomic uint64_t fold_want; /* SAVE number that asks for a whole snapshot; written by anyone */
	_Atomic uint64_t fold_done; /* ... that has it; written by the committer */
	_Atomic uint64_t refusals;  /* times that the store has refused, ever */
	_Atomic bool is_stuck;	    /* the store refuses for now */
	_Atomic bool is_stopping;
	struct pulse pulse;	     /* answered before it sleeps; excused while it is in the store */
	_Atomic int64_t last_save_s; /* wall clock of the last complete snapshot, LASTSAVE */
	_Atomic uint64_t epochs;     /* closed with content */
	struct commit_times times;
	struct top top;		 /* what SHC.TOP tells; its own rules */
	struct commit_call call; /* its own rules, too */
	/* the thread's own */
	pthread_t thread;
	struct pack pack;
	struct epoch_buffer **buffers; /* handed over in the epoch being committed */
	size_t buffer_count;
	struct retired_list limbo; /* unlinked in the epoch before: free when this one is sealed */
	uint64_t save_number;	   /* SAVE being served, */
	uint64_t save_epoch;	   /* ... done when this one is folded; 0: none */
	int64_t dirty_since_ms;	   /* monotonic; 0: not */
	int64_t folded_ms;	   /* monotonic, end of the last pass */
	int64_t fold_retry_ms; /* monotonic; folding found no room, and is tried again then; 0: it did not */
	int64_t fold_pause_ms; /* before that */
	int64_t fold_rest_ms;  /* monotonic; folding has had its share of the CPU until then; 0: not */
	bool is_forgetting;    /* the file has more that was used last before these: wall clock */
	int64_t sessions_before_ms, tokens_before_ms;
	bool is_pruning;	/* the audit log has more than it may */
	int64_t prune_retry_ms; /* monotonic; the disk did not let us, and is asked again then; 0: it did */
	bool is_log_held;	/* a reader keeps the log long: has said so */
};

int commit_init(struct commit *c, struct epoch_clock *clock, struct store *store, struct registry *registry,
		const struct config *config, size_t worker_count);
void commit_fini(struct commit *c);

int commit_start(struct commit *c);

/* Ends the thread. After the workers have ended: they may wait for it. */
void commit_stop(struct commit *c);

/* Main, when no other thread is left: commits what the workers left and, with is_folding, folds everything.
 * 0, or the exit status when the files are not where the next start will look for them. */
int commit_finish(struct commit *c, bool is_folding);

/* Any thread: asks for a whole snapshot of what is acknowledged now; the number to compare fold_done with. */
uint64_t commit_want_fold(struct commit *c);

/* Any thread but workers and the committer: has fn run on the committer's thread, between two commits or two
 * tries of one, and waits for it. What fn has returned: STORE_OK, or STORE_RETRY or another positive outcome,
 * after which the
 * caller may try again, with a pause. A negative one ends the process as it does in a commit, so fn returns
 * none but the store's. -ECANCELED: the committer is stopping or has ended, and fn was not run. */
int commit_call(struct commit *c, commit_call_fn *fn, void *arg);

static inline bool commit_is_stuck(const struct commit *c)
{
	return atomic_load_explicit(&c->is_stuck, memory_order_relaxed);
}

#endif
