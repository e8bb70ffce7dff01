/* SPDX-License-Identifier: MIT */
/*
 * cursor.h - how far an ingest --stream is, as the text that is stored with its sums; and the mark by which
 * its input is known again. Pure.
 */
#ifndef SHC_CURSOR_H
#define SHC_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "../lib/slice.h"

enum {
	CURSOR_FILES_MAX = 64, /* what fits into a session's cursor */
	MARK_BYTES = 4096,
};

/* The first and the last bytes of what has been read of a file. */
struct mark {
	size_t head_len, tail_len;
	char head[MARK_BYTES], tail[MARK_BYTES];
};

/* `data` is what comes next in the file. */
void mark_feed(struct mark *m, const char *data, size_t len);

uint64_t mark_hash(const struct mark *m);

struct cursor_file {
	uint64_t offset, lines; /* read, and counted or skipped */
	uint64_t mark;		/* mark_hash of the bytes before offset */
	uint32_t id;		/* chain_id of the file they were read from; 0: not known */
};

struct cursor {
	/* the options that lines are read by */
	unsigned format; /* enum ingest_format */
	char separator;
	int name_field, delta_field;
	bool is_skip;
	struct slice prefix; /* borrowed */
	/* of all runs */
	uint64_t lines, lines_bad, lines_skipped;
	bool is_finished; /* every file was read to its end */
	size_t files_count;
	struct cursor_file files[CURSOR_FILES_MAX];
};

/* Appends the text. */
void cursor_put(struct buf *b, const struct cursor *c);

/* False when it is none of ours. The prefix points into `text`. */
bool cursor_parse(struct slice text, struct cursor *out);

/* The first option in which they differ, as the user knows it; null when there is none. */
const char *cursor_difference(const struct cursor *a, const struct cursor *b);

#endif
