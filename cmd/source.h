/* SPDX-License-Identifier: MIT */
/*
 * source.h - the bytes of one input, as they are or, where the file's name ends in .gz or .zst, decompressed:
 * all members or frames of it, one behind the other. One thread.
 */
#ifndef SHC_SOURCE_H
#define SHC_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum source_kind { SOURCE_PLAIN, SOURCE_GZIP, SOURCE_ZSTD };

/* Of -EBADMSG. */
enum source_failure {
	SOURCE_SHORT = 1, /* it has no end; what comes may have one */
	SOURCE_WRONG,	  /* nothing behind that place can be read, ever */
};

struct z_stream_s;
struct ZSTD_DCtx_s;

struct source {
	int fd; /* the caller's */
	enum source_kind kind;
	uint64_t bytes;		     /* read of the file itself */
	enum source_failure failure; /* after -EBADMSG */
	char fault[160];	     /* the same: a sentence without subject */
	/* of a compressed one: */
	struct z_stream_s *gzip;
	struct ZSTD_DCtx_s *zstd;
	unsigned char *packed; /* owned; what was read and is not decompressed yet is at [at..len) */
	size_t at, len;
	bool is_inside; /* of a member or frame; in front of the first one, too */
	bool has_more;	/* decompressed bytes may be waiting */
};

/* By the end of the name. */
enum source_kind source_kind_of(const char *file);

/* 0 or -ENOMEM. Reads nothing yet. */
int source_open(struct source *s, const char *file, int fd);
void source_close(struct source *s);

/* Bytes, 0 at the end, -errno of read(2); -EBADMSG with `failure` and `fault`: not compressed, damaged or cut
 * off, behind all that could be decompressed. */
ssize_t source_read(struct source *s, char *to, size_t size);

/* Whether source_read need not read the file for an answer. */
static inline bool source_has_more(const struct source *s)
{
	return s->has_more || s->at < s->len;
}

#endif
