/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>

#include "../lib/info.h"
#include "../lib/num.h"
#include "command.h"
#include "nodes.h"
#include "output.h"
#include "target.h"

enum { LABEL_COLUMNS = 21 };

/* What people look for first; --json has everything. Lines the server does not have are left out. */
static const struct {
	const char *key;
	const char *label;
} people[] = {
	{"shcounterd_version", "version"},
	{"process_id", "process"},
	{"uptime_in_seconds", "up, seconds"},
	{"io_backend", "I/O"},
	{"workers", "workers"},
	{"connected_clients", "connections"},
	{"db0", "counters"},
	{"used_memory_human", "memory"},
	{"total_commands_processed", "commands"},
	{"instantaneous_ops_per_sec", "commands per second"},
	{"durability", "durability"},
	{"store_status", "disk"},
	{"durable_epoch", "epoch on disk"},
	{"commits", "commits"},
	{"journal_bytes", "journal, bytes"},
	{"sessions", "sessions"},
	{"tokens", "tokens"},
	{"db_path", "state"},
};

/* "keys=5,expires=0" -> "5" */
static struct slice keyspace_count(struct slice value)
{
	if (value.len < 5 || memcmp(value.data, "keys=", 5) != 0)
		return value;
	value.data += 5;
	value.len -= 5;
	const char *comma = memchr(value.data, ',', value.len);
	if (comma)
		value.len = (size_t)(comma - value.data);
	return value;
}

static void show_people(struct output *out, struct slice info)
{
	struct slice value;
	for (size_t i = 0; i < sizeof(people) / sizeof(people[0]); i++) {
		if (!info_find(info, people[i].key, &value) || value.len == 0)
			continue;
		output_label(out, slice_str(people[i].label), LABEL_COLUMNS);
		output_name(out, keyspace_count(value));
		output_line(out);
	}
}

/* But for one with the key `but`, unless that is null. */
static void put_json_pairs(struct output *out, struct slice info, const char *but)
{
	struct slice key, value;
	while (info_next(&info, &key, &value)) {
		int64_t number;
		if (but && slice_equal(key, slice_str(but)))
			continue;
		if (num_parse_i64(value, &number))
			json_raw(out, key, value);
		else
			json_text(out, key, value);
	}
}

static void show_json(struct output *out, struct slice info)
{
	json_open(out);
	put_json_pairs(out, info, NULL);
	json_close(out);
}

static int show(const struct invocation *inv, struct slice info)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, true);
	if (inv->is_json && !inv->is_quiet)
		show_json(&out, info);
	else if (!inv->is_quiet)
		show_people(&out, info);
	return output_finish(&out);
}

/* ---- a cluster ---- */

/* Columns of a node's line. */
static const char *const node_keys[] = {"db0", "used_memory_human", "connected_clients",
					"instantaneous_ops_per_sec"};
enum { NODE_KEYS = sizeof(node_keys) / sizeof(node_keys[0]) };

static void show_node_json(struct output *out, const struct node_answer *a)
{
	json_open(out);
	json_text(out, slice_str("node"), slice_str(a->name));
	json_text(out, slice_str("role"), slice_str(a->is_replica ? "replica" : "master"));
	json_i64(out, "slots", a->slots);
	if (a->is_answered)
		put_json_pairs(out, slice_str(a->text), "role"); /* said above, in our words */
	else
		json_text(out, slice_str("error"), slice_str(a->text));
	json_close(out);
}

static void show_node(struct output *out, const struct node_answer *a)
{
	output_name(out, slice_str(a->name));
	output_text(out, slice_str(a->is_replica ? "\treplica\t" : "\tmaster\t"));
	output_i64(out, a->slots);
	for (size_t i = 0; i < NODE_KEYS; i++) {
		struct slice value;
		output_text(out, slice_str("\t"));
		if (!info_find(slice_str(a->is_answered ? a->text : ""), node_keys[i], &value))
			value = slice_str("0"); /* db0 is not there when it has no keys */
		output_name(out, a->is_answered ? keyspace_count(value) : slice_str("-"));
	}
	output_line(out);
}

static const char heading[] = "node\trole\tslots\tkeys\tmemory\tclients\tcommands/s\n";

static void show_answer(const struct invocation *inv, struct output *out, const struct node_answer *a)
{
	if (inv->is_json)
		show_node_json(out, a);
	else
		show_node(out, a);
}

static int show_one(const struct invocation *inv, struct shc *shc)
{
	const char *argv[] = {"INFO"};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 1, argv, NULL, false, &reply);
	if (status)
		return command_status(shc, status);
	return show(inv, (struct slice){reply->data, reply->len});
}

static int show_all(struct invocation *inv, struct shc *shc)
{
	return redis_is_cluster(shc) ? nodes_show(inv, shc, "INFO", heading, show_answer)
				     : show_one(inv, shc);
}

static int run(struct invocation *inv)
{
	return target_ask(inv, show_all);
}

const struct command cmd_stats = {
	.name = "stats",
	.group = GROUP_SERVER,
	.operands = "",
	.summary = "print how the server is doing",
	.help = "  shcount stats                    what matters most, WHAT<TAB>VALUE\n"
		"  shcount stats --json             all the server tells, one object\n"
		"\n"
		"Of a Redis Cluster: a line for each node, with a heading; with --json an object for each. Exit status "
		"69 when one does not answer.\n",
	.operands_max = 0,
	.run = run,
};
