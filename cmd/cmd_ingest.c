/* SPDX-License-Identifier: MIT */
/*
 * cmd_ingest.c - options and files of ingest, and what it says at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "../lib/redis.h"
#include "command.h"
#include "ingest.h"
#include "inputs.h"
#include "output.h"
#include "signals.h"
#include "stream.h"
#include "target.h"

enum {
	OPTION_FORMAT,
	OPTION_SEPARATOR,
	OPTION_FIELD,
	OPTION_DELTA,
	OPTION_PREFIX,
	OPTION_ON_ERROR,
	OPTION_FROM_LINE,
	OPTION_STREAM,
	OPTION_EOF,
};

static const struct option_spec options[] = {
	[OPTION_FORMAT] = {'f', "format", OPTION_VALUE, "lines|tsv|csv|uniq|json|statsd",
			   "how lines are read (default lines)"},
	[OPTION_SEPARATOR] = {'F', "separator", OPTION_VALUE, "CHAR",
			      "fields are separated by CHAR, not by runs of blanks (or commas)"},
	[OPTION_FIELD] = {'k', "field", OPTION_VALUE, "N", "field N is the name, from 1"},
	[OPTION_DELTA] = {'d', "delta", OPTION_VALUE, "N", "field N is what to add"},
	[OPTION_PREFIX] = {0, "prefix", OPTION_VALUE, "P", "put P in front of every name"},
	[OPTION_ON_ERROR] = {0, "on-error", OPTION_VALUE, "stop|skip",
			     "at a bad line: stop there (default), or leave it out"},
	[OPTION_FROM_LINE] = {0, "from-line", OPTION_VALUE, "N", "begin at line N of the first FILE"},
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

/* One byte, or "\t" as awk takes it. Outside of CSV a blank is the default, as in awk. */
static bool read_separator(const struct invocation *inv, const char *text, struct fields_rule *rule)
{
	if (strcmp(text, "\\t") == 0)
		text = "\t";
	bool is_quote = rule->is_csv && text[0] == '"';
	if (strlen(text) != 1 || text[0] == '\n' || text[0] == '\r' || is_quote)
		return command_usage(inv, "-F \"%.32s\": one character is expected (of one byte)%s", text,
				     is_quote ? ", and no quote" : "") == 0;
	rule->separator = text[0] == ' ' && !rule->is_csv ? '\0' : text[0];
	return true;
}

static const struct format {
	const char *name;
	enum ingest_format format;
	bool has_fields; /* which -F, -k and -d are about */
	char separator;
	bool is_fields; /* field 1 is the name although none of them is given */
} formats[] = {
	{"lines", INGEST_FIELDS, true, '\0', false}, {"tsv", INGEST_FIELDS, true, '\t', true},
	{"csv", INGEST_CSV, true, ',', true},	     {"uniq", INGEST_UNIQ, false, '\0', false},
	{"json", INGEST_JSON, false, '\0', false},   {"statsd", INGEST_STATSD, false, '\0', false},
};

/* Null after a complaint. */
static const struct format *read_format(const struct invocation *inv)
{
	const char *name = inv->values[OPTION_FORMAT];
	if (!name)
		return &formats[0];
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(name, formats[i].name) == 0)
			return &formats[i];
	}
	command_usage(inv, "-f \"%.32s\": lines, tsv, csv, uniq, json or statsd is expected", name);
	return NULL;
}

static bool read_fields(const struct invocation *inv, const struct format *f, struct fields_rule *rule)
{
	const char *separator = inv->values[OPTION_SEPARATOR];
	bool is_told = separator || inv->values[OPTION_FIELD] || inv->values[OPTION_DELTA];
	if (is_told && !f->has_fields)
		return command_usage(inv, "-F, -k and -d are about fields, which -f %s has none of",
				     f->name) == 0;
	if (separator && f->separator == '\t')
		return command_usage(inv, "-f tsv has a tab between fields: without -f, -F takes another "
					  "character") == 0;
	rule->separator = f->separator;
	rule->is_csv = f->format == INGEST_CSV;
	if (separator && !read_separator(inv, separator, rule))
		return false;
	rule->name_field = is_told || f->is_fields ? 1 : 0;
	if (!read_field(inv, OPTION_FIELD, &rule->name_field) ||
	    !read_field(inv, OPTION_DELTA, &rule->delta_field))
		return false;
	if (rule->name_field > 0 && rule->name_field == rule->delta_field)
		return command_usage(inv, "-k and -d name the same field %d", rule->name_field) == 0;
	return true;
}

static bool read_rule(const struct invocation *inv, struct ingest *in)
{
	const struct format *f = read_format(inv);
	if (!f)
		return false;
	in->format = f->format;
	return read_fields(inv, f, &in->rule);
}

