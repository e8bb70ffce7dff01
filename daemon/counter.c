/* SPDX-License-Identifier: MIT */
/* counter.c - see counter.h. Owns nothing; entered by every worker. */
#include "counter.h"

#include <stdlib.h>
#include <string.h>

#include "spin.h"

void counter_init(struct counter *c, struct slice name, uint32_t stamp)
{
	atomic_init(&c->base, 0);
	atomic_init(&c->object, COUNTER_ABSENT);
	atomic_init(&c->stamp, stamp);
	atomic_init(&c->lock, COUNTER_FREE);
	c->name_len = (uint8_t)name.len;
	c->writer = 0;
	c->heat = 0;
	memcpy(c->name, name.data, name.len);
}

void counter_lock_slow(struct counter *c, enum counter_lock_state how)
{
	unsigned spins = 0;

	for (;;) {
		uint8_t seen = atomic_load_explicit(&c->lock, memory_order_relaxed);

		if (seen == COUNTER_FREE &&
		    atomic_compare_exchange_weak_explicit(&c->lock, &seen, (uint8_t)how, memory_order_acquire,
							  memory_order_relaxed))
			return;
		spin_pause(&spins);
	}
}

int64_t counter_total(const struct counter *c, uint64_t object)
{
	/* Modulo 2^64 on the way; the sum fits because of the shares. */
	uint64_t sum = (uint64_t)atomic_load_explicit(&c->base, memory_order_relaxed);

	if (counter_has_cells(object)) {
		const struct counter_cells *cells = counter_cells_of(object);

		/* acquire: pairs with counter_cell_add's release, for the stamp. */
		for (uint32_t i = 0; i < cells->count; i++)
			sum += (uint64_t)atomic_load_explicit(&cells->cell[i].value, memory_order_acquire);
	}
	return (int64_t)sum;
}

/* Under the lock nothing moves between base and cells. */
static struct counter_view read_locked(struct counter *c)
{
	struct counter_view view = {0};

	counter_lock(c, COUNTER_LOCKED);
	view.object = counter_object(c);
	if (counter_has_object(view.object))
		view.value = counter_total(c, view.object);
	counter_unlock(c);
	return view;
}

struct counter_view counter_read(struct counter *c)
{
	unsigned spins = 0;

	for (;;) {
		struct counter_view view = {0};

		/* acquire: before the loads below. A transaction that locks after this look has not changed
		 * anything that this reader, or whoever hears from it, has seen before. */
		if (atomic_load_explicit(&c->lock, memory_order_acquire) == COUNTER_LOCKED_TXN) {
			spin_pause(&spins);
			continue;
		}
		view.object = counter_object(c);
		if (!counter_has_object(view.object))
			return view;
		if (!(view.object & 1))
			return read_locked(c);
		view.value = counter_base(c);
		/* The base belongs to this object only if the object is still the same: a delete and a
		 * creation may have come between. Ids are never used again, so equal means unchanged. */
		if (counter_object(c) == view.object)
			return view;
	}
}

struct counter_cells *counter_cells_new(uint64_t id, uint32_t workers)
{
	size_t size = counter_cells_size(workers);
	struct counter_cells *cells = aligned_alloc(COUNTER_CELL_BYTES, size);

	if (!cells)
		return NULL;
	memset(cells, 0, size);
	cells->id = id;
	cells->count = workers;
	cells->share = (COUNTER_BASE_MAX - 1) / workers;
	return cells;
}

struct counter_cells *counter_cells_free(struct counter_cells *cells)
{
	free(cells);
	return NULL;
}

uint64_t counter_merge_mark(struct counter_cells *cells, const _Atomic uint64_t *open_epoch)
{
	uint64_t epoch = atomic_load_explicit(&cells->merge_epoch, memory_order_relaxed);

	if (epoch)
		return epoch;
	/* The mark must be visible to a worker before it can see an epoch later than the one read here:
	 * store, fence, load on this side; load of the epoch, fence (epoch_seal), load of the mark on the
	 * worker's. Until the true number stands, an impossible one keeps the workers off. */
	atomic_store_explicit(&cells->merge_epoch, UINT64_MAX, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	epoch = atomic_load_explicit(open_epoch, memory_order_relaxed);
	atomic_store_explicit(&cells->merge_epoch, epoch, memory_order_relaxed);
	return epoch;
}

void counter_merge(struct counter *c, struct counter_cells *cells)
{
	int64_t total = counter_total(c, counter_object(c));

	/* Between the two stores a reader without the lock finds the cells and goes for the lock. */
	counter_set_base(c, total);
	counter_set_object(c, counter_object_of_id(cells->id));
}
