/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/redis.h"
#include "command.h"
#include "output.h"
#include "target.h"

enum { LABEL_COLUMNS = 10, TOTAL_SIZE = 40 /* of 128 bits */ };

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

/* ---- in Redis ---- */

/* Of parts that were added to by different nodes, the sum may be more than a counter can have. */
static struct slice format_total(__int128 total, char room[TOTAL_SIZE])
{
	bool is_negative = total < 0;
	size_t at = TOTAL_SIZE;
	do {
		int digit = (int)(total % 10);
		room[--at] = (char)('0' + (digit < 0 ? -digit : digit));
		total /= 10;
	} while (total != 0);
	if (is_negative)
		room[--at] = '-';
	return (struct slice){room + at, TOTAL_SIZE - at};
}

/* KEY<TAB>SLOT<TAB>NODE<TAB>VALUE, then the total. */
static void show_parts(struct output *out, const struct redis_part *parts, size_t count, struct slice total)
{
	for (size_t i = 0; i < count; i++) {
		output_name(out, shard_slice(&parts[i].key));
		output_text(out, slice_str("\t"));
		output_i64(out, parts[i].slot);
		output_text(out, slice_str("\t"));
		output_name(out, slice_str(parts[i].node));
		output_text(out, slice_str("\t"));
		output_i64(out, parts[i].value);
		output_line(out);
	}
	output_text(out, slice_str("total\t\t\t"));
	output_text(out, total);
	output_line(out);
}

static void show_parts_json(struct output *out, struct slice name, const struct redis_part *parts,
			    size_t count, struct slice total)
{
	json_open(out);
	json_name(out, name);
	json_raw(out, slice_str("value"), total);
	json_raw(out, slice_str("shards"), slice_str("["));
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			output_text(out, slice_str(","));
		json_open_inner(out);
		json_bytes(out, "key", shard_slice(&parts[i].key));
		json_i64(out, "slot", parts[i].slot);
		json_text(out, slice_str("node"), slice_str(parts[i].node));
		json_i64(out, "value", parts[i].value);
		json_close_inner(out);
	}
	output_text(out, slice_str("]"));
	json_close(out);
}

static int show_in_redis(const struct invocation *inv, struct shc *shc, struct slice name)
{
	struct redis_part *parts;
	size_t count;
	__int128 total = 0;
	enum shc_status status = redis_parts(shc, name, &parts, &count);
	if (status)
		return command_status(shc, status);
	for (size_t i = 0; i < count; i++)
		total += parts[i].value;
	struct output out;
	char room[TOTAL_SIZE];
	output_init(&out, STDOUT_FILENO, true);
	bool is_sane = total >= INT64_MIN && total <= INT64_MAX;
	if (inv->is_json && !inv->is_quiet)
		show_parts_json(&out, name, parts, count, format_total(total, room));
	else if (!inv->is_quiet)
		show_parts(&out, parts, count, format_total(total, room));
	free(parts);
	int written = output_finish(&out);
	return is_sane ? written
		       : command_fail(EXIT_NO, "the sum of this counter's parts leaves 64 bits: set it, or "
					       "subtract from it");
}

static int show_on_daemon(const struct invocation *inv, struct shc *shc)
{
	const char *argv[] = {"SHC.SHARDS", inv->operands[0]};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 2, argv, NULL, false, &reply);
	return status ? command_status(shc, status) : show(inv, slice_str(inv->operands[0]), reply);
}

static int show_shards(struct invocation *inv, struct shc *shc)
{
	enum shc_status status = redis_identify(shc);
	if (status)
		return command_status(shc, status);
	return redis_is(shc) ? show_in_redis(inv, shc, slice_str(inv->operands[0]))
			     : show_on_daemon(inv, shc);
}

static int run(struct invocation *inv)
{
	return command_is_name(inv, inv->operands[0]) ? target_ask(inv, show_shards) : EX_USAGE;
}

const struct command cmd_shards = {
	.name = "shards",
	.operands = "NAME",
	.summary = "print the parts of a counter and their total",
	.help = "  shcount shards visits            base, a row for each core's cell, total\n"
		"\n"
		"A counter has a base alone until several cores add to it at once (incr -q, ingest); then "
		"each core\n"
		"gets a cell of its own. On a Redis Cluster: KEY<TAB>SLOT<TAB>NODE<TAB>VALUE of the counter's own key and "
		"of each sub-counter that was ever used, then the total.\n",
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
