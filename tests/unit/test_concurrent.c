/* SPDX-License-Identifier: MIT */
/*
 * The counting core under real threads. Goal: transactions are never seen half done, replies of INCR are
 * unique and dense, sums only grow while they are only added to, and at rest what is in memory is what is on
 * disk.
 *
 * Method: each worker does a bounded number of random requests on a few counters, so that they meet all the
 * time; the test's thread is the committer, closing epochs as fast as it can. Meant for ThreadSanitizer and
 * AddressSanitizer as much as for the assertions. The order of threads is not the seed's, so a seed that
 * failed may have to run several times.
 */
#include <pthread.h>
#include <sched.h>

#include "../../daemon/spin.h"
#include "../../daemon/window.h"
#include "core_rig.h"

enum {
	ACCOUNTS = 4,
	ACCOUNT_START = 1000,
	MIXED = 8,
	REQUESTS = 30000, /* a worker */
	SLEEP_MAX_S = 10, /* the committer's: far beyond what any request takes */
};

struct worker {
	struct rig *rig;
	uint32_t index;
	pthread_t thread;
	struct waker waker;
	struct rng rng;
	size_t requests;
	bool is_flushing; /* FLUSHALL among the requests, and nothing that needs counters to stay */
	int64_t *tickets;
	size_t ticket_count;
	int64_t added;	  /* to "sum" */
	int64_t sum_seen; /* the last read */
	bool is_sweeping;
	uint64_t sweep_cursor;
};

static _Atomic uint32_t workers_done;

/* cmocka's assertions are for the test's own thread. */
#define must(w, condition)                                                                                   \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "worker %u: %s:%d: not so: %s\n", (w)->index, __FILE__, __LINE__,    \
				#condition);                                                                 \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

static struct txn *txn_of(struct worker *w)
{
	return &w->rig->txns[w->index];
}

static struct epoch_slot *slot_of(struct worker *w)
{
	return &w->rig->slots[w->index];
}

/* Parks as a worker of the daemon does, until the epoch is sealed. */
static void wait_sealed(struct worker *w, uint64_t epoch)
{
	struct epoch_slot *s = slot_of(w);

	if (epoch == 0)
		return;
	epoch_want(&w->rig->clock, epoch);
	while (epoch_sealed(&w->rig->clock) < epoch) {
		waker_park(&w->waker);
		atomic_store(&s->waits, EPOCH_WAITS_SEALED | EPOCH_WAITS_DISK);
		if (epoch_sealed(&w->rig->clock) < epoch && epoch_park(s))
			must(w, waker_sleep(&w->waker, SLEEP_MAX_S * INT64_C(1000000000)));
		waker_unpark(&w->waker);
		epoch_unpark(s);
	}
	atomic_store(&s->waits, 0);
	epoch_look(s);
}

/* ---- requests ---- each begins with a look */

typedef void stage_fn(struct worker *w, struct txn *t, void *arg);

static void transact(struct worker *w, const struct slice *names, size_t count, unsigned mode,
		     stage_fn *stage, void *arg)
{
	struct txn *t = txn_of(w);
	int rc;

	for (;;) {
		rc = txn_open(t, names, count, mode);
		if (rc == TXN_OK) {
			stage(w, t, arg);
			rc = txn_commit(t);
		}
		if (rc != TXN_WAIT)
			break;
		wait_sealed(w, t->wait_epoch);
	}
	must(w, rc == TXN_OK);
}

static void transact_on(struct worker *w, const char *name, unsigned mode, stage_fn *stage, void *arg)
{
	struct slice key = slice_str(name);

	transact(w, &key, 1, mode, stage, arg);
}

/* Of those that have a short way, every other one takes it, where it is open. */
static bool is_turn_of_quick(struct worker *w)
{
	return rng_below(&w->rng, 2);
}

