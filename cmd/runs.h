/* SPDX-License-Identifier: MIT */
/*
 * runs.h - sorted runs of records on disk, one behind the other in one file that nobody else sees: it has no
 * name, and goes with the process. It is made with the first run, in $TMPDIR or /tmp. One thread.
 *
 * A record: 8 bytes of value in the machine's order, 1 byte length of the name, the name.
 */
#ifndef SHC_RUNS_H
#define SHC_RUNS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "../lib/slice.h"

enum { RECORD_HEAD = 9, RECORD_SIZE_MAX = RECORD_HEAD + NAME_LEN_MAX };

static inline int64_t record_value(const char *record)
{
	int64_t value;
	memcpy(&value, record, sizeof(value));
	return value;
}

static inline struct slice record_name(const char *record)
{
	return (struct slice){record + RECORD_HEAD, (unsigned char)record[RECORD_HEAD - 1]};
}

static inline size_t record_size(const char *record)
{
	return RECORD_HEAD + record_name(record).len;
}

/* Writes it to `to`, which has room for it. */
void record_put(char *to, struct slice name, int64_t value);

struct run {
	off_t begin, end;
};

struct runs {
	int fd; /* -1 before the first run */
	struct run *run;
	size_t count, cap;
	off_t end;
	char *block; /* what is not written yet */
	size_t block_len;
};

void runs_init(struct runs *r);
void runs_fini(struct runs *r);

/* Where the file is, for what is said about it. */
const char *runs_directory(void);

/* Begins a run, adds a record to it, ends it. 0, -ENOMEM, or -errno of the file; after that only runs_fini
 * may be called. */
int runs_begin(struct runs *r);
int runs_put(struct runs *r, const char *record);
int runs_end(struct runs *r);

/* ---- reading one back ---- */

struct run_reader {
	int fd;
	off_t at, end; /* what has not been read of the run */
	char *data;    /* the caller's; `size` bytes, at least RECORD_SIZE_MAX */
	size_t size;
	size_t pos, len;
};

/* On run `index`, with a buffer that the caller keeps until it is done. */
void run_reader_init(struct run_reader *reader, const struct runs *r, size_t index, char *data, size_t size);

/* The next record, until the next call; null at the end. 0 or -errno. */
int run_next(struct run_reader *reader, const char **record);

#endif
