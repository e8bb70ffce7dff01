/* SPDX-License-Identifier: MIT */
/* outside.c - see fleet.h: threads, locks, clock, wakers and chance, in place of libc's and the daemon's. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "../../lib/log.h"
#include "../../daemon/waker.h"
#include "fleet.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* ---- threads ---- */

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	(void)attr;
	*thread = (pthread_t)sim_spawn(fn, arg);
	return 0;
}

static bool is_over(void *arg)
{
	return sim_is_over((int)*(pthread_t *)arg);
}

int pthread_join(pthread_t thread, void **result)
{
	(void)result;
	(void)sim_sleep(is_over, &thread, -1);
	return 0;
}

int pthread_setname_np(pthread_t thread, const char *name)
{
	(void)thread, (void)name;
	return 0;
}

/* Nobody is switched out while he has one. */
int pthread_mutex_lock(pthread_mutex_t *m)
{
	(void)m;
	sim_point();
	return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *m)
{
	(void)m;
	return 0;
}

int setpriority(__priority_which_t which, id_t who, int priority)
{
	(void)which, (void)who, (void)priority;
	return 0;
}

/* ---- clock and chance ---- */

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int64_t ns = clock == CLOCK_MONOTONIC ? sim_now_ns() : sim_wall_ns();

	*ts = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	return 0;
}

void arc4random_buf(void *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((unsigned char *)p)[i] = (unsigned char)sim_random();
}

int getentropy(void *p, size_t size)
{
	arc4random_buf(p, size);
	return 0;
}

/* ---- wakers ---- */

int waker_init(struct waker *w)
{
	*w = (struct waker){.fd = 0};
	return 0;
}

void waker_fini(struct waker *w)
{
	(void)w;
}

void waker_park(struct waker *w)
{
	w->parked = 1;
	w->fd = 0;
}

void waker_unpark(struct waker *w)
{
	w->parked = 0;
}

void waker_drain(struct waker *w)
{
	w->fd = 0;
}

void waker_wake(struct waker *w)
{
	if (w->parked)
		w->fd = 1;
}

static bool is_woken(void *arg)
{
	return ((struct waker *)arg)->fd != 0;
}

int waker_sleep(struct waker *w, int64_t timeout_ns)
{
	return sim_sleep(is_woken, w, timeout_ns < 0 ? -1 : sim_now_ns() + timeout_ns);
}

/* ---- lines for people ---- */

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list args;

	(void)level;
	if (!is_talking)
		return;
	va_start(args, fmt);
	fputs("# ", stderr);
	(void)vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
}
