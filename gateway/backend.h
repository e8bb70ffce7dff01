/* SPDX-License-Identifier: MIT */
/*
 * backend.h - where a thread of the gateway counts: one handle of libshcount to each backend, requests of
 * many clients in one pipeline, and a breaker for each, so that a backend that is away costs a client its
 * time once and not each of them.
 *
 * Additions go to one backend, reads to all of them. An object belongs to one thread; what backend_states
 * tells may be read by any.
 */
#ifndef SHC_GATEWAY_BACKEND_H
#define SHC_GATEWAY_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "job.h"

struct backend;
struct shc;

enum { BACKEND_NAME_SIZE = 96 };

/* A handle to one, with the passwords of the environment, and what people are told of its URL: where, but no
 * user and no password. *out is owned by the caller also when that fails: -EINVAL with a sentence. Any
 * thread. */
int backend_reach(struct shc **out, const char *url, int timeout_ms, char name[BACKEND_NAME_SIZE],
		  bool *is_cluster, char why[JOB_ERROR_SIZE]);

/* `urls` is borrowed. `turn`: which of them this thread adds to. 0; -ENOMEM; -EINVAL with a sentence. */
int backend_open(struct backend **out, const char *const *urls, size_t count, int timeout_ms, unsigned turn,
		 char why[JOB_ERROR_SIZE]);
void backend_close(struct backend *b);

/* Runs them, linked by `next`, and each has its end in job->status: SHC_OK; SHC_REFUSED, SHC_DENIED: said no;
 * SHC_UNREACHABLE: not done, nothing has changed; SHC_IN_DOUBT: it may have been done; SHC_MEMORY. Waits as
 * long as `timeout_ms` for each backend that does not answer, once. */
void backend_run(struct backend *b, struct job *jobs);

/* ---- breakers ---- any thread */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN };
struct backend_state {
	enum breaker_state breaker;
	uint64_t opened;   /* times */
	const char *shown; /* its URL without user and password; the backend's */
};
/* How many there are. */
size_t backend_states(const struct backend *b, struct backend_state out[JOB_BACKENDS_MAX]);

#endif
