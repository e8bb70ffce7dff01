/* SPDX-License-Identifier: MIT */
/*
 * Transactions on counters, several workers played by one thread: what is staged, what is refused, when cells
 * come and go, what waits. The cut between epochs is test_cut.c's.
 */
#include <errno.h>
#include <unistd.h>

#include "core_rig.h"

#define MODE_INCR (TXN_WRITE | TXN_CREATE)
#define MODE_SET  (TXN_WRITE | TXN_CREATE | TXN_WHOLE)
#define MODE_DEL  (TXN_WRITE | TXN_WHOLE)

/* ---- requests as the daemon makes them; "again at once" is done here ---- every other one of those that
 * have a short way takes it, where it is open */

static bool is_turn_of_quick(void)
{
	static unsigned turn;

	return turn++ % 2 == 0;
}

static int incr(struct txn *t, const char *name, int64_t delta, int64_t *value)
{
	struct slice key = slice_str(name);
	int64_t unused;
	int rc;

	if (is_turn_of_quick() && rig_quick_incr(t, key, delta, value ? value : &unused))
		return TXN_OK;
	do {
		rc = txn_open(t, &key, 1, MODE_INCR);
		if (rc)
			break;
		if (!txn_incr(txn_key(t, 0), delta)) {
			txn_abort(t);
			return TXN_OVERFLOW;
		}
		if (value)
			*value = txn_key(t, 0)->value;
		rc = txn_commit(t);
	} while (rc == TXN_WAIT && t->wait_epoch == 0);
	return rc;
}

static int set(struct txn *t, const char *name, int64_t value)
{
	struct slice key = slice_str(name);
	int rc = txn_open(t, &key, 1, MODE_SET);

	if (rc)
		return rc;
	txn_set(txn_key(t, 0), value);
	return txn_commit(t);
}

/* 1 when it was there. */
static int del(struct txn *t, const char *name)
{
	struct slice key = slice_str(name);
	int rc = txn_open(t, &key, 1, MODE_DEL), was_live;

	assert_int_equal(rc, TXN_OK);
	was_live = txn_key(t, 0)->is_live;
	txn_delete(txn_key(t, 0));
	assert_int_equal(txn_commit(t), TXN_OK);
	return was_live;
}

static int add(struct txn *t, const char *name, int64_t delta)
{
	struct slice key = slice_str(name);
	int rc;

	if (is_turn_of_quick() && rig_quick_add(t, key, delta))
		return TXN_OK;
	do
		rc = txn_add(t, &key, &delta, 1);
	while (rc == TXN_WAIT && t->wait_epoch == 0);
	return rc;
}

static bool get(struct txn *t, const char *name, int64_t *value)
{
	struct slice key = slice_str(name);
	bool is_live;

	if (is_turn_of_quick() && rig_quick_get(t, key, value))
		return true;
	assert_int_equal(txn_open(t, &key, 1, TXN_READ), TXN_OK);
	is_live = txn_key(t, 0)->is_live;
	*value = txn_key(t, 0)->value;
	assert_int_equal(txn_commit(t), TXN_OK);
	return is_live;
}

static void assert_value(struct txn *t, const char *name, int64_t want)
{
	int64_t value;

	assert_true(get(t, name, &value));
	assert_int_equal(value, want);
}

static void assert_missing(struct txn *t, const char *name)
{
	int64_t value;

	assert_false(get(t, name, &value));
	assert_int_equal(value, 0);
}

static struct counter *record_of(struct rig *g, const char *name)
{
	struct slice key = slice_str(name);

	return registry_find(&g->registry, key, registry_hash(&g->registry, key));
}

static bool has_cells(struct rig *g, const char *name)
{
	struct counter *c = record_of(g, name);

	assert_non_null(c);
	return counter_has_cells(counter_object(c));
}

/* What is on disk after a crash now. */
static int64_t recovered(struct rig *g, const char *name)
{
	uint64_t id = recovery_find(&g->recovery, name);

	return id ? (int64_t)g->recovery.by_id[id].value : 0;
}

static struct rig *new_rig(uint32_t workers, bool is_always_cells)
{
	struct rig *g = malloc(sizeof(*g));

