/* SPDX-License-Identifier: MIT */
/*
 * heap.c - the memory of the daemon in sim.h. Nothing is given out twice within an incarnation, so whoever
 * touches what was freed is found, however late; a crash takes all of it. What shipped functions allocate on
 * behalf of clients (on the test's own stack) comes from libc, and survives.
 *
 * The arena of the registry gives out pieces of its own: its two functions are wrapped (arena.syms), and
 * arena.c itself is compiled without the hooks, for its lists lie in freed pieces.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../daemon/arena.h"
#include "replaced.h"

enum { HEAD_BYTES = 16, SHADOW_BYTES = SIM_HEAP_BYTES / 8, SCRIBBLE_BYTES_MAX = 4096, ALIGN_MAX = 4096 };

uint8_t *sim_heap_shadow;
static char *heap;
static size_t used;

static void *map_at(uint64_t at, size_t size)
{
	void *p = mmap((void *)(uintptr_t)at, size, PROT_READ | PROT_WRITE, // NOLINT
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);

	sim_check(p != MAP_FAILED && (!at || (uintptr_t)p == at), "no address space for the heap: %s",
		  strerror(errno));
	return p;
}

void sim_heap_reset(void)
{
	if (!heap) {
		heap = map_at(SIM_HEAP_BASE, SIM_HEAP_BYTES);
		sim_heap_shadow = map_at(0, SHADOW_BYTES);
		return;
	}
	(void)madvise(heap, (used + 4095) & ~(size_t)4095, MADV_DONTNEED);
	(void)madvise(sim_heap_shadow, (used / 8 + 4095) & ~(size_t)4095, MADV_DONTNEED);
	used = 0;
}

void sim_heap_bad(uint64_t at)
{
	sim_fail("fiber %d touches memory that is not allocated (heap + %#llx)", sim_current(),
		 (unsigned long long)at);
}

static void mark(const void *p, size_t size, uint8_t value)
{
	size_t at = (size_t)((const char *)p - heap);

	memset(sim_heap_shadow + at / 8, value, (at % 8 + size + 7) / 8);
}

static void *take(size_t align, size_t size)
{
	char *p;

	if (align < HEAD_BYTES)
		align = HEAD_BYTES;
	used = (used + HEAD_BYTES + align - 1) & ~(align - 1);
	sim_check(used + size + ALIGN_MAX < SIM_HEAP_BYTES, "the heap of the incarnation is used up");
	p = heap + used;
	used += size;
	memcpy(p - HEAD_BYTES, &size, sizeof(size));
	return p;
}

static size_t size_of(const void *p)
{
	size_t size;

	memcpy(&size, (const char *)p - HEAD_BYTES, sizeof(size));
	return size;
}

static bool is_ours(const void *p)
{
	return (uint64_t)(uintptr_t)p - SIM_HEAP_BASE < SIM_HEAP_BYTES;
}

void *sim_aligned_alloc(size_t align, size_t size)
{
	char *p;

	if (sim_current() < 0)
		return aligned_alloc(align, size);
	p = take(align, size);

	mark(p, size, 1);
	memset(p, 0xa5, size < SCRIBBLE_BYTES_MAX ? size : SCRIBBLE_BYTES_MAX);
	return p;
}

void *sim_malloc(size_t size)
{
	return sim_aligned_alloc(HEAD_BYTES, size);
}

void *sim_daemon_calloc(size_t size)
{
	void *p = take(HEAD_BYTES, size);

	mark(p, size, 1);
	return p;
}

void *sim_calloc(size_t count, size_t size)
{
	return sim_current() < 0 ? calloc(count, size) : sim_daemon_calloc(count * size);
}

void sim_free(void *p)
{
	if (!is_ours(p)) {
		free(p);
		return;
	}
	sim_check(sim_heap_shadow[(size_t)((char *)p - heap) / 8] || size_of(p) == 0,
		  "freed twice: heap + %#zx", (size_t)((char *)p - heap));
	mark(p, size_of(p), 0);
}

void *sim_realloc(void *p, size_t size)
{
	void *moved;

	if (sim_current() < 0) {
		sim_check(!is_ours(p), "memory of the daemon is moved from outside");
		return realloc(p, size);
	}
	sim_check(!p || is_ours(p), "memory of a client is moved by the daemon");
	moved = sim_malloc(size);
	if (p)
		memcpy(moved, p, size_of(p) < size ? size_of(p) : size);
	sim_free(p);
	return moved;
}

void *sim_reallocarray(void *p, size_t count, size_t size)
{
	return sim_realloc(p, count * size);
}

char *sim_strndup(const char *s, size_t len)
{
	size_t n = strnlen(s, len);
	char *copy = sim_malloc(n + 1);

	memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

char *sim_strdup(const char *s)
{
	return sim_strndup(s, strlen(s));
}

/* Chunks of the arena: what is not handed out from them stays unmarked. */
void *sim_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	(void)addr, (void)prot, (void)flags, (void)fd, (void)offset;
	return take(ALIGN_MAX, size);
}

int sim_munmap(void *p, size_t size)
{
	mark(p, size, 0);
	return 0;
}

int sim_madvise(void *p, size_t size, int advice)
{
	(void)p, (void)size, (void)advice;
	return 0;
}

/* ---- the arena ---- */

void *arena_alloc_shipped(struct arena *a, size_t size);
void *arena_block_shipped(struct arena *a, size_t size);
void arena_free_shipped(struct arena *a, void *p, size_t size);

void *arena_alloc(struct arena *a, size_t size)
{
	void *p = arena_alloc_shipped(a, size);

	sim_point();
	if (p)
		mark(p, size, 1);
	return p;
}

void *arena_block(struct arena *a, size_t size)
{
	void *p = arena_block_shipped(a, size);

	if (p)
		mark(p, size, 1);
	return p;
}

void arena_free(struct arena *a, void *p, size_t size)
{
	sim_heap_check(p, size);
	mark(p, size, 0);
	arena_free_shipped(a, p, size);
	sim_point();
}

/* ---- variables ---- the linker tells where those of the shipped objects lie */

extern char __start_sim_bss[], __stop_sim_bss[], __start_sim_data[], __stop_sim_data[];

/* As the constructors left them. */
static void restore(char *start, const char *stop, char **kept)
{
	size_t size = (size_t)(stop - start);

	if (!*kept) {
		*kept = malloc(size);
		sim_check(*kept, "out of memory");
		memcpy(*kept, start, size);
	}
	memcpy(start, *kept, size);
}

void sim_statics_reset(void)
{
	static char *bss, *data;

	restore(__start_sim_bss, __stop_sim_bss, &bss);
	restore(__start_sim_data, __stop_sim_data, &data);
}
