/* SPDX-License-Identifier: MIT */
/*
 * fault_clock.c - clocks that a test sets while the program runs: LD_PRELOAD=fault_clock.so.
 *
 * Both have mapped the file that SHC_CLOCK names. CLOCK_MONOTONIC stays what it is: nobody can set it, and
 * the kernel's own waiting goes by it.
 *
 *	offset	size
 *	0	8	nanoseconds that CLOCK_REALTIME is ahead of the machine's
 *	8	8	the same for CLOCK_BOOTTIME
 *	16	8	not 0: both stand still, at the machine's clock of 0 plus what is said above
 *
 * A test that changes two of them in a frozen clock does so while nobody asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT	  __attribute__((visibility("default")))
#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_US 1000

struct clocks {
	_Atomic int64_t real_ns, boot_ns, is_frozen;
};

static struct clocks *clocks; /* null: the machine's */

__attribute__((constructor)) static void map_clocks(void)
{
	const char *path = getenv("SHC_CLOCK");
	long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	long p;

	if (fd < 0)
		return;
	p = syscall(SYS_mmap, NULL, sizeof(*clocks), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != -1)
		clocks = (struct clocks *)(uintptr_t)p;
	syscall(SYS_close, fd);
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *out)
{
	int64_t ns;

	if (syscall(SYS_clock_gettime, clock, out))
		return -1;
	if (clock == CLOCK_REALTIME_COARSE)
		clock = CLOCK_REALTIME;
	if (!clocks || (clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME))
		return 0;
	ns = atomic_load(&clocks->is_frozen) ? 0 : (int64_t)out->tv_sec * NS_PER_S + out->tv_nsec;
	ns += atomic_load(clock == CLOCK_REALTIME ? &clocks->real_ns : &clocks->boot_ns);
	out->tv_sec = ns / NS_PER_S;
	out->tv_nsec = ns % NS_PER_S;
	return 0;
}

/* redis-server asks by these. */

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
