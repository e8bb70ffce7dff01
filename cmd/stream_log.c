/* SPDX-License-Identifier: MIT */
/*
 * stream_log.c - a stream's files that are logs: what they were rotated to is read first (chain.c).
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "source.h"
#include "stream.h"

/* One that was counted and is not there was rotated, and its writer has not made the new one yet. */
static bool is_log(const char *file, const struct cursor_file *at)
{
	struct stat st;
	if (strcmp(file, "-") == 0 || source_kind_of(file) != SOURCE_PLAIN)
		return false;
	return stat(file, &st) == 0 ? S_ISREG(st.st_mode) : errno == ENOENT && at->offset > 0;
}

/* Others must be there. */
static int check_present(const char *file)
{
	struct stat st;
	if (strcmp(file, "-") == 0 || stat(file, &st) == 0)
		return EX_OK;
	return command_fail(EX_IOERR, "%s: %s; nothing was added", file, strerror(errno));
}

/* A file that a log was rotated to, and is named beside it, would count twice. */
static int check_named(const struct chain *c, char **files, size_t count, size_t index)
{
	for (size_t i = 0; c->is_rotated && i < count; i++) {
		struct stat st;
		if (i == index || stat(files[i], &st))
			continue;
		for (size_t j = 0; j < c->count; j++) {
			if (c->files[j].ino == st.st_ino && c->files[j].dev == st.st_dev)
				return command_fail(EX_USAGE,
						    "%s: was rotated to %s, which is found by itself and "
						    "must not be named "
						    "beside it; nothing was added",
						    files[index], files[i]);
		}
	}
	return EX_OK;
}

int stream_check_files(const struct stream *s, char **files)
{
	int rc = EX_OK;
	for (size_t i = 0; rc == EX_OK && i < s->cursor.files_count; i++) {
		struct chain c;
		if (s->cursor.files[i].offset == 0 || !is_log(files[i], &s->cursor.files[i])) {
			rc = check_present(files[i]);
			continue;
		}
		rc = chain_open(&c, files[i], &s->cursor.files[i]);
		if (rc == EX_OK)
			rc = check_named(&c, files, s->cursor.files_count, i);
		chain_close(&c);
	}
	return rc;
}

static void tell_left(struct ingest *in, const char *log, const char *next, bool is_first, uint64_t begun)
{
	unsigned long long lines = in->file_lines - begun;
	if (in->stream->is_quiet)
		return;
	progress_wipe(&in->progress);
	command_fail(0, "%s was rotated: %llu %s%s %s in %s; going on with %s", log, lines,
		     command_noun(lines, "line", "lines"), is_first ? " behind what was counted" : "",
		     command_noun(lines, "is", "are"), in->file, next);
}

static void tell_staying(struct ingest *in, const char *log)
{
	if (in->stream->is_quiet)
		return;
	progress_wipe(&in->progress);
	command_fail(0, "%s was rotated: going on in %s until there is something in %s", log, in->file, log);
}

/* All bytes of a log that was rotated are more than FILE has. */
static void count_bytes(struct ingest *in, const struct chain *c)
{
	for (size_t i = 0; c->is_rotated && in->progress.bytes_total > 0 && i < c->count; i++)
		in->progress.bytes_total += c->files[i].is_left ? c->files[i].size : 0;
}

static int ingest_log(struct ingest *in, const char *log)
{
	struct stream *s = in->stream;
	chain_close(&s->chain);
	int rc = chain_open(&s->chain, log, &s->cursor.files[s->file_index]);
	s->is_refused = rc == EX_DATAERR;
	if (rc)
		return rc;
	const struct chain *c = &s->chain;
	count_bytes(in, c);
	for (size_t i = 0; rc == EX_OK && i < c->count; i++) {
		uint64_t begun = i == 0 ? s->cursor.files[s->file_index].lines : 0;
		s->is_next = i > 0;
		s->is_left = c->files[i].is_left;
		rc = ingest_file(in, c->files[i].path, c->files[i].fd);
		if (rc == EX_OK && s->is_left)
			tell_left(in, log, c->files[i + 1].path, i == 0, begun);
	}
	if (rc == EX_OK && c->is_rotated && strcmp(in->file, log) != 0)
		tell_staying(in, log);
	return rc;
}

int stream_ingest(struct ingest *in, const char *file, bool *is_done)
{
	*is_done = is_log(file, &in->stream->cursor.files[in->stream->file_index]);
	return *is_done ? ingest_log(in, file) : EX_OK;
}