static void add(struct worker *w, const struct slice *names, const int64_t *deltas, size_t count)
{
	int rc;

	if (count == 1 && is_turn_of_quick(w) && rig_quick_add(txn_of(w), names[0], deltas[0]))
		return;
	while ((rc = txn_add(txn_of(w), names, deltas, count)) == TXN_WAIT)
		wait_sealed(w, txn_of(w)->wait_epoch);
	must(w, rc == TXN_OK);
}

static void stage_read(struct worker *w, struct txn *t, void *arg)
{
	(void)w;
	*(int64_t *)arg = txn_key(t, 0)->value;
}

static int64_t get(struct worker *w, const char *name)
{
	int64_t value = 0;

	if (!is_turn_of_quick(w) || !rig_quick_get(txn_of(w), slice_str(name), &value))
		transact_on(w, name, TXN_READ, stage_read, &value);
	return value;
}

static void stage_incr(struct worker *w, struct txn *t, void *arg)
{
	must(w, txn_incr(txn_key(t, 0), 1));
	*(int64_t *)arg = txn_key(t, 0)->value;
}

static int64_t incr(struct worker *w, const char *name)
{
	int64_t value;

	if (!is_turn_of_quick(w) || !rig_quick_incr(txn_of(w), slice_str(name), 1, &value))
		transact_on(w, name, TXN_WRITE | TXN_CREATE, stage_incr, &value);
	return value;
}

static void request_ticket(struct worker *w)
{
	int64_t value = incr(w, "ticket");

	must(w, w->ticket_count == 0 || value > w->tickets[w->ticket_count - 1]);
	w->tickets[w->ticket_count++] = value;
}

static void account_names(struct slice names[ACCOUNTS])
{
	static const char *const NAMES[ACCOUNTS] = {"account0", "account1", "account2", "account3"};

	for (size_t i = 0; i < ACCOUNTS; i++)
		names[i] = slice_str(NAMES[i]);
}

static void stage_transfer(struct worker *w, struct txn *t, void *arg)
{
	int64_t amount = *(int64_t *)arg;

	must(w, txn_incr(txn_key(t, 0), -amount));
	must(w, txn_incr(txn_key(t, 1), amount));
}

static void request_transfer(struct worker *w)
{
	int64_t amount = rng_below(&w->rng, 10);
	uint32_t from = rng_below(&w->rng, ACCOUNTS), to = rng_below(&w->rng, ACCOUNTS);
	struct slice names[ACCOUNTS], pair[2];

	account_names(names);
	pair[0] = names[from];
	pair[1] = names[to];
	transact(w, pair, 2, TXN_WRITE | TXN_CREATE | TXN_WHOLE, stage_transfer, &amount);
}

static void stage_sum(struct worker *w, struct txn *t, void *arg)
{
	(void)w;
	*(int64_t *)arg = 0;
	for (size_t i = 0; i < ACCOUNTS; i++)
		*(int64_t *)arg += txn_key(t, i)->value;
}

/* MGET, or EXEC that only reads. */
static void request_balance(struct worker *w)
{
	struct slice names[ACCOUNTS];
	int64_t sum;

	account_names(names);
	transact(w, names, ACCOUNTS, rng_below(&w->rng, 2) ? TXN_READ : TXN_WRITE | TXN_CREATE | TXN_WHOLE,
		 stage_sum, &sum);
	must(w, sum == ACCOUNTS * ACCOUNT_START);
}

static void stage_both(struct worker *w, struct txn *t, void *arg)
{
	(void)arg;
	must(w, txn_key(t, 0)->value == txn_key(t, 1)->value);
	must(w, txn_incr(txn_key(t, 0), 1));
	must(w, txn_incr(txn_key(t, 1), 1));
}

/* left and right change together: who reads one without a lock, and then the other, must not find an older
 * one. */
static void request_pair(struct worker *w)
{
	struct slice names[] = {slice_str("left"), slice_str("right")};
	int64_t first, second;

	switch (rng_below(&w->rng, 3)) {
	case 0: transact(w, names, 2, TXN_WRITE | TXN_CREATE, stage_both, NULL); return;
	case 1:
		first = get(w, "left");
		second = get(w, "right");
		break;
	default:
		first = get(w, "right");
		second = get(w, "left");
		break;
	}
	must(w, second >= first);
}

