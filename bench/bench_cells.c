/* SPDX-License-Identifier: MIT */
/*
 * bench_cells.c - what it costs two threads to add to one counter: each to a cell of its own, as SHC.ADD with
 * cells does; both to one atomic; both under a mutex; each to its own half of one cache line.
 *
 * Usage: bench_cells [MILLISECONDS [ROUNDS]]   (default 50 9)
 *
 * Threads run on the first and the last CPU that may be used. Prints a line for each way: nanoseconds an
 * addition takes its thread, with one thread and with two, medians over the rounds; of CPU time, for somebody
 * else may want the CPUs, too. The sum is checked.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CELL_BYTES = 128, ROUNDS_MAX = 1000, BATCH = 1000, THREADS = 2 };

static struct {
	_Alignas(CELL_BYTES) _Atomic int64_t value[CELL_BYTES / sizeof(int64_t)];
} cells[THREADS];
static _Alignas(CELL_BYTES) pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Alignas(CELL_BYTES) pthread_barrier_t barrier;
static _Alignas(CELL_BYTES) _Atomic bool is_over;

static int64_t get(_Atomic int64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

/* Its only writer. */
static void add_owner(_Atomic int64_t *at)
{
	atomic_store_explicit(at, get(at) + 1, memory_order_relaxed);
}

static void add_own_cell(unsigned thread)
{
	add_owner(&cells[thread].value[0]);
}

static void add_same_line(unsigned thread)
{
	add_owner(&cells[0].value[thread]);
}

static void add_atomic(unsigned thread)
{
	(void)thread;
	atomic_fetch_add_explicit(&cells[0].value[0], 1, memory_order_relaxed);
}

static void add_mutex(unsigned thread)
{
	(void)thread;
	pthread_mutex_lock(&mutex);
	add_owner(&cells[0].value[0]);
	pthread_mutex_unlock(&mutex);
}

struct adder {
	pthread_t thread;
	unsigned index;
	int cpu;
	void (*batch)(unsigned thread);
	uint64_t count;
	double cpu_seconds;
};

/* A loop of each, so that the addition is inlined. */
#define DEFINE_BATCH(name)                                                                                   \
	static void batch_##name(unsigned thread)                                                            \
	{                                                                                                    \
		for (int i = 0; i < BATCH; i++)                                                              \
			add_##name(thread);                                                                  \
	}
DEFINE_BATCH(own_cell)
DEFINE_BATCH(atomic)
DEFINE_BATCH(mutex)
DEFINE_BATCH(same_line)

static const struct {
	const char *name;
	void (*batch)(unsigned thread);
} ways[] = {
	{"own_cell", batch_own_cell},
	{"atomic", batch_atomic},
	{"mutex", batch_mutex},
	{"same_line", batch_same_line},
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_cells: %s\n", what);
	exit(1);
}

static double thread_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *run_adder(void *arg)
{
	struct adder *a = arg;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET((size_t)a->cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		die("cannot run on a CPU of its own");
	pthread_barrier_wait(&barrier);
	double begin = thread_seconds();
	for (; !atomic_load_explicit(&is_over, memory_order_relaxed); a->count += BATCH)
		a->batch(a->index);
	a->cpu_seconds = thread_seconds() - begin;
	return NULL;
}

static void find_cpus(int cpu[THREADS])
{
	cpu_set_t set;
	cpu[0] = -1;
	if (sched_getaffinity(0, sizeof(set), &set))
		die("sched_getaffinity has failed");
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET((size_t)i, &set))
			continue;
		cpu[1] = i;
		if (cpu[0] < 0)
			cpu[0] = i;
	}
}

static void check_sum(uint64_t count)
{
	int64_t sum = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		for (unsigned k = 0; k < THREADS; k++)
			sum += get(&cells[i].value[k]);
	}
	if ((uint64_t)sum != count)
		die("the sum is wrong");
}

/* Nanoseconds that one addition takes its thread. */
static double run(void (*batch)(unsigned thread), unsigned threads, long ms)
{
	struct adder adders[THREADS];
	int cpu[THREADS];
	uint64_t count = 0;
	double seconds = 0;
	find_cpus(cpu);
	memset(cells, 0, sizeof(cells));
	atomic_store(&is_over, false);
	pthread_barrier_init(&barrier, NULL, threads + 1);
	for (unsigned i = 0; i < threads; i++) {
		adders[i] = (struct adder){.index = i, .cpu = cpu[i], .batch = batch};
		if (pthread_create(&adders[i].thread, NULL, run_adder, &adders[i]))
			die("cannot start a thread");
	}
	pthread_barrier_wait(&barrier);
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(adders[i].thread, NULL);
		count += adders[i].count;
		seconds += adders[i].cpu_seconds;
	}
	pthread_barrier_destroy(&barrier);
	check_sum(count);
	return seconds * 1e9 / (double)(count ? count : 1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

int main(int argc, char **argv)
{
	enum { WAYS = sizeof(ways) / sizeof(ways[0]) };
	static double one[WAYS][ROUNDS_MAX], two[WAYS][ROUNDS_MAX];
	long ms = argc > 1 ? strtol(argv[1], NULL, 10) : 50;
	size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 9;
	if (ms < 1 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench_cells [MILLISECONDS [ROUNDS]]\n");
		return 64;
	}
	for (size_t i = 0; i < rounds; i++) {
		for (size_t w = 0; w < WAYS; w++) {
			one[w][i] = run(ways[w].batch, 1, ms);
			two[w][i] = run(ways[w].batch, THREADS, ms);
		}
	}
	for (size_t w = 0; w < WAYS; w++)
		printf("%s one_ns=%.2f two_ns=%.2f\n", ways[w].name, median(one[w], rounds),
		       median(two[w], rounds));
	return 0;
}
