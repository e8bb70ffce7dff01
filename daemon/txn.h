/* SPDX-License-Identifier: MIT */
/*
 * txn.h - what one request (or one EXEC) does to counters: opened, staged, committed; all or nothing.
 *
 * txn_open finds and locks the counters and shows their values; handlers change the staged copies only;
 * txn_commit records the effects in the worker's open epoch and publishes each counter with one store, then
 * unlocks. A single read takes no lock. Locks are taken in the order of addresses, so transactions do not
 * deadlock.
 *
 * The causal cut: when a locked counter carries a stamp newer than the worker's epoch, everything is
 * unlocked, the worker seals, and txn_open begins again. So a worker never seals with a lock or a pointer
 * into the registry in its hand, and what a request changes is recorded in an epoch not older than anything
 * it depends on.
 *
 * One txn per worker, used for one request at a time. Owner: the worker.
 */
#ifndef SHC_TXN_H
#define SHC_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"
#include "audit.h"
#include "audit_entry.h"
#include "epoch.h"
#include "registry.h"

struct txn_key {
	/* for handlers */
	struct slice name;
	bool is_live;	      /* the counter exists */
	int64_t value;	      /* 0 when it does not */
	int64_t expire_at_ms; /* wall clock; 0: never, or it does not exist */
	int64_t tat_ns;	      /* of its limit, steady clock; 0: none */
	/* private */
	struct counter *counter; /* null: no record */
	uint64_t object;	 /* its word when opened, COUNTER_ABSENT when below the floor */
	uint64_t hash;
	struct extra *extra;	 /* of the object that was opened; null: none */
	struct extra *extra_new; /* that it gets; owned until it is published */
	uint64_t hits;		 /* staged */
	int64_t value_before;
	uint64_t id_new;
	uint32_t stamp_before;
	uint8_t effects; /* enum txn_effect; from the beginning of the commit on */
	bool was_live;
	bool is_deleted; /* the object it had ends here; live again means a new one */
	bool is_expired; /* ... because of its expiry */
	bool is_locked;
	bool is_set;   /* the value was given, not added to */
	uint32_t step; /* number of its last step; 0: none */
};

/* For the audit log: what one command has changed about one counter. */
struct txn_step {
	int64_t delta, value; /* value: after it */
	uint32_t key;	      /* index of the counter's key */
	uint8_t operation;    /* enum audit_operation */
	bool is_live;	      /* after it */
	bool is_old;	      /* it is about the object that was opened */
};

enum txn_mode {
	TXN_READ = 0,
	TXN_WRITE = 1 << 0,   /* changes counters that exist */
	TXN_CREATE = 1 << 1,  /* with WRITE: and makes those that do not */
	TXN_WHOLE = 1 << 2,   /* with WRITE: must see all cells still (anything but adding) */
	TXN_SHARDED = 1 << 3, /* with WRITE: comes from the sharded path; counts towards cells */
	TXN_LOCKED = 1 << 4,  /* a single counter too is locked to be read: for what is beside its value */
};

/* So many changes of the last writer on the sharded path within two epochs: two workers want it, give it
 * cells.
 */
enum { TXN_HEAT_FOR_CELLS = 4 };

/* Outcomes. Negative: -ENOMEM, -EDQUOT (max-memory); nothing has changed and nothing is held. */
enum {
	TXN_OK = 0,
	TXN_WAIT =
		1, /* cells must come to rest: do the request again when wait_epoch is sealed; nothing held */
	TXN_OVERFLOW = 2, /* txn_add: a sum would leave 64 bits; nothing has changed */
};

/* 16 bytes that begin with the address, for sort.h. */
struct txn_place {
	const struct counter *counter; /* null: the name is missing */
	uint64_t key;		       /* index */
};

/* An addition to a cell: recorded, then done. */
struct txn_cell_add {
	struct counter *counter;
	uint64_t object;
	uint64_t id; /* of the object */
	int64_t delta;
};

/* Records into the open buffer what must be on disk exactly when the effects of the transaction are (a
 * session's sequence, a token): with them, or not at all. 0, or -ENOMEM and nothing is recorded. */
typedef int txn_rider_fn(void *arg, struct epoch_slot *epoch);

