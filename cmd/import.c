/* SPDX-License-Identifier: MIT */
/*
 * import.c - blocks into records, records into names and values.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/num.h"
#include "command.h"
#include "fields.h"
#include "head.h"
#include "import.h"
#include "signals.h"
#include "source.h"

/* Part of a record kept from the last read, then what was read. */
struct block {
	char *data; /* owned */
	size_t len;
	bool is_end; /* nothing comes behind it */
};

enum { BLOCK_BYTES = CSV_RECORD_MAX + IMPORT_READ_BYTES };

void import_fini(struct import *in)
{
	for (size_t i = 0; i <= IMPORT_UNANSWERED; i++)
		buf_fini(&in->batches[i].body);
	buf_fini(&in->refused);
}

/* ---- one record ---- `line` is its first */

/* Tells it, and says whether to go on. */
static int bad_record(struct import *in, uint64_t line, const char *reason)
{
	in->seen.lines_bad++;
	progress_wipe(&in->progress);
	command_fail(EX_DATAERR, "%s:%llu: %s", in->file, (unsigned long long)line, reason);
	return in->is_skip ? EX_OK : EX_DATAERR;
}

static int take_pair(struct import *in, struct slice name, int64_t value, uint64_t line)
{
	if (slice_is_name(name))
		return import_put(in, name, value, line);
	if (name.len == 0)
		return bad_record(in, line, "the name is empty");
	return bad_record(in, line, fields_name_fault(name, NAME_LEN_MAX));
}

static int take_json(struct import *in, struct slice text, uint64_t line)
{
	struct json_line *j = &in->json;
	int found = json_line_open(j, text);
	if (found == JSON_LINE_NONE) {
		in->lines_skipped++;
		return EX_OK;
	}
	if (found == JSON_LINE_BAD)
		return bad_record(in, line, j->reason);
	struct slice name;
	int64_t value = 0;
	found = json_line_name(j, &name);
	if (found == JSON_LINE_OK)
		found = json_line_i64(j, "value", &value);
	int rc;
	if (found == JSON_LINE_NONE)
		rc = bad_record(in, line, "there is no \"value\"");
	else if (found == JSON_LINE_BAD)
		rc = bad_record(in, line, j->reason);
	else
		rc = take_pair(in, name, value, line);
	json_line_close(j);
	return rc;
}

/* A field's bytes; `room` has field->text.len of them. */
static struct slice field_text(const struct csv_field *field, char *room)
{
	if (!field->has_pairs)
		return field->text;
	return (struct slice){room, csv_unpair(field->text, room)};
}

static int take_csv(struct import *in, struct slice text, uint64_t line)
{
	struct csv_field field, name = {0}, value = {0};
	struct slice rest = text;
	bool has_name = false, has_value = false;
	for (int i = 0; csv_next(&rest, ',', &field); i++) {
		if (i == in->name_index) {
			name = field;
			has_name = true;
		} else if (i == in->value_index) {
			value = field;
			has_value = true;
		}
	}
	if (!has_name || !has_value)
		return bad_record(in, line, "there are less fields than columns in the header");
	char room[2 * NAME_LEN_MAX];
	if (name.text.len > sizeof(room))
		return bad_record(in, line, "the name is longer than 255 bytes");
	int64_t number;
	if (!num_parse_i64_loose(value.text, &number))
		return bad_record(in, line, "the value is not a whole number of 64 bits");
	return take_pair(in, field_text(&name, room), number, line);
}

/* ---- the header of CSV ---- */

static int bad_header(struct import *in, uint64_t line, const char *what)
{
	in->seen.lines_bad++;
	progress_wipe(&in->progress);
	return command_fail(EX_DATAERR,
			    "%s:%llu: %s; the first line is expected to name the columns: name,value",
			    in->file, (unsigned long long)line, what);
}

/* Columns in any order, and others beside them. */
static int take_header(struct import *in, struct slice text, uint64_t line)
{
	struct csv_field field;
	int name_index = -1, value_index = -1;
	if (text.len > 0 && text.data[0] == '{')
		return bad_header(in, line, "it begins with { as JSON does (-f json)");
	for (int i = 0; csv_next(&text, ',', &field); i++) {
		int *index = slice_is_word(field.text, "name")	  ? &name_index
			     : slice_is_word(field.text, "value") ? &value_index
								  : NULL;
		if (index && *index >= 0)
			return bad_header(in, line, "a column stands there twice");
		if (index)
			*index = i;
	}
	if (name_index < 0)
		return bad_header(in, line, "there is no column \"name\"");
	if (value_index < 0)
		return bad_header(in, line, "there is no column \"value\"");
	in->name_index = name_index;
	in->value_index = value_index;
	return EX_OK;
}

