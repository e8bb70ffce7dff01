/* SPDX-License-Identifier: MIT */
/* scheduler.c - see sim.h: fibers, slices, the clock, chance. Owns the stacks of the fibers. */
#include "sim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	STACK_BYTES = 512 << 10,
	SLICE_NS_MIN = 100,
	SLICE_LOG_MAX = 10, /* up to 2^10 times that: commits are rare, or come all the time */
	STALL_LOG_MAX = 13, /* a preempted fiber may miss up to 2^13 slices of others */
};

#define WALL_NS_FIRST (1800000000 * INT64_C(1000000000))

enum state { FREE, RUNS, SLEEPS, OVER };

struct fiber {
	enum state state;
	void *sp;
	char *stack;
	void *(*fn)(void *arg);
	void *arg;
	sim_ready_fn *ready;
	void *ready_arg;
	int64_t deadline_ns;
	uint64_t stalled_until; /* slice */
	int saved_errno;
};

struct sim_totals sim_totals;

static struct fiber fibers[SIM_FIBERS_MAX];
static int fiber_count, current = -1, status = SIM_RUNS;
static uint32_t budget, budget_log, stall_one_in;
static void *scheduler_sp;
static int64_t now_ns, wall_ahead_ns, slice_ns;
static uint64_t seed_given, rng_state;
static char failure[1024];

/* ---- chance ---- splitmix64 */

void sim_seed(uint64_t seed)
{
	seed_given = rng_state = seed;
	now_ns = 1000 * INT64_C(1000000000);
	wall_ahead_ns = 0;
	sim_totals.trace = seed;
}

