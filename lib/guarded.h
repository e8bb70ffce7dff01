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

/* Reads all of it. 0 with *text on the heap, for the caller to free; -EINVAL: it is not there, not as it must
 * be, or cannot be read; -ENOMEM. With a sentence in `why`, which names the file. */
int guarded_read(const char *path, char **text, size_t *len, char why[GUARDED_WHY_SIZE]);

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
