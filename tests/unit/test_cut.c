/* SPDX-License-Identifier: MIT */
/*
 * The causal cut. Goal: whatever epoch D is the last on disk, what is recovered is a state that was: per
 * counter the value after its last change with epoch <= D, no name twice, no transaction halved, and nothing
 * that depends on something lost.
 *
 * Method: one thread plays all workers and the committer. A seeded scheduler takes steps in any order; "look
 * at the epoch" and "act" are steps of their own, so a worker is preempted between them again and again.
 * Since every act is one step, their order is the truth: an oracle follows it and says what each must answer,
 * and remembers per name the state after each change with the epoch in which it was recorded. At each commit
 * the recovered state is held against it. A failure prints its seed: SHC_TEST_SEED=N runs that one.
 */
#include <unistd.h>

#include "clock_rig.h"
#include "core_rig.h"

enum {
	NAMES = 6,
	STEPS = 400,
	OP_KEYS_MAX = 3,
	SEEDS = 10000,
};

/* ---- the oracle ---- */

struct past {
	uint64_t epoch;
	bool is_live; /* expired or not */
	int64_t value;
	int64_t expire_at_ms; /* 0: never */
	uint64_t hits;
};

struct truth {
	char name[8];
	struct past now;
	uint64_t epoch; /* of the last change */
	struct past past[STEPS * (OP_KEYS_MAX + 1)];
	size_t past_count;
};

enum verb {
	OP_GET,
	OP_INCR,
	OP_SET,
	OP_DEL,
	OP_ADD,
	OP_EXPIRE,
	OP_HIT,
	OP_END, /* what active expiry does: opens it to write, and that is all */
	OP_EXEC,
	OP_MGET,
	OP_FLUSH,
	OP_SWEEP,
	VERBS
};

struct op {
	enum verb verb;
	size_t count;
	size_t names[OP_KEYS_MAX];
	enum verb verbs[OP_KEYS_MAX]; /* EXEC */
	int64_t numbers[OP_KEYS_MAX];
	size_t flush_at; /* EXEC: FLUSHALL stands before this one; count: nowhere */
};

enum turn { IDLE, HAS_LOOKED, WAITS, SLEEPS };

struct player {
	enum turn turn;
	struct op op;
	uint64_t epoch_min; /* of what was complete when the request came */
	uint64_t wait_epoch;
	bool is_sweeping;
	uint64_t sweep_cursor;
};

struct world {
	struct rig rig;
	struct rng rng;
	uint64_t seed;
	bool has_extras; /* expiries and hits among the operations */
	struct truth truths[NAMES];
	struct player players[RIG_WORKERS_MAX];
	uint64_t epoch_max; /* of all that is complete */
	size_t commits;
};

static uint64_t seeds_run, commits_checked, caught_up, cells_seen;

#define check(w, condition, ...)                                                                             \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			print_error("SHC_TEST_SEED=%llu: ", (unsigned long long)(w)->seed);                  \
			fail_msg(__VA_ARGS__);                                                               \
		}                                                                                            \
	} while (0)

static int64_t now_ms(void)
{
	return atomic_load(&clock_rig_wall_ms);
}

/* What somebody who looks now finds. */
static struct past seen_now(const struct past *p)
{
	if (p->is_live && (p->expire_at_ms == 0 || p->expire_at_ms > now_ms()))
		return *p;
	return (struct past){0};
}

static void truth_change(struct world *w, struct truth *t, const struct past *now, uint64_t epoch)
{
	check(w, t->past_count < sizeof(t->past) / sizeof(t->past[0]), "the past of %s is full", t->name);
	t->now = now->is_live ? *now : (struct past){0};
	t->now.epoch = epoch;
	t->past[t->past_count++] = t->now;
}

/* What the name was after its last change up to epoch d. */
static struct past truth_at(const struct truth *t, uint64_t d)
{
	for (size_t i = t->past_count; i-- > 0;)
		if (t->past[i].epoch <= d)
			return t->past[i];
	return (struct past){0};
}

