/* SPDX-License-Identifier: MIT */
/*
 * commit_rig.h - a committer with a store of its own in a private directory, and the one worker that the
 * test's thread plays. Whatever waits for the committer waits with a deadline far beyond what it takes: a
 * lost wake-up is a failure, not a hang.
 */
#ifndef SHC_COMMIT_RIG_H
#define SHC_COMMIT_RIG_H

#include "store_fixture.h"

#include <time.h>

#include "../../daemon/commit.h"
#include "core_rig.h"

enum {
	DEADLINE_S = 20,
	HOUR_MS = 3600 * 1000,
};

struct daemon {
	struct store *store;
	struct picture loaded;
	struct registry registry;
	struct epoch_clock clock;
	struct commit commit;
	struct config config;
	struct waker waker;
	struct epoch_slot slot;
	struct txn txn;
};

static inline void load(struct daemon *d)
{
	for (size_t i = 0; i < d->loaded.count; i++) {
		struct slice name = slice_str(d->loaded.counters[i].name);
		struct counter *c;

		assert_int_equal(
			registry_insert(&d->registry, name, registry_hash(&d->registry, name), NULL, &c), 0);
		counter_set_base(c, d->loaded.counters[i].value);
		counter_set_object(c, counter_object_of_id(d->loaded.counters[i].id));
	}
	atomic_store(&d->registry.id_next, d->loaded.state.id_next);
	atomic_store(&d->registry.floor_id, d->loaded.state.floor_id);
}

/* All but the thread. */
static inline struct daemon *prepare(const struct fixture *f, int64_t commit_interval_ms)
{
	struct daemon *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	alarm(DEADLINE_S);
	d->store = open_and_load(f->path, &d->loaded);
	assert_int_equal(registry_init(&d->registry, NULL), 0);
	load(d);
	atomic_store(&d->config.commit_interval_ms, commit_interval_ms);
	atomic_store(&d->config.snapshot_interval_ms, HOUR_MS);
	atomic_store(&d->config.fold_cpu_percent, 100);
	epoch_clock_init(&d->clock, d->loaded.state.epoch_first, &d->commit.waker);
	assert_int_equal(waker_init(&d->waker), 0);
	epoch_slot_init(&d->slot, &d->clock);
	txn_init(&d->txn, &d->registry, &d->slot, 0, 1, false);
	assert_int_equal(commit_init(&d->commit, &d->clock, d->store, &d->registry, &d->config, 1), 0);
	d->commit.workers[0] = (struct commit_worker){.slot = &d->slot, .waker = &d->waker};
	return d;
}

static inline struct daemon *start(const struct fixture *f, int64_t commit_interval_ms)
{
	struct daemon *d = prepare(f, commit_interval_ms);

	assert_int_equal(commit_start(&d->commit), 0);
	return d;
}

/* The worker ends between two requests: its buffer may have content. */
static inline void end_threads(struct daemon *d)
{
	epoch_end(&d->slot);
	commit_stop(&d->commit);
}

static inline void finish(struct daemon *d, bool is_folding)
{
	assert_int_equal(commit_finish(&d->commit, is_folding), 0);
	commit_fini(&d->commit);
	txn_fini(&d->txn);
	epoch_slot_fini(&d->slot);
	registry_fini(&d->registry);
	waker_fini(&d->waker);
	store_close(d->store);
	picture_free(&d->loaded);
	free(d);
	alarm(0);
}

static inline void stop(struct daemon *d, bool is_folding)
{
	end_threads(d);
	finish(d, is_folding);
}

static inline bool is_durable(struct daemon *d, uint64_t epoch)
{
	return epoch_durable(&d->clock) >= epoch;
}

static inline bool is_folded(struct daemon *d, uint64_t number)
{
	return atomic_load(&d->commit.fold_done) >= number;
}

/* A worker's turns without requests, until something has come. */
static inline void wait_until(struct daemon *d, bool (*has_come)(struct daemon *d, uint64_t what),
			      uint64_t what)
{
	while (!has_come(d, what)) {
		int is_woken = 1;

		waker_park(&d->waker);
		atomic_store(&d->slot.waits, EPOCH_WAITS_SEALED | EPOCH_WAITS_DISK);
		if (!has_come(d, what) && epoch_park(&d->slot))
			is_woken = waker_sleep(&d->waker, DEADLINE_S / 2 * INT64_C(1000000000));
		waker_unpark(&d->waker);
		epoch_unpark(&d->slot);
		assert_true(is_woken);
	}
	atomic_store(&d->slot.waits, 0);
}

static inline uint64_t incr(struct daemon *d, const char *name, int64_t delta)
{
	struct slice key = slice_str(name);

	epoch_look(&d->slot);
	assert_int_equal(txn_open(&d->txn, &key, 1, TXN_WRITE | TXN_CREATE), TXN_OK);
	assert_true(txn_incr(txn_key(&d->txn, 0), delta));
	assert_int_equal(txn_commit(&d->txn), TXN_OK);
	return d->slot.own;
}

static inline uint64_t del(struct daemon *d, const char *name)
{
	struct slice key = slice_str(name);

	epoch_look(&d->slot);
	assert_int_equal(txn_open(&d->txn, &key, 1, TXN_WRITE | TXN_WHOLE), TXN_OK);
	txn_delete(txn_key(&d->txn, 0));
	assert_int_equal(txn_commit(&d->txn), TXN_OK);
	return d->slot.own;
}

static inline void barrier(struct daemon *d)
{
	uint64_t epoch = epoch_open(&d->clock);

	epoch_want(&d->clock, epoch);
	wait_until(d, is_durable, epoch);
}

#endif
