/* SPDX-License-Identifier: MIT */
/*
 * extra.h - what a counter may have beside its value: an expiry, a rate limit, hits in time.
 *
 * Most counters have none of it, and pay nothing. Whoever has one has an extra, from then until the object
 * ends; its address stands in the record's object word (counter.h). A counter has cells or an extra, never
 * both.
 *
 * Everything is written under the counter's lock. What is not atomic is read under it, too. The extra is made
 * by registry_extra_new, and freed by registry_free, when nobody can look at it any more.
 */
#ifndef SHC_EXTRA_H
#define SHC_EXTRA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <bsd/sys/tree.h>

struct counter;
struct window;

struct extra {
	uint64_t id;		      /* of the object; first, see counter_id */
	struct counter *counter;      /* whose it is */
	uint64_t version;	      /* how often what follows has changed: the largest one on disk counts */
	_Atomic int64_t expire_at_ms; /* wall clock; 0: never. Read by anyone: release, acquire */
	int64_t tat_ns; /* of the limit, steady clock: when all that was allowed has been paid for; 0: none */
	struct window *window; /* owned; null: no hits yet */
	bool is_audited;       /* its changes are written into the audit log */
	/* expiry.h's, under its lock */
	RB_ENTRY(extra) due;
	int64_t due_ms;	 /* its place in the tree; 0: in none */
	uint32_t due_in; /* number of the tree + 1; 0: in none. Under the counter's lock */
};

/* Has the moment come? An expired object never comes back: whoever would move its expiry finds it gone. */
static inline bool extra_is_expired(const struct extra *x, int64_t now_ms)
{
	int64_t at_ms = atomic_load_explicit(&x->expire_at_ms, memory_order_acquire);

	return at_ms != 0 && at_ms <= now_ms;
}

#endif
