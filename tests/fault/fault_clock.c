/* SPDX-License-Identifier: MIT */
/*
 * fault_clock.c - clocks that a test sets: LD_PRELOAD=fault_clock.so, in a program that would otherwise have
 *to be waited for. The file that SHC_CLOCK names is mapped by both:
 *
 *	offset	size
 *	0	8	CLOCK_REALTIME, in nanoseconds: it stands there until it is moved; 0: as it is
 *	8	8	the same for CLOCK_BOOTTIME
 *
 * What a program waits by, CLOCK_MONOTONIC, goes on by itself.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { NS_PER_US = 1000, NS_PER_S = 1000000000 };

struct clocks {
	_Atomic int64_t wall_ns, boot_ns;
};

static struct clocks *clocks; /* null: all are as they are */

__attribute__((constructor)) static void map_clocks(void)
{
	const char *path = getenv("SHC_CLOCK");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p =
		fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*clocks), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED)
		clocks = p;
	if (fd >= 0)
		close(fd);
}

/* 0: it is not set. */
static int64_t set_ns(clockid_t clock)
{
	if (!clocks)
		return 0;
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		return atomic_load_explicit(&clocks->wall_ns, memory_order_relaxed);
	if (clock == CLOCK_BOOTTIME)
		return atomic_load_explicit(&clocks->boot_ns, memory_order_relaxed);
	return 0;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *out)
{
	int64_t ns = set_ns(clock);

	if (ns == 0)
		return (int)syscall(SYS_clock_gettime, clock, out);
	*out = (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
	return 0;
}

EXPORT int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*out = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / NS_PER_US};
	return 0;
}

EXPORT time_t time(time_t *out)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
