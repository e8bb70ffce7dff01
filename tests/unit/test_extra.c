/* SPDX-License-Identifier: MIT */
/*
 * What counters have beside their values, in transactions: expiry, the state of a limit, hits. Goal: what has
 * expired is not there, at one moment for all counters of a transaction; states and hits are recorded in the
 * epoch of what they belong to, or nothing is; what is on disk is what was in memory.
 *
 * Method: several workers played by one thread, under a clock that the test sets.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "../../daemon/window.h"
#include "clock_rig.h"
#include "core_rig.h"

#define MODE_INCR (TXN_WRITE | TXN_CREATE)
#define MODE_SET  (TXN_WRITE | TXN_CREATE | TXN_WHOLE)

static void free_rig(struct rig *g)
{
	atomic_store(&clock_rig_hook, NULL);
	rig_free(g);
}

static int64_t now_ms(void)
{
	return atomic_load(&clock_rig_wall_ms);
}

static int64_t now_s(struct rig *g)
{
	return steady_clock_ns(&g->registry.steady) / CLOCK_NS_PER_S;
}

/* ---- requests as the daemon makes them ---- */

static struct txn_key *open_one(struct txn *t, const char *name, unsigned mode)
{
	struct slice key = slice_str(name);

	txn_begin(t);
	assert_int_equal(txn_open(t, &key, 1, mode), TXN_OK);
	return txn_key(t, 0);
}

static void commit(struct txn *t)
{
	assert_int_equal(txn_commit(t), TXN_OK);
}

/* at_ms 0: it never expires. */
static void set(struct txn *t, const char *name, int64_t value, int64_t at_ms)
{
	struct txn_key *k = open_one(t, name, MODE_SET);

	txn_set(k, value);
	txn_expire(t, k, at_ms);
	commit(t);
}

static void expire(struct txn *t, const char *name, int64_t at_ms)
{
	txn_expire(t, open_one(t, name, MODE_SET), at_ms);
	commit(t);
}

static int64_t incr(struct txn *t, const char *name)
{
	struct txn_key *k = open_one(t, name, MODE_INCR);
	int64_t value;

	assert_true(txn_incr(k, 1));
	value = k->value;
	commit(t);
	return value;
}

static void hit(struct txn *t, const char *name, uint64_t hits)
{
	struct txn_key *k = open_one(t, name, MODE_SET);

	assert_true(txn_incr(k, (int64_t)hits));
	txn_hit(k, hits);
	commit(t);
}

static bool is_there(struct txn *t, const char *name)
{
	bool is_live = open_one(t, name, TXN_READ)->is_live;

	commit(t);
	return is_live;
}

static struct counter *record_of(struct rig *g, const char *name)
{
	struct slice key = slice_str(name);

	return registry_find(&g->registry, key, registry_hash(&g->registry, key));
}

static int64_t live_count(struct rig *g)
{
	return atomic_load(&g->registry.live_count);
}

/* What a start would load; null: nothing of that name. */
static const struct recovered *recovered(struct rig *g, const char *name)
{
	uint64_t id = recovery_find(&g->recovery, name);

	return id ? &g->recovery.by_id[id] : NULL;
}

/* ---- what has expired ---- */

static void test_who_reads_what_has_expired_leaves_it_and_who_writes_ends_it(void **state)
{
	struct rig *g = rig_new(2, false);

	(void)state;
	set(&g->txns[0], "x", 7, now_ms() + 10);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x")->expire_at_ms, now_ms() + 10);
	clock_rig_forward(9);
	assert_true(is_there(&g->txns[1], "x"));
	assert_int_equal(incr(&g->txns[1], "x"), 8);
	clock_rig_forward(1);
	assert_false(is_there(&g->txns[1], "x"));
	assert_false(txn_is_live(&g->txns[0], record_of(g, "x")));
	assert_int_equal(live_count(g), 1);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x")->value, 8);
	assert_int_equal(incr(&g->txns[1], "x"), 1);
	assert_int_equal(live_count(g), 1);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x")->value, 1);
	assert_int_equal(recovered(g, "x")->version, 0);
	free_rig(g);
}

