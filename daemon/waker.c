/* SPDX-License-Identifier: MIT */
/*
 * waker.c - see waker.h for the protocol.
 *
 * `parked` is only ever touched by exchanges. Each of them reads what the one before it wrote, and so
 * synchronizes with it: the sleeper that parks after a waker found it running sees all that this waker had
 * changed before, however weakly it was stored. A plain store in waker_unpark() would break that chain. No
 * fences: ThreadSanitizer does not know them.
 */
#include "waker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000

int waker_init(struct waker *w)
{
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0)
		return -errno;
	atomic_init(&w->parked, 0);
	return 0;
}

void waker_fini(struct waker *w)
{
	if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = -1;
}

void waker_park(struct waker *w)
{
	(void)atomic_exchange(&w->parked, 1);
}

void waker_unpark(struct waker *w)
{
	(void)atomic_exchange(&w->parked, 0);
}

void waker_drain(struct waker *w)
{
	uint64_t count;
	ssize_t n;

	do
		n = read(w->fd, &count, sizeof(count));
	while (n < 0 && errno == EINTR);
}

void waker_wake(struct waker *w)
{
	const uint64_t one = 1;
	ssize_t n;

	/* The first waker takes the duty to write; those who come later find 0 and rely on it. */
	if (atomic_exchange(&w->parked, 0) == 0)
		return;
	do
		n = write(w->fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	/* EAGAIN, the counter is full, wakes as well. */
	assert(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

int waker_sleep(struct waker *w, int64_t timeout_ns)
{
	struct pollfd pfd = {.fd = w->fd, .events = POLLIN};
	struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
				   .tv_nsec = (long)(timeout_ns % NS_PER_S)};

	/* A signal ends the sleep early, as 0: the sleeper looks at its work and at the clock anyway. */
	if (ppoll(&pfd, 1, timeout_ns < 0 ? NULL : &timeout, NULL) <= 0)
		return 0;
	waker_drain(w);
	return 1;
}
