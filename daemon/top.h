/* SPDX-License-Identifier: MIT */
/*
 * top.h - SHC.TOP: which counters change fastest.
 *
 * The committer counts, and only while somebody has asked within the last TOP_ASKED_MS: over a period of
 * whole epochs, about a second or more, it adds up by id what the workers have handed over. At the end of a
 * period the counters that have changed most get their names, and become the result, which is not changed any
 * more. Workers do nothing for it but read that, so a request that counts costs what it did.
 *
 * What is added up is what goes to disk, so a rate is exact: net change (INCR and DECR cancel out) divided by
 * the time between the two ends of epochs. Nobody has asked before the first period, so it waits for its end.
 *
 * Memory: sums of at most TALLY_MAX ids; a period ends early rather than have more, and a single epoch with
 * more is summed in parts.
 */
#ifndef SHC_TOP_H
#define SHC_TOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"
#include "epoch_buffer.h"
#include "registry.h"
#include "store.h"
#include "tally.h"

enum {
	TOP_MAX = BUSIEST_MAX,
	TOP_DEFAULT = 10,
	TOP_ASKED_MS = 10000, /* for so long one question keeps it counting, and a result is worth telling */
};

struct top_entry {
	uint64_t id;
	int64_t change; /* in the period; not 0 */
	uint8_t name_len;
	char name[NAME_LEN_MAX];
};

/* Not changed once it is published. */
struct top_result {
	unsigned refs;	      /* under top.lock */
	int64_t published_ms; /* monotonic */
	int64_t duration_ns;  /* of the period */
	size_t count;
	struct top_entry entries[]; /* the largest change first, of equal ones by name */
};

struct top {
	/* shared */
	_Atomic int64_t asked_ms;  /* monotonic, the last time; 0: never. Written by workers; seq_cst, with
				      is_counting: see top_ask */
	_Atomic bool is_counting;  /* written by the committer */
	_Atomic uint64_t periods;  /* complete, ever; written by the committer, behind `result` */
	_Atomic uint64_t changes;  /* added up, ever: for INFO */
	pthread_mutex_t lock;	   /* a leaf; over some instructions */
	struct top_result *result; /* the newest; a reference; under the lock */
	/* the committer's own */
	int64_t begun_ns, ended_ns; /* monotonic: the period's first moment, and the last that is counted */
	bool is_spoilt;		    /* there was no memory to count all of it */
	struct tally tally;
	struct busiest busiest;
	int64_t walk_after_ns; /* monotonic; not before is the registry looked through again */
	uint64_t tally_max;    /* ids */
};

/* Where names are. Borrowed. */
struct top_names {
	struct store *store;
	struct registry *registry;
};

void top_init(struct top *t);
void top_fini(struct top *t); /* nobody holds a result any more */

/* ---- workers ---- */

/* Somebody asks. False: nothing was being counted. Then wake the committer, and wait until `periods` has
 * grown over what it was before the call. */
bool top_ask(struct top *t, int64_t now_ms);

/* A reference to the newest result; null: there is none, or an old one. */
struct top_result *top_newest(struct top *t, int64_t now_ms);
void top_unref(struct top *t, struct top_result *r);

/* ---- committer ---- */

/* Milliseconds until an epoch is to end for its sake; 0: now; -1: never. */
int64_t top_due_ms(const struct top *t, int64_t now_ms);

/* An epoch has ended at `ended_ns` (monotonic) and is on disk; these are its buffers. True: there is a new
 * result. Before the buffers are cleared and before what they retire is freed. */
bool top_end_epoch(struct top *t, struct epoch_buffer *const *buffers, size_t count, int64_t ended_ns,
		   const struct top_names *names);

#endif
