/* SPDX-License-Identifier: MIT */
/*
 * state.h - what an event tells: how the backends are and which counters are busiest, as one JSON object on
 * one line. Pure; any thread.
 *
 * {"time": Unix time in milliseconds,
 *  "backends": [{"name", "kind": "daemon"|"server"|"cluster", "answers", "error" (where it does not),
 *                "answer_ms", "info": {...} (of a daemon or server that answers)}],
 *  "top": null (not known: nothing counts that, or not yet) or
 *         [{"name" or "name_base64", "value": "N", "rate": a second, "change": "N"}]}
 *
 * Numbers that may be beyond 2^53, which is all that a browser can count to, are strings.
 */
#ifndef SHC_GATEWAY_STATE_H
#define SHC_GATEWAY_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "job.h"

/* A counter that changes fast. */
struct state_top {
	char name[JOB_NAME_MAX + 1];
	uint8_t name_len;
	int64_t value, change;
	double rate; /* a second */
};

enum state_kind { STATE_DAEMON, STATE_SERVER, STATE_CLUSTER };

struct state_backend {
	const char *name; /* for people */
	enum state_kind kind;
	bool answers;
	const char *error;	 /* when it does not */
	const char *info;	 /* null: it has none */
	const char *before;	 /* what INFO said the time before; null: there was none */
	int64_t since_before_ns; /* the time between the two */
	int64_t answer_ns;	 /* how long INFO took */
};

struct state {
	int64_t time_ms; /* Unix time */
	const struct state_backend *backends;
	size_t backend_count;
	bool has_top;
	const struct state_top *top;
	size_t top_count;
};

/* "event: state\ndata: {...}\n\n", owned by the caller, with a NUL behind it; null: no memory. */
char *state_event(const struct state *s);

#endif
