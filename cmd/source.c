/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "source.h"

enum {
	PACKED_BYTES = 128 << 10, /* a read(2) of compressed bytes */
	GZIP_WINDOW = 15 + 16,	  /* zlib's way of asking for gzip, of any window */
};

enum source_kind source_kind_of(const char *file)
{
	size_t len = strlen(file);
	if (len > 3 && strcmp(file + len - 3, ".gz") == 0)
		return SOURCE_GZIP;
	return len > 4 && strcmp(file + len - 4, ".zst") == 0 ? SOURCE_ZSTD : SOURCE_PLAIN;
}

static int open_gzip(struct source *s)
{
	s->gzip = calloc(1, sizeof(*s->gzip));
	return s->gzip && inflateInit2(s->gzip, GZIP_WINDOW) == Z_OK ? 0 : -ENOMEM;
}

static int open_zstd(struct source *s)
{
	s->zstd = ZSTD_createDCtx();
	return s->zstd ? 0 : -ENOMEM;
}

int source_open(struct source *s, const char *file, int fd)
{
	*s = (struct source){.fd = fd, .kind = source_kind_of(file), .is_inside = true};
	if (s->kind == SOURCE_PLAIN)
		return 0;
	s->packed = malloc(PACKED_BYTES);
	int rc = s->packed ? 0 : -ENOMEM;
	if (rc == 0)
		rc = s->kind == SOURCE_GZIP ? open_gzip(s) : open_zstd(s);
	if (rc)
		source_close(s);
	return rc;
}

void source_close(struct source *s)
{
	if (s->gzip)
		inflateEnd(s->gzip);
	ZSTD_freeDCtx(s->zstd);
	free(s->gzip);
	free(s->packed);
	s->gzip = NULL;
	s->zstd = NULL;
	s->packed = NULL;
}

/* ---- compressed bytes ---- */

/* Up to where it was good, in the file itself. */
static unsigned long long place(const struct source *s)
{
	return s->bytes - (s->len - s->at);
}

static ssize_t fail(struct source *s, enum source_failure failure, const char *fault)
{
	s->failure = failure;
	snprintf(s->fault, sizeof(s->fault), "%s", fault);
	return -EBADMSG;
}

/* A checksum stands behind what it is about. */
static int damaged(struct source *s, const char *format)
{
	s->failure = SOURCE_WRONG;
	snprintf(
		s->fault, sizeof(s->fault),
		"is damaged: its %s data makes no sense at byte %llu; what was read before may be wrong, too",
		format, place(s));
	return -EBADMSG;
}

static int overlong(struct source *s, const char *format)
{
	s->failure = SOURCE_WRONG;
	snprintf(s->fault, sizeof(s->fault), "has bytes behind its end, at byte %llu, that are not %s",
		 place(s), format);
	return -EBADMSG;
}

/* Whether these can be the first bytes of a member or frame. A skippable frame of zstd counts. */
static bool is_packed(const struct source *s)
{
	static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd},
				   skippable[] = {0x2a, 0x4d, 0x18};
	const unsigned char *p = s->packed + s->at;
	size_t len = s->len - s->at;
	if (s->kind == SOURCE_GZIP)
		return memcmp(p, gzip, len < sizeof(gzip) ? len : sizeof(gzip)) == 0;
	return memcmp(p, zstd, len < sizeof(zstd) ? len : sizeof(zstd)) == 0 ||
	       (len >= 4 && p[0] >> 4 == 5 && memcmp(p + 1, skippable, sizeof(skippable)) == 0);
}

/* 0 when there are bytes, 1 at the end, or as source_read. */
static ssize_t fill(struct source *s)
{
	bool is_first = s->bytes == 0;
	ssize_t n = read(s->fd, s->packed, PACKED_BYTES);
	if (n < 0)
		return -errno;
	s->at = 0;
	s->len = (size_t)n;
	s->bytes += (uint64_t)n;
	if (n == 0)
		return s->is_inside ? fail(s, SOURCE_SHORT, "is cut off: its compressed data has no end") : 1;
	if (is_first && !is_packed(s))
		return fail(s, SOURCE_WRONG,
			    "is not compressed, although its name says so; `shcount ingest - < FILE` "
			    "reads it as it is");
	return 0;
}

/* Between two members zeros may pad, as tapes have them. */
static int begin_member(struct source *s)
{
	while (s->at < s->len && s->packed[s->at] == 0)
		s->at++;
	if (s->at == s->len)
		return 0;
	if (s->packed[s->at] != 0x1f)
		return overlong(s, "gzip");
	inflateReset(s->gzip);
	s->is_inside = true;
	return 0;
}

static int gunzip(struct source *s, char *to, size_t size, size_t *done)
{
	int rc = s->is_inside ? 0 : begin_member(s);
	if (rc || !s->is_inside)
		return rc;
	z_stream *z = s->gzip;
	z->next_in = s->packed + s->at;
	z->avail_in = (uInt)(s->len - s->at);
	z->next_out = (unsigned char *)to;
	z->avail_out = (uInt)size;
	int ended = inflate(z, Z_NO_FLUSH);
	s->at = s->len - z->avail_in;
	*done = size - z->avail_out;
	s->is_inside = ended != Z_STREAM_END;
	s->has_more = s->is_inside && z->avail_out == 0;
	if (ended == Z_MEM_ERROR)
		return -ENOMEM;
	if (ended == Z_OK || ended == Z_STREAM_END || ended == Z_BUF_ERROR)
		return 0;
	return damaged(s, "gzip");
}

static int unzstd_failed(struct source *s, ZSTD_ErrorCode error)
{
	if (error == ZSTD_error_frameParameter_windowTooLarge)
		return (int)fail(s, SOURCE_WRONG,
				 "needs more memory than we give zstd; `zstd -dc --long=31 FILE | "
				 "shcount ingest` reads it");
	return error == ZSTD_error_prefix_unknown && !s->is_inside ? overlong(s, "zstd") : damaged(s, "zstd");
}

static int unzstd(struct source *s, char *to, size_t size, size_t *done)
{
	ZSTD_inBuffer in = {s->packed, s->len, s->at};
	ZSTD_outBuffer out = {to, size, 0};
	size_t rc = ZSTD_decompressStream(s->zstd, &out, &in);
	s->at = in.pos;
	*done = out.pos;
	if (ZSTD_isError(rc))
		return unzstd_failed(s, ZSTD_getErrorCode(rc));
	s->is_inside = rc != 0;
	s->has_more = s->is_inside && out.pos == size;
	return 0;
}

static ssize_t read_packed(struct source *s, char *to, size_t size)
{
	size_t done = 0;
	while (done == 0) {
		if (s->failure)
			return -EBADMSG;
		ssize_t rc = source_has_more(s) ? 0 : fill(s);
		if (rc)
			return rc == 1 ? 0 : rc;
		rc = s->kind == SOURCE_GZIP ? gunzip(s, to, size, &done) : unzstd(s, to, size, &done);
		if (rc && done == 0)
			return rc;
	}
	return (ssize_t)done;
}

ssize_t source_read(struct source *s, char *to, size_t size)
{
	if (s->kind != SOURCE_PLAIN)
		return read_packed(s, to, size);
	ssize_t n = read(s->fd, to, size);
	if (n < 0)
		return -errno;
	s->bytes += (uint64_t)n;
	return n;
}
