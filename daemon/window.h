/* SPDX-License-Identifier: MIT */
/*
 * window.h - how often something happened in the last so and so long: hits by second, minute and hour.
 *
 * A ring of 300 seconds; what leaves it goes to a ring of 1440 minutes, from there to one of 720 hours, and
 * then away. A ring is allocated when something first goes there. Where a hit stands depends on its second
 * and on the newest one only, so in whatever order they come, and whether they come one by one or summed, the
 * result is the same.
 *
 * Pure: no clock, no locks. Seconds are whatever the caller counts by, between -WINDOW_SECOND_MAX and
 * WINDOW_SECOND_MAX; hits of others are dropped.
 */
#ifndef SHC_WINDOW_H
#define SHC_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "../lib/buf.h"

enum {
	WINDOW_SECONDS = 300,
	WINDOW_MINUTES = 1440,
	WINDOW_HOURS = 720,
	WINDOW_BYTES_MAX = 20480, /* of memory, with all rings */
};

#define WINDOW_SECOND_MAX (INT64_C(1) << 40)

struct window;

/* Without hits. Null: no memory. */
struct window *window_new(void);
struct window *window_free(struct window *w); /* returns null */

/* Allocates what the next window_add, which is of that second, will need. 0, or -ENOMEM: nothing is lost. */
int window_prepare(struct window *w, int64_t second);
/* Modulo 2^64. One that lies 30 days or more before the newest is dropped. */
void window_add(struct window *w, int64_t second, uint64_t count);

struct window_sum {
	uint64_t hits;
	int64_t resolution_ms; /* of the level that was asked */
};

/* The hits of the last window_ms, from the finest level that covers it, in whole buckets of that level, the
 * running one included: seconds (now - 60, now] of a minute. When `now` is older than the newest hit, that is
 * now. `w` may be null: no hits. 0; -ERANGE when the window is not above 0, or longer than 30 days. */
int window_sum(const struct window *w, int64_t now, int64_t window_ms, struct window_sum *out);

/* The newest second of a hit; INT64_MIN: none yet. */
int64_t window_newest(const struct window *w);
/* The memory it takes. */
size_t window_bytes(const struct window *w);

/* ---- on disk ---- the format stands in window.c */

/* Appends it; out->failed when there is no memory. */
void window_pack(const struct window *w, struct buf *out);
/* What window_pack has made. Null: *error is -EUCLEAN (it is not that) or -ENOMEM. */
struct window *window_unpack(const void *data, size_t len, int *error);

#endif