static bool read_from_line(const struct invocation *inv, uint64_t *lines_over)
{
	const char *text = inv->values[OPTION_FROM_LINE];
	int64_t n;
	if (!text)
		return true;
	if (!num_parse_i64_loose(slice_str(text), &n) || n < 1)
		return command_usage(inv, "--from-line \"%.32s\": the number of a line is expected, from 1",
				     text) == 0;
	if (inv->values[OPTION_STREAM])
		return command_usage(inv, "--from-line and --stream exclude each other: a stream knows where "
					  "it goes on") == 0;
	*lines_over = (uint64_t)n - 1;
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

/* Names that are the server's own are known before anything is read. An exit status. */
static int find_own_names(const struct invocation *inv, struct ingest *in)
{
	static const char own[] = "shc:";
	enum shc_status status = redis_identify(in->shc);
	if (status)
		return command_status(in->shc, status);
	size_t len = in->prefix.len < sizeof(own) - 1 ? in->prefix.len : sizeof(own) - 1;
	if (!redis_is(in->shc) || memcmp(in->prefix.data, own, len) != 0)
		return EX_OK;
	in->own_names = slice_str(own + len);
	if (in->own_names.len > 0)
		return EX_OK;
	return command_usage(inv, "--prefix: names that begin with shc: are taken in Redis, for what belongs "
				  "to counters");
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

static int ingest_one(struct ingest *in, const char *file)
{
	const char *name;
	bool is_done = false;
	int rc = in->stream ? stream_ingest(in, file, &is_done) : EX_OK;
	if (is_done)
		return rc;
	int fd = inputs_open(file, &name);
	if (fd < 0) {
		in->file = name;
		in->file_lines = 0;
		return command_fail(EX_IOERR, "%s: %s", file, strerror(-fd));
	}
	rc = ingest_file(in, name, fd);
	inputs_close(fd);
	return rc;
}

/* ---- the end ---- */

static void tell_summary(const struct ingest *in, double seconds)
{
	bool is_estimate;
	unsigned long long names = ingest_names(in, &is_estimate);
	unsigned long long lines = in->seen.lines, bad = in->seen.lines_bad;
	command_fail(0, "%llu %s, %llu bad %s, %llu skipped, %s%llu distinct %s, %.3f s, %.0f lines/s", lines,
		     command_noun(lines, "line", "lines"), bad, command_noun(bad, "line", "lines"),
		     (unsigned long long)in->lines_skipped, is_estimate ? "about " : "", names,
		     command_noun(names, "name", "names"), seconds, (double)lines / seconds);
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
		json_text(&out, slice_str("stream"), slice_str(in->stream->id));
		json_bool(&out, "finished", c->is_finished);
		json_i64(&out, "stream_lines", (int64_t)c->lines);
		json_i64(&out, "stream_bad_lines", (int64_t)c->lines_bad);
		json_i64(&out, "stream_skipped", (int64_t)c->lines_skipped);
	}
	json_close(&out);
	return output_finish(&out);
}

static void tell_where(const struct ingest *in, uint64_t line)
{
	char what[600];
	unsigned long long at = line;
	snprintf(what, sizeof(what), "stopped: what comes before %.400s:%llu is in; resume from line %llu",
		 in->file, at, at);
	inputs_tell_how_on("ingest", what, in->file, in->files_left, line);
}

static void tell_signal(const struct ingest *in, uint64_t line)
{
	char what[600];
	snprintf(what, sizeof(what),
		 "stopped by a signal behind %.400s:%llu; all up to there is in, nothing after; go on",
		 in->file, (unsigned long long)line - 1);
	inputs_tell_how_on("ingest", what, in->file, in->files_left, line);
}

/* It would end there again. */
static void tell_unreadable(const struct ingest *in, uint64_t line)
{
	char what[600];
	if (in->seen.lines == 0) {
		command_fail(0, "nothing was added");
		return;
	}
	snprintf(what, sizeof(what),
		 "stopped: what comes before %.400s:%llu is in; with that file repaired or replaced, go on",
		 in->file, (unsigned long long)line);
	inputs_tell_how_on("ingest", what, in->file, in->files_left, line);
}

static void tell_stop(const struct ingest *in, int rc)
{
	uint64_t next = in->file_lines + in->lines_over + 1;
	if (in->is_unreadable)
		tell_unreadable(in, next);
	else if (rc == EX_DATAERR && !in->is_cut_off && in->lines_over == 0)
		tell_where(in, ingest_record_line(in));
	else if (rc == EX_IOERR || in->is_cut_off)
		tell_where(in, next);
	else if (rc == INGEST_STOPPED)
		tell_signal(in, next);
}

/* A server that was killed may have lost what it had acknowledged, and the one that came back does not know.
 */
static void tell_reconnected(const struct ingest *in, uint64_t connections)
{
	if (!in->stream && shc_connections(in->shc) != connections)
		command_fail(0, "the server was restarted or the connection lost meanwhile: what it had not "
				"yet written may be missing; --stream is exact");
}

/* `rc` is how reading ended; everything read has been sent. */
static int finish(const struct invocation *inv, struct ingest *in, int rc)
{
	double seconds = progress_seconds(&in->progress);
	if (!in->stream)
		tell_stop(in, rc);
	if (rc == EX_OK && signals_stop())
		command_fail(0, "a signal came when everything was counted: all is in");
	in->is_stopped = signals_stop() && (rc == INGEST_STOPPED || rc == EX_OK);
	if (in->sums_refused > 0)
		command_fail(0, "%llu %s refused by the server", (unsigned long long)in->sums_refused,
			     command_noun(in->sums_refused, "sum was", "sums were"));
	if (in->stream && !inv->is_quiet)
		stream_tell(in, rc == INGEST_STOPPED);
	if (!inv->is_quiet)
		tell_summary(in, seconds);
	if (inv->is_json && !inv->is_quiet && show_json(in, seconds))
		return EX_IOERR;
	if (in->sums_refused > 0)
		return EXIT_NO;
	return rc == EX_OK && in->seen.lines_bad > 0 ? EX_DATAERR : rc;
}

static int ingest_all(struct invocation *inv, struct ingest *in)
{
	int count;
	char **files = inputs_of(inv, &count);
	uint64_t bytes_total = 0;
	/* Of a stream's, only the cursor knows which may be missing. */
	int rc = (in->stream ? inputs_look_present : inputs_look)(files, count, "nothing was added",
								  &bytes_total);
	if (rc)
		return rc;
	rc = target_connect(inv, &in->shc);
	if (rc)
		return rc;
	target_keep(inv, in->shc); /* without a stream, too: nothing is sent again but what never left */
	in->timeout_ms = inv->timeout_ms;
	uint64_t connections = shc_connections(in->shc);
	signals_note_questions();
	progress_begin(&in->progress, bytes_total, inv->is_quiet);
	rc = find_own_names(inv, in);
	if (rc == EX_OK && in->stream)
		rc = stream_begin(in, files, count);
	if (rc) {
		shc_close(in->shc);
		return rc;
	}
	signals_note_stops(); /* so far nothing would be lost */
	for (int i = 0; rc == EX_OK && i < count; i++) {
		in->files_left = count - 1 - i;
		if (in->stream)
			stream_next_file(in->stream, (size_t)i);
		rc = ingest_one(in, files[i]);
	}
	if (!in->lost) {
		int sent = in->stream ? stream_finish(in, rc == EX_OK) : ingest_send(in);
		progress_wipe(&in->progress);
		if (!sent)
			tell_reconnected(in, connections);
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
	if (read_rule(inv, in) && read_from_line(inv, &in->lines_over) && read_prefix(inv, &in->prefix) &&
	    read_on_error(inv, &in->is_skip) && read_stream(inv, inv->operands_count, &in->stream)) {
		in->rule.name_max = NAME_LEN_MAX - in->prefix.len;
		rc = ingest_all(inv, in);
	}
	bool is_stopped = in->is_stopped;
	if (in->stream)
		stream_fini(in->stream);
	free(in->stream);
	ingest_fini(in);
	free(in);
	if (is_stopped)
		signals_end();
	return rc;
}

const struct command cmd_ingest = {
	.name = "ingest",
	.group = GROUP_MANY,
	.operands = "[FILE...]",
	.summary = "count lines, or fields of lines",
	.help = "  shcount ingest words.txt                 every line is a name, worth 1\n"
		"  shcount ingest -k 7 --prefix 'path:' access.log access.log.2.gz\n"
		"  shcount ingest -F : -k 7 /etc/passwd     count login shells\n"
		"  shcount ingest -f tsv -d 2 sums.tsv      NAME<TAB>DELTA\n"
		"  shcount ingest -f csv -k 3 -d 5 --from-line 2 sales.csv    without titles\n"
		"  sort words | uniq -c | shcount ingest -f uniq\n"
		"  shcount ingest -f json sums.jsonl        {\"name\":\"a\",\"delta\":3} a line\n"
		"  shcount ingest -f statsd metrics.txt     name:3|c, name:1|c|@0.1\n"
		"\n"
		"Without FILE, or where it is -, standard input is read; files named *.gz and *.zst are "
		"decompressed. With -F, -d, -f tsv or -f csv the name is field 1 unless -k says "
		"otherwise. Empty lines and lines without the field are skipped. Lines are counted in "
		"memory and sent as sums. At a bad line (FILE:LINE: reason on stderr) it stops, with all "
		"before it counted and nothing after, and says how to resume; --on-error skip leaves bad "
		"lines out. Both exit 65. What comes through a pipe is sent at the latest a second later. "
		"^C stops between two lines: what was counted is sent, and it says how to go on. A second "
		"^C ends it at once. SIGUSR1 prints how far it is.\n"
		"\n"
		"  shcount ingest --stream access access.log   exactly once: safe to run again\n"
		"\n"
		"With --stream the server stores, with the sums, up to where the input is in them. A run "
		"with the same ID, options and files goes on there, also when the files have grown; when "
		"nothing is left, it adds nothing. A last line without its end is left for the next run, "
		"but for --eof. A log that was rotated (FILE.1, FILE.2, FILE-DATE) is found again: its "
		"rest is counted, then what is newer, then FILE.\n",
	.options = options,
	.operands_max = -1,
	.run = run,
};
