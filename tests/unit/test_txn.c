/* SPDX-License-Identifier: MIT */
/*
 * Transactions on counters, several workers played by one thread: what is staged, what is refused, what
 * waits. Cells: test_txn_cells.c; the short way: test_txn_quick.c; the cut between epochs: test_cut.c.
 */
#include "txn_rig.h"

/* ---- staging ---- */

enum { RANDOM_NAMES = 40, RANDOM_KEYS_MAX = 60 };

struct model {
	char name[8];
	bool is_live;
	int64_t value;
};

static void random_transaction(struct rng *r, struct txn *t, struct model *models)
{
	size_t count = 1 + rng_below(r, rng_below(r, 8) ? 6 : RANDOM_KEYS_MAX);
	bool is_committed = rng_below(r, 8) != 0;
	struct slice names[RANDOM_KEYS_MAX];
	struct model after[RANDOM_NAMES];
	size_t which[RANDOM_KEYS_MAX];

	memcpy(after, models, sizeof(after));
	for (size_t i = 0; i < count; i++) {
		which[i] = rng_below(r, RANDOM_NAMES);
		names[i] = slice_str(models[which[i]].name);
	}
	assert_int_equal(txn_open(t, names, count, MODE_SET), TXN_OK);
	for (size_t i = 0; i < count; i++) {
		struct txn_key *k = txn_key(t, i);
		struct model *m = &after[which[i]];
		int64_t n = rng_below(r, 5) ? (int64_t)rng_below(r, 100) - 50 : (int64_t)rng_u64(r), sum;

		assert_int_equal(k->is_live, m->is_live);
		assert_int_equal(k->value, m->value);
		switch (rng_below(r, 4)) {
		case 0:
			txn_set(k, n);
			m->is_live = true;
			m->value = n;
			break;
		case 1:
			txn_delete(k);
			m->is_live = false;
			m->value = 0;
			break;
		default:
			if (__builtin_add_overflow(m->value, n, &sum)) {
				assert_false(txn_incr(k, n));
				break;
			}
			assert_true(txn_incr(k, n));
			m->is_live = true;
			m->value = sum;
		}
	}
	if (!is_committed) {
		txn_abort(t);
		return;
	}
	assert_int_equal(txn_commit(t), TXN_OK);
	memcpy(models, after, sizeof(after));
}

static void test_random_transactions_do_what_the_oracle_does(void **state)
{
	struct rig *g = rig_new(1, false);
	struct model models[RANDOM_NAMES] = {0};
	struct rng r = {rig_seed() ? rig_seed() : 4711};
	size_t count = rig_scaled(20000);
	int64_t live;

	(void)state;
	for (size_t i = 0; i < RANDOM_NAMES; i++)
		snprintf(models[i].name, sizeof(models[i].name), "r%zu", i);
	for (size_t n = 0; n < count; n++) {
		random_transaction(&r, &g->txns[0], models);
		if (rng_below(&r, 20))
			continue;
		rig_close_epoch(g);
		live = 0;
		for (size_t i = 0; i < RANDOM_NAMES; i++) {
			assert_int_equal(recovery_find(&g->recovery, models[i].name) != 0, models[i].is_live);
			assert_int_equal(recovered(g, models[i].name), models[i].value);
			live += models[i].is_live;
		}
		assert_int_equal(atomic_load(&g->registry.live_count), live);
		/* Searching is linear in the ids: begin again. */
		if (g->recovery.cap > 4096)
			break;
	}
	assert_true(g->reclaimed > 0);
	rig_free(g);
}

/* ---- the ends of the range ---- */

