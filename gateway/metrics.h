/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - what a loop counts of its own work. Written by its thread, read by any: relaxed, for each
 * number stands for itself.
 */
#ifndef SHC_GATEWAY_METRICS_H
#define SHC_GATEWAY_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
	METRICS_ROUTES_MAX = 32, /* the last one: paths that there are not */
	METRICS_CLASSES = 6,	 /* 2xx is 2 */
	METRICS_BUCKETS = 14,	 /* of latency; the last one has no end */
};

struct metrics {
	_Atomic uint64_t requests[METRICS_ROUTES_MAX][METRICS_CLASSES];
	_Atomic uint64_t latency[METRICS_BUCKETS], latency_ns;
	_Atomic uint64_t batches, jobs;	  /* to the backends: so many requests in so many turns */
	_Atomic uint64_t accepted, ended; /* connections */
	_Atomic uint64_t subscribers;	  /* to events */
};

/* One writer: no locked instruction. */
static inline void metrics_add(_Atomic uint64_t *m, uint64_t n)
{
	atomic_store_explicit(m, atomic_load_explicit(m, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Upper ends of the classes of latency, in microseconds; the last one has none. */
extern const int64_t metrics_bounds_us[METRICS_BUCKETS - 1];

/* A request has had its reply; `ns` is how long that took, -1: it was a stream. */
void metrics_request(struct metrics *m, size_t route, unsigned status, int64_t ns);

#endif
