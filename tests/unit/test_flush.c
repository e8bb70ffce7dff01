/* SPDX-License-Identifier: MIT */
/*
 * FLUSHALL against transactions, with real threads: it is one instant. What another worker does at the same
 * time is deleted whole or comes whole after it. No epoch is closed here, so nothing waits.
 */
#include <pthread.h>

#include "core_rig.h"

struct worker {
	struct rig *rig;
	uint32_t index;
	pthread_t thread;
};

/* cmocka's assertions are for the test's own thread, which plays the worker; the flusher needs none. */
#define must(w, condition) ((void)(w), assert_true(condition))

static struct txn *txn_of(struct worker *w)
{
	return &w->rig->txns[w->index];
}

typedef void stage_fn(struct worker *w, struct txn *t, void *arg);

static void transact(struct worker *w, const struct slice *names, size_t count, unsigned mode,
		     stage_fn *stage, void *arg)
{
	int rc;

	do {
		assert_int_equal(txn_open(txn_of(w), names, count, mode), TXN_OK);
		stage(w, txn_of(w), arg);
		rc = txn_commit(txn_of(w));
	} while (rc == TXN_WAIT && txn_of(w)->wait_epoch == 0);
	assert_int_equal(rc, TXN_OK);
}

static void transact_on(struct worker *w, const char *name, unsigned mode, stage_fn *stage, void *arg)
{
	struct slice key = slice_str(name);

	transact(w, &key, 1, mode, stage, arg);
}

static void add(struct worker *w, const struct slice *names, const int64_t *deltas, size_t count)
{
	int rc;

	do
		rc = txn_add(txn_of(w), names, deltas, count);
	while (rc == TXN_WAIT && txn_of(w)->wait_epoch == 0);
	assert_int_equal(rc, TXN_OK);
}

/* ---- a transaction, an addition ---- */

enum { FLUSH_ROUNDS = 150000 };

static _Atomic bool is_flush_over;

static void *flush_all_the_time(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&is_flush_over))
		txn_flush(txn_of(w));
	return NULL;
}

static void stage_incr_both(struct worker *w, struct txn *t, void *arg)
{
	(void)arg;
	must(w, txn_incr(txn_key(t, 0), 1));
	must(w, txn_incr(txn_key(t, 1), 1));
}

static void stage_compare(struct worker *w, struct txn *t, void *arg)
{
	(void)w;
	*(bool *)arg = txn_key(t, 0)->is_live == txn_key(t, 1)->is_live;
}

/* An old counter and a new one change together: a flush deletes both or comes before both. In one thread,
 * another flushes without a pause. */
static void run_against_flush(bool is_sharded)
{
	struct rig *g = rig_new(2, is_sharded);
	struct worker w = {.rig = g, .index = 0}, flusher = {.rig = g, .index = 1};
	size_t rounds = rig_scaled(FLUSH_ROUNDS), halved = 0;
	static const int64_t DELTAS[] = {1, 1};

	atomic_store(&is_flush_over, false);
	assert_int_equal(pthread_create(&flusher.thread, NULL, flush_all_the_time, &flusher), 0);
	for (size_t n = 0; n < rounds; n++) {
		char text[24];
		struct slice names[] = {slice_str("old"), slice_str(text)};
		bool is_whole = true;

		snprintf(text, sizeof(text), "new%zu", n);
		names[1] = slice_str(text);
		if (is_sharded)
			add(&w, names, DELTAS, 2);
		else
			transact(&w, names, 2, TXN_WRITE | TXN_CREATE, stage_incr_both, NULL);
		transact(&w, names, 2, TXN_READ, stage_compare, &is_whole);
		halved += !is_whole;
	}
	atomic_store(&is_flush_over, true);
	assert_int_equal(pthread_join(flusher.thread, NULL), 0);
	rig_free(g);
	assert_int_equal(halved, 0);
}

static void test_a_flush_takes_a_transaction_whole_or_not_at_all(void **state)
{
	(void)state;
	run_against_flush(false);
}

static void test_a_flush_takes_an_addition_whole_or_not_at_all(void **state)
{
	(void)state;
	run_against_flush(true);
}

/* ---- a name that is deleted and made again ---- */

enum { RENEW_ROUNDS = 400000 };

static _Atomic size_t renewals;
static size_t flushes;

/* One flush, then the other must have done a whole transaction before the next. */
static void *flush_now_and_then(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&is_flush_over)) {
		size_t before;

		txn_flush(txn_of(w));
		flushes++;
		/* The next one may have begun before; that one not. */
		before = atomic_load(&renewals);
		while (atomic_load(&renewals) < before + 2 && !atomic_load(&is_flush_over))
			continue;
	}
	return NULL;
}

static void stage_renew(struct worker *w, struct txn *t, void *arg)
{
	(void)w;
	*(bool *)arg = txn_key(t, 0)->is_live;
	txn_delete(txn_key(t, 0));
	txn_set(txn_key(t, 0), 1);
}

/* EXEC of DEL and SET: the name is there all the time but for flushes, so DEL must miss it once for each. */
static void test_no_flush_is_lost_on_a_name_made_again(void **state)
{
	struct rig *g = rig_new(2, false);
	struct worker w = {.rig = g, .index = 0}, flusher = {.rig = g, .index = 1};
	size_t rounds = rig_scaled(RENEW_ROUNDS), missed = 0;
	bool was_live = false;

	(void)state;
	atomic_store(&is_flush_over, false);
	atomic_store(&renewals, 0);
	flushes = 0;
	transact_on(&w, "x", TXN_WRITE | TXN_CREATE | TXN_WHOLE, stage_renew, &was_live);
	assert_int_equal(pthread_create(&flusher.thread, NULL, flush_now_and_then, &flusher), 0);
	for (size_t n = 0; n < rounds; n++) {
		transact_on(&w, "x", TXN_WRITE | TXN_CREATE | TXN_WHOLE, stage_renew, &was_live);
		missed += !was_live;
		atomic_fetch_add(&renewals, 1);
	}
	atomic_store(&is_flush_over, true);
	assert_int_equal(pthread_join(flusher.thread, NULL), 0);
	transact_on(&w, "x", TXN_WRITE | TXN_CREATE | TXN_WHOLE, stage_renew, &was_live);
	missed += !was_live;
	rig_free(g);
	assert_int_equal(missed, flushes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_flush_takes_a_transaction_whole_or_not_at_all),
		cmocka_unit_test(test_a_flush_takes_an_addition_whole_or_not_at_all),
		cmocka_unit_test(test_no_flush_is_lost_on_a_name_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
