/* SPDX-License-Identifier: MIT */
/*
 * uplink_status.c - SHC.UPLINK STATUS, for people and as JSON. What a later daemon tells beside it is in the
 * JSON.
 */
#include <unistd.h>

#include "../lib/num.h"
#include "output.h"
#include "uplink.h"

enum { LABEL_COLUMNS = 21 };

enum kind { KIND_TEXT, KIND_NUMBER, KIND_YES /* "1": yes */ };

/* In the order of the lines. Incarnations look like numbers at times, so it stands here what is one. */
static const struct fact {
	const char *key;
	enum kind kind;
	const char *label;
} facts[] = {
	{"uplink", KIND_TEXT, "cluster"},
	{"state", KIND_TEXT, "state"},
	{"last_error", KIND_TEXT, "last error"},
	{"incarnation", KIND_TEXT, "incarnation"},
	{"start", KIND_TEXT, "start"},
	{"restored", KIND_YES, "restored"},
	{"names", KIND_NUMBER, "counters"},
	{"due", KIND_NUMBER, "not there yet"},
	{"lag_ms", KIND_NUMBER, "lag, ms"},
	{"synced_epoch", KIND_NUMBER, "epoch in the cluster"},
	{"durable_epoch", KIND_NUMBER, "epoch on disk"},
	{"pushes", KIND_NUMBER, "pushes"},
	{"repairs", KIND_NUMBER, "repairs"},
	{"refused", KIND_NUMBER, "refused counters"},
	{"sweeps", KIND_NUMBER, "sweeps"},
};

enum { FACTS_COUNT = sizeof(facts) / sizeof(facts[0]) };

/* Of a node, as the columns stand. */
static const struct {
	const char *key;
	enum kind kind;
} columns[] = {
	{"name", KIND_TEXT},	  {"lag_ms", KIND_NUMBER},   {"pushes", KIND_NUMBER},
	{"repairs", KIND_NUMBER}, {"last_error", KIND_TEXT},
};

enum { COLUMNS_COUNT = sizeof(columns) / sizeof(columns[0]) };

static const char heading[] = "node\tlag, ms\tpushes\trepairs\tlast error\n";

/* ---- the answer ---- */

static struct slice text_of(const struct shc_reply *r)
{
	return r->type == SHC_T_STRING ? (struct slice){r->data, r->len} : slice_str("");
}

static bool is_text(const struct shc_reply *r)
{
	return r->type == SHC_T_STRING;
}

/* Key and value in turn. */
static bool is_map(const struct shc_reply *r)
{
	if (r->type != SHC_T_ARRAY || r->count == 0 || r->count % 2)
		return false;
	for (size_t i = 0; i < r->count; i += 2) {
		if (!is_text(&r->elements[i]))
			return false;
	}
	return true;
}

/* Null: it is not told. */
static const struct shc_reply *find(const struct shc_reply *map, const char *key)
{
	for (size_t i = 0; i < map->count; i += 2) {
		if (slice_equal(text_of(&map->elements[i]), slice_str(key)))
			return &map->elements[i + 1];
	}
	return NULL;
}

/* What stands in a column: a node is a map, or the bare values in this order. */
static struct slice node_text(const struct shc_reply *node, size_t column)
{
	if (node->count == COLUMNS_COUNT)
		return text_of(&node->elements[column]);
	const struct shc_reply *value = find(node, columns[column].key);
	return value ? text_of(value) : slice_str("");
}

static bool is_node(const struct shc_reply *r)
{
	return is_map(r) || (r->type == SHC_T_ARRAY && r->count == COLUMNS_COUNT);
}

static bool is_nodes_key(const struct shc_reply *key)
{
	return slice_equal(text_of(key), slice_str("nodes"));
}

static bool are_nodes(const struct shc_reply *r)
{
	if (r->type != SHC_T_ARRAY)
		return false;
	for (size_t i = 0; i < r->count; i++) {
		if (!is_node(&r->elements[i]))
			return false;
	}
	return true;
}

static bool is_status(const struct shc_reply *r)
{
	if (!is_map(r))
		return false;
	const struct shc_reply *nodes = find(r, "nodes");
	return !nodes || are_nodes(nodes);
}

