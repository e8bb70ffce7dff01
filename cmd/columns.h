/* SPDX-License-Identifier: MIT */
/*
 * columns.h - how much room text takes on a terminal, and text cut to fit.
 *
 * Takes what output_visible has made: UTF-8 without controls. What that wrote for a byte is not cut. Wide
 * characters take two columns, combining ones none; where terminals do not agree, or nobody knows, the larger
 * number counts, so that no line gets wider than it may be. One thread.
 */
#ifndef SHC_COLUMNS_H
#define SHC_COLUMNS_H

#include <stddef.h>

#include "../lib/buf.h"
#include "../lib/slice.h"

size_t columns_of(struct slice text);

/* Both append what fits into `columns`, with `mark`, which takes one, in place of what does not: in the
 * middle, for names often differ at their ends, or at the end, for sentences. Return the columns taken. */
size_t columns_cut_middle(struct buf *out, struct slice text, size_t columns, const char *mark);
size_t columns_cut_end(struct buf *out, struct slice text, size_t columns, const char *mark);

/* Appends blanks. */
void columns_pad(struct buf *out, size_t columns);

#endif
