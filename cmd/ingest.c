/* SPDX-License-Identifier: MIT */
/*
 * ingest.c - files in blocks; ingest_take.c has what becomes of the records in one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "head.h"
#include "ingest.h"
#include "scan.h"
#include "signals.h"
#include "source.h"
#include "stream.h"

/* A block: part of a line kept from the last one, then what was read. */
struct block {
	char *room; /* owned; SCAN_BYTES more may be read than a block can have */
	char *data; /* in it */
	size_t len;
	bool is_in_long_line; /* dropping the rest of a line that is too long */
	bool is_in_line_over; /* of one that is not to be counted */
	bool is_begun;	      /* what it begins with is known */
	size_t mark; /* bytes at the head that are no text; a stream is told of them with the first line */
};

int ingest_init(struct ingest *in)
{
	in->record_lines = 1;
	in->is_known = true;
	return table_init(&in->table);
}

void ingest_fini(struct ingest *in)
{
	table_fini(&in->table);
	table_fini(&in->known);
	fraction_fini(&in->fractions);
	buf_fini(&in->refused);
	buf_fini(&in->refused_why);
}

/* ---- blocks ---- */

static void drop(struct block *b, size_t len)
{
	b->data += len;
	b->len -= len;
}

/* Makes room for a read(2). What is left goes in front of the first place for it that begins a cache line:
 * the kernel copies a third faster to there. */
static char *make_room(struct block *b)
{
	char *data = b->room + (SCAN_BYTES - b->len % SCAN_BYTES) % SCAN_BYTES;
	b->data = memmove(data, b->data, b->len);
	return b->data + b->len;
}

/* The rest of a line that is too long goes, up to its end. */
static void drop_long_line(struct ingest *in, struct block *b)
{
	const char *end = memchr(b->data, '\n', b->len);
	size_t len = end ? (size_t)(end - b->data) + 1 : b->len;
	b->is_in_long_line = !end;
	if (in->stream)
		stream_took_long(in->stream, b->data, len, end != NULL);
	drop(b, len);
}

/* Tells the stream, if there is one, that `taken` bytes at the head of the block are dealt with. */
static int tell_stream(struct ingest *in, const struct block *b, size_t taken, int rc)
{
	if (!in->stream || in->lost)
		return rc;
	stream_took(in->stream, b->data, taken);
	if (rc == EX_DATAERR)
		stream_stop_at_line(in);
	return rc ? rc : stream_clean(in);
}

static int begin_long_line(struct ingest *in, struct block *b, const struct ingest_taken *t)
{
	b->is_in_long_line = true;
	ingest_count_lines(in, t->endless_lines);
	int rc = ingest_bad_record(in, t->fault);
	if (in->stream && rc)
		stream_stop_at_line(in);
	else if (in->stream)
		stream_took_long(in->stream, b->data, t->endless, false);
	drop(b, t->endless);
	return rc;
}

/* The mark goes with what was taken behind it. */
static void take_mark(struct block *b, struct ingest_taken *t)
{
	if (t->whole > 0)
		t->whole += b->mark;
	else if (t->endless > 0)
		t->endless += b->mark;
	else
		return;
	b->mark = 0;
}

static int take_block(struct ingest *in, struct block *b, bool is_end)
{
	struct ingest_taken t;
	int rc = EX_OK;
	do {
		if (b->is_in_long_line)
			drop_long_line(in, b);
		rc = ingest_take(in, b->data + b->mark, b->len - b->mark, is_end, &t);
		take_mark(b, &t);
		rc = tell_stream(in, b, t.whole, rc);
		drop(b, t.whole);
		if (rc == EX_OK && t.endless > 0)
			rc = begin_long_line(in, b, &t);
	} while (rc == EX_OK && t.endless > 0 && b->len > 0);
	return rc;
}

/* A line without its end may be one that is being written. */
static void tell_rest(struct ingest *in, const char *what)
{
	progress_wipe(&in->progress);
	if (!in->stream->is_quiet)
		command_fail(0, "%s: the last line has no end; %s", in->file, what);
}

/* The last line may lack its end. */
static int take_rest(struct ingest *in, struct block *b)
{
	if (b->len == b->mark && !b->is_in_long_line)
		return EX_OK;
	if (in->stream && in->stream->is_left) {
		tell_rest(in, "it counts, for the log goes on in another file");
	} else if (in->stream && !in->stream->is_eof) {
		tell_rest(in, "it is left for the next run (--eof counts it)");
		return EX_OK;
	}
	if (in->stream && b->is_in_long_line)
		stream_took_long(in->stream, NULL, 0, true);
	b->is_in_long_line = false;
	return take_block(in, b, true);
}

/* ---- lines that are not wanted ---- */

