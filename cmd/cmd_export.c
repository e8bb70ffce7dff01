/* SPDX-License-Identifier: MIT */
/*
 * cmd_export.c - all counters as CSV or JSON lines, as they come. What import reads.
 */
#include <signal.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "target.h"
#include "walk.h"

enum { OPTION_FORMAT };

static const struct option_spec options[] = {
	[OPTION_FORMAT] = {'f', "format", OPTION_VALUE, "csv|json",
			   "csv (default), or json: one object a line, as --json"},
	{0},
};

struct export_run {
	bool is_json;
	struct output out;
};

/* Quotes also where the standard asks for none, but a reader may drop the blank, or take the line for a
 * comment or for the header. */
static bool wants_quotes(struct slice name)
{
	if (memchr(name.data, ',', name.len) || memchr(name.data, '"', name.len))
		return true;
	return name.data[0] == ' ' || name.data[name.len - 1] == ' ' || name.data[0] == '#';
}

static void put_quoted(struct output *out, struct slice name)
{
	char field[2 * NAME_LEN_MAX + 2];
	size_t len = 0;
	field[len++] = '"';
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] == '"')
			field[len++] = '"';
		field[len++] = name.data[i];
	}
	field[len++] = '"';
	output_name(out, (struct slice){field, len});
}

static void put_csv(struct output *out, struct slice name, int64_t value)
{
	if (wants_quotes(name))
		put_quoted(out, name);
	else
		output_name(out, name);
	output_text(out, slice_str(","));
	output_i64(out, value);
	output_line(out);
}

static int put_counter(void *arg, struct slice name, int64_t value)
{
	struct export_run *e = arg;
	if (e->is_json) {
		json_open(&e->out);
		json_name(&e->out, name);
		json_i64(&e->out, "value", value);
		json_close(&e->out);
	} else {
		put_csv(&e->out, name, value);
	}
	return e->out.error ? WALK_STOP : EX_OK;
}

static int flush_page(void *arg)
{
	struct export_run *e = arg;
	output_flush(&e->out);
	return e->out.error ? WALK_STOP : EX_OK;
}

static int export_all(struct export_run *e, const struct invocation *inv)
{
	const struct walker walker = {.counter = put_counter, .page = flush_page, .arg = e};
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	output_init(&e->out, STDOUT_FILENO, true);
	if (!e->is_json) {
		output_text(&e->out, slice_str("name,value"));
		output_line(&e->out);
	}
	rc = walk(shc, inv->operands_count > 0 ? inv->operands[0] : NULL, &walker);
	shc_close(shc);
	int written = output_finish(&e->out);
	return rc ? rc : written;
}

static int run(struct invocation *inv)
{
	const char *format = inv->values[OPTION_FORMAT];
	bool is_csv = format && strcmp(format, "csv") == 0, is_json = format && strcmp(format, "json") == 0;
	if (format && !is_csv && !is_json)
		return command_usage(inv, "-f \"%.32s\": csv or json is expected", format);
	if (is_csv && inv->is_json)
		return command_usage(inv, "-f csv and --json exclude each other");
	if (inv->is_quiet)
		return command_usage(inv, "-q: there is nothing to export without printing it");
	struct export_run e = {.is_json = is_json || inv->is_json};
	signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit of files says EFBIG */
	return export_all(&e, inv);
}

const struct command cmd_export = {
	.name = "export",
	.operands = "[GLOB]",
	.group = GROUP_MANY,
	.summary = "print counters for import, or a spreadsheet",
	.help = "  shcount export >counters.csv\n"
		"  shcount export 'page:*' | zstd >pages.csv.zst\n"
		"  shcount export -f json | jq .value\n"
		"\n"
		"csv has the line name,value first, names in quotes where they need them, and lines that "
		"end in LF; a name that is not UTF-8 stands there byte by byte. json has an object a "
		"line, with name_base64 for such a name. Counters come in the server's order, at once, "
		"however many there are. One that comes or goes meanwhile may be missing. To copy the "
		"whole state of a daemon: shcount backup.\n",
	.options = options,
	.operands_max = 1,
	.run = run,
};