/* ---- records out of a block ---- */

/* As csv_cut, for lines. */
static bool cut_line(const char *data, size_t len, bool is_end, struct csv_record *out)
{
	const char *end = len > 0 ? memchr(data, '\n', len) : NULL;
	if (!end && len <= CSV_RECORD_MAX && (!is_end || len == 0))
		return false;
	size_t text_len = end ? (size_t)(end - data) : len;
	*out = (struct csv_record){.size = text_len + (end != NULL), .text = {data, text_len}, .lines = 1};
	out->is_endless = !end && !is_end;
	if (text_len > CSV_RECORD_MAX)
		out->fault = "the line is longer than 1 MiB";
	if (text_len > 0 && data[text_len - 1] == '\r')
		out->text.len--;
	return true;
}

/* Bytes of the block that belong to a record that has been told as too long. */
static size_t drop_rest(struct import *in, const struct block *b)
{
	const char *end = memchr(b->data, '\n', b->len);
	in->is_dropping = !end;
	return end ? (size_t)(end - b->data) + 1 : b->len;
}

/* One in front of what is wanted. */
static int pass_over(struct import *in, const struct csv_record *r, uint64_t line)
{
	uint64_t last = line + r->lines - 1;
	if (last <= in->lines_over)
		return EX_OK;
	progress_wipe(&in->progress);
	return command_fail(
		EX_DATAERR,
		"%s: no record begins at line %llu, which is in the one of the lines %llu to %llu", in->file,
		(unsigned long long)in->lines_over + 1, (unsigned long long)line, (unsigned long long)last);
}

static int take_record(struct import *in, const struct csv_record *r)
{
	uint64_t line = in->file_lines + 1;
	bool is_header = !in->is_json && in->name_index < 0;
	if (!is_header && line <= in->lines_over)
		return pass_over(in, r, line);
	if (r->fault)
		return is_header ? bad_header(in, line, r->fault) : bad_record(in, line, r->fault);
	if (in->is_json)
		return take_json(in, r->text, line);
	if (is_header)
		return take_header(in, r->text, line);
	if (r->text.len > 0)
		return take_csv(in, r->text, line);
	in->lines_skipped++;
	return EX_OK;
}

/* Takes all records that end in the block, and what is left to its front. */
static int take_block(struct import *in, struct block *b)
{
	size_t at = in->is_dropping && b->len > 0 ? drop_rest(in, b) : 0;
	struct csv_record r;
	int rc = EX_OK;
	while (rc == EX_OK && !in->is_dropping) {
		const char *data = b->data + at;
		bool has_record = in->is_json ? cut_line(data, b->len - at, b->is_end, &r)
					      : csv_cut(&in->cutter, data, b->len - at, b->is_end, &r);
		if (!has_record)
			break;
		bool is_wanted = in->file_lines >= in->lines_over;
		rc = take_record(in, &r);
		in->file_lines += rc == EX_OK ? r.lines : 0;
		in->seen.lines += is_wanted ? r.lines : 0;
		in->is_dropping = r.is_endless;
		at += r.size;
	}
	b->len -= at;
	memmove(b->data, b->data + at, b->len);
	return rc;
}

static void drop_mark(struct block *b)
{
	b->len -= HEAD_MARK_BYTES;
	memmove(b->data, b->data + HEAD_MARK_BYTES, b->len);
}

/* A header of ours cannot begin as an object does. Whether there is enough to tell. */
static bool guess_format(struct import *in, const struct block *b)
{
	size_t at = 0;
	while (at < b->len && memchr(" \t\r\n", b->data[at], 4))
		at++;
	in->is_json = at < b->len && b->data[at] == '{';
	return at < b->len || b->is_end || b->len >= IMPORT_READ_BYTES;
}

