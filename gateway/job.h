/* SPDX-License-Identifier: MIT */
/*
 * job.h - what one HTTP request wants of a backend, and what came of it. Plain data: filled in by a route,
 * run by backend.c, read by the route's reply.
 */
#ifndef SHC_GATEWAY_JOB_H
#define SHC_GATEWAY_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/shcount.h"

enum {
	JOB_NAME_MAX = 255,
	JOB_TOKEN_MAX = 255,
	JOB_ADDS_MAX = 1000, /* operations of a batch */
	JOB_LOG_MAX = 1000,  /* entries of a log */
	JOB_BACKENDS_MAX = 16,
	JOB_ERROR_SIZE = 256,
};

enum job_kind {
	JOB_NONE,   /* nothing: the reply is known already */
	JOB_ADD,    /* name, delta, perhaps a token: value */
	JOB_GET,    /* name: value, is_there */
	JOB_PARTS,  /* name: value, parts */
	JOB_CREATE, /* name: value, is_new, parts */
	JOB_HIT,    /* name, delta: value */
	JOB_HITS,   /* name, window_ms: value, resolution_ms */
	JOB_LOG,    /* name, limit: log */
	JOB_BATCH,  /* adds, perhaps a token: their values */
	JOB_INFO,   /* of each backend what INFO says: is_up, texts; with a prefix counters, too: values. One
		     * that is away is told of by its absence */
	JOB_READY,  /* whether all backends answer */
};

/* One addition of a batch. */
struct job_add {
	char *name; /* owned */
	size_t name_len;
	int64_t delta, value;
	enum shc_status status;
	bool is_untold; /* it is in, and the sum over several backends could not be had */
};

/* An entry of a log. */
struct job_entry {
	int64_t time_us, delta, value;
	char operation[16];
	char peer[208];
};

/* A counter for /metrics. */
struct job_value {
	char *name; /* owned; no NUL behind it is meant */
	uint8_t len;
	bool is_there, is_beyond; /* is_beyond: the sum does not fit 64 bits */
	int64_t value;
};

struct job {
	enum job_kind kind;
	/* what is wanted */
	uint8_t name_len, token_len; /* token_len 0: none */
	char name[JOB_NAME_MAX + 1], token[JOB_TOKEN_MAX + 1];
	int64_t delta, window_ms;
	size_t limit;
	bool may_have_none;   /* JOB_LOG: that there is no log is an answer */
	bool wants_part;      /* JOB_ADD: not the sum over several backends */
	struct job_add *adds; /* owned */
	size_t add_count;
	const char *prefix; /* JOB_INFO: of counters that are wanted, value_max at most; null: none */
	size_t value_max;
	/* what came of it */
	enum shc_status status;	       /* SHC_MISSING is SHC_OK with is_there false */
	bool is_there, is_new, is_sum; /* is_sum: value is over several backends, each read on its own */
	/* JOB_ADD, JOB_HIT. is_added: it is in, and whatever fails from then on is not that; is_untold: and
	 * its value could not be had, `error` says why. */
	bool is_added, is_untold;
	int64_t value, resolution_ms;
	int64_t part;	/* JOB_ADD: the value on the backend that took it */
	int64_t *parts; /* owned: of each backend; of one: its base and cells, or sub-counters */
	size_t part_count;
	bool is_redis;		       /* JOB_PARTS: they are sub-counters */
	struct job_entry *log;	       /* owned */
	char *texts[JOB_BACKENDS_MAX]; /* owned: JOB_INFO; null: that one does not answer */
	bool is_up[JOB_BACKENDS_MAX];  /* JOB_INFO: it has answered */
	struct job_value *values;      /* owned: JOB_INFO; by name */
	size_t value_count;
	size_t values_cut; /* more than value_max */
	bool is_unseen;	   /* not all names could be looked through */
	bool is_partial;   /* a backend has not told its values */
	size_t log_count;
	char error[JOB_ERROR_SIZE];
	/* while it is run */
	struct job *next;
	size_t lane; /* JOB_ADD: the backend that takes it */
	size_t at;   /* the backend that is asked */
	bool is_sent;
	bool is_each;	/* JOB_BATCH: one by one: the backend has no way to do all or none */
	bool is_partly; /* JOB_BATCH: failed, and some are in: adds[i].status */
};

/* Frees what it owns. */
void job_fini(struct job *job);

#endif
