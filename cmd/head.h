/* SPDX-License-Identifier: MIT */
/*
 * head.h - what an input begins with, when that is not its first line: a mark that spreadsheets put in front
 * of UTF-8, or compressed bytes under a name that does not say so.
 */
#ifndef SHC_HEAD_H
#define SHC_HEAD_H

#include <stdbool.h>
#include <stddef.h>

enum head {
	HEAD_OPEN, /* more bytes are needed to tell */
	HEAD_TEXT,
	HEAD_MARK, /* of HEAD_MARK_BYTES bytes, then text */
	HEAD_GZIP,
	HEAD_ZSTD,
};

enum { HEAD_MARK_BYTES = 3 };

/* Of the first bytes; `is_end`: there are no more. Asks for more only where these may be one of the above.
 * Pure.
 */
enum head head_look(const char *data, size_t len, bool is_end);

/* Says that `file` is gzip or zstd, and how `command` reads it. Returns EX_DATAERR. */
int head_refuse(enum head head, const char *file, const char *command);

#endif
