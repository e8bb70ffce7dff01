/* SPDX-License-Identifier: MIT */
/*
 * picture.h - a table of counters, drawn again and again in the same place of a terminal.
 *
 * Pure: values and a size in, bytes out. No alternate screen: the picture stands in the scrollback, the
 * cursor below it, and is drawn over by moving up. What was drawn last is remembered, because a terminal that
 * has become narrower has broken its lines.
 */
#ifndef SHC_PICTURE_H
#define SHC_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "../lib/slice.h"
#include "terminal.h"

struct picture_row {
	struct slice name; /* as it may be shown: output_visible */
	int64_t value;
	double rate; /* per second */
	bool has_rate;
	int64_t change; /* with has_changes of the picture */
};

struct picture {
	size_t *widths; /* owned; columns of the lines that stand above the cursor */
	size_t lines, lines_cap;
	bool has_changes; /* the owner's: a column for them, where there is room enough */
};

#define PICTURE_INIT                                                                                         \
	{                                                                                                    \
		0                                                                                            \
	}

void picture_fini(struct picture *p);

/* The cursor is somewhere else now: the next picture begins below. */
void picture_forget(struct picture *p);

/* Appends what makes the terminal show these rows, as many as fit, and `message` (null: none) under them. No
 * line gets wider than the terminal less one column, and all are at most as many as its rows less one. A
 * failure of `out` is sticky; without memory for itself the next picture begins below. */
void picture_draw(struct picture *p, struct buf *out, const struct terminal *t,
		  const struct picture_row *rows, size_t count, const struct slice *message);

/* How many rows fit without one that counts the others. */
size_t picture_rows_max(const struct terminal *t, bool has_message);

/* "+1.23k/s", at most PICTURE_RATE_COLUMNS. Returns the length. */
enum { PICTURE_RATE_COLUMNS = 8, PICTURE_RATE_SIZE = 16 };
size_t picture_format_rate(char out[PICTURE_RATE_SIZE], double rate);

#endif
