/* SPDX-License-Identifier: MIT */
/*
 * txn_quick.c - the one-step part of txn.h: lock, look, record, publish, unlock, with no key in between.
 *
 * The order of things is that of txn_open and txn_commit: the floor and the stamp are looked at under the
 * lock, before anything is changed; the change is recorded before it is published, because that can fail; the
 * stamp is raised before base. Whatever is not the plain case is left to them.
 */
#include "txn_private.h"

/* Is the object with this id above FLUSHALL's floor, and nothing about it newer than this worker? */
static inline bool is_plain(const struct txn *t, const struct counter *c, uint64_t id)
{
	return id >= registry_floor(t->registry) && !txn_is_behind(t, counter_stamp(c));
}

/* delta * times, and what base is after it. */
static inline bool sum_up(int64_t base, int64_t delta, size_t times, int64_t *total, int64_t *sum)
{
	return !__builtin_mul_overflow(delta, times, total) && !__builtin_add_overflow(base, *total, sum);
}

static inline bool record(struct txn *t, uint64_t id, int64_t total)
{
	txn_note_dirty(t);
	return epoch_buffer_add(t->epoch->open, id, (uint64_t)total) == 0;
}

/* Lock held; the object has a value and nothing else. */
static inline bool add_to_base(struct txn *t, struct counter *c, uint64_t id, int64_t delta, size_t times,
			       int64_t *base)
{
	int64_t total, sum;

	*base = counter_base(c);
	if (!sum_up(*base, delta, times, &total, &sum) || !record(t, id, total))
		return false;
	counter_raise(c, t->epoch->own, &t->epoch->clock->open);
	counter_set_base(c, sum);
	t->told = t->epoch->own;
	return true;
}

bool txn_quick_incr(struct txn *t, struct counter *c, int64_t delta, size_t times, int64_t *first)
{
	uint64_t object;
	int64_t base;
	bool is_done;

	counter_lock(c, COUNTER_LOCKED);
	object = counter_object(c);
	is_done = (object & 1) && is_plain(t, c, counter_plain_id(object)) &&
		  add_to_base(t, c, counter_plain_id(object), delta, times, &base);
	counter_unlock(c);
	if (is_done)
		*first = base + delta;
	return is_done;
}

/* Lock held: does the counter stay in this worker's hands, so that it needs no cells? */
static inline bool is_own(const struct txn *t, struct counter *c)
{
	if (t->is_always_cells || c->writer != t->worker)
		return false;
	if (!txn_is_heat_fresh(t, counter_stamp(c)))
		c->heat = 0;
	return c->heat < TXN_HEAT_FOR_CELLS;
}

static bool add_to_cell(struct txn *t, struct counter *c, uint64_t object, int64_t delta, size_t times)
{
	int64_t total;

	if (__builtin_mul_overflow(delta, times, &total) ||
	    !counter_cell_has_room(object, t->worker, txn_magnitude(total)) ||
	    !is_plain(t, c, counter_cells_of(object)->id) || !record(t, counter_cells_of(object)->id, total))
		return false;
	counter_raise(c, t->epoch->own, &t->epoch->clock->open);
	t->told = t->epoch->own;
	counter_cell_add(object, t->worker, total);
	return true;
}

bool txn_quick_add(struct txn *t, struct counter *c, int64_t delta, size_t times)
{
	uint64_t object = counter_object(c);
	int64_t base;
	bool is_done;

	if (counter_has_cells(object))
		return add_to_cell(t, c, object, delta, times);
	counter_lock(c, COUNTER_LOCKED);
	object = counter_object(c);
	is_done = (object & 1) && is_plain(t, c, counter_plain_id(object)) && is_own(t, c) &&
		  add_to_base(t, c, counter_plain_id(object), delta, times, &base);
	counter_unlock(c);
	return is_done;
}

bool txn_quick_get(struct txn *t, struct counter *c, int64_t *value)
{
	struct counter_view view = counter_read(c);
	uint32_t stamp = counter_stamp(c);

	/* The floor behind the value, as the stamp: who deletes everything raises the floor's stamp first. */
	if (!counter_has_object(view.object) || counter_has_extra(view.object) ||
	    counter_id(view.object) < registry_floor(t->registry) || txn_is_behind(t, stamp))
		return false;
	t->told = 0;
	txn_tell_stamp(t, stamp);
	*value = view.value;
	return true;
}