/* Looks at the first bytes of an input; until they are told apart, nothing is taken. */
static int take_head(struct ingest *in, struct block *b, const struct source *src, bool is_end)
{
	enum head head = head_look(b->data, b->len, is_end);
	b->is_begun = head != HEAD_OPEN;
	b->mark = head == HEAD_MARK ? HEAD_MARK_BYTES : 0;
	in->is_unreadable = src->kind == SOURCE_PLAIN && (head == HEAD_GZIP || head == HEAD_ZSTD);
	if (!in->is_unreadable)
		return EX_OK;
	progress_wipe(&in->progress);
	return head_refuse(head, in->file, "ingest");
}

/* Drops `lines_over` lines at the head of the block, and what there is of one whose end is still to come. */
static void drop_lines(struct ingest *in, struct block *b)
{
	size_t at = 0;
	while (in->lines_over > 0 && at < b->len) {
		const char *end = memchr(b->data + at, '\n', b->len - at);
		b->is_in_line_over = !end;
		at = end ? (size_t)(end - b->data) + 1 : b->len;
		in->lines_over -= end != NULL;
		in->file_lines += end != NULL;
	}
	drop(b, at);
	b->mark = at > 0 ? 0 : b->mark;
}

/* Were there as many? */
static int check_lines_over(struct ingest *in, const struct block *b)
{
	in->lines_over -= b->is_in_line_over; /* the last may lack its end */
	if (in->lines_over == 0)
		return EX_OK;
	uint64_t lines = in->file_lines + b->is_in_line_over;
	return command_fail(EX_DATAERR, "%s: has only %llu %s, so there is no line %llu to begin at",
			    in->file, (unsigned long long)lines, command_noun(lines, "line", "lines"),
			    (unsigned long long)(lines + in->lines_over + 1));
}

/* ---- reading ---- */

/* Bytes, 0 at the end, or -errno; -ECANCELED: what ingest_wait says. Who is told to stop together with the
 * writer of a pipe (^C) must not take what that one has left for a last line. */
static ssize_t read_some(struct ingest *in, struct block *b, struct source *src)
{
	for (;;) {
		int rc = source_has_more(src) && !signals_stop() ? 0 : ingest_wait(in, src->fd);
		if (rc)
			return rc;
		uint64_t before = src->bytes;
		ssize_t n = source_read(src, make_room(b), INGEST_READ_BYTES);
		b->len += n > 0 ? (size_t)n : 0;
		in->seen.bytes += src->bytes - before;
		progress_update(&in->progress, &in->seen);
		if (n == 0 && signals_stop())
			return -ECANCELED;
		if (n != -EINTR)
			return n;
	}
}

/* What has just been read. */
static int take_more(struct ingest *in, struct block *b, const struct source *src, bool is_end)
{
	int rc = b->is_begun ? EX_OK : take_head(in, b, src, is_end);
	if (rc || !b->is_begun)
		return rc;
	drop_lines(in, b);
	return is_end ? EX_OK : take_block(in, b, false);
}

static int take_source(struct ingest *in, struct block *b, struct source *src)
{
	int rc = in->stream ? stream_open_file(in, in->file, src) : EX_OK;
	b->is_begun = in->stream && !stream_is_at_start(in->stream);
	ssize_t n = 1;
	while (rc == EX_OK && (n = read_some(in, b, src)) > 0)
		rc = take_more(in, b, src, false);
	if (rc == EX_OK && n == 0)
		rc = take_more(in, b, src, true);
	if (rc)
		return rc;
	if (n == -ECANCELED)
		return in->lost ? in->lost : INGEST_STOPPED;
	if (n == 0 && in->lines_over > 0)
		return check_lines_over(in, b);
	if (n == 0)
		return take_rest(in, b);
	progress_wipe(&in->progress);
	return ingest_read_failed(in, src, (int)n);
}

int ingest_read_failed(struct ingest *in, const struct source *src, int error)
{
	unsigned long long lines = in->file_lines;
	in->is_unreadable = src->failure == SOURCE_WRONG;
	in->is_cut_off = !in->is_unreadable;
	if (src->failure)
		return command_fail(EX_DATAERR, "%s: %s", in->file, src->fault);
	return command_fail(EX_IOERR, "%s: %s, after line %llu", in->file, strerror(-error), lines);
}

int ingest_file(struct ingest *in, const char *file, int fd)
{
	in->file = file;
	in->file_lines = 0;
	in->cutter = (struct csv_cutter){.separator = in->rule.separator};
	/* The longest rest in front of a read, a read, and what may be looked at behind it. */
	const size_t size = HEAD_MARK_BYTES + INGEST_LINE_MAX + SCAN_BYTES + INGEST_READ_BYTES + SCAN_BYTES;
	struct block b = {
		.room = aligned_alloc(SCAN_BYTES, (size + SCAN_BYTES - 1) / SCAN_BYTES * SCAN_BYTES)};
	b.data = b.room;
	struct source src;
	if (!b.room || source_open(&src, file, fd)) {
		free(b.room);
		return command_fail(EX_IOERR, "out of memory");
	}
	struct stat st;
	in->is_regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	int rc = take_source(in, &b, &src);
	source_close(&src);
	free(b.room);
	return rc;
}