struct txn {
	struct registry *registry;
	struct epoch_slot *epoch;
	uint32_t worker;  /* index */
	uint32_t workers; /* how many: cells of a counter */
	bool is_always_cells;
	uint64_t wait_epoch; /* after TXN_WAIT */
	uint64_t told; /* newest epoch of anything this request has looked at or done: its reply must not
			  leave before in commit mode. Begins at 0 (txn_begin) */
	/* private */
	unsigned mode;
	struct txn_key *keys; /* distinct */
	size_t key_count, key_cap;
	uint32_t *index; /* name i of txn_open -> keys */
	size_t index_count, index_cap;
	struct txn_place *order;       /* keys, by address of their counter */
	struct txn_place *order_spare; /* the other half of the sort */
	size_t order_cap, order_spare_cap;
	uint64_t *hashes; /* of several names */
	size_t hash_cap;
	struct txn_cell_add *cell_adds; /* txn_add: what goes to cells */
	size_t cell_add_cap;
	struct slice *rest_names; /* txn_add: what does not */
	size_t rest_name_cap;
	int64_t *rest_deltas;
	size_t rest_delta_cap;
	bool is_flushing; /* txn_flush_staged */
	bool has_extras;  /* of the keys that stand locked, some have one */
	uint64_t floor_seen;
	int64_t wall_ms;   /* now, when all was locked and something may have expired; 0: not asked */
	int64_t steady_ns; /* now, of this request; 0: not asked */
	/* the audit log */
	struct audit *audit;	     /* null: there is none */
	const struct client *client; /* who sent the request; null: nobody */
	struct txn_step *steps;	     /* of this transaction */
	size_t step_count, step_cap;
	size_t entry_count;  /* that will be recorded */
	bool is_step_lost;   /* no memory */
	bool is_auditing;    /* any of these is not empty */
	txn_rider_fn *rider; /* null: none */
	void *rider_arg;
	const char *hint_name; /* txn_hint */
	uint64_t hint_hash;
};

void txn_init(struct txn *t, struct registry *registry, struct epoch_slot *epoch, uint32_t worker,
	      uint32_t workers, bool is_always_cells);
void txn_fini(struct txn *t);

/* Asks for what a change of this counter is going to be recorded in. */
static inline void txn_prefetch_entry(const struct txn *t, const struct counter *c)
{
	uint64_t object = counter_object(c);

	if (object & 1)
		__builtin_prefetch(epoch_buffer_place(t->epoch->open, counter_id(object)));
}

/* Keeps the hash of `name` for the txn_open or txn_add that follows. Compared by address: to be taken back,
 * with an empty name, before the bytes may change. */
static inline void txn_hint(struct txn *t, struct slice name, uint64_t hash)
{
	t->hint_name = name.data;
	t->hint_hash = hash;
}

/* A request begins, or something that nobody has asked for. */
static inline void txn_begin(struct txn *t)
{
	t->told = 0;
	t->client = NULL;
	t->rider = NULL;
	t->wall_ms = t->steady_ns = 0;
}

/* Goes with the next txn_commit or txn_add that succeeds in this request. */
static inline void txn_ride(struct txn *t, txn_rider_fn *rider, void *arg)
{
	t->rider = rider;
	t->rider_arg = arg;
}

/* The reply tells something of `epoch`. */
static inline void txn_tell(struct txn *t, uint64_t epoch)
{
	if (t->told < epoch)
		t->told = epoch;
}

/* ... of what carries this stamp. Epochs before the own one's predecessor are durable: the committer opens
 * none before. A stamp of 2^32 epochs ago may look young; then a reply waits for a commit for nothing. */
static inline void txn_tell_stamp(struct txn *t, uint32_t stamp)
{
	uint64_t own = t->epoch->own;

	if ((uint32_t)own - stamp <= 1)
		txn_tell(t, own - ((uint32_t)own - stamp));
	else if (epoch_is_behind(t->epoch, stamp))
		txn_tell(t, own + 1);
}

/* Opens `count` names (repeated ones share a key). Valid names only. */
int txn_open(struct txn *t, const struct slice *names, size_t count, unsigned mode);

/* Key of the i-th name given to txn_open. */
static inline struct txn_key *txn_key(const struct txn *t, size_t i)
{
	return &t->keys[t->index[i]];
}

/* Does the counter exist, seen from inside this transaction (staged), or from outside when none is open?
 * Told. */
bool txn_is_live(struct txn *t, struct counter *c);

/* How many more counters there are in this transaction's eyes than outside. */
int64_t txn_live_change(const struct txn *t);

/* ---- staging ---- */

static inline void txn_set(struct txn_key *k, int64_t value)
{
	k->is_live = true;
	k->is_set = true;
	k->value = value;
}

static inline void txn_delete(struct txn_key *k)
{
	k->is_deleted |= k->is_live && k->was_live;
	k->is_live = false;
	k->value = 0;
	k->expire_at_ms = k->tat_ns = 0;
	k->hits = 0;
}

/* From then on it is not there; 0: never; a moment that is past: at once. Of a counter that exists, opened
 * with TXN_WHOLE. */
