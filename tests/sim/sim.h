/* SPDX-License-Identifier: MIT */
/*
 * sim.h - the simulated machine: one thread that plays all threads of the daemon, a clock, memory, and
 * chance.
 *
 * Goal: any interleaving of workers and committer can come, switches inside an operation included (between
 * look, change, stamp and record), and a seed brings it back exactly.
 *
 * Method: the shipped sources are compiled a second time with -fsanitize=thread and linked without its
 * runtime: hooks.c is the runtime. So every atomic operation of the shipped code calls sim_point(), where the
 * scheduler may let another fiber run. What the code wants of libc (threads, mutexes, sleep, clock, memory,
 * random numbers, _exit) comes from outside.c and heap.c, as replaced.syms says. Memory is sequentially
 * consistent here: weaker orders are for ThreadSanitizer and the compiler's own run of it.
 *
 * A fiber is a thread of the daemon. Clients, network and disk are played by the test's own stack between the
 * slices of fibers; code there may call shipped functions, which then run without a switch.
 */
#ifndef SHC_SIM_H
#define SHC_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- chance ---- one stream for everything */

void sim_seed(uint64_t seed);
uint64_t sim_random(void);
uint32_t sim_below(uint32_t n); /* 0 to n-1 */
static inline bool sim_one_in(uint32_t n)
{
	return sim_below(n) == 0;
}

/* ---- fibers ---- */

enum { SIM_FIBERS_MAX = 16 };

typedef bool sim_ready_fn(void *arg);

/* Forgets all fibers, as a crash does, and draws how this incarnation is scheduled. */
void sim_fibers_reset(void);
/* Returns its number. */
int sim_spawn(void *(*fn)(void *arg), void *arg);
bool sim_is_over(int fiber);
/* One that is over: its number may be given to another one. */
void sim_release(int fiber);
int sim_current(void); /* -1: the test's own stack */
/* Was it in the middle of something when it was last switched out? False: it sleeps, or has ended. */
bool sim_is_busy(int fiber);

/* What the daemon calls (network, disk) may act as the test: no switch points, memory of its own. */
int sim_step_out(void);
void sim_step_in(int fiber);

/* A switch point. */
void sim_point(void);
/* Gives the rest of the slice away. */
void sim_yield(void);
/* Sleeps until ready(arg), or the clock says deadline_ns (-1: never). True: ready. On the test's own stack:
 * returns at once. */
bool sim_sleep(sim_ready_fn *ready, void *arg, int64_t deadline_ns);
/* The incarnation has ended: never returns. */
_Noreturn void sim_end(int status);

/* Lets one fiber run for a slice. False: all sleep, none before *deadline_ns (-1: never). */
bool sim_run_slice(int64_t *deadline_ns);
/* Lets this one run for a slice, asleep or not. */
void sim_run_fiber(int fiber);

enum { SIM_RUNS = -1 };
int sim_status(void); /* SIM_RUNS, or what sim_end was called with */

/* ---- clock ---- */
int64_t sim_now_ns(void); /* monotonic */
int64_t sim_wall_ns(void);
void sim_advance(int64_t ns);
void sim_set_wall(int64_t ahead_ns); /* of what it would be by the monotonic one */

/* ---- memory of the daemon ---- */
void sim_heap_reset(void);    /* all of it is gone */
void sim_statics_reset(void); /* and its variables are as at start */

/* At a fixed place, so that locks that are taken in the order of addresses are so in every run of a seed. */
#define SIM_HEAP_BASE  UINT64_C(0x100000000000)
#define SIM_HEAP_BYTES UINT64_C(0x40000000)
extern uint8_t *sim_heap_shadow; /* a byte for 8: is it allocated? */
_Noreturn void sim_heap_bad(uint64_t at);

/* hooks.c: an access of the shipped code. To memory that was freed it is the end of the test. */
static inline void sim_heap_check(const volatile void *p, size_t size)
{
	uint64_t at = (uint64_t)(uintptr_t)p - SIM_HEAP_BASE;

	if (at < SIM_HEAP_BYTES && size && !(sim_heap_shadow[at / 8] && sim_heap_shadow[(at + size - 1) / 8]))
		sim_heap_bad(at);
}

/* ---- the end of the test ---- */

/* Says SHC_TEST_SEED=N and why; from anywhere. */
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define sim_check(condition, ...)                                                                            \
	do {                                                                                                 \
		if (__builtin_expect(!(condition), 0))                                                       \
			sim_fail(__VA_ARGS__);                                                               \
	} while (0)

struct sim_totals {
	uint64_t points, slices, trace; /* trace: a hash of all that was chosen, to compare two runs */
};
extern struct sim_totals sim_totals;

#endif
