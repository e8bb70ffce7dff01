/* SPDX-License-Identifier: MIT */
/*
 * histogram.h - how often which latency was seen, in memory of a fixed size: exact below 256, above it in
 * buckets that are at most 1/128 of their value wide. Pure; an object belongs to one thread at a time.
 * Source: the log-linear buckets of https://github.com/HdrHistogram/HdrHistogram.
 */
#ifndef SHC_HISTOGRAM_H
#define SHC_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_SUB_BITS = 7,
	HISTOGRAM_SUBS = 1 << HISTOGRAM_SUB_BITS,
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUBS, /* for any 64 bits */
};

/* All zero: empty. */
struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS];
	uint64_t count;
	uint64_t max; /* exact */
};

/* A value that was seen `times` times. */
void histogram_add(struct histogram *h, uint64_t value, uint64_t times);

/* Adds all of `from`. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/* A value that at least `per_mille` of 1000 values are not above, as small as the buckets can tell, and never
 * above the greatest that was seen. 0 when there are none. */
uint64_t histogram_at(const struct histogram *h, unsigned per_mille);

#endif
