/* SPDX-License-Identifier: MIT */
/* When cells come and go, what they tell of themselves, and who waits for them. */
#include "txn_rig.h"

/* ---- cells ---- */

static void test_cells_come_with_contention_on_the_sharded_path_only(void **state)
{
	struct rig *g = rig_new(2, false);

	(void)state;
	for (int n = 0; n < 100; n++) {
		assert_int_equal(add(&g->txns[0], "lonely", 1), TXN_OK);
		assert_int_equal(incr(&g->txns[n % 2], "exact", 1, NULL), TXN_OK);
		assert_int_equal(add(&g->txns[n % 2], "hot", 1), TXN_OK);
	}
	assert_false(has_cells(g, "lonely"));
	assert_false(has_cells(g, "exact"));
	assert_true(has_cells(g, "hot"));
	assert_value(&g->txns[0], "hot", 100);
	/* Now and then from another worker, epochs apart, is no contention. */
	for (int n = 0; n < 50; n++) {
		assert_int_equal(add(&g->txns[n % 2], "cool", 1), TXN_OK);
		rig_close_epoch(g);
		rig_close_epoch(g);
	}
	assert_false(has_cells(g, "cool"));
	assert_int_equal(recovered(g, "hot"), 100);
	rig_free(g);
}

static void test_cells_always_means_from_the_first_addition(void **state)
{
	struct rig *g = rig_new(2, true);
	int64_t cells[4], value;
	struct txn_parts parts;

	(void)state;
	assert_int_equal(incr(&g->txns[0], "x", 1, &value), TXN_OK);
	assert_true(has_cells(g, "x"));
	assert_int_equal(add(&g->txns[0], "x", 10), TXN_OK);
	assert_int_equal(add(&g->txns[1], "x", 100), TXN_OK);
	assert_int_equal(incr(&g->txns[1], "x", 1, &value), TXN_OK);
	assert_int_equal(value, 112);
	txn_look_at_parts(&g->txns[0], slice_str("x"), &parts, cells);
	assert_true(parts.is_live);
	assert_int_equal(parts.cell_count, 2);
	assert_int_equal(parts.base, 2);
	assert_int_equal(cells[0], 10);
	assert_int_equal(cells[1], 100);
	txn_look_at_parts(&g->txns[0], slice_str("y"), &parts, cells);
	assert_false(parts.is_live);
	rig_free(g);
}

static struct txn_parts parts_of(struct rig *g, uint32_t worker, const char *name)
{
	struct txn_parts parts;
	int64_t cells[4];

	txn_begin(&g->txns[worker]);
	txn_look_at_parts(&g->txns[worker], slice_str(name), &parts, cells);
	return parts;
}

static void test_a_look_at_the_parts_tells_the_epoch_of_the_newest_change(void **state)
{
	struct rig *g = rig_new(2, true);
	uint64_t epoch;

	(void)state;
	assert_int_equal(parts_of(g, 0, "x").changed_epoch, 0);
	assert_int_equal(add(&g->txns[1], "x", 1), TXN_OK);
	epoch = epoch_open(&g->clock);
	assert_int_equal(parts_of(g, 0, "x").changed_epoch, epoch);
	assert_int_equal(g->txns[0].told, epoch);
	for (int i = 0; i < 3; i++)
		rig_close_epoch(g);
	assert_int_equal(parts_of(g, 0, "x").changed_epoch, epoch);
	assert_int_equal(g->txns[0].told, 0);
	/* A worker that has not looked yet meets a change of the next epoch. */
	rig_advance(g);
	epoch_look(&g->slots[1]);
	assert_int_equal(add(&g->txns[1], "x", 1), TXN_OK);
	assert_int_equal(parts_of(g, 0, "x").changed_epoch, g->slots[0].own + 1);
	assert_int_equal(g->txns[0].told, g->slots[0].own + 1);
	epoch_look(&g->slots[0]);
	assert_false(rig_collect(g, 0));
	assert_true(rig_collect(g, 1));
	rig_commit(g);
	/* From here on what is below the first epoch is from before. */
	g->clock.first = epoch_open(&g->clock) + 1;
	assert_int_equal(parts_of(g, 0, "x").changed_epoch, 0);
	rig_free(g);
}

static void test_a_look_at_the_parts_tells_contention_while_it_is_fresh(void **state)
{
	struct rig *g = rig_new(2, false);

	(void)state;
	for (int n = 0; n < 3; n++)
		assert_int_equal(add(&g->txns[(n + 1) % 2], "x", 1), TXN_OK);
	assert_int_equal(parts_of(g, 0, "x").heat, 3);
	assert_int_equal(parts_of(g, 0, "x").cell_count, 0);
	rig_close_epoch(g);
	rig_close_epoch(g);
	assert_int_equal(parts_of(g, 0, "x").heat, 0);
	rig_free(g);
}