static void test_nothing_passes_the_ends_of_the_range(void **state)
{
	static const struct {
		const char *descr;
		int64_t start, delta;
		bool is_over;
	} CASES[] = {
		{"to the top", INT64_MAX - 5, 5, false},
		{"over the top", INT64_MAX - 5, 6, true},
		{"to the bottom", INT64_MIN + 5, -5, false},
		{"below the bottom", INT64_MIN + 5, -6, true},
		{"the largest step up", 0, INT64_MAX, false},
		{"the largest step up, from 1", 1, INT64_MAX, true},
		{"the largest step down", 0, INT64_MIN, false},
		{"the largest step down, from -1", -1, INT64_MIN, true},
		{"from bottom to top and no further", INT64_MIN, INT64_MAX, false},
		{"half of it, above the share of a cell", INT64_MAX / 2 + 2, INT64_MAX / 2 - 1, false},
		{"half of it, one too many", INT64_MAX / 2 + 2, INT64_MAX / 2, true},
	};

	(void)state;
	for (int is_sharded = 0; is_sharded < 2; is_sharded++) {
		for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
			struct rig *g = rig_new(3, is_sharded);
			struct txn *t = &g->txns[1];
			int64_t want = CASES[i].is_over ? CASES[i].start : CASES[i].start + CASES[i].delta;
			int rc;

			assert_int_equal(is_sharded ? add(&g->txns[0], "x", CASES[i].start)
						    : incr(&g->txns[0], "x", CASES[i].start, NULL),
					 TXN_OK);
			do {
				rc = is_sharded ? add(t, "x", CASES[i].delta)
						: incr(t, "x", CASES[i].delta, NULL);
				if (rc == TXN_WAIT)
					rig_close_epoch(g);
			} while (rc == TXN_WAIT);
			if (rc != (CASES[i].is_over ? TXN_OVERFLOW : TXN_OK))
				fail_msg("%s%s: %d", CASES[i].descr, is_sharded ? ", sharded" : "", rc);
			assert_value(t, "x", want);
			rig_close_epoch(g);
			assert_int_equal(recovered(g, "x"), want);
			rig_free(g);
		}
	}
}

/* base + cells fit whatever each worker adds without asking: to both ends, one step at a time. */
static void test_cells_fill_to_the_ends_and_not_beyond(void **state)
{
	(void)state;
	for (int sign = -1; sign <= 1; sign += 2) {
		struct rig *g = rig_new(4, true);
		int64_t step = sign * (INT64_C(1) << 58), value = 0, sum;
		int waits = 0;

		for (uint32_t n = 0; n < 100; n++) {
			int rc = add(&g->txns[n % 4], "x", step);

			if (rc == TXN_WAIT) {
				waits++;
				rig_close_epoch(g);
				rc = add(&g->txns[n % 4], "x", step);
			}
			if (__builtin_add_overflow(value, step, &sum)) {
				assert_int_equal(rc, TXN_OVERFLOW);
			} else {
				assert_int_equal(rc, TXN_OK);
				value = sum;
			}
			assert_value(&g->txns[0], "x", value);
		}
		assert_true(waits > 0);
		rig_close_epoch(g);
		assert_int_equal(recovered(g, "x"), value);
		rig_free(g);
	}
}

/* ---- several additions ---- */

static void test_additions_are_all_done_or_none(void **state)
{
	struct slice names[] = {slice_str("cell"), slice_str("plain"), slice_str("full"), slice_str("cell")};
	int64_t deltas[] = {1, 10, 1, 2};
	struct rig *g = rig_new(2, false);
	struct txn *t = &g->txns[0];

	(void)state;
	for (int n = 0; n < 10; n++)
		assert_int_equal(add(&g->txns[n % 2], "cell", 1), TXN_OK);
	assert_true(has_cells(g, "cell"));
	assert_int_equal(incr(t, "full", INT64_MAX, NULL), TXN_OK);
	assert_int_equal(txn_add(t, names, deltas, 4), TXN_OVERFLOW);
	assert_value(t, "cell", 10);
	assert_missing(t, "plain");
	deltas[2] = -1;
	assert_int_equal(txn_add(t, names, deltas, 4), TXN_OK);
	assert_value(t, "cell", 13);
	assert_value(t, "plain", 10);
	assert_value(t, "full", INT64_MAX - 1);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "cell"), 13);
	assert_int_equal(recovered(g, "plain"), 10);
	rig_free(g);
}

/* More names than a transaction keeps memory for, and some of them with cells. */
static void test_a_huge_addition_reaches_cells_too(void **state)
{
	enum { COUNT = 5000 };
	struct slice *names = calloc(COUNT, sizeof(*names));
	int64_t *deltas = calloc(COUNT, sizeof(*deltas));
	char(*text)[16] = calloc(COUNT, sizeof(*text));
	struct rig *g = rig_new(2, false);

	(void)state;
	assert_true(names && deltas && text);
	for (int n = 0; n < 10; n++)
		assert_int_equal(add(&g->txns[n % 2], "k0", 1), TXN_OK);
	assert_true(has_cells(g, "k0"));
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(text[i], sizeof(text[i]), "k%zu", i);
		names[i] = slice_str(text[i]);
		deltas[i] = (int64_t)i + 1;
	}
	assert_int_equal(txn_add(&g->txns[0], names, deltas, COUNT), TXN_OK);
	assert_value(&g->txns[0], "k0", 11);
	assert_value(&g->txns[0], "k4999", 5000);
	free(names);
	free(deltas);
	free(text);
	rig_free(g);
}

/* ---- FLUSHALL ---- */

