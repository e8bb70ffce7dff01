/* SPDX-License-Identifier: MIT */
/*
 * test_top.c - what SHC.TOP is told, with workers and epochs that are driven by hand: every period is held
 * against a model that adds up the same changes.
 */
#include "store_fixture.h"

#include <time.h>

#include "../../daemon/top.h"
#include "core_rig.h"

enum {
	NAMES = 40,
	WORKERS = 3,
	SECOND_MS = 1000,
	PERIOD_MS_MIN = 980, /* a second, less what top.c lets pass for one */
};
#define NS_A_MS INT64_C(1000000)

struct scene {
	struct rig rig;
	struct store *store;
	struct picture loaded;
	struct top top;
	int64_t now_ms; /* of the epochs; results have the time of the clock */
	bool has_result, has_no_walk;
	struct rng rng;
	/* of the period, and of all of them since it was asked for */
	int64_t change[NAMES], total[NAMES], told[NAMES];
};

static struct scene *begin(const struct fixture *f, uint32_t workers, bool is_always_cells)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->store = open_and_load(f->path, &s->loaded);
	rig_init(&s->rig, workers, 1, is_always_cells);
	top_init(&s->top);
	s->now_ms = 1000000;
	s->rng.state = 1;
	return s;
}

static void end(struct scene *s)
{
	top_fini(&s->top);
	rig_fini(&s->rig);
	picture_free(&s->loaded);
	store_close(s->store);
	free(s);
}

/* Ends an epoch `ms` after the one before. */
static bool close_epoch(struct scene *s, int64_t ms)
{
	const struct top_names names = {.store = s->store, .registry = &s->rig.registry};
	struct rig *g = &s->rig;

	/* Its time is that of the clock, of which hardly any has passed. */
	if (!s->has_no_walk)
		s->top.walk_after_ns = 0;
	s->now_ms += ms;
	rig_advance(g);
	for (uint32_t i = 0; i < g->workers; i++) {
		epoch_look(&g->slots[i]);
		(void)rig_collect(g, i);
	}
	s->has_result = top_end_epoch(&s->top, g->buffers, g->buffer_count, s->now_ms * NS_A_MS, &names);
	rig_commit(g);
	return s->has_result;
}

static bool ask(struct scene *s)
{
	return top_ask(&s->top, s->now_ms);
}

static void arm(struct scene *s)
{
	assert_false(ask(s));
	assert_false(close_epoch(s, 1));
	assert_true(ask(s));
}

static struct slice name_at(size_t i, char room[16])
{
	snprintf(room, 16, "c%02zu", i);
	return slice_str(room);
}

static void incr(struct scene *s, uint32_t worker, const char *name, int64_t delta)
{
	struct slice key = slice_str(name);
	struct txn *t = &s->rig.txns[worker];

	epoch_look(&s->rig.slots[worker]);
	txn_begin(t);
	assert_int_equal(txn_open(t, &key, 1, TXN_WRITE | TXN_CREATE), TXN_OK);
	assert_true(txn_incr(txn_key(t, 0), delta));
	assert_int_equal(txn_commit(t), TXN_OK);
}

static void del(struct scene *s, uint32_t worker, const char *name)
{
	struct slice key = slice_str(name);
	struct txn *t = &s->rig.txns[worker];

	epoch_look(&s->rig.slots[worker]);
	txn_begin(t);
	assert_int_equal(txn_open(t, &key, 1, TXN_WRITE | TXN_WHOLE), TXN_OK);
	txn_delete(txn_key(t, 0));
	assert_int_equal(txn_commit(t), TXN_OK);
}

static void add(struct scene *s, uint32_t worker, size_t i, int64_t delta)
{
	char room[16];
	struct slice name = name_at(i, room);
	struct txn *t = &s->rig.txns[worker];

	epoch_look(&s->rig.slots[worker]);
	txn_begin(t);
	assert_int_equal(txn_add(t, &name, &delta, 1), TXN_OK);
	s->change[i] += delta;
	s->total[i] += delta;
}

static struct top_result *newest(struct scene *s)
{
	struct top_result *r = top_newest(&s->top, clock_ms(CLOCK_MONOTONIC));

	assert_non_null(r);
	return r;
}

static const struct top_entry *entry_of(const struct top_result *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->entries[i].name_len == strlen(name) &&
		    memcmp(r->entries[i].name, name, strlen(name)) == 0)
			return &r->entries[i];
	return NULL;
}

static int64_t change_of(struct scene *s, const char *name)
{
	struct top_result *r = newest(s);
	const struct top_entry *e = entry_of(r, name);
	int64_t change = e ? e->change : 0;

	top_unref(&s->top, r);
	return change;
}

static size_t told_count(struct scene *s)
{
	struct top_result *r = newest(s);
	size_t count = r->count;

	top_unref(&s->top, r);
	return count;
}

