/* SPDX-License-Identifier: MIT */
/*
 * store_log_check.c - is the end of the -wal file the end of what was written?
 *
 * SQLite reads the log up to the first frame whose checksum is wrong, and takes the rest for a transaction
 * that a loss of power has torn. But every transaction is on disk before the next one begins. So when a
 * commit and a frame behind it stand whole behind the first bad frame, that one was on disk too, and was
 * damaged since: what it and all behind it held was acknowledged and would be lost without a word.
 *
 * The format: https://www.sqlite.org/fileformat2.html#walformat. Reads the file only; before SQLite has
 * opened it, or beside a daemon that goes on writing.
 */
#include "store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	HEADER_BYTES = 32,
	HEADER_SUMMED = 24, /* of these, before the checksum */
	FRAME_HEADER_BYTES = 24,
	FRAME_SUMMED = 8,   /* of these; then the page */
	MAGIC = 0x377f0682, /* or, with words in big-endian order for the checksum, one more */
	PAGE_BYTES_MAX = 65536,
};

struct sum {
	uint32_t a, b;
};

struct log {
	int fd;
	unsigned char header[HEADER_BYTES];
	bool is_big_endian; /* the words that are summed */
	size_t page_bytes;
	unsigned char *frame; /* the one read last */
};

static uint32_t big_endian(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t word(const struct log *log, const unsigned char *p)
{
	return log->is_big_endian ? big_endian(p) : __builtin_bswap32(big_endian(p));
}

static struct sum add(const struct log *log, struct sum s, const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		s.a += word(log, p + i) + s.b;
		s.b += word(log, p + i + 4) + s.a;
	}
	return s;
}

static struct sum stored(const unsigned char *p)
{
	return (struct sum){big_endian(p), big_endian(p + 4)};
}

static bool is_same(struct sum x, struct sum y)
{
	return x.a == y.a && x.b == y.b;
}

static bool is_header_whole(struct log *log)
{
	uint32_t magic = big_endian(log->header);

	log->is_big_endian = magic & 1;
	log->page_bytes = big_endian(log->header + 8);
	return (magic & ~1U) == MAGIC && log->page_bytes >= 512 && log->page_bytes <= PAGE_BYTES_MAX &&
	       !(log->page_bytes & (log->page_bytes - 1)) &&
	       is_same(stored(log->header + HEADER_SUMMED),
		       add(log, (struct sum){0, 0}, log->header, HEADER_SUMMED));
}

/* Of this round of the log? What stands behind its end may be of an earlier one. */
static bool has_salt(const struct log *log)
{
	return memcmp(log->frame + 8, log->header + 16, 8) == 0;
}

static struct sum sum_of_frame(const struct log *log, struct sum before)
{
	struct sum s = add(log, before, log->frame, FRAME_SUMMED);

	return add(log, s, log->frame + FRAME_HEADER_BYTES, log->page_bytes);
}

/* The number of the first bad frame that has a commit and more behind it; 0: none, and the end is the end. */
static uint64_t find_bad_frame(const struct log *log)
{
	size_t size = FRAME_HEADER_BYTES + log->page_bytes;
	struct sum before = stored(log->header + HEADER_SUMMED);
	uint64_t first_bad = 0;
	bool is_behind_commit = false; /* the frame before is whole, commits, and stands behind the bad one */

	for (uint64_t n = 1;
	     pread(log->fd, log->frame, size, (off_t)(HEADER_BYTES + (n - 1) * size)) == (ssize_t)size; n++) {
		struct sum here = stored(log->frame + 16);
		bool is_whole = has_salt(log) && is_same(here, sum_of_frame(log, before));

		if (is_whole && is_behind_commit)
			return first_bad;
		if (!is_whole && !first_bad)
			first_bad = n;
		is_behind_commit = is_whole && first_bad && big_endian(log->frame + 4) != 0;
		before = here;
	}
	return 0;
}

/* A daemon that began the log again while we read has made the old round look bad, as one that wrote on has
 * made a frame which we read before it was written: that one is whole by now. */
static bool is_still(const struct log *log, uint64_t bad)
{
	unsigned char now[HEADER_BYTES];

	return find_bad_frame(log) == bad && pread(log->fd, now, sizeof(now), 0) == (ssize_t)sizeof(now) &&
	       memcmp(now, log->header, sizeof(now)) == 0;
}

static int look(struct store *s, struct log *log)
{
	uint64_t bad;

	/* A head that is torn is of a round that had only begun: all before it is in the database. */
	if (pread(log->fd, log->header, HEADER_BYTES, 0) != HEADER_BYTES || !is_header_whole(log))
		return 0;
	log->frame = malloc(FRAME_HEADER_BYTES + log->page_bytes);
	if (!log->frame)
		return store_say(s, ENOMEM, "out of memory");
	bad = find_bad_frame(log);
	if (bad && !is_still(log, bad))
		bad = 0;
	free(log->frame);
	if (!bad)
		return 0;
	return store_damaged(
		s,
		"frame %llu of its -wal file is not what was written, and what was committed later "
		"stands behind it",
		(unsigned long long)bad);
}

int store_look_at_log(struct store *s)
{
	struct log log = {0};
	char *name;
	int r;

	if (asprintf(&name, "%s-wal", s->file) < 0)
		return store_say(s, ENOMEM, "out of memory");
	log.fd = open(name, O_RDONLY | O_CLOEXEC);
	free(name);
	if (log.fd < 0)
		return errno == ENOENT
			       ? 0
			       : store_say(s, errno, "its -wal file cannot be read: %s", strerror(errno));
	r = look(s, &log);
	close(log.fd);
	return r;
}