void txn_expire(struct txn *t, struct txn_key *k, int64_t at_ms);

/* Wall clock, the same for the whole transaction: later than all locks. */
int64_t txn_wall_ms(struct txn *t);

/* Counts `hits` in the present second, apart from the value. As txn_expire. */
static inline void txn_hit(struct txn_key *k, uint64_t hits)
{
	k->hits += hits;
}

/* The steady clock, the same for the whole request. */
static inline int64_t txn_steady_ns(struct txn *t)
{
	if (t->steady_ns == 0)
		t->steady_ns = steady_clock_ns(&t->registry->steady);
	return t->steady_ns;
}

/* The hits of a counter that was opened with TXN_LOCKED or to be written, as they were before this
 * transaction; null: none. */
const struct window *txn_window(const struct txn_key *k);

/* value += delta, making the counter when needed; false and nothing changed when that leaves 64 bits. */
bool txn_incr(struct txn_key *k, int64_t delta);

/* ---- one step ---- txn_quick.c
 *
 * What nearly all requests are, done at once: one change of one counter that exists, of which nothing has to
 * be staged. The same rules as txn_open and txn_commit in a fifth of the instructions. `c` is a guess
 * (registry_guess), its name was compared. False: it is not that simple (the guess has no object any more,
 * the worker is behind, cells must be merged, the sum leaves 64 bits, no memory): nothing has happened, take
 * the long way. `told` is set. */

/* value += delta, `times` times in a row; *first is the value after the first. delta is not 0. */
bool txn_quick_incr(struct txn *t, struct counter *c, int64_t delta, size_t times, int64_t *first);

/* The same on the sharded path: to the worker's cell where there is one. */
bool txn_quick_add(struct txn *t, struct counter *c, int64_t delta, size_t times);

bool txn_quick_get(struct txn *t, struct counter *c, int64_t *value);

/* ---- the audit log ---- txn_audit.c */

/* Between MULTI and EXEC, behind each command: what it has changed about names `first` to first + count - 1
 * of txn_open. */
void txn_note_steps(struct txn *t, size_t first, size_t count);

/* The patterns have changed: the counter is to be audited, or not. TXN_OK, TXN_WAIT or negative. */
int txn_set_audited(struct txn *t, struct slice name, bool is_audited);

/* ---- the end ---- both leave nothing held. */

/* TXN_OK, TXN_WAIT or negative: only with TXN_OK has anything changed. */
int txn_commit(struct txn *t);
void txn_abort(struct txn *t);

/* Ends some counters that have expired, as DEL would, at most TXN_EXPIRE_SLICE; true: there are more. Nothing
 * is open. */
enum { TXN_EXPIRE_SLICE = 64 };
bool txn_expire_some(struct txn *t);

/* The sharded path: names[i] += deltas[i], all or none; to the worker's cells where there are some. With a
 * rider `count` may be 0. */
int txn_add(struct txn *t, const struct slice *names, const int64_t *deltas, size_t count);

/* For txn_add.c, and from it: arrays larger than this many items are not kept between requests. */
enum { TXN_KEEP_MAX = 4096 };
void txn_add_free(struct txn *t);

/* Room for `count` items of `size` bytes at *array, which has room for *cap. 0 or -ENOMEM. */
int txn_grow(void *array, size_t *cap, size_t count, size_t size);

/* FLUSHALL's instant: every object that exists is deleted. Then txn_sweep takes them out of memory. 0, or
 * -ENOMEM and nothing has changed. */
int txn_flush(struct txn *t);

/* FLUSHALL among other commands of a transaction: the keys are staged as deleted, everything else goes at the
 * commit. */
void txn_flush_staged(struct txn *t);

/* Marks absent what lies below the floor, some counters at a time; cursor as registry_walk; 0 at the end. */
uint64_t txn_sweep(struct txn *t, uint64_t cursor, size_t count_min);

/* What a counter is made of. Of one moment, but for the cells: additions that are under way are in them or
 * not.
 */
struct txn_parts {
	bool is_live;
	int64_t base;
	int64_t expire_at_ms; /* 0: never */
	uint32_t cell_count;  /* 0: it has none */
	uint8_t heat;	      /* without cells: how often it changed hands of late, see TXN_HEAT_FOR_CELLS */
	bool is_merging;      /* its cells are being folded into base */
	uint64_t changed_epoch; /* nothing in it is newer; 0: not changed since the daemon started */
};

/* For SHC.SHARDS and SHC.EXPLAIN; `cell_values` has room for one a worker. Told. */
void txn_look_at_parts(struct txn *t, struct slice name, struct txn_parts *parts, int64_t *cell_values);

#endif