static void test_additions_of_all_kinds_reach_no_expired_object(void **state)
{
	static const int64_t ONE = 1;
	struct slice name = slice_str("x");
	struct rig *g = rig_new(2, false);
	int64_t value;

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		set(&g->txns[0], "x", 100, now_ms() + 10);
		clock_rig_forward(10);
		switch (kind) {
		case 0: assert_false(rig_quick_incr(&g->txns[1], name, 1, &value)); break;
		case 1: assert_false(rig_quick_add(&g->txns[1], name, 1)); break;
		case 2: assert_false(rig_quick_get(&g->txns[1], name, &value)); break;
		}
		if (kind == 3)
			assert_int_equal(txn_add(&g->txns[1], &name, &ONE, 1), TXN_OK);
		else
			assert_int_equal(incr(&g->txns[1], "x"), 1);
		assert_int_equal(open_one(&g->txns[0], "x", TXN_READ)->value, 1);
		commit(&g->txns[0]);
		rig_close_epoch(g);
		assert_int_equal(recovered(g, "x")->value, 1);
	}
	free_rig(g);
}

/* ---- one moment ---- */

static struct rig *hooked;

/* Time goes by whenever somebody looks. */
static void tick(void)
{
	clock_rig_forward(1);
}

static void test_a_transaction_sees_all_its_counters_at_one_moment(void **state)
{
	static char text[20][8];
	struct slice names[20];
	struct rig *g = rig_new(1, false);
	struct txn *t = &g->txns[0];

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		snprintf(text[i], sizeof(text[i]), "n%zu", i);
		names[i] = slice_str(text[i]);
	}
	for (int64_t left = 0; left < 20; left++) {
		size_t live = 0;

		for (size_t i = 0; i < 20; i++)
			set(t, text[i], 1, now_ms() + 1000);
		clock_rig_forward(1000 - left);
		atomic_store(&clock_rig_hook, tick);
		txn_begin(t);
		assert_int_equal(txn_open(t, names, 20, left % 2 ? MODE_INCR : TXN_READ), TXN_OK);
		for (size_t i = 0; i < 20; i++)
			live += txn_key(t, i)->is_live;
		assert_true(live == 0 || live == 20);
		assert_int_equal(txn_wall_ms(t), txn_wall_ms(t));
		commit(t);
		atomic_store(&clock_rig_hook, NULL);
	}
	free_rig(g);
}

/* Who looks at the clock of a transaction must hold all it has opened; else somebody may see one of them
 * expired at a later time, and then it is found alive at an earlier one. */
static void all_are_locked(void)
{
	assert_int_not_equal(atomic_load(&record_of(hooked, "a")->lock), 0);
	assert_int_not_equal(atomic_load(&record_of(hooked, "b")->lock), 0);
}

static void test_the_clock_is_read_under_all_locks(void **state)
{
	struct slice names[] = {slice_str("a"), slice_str("b")};
	struct rig *g = rig_new(1, false);
	struct txn *t = &g->txns[0];

	(void)state;
	set(t, "a", 1, now_ms() + 10);
	set(t, "b", 1, now_ms() + 10);
	hooked = g;
	for (int i = 0; i < 2; i++) {
		txn_begin(t);
		if (i == 1)
			(void)txn_wall_ms(t); /* whatever was asked before counts no more */
		clock_rig_forward(3);
		atomic_store(&clock_rig_hook, all_are_locked);
		assert_int_equal(txn_open(t, names, 2, i ? MODE_INCR : TXN_READ), TXN_OK);
		atomic_store(&clock_rig_hook, NULL);
		assert_true(txn_key(t, 0)->is_live && txn_key(t, 1)->is_live);
		assert_int_equal(txn_wall_ms(t), now_ms());
		clock_rig_forward(10);
		/* It goes on as it has begun. */
		assert_int_equal(txn_wall_ms(t), now_ms() - 10);
		commit(t);
		clock_rig_forward(-13);
	}
	free_rig(g);
}

/* ---- a reader without a lock ---- */

enum reader_stage { READER_BEGINS, READER_ASKS_FOR_THE_TIME, READER_GOES_ON, READER_HAS_ANSWERED };
static _Atomic int reader_stage;
static pthread_t writer;

