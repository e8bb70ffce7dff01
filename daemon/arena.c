/* SPDX-License-Identifier: MIT */
/* arena.c - see arena.h. Owns: the chunks. Entered by any thread, under its own lock. */
#include "arena.h"

#include <assert.h>
#include <sys/mman.h>

#include "spin.h"

enum {
	CHUNK_BYTES_MIN = 256 << 10, /* an idle daemon stays small */
	CHUNK_BYTES_MAX = 32 << 20,
	HUGE_PAGE_BYTES = 2 << 20,
	LARGE_ALIGN = 64, /* a segment's slots begin on a cache line */
};

struct arena_chunk {
	struct arena_chunk *older;
	size_t size_bytes;
};

void arena_init(struct arena *a, size_t large_size)
{
	*a = (struct arena){.large_size = large_size};
}

void arena_fini(struct arena *a)
{
	for (struct arena_chunk *c = a->chunks, *older; c; c = older) {
		older = c->older;
		munmap(c, c->size_bytes);
	}
	a->chunks = NULL;
}

/* Chunks grow with the whole, so that the waste is a fraction of it; large ones lie on huge pages, which is
 * worth more to a table of ten million counters than anything else (a TLB miss for every access otherwise).
 */
static size_t chunk_size(const struct arena *a)
{
	size_t size = atomic_load_explicit(&a->reserved_bytes, memory_order_relaxed) / 4;

	if (size < CHUNK_BYTES_MIN)
		return CHUNK_BYTES_MIN;
	if (size < HUGE_PAGE_BYTES)
		return HUGE_PAGE_BYTES;
	if (size > CHUNK_BYTES_MAX)
		size = CHUNK_BYTES_MAX;
	return size & ~(size_t)(HUGE_PAGE_BYTES - 1);
}

static struct arena_chunk *chunk_map(size_t size)
{
	size_t slack = size >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : 0;
	char *p = mmap(NULL, size + slack, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t skip;

	if (p == MAP_FAILED)
		return NULL;
	if (!slack)
		return (struct arena_chunk *)(void *)p;
	skip = (size_t)(-(uintptr_t)p & (HUGE_PAGE_BYTES - 1));
	if (skip)
		munmap(p, skip);
	if (slack - skip)
		munmap(p + skip + size, slack - skip);
	madvise(p + skip, size, MADV_HUGEPAGE);
	return (struct arena_chunk *)(void *)(p + skip);
}

/* The rest of the old chunk is given up: less than a segment of 4 KiB in 256 KiB at most. */
static int chunk_add(struct arena *a)
{
	size_t size = chunk_size(a);
	struct arena_chunk *c = chunk_map(size);

	if (!c)
		return -1;
	*c = (struct arena_chunk){.older = a->chunks, .size_bytes = size};
	a->chunks = c;
	a->next = (char *)(c + 1);
	a->end = (char *)c + size;
	atomic_fetch_add_explicit(&a->reserved_bytes, size, memory_order_relaxed);
	return 0;
}

static void *bump(struct arena *a, size_t size, size_t align)
{
	for (;;) {
		char *p = a->next + (-(uintptr_t)a->next & (align - 1));

		if (a->next && p + size <= a->end) {
			a->next = p + size;
			return p;
		}
		if (chunk_add(a))
			return NULL;
	}
}

static void **free_list(struct arena *a, size_t size)
{
	if (size == a->large_size)
		return &a->free_large;
	assert(size <= ARENA_SMALL_MAX && size % 8 == 0);
	return &a->free[size / 8];
}

void *arena_alloc(struct arena *a, size_t size)
{
	void **list = free_list(a, size);
	void *p;

	spin_lock(&a->lock);
	p = *list;
	if (p)
		*list = *(void **)p;
	else
		p = bump(a, size, size == a->large_size ? LARGE_ALIGN : 8);
	spin_unlock(&a->lock);
	if (p)
		atomic_fetch_add_explicit(&a->used_bytes, size, memory_order_relaxed);
	return p;
}

void arena_free(struct arena *a, void *p, size_t size)
{
	void **list = free_list(a, size);

	spin_lock(&a->lock);
	*(void **)p = *list;
	*list = p;
	spin_unlock(&a->lock);
	atomic_fetch_sub_explicit(&a->used_bytes, size, memory_order_relaxed);
}
