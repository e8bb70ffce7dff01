/* SPDX-License-Identifier: MIT */
/*
 * ingest.c - blocks into lines, lines into the table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "ingest.h"
#include "scan.h"
#include "signals.h"
#include "stream.h"

/* A block: part of a line kept from the last one, then what was read. */
struct block {
	char *data; /* owned; SCAN_BYTES more than size may be read */
	size_t len;
	size_t size;
	bool is_in_long_line; /* dropping the rest of a line that is too long */
};

int ingest_init(struct ingest *in)
{
	return table_init(&in->table);
}

void ingest_fini(struct ingest *in)
{
	table_fini(&in->table);
	buf_fini(&in->refused);
}

/* ---- lines into the table ---- */

static int no_memory(struct ingest *in)
{
	in->lost = command_fail(EX_IOERR, "out of memory at %s:%llu", in->file,
				(unsigned long long)in->file_lines);
	return in->lost;
}

/* Empties ops. The table's troubles end here: a sum about to overflow is sent, a full table too. */
static int apply_ops(struct ingest *in)
{
	size_t done = 0;
	int rc = EX_OK;
	while (rc == EX_OK && done < in->ops_count) {
		int applied = table_apply(&in->table, in->ops, in->ops_count, &done);
		if (applied == TABLE_OVERFLOW) {
			struct table_op *op = &in->ops[done++];
			struct table_entry *e =
				table_find(&in->table, (struct slice){op->name, op->name_len});
			rc = ingest_send_entry(in, e);
			e->sum = op->delta;
		} else if (applied == -ENOMEM) {
			/* A stream's batch cannot end in the middle of a block. */
			rc = in->table.count > 0 && !in->stream ? ingest_send(in) : no_memory(in);
		}
	}
	in->ops_count = 0;
	bool is_full =
		in->table.count >= INGEST_NAMES_MAX || table_bytes(&in->table) >= INGEST_TABLE_BYTES_MAX;
	if (rc || in->lost || in->stream || !is_full)
		return rc ? rc : in->lost;
	return ingest_send_gathered(in);
}

static inline int put_op(struct ingest *in, struct slice name, int64_t delta)
{
	in->ops[in->ops_count++] =
		(struct table_op){.name = name.data, .name_len = (uint32_t)name.len, .delta = delta};
	return in->ops_count == TABLE_BATCH_MAX ? apply_ops(in) : EX_OK;
}

/* The line at file_lines. Tells it, and says whether to go on. */
static int bad_line(struct ingest *in, const char *reason)
{
	in->seen.lines_bad++;
	progress_wipe(&in->progress);
	unsigned long long line = in->file_lines;
	command_fail(EX_DATAERR, "%s:%llu: %s", in->file, line, reason);
	return in->is_skip ? EX_OK : EX_DATAERR;
}

/* A line that needs a closer look. */
static int take_line(struct ingest *in, struct slice line)
{
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	struct slice name;
	int64_t delta;
	const char *reason;
	int found = fields_take(&in->rule, line, &name, &delta, &reason);
	if (found == FIELDS_OK)
		return put_op(in, name, delta);
	if (found == FIELDS_BAD)
		return bad_line(in, reason);
	in->lines_skipped++;
	return EX_OK;
}

/* Counts a line that ends at data[end], for better or worse. */
static void count_line(struct ingest *in)
{
	in->file_lines++;
	in->seen.lines++;
}

/* Whole lines: one scan finds the ends and whatever spoils a name. Returns through *begin where the last,
 * open line starts. */
static int take_whole_lines(struct ingest *in, const char *data, size_t len, size_t *begin)
{
	int rc = EX_OK;
	size_t start = 0;
	bool is_spoiled = false; /* the line at `start` has a control character */
	for (size_t base = 0; base < len && rc == EX_OK; base += SCAN_BYTES) {
		uint64_t mask = scan_controls(data + base);
		if (len - base < SCAN_BYTES)
			mask &= (UINT64_C(1) << (len - base)) - 1;
		for (; mask && rc == EX_OK; mask &= mask - 1) {
			size_t at = base + (size_t)__builtin_ctzll(mask);
			if (data[at] != '\n') {
				is_spoiled = true;
				continue;
			}
			struct slice line = {data + start, at - start};
			count_line(in);
			if (!is_spoiled && line.len - 1 < in->rule.name_max)
				rc = put_op(in, line, 1);
			else
				rc = take_line(in, line);
			start = rc == EX_DATAERR ? start : at + 1; /* a line it stops at is not taken */
			is_spoiled = false;
		}
	}
	*begin = start;
	return rc;
}

