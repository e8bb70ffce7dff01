/* SPDX-License-Identifier: MIT */
/*
 * txn_add.c - the sharded path of txn.h, FLUSHALL and SHC.SHARDS: what does not fit "lock, stage, publish".
 *
 * An addition depends on nothing but that its object exists, so it needs no lock where the worker has a cell
 * of its own. What is behind seals before anything is changed, as in txn_open.
 */
#include <errno.h>
#include <stdlib.h>

#include "../lib/num.h"
#include "txn_private.h"

enum cell_result { CELL_FOUND, CELL_NONE, CELL_BEHIND };

/* Has the counter a cell of this worker's with `room` to spare? */
static enum cell_result find_cell(struct txn *t, struct slice name, uint64_t hash, int64_t room,
				  uint64_t floor, struct txn_cell_add *out)
{
	struct counter *c = registry_find(t->registry, name, hash);
	uint64_t object = c ? counter_object(c) : COUNTER_ABSENT;

	if (!counter_cell_has_room(object, t->worker, room) || counter_id(object) < floor)
		return CELL_NONE;
	if (txn_is_behind(t, counter_stamp(c)))
		return CELL_BEHIND;
	*out = (struct txn_cell_add){.counter = c, .object = object, .id = counter_id(object)};
	return CELL_FOUND;
}

static int record_cell(struct txn *t, const struct txn_cell_add *add)
{
	txn_note_dirty(t);
	return epoch_buffer_add(t->epoch->open, add->id, (uint64_t)add->delta);
}

static void unrecord_cell(struct txn *t, const struct txn_cell_add *add)
{
	/* The entry exists, so this cannot fail. */
	(void)epoch_buffer_add(t->epoch->open, add->id, 0 - (uint64_t)add->delta);
}

static void publish_cell(struct txn *t, const struct txn_cell_add *add)
{
	counter_raise(add->counter, t->epoch->own, &t->epoch->clock->open);
	txn_tell(t, t->epoch->own);
	counter_cell_add(add->object, t->worker, add->delta);
}

/* Opens what goes through base, and stages it. */
static int stage_rest(struct txn *t, const struct slice *names, const int64_t *deltas, size_t count)
{
	int rc = txn_open(t, names, count, TXN_WRITE | TXN_CREATE | TXN_SHARDED);

	for (size_t i = 0; i < count && !rc; i++) {
		if (!txn_incr(txn_key(t, i), deltas[i])) {
			txn_abort(t);
			rc = TXN_OVERFLOW;
		}
	}
	return rc;
}

static int add_one(struct txn *t, const struct slice *name, int64_t delta)
{
	uint64_t hash = name->data == t->hint_name ? t->hint_hash : registry_hash(t->registry, *name);
	struct txn_cell_add add;
	int rc;

	for (;;) {
		switch (find_cell(t, *name, hash, txn_magnitude(delta), registry_floor(t->registry), &add)) {
		case CELL_FOUND:
			add.delta = delta;
			/* Recorded first: that can fail, adding cannot. */
			rc = record_cell(t, &add);
			if (!rc && (rc = txn_record_rider(t)))
				unrecord_cell(t, &add);
			if (!rc)
				publish_cell(t, &add);
			return rc;
		case CELL_NONE: rc = stage_rest(t, name, &delta, 1); return rc ? rc : txn_commit(t);
		case CELL_BEHIND: epoch_catch_up(t->epoch); break;
		}
	}
}

/* ---- several, all or none ---- */

/* The third step behind txn_look_ahead. `guess` may be null. */
static void prefetch_cell(const struct txn *t, const struct counter *guess)
{
	uint64_t object = guess ? counter_object(guess) : COUNTER_ABSENT;

	if (counter_has_cells(object)) {
		__builtin_prefetch(counter_cells_of(object));
		__builtin_prefetch(&counter_cells_of(object)->cell[t->worker]);
	}
}

static void prefetch_entry(const struct txn *t, uint64_t id)
{
	__builtin_prefetch(epoch_buffer_place(t->epoch->open, id));
}

struct split {
	size_t cells, rest; /* counts of t->cell_adds and t->rest_* */
	uint64_t floor;	    /* that the cells were found above */
};

/* Sorts the additions into those that go to cells and the rest. A cell must have room for all of them, so
 * that names may repeat. Seals when behind, and begins again: nothing is held. */
