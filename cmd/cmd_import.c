/* SPDX-License-Identifier: MIT */
/*
 * cmd_import.c - options and files of import, and what it says at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "command.h"
#include "import.h"
#include "inputs.h"
#include "output.h"
#include "signals.h"
#include "target.h"

enum { OPTION_FORMAT, OPTION_ADD, OPTION_ON_ERROR, OPTION_FROM_LINE };

static const struct option_spec options[] = {
	[OPTION_FORMAT] = {'f', "format", OPTION_VALUE, "csv|json",
			   "csv or json; without it, a file that begins with { is json"},
	[OPTION_ADD] = {0, "add", OPTION_FLAG, NULL, "add the values to the counters, do not set them"},
	[OPTION_ON_ERROR] = {0, "on-error", OPTION_VALUE, "stop|skip",
			     "at a bad line: stop there (default), or leave it out"},
	[OPTION_FROM_LINE] = {0, "from-line", OPTION_VALUE, "N",
			      "go on at line N of the first FILE, behind its header"},
	{0},
};

static bool read_from_line(const struct invocation *inv, uint64_t *lines_over)
{
	const char *text = inv->values[OPTION_FROM_LINE];
	int64_t n = 1;
	if (text && (!num_parse_i64_loose(slice_str(text), &n) || n < 1))
		return command_usage(inv, "--from-line \"%.32s\": the number of a line is expected, from 1",
				     text) == EX_OK;
	*lines_over = (uint64_t)n - 1;
	return true;
}

static bool read_options(const struct invocation *inv, struct import *in)
{
	const char *format = inv->values[OPTION_FORMAT], *on_error = inv->values[OPTION_ON_ERROR];
	in->is_add = inv->values[OPTION_ADD] != NULL;
	in->is_told = format != NULL;
	in->is_json = format && strcmp(format, "json") == 0;
	in->is_skip = on_error && strcmp(on_error, "skip") == 0;
	if (format && !in->is_json && strcmp(format, "csv") != 0)
		return command_usage(inv, "-f \"%.32s\": csv or json is expected", format) == EX_OK;
	if (on_error && !in->is_skip && strcmp(on_error, "stop") != 0)
		return command_usage(inv, "--on-error \"%.32s\": stop or skip is expected", on_error) ==
		       EX_OK;
	return read_from_line(inv, &in->start.line);
}

/* ---- the end ---- */

static void tell_summary(const struct import *in, double seconds)
{
	unsigned long long lines = in->seen.lines;
	unsigned long long bad = in->seen.lines_bad, pairs = in->pairs_in;
	command_fail(0, "%llu %s, %llu bad %s, %llu skipped, %llu %s %s, %.3f s, %.0f lines/s", lines,
		     command_noun(lines, "line", "lines"), bad, command_noun(bad, "line", "lines"),
		     (unsigned long long)in->lines_skipped, pairs, command_noun(pairs, "counter", "counters"),
		     in->is_add ? "added to" : "set", seconds, (double)lines / seconds);
}

static int show_json(const struct import *in, double seconds)
{
	char number[32];
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	json_open(&out);
	json_i64(&out, "lines", (int64_t)in->seen.lines);
	json_i64(&out, "bad_lines", (int64_t)in->seen.lines_bad);
	json_i64(&out, "skipped", (int64_t)in->lines_skipped);
	json_i64(&out, in->is_add ? "added" : "set", (int64_t)in->pairs_in);
	json_i64(&out, "refused", (int64_t)in->pairs_refused);
	snprintf(number, sizeof(number), "%.6f", seconds);
	json_raw(&out, slice_str("seconds"), slice_str(number));
	json_i64(&out, "lines_per_second", (int64_t)((double)in->seen.lines / seconds));
	json_close(&out);
	return output_finish(&out);
}

/* Where reading ended before its end; all that was read is in. */
static void tell_stop(const struct import *in, int rc)
{
	struct import_place here = import_here(in);
	unsigned long long line = here.line;
	if (rc == EX_OK || (rc == EX_DATAERR && in->file_lines < in->lines_over))
		return; /* at the end, or not yet where it was to begin */
	if (in->is_unreadable && in->seen.lines == 0) {
		command_fail(0, "nothing was %s", in->is_add ? "added" : "set");
		return;
	}
	if (rc == EX_DATAERR)
		command_fail(0, "stopped: what comes before %s:%llu is in, nothing after", in->file,
			     line + 1);
	else
		command_fail(0, "stopped%s behind %s:%llu: all up to there is in, nothing after",
			     rc == IMPORT_STOPPED ? " by a signal" : "", in->file, line);
	import_tell_how_on(in, here);
}

