/* SPDX-License-Identifier: MIT */
/*
 * hold.h - which bytes of a connection's output may not leave yet, because what they tell is not on disk
 * (durability = commit).
 *
 * A mark says: from this byte on, not before that epoch is durable. Marks ascend in both. What stands behind
 * a mark waits with it, so replies leave in the order of their requests. Not durable are at most the open
 * epoch and the one being written, hence two marks. Pure; owner: the connection's worker.
 */
#ifndef SHC_HOLD_H
#define SHC_HOLD_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOLD_MARKS_MAX = 2 };

struct hold {
	struct {
		uint64_t epoch;
		size_t start; /* offset in what has not been handed on */
	} marks[HOLD_MARKS_MAX];
	unsigned count;
};

static inline bool hold_is_empty(const struct hold *h)
{
	return h->count == 0;
}

/* The epoch that everything waits for in the end; 0: nothing is held. */
static inline uint64_t hold_newest(const struct hold *h)
{
	return h->count ? h->marks[h->count - 1].epoch : 0;
}

/* `durable` is on disk: lets go what waited for it. */
static inline void hold_release(struct hold *h, uint64_t durable)
{
	while (h->count && h->marks[0].epoch <= durable) {
		h->marks[0] = h->marks[1];
		h->count--;
	}
}

/* A reply that begins at `start` tells of `epoch`, which is newer than `durable`. */
static inline void hold_add(struct hold *h, uint64_t epoch, size_t start, uint64_t durable)
{
	hold_release(h, durable);
	if (hold_newest(h) >= epoch)
		return;
	assert(h->count < HOLD_MARKS_MAX);
	h->marks[h->count].epoch = epoch;
	h->marks[h->count++].start = start;
}

/* How many of the first `len` bytes may leave. */
static inline size_t hold_free_bytes(const struct hold *h, size_t len)
{
	return h->count ? h->marks[0].start : len;
}

/* `n` free bytes were handed on. */
static inline void hold_shift(struct hold *h, size_t n)
{
	for (unsigned i = 0; i < h->count; i++)
		h->marks[i].start -= n;
}

#endif