static void test_flushing_deletes_what_is_there_and_nothing_later(void **state)
{
	struct rig *g = rig_new(2, true);
	struct txn *t = &g->txns[0];

	(void)state;
	assert_int_equal(add(t, "cells", 1), TXN_OK);
	assert_int_equal(incr(t, "old", 5, NULL), TXN_OK);
	txn_flush(&g->txns[1]);
	assert_missing(t, "old");
	assert_missing(t, "cells");
	assert_int_equal(atomic_load(&g->registry.live_count), 0);
	assert_int_equal(incr(t, "old", 7, NULL), TXN_OK);
	assert_int_equal(add(t, "new", 1), TXN_OK);
	assert_int_equal(atomic_load(&g->registry.live_count), 2);
	for (uint64_t cursor = 0, more = 1; more; more = cursor)
		cursor = txn_sweep(&g->txns[1], cursor, 1);
	assert_value(t, "old", 7);
	assert_value(t, "new", 1);
	assert_int_equal(atomic_load(&g->registry.live_count), 2);
	rig_close_epoch(g);
	rig_close_epoch(g);
	assert_null(record_of(g, "cells"));
	assert_int_equal(recovery_find(&g->recovery, "cells"), 0);
	assert_int_equal(recovered(g, "old"), 7);
	rig_free(g);
}

/* The sweep leaves records without an object, as a delete does; whoever uses the name next in an older epoch
 * would bring two objects of one name to the disk. */
static void test_a_swept_name_carries_the_epoch_of_the_flush(void **state)
{
	struct rig *g = rig_new(2, false);

	(void)state;
	assert_int_equal(incr(&g->txns[0], "x", 1, NULL), TXN_OK);
	rig_close_epoch(g);
	rig_close_epoch(g);
	rig_advance(g);
	/* Worker 1 looked before and acts later; worker 0 is in the new epoch already. */
	epoch_look(&g->slots[0]);
	txn_flush(&g->txns[0]);
	(void)txn_sweep(&g->txns[0], 0, SIZE_MAX);
	assert_int_equal(incr(&g->txns[1], "x", 2, NULL), TXN_OK);
	assert_int_equal(g->slots[1].own, g->slots[0].own);
	for (uint32_t i = 0; i < 2; i++)
		(void)rig_collect(g, i);
	rig_commit(g);
	assert_int_equal(recovered(g, "x"), 1);
	rig_free(g);
}

/* ---- limits ---- */

static void test_names_refused_for_memory_take_none(void **state)
{
	struct slice names[500];
	static char text[500][16];
	struct rig *g = rig_new(1, false);
	struct txn *t = &g->txns[0];

	(void)state;
	atomic_store(&g->memory_max, (int64_t)arena_used_bytes(&g->registry.arena) + 40 * 100);
	for (size_t i = 0; i < 500; i++) {
		snprintf(text[i], sizeof(text[i]), "q%zu", i);
		names[i] = slice_str(text[i]);
	}
	assert_int_equal(txn_open(t, names, 500, MODE_SET), -EDQUOT);
	rig_close_epoch(g);
	rig_close_epoch(g);
	/* There is room for a single one. */
	assert_int_equal(incr(t, "one", 1, NULL), TXN_OK);
	rig_free(g);
}

/* An epoch of 2^31 comes after years of seconds, or some days of WAITAOF. A counter not touched so long, or a
 * new one, must not be taken for one that is ahead. */
static void test_old_stamps_are_not_taken_for_new_ones(void **state)
{
	struct rig *g = malloc(sizeof(*g));

	(void)state;
	assert_non_null(g);
	alarm(10); /* the failure is to try for ever */
	rig_init(g, 2, (UINT64_C(1) << 31) + 5, false);
	assert_int_equal(incr(&g->txns[0], "x", 1, NULL), TXN_OK);
	assert_int_equal(incr(&g->txns[1], "x", 1, NULL), TXN_OK);
	assert_value(&g->txns[1], "x", 2);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x"), 2);
	alarm(0);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_transactions_do_what_the_oracle_does),
		cmocka_unit_test(test_nothing_passes_the_ends_of_the_range),
		cmocka_unit_test(test_cells_fill_to_the_ends_and_not_beyond),
		cmocka_unit_test(test_additions_are_all_done_or_none),
		cmocka_unit_test(test_a_huge_addition_reaches_cells_too),
		cmocka_unit_test(test_flushing_deletes_what_is_there_and_nothing_later),
		cmocka_unit_test(test_a_swept_name_carries_the_epoch_of_the_flush),
		cmocka_unit_test(test_names_refused_for_memory_take_none),
		cmocka_unit_test(test_old_stamps_are_not_taken_for_new_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
