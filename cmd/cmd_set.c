/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "command.h"
#include "output.h"
#include "target.h"

enum { OPTION_TTL };

static const struct option_spec options[] = {
	[OPTION_TTL] = {0, "ttl", OPTION_VALUE, "DUR", "it expires after 60s, 24h, 7d ..."},
	{0},
};

static int show(struct slice name, int64_t value)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, true);
	json_open(&out);
	json_name(&out, name);
	json_i64(&out, "value", value);
	json_close(&out);
	return output_finish(&out);
}

static int run(struct invocation *inv)
{
	const char *ttl = inv->values[OPTION_TTL];
	int64_t value, ttl_ms = 0;
	if (!command_is_name(inv, inv->operands[0]) ||
	    !command_number(inv, inv->operands[1], "VALUE", &value) ||
	    (ttl && !command_duration(inv, ttl, "--ttl", INT64_MAX / 2, &ttl_ms)))
		return EX_USAGE;
	struct slice name = slice_str(inv->operands[0]);
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	enum shc_status status = ttl ? shc_set_ttl(shc, name.data, name.len, value, ttl_ms)
				     : shc_set(shc, name.data, name.len, value);
	if (status)
		rc = command_status(shc, status);
	else if (inv->is_json && !inv->is_quiet)
		rc = show(name, value);
	shc_close(shc);
	return rc;
}

const struct command cmd_set = {
	.name = "set",
	.operands = "NAME VALUE",
	.summary = "give a counter a value",
	.help = "  shcount set visits 1000\n"
		"  shcount set balance -20\n"
		"  shcount set --ttl 1h maintenance 1    gone in an hour\n"
		"\n"
		"Prints nothing, but with --json. Without --ttl, an expiry that the counter has is taken from it.\n",
	.options = options,
	.operands_min = 2,
	.operands_max = 2,
	.run = run,
};
