/* SPDX-License-Identifier: MIT */
/*
 * buf.h - a growing queue of bytes: appended at the tail, consumed at the head.
 *
 * Allocation failure is sticky (`failed`): writers append without looking, and whoever hands the bytes on
 * looks once. A failed buffer holds a correct prefix. Not shared between threads.
 */
#ifndef SHC_BUF_H
#define SHC_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;  /* owned; heap */
	size_t head; /* first byte not consumed */
	size_t tail; /* one past the last byte */
	size_t cap;  /* bytes allocated */
	bool failed; /* an append was dropped for want of memory */
};

#define BUF_INIT                                                                                             \
	{                                                                                                    \
		0                                                                                            \
	}

static inline size_t buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

static inline char *buf_head(const struct buf *b)
{
	return b->data ? b->data + b->head : NULL; /* null + 0 is not defined in C */
}

/* Frees the bytes; the buffer is empty and usable again. */
void buf_fini(struct buf *b);

/* Room for `len` more bytes at the tail, moving or growing as needed (so pointers into it die). Returns where
 * they go, or null and sets failed. */
char *buf_reserve_slow(struct buf *b, size_t len);
static inline char *buf_reserve(struct buf *b, size_t len)
{
	if (b->cap - b->tail >= len && b->data && !b->failed)
		return b->data + b->tail;
	return buf_reserve_slow(b, len);
}

/* Says that `len` bytes written at buf_reserve()'s address are content. */
static inline void buf_commit(struct buf *b, size_t len)
{
	b->tail += len;
}

void buf_append(struct buf *b, const void *data, size_t len);

/* Drops `len` bytes at the head; an empty buffer starts again at offset 0. */
void buf_consume(struct buf *b, size_t len);

/* Gives back memory when empty and larger than `keep_bytes`. */
void buf_shrink(struct buf *b, size_t keep_bytes);

#endif