static void stage_nothing(struct worker *w, struct txn *t, void *arg)
{
	(void)w;
	(void)t;
	(void)arg;
}

/* "sum" is only added to, while its cells come, are merged, and come again. */
static void request_sum(struct worker *w)
{
	struct slice names[] = {slice_str("sum"), slice_str("sum2")};
	int64_t deltas[] = {1 + rng_below(&w->rng, 3), 1}, value;

	switch (rng_below(&w->rng, 40)) {
	case 0: transact(w, names, 1, TXN_WRITE | TXN_WHOLE, stage_nothing, NULL); break;
	case 1:
		value = incr(w, "sum");
		w->added++;
		must(w, value > w->sum_seen && value >= w->added);
		w->sum_seen = value;
		break;
	case 2:
	case 3:
	case 4:
	case 5:
	case 6:
		value = get(w, "sum");
		must(w, value >= w->sum_seen && value >= w->added);
		w->sum_seen = value;
		break;
	default: add(w, names, deltas, 1 + rng_below(&w->rng, 2)); w->added += deltas[0];
	}
}

static void stage_set(struct worker *w, struct txn *t, void *arg)
{
	(void)w;
	txn_set(txn_key(t, 0), *(int64_t *)arg);
}

static void stage_del(struct worker *w, struct txn *t, void *arg)
{
	(void)w;
	(void)arg;
	txn_delete(txn_key(t, 0));
}

/* Soon, never, or at once. */
static void stage_expiry(struct worker *w, struct txn *t, void *arg)
{
	static const int64_t MS[] = {0, -1, 1, 2, 3, 1000};
	int64_t ms = MS[rng_below(&w->rng, 6)];

	(void)arg;
	if (txn_key(t, 0)->is_live)
		txn_expire(t, txn_key(t, 0), ms ? txn_wall_ms(t) + ms : 0);
}

static void stage_hit(struct worker *w, struct txn *t, void *arg)
{
	(void)w;
	(void)arg;
	if (txn_incr(txn_key(t, 0), 1))
		txn_hit(txn_key(t, 0), 1);
}

static void stage_window(struct worker *w, struct txn *t, void *arg)
{
	struct window_sum sum;

	(void)arg;
	must(w, window_sum(txn_window(txn_key(t, 0)), txn_steady_ns(t) / CLOCK_NS_PER_S, 1000, &sum) == 0);
}

static void look_at_one(void *arg, struct counter *c)
{
	(void)txn_is_live(arg, c);
}

/* What is beside a value, looked at and changed, with locks and without. */
static void request_extra(struct worker *w, const char *name)
{
	switch (rng_below(&w->rng, 8)) {
	case 0:
	case 1:
	case 2: transact_on(w, name, TXN_WRITE | TXN_WHOLE, stage_expiry, NULL); break;
	case 3:
	case 4: transact_on(w, name, TXN_WRITE | TXN_CREATE | TXN_WHOLE, stage_hit, NULL); break;
	case 5: transact_on(w, name, TXN_LOCKED, stage_window, NULL); break;
	case 6: (void)txn_expire_some(txn_of(w)); break;
	default:
		(void)registry_walk(&w->rig->registry, (uint64_t)rng_below(&w->rng, 1000) << 36, 20,
				    look_at_one, txn_of(w));
	}
}

