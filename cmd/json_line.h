/* SPDX-License-Identifier: MIT */
/*
 * json_line.h - one line of JSON Lines: an object with a name, as "name" or "name_base64", and whole numbers.
 * What `shcount --json` writes, it reads. No printing; the work is jansson's.
 */
#ifndef SHC_JSON_LINE_H
#define SHC_JSON_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/slice.h"

struct json_t;

struct json_line {
	struct json_t *root; /* owned */
	char reason[256];    /* after JSON_LINE_BAD */
	char decoded[NAME_LEN_MAX];
};

enum {
	JSON_LINE_OK = 0,
	JSON_LINE_NONE = 1, /* nothing there: an empty line, or no such key */
	JSON_LINE_BAD = 2,  /* `reason` says why */
};

/* `text` has no line end. Keys that are not asked for are ignored, but none may stand twice. Only after
 * JSON_LINE_OK is there something to close. */
int json_line_open(struct json_line *l, struct slice text);
void json_line_close(struct json_line *l);

/* The bytes of the name, which may be none of a counter's; they lie in `l` until it is closed. JSON_LINE_BAD
 * when there is none, or two, or the base64 is not that of RFC 4648, or that of more than NAME_LEN_MAX bytes.
 */
int json_line_name(struct json_line *l, struct slice *name);

/* A whole number of 64 bits, written as one: 1.0 and 1e3 are none. *value is untouched but with JSON_LINE_OK.
 */
int json_line_i64(struct json_line *l, const char *key, int64_t *value);

#endif