/* `rc` is how reading ended. */
static int finish(const struct invocation *inv, const struct import *in, int rc)
{
	double seconds = progress_seconds(&in->progress);
	tell_stop(in, rc);
	if (in->pairs_refused > 0)
		command_fail(0, "%llu %s refused by the server", (unsigned long long)in->pairs_refused,
			     command_noun(in->pairs_refused, "addition was", "additions were"));
	if (!inv->is_quiet)
		tell_summary(in, seconds);
	if (inv->is_json && !inv->is_quiet && show_json(in, seconds))
		return EX_IOERR;
	if (in->pairs_refused > 0 && rc != IMPORT_STOPPED)
		return EXIT_NO;
	return rc == EX_OK && in->seen.lines_bad > 0 ? EX_DATAERR : rc;
}

/* ---- the command ---- */

static int import_one(struct import *in, const char *file)
{
	const char *name;
	int fd = inputs_open(file, &name);
	bool is_first = !in->start.file;
	if (is_first)
		in->start = (struct import_place){name, in->start.line, in->files_left};
	in->lines_over = is_first ? in->start.line : 0;
	if (fd < 0) {
		in->file = name;
		in->file_lines = 0;
		return command_fail(EX_IOERR, "%s: %s", file, strerror(-fd));
	}
	int rc = import_file(in, name, fd);
	inputs_close(fd);
	return rc;
}

static int import_all(const struct invocation *inv, struct import *in)
{
	int count;
	char **files = inputs_of(inv, &count);
	uint64_t bytes_total = 0;
	int rc =
		inputs_look(files, count, in->is_add ? "nothing was added" : "nothing was set", &bytes_total);
	if (rc == EX_OK)
		rc = target_connect(inv, &in->shc);
	if (rc)
		return rc;
	signals_note_stops();
	progress_begin(&in->progress, bytes_total, inv->is_quiet);
	for (int i = 0; rc == EX_OK && i < count; i++) {
		in->files_left = count - 1 - i;
		rc = import_one(in, files[i]);
	}
	if (!in->lost) {
		int sent = import_settle(in);
		progress_wipe(&in->progress);
		rc = sent ? sent : finish(inv, in, rc);
	}
	shc_close(in->shc);
	return in->lost ? in->lost : rc;
}

static int run(struct invocation *inv)
{
	struct import *in = calloc(1, sizeof(*in));
	if (!in)
		return command_fail(EX_IOERR, "out of memory");
	int rc = read_options(inv, in) ? import_all(inv, in) : EX_USAGE;
	import_fini(in);
	free(in);
	if (rc == IMPORT_STOPPED)
		signals_end();
	return rc;
}

const struct command cmd_import = {
	.name = "import",
	.operands = "[FILE...]",
	.group = GROUP_MANY,
	.summary = "set counters from a file that export made",
	.help = "  shcount import counters.csv              what shcount export printed\n"
		"  shcount export | shcount -s OTHER import\n"
		"  shcount import counters.jsonl            {\"name\":\"x\",\"value\":5}, one a line\n"
		"  shcount import --add counters.csv        add, to put two states together\n"
		"\n"
		"Without FILE, or where it is -, standard input is read; files named .gz and .zst are "
		"decompressed. csv begins with a line that names the columns: name and value, in any "
		"order; others are ignored. Counters are set to their values, so that importing twice is "
		"the same as once; but with --add it is not. A counter that is not in the file stays as "
		"it is. At a bad line (FILE:LINE: reason on stderr) it stops, with all before it set and "
		"nothing after; --on-error skip leaves bad lines out. Both exit 65. Where it stops, also at "
		"^C or when the connection is lost, it says up to which line all is in, and how to go "
		"on.\n",
	.options = options,
	.operands_max = -1,
	.is_local = true,
	.run = run,
};