/* Anything, on names that come and go. */
static void request_mixed(struct worker *w)
{
	char text[3][12];
	struct slice names[3];
	int64_t deltas[3];

	for (size_t i = 0; i < 3; i++) {
		snprintf(text[i], sizeof(text[i]), "mixed%u", rng_below(&w->rng, MIXED));
		names[i] = slice_str(text[i]);
		deltas[i] = (int64_t)rng_below(&w->rng, 100) - 50;
	}
	txn_begin(txn_of(w));
	switch (rng_below(&w->rng, 12)) {
	case 8:
	case 9:
	case 10:
	case 11: request_extra(w, text[0]); break;
	case 0: (void)incr(w, text[0]); break;
	case 1: transact_on(w, text[0], TXN_WRITE | TXN_CREATE | TXN_WHOLE, stage_set, &deltas[0]); break;
	case 2:
	case 3: transact_on(w, text[0], TXN_WRITE | TXN_WHOLE, stage_del, NULL); break;
	case 4: (void)get(w, text[0]); break;
	case 5: add(w, names, deltas, 3); break;
	default: add(w, names, deltas, 1); break;
	}
}

/* A new name each time, soon deleted: the table splits and its records are reclaimed. */
static void request_short_life(struct worker *w)
{
	char text[24];

	snprintf(text, sizeof(text), "short%u.%u", w->index, rng_below(&w->rng, 3000));
	if (rng_below(&w->rng, 2))
		(void)incr(w, text);
	else
		transact_on(w, text, TXN_WRITE | TXN_WHOLE, stage_del, NULL);
}

static void request_flush(struct worker *w)
{
	if (w->is_sweeping) {
		w->sweep_cursor = txn_sweep(txn_of(w), w->sweep_cursor, 20);
		w->is_sweeping = w->sweep_cursor != 0;
	} else if (rng_below(&w->rng, 300) == 0) {
		txn_flush(txn_of(w));
		w->is_sweeping = true;
		w->sweep_cursor = 0;
	}
}

static void request_any(struct worker *w)
{
	uint32_t n = rng_below(&w->rng, 16);

	epoch_look(slot_of(w));
	if (w->is_flushing) {
		if (n < 4)
			request_flush(w);
		else if (n < 12)
			request_mixed(w);
		else
			request_short_life(w);
		return;
	}
	switch (n) {
	case 0:
	case 1: request_ticket(w); break;
	case 2:
	case 3: request_transfer(w); break;
	case 4: request_balance(w); break;
	case 5:
	case 6: request_pair(w); break;
	case 7:
	case 8:
	case 9: request_sum(w); break;
	case 10:
	case 11: request_short_life(w); break;
	default: request_mixed(w); break;
	}
}

/* A turn without a request: the worker sleeps for an instant. */
static void nap(struct worker *w)
{
	if (epoch_park(slot_of(w)))
		sched_yield();
	epoch_unpark(slot_of(w));
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (size_t n = 0; n < w->requests; n++) {
		request_any(w);
		if (rng_below(&w->rng, 64) == 0)
			nap(w);
	}
	epoch_end(slot_of(w));
	atomic_fetch_add(&workers_done, 1);
	waker_wake(&w->rig->waker);
	return NULL;
}

/* ---- the committer ---- */

static void close_epoch(struct rig *g, struct worker *workers)
{
	rig_advance(g);
	for (uint32_t i = 0; i < g->workers; i++) {
		for (;;) {
			waker_park(&g->waker);
			(void)rig_collect(g, i);
			if (g->has_sealed[i])
				break;
			/* Nobody wakes us: a seal was lost. */
			assert_true(waker_sleep(&g->waker, SLEEP_MAX_S * INT64_C(1000000000)));
			waker_unpark(&g->waker);
		}
		waker_unpark(&g->waker);
	}
	for (uint32_t i = 0; i < g->workers; i++)
		if (atomic_load(&g->slots[i].waits))
			waker_wake(&workers[i].waker);
	rig_commit(g);
}

static void start_accounts(struct rig *g)
{
	struct slice names[ACCOUNTS];
	struct txn *t = &g->txns[0];

	account_names(names);
	assert_int_equal(txn_open(t, names, ACCOUNTS, TXN_WRITE | TXN_CREATE | TXN_WHOLE), TXN_OK);
	for (size_t i = 0; i < ACCOUNTS; i++)
		txn_set(txn_key(t, i), ACCOUNT_START);
	assert_int_equal(txn_commit(t), TXN_OK);
}

