/* SPDX-License-Identifier: MIT */
/*
 * guard.h - who may ask what: the page of another origin may not, a client without a token may not where
 * tokens are wanted, and nobody more often than the rate limit says.
 *
 * Any thread.
 */
#ifndef SHC_GATEWAY_GUARD_H
#define SHC_GATEWAY_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "options.h"
#include "tokens.h"

struct guard;

/* Reads the tokens. 0 or negative with a sentence in `why`. `options` is borrowed. */
int guard_open(struct guard **out, const struct options *options, char why[OPTIONS_ERROR_SIZE]);
void guard_close(struct guard *g);

/* Reads the tokens again (SIGHUP); what was stays when that fails. */
int guard_reload(struct guard *g, char why[OPTIONS_ERROR_SIZE]);

/* What is looked at of a request; strings are null when there is no such header. */
struct guard_request {
	const struct sockaddr *peer;
	const char *host, *origin, *fetch_site, *fetch_mode, *fetch_dest, *authorization;
	bool is_twice;	/* one of them is there more than once: it is not known which one counts */
	bool is_get;	/* or HEAD */
	enum role role; /* that it needs */
};

struct verdict {
	unsigned status;	/* HTTP; 0: go on */
	const char *details;	/* static: what is wrong, and what to do */
	unsigned retry_after_s; /* 429 */
	enum role has;		/* 0: whoever asks has that, at least what it needs */
};

/* In this order: whether it is another one's page that asks (400, 403), whose token that is (401), how often
 * it has asked (429), whether it may (403). What needs no role is not counted: it costs no more than a
 * refusal, and whoever looks after us is not to be told that we are busy. `now_ms` is monotonic. */
struct verdict guard_judge(struct guard *g, const struct guard_request *r, int64_t now_ms);

/* 403 when it needs more. Pure. */
struct verdict guard_judge_role(enum role has, enum role needs);

#endif