static void check_recovery(struct world *w, uint64_t d)
{
	for (size_t i = 0; i < NAMES; i++) {
		const struct truth *t = &w->truths[i];
		struct past want = truth_at(t, d);
		uint64_t id = recovery_find(&w->rig.recovery, t->name);
		int64_t value = id ? (int64_t)w->rig.recovery.by_id[id].value : 0;

		check(w, (id != 0) == want.is_live, "epoch %llu: %s is %s, should be %s",
		      (unsigned long long)d, t->name, id ? "there" : "not there",
		      want.is_live ? "there" : "not there");
		check(w, value == want.value, "epoch %llu: %s recovers %lld, was %lld", (unsigned long long)d,
		      t->name, (long long)value, (long long)want.value);
		if (!id)
			continue;
		check(w, w->rig.recovery.by_id[id].expire_at_ms == want.expire_at_ms,
		      "epoch %llu: %s recovers an expiry at %lld, had %lld", (unsigned long long)d, t->name,
		      (long long)w->rig.recovery.by_id[id].expire_at_ms, (long long)want.expire_at_ms);
		check(w, w->rig.recovery.by_id[id].hits == want.hits,
		      "epoch %llu: %s recovers %llu hits, had %llu", (unsigned long long)d, t->name,
		      (unsigned long long)w->rig.recovery.by_id[id].hits, (unsigned long long)want.hits);
	}
	commits_checked++;
}

/* An operation on the name was recorded in `epoch`: nothing that it came after may be newer. */
static void check_order(struct world *w, const struct truth *t, uint64_t epoch)
{
	check(w, epoch >= t->epoch, "%s: recorded in epoch %llu what follows a change of epoch %llu", t->name,
	      (unsigned long long)epoch, (unsigned long long)t->epoch);
}

/* ---- requests ---- */

static int64_t draw_number(struct world *w)
{
	switch (rng_below(&w->rng, 12)) {
	case 0: return INT64_MAX / 2 - rng_below(&w->rng, 3);
	case 1: return INT64_MIN / 2 + rng_below(&w->rng, 3);
	case 2: return rng_below(&w->rng, 2) ? INT64_MAX : INT64_MIN;
	default: return (int64_t)rng_below(&w->rng, 20) - 8;
	}
}

static enum verb draw_verb(struct world *w, bool is_in_exec)
{
	static const enum verb ANY[] = {OP_INCR, OP_INCR, OP_INCR, OP_SET,  OP_SET, OP_DEL,
					OP_ADD,	 OP_ADD,  OP_ADD,  OP_ADD,  OP_ADD, OP_GET,
					OP_EXEC, OP_EXEC, OP_MGET, OP_FLUSH};
	static const enum verb INSIDE[] = {OP_INCR, OP_INCR, OP_SET, OP_DEL, OP_GET, OP_EXPIRE, OP_HIT};
	static const enum verb BESIDE[] = {OP_EXPIRE, OP_EXPIRE, OP_HIT, OP_HIT, OP_END};

	if (is_in_exec)
		return INSIDE[rng_below(&w->rng, w->has_extras ? 7 : 5)];
	if (w->has_extras && rng_below(&w->rng, 3) == 0)
		return BESIDE[rng_below(&w->rng, sizeof(BESIDE) / sizeof(BESIDE[0]))];
	return ANY[rng_below(&w->rng, sizeof(ANY) / sizeof(ANY[0]))];
}

static struct op draw_op(struct world *w)
{
	struct op op = {.verb = draw_verb(w, false), .count = 1};

	if (op.verb == OP_FLUSH && rng_below(&w->rng, 3))
		op.verb = OP_ADD;
	if (op.verb == OP_ADD || op.verb == OP_EXEC || op.verb == OP_MGET)
		op.count = 1 + rng_below(&w->rng, OP_KEYS_MAX);
	op.flush_at =
		op.verb == OP_EXEC && rng_below(&w->rng, 8) == 0 ? rng_below(&w->rng, OP_KEYS_MAX) : op.count;
	for (size_t i = 0; i < op.count; i++) {
		op.names[i] = rng_below(&w->rng, NAMES);
		op.numbers[i] = draw_number(w);
		op.verbs[i] = op.verb == OP_EXEC ? draw_verb(w, true) : op.verb;
	}
	return op;
}

