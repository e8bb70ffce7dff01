/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "command.h"
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

static int run(struct invocation *inv)
{
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	const char *argv[] = {"PING"};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 1, argv, NULL, false, &reply);
	if (status)
		rc = command_status(shc, status);
	else
		rc = show(inv, (struct slice){reply->data, reply->len});
	shc_close(shc);
	return rc;
}

const struct command cmd_ping = {
	.name = "ping",
	.group = GROUP_SERVER,
	.operands = "",
	.summary = "ask whether the server answers",
	.help = "  shcount ping                     prints PONG\n"
		"  shcount ping -q --timeout 1s && echo up\n"
		"\n"
		"Exit status 69 when nobody answers.\n",
	.operands_max = 0,
	.run = run,
};
