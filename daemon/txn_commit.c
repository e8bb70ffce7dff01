/* SPDX-License-Identifier: MIT */
/*
 * txn_commit.c - the end of txn.h: what was staged is recorded in the open epoch, then published with one
 * store a counter, under the locks of all. Entered by the worker of the txn.
 */
#include <errno.h>

#include "txn_private.h"

static bool is_new_object(const struct txn_key *k)
{
	return k->is_live && (!k->was_live || k->is_deleted);
}

static bool is_end_of_object(const struct txn_key *k)
{
	return k->was_live && (!k->is_live || k->is_deleted);
}

static bool is_changed(const struct txn_key *k)
{
	return is_new_object(k) || is_end_of_object(k) || k->value != k->value_before;
}

static uint64_t delta_of(const struct txn_key *k)
{
	return (uint64_t)k->value - (uint64_t)(is_new_object(k) ? 0 : k->value_before);
}

static int64_t base_after(const struct txn_key *k)
{
	if (is_new_object(k))
		return k->value;
	return (int64_t)((uint64_t)counter_base(k->counter) + delta_of(k));
}

/* With cells, base has its own half of the range; what does not fit needs the cells merged first. */
static int check_range(struct txn *t)
{
	for (size_t i = 0; i < t->key_count; i++) {
		struct txn_key *k = &t->keys[i];

		if (!txn_is_distinct(t, (uint32_t)i) || !is_changed(k) || !counter_has_cells(k->object))
			continue;
		if (is_end_of_object(k))
			return -EINVAL; /* a handler that should have asked for TXN_WHOLE */
		if (!counter_may_have_cells(base_after(k))) {
			/* What was staged is void either way; merged at once means: again at once (wait_epoch
			 * 0). */
			(void)txn_merge_all(t);
			return TXN_WAIT;
		}
	}
	return TXN_OK;
}

/* New ids in a row and, in a transaction with FLUSHALL, the new floor right below them. -EAGAIN: another
 * FLUSHALL came between opening and now, and some of what we saw is gone: what is done here must be wholly
 * before it or wholly after. */
static int draw_ids(struct txn *t)
{
	uint64_t count = 0, id;

	for (size_t i = 0; i < t->key_count; i++)
		count += txn_is_distinct(t, (uint32_t)i) && is_new_object(&t->keys[i]);
	if (t->is_flushing) {
		if (!registry_flush(t->registry, t->epoch->own, &t->epoch->clock->open, &t->floor_seen, count,
				    &id))
			return -EAGAIN;
		txn_note_dirty(t);
		epoch_buffer_flush(t->epoch->open, id);
	} else if (count && !registry_draw(t->registry, count, t->floor_seen, &id)) {
		return -EAGAIN;
	}
	for (size_t i = 0; i < t->key_count && count; i++)
		if (txn_is_distinct(t, (uint32_t)i) && is_new_object(&t->keys[i]))
			t->keys[i].id_new = id++;
	return 0;
}

/* Of the object that is there afterwards; draw_ids has set id_new where it is a new one. */
static inline uint64_t record_id(const struct txn_key *k)
{
	return k->id_new ? k->id_new : counter_id(k->object);
}

static int record_one(struct epoch_buffer *b, const struct txn_key *k)
{
	uint64_t id = record_id(k);
	int rc = 0;

	if (is_end_of_object(k))
		rc = epoch_buffer_delete(b, counter_id(k->object));
	if (!rc && is_new_object(k))
		rc = epoch_buffer_create(b, id, k->name);
	if (!rc && k->is_live && delta_of(k))
		rc = epoch_buffer_add(b, id, delta_of(k));
	return rc;
}

int txn_record_rider(struct txn *t)
{
	if (!t->rider)
		return 0;
	txn_note_dirty(t);
	return t->rider(t->rider_arg, t->epoch);
}

