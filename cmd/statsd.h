/* SPDX-License-Identifier: MIT */
/*
 * statsd.h - lines as StatsD clients send them: name:3|c, name:1|c|@0.1, several values of a name in one line
 * (name:1|c:2|c|@0.5, or as DogStatsD packs them name:1:2|c). Tags and what else DogStatsD adds behind them
 * are read over. Pure.
 */
#ifndef SHC_STATSD_H
#define SHC_STATSD_H

#include "../lib/slice.h"
#include "fraction.h"

struct statsd_line {
	struct slice name;
	/* what statsd_next has not given yet */
	struct slice numbers; /* of one type and rate; null data: none */
	struct decimal rate;  /* theirs */
	struct slice rest;    /* null data: nothing */
};

enum {
	STATSD_OK = 0,
	STATSD_NONE = 1, /* nothing to count: an empty line, other types than c, an event, a service check */
	STATSD_BAD = 2,	 /* *reason says why */
};

/* Looks at the whole line, so that statsd_next does not meet a fault half-way. The line has no line end and
 * is borrowed. */
int statsd_open(struct statsd_line *l, struct slice line, const char **reason);

/* The next value, divided by its rate: STATSD_OK, or STATSD_NONE at the end. */
int statsd_next(struct statsd_line *l, struct fraction *value, const char **reason);

#endif
