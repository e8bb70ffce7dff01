/* SPDX-License-Identifier: MIT */
#include "../lib/conn.h"
#include "bench_cpu.h"
#include "bench_window.h"

void bench_window_init(struct bench_window *w, unsigned threads, pid_t server)
{
	*w = (struct bench_window){.awaited = threads, .inside = threads, .server = server};
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->opened, NULL);
}

void bench_window_fini(struct bench_window *w)
{
	pthread_cond_destroy(&w->opened);
	pthread_mutex_destroy(&w->mutex);
}

static void open_it(struct bench_window *w)
{
	w->server_cpu_ns = bench_cpu_ns(w->server);
	w->own_cpu_ns = bench_cpu_own_ns();
	w->begin_ns = conn_now_ns();
	pthread_cond_broadcast(&w->opened);
}

void bench_window_enter(struct bench_window *w)
{
	pthread_mutex_lock(&w->mutex);
	if (w->awaited > 0 && --w->awaited == 0)
		open_it(w);
	while (w->awaited > 0)
		pthread_cond_wait(&w->opened, &w->mutex);
	pthread_mutex_unlock(&w->mutex);
}

void bench_window_leave(struct bench_window *w)
{
	pthread_mutex_lock(&w->mutex);
	if (--w->inside == 0) {
		int64_t server_ns = bench_cpu_ns(w->server);
		bool is_known = server_ns >= 0 && w->server_cpu_ns >= 0;
		w->server_cpu_ns = is_known ? server_ns - w->server_cpu_ns : -1;
		w->own_cpu_ns = bench_cpu_own_ns() - w->own_cpu_ns;
		w->end_ns = conn_now_ns();
	}
	pthread_mutex_unlock(&w->mutex);
}

void bench_window_give_up(struct bench_window *w)
{
	pthread_mutex_lock(&w->mutex);
	w->awaited = 0;
	open_it(w);
	pthread_mutex_unlock(&w->mutex);
}