static unsigned mode_of(const struct world *w, const struct op *op)
{
	switch (op->verb) {
	case OP_GET:
	case OP_MGET: return w->has_extras && op->numbers[0] % 2 ? TXN_LOCKED : TXN_READ;
	case OP_INCR: return TXN_WRITE | TXN_CREATE;
	case OP_END: return TXN_WRITE;
	case OP_DEL: return TXN_WRITE | TXN_WHOLE;
	default: return TXN_WRITE | TXN_CREATE | TXN_WHOLE;
	}
}

/* Soon, at once, or never. */
static void stage_expiry(struct txn *t, struct txn_key *k, int64_t number, struct past *copy)
{
	int64_t at_ms = number % 4 == 0 ? 0 : now_ms() + number % 4 * 3;

	if (!copy->is_live)
		return;
	txn_expire(t, k, at_ms);
	if (at_ms && at_ms <= now_ms())
		*copy = (struct past){0};
	else
		copy->expire_at_ms = at_ms;
}

/* One command on an open key, and on the oracle's copy. */
static void stage(struct world *w, struct txn *t, struct txn_key *k, enum verb verb, int64_t number,
		  struct past *copy)
{
	int64_t sum;

	check(w, k->is_live == copy->is_live && k->value == copy->value, "%.*s reads %lld, is %lld",
	      (int)k->name.len, k->name.data, (long long)k->value, (long long)copy->value);
	check(w, k->expire_at_ms == copy->expire_at_ms, "%.*s expires at %lld, should at %lld",
	      (int)k->name.len, k->name.data, (long long)k->expire_at_ms, (long long)copy->expire_at_ms);
	switch (verb) {
	case OP_INCR:
		if (__builtin_add_overflow(copy->value, number, &sum)) {
			check(w, !txn_incr(k, number), "%.*s: an overflow went through", (int)k->name.len,
			      k->name.data);
			break;
		}
		check(w, txn_incr(k, number), "%.*s: no overflow, but refused", (int)k->name.len,
		      k->name.data);
		copy->is_live = true;
		copy->value = sum;
		break;
	case OP_SET:
		txn_set(k, number);
		copy->is_live = true;
		copy->value = number;
		break;
	case OP_HIT:
		if (__builtin_add_overflow(copy->value, 1, &sum))
			break;
		check(w, txn_incr(k, 1), "%.*s: no overflow, but refused", (int)k->name.len, k->name.data);
		txn_hit(k, 1);
		copy->is_live = true;
		copy->value = sum;
		copy->hits++;
		break;
	case OP_EXPIRE: stage_expiry(t, k, number, copy); break;
	case OP_DEL:
		txn_delete(k);
		*copy = (struct past){0};
		break;
	default: break;
	}
}

static void truth_flush(struct world *w, struct player *p, uint64_t epoch)
{
	for (size_t i = 0; i < NAMES; i++) {
		struct truth *t = &w->truths[i];

		/* It may be recorded before what it deletes: that is gone either way. */
		if (t->now.is_live)
			t->epoch = epoch;
		truth_change(w, t, &(struct past){0}, epoch);
	}
	p->is_sweeping = true;
	p->sweep_cursor = 0;
}

/* The oracle after an operation that touched these names. */
static void truth_take(struct world *w, const struct op *op, const struct past after[NAMES], uint64_t epoch)
{
	for (size_t i = 0; i < op->count; i++)
		check_order(w, &w->truths[op->names[i]], epoch);
	for (size_t i = 0; i < op->count; i++) {
		struct truth *t = &w->truths[op->names[i]];
		const struct past *now = &after[op->names[i]];

		/* What had expired has ended, too, when it was opened to write. */
		if (t->now.is_live == now->is_live && t->now.value == now->value &&
		    t->now.expire_at_ms == now->expire_at_ms && t->now.hits == now->hits)
			continue;
		truth_change(w, t, now, epoch);
		t->epoch = epoch;
	}
}

