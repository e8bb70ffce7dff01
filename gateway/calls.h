/* SPDX-License-Identifier: MIT */
/* calls.h - a job as calls of libshcount on one backend. The thread that has the handle. */
#ifndef SHC_GATEWAY_CALLS_H
#define SHC_GATEWAY_CALLS_H

#include "job.h"

/* Adds to job->value; beyond 64 bits the job has failed, or, when its addition is in, has no value to tell.
 */
void calls_add(struct job *job, int64_t part);
/* Its addition is in, and this is the value there. */
void calls_added(struct job *job, int64_t value);

/* What this backend has to say to it is added to what the job has. `is_only`: there is no other backend.
 * The statuses of libshcount, but for SHC_MISSING; with a sentence in `why`, or "". */
enum shc_status calls_run(struct shc *shc, struct job *job, bool is_only, char why[JOB_ERROR_SIZE]);

#endif