/* The period that has just ended: all that has changed, and nothing else, in order. */
static void check_period(struct scene *s, int64_t duration_ms)
{
	struct top_result *r = newest(s);
	size_t changed = 0;

	assert_int_equal(r->duration_ns, duration_ms * NS_A_MS);
	for (size_t i = 0; i < NAMES; i++) {
		char room[16];
		const struct top_entry *e = entry_of(r, name_at(i, room).data);

		assert_int_equal(e ? e->change : 0, s->change[i]);
		changed += e != NULL;
		s->told[i] += s->change[i];
		s->change[i] = 0;
	}
	assert_int_equal(r->count, changed);
	for (size_t i = 1; i < r->count; i++) {
		uint64_t before = tally_size((uint64_t)r->entries[i - 1].change);
		uint64_t size = tally_size((uint64_t)r->entries[i].change);

		assert_true(before >= size);
		if (before == size)
			assert_true(memcmp(r->entries[i - 1].name, r->entries[i].name, 3) < 0);
	}
	top_unref(&s->top, r);
}

/* ---- adding up ---- */

static void add_some(struct scene *s, size_t count)
{
	for (size_t n = 0; n < count; n++)
		add(s, rng_below(&s->rng, WORKERS), rng_below(&s->rng, NAMES),
		    (int64_t)rng_below(&s->rng, 21) - 10);
}

/* With cells and without; epochs from a millisecond to longer than a period. */
static void test_periods_add_up_to_all_that_was_changed(void **state)
{
	static const int64_t lengths_ms[] = {1, 100, 334, 1000, 2500};

	for (size_t round = 0; round < 10; round++) {
		struct scene *s = begin(*state, WORKERS, round % 2);
		int64_t duration_ms = 0;

		add_some(s, 100);
		arm(s);
		memset(s->change, 0, sizeof(s->change));
		memset(s->total, 0, sizeof(s->total));
		for (size_t epochs = 0; epochs < 200 || duration_ms; epochs++) {
			add_some(s, rng_below(&s->rng, 200));
			ask(s);
			duration_ms += lengths_ms[round / 2];
			assert_int_equal(close_epoch(s, lengths_ms[round / 2]), duration_ms >= PERIOD_MS_MIN);
			if (s->has_result) {
				check_period(s, duration_ms);
				duration_ms = 0;
			}
		}
		assert_memory_equal(s->told, s->total, sizeof(s->total));
		end(s);
	}
}

static void test_a_period_ends_early_rather_than_have_too_many_sums(void **state)
{
	struct scene *s = begin(*state, WORKERS, false);
	uint64_t periods = 0;

	arm(s);
	s->top.tally_max = 10;
	for (size_t epochs = 0; epochs < 100; epochs++) {
		size_t first = rng_below(&s->rng, NAMES - 15), count = rng_below(&s->rng, 15);

		/* At most as many as fit, or more in a single epoch. */
		for (size_t i = first; i < first + count; i++)
			add(s, rng_below(&s->rng, WORKERS), i, 1 + (int64_t)i);
		ask(s);
		if (!close_epoch(s, 10))
			continue;
		/* It may have been two: then the last is told, and both have ended. */
		assert_in_range(atomic_load(&s->top.periods) - periods, 1, 2);
		periods = atomic_load(&s->top.periods);
		assert_true(s->top.tally.count <= 10);
	}
	assert_true(periods > 10);
	end(s);
}

static void test_one_epoch_with_more_than_fits_is_told_exactly(void **state)
{
	struct scene *s = begin(*state, WORKERS, false);

	arm(s);
	s->top.tally_max = 3;
	for (size_t i = 0; i < NAMES; i++)
		for (uint32_t worker = 0; worker < WORKERS; worker++)
			add(s, worker, i, (int64_t)i - 7);
	ask(s);
	assert_true(close_epoch(s, 50));
	check_period(s, 50);
	end(s);
}

static void test_the_thousand_busiest_of_a_hundred_thousand(void **state)
{
	enum { MANY = 100000 };
	struct scene *s = begin(*state, 1, false);
	struct top_result *r;
	char name[16];

	arm(s);
	for (int i = 1; i <= MANY; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		incr(s, 0, name, i % 2 ? i : -i);
	}
	ask(s);
	assert_true(close_epoch(s, SECOND_MS));
	r = newest(s);
	assert_int_equal(r->count, TOP_MAX);
	for (int i = 0; i < TOP_MAX; i++) {
		snprintf(name, sizeof(name), "n%d", MANY - i);
		assert_int_equal(r->entries[i].change, (MANY - i) % 2 ? MANY - i : -(MANY - i));
		assert_ptr_equal(entry_of(r, name), &r->entries[i]);
	}
	top_unref(&s->top, r);
	end(s);
}

