/* SPDX-License-Identifier: MIT */
/*
 * fields.h - what a line of input adds: which part of it is the name, which the delta. Pure.
 */
#ifndef SHC_FIELDS_H
#define SHC_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"

struct fields_rule {
	int name_field;	 /* from 1; 0: the whole line */
	int delta_field; /* from 1; 0: every line is worth 1 */
	char separator;	 /* '\0': runs of blanks, those in front of the first field ignored, as in awk */
	size_t name_max; /* bytes: what a prefix leaves of NAME_LEN_MAX */
	bool is_csv;	 /* the line is a record of csv.h, with this separator */
};

enum {
	FIELDS_OK = 0,
	FIELDS_SKIP = 1, /* nothing there: an empty line, or none of the fields asked for */
	FIELDS_BAD = 2,	 /* *reason says why */
};

enum { FIELDS_ROOM = 2 * NAME_LEN_MAX };

/* `line` has no line end. *name lies inside it, or in `room` (FIELDS_ROOM bytes) when it stands there
 * otherwise than it is. Outputs are untouched but with FIELDS_OK. */
int fields_take(const struct fields_rule *rule, struct slice line, char *room, struct slice *name,
		int64_t *delta, const char **reason);

/* A line of `uniq -c`: blanks, a count, a blank, and the rest is the name as it stands. */
int fields_take_uniq(const struct fields_rule *rule, struct slice line, struct slice *name, int64_t *delta,
		     const char **reason);

/* Why these bytes cannot be a name; null when they can. */
const char *fields_name_fault(struct slice name, size_t name_max);

#endif
