/* SPDX-License-Identifier: MIT */
/* arena.c - see arena.h. Owns: the chunks and slabs. Entered by any thread, under its own lock. */
#include "arena.h"

#include <assert.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "spin.h"

enum {
	CHUNK_BYTES_MIN = 256 << 10, /* an idle daemon stays small */
	CHUNK_BYTES_MAX = 32 << 20,
	HUGE_PAGE_BYTES = 2 << 20,
	SLAB_BYTES = HUGE_PAGE_BYTES, /* and so aligned: a piece knows its slab */
	LARGE_ALIGN = 64,	      /* a segment's slots begin on a cache line */
};

struct arena_chunk {
	struct arena_chunk *older;
	size_t size_bytes;
};

struct arena_slab {
	LIST_ENTRY(arena_slab) link;
	void *free;    /* linked through their first word */
	char *next;    /* behind the last that was ever handed out */
	uint32_t used; /* handed out now */
	_Alignas(LARGE_ALIGN) char pieces[];
};

void arena_init(struct arena *a, size_t large_size)
{
	*a = (struct arena){.large_size = large_size};
	LIST_INIT(&a->open);
	LIST_INIT(&a->full);
}

static void slabs_fini(struct arena_slabs *slabs)
{
	struct arena_slab *slab;

	while ((slab = LIST_FIRST(slabs))) {
		LIST_REMOVE(slab, link);
		munmap(slab, SLAB_BYTES);
	}
}

void arena_fini(struct arena *a)
{
	for (struct arena_chunk *c = a->chunks, *older; c; c = older) {
		older = c->older;
		munmap(c, c->size_bytes);
	}
	a->chunks = NULL;
	slabs_fini(&a->open);
	slabs_fini(&a->full);
}

/* ---- the kernel ---- */

/* Aligned to HUGE_PAGE_BYTES when it is that large. */
static void *map(size_t size, int advice)
{
	size_t slack = size >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : 0;
	char *p = mmap(NULL, size + slack, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t skip;

	if (p == MAP_FAILED)
		return NULL;
	if (!slack)
		return p;
	skip = (size_t)(-(uintptr_t)p & (HUGE_PAGE_BYTES - 1));
	if (skip)
		munmap(p, skip);
	if (slack - skip)
		munmap(p + skip + size, slack - skip);
	madvise(p + skip, size, advice);
	return p + skip;
}

/* ---- small pieces ---- */

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

/* The rest of the old chunk is given up: less than one piece. */
static int chunk_add(struct arena *a)
{
	size_t size = chunk_size(a);
	struct arena_chunk *c = map(size, MADV_HUGEPAGE);

	if (!c)
		return -1;
	*c = (struct arena_chunk){.older = a->chunks, .size_bytes = size};
	a->chunks = c;
	a->next = (char *)(c + 1);
	a->end = (char *)c + size;
	atomic_fetch_add_explicit(&a->reserved_bytes, size, memory_order_relaxed);
	return 0;
}

static void *bump(struct arena *a, size_t size)
{
	while (!a->next || a->next + size > a->end)
		if (chunk_add(a))
			return NULL;
	a->next += size;
	return a->next - size;
}

static void **free_list(struct arena *a, size_t size)
{
	assert(size <= ARENA_SMALL_MAX && size % 8 == 0);
	return &a->free[size / 8];
}

static void *small_alloc(struct arena *a, size_t size)
{
	void **list = free_list(a, size);
	void *p = *list;

	if (!p)
		return bump(a, size);
	*list = *(void **)p;
	return p;
}

static void small_free(struct arena *a, void *p, size_t size)
{
	void **list = free_list(a, size);

	*(void **)p = *list;
	*list = p;
}

/* ---- large pieces ---- */

/* The first one takes the memory that is touched, not a huge page: an idle daemon stays small. */
static int slab_add(struct arena *a)
{
	struct arena_slab *slab = map(SLAB_BYTES, a->fresh ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);

	if (!slab)
		return -1;
	slab->next = slab->pieces;
	LIST_INSERT_HEAD(&a->full, slab, link);
	a->fresh = slab;
	atomic_fetch_add_explicit(&a->reserved_bytes, SLAB_BYTES, memory_order_relaxed);
	return 0;
}

static bool slab_has_rest(const struct arena *a, const struct arena_slab *slab)
{
	return slab && slab->next + a->large_size <= (const char *)slab + SLAB_BYTES;
}

static void *take_rest(struct arena *a, struct arena_slab *slab)
{
	slab->used++;
	slab->next += a->large_size;
	return slab->next - a->large_size;
}

static void *take_hole(struct arena *a)
{
	struct arena_slab *slab = LIST_FIRST(&a->open);
	void *p = slab->free;

	slab->used++;
	slab->free = *(void **)p;
	a->holes--;
	if (!slab->free) {
		LIST_REMOVE(slab, link);
		LIST_INSERT_HEAD(&a->full, slab, link);
	}
	return p;
}

/* A new slab rather than a hole, while holes are not half as many as what is in use: so many does a table
 * leave that doubles, and whose old segments soon are all gone, if no new one lies between them. */
static void *large_alloc(struct arena *a)
{
	void *p;

	if (slab_has_rest(a, a->fresh))
		p = take_rest(a, a->fresh);
	else if (a->holes > a->large_used / 2)
		p = take_hole(a);
	else if (slab_add(a) == 0)
		p = take_rest(a, a->fresh);
	else
		p = a->holes ? take_hole(a) : NULL;
	a->large_used += p != NULL;
	return p;
}

/* The slab when it is empty and not the newest: the caller's to unmap; else null. */
static struct arena_slab *large_free(struct arena *a, void *p)
{
	struct arena_slab *slab = (void *)((uintptr_t)p & ~(uintptr_t)(SLAB_BYTES - 1)); // NOLINT

	if (!slab->free) {
		LIST_REMOVE(slab, link);
		LIST_INSERT_HEAD(&a->open, slab, link);
	}
	*(void **)p = slab->free;
	slab->free = p;
	a->holes++;
	a->large_used--;
	if (--slab->used > 0 || slab == a->fresh)
		return NULL;
	LIST_REMOVE(slab, link);
	a->holes -= (size_t)(slab->next - slab->pieces) / a->large_size;
	atomic_fetch_sub_explicit(&a->reserved_bytes, SLAB_BYTES, memory_order_relaxed);
	return slab;
}

/* ---- both ---- */

void *arena_alloc(struct arena *a, size_t size)
{
	void *p;

	spin_lock(&a->lock);
	p = size == a->large_size ? large_alloc(a) : small_alloc(a, size);
	spin_unlock(&a->lock);
	if (p)
		atomic_fetch_add_explicit(&a->used_bytes, size, memory_order_relaxed);
	return p;
}

void *arena_block(struct arena *a, size_t size)
{
	void *p;

	spin_lock(&a->lock);
	p = bump(a, size);
	spin_unlock(&a->lock);
	if (p)
		atomic_fetch_add_explicit(&a->used_bytes, size, memory_order_relaxed);
	return p;
}

void arena_free(struct arena *a, void *p, size_t size)
{
	struct arena_slab *empty = NULL;

	spin_lock(&a->lock);
	if (size == a->large_size)
		empty = large_free(a, p);
	else
		small_free(a, p, size);
	spin_unlock(&a->lock);
	atomic_fetch_sub_explicit(&a->used_bytes, size, memory_order_relaxed);
	if (empty)
		munmap(empty, SLAB_BYTES);
}
