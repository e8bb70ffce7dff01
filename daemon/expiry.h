/* SPDX-License-Identifier: MIT */
/*
 * expiry.h - which counters expire next.
 *
 * A tree a worker, of the extras that it gave an expiry to, by time (BSD tree: an insertion is a microsecond
 * with a million of them, and a clock that is set needs no thought). Each has a small lock, because other
 * workers may take out what is in it; it comes after the counter's. A worker looks at its own only, so that
 * whoever sleeps until the first is due need not be woken by another's.
 */
#ifndef SHC_EXPIRY_H
#define SHC_EXPIRY_H

#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"
#include "config_default.h"
#include "extra.h"

RB_HEAD(expiry_tree, extra);

struct expiry {
	struct {
		_Alignas(128) _Atomic uint32_t lock;
		_Atomic int64_t
			first_ms;     /* when the first is due, wall clock; 0: none. Written under the lock */
		_Atomic size_t count; /* in the tree. Written under the lock */
		struct expiry_tree tree;
	} part[CONFIG_WORKERS_MAX];
};

void expiry_init(struct expiry *e);

/* The extra is due at `at_ms` (0: never any more), and from now on in the tree of `worker`. The counter is
 * locked, or nobody else knows the extra yet. */
void expiry_set(struct expiry *e, uint32_t worker, struct extra *x, int64_t at_ms);

/* When the first of this worker is due; 0: never. Any thread. */
static inline int64_t expiry_first_ms(const struct expiry *e, uint32_t worker)
{
	return atomic_load_explicit(&e->part[worker].first_ms, memory_order_relaxed);
}

/* Counters that are going to expire, in all trees. Any thread. */
size_t expiry_count(const struct expiry *e);

enum { EXPIRY_NAME_BYTES = 256 };
struct expiry_name {
	uint8_t len;
	char bytes[EXPIRY_NAME_BYTES - 1];
};

/* The names of the first `count_max` that are due by `now_ms`. They stay in the tree until their objects end:
 * who opens them to write sees to that. Returns how many. */
size_t expiry_due(struct expiry *e, uint32_t worker, int64_t now_ms, struct expiry_name *names,
		  size_t count_max);

#endif