static int take_fields_lines(struct ingest *in, const char *data, size_t len, size_t *begin)
{
	int rc = EX_OK;
	size_t start = 0;
	while (rc == EX_OK && start < len) {
		const char *end = memchr(data + start, '\n', len - start);
		if (!end)
			break;
		size_t at = (size_t)(end - data);
		count_line(in);
		rc = take_line(in, (struct slice){data + start, at - start});
		start = rc == EX_DATAERR ? start : at + 1;
	}
	*begin = start;
	return rc;
}

/* ---- blocks ---- */

/* The rest of a line that is too long goes, up to its end. */
static void drop_long_line(struct ingest *in, struct block *b)
{
	const char *end = memchr(b->data, '\n', b->len);
	size_t drop = end ? (size_t)(end - b->data) + 1 : b->len;
	b->is_in_long_line = !end;
	if (in->stream)
		stream_took_long(in->stream, b->data, drop, end != NULL);
	b->len -= drop;
	memmove(b->data, b->data + drop, b->len);
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

static int begin_long_line(struct ingest *in, struct block *b)
{
	b->is_in_long_line = true;
	count_line(in);
	int rc = bad_line(in, "the line is longer than 1 MiB");
	if (in->stream && rc)
		stream_stop_at_line(in);
	else if (in->stream)
		stream_took_long(in->stream, b->data, b->len, false);
	b->len = 0;
	return rc;
}

static int take_block(struct ingest *in, struct block *b)
{
	if (b->is_in_long_line)
		drop_long_line(in, b);
	size_t begin = 0;
	int rc = in->rule.name_field == 0 && in->rule.delta_field == 0
			 ? take_whole_lines(in, b->data, b->len, &begin)
			 : take_fields_lines(in, b->data, b->len, &begin);
	int applied =
		apply_ops(in); /* before the bytes move; on a bad line too: what came before it counts */
	rc = tell_stream(in, b, begin, applied ? applied : rc);
	b->len -= begin;
	memmove(b->data, b->data + begin, b->len);
	return rc || b->len < INGEST_LINE_MAX ? rc : begin_long_line(in, b);
}

/* A line without its end may be one that is being written. */
static int leave_rest(const struct ingest *in)
{
	if (!in->stream->is_quiet)
		command_fail(0, "%s: the last line has no end; it is left for the next run (--eof counts it)",
			     in->file);
	return EX_OK;
}

/* The last line may lack its end. */
static int take_rest(struct ingest *in, struct block *b)
{
	if (b->len == 0 && !b->is_in_long_line)
		return EX_OK;
	if (in->stream && !in->stream->is_eof)
		return leave_rest(in);
	if (in->stream && b->is_in_long_line)
		stream_took_long(in->stream, NULL, 0, true);
	int rc = EX_OK;
	if (b->len > 0) {
		count_line(in);
		rc = take_line(in, (struct slice){b->data, b->len});
	}
	int applied = apply_ops(in);
	return tell_stream(in, b, rc == EX_DATAERR ? 0 : b->len, applied ? applied : rc);
}

/* Bytes, 0 at the end, or -errno; -ECANCELED: what ingest_wait says. Who is told to stop together with the
 * writer of a pipe (^C) must not take what that one has left for a last line. */
static ssize_t read_some(struct ingest *in, struct block *b, int fd)
{
	for (;;) {
		int rc = ingest_wait(in, fd);
		if (rc)
			return rc;
		ssize_t n = read(fd, b->data + b->len, INGEST_READ_BYTES);
		if (n >= 0) {
			b->len += (size_t)n;
			in->seen.bytes += (uint64_t)n;
		}
		progress_update(&in->progress, &in->seen);
		if (n == 0 && signals_stop())
			return -ECANCELED;
		if (n >= 0 || errno != EINTR)
			return n >= 0 ? n : -errno;
	}
}

int ingest_file(struct ingest *in, const char *file, int fd)
{
	in->file = file;
	in->file_lines = 0;
	struct block b = {.size = INGEST_LINE_MAX + INGEST_READ_BYTES};
	b.data = calloc(1, b.size + SCAN_BYTES);
	if (!b.data)
		return command_fail(EX_IOERR, "out of memory");
	struct stat st;
	in->is_regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	int rc = in->stream ? stream_open_file(in, file, fd) : EX_OK;
	ssize_t n = 1;
	while (rc == EX_OK && (n = read_some(in, &b, fd)) > 0)
		rc = take_block(in, &b);
	if (n == -ECANCELED) {
		rc = in->lost ? in->lost : INGEST_STOPPED;
	} else if (n < 0) {
		progress_wipe(&in->progress);
		rc = command_fail(EX_IOERR, "%s: %s, after line %llu", file, strerror((int)-n),
				  (unsigned long long)in->file_lines);
	}
	if (rc == EX_OK)
		rc = take_rest(in, &b);
	free(b.data);
	return rc;
}