	assert_non_null(g);
	rig_init(g, workers, 1, is_always_cells);
	return g;
}

static void free_rig(struct rig *g)
{
	rig_fini(g);
	free(g);
}

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
	struct rig *g = new_rig(1, false);
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
	free_rig(g);
}

/* ---- the short way ---- */

static struct counter *must_guess(struct txn *t, const char *name)
{
	struct counter *c = rig_guess(t, slice_str(name));

	assert_non_null(c);
	return c;
}

static void test_a_run_of_additions_is_one_step(void **state)
{
	struct rig *g = new_rig(1, false);
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
	free_rig(g);
}

/* Whoever may not take it has changed nothing, and holds nothing. */
static void test_the_short_way_is_for_plain_counters_only(void **state)
{
	struct rig *g = new_rig(2, false);
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
	free_rig(g);
}

static void test_the_short_way_ends_at_a_flush(void **state)
{
	struct rig *g = new_rig(1, false);
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
	free_rig(g);
}

/* It must seal first, and then may not use what it has looked up. */
static void test_who_is_behind_may_not_take_the_short_way(void **state)
{
	struct rig *g = new_rig(2, false);
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
	free_rig(g);
}

static void test_a_name_given_twice_is_one_counter(void **state)
{
	struct rig *g = new_rig(1, false);
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
	free_rig(g);
}

static void test_reading_missing_names_leaves_nothing_behind(void **state)
{
	struct rig *g = new_rig(1, false);
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
	free_rig(g);
}

/* SETNX, GETDEL of nothing, an overflow: they open for writing and write nothing. */
static void test_a_record_made_for_nothing_is_reclaimed(void **state)
{
	struct rig *g = new_rig(1, false);
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
	free_rig(g);
}

static void test_a_deleted_name_gets_a_new_id(void **state)
{
	struct rig *g = new_rig(1, false);
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
	free_rig(g);
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
			struct rig *g = new_rig(3, is_sharded);
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
			free_rig(g);
		}
	}
}

/* base + cells fit whatever each worker adds without asking: to both ends, one step at a time. */
static void test_cells_fill_to_the_ends_and_not_beyond(void **state)
{
	(void)state;
	for (int sign = -1; sign <= 1; sign += 2) {
		struct rig *g = new_rig(4, true);
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
		free_rig(g);
	}
}

/* ---- cells ---- */

static void test_cells_come_with_contention_on_the_sharded_path_only(void **state)
{
	struct rig *g = new_rig(2, false);

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
	free_rig(g);
}

static void test_cells_always_means_from_the_first_addition(void **state)
{
	struct rig *g = new_rig(2, true);
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
	free_rig(g);
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
	struct rig *g = new_rig(2, true);
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
	free_rig(g);
}

static void test_a_look_at_the_parts_tells_contention_while_it_is_fresh(void **state)
{
	struct rig *g = new_rig(2, false);

	(void)state;
	for (int n = 0; n < 3; n++)
		assert_int_equal(add(&g->txns[(n + 1) % 2], "x", 1), TXN_OK);
	assert_int_equal(parts_of(g, 0, "x").heat, 3);
	assert_int_equal(parts_of(g, 0, "x").cell_count, 0);
	rig_close_epoch(g);
	rig_close_epoch(g);
	assert_int_equal(parts_of(g, 0, "x").heat, 0);
	free_rig(g);
}

static void test_a_look_at_the_parts_tells_a_merge(void **state)
{
	struct rig *g = new_rig(2, true);

	(void)state;
	assert_int_equal(add(&g->txns[0], "x", 1), TXN_OK);
	assert_false(parts_of(g, 0, "x").is_merging);
	assert_int_equal(set(&g->txns[1], "x", 5), TXN_WAIT);
	assert_true(parts_of(g, 0, "x").is_merging);
	free_rig(g);
}

static void test_setting_waits_until_the_cells_are_still(void **state)
{
	struct rig *g = new_rig(2, true);

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
	free_rig(g);
}

