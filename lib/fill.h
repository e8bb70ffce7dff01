/* SPDX-License-Identifier: MIT */
/*
 * fill.h - text for people, filled to a width. Pure; any thread.
 */
#ifndef SHC_FILL_H
#define SHC_FILL_H

#include <stddef.h>

#include "buf.h"

/* Appends `text`, and an end of line where its last one has none. Lines that follow each other are one
 * paragraph, whose words are put into lines of at most `width` columns (a word that is wider has one for
 * itself); an empty line ends it. A line that begins with a blank, such as an example, stays as it is.
 * Every line but the first is begun with `indent` blanks; in the first, `at` columns are taken already. */
void fill_append(struct buf *out, const char *text, size_t at, size_t indent, size_t width);

#endif
