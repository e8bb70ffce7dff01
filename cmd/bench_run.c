/* SPDX-License-Identifier: MIT */
/*
 * bench_run.c - the threads of a load generator, from their start to the sum of what they have seen.
 *
 * Each has connections of its own; they meet only where requests are taken and where one stops all. The main
 * thread waits, hears the signals and tells each second how it goes.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "bench.h"
#include "signals.h"
#include "terminal.h"

enum { NS_PER_S = 1000000000 };

/* ---- for the loops ---- */

unsigned bench_take(struct bench_worker *w, int64_t now_ns, unsigned want)
{
	struct bench_run *run = w->run;
	if (atomic_load_explicit(&run->is_over, memory_order_relaxed))
		return 0;
	if (run->plan->time_ns && now_ns - run->window.begin_ns >= run->plan->time_ns)
		return 0;
	if (!run->plan->requests)
		return want;
	uint64_t untaken = atomic_load_explicit(&run->untaken, memory_order_relaxed), taken;
	do {
		taken = untaken < want ? untaken : want;
	} while (taken > 0 &&
		 !atomic_compare_exchange_weak_explicit(&run->untaken, &untaken, untaken - taken,
							memory_order_relaxed, memory_order_relaxed));
	return (unsigned)taken;
}

void bench_answered(struct bench_worker *w, unsigned count, const struct reply_values *values,
		    int64_t sent_ns, int64_t now_ns)
{
	reply_values_merge(&w->tally.values, values);
	histogram_add(&w->tally.latency_ns, (uint64_t)(now_ns - sent_ns), count);
	/* One writer. */
	atomic_store_explicit(&w->answered, w->tally.latency_ns.count, memory_order_relaxed);
}

static void keep_first(char out[BENCH_WHY_SIZE], struct slice words)
{
	if (!out[0])
		snprintf(out, BENCH_WHY_SIZE, "%.*s", (int)words.len, words.data);
}

void bench_refused(struct bench_worker *w, bool is_denied, struct slice words)
{
	w->tally.refused++;
	w->tally.is_denied |= is_denied;
	keep_first(w->tally.refusal, words);
}

void bench_lost(struct bench_worker *w, uint64_t count, bool is_in_doubt, const char *why)
{
	if (is_in_doubt)
		w->tally.in_doubt += count;
	else
		w->tally.unanswered += count;
	keep_first(w->tally.loss, slice_str(why));
}

void bench_wrong(struct bench_worker *w, const char *how)
{
	w->tally.is_wrong = true;
	keep_first(w->tally.loss, slice_str(how));
}

void bench_stop(struct bench_worker *w)
{
	atomic_store_explicit(&w->run->is_over, true, memory_order_relaxed);
}

/* ---- the threads ---- */

unsigned bench_threads_default(void)
{
	cpu_set_t cpus;
	int count = sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : CPU_COUNT(&cpus);
	return ((unsigned)count + 1) / 2;
}

static void *work(void *arg)
{
	struct bench_worker *w = arg;
	const uint64_t one = 1;
	if (w->run->plan->is_cluster)
		bench_cluster_loop(w);
	else
		bench_server_loop(w);
	atomic_fetch_sub(&w->run->working, 1);
	(void)!write(w->run->wake_fd, &one, sizeof(one));
	return NULL;
}

/* Signals are for the main thread. False: none of them runs. */
static bool start(struct bench_worker *workers, unsigned count)
{
	sigset_t all, before;
	unsigned started = 0;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int error = 0;
	while (started < count && error == 0) {
		error = pthread_create(&workers[started].thread, NULL, work, &workers[started]);
		started += error == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (started == count)
		return true;
	bench_stop(&workers[0]);
	bench_window_give_up(&workers[0].run->window);
	while (started > 0)
		pthread_join(workers[--started].thread, NULL);
	errno = error;
	return false;
}

static uint64_t answered(const struct bench_worker *workers, unsigned count)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < count; i++)
		sum += atomic_load_explicit(&workers[i].answered, memory_order_relaxed);
	return sum;
}

