/* SPDX-License-Identifier: MIT */
/*
 * What others do between two steps of one transaction. Goal: the interleavings that matter, which chance
 * alone hardly ever brings.
 *
 * Method: the transaction has a thread of its own, and stops at the lock of a counter that the test holds.
 * That it has come so far is seen by the lock before, which it has taken. Then the test plays everybody else,
 * and lets go.
 */
#include <pthread.h>
#include <sched.h>

#include "core_rig.h"

enum { KEYS = 3, VALUE_BEFORE = 5, CELLS_VALUE = 8 };

/* Worker 0 is stopped, worker 1 is everybody else. */
struct stopped {
	struct rig rig;
	/* in the order in which a transaction locks them */
	struct counter *counters[KEYS];
	struct slice names[KEYS];
	pthread_t thread;
	int64_t seen[KEYS];
	int rc;
};

static struct txn *txn_of(struct stopped *s)
{
	return &s->rig.txns[0];
}

static struct txn *other_of(struct stopped *s)
{
	return &s->rig.txns[1];
}

static int by_address(const void *a, const void *b)
{
	const struct counter *x = *(struct counter *const *)a, *y = *(struct counter *const *)b;

	return (x > y) - (x < y);
}

static struct counter *record_of(struct rig *g, struct slice name)
{
	return registry_find(&g->registry, name, registry_hash(&g->registry, name));
}

static struct stopped *stopped_new(void)
{
	static const int64_t VALUES[KEYS] = {VALUE_BEFORE, VALUE_BEFORE, VALUE_BEFORE};
	const struct slice names[KEYS] = {slice_str("a"), slice_str("b"), slice_str("c")};
	struct stopped *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	rig_init(&s->rig, 2, 1, false);
	assert_int_equal(txn_add(txn_of(s), names, VALUES, KEYS), TXN_OK);
	for (size_t i = 0; i < KEYS; i++)
		s->counters[i] = record_of(&s->rig, names[i]);
	qsort(s->counters, KEYS, sizeof(s->counters[0]), by_address);
	for (size_t i = 0; i < KEYS; i++)
		s->names[i] = counter_name(s->counters[i]);
	return s;
}

static void stopped_free(struct stopped *s)
{
	rig_fini(&s->rig);
	free(s);
}

/* It has the lock of counter 0. */
static void begin(struct stopped *s, void *(*transaction)(void *arg))
{
	assert_int_equal(pthread_create(&s->thread, NULL, transaction, s), 0);
	while (atomic_load(&s->counters[0]->lock) == COUNTER_FREE)
		(void)sched_yield();
}

static void end(struct stopped *s)
{
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	assert_int_equal(s->rc, TXN_OK);
}

static int64_t value_of(struct stopped *s, struct slice name)
{
	int64_t value;

	assert_int_equal(txn_open(other_of(s), &name, 1, TXN_READ), TXN_OK);
	value = txn_key(other_of(s), 0)->value;
	txn_abort(other_of(s));
	return value;
}

static int add_one(struct txn *t, struct slice name)
{
	static const int64_t ONE = 1;

	return txn_add(t, &name, &ONE, 1);
}

/* ---- the transactions ---- no assertions: they are for the test's own thread */

static void *look_at_all(void *arg)
{
	struct stopped *s = arg;

	s->rc = txn_open(txn_of(s), s->names, KEYS, TXN_READ);
	for (size_t i = 0; i < KEYS && !s->rc; i++)
		s->seen[i] = txn_key(txn_of(s), i)->value;
	if (!s->rc)
		txn_abort(txn_of(s));
	return NULL;
}

static void *incr_all(void *arg)
{
	struct stopped *s = arg;

	s->rc = txn_open(txn_of(s), s->names, KEYS, TXN_WRITE | TXN_CREATE);
	for (size_t i = 0; i < KEYS && !s->rc; i++)
		(void)txn_incr(txn_key(txn_of(s), i), 1);
	if (!s->rc)
		s->rc = txn_commit(txn_of(s));
	return NULL;
}

/* To a cell of "cells", and to the base of the others. */
static void *add_to_all(void *arg)
{
	static const int64_t ONES[KEYS + 1] = {1, 1, 1, 1};
	struct stopped *s = arg;
	struct slice names[KEYS + 1] = {slice_str("cells")};

	memcpy(names + 1, s->names, sizeof(s->names));
	s->rc = txn_add(txn_of(s), names, ONES, KEYS + 1);
	return NULL;
}

/* ---- FLUSHALL between two looks ---- */

/* Everything is deleted while the transaction has looked at the first counter only, and the last is made
 * again. */
