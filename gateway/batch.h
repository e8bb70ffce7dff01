/* SPDX-License-Identifier: MIT */
/*
 * batch.h - POST /counters on one backend: JOB_BATCH. A daemon does all or none, in one transaction or, with
 * a token, in one SHC.ONCE; a Redis server and a cluster one after the other. The thread that has the handle.
 */
#ifndef SHC_GATEWAY_BATCH_H
#define SHC_GATEWAY_BATCH_H

#include "job.h"

/* The additions, with the values there. As calls_run; job->is_partly: some are in, adds[i].status. */
enum shc_status batch_add(struct shc *shc, struct job *job, char why[JOB_ERROR_SIZE]);

/* What another backend has of these counters is added to their values; a sum beyond 64 bits is not told. */
enum shc_status batch_sum(struct shc *shc, struct job *job);

#endif
