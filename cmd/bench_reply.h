/* SPDX-License-Identifier: MIT */
/*
 * bench_reply.h - replies as a load generator reads them: each request has a single kind of answer that is
 * right, so there is nothing to interpret, only to check; RESP and memcached's text. Pure.
 */
#ifndef SHC_BENCH_REPLY_H
#define SHC_BENCH_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"

enum reply_kind {
	REPLY_INT,     /* :17 */
	REPLY_OK,      /* +OK */
	REPLY_BULK,    /* $2 17, or $-1 */
	REPLY_DECIMAL, /* memcached's incr: 17 */
	REPLY_HD,      /* its ma: HD */
	REPLY_VALUE,   /* its get: VALUE ... 17 END, or END */
	REPLY_STORED,  /* its add: STORED, or NOT_STORED */
	REPLY_DELETED, /* its delete: DELETED, or NOT_FOUND */
	REPLY_STATS,   /* its stats: many lines, END */
};

enum {
	REPLY_GOOD = 0,
	REPLY_MORE = 1,	   /* not whole yet */
	REPLY_REFUSED = 2, /* an error, in these words */
	REPLY_BAD = 3,	   /* none of these: what follows cannot be understood */

	REPLY_BYTES_MAX = 1 << 16, /* of one; a longer one is bad */
};

struct reply {
	size_t size;   /* GOOD, REFUSED: bytes of it */
	bool is_there; /* the kinds with an "or": it is the first; else true */
	int64_t value; /* INT, BULK, DECIMAL, VALUE: modulo 2^64; STATS: the pid, 0 when it is not told */
	struct slice words; /* REFUSED; points into the bytes */
};

/* Reads the one at data[0..len): an outcome. */
int reply_read(enum reply_kind kind, const char *data, size_t len, struct reply *out);

/* What values there were in replies; 0 for each without one. */
struct reply_values {
	uint64_t sum; /* modulo 2^64 */
	int64_t least, most;
	uint64_t absent; /* replies that said that there is none */
};

#define REPLY_VALUES_NONE ((struct reply_values){.least = INT64_MAX, .most = INT64_MIN})

static inline void reply_values_merge(struct reply_values *to, const struct reply_values *more)
{
	to->sum += more->sum;
	to->least = more->least < to->least ? more->least : to->least;
	to->most = more->most > to->most ? more->most : to->most;
	to->absent += more->absent;
}

/* What a run of good replies was. */
struct reply_run {
	size_t size; /* bytes */
	unsigned count;
	bool is_rising; /* every value was greater than the one before, from `last` on */
	int64_t last;	/* value of the last one */
	struct reply_values values;
};

/* Reads good replies as long as there are any, of at most `count_max`: run->last goes in and out. Returns
 * GOOD when that many were found, else the outcome of the one that stands behind them, which *next then has.
 */
int reply_read_run(enum reply_kind kind, const char *data, size_t len, unsigned count_max,
		   struct reply_run *run, struct reply *next);

#endif
