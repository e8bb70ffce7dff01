/* SPDX-License-Identifier: MIT */
/*
 * arena.h - memory of the registry: counters' records and segments of the table, packed, without a header
 * each.
 *
 * Ten million counters are ten million records of 24 bytes and a name; malloc would add 16 bytes to every
 * one. The arena hands out multiples of 8 bytes from large chunks and keeps freed pieces by size. It never
 * gives chunks back. Any thread; a spin lock inside (creating a counter is the cold path).
 */
#ifndef SHC_ARENA_H
#define SHC_ARENA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ARENA_SMALL_MAX = 320, /* largest small piece: a counter with the longest name fits */
	ARENA_CLASSES = ARENA_SMALL_MAX / 8 + 1,
};

struct arena {
	_Atomic uint32_t lock;	       /* spin.h */
	char *next, *end;	       /* unused rest of the newest chunk */
	void *free[ARENA_CLASSES];     /* by size / 8; linked through their first word */
	void *free_large;	       /* pieces of large_size */
	size_t large_size;	       /* the one large size in use (a table segment) */
	struct arena_chunk *chunks;    /* all of them, for fini */
	_Atomic size_t reserved_bytes; /* chunks */
	_Atomic size_t used_bytes;     /* handed out */
};

void arena_init(struct arena *a, size_t large_size);
void arena_fini(struct arena *a);

/* `size` bytes, 8-byte aligned, not zeroed; at most ARENA_SMALL_MAX, or exactly large_size (then 64-byte
 * aligned). Null when the kernel has no more. */
void *arena_alloc(struct arena *a, size_t size);

/* Takes back what arena_alloc(a, size) gave. */
void arena_free(struct arena *a, void *p, size_t size);

static inline size_t arena_used_bytes(const struct arena *a)
{
	return atomic_load_explicit(&a->used_bytes, memory_order_relaxed);
}

#endif
