/* SPDX-License-Identifier: MIT */
/*
 * fraction.h - exact sums of what is no whole number: a sampled count is value / rate. Counters are whole, so
 * fractions of one name are added up as they are, and only what is left of them when sums are sent is
 * rounded, up with a probability of just that fraction: the expectation of every total is exact.
 *
 * A table for each denominator, of sums of numerators; an addition beyond FRACTION_TABLES_MAX of them (or
 * with a denominator beyond 63 bits, or without memory) is rounded by itself. One thread.
 */
#ifndef SHC_FRACTION_H
#define SHC_FRACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"
#include "table.h"

/* ---- numbers ---- */

/* mantissa * 10^exponent; the mantissa does not end in 0. */
struct decimal {
	__int128 mantissa; /* of 64 bits and a sign */
	int exponent;
};

/* "3", "-0.25", "1e-05". False: none, or with more digits than 64 bits hold. */
bool decimal_parse(struct slice text, struct decimal *out);

/* 0 < d <= 1 */
bool decimal_is_rate(const struct decimal *d);

/* whole + rest / parts, with 0 <= rest < parts, in lowest terms. */
struct fraction {
	int64_t whole;
	unsigned __int128 rest, parts;
};

/* value / rate. False when it leaves 64 bits, or its denominator 127. */
bool fraction_divide(const struct decimal *value, const struct decimal *rate, struct fraction *out);

/* ---- sums ---- */

enum { FRACTION_TABLES_MAX = 32 };

/* Zero-initialized. */
struct fraction_sums {
	size_t count;
	struct {
		int64_t parts;
		struct table rests; /* each below `parts` */
	} of[FRACTION_TABLES_MAX];
};

void fraction_fini(struct fraction_sums *s);

/* Adds rest / parts to the name's; f->whole is for the caller. Returns what has become whole by it: 0 or 1.
 */
int64_t fraction_add(struct fraction_sums *s, struct slice name, const struct fraction *f);

/* Rounds: gives each name that is owed one more, in any order and once for each denominator. *at is zero in
 * the beginning. Draws lots, so go through once, then fraction_clear. */
struct fraction_walk {
	size_t table, pos;
};
bool fraction_round(const struct fraction_sums *s, struct fraction_walk *at, struct slice *name);

/* Forgets all names, keeps denominators and memory. */
void fraction_clear(struct fraction_sums *s);

/* Bytes in use. */
size_t fraction_bytes(const struct fraction_sums *s);

#endif
