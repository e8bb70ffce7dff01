/* SPDX-License-Identifier: MIT */
/*
 * cmd_ingest.c - options and files of ingest, and what it says at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/num.h"
#include "command.h"
#include "ingest.h"
#include "output.h"
#include "stream.h"
#include "target.h"

enum {
	OPTION_FORMAT,
	OPTION_SEPARATOR,
	OPTION_FIELD,
	OPTION_DELTA,
	OPTION_PREFIX,
	OPTION_ON_ERROR,
	OPTION_STREAM,
	OPTION_EOF,
};

static const struct option_spec options[] = {
	[OPTION_FORMAT] = {'f', "format", OPTION_VALUE, "lines|tsv",
			   "lines (default), or tsv, which is -F '\\t'"},
	[OPTION_SEPARATOR] = {'F', "separator", OPTION_VALUE, "CHAR",
			      "fields are separated by CHAR, not by runs of blanks"},
	[OPTION_FIELD] = {'k', "field", OPTION_VALUE, "N", "field N is the name, from 1"},
	[OPTION_DELTA] = {'d', "delta", OPTION_VALUE, "N", "field N is what to add"},
	[OPTION_PREFIX] = {0, "prefix", OPTION_VALUE, "P", "put P in front of every name"},
	[OPTION_ON_ERROR] = {0, "on-error", OPTION_VALUE, "stop|skip",
			     "at a bad line: stop there (default), or leave it out"},
	[OPTION_STREAM] = {0, "stream", OPTION_VALUE, "ID", "exactly once: a rerun goes on where ID stands"},
	[OPTION_EOF] = {0, "eof", OPTION_FLAG, NULL, "with --stream: count a last line without its end"},
	{0},
};

enum { FIELD_MAX = 1000000 };

/* ---- options ---- */

static bool read_field(const struct invocation *inv, int option, int *field)
{
	const char *text = inv->values[option];
	int64_t n;
	if (!text)
		return true;
	if (!num_parse_i64_loose(slice_str(text), &n) || n < 1 || n > FIELD_MAX) {
		command_usage(inv, "-%c \"%.32s\": the number of a field is expected, from 1",
			      options[option].letter, text);
		return false;
	}
	*field = (int)n;
	return true;
}

/* One byte, or "\t" as awk takes it. A blank is the default, as in awk. */
static bool read_separator(const struct invocation *inv, const char *text, char *separator)
{
	if (strcmp(text, "\\t") == 0)
		text = "\t";
	if (strlen(text) != 1 || text[0] == '\n' || text[0] == '\r') {
		command_usage(inv, "-F \"%.32s\": one character is expected (of one byte)", text);
		return false;
	}
	*separator = text[0] == ' ' ? '\0' : text[0];
	return true;
}

static bool read_format(const struct invocation *inv, struct fields_rule *rule, bool *has_fields)
{
	static const char *const later[] = {"csv", "uniq", "json", "statsd"};
	const char *format = inv->values[OPTION_FORMAT];
	if (!format || strcmp(format, "lines") == 0)
		return true;
	if (strcmp(format, "tsv") == 0) {
		*has_fields = true;
		rule->separator = '\t';
		return true;
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (strcmp(format, later[i]) == 0) {
			command_usage(inv, "-f %s is not supported by this version; lines and tsv are",
				      format);
			return false;
		}
	}
	command_usage(inv, "-f \"%.32s\": lines or tsv is expected", format);
	return false;
}

static bool read_rule(const struct invocation *inv, struct fields_rule *rule)
{
	bool has_fields =
		inv->values[OPTION_SEPARATOR] || inv->values[OPTION_FIELD] || inv->values[OPTION_DELTA];
	if (!read_format(inv, rule, &has_fields))
		return false;
	if (inv->values[OPTION_SEPARATOR] &&
	    !read_separator(inv, inv->values[OPTION_SEPARATOR], &rule->separator))
		return false;
	rule->name_field = has_fields ? 1 : 0;
	if (!read_field(inv, OPTION_FIELD, &rule->name_field) ||
	    !read_field(inv, OPTION_DELTA, &rule->delta_field))
		return false;
	if (has_fields && rule->name_field == rule->delta_field) {
		command_usage(inv, "-k and -d name the same field %d", rule->name_field);
		return false;
	}
	return true;
}

static bool read_prefix(const struct invocation *inv, struct slice *prefix)
{
	const char *text = inv->values[OPTION_PREFIX];
	*prefix = slice_str(text ? text : "");
	if (prefix->len == 0 || (slice_is_name(*prefix) && prefix->len < NAME_LEN_MAX))
		return true;
	command_usage(inv, "--prefix: at most %d bytes without control characters are expected",
		      NAME_LEN_MAX - 1);
	return false;
}