/* ---- who is asked for ---- */

static void test_nothing_is_added_up_when_nobody_asks(void **state)
{
	struct scene *s = begin(*state, WORKERS, false);

	for (int i = 0; i < 50; i++) {
		add_some(s, 100);
		assert_int_equal(top_due_ms(&s->top, s->now_ms), -1);
		assert_false(close_epoch(s, 400));
	}
	assert_int_equal(atomic_load(&s->top.changes), 0);
	assert_int_equal(atomic_load(&s->top.periods), 0);
	assert_null(s->top.tally.slots);
	assert_null(top_newest(&s->top, clock_ms(CLOCK_MONOTONIC)));
	end(s);
}

static void test_it_ends_ten_seconds_after_the_last_question(void **state)
{
	struct scene *s = begin(*state, WORKERS, false);
	uint64_t changes;
	int periods = 0;

	assert_false(ask(s));
	assert_int_equal(top_due_ms(&s->top, s->now_ms), 0);
	assert_false(close_epoch(s, 1));
	while (atomic_load(&s->top.is_counting)) {
		assert_in_range(top_due_ms(&s->top, s->now_ms), 1, SECOND_MS);
		add_some(s, 10);
		assert_true(close_epoch(s, SECOND_MS));
		periods++;
	}
	assert_int_equal(periods, 10);
	assert_int_equal(top_due_ms(&s->top, s->now_ms), -1);
	changes = atomic_load(&s->top.changes);
	add_some(s, 10);
	assert_false(close_epoch(s, SECOND_MS));
	assert_int_equal(atomic_load(&s->top.changes), changes);
	/* Asked again: what was before is not told. */
	arm(s);
	assert_null(top_newest(&s->top, clock_ms(CLOCK_MONOTONIC)));
	assert_true(close_epoch(s, SECOND_MS));
	assert_int_equal(told_count(s), 0);
	end(s);
}

static void test_an_idle_daemon_is_told_as_idle(void **state)
{
	struct scene *s = begin(*state, 1, false);

	arm(s);
	incr(s, 0, "x", 5);
	assert_true(close_epoch(s, SECOND_MS));
	assert_int_equal(told_count(s), 1);
	assert_int_equal(top_due_ms(&s->top, s->now_ms), SECOND_MS);
	assert_int_equal(top_due_ms(&s->top, s->now_ms + SECOND_MS), 0);
	assert_true(close_epoch(s, SECOND_MS));
	assert_int_equal(told_count(s), 0);
	end(s);
}

static void test_an_old_result_is_not_told(void **state)
{
	struct scene *s = begin(*state, 1, false);
	struct top_result *r;
	int64_t published_ms;

	arm(s);
	assert_true(close_epoch(s, SECOND_MS));
	r = newest(s);
	published_ms = r->published_ms;
	top_unref(&s->top, r);
	r = top_newest(&s->top, published_ms + TOP_ASKED_MS);
	assert_non_null(r);
	top_unref(&s->top, r);
	assert_null(top_newest(&s->top, published_ms + TOP_ASKED_MS + 1));
	end(s);
}

static void test_a_result_that_somebody_holds_stays_as_it_is(void **state)
{
	struct scene *s = begin(*state, 1, false);
	struct top_result *held, *again;

	arm(s);
	incr(s, 0, "x", 5);
	assert_true(close_epoch(s, SECOND_MS));
	held = newest(s);
	again = newest(s);
	incr(s, 0, "x", 7);
	assert_true(close_epoch(s, SECOND_MS));
	assert_true(close_epoch(s, SECOND_MS));
	assert_int_equal(held->entries[0].change, 5);
	top_unref(&s->top, held);
	assert_int_equal(again->entries[0].change, 5);
	top_unref(&s->top, again);
	end(s);
}

/* ---- what has been deleted ---- */

static void test_deleted_counters_are_left_out(void **state)
{
	for (int is_long = 0; is_long < 2; is_long++) {
		struct scene *s = begin(*state, 2, false);

		incr(s, 0, "old", 1);
		incr(s, 0, "reborn", 100);
		arm(s);
		incr(s, 0, "old", 10);
		incr(s, 0, "reborn", 10);
		incr(s, 0, "passing", 50);
		incr(s, 1, "stays", 3);
		/* By the other worker, in the same epoch and in the next. */
		del(s, 1, "passing");
		if (is_long)
			assert_false(close_epoch(s, 500));
		del(s, 1, "old");
		del(s, 1, "reborn");
		incr(s, 1, "reborn", 4);
		assert_true(close_epoch(s, SECOND_MS));
		assert_int_equal(told_count(s), 2);
		assert_int_equal(change_of(s, "stays"), 3);
		assert_int_equal(change_of(s, "reborn"), 4);
		end(s);
	}
}

