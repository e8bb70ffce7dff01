/* SPDX-License-Identifier: MIT */
/*
 * fault_alloc.c - memory that is refused when a test says so (fault_rule.h): LD_PRELOAD=fault_alloc.so. Apart
 * from fault.c, because a sanitizer brings allocators of its own.
 *
 * strdup, asprintf and reallocarray of libc and libbsd come by here, too.
 */
#include <errno.h>
#include <stdlib.h>

#include "fault_rule.h"

#define EXPORT __attribute__((visibility("default")))

/* glibc's own, under the names it keeps for such as us. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool is_refused(void)
{
	struct fault fault;

	if (!fault_strike(FAULT_ALLOCATE, -1, "", &fault) || !fault.error)
		return false;
	errno = ENOMEM;
	return true;
}

EXPORT void *malloc(size_t size)
{
	return is_refused() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	return is_refused() ? NULL : __libc_realloc(p, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return is_refused() ? NULL : __libc_memalign(alignment, size);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *p = is_refused() ? NULL : __libc_memalign(alignment, size);

	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}