/* The reader has the value, and is to be told the time. */
static void stop_reader(void)
{
	if (pthread_equal(pthread_self(), writer) || atomic_load(&reader_stage) != READER_BEGINS)
		return;
	atomic_store(&reader_stage, READER_ASKS_FOR_THE_TIME);
	while (atomic_load(&reader_stage) != READER_GOES_ON)
		sched_yield();
}

static void *read_x(void *arg)
{
	static bool is_live;

	is_live = is_there(arg, "x");
	atomic_store(&reader_stage, READER_HAS_ANSWERED);
	return &is_live;
}

/* A transaction looks at the clock, then the moment comes, then it moves the moment: the counter was never
 * away. */
static void test_nobody_finds_gone_what_is_about_to_live_longer(void **state)
{
	struct rig *g = rig_new(2, false);
	struct txn *t = &g->txns[1];
	pthread_t reader;
	void *is_live;

	(void)state;
	set(t, "x", 5, now_ms() + 10);
	writer = pthread_self();
	atomic_store(&reader_stage, READER_BEGINS);
	atomic_store(&clock_rig_hook, stop_reader);
	assert_int_equal(pthread_create(&reader, NULL, read_x, &g->txns[0]), 0);
	while (atomic_load(&reader_stage) != READER_ASKS_FOR_THE_TIME)
		sched_yield();
	txn_expire(t, open_one(t, "x", MODE_SET), now_ms() + 1000);
	clock_rig_forward(20);
	atomic_store(&reader_stage, READER_GOES_ON);
	/* Time for it to be wrong in. */
	for (int i = 0; i < 1000 && atomic_load(&reader_stage) != READER_HAS_ANSWERED; i++)
		sched_yield();
	commit(t);
	assert_int_equal(pthread_join(reader, &is_live), 0);
	assert_true(*(bool *)is_live);
	free_rig(g);
}

/* ---- all or nothing ---- */

enum { NAMES = 12, KEYS_MAX = 8, ROUNDS = 3000 };

struct model {
	char name[8];
	bool is_live;
	int64_t value, expire_at_ms, tat_ns;
	uint64_t hits;
};

static bool is_model_live(const struct model *m)
{
	return m->is_live && (m->expire_at_ms == 0 || m->expire_at_ms > now_ms());
}

static void model_end(struct model *m)
{
	m->is_live = false;
	m->value = m->expire_at_ms = m->tat_ns = 0;
	m->hits = 0;
}

static void stage_one(struct rng *r, struct txn *t, struct txn_key *k, struct model *m)
{
	int64_t n = (int64_t)rng_below(r, 100) - 50;

	assert_int_equal(k->is_live, m->is_live);
	assert_int_equal(k->value, m->value);
	assert_int_equal(k->expire_at_ms, m->expire_at_ms);
	assert_int_equal(k->tat_ns, m->tat_ns);
	switch (rng_below(r, 7)) {
	case 0:
		txn_delete(k);
		model_end(m);
		break;
	case 1:
		txn_set(k, n);
		m->is_live = true;
		m->value = n;
		break;
	case 2:
	case 3:
		if (!k->is_live)
			break;
		n = n < -30 ? 0 : now_ms() + n;
		txn_expire(t, k, n);
		if (n != 0 && n <= now_ms())
			model_end(m);
		else
			m->expire_at_ms = n;
		break;
	case 4:
		if (!k->is_live)
			break;
		m->tat_ns = k->tat_ns = 1 + (int64_t)rng_below(r, 1000);
		break;
	default:
		assert_true(txn_incr(k, 2));
		txn_hit(k, 2);
		m->is_live = true;
		m->value += 2;
		m->hits += 2;
	}
}

static int fail_to_ride(void *arg, struct epoch_slot *epoch)
{
	(void)arg;
	(void)epoch;
	return -ENOMEM;
}

