/* SPDX-License-Identifier: MIT */
/*
 * bench_batch.h - the requests of a pipeline as bytes, made once: all are the same, but for the digits in
 * their counters' names, which are written anew before each use. Pure; an object belongs to one thread.
 */
#ifndef SHC_BENCH_BATCH_H
#define SHC_BENCH_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "bench.h"

struct bench_batch {
	char *data;	 /* owned: `pipeline` requests */
	size_t size;	 /* of one */
	size_t first;	 /* where the digits of its first name are, */
	size_t stride;	 /* and how far behind them those of the next */
	unsigned names;	 /* of a request */
	unsigned digits; /* of a name */
};

/* How many bytes the whole will have. */
size_t bench_batch_bytes(const struct bench_plan *plan);

/* False: no memory. */
bool bench_batch_init(struct bench_batch *b, const struct bench_plan *plan);
void bench_batch_fini(struct bench_batch *b);

/* Writes the names of the first `count` requests, so that count * size bytes at `data` can be sent. */
void bench_batch_fill(struct bench_batch *b, struct bench_keys *keys, unsigned count);

#endif
