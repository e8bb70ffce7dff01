/* SPDX-License-Identifier: MIT */
/* The short way of one addition or look: what it takes, and what it leaves to the long one. */
#include "txn_rig.h"

/* ---- the short way ---- */

static struct counter *must_guess(struct txn *t, const char *name)
{
	struct counter *c = rig_guess(t, slice_str(name));

	assert_non_null(c);
	return c;
}

static void test_a_run_of_additions_is_one_step(void **state)
{
	struct rig *g = rig_new(1, false);
	struct txn *t = &g->txns[0];
	int64_t first;

	(void)state;
	assert_int_equal(set(t, "run", 10), TXN_OK);
	assert_true(txn_quick_incr(t, must_guess(t, "run"), 3, 5, &first));
	assert_int_equal(first, 13);
	assert_int_equal(t->told, t->epoch->own);
	assert_value(t, "run", 25);
	assert_true(txn_quick_add(t, must_guess(t, "run"), -2, 4));
	assert_value(t, "run", 17);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "run"), 17);
	rig_free(g);
}

/* Whoever may not take it has changed nothing, and holds nothing. */
static void test_the_short_way_is_for_plain_counters_only(void **state)
{
	struct rig *g = rig_new(2, false);
	struct txn *t = &g->txns[0];
	struct counter *c;
	int64_t value = 4711;

	(void)state;
	assert_int_equal(set(t, "end", INT64_MAX - 2), TXN_OK);
	c = must_guess(t, "end");
	assert_false(txn_quick_incr(t, c, 1, 3, &value));
	assert_false(txn_quick_incr(t, c, INT64_MAX, 2, &value));
	assert_false(txn_quick_add(t, c, INT64_MIN, 2));
	assert_int_equal(value, 4711);
	assert_true(txn_quick_incr(t, c, 1, 2, &value));
	assert_value(t, "end", INT64_MAX);
	assert_int_equal(del(t, "end"), 1);
	assert_false(txn_quick_incr(t, c, -1, 1, &value));
	assert_false(txn_quick_add(t, c, -1, 1));
	assert_false(txn_quick_get(t, c, &value));
	assert_missing(t, "end");
	rig_free(g);
}

static void test_the_short_way_ends_at_a_flush(void **state)
{
	struct rig *g = rig_new(1, false);
	struct txn *t = &g->txns[0];
	struct counter *c;
	int64_t value;

	(void)state;
	assert_int_equal(set(t, "flushed", 1), TXN_OK);
	c = must_guess(t, "flushed");
	txn_flush(t);
	assert_false(txn_quick_incr(t, c, 1, 1, &value));
	assert_false(txn_quick_add(t, c, 1, 1));
	assert_false(txn_quick_get(t, c, &value));
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "flushed"), 0);
	rig_free(g);
}

/* It must seal first, and then may not use what it has looked up. */
static void test_who_is_behind_may_not_take_the_short_way(void **state)
{
	struct rig *g = rig_new(2, false);
	struct txn *ahead = &g->txns[0], *behind = &g->txns[1];
	struct counter *c;
	int64_t value;

	(void)state;
	assert_int_equal(set(ahead, "stamped", 1), TXN_OK);
	c = must_guess(ahead, "stamped");
	epoch_advance(&g->clock);
	epoch_look(ahead->epoch);
	assert_int_equal(set(ahead, "stamped", 2), TXN_OK);
	assert_false(txn_quick_incr(behind, c, 1, 1, &value));
	assert_false(txn_quick_add(behind, c, 1, 1));
	assert_false(txn_quick_get(behind, c, &value));
	epoch_look(behind->epoch);
	assert_true(txn_quick_get(behind, c, &value));
	assert_int_equal(value, 2);
	rig_free(g);
}