static bool read_on_error(const struct invocation *inv, bool *is_skip)
{
	const char *text = inv->values[OPTION_ON_ERROR];
	*is_skip = text && strcmp(text, "skip") == 0;
	if (!text || *is_skip || strcmp(text, "stop") == 0)
		return true;
	command_usage(inv, "--on-error \"%.32s\": stop or skip is expected", text);
	return false;
}

/* *stream is null without --stream. */
static bool read_stream(const struct invocation *inv, int files_count, struct stream **stream)
{
	const char *id = inv->values[OPTION_STREAM];
	*stream = NULL;
	if (!id && inv->values[OPTION_EOF])
		return command_usage(inv, "--eof belongs to --stream: without it, such a line counts") == 0;
	if (!id)
		return true;
	if (!slice_is_name(slice_str(id)))
		return command_usage(inv, "--stream: an ID has 1 to %d bytes without control characters",
				     NAME_LEN_MAX) == 0;
	if (files_count > CURSOR_FILES_MAX)
		return command_usage(inv, "--stream takes at most %d files", CURSOR_FILES_MAX) == 0;
	*stream = calloc(1, sizeof(**stream));
	if (!*stream)
		return command_fail(EX_IOERR, "out of memory") == 0;
	(*stream)->id = id;
	(*stream)->is_eof = inv->values[OPTION_EOF] != NULL;
	(*stream)->is_quiet = inv->is_quiet;
	return true;
}

/* ---- files ---- */

/* Before anything is counted: can all be read? Their size, or 0 when it cannot be known, for the bar. */
static int look_at_files(char **files, int count, uint64_t *bytes_total)
{
	bool is_known = true;
	uint64_t total = 0;
	for (int i = 0; i < count; i++) {
		struct stat st;
		bool is_stdin = strcmp(files[i], "-") == 0;
		int rc = is_stdin ? fstat(STDIN_FILENO, &st) : stat(files[i], &st);
		if (rc == 0 && !is_stdin && access(files[i], R_OK))
			rc = -1;
		if (rc)
			return command_fail(EX_IOERR, "%s: %s; nothing was added", files[i], strerror(errno));
		if (S_ISDIR(st.st_mode))
			return command_fail(EX_IOERR, "%s: is a directory; nothing was added", files[i]);
		is_known = is_known && S_ISREG(st.st_mode);
		total += (uint64_t)st.st_size;
	}
	*bytes_total = is_known ? total : 0;
	return EX_OK;
}

static int ingest_one(struct ingest *in, const char *file)
{
	if (strcmp(file, "-") == 0)
		return ingest_file(in, "(standard input)", STDIN_FILENO);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		in->file = file;
		in->file_lines = 0;
		return command_fail(EX_IOERR, "%s: %s", file, strerror(errno));
	}
	int rc = ingest_file(in, file, fd);
	close(fd);
	return rc;
}

/* ---- the end ---- */

static void tell_summary(const struct ingest *in, double seconds)
{
	bool is_estimate;
	unsigned long long names = ingest_names(in, &is_estimate);
	unsigned long long lines = in->seen.lines;
	command_fail(0,
		     "%llu lines, %llu bad lines, %llu skipped, %s%llu distinct names, %.3f s, %.0f lines/s",
		     lines, (unsigned long long)in->seen.lines_bad, (unsigned long long)in->lines_skipped,
		     is_estimate ? "about " : "", names, seconds, (double)lines / seconds);
}

static int show_json(const struct ingest *in, double seconds)
{
	char number[32];
	bool is_estimate;
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	json_open(&out);
	json_i64(&out, "lines", (int64_t)in->seen.lines);
	json_i64(&out, "bad_lines", (int64_t)in->seen.lines_bad);
	json_i64(&out, "skipped", (int64_t)in->lines_skipped);
	json_i64(&out, "names", (int64_t)ingest_names(in, &is_estimate));
	json_bool(&out, "names_estimated", is_estimate);
	json_i64(&out, "sums_refused", (int64_t)in->sums_refused);
	snprintf(number, sizeof(number), "%.6f", seconds);
	json_raw(&out, slice_str("seconds"), slice_str(number));
	json_i64(&out, "lines_per_second", (int64_t)((double)in->seen.lines / seconds));
	if (in->stream) {
		const struct cursor *c = &in->stream->cursor;
		json_string(&out, slice_str("stream"), slice_str(in->stream->id));
		json_bool(&out, "finished", c->is_finished);
		json_i64(&out, "stream_lines", (int64_t)c->lines);
		json_i64(&out, "stream_bad_lines", (int64_t)c->lines_bad);
		json_i64(&out, "stream_skipped", (int64_t)c->lines_skipped);
	}
	json_close(&out);
	return output_finish(&out);
}

