/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "command.h"
#include "output.h"
#include "target.h"

static int show(const struct invocation *inv, struct slice name, int64_t value)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, inv->is_json);
	if (inv->is_json) {
		json_open(&out);
		json_name(&out, name);
		json_i64(&out, "value", value);
		json_close(&out);
	} else {
		output_i64(&out, value);
		output_line(&out);
	}
	return output_finish(&out);
}

static int run(struct invocation *inv)
{
	struct slice name = slice_str(inv->operands[0]);
	int64_t n = 1, value;
	if (!command_is_name(inv, inv->operands[0]) ||
	    (inv->operands_count > 1 && !command_number(inv, inv->operands[1], "N", &n)) ||
	    !command_is_in_one_place(inv, "hits"))
		return EX_USAGE;
	if (n < 1)
		return command_usage(inv, "N \"%s\": there is at least 1 hit", inv->operands[1]);
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	enum shc_status status = shc_hit(shc, name.data, name.len, n, inv->is_quiet ? NULL : &value);
	if (status)
		rc = command_status(shc, status);
	else if (!inv->is_quiet)
		rc = show(inv, name, value);
	shc_close(shc);
	return rc;
}

const struct command cmd_hit = {
	.name = "hit",
	.operands = "NAME [N]",
	.summary = "add, and remember when",
	.help = "  shcount hit logins               add 1 now, print the new value\n"
		"  shcount hit logins 10\n"
		"  shcount hits logins --last 60s   how many there were in the last minute\n"
		"\n"
		"Adds N, or 1, to the counter as incr does, and to the hits of this second. Hits are kept by the "
		"second for 5 minutes, by the minute for 24 hours, by the hour for 30 days; what else is added to the "
		"counter is no hit.\n",
	.operands_min = 1,
	.operands_max = 2,
	.run = run,
};