static void test_a_flush_leaves_nothing_of_before(void **state)
{
	struct scene *s = begin(*state, 1, false);

	arm(s);
	incr(s, 0, "x", 10);
	incr(s, 0, "y", 10);
	epoch_look(&s->rig.slots[0]);
	txn_begin(&s->rig.txns[0]);
	txn_flush(&s->rig.txns[0]);
	incr(s, 0, "x", 3);
	assert_true(close_epoch(s, SECOND_MS));
	assert_int_equal(told_count(s), 1);
	assert_int_equal(change_of(s, "x"), 3);
	end(s);
}

/* More of them than are kept do not push out what is alive. */
static void test_deleted_counters_take_no_place(void **state)
{
	struct scene *s = begin(*state, 1, false);
	char name[16];

	arm(s);
	incr(s, 0, "alive", 1);
	for (int i = 0; i < 3 * TOP_MAX; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		incr(s, 0, name, 1000);
		del(s, 0, name);
	}
	assert_true(close_epoch(s, SECOND_MS));
	assert_int_equal(told_count(s), 1);
	assert_int_equal(change_of(s, "alive"), 1);
	end(s);
}

/* ---- names ---- */

static void fold(struct store *store, uint64_t epoch, uint64_t id, const char *name)
{
	const struct journal_delta delta = {.id = id, .delta = 1};
	struct journal_writer w;
	int rc;

	journal_writer_init(&w, 0);
	journal_put_name(&w, id, slice_str(name));
	journal_put_deltas(&w, &delta, 1);
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(store_commit(store, epoch, &w, NULL, 0, id + 1), STORE_OK);
	journal_writer_fini(&w);
	assert_int_equal(store_fold_begin(store), STORE_AGAIN);
	while ((rc = store_fold_step(store, 1000)) == STORE_AGAIN)
		continue;
	assert_int_equal(rc, STORE_OK);
}

static void test_the_snapshot_knows_names(void **state)
{
	struct scene *s = begin(*state, 1, false);
	char name[NAME_LEN_MAX];
	uint64_t epoch = s->loaded.state.epoch_first;

	fold(s->store, epoch, 5, "five");
	fold(s->store, epoch + 1, 7, "seven");
	assert_int_equal(store_name_of(s->store, 5, name), 4);
	assert_memory_equal(name, "five", 4);
	assert_int_equal(store_name_of(s->store, 7, name), 5);
	assert_memory_equal(name, "seven", 5);
	/* Neither the next one nor none. */
	assert_int_equal(store_name_of(s->store, 6, name), 0);
	assert_int_equal(store_name_of(s->store, 8, name), 0);
	end(s);
}

/* By the name that only the snapshot has, it is seen where names come from. */
static void test_names_come_from_the_snapshot_and_else_from_the_registry(void **state)
{
	struct scene *s = begin(*state, 1, false);

	fold(s->store, s->loaded.state.epoch_first, 1, "as folded");
	arm(s);
	incr(s, 0, "first", 5); /* has id 1 */
	incr(s, 0, "second", 7);
	assert_true(close_epoch(s, SECOND_MS));
	assert_int_equal(change_of(s, "as folded"), 5);
	assert_int_equal(change_of(s, "second"), 7);
	end(s);
}

static void test_names_of_the_period_before_are_not_looked_for(void **state)
{
	struct scene *s = begin(*state, 1, false);

	arm(s);
	incr(s, 0, "x", 5);
	assert_true(close_epoch(s, SECOND_MS));
	s->has_no_walk = true;
	s->top.walk_after_ns = INT64_MAX;
	incr(s, 0, "x", 6);
	incr(s, 0, "y", 6);
	assert_true(close_epoch(s, SECOND_MS));
	assert_int_equal(change_of(s, "x"), 6);
	assert_int_equal(told_count(s), 1);
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_periods_add_up_to_all_that_was_changed),
		fixture_test(test_a_period_ends_early_rather_than_have_too_many_sums),
		fixture_test(test_one_epoch_with_more_than_fits_is_told_exactly),
		fixture_test(test_the_thousand_busiest_of_a_hundred_thousand),
		fixture_test(test_nothing_is_added_up_when_nobody_asks),
		fixture_test(test_it_ends_ten_seconds_after_the_last_question),
		fixture_test(test_an_idle_daemon_is_told_as_idle),
		fixture_test(test_an_old_result_is_not_told),
		fixture_test(test_a_result_that_somebody_holds_stays_as_it_is),
		fixture_test(test_deleted_counters_are_left_out),
		fixture_test(test_a_flush_leaves_nothing_of_before),
		fixture_test(test_deleted_counters_take_no_place),
		fixture_test(test_the_snapshot_knows_names),
		fixture_test(test_names_come_from_the_snapshot_and_else_from_the_registry),
		fixture_test(test_names_of_the_period_before_are_not_looked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
