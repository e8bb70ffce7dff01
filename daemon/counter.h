/* SPDX-License-Identifier: MIT */
/*
 * counter.h - one counter: its record, its cells, and every memory order of the hot path.
 *
 * A record is where a name lives in the registry. It holds an object (an id and a value; extra.h: perhaps
 * more) or none: a name that was deleted, or only looked at under a lock, is a record without an object until
 * it is reclaimed.
 *
 * value = base + the sum of the cells. `base` is changed under the record's one-byte lock (the exact path). A
 * cell has one writer for ever, the worker of its index, who adds without a lock (the sharded path). Cells
 * appear when the sharded path meets contention and are folded into base ("merged") before anything that must
 * see the whole counter still.
 *
 * Range. While a counter has cells, base stays within +-COUNTER_BASE_MAX and every cell within its share of
 * the other half of the range, so that base + cells fits 64 bits whatever each adds without asking. What does
 * not fit waits for a merge; without cells the lock alone makes the check exact.
 *
 *            call \ what it needs       | lock held | own worker only | anyone
 *   counter_read                        |           |                 |   x (waits for a transaction's lock)
 *   counter_lock, counter_unlock        |           |                 |   x
 *   counter_total, counter_set_base,    |     x     |                 |
 *   counter_set_object, counter_merge_* |     x     |                 |
 *   counter_cell_has_room, _cell_add    |           |        x        |
 *   counter_stamp, counter_raise        |           |                 |   x
 *
 * Memory orders are argued at each function.
 */
#ifndef SHC_COUNTER_H
#define SHC_COUNTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/slice.h"
#include "extra.h"

/* Two cache lines: x86 prefetches lines in pairs, so neighbours 64 bytes apart would still share. */
enum { COUNTER_CELL_BYTES = 128 };

#define COUNTER_BASE_MAX (INT64_C(1) << 62)

struct counter_cell {
	_Alignas(COUNTER_CELL_BYTES) _Atomic int64_t
		value; /* written by the owner worker; read by anyone; a snapshot */
};

struct counter_cells {
	uint64_t id;
	int64_t share;		      /* every cell stays within +-share */
	uint32_t count;		      /* cells = workers */
	_Atomic uint64_t merge_epoch; /* 0, or: cells are still when every worker has sealed this epoch.
					 Written under the lock */
	struct counter_cell cell[];
};

struct counter {
	_Atomic int64_t base;	 /* written under the lock */
	_Atomic uint64_t object; /* see COUNTER_*; written under the lock */
	_Atomic uint32_t stamp;	 /* epoch (low 32 bits) of the newest change */
	_Atomic uint8_t lock;	 /* enum counter_lock_state */
	uint8_t name_len;
	uint8_t writer; /* the last to add on the sharded path; under the lock */
	uint8_t heat;	/* how often that changed of late; under the lock */
	char name[];	/* name_len bytes */
};

/* `object`: one word says whether the name has an object, its id, and where its cells are. */
enum {
	COUNTER_ABSENT = 0, /* no object */
	COUNTER_GONE = 2,   /* no object, and the record has left the registry: look the name up again */
			    /* odd: id << 1 | 1; else an address: of a struct extra with COUNTER_EXTRA, of a
			       struct counter_cells without */
	COUNTER_EXTRA = 2,
	COUNTER_KIND_MASK = 3,
};

enum counter_lock_state {
	COUNTER_FREE = 0,
	COUNTER_LOCKED = 1,	/* one counter's step: readers need not wait, every step is one store */
	COUNTER_LOCKED_TXN = 2, /* one of several counters that change together: readers wait */
};

static inline size_t counter_size(size_t name_len)
{
	return (sizeof(struct counter) + name_len + 7) & ~(size_t)7;
}

static inline struct slice counter_name(const struct counter *c)
{
	return (struct slice){.data = c->name, .len = c->name_len};
}

/* `c` may be null. */
static inline void counter_prefetch(const struct counter *c)
{
	if (!c)
		return;
	__builtin_prefetch(c);
	/* Half of the records reach into the next line with their name. */
	__builtin_prefetch((const char *)c + sizeof(*c) + 8);
}

