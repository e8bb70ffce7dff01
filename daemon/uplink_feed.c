/* SPDX-License-Identifier: MIT */
/*
 * uplink_feed.c - see uplink_table.h: the committer tells the table what an epoch has changed.
 */
#include "uplink_table.h"

#include <errno.h>
#include <string.h>

static int reserve_names(struct uplink_table *t, const struct epoch_buffer *b, size_t *count)
{
	struct uplink_entry *e;
	struct slice name;
	size_t pos = 0;
	uint64_t id;

	while (epoch_buffer_next_name(b, &pos, &id, &name)) {
		if (uplink_table_get(t, name, &e))
			return -ENOMEM;
		if (e->id == 0) {
			e->is_new |= e->belief == UPLINK_UNKNOWN && e->place == UPLINK_AT_REST;
			/* A sweep may come by before the epoch is on disk. */
			e->is_reserved = true;
		}
		++*count;
	}
	return 0;
}

int uplink_table_reserve(struct uplink_table *t, struct epoch_buffer *const *buffers, size_t count)
{
	size_t names = 0;
	int rc = 0;

	pthread_mutex_lock(&t->mutex);
	for (size_t i = 0; i < count && !rc; i++)
		rc = reserve_names(t, buffers[i], &names);
	if (!rc)
		rc = uplink_index_reserve(&t->by_id, names);
	pthread_mutex_unlock(&t->mutex);
	return rc < 0 ? rc : 0;
}

/* The name has no object any more. */
static void end_object(struct uplink_table *t, struct uplink_entry *e)
{
	uplink_index_take(&t->by_id, e);
	e->id = 0;
	e->committed = e->baseline = e->at_start = 0;
}

/* Ids are drawn while the name is locked: of two that a name has had, the larger one is the later. */
static void apply_names(struct uplink_table *t, const struct epoch_buffer *b, int64_t now_ms)
{
	struct uplink_entry *e;
	struct slice name;
	size_t pos = 0;
	uint64_t id;

	while (epoch_buffer_next_name(b, &pos, &id, &name)) {
		e = uplink_index_name(&t->by_name, name);
		if (!e)
			continue;
		e->is_reserved = e->is_found = false;
		if (id <= e->id || id < t->floor_id)
			continue;
		if (e->id)
			end_object(t, e);
		e->id = id;
		uplink_index_put(&t->by_id, e);
		uplink_table_changed(t, e, now_ms);
	}
}

/* Deltas come in no order, and each would wait for memory twice: for its place in the index, then for its
 * entry. So some are collected, and what they need is on its way together. */
enum { AT_ONCE = 32 };

struct application {
	struct uplink_table *table;
	int64_t now_ms;
	struct journal_delta deltas[AT_ONCE];
	size_t count;
};

static void apply_collected(struct application *a)
{
	const struct uplink_index *x = &a->table->by_id;
	struct uplink_entry *e;

	for (size_t i = 0; i < a->count; i++)
		__builtin_prefetch(uplink_index_place(x, a->deltas[i].id));
	for (size_t i = 0; i < a->count; i++)
		__builtin_prefetch(*uplink_index_place(x, a->deltas[i].id), 1);
	for (size_t i = 0; i < a->count; i++) {
		e = uplink_index_id(x, a->deltas[i].id);
		if (!e)
			continue;
		e->committed = (int64_t)((uint64_t)e->committed + a->deltas[i].delta);
		uplink_table_changed(a->table, e, a->now_ms);
	}
	a->count = 0;
}

static void apply_delta(void *arg, struct journal_delta d)
{
	struct application *a = arg;

	a->deltas[a->count++] = d;
	if (a->count == AT_ONCE)
		apply_collected(a);
}

static void apply_deletes(struct uplink_table *t, const struct epoch_buffer *b, int64_t now_ms)
{
	struct uplink_entry *e;
	uint64_t id;

	for (size_t pos = 0; pos < buf_len(&b->deletes); pos += sizeof(id)) {
		memcpy(&id, buf_head(&b->deletes) + pos, sizeof(id));
		e = uplink_index_id(&t->by_id, id);
		if (!e)
			continue;
		end_object(t, e);
		uplink_table_changed(t, e, now_ms);
	}
}

static void apply_floor(struct uplink_table *t, uint64_t floor_id, int64_t now_ms)
{
	if (floor_id <= t->floor_id)
		return;
	t->floor_id = floor_id;
	for (size_t i = 0; i <= t->by_name.mask; i++) {
		struct uplink_entry *e = t->by_name.slots[i];

		if (!e || e->id == 0 || e->id >= floor_id)
			continue;
		end_object(t, e);
		uplink_table_changed(t, e, now_ms);
	}
}

/* What one worker has made another may have changed, and a third ended, in one epoch: so in this order. */
bool uplink_table_end_epoch(struct uplink_table *t, struct epoch_buffer *const *buffers, size_t count,
			    uint64_t epoch, bool has_content, int64_t now_ms)
{
	struct application a = {.table = t, .now_ms = now_ms};
	bool was_due;

	pthread_mutex_lock(&t->mutex);
	was_due = t->due_since_ms != 0;
	for (size_t i = 0; i < count; i++)
		apply_names(t, buffers[i], now_ms);
	for (size_t i = 0; i < count; i++)
		epoch_buffer_each(buffers[i], apply_delta, &a);
	apply_collected(&a);
	for (size_t i = 0; i < count; i++)
		apply_deletes(t, buffers[i], now_ms);
	for (size_t i = 0; i < count; i++)
		apply_floor(t, buffers[i]->floor_id, now_ms);
	t->fed = epoch;
	if (has_content)
		t->epoch = epoch;
	was_due = !was_due && t->due_since_ms;
	pthread_mutex_unlock(&t->mutex);
	return was_due;
}
