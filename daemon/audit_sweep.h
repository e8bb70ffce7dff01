/* SPDX-License-Identifier: MIT */
/*
 * audit_sweep.h - counters that are there follow the patterns of `audit`: all at a start, and in slices when
 * a reload has changed them.
 *
 * New objects follow at once, but a request that is under way may still make one by the old patterns. So a
 * sweep begins when all workers have sealed the epoch of the change: every request that began before it has
 * ended. A counter with cells must come to rest first, so it is done in a second walk. Owner: the first
 * worker.
 */
#ifndef SHC_AUDIT_SWEEP_H
#define SHC_AUDIT_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "audit.h"
#include "txn.h"

struct audit_sweep {
	uint64_t generation; /* of the patterns that the counters follow, or will at the end of the sweep */
	uint64_t target;     /* it begins, or goes on, when this epoch is sealed; 0: at once */
	uint64_t target_next;
	uint64_t cursor; /* as registry_walk */
	bool is_on;
	bool has_failed;  /* for want of memory */
	struct buf names; /* scratch: length (1), name */
};

void audit_sweep_fini(struct audit_sweep *s);

/* Is there something to do now? */
bool audit_sweep_is_due(const struct audit_sweep *s, const struct audit *a, const struct epoch_clock *clock);

/* Does it wait for the end of an epoch? */
static inline bool audit_sweep_is_waiting(const struct audit_sweep *s)
{
	return s->is_on && s->target != 0;
}

/* The next slice. Nothing is open, and the worker has looked at the epoch. */
void audit_sweep_some(struct audit_sweep *s, const struct audit *a, struct txn *t);

/* At a start, when all counters are loaded and nobody else is there. 0, -ENOMEM, -EDQUOT (max-memory). */
int audit_sweep_loaded(const struct audit *a, struct registry *registry);

#endif
