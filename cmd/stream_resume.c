/* SPDX-License-Identifier: MIT */
/*
 * stream_resume.c - how a run of a stream finds its place: options and input must be those of the runs
 * before.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "signals.h"
#include "source.h"
#include "stream.h"

/* ---- the session's cursor ---- */

static void options_of(const struct ingest *in, struct cursor *c)
{
	c->format = (unsigned)in->format;
	c->separator = in->rule.separator;
	c->name_field = in->rule.name_field;
	c->delta_field = in->rule.delta_field;
	c->is_skip = in->is_skip;
	c->prefix = in->prefix;
}

static int refuse(const struct stream *s, int status, const char *why)
{
	return command_fail(status, "stream %s: %s; nothing was added", s->id, why);
}

static int adopt(struct ingest *in, struct slice text, size_t files_count)
{
	struct stream *s = in->stream;
	struct cursor wanted = {0}, found;
	options_of(in, &wanted);
	if (!cursor_parse(text, &found))
		return refuse(s, EX_DATAERR, "this session is not one of shcount ingest");
	const char *option = cursor_difference(&found, &wanted);
	if (option)
		return command_fail(
			EX_USAGE,
			"stream %s: %s is not as in the runs before, and belongs to the stream; nothing "
			"was added",
			s->id, option);
	if (found.files_count > files_count)
		return command_fail(EX_USAGE,
				    "stream %s: had %zu %s, now there are %zu: name all of them, in the same "
				    "order, new ones last; nothing was added",
				    s->id, found.files_count,
				    command_noun(found.files_count, "file", "files"), files_count);
	s->cursor = found;
	s->begun_lines = found.lines;
	s->begun_bad = found.lines_bad;
	s->begun_skipped = found.lines_skipped;
	buf_append(&s->applied, text.data, text.len);
	return EX_OK;
}

static int open_session(struct ingest *in, size_t files_count)
{
	struct stream *s = in->stream;
	struct shc_session at;
	enum shc_status status = shc_session_open(in->shc, s->id, strlen(s->id), &at);
	if (status)
		return command_status(in->shc, status);
	int rc = at.last_seq > 0 ? adopt(in, (struct slice){at.cursor, at.cursor_len}, files_count) : EX_OK;
	if (rc)
		return rc;
	struct shc_session_stats stats;
	shc_session_stats(in->shc, &stats);
	if (stats.resent > 0) { /* on a cluster a batch is stored before it is added */
		s->batches++;
		if (!s->is_quiet)
			command_fail(0, "stream %s: finished the batch that an earlier run had begun", s->id);
	}
	options_of(in, &s->cursor); /* ours, not what the handle lends */
	s->cursor.files_count = files_count;
	if (at.last_seq > 0 && !s->cursor.is_finished && !s->is_quiet)
		command_fail(0, "stream %s: going on behind %llu %s", s->id,
			     (unsigned long long)s->begun_lines,
			     command_noun(s->begun_lines, "line", "lines"));
	return EX_OK;
}

/* ---- the input ---- */

static const char nothing[] = ": it was changed, or is another file; nothing of it was added";

/* Reads over what has been counted. */
static int skip(struct ingest *in, const char *file, struct source *src, const struct cursor_file *at)
{
	char bytes[64 << 10];
	for (uint64_t left = at->offset; left > 0;) {
		int rc = source_has_more(src) && !signals_stop() ? 0 : ingest_wait(in, src->fd);
		size_t most = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
		ssize_t n = rc ? rc : source_read(src, bytes, most);
		if (n == -EINTR)
			continue;
		if (n == -ECANCELED)
			return in->lost ? in->lost : INGEST_STOPPED;
		if (n < 0)
			return ingest_read_failed(in, src, (int)n);
		if (n == 0)
			return chain_refuse(file, at, CHAIN_SHORTER, nothing);
		mark_feed(&in->stream->mark, bytes, (size_t)n);
		left -= (uint64_t)n;
	}
	bool is_same = mark_hash(&in->stream->mark) == at->mark;
	return is_same ? EX_OK : chain_refuse(file, at, CHAIN_ANOTHER, nothing);
}

void stream_next_file(struct stream *s, size_t index)
{
	if (s->has_mark) /* the next batch is written down when this one is gone */
		s->cursor.files[s->file_index].mark = mark_hash(&s->mark);
	s->file_index = index;
	s->has_mark = false;
	s->is_in_long_line = false;
	s->is_next = false;
	s->is_left = false;
	s->mark = (struct mark){0};
}

static int find_place(struct ingest *in, const char *file, struct source *src, off_t base)
{
	struct stream *s = in->stream;
	const struct cursor_file *at = &s->cursor.files[s->file_index];
	if (at->offset == 0)
		return EX_OK;
	if (!s->is_regular)
		return skip(in, file, src, at);
	int rc = chain_check(src->fd, base, at, &s->mark);
	if (rc > 0)
		return chain_refuse(file, at, rc, nothing);
	if (rc < 0 || lseek(src->fd, base + (off_t)at->offset, SEEK_SET) < 0)
		return command_fail(EX_IOERR, "%s: %s", file, strerror(rc < 0 ? -rc : errno));
	return EX_OK;
}

int stream_open_file(struct ingest *in, const char *file, struct source *src)
{
	struct stream *s = in->stream;
	struct stat st;
	bool is_plain = src->kind == SOURCE_PLAIN;
	off_t base = lseek(src->fd, 0, SEEK_CUR);
	s->is_regular = is_plain && in->is_regular && base >= 0;
	s->file_id = in->is_regular && fstat(src->fd, &st) == 0 ? chain_id(st.st_ino) : 0;
	if (s->is_next)
		return EX_OK;
	in->file_lines = s->cursor.files[s->file_index].lines;
	int rc = find_place(in, file, src, base);
	uint64_t over = is_plain ? s->cursor.files[s->file_index].offset : src->bytes;
	in->seen.bytes += over;
	in->progress.bytes_over += over;
	s->has_mark = rc == EX_OK;
	s->is_refused = rc == EX_DATAERR;
	return rc;
}

int stream_begin(struct ingest *in, char **files, int count)
{
	shc_on_refused(in->shc, ingest_on_refused, in);
	int rc = open_session(in, (size_t)count);
	return rc ? rc : stream_check_files(in->stream, files);
}
