/* SPDX-License-Identifier: MIT */
/*
 * clock.h - which clock says what.
 *
 * Wall clock: when counters expire, and what people read. The *steady clock* is for windows and limits, which
 * measure how long ago something was: wall clock at the start of the daemon, then what CLOCK_BOOTTIME adds
 * (suspended time counts). A wall clock that is set while the daemon runs moves it not at all; one that was
 * set back between two runs cannot bring back seconds that are on disk, for a start begins not before them.
 */
#ifndef SHC_CLOCK_H
#define SHC_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_S	INT64_C(1000000000)
#define CLOCK_NS_PER_MS INT64_C(1000000)

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * CLOCK_NS_PER_S + ts.tv_nsec;
}

static inline int64_t clock_ms(clockid_t clock)
{
	return clock_ns(clock) / CLOCK_NS_PER_MS;
}

/* Of two times to sleep; -1: for ever. */
static inline int64_t clock_sooner_ms(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Milliseconds since 1970, of a wall that may be moved. */
static inline int64_t clock_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

/* Set once, before there are threads; read by all. */
struct steady_clock {
	int64_t ahead_ns; /* of CLOCK_BOOTTIME */
};

/* `not_before_s`: the newest second that is known; 0: none. */
static inline void steady_clock_init(struct steady_clock *c, int64_t not_before_s)
{
	int64_t now = clock_ns(CLOCK_REALTIME), newest = not_before_s * CLOCK_NS_PER_S;

	c->ahead_ns = (now > newest ? now : newest) - clock_ns(CLOCK_BOOTTIME);
}

/* Nanoseconds since 1970, about. */
static inline int64_t steady_clock_ns(const struct steady_clock *c)
{
	return clock_ns(CLOCK_BOOTTIME) + c->ahead_ns;
}

#endif
