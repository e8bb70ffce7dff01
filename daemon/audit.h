/* SPDX-License-Identifier: MIT */
/*
 * audit.h - the audit log: which counters are in it, and the order of its entries.
 *
 * Which: names that fit one of the patterns of `audit`, which a reload replaces. They are looked at when an
 * object comes into being, and for all objects when they have changed (worker.c), never when one is changed.
 *
 * Order: an entry is stamped while the counter's lock is held, from one clock for all workers that never goes
 * back and gives no stamp twice. So entries of one counter that are sorted by their stamps stand in the order
 * in which the counter was changed, and a wall clock that is set back does not undo it.
 *
 * Any thread.
 */
#ifndef SHC_AUDIT_H
#define SHC_AUDIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"
#include "config.h"

struct audit {
	const struct config *config; /* borrowed */
	_Atomic int64_t last_us;     /* newest stamp given */
	_Atomic uint64_t generation; /* of the patterns: how often they have changed */
};

void audit_init(struct audit *a, const struct config *config);

/* Is there any pattern? Cheap, to be asked first. */
static inline bool audit_is_on(const struct audit *a)
{
	return atomic_load_explicit(&a->config->audit, memory_order_relaxed) != NULL;
}

/* Does a pattern fit? */
bool audit_matches(const struct audit *a, struct slice name);

/* `count` stamps in a row, for the entries of one transaction; the first of them. Microseconds of the wall
 * clock, or behind the newest one where that is later. */
int64_t audit_stamp(struct audit *a, size_t count);

/* Main: the patterns have changed. */
void audit_changed(struct audit *a);

#endif
