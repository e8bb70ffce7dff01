/* SPDX-License-Identifier: MIT */
/*
 * waker.h - an eventfd that is only written when its thread is parked.
 *
 * The sleeper: waker_park(); look once more at everything that could have given work; sleep on fd (poll, io);
 * then waker_unpark(). Everybody else: change something, then waker_wake(). Both sides use seq_cst, so either
 * the sleeper sees the change or the waker sees it parked (Dekker): no wake-up is lost, and a running thread
 * costs its wakers no system call.
 */
#ifndef SHC_WAKER_H
#define SHC_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct waker {
	int fd;			 /* eventfd, non-blocking, cloexec */
	_Atomic uint32_t parked; /* written by the sleeper (1, 0) and by the first waker (0); seq_cst */
};

int waker_init(struct waker *w); /* 0 or -errno */
void waker_fini(struct waker *w);

void waker_park(struct waker *w);   /* sleeper only */
void waker_unpark(struct waker *w); /* sleeper only; does not drain fd */
void waker_drain(struct waker *w);  /* sleeper only: reads fd */
void waker_wake(struct waker *w);   /* any thread */

/* Sleeps on fd for threads that have no io: at most timeout_ns (-1: for ever). Returns 1 woken, 0 timeout.
 * Sleeper only, between park and unpark; drains. */
int waker_sleep(struct waker *w, int64_t timeout_ns);

#endif
