/* SPDX-License-Identifier: MIT */
/*
 * arena.h - memory of the registry: counters' records and segments of the table, packed, without a header
 * each.
 *
 * Ten million counters are ten million records of 24 bytes and a name; malloc would add 16 bytes to every
 * one. The arena hands out multiples of 8 bytes from large chunks, keeps freed pieces by size, and never
 * gives such a chunk back. Pieces of the one large size lie in slabs of their own, which go back to the
 * kernel when they are empty: nearly all segments of a table split within a short time, and what they leave
 * would wait for the next time, at twice as many counters. Any thread; a spin lock inside (creating a counter
 * is the cold path).
 */
#ifndef SHC_ARENA_H
#define SHC_ARENA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
	ARENA_SMALL_MAX = 320, /* largest small piece: a counter with the longest name fits */
	ARENA_CLASSES = ARENA_SMALL_MAX / 8 + 1,
};

LIST_HEAD(arena_slabs, arena_slab);

struct arena {
	_Atomic uint32_t lock;	       /* spin.h */
	char *next, *end;	       /* unused rest of the newest chunk */
	void *free[ARENA_CLASSES];     /* by size / 8; linked through their first word */
	struct arena_chunk *chunks;    /* all of them, for fini */
	size_t large_size;	       /* the one large size in use (a table segment) */
	struct arena_slabs open, full; /* slabs of large pieces: with freed ones, and without */
	struct arena_slab *fresh;      /* the newest: it has never been full */
	size_t large_used, holes;      /* large pieces that are handed out; that were freed */
	_Atomic size_t reserved_bytes; /* chunks and slabs */
	_Atomic size_t used_bytes;     /* handed out */
};

void arena_init(struct arena *a, size_t large_size);
void arena_fini(struct arena *a);

/* `size` bytes, 8-byte aligned, not zeroed; at most ARENA_SMALL_MAX, or exactly large_size (then 64-byte
 * aligned). Null when the kernel has no more. */
void *arena_alloc(struct arena *a, size_t size);

/* `size` bytes for several small pieces, each of which goes back with arena_free. A multiple of 8. Null as
 * above. */
void *arena_block(struct arena *a, size_t size);

/* Takes back what arena_alloc(a, size) gave. */
void arena_free(struct arena *a, void *p, size_t size);

static inline size_t arena_used_bytes(const struct arena *a)
{
	return atomic_load_explicit(&a->used_bytes, memory_order_relaxed);
}

#endif