/* ---- at rest ---- */

struct rest {
	struct rig *rig;
	size_t live;
};

static void check_at_rest(void *arg, struct counter *c)
{
	struct rest *rest = arg;
	uint64_t object = counter_object(c), id = counter_id(object);
	const struct extra *x = counter_has_extra(object) ? counter_extra_of(object) : NULL;
	const struct recovered *r;
	struct window_sum sum;

	if (!counter_has_object(object) || id < registry_floor(&rest->rig->registry))
		return;
	rest->live++;
	assert_true(recovery_is_live(&rest->rig->recovery, id));
	r = &rest->rig->recovery.by_id[id];
	assert_int_equal(strlen(r->name), c->name_len);
	assert_memory_equal(r->name, c->name, c->name_len);
	assert_int_equal((int64_t)r->value, counter_total(c, object));
	assert_int_equal(r->expire_at_ms, x ? atomic_load(&x->expire_at_ms) : 0);
	assert_int_equal(window_sum(x ? x->window : NULL, r->hit_newest_s, 300000, &sum), 0);
	assert_int_equal(r->hits, sum.hits);
}

static size_t recovered_count(const struct recovery *r)
{
	size_t count = 0;

	for (uint64_t id = 1; id < r->cap; id++)
		count += recovery_is_live(r, id);
	return count;
}

static void check_tickets(const struct worker *workers, uint32_t count, int64_t last)
{
	bool *is_given = calloc((size_t)last + 1, sizeof(*is_given));
	int64_t given = 0;

	assert_non_null(is_given);
	for (uint32_t i = 0; i < count; i++) {
		for (size_t n = 0; n < workers[i].ticket_count; n++, given++) {
			int64_t ticket = workers[i].tickets[n];

			assert_in_range(ticket, 1, last);
			assert_false(is_given[ticket]);
			is_given[ticket] = true;
		}
	}
	assert_int_equal(given, last);
	free(is_given);
}

static int64_t value_at_rest(struct rig *g, const char *name)
{
	struct slice key = slice_str(name);
	struct counter *c = registry_find(&g->registry, key, registry_hash(&g->registry, key));

	return c ? counter_read(c).value : 0;
}

static void run(uint32_t count, bool is_always_cells, bool is_flushing)
{
	struct rig *g = rig_new(count, is_always_cells);
	struct worker *workers = calloc(count, sizeof(*workers));
	struct rest rest = {.rig = g};
	int64_t added = 0;

	assert_true(g && workers);
	start_accounts(g);
	atomic_store(&workers_done, 0);
	for (uint32_t i = 0; i < count; i++) {
		struct worker *w = &workers[i];

		*w = (struct worker){.rig = g, .index = i, .is_flushing = is_flushing};
		w->requests = rig_scaled(REQUESTS);
		w->rng.state = (rig_seed() ? rig_seed() : 99) * 16 + i;
		w->tickets = calloc(w->requests, sizeof(*w->tickets));
		assert_non_null(w->tickets);
		assert_int_equal(waker_init(&w->waker), 0);
		assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
	}
	while (atomic_load(&workers_done) < count)
		close_epoch(g, workers);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		added += workers[i].added;
	}
	close_epoch(g, workers);
	close_epoch(g, workers);
	registry_walk(&g->registry, 0, SIZE_MAX, check_at_rest, &rest);
	assert_int_equal(rest.live, recovered_count(&g->recovery));
	assert_int_equal(rest.live, atomic_load(&g->registry.live_count));
	assert_true(g->reclaimed > 0);
	if (!is_flushing) {
		check_tickets(workers, count, value_at_rest(g, "ticket"));
		assert_int_equal(value_at_rest(g, "sum"), added);
	}
	for (uint32_t i = 0; i < count; i++) {
		free(workers[i].tickets);
		waker_fini(&workers[i].waker);
	}
	free(workers);
	rig_free(g);
}