static void flush_between(struct stopped *s, void *(*transaction)(void *arg))
{
	counter_lock(s->counters[1], COUNTER_LOCKED);
	begin(s, transaction);
	txn_flush(other_of(s));
	assert_int_equal(add_one(other_of(s), s->names[2]), TXN_OK);
	counter_unlock(s->counters[1]);
	end(s);
}

static void test_no_look_before_a_flush_goes_with_one_behind_it(void **state)
{
	struct stopped *s = stopped_new();

	(void)state;
	flush_between(s, look_at_all);
	assert_int_equal(s->seen[0], 0);
	assert_int_equal(s->seen[1], 0);
	assert_int_equal(s->seen[2], 1);
	stopped_free(s);
}

/* Without the last look at the floor two of these would go to counters that are no more. */
static void test_no_change_is_half_before_a_flush(void **state)
{
	struct stopped *s = stopped_new();

	(void)state;
	flush_between(s, incr_all);
	assert_int_equal(value_of(s, s->names[0]), 1);
	assert_int_equal(value_of(s, s->names[1]), 1);
	assert_int_equal(value_of(s, s->names[2]), 2);
	stopped_free(s);
}

/* ---- FLUSHALL between opening and committing ---- the test plays both */

static void test_no_id_is_drawn_behind_a_flush_that_took_another_counter(void **state)
{
	struct stopped *s = stopped_new();
	struct slice names[] = {s->names[0], slice_str("new")};
	struct txn *t = txn_of(s);

	(void)state;
	for (int attempt = 0; attempt < 2; attempt++) {
		assert_int_equal(txn_open(t, names, 2, TXN_WRITE | TXN_CREATE), TXN_OK);
		assert_true(txn_incr(txn_key(t, 0), 1));
		assert_true(txn_incr(txn_key(t, 1), 1));
		if (attempt == 0)
			txn_flush(other_of(s));
		assert_int_equal(txn_commit(t), attempt == 0 ? TXN_WAIT : TXN_OK);
		assert_int_equal(t->wait_epoch, 0); /* again at once */
		assert_int_equal(value_of(s, names[0]), attempt);
		assert_int_equal(value_of(s, names[1]), attempt);
	}
	stopped_free(s);
}

/* ---- a seal between choosing a cell and adding to it ---- */

static void make_cells(struct stopped *s, struct slice name)
{
	for (int i = 0; i < CELLS_VALUE; i++)
		assert_int_equal(add_one(&s->rig.txns[i % 2], name), TXN_OK);
	assert_true(counter_has_cells(counter_object(record_of(&s->rig, name))));
}

/* Somebody changes it who must see it whole. */
static int incr_whole(struct txn *t, struct slice name)
{
	int rc = txn_open(t, &name, 1, TXN_WRITE | TXN_WHOLE);

	if (rc)
		return rc;
	(void)txn_incr(txn_key(t, 0), 1);
	return txn_commit(t);
}

/* The epoch moves, and with it counter 1, so that the transaction seals when it gets there. */
static void make_it_seal(struct stopped *s)
{
	struct rig *g = &s->rig;

	rig_advance(g);
	epoch_look(&g->slots[1]);
	counter_raise(s->counters[1], g->slots[1].own, &g->clock.open);
	(void)rig_collect(g, 1);
	counter_unlock(s->counters[1]);
	while (!rig_collect(g, 0))
		(void)sched_yield();
}

static void test_an_addition_does_not_go_to_cells_that_were_merged_meanwhile(void **state)
{
	struct stopped *s = stopped_new();
	struct slice cells = slice_str("cells");
	uint64_t id;

	(void)state;
	make_cells(s, cells);
	counter_lock(s->counters[1], COUNTER_LOCKED);
	counter_lock(s->counters[2], COUNTER_LOCKED);
	begin(s, add_to_all);
	assert_int_equal(incr_whole(other_of(s), cells), TXN_WAIT);
	make_it_seal(s);
	/* It stands at counter 2 now, and its cell is still. */
	assert_int_equal(incr_whole(other_of(s), cells), TXN_OK);
	counter_unlock(s->counters[2]);
	end(s);
	assert_int_equal(value_of(s, cells), CELLS_VALUE + 2);
	assert_int_equal(value_of(s, s->names[2]), VALUE_BEFORE + 1);
	rig_commit(&s->rig);
	rig_close_epoch(&s->rig);
	id = recovery_find(&s->rig.recovery, "cells");
	assert_int_equal(s->rig.recovery.by_id[id].value, CELLS_VALUE + 2);
	stopped_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_look_before_a_flush_goes_with_one_behind_it),
		cmocka_unit_test(test_no_change_is_half_before_a_flush),
		cmocka_unit_test(test_no_id_is_drawn_behind_a_flush_that_took_another_counter),
		cmocka_unit_test(test_an_addition_does_not_go_to_cells_that_were_merged_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