static void copy_truths(const struct world *w, struct past copies[NAMES])
{
	for (size_t i = 0; i < NAMES; i++)
		copies[i] = seen_now(&w->truths[i].now);
}

/* One name, and a number that says so: the short way, where it is open. */
static bool act_quick(struct world *w, struct txn *t, const struct op *op)
{
	struct truth *truth = &w->truths[op->names[0]];
	struct slice name = slice_str(truth->name);
	struct past after[NAMES];
	int64_t value;
	bool is_done;

	if (op->count != 1 || op->flush_at < op->count || op->numbers[0] % 2 == 0)
		return false;
	copy_truths(w, after);
	switch (op->verb) {
	case OP_INCR: is_done = rig_quick_incr(t, name, op->numbers[0], &value); break;
	case OP_ADD: is_done = rig_quick_add(t, name, op->numbers[0]); break;
	case OP_GET: is_done = rig_quick_get(t, name, &value); break;
	default: return false;
	}
	if (!is_done)
		return false;
	check(w, seen_now(&truth->now).is_live, "%s is missing, but has a short way", truth->name);
	if (op->verb != OP_GET)
		after[op->names[0]].value += op->numbers[0];
	check(w, op->verb == OP_ADD || value == after[op->names[0]].value, "%s is %lld, should be %lld",
	      truth->name, (long long)value, (long long)after[op->names[0]].value);
	check_order(w, truth, t->epoch->own);
	if (op->verb != OP_GET)
		truth_take(w, op, after, t->epoch->own);
	return true;
}

static int act_open(struct world *w, struct player *p, struct txn *t, const struct op *op)
{
	struct slice names[OP_KEYS_MAX];
	struct past after[NAMES];
	int rc;

	copy_truths(w, after);
	for (size_t i = 0; i < op->count; i++)
		names[i] = slice_str(w->truths[op->names[i]].name);
	rc = txn_open(t, names, op->count, mode_of(w, op));
	if (rc)
		return rc;
	for (size_t i = 0; i < op->count; i++) {
		if (i == op->flush_at) {
			txn_flush_staged(t);
			memset(after, 0, sizeof(after));
		}
		stage(w, t, txn_key(t, i), op->verbs[i], op->numbers[i], &after[op->names[i]]);
	}
	rc = txn_commit(t);
	if (rc)
		return rc;
	for (size_t i = 0; i < op->count; i++)
		check_order(w, &w->truths[op->names[i]], t->epoch->own);
	if (op->flush_at < op->count)
		truth_flush(w, p, t->epoch->own);
	if (op->verb != OP_GET && op->verb != OP_MGET)
		truth_take(w, op, after, t->epoch->own);
	return rc;
}

static int act_add(struct world *w, struct txn *t, const struct op *op)
{
	struct slice names[OP_KEYS_MAX];
	struct past after[NAMES];
	bool is_over = false;
	int rc;

	copy_truths(w, after);
	for (size_t i = 0; i < op->count; i++) {
		struct past *p = &after[op->names[i]];

		names[i] = slice_str(w->truths[op->names[i]].name);
		p->is_live = true;
		is_over |= __builtin_add_overflow(p->value, op->numbers[i], &p->value);
	}
	rc = txn_add(t, names, op->numbers, op->count);
	if (rc == TXN_WAIT)
		return rc;
	check(w, (rc == TXN_OVERFLOW) == is_over, "SHC.ADD answers %d, overflow is %d", rc, is_over);
	if (!rc)
		truth_take(w, op, after, t->epoch->own);
	return 0;
}

static int act_flush(struct world *w, struct player *p, struct txn *t)
{
	txn_flush(t);
	truth_flush(w, p, t->epoch->own);
	return 0;
}

static int act(struct world *w, uint32_t i)
{
	struct player *p = &w->players[i];
	struct txn *t = &w->rig.txns[i];

	if (act_quick(w, t, &p->op))
		return 0;
	switch (p->op.verb) {
	case OP_ADD: return act_add(w, t, &p->op);
	case OP_FLUSH: return act_flush(w, p, t);
	case OP_SWEEP:
		p->sweep_cursor = txn_sweep(t, p->sweep_cursor, 1);
		p->is_sweeping = p->sweep_cursor != 0;
		return 0;
	default: return act_open(w, p, t, &p->op);
	}
}