static struct split split_adds(struct txn *t, const struct slice *names, const int64_t *deltas, size_t count)
{
	struct split split = {.floor = registry_floor(t->registry)};
	int64_t room = 0;

	for (size_t i = 0; i < count; i++)
		if (!num_add_i64(room, txn_magnitude(deltas[i]), &room))
			room = INT64_MAX;
	txn_hash_all(t, names, count);
	for (size_t i = 0; i < count; i++) {
		struct txn_cell_add *add = &t->cell_adds[split.cells];

		txn_look_ahead(t, i, count);
		if (i + TXN_AHEAD / 2 < count)
			prefetch_cell(t, registry_guess(t->registry, t->hashes[i + TXN_AHEAD / 2]));
		switch (find_cell(t, names[i], t->hashes[i], room, split.floor, add)) {
		case CELL_FOUND:
			add->delta = deltas[i];
			split.cells++;
			break;
		case CELL_NONE:
			t->rest_names[split.rest] = names[i];
			t->rest_deltas[split.rest++] = deltas[i];
			break;
		case CELL_BEHIND: epoch_catch_up(t->epoch); return split_adds(t, names, deltas, count);
		}
	}
	return split;
}

static void unrecord_cells(struct txn *t, size_t count)
{
	for (size_t i = 0; i < count; i++)
		unrecord_cell(t, &t->cell_adds[i]);
}

/* With the rest locked and staged: record the cells, commit the rest, then do the cells. */
static int commit_split(struct txn *t, struct split split)
{
	size_t recorded = 0;
	int rc = 0;

	while (recorded < split.cells && !rc) {
		if (recorded + TXN_AHEAD < split.cells)
			prefetch_entry(t, t->cell_adds[recorded + TXN_AHEAD].id);
		rc = record_cell(t, &t->cell_adds[recorded]);
		recorded += !rc;
	}
	if (split.rest) {
		if (rc)
			txn_abort(t);
		else
			rc = txn_commit(t);
	} else if (!rc) {
		rc = txn_record_rider(t);
	}
	if (rc) {
		unrecord_cells(t, recorded);
		return rc;
	}
	for (size_t i = 0; i < split.cells; i++) {
		if (i + TXN_AHEAD < split.cells)
			prefetch_cell(t, t->cell_adds[i + TXN_AHEAD].counter);
		publish_cell(t, &t->cell_adds[i]);
	}
	return 0;
}

static int add_many(struct txn *t, const struct slice *names, const int64_t *deltas, size_t count)
{
	struct split split;
	uint64_t epoch;
	bool is_void;
	int rc;

	do {
		split = split_adds(t, names, deltas, count);
		epoch = t->epoch->own;
		rc = split.rest ? stage_rest(t, t->rest_names, t->rest_deltas, split.rest) : 0;
		if (rc)
			return rc;
		/* Opening the rest may have sealed, and then the cells may be merged under us. Or FLUSHALL
		 * came between looking at one name and the next: it takes all of an addition or nothing. */
		is_void = epoch != t->epoch->own || registry_floor(t->registry) != split.floor ||
			  (split.rest && split.floor != t->floor_seen);
		if (is_void && split.rest)
			txn_abort(t);
	} while (is_void);
	return commit_split(t, split);
}

void txn_add_free(struct txn *t)
{
	free(t->cell_adds);
	free(t->rest_names);
	free(t->rest_deltas);
	t->cell_adds = NULL;
	t->rest_names = NULL;
	t->rest_deltas = NULL;
	t->cell_add_cap = t->rest_name_cap = t->rest_delta_cap = 0;
}

int txn_add(struct txn *t, const struct slice *names, const int64_t *deltas, size_t count)
{
	int rc;

	if (count == 0) {
		txn_tell(t, t->epoch->own);
		return txn_record_rider(t);
	}
	if (count == 1)
		return add_one(t, names, deltas[0]);
	if (txn_grow(&t->hashes, &t->hash_cap, count, sizeof(*t->hashes)) ||
	    txn_grow(&t->cell_adds, &t->cell_add_cap, count, sizeof(*t->cell_adds)) ||
	    txn_grow(&t->rest_names, &t->rest_name_cap, count, sizeof(*t->rest_names)) ||
	    txn_grow(&t->rest_deltas, &t->rest_delta_cap, count, sizeof(*t->rest_deltas)))
		return -ENOMEM;
	rc = add_many(t, names, deltas, count);
	if (count > TXN_KEEP_MAX)
		txn_add_free(t);
	return rc;
}