/* Who opened them to write has ended what had expired, if it was committed. */
static void random_transaction(struct rng *r, struct rig *g, struct txn *t, struct model *models)
{
	size_t count = 1 + rng_below(r, KEYS_MAX), which[KEYS_MAX];
	struct slice names[KEYS_MAX];
	struct model after[NAMES];
	uint32_t end = rng_below(r, 10);

	for (size_t i = 0; i < count; i++) {
		which[i] = rng_below(r, NAMES);
		names[i] = slice_str(models[which[i]].name);
	}
	memcpy(after, models, sizeof(after));
	txn_begin(t);
	while (txn_open(t, names, count, MODE_SET) == TXN_WAIT)
		rig_close_epoch(g);
	for (size_t i = 0; i < count; i++)
		if (!is_model_live(&after[which[i]]))
			model_end(&after[which[i]]);
	for (size_t i = 0; i < count; i++) {
		if (rng_below(r, 60) == 0) {
			txn_flush_staged(t);
			for (size_t n = 0; n < NAMES; n++)
				model_end(&after[n]);
			end = 9;
		}
		stage_one(r, t, txn_key(t, i), &after[which[i]]);
	}
	if (end == 0) {
		txn_abort(t);
		return;
	}
	if (end == 1) {
		txn_ride(t, fail_to_ride, NULL);
		assert_int_equal(txn_commit(t), -ENOMEM);
		return;
	}
	commit(t);
	memcpy(models, after, sizeof(after));
}

static void check_in_memory(struct rig *g, const struct model *m)
{
	struct txn *t = &g->txns[g->workers - 1];
	const struct txn_key *k = open_one(t, m->name, TXN_LOCKED);
	struct window_sum sum;
	bool is_live = is_model_live(m);

	assert_int_equal(k->is_live, is_live);
	if (is_live) {
		assert_int_equal(k->value, m->value);
		assert_int_equal(k->expire_at_ms, m->expire_at_ms);
		assert_int_equal(k->tat_ns, m->tat_ns);
	}
	assert_int_equal(window_sum(txn_window(k), now_s(g), 300000, &sum), 0);
	assert_int_equal(sum.hits, is_live ? m->hits : 0);
	commit(t);
}

static void check_on_disk(struct rig *g, const struct model *m)
{
	const struct recovered *f = recovered(g, m->name);

	assert_int_equal(f != NULL, m->is_live);
	if (!f)
		return;
	assert_int_equal(f->value, m->value);
	assert_int_equal(f->expire_at_ms, m->expire_at_ms);
	assert_int_equal(f->tat_ns, m->tat_ns);
	assert_int_equal(f->hits, m->hits);
}

static void run_seed(uint64_t seed)
{
	struct rig *g = rig_new(3, seed % 2);
	struct model models[NAMES] = {0};
	struct rng r = {.state = seed};

	for (size_t i = 0; i < NAMES; i++)
		snprintf(models[i].name, sizeof(models[i].name), "m%zu", i);
	for (int i = 0; i < 60; i++) {
		uint32_t worker = rng_below(&r, 3);

		epoch_look(&g->slots[worker]);
		random_transaction(&r, g, &g->txns[worker], models);
		if (rng_below(&r, 4) == 0)
			clock_rig_forward(rng_below(&r, 40));
		if (rng_below(&r, 8) == 0)
			check_in_memory(g, &models[rng_below(&r, NAMES)]);
		if (rng_below(&r, 6))
			continue;
		rig_close_epoch(g);
		for (size_t n = 0; n < NAMES; n++)
			check_on_disk(g, &models[n]);
	}
	free_rig(g);
}

static uint64_t seed_run;

static int tell_seed(void **state)
{
	(void)state;
	print_message("the last seed was %llu (SHC_TEST_SEED)\n", (unsigned long long)seed_run);
	return 0;
}

static void test_random_transactions_with_extras_do_what_the_model_does(void **state)
{
	size_t count = rig_scaled(ROUNDS);

	(void)state;
	for (uint64_t seed = 1; seed <= count; seed++) {
		if (rig_seed())
			seed = rig_seed();
		seed_run = seed;
		run_seed(seed);
		if (rig_seed())
			break;
	}
}

