/* SPDX-License-Identifier: MIT */
/*
 * bench_window.h - the time that is measured: from when all threads of a load generator are prepared until
 * the last of them has its last answer, and at a rate has come to the end of its schedule; with the CPU time
 * that the server and this process have used between.
 *
 * What threads prepare before, and clean up after, is no part of it: with ten thousand connections that takes
 * longer than some measurements.
 */
#ifndef SHC_BENCH_WINDOW_H
#define SHC_BENCH_WINDOW_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bench_window {
	/* To be read by a thread that has come through bench_window_enter, and when all threads have ended.
	 */
	int64_t begin_ns;
	int64_t end_ns;	       /* not before all threads have ended */
	int64_t server_cpu_ns; /* -1: not known; meanwhile what it was at the beginning, as the next one */
	int64_t own_cpu_ns;
	/* private */
	pthread_mutex_t mutex;
	pthread_cond_t opened;
	unsigned awaited; /* threads that are not prepared */
	unsigned inside;  /* those that have not left */
	pid_t server;
};

/* `server`: 0 when its process cannot be seen. */
void bench_window_init(struct bench_window *w, unsigned threads, pid_t server);
void bench_window_fini(struct bench_window *w);

/* Each thread calls both, whatever it has come to. The first returns when all are there. */
void bench_window_enter(struct bench_window *w);
void bench_window_leave(struct bench_window *w);

/* Not all threads could be started: those that were are not to wait for the others. */
void bench_window_give_up(struct bench_window *w);

#endif