/* ---- the scheduler ---- */

/* With SHC_TEST_SEED, every act is told. */
static void tell(const struct world *w, uint32_t i, int rc)
{
	static const char *const VERB[VERBS] = {"GET", "INCR", "SET",  "DEL",  "ADD",	"EXPIRE",
						"HIT", "END",  "EXEC", "MGET", "FLUSH", "SWEEP"};
	const struct op *op = &w->players[i].op;

	if (!rig_seed())
		return;
	print_message("worker %u, epoch %llu: %s", i, (unsigned long long)w->rig.slots[i].own,
		      VERB[op->verb]);
	for (size_t k = 0; k < op->count; k++)
		print_message("%s %s %s %lld", op->flush_at == k && op->verb == OP_EXEC ? " FLUSHALL" : "",
			      op->verb == OP_EXEC ? VERB[op->verbs[k]] : "", w->truths[op->names[k]].name,
			      (long long)op->numbers[k]);
	print_message(": %d\n", rc);
}

static void step_act(struct world *w, uint32_t i)
{
	struct player *p = &w->players[i];
	uint64_t own = w->rig.slots[i].own;
	int rc = act(w, i);

	tell(w, i, rc);
	check(w, rc == TXN_OK || rc == TXN_WAIT, "an operation fails: %d", rc);
	caught_up += w->rig.slots[i].own != own;
	if (rc == TXN_WAIT) {
		p->wait_epoch = w->rig.txns[i].wait_epoch;
		cells_seen++;
		/* 0 means: again at once. */
		p->turn = p->wait_epoch ? WAITS : HAS_LOOKED;
		return;
	}
	own = w->rig.slots[i].own;
	check(w, own >= p->epoch_min, "recorded in epoch %llu, came after one of epoch %llu was complete",
	      (unsigned long long)own, (unsigned long long)p->epoch_min);
	if (own > w->epoch_max)
		w->epoch_max = own;
	p->turn = IDLE;
}

static void step_worker(struct world *w, uint32_t i)
{
	struct player *p = &w->players[i];
	struct epoch_slot *s = &w->rig.slots[i];

	switch (p->turn) {
	case IDLE:
		if (rng_below(&w->rng, 6) == 0) {
			if (epoch_park(s))
				p->turn = SLEEPS;
			break;
		}
		p->epoch_min = w->epoch_max;
		epoch_look(s);
		p->op = p->is_sweeping && rng_below(&w->rng, 2) ? (struct op){.verb = OP_SWEEP} : draw_op(w);
		p->turn = HAS_LOOKED;
		break;
	case HAS_LOOKED: step_act(w, i); break;
	case WAITS:
		epoch_look(s);
		if (epoch_sealed(&w->rig.clock) >= p->wait_epoch)
			p->turn = HAS_LOOKED;
		break;
	case SLEEPS:
		epoch_unpark(s);
		p->turn = IDLE;
		break;
	}
}

static void step_committer(struct world *w)
{
	struct rig *g = &w->rig;
	uint64_t e = g->closing;

	if (!e) {
		rig_advance(g);
	} else if (rig_collect(g, rng_below(&w->rng, g->workers))) {
		rig_commit(g);
		check_recovery(w, e);
	}
}

/* All come to rest: what is on disk is what is in memory. */
static void finish(struct world *w)
{
	int64_t live = 0;

	for (int rounds = 0; rounds < 20; rounds++) {
		for (uint32_t i = 0; i < w->rig.workers; i++)
			for (int n = 0; n < 8 && w->players[i].turn != IDLE; n++)
				step_worker(w, i);
		for (int n = 0; n < 40; n++) {
			for (uint32_t i = 0; i < w->rig.workers; i++)
				if (w->players[i].turn == IDLE)
					epoch_look(&w->rig.slots[i]);
			step_committer(w);
		}
	}
	for (size_t i = 0; i < NAMES; i++) {
		struct txn *t = &w->rig.txns[0];
		struct slice name = slice_str(w->truths[i].name);

		struct past want = seen_now(&w->truths[i].now);

		check(w, txn_open(t, &name, 1, TXN_READ) == TXN_OK, "cannot read");
		check(w, txn_key(t, 0)->is_live == want.is_live, "%s: live at the end?", w->truths[i].name);
		check(w, txn_key(t, 0)->value == want.value, "%s at the end", w->truths[i].name);
		txn_abort(t);
		live += w->truths[i].now.is_live;
	}
	check(w, atomic_load(&w->rig.registry.live_count) == live, "live_count is %lld, there are %lld",
	      (long long)atomic_load(&w->rig.registry.live_count), (long long)live);
	if (!w->rig.closing)
		check_recovery(w, epoch_durable(&w->rig.clock));
}

