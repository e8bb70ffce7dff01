/* SPDX-License-Identifier: MIT */
/* audit_entry.c - see audit_entry.h. */
#include "audit_entry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_MAX = 4096 }; /* entries: 320 KiB */

/* As it stands in a buffer, not aligned; name and peer follow. */
struct head {
	uint64_t id;
	int64_t time_us, delta, value;
	uint8_t operation, name_len, peer_len;
};

const char *audit_operation_name(unsigned operation)
{
	static const char *const names[] = {
		[AUDIT_INCREMENT] = "increment", [AUDIT_DECREMENT] = "decrement", [AUDIT_SET] = "set",
		[AUDIT_DELETE] = "delete",	 [AUDIT_EXPIRE] = "expire",	  [AUDIT_FLUSH] = "flush",
	};

	return operation < sizeof(names) / sizeof(names[0]) ? names[operation] : NULL;
}

size_t audit_entry_bytes(size_t name_len, size_t peer_len)
{
	return sizeof(struct head) + name_len + peer_len;
}

static void put_bytes(struct buf *b, const void *data, size_t len)
{
	if (len)
		memcpy(b->data + b->tail, data, len);
	buf_commit(b, len);
}

void audit_entry_put(struct buf *b, const struct audit_entry *entry)
{
	struct head head = {
		.id = entry->id,
		.time_us = entry->time_us,
		.delta = entry->delta,
		.value = entry->value,
		.operation = entry->operation,
		.name_len = (uint8_t)entry->name.len,
		.peer_len = (uint8_t)entry->peer.len,
	};

	assert(b->cap - b->tail >= audit_entry_bytes(entry->name.len, entry->peer.len));
	put_bytes(b, &head, sizeof(head));
	put_bytes(b, entry->name.data, entry->name.len);
	put_bytes(b, entry->peer.data, entry->peer.len);
}

bool audit_entry_next(const struct buf *b, size_t *pos, struct audit_entry *entry)
{
	const char *p = buf_head(b) + *pos;
	struct head head;

	if (*pos == buf_len(b))
		return false;
	memcpy(&head, p, sizeof(head));
	*entry = (struct audit_entry){
		.id = head.id,
		.time_us = head.time_us,
		.delta = head.delta,
		.value = head.value,
		.operation = head.operation,
		.name = {.data = p + sizeof(head), .len = head.name_len},
		.peer = {.data = p + sizeof(head) + head.name_len, .len = head.peer_len},
	};
	*pos += audit_entry_bytes(head.name_len, head.peer_len);
	return true;
}

/* ---- of an epoch ---- */

void audit_entries_fini(struct audit_entries *e)
{
	free(e->items);
	e->items = NULL;
	e->count = e->cap = 0;
}

static int make_room(struct audit_entries *e)
{
	size_t cap = e->cap ? 2 * e->cap : 64;
	struct audit_entry *items;

	if (e->count < e->cap)
		return 0;
	items = reallocarray(e->items, cap, sizeof(*items));
	if (!items)
		return -ENOMEM;
	e->items = items;
	e->cap = cap;
	return 0;
}

int audit_entries_add(struct audit_entries *e, const struct buf *b)
{
	size_t pos = 0;

	do {
		if (make_room(e))
			return -ENOMEM;
	} while (audit_entry_next(b, &pos, &e->items[e->count]) && ++e->count);
	return 0;
}

static int compare_times(const void *a, const void *b)
{
	const struct audit_entry *x = a, *y = b;

	return (x->time_us > y->time_us) - (x->time_us < y->time_us);
}

/* Between which FLUSHALLs the object was there: each entry's id becomes the floor below it, which is all that
 * sorting needs of it. */
static int compare_floors(const void *a, const void *b)
{
	const struct audit_entry *x = a, *y = b;
	bool x_is_flush = x->operation == AUDIT_FLUSH, y_is_flush = y->operation == AUDIT_FLUSH;

	if (x->id != y->id)
		return x->id > y->id ? 1 : -1;
	if (x_is_flush != y_is_flush)
		return x_is_flush ? -1 : 1;
	return compare_times(a, b);
}

/* The FLUSHALLs among them go to the beginning, by floor; how many. */
static size_t gather_flushes(struct audit_entries *e)
{
	size_t count = 0;

	for (size_t i = 0; i < e->count; i++) {
		struct audit_entry entry = e->items[i];

		if (entry.operation != AUDIT_FLUSH)
			continue;
		e->items[i] = e->items[count];
		e->items[count++] = entry;
	}
	qsort(e->items, count, sizeof(*e->items), compare_floors);
	return count;
}

/* The largest floor that is not above `id`; 0: none. */
static uint64_t floor_below(const struct audit_entry *flushes, size_t count, uint64_t id)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (flushes[middle].id <= id)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? flushes[low - 1].id : 0;
}

/* Objects that were deleted in an epoch before this one, and whose entries come now. */
static void repeat_flush(struct audit_entries *e)
{
	int64_t time_us = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct audit_entry *entry = &e->items[i];

		if (entry->operation == AUDIT_FLUSH && entry->id >= e->flushed.floor)
			return;
		if (entry->operation != AUDIT_FLUSH && entry->id < e->flushed.floor &&
		    entry->time_us > time_us)
			time_us = entry->time_us;
	}
	if (time_us)
		e->items[e->count++] = (struct audit_entry){
			.id = e->flushed.floor,
			.time_us = time_us,
			.operation = AUDIT_FLUSH,
			.peer = {e->flushed.peer, e->flushed.peer_len},
		};
}

static void note_flush(struct audit_entries *e, const struct audit_entry *flush)
{
	if (flush->id <= e->flushed.floor)
		return;
	e->flushed.floor = flush->id;
	e->flushed.peer_len = flush->peer.len;
	memcpy(e->flushed.peer, flush->peer.data ? flush->peer.data : "", flush->peer.len);
}

void audit_entries_sort(struct audit_entries *e)
{
	size_t flushes;

	if (e->count == 0)
		return;
	repeat_flush(e);
	flushes = gather_flushes(e);
	if (flushes)
		note_flush(e, &e->items[flushes - 1]);
	if (e->count < 2)
		return;
	for (size_t i = flushes; i < e->count; i++)
		e->items[i].id = floor_below(e->items, flushes, e->items[i].id);
	qsort(e->items, e->count, sizeof(*e->items), flushes ? compare_floors : compare_times);
}

void audit_entries_clear(struct audit_entries *e)
{
	e->count = 0;
	if (e->cap > KEEP_MAX)
		audit_entries_fini(e);
}
