/* SPDX-License-Identifier: MIT */
/*
 * guarded.h - files that say who may do what: a line a rule, words with blanks between, '#' begins a comment.
 * Such a file must be nobody's to change but ours and root's. Any thread.
 */
#ifndef SHC_GUARDED_H
#define SHC_GUARDED_H

#include <stddef.h>

#include "slice.h"

enum { GUARDED_SIZE_MAX = 1 << 20, GUARDED_WHY_SIZE = 320 };

/* Makes of the text, which it borrows, what the caller has `out` for. 0, or a negative error with a sentence.
 */
typedef int guarded_parse_fn(void *out, const char *text, size_t len, const char *path,
			     char why[GUARDED_WHY_SIZE]);

/* Reads all of it and has it parsed. -EINVAL: it is not there, not as it must be, or cannot be read; -ENOMEM;
 * with a sentence in `why`, which names the file. Else what `parse` has returned. */
int guarded_read(const char *path, guarded_parse_fn *parse, void *out, char why[GUARDED_WHY_SIZE]);

/* Called for each line that has words, of which those beyond `max` are not told, but counted. Whatever it
 * returns but 0 ends the reading. */
typedef int guarded_line_fn(void *arg, const struct slice *words, size_t count, size_t line);

/* Cuts the text into lines and words, at most `max` a line (at least 1). 0, or what `fn` has returned, or
 * -ENOMEM. Pure. */
int guarded_each_line(const char *text, size_t len, size_t max, guarded_line_fn *fn, void *arg);

/* "PATH:LINE: " and the rest into `why`. Returns -EINVAL. */
int guarded_refuse(const char *path, size_t line, char why[GUARDED_WHY_SIZE], const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
