/* SPDX-License-Identifier: MIT */
/*
 * fault_rule.c - see fault_rule.h. Owns the mapped table; entered by every thread of the program it is loaded
 * into, also from inside malloc: it allocates nothing and calls nothing that does.
 */
#include "fault_rule.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct rule {
	_Atomic uint32_t is_on;
	uint32_t calls;
	int32_t error;
	uint32_t delay_us;
	uint64_t skip, count;
	_Atomic uint64_t seen, struck;
	uint64_t size_max;
	char thread[16];
	char file[56];
};

_Static_assert(sizeof(struct rule) == FAULT_RULE_BYTES, "tests/system/py/fault.py packs it");

static struct rule *rules; /* null: nothing ever fails */

/* By system calls: the functions of these names may be ours. */
__attribute__((constructor)) static void map_table(void)
{
	const char *path = getenv("SHC_FAULT");
	long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	long p;

	if (fd < 0)
		return;
	p = syscall(SYS_mmap, NULL, FAULT_RULES * FAULT_RULE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    0);
	if (p != -1)
		rules = (struct rule *)(uintptr_t)p;
	syscall(SYS_close, fd);
}

/* Into `buf`: the path behind a descriptor, empty for what has none; without what the kernel says of a file
 * that is gone. */
static const char *path_of(int fd, char *buf, size_t size)
{
	static const char gone[] = " (deleted)";
	char link[32];
	long len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = fd < 0 ? -1 : syscall(SYS_readlinkat, AT_FDCWD, link, buf, size - 1);
	buf[len > 0 ? len : 0] = '\0';
	if (len >= (long)sizeof(gone) && strcmp(buf + len - (sizeof(gone) - 1), gone) == 0)
		buf[len - (long)(sizeof(gone) - 1)] = '\0';
	return buf;
}

static bool is_file(const char *pattern, const char *path)
{
	const char *slash = strrchr(path, '/');

	return fnmatch(pattern, slash ? slash + 1 : path, 0) == 0;
}

static bool is_thread(const char *pattern)
{
	char name[16];

	return prctl(PR_GET_NAME, name) == 0 && fnmatch(pattern, name, 0) == 0;
}

static bool does_fit(const struct rule *r, enum fault_call call, int fd, const char *path)
{
	char buf[PATH_MAX];

	if (!(r->calls & (uint32_t)call) || (r->thread[0] && !is_thread(r->thread)))
		return false;
	return !r->file[0] || is_file(r->file, path ? path : path_of(fd, buf, sizeof(buf)));
}

static void delay(uint32_t us)
{
	struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Its turn in the count decides, so that of many threads exactly `count` are struck. */
static bool is_struck(struct rule *r)
{
	uint64_t n = atomic_fetch_add(&r->seen, 1);

	return n >= r->skip && (r->count == 0 || n - r->skip < r->count);
}

bool fault_strike(enum fault_call call, int fd, const char *path, struct fault *out)
{
	int saved = errno;
	bool is_any = false;

	*out = (struct fault){.size_max = SIZE_MAX};
	for (size_t i = 0; rules && i < FAULT_RULES; i++) {
		struct rule *r = &rules[i];

		if (!atomic_load(&r->is_on) || !does_fit(r, call, fd, path) || !is_struck(r))
			continue;
		if (r->delay_us)
			delay(r->delay_us);
		if (r->error)
			out->error = r->error;
		if (r->size_max < out->size_max)
			out->size_max = r->size_max;
		is_any = true;
		/* Last: who sees it may take it that the call is being struck. */
		atomic_fetch_add(&r->struck, 1);
	}
	errno = saved;
	return is_any;
}