static void test_extras_that_are_refused_for_memory_change_nothing(void **state)
{
	struct rig *g = rig_new(1, false);
	struct txn *t = &g->txns[0];
	struct txn_key *k;

	(void)state;
	set(t, "x", 5, 0);
	set(t, "leaves", 5, 0);
	set(t, "full", 1, now_ms() + 1000);
	rig_close_epoch(g);
	atomic_store(&g->memory_max, 1);
	for (int kind = 0; kind < 2; kind++) {
		k = open_one(t, kind == 1 ? "full" : "x", MODE_SET);
		txn_hit(k, 1);
		assert_true(txn_incr(k, 1));
		assert_int_equal(txn_commit(t), -EDQUOT);
	}
	/* An expiry is a way out, so it may be given, moved and taken away. */
	expire(t, "leaves", now_ms() + 10);
	expire(t, "full", now_ms() + 2000);
	expire(t, "full", 0);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "leaves")->expire_at_ms, now_ms() + 10);
	assert_int_equal(recovered(g, "x")->value, 5);
	assert_int_equal(recovered(g, "x")->version, 0);
	assert_int_equal(recovered(g, "full")->value, 1);
	assert_int_equal(recovered(g, "full")->hits, 0);
	assert_int_equal(recovered(g, "full")->version, 3);
	assert_int_equal(open_one(t, "x", TXN_LOCKED)->expire_at_ms, 0);
	commit(t);
	free_rig(g);
}

/* Workers take turns within one epoch; the newest state is on disk, whoever's buffer it came in. */
static void test_the_newest_state_counts_whoever_has_recorded_it(void **state)
{
	struct rig *g = rig_new(3, false);

	(void)state;
	set(&g->txns[2], "x", 1, now_ms() + 1000);
	for (uint32_t i = 0; i < 30; i++)
		expire(&g->txns[(i * 7) % 3], "x", now_ms() + 2000 + i);
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x")->expire_at_ms, now_ms() + 2029);
	assert_int_equal(recovered(g, "x")->version, 31);
	free_rig(g);
}

static void test_cells_are_merged_before_a_counter_gets_an_expiry(void **state)
{
	static const int64_t ONE = 1;
	struct slice name = slice_str("x");
	struct rig *g = rig_new(2, true);
	struct txn *t = &g->txns[1];

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(txn_add(&g->txns[i % 2], &name, &ONE, 1), TXN_OK);
	assert_true(counter_has_cells(counter_object(record_of(g, "x"))));
	txn_begin(t);
	assert_int_equal(txn_open(t, &name, 1, MODE_SET), TXN_WAIT);
	rig_close_epoch(g);
	expire(t, "x", now_ms() + 100);
	assert_true(counter_has_extra(counter_object(record_of(g, "x"))));
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(txn_add(&g->txns[i % 2], &name, &ONE, 1), TXN_OK);
	assert_true(counter_has_extra(counter_object(record_of(g, "x"))));
	rig_close_epoch(g);
	assert_int_equal(recovered(g, "x")->value, 8);
	/* Without an expiry it still has none. */
	expire(t, "x", 0);
	assert_int_equal(txn_add(&g->txns[0], &name, &ONE, 1), TXN_OK);
	assert_int_equal(incr(&g->txns[0], "x"), 10);
	free_rig(g);
}

/* ---- active expiry ---- */

static int64_t first_ms(struct rig *g, uint32_t worker)
{
	return expiry_first_ms(&g->registry.expiry, worker);
}

static void test_a_counter_is_due_with_the_worker_that_set_its_expiry_last(void **state)
{
	struct rig *g = rig_new(2, false);
	int64_t at = now_ms() + 1000;

	(void)state;
	set(&g->txns[0], "x", 1, at);
	set(&g->txns[0], "y", 1, at + 5);
	assert_int_equal(first_ms(g, 0), at);
	assert_int_equal(first_ms(g, 1), 0);
	expire(&g->txns[1], "x", at + 1);
	assert_int_equal(first_ms(g, 0), at + 5);
	assert_int_equal(first_ms(g, 1), at + 1);
	expire(&g->txns[0], "x", 0);
	assert_int_equal(first_ms(g, 1), 0);
	/* The object ends; the next one of that name has none. */
	expire(&g->txns[1], "y", -1);
	set(&g->txns[1], "y", 1, 0);
	assert_int_equal(first_ms(g, 0), 0);
	/* ... and is another. */
	set(&g->txns[1], "y", 1, at + 9);
	set(&g->txns[0], "z", 1, at + 7);
	clock_rig_forward(1010);
	assert_int_equal(incr(&g->txns[0], "y"), 1);
	assert_int_equal(first_ms(g, 1), 0);
	txn_flush(&g->txns[1]);
	(void)txn_sweep(&g->txns[1], 0, SIZE_MAX);
	assert_int_equal(first_ms(g, 0), 0);
	free_rig(g);
}

