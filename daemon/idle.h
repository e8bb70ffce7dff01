/* SPDX-License-Identifier: MIT */
/*
 * idle.h - how long nobody has been connected, for a daemon that leaves when it is not used (idle-exit).
 *
 * The acceptor opens, the workers close, and the acceptor sleeps until it is worth while to look. It does not
 * have itself woken by every last close, or each `shcount incr` would cost a wake-up: it looks when the time
 * could be over, and only when somebody is connected then, it asks to be told, and sleeps without an end.
 */
#ifndef SHC_IDLE_H
#define SHC_IDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "waker.h"

struct idle {
	bool is_on;	     /* constant; off: nothing below is touched */
	struct waker *waker; /* the acceptor's */
	/* shared; seq_cst */
	_Atomic int64_t conns;	  /* from accept to close */
	_Atomic int64_t since_ns; /* the last close, or the start */
	_Atomic bool is_asked;	  /* who closes the last connection wakes the acceptor */
	/* the acceptor's own */
	int64_t limit_ns;
	int64_t look_ns; /* nothing can be over before */
};

/* Times are monotonic. limit_ms 0: never. */
void idle_init(struct idle *i, int64_t limit_ms, struct waker *waker, int64_t now_ns);

void idle_open(struct idle *i);			 /* acceptor: a connection begins */
void idle_close(struct idle *i, int64_t now_ns); /* any worker: it has ended */

/* Acceptor, parked: milliseconds to sleep before asking again, -1 without an end, 0: nobody has been
 * connected for so long. */
int idle_wait_ms(struct idle *i, int64_t now_ns);

/* Acceptor: from now on the last close is enough. */
void idle_hurry(struct idle *i);

#endif