/* `rc` is how reading ended; everything read has been sent. */
static int finish(const struct invocation *inv, const struct ingest *in, int rc)
{
	double seconds = progress_seconds(&in->progress);
	unsigned long long line = in->file_lines;
	if (rc == EX_DATAERR && !in->stream)
		command_fail(0, "stopped: what comes before %s:%llu is in; resume from line %llu of it",
			     in->file, line, line);
	else if (rc == EX_IOERR && !in->stream)
		command_fail(0, "stopped: what comes before is in; resume from line %llu of %s", line + 1,
			     in->file);
	if (in->sums_refused > 0)
		command_fail(0, "%llu sums were refused by the server", (unsigned long long)in->sums_refused);
	if (in->stream && !inv->is_quiet)
		stream_tell(in);
	if (!inv->is_quiet)
		tell_summary(in, seconds);
	if (inv->is_json && !inv->is_quiet && show_json(in, seconds))
		return EX_IOERR;
	if (in->sums_refused > 0)
		return EXIT_NO;
	return rc == EX_OK && in->seen.lines_bad > 0 ? EX_DATAERR : rc;
}

static int ingest_all(const struct invocation *inv, struct ingest *in)
{
	static char dash[] = "-";
	static char *only_stdin[] = {dash};
	char **files = inv->operands_count > 0 ? inv->operands : only_stdin;
	int count = inv->operands_count > 0 ? inv->operands_count : 1;
	uint64_t bytes_total = 0;
	int rc = look_at_files(files, count, &bytes_total);
	if (rc)
		return rc;
	rc = target_connect(inv, &in->shc);
	if (rc)
		return rc;
	progress_begin(&in->progress, bytes_total, inv->is_quiet);
	rc = in->stream ? stream_begin(in, files, count) : EX_OK;
	if (rc) {
		shc_close(in->shc);
		return rc;
	}
	for (int i = 0; rc == EX_OK && i < count; i++) {
		if (in->stream)
			stream_next_file(in->stream, (size_t)i);
		rc = ingest_one(in, files[i]);
	}
	if (!in->lost) {
		int sent = in->stream ? stream_finish(in, rc == EX_OK) : ingest_send(in);
		progress_wipe(&in->progress);
		rc = sent ? sent : finish(inv, in, rc);
	}
	shc_close(in->shc);
	return rc;
}

static int run(struct invocation *inv)
{
	struct ingest *in = calloc(1, sizeof(*in));
	if (!in || ingest_init(in))
		return command_fail(EX_IOERR, "out of memory");
	int rc = EX_USAGE;
	if (read_rule(inv, &in->rule) && read_prefix(inv, &in->prefix) && read_on_error(inv, &in->is_skip) &&
	    read_stream(inv, inv->operands_count, &in->stream)) {
		in->rule.name_max = NAME_LEN_MAX - in->prefix.len;
		rc = ingest_all(inv, in);
	}
	int stopped_by = in->stream ? in->stream->stopped_by : 0;
	if (in->stream)
		buf_fini(&in->stream->applied);
	free(in->stream);
	ingest_fini(in);
	free(in);
	if (stopped_by)
		raise(stopped_by); /* so that a shell sees what ended us */
	return rc == INGEST_STOPPED ? EX_TEMPFAIL : rc;
}

const struct command cmd_ingest = {
	.name = "ingest",
	.group = GROUP_MANY,
	.operands = "[FILE...]",
	.summary = "count lines, or fields of lines",
	.help = "  shcount ingest words.txt                 every line is a name, worth 1\n"
		"  zcat access.log.gz | shcount ingest -k 7 --prefix 'path:'\n"
		"  shcount ingest -F : -k 7 /etc/passwd     count login shells\n"
		"  shcount ingest -f tsv -d 2 sums.tsv      NAME<TAB>DELTA\n"
		"\n"
		"Without FILE, or where it is -, standard input is read. With -F, -d or -f tsv, the name is "
		"field 1\n"
		"unless -k says otherwise. Empty lines and lines without the field are skipped. Lines are "
		"counted in\n"
		"memory and sent as sums. At a bad line (FILE:LINE: reason on stderr) it stops, with all "
		"before it\n"
		"counted and nothing after, and says where to resume; --on-error skip leaves bad lines out. "
		"Both exit 65.\n"
		"SIGUSR1 prints how far it is.\n"
		"\n"
		"  shcount ingest --stream access access.log   exactly once: safe to run again\n"
		"\n"
		"With --stream the server stores, with the sums, up to where the input is in them. A run "
		"with "
		"the same\n"
		"ID, options and files goes on there, also when the files have grown; when nothing is left, "
		"it "
		"adds\n"
		"nothing. A last line without its end is left for the next run, but for --eof.\n",
	.options = options,
	.operands_max = -1,
	.run = run,
};
