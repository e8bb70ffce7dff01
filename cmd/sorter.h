/* SPDX-License-Identifier: MIT */
/*
 * sorter.h - puts any number of counters in order, in bounded memory: what does not fit is sorted in parts,
 * which wait in a temporary file (runs.h) and are merged at the end. Who wants only the first few has the
 * others forgotten on the way. One thread.
 */
#ifndef SHC_SORTER_H
#define SHC_SORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runs.h"

enum sorter_order {
	SORTER_BY_NAME,	 /* bytes, smallest first */
	SORTER_BY_VALUE, /* largest first; the same value: by name */
};

#define SORTER_NO_LIMIT UINT64_MAX

enum {
	SORTER_BYTES = 16 << 20,    /* a good value for memory_bytes: more is slower, for the caches */
	SORTER_BYTES_MIN = 8 << 10, /* for a few records */
};

struct sorter {
	enum sorter_order order;
	uint64_t limit;
	/* records from the bottom, and from the top, downwards, an item for each */
	char *room; /* owned */
	size_t room_size;
	size_t records_size;
	size_t count;
	char prefix[NAME_LEN_MAX]; /* what all names so far begin with */
	size_t prefix_len;
	bool has_prefix;
	bool has_bound; /* `limit` records at least are not behind this one: what is, may be forgotten */
	char bound[RECORD_SIZE_MAX];
	struct runs runs;
};

/* Keeps the first `limit` only; memory_bytes is about what it takes, at least SORTER_BYTES_MIN and below 4
 * GiB. 0 or -ENOMEM. */
int sorter_init(struct sorter *s, enum sorter_order order, uint64_t limit, size_t memory_bytes);
void sorter_fini(struct sorter *s);

/* A name may come twice, then the last value counts; but by value, where the two are not neighbours, both are
 * told. 0, -ENOMEM, or -errno of the temporary file, after which only sorter_fini may be called. */
int sorter_add(struct sorter *s, struct slice name, int64_t value);

/* Hands all over in order, until `tell` returns false. Once. 0 or as sorter_add. */
int sorter_tell(struct sorter *s, bool (*tell)(void *arg, struct slice name, int64_t value), void *arg);

#endif
