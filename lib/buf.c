/* SPDX-License-Identifier: MIT */
#include "buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_CAP_MIN = 256 };

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

/* Moving costs the live bytes and frees the dead ones. Only when the dead are at least half as many: then all
 * moves together cost no more than a constant per byte consumed, whatever the pattern of appends. */
static bool try_compact(struct buf *b, size_t len)
{
	size_t live = buf_len(b);
	if (b->head == 0 || b->head < live / 2 || b->cap - live < len)
		return false;
	memmove(b->data, b->data + b->head, live);
	b->head = 0;
	b->tail = live;
	return true;
}

/* At least twice what there was, even if the live bytes alone would fit: a buffer that is kept nearly full
 * would otherwise be copied for every few bytes. `need` is at most half of PTRDIFF_MAX, so that nothing
 * wraps. */
static size_t grown_cap(size_t cap, size_t need)
{
	if (cap < BUF_CAP_MIN)
		cap = BUF_CAP_MIN / 2;
	do
		cap *= 2;
	while (cap < need);
	return cap;
}

static bool try_grow(struct buf *b, size_t len)
{
	size_t live = buf_len(b);
	if (live > PTRDIFF_MAX / 2 || len > PTRDIFF_MAX / 2 - live)
		return false;
	size_t cap = grown_cap(b->cap, live + len);
	char *data;
	if (b->head == 0) {
		data = realloc(b->data, cap); /* may grow in place, or remap large blocks without a copy */
		if (!data)
			return false;
	} else {
		data = malloc(cap);
		if (!data)
			return false;
		memcpy(data, b->data + b->head, live); /* the dead bytes stay behind */
		free(b->data);
	}
	*b = (struct buf){.data = data, .tail = live, .cap = cap};
	return true;
}

char *buf_reserve_slow(struct buf *b, size_t len)
{
	if (b->failed)
		return NULL;
	if (b->cap - b->tail < len || !b->data) {
		if (!try_compact(b, len) && !try_grow(b, len)) {
			b->failed = true;
			return NULL;
		}
	}
	return b->data + b->tail;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
	char *to = buf_reserve(b, len);
	if (!to || len == 0)
		return;
	memcpy(to, data, len);
	buf_commit(b, len);
}

void buf_consume(struct buf *b, size_t len)
{
	b->head += len;
	if (b->head == b->tail)
		b->head = b->tail = 0;
}

void buf_shrink(struct buf *b, size_t keep_bytes)
{
	if (buf_len(b) != 0 || b->cap <= keep_bytes)
		return;
	free(b->data);
	b->data = NULL;
	b->head = b->tail = b->cap = 0; /* `failed` stays: what was dropped is still missing */
}
