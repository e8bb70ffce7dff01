/* SPDX-License-Identifier: MIT */
/*
 * bench_memcached.h - what a load generator does with memcached beside the load itself: its counters are
 * made, read and deleted. Over its text protocol; source: doc/protocol.txt of memcached.
 *
 * A call waits at most the plan's timeout for some hundred or thousand names. Exit statuses; all but EX_OK
 * after a complaint.
 */
#ifndef SHC_BENCH_MEMCACHED_H
#define SHC_BENCH_MEMCACHED_H

#include <sys/types.h>

#include "bench.h"

/* Whether this says where one can be: what has a slash is the path of a Unix socket, else it is HOST:PORT. */
bool memcached_is_place(const char *where);

int memcached_open(const struct bench_plan *plan, struct conn *out);

/* *worth: of all, one that is not there is worth 0. `found`: the name of one that is there, or "". */
int memcached_read(const struct bench_plan *plan, struct conn *c, struct bench_worth *worth,
		   char found[BENCH_NAME_SIZE]);

/* Those that are not there, as 0. */
int memcached_make(const struct bench_plan *plan, struct conn *c);

int memcached_delete(const struct bench_plan *plan, struct conn *c);

/* The server's own idea of its process id; 0 when it has none. */
int memcached_pid(const struct bench_plan *plan, struct conn *c, pid_t *pid);

#endif