/* A worker that has looked may still add to its cell until it seals: the merge must not be due before. */
static void test_a_merge_waits_for_the_worker_that_has_not_sealed(void **state)
{
	struct rig *g = new_rig(2, true);

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
	free_rig(g);
}

/* Two counters that must be whole at once, while others keep adding to both. However it begins, a few closed
 * epochs must be enough. */
static void test_a_transaction_over_counters_with_cells_gets_its_turn(void **state)
{
	struct slice names[] = {slice_str("a"), slice_str("b")};
	struct rig *g = new_rig(3, true);
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
	free_rig(g);
}

/* ---- several additions ---- */

static void test_additions_are_all_done_or_none(void **state)
{
	struct slice names[] = {slice_str("cell"), slice_str("plain"), slice_str("full"), slice_str("cell")};
	int64_t deltas[] = {1, 10, 1, 2};
	struct rig *g = new_rig(2, false);
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
	free_rig(g);
}

/* More names than a transaction keeps memory for, and some of them with cells. */
static void test_a_huge_addition_reaches_cells_too(void **state)
{
	enum { COUNT = 5000 };
	struct slice *names = calloc(COUNT, sizeof(*names));
	int64_t *deltas = calloc(COUNT, sizeof(*deltas));
	char(*text)[16] = calloc(COUNT, sizeof(*text));
	struct rig *g = new_rig(2, false);

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
	free_rig(g);
}

/* ---- FLUSHALL ---- */

static void test_flushing_deletes_what_is_there_and_nothing_later(void **state)
{
	struct rig *g = new_rig(2, true);
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
	free_rig(g);
}

/* The sweep leaves records without an object, as a delete does; whoever uses the name next in an older epoch
 * would bring two objects of one name to the disk. */
static void test_a_swept_name_carries_the_epoch_of_the_flush(void **state)
{
	struct rig *g = new_rig(2, false);

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
	free_rig(g);
}

/* ---- limits ---- */

static void test_names_refused_for_memory_take_none(void **state)
{
	struct slice names[500];
	static char text[500][16];
	struct rig *g = new_rig(1, false);
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
	free_rig(g);
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
	free_rig(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_transactions_do_what_the_oracle_does),
		cmocka_unit_test(test_a_run_of_additions_is_one_step),
		cmocka_unit_test(test_the_short_way_is_for_plain_counters_only),
		cmocka_unit_test(test_the_short_way_ends_at_a_flush),
		cmocka_unit_test(test_who_is_behind_may_not_take_the_short_way),
		cmocka_unit_test(test_a_name_given_twice_is_one_counter),
		cmocka_unit_test(test_reading_missing_names_leaves_nothing_behind),
		cmocka_unit_test(test_a_record_made_for_nothing_is_reclaimed),
		cmocka_unit_test(test_a_deleted_name_gets_a_new_id),
		cmocka_unit_test(test_nothing_passes_the_ends_of_the_range),
		cmocka_unit_test(test_cells_fill_to_the_ends_and_not_beyond),
		cmocka_unit_test(test_cells_come_with_contention_on_the_sharded_path_only),
		cmocka_unit_test(test_cells_always_means_from_the_first_addition),
		cmocka_unit_test(test_a_look_at_the_parts_tells_the_epoch_of_the_newest_change),
		cmocka_unit_test(test_a_look_at_the_parts_tells_contention_while_it_is_fresh),
		cmocka_unit_test(test_a_look_at_the_parts_tells_a_merge),
		cmocka_unit_test(test_setting_waits_until_the_cells_are_still),
		cmocka_unit_test(test_a_merge_waits_for_the_worker_that_has_not_sealed),
		cmocka_unit_test(test_a_transaction_over_counters_with_cells_gets_its_turn),
		cmocka_unit_test(test_additions_are_all_done_or_none),
		cmocka_unit_test(test_a_huge_addition_reaches_cells_too),
		cmocka_unit_test(test_flushing_deletes_what_is_there_and_nothing_later),
		cmocka_unit_test(test_a_swept_name_carries_the_epoch_of_the_flush),
		cmocka_unit_test(test_names_refused_for_memory_take_none),
		cmocka_unit_test(test_old_stamps_are_not_taken_for_new_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