static void test_two_workers_and_cells_when_asked_for(void **state)
{
	(void)state;
	run(2, false, false);
}

static void test_four_workers_and_cells_always(void **state)
{
	(void)state;
	run(4, true, false);
}

static void test_three_workers_and_flushing(void **state)
{
	(void)state;
	run(3, false, true);
}

static void test_two_workers_cells_always_and_flushing(void **state)
{
	(void)state;
	run(2, true, true);
}

/* ---- a reader without a lock against a transaction ---- */

enum { PAIR_ROUNDS = 200000 };

static _Atomic bool is_pair_over;

static void *change_pair_all_the_time(void *arg)
{
	struct worker *w = arg;
	struct slice names[] = {slice_str("left"), slice_str("right")};

	while (!atomic_load(&is_pair_over))
		transact(w, names, 2, TXN_WRITE | TXN_CREATE, stage_both, NULL);
	return NULL;
}

/* Whichever is read first: what is read afterwards is not older. */
static void test_single_reads_never_see_half_a_transaction(void **state)
{
	struct rig *g = rig_new(2, false);
	struct worker reader = {.rig = g, .index = 0}, writer = {.rig = g, .index = 1};
	size_t rounds = rig_scaled(PAIR_ROUNDS), halved = 0;

	(void)state;
	atomic_store(&is_pair_over, false);
	assert_int_equal(pthread_create(&writer.thread, NULL, change_pair_all_the_time, &writer), 0);
	for (size_t n = 0; n < rounds; n++) {
		bool is_left_first = n % 2;
		int64_t first = get(&reader, is_left_first ? "left" : "right");
		int64_t second = get(&reader, is_left_first ? "right" : "left");

		halved += second < first;
	}
	atomic_store(&is_pair_over, true);
	assert_int_equal(pthread_join(writer.thread, NULL), 0);
	rig_free(g);
	assert_int_equal(halved, 0);
}

/* ---- an epoch is opened, and at once something is recorded in it ---- */

enum { ADVANCES = 200000 };

struct advances {
	struct epoch_clock clock;
	struct waker waker;
	struct epoch_slot slot;
	size_t count;
	_Atomic size_t noted;
};

static void *note_every_epoch(void *arg)
{
	struct advances *a = arg;

	for (size_t n = 1; n <= a->count; n++) {
		unsigned spins = 0;

		while (epoch_open(&a->clock) == a->slot.own)
			spin_pause(&spins);
		epoch_look(&a->slot);
		epoch_note_dirty(&a->slot);
		atomic_store(&a->noted, n);
	}
	return NULL;
}

/* Whoever clears the note behind the opening may clear that of the first change: no commit would be due.
 * Needs two CPUs to fail. */
static void test_the_first_change_of_an_epoch_is_noted(void **state)
{
	struct advances a = {.count = rig_scaled(ADVANCES)};
	pthread_t worker;
	size_t missed = 0;

	(void)state;
	assert_int_equal(waker_init(&a.waker), 0);
	epoch_clock_init(&a.clock, 1, &a.waker);
	epoch_slot_init(&a.slot, &a.clock);
	assert_int_equal(pthread_create(&worker, NULL, note_every_epoch, &a), 0);
	for (size_t n = 1; n <= a.count; n++) {
		unsigned spins = 0;

		(void)epoch_advance(&a.clock);
		while (atomic_load(&a.noted) < n)
			spin_pause(&spins);
		missed += !atomic_load(&a.clock.is_dirty);
	}
	assert_int_equal(pthread_join(worker, NULL), 0);
	epoch_slot_fini(&a.slot);
	waker_fini(&a.waker);
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_workers_and_cells_when_asked_for),
		cmocka_unit_test(test_four_workers_and_cells_always),
		cmocka_unit_test(test_three_workers_and_flushing),
		cmocka_unit_test(test_two_workers_cells_always_and_flushing),
		cmocka_unit_test(test_single_reads_never_see_half_a_transaction),
		cmocka_unit_test(test_the_first_change_of_an_epoch_is_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
