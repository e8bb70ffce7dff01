/* SPDX-License-Identifier: MIT */
/*
 * clock_rig.h - clocks that a test sets. The program that includes it has a clock_gettime of its own, in
 * front of libc's: wall clock and time since boot stand still, and go on when the test says so. In one file
 * of a program only.
 */
#ifndef SHC_CLOCK_RIG_H
#define SHC_CLOCK_RIG_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_RIG_START_MS INT64_C(1700000000000)

static _Atomic int64_t clock_rig_wall_ms = CLOCK_RIG_START_MS;
static _Atomic int64_t clock_rig_boot_ms = 1000000;
/* Called whenever somebody asks for the wall clock; it may set it. Null: none. */
static void (*_Atomic clock_rig_hook)(void);

static inline void clock_rig_forward(int64_t ms)
{
	atomic_fetch_add(&clock_rig_wall_ms, ms);
	atomic_fetch_add(&clock_rig_boot_ms, ms);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
	void (*hook)(void) = atomic_load(&clock_rig_hook);
	int64_t ms;

	if (clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME)
		return (int)syscall(SYS_clock_gettime, clock, out);
	if (clock == CLOCK_REALTIME && hook)
		hook();
	ms = atomic_load(clock == CLOCK_REALTIME ? &clock_rig_wall_ms : &clock_rig_boot_ms);
	out->tv_sec = ms / 1000;
	out->tv_nsec = ms % 1000 * 1000000;
	return 0;
}

#endif
