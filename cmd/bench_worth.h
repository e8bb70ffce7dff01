/* SPDX-License-Identifier: MIT */
/*
 * bench_worth.h - do the values that a server has answered fit those that its counters had before and after?
 * Pure.
 *
 * An increment by 1 answers with a value that no other one of that counter answers with: all of them together
 * are the values from the first above what it was to what it is. So the sum of the answers is known,
 * whichever came first, and wherever from.
 */
#ifndef SHC_BENCH_WORTH_H
#define SHC_BENCH_WORTH_H

#include <stdint.h>

#include "bench_reply.h"

/* All counters at one moment. */
struct bench_worth {
	uint64_t sum;	     /* modulo 2^64 */
	uint64_t passed;     /* of all of them, the sum of the values from 1 to this one; modulo 2^64 */
	int64_t least, most; /* of none: REPLY_VALUES_NONE's */
};

#define BENCH_WORTH_NONE ((struct bench_worth){.least = INT64_MAX, .most = INT64_MIN})

/* One more counter. */
void bench_worth_add(struct bench_worth *w, int64_t value);

enum {
	WORTH_FITS = 0,
	WORTH_ABSENT = 1,  /* a counter that was there was said not to be */
	WORTH_OUTSIDE = 2, /* some value no counter had */
	WORTH_OTHER = 3,   /* their sum is another one */
};

/* What of these is so. The answers are to increments by 1, of which none is in doubt, or to reads; nobody
 * else has changed the counters. */
int bench_worth_judge(const struct bench_worth *before, const struct bench_worth *after,
		      const struct reply_values *answers, bool are_increments);

#endif
