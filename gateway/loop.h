/* SPDX-License-Identifier: MIT */
/*
 * loop.h - a thread of the gateway: HTTP connections of its own (libmicrohttpd's epoll, in ours), a
 * connection to each backend, and what both do in turns: all requests that have come are one batch to the
 * backend, and then answered together. docs/design.md 7c.
 */
#ifndef SHC_GATEWAY_LOOP_H
#define SHC_GATEWAY_LOOP_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "../lib/pulse.h"
#include "backend.h"
#include "clients.h"
#include "guard.h"
#include "metrics.h"
#include "options.h"

struct exchange;

enum { LOOP_MEMORY_EACH = 10 << 10 }; /* of a connection; cleared for each request: its head, and a reply's */

/* What all loops share; set before they start. */
struct gateway {
	const struct options *options;
	struct guard *guard;
	struct watch *watch;
	struct loop *loops;
	_Atomic size_t loop_count; /* those that have started, or failed to; loops may look at each other */
	_Atomic bool is_stopping;
	_Atomic bool is_draining; /* says no to /ready: others are to be asked now */
};

struct loop {
	struct gateway *gateway;
	unsigned number;
	pthread_t thread;
	struct MHD_Daemon *http;
	struct backend *backend;
	int wake_fd;		/* eventfd: there is an event to tell, or the end has come */
	struct pulse pulse;	/* answered at the end of a turn; excused while a backend is waited for */
	struct metrics metrics; /* written by this thread, read by any */
	/* the thread's own */
	struct job *jobs, **jobs_end; /* to be run */
	struct events *events;	      /* who wants to be told; owned */
	struct clients clients;
};

/* Listens on `fd`, which it takes over; starts its thread. 0 or negative with a sentence in `why`. */
int loop_start(struct loop *l, struct gateway *gateway, unsigned number, int fd,
	       char why[OPTIONS_ERROR_SIZE]);
/* Any thread. */
void loop_wake(struct loop *l);
/* Behind is_stopping: ends the thread. */
void loop_stop(struct loop *l);
/* When all threads have ended. */
void loop_fini(struct loop *l);

/* The thread's own: the exchange's job is run with the next batch. Its connection is not suspended, which
 * would be two more system calls: libmicrohttpd asks again for the reply in each MHD_run, and there is a
 * batch before the next. */
void loop_put(struct loop *l, struct exchange *x);
/* Its connection has ended before the job was run: nobody waits for it. */
void loop_drop(struct loop *l, const struct exchange *x);

#endif
