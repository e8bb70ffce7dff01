/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "command.h"
#include "nodes.h"
#include "output.h"
#include "target.h"

static int show(const struct invocation *inv, struct slice answer)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, true);
	if (inv->is_quiet)
		return output_finish(&out);
	if (inv->is_json) {
		json_open(&out);
		json_text(&out, slice_str("reply"), answer);
		json_close(&out);
	} else {
		output_name(&out, answer);
		output_line(&out);
	}
	return output_finish(&out);
}

/* ---- a cluster ---- */

static void show_node(const struct invocation *inv, struct output *out, const struct node_answer *a)
{
	if (inv->is_json) {
		json_open(out);
		json_text(out, slice_str("node"), slice_str(a->name));
		json_text(out, slice_str("role"), slice_str(a->is_replica ? "replica" : "master"));
		json_text(out, slice_str(a->is_answered ? "reply" : "error"), slice_str(a->text));
		json_close(out);
	} else if (a->is_answered) {
		output_name(out, slice_str(a->name));
		output_text(out, slice_str("\t"));
		output_name(out, slice_str(a->text));
		output_line(out);
	}
}

static int ping_one(struct invocation *inv, struct shc *shc)
{
	const char *argv[] = {"PING"};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 1, argv, NULL, false, &reply);
	if (status)
		return command_status(shc, status);
	return show(inv, (struct slice){reply->data, reply->len});
}

static int ping(struct invocation *inv, struct shc *shc)
{
	/* All must answer: who counts needs any master, and who trusts a replica needs that. */
	return redis_is_cluster(shc) ? nodes_show(inv, shc, "PING", NULL, show_node) : ping_one(inv, shc);
}

static int run(struct invocation *inv)
{
	return target_ask(inv, ping);
}

const struct command cmd_ping = {
	.name = "ping",
	.group = GROUP_SERVER,
	.operands = "",
	.summary = "ask whether the server answers",
	.help = "  shcount ping                     prints PONG\n"
		"  shcount ping -q --timeout 1s && echo up\n"
		"\n"
		"Exit status 69 when nobody answers. Of a Redis Cluster all nodes are asked, and each that answers is "
		"printed; 69 when one does not.\n",
	.operands_max = 0,
	.run = run,
};