uint64_t sim_random(void)
{
	uint64_t z = rng_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint32_t sim_below(uint32_t n)
{
	return (uint32_t)(sim_random() >> 32) % n;
}

/* ---- clock ---- */

int64_t sim_now_ns(void)
{
	return now_ns;
}

int64_t sim_wall_ns(void)
{
	return WALL_NS_FIRST + now_ns + wall_ahead_ns;
}

void sim_advance(int64_t ns)
{
	now_ns += ns;
}

void sim_set_wall(int64_t ahead_ns)
{
	wall_ahead_ns = ahead_ns;
}

/* ---- switching ---- what a function must preserve is pushed, the stack is changed, and it is popped */

void sim_switch(void **save_sp, void *sp);
__asm__(".text\n"
	".type sim_switch, @function\n"
	"sim_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size sim_switch, .-sim_switch\n");

static void to_scheduler(void)
{
	struct fiber *f = &fibers[current];

	f->saved_errno = errno;
	sim_switch(&f->sp, scheduler_sp);
	errno = f->saved_errno;
}

static void fiber_main(void)
{
	struct fiber *f = &fibers[current];

	f->fn(f->arg);
	f->state = OVER;
	to_scheduler();
	abort();
}

/* As if sim_switch had been called by what calls fiber_main. */
static void *first_frame(char *stack)
{
	void **sp = (void **)(void *)(stack + STACK_BYTES);

	*--sp = NULL; /* keeps the alignment of a call */
	*--sp = (void *)(uintptr_t)fiber_main;
	for (int i = 0; i < 6; i++)
		*--sp = NULL;
	return sp;
}

/* ---- fibers ---- */

void sim_fibers_reset(void)
{
	for (int i = 0; i < fiber_count; i++)
		fibers[i].state = FREE;
	fiber_count = 0;
	current = -1;
	status = SIM_RUNS;
	/* From a switch at every other point to rare ones. */
	budget_log = 1 + sim_below(8);
	slice_ns = (int64_t)SLICE_NS_MIN << sim_below(SLICE_LOG_MAX + 1);
	stall_one_in = 1U << (2 + sim_below(6));
}

int sim_spawn(void *(*fn)(void *arg), void *arg)
{
	struct fiber *f = fibers;
	char *stack;

	while (f < &fibers[fiber_count] && f->state != FREE)
		f++;
	sim_check(f < &fibers[SIM_FIBERS_MAX], "too many fibers");
	stack = f->stack;
	if (!stack)
		stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	sim_check(stack != MAP_FAILED, "no memory for a stack");
	*f = (struct fiber){.state = RUNS, .stack = stack, .fn = fn, .arg = arg};
	f->sp = first_frame(stack);
	if (f == &fibers[fiber_count])
		fiber_count++;
	return (int)(f - fibers);
}

void sim_release(int fiber)
{
	sim_check(fibers[fiber].state == OVER, "fiber %d is not over", fiber);
	fibers[fiber].state = FREE;
}

bool sim_is_over(int fiber)
{
	return fibers[fiber].state == OVER;
}

bool sim_is_busy(int fiber)
{
	return fibers[fiber].state == RUNS;
}

int sim_current(void)
{
	return current;
}

int sim_step_out(void)
{
	int fiber = current;

	current = -1;
	return fiber;
}

void sim_step_in(int fiber)
{
	current = fiber;
}

void sim_point(void)
{
	if (current < 0)
		return;
	sim_totals.points++;
	if (--budget == 0)
		to_scheduler();
}

void sim_yield(void)
{
	if (current >= 0)
		to_scheduler();
}

bool sim_sleep(sim_ready_fn *ready, void *arg, int64_t deadline_ns)
{
	struct fiber *f = &fibers[current];

	if (current < 0)
		return ready && ready(arg);
	f->ready = ready;
	f->ready_arg = arg;
	f->deadline_ns = deadline_ns;
	f->state = SLEEPS;
	to_scheduler();
	return ready && ready(arg);
}

void sim_end(int end_status)
{
	sim_check(current >= 0, "the daemon ends with %d while nobody runs it", end_status);
	status = end_status;
	for (;;)
		to_scheduler();
}

int sim_status(void)
{
	return status;
}

/* ---- slices ---- */

static void wake_if_due(struct fiber *f)
{
	if (f->state != SLEEPS)
		return;
	if ((f->ready && f->ready(f->ready_arg)) || (f->deadline_ns >= 0 && f->deadline_ns <= now_ns))
		f->state = RUNS;
}

/* One that runs; -1: none. Those that are preempted for long come last. */
static int choose(void)
{
	int able[SIM_FIBERS_MAX], stalled[SIM_FIBERS_MAX], able_count = 0, stalled_count = 0;

	for (int i = 0; i < fiber_count; i++) {
		wake_if_due(&fibers[i]);
		if (fibers[i].state != RUNS)
			continue;
		if (fibers[i].stalled_until > sim_totals.slices)
			stalled[stalled_count++] = i;
		else
			able[able_count++] = i;
	}
	if (able_count)
		return able[sim_below((uint32_t)able_count)];
	return stalled_count ? stalled[sim_below((uint32_t)stalled_count)] : -1;
}

static int64_t next_deadline(void)
{
	int64_t next = -1;

	for (int i = 0; i < fiber_count; i++) {
		const struct fiber *f = &fibers[i];

		if (f->state == SLEEPS && f->deadline_ns >= 0 && (next < 0 || f->deadline_ns < next))
			next = f->deadline_ns;
	}
	return next;
}

/* Many short slices, some long. */
static uint32_t draw_budget(void)
{
	return 1 + sim_below(1U << sim_below(budget_log + 1));
}

static void maybe_stall(struct fiber *f)
{
	if (f->state == RUNS && sim_one_in(stall_one_in))
		f->stalled_until = sim_totals.slices + (UINT64_C(1) << sim_below(STALL_LOG_MAX + 1));
}

static void run_slice(int i)
{
	sim_totals.slices++;
	budget = draw_budget();
	sim_totals.trace = (sim_totals.trace ^ (uint64_t)(i + 1)) * UINT64_C(0x100000001b3) + budget;
	now_ns += slice_ns;
	current = i;
	sim_switch(&scheduler_sp, fibers[i].sp);
	current = -1;
	if (failure[0])
		sim_fail("%s", failure);
	maybe_stall(&fibers[i]);
}

bool sim_run_slice(int64_t *deadline_ns)
{
	int i = choose();

	if (i < 0) {
		*deadline_ns = next_deadline();
		return false;
	}
	run_slice(i);
	return true;
}

void sim_run_fiber(int fiber)
{
	fibers[fiber].state = RUNS;
	run_slice(fiber);
}

/* ---- failing ---- */

void sim_fail(const char *fmt, ...)
{
	va_list args;

	if (!failure[0]) {
		va_start(args, fmt);
		(void)vsnprintf(failure, sizeof(failure), fmt, args);
		va_end(args);
	}
	/* A line that any harness shows; nothing of the daemon can be cleaned up here. */
	printf("# SHC_TEST_SEED=%llu: %s (step %llu, slice %llu)\n", (unsigned long long)seed_given, failure,
	       (unsigned long long)sim_totals.points, (unsigned long long)sim_totals.slices);
	fflush(stdout);
	printf("not ok 1 - SHC_TEST_SEED=%llu\n1..1\n", (unsigned long long)seed_given);
	fflush(stdout);
	_exit(1);
}
