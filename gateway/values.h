/* SPDX-License-Identifier: MIT */
/*
 * values.h - counters for /metrics: those whose names begin with a prefix, the first so many of them in the
 * order of their bytes. The thread that has the handle.
 */
#ifndef SHC_GATEWAY_VALUES_H
#define SHC_GATEWAY_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "../lib/shcount.h"
#include "job.h"

/* Names are looked through for so long: a thread's clients wait meanwhile. Some hundred thousand of a
 * daemon's. */
enum { VALUES_WALK_MS = 100 };

/* What this backend has of them is added to job->values, which is in order and has no name twice. */
enum shc_status values_read(struct shc *shc, struct job *job);

#endif
