/* SPDX-License-Identifier: MIT */
/*
 * walk.h - all counters of a server, each handed to a function: SCAN gives the names, MGET the values. Memory
 * is bounded by a page.
 *
 * shcounterd gives each counter exactly once that is there all the time; a Redis server may give one twice,
 * while it rearranges its table. What comes or goes meanwhile may be missing.
 */
#ifndef SHC_WALK_H
#define SHC_WALK_H

#include <stdint.h>

#include "../lib/shcount.h"
#include "../lib/slice.h"

enum { WALK_STOP = -1 /* beside the exit statuses: it is enough */ };

/* What a walk calls. Both return 0 to go on, WALK_STOP, or an exit status after a complaint. `name` is
 * theirs until they return. */
struct walker {
	int (*counter)(void *arg, struct slice name, int64_t value);
	int (*page)(void *arg); /* after those of a page; null when nobody wants to know */
	void *arg;
};

/* Of those that match `glob`, a pattern as Redis has it; all when it is null. EX_OK at the end or after
 * WALK_STOP; or an exit status, all being said. After anything but the end the handle is good for
 * shc_close only: answers may be under way. */
int walk(struct shc *shc, const char *glob, const struct walker *walker);

#endif