/* A record without an object, stamped with an epoch long past. */
void counter_init(struct counter *c, struct slice name, uint32_t stamp);

/* ---- the object word ---- */

static inline uint64_t counter_object(const struct counter *c)
{
	/* acquire: pairs with the release in counter_set_object; what base and cells were when it was set is
	 * visible. */
	return atomic_load_explicit(&c->object, memory_order_acquire);
}

static inline bool counter_has_cells(uint64_t object)
{
	return !(object & COUNTER_KIND_MASK) && object != COUNTER_ABSENT;
}

static inline bool counter_has_extra(uint64_t object)
{
	return (object & COUNTER_KIND_MASK) == COUNTER_EXTRA && object > COUNTER_GONE;
}

static inline struct counter_cells *counter_cells_of(uint64_t object)
{
	return (struct counter_cells *)(uintptr_t)object; // NOLINT
}

static inline struct extra *counter_extra_of(uint64_t object)
{
	return (struct extra *)(uintptr_t)(object & ~(uint64_t)COUNTER_KIND_MASK); // NOLINT
}

static inline uint64_t counter_object_of_extra(const struct extra *x)
{
	return (uintptr_t)x | COUNTER_EXTRA;
}

static inline bool counter_has_object(uint64_t object)
{
	return object != COUNTER_ABSENT && object != COUNTER_GONE;
}

/* Of one that has a value and nothing else. */
static inline uint64_t counter_plain_id(uint64_t object)
{
	return object >> 1;
}

/* Id of the object; 0 for none. */
static inline uint64_t counter_id(uint64_t object)
{
	if (object & 1)
		return counter_plain_id(object);
	if (counter_has_cells(object))
		return counter_cells_of(object)->id;
	return counter_has_extra(object) ? counter_extra_of(object)->id : 0;
}

static inline uint64_t counter_object_of_id(uint64_t id)
{
	return id << 1 | 1;
}

static inline void counter_set_object(struct counter *c, uint64_t object)
{
	/* release: a reader that sees this object sees the base that belongs to it. */
	atomic_store_explicit(&c->object, object, memory_order_release);
}

static inline void counter_set_base(struct counter *c, int64_t base)
{
	/* release: pairs with counter_read's acquire, so that who sees one counter of a transaction changed
	 * sees the locks of the others taken (or all of it done). */
	atomic_store_explicit(&c->base, base, memory_order_release);
}

static inline int64_t counter_base(const struct counter *c)
{
	return atomic_load_explicit(&c->base, memory_order_acquire);
}

/* ---- lock ---- spins; held for some tens of instructions, never across a system call. */

void counter_lock_slow(struct counter *c, enum counter_lock_state how);

static inline void counter_lock(struct counter *c, enum counter_lock_state how)
{
	uint8_t is_free = COUNTER_FREE;

	/* acquire: pairs with unlock's release. One locked instruction, as an atomic addition would cost. */
	if (!atomic_compare_exchange_strong_explicit(&c->lock, &is_free, (uint8_t)how, memory_order_acquire,
						     memory_order_relaxed))
		counter_lock_slow(c, how);
}

static inline void counter_unlock(struct counter *c)
{
	atomic_store_explicit(&c->lock, COUNTER_FREE, memory_order_release);
}

/* ---- stamp ---- */

static inline uint32_t counter_stamp(const struct counter *c)
{
	/* Ordered after the loads of what it stamps: those are acquire. */
	return atomic_load_explicit(&c->stamp, memory_order_acquire);
}

/* Is the stamp newer than the epoch of a worker that runs? Then it is the next one: the committer does not
 * open a second before this worker has sealed. So no order is needed, and a counter that was last changed
 * 2^32 epochs ago costs one needless look at the global epoch. */
static inline bool counter_stamp_is_next(uint32_t stamp, uint64_t epoch)
{
	return stamp == (uint32_t)(epoch + 1);
}