/* In phases: for a while some of the workers do not get to run. */
static uint32_t draw_awake(struct world *w)
{
	uint32_t all = (1u << w->rig.workers) - 1;
	uint32_t some = rng_below(&w->rng, all + 1);

	return some && rng_below(&w->rng, 4) ? some : all;
}

static void run_seed(uint64_t seed, uint64_t epoch_first)
{
	struct world *w = calloc(1, sizeof(*w));
	uint32_t pace, awake = 0;

	assert_non_null(w);
	w->seed = seed;
	w->rng.state = seed;
	for (size_t i = 0; i < NAMES; i++)
		snprintf(w->truths[i].name, sizeof(w->truths[i].name), "n%zu", i);
	w->has_extras = rng_below(&w->rng, 3) != 0;
	rig_init(&w->rig, 2 + rng_below(&w->rng, RIG_WORKERS_MAX - 1), epoch_first, rng_below(&w->rng, 2));
	pace = 2 + rng_below(&w->rng, 10);
	for (size_t step = 0; step < STEPS; step++) {
		uint32_t i = rng_below(&w->rng, w->rig.workers);

		if (step % 16 == 0)
			awake = draw_awake(w);
		if (w->has_extras && rng_below(&w->rng, 4) == 0)
			clock_rig_forward(1 + rng_below(&w->rng, 3));
		if (rng_below(&w->rng, pace) == 0)
			step_committer(w);
		else if (awake & 1u << i)
			step_worker(w, i);
	}
	finish(w);
	rig_fini(&w->rig);
	free(w);
	seeds_run++;
}

static void run_seeds(uint64_t epoch_first)
{
	size_t count = rig_scaled(SEEDS);

	if (rig_seed()) {
		run_seed(rig_seed(), epoch_first);
		return;
	}
	for (uint64_t seed = 1; seed <= count; seed++)
		run_seed(seed, epoch_first);
}

static void test_every_cut_is_a_state_that_was(void **state)
{
	(void)state;
	run_seeds(1);
	print_message("%llu seeds, %llu cuts; workers found themselves behind %llu times, waited for cells "
		      "%llu times\n",
		      (unsigned long long)seeds_run, (unsigned long long)commits_checked,
		      (unsigned long long)caught_up, (unsigned long long)cells_seen);
	/* The simulation must have been where it hurts. */
	if (!rig_seed())
		assert_true(caught_up > seeds_run / 4 && cells_seen > seeds_run);
}

/* Stamps are the low 32 bits of an epoch, and those that stand in memory may be very old. */
static void test_the_cut_holds_where_stamps_wrap_or_are_very_old(void **state)
{
	static const uint64_t FIRST[] = {(UINT64_C(1) << 32) - 10, (UINT64_C(1) << 31) - 5,
					 (UINT64_C(1) << 31) + 5, (UINT64_C(5) << 32) - 1, UINT64_C(3) << 31};

	(void)state;
	/* A worker that thinks it is behind and is not would try for ever. */
	alarm(120);
	for (size_t i = 0; i < sizeof(FIRST) / sizeof(FIRST[0]); i++)
		for (uint64_t seed = 1; seed <= rig_scaled(100); seed++)
			run_seed(seed, FIRST[i]);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut_is_a_state_that_was),
		cmocka_unit_test(test_the_cut_holds_where_stamps_wrap_or_are_very_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
