/* SPDX-License-Identifier: MIT */
/*
 * batch.h - requests of one connection that were parsed and not executed yet.
 *
 * Each name is three cache misses: its place in the table, its record, its entry in the epoch buffer. Looked
 * up one request after the other they add up; looked up for a batch of them, each step for all before the
 * next, they overlap (P=128, 100 k counters: 1.6 times the requests a second).
 *
 * One batch per worker, used for one connection at a time. Owner: the worker.
 */
#ifndef SHC_BATCH_H
#define SHC_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/resp.h"
#include "request.h"
#include "txn.h"

enum { BATCH_MAX = 32, BATCH_ARGS = RESP_SHORT_ARGS };

struct batch_item {
	const struct command *command; /* null: unknown, or an empty request */
	const struct slice *argv;
	size_t argc;
	size_t size_bytes;
	const struct segment *segment; /* where the name would be */
	uint64_t hash;		       /* of its first counter's name; when has_name */
	struct counter *guess; /* what the name most likely leads to, until the worker seals; may be null */
	bool has_name;
	bool is_repeated; /* its name is that of the item before */
	struct slice args[BATCH_ARGS];
};

struct batch {
	size_t count;
	struct batch_item items[BATCH_MAX];
};

/* Parses what is at data[0..len), as far as there is room. A request of many words, or an inline one, ends
 * it: its words stay in the parser. *outcome is that of resp_parse() for what comes behind. */
void batch_parse(struct batch *b, struct resp_parser *parser, const char *data, size_t len, int *outcome);

/* Hashes the names and guesses the counters, ahead of the requests. */
void batch_look_ahead(struct batch *b, const struct txn *t);

/* Takes the guesses back: each request goes the long way. */
void batch_forget(struct batch *b);

#endif