/* ---- for people ---- */

static bool is_yes(struct slice text)
{
	return slice_equal(text, slice_str("1"));
}

/* What has nothing to say leaves its line out. */
static void put_line(struct output *out, const struct fact *f, struct slice text)
{
	if (text.len == 0 || (f->kind == KIND_YES && !is_yes(text)))
		return;
	output_label(out, slice_str(f->label), LABEL_COLUMNS);
	if (f->kind == KIND_YES)
		output_text(out, slice_str("sessions and tokens are refused until `shcount uplink accept`"));
	else
		output_name(out, text);
	output_line(out);
}

static void put_node(struct output *out, const struct shc_reply *node)
{
	for (size_t i = 0; i < COLUMNS_COUNT; i++) {
		struct slice text = node_text(node, i);
		output_text(out, slice_str(i ? "\t" : ""));
		output_name(out, text.len ? text : slice_str("-"));
	}
	output_line(out);
}

static void put_lines(struct output *out, const struct shc_reply *answer)
{
	for (size_t i = 0; i < FACTS_COUNT; i++) {
		const struct shc_reply *value = find(answer, facts[i].key);
		if (value)
			put_line(out, &facts[i], text_of(value));
	}
	const struct shc_reply *nodes = find(answer, "nodes");
	if (!nodes || nodes->count == 0)
		return;
	output_text(out, slice_str(heading));
	for (size_t i = 0; i < nodes->count; i++)
		put_node(out, &nodes->elements[i]);
}

/* ---- for programs ---- */

static void put_member(struct output *out, struct slice key, enum kind kind, struct slice text)
{
	int64_t number;
	if (kind == KIND_YES)
		json_raw(out, key, slice_str(is_yes(text) ? "true" : "false"));
	else if (kind == KIND_NUMBER && num_parse_i64(text, &number))
		json_raw(out, key, text);
	else
		json_text(out, key, text);
}

static void put_node_members(struct output *out, const struct shc_reply *node)
{
	for (size_t i = 0; i < COLUMNS_COUNT; i++) {
		struct slice text = node_text(node, i);
		if (text.len || columns[i].kind == KIND_TEXT)
			put_member(out, slice_str(columns[i].key), columns[i].kind, text);
	}
}

static void put_nodes(struct output *out, const struct shc_reply *nodes)
{
	json_raw(out, slice_str("nodes"), slice_str("["));
	for (size_t i = 0; i < nodes->count; i++) {
		output_text(out, slice_str(i ? "," : ""));
		json_open_inner(out);
		put_node_members(out, &nodes->elements[i]);
		json_close_inner(out);
	}
	output_text(out, slice_str("]"));
}

static enum kind kind_of(struct slice key)
{
	for (size_t i = 0; i < FACTS_COUNT; i++) {
		if (slice_equal(key, slice_str(facts[i].key)))
			return facts[i].kind;
	}
	return KIND_TEXT;
}

static void put_json(struct output *out, const struct shc_reply *answer)
{
	json_open(out);
	for (size_t i = 0; i < answer->count; i += 2) {
		const struct shc_reply *key = &answer->elements[i], *value = &answer->elements[i + 1];
		if (is_nodes_key(key))
			put_nodes(out, value);
		else if (is_text(value))
			put_member(out, text_of(key), kind_of(text_of(key)), text_of(value));
	}
	json_close(out);
}

int uplink_status(const struct invocation *inv, struct shc *shc)
{
	const char *const argv[] = {"SHC.UPLINK", "STATUS"};
	const struct shc_reply *reply;
	struct output out;
	enum shc_status status = shc_command(shc, 2, argv, NULL, false, &reply);
	if (status)
		return command_status(shc, status);
	if (!is_status(reply))
		return uplink_no_sense("SHC.UPLINK STATUS");
	output_init(&out, STDOUT_FILENO, true);
	if (inv->is_json && !inv->is_quiet)
		put_json(&out, reply);
	else if (!inv->is_quiet)
		put_lines(&out, reply);
	return output_finish(&out);
}