/* Until all have ended; a signal has them end soon. */
static void watch(struct bench_run *run, const struct bench_worker *workers, unsigned count, bool is_told)
{
	int64_t begin_ns = conn_now_ns(), next_ns = begin_ns + NS_PER_S;
	uint64_t told = 0;
	while (atomic_load(&run->working) > 0) {
		int64_t now_ns = conn_now_ns();
		uint64_t wakes;
		if (now_ns >= next_ns) {
			uint64_t sum = answered(workers, count);
			if (is_told)
				command_fail(0, "%lld s: %llu requests/s",
					     (long long)((now_ns - begin_ns) / NS_PER_S),
					     (unsigned long long)(sum - told));
			told = sum;
			next_ns += NS_PER_S;
			continue;
		}
		if (signals_wait_readable(run->wake_fd, next_ns - now_ns) > 0)
			(void)!read(run->wake_fd, &wakes, sizeof(wakes));
		if (signals_stop()) {
			atomic_store_explicit(&run->is_over, true, memory_order_relaxed);
			return;
		}
	}
}

static void merge(struct bench_tally *sum, const struct bench_tally *one)
{
	histogram_merge(&sum->latency_ns, &one->latency_ns);
	histogram_merge(&sum->late_ns, &one->late_ns);
	reply_values_merge(&sum->values, &one->values);
	sum->refused += one->refused;
	sum->in_doubt += one->in_doubt;
	sum->unanswered += one->unanswered;
	sum->overdue += one->overdue;
	sum->is_denied |= one->is_denied;
	sum->is_wrong |= one->is_wrong;
	keep_first(sum->refusal, slice_str(one->refusal));
	keep_first(sum->loss, slice_str(one->loss));
}

static void share_out(struct bench_worker *workers, unsigned count, struct bench_run *run,
		      const struct bench_links *links)
{
	const struct bench_plan *plan = run->plan;
	uint64_t window = (uint64_t)plan->connections * plan->pipeline, seed;
	unsigned kept = plan->is_cluster, shared = links->count - kept;
	for (unsigned i = 0; i < count; i++) {
		unsigned first = shared * i / count, next = shared * (i + 1) / count;
		workers[i] = (struct bench_worker){
			.run = run,
			.links = links->list + kept + first,
			.links_count = next - first,
			.window = (unsigned)(window * (i + 1) / count - window * i / count),
			.share = (double)(next - first) / shared,
			.phase = (double)i / count,
			.tally = {.values = REPLY_VALUES_NONE},
		};
		arc4random_buf(&seed, sizeof(seed));
		/* Threads go through a sequence side by side. */
		bench_keys_init(&workers[i].keys, plan->spread, plan->keys, seed,
				(unsigned)((uint64_t)plan->keys * i / count));
	}
}

static bool run_all(struct bench_run *run, struct bench_worker *workers, unsigned count, bool is_quiet)
{
	struct terminal t;
	terminal_look(&t, STDERR_FILENO);
	if (!start(workers, count))
		return false;
	watch(run, workers, count, t.is_terminal && !is_quiet);
	for (unsigned i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	return true;
}

static void tell_times(const struct bench_run *run, struct bench_result *r)
{
	const struct bench_window *w = &run->window;
	r->seconds = (double)(w->end_ns - w->begin_ns) / NS_PER_S;
	r->server_cpu_ns = w->server_cpu_ns;
	r->client_cpu_ns = w->own_cpu_ns;
}

bool bench_run(const struct bench_plan *plan, const struct bench_links *links, pid_t server, bool is_quiet,
	       struct bench_tally *tally, struct bench_result *r)
{
	unsigned count = plan->threads;
	struct bench_worker *workers = calloc(count, sizeof(*workers));
	struct bench_run run = {.plan = plan, .untaken = plan->requests, .working = count, .wake_fd = -1};
	bool is_done = false;
	bench_window_init(&run.window, count, server);
	run.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (workers && run.wake_fd >= 0) {
		share_out(workers, count, &run, links);
		is_done = run_all(&run, workers, count, is_quiet);
	}
	for (unsigned i = 0; is_done && i < count; i++)
		merge(tally, &workers[i].tally);
	if (is_done)
		tell_times(&run, r);
	else
		command_fail(EX_IOERR, "cannot start %u threads: %s", count, strerror(errno));
	bench_window_fini(&run.window);
	if (run.wake_fd >= 0)
		close(run.wake_fd);
	free(workers);
	return is_done;
}
