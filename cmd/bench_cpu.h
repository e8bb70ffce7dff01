/* SPDX-License-Identifier: MIT */
/*
 * bench_cpu.h - which process the server of a connection is, if it is on this machine, and the CPU time that
 * it has used.
 */
#ifndef SHC_BENCH_CPU_H
#define SHC_BENCH_CPU_H

#include <stdint.h>
#include <sys/types.h>

#include "bench.h"

/* 0 when it cannot be known. Asks the server where the kernel cannot tell; a server that does not answer that
 * is none of which it is known. Not on a cluster. */
pid_t bench_cpu_pid(const struct bench_plan *plan, struct bench_link *link);

/* What all its threads have used so far, and this process itself; -1 when that cannot be known. A thread that
 * has ended takes its part along. */
int64_t bench_cpu_ns(pid_t pid);
int64_t bench_cpu_own_ns(void);

#endif