/* Looks at the first bytes; *is_begun when they are told apart. */
static int take_head(struct import *in, struct block *b, const struct source *src, bool *is_begun)
{
	enum head head = head_look(b->data, b->len, b->is_end);
	in->is_unreadable = src->kind == SOURCE_PLAIN && (head == HEAD_GZIP || head == HEAD_ZSTD);
	if (in->is_unreadable) {
		progress_wipe(&in->progress);
		return head_refuse(head, in->file, "import");
	}
	if (head == HEAD_MARK)
		drop_mark(b);
	*is_begun = head != HEAD_OPEN && (in->is_told || guess_format(in, b));
	return EX_OK;
}

/* ---- reading ---- */

/* 0 when there is something to read, or -errno; -ECANCELED: asked to stop. */
static int wait_for(struct import *in, int fd, bool is_regular)
{
	int n = is_regular;
	while (n == 0 && !signals_stop()) {
		n = signals_wait_readable(fd, progress_beat_ns(&in->progress));
		progress_update(&in->progress, &in->seen);
		n = n == -EINTR ? 0 : n;
	}
	if (signals_stop())
		return -ECANCELED;
	return n > 0 ? 0 : n;
}

/* 0 or -errno; -ECANCELED: asked to stop. Who is asked together with the writer of a pipe (^C) must not take
 * what that one has left for a last line. */
static int read_some(struct import *in, struct block *b, struct source *src, bool is_regular)
{
	ssize_t n = -EINTR;
	while (n == -EINTR) {
		int rc = source_has_more(src) ? 0 : wait_for(in, src->fd, is_regular);
		if (rc)
			return rc;
		uint64_t before = src->bytes;
		n = source_read(src, b->data + b->len, IMPORT_READ_BYTES);
		in->seen.bytes += src->bytes - before;
		progress_update(&in->progress, &in->seen);
	}
	if (n < 0)
		return (int)n;
	b->len += (size_t)n;
	b->is_end = n == 0;
	return b->is_end && signals_stop() ? -ECANCELED : 0;
}

static int read_failed(struct import *in, const struct source *src, int error)
{
	progress_wipe(&in->progress);
	in->is_unreadable = src->failure == SOURCE_WRONG;
	if (src->failure)
		return command_fail(EX_DATAERR, "%s: %s", in->file, src->fault);
	return command_fail(EX_IOERR, "%s: %s", in->file, strerror(-error));
}

/* Were there as many? */
static int check_lines_over(struct import *in)
{
	if (in->file_lines >= in->lines_over)
		return EX_OK;
	progress_wipe(&in->progress);
	return command_fail(EX_DATAERR, "%s: has only %llu %s, so there is no line %llu to begin at",
			    in->file, (unsigned long long)in->file_lines,
			    command_noun(in->file_lines, "line", "lines"),
			    (unsigned long long)in->lines_over + 1);
}

/* What has been read is on its way before the next read; and is in, when that one may take long. */
static int import_source(struct import *in, struct block *b, struct source *src, bool is_regular)
{
	int rc = EX_OK;
	bool is_begun = false;
	while (rc == EX_OK && !b->is_end) {
		rc = read_some(in, b, src, is_regular);
		if (rc)
			return rc == -ECANCELED ? IMPORT_STOPPED : read_failed(in, src, rc);
		if (!is_begun)
			rc = take_head(in, b, src, &is_begun);
		if (rc || !is_begun)
			continue;
		rc = take_block(in, b);
		if (rc == EX_OK)
			rc = is_regular ? import_send(in) : import_settle(in);
	}
	if (rc == EX_OK && !in->is_json && in->name_index < 0)
		return bad_header(in, 1,
				  in->is_told ? "it is empty"
					      : "it is empty (as JSON that would be no counters: -f json)");
	return rc ? rc : check_lines_over(in);
}

int import_file(struct import *in, const char *file, int fd)
{
	struct stat st;
	struct source src;
	struct block b = {.data = malloc(BLOCK_BYTES)};
	if (!b.data || source_open(&src, file, fd)) {
		free(b.data);
		return command_fail(EX_IOERR, "out of memory");
	}
	in->file = file;
	in->file_lines = 0;
	in->cutter = (struct csv_cutter){.separator = ','};
	in->is_dropping = false;
	in->name_index = in->value_index = -1;
	int rc = import_source(in, &b, &src, fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
	source_close(&src);
	free(b.data);
	return rc;
}
