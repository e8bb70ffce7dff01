/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "output.h"
#include "target.h"

enum { LABEL_COLUMNS = 10 };

/* Base first, then the cells. A sum on the way may leave 64 bits though the total does not: modulo 2^64 it
 * comes back. */
static int64_t total_of(const struct shc_reply *reply)
{
	uint64_t total = 0;
	for (size_t i = 0; i < reply->count; i++)
		total += (uint64_t)reply->elements[i].integer;
	return (int64_t)total;
}

static void show_row(struct output *out, const char *label, int64_t value)
{
	output_label(out, slice_str(label), LABEL_COLUMNS);
	output_i64(out, value);
	output_line(out);
}

static void show_rows(struct output *out, const struct shc_reply *reply)
{
	show_row(out, "base", reply->count ? reply->elements[0].integer : 0);
	for (size_t i = 1; i < reply->count; i++) {
		char label[32];
		snprintf(label, sizeof(label), "cell %zu", i - 1);
		show_row(out, label, reply->elements[i].integer);
	}
	show_row(out, "total", total_of(reply));
}

static void show_json(struct output *out, struct slice name, const struct shc_reply *reply)
{
	json_open(out);
	json_name(out, name);
	json_i64(out, "value", total_of(reply));
	json_i64(out, "base", reply->count ? reply->elements[0].integer : 0);
	json_raw(out, slice_str("cells"), slice_str("["));
	for (size_t i = 1; i < reply->count; i++) {
		if (i > 1)
			output_text(out, slice_str(","));
		output_i64(out, reply->elements[i].integer);
	}
	output_text(out, slice_str("]"));
	json_close(out);
}

static int show(const struct invocation *inv, struct slice name, const struct shc_reply *reply)
{
	bool is_sane = reply->type == SHC_T_ARRAY || reply->type == SHC_T_NIL;
	for (size_t i = 0; i < reply->count; i++)
		is_sane = is_sane && reply->elements[i].type == SHC_T_INT;
	if (!is_sane)
		return command_fail(EX_UNAVAILABLE,
				    "the answer to SHC.SHARDS makes no sense: is that a shcounterd?");
	struct output out;
	output_init(&out, STDOUT_FILENO, true);
	if (inv->is_json && !inv->is_quiet)
		show_json(&out, name, reply);
	else if (!inv->is_quiet)
		show_rows(&out, reply);
	return output_finish(&out);
}

static int run(struct invocation *inv)
{
	if (!command_is_name(inv, inv->operands[0]))
		return EX_USAGE;
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	const char *argv[] = {"SHC.SHARDS", inv->operands[0]};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 2, argv, NULL, false, &reply);
	rc = status ? command_status(shc, status) : show(inv, slice_str(inv->operands[0]), reply);
	shc_close(shc);
	return rc;
}

const struct command cmd_shards = {
	.name = "shards",
	.operands = "NAME",
	.summary = "print the parts of a counter and their total",
	.help = "  shcount shards visits            base, a row for each core's cell, total\n"
		"\n"
		"A counter has a base alone until several cores add to it at once (incr -q, ingest); then "
		"each core\n"
		"gets a cell of its own.\n",
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