static void test_what_is_due_is_ended_a_slice_at_a_time(void **state)
{
	enum { COUNT = 2 * TXN_EXPIRE_SLICE + 10 };
	struct rig *g = rig_new(2, false);
	char name[16];
	int slices = 0;

	(void)state;
	set(&g->txns[0], "later", 1, now_ms() + 11);
	set(&g->txns[1], "other", 1, now_ms() + 1);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		set(&g->txns[0], name, 1, now_ms() + 10);
		if (i % 3 == 0)
			hit(&g->txns[1], name, 1);
	}
	rig_close_epoch(g);
	assert_false(txn_expire_some(&g->txns[0]));
	assert_int_equal(live_count(g), COUNT + 2);
	clock_rig_forward(10);
	while (txn_expire_some(&g->txns[0]))
		assert_int_equal(live_count(g), COUNT + 2 - ++slices * TXN_EXPIRE_SLICE);
	assert_int_equal(slices, 2);
	assert_int_equal(live_count(g), 2);
	assert_int_equal(first_ms(g, 0), now_ms() + 1);
	rig_close_epoch(g);
	assert_null(recovered(g, "d0"));
	assert_non_null(recovered(g, "other"));
	rig_close_epoch(g);
	rig_close_epoch(g);
	assert_int_equal(atomic_load(&g->registry.extra_bytes), 2 * sizeof(struct extra));
	free_rig(g);
}

/* What lies below the floor is the sweep's; a worker that is to end it meanwhile finds nothing. */
static void test_what_a_flush_has_deleted_is_not_ended_again(void **state)
{
	struct rig *g = rig_new(2, false);

	(void)state;
	set(&g->txns[0], "x", 1, now_ms() + 10);
	set(&g->txns[0], "y", 1, now_ms() + 10);
	rig_close_epoch(g);
	txn_flush(&g->txns[1]);
	epoch_look(&g->slots[0]);
	set(&g->txns[0], "y", 2, now_ms() + 500);
	clock_rig_forward(10);
	(void)txn_expire_some(&g->txns[0]);
	assert_int_equal(live_count(g), 1);
	(void)txn_sweep(&g->txns[1], 0, SIZE_MAX);
	rig_close_epoch(g);
	assert_null(recovered(g, "x"));
	assert_int_equal(recovered(g, "y")->value, 2);
	assert_int_equal(first_ms(g, 0), now_ms() + 490);
	free_rig(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_reads_what_has_expired_leaves_it_and_who_writes_ends_it),
		cmocka_unit_test(test_additions_of_all_kinds_reach_no_expired_object),
		cmocka_unit_test(test_a_transaction_sees_all_its_counters_at_one_moment),
		cmocka_unit_test(test_the_clock_is_read_under_all_locks),
		cmocka_unit_test(test_nobody_finds_gone_what_is_about_to_live_longer),
		cmocka_unit_test_teardown(test_random_transactions_with_extras_do_what_the_model_does,
					  tell_seed),
		cmocka_unit_test(test_extras_that_are_refused_for_memory_change_nothing),
		cmocka_unit_test(test_the_newest_state_counts_whoever_has_recorded_it),
		cmocka_unit_test(test_cells_are_merged_before_a_counter_gets_an_expiry),
		cmocka_unit_test(test_a_counter_is_due_with_the_worker_that_set_its_expiry_last),
		cmocka_unit_test(test_what_is_due_is_ended_a_slice_at_a_time),
		cmocka_unit_test(test_what_a_flush_has_deleted_is_not_ended_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
