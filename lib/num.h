/* SPDX-License-Identifier: MIT */
/*
 * num.h - numbers as Redis and people write them. Pure; any thread.
 */
#ifndef SHC_NUM_H
#define SHC_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slice.h"

enum { NUM_I64_CHARS_MAX = 20 }; /* "-9223372036854775808" */

/* A signed 64-bit integer exactly as Redis's string2ll takes it: no blanks, no '+', no leading zeros, "-0"
 * refused. Returns false and leaves *out alone when it is none. */
bool num_parse_i64(struct slice s, int64_t *out);

/* The same as people type it: also "+5" and leading zeros. For the command line and input files. */
bool num_parse_i64_loose(struct slice s, int64_t *out);

/* Writes v in decimal, without NUL; `out` has NUM_I64_CHARS_MAX bytes. Returns the number of characters. */
size_t num_format_i64(char *out, int64_t v);

/* "500ms", "60s", "5m", "24h", "7d" (a plain integer > 0 needs a unit; "0" is allowed) -> milliseconds. */
bool num_parse_duration_ms(struct slice s, int64_t *out);

/* a + b, a - b; false and *out alone when the result leaves 64 bits. */
static inline bool num_add_i64(int64_t a, int64_t b, int64_t *out)
{
	int64_t sum;
	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*out = sum;
	return true;
}

/* What a noun ends with behind that number. */
static inline const char *num_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* a - b, for a rate: exact (as far as a double is) also between numbers that no double holds. */
static inline double num_difference(int64_t a, int64_t b)
{
	int64_t difference;
	if (__builtin_sub_overflow(a, b, &difference))
		return (double)a - (double)b;
	return (double)difference;
}

#endif