/* ---- FLUSHALL ---- */

int txn_flush(struct txn *t)
{
	uint64_t floor;
	bool is_audited = t->audit && audit_is_on(t->audit);
	int rc = is_audited ? txn_prepare_flush_entry(t) : 0;

	if (rc)
		return rc;
	txn_note_dirty(t);
	(void)registry_flush(t->registry, t->epoch->own, &t->epoch->clock->open, NULL, 0, &floor);
	epoch_buffer_flush(t->epoch->open, floor);
	if (is_audited)
		txn_record_flush_entry(t, floor);
	txn_tell(t, t->epoch->own);
	return 0;
}

static void sweep_one(void *arg, struct counter *c)
{
	struct txn *t = arg;
	uint64_t object = counter_object(c);

	if (!counter_has_object(object) || counter_id(object) >= t->floor_seen)
		return;
	counter_lock(c, COUNTER_LOCKED);
	object = counter_object(c);
	if (counter_has_object(object) && counter_id(object) < t->floor_seen) {
		/* Absent from now on by its record, no more by the floor: the record must carry the epoch
		 * too. */
		counter_raise(c, t->epoch->own, &t->epoch->clock->open);
		counter_set_object(c, COUNTER_ABSENT);
		txn_retire_side(t, object);
		(void)epoch_buffer_retire(t->epoch->open, c, RETIRED_COUNTER);
	}
	counter_unlock(c);
}

uint64_t txn_sweep(struct txn *t, uint64_t cursor, size_t count_min)
{
	/* The floor may be another worker's, of a newer epoch. */
	t->floor_seen = registry_floor(t->registry);
	if (txn_is_behind(t, atomic_load(&t->registry->floor_stamp)))
		epoch_catch_up(t->epoch);
	txn_note_dirty(t);
	return registry_walk(t->registry, cursor, count_min, sweep_one, t);
}

/* ---- SHC.SHARDS, SHC.EXPLAIN ---- */

/* A stamp has the low half of an epoch, and none of a counter that changed is from before the daemon started.
 */
static uint64_t epoch_of_stamp(const struct txn *t, uint32_t stamp)
{
	uint64_t own = t->epoch->own, epoch = own - ((uint32_t)own - stamp);

	if (epoch_is_behind(t->epoch, stamp))
		return own + 1;
	return epoch <= own && epoch >= t->epoch->clock->first ? epoch : 0;
}

static void read_parts(struct txn *t, const struct counter *c, struct txn_parts *parts, int64_t *cell_values)
{
	uint64_t object = counter_object(c);
	const struct counter_cells *cells = counter_has_cells(object) ? counter_cells_of(object) : NULL;

	parts->base = counter_base(c);
	if (counter_has_extra(object))
		parts->expire_at_ms =
			atomic_load_explicit(&counter_extra_of(object)->expire_at_ms, memory_order_acquire);
	parts->heat = txn_is_heat_fresh(t, counter_stamp(c)) ? c->heat : 0;
	if (!cells)
		return;
	parts->cell_count = cells->count;
	parts->is_merging = atomic_load_explicit(&cells->merge_epoch, memory_order_relaxed) != 0;
	for (uint32_t i = 0; i < cells->count; i++)
		cell_values[i] = atomic_load_explicit(&cells->cell[i].value, memory_order_acquire);
}

void txn_look_at_parts(struct txn *t, struct slice name, struct txn_parts *parts, int64_t *cell_values)
{
	struct counter *c = registry_find(t->registry, name, registry_hash(t->registry, name));
	uint32_t stamp;

	*parts = (struct txn_parts){0};
	if (!c)
		return;
	counter_lock(c, COUNTER_LOCKED);
	read_parts(t, c, parts, cell_values);
	/* The stamp behind the cells, which other workers add to meanwhile: what was seen is told. */
	stamp = counter_stamp(c);
	txn_tell_stamp(t, stamp);
	if (txn_is_live(t, c)) {
		parts->is_live = true;
		parts->changed_epoch = epoch_of_stamp(t, stamp);
	} else {
		*parts = (struct txn_parts){0};
	}
	counter_unlock(c);
}