/* Makes the stamp at least `epoch`, that of the calling worker. Before the change it stamps: the store of the
 * change is a release, so who sees the change sees the stamp. A stamp that says "next" while `open_epoch` has
 * not moved is 2^32 epochs old, and is replaced like any other. */
static inline void counter_raise(struct counter *c, uint64_t epoch, const _Atomic uint64_t *open_epoch)
{
	uint32_t seen = atomic_load_explicit(&c->stamp, memory_order_relaxed);

	while (seen != (uint32_t)epoch) {
		if (counter_stamp_is_next(seen, epoch) &&
		    atomic_load_explicit(open_epoch, memory_order_acquire) != epoch)
			break;
		/* release: who reads the stamp with acquire sees that the global epoch has come so far. */
		if (atomic_compare_exchange_weak_explicit(&c->stamp, &seen, (uint32_t)epoch,
							  memory_order_release, memory_order_relaxed))
			break;
	}
}

/* ---- values ---- */

struct counter_view {
	uint64_t object; /* the object word it was read from */
	int64_t value;	 /* 0 without an object */
};

/* Without a lock when there is nothing beside the value. Whether it has expired is not looked at.
 * Intermediate value linearizable: contains every addition that was acknowledged before, none that begins
 * after. Waits while a transaction holds the counter. */
struct counter_view counter_read(struct counter *c);

/* base + cells, modulo nothing: it fits. Lock held. */
int64_t counter_total(const struct counter *c, uint64_t object);

/* ---- the sharded path ---- */

/* Has the worker's own cell room for `room` more either way? False also without cells, and while they are
 * being merged: then the addition goes to base, under the lock. The answer holds until this worker seals. */
static inline bool counter_cell_has_room(uint64_t object, uint32_t worker, int64_t room)
{
	const struct counter_cells *cells;
	int64_t value;

	if (!counter_has_cells(object))
		return false;
	cells = counter_cells_of(object);
	/* relaxed: whoever asks for a merge waits until this worker has sealed the epoch, which orders it. */
	if (atomic_load_explicit(&cells->merge_epoch, memory_order_relaxed))
		return false;
	value = atomic_load_explicit(&cells->cell[worker].value, memory_order_relaxed);
	return room <= cells->share && value <= cells->share - room && value >= room - cells->share;
}

/* Adds to the worker's own cell, which has room. The caller has raised the stamp. */
static inline void counter_cell_add(uint64_t object, uint32_t worker, int64_t delta)
{
	_Atomic int64_t *value = &counter_cells_of(object)->cell[worker].value;

	/* release: who sees the sum sees the stamp. No lock prefix: the only writer of this cell is this
	 * worker. */
	atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + delta,
			      memory_order_release);
}

/* May this counter have cells now? */
static inline bool counter_may_have_cells(int64_t base)
{
	return base >= -COUNTER_BASE_MAX && base <= COUNTER_BASE_MAX;
}

/* Cells for object `id`, zero, to be put into the object word with counter_set_object. Null: no memory. */
static inline size_t counter_cells_size(uint32_t workers)
{
	return sizeof(struct counter_cells) + workers * sizeof(struct counter_cell);
}

struct counter_cells *counter_cells_new(uint64_t id, uint32_t workers);
struct counter_cells *counter_cells_free(struct counter_cells *cells);

/* Asks the workers to keep off the cells; `open_epoch` is read after the mark stands, so that every worker
 * who has sealed it has seen the mark. Returns the epoch to wait for (that of an earlier mark, if there is
 * one). Lock held. */
uint64_t counter_merge_mark(struct counter_cells *cells, const _Atomic uint64_t *open_epoch);

/* Are the cells still, now that all have sealed `epoch_sealed`? */
static inline bool counter_merge_is_due(const struct counter_cells *cells, uint64_t epoch_sealed)
{
	uint64_t epoch = atomic_load_explicit(&cells->merge_epoch, memory_order_relaxed);

	return epoch != 0 && epoch <= epoch_sealed;
}

/* Folds still cells into base and takes them out of the record. Lock held; readers without a lock see the
 * object word change. The cells are the caller's to retire. */
void counter_merge(struct counter *c, struct counter_cells *cells);

#endif
