/* SPDX-License-Identifier: MIT */
/*
 * fault_rule.h - which call of a running program fails, as a test says it in a table that both have mapped.
 *
 * The table is the file that SHC_FAULT names, of FAULT_RULES rules. A test writes a rule and sets is_on last;
 *from then on each call that it fits is counted in `seen`, and those it strikes in `struck`, on which the
 *test can wait. No lock: a rule that is on is not changed but for its counts.
 *
 *	offset	size
 *	0	4	is_on
 *	4	4	calls: a set of FAULT_*
 *	8	4	error: an errno, or 0: the call is only counted, delayed, or cut short
 *	12	4	delay in microseconds, before the call
 *	16	8	skip: fitting calls before the first that is struck
 *	24	8	count: calls that are struck; 0: until is_on is 0
 *	32	8	seen
 *	40	8	struck
 *	48	8	size_max: bytes that a write still takes, then it fails with `error` or returns short
 *	56	16	thread: pattern of the name of the thread, empty: any
 *	72	56	file: pattern of the name without its directory, empty: any
 */
#ifndef SHC_FAULT_RULE_H
#define SHC_FAULT_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAULT_RULES = 8, FAULT_RULE_BYTES = 128 };

enum fault_call {
	FAULT_OPEN = 1 << 0,
	FAULT_READ = 1 << 1,
	FAULT_WRITE = 1 << 2,
	FAULT_TRUNCATE = 1 << 3,
	FAULT_SYNC = 1 << 4,
	FAULT_MAP = 1 << 5,
	FAULT_UNLINK = 1 << 6,
	FAULT_ALLOCATE = 1 << 7, /* memory: fault_alloc.c */
};

struct fault {
	int error;	 /* fail with it; 0: do not */
	size_t size_max; /* take no more than that; SIZE_MAX: all */
};

/* What the rules say about a call on `path` (null: none, then `fd` is asked for its; -1: none). Delays it.
 * Any thread. True: some rule strikes. */
bool fault_strike(enum fault_call call, int fd, const char *path, struct fault *out);

#endif