static void test_a_look_at_the_parts_tells_a_merge(void **state)
{
	struct rig *g = rig_new(2, true);

	(void)state;
	assert_int_equal(add(&g->txns[0], "x", 1), TXN_OK);
	assert_false(parts_of(g, 0, "x").is_merging);
	assert_int_equal(set(&g->txns[1], "x", 5), TXN_WAIT);
	assert_true(parts_of(g, 0, "x").is_merging);
	rig_free(g);
}

static void test_setting_waits_until_the_cells_are_still(void **state)
{
	struct rig *g = rig_new(2, true);

	(void)state;
	assert_int_equal(add(&g->txns[0], "x", 10), TXN_OK);
	assert_int_equal(add(&g->txns[1], "x", 20), TXN_OK);
	assert_int_equal(set(&g->txns[0], "x", 5), TXN_WAIT);
	assert_int_equal(g->txns[0].wait_epoch, epoch_open(&g->clock));
	/* Nothing is held meanwhile, and nothing lost: additions go to base. */
	assert_int_equal(add(&g->txns[1], "x", 30), TXN_OK);
	assert_value(&g->txns[0], "x", 60);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x"), 60);
	assert_int_equal(set(&g->txns[0], "x", 5), TXN_OK);
	assert_value(&g->txns[1], "x", 5);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x"), 5);
	rig_free(g);
}

/* A worker that has looked may still add to its cell until it seals: the merge must not be due before. */
static void test_a_merge_waits_for_the_worker_that_has_not_sealed(void **state)
{
	struct rig *g = rig_new(2, true);

	(void)state;
	assert_int_equal(add(&g->txns[1], "x", 1), TXN_OK);
	assert_int_equal(set(&g->txns[0], "x", 5), TXN_WAIT);
	rig_advance(g);
	epoch_look(&g->slots[0]);
	assert_false(rig_collect(g, 0));
	assert_false(rig_collect(g, 1));
	assert_int_equal(set(&g->txns[0], "x", 5), TXN_WAIT);
	assert_int_equal(add(&g->txns[1], "x", 1), TXN_OK);
	epoch_look(&g->slots[1]);
	assert_true(rig_collect(g, 1));
	assert_int_equal(set(&g->txns[0], "x", 5), TXN_OK);
	rig_commit(g);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x"), 5);
	rig_free(g);
}

/* Two counters that must be whole at once, while others keep adding to both. However it begins, a few closed
 * epochs must be enough. */
static void test_a_transaction_over_counters_with_cells_gets_its_turn(void **state)
{
	struct slice names[] = {slice_str("a"), slice_str("b")};
	struct rig *g = rig_new(3, true);
	int rounds, rc = TXN_WAIT;

	(void)state;
	assert_int_equal(add(&g->txns[1], "a", 1), TXN_OK);
	assert_int_equal(add(&g->txns[1], "b", 1), TXN_OK);
	/* a is merged by somebody, b is not. */
	assert_int_equal(set(&g->txns[2], "a", 1), TXN_WAIT);
	rig_close_epoch(g);
	assert_int_equal(set(&g->txns[2], "a", 1), TXN_OK);
	for (rounds = 0; rounds < 20 && rc == TXN_WAIT; rounds++) {
		rc = txn_open(&g->txns[0], names, 2, MODE_SET);
		if (rc == TXN_WAIT) {
			assert_int_equal(add(&g->txns[1], "a", 1), TXN_OK);
			assert_int_equal(add(&g->txns[1], "b", 1), TXN_OK);
			rig_close_epoch(g);
		}
	}
	assert_int_equal(rc, TXN_OK);
	assert_true(rounds <= 4);
	txn_abort(&g->txns[0]);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells_come_with_contention_on_the_sharded_path_only),
		cmocka_unit_test(test_cells_always_means_from_the_first_addition),
		cmocka_unit_test(test_a_look_at_the_parts_tells_the_epoch_of_the_newest_change),
		cmocka_unit_test(test_a_look_at_the_parts_tells_contention_while_it_is_fresh),
		cmocka_unit_test(test_a_look_at_the_parts_tells_a_merge),
		cmocka_unit_test(test_setting_waits_until_the_cells_are_still),
		cmocka_unit_test(test_a_merge_waits_for_the_worker_that_has_not_sealed),
		cmocka_unit_test(test_a_transaction_over_counters_with_cells_gets_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