static void test_a_name_given_twice_is_one_counter(void **state)
{
	struct rig *g = rig_new(1, false);
	struct txn *t = &g->txns[0];
	struct slice names[] = {slice_str("b"), slice_str("a"), slice_str("b"), slice_str("a"),
				slice_str("b")};

	(void)state;
	assert_int_equal(txn_open(t, names, 5, MODE_SET), TXN_OK);
	assert_ptr_equal(txn_key(t, 0), txn_key(t, 2));
	assert_ptr_equal(txn_key(t, 0), txn_key(t, 4));
	assert_ptr_equal(txn_key(t, 1), txn_key(t, 3));
	assert_true(txn_incr(txn_key(t, 0), 1));
	txn_delete(txn_key(t, 2));
	txn_set(txn_key(t, 4), 7);
	assert_true(txn_incr(txn_key(t, 3), 3));
	assert_int_equal(txn_commit(t), TXN_OK);
	assert_value(t, "b", 7);
	assert_value(t, "a", 3);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "b"), 7);
	assert_int_equal(atomic_load(&g->registry.live_count), 2);
	rig_free(g);
}

static void test_reading_missing_names_leaves_nothing_behind(void **state)
{
	struct rig *g = rig_new(1, false);
	struct txn *t = &g->txns[0];
	struct slice names[] = {slice_str("x"), slice_str("y"), slice_str("x")};

	(void)state;
	assert_missing(t, "x");
	assert_int_equal(txn_open(t, names, 3, TXN_READ), TXN_OK);
	assert_false(txn_key(t, 2)->is_live);
	assert_int_equal(txn_commit(t), TXN_OK);
	assert_int_equal(txn_open(t, names, 3, MODE_DEL), TXN_OK);
	txn_delete(txn_key(t, 0));
	assert_int_equal(txn_commit(t), TXN_OK);
	assert_true(epoch_buffer_is_empty(g->slots[0].open));
	assert_null(record_of(g, "x"));
	rig_free(g);
}

/* SETNX, GETDEL of nothing, an overflow: they open for writing and write nothing. */
static void test_a_record_made_for_nothing_is_reclaimed(void **state)
{
	struct rig *g = rig_new(1, false);
	struct slice name = slice_str("x");
	size_t before = arena_used_bytes(&g->registry.arena);

	(void)state;
	assert_int_equal(txn_open(&g->txns[0], &name, 1, MODE_SET), TXN_OK);
	txn_abort(&g->txns[0]);
	assert_non_null(record_of(g, "x"));
	rig_close_epoch(g);
	rig_close_epoch(g);
	assert_null(record_of(g, "x"));
	assert_int_equal(arena_used_bytes(&g->registry.arena), before);
	rig_free(g);
}

static void test_a_deleted_name_gets_a_new_id(void **state)
{
	struct rig *g = rig_new(1, false);
	struct txn *t = &g->txns[0];
	uint64_t id;

	(void)state;
	assert_int_equal(incr(t, "x", 5, NULL), TXN_OK);
	id = counter_id(counter_object(record_of(g, "x")));
	assert_int_equal(del(t, "x"), 1);
	assert_int_equal(del(t, "x"), 0);
	assert_missing(t, "x");
	assert_int_equal(incr(t, "x", 1, NULL), TXN_OK);
	assert_true(counter_id(counter_object(record_of(g, "x"))) > id);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x"), 1);
	assert_true(recovery_find(&g->recovery, "x") > id);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_run_of_additions_is_one_step),
		cmocka_unit_test(test_the_short_way_is_for_plain_counters_only),
		cmocka_unit_test(test_the_short_way_ends_at_a_flush),
		cmocka_unit_test(test_who_is_behind_may_not_take_the_short_way),
		cmocka_unit_test(test_a_name_given_twice_is_one_counter),
		cmocka_unit_test(test_reading_missing_names_leaves_nothing_behind),
		cmocka_unit_test(test_a_record_made_for_nothing_is_reclaimed),
		cmocka_unit_test(test_a_deleted_name_gets_a_new_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