/* All effects, or none of them, into the open buffer. */
static int record_all(struct txn *t)
{
	struct epoch_buffer *b = t->epoch->open;
	size_t names = b->names.tail, deletes = b->deletes.tail;
	int rc = 0;
	size_t i;

	for (i = 0; i < t->key_count && !rc; i++) {
		if (i + TXN_AHEAD < t->key_count)
			__builtin_prefetch(epoch_buffer_place(b, record_id(&t->keys[i + TXN_AHEAD])));
		if (txn_is_distinct(t, (uint32_t)i) && is_changed(&t->keys[i]))
			rc = record_one(b, &t->keys[i]);
	}
	if (!rc) {
		rc = txn_record_rider(t);
		i++;
	}
	if (!rc)
		return 0;
	/* The failed one left no delta: its delta comes last. */
	for (i--; i-- > 0;)
		if (txn_is_distinct(t, (uint32_t)i) && is_changed(&t->keys[i]) && delta_of(&t->keys[i]))
			(void)epoch_buffer_add(b, record_id(&t->keys[i]), 0 - delta_of(&t->keys[i]));
	b->names.tail = names;
	b->deletes.tail = deletes;
	return rc;
}

/* The sharded path met this counter under the lock: does it change hands all the time? */
static bool wants_cells(struct txn *t, struct txn_key *k)
{
	struct counter *c = k->counter;

	if (t->is_always_cells && is_new_object(k))
		return true;
	if (!(t->mode & TXN_SHARDED))
		return false;
	if (t->is_always_cells)
		return true;
	if (!txn_is_heat_fresh(t, k->stamp_before))
		c->heat = 0;
	if (c->writer != t->worker) {
		c->writer = (uint8_t)t->worker;
		if (c->heat < UINT8_MAX)
			c->heat++;
	}
	return c->heat >= TXN_HEAT_FOR_CELLS;
}

/* The object word after this change. Without memory for cells a counter does without them. */
static uint64_t object_after(struct txn *t, struct txn_key *k)
{
	uint64_t id = record_id(k);
	struct counter_cells *cells;

	if (!k->is_live)
		return COUNTER_ABSENT;
	if (!is_new_object(k) && counter_has_cells(k->object))
		return k->object;
	if (!wants_cells(t, k) || !counter_may_have_cells(base_after(k)))
		return counter_object_of_id(id);
	k->counter->heat = 0;
	cells = registry_cells_new(t->registry, id, t->workers);
	return cells ? (uint64_t)(uintptr_t)cells : counter_object_of_id(id);
}

/* The lock is held. Base before object: a reader without the lock checks that the object word is still the
 * same. */
static void publish(struct txn *t, struct txn_key *k)
{
	uint64_t word = counter_object(k->counter);
	uint64_t object = object_after(t, k);

	counter_raise(k->counter, t->epoch->own, &t->epoch->clock->open);
	txn_tell(t, t->epoch->own);
	if (k->is_live)
		counter_set_base(k->counter, base_after(k));
	if (object == word)
		return;
	counter_set_object(k->counter, object);
	if (counter_has_cells(word))
		txn_retire(t, counter_cells_of(word), RETIRED_CELLS);
	if (is_new_object(k) || is_end_of_object(k))
		registry_count(t->registry, t->epoch->own, is_new_object(k) ? k->id_new : 0,
			       is_end_of_object(k) ? counter_id(k->object) : 0);
}

int txn_commit(struct txn *t)
{
	int rc = TXN_OK;

	if (t->mode & TXN_WRITE) {
		rc = check_range(t);
		if (!rc)
			rc = draw_ids(t);
		if (rc == -EAGAIN) {
			t->wait_epoch = 0; /* at once */
			rc = TXN_WAIT;
		}
		if (!rc) {
			txn_note_dirty(t);
			rc = record_all(t);
		}
		for (size_t i = 0; i < t->key_count && !rc; i++) {
			txn_prefetch_key(t, i + TXN_AHEAD);
			if (txn_is_distinct(t, (uint32_t)i) && is_changed(&t->keys[i]))
				publish(t, &t->keys[i]);
		}
		if (!rc && t->is_flushing)
			txn_tell(t, t->epoch->own);
	}
	txn_end(t);
	return rc;
}
