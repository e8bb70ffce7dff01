/* SPDX-License-Identifier: MIT */
/*
 * watchdog.h - tells the service manager that we live, as long as every thread that matters does: WATCHDOG=1
 * of sd_notify(3).
 *
 * Main thread, which waits for signals anyway: twice an interval it looks whether all have answered what they
 * were asked half an interval before (pulse.h), says so to the manager, and asks again. Is one silent,
 * nothing is said, and it looks more often: a thread has almost the whole interval. Without a manager that
 * wants to hear it nobody is asked, and nobody wakes up.
 */
#ifndef SHC_WATCHDOG_H
#define SHC_WATCHDOG_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pulse.h"

enum { WATCHDOG_THREADS_MAX = 256 };

/* Has the thread of a pulse come round. Any thread; does not block. */
typedef void watchdog_wake_fn(void *arg);

struct watched {
	struct pulse *pulse;
	watchdog_wake_fn *wake;
	void *arg;
	const char *name; /* static */
	unsigned number;
	bool is_named; /* the watchdog's: the log has it as silent */
};

struct watchdog {
	int64_t interval_ns; /* 0: the manager does not want to hear anything */
	int64_t next_ns;     /* monotonic; when to look next */
	int64_t asked_ns;
	struct watched threads[WATCHDOG_THREADS_MAX];
	size_t count;
	bool is_late; /* somebody was silent at the last look */
};

void watchdog_init(struct watchdog *w, int64_t interval_ns);

/* Borrows all. Before the first wait. */
void watchdog_add(struct watchdog *w, const struct watched *thread);

/* Until one of the signals `set`, which all threads block; returns it. Meanwhile looks after the threads. */
int watchdog_wait(struct watchdog *w, const sigset_t *set);

/* One look, at `now_ns`, as watchdog_wait has them; sets next_ns. True: the manager was told. */
bool watchdog_look(struct watchdog *w, int64_t now_ns);

#endif
